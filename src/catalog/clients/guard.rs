//! Whether callgate stands in front of a configured server, and what stands behind it.

use super::super::StdioServer;
use super::Launch;

/// The gateway's options that take no value; every other option takes one.
const SWITCHES: &[&str] = &["--fail-open", "--read-only", "--no-auth", "--behind-proxy"];

/// Whether this starts callgate's gateway.
pub(super) fn is_callgate(launch: &Launch) -> bool {
    gateway_arguments(launch).is_some()
}

/// The server behind callgate's gateway.
pub(super) fn behind(launch: &Launch) -> Option<Launch> {
    let Launch::Stdio(server) = launch else { return None };
    let mut words = gateway_arguments(launch)?.iter();
    let mut command: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            command = words.cloned().collect();
            break;
        }
        if let Some(url) = word.strip_prefix("--upstream=") {
            return Some(Launch::Http(super::HttpServer { url: url.to_owned(), headers: Vec::new() }));
        }
        if word == "--upstream" {
            let url = words.next()?.clone();
            return Some(Launch::Http(super::HttpServer { url, headers: Vec::new() }));
        }
        if word.starts_with('-') {
            if !word.contains('=') && !SWITCHES.contains(&word.as_str()) {
                words.next();
            }
        } else {
            command.push(word.clone());
            command.extend(words.cloned());
            break;
        }
    }
    if command.is_empty() {
        return None;
    }
    Some(Launch::Stdio(StdioServer { command, env: server.env.clone(), cwd: server.cwd.clone() }))
}

/// The arguments after `gateway`, if the program is callgate.
fn gateway_arguments(launch: &Launch) -> Option<&[String]> {
    let Launch::Stdio(server) = launch else { return None };
    let (program, rest) = server.command.split_first()?;
    let file = program.rsplit(['/', '\\']).next()?;
    if file != "callgate" && file != "callgate.exe" {
        return None;
    }
    let at = rest.iter().position(|word| word == "gateway")?;
    rest.get(at + 1..)
}
