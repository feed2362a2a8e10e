//! The changed decisions in the review before saving: rows, the cursor among them, and what is open.

use std::collections::BTreeSet;

use super::review::Review;
use crate::replay::{Example, Group, Report};
use crate::tui::app::impact::State;

/// A row of the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
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

/// Which parts of the changed decisions are open, and where the cursor is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The cursor, by row.
    pub at: usize,
    /// The groups whose examples are shown.
    pub open: BTreeSet<usize>,
    /// Whether the person has moved: then what is under the cursor stays there.
    moved: bool,
}

impl Review {
    /// The rows, from the top.
    pub fn rows(&self, state: &State) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.lines.len() + 8);
        // Not of a difference that is only looked at.
        if self.writes && !matches!(state, State::Idle) {
            rows.push(Row::Decisions);
            if let Some(report) = report(state) {
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

    /// Opens or closes the group that the cursor is on or in.
    pub(super) fn toggle(&mut self, state: &State) {
        let rows = self.rows(state);
        let Some(Row::Group(index) | Row::Example(index, _)) = rows.get(self.shown.at).copied() else {
            return;
        };
        if !self.shown.open.remove(&index) {
            self.shown.open.insert(index);
        }
        let rows = self.rows(state);
        self.shown.at = rows.iter().position(|row| *row == Row::Group(index)).unwrap_or(0);
    }

    /// Puts the cursor on a row.
    pub(super) fn go(&mut self, to: usize, state: &State) {
        self.shown.at = to.min(self.rows(state).len().saturating_sub(1));
        self.shown.moved = true;
    }

    /// An answer came: the cursor goes to the first changed decision, unless it was moved.
    pub(in crate::tui::app) fn answered(&mut self, state: &State) {
        let rows = self.rows(state);
        if self.shown.moved {
            let running = State::Running { percent: 0, calls: 0 };
            let more = rows.len().saturating_sub(self.rows(&running).len());
            self.shown.at += if self.shown.at > 0 { more } else { 0 };
        } else {
            self.shown.at = rows.iter().position(|row| matches!(row, Row::Group(_))).unwrap_or(0);
        }
    }
}

/// The report that the review speaks of.
pub fn report(state: &State) -> Option<&Report> {
    match state {
        State::Done(reports) => reports.first(),
        _ => None,
    }
}
