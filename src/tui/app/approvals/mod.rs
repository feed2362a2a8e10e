//! The Approvals screen: calls that wait for a person, and what became of them.

pub mod detail;
pub mod earlier;
pub mod keys;
pub mod news;
pub mod queue;

pub use self::queue::{Entry, Given, Over};
use crate::time::Timestamp;

/// How many decided approvals are kept to look back at.
const PAST: usize = 100;

/// The Approvals screen. Rows are approvals that wait, the oldest first, then those that are
/// decided, the latest first: what arrives is put below what waits, and moves nothing above it.
#[derive(Debug, Clone)]
pub struct Approvals {
    entries: Vec<Entry>,
    /// The selected approval, by its id: rows come and go.
    selected: Option<String>,
    /// The first row in view.
    pub top: usize,
    /// How many rows fit.
    height: usize,
    /// The first line of the detail in view.
    pub detail_top: usize,
    /// The detail's columns of text and its lines.
    pub pane: (usize, usize),
    /// The detail has the whole screen.
    pub whole: bool,
    /// Whether the terminal's bell rings when something comes.
    pub bell: bool,
    /// Whether the desktop is told when something comes.
    pub desktop: bool,
    /// Earlier calls like the selected one.
    pub earlier: Vec<earlier::Earlier>,
    /// When it last rang, in milliseconds of `Now::ms`.
    rang_at: Option<u64>,
}

impl Approvals {
    /// Nothing waits yet.
    pub fn new(bell: bool) -> Self {
        Self {
            entries: Vec::new(),
            selected: None,
            top: 0,
            height: 1,
            detail_top: 0,
            pane: (40, 10),
            whole: false,
            bell,
            desktop: false,
            earlier: Vec::new(),
            rang_at: None,
        }
    }

    /// Whether people are called now, by whatever they allow: at most once a second.
    fn calls_people(&mut self, now: u64) -> bool {
        let rings = self.rang_at.is_none_or(|at| now.saturating_sub(at) >= 1_000);
        if rings {
            self.rang_at = Some(now);
        }
        rings
    }

    /// The rows, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many wait for a person.
    pub fn waiting(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_waiting()).count()
    }

    /// How many were approved and have not been used.
    pub fn unspent(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.over.is_none() && entry.given.as_ref().is_some_and(|it| it.approved))
            .count()
    }

    /// The row of the selected approval.
    pub fn selected_index(&self) -> Option<usize> {
        let id = self.selected.as_deref()?;
        self.entries.iter().position(|entry| entry.id == id)
    }

    /// The selected approval.
    pub fn selected(&self) -> Option<&Entry> {
        self.entries.get(self.selected_index()?)
    }

    /// An approval by its id.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// When the next one that waits ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.entries.iter().filter(|entry| entry.is_waiting()).map(|entry| entry.until).min()
    }

    /// Moves the selection by so many rows.
    pub fn move_by(&mut self, rows: isize) {
        let last = self.entries.len().saturating_sub(1);
        let at = self.selected_index().unwrap_or(0).saturating_add_signed(rows).min(last);
        self.select(at);
    }

    /// Selects a row.
    pub fn select(&mut self, at: usize) {
        let Some(entry) = self.entries.get(at) else { return };
        if self.selected.as_deref() != Some(entry.id.as_str()) {
            self.selected = Some(entry.id.clone());
            self.detail_top = 0;
        }
        self.show();
    }

    /// This person's decision was taken: on to the next one that waits.
    pub fn decided(&mut self, id: &str, given: &Given) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            // Until the gateway says so itself.
            entry.given.get_or_insert_with(|| given.clone());
        }
        if self.selected.as_deref() != Some(id) {
            return;
        }
        let at = self.selected_index().unwrap_or(0);
        let waits = |index: &usize| {
            self.entries.get(*index).is_some_and(|entry| entry.is_waiting() && entry.id != id)
        };
        let count = self.entries.len();
        let next = (at + 1..count).find(waits).or_else(|| (0..at.min(count)).rev().find(waits));
        if let Some(next) = next {
            self.select(next);
        }
    }

    /// How many rows fit.
    pub fn set_height(&mut self, height: usize) {
        self.height = height.max(1);
        self.show();
    }

    /// Brings the selected row into view.
    fn show(&mut self) {
        if let Some(at) = self.selected_index() {
            if at < self.top {
                self.top = at;
            } else if at >= self.top + self.height {
                self.top = at + 1 - self.height;
            }
        }
        self.top = self.top.min(self.entries.len().saturating_sub(self.height));
    }

    /// Scrolls the detail.
    pub fn scroll_detail(&mut self, lines: isize, now: Timestamp) {
        let (width, height) = self.pane;
        let count = |entry: &Entry| detail::wrapped(entry, &self.earlier, now, width).len();
        let total = self.selected().map_or(0, count);
        let last = total.saturating_sub(height.max(1));
        self.detail_top = self.detail_top.min(last).saturating_add_signed(lines).min(last);
    }
}
