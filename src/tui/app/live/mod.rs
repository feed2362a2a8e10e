//! The Live screen's state: decisions as they come from every gateway.
//!
//! Rows are taken in batches, the filter, the folding of repeats and all counts are incremental, and
//! everything that a person holds on to (the selection, the top of a paused screen) is an arrival
//! number. What is older than the rows in memory is read from the journals as one scrolls there.
//!
//! | part | is |
//! |---|---|
//! | [`ring`] [`row`] [`names`] | the newest rows, bounded by count and bytes |
//! | [`past`] | a window on older rows, read from the journals |
//! | [`hits`] | which rows the filter lets through |
//! | [`fold`] | repeats shown as one row |
//! | [`watch`] `counted` | keeps counts of shown rows: [`tally`] for the pivots, [`strip`] for the time axis |
//! | `place` | where a person is among the shown rows |
//! | [`seek`] | searching among shown rows |
//! | [`marks`] | marks and notes on rows |
//! | [`typing`] | the line that takes a filter, a search, a note or a name |
//! | [`detail`] [`tree`] [`explained`] | what the detail of a row says |
//! | [`screen`] [`keys`] [`news`] | the screen around all of it: keys, and what the runtime tells |

mod counted;
pub mod detail;
pub mod explained;
pub mod fold;
pub mod held;
pub mod hits;
pub mod keys;
pub mod marks;
pub mod names;
pub mod news;
pub mod past;
mod place;
pub mod ring;
pub mod row;
pub mod screen;
pub mod seek;
pub mod strip;
pub mod tally;
pub mod tree;
pub mod typing;
pub mod watch;

use std::collections::HashSet;

use crate::filter::{Filter, FilterError};
use crate::record::{Record, Verdict};
use crate::time::Timestamp;
use counted::Counted;
use hits::Hits;
use names::Names;
use past::BASE;
use ring::{Bounds, Ring, SourceNo};
use row::Row;
use seek::{Found, Search, Seek};

pub use news::{LiveEffect, LiveMsg};
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
    /// Only these rows are shown: those with a mark.
    only: Option<HashSet<(SourceNo, u64)>>,
    hits: Hits,
    /// Whether older rows are still to be looked at by the filter.
    searching: bool,
    counted: Counted,
    /// As of which numbering of the strings the counts are.
    renumbered: u64,
    /// What is searched for.
    pub search: Option<Search>,
    seek: Option<Seek>,
    /// What came of the last search.
    pub found: Found,
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
    /// Whether older rows can be read from journals.
    has_journals: bool,
    /// What the filter counts back from.
    filter_from: Timestamp,
    /// How many pages were asked for.
    reads: u64,
    /// The page that is on its way, and the ring's first row when it was asked for.
    asked: Option<(u64, u64)>,
    /// How far back the last page looked.
    read_at: Option<Timestamp>,
}

/// Whether a row is let through.
fn lets(filter: Option<&Filter>, only: Option<&HashSet<(SourceNo, u64)>>, names: &Names, row: &Row) -> bool {
    only.is_none_or(|only| only.contains(&(row.source, row.seq)))
        && filter.is_none_or(|filter| filter.matches(&row.view(names)))
}

impl Live {
    /// An empty screen that follows.
    pub fn new(bounds: Bounds) -> Self {
        Self { ring: Ring::new(bounds), height: 1, ..Self::default() }
    }

    /// Takes records in; what was read from a journal before is passed over.
    pub fn take<'r>(&mut self, source: SourceNo, records: impl IntoIterator<Item = &'r Record>) {
        let watch = self.filter.as_ref().is_some_and(Filter::asks_status);
        self.ring.keep_gone(self.counted.is_any());
        let mut ended = Vec::new();
        for record in records {
            if self.ring.knows(source, record.seq()) {
                continue;
            }
            if let Some(row) = self.ring.push(source, record)
                && watch
            {
                ended.push(row);
            }
        }
        self.after_rows();
        for id in ended {
            self.look_again(id);
        }
        self.settle();
    }

    fn after_rows(&mut self) {
        let gone = self.ring.take_gone();
        if self.is_filtered() {
            let hidden = self.hits.forget(&self.ring);
            for (id, row) in gone.iter().filter(|(id, _)| hidden.binary_search(id).is_ok()) {
                self.counted.gone(*id, row);
            }
            let (filter, only) = (self.filter.as_ref(), self.only.as_ref());
            let names = &self.ring.names;
            self.hits.extend(&self.ring, &|row| lets(filter, only, names, row));
        } else {
            for (id, row) in &gone {
                self.counted.gone(*id, row);
            }
        }
        if self.renumbered != self.ring.renumbered() {
            self.renumbered = self.ring.renumbered();
            self.counted.restart(&self.ring);
        }
        let ids = self.is_filtered().then(|| self.hits.ids());
        self.counted.extend(&self.ring, ids);
        let first = self.ring.first();
        let lost = |id: &u64| (BASE..first).contains(id);
        if self.top.as_ref().is_some_and(lost) {
            self.top = Some(first);
        }
        if self.selected.as_ref().is_some_and(lost) {
            self.selected = self.nearest(first).or(Some(first));
        }
        if self.selected.is_some_and(|id| id >= BASE) {
            self.leave_past();
        }
        self.stand();
    }

    /// Whoever stopped where nothing was shown stands on the first rows that are.
    fn stand(&mut self) {
        if self.paused_at.is_some() && self.selected.is_none() {
            self.select(self.count().checked_sub(1).and_then(|last| self.nth(last)));
        }
    }

    /// Closes the window on older rows where the newest do not follow it, for whoever is among those.
    fn leave_past(&mut self) {
        if !self.joined() {
            self.ring.past.close();
            self.asked = None;
            if self.top.is_some_and(|id| id < BASE) {
                self.top = self.newest().nth(0);
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
        self.filter_from = now;
        self.restart();
        Ok(())
    }

    /// Shows only these rows, or all that the filter lets through.
    pub fn show_only(&mut self, only: Option<HashSet<(SourceNo, u64)>>) {
        self.only = only;
        self.restart();
    }

    /// Whether only marked rows are shown.
    pub fn shows_only(&self) -> bool {
        self.only.is_some()
    }

    /// A row's mark was set or taken away.
    pub fn marked(&mut self, source: SourceNo, seq: u64, marked: bool) {
        let Some(only) = &mut self.only else { return };
        if marked {
            only.insert((source, seq));
        } else {
            only.remove(&(source, seq));
        }
        if let Some(id) = self.ring.find(source, seq) {
            self.look_again(id);
            self.settle();
            self.stand();
        }
    }

    /// Begins to look for what is let through anew.
    fn restart(&mut self) {
        let selected = self.selected.filter(|_| self.paused_at.is_some());
        self.ring.past.close();
        self.asked = None;
        self.hits = Hits::start(&self.ring);
        self.searching = self.is_filtered();
        self.top = None;
        self.renumbered = self.ring.renumbered();
        self.counted.restart(&self.ring);
        self.work();
        if let Some(id) = selected {
            self.select(self.nearest(id));
        }
    }

    /// Looks at older rows for the filter, the counts and the search; `true` while there are more, so
    /// call it again.
    pub fn work(&mut self) -> bool {
        if self.searching {
            let (filter, only) = (self.filter.as_ref(), self.only.as_ref());
            let names = &self.ring.names;
            self.searching =
                self.hits.look_back(&self.ring, LOOK_BACK, &|row| lets(filter, only, names, row));
        }
        if self.counted.working {
            let filtered = self.is_filtered();
            let looked = if filtered { self.hits.looked() } else { self.ring.first() };
            let ids = filtered.then(|| self.hits.ids());
            self.counted.working = self.counted.look_back(&self.ring, ids, looked) || self.searching;
            self.settle();
        }
        self.seek_on();
        self.stand();
        self.is_working()
    }

    /// Whether older rows are still looked at.
    pub fn is_working(&self) -> bool {
        // A search that waits for a page of the journal is woken by it.
        self.searching || self.counted.working || (self.seek.is_some() && self.asked.is_none())
    }

    /// Whether every row in memory was looked at by the filter and folded.
    fn is_settled(&self) -> bool {
        !self.searching && !self.counted.working
    }

    /// How far the search through older rows is, while it runs.
    pub fn search_progress(&self) -> Option<f64> {
        self.searching.then(|| self.hits.progress(&self.ring))
    }

    /// Up to when older rows were read, while more are being read.
    pub fn reading(&self) -> Option<Timestamp> {
        self.asked.and(self.read_at)
    }

    /// Whether not every row is shown: a filter is in force, or only marked rows are.
    pub fn is_filtered(&self) -> bool {
        self.filter.is_some() || self.only.is_some()
    }

    /// Whether a row is a denied call.
    pub fn is_denied(row: &Row) -> bool {
        row.verdict() == Some(Verdict::Deny)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
