//! What every store promises, held against a model so simple that it is plainly right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod redis_support;

use std::collections::BTreeMap;

use callgate::counters::memory::MemoryStore;
use callgate::counters::redis::RedisStore;
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Freeze, Lift, Store};
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
}

#[test]
fn in_sqlite() {
    let (_folder, store) = sqlite();
    threads_never_pass_a_limit(&store);
    freezes_hold_and_end(&store);
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
