//! Which records were passed on already, whichever feed they came over.
//!
//! A gateway of a fleet also gives the records of the others, so the same record may come over two
//! feeds: from its own gateway and from another, or from two others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Gateway runs that are told apart; beyond that the one that came first is forgotten.
const RUNS: usize = 4096;
/// Stretches of numbers kept of one run. Beyond that the oldest hole counts as passed on.
const STRETCHES: usize = 256;

/// Shared by all feeds of one watching.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivered(Arc<Mutex<Runs>>);

#[derive(Debug, Default)]
struct Runs {
    /// Of each run, the stretches of numbers that were passed on or announced as lost, in order.
    stretches: HashMap<String, Vec<(u64, u64)>>,
    /// The same runs, in the order in which they came.
    order: VecDeque<String>,
    /// The runs that are connected themselves.
    direct: HashSet<String>,
}

impl Delivered {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This run is connected itself, so what is missing of it is for it to say; or not any more.
    pub(super) fn direct(&self, gateway: &str, connected: bool) {
        let mut runs = self.lock();
        if connected {
            runs.direct.insert(gateway.to_owned());
        } else {
            runs.direct.remove(gateway);
        }
    }

    /// Takes note of a record; whether it is new.
    pub(super) fn record(&self, gateway: &str, seq: u64) -> bool {
        !take(self.lock().stretches(gateway), seq, seq).is_empty()
    }

    /// Takes note of a record that came over another gateway's feed: whether it is new, and the
    /// numbers before it that are missing. What a connected run says of itself is not for others to
    /// say.
    pub(super) fn other(&self, gateway: &str, seq: u64) -> (bool, Vec<(u64, u64)>) {
        let mut runs = self.lock();
        if runs.direct.contains(gateway) {
            return (false, Vec::new());
        }
        let stretches = runs.stretches(gateway);
        let before = match stretches.last() {
            Some((_, last)) if seq > last.saturating_add(1) => {
                let from = last.saturating_add(1);
                take(stretches, from, seq.saturating_sub(1))
            }
            _ => Vec::new(),
        };
        (!take(stretches, seq, seq).is_empty(), before)
    }

    /// Records are said to be lost: those of them that did not come another way. `own`: the gateway
    /// itself says so.
    pub(super) fn lost(&self, gateway: &str, from: u64, to: u64, own: bool) -> Vec<(u64, u64)> {
        let mut runs = self.lock();
        if !own && runs.direct.contains(gateway) {
            return Vec::new();
        }
        take(runs.stretches(gateway), from, to)
    }
}

impl Runs {
    fn stretches(&mut self, gateway: &str) -> &mut Vec<(u64, u64)> {
        if !self.stretches.contains_key(gateway) {
            if self.stretches.len() >= RUNS
                && let Some(first) = self.order.pop_front()
            {
                self.stretches.remove(&first);
            }
            self.order.push_back(gateway.to_owned());
        }
        self.stretches.entry(gateway.to_owned()).or_default()
    }
}

/// Adds the numbers from `from` to `to`; gives those that were not there.
fn take(stretches: &mut Vec<(u64, u64)>, from: u64, to: u64) -> Vec<(u64, u64)> {
    // Nearly always the number after the last one.
    if let Some((_, last)) = stretches.last_mut()
        && from == last.saturating_add(1)
        && from <= to
    {
        *last = to;
        return vec![(from, to)];
    }
    let mut fresh = Vec::new();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(stretches.len().saturating_add(1));
    let (mut low, mut high, mut next) = (from, to, from);
    let mut after = Vec::new();
    for &(start, end) in stretches.iter() {
        if end.saturating_add(1) < from {
            merged.push((start, end));
        } else if start > to.saturating_add(1) {
            after.push((start, end));
        } else {
            if start > next {
                fresh.push((next, start.saturating_sub(1).min(to)));
            }
            next = next.max(end.saturating_add(1));
            low = low.min(start);
            high = high.max(end);
        }
    }
    if next <= to {
        fresh.push((next, to));
    }
    merged.push((low, high));
    merged.extend(after);
    if let [(first, _), (_, second), ..] = merged.as_slice()
        && merged.len() > STRETCHES
    {
        let both = (*first, *second);
        merged.splice(0..2, [both]);
    }
    *stretches = merged;
    fresh
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_new_once_whichever_way_it_comes() {
        let delivered = Delivered::default();
        assert_eq!(delivered.other("g", 490), (true, vec![]));
        assert_eq!(delivered.other("g", 493), (true, vec![(491, 492)]));
        assert_eq!(delivered.other("g", 490), (false, vec![]));
        assert_eq!(delivered.other("g", 492), (false, vec![]), "it was announced as lost");
        delivered.direct("g", true);
        assert!((1..490).all(|seq| delivered.record("g", seq)));
        assert!((490..494).all(|seq| !delivered.record("g", seq)));
        assert_eq!(delivered.other("g", 600), (false, vec![]), "its own feed will tell");
        assert!(delivered.lost("g", 494, 500, false).is_empty());
        assert_eq!(delivered.lost("g", 400, 700, true), [(494, 700)]);
        delivered.direct("g", false);
        assert_eq!(delivered.other("g", 701), (true, vec![]));
        assert!(delivered.record("h", 1));
    }

    #[test]
    fn memory_is_bounded() {
        let delivered = Delivered::default();
        for seq in 0..10_000 {
            delivered.record("g", seq * 2 + 1);
        }
        assert!(delivered.lock().stretches["g"].len() <= STRETCHES);
        assert!(!delivered.record("g", 19_999) && delivered.record("g", 20_001));
        for run in 0..RUNS + 10 {
            delivered.record(&run.to_string(), 1);
        }
        assert!(delivered.record("one more", 1));
        assert!(delivered.lock().stretches.len() <= RUNS && delivered.lock().order.len() <= RUNS);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(ranges in prop::collection::vec((1_u64..60, 0_u64..8), 1..40)) {
            let mut stretches = Vec::new();
            let mut set = std::collections::BTreeSet::new();
            for (from, more) in ranges {
                let fresh: Vec<u64> = (from..=from + more).filter(|seq| set.insert(*seq)).collect();
                let got: Vec<u64> = take(&mut stretches, from, from + more).into_iter().flat_map(|(a, b)| a..=b).collect();
                prop_assert_eq!(got, fresh);
                let kept: Vec<u64> = stretches.iter().flat_map(|&(a, b)| a..=b).collect();
                prop_assert_eq!(&kept, &set.iter().copied().collect::<Vec<_>>());
                prop_assert!(stretches.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
        }
    }
}
