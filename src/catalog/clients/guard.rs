//! Whether callgate stands in front of a configured server, and what stands behind it.

use super::super::StdioServer;
use super::Launch;

/// The gateway's options that take no value; every other option takes one.
const SWITCHES: &[&str] = &["--fail-open", "--read-only", "--no-auth", "--behind-proxy"];

/// Whether this starts callgate's gateway.
pub(super) fn is_callgate(launch: &Launch) -> bool {
    matches!(launch, Launch::Stdio(server) if gateway_arguments(&server.command).is_some())
}

/// The server behind callgate's gateway.
pub(super) fn behind(launch: &Launch) -> Option<Launch> {
    let Launch::Stdio(server) = launch else { return None };
    if let Some(url) = upstream(gateway_arguments(&server.command)?) {
        return Some(Launch::Http(super::HttpServer { url, headers: Vec::new() }));
    }
    let command = server.command.get(command_at(&server.command)?..)?.to_vec();
    Some(Launch::Stdio(StdioServer { command, env: server.env.clone(), cwd: server.cwd.clone() }))
}

/// Where, in a command line that starts callgate's gateway, the server's own begins.
pub(super) fn command_at(command: &[String]) -> Option<usize> {
    let words = gateway_arguments(command)?;
    let mut at = command.len() - words.len();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            at += 1;
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        at += 1;
        if !word.contains('=') && !SWITCHES.contains(&word.as_str()) {
            words.next();
            at += 1;
        }
    }
    (at < command.len()).then_some(at)
}

/// The address after `--upstream`, among the gateway's own options.
fn upstream(words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" || !word.starts_with('-') {
            return None;
        }
        if let Some(url) = word.strip_prefix("--upstream=") {
            return Some(url.to_owned());
        }
        if word == "--upstream" {
            return words.next().cloned();
        }
        if !word.contains('=') && !SWITCHES.contains(&word.as_str()) {
            words.next();
        }
    }
    None
}

/// The arguments after `gateway`, if the program is callgate.
fn gateway_arguments(command: &[String]) -> Option<&[String]> {
    let (program, rest) = command.split_first()?;
    let file = program.rsplit(['/', '\\']).next()?;
    // Also where it lies under a name with its version.
    if !file.starts_with("callgate") {
        return None;
    }
    let at = rest.iter().position(|word| word == "gateway")?;
    rest.get(at + 1..)
}
