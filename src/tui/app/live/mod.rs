//! The Live screen's state: decisions as they come from every gateway.
//!
//! Rows are taken in batches, the filter is incremental, and everything that a person holds on to
//! (the selection, the top of a paused screen) is an arrival number.

pub mod detail;
pub mod held;
pub mod hits;
pub mod keys;
pub mod names;
pub mod ring;
pub mod row;
pub mod screen;

use crate::filter::{Filter, FilterError};
use crate::record::{Record, Verdict};
use crate::time::Timestamp;
use hits::Hits;
use ring::{Bounds, Ring, SourceNo};
use row::Row;

pub use screen::LiveScreen;

/// How much of the older rows, in bytes, one turn of the search backwards looks at: a few
/// milliseconds, whether the rows are many or large.
const LOOK_BACK: usize = 4 << 20;

/// The Live screen.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The rows.
    pub ring: Ring,
    /// The filter's text as it is in force.
    pub filter_text: String,
    filter: Option<Filter>,
    hits: Hits,
    /// Whether older rows are still to be looked at by the filter.
    searching: bool,
    /// Where a person stopped following: rows that arrived since are new.
    paused_at: Option<u64>,
    /// The selected row.
    selected: Option<u64>,
    /// The first visible row while paused.
    top: Option<u64>,
    /// How many rows fit, from the last drawing.
    height: usize,
    /// Rows announced as lost by a feed.
    pub lost: u64,
}

impl Live {
    /// An empty screen that follows.
    pub fn new(bounds: Bounds) -> Self {
        Self { ring: Ring::new(bounds), height: 1, ..Self::default() }
    }

    /// Takes records in.
    pub fn take<'r>(&mut self, source: SourceNo, records: impl IntoIterator<Item = &'r Record>) {
        let watch = self.filter.as_ref().is_some_and(Filter::asks_status);
        let mut ended = Vec::new();
        for record in records {
            if let Some(row) = self.ring.push(source, record)
                && watch
            {
                ended.push(row);
            }
        }
        self.after_rows();
        if let Some(filter) = &self.filter {
            let names = &self.ring.names;
            for id in ended {
                self.hits.look_again(&self.ring, id, &|row| filter.matches(&row.view(names)));
            }
        }
    }

    fn after_rows(&mut self) {
        if let Some(filter) = &self.filter {
            let names = &self.ring.names;
            self.hits.extend(&self.ring, &|row| filter.matches(&row.view(names)));
        }
        let first = self.ring.first();
        for id in [&mut self.selected, &mut self.top] {
            if id.is_some_and(|id| id < first) {
                *id = Some(first);
            }
        }
    }

    /// Puts a filter in force; an empty text takes it away. The selection stays where it can.
    ///
    /// # Errors
    /// What is wrong with the text; the filter in force stays.
    pub fn set_filter(&mut self, text: &str, now: Timestamp) -> Result<(), FilterError> {
        let filter = if text.trim().is_empty() { None } else { Some(Filter::parse(text, now)?) };
        text.clone_into(&mut self.filter_text);
        self.filter = filter;
        self.hits = Hits::start(&self.ring);
        self.searching = self.filter.is_some();
        self.top = None;
        self.search_on();
        if let Some(id) = self.selected
            && self.paused_at.is_some()
        {
            self.select(self.nearest(id));
        }
        Ok(())
    }

    /// Looks at older rows for the filter; `true` while there are more, so call it again.
    pub fn search_on(&mut self) -> bool {
        if let Some(filter) = self.filter.as_ref().filter(|_| self.searching) {
            let names = &self.ring.names;
            self.searching =
                self.hits.look_back(&self.ring, LOOK_BACK, &|row| filter.matches(&row.view(names)));
        }
        self.searching
    }

    /// How far the search through older rows is, while it runs.
    pub fn search_progress(&self) -> Option<f64> {
        self.searching.then(|| self.hits.progress(&self.ring))
    }

    /// Whether a filter is in force.
    pub fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// How many rows are shown in all, scrolled out ones included.
    pub fn count(&self) -> usize {
        if self.filter.is_some() { self.hits.ids().len() } else { self.ring.len() }
    }

    fn nth(&self, index: usize) -> Option<u64> {
        if self.filter.is_some() {
            return self.hits.ids().get(index).copied();
        }
        (index < self.ring.len()).then(|| self.ring.first() + index as u64)
    }

    /// The place of the first shown row that is not older than `id`.
    fn index_of(&self, id: u64) -> usize {
        if self.filter.is_some() {
            return self.hits.ids().partition_point(|hit| *hit < id);
        }
        usize::try_from(id.saturating_sub(self.ring.first())).unwrap_or(0).min(self.ring.len())
    }

    fn nearest(&self, id: u64) -> Option<u64> {
        let last = self.count().checked_sub(1)?;
        self.nth(self.index_of(id).min(last))
    }

    /// Whether the newest row is kept in view.
    pub fn is_following(&self) -> bool {
        self.paused_at.is_none()
    }

    /// How many shown rows arrived since the person stopped following.
    pub fn new_since_pause(&self) -> usize {
        self.paused_at.map_or(0, |at| self.count().saturating_sub(self.index_of(at)))
    }

    /// Follows the newest row again.
    pub fn follow(&mut self) {
        self.paused_at = None;
        self.selected = None;
        self.top = None;
    }

    /// Stops following where it is.
    pub fn pause(&mut self) {
        if self.paused_at.is_none() {
            let newest = self.count().checked_sub(1).and_then(|last| self.nth(last));
            self.top = self.nth(self.count().saturating_sub(self.height));
            self.selected = newest;
            self.paused_at = Some(self.ring.next());
        }
    }

    /// Moves the selection by so many shown rows (negative: towards older ones); stops following.
    pub fn move_by(&mut self, rows: isize) {
        if rows > 0 && self.is_following() {
            return;
        }
        self.pause();
        let Some(selected) = self.selected else { return };
        let last = self.count().saturating_sub(1);
        let index = self.index_of(selected).saturating_add_signed(rows).min(last);
        self.select(self.nth(index));
    }

    /// Selects the oldest row.
    pub fn to_oldest(&mut self) {
        self.pause();
        self.select(self.nth(0));
    }

    /// Selects the row at this line of the screen; stops following.
    pub fn click(&mut self, line: usize) {
        let id = self.visible().get(line).copied();
        self.pause();
        if id.is_some() {
            self.select(id);
        }
    }

    fn select(&mut self, id: Option<u64>) {
        let Some(id) = id else { return };
        self.selected = Some(id);
        let index = self.index_of(id);
        let top = self.top.map_or(0, |top| self.index_of(top));
        let top = if index < top {
            index
        } else if index >= top + self.height {
            index + 1 - self.height
        } else {
            top
        };
        self.top = self.nth(top);
    }

    /// How many rows fit on the screen, told by each drawing.
    pub fn set_height(&mut self, height: usize) {
        let height = height.max(1);
        if self.height != height {
            self.height = height;
            self.select(self.selected);
        }
    }

    /// How many rows fit on the screen.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The arrival numbers of the rows in view, oldest first.
    pub fn visible(&self) -> Vec<u64> {
        let top = match self.top.filter(|_| !self.is_following()) {
            // A search that still finds older rows, or a taller screen, must not leave the end empty.
            Some(top) => self.index_of(top).min(self.count().saturating_sub(self.height)),
            None => self.count().saturating_sub(self.height),
        };
        (top..self.count().min(top + self.height)).filter_map(|index| self.nth(index)).collect()
    }

    /// The selected row; while following, the newest.
    pub fn selected(&self) -> Option<u64> {
        match self.selected {
            Some(id) => Some(id),
            None => self.nth(self.count().checked_sub(1)?),
        }
    }

    /// The selected row itself.
    pub fn selected_row(&self) -> Option<&Row> {
        self.ring.get(self.selected()?)
    }

    /// Whether a row is a denied call.
    pub fn is_denied(row: &Row) -> bool {
        row.verdict() == Some(Verdict::Deny)
    }
}

#[cfg(test)]
mod tests;
