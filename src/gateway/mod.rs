//! The gateway: stands between an agent and a server, and decides each call.
//!
//! | room | is |
//! |---|---|
//! | [`call`] | one client's session with one server, and what is to be done with each message of either |
//! | [`stdio`] | the stdio gateway: two blocking threads, one for each direction |
//! | [`http`] | the HTTP gateway: sessions, streams, and servers that are processes |
//! | [`child`] | a server's process, and that it is never left behind |
//! | [`policies`] | the policy's file and its versions, pins, a candidate beside it |
//! | [`config`], [`grants`] | gateway.json: servers, grants and tokens |
//! | `desk` | what all sessions of the process share: journal and feed, the store, the background |
//! | `ops` | metrics and readiness for programs |
//! | [`span`], `traces` | calls as spans of traces, told to a collector |
//!
//! A call's way is one direction: transport, `call::judge` with [`crate::mcp`] (peek), `call::decider`, `desk::recorder`, and
//! only then the bytes go on. On stdio that is two plain blocking threads: with one client and one
//! server there is nothing to schedule, and every hand-over to another thread costs more than
//! deciding.

pub mod call;
pub mod child;
pub mod config;
mod desk;
pub mod grants;
pub mod http;
mod ops;
pub mod policies;
pub mod span;
pub mod stdio;
mod traces;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a request is answered with when the server cannot answer it any more.
const GONE: &str = "the server has gone away";

/// What another thread left half done, when it panicked, is still whole: the locks guard values that
/// are replaced, not steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what a server printed on standard output that is no message, as its standard error
/// passes: raw, except to a terminal.
fn foreign_output(line: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let _ = if stderr.is_terminal() {
        let text = String::from_utf8_lossy(line);
        writeln!(stderr, "{}", crate::visible::visible(&text))
    } else {
        stderr.write_all(line).and_then(|()| stderr.write_all(b"\n"))
    };
}

/// Tells a person something on standard error.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "callgate: {text}");
}

/// The machine's name.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// An id that no other has: of a gateway run, of a freeze.
fn fresh_id() -> String {
    let mut random = [0_u8; 4];
    let _ = getrandom::fill(&mut random);
    let seconds = crate::clock::now().secs();
    format!("{seconds:x}-{:x}-{:08x}", std::process::id(), u32::from_be_bytes(random))
}

/// A command line as others may see it: what a flag or an assignment names a secret, or what looks
/// like one, is left out.
fn shown_command(command: &[String]) -> Vec<String> {
    use crate::record::secret::{looks_secret, names_secret};
    const HIDDEN: &str = "***";
    let mut shown = Vec::with_capacity(command.len());
    let mut hide_next = false;
    for word in command {
        let hidden = std::mem::take(&mut hide_next);
        let flag = word.starts_with('-');
        let name = word.trim_start_matches('-');
        shown.push(match name.split_once('=') {
            _ if !flag && word.contains("://") => without_user(word),
            Some((name, _)) if names_secret(name, false) => {
                let dashes = word.len() - word.trim_start_matches('-').len();
                format!("{}{name}={HIDDEN}", "-".repeat(dashes))
            }
            _ if flag && names_secret(name, false) => {
                hide_next = true;
                word.clone()
            }
            _ if hidden || looks_secret(word) => HIDDEN.to_owned(),
            _ => word.clone(),
        });
    }
    shown
}

/// An address without the name and password in it, and without its query.
fn without_user(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (place, path) = rest.split_once('/').map_or((rest, None), |(place, path)| (place, Some(path)));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let mut shown = format!("{scheme}://{place}");
    if let Some(path) = path {
        shown.push('/');
        shown.push_str(path.split(['?', '#']).next().unwrap_or(""));
    }
    shown
}

#[cfg(test)]
mod tests {
    use crate::gateway::*;

    #[test]
    fn secrets_on_the_command_line_are_not_shown() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (command, shown) in [
            ("npx -y @scope/server /tmp", "npx -y @scope/server /tmp"),
            ("x --api-key abc --port 3", "x --api-key *** --port 3"),
            ("x --api-key=abc API_TOKEN=q", "x --api-key=*** API_TOKEN=***"),
            ("x https://u:p@h/a?token=1", "x https://h/a"),
            ("x ghp_0123456789abcdefghijklmnopqrstuvwxyz", "x ***"),
        ] {
            assert_eq!(shown_command(&words(command)), words(shown));
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(fresh_id(), fresh_id());
    }
}
