//! Unanswered rounds: a server said `input_required`, and the retry that answers it is the same
//! operation, so that it is counted and approved once.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How long a round is remembered, in microseconds.
pub const ROUND_MICROS: i64 = 3_600 * 1_000_000;

/// How many unanswered rounds of one grant are remembered; the oldest is forgotten first, and its
/// retry is a new call.
pub const MAX_ROUNDS: usize = 1024;

/// An `input_required` that nobody answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Round {
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The tool's name.
    pub tool: String,
    /// SHA-256 of the canonical arguments.
    pub args_sha256: String,
    /// SHA-256 of `requestState`, if the server gave one.
    pub state_sha256: Option<String>,
}

/// Whether a round that was remembered at `at` is still good at `now`. One from later than `now`
/// (the clock was stepped back) is.
pub fn is_good(at: Timestamp, now: Timestamp) -> bool {
    now < at.plus_micros(ROUND_MICROS)
}
