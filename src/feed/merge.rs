//! One order for what several gateways say: by time, each gateway's own order kept. Pure.
//!
//! A gateway that still tells what happened before the monitor came is waited for, as long as it
//! goes on; one that is up to date is not, so that what happens now is shown now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::time::Timestamp;

/// Items that are held back at most.
const MOST: usize = 65_536;
/// How long it is waited at the beginning whether there are more than those that came, in
/// milliseconds.
const OTHERS: u64 = 200;

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<(Timestamp, T)>,
    /// The number its past ends with, while it is not there yet.
    until: Option<u64>,
    /// The last item's place in time: an item never goes before its gateway's one before.
    last: Timestamp,
    /// When something last came, in milliseconds.
    heard: u64,
}

/// What waits for its place in the order.
#[derive(Debug)]
pub struct Merge<T> {
    queues: BTreeMap<u32, Queue<T>>,
    held: usize,
    /// How many are known to be there.
    expected: usize,
    /// Those that came, or did not, until all began.
    heard: BTreeSet<u32>,
    /// When the first of them came, until all began.
    first: Option<u64>,
    open: bool,
    /// How long one that falls silent in the middle of its past is waited for, and those that are
    /// known to be there at the beginning, in milliseconds.
    patience: u64,
}

impl<T> Merge<T> {
    /// Nothing came yet. `expected`: how many gateways are known to be there; 0: that is found out.
    /// `patience`: how long one is waited for that does not go on, in milliseconds.
    pub fn new(expected: usize, patience: u64) -> Self {
        Self {
            queues: BTreeMap::new(),
            held: 0,
            expected,
            heard: BTreeSet::new(),
            first: None,
            open: expected == 1,
            patience,
        }
    }

    /// Whether what came may go on: not before everybody could tell their oldest.
    fn is_open(&mut self, now: u64) -> bool {
        if !self.open {
            let wait = if self.expected > 0 { self.patience } else { OTHERS };
            let over = self.first.is_some_and(|first| now >= first.saturating_add(wait));
            self.open = over || (self.expected > 0 && self.heard.len() >= self.expected);
        }
        self.open
    }

    fn queue(&mut self, source: u32, now: u64) -> &mut Queue<T> {
        let new = || Queue { items: VecDeque::new(), until: None, last: Timestamp(i64::MIN), heard: now };
        self.queues.entry(source).or_insert_with(new)
    }

    /// A gateway is connected; its past goes up to this number (0: it has none to tell).
    pub fn connected(&mut self, source: u32, until: u64, now: u64) {
        if !self.open {
            self.heard.insert(source);
        }
        self.first.get_or_insert(now);
        let queue = self.queue(source, now);
        queue.until = Some(until).filter(|until| *until > 0);
        queue.last = Timestamp(i64::MIN);
        queue.heard = now;
    }

    /// A gateway is gone, and not waited for any more.
    pub fn gone(&mut self, source: u32) {
        if !self.open {
            self.heard.insert(source);
        }
        if let Some(queue) = self.queues.get_mut(&source) {
            queue.until = None;
            if queue.items.is_empty() {
                self.queues.remove(&source);
            }
        }
    }

    /// Takes an item: its number in its gateway's run and its time.
    pub fn push(&mut self, source: u32, seq: u64, ts: Timestamp, item: T, now: u64) {
        let queue = self.queue(source, now);
        queue.heard = now;
        queue.last = queue.last.max(ts);
        let last = queue.last;
        queue.items.push_back((last, item));
        queue.until = queue.until.filter(|until| seq < *until);
        self.held += 1;
    }

    /// How many items wait.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What has its place now, in order.
    pub fn take(&mut self, now: u64) -> Vec<T> {
        let mut out = Vec::new();
        if !self.is_open(now) && self.held <= MOST {
            return out;
        }
        while self.held > 0 {
            let mut first: Option<(Timestamp, u32)> = None;
            let mut waits = false;
            let mut others = false;
            for (source, queue) in &self.queues {
                match queue.items.front() {
                    Some((ts, _)) => {
                        others |= first.is_some();
                        let mine = (*ts, *source);
                        first = Some(first.map_or(mine, |first| first.min(mine)));
                    }
                    None => waits |= queue.until.is_some() && now < queue.heard.saturating_add(self.patience),
                }
            }
            let Some((_, source)) = first.filter(|_| !waits || self.held > MOST) else { break };
            let Some(queue) = self.queues.get_mut(&source) else { break };
            // Alone, all of it is in order already.
            let count = if others || waits { 1 } else { queue.items.len() };
            self.held -= count;
            out.extend(queue.items.drain(..count).map(|(_, item)| item));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: u64 = 300;

    fn push(merge: &mut Merge<(u32, u64)>, source: u32, seq: u64, ts: i64) {
        merge.push(source, seq, Timestamp(ts), (source, seq), 0);
    }

    #[test]
    fn the_past_of_several_is_one_past() {
        let mut merge = Merge::new(2, PATIENCE);
        merge.connected(1, 3, 0);
        merge.connected(2, 2, 0);
        push(&mut merge, 1, 1, 10);
        push(&mut merge, 1, 2, 30);
        assert_eq!(merge.take(0), [], "the other's past may be older");
        push(&mut merge, 2, 1, 20);
        assert_eq!(merge.take(0), [(1, 1), (2, 1)]);
        push(&mut merge, 2, 2, 40);
        assert_eq!(merge.take(0), [(1, 2)]);
        // It is up to date, and still the first one's past may be older.
        assert_eq!((merge.take(0), merge.held()), (vec![], 1));
        push(&mut merge, 1, 3, 50);
        assert_eq!(merge.take(0), [(2, 2), (1, 3)]);
        push(&mut merge, 2, 3, 45);
        assert_eq!(merge.take(0), [(2, 3)], "what happens now is not held back");
    }

    #[test]
    fn nobody_is_waited_for_too_long() {
        let mut merge = Merge::new(2, PATIENCE);
        merge.connected(1, 9, 0);
        merge.connected(2, 0, 0);
        push(&mut merge, 2, 1, 5);
        assert_eq!(merge.take(PATIENCE - 1), []);
        assert_eq!(merge.take(PATIENCE), [(2, 1)]);
        merge.connected(1, 9, 1_000);
        push(&mut merge, 2, 2, 6);
        assert_eq!(merge.take(1_000), []);
        merge.gone(1);
        assert_eq!(merge.take(1_000), [(2, 2)]);
        let mut merge = Merge::new(1, PATIENCE);
        merge.connected(1, 9, 0);
        for seq in 0..=MOST as u64 {
            push(&mut merge, 2, seq + 1, 1);
        }
        assert_eq!(merge.take(0).len(), 1, "memory is bounded");
    }

    #[test]
    fn nothing_begins_before_all_could_tell_their_oldest() {
        let mut merge = Merge::new(2, PATIENCE);
        merge.connected(7, 1, 10);
        push(&mut merge, 7, 1, 50);
        assert_eq!(merge.take(10), []);
        merge.connected(8, 1, 20);
        push(&mut merge, 8, 1, 40);
        assert_eq!(merge.take(20), [(8, 1), (7, 1)]);
        for (expected, wait) in [(2, PATIENCE), (0, OTHERS)] {
            let mut merge = Merge::new(expected, PATIENCE);
            merge.connected(7, 1, 10);
            push(&mut merge, 7, 1, 50);
            assert_eq!(merge.take(10 + wait - 1), []);
            assert_eq!(merge.take(10 + wait), [(7, 1)]);
        }
        let mut merge = Merge::new(2, PATIENCE);
        merge.gone(8);
        merge.connected(7, 1, 10);
        push(&mut merge, 7, 1, 50);
        assert_eq!(merge.take(10), [(7, 1)], "who is not there is not waited for");
    }

    proptest! {
        #[test]
        fn everything_comes_once_and_each_gateways_order_stays(
            steps in prop::collection::vec((0_u32..4, -50_i64..50, any::<bool>()), 0..200),
            pasts in prop::collection::vec(0_u64..40, 4),
        ) {
            let mut merge = Merge::new(4, PATIENCE);
            let mut seqs = [0_u64; 4];
            for (source, past) in (0..).zip(&pasts) {
                merge.connected(source, *past, 0);
            }
            let mut out = Vec::new();
            for (source, ts, look) in &steps {
                let seq = &mut seqs[*source as usize];
                *seq += 1;
                push(&mut merge, *source, *seq, *ts);
                if *look {
                    out.extend(merge.take(0));
                }
            }
            out.extend(merge.take(u64::MAX));
            prop_assert_eq!(merge.held(), 0);
            for source in 0..4_u32 {
                let mine: Vec<u64> = out.iter().filter(|(of, _)| *of == source).map(|(_, seq)| *seq).collect();
                prop_assert_eq!(mine, (1..=seqs[source as usize]).collect::<Vec<_>>());
            }
        }
    }
}
