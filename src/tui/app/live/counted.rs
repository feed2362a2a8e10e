//! What is kept up with the shown rows: repeats as one row, the pivot's counts, the time axis.

use std::collections::VecDeque;

use super::fold::{Fold, Repeat};
use super::past::BASE;
use super::ring::Ring;
use super::row::Row;
use super::strip::Strip;
use super::tally::{By, Tally};
use super::watch::{Keeps, Watch};
use super::{Live, lets};

/// How many shown rows one turn of counting or folding backwards takes: a few milliseconds.
const COUNT_BACK: usize = 30_000;

/// What counts shown rows, where it is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    pub(super) fold: Option<Watch<Fold>>,
    pivot: Option<Watch<Tally>>,
    strip: Option<Watch<Strip>>,
    /// Whether older rows are still to be folded or counted.
    pub(super) working: bool,
}

impl Counted {
    fn each(&mut self) -> impl Iterator<Item = &mut dyn Keeps> {
        let fold = self.fold.as_mut().map(|fold| fold as &mut dyn Keeps);
        let pivot = self.pivot.as_mut().map(|pivot| pivot as &mut dyn Keeps);
        let strip = self.strip.as_mut().map(|strip| strip as &mut dyn Keeps);
        [fold, pivot, strip].into_iter().flatten()
    }

    /// Whether anything is asked for.
    pub(super) fn is_any(&self) -> bool {
        self.fold.is_some() || self.pivot.is_some() || self.strip.is_some()
    }

    /// Looks at rows that arrived since.
    pub(super) fn extend(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>) {
        self.each().for_each(|counts| counts.extend(ring, ids));
    }

    /// A row is shown no more.
    pub(super) fn gone(&mut self, id: u64, row: &Row) {
        self.each().for_each(|counts| counts.gone(id, row));
    }

    /// A row is shown that was not before.
    fn came(&mut self, id: u64, row: &Row) {
        self.each().for_each(|counts| counts.came(id, row));
    }

    /// Looks at some older shown rows; `true` while there are more. `looked` is where the filter's own
    /// search backwards is.
    pub(super) fn look_back(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>, looked: u64) -> bool {
        let mut more = false;
        for counts in self.each() {
            more |= counts.look_back(ring, ids, looked, COUNT_BACK);
        }
        more
    }

    /// Begins anew.
    pub(super) fn restart(&mut self, ring: &Ring) {
        if let Some(fold) = &mut self.fold {
            *fold = Watch::start(Fold::default(), ring);
        }
        if let Some(pivot) = &mut self.pivot {
            *pivot = Watch::start(Tally::new(pivot.counts.by), ring);
        }
        if let Some(strip) = &mut self.strip {
            *strip = Watch::start(Strip::default(), ring);
        }
        self.working = self.is_any();
    }
}

impl Live {
    /// A row changed, or its mark did: the filter may say otherwise of it.
    pub(super) fn look_again(&mut self, id: u64) {
        let (filter, only) = (self.filter.as_ref(), self.only.as_ref());
        let names = &self.ring.names;
        let changed = self.hits.look_again(&self.ring, id, &|row| lets(filter, only, names, row));
        let Some(row) = self.ring.get(id) else { return };
        match changed {
            Some(true) => self.counted.came(id, row),
            Some(false) => self.counted.gone(id, row),
            None => {}
        }
    }

    /// Counts shown rows by something, or stops.
    pub fn count_by(&mut self, by: Option<By>) {
        if self.counted.pivot.as_ref().map(|pivot| pivot.counts.by) == by {
            return;
        }
        self.counted.pivot = by.map(|by| Watch::start(Tally::new(by), &self.ring));
        self.counted.working |= self.counted.pivot.is_some();
        self.work();
    }

    /// The counts of shown rows.
    pub fn tally(&self) -> Option<&Tally> {
        self.counted.pivot.as_ref().map(|pivot| &pivot.counts)
    }

    /// Counts shown rows by time, or stops.
    pub fn count_time(&mut self, on: bool) {
        if on == self.counted.strip.is_some() {
            return;
        }
        self.counted.strip = on.then(|| Watch::start(Strip::default(), &self.ring));
        self.counted.working |= on;
        self.work();
    }

    /// Shown rows over time.
    pub fn strip(&self) -> Option<&Strip> {
        self.counted.strip.as_ref().map(|strip| &strip.counts)
    }

    /// Shows repeats as one row, or each by itself.
    pub fn fold(&mut self, on: bool) {
        if on == self.folds() {
            return;
        }
        let selected = self.selected;
        self.counted.fold = on.then(|| Watch::start(Fold::default(), &self.ring));
        self.ring.past.fold = on.then(Fold::default);
        self.ring.past.refold();
        self.counted.working |= on;
        self.top = None;
        self.work();
        if let Some(id) = selected {
            let head = self.folded().and_then(|fold| fold.head_of(id));
            self.select(self.nearest(head.unwrap_or(id)));
        }
    }

    /// Whether repeats are shown as one row.
    pub fn folds(&self) -> bool {
        self.counted.fold.is_some()
    }

    /// The newest rows with their repeats folded.
    pub fn folded(&self) -> Option<&Fold> {
        self.counted.fold.as_ref().map(|fold| &fold.counts)
    }

    /// The repeats that a row stands for.
    pub fn repeat(&self, id: u64) -> Option<&Repeat> {
        let fold = if id < BASE { self.ring.past.fold.as_ref() } else { self.folded() };
        fold?.repeat(id)
    }

    /// Shows the selected row's repeats one by one, or as one again; `false` when it has none.
    pub fn toggle_repeats(&mut self) -> bool {
        self.pause();
        let Some(id) = self.selected else { return false };
        let fold = if id < BASE {
            self.ring.past.fold.as_mut()
        } else {
            self.counted.fold.as_mut().map(|fold| &mut fold.counts)
        };
        let done = fold.is_some_and(|fold| fold.toggle(id));
        self.settle();
        self.select(self.selected);
        done
    }

    /// Rows that another one has come to stand for are not what a person holds on to.
    pub(super) fn settle(&mut self) {
        let mut moved = self.counted.fold.as_mut().map(|fold| fold.counts.moved()).unwrap_or_default();
        moved.extend(self.ring.past.fold.as_mut().map(Fold::moved).unwrap_or_default());
        for (old, new) in moved {
            for id in [&mut self.selected, &mut self.top] {
                if *id == Some(old) {
                    *id = Some(new);
                }
            }
        }
    }
}
