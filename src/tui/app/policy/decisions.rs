//! What changes in the review before saving, tests and decisions: rows, the cursor among them, and
//! what is open.

use std::collections::BTreeSet;

use super::review::Review;
use crate::replay::cases::{Compared, Turned};
use crate::replay::{Example, Group, Report};
use crate::tui::app::impact::pinned::Tests;
use crate::tui::app::impact::{Heard, State};
use crate::tui::app::learn::trace;

/// A row of the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// What the tests beside the policy amount to.
    Tests,
    /// A test that fails now or failed before, by its number among them.
    Test(usize),
    /// A line of why it fails, by the test's number and its own.
    Why(usize, usize),
    /// What the rows below are about.
    Decisions,
    /// Changed decisions of one tool, by its number among the groups.
    Group(usize),
    /// One of them, by the group's number and its own.
    Example(usize, usize),
    /// How many calls could not be replayed, and why: by its number among the reasons.
    NotReplayable(usize),
    /// Nothing.
    Gap,
    /// The textual difference begins.
    Difference,
    /// A line of the difference, by its number.
    Line(usize),
}

/// Which parts are open, and where the cursor is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The cursor, by row.
    pub at: usize,
    /// The groups whose examples are shown.
    pub open: BTreeSet<usize>,
    /// The tests of which it is shown why they fail.
    pub tests: BTreeSet<usize>,
    /// Whether the person has moved: then what is under the cursor stays there.
    moved: bool,
}

impl Review {
    /// The rows, from the top.
    pub fn rows(&self, heard: Heard<'_>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.lines.len() + 8);
        // Not of a difference that is only looked at.
        if self.writes && !matches!(heard.replay, State::Idle) {
            self.tests(heard.tests, &mut rows);
            rows.push(Row::Decisions);
            if let Some(report) = report(heard.replay) {
                for (index, group) in report.groups.iter().enumerate() {
                    rows.push(Row::Group(index));
                    if self.shown.open.contains(&index) {
                        // The latest first.
                        rows.extend((0..group.examples.len()).rev().map(|at| Row::Example(index, at)));
                    }
                }
                rows.extend((0..report.not_replayable.len()).map(Row::NotReplayable));
            }
            rows.push(Row::Gap);
            rows.push(Row::Difference);
        }
        rows.extend((0..self.lines.len()).map(Row::Line));
        rows
    }

    fn tests(&self, tests: &Tests, rows: &mut Vec<Row>) {
        if *tests == Tests::None {
            return;
        }
        rows.push(Row::Tests);
        let Some(compared) = compared(tests) else { return };
        for (index, turned) in compared.turned.iter().enumerate() {
            rows.push(Row::Test(index));
            if self.shown.tests.contains(&index) {
                rows.extend((0..trace::failure(&turned.failure).len()).map(|at| Row::Why(index, at)));
            }
        }
        if !compared.turned.is_empty() {
            rows.push(Row::Gap);
        }
    }

    /// The group and the example of a row.
    pub fn found(state: &State, row: Row) -> Option<(&Group, Option<&Example>)> {
        let groups = &report(state)?.groups;
        match row {
            Row::Group(index) => Some((groups.get(index)?, None)),
            Row::Example(index, at) => {
                let group = groups.get(index)?;
                Some((group, group.examples.get(at)))
            }
            _ => None,
        }
    }

    /// The test of a row.
    pub fn test(tests: &Tests, row: Row) -> Option<&Turned> {
        match row {
            Row::Test(index) | Row::Why(index, _) => compared(tests)?.turned.get(index),
            _ => None,
        }
    }

    /// Opens or closes the group or the test that the cursor is on or in.
    pub(super) fn toggle(&mut self, heard: Heard<'_>) {
        let (opens, index) = match self.under(heard) {
            Some(Row::Group(index) | Row::Example(index, _)) => (Row::Group(index), index),
            Some(Row::Test(index) | Row::Why(index, _)) => (Row::Test(index), index),
            _ => return,
        };
        let open = if matches!(opens, Row::Test(_)) { &mut self.shown.tests } else { &mut self.shown.open };
        if !open.remove(&index) {
            open.insert(index);
        }
        self.shown.at = self.rows(heard).iter().position(|row| *row == opens).unwrap_or(0);
        self.shown.moved = true;
    }

    /// Puts the cursor on a row.
    pub(super) fn go(&mut self, to: usize, heard: Heard<'_>) {
        self.shown.at = to.min(self.rows(heard).len().saturating_sub(1));
        self.shown.moved = true;
    }

    /// The row that the cursor is on.
    pub(in crate::tui::app) fn under(&self, heard: Heard<'_>) -> Option<Row> {
        self.rows(heard).get(self.shown.at).copied()
    }

    /// An answer came: the cursor stays on its row, or where it was never moved goes to the first
    /// change.
    pub(in crate::tui::app) fn answered(&mut self, under: Option<Row>, heard: Heard<'_>) {
        let rows = self.rows(heard);
        let stays = |row: &Row| Some(*row) == under;
        let changes = |row: &Row| matches!(row, Row::Test(_) | Row::Group(_));
        let at = if self.shown.moved { rows.iter().position(stays) } else { rows.iter().position(changes) };
        self.shown.at = at.unwrap_or(0);
    }
}

/// What the tests came to, once they were run.
pub fn compared(tests: &Tests) -> Option<&Compared> {
    match tests {
        Tests::Done(compared) => Some(compared),
        _ => None,
    }
}

/// The report that the review speaks of.
pub fn report(state: &State) -> Option<&Report> {
    match state {
        State::Done(reports) => reports.first(),
        _ => None,
    }
}
