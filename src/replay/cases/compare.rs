//! Policy tests under two policies: which of them begin to fail, and which pass again.

use super::run::test;
use super::{Cases, Failure};
use crate::policy::compiled::Compiled;

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It passed before and fails now.
    Breaks,
    /// It failed before and passes now.
    Mends,
    /// It fails now; it failed before as well, or there was nothing that decided before.
    Fails,
}

/// A test that fails under at least one of the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Its name.
    pub name: String,
    /// The line of its beginning in the tests' text, from 1.
    pub line: usize,
    /// What became of it.
    pub turn: Turn,
    /// How it fails now; of one that passes now, how it failed before.
    pub failure: Failure,
}

/// What another policy makes of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// How many tests there are.
    pub tests: usize,
    /// How many pass now.
    pub passed: usize,
    /// Those that fail now or failed before: by what became of them, each in the order of the text.
    pub turned: Vec<Turned>,
}

impl Compared {
    /// How many tests became so.
    pub fn count(&self, turn: Turn) -> usize {
        self.turned.iter().filter(|turned| turned.turn == turn).count()
    }
}

/// Runs every test under both policies; `None` once nobody waits for it any more. Without an old
/// policy none of them changes.
pub fn compare(
    old: Option<&Compiled>,
    new: &Compiled,
    cases: &Cases,
    wanted: &dyn Fn() -> bool,
) -> Option<Compared> {
    let mut found = Compared { tests: cases.tests.len(), ..Compared::default() };
    for case in &cases.tests {
        if !wanted() {
            return None;
        }
        let before = old.map(|old| test(old, case));
        let now = test(new, case);
        found.passed += usize::from(now.is_none());
        let (turn, failure) = match (before, now) {
            (Some(None), Some(failure)) => (Turn::Breaks, failure),
            (Some(Some(failure)), None) => (Turn::Mends, failure),
            (Some(Some(_)) | None, Some(failure)) => (Turn::Fails, failure),
            (Some(None) | None, None) => continue,
        };
        found.turned.push(Turned { name: case.name.clone(), line: case.line, turn, failure });
    }
    found.turned.sort_by_key(|turned| turned.turn);
    Some(found)
}
