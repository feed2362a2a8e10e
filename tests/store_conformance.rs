//! What every store promises, held against a model so simple that it is plainly right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod redis_support;

use std::collections::BTreeMap;

use callgate::counters::approval::{self, MAX_WAITING};
use callgate::counters::memory::MemoryStore;
use callgate::counters::redis::RedisStore;
use callgate::counters::round::{MAX_ROUNDS, ROUND_MICROS, Round};
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{
    Answer, Approval, ApprovalVerdict, Asked, CallArgs, Freeze, Lift, Override, OverrideEffect, Store,
};
use callgate::policy::counter::{Amount, CounterKey, Reserved, Taken, Want};
use callgate::policy::model::Scope;
use callgate::time::Timestamp;
use proptest::prelude::*;
use redis_support::{Redis, fresh_fleet, redis_url};

const NOW: i64 = 1_800_000_000_000_000;

fn key(counter: u8, window: u64) -> CounterKey {
    CounterKey {
        server: "s".to_owned(),
        scope: [Scope::Grant, Scope::Server, Scope::Session][usize::from(counter) % 3],
        scope_value: "v".to_owned(),
        counter: format!("c{counter}"),
        window,
    }
}

/// What may happen to a store.
#[derive(Debug, Clone)]
enum Act {
    Reserve(Vec<(u8, bool, i128, i128, bool)>),
    /// Gives back what the so-manieth reservation took, perhaps once more.
    Release(usize),
    Peek(u8, bool),
    /// The clock goes so many seconds, also back.
    Clock(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let want = (0..3_u8, any::<bool>(), 0..5_i128, 0..12_i128, prop::bool::weighted(0.1));
    prop_oneof![
        6 => prop::collection::vec(want, 0..4).prop_map(Act::Reserve),
        2 => (0..20_usize).prop_map(Act::Release),
        1 => (0..3_u8, any::<bool>()).prop_map(|(counter, minute)| Act::Peek(counter, minute)),
        2 => prop_oneof![-200..200_i64, -5..50_i64].prop_map(Act::Clock),
    ]
}

/// Every window that ever was, in full; the current one of a counter is the latest it has seen.
#[derive(Default)]
struct Model {
    windows: BTreeMap<(CounterKey, i64), i128>,
    latest: BTreeMap<CounterKey, i64>,
}

impl Model {
    fn window(&self, key: &CounterKey, now: i64) -> i64 {
        let length = i64::try_from(key.window).unwrap() * 1_000_000;
        let aligned = now.div_euclid(length) * length;
        self.latest.get(key).map_or(aligned, |latest| aligned.max(*latest))
    }

    fn used(&self, key: &CounterKey, now: i64) -> i128 {
        self.windows.get(&(key.clone(), self.window(key, now))).copied().unwrap_or(0)
    }

    /// The counters afterwards when all had room.
    fn reserve(&mut self, now: i64, wants: &[Want]) -> Option<Vec<i128>> {
        let mut sums: BTreeMap<CounterKey, i128> = BTreeMap::new();
        let mut after = Vec::new();
        for want in wants {
            let sum = sums.entry(want.key.clone()).or_insert_with(|| self.used(&want.key, now));
            if !want.past_max && *sum + want.increment.0 > want.max.0 {
                return None;
            }
            *sum += want.increment.0;
            after.push(*sum);
        }
        for (key, sum) in sums {
            let window = self.window(&key, now);
            self.latest.insert(key.clone(), window);
            self.windows.insert((key, window), sum);
        }
        Some(after)
    }

    fn release(&mut self, taken: &[Taken]) {
        for one in taken {
            if let Some(used) = self.windows.get_mut(&(one.key.clone(), one.window_start.0)) {
                *used = (*used - one.amount.0).max(0);
            }
        }
    }
}

fn agrees(store: &dyn Store, acts: &[Act]) {
    let mut model = Model::default();
    let mut now = NOW;
    let mut taken: Vec<Vec<Taken>> = Vec::new();
    for act in acts {
        match act {
            Act::Clock(seconds) => now += seconds * 1_000_000,
            Act::Reserve(wants) => {
                let wants: Vec<Want> = wants
                    .iter()
                    .map(|(counter, minute, increment, max, past_max)| Want {
                        key: key(*counter, if *minute { 60 } else { 7 }),
                        increment: Amount(*increment),
                        max: Amount(*max),
                        past_max: *past_max,
                    })
                    .collect();
                let before: Vec<i128> = wants.iter().map(|want| model.used(&want.key, now)).collect();
                let starts: Vec<i64> = wants.iter().map(|want| model.window(&want.key, now)).collect();
                let expected = model.reserve(now, &wants);
                match (store.reserve(Timestamp(now), &wants).unwrap(), expected) {
                    (Reserved::Done { usages, taken: took }, Some(after)) => {
                        assert_eq!(usages.iter().map(|usage| usage.used.0).collect::<Vec<_>>(), after);
                        assert_eq!(
                            usages.iter().map(|usage| usage.window_start.0).collect::<Vec<_>>(),
                            starts
                        );
                        assert!(usages.iter().all(|usage| usage.room));
                        assert_eq!(took.iter().map(|one| one.window_start.0).collect::<Vec<_>>(), starts);
                        taken.push(took);
                    }
                    (Reserved::Full { usages }, None) => {
                        assert_eq!(usages.iter().map(|usage| usage.used.0).collect::<Vec<_>>(), before);
                        assert!(usages.iter().any(|usage| !usage.room));
                    }
                    (got, expected) => panic!("{got:?}, not {expected:?}"),
                }
            }
            Act::Release(which) => {
                if let Some(one) = taken.get(*which) {
                    // Only of a counter's current window does anything remain to be given back.
                    model.release(one);
                    store.release(one).unwrap();
                }
            }
            Act::Peek(counter, minute) => {
                let want = Want {
                    key: key(*counter, if *minute { 60 } else { 7 }),
                    increment: Amount::ZERO,
                    max: Amount(0),
                    past_max: false,
                };
                let got = store.peek(Timestamp(now), std::slice::from_ref(&want)).unwrap();
                assert_eq!(got[0].used.0, model.used(&want.key, now));
                assert_eq!(got[0].window_start.0, model.window(&want.key, now));
                assert_eq!(
                    got[0].resets_at.0,
                    got[0].window_start.0 + i64::try_from(want.key.window).unwrap() * 1_000_000
                );
            }
        }
    }
    // At the end, what the store lists is what the model holds.
    let listed: BTreeMap<CounterKey, i128> =
        store.counters(Timestamp(now)).unwrap().into_iter().map(|usage| (usage.key, usage.used.0)).collect();
    let held: BTreeMap<CounterKey, i128> = model
        .latest
        .keys()
        .map(|key| (key.clone(), model.used(key, now)))
        .filter(|(_, used)| *used > 0)
        .collect();
    assert_eq!(listed, held);
}

fn threads_never_pass_a_limit(store: &dyn Store) {
    let want = Want { key: key(9, 60), increment: Amount(1), max: Amount(500), past_max: false };
    let done: usize = std::thread::scope(|scope| {
        let work = || {
            (0..300)
                .filter(|_| {
                    let reserved = store.reserve(Timestamp(NOW), std::slice::from_ref(&want));
                    matches!(reserved, Ok(Reserved::Done { .. }))
                })
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(done, 500);
    assert_eq!(store.peek(Timestamp(NOW), &[want]).unwrap()[0].used, Amount(500));
}

fn freezes_hold_and_end(store: &dyn Store) {
    let freeze = |id: &str, server: Option<&str>, until: Option<i64>| Freeze {
        id: id.to_owned(),
        server: server.map(str::to_owned),
        grant: None,
        tool: None,
        until: until.map(Timestamp),
        by: "me".to_owned(),
        at: Timestamp(NOW),
        reason: "why".to_owned(),
    };
    let version = store.standing_version().unwrap();
    store.freeze(&freeze("1", None, None)).unwrap();
    store.freeze(&freeze("2", Some("s"), Some(NOW + 10))).unwrap();
    assert!(store.freeze(&freeze("1", Some("x"), None)).is_err());
    assert_ne!(store.standing_version().unwrap(), version);
    let ids = |now: i64| -> Vec<String> {
        store.standing(Timestamp(now)).unwrap().freezes.into_iter().map(|freeze| freeze.id).collect()
    };
    assert_eq!(ids(NOW), ["1", "2"]);
    assert_eq!(ids(NOW + 10), ["1"]);
    assert!(store.unfreeze(Some("s"), None, Some("t")).unwrap().is_empty());
    let lift = Lift { by: "her".to_owned(), at: Timestamp(NOW), reason: "over".to_owned() };
    assert_eq!(store.unfreeze_by(None, None, None, Some(&lift)).unwrap(), [freeze("1", None, None)]);
    assert_eq!(store.lifted("1").unwrap(), Some(lift));
    assert_eq!(store.lifted("2").unwrap(), None);
    assert_eq!(ids(NOW), ["2"]);
    assert_eq!(store.unfreeze(Some("s"), None, None).unwrap().len(), 1);
    assert!(ids(NOW).is_empty());
}

const MINUTE: i64 = 60_000_000;

fn question(id: &str, args: &str) -> Approval {
    Approval {
        id: id.to_owned(),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: format!("digest of {args}"),
        policy: "0123456789ab".to_owned(),
        args: CallArgs::new(&format!("{{\"x\": {args}}}")).unwrap(),
        rule: "/tools/t/approve_if/0".to_owned(),
        pointer: "/tools/t/approve_if/0".to_owned(),
        message: "sure?".to_owned(),
        client: Some("c 1".to_owned()),
        asked_at: Timestamp(NOW),
        until: Timestamp(NOW + 5 * MINUTE),
        timeout_s: 300,
        holders: 1,
        kept: false,
        verdict: None,
    }
}

fn verdict(approved: bool, by: &str) -> ApprovalVerdict {
    ApprovalVerdict {
        approved,
        by: by.to_owned(),
        at: Timestamp(NOW),
        note: "noted".to_owned(),
        until: Timestamp(NOW + 5 * MINUTE),
        for_s: None,
    }
}

fn one(max: i128) -> Want {
    Want { key: key(7, 60), increment: Amount(1), max: Amount(max), past_max: false }
}

fn standing_ids(store: &dyn Store, now: i64) -> Vec<String> {
    let listed = store.approvals(Timestamp(now)).unwrap();
    assert_eq!(store.standing(Timestamp(now)).unwrap().approvals, listed);
    listed.into_iter().map(|entry| entry.id).collect()
}

/// Whether something that gateways must see changed.
fn seen(store: &dyn Store, version: &mut u64) -> bool {
    let now = store.standing_version().unwrap();
    std::mem::replace(version, now) != now
}

fn approvals_are_asked_answered_and_spent_once(store: &dyn Store) {
    let now = Timestamp(NOW);
    let mut version = store.standing_version().unwrap();
    let first = question("1", "1.0");
    assert_eq!(store.ask_approval(now, &first).unwrap(), Asked::Waiting(first.clone()));
    assert!(seen(store, &mut version));
    assert_eq!(standing_ids(store, NOW), ["1"]);
    assert_eq!(store.approvals(now).unwrap(), std::slice::from_ref(&first), "as it was asked");
    // An equal call joins; each part of what makes calls equal tells them apart.
    let later = Approval { id: "2".to_owned(), until: Timestamp(NOW + 6 * MINUTE), ..first.clone() };
    let Asked::Waiting(joined) = store.ask_approval(now, &later).unwrap() else { panic!("it waits") };
    assert_eq!((joined.id.as_str(), joined.holders, joined.until), ("1", 2, later.until));
    assert!(seen(store, &mut version));
    for (n, other) in [
        Approval { server: "S".to_owned(), ..first.clone() },
        Approval { grant: "G".to_owned(), ..first.clone() },
        Approval { tool: "T".to_owned(), ..first.clone() },
        Approval { args_sha256: "digest of 1".to_owned(), ..first.clone() },
        Approval { policy: "ba9876543210".to_owned(), ..first.clone() },
    ]
    .into_iter()
    .enumerate()
    {
        let other = Approval { id: format!("other {n}"), ..other };
        assert_eq!(store.ask_approval(now, &other).unwrap(), Asked::Waiting(other.clone()));
        store.leave_approval(now, &other.id, true).unwrap();
    }
    assert!(
        store.ask_approval(now, &Approval { tool: "u".to_owned(), ..first.clone() }).is_err(),
        "an id twice"
    );
    assert_eq!(standing_ids(store, NOW), ["1"]);
    // Not spent before it is given, nor by another's id.
    assert_eq!(store.reserve_with_approval(now, &[one(1)], "1").unwrap(), None);
    assert_eq!(store.reserve_with_approval(now, &[one(1)], "no such").unwrap(), None);
    assert_eq!(store.decide_approval(now, "no such", &verdict(true, "me")).unwrap(), None);
    seen(store, &mut version);
    let decided = store.decide_approval(now, "1", &verdict(true, "me")).unwrap().unwrap();
    assert_eq!(decided.verdict, Some(verdict(true, "me")));
    assert!(seen(store, &mut version));
    assert_eq!(store.decide_approval(now, "1", &verdict(false, "her")).unwrap(), None, "once");
    store.leave_approval(now, "1", true).unwrap();
    store.leave_approval(now, "1", true).unwrap();
    assert_eq!(store.ask_approval(now, &later).unwrap(), Asked::Decided(decided), "it is for equal calls");
    // A limit without room spends nothing; with room both happen.
    store.reserve(now, &[one(1)]).unwrap();
    assert!(matches!(store.reserve_with_approval(now, &[one(1)], "1").unwrap(), Some(Reserved::Full { .. })));
    assert_eq!(standing_ids(store, NOW), ["1"]);
    seen(store, &mut version);
    let done = store.reserve_with_approval(now, &[one(2)], "1").unwrap();
    assert!(matches!(done, Some(Reserved::Done { .. })), "{done:?}");
    assert!(seen(store, &mut version));
    assert_eq!(store.peek(now, &[one(2)]).unwrap()[0].used, Amount(2));
    assert_eq!(store.reserve_with_approval(now, &[one(9)], "1").unwrap(), None, "once");
    assert_eq!(store.peek(now, &[one(2)]).unwrap()[0].used, Amount(2));
    assert!(standing_ids(store, NOW).is_empty());
    assert_eq!(store.ask_approval(now, &later).unwrap(), Asked::Waiting(later.clone()), "asked anew");
    // A no is for every equal call, and spent by none.
    store.decide_approval(now, "2", &verdict(false, "her")).unwrap().unwrap();
    for _ in 0..2 {
        let Asked::Decided(no) = store.ask_approval(now, &first).unwrap() else { panic!("answered") };
        assert_eq!(no.verdict.unwrap().note, "noted");
        assert_eq!(store.reserve_with_approval(now, &[one(9)], "2").unwrap(), None);
    }
    // With no limits to count, an approval is spent all the same.
    let free = question("3", "3");
    store.ask_approval(now, &free).unwrap();
    store.decide_approval(now, "3", &verdict(true, "me")).unwrap().unwrap();
    assert!(store.reserve_with_approval(now, &[], "3").unwrap().is_some());
    assert_eq!(store.reserve_with_approval(now, &[], "3").unwrap(), None);
}

fn approvals_end(store: &dyn Store) {
    let (now, over) = (Timestamp(NOW), Timestamp(NOW + 5 * MINUTE));
    // Unanswered.
    store.ask_approval(now, &question("e1", "1")).unwrap();
    assert!(standing_ids(store, over.0).is_empty());
    assert_eq!(store.decide_approval(over, "e1", &verdict(true, "me")).unwrap(), None);
    let anew = Approval { id: "e2".to_owned(), until: Timestamp(NOW + 9 * MINUTE), ..question("e2", "1") };
    assert_eq!(store.ask_approval(over, &anew).unwrap(), Asked::Waiting(anew.clone()));
    // Given, and not used in time.
    store.decide_approval(now, "e2", &verdict(true, "me")).unwrap().unwrap();
    assert_eq!(store.reserve_with_approval(over, &[one(9)], "e2").unwrap(), None);
    assert!(matches!(
        store.ask_approval(over, &Approval { id: "e3".to_owned(), ..anew }),
        Ok(Asked::Waiting(_))
    ));
    store.leave_approval(over, "e3", true).unwrap();
    // Cancelled by everyone; but not where one was told to come back.
    for kept in [false, true] {
        let entry = question(if kept { "e5" } else { "e4" }, "4");
        store.ask_approval(now, &entry).unwrap();
        store.ask_approval(now, &Approval { id: "x".to_owned(), ..entry.clone() }).unwrap();
        store.leave_approval(now, &entry.id, !kept).unwrap();
        assert_eq!(standing_ids(store, NOW), [entry.id.as_str()]);
        store.leave_approval(now, &entry.id, true).unwrap();
        assert_eq!(standing_ids(store, NOW).len(), usize::from(kept));
        store.leave_approval(now, &entry.id, true).unwrap();
    }
    assert_eq!(store.approvals(now).unwrap()[0].holders, 0);
}

fn few_questions_of_a_grant_wait(store: &dyn Store) {
    let now = Timestamp(NOW);
    for n in 0..MAX_WAITING {
        let asked = store.ask_approval(now, &question(&format!("w{n:02}"), &format!("{n}"))).unwrap();
        assert!(matches!(asked, Asked::Waiting(_)));
    }
    let more = question("more", "99");
    assert_eq!(store.ask_approval(now, &more).unwrap(), Asked::TooMany);
    let other = Approval { grant: "other".to_owned(), ..question("other", "99") };
    assert!(matches!(store.ask_approval(now, &other).unwrap(), Asked::Waiting(_)), "another grant's");
    let joins = question("joins", "0");
    assert!(matches!(store.ask_approval(now, &joins).unwrap(), Asked::Waiting(_)), "no further entry");
    store.decide_approval(now, "w00", &verdict(false, "me")).unwrap().unwrap();
    assert!(
        matches!(store.ask_approval(now, &more).unwrap(), Asked::Waiting(_)),
        "an answered one makes room"
    );
    assert_eq!(store.ask_approval(now, &question("yet more", "100")).unwrap(), Asked::TooMany);
    let ids = standing_ids(store, NOW);
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(ids, sorted, "in the order of their asking, then of their ids");
}

fn rounds_are_taken_once(store: &dyn Store) {
    let (now, over) = (Timestamp(NOW), Timestamp(NOW + ROUND_MICROS));
    let round = |args: &str, state: Option<&str>| Round {
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: args.to_owned(),
        state_sha256: state.map(str::to_owned),
    };
    let kept = round("a", Some("state"));
    assert!(!store.take_round(now, &kept).unwrap());
    store.remember_round(now, &kept).unwrap();
    for other in [
        round("a", None),
        round("a", Some("State")),
        round("b", Some("state")),
        Round { server: "S".to_owned(), ..kept.clone() },
        Round { grant: "G".to_owned(), ..kept.clone() },
        Round { tool: "T".to_owned(), ..kept.clone() },
    ] {
        assert!(!store.take_round(now, &other).unwrap(), "{other:?}");
    }
    assert!(store.take_round(now, &kept).unwrap());
    assert!(!store.take_round(now, &kept).unwrap(), "once");
    // Equal ones are as many as they are.
    store.remember_round(now, &round("a", None)).unwrap();
    store.remember_round(now, &round("a", None)).unwrap();
    let taken = (0..3).filter(|_| store.take_round(now, &round("a", None)).unwrap()).count();
    assert_eq!(taken, 2);
    store.remember_round(now, &kept).unwrap();
    assert!(!store.take_round(over, &kept).unwrap(), "an hour and no more");
    assert!(store.take_round(Timestamp(over.0 - 1), &kept).unwrap());
    for n in 0..=MAX_ROUNDS {
        store.remember_round(now, &round(&n.to_string(), None)).unwrap();
    }
    assert!(!store.take_round(now, &round("0", None)).unwrap(), "the oldest is forgotten");
    assert!(store.take_round(now, &round("1", None)).unwrap());
    assert!(store.take_round(now, &round(&MAX_ROUNDS.to_string(), None)).unwrap());
}

fn threads_answer_and_spend_once(store: &dyn Store) {
    let now = Timestamp(NOW);
    for n in 0..20 {
        let id = format!("r{n:02}");
        store.ask_approval(now, &question(&id, "77")).unwrap();
        let count = |work: &(dyn Fn(usize) -> bool + Sync)| -> usize {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|k| scope.spawn(move || work(k))).collect();
                threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
            })
        };
        let decided =
            count(&|k| store.decide_approval(now, &id, &verdict(true, &k.to_string())).unwrap().is_some());
        assert_eq!(decided, 1);
        let spent = count(&|_| {
            matches!(
                store.reserve_with_approval(now, &[one(1000)], &id).unwrap(),
                Some(Reserved::Done { .. })
            )
        });
        assert_eq!(spent, 1);
        assert_eq!(store.peek(now, &[one(1000)]).unwrap()[0].used, Amount(n + 1));
    }
}

fn an_answer_for_a_while_sets_an_override(store: &dyn Store) {
    let now = Timestamp(NOW);
    let yes = Answer { approved: true, by: "me".to_owned(), note: String::new(), for_s: Some(900) };
    assert_eq!(approval::answer(store, now, "none", &yes, || "o".to_owned()).unwrap(), None);
    store.ask_approval(now, &question("1", "1")).unwrap();
    let decided = approval::answer(store, now, "1", &yes, || "o".to_owned()).unwrap().unwrap();
    let given = decided.verdict.unwrap();
    assert_eq!((given.for_s, given.until), (Some(900), Timestamp(NOW + 5 * MINUTE)));
    assert_eq!(approval::answer(store, now, "1", &yes, || "p".to_owned()).unwrap(), None);
    let overrides = store.standing(now).unwrap().overrides;
    let [set] = overrides.as_slice() else { panic!("{overrides:?}") };
    assert_eq!(set.effect, OverrideEffect::Approved);
    assert_eq!((set.grant.as_deref(), set.args_sha256.as_deref()), (Some("g"), Some("digest of 1")));
    assert_eq!(set.until, Some(Timestamp(NOW + 15 * MINUTE)));
    let lift = Lift { by: "me".to_owned(), at: now, reason: "done".to_owned() };
    assert!(store.end_override_by("o", Some(&lift)).unwrap().is_some());
    assert_eq!(store.lifted("o").unwrap(), Some(lift.clone()));
    assert!(store.end_override_by("o", Some(&lift)).unwrap().is_none());
    let bound = Override { id: "q".to_owned(), run: Some("r".to_owned()), ..set.clone() };
    store.set_override(&bound).unwrap();
    assert_eq!(store.standing(now).unwrap().overrides, [bound]);
}

/// All that is promised of approvals and rounds; each part gets an empty store.
fn questions_hold(fresh: &mut dyn FnMut() -> Box<dyn Store>) {
    approvals_are_asked_answered_and_spent_once(&*fresh());
    approvals_end(&*fresh());
    few_questions_of_a_grant_wait(&*fresh());
    rounds_are_taken_once(&*fresh());
    threads_answer_and_spend_once(&*fresh());
    an_answer_for_a_while_sets_an_override(&*fresh());
}

fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.sqlite")).unwrap();
    (folder, store)
}

/// A place in a Redis for a fleet: in the one that `CALLGATE_REDIS` names, or in one of our own that
/// ends with the second value. `None` where there is neither.
fn redis_place() -> Option<(String, Option<Redis>)> {
    if let Ok(url) = std::env::var("CALLGATE_REDIS") {
        let mark = if url.contains('?') { '&' } else { '?' };
        return Some((format!("{url}{mark}fleet="), None));
    }
    let redis = Redis::in_memory()?;
    let url = redis.url("");
    Some((url, Some(redis)))
}

#[test]
fn in_redis() {
    let Some((place, _redis)) = redis_place() else { return };
    let open =
        || RedisStore::open_by_callers_clock(&redis_url(&format!("{place}{}", fresh_fleet()))).unwrap();
    threads_never_pass_a_limit(&open());
    freezes_hold_and_end(&open());
    questions_hold(&mut || Box::new(open()));
}

#[test]
fn redis_agrees_with_the_model() {
    let Some((place, _redis)) = redis_place() else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = runner.run(&prop::collection::vec(act(), 1..60), |acts| {
        let url = redis_url(&format!("{place}{}", fresh_fleet()));
        agrees(&RedisStore::open_by_callers_clock(&url).unwrap(), &acts);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn in_memory() {
    threads_never_pass_a_limit(&MemoryStore::new());
    freezes_hold_and_end(&MemoryStore::new());
    questions_hold(&mut || Box::new(MemoryStore::new()));
}

#[test]
fn in_sqlite() {
    let (_folder, store) = sqlite();
    threads_never_pass_a_limit(&store);
    freezes_hold_and_end(&store);
    let mut folders = Vec::new();
    questions_hold(&mut || {
        let (folder, store) = sqlite();
        folders.push(folder);
        Box::new(store)
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_agrees_with_the_model(acts in prop::collection::vec(act(), 1..60)) {
        agrees(&MemoryStore::new(), &acts);
    }

}

proptest! {
    // Each case makes a file, and waits for the disk.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_agrees_with_the_model(acts in prop::collection::vec(act(), 1..60)) {
        let (_folder, store) = sqlite();
        agrees(&store, &acts);
    }
}

/// What a list showed is kept whole, and who sees the same again changes no instant.
fn tools_are_seen(store: &dyn Store) {
    let list = |list: &[(&str, &str)]| {
        list.iter().map(|(tool, digest)| ((*tool).to_owned(), (*digest).to_owned())).collect::<Vec<_>>()
    };
    let seen = |server: &str| {
        let seen = store.seen_tools(server).unwrap();
        seen.into_iter().map(|seen| (seen.tool, seen.digest, seen.at.0)).collect::<Vec<_>>()
    };
    let is = |tool: &str, digest: &str, at: i64| (tool.to_owned(), digest.to_owned(), at);
    assert_eq!(seen("s"), []);
    let before = store.standing_version().unwrap();
    store.see_tools(Timestamp(1), "s", &list(&[("b", "1"), ("a|", "2"), ("ä\n", "3")])).unwrap();
    assert_ne!(store.standing_version().unwrap(), before, "every gateway is told");
    assert_eq!(seen("s"), [is("a|", "2", 1), is("b", "1", 1), is("ä\n", "3", 1)]);
    store.see_tools(Timestamp(2), "s", &list(&[("b", "1"), ("a|", "9")])).unwrap();
    assert_eq!(seen("s"), [is("a|", "9", 2), is("b", "1", 1)]);
    assert_eq!(seen("s:x"), []);
    store.see_tools(Timestamp(3), "s", &[]).unwrap();
    assert_eq!(seen("s"), []);
}

#[test]
fn lists_are_kept_by_each_store() {
    tools_are_seen(&MemoryStore::new());
    let folder = tempfile::tempdir().unwrap();
    tools_are_seen(&SqliteStore::open(&folder.path().join("store.sqlite")).unwrap());
    let Some((place, _redis)) = redis_place() else { return };
    tools_are_seen(&RedisStore::open(&redis_url(&format!("{place}{}", fresh_fleet()))).unwrap());
}
