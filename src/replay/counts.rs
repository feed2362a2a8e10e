//! Counters on the recorded clock: what each really held, as far as records show it, and for each
//! simulated policy by how much its own would differ.

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::recorded::Recorded;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Amount, Caller, CounterKey, window_start};
use crate::policy::decide::Charge;
use crate::policy::model::Scope;
use crate::record::line::{CounterLine, counters};
use crate::time::Timestamp;

/// So many counters are kept before those whose windows are over are forgotten.
const FORGET_FROM: usize = 16 * 1024;
/// So many calls wait for their outcome; twice as many are remembered.
const IN_FLIGHT: usize = 32 * 1024;

/// A number that counts in a window.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    start: Timestamp,
    amount: Amount,
}

impl Standing {
    fn at(&self, start: Timestamp) -> Amount {
        if self.start == start { self.amount } else { Amount::ZERO }
    }

    /// Adds in a window; one that is over for this counter is left alone.
    fn add(&mut self, start: Timestamp, amount: Amount) {
        if self.start < start {
            *self = Self { start, amount: Amount::ZERO };
        }
        if self.start == start {
            self.amount = self.amount.plus(amount);
        }
    }
}

/// A counter as the call at hand recorded it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: u32,
    start: Timestamp,
    /// What it held after the decision.
    after: Amount,
    /// What this call really added, where that is known.
    added: Option<Amount>,
}

/// What one call added to one counter.
#[derive(Debug, Clone, Copy)]
struct Added {
    /// Whose: a simulated policy's number, or [`REALLY`].
    who: u32,
    key: u32,
    start: Timestamp,
    amount: Amount,
}

/// In [`Added::who`]: what was really counted.
const REALLY: u32 = u32::MAX;

/// The counters of all simulated policies.
#[derive(Debug)]
pub(super) struct Counts {
    keys: HashMap<CounterKey, u32>,
    /// Filled anew for each look, so that looking costs no allocation.
    scratch: CounterKey,
    /// Counter and window that any policy here counts: others are of no interest.
    wanted: HashSet<(String, u64)>,
    really: Vec<Standing>,
    /// By policy: what it counted beyond what was really counted.
    beyond: Vec<Vec<Standing>>,
    /// The call at hand.
    seen: Vec<Seen>,
    counted: bool,
    added: Vec<Added>,
    /// Calls that may still be given back, by gateway and number; older ones in the second.
    flying: [HashMap<(u32, u64), Vec<Added>>; 2],
}

impl Counts {
    pub(super) fn new(policies: &[&Compiled]) -> Self {
        let mut wanted = HashSet::new();
        for policy in policies {
            for limit in policy.every_limit() {
                wanted.insert((limit.counter.clone(), limit.window));
            }
        }
        let empty = String::new;
        Self {
            keys: HashMap::new(),
            scratch: CounterKey {
                server: empty(),
                scope: Scope::Grant,
                scope_value: empty(),
                counter: empty(),
                window: 0,
            },
            wanted,
            really: Vec::new(),
            beyond: policies.iter().map(|_| Vec::new()).collect(),
            seen: Vec::new(),
            counted: false,
            added: Vec::new(),
            flying: [HashMap::new(), HashMap::new()],
        }
    }

    /// Looks at what a call recorded of its counters.
    pub(super) fn look(&mut self, call: &Recorded<'_>) {
        self.seen.clear();
        self.added.clear();
        self.counted = call.counted;
        if call.counters == "[]" || self.wanted.is_empty() {
            return;
        }
        let mut seen = std::mem::take(&mut self.seen);
        counters(call.counters, |line| {
            if let Some(one) = self.see(call.server, &line) {
                seen.push(one);
            }
        });
        self.seen = seen;
    }

    /// Whether the call at hand recorded counters that matter here.
    pub(super) fn saw_any(&self) -> bool {
        !self.seen.is_empty()
    }

    fn see(&mut self, server: &str, line: &CounterLine<'_>) -> Option<Seen> {
        let scope = match line.scope.0.as_ref() {
            "grant" => Scope::Grant,
            "server" => Scope::Server,
            "session" => Scope::Session,
            _ => return None,
        };
        // A pair of an owned string has no borrowed form; there are few.
        self.wanted.iter().find(|(counter, window)| *counter == line.counter.0 && *window == line.window)?;
        let length = i64::try_from(line.window).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let start = line.resets_at.plus_micros(length.saturating_neg());
        let key = self.key(server, scope, &line.key.0, &line.counter.0, line.window);
        Some(Seen { key, start, after: line.used, added: None })
    }

    /// The counters that the policy which decided the call counted on, with how much: what each
    /// really got.
    pub(super) fn really_added(&mut self, caller: &Caller<'_>, charges: &[Charge]) {
        for charge in charges {
            let key = self.key_of(caller, charge);
            if let Some(seen) = self.seen.iter_mut().find(|seen| seen.key == key) {
                seen.added = Some(charge.increment);
            }
        }
    }

    /// Each counter really got one call.
    pub(super) fn really_added_one(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.added = Some(Amount::ONE));
    }

    /// Takes what a policy's limits want for the call at hand, or finds the first without room and
    /// takes nothing. Without `take` it only looks.
    pub(super) fn reserve(
        &mut self,
        who: usize,
        caller: &Caller<'_>,
        now: Timestamp,
        charges: &[Charge],
        past_max: bool,
        take: bool,
    ) -> Option<usize> {
        let from = self.added.len();
        let mut full = None;
        for (index, charge) in charges.iter().enumerate() {
            let key = self.key_of(caller, charge);
            let (start, used) = self.used(who, key, now, charge);
            let fits = past_max || used.plus(charge.increment) <= charge.limit.max;
            if !(fits && charge.increment >= Amount::ZERO) {
                full = full.or(Some(index));
            }
            let who = u32::try_from(who).unwrap_or(0);
            self.added.push(Added { who, key, start, amount: charge.increment });
        }
        if full.is_some() || !take {
            self.added.truncate(from);
        }
        full
    }

    /// The policy decides nothing about the call at hand: what was really counted, it counts too.
    pub(super) fn follow(&mut self, who: usize) {
        if !self.counted {
            return;
        }
        let who = u32::try_from(who).unwrap_or(0);
        for seen in &self.seen {
            if let Some(amount) = seen.added.or(Some(Amount::ONE)) {
                self.added.push(Added { who, key: seen.key, start: seen.start, amount });
            }
        }
    }

    /// What a policy's counter holds before the call at hand, and in which window.
    fn used(&self, who: usize, key: u32, now: Timestamp, charge: &Charge) -> (Timestamp, Amount) {
        let at = key as usize;
        let really = self.really.get(at).copied().unwrap_or_default();
        let beyond = self.beyond.get(who).and_then(|rows| rows.get(at)).copied().unwrap_or_default();
        let (start, base) = if let Some(seen) = self.seen.iter().find(|seen| seen.key == key) {
            let own = if self.counted { seen.added.unwrap_or(charge.increment) } else { Amount::ZERO };
            (seen.start, Amount(seen.after.0.saturating_sub(own.0)))
        } else {
            // A clock stepped back refills nothing.
            let start = window_start(now, charge.limit.window).max(really.start).max(beyond.start);
            (start, really.at(start))
        };
        (start, Amount(base.plus(beyond.at(start)).0.max(0)))
    }

    /// The call at hand is done with: what it added counts from now on. `flight` names it where it
    /// may still be given back.
    pub(super) fn settle(&mut self, flight: Option<(u32, u64)>) {
        let seen = std::mem::take(&mut self.seen);
        let mut added = std::mem::take(&mut self.added);
        for one in &added {
            if let Some(row) = self.row(one.who, one.key) {
                row.add(one.start, one.amount);
            }
        }
        for one in &seen {
            if self.counted {
                for who in 0..self.beyond.len() {
                    let who = u32::try_from(who).unwrap_or(0);
                    // Where it is not known, it is taken to be what the policy itself added.
                    let own = added.iter().find(|add| add.who == who && add.key == one.key);
                    let really = one.added.or(own.map(|own| own.amount)).unwrap_or(Amount::ONE);
                    if let Some(row) = self.row(who, one.key) {
                        row.add(one.start, Amount(really.0.saturating_neg()));
                    }
                }
                let amount =
                    one.added.or_else(|| added.iter().find(|add| add.key == one.key).map(|add| add.amount));
                let amount = amount.unwrap_or(Amount::ONE);
                added.push(Added { who: REALLY, key: one.key, start: one.start, amount });
            }
            if let Some(row) = self.really.get_mut(one.key as usize)
                && row.start <= one.start
            {
                *row = Standing { start: one.start, amount: one.after };
            }
        }
        if let Some(flight) = flight.filter(|_| !added.is_empty()) {
            if self.flying[0].len() >= IN_FLIGHT {
                self.flying[1] = std::mem::take(&mut self.flying[0]);
            }
            self.flying[0].insert(flight, added.clone());
        }
        added.clear();
        self.added = added;
        self.seen = seen;
        self.seen.clear();
    }

    fn row(&mut self, who: u32, key: u32) -> Option<&mut Standing> {
        let rows = if who == REALLY { &mut self.really } else { self.beyond.get_mut(who as usize)? };
        rows.get_mut(key as usize)
    }

    /// A call that was held is known by the number of its second decision from now on.
    pub(super) fn renumber(&mut self, gateway: u32, from: u64, to: u64) {
        if let Some(mut earlier) = self.take_flight(gateway, from) {
            match self.flying[0].get_mut(&(gateway, to)) {
                Some(later) => later.append(&mut earlier),
                None => drop(self.flying[0].insert((gateway, to), earlier)),
            }
        }
    }

    /// A call ended.
    pub(super) fn ended(&mut self, gateway: u32, call: u64, released: bool) {
        let Some(added) = self.take_flight(gateway, call) else { return };
        if !released {
            return;
        }
        for one in added {
            let back = Amount(one.amount.0.saturating_neg());
            if one.who == REALLY {
                for rows in &mut self.beyond {
                    if let Some(row) = rows.get_mut(one.key as usize) {
                        row.add(one.start, one.amount);
                    }
                }
                if let Some(row) = self.really.get_mut(one.key as usize)
                    && row.start == one.start
                {
                    row.amount = Amount(row.amount.plus(back).0.max(0));
                }
            } else if let Some(row) = self.row(one.who, one.key)
                && row.start == one.start
            {
                row.amount = row.amount.plus(back);
            }
        }
    }

    fn take_flight(&mut self, gateway: u32, call: u64) -> Option<Vec<Added>> {
        let [young, old] = &mut self.flying;
        young.remove(&(gateway, call)).or_else(|| old.remove(&(gateway, call)))
    }

    fn key_of(&mut self, caller: &Caller<'_>, charge: &Charge) -> u32 {
        let limit = &charge.limit;
        let (scope, value) = caller.counts_for(limit.scope);
        self.key(caller.server, scope, value, &limit.counter, limit.window)
    }

    fn key(&mut self, server: &str, scope: Scope, value: &str, counter: &str, window: u64) -> u32 {
        let copy = |text: &str, into: &mut String| {
            into.clear();
            into.push_str(text);
        };
        copy(server, &mut self.scratch.server);
        self.scratch.scope = scope;
        copy(value, &mut self.scratch.scope_value);
        copy(counter, &mut self.scratch.counter);
        self.scratch.window = window;
        if let Some(key) = self.keys.get(&self.scratch) {
            return *key;
        }
        let key = u32::try_from(self.really.len()).unwrap_or(u32::MAX);
        self.keys.insert(self.scratch.clone(), key);
        self.really.push(Standing::default());
        self.beyond.iter_mut().for_each(|rows| rows.push(Standing::default()));
        key
    }

    /// Forgets counters whose windows are over, when there are many: sessions come and go. Only
    /// between calls.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if self.keys.len() < FORGET_FROM {
            return;
        }
        let mut kept = Vec::new();
        let mut moved: HashMap<u32, u32> = HashMap::new();
        self.keys.retain(|key, number| {
            let current = window_start(now, key.window);
            let at = *number as usize;
            let latest = |rows: &Vec<Standing>| rows.get(at).map_or(Timestamp::default(), |row| row.start);
            let start = self.beyond.iter().map(latest).chain([latest(&self.really)]).max();
            if start < Some(current) {
                return false;
            }
            moved.insert(*number, u32::try_from(kept.len()).unwrap_or(u32::MAX));
            kept.push(at);
            true
        });
        for number in self.keys.values_mut() {
            *number = moved.get(number).copied().unwrap_or(u32::MAX);
        }
        let take = |rows: &Vec<Standing>| {
            kept.iter().map(|at| rows.get(*at).copied().unwrap_or_default()).collect::<Vec<_>>()
        };
        self.beyond = self.beyond.iter().map(take).collect();
        self.really = take(&self.really);
        for added in self.flying.iter_mut().flat_map(HashMap::values_mut) {
            added.retain_mut(|one| match moved.get(&one.key) {
                Some(key) => {
                    one.key = *key;
                    true
                }
                None => false,
            });
        }
    }
}
