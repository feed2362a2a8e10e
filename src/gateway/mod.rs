//! The gateway: stands between an agent and a server, and decides each call.
//!
//! | part | is |
//! |---|---|
//! | [`session`] | the state machine of one session, without I/O |
//! | [`frames`] | lines out of a stream, without I/O |
//! | [`stdio`] | the stdio gateway: threads, lifecycle |
//! | `inbound`, `outbound` | the two directions |
//! | `decider` | policy, freezes and counters together |
//! | `recorder` | journal first, then the feed |
//! | [`server`], [`guard`] | the server's process, and that it is never left behind |
//!
//! A call's way is one direction: frames, [`crate::mcp`] (peek), decider, recorder, and only then
//! the bytes go on. The data path is two plain blocking threads: with one client and one server
//! there is nothing to schedule, and every hand-over to another thread costs more than deciding.

mod decider;
pub mod frames;
#[cfg(unix)]
pub mod guard;
mod inbound;
mod link;
mod lists;
mod outbound;
mod recorder;
pub mod server;
pub mod session;
pub mod stdio;
mod tally;

use std::io::{IsTerminal, Write};

/// What a request is answered with when the server cannot answer it any more.
const GONE: &str = "the server has gone away";

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
