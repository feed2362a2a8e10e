//! Counters in memory: for replay on the recorded clock, and the model that other stores are held
//! against.

use foldhash::{HashMap, HashMapExt as _};

use super::counter::{Amount, CounterKey, Reserved, Standing, Taken, Usage, Want, admit};
use crate::time::Timestamp;

/// Counters of one process, gone with it. Never used where several gateways share a budget.
#[derive(Debug, Clone, Default)]
pub struct MemoryCounters {
    /// The start of each counter's window, and what it holds.
    rows: HashMap<CounterKey, (Timestamp, Amount)>,
}

impl MemoryCounters {
    /// Empty counters.
    pub fn new() -> Self {
        Self { rows: HashMap::new() }
    }

    /// Counts every want, or none. A want of a counter that an earlier want of the same call has
    /// counted finds what that one added.
    pub fn reserve(&mut self, now: Timestamp, wants: &[Want]) -> Reserved {
        match self.count(now, wants) {
            Ok(standings) => {
                let mut taken = Vec::with_capacity(wants.len());
                let mut usages = Vec::with_capacity(wants.len());
                for (want, standing) in wants.iter().zip(standings) {
                    taken.push(Taken {
                        key: want.key.clone(),
                        window_start: standing.start,
                        amount: want.increment,
                    });
                    usages
                        .push(Standing { used: standing.used.plus(want.increment), ..standing }.usage(want));
                }
                Reserved::Done { usages, taken }
            }
            Err(standings) => {
                let mut untouched = self.peek(now, wants);
                for (usage, judged) in untouched.iter_mut().zip(standings) {
                    usage.room = judged.room;
                }
                Reserved::Full { usages: untouched }
            }
        }
    }

    /// As [`MemoryCounters::reserve`], for those who give nothing back: what each counter held before,
    /// once everything was counted.
    ///
    /// # Errors
    /// The same where one had no room, so that nothing was counted.
    pub fn count(&mut self, now: Timestamp, wants: &[Want]) -> Result<Vec<Standing>, Vec<Standing>> {
        let mut standings: Vec<Standing> = Vec::with_capacity(wants.len());
        for (index, want) in wants.iter().enumerate() {
            let mut earlier = wants.iter().zip(&standings).take(index).rev();
            let stored = match earlier.find(|(other, _)| other.key == want.key) {
                Some((other, standing)) => Some((standing.start, standing.used.plus(other.increment))),
                None => self.rows.get(&want.key).copied(),
            };
            standings.push(Standing::of(stored, now, want));
        }
        if standings.iter().any(|standing| !standing.room) {
            return Err(standings);
        }
        for (want, standing) in wants.iter().zip(&standings) {
            let counted = (standing.start, standing.used.plus(want.increment));
            match self.rows.get_mut(&want.key) {
                Some(row) => *row = counted,
                None => drop(self.rows.insert(want.key.clone(), counted)),
            }
        }
        Ok(standings)
    }

    /// The counters as they stand, counting nothing; each want is looked at by itself.
    pub fn peek(&self, now: Timestamp, wants: &[Want]) -> Vec<Usage> {
        wants.iter().map(|want| admit(self.rows.get(&want.key).copied(), now, want)).collect()
    }

    /// Gives back what was taken: only to the window it was taken from, never below zero.
    pub fn release(&mut self, taken: &[Taken]) {
        for one in taken {
            if let Some((start, used)) = self.rows.get_mut(&one.key)
                && *start == one.window_start
                && one.amount > Amount::ZERO
            {
                *used = Amount((used.0 - one.amount.0).max(0));
            }
        }
    }

    /// Forgets the counters whose windows are over at `now`.
    pub fn forget(&mut self, now: Timestamp) {
        self.rows.retain(|key, (start, _)| *start >= super::counter::window_start(now, key.window));
    }

    /// Every counter that is not empty at `now`: its key and what it holds.
    pub fn held(&self, now: Timestamp) -> impl Iterator<Item = (&CounterKey, Amount)> {
        self.rows.iter().filter_map(move |(key, (start, used))| {
            let current = *start >= super::counter::window_start(now, key.window);
            (current && *used > Amount::ZERO).then_some((key, *used))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::counter::Caller;
    use crate::policy::model::Scope;

    fn want(counter: usize, window: u64, increment: i128, max: i128) -> Want {
        let caller = Caller { server: "s", grant: "g", session: None };
        let key = caller.key(Scope::Grant, ["a", "b", "c"][counter], window);
        Want { key, increment: Amount(increment), max: Amount(max), past_max: false }
    }

    #[test]
    fn a_release_never_reaches_another_window() {
        let mut counters = MemoryCounters::new();
        let one = [want(0, 60, 5, 10)];
        let Reserved::Done { taken, .. } = counters.reserve(Timestamp(0), &one) else { panic!("room") };
        let Reserved::Done { .. } = counters.reserve(Timestamp(60_000_000), &one) else { panic!("room") };
        counters.release(&taken);
        assert_eq!(counters.peek(Timestamp(60_000_000), &one)[0].used, Amount(5));
    }

    #[test]
    fn one_without_room_counts_none() {
        let mut counters = MemoryCounters::new();
        let both = [want(0, 60, 1, 9), want(1, 60, 1, 0)];
        let Reserved::Full { usages } = counters.reserve(Timestamp(0), &both) else { panic!("no room") };
        assert_eq!(usages.iter().map(|usage| usage.room).collect::<Vec<_>>(), [true, false]);
        assert_eq!(counters.held(Timestamp(0)).count(), 0);
        // Twice the same counter in one call: both count, against one budget.
        let twice = [want(2, 60, 6, 10), want(2, 60, 6, 10)];
        assert!(matches!(counters.reserve(Timestamp(0), &twice), Reserved::Full { .. }));
        let twice = [want(2, 60, 5, 10), want(2, 60, 5, 10)];
        let Reserved::Done { usages, taken } = counters.reserve(Timestamp(0), &twice) else { panic!("room") };
        assert_eq!(usages[1].used, Amount(10));
        counters.release(&taken);
        assert_eq!(counters.held(Timestamp(0)).count(), 0);
        counters.forget(Timestamp(60_000_000));
        assert!(counters.rows.is_empty());
    }

    /// What the counters must be, told differently: a list of everything that was ever counted.
    #[derive(Default)]
    struct Ledger {
        entries: Vec<(CounterKey, i64, i128)>,
        /// The latest window that each counter has seen.
        latest: HashMap<CounterKey, i64>,
    }

    impl Ledger {
        fn window(&self, key: &CounterKey, now: i64) -> i64 {
            let length = i64::try_from(key.window).unwrap() * 1_000_000;
            (now.div_euclid(length) * length).max(self.latest.get(key).copied().unwrap_or(i64::MIN))
        }

        fn used(&self, key: &CounterKey, now: i64) -> i128 {
            let window = self.window(key, now);
            self.entries.iter().filter(|(k, w, _)| k == key && *w == window).map(|(_, _, n)| n).sum()
        }
    }

    proptest! {
        /// Whatever the clock does, no counter exceeds its max by reserving, nothing is counted by
        /// halves, and releases give back exactly what was taken.
        #[test]
        fn agrees_with_a_ledger(
            ops in prop::collection::vec(
                (
                    -90_000_000_i64..90_000_000,
                    prop::collection::btree_map((0_usize..3, prop::sample::select(vec![1_u64, 60, 90])), (0_i128..6, 0_i128..9), 0..4),
                    prop::option::of(0_usize..8),
                ),
                1..60,
            )
        ) {
            let mut counters = MemoryCounters::new();
            let mut ledger = Ledger::default();
            let mut now = 1_000_000_000_i64;
            let mut reservations: Vec<Vec<Taken>> = Vec::new();
            for (step, wants, release) in ops {
                now += step;
                if let Some(index) = release.filter(|index| *index < reservations.len()) {
                    let taken = reservations.swap_remove(index);
                    counters.release(&taken);
                    for one in taken {
                        if ledger.latest.get(&one.key) == Some(&one.window_start.0) {
                            ledger.entries.push((one.key, one.window_start.0, -one.amount.0));
                        }
                    }
                }
                let wants: Vec<Want> = wants
                    .into_iter()
                    .map(|((counter, window), (increment, max))| want(counter, window, increment, max))
                    .collect();
                let fits = wants.iter().all(|want| ledger.used(&want.key, now) + want.increment.0 <= want.max.0);
                match counters.reserve(Timestamp(now), &wants) {
                    Reserved::Done { usages, taken } => {
                        prop_assert!(fits);
                        prop_assert_eq!(usages.len(), wants.len());
                        for one in &taken {
                            let window = ledger.window(&one.key, now);
                            prop_assert_eq!(one.window_start.0, window);
                            ledger.latest.insert(one.key.clone(), window);
                            ledger.entries.push((one.key.clone(), window, one.amount.0));
                        }
                        reservations.push(taken);
                    }
                    Reserved::Full { usages } => {
                        prop_assert!(!fits);
                        for (usage, want) in usages.iter().zip(&wants) {
                            prop_assert_eq!(usage.used.0, ledger.used(&want.key, now));
                        }
                    }
                }
                for want in &wants {
                    let usage = counters.peek(Timestamp(now), std::slice::from_ref(want)).remove(0);
                    prop_assert_eq!(usage.used.0, ledger.used(&want.key, now));
                    prop_assert!(usage.used >= Amount::ZERO);
                }
            }
        }
    }
}
