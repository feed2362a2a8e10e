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
//! | [`watch`] | keeps counts of shown rows: [`tally`] for the pivots, [`strip`] for the time axis |
//! | [`seek`] | searching among shown rows |
//! | [`marks`] | marks and notes on rows |
//! | [`typing`] | the line that takes a filter, a search, a note or a name |
//! | [`detail`] [`tree`] [`explained`] | what the detail of a row says |
//! | [`screen`] [`keys`] [`news`] | the screen around all of it: keys, and what the runtime tells |

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
pub mod ring;
pub mod row;
pub mod screen;
pub mod seek;
pub mod strip;
pub mod tally;
pub mod tree;
pub mod typing;
pub mod watch;

use std::collections::{HashSet, VecDeque};

use crate::filter::{Filter, FilterError};
use crate::record::{Record, Verdict};
use crate::time::Timestamp;
use fold::{Fold, Repeat};
use hits::Hits;
use names::Names;
use past::BASE;
use ring::{Bounds, Ring, SourceNo};
use row::Row;
use seek::{Found, Search, Seek};
use strip::Strip;
use tally::{By, Tally};
use watch::Watch;

pub use news::{LiveEffect, LiveMsg};
pub use screen::LiveScreen;

/// How much of the older rows, in bytes, one turn of the search backwards looks at: a few
/// milliseconds, whether the rows are many or large.
const LOOK_BACK: usize = 4 << 20;
/// How many shown rows one turn of counting or folding backwards takes: about as long.
const COUNT_BACK: usize = 30_000;

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
    fold: Option<Watch<Fold>>,
    pivot: Option<Watch<Tally>>,
    strip: Option<Watch<Strip>>,
    /// Whether older rows are still to be folded or counted.
    counting: bool,
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

/// Shown rows, oldest first: an unbroken run of arrival numbers, or a list of them.
#[derive(Debug, Clone, Copy)]
enum Shown<'a> {
    All(u64, usize),
    Ids(&'a VecDeque<u64>),
}

impl Shown<'_> {
    fn len(self) -> usize {
        match self {
            Self::All(_, len) => len,
            Self::Ids(ids) => ids.len(),
        }
    }

    fn nth(self, index: usize) -> Option<u64> {
        match self {
            Self::All(first, len) => (index < len).then(|| first + index as u64),
            Self::Ids(ids) => ids.get(index).copied(),
        }
    }

    /// The place of the first row that is not older than `id`.
    fn index_of(self, id: u64) -> usize {
        match self {
            Self::All(first, len) => usize::try_from(id.saturating_sub(first)).unwrap_or(len).min(len),
            Self::Ids(ids) => ids.partition_point(|hit| *hit < id),
        }
    }
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
        let counted = self.fold.is_some() || self.pivot.is_some() || self.strip.is_some();
        self.ring.keep_gone(counted);
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
                self.shown_no_more(*id, row);
            }
            let (filter, only) = (self.filter.as_ref(), self.only.as_ref());
            let names = &self.ring.names;
            self.hits.extend(&self.ring, &|row| lets(filter, only, names, row));
        } else {
            for (id, row) in &gone {
                self.shown_no_more(*id, row);
            }
        }
        if self.renumbered != self.ring.renumbered() {
            self.restart_counts();
        }
        let ids = self.is_filtered().then(|| self.hits.ids());
        if let Some(fold) = &mut self.fold {
            fold.extend(&self.ring, ids);
        }
        if let Some(pivot) = &mut self.pivot {
            pivot.extend(&self.ring, ids);
        }
        if let Some(strip) = &mut self.strip {
            strip.extend(&self.ring, ids);
        }
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

    fn shown_no_more(&mut self, id: u64, row: &Row) {
        if let Some(fold) = &mut self.fold {
            fold.gone(id, row);
        }
        if let Some(pivot) = &mut self.pivot {
            pivot.gone(id, row);
        }
        if let Some(strip) = &mut self.strip {
            strip.gone(id, row);
        }
    }

    /// A row changed, or its mark did: the filter may say otherwise of it.
    fn look_again(&mut self, id: u64) {
        let (filter, only) = (self.filter.as_ref(), self.only.as_ref());
        let names = &self.ring.names;
        let changed = self.hits.look_again(&self.ring, id, &|row| lets(filter, only, names, row));
        let Some(row) = self.ring.get(id) else { return };
        match changed {
            Some(true) => {
                if let Some(fold) = &mut self.fold {
                    fold.came(id, row);
                }
                if let Some(pivot) = &mut self.pivot {
                    pivot.came(id, row);
                }
                if let Some(strip) = &mut self.strip {
                    strip.came(id, row);
                }
            }
            Some(false) => {
                if let Some(fold) = &mut self.fold {
                    fold.gone(id, row);
                }
                if let Some(pivot) = &mut self.pivot {
                    pivot.gone(id, row);
                }
                if let Some(strip) = &mut self.strip {
                    strip.gone(id, row);
                }
            }
            None => {}
        }
    }

    /// Rows that another one stands for now are not what a person holds on to.
    fn settle(&mut self) {
        let mut moved = self.fold.as_mut().map(|fold| fold.counts.moved()).unwrap_or_default();
        moved.extend(self.ring.past.fold.as_mut().map(Fold::moved).unwrap_or_default());
        for (old, new) in moved {
            for id in [&mut self.selected, &mut self.top] {
                if *id == Some(old) {
                    *id = Some(new);
                }
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
        self.restart_counts();
        self.work();
        if let Some(id) = selected {
            self.select(self.nearest(id));
        }
    }

    fn restart_counts(&mut self) {
        self.renumbered = self.ring.renumbered();
        if let Some(fold) = &mut self.fold {
            *fold = Watch::start(Fold::default(), &self.ring);
        }
        if let Some(pivot) = &mut self.pivot {
            *pivot = Watch::start(Tally::new(pivot.counts.by), &self.ring);
        }
        if let Some(strip) = &mut self.strip {
            *strip = Watch::start(Strip::default(), &self.ring);
        }
        self.counting = self.fold.is_some() || self.pivot.is_some() || self.strip.is_some();
    }

    /// Counts shown rows by something, or stops.
    pub fn count_by(&mut self, by: Option<By>) {
        if self.pivot.as_ref().map(|pivot| pivot.counts.by) == by {
            return;
        }
        self.pivot = by.map(|by| Watch::start(Tally::new(by), &self.ring));
        self.counting |= self.pivot.is_some();
        self.work();
    }

    /// The counts of shown rows.
    pub fn tally(&self) -> Option<&Tally> {
        self.pivot.as_ref().map(|pivot| &pivot.counts)
    }

    /// Counts shown rows by time, or stops.
    pub fn count_time(&mut self, on: bool) {
        if on == self.strip.is_some() {
            return;
        }
        self.strip = on.then(|| Watch::start(Strip::default(), &self.ring));
        self.counting |= on;
        self.work();
    }

    /// Shown rows over time.
    pub fn strip(&self) -> Option<&Strip> {
        self.strip.as_ref().map(|strip| &strip.counts)
    }

    /// Shows repeats as one row, or each by itself.
    pub fn fold(&mut self, on: bool) {
        if on == self.folds() {
            return;
        }
        let selected = self.selected;
        self.fold = on.then(|| Watch::start(Fold::default(), &self.ring));
        self.ring.past.fold = on.then(Fold::default);
        self.ring.past.refold();
        self.counting |= on;
        self.top = None;
        self.work();
        if let Some(id) = selected {
            let head = self.fold.as_ref().and_then(|fold| fold.counts.head_of(id));
            self.select(self.nearest(head.unwrap_or(id)));
        }
    }

    /// Whether repeats are shown as one row.
    pub fn folds(&self) -> bool {
        self.fold.is_some()
    }

    /// The newest rows with their repeats folded.
    pub fn folded(&self) -> Option<&Fold> {
        self.fold.as_ref().map(|fold| &fold.counts)
    }

    fn fold_at(&self, id: u64) -> Option<&Fold> {
        if id < BASE { self.ring.past.fold.as_ref() } else { self.fold.as_ref().map(|fold| &fold.counts) }
    }

    /// The repeats that a row stands for.
    pub fn repeat(&self, id: u64) -> Option<&Repeat> {
        self.fold_at(id)?.repeat(id)
    }

    /// Shows the selected row's repeats one by one, or as one again; `false` when it has none.
    pub fn toggle_repeats(&mut self) -> bool {
        self.pause();
        let Some(id) = self.selected else { return false };
        let fold = if id < BASE {
            self.ring.past.fold.as_mut()
        } else {
            self.fold.as_mut().map(|fold| &mut fold.counts)
        };
        let done = fold.is_some_and(|fold| fold.toggle(id));
        self.settle();
        self.select(self.selected);
        done
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
        if self.counting {
            let filtered = self.is_filtered();
            let looked = if filtered { self.hits.looked() } else { self.ring.first() };
            let ids = filtered.then(|| self.hits.ids());
            let mut more = self.searching;
            if let Some(fold) = &mut self.fold {
                more |= fold.look_back(&self.ring, ids, looked, COUNT_BACK);
            }
            if let Some(pivot) = &mut self.pivot {
                more |= pivot.look_back(&self.ring, ids, looked, COUNT_BACK);
            }
            if let Some(strip) = &mut self.strip {
                more |= strip.look_back(&self.ring, ids, looked, COUNT_BACK);
            }
            self.counting = more;
            self.settle();
        }
        self.seek_on();
        self.stand();
        self.is_working()
    }

    /// Whether older rows are still looked at.
    pub fn is_working(&self) -> bool {
        // A search that waits for a page of the journal is woken by it.
        self.searching || self.counting || (self.seek.is_some() && self.asked.is_none())
    }

    /// Whether every row in memory was looked at by the filter and folded.
    fn is_settled(&self) -> bool {
        !self.searching && !self.counting
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

    /// Shown rows among the newest.
    fn newest(&self) -> Shown<'_> {
        match &self.fold {
            Some(fold) => Shown::Ids(fold.counts.ids()),
            None if self.is_filtered() => Shown::Ids(self.hits.ids()),
            None => Shown::All(self.ring.first(), self.ring.len()),
        }
    }

    /// Shown rows of the window on older ones.
    fn older(&self) -> Shown<'_> {
        let past = &self.ring.past;
        match &past.fold {
            Some(fold) => Shown::Ids(fold.ids()),
            None => Shown::All(past.first(), past.len()),
        }
    }

    /// Whether the newest rows follow the window on older ones without a gap.
    fn joined(&self) -> bool {
        self.ring.past.joins(self.ring.first())
    }

    /// How many rows are shown in all, scrolled out ones included.
    pub fn count(&self) -> usize {
        self.older().len() + if self.joined() { self.newest().len() } else { 0 }
    }

    fn nth(&self, index: usize) -> Option<u64> {
        let older = self.older();
        match index.checked_sub(older.len()) {
            None => older.nth(index),
            Some(index) => self.newest().nth(index).filter(|_| self.joined()),
        }
    }

    /// The place of the first shown row that is not older than `id`.
    fn index_of(&self, id: u64) -> usize {
        if id < BASE {
            return self.older().index_of(id);
        }
        self.older().len() + if self.joined() { self.newest().index_of(id) } else { 0 }
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
        let newest = self.newest();
        self.paused_at.map_or(0, |at| newest.len().saturating_sub(newest.index_of(at)))
    }

    /// Follows the newest row again.
    pub fn follow(&mut self) {
        self.ring.past.close();
        self.asked = None;
        self.paused_at = None;
        self.selected = None;
        self.top = None;
        self.seek = None;
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

    /// Selects the oldest row that was read.
    pub fn to_oldest(&mut self) {
        self.pause();
        self.select(self.nth(0));
    }

    /// Selects the first shown row that is not earlier than an instant, as far as rows are in memory;
    /// stops following.
    pub fn to_time(&mut self, ts: Timestamp) {
        self.pause();
        if self.ring.get(self.ring.first()).is_some_and(|row| row.ts <= ts) {
            self.leave_past();
        }
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.nth(middle).and_then(|id| self.ring.get(id));
            if row.is_some_and(|row| row.ts < ts) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.select(self.nth(low.min(self.count().saturating_sub(1))));
    }

    /// Selects the row at this line of the screen; stops following.
    pub fn click(&mut self, line: usize) {
        let id = self.visible().get(line).copied();
        self.pause();
        if id.is_some() {
            self.select(id);
        }
    }

    /// Selects a row that is shown, or the nearest; stops following.
    pub fn go_to(&mut self, id: u64) {
        self.pause();
        if id >= BASE {
            self.leave_past();
        }
        self.select(self.nearest(id));
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

    /// The place of the first row in view among the shown ones.
    fn top_index(&self) -> usize {
        match self.top.filter(|_| !self.is_following()) {
            // A search that still finds older rows, or a taller screen, must not leave the end empty.
            Some(top) => self.index_of(top).min(self.count().saturating_sub(self.height)),
            None => self.count().saturating_sub(self.height),
        }
    }

    /// The arrival numbers of the rows in view, oldest first.
    pub fn visible(&self) -> Vec<u64> {
        let top = self.top_index();
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
mod model;
#[cfg(test)]
mod tests;
