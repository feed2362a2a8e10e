//! What counts shown rows keeps up with them: new ones at one end, ones that leave at the other, and
//! those that a new filter or a new count finds backwards in steps.

use std::collections::VecDeque;

use super::ring::Ring;
use super::row::Row;

/// Something that rows are added to and taken from.
pub trait Counts {
    /// A row is shown that is newer than all before.
    fn add(&mut self, id: u64, row: &Row);
    /// One that is older than all before.
    fn add_older(&mut self, id: u64, row: &Row) {
        self.add(id, row);
    }
    /// One that is neither.
    fn insert(&mut self, id: u64, row: &Row) {
        self.add(id, row);
    }
    /// A row that was added is shown no more.
    fn remove(&mut self, id: u64, row: &Row);
}

/// What is kept up with the shown rows, whatever it counts.
pub trait Keeps {
    /// Looks at rows that arrived since. `ids` are the rows that a filter lets through, `None` all.
    fn extend(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>);
    /// Looks at no more than `budget` older shown rows; `true` while there are more. `looked` is
    /// where the filter's own search backwards is.
    fn look_back(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>, looked: u64, budget: usize) -> bool;
    /// A shown row left the ring, or the filter lets it through no more.
    fn gone(&mut self, id: u64, row: &Row);
    /// The filter lets a row through that it did not before.
    fn came(&mut self, id: u64, row: &Row);
}

/// Counts, and which rows they have looked at.
#[derive(Debug, Clone)]
pub struct Watch<T> {
    /// The counts.
    pub counts: T,
    /// Rows from here on have been looked at.
    from: u64,
    /// Rows up to here (exclusive) have been looked at.
    to: u64,
}

impl<T: Counts> Watch<T> {
    /// Nothing looked at yet: new rows count from the ring's end, old ones from there backwards.
    pub fn start(counts: T, ring: &Ring) -> Self {
        Self { counts, from: ring.next(), to: ring.next() }
    }

    fn add(&mut self, ring: &Ring, id: u64) {
        if let Some(row) = ring.get(id) {
            self.counts.add(id, row);
        }
    }

    fn add_older(&mut self, ring: &Ring, id: u64) {
        if let Some(row) = ring.get(id) {
            self.counts.add_older(id, row);
        }
    }
}

impl<T: Counts> Keeps for Watch<T> {
    fn extend(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>) {
        let next = ring.next();
        let from = self.to.max(ring.first());
        match ids {
            None => {
                for id in from..next {
                    self.add(ring, id);
                }
            }
            Some(ids) => {
                for id in ids.range(ids.partition_point(|id| *id < from)..) {
                    self.add(ring, *id);
                }
            }
        }
        self.from = self.from.max(ring.first());
        self.to = next;
    }

    fn look_back(&mut self, ring: &Ring, ids: Option<&VecDeque<u64>>, looked: u64, budget: usize) -> bool {
        match ids {
            None => {
                let end = self.from.saturating_sub(budget as u64).max(ring.first());
                for id in (end..self.from).rev() {
                    self.add_older(ring, id);
                }
                self.from = self.from.min(end);
            }
            Some(ids) => {
                let at = ids.partition_point(|id| *id < self.from);
                let end = at.saturating_sub(budget);
                for id in ids.range(end..at).rev() {
                    self.add_older(ring, *id);
                }
                let reached = if end == 0 { Some(looked) } else { ids.get(end).copied() };
                self.from = self.from.min(reached.unwrap_or(looked));
            }
        }
        self.from > looked
    }

    fn gone(&mut self, id: u64, row: &Row) {
        if (self.from..self.to).contains(&id) {
            self.counts.remove(id, row);
        }
    }

    fn came(&mut self, id: u64, row: &Row) {
        if (self.from..self.to).contains(&id) {
            self.counts.insert(id, row);
        }
    }
}
