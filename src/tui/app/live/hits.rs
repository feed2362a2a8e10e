//! Which rows a filter lets through: kept as arrival numbers, extended as rows arrive, and found
//! from the newest backwards so that the first screen of a new filter is there at once.

use std::collections::VecDeque;

use super::ring::Ring;
use super::row::Row;

/// Rows that match, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    ids: VecDeque<u64>,
    /// Rows from here on have been looked at.
    from: u64,
    /// Rows up to here (exclusive) have been looked at.
    to: u64,
}

impl Hits {
    /// Nothing looked at yet: new rows count from the ring's end, old ones from there backwards.
    pub fn start(ring: &Ring) -> Self {
        Self { ids: VecDeque::new(), from: ring.next(), to: ring.next() }
    }

    /// Forgets the rows that the ring dropped; answers with those of them that matched, oldest first.
    pub fn forget(&mut self, ring: &Ring) -> Vec<u64> {
        self.to = self.to.max(ring.first());
        self.from = self.from.max(ring.first());
        let gone = self.ids.partition_point(|id| *id < ring.first());
        self.ids.drain(..gone).collect()
    }

    /// Looks at rows that arrived since.
    pub fn extend(&mut self, ring: &Ring, matches: &dyn Fn(&Row) -> bool) {
        while self.to < ring.next() {
            if ring.get(self.to).is_some_and(matches) {
                self.ids.push_back(self.to);
            }
            self.to += 1;
        }
    }

    /// Looks at older rows until they weigh `budget` bytes; `true` while there are more.
    pub fn look_back(&mut self, ring: &Ring, budget: usize, matches: &dyn Fn(&Row) -> bool) -> bool {
        let mut weighed = 0;
        while weighed < budget && self.from > ring.first() {
            self.from -= 1;
            let Some(row) = ring.get(self.from) else { continue };
            weighed += std::mem::size_of::<Row>() + row.args.len();
            if matches(row) {
                self.ids.push_front(self.from);
            }
        }
        self.from > ring.first()
    }

    /// Looks once more at a row that changed, if it was looked at before; answers with whether it
    /// matches now, where that is new.
    pub fn look_again(&mut self, ring: &Ring, id: u64, matches: &dyn Fn(&Row) -> bool) -> Option<bool> {
        if id < self.from || id >= self.to {
            return None;
        }
        let wanted = ring.get(id).is_some_and(matches);
        match (self.ids.binary_search(&id), wanted) {
            (Ok(at), false) => drop(self.ids.remove(at)),
            (Err(at), true) => self.ids.insert(at, id),
            _ => return None,
        }
        Some(wanted)
    }

    /// Rows from here on have been looked at.
    pub fn looked(&self) -> u64 {
        self.from
    }

    /// How far the search backwards is, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a progress bar")]
    pub fn progress(&self, ring: &Ring) -> f64 {
        let all = ring.len().max(1) as f64;
        (self.to.saturating_sub(self.from) as f64 / all).clamp(0.0, 1.0)
    }

    /// The matching rows' arrival numbers, oldest first.
    pub fn ids(&self) -> &VecDeque<u64> {
        &self.ids
    }
}
