//! Where a person is among the shown rows: what is shown, in which order, what of it is in view and
//! what is selected.

use std::collections::VecDeque;

use super::Live;
use super::past::BASE;
use super::row::Row;
use crate::time::Timestamp;

/// Shown rows, oldest first: an unbroken run of arrival numbers, or a list of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown<'a> {
    All(u64, usize),
    Ids(&'a VecDeque<u64>),
}

impl Shown<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::All(_, len) => len,
            Self::Ids(ids) => ids.len(),
        }
    }

    pub(super) fn nth(self, index: usize) -> Option<u64> {
        match self {
            Self::All(first, len) => (index < len).then(|| first + index as u64),
            Self::Ids(ids) => ids.get(index).copied(),
        }
    }

    /// The place of the first row that is not older than `id`.
    pub(super) fn index_of(self, id: u64) -> usize {
        match self {
            Self::All(first, len) => usize::try_from(id.saturating_sub(first)).unwrap_or(len).min(len),
            Self::Ids(ids) => ids.partition_point(|hit| *hit < id),
        }
    }
}

impl Live {
    /// Shown rows among the newest.
    pub(super) fn newest(&self) -> Shown<'_> {
        match self.folded() {
            Some(fold) => Shown::Ids(fold.ids()),
            None if self.is_filtered() => Shown::Ids(self.hits.ids()),
            None => Shown::All(self.ring.first(), self.ring.len()),
        }
    }

    /// Shown rows of the window on older ones.
    pub(super) fn older(&self) -> Shown<'_> {
        let past = &self.ring.past;
        match &past.fold {
            Some(fold) => Shown::Ids(fold.ids()),
            None => Shown::All(past.first(), past.len()),
        }
    }

    /// Whether the newest rows follow the window on older ones without a gap.
    pub(super) fn joined(&self) -> bool {
        self.ring.past.joins(self.ring.first())
    }

    /// How many rows are shown in all, scrolled out ones included.
    pub fn count(&self) -> usize {
        self.older().len() + if self.joined() { self.newest().len() } else { 0 }
    }

    pub(super) fn nth(&self, index: usize) -> Option<u64> {
        let older = self.older();
        match index.checked_sub(older.len()) {
            None => older.nth(index),
            Some(index) => self.newest().nth(index).filter(|_| self.joined()),
        }
    }

    /// The place of the first shown row that is not older than `id`.
    pub(super) fn index_of(&self, id: u64) -> usize {
        if id < BASE {
            return self.older().index_of(id);
        }
        self.older().len() + if self.joined() { self.newest().index_of(id) } else { 0 }
    }

    pub(super) fn nearest(&self, id: u64) -> Option<u64> {
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

    pub(super) fn select(&mut self, id: Option<u64>) {
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
    pub(super) fn top_index(&self) -> usize {
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

    /// The selected row; while following, the newest. Always one that is shown: what nobody sees must
    /// not be acted on, so it is the nearest where a filter has hidden it, and none where none is left.
    pub fn selected(&self) -> Option<u64> {
        match self.selected {
            Some(id) => self.nearest(id),
            None => self.nth(self.count().checked_sub(1)?),
        }
    }

    /// The selected row itself.
    pub fn selected_row(&self) -> Option<&Row> {
        self.ring.get(self.selected()?)
    }
}
