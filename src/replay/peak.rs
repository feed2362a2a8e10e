//! How close recorded calls would have come to a limit: the fullest window of its counter.

use std::collections::HashSet;

use super::engine::Applies;
use super::recorded::Entry;
use crate::json;
use crate::policy::compiled::amount_at;
use crate::policy::counter::{Amount, Caller, CounterKey, Reserved, Want};
use crate::policy::memory::MemoryCounters;
use crate::policy::model::Scope;
use crate::policy::path::Path;
use crate::record::line::Line;
use crate::time::Timestamp;

/// After so many calls, counters whose windows are over are forgotten.
const FORGET_EVERY: u64 = 32 * 1024;

/// A limit that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The tools whose calls count; none: every tool's.
    pub tools: Vec<String>,
    /// Each tool has a counter of its own.
    pub apart: bool,
    /// The window's length in seconds.
    pub window: u64,
    /// Whose calls share a counter.
    pub scope: Scope,
    /// The path of the number that is counted; `None`: calls are.
    pub from: Option<String>,
    /// How much a counter may hold, where that is written already.
    pub max: Option<Amount>,
}

/// The fullest window of recorded calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// What it held.
    pub most: Amount,
    /// How many calls were looked at.
    pub calls: u64,
    /// How many of them would have found no room.
    pub over: u64,
    /// When the first of them came.
    pub since: Timestamp,
    /// When the last one came.
    pub until: Timestamp,
}

/// Counts recorded calls, which come in the order of their times.
#[derive(Debug)]
pub struct Peaks {
    tools: HashSet<String>,
    apart: bool,
    window: u64,
    scope: Scope,
    /// `Err`: a path that cannot be followed counts nothing.
    from: Option<Result<Path, ()>>,
    max: Option<Amount>,
    /// Everything that came.
    all: MemoryCounters,
    /// What found room, as at the gateway.
    held: MemoryCounters,
    found: Option<Peak>,
}

impl Peaks {
    /// Nothing came yet.
    pub fn new(bound: &Bound) -> Self {
        Self {
            tools: bound.tools.iter().cloned().collect(),
            apart: bound.apart,
            window: bound.window,
            scope: bound.scope,
            from: bound.from.as_deref().map(|path| Path::parse(path).map_err(|_| ())),
            max: bound.max,
            all: MemoryCounters::new(),
            held: MemoryCounters::new(),
            found: None,
        }
    }

    /// Takes a journal's line; one that is no call of theirs, or a call's second decision, is none.
    pub fn line(&mut self, line: &Line<'_>, applies: &Applies) {
        let Entry::Call(call) = Entry::of(line) else { return };
        if call.held_by.is_some() || !applies.to(call.server, call.grant) {
            return;
        }
        let caller = Caller { server: call.server, grant: call.grant, session: call.session };
        self.call(call.ts, &caller, call.tool, call.args);
    }

    /// Takes a call.
    pub fn call(&mut self, ts: Timestamp, caller: &Caller<'_>, tool: &str, args: Option<&str>) {
        if !self.tools.is_empty() && !self.tools.contains(tool) {
            return;
        }
        let Some(increment) = self.increment(args) else { return };
        let key = caller.key(self.scope, if self.apart { tool } else { "" }, self.window);
        let found =
            self.found.get_or_insert(Peak { most: Amount::ZERO, calls: 0, over: 0, since: ts, until: ts });
        found.calls += 1;
        found.until = found.until.max(ts);
        let want = |key: &CounterKey, max, past_max| Want { key: key.clone(), increment, max, past_max };
        if let Reserved::Done { usages, .. } = self.all.reserve(ts, &[want(&key, Amount::ZERO, true)]) {
            let used = usages.first().map_or(Amount::ZERO, |usage| usage.used);
            found.most = found.most.max(used);
        }
        if let Some(max) = self.max
            && let Reserved::Full { .. } = self.held.reserve(ts, &[want(&key, max, false)])
        {
            found.over += 1;
        }
        if found.calls.is_multiple_of(FORGET_EVERY) {
            self.all.forget(ts);
            self.held.forget(ts);
        }
    }

    /// How much a call adds; `None` where that cannot be told.
    fn increment(&self, args: Option<&str>) -> Option<Amount> {
        match &self.from {
            None => Some(Amount::ONE),
            Some(Err(())) => None,
            Some(Ok(path)) => amount_at(path, Some(&json::parse(args?).ok()?.root)),
        }
    }

    /// What was found so far; `None`: no call came.
    pub fn peak(&self) -> Option<Peak> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGS: &str = r#"{"n":2.5,"to":[{"id":"a"}]}"#;

    fn bound(window: u64, scope: Scope) -> Bound {
        Bound { tools: Vec::new(), apart: false, window, scope, from: None, max: None }
    }

    fn peak(bound: &Bound, calls: &[(i64, &str, &str)]) -> Option<Peak> {
        let mut peaks = Peaks::new(bound);
        for (secs, grant, tool) in calls {
            let caller = Caller { server: "s", grant, session: None };
            peaks.call(Timestamp::from_secs(*secs), &caller, tool, Some(ARGS));
        }
        peaks.peak()
    }

    #[test]
    fn the_fullest_window_is_found_and_what_finds_no_room_counts_nothing() {
        let calls =
            [(0, "x", "t"), (10, "x", "t"), (59, "y", "t"), (61, "x", "t"), (62, "x", "u"), (63, "x", "t")];
        let amount = |text| Amount::parse(text).unwrap();
        let found = peak(&Bound { max: Some(amount("2")), ..bound(60, Scope::Grant) }, &calls).unwrap();
        assert_eq!((found.most, found.calls, found.over), (amount("3"), 6, 1));
        assert_eq!((found.since, found.until), (Timestamp::from_secs(0), Timestamp::from_secs(63)));
        let found = peak(&bound(60, Scope::Server), &calls).unwrap();
        assert_eq!((found.most, found.over), (amount("3"), 0));
        let from = |path: &str| Bound { from: Some(path.to_owned()), ..bound(3600, Scope::Grant) };
        assert_eq!(peak(&from("args.n"), &calls).unwrap().most, amount("12.5"));
        assert_eq!(peak(&from("args.missing"), &calls), None, "what cannot be counted is no call");
        assert_eq!(peak(&from("args..n"), &calls), None);
        // One tool's, and each with a counter of its own.
        let only = Bound { tools: vec!["t".to_owned()], ..bound(60, Scope::Grant) };
        assert_eq!(peak(&only, &calls).unwrap().most, amount("2"));
        let apart = Bound { apart: true, ..bound(60, Scope::Grant) };
        assert_eq!(peak(&apart, &calls).unwrap().most, amount("2"));
        assert_eq!(peak(&bound(60, Scope::Grant), &[]), None);
    }
}
