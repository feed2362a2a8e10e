//! Policy tests: calls beside a policy with what is expected of each.
//!
//! `policy.test.json` lies beside `policy.json`. A test is one call, or a sequence of calls in the
//! order of their time; counters start empty, and the clock is what the test says, so that a result
//! never depends on when or where it runs:
//!
//! ```json
//! {
//!   "tests": [
//!     { "name": "no large refunds", "tool": "refund", "arguments": { "amount": 250 }, "expect": "deny" },
//!     { "name": "two pushes a minute", "tool": "push", "calls": [
//!       { "times": 2, "expect": "allow" },
//!       { "expect": { "decision": "deny", "rule": "/tools/push/limits/push_rate" } },
//!       { "at": "1m", "expect": "allow" }
//!     ] }
//!   ]
//! }
//! ```
//!
//! `read` names every mistake in a text, `run` judges a policy, `compare` two of them, `pin` makes a
//! test of a recorded call. `assets/tests.schema.json` states the format for other programs.

mod compare;
mod pin;
mod read;
mod run;
#[doc(hidden)]
pub mod total;

pub use compare::{Compared, Turn, Turned, compare};
pub use pin::{NotPinned, Pinned, add, pin};
pub use read::{FILE_KEYS, read};
pub use run::{Difference, Failure, Report, TestResult, run, run_telling};

use crate::json::Span;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::explain::Decision;
use crate::time::Timestamp;

/// When a test begins that does not say: a whole day, hour and minute of UTC.
pub const START: Timestamp = Timestamp(1_767_225_600_000_000);
/// The most calls of one test, repetitions included.
pub const MOST_CALLS: u64 = 100_000;

/// A file of policy tests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cases {
    /// The tests in the order of the text.
    pub tests: Vec<Case>,
}

/// What came of reading a text.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The tests, when the text has no error.
    pub cases: Option<Cases>,
    /// Every error of the text, in its order.
    pub diagnostics: Vec<Diagnostic>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name; unique in its file.
    pub name: String,
    /// Where it stands in the text.
    pub span: Span,
    /// The line of its beginning, from 1.
    pub line: usize,
    /// Its calls, at least one.
    pub calls: Vec<CaseCall>,
}

/// A call of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseCall {
    /// The tool.
    pub tool: String,
    /// The arguments as JSON text; an object or null.
    pub arguments: Option<String>,
    /// The server whose counters count.
    pub server: String,
    /// The grant.
    pub grant: String,
    /// The session, where there is one.
    pub session: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How often in a row; at least once. Each must be decided as expected.
    pub times: u64,
    /// What is expected.
    pub expect: Expect,
    /// Its pointer in the text: of the test itself, when it is one call.
    pub pointer: String,
    /// The line of its beginning, from 1.
    pub line: usize,
}

/// What is expected of a call. What is `None` may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The decision.
    pub decision: Decision,
    /// The short code, exactly; empty on a plain allow.
    pub rule: Option<String>,
    /// The pointer, exactly.
    pub pointer: Option<String>,
    /// What the message contains.
    pub message_contains: Option<String>,
    /// Whether the tool is shown to the agent.
    pub visible: Option<bool>,
}

impl Expect {
    /// Only the decision.
    pub fn only(decision: Decision) -> Self {
        Self { decision, rule: None, pointer: None, message_contains: None, visible: None }
    }
}

#[cfg(test)]
#[path = "cases/tests.rs"]
mod tests;
