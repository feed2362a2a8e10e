//! What a fleet's store promises beyond what every store does: exact amounts, the server's clock,
//! its own names, and what becomes of it when the server is slow, gone, back, or back without what
//! it held.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod redis_support;

use std::time::{Duration, Instant};

use callgate::clock;
use callgate::counters::redis::{RedisStore, TIMEOUT};
use callgate::counters::{
    Approval, ApprovalVerdict, Asked, CallArgs, Freeze, Override, OverrideEffect, Round, Store,
};
use callgate::policy::counter::{Amount, CounterKey, Reserved, Want, window_start};
use callgate::policy::model::Scope;
use callgate::time::Timestamp;
use redis_support::{Redis, redis_url};

fn want(counter: &str, increment: i128, max: i128) -> Want {
    Want {
        key: CounterKey {
            server: "s".to_owned(),
            scope: Scope::Grant,
            scope_value: "local".to_owned(),
            counter: counter.to_owned(),
            // Long, so that no window ends while a test runs.
            window: 1_000_000_000,
        },
        increment: Amount(increment),
        max: Amount(max),
        past_max: false,
    }
}

fn used(store: &dyn Store, counter: &str) -> i128 {
    store.peek(clock::now(), &[want(counter, 0, 1)]).unwrap()[0].used.0
}

fn done(store: &dyn Store, wants: &[Want]) -> bool {
    matches!(store.reserve(clock::now(), wants).unwrap(), Reserved::Done { .. })
}

fn freeze(id: &str) -> Freeze {
    Freeze {
        id: id.to_owned(),
        server: None,
        grant: None,
        tool: None,
        until: None,
        by: "me".to_owned(),
        at: clock::now(),
        reason: "because".to_owned(),
    }
}

/// Asks again until it is so, for at most a while.
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn amounts_of_any_size_are_exact() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    let edges = [
        (1_i128 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        99_999_999_999_999,
        100_000_000_000_000,
        9_999_999_999_999_999_999_999_999_999,
        10_000_000_000_000_000_000_000_000_000,
        i128::MAX / 3,
        i128::MAX - 1,
    ];
    for (at, edge) in edges.into_iter().enumerate() {
        let name = format!("edge {at}");
        assert!(done(&store, &[want(&name, edge, edge)]), "{edge}");
        assert!(!done(&store, &[want(&name, 1, edge)]), "{edge}: one more passed");
        assert!(done(&store, &[want(&name, 1, edge + 1)]), "{edge}: the last one had room");
        assert_eq!(used(&store, &name), edge + 1);
        let Reserved::Done { taken, .. } =
            store.reserve(clock::now(), &[Want { past_max: true, ..want(&name, 2, 0) }]).unwrap()
        else {
            panic!("an allow override counts past the max")
        };
        store.release(&taken).unwrap();
        // The largest amount there is stays the largest when more is added.
        assert_eq!(used(&store, &name), if edge == i128::MAX - 1 { i128::MAX - 2 } else { edge + 1 });
    }
    assert!(!done(&store, &[want("back", -1, 10)]), "nobody counts backwards");
    assert!(!done(&store, &[want("none", 0, -1)]), "a negative max has no room");
}

#[test]
fn the_servers_clock_decides() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    let minute = Want { key: CounterKey { window: 60, ..want("m", 1, 1).key }, ..want("m", 1, 1) };
    for wrong in [Timestamp(0), clock::now().plus_micros(86_400_000_000), clock::now()] {
        let before = window_start(clock::now(), 60);
        let (Reserved::Done { usages, .. } | Reserved::Full { usages }) =
            store.reserve(wrong, std::slice::from_ref(&minute)).unwrap();
        let after = window_start(clock::now(), 60);
        assert!((before..=after).contains(&usages[0].window_start), "{wrong:?}: {usages:?}");
    }
}

#[test]
fn names_are_only_names_and_fleets_are_apart() {
    let Some(redis) = Redis::in_memory() else { return };
    let (a, b) = (redis.store("a"), RedisStore::open(&redis_url(&redis.socket_url("b"))).unwrap());
    let odd = ["x:y", "x", "", "%", "}{*", "KEYS[1]", "\r\nFLUSHALL\r\n", "ä\u{202e}"];
    for name in odd {
        assert!(done(&a, &[want(name, 1, 1)]));
    }
    for name in odd {
        assert_eq!((used(&a, name), used(&b, name)), (1, 0), "{name:?}");
    }
    let mut listed: Vec<String> =
        a.counters(clock::now()).unwrap().into_iter().map(|usage| usage.key.counter).collect();
    let mut expected = odd.map(str::to_owned).to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    a.freeze(&Freeze { server: Some("x,-".to_owned()), reason: "a|b|c\n".to_owned(), ..freeze("1|2") })
        .unwrap();
    assert!(a.unfreeze(Some("x"), None, None).unwrap().is_empty());
    assert!(b.standing(clock::now()).unwrap().freezes.is_empty());
    let ended = a.unfreeze(Some("x,-"), None, None).unwrap();
    assert_eq!((ended[0].id.as_str(), ended[0].reason.as_str()), ("1|2", "a|b|c\n"));
}

#[test]
fn everything_that_ends_is_kept_no_longer() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    let key = CounterKey { window: 60, ..want("c", 1, 9).key };
    assert!(done(&store, &[Want { key: key.clone(), ..want("c", 1, 9) }]));
    // The second one must not take the end off.
    assert!(done(&store, &[Want { key, ..want("c", 1, 9) }]));
    let client = redis::Client::open(redis.url("").replace("?fleet=", "")).unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("callgate:{a}:*").query(&mut connection).unwrap();
    let counters: Vec<&String> = keys.iter().filter(|key| key.contains(":counter")).collect();
    assert_eq!(counters.len(), 2, "{keys:?}");
    for key in counters {
        let left: i64 = redis::cmd("TTL").arg(key).query(&mut connection).unwrap();
        assert!((86_000..=86_400 + 60).contains(&left), "{key}: {left}");
    }
    // Nothing lies outside the prefix.
    let all: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(all.iter().all(|key| key.starts_with("callgate:{")), "{all:?}");
}

#[test]
fn scripts_that_were_flushed_are_sent_again() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    assert!(done(&store, &[want("c", 1, 2)]));
    let client = redis::Client::open(redis.url("").replace("?fleet=", "")).unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut client.get_connection().unwrap()).unwrap();
    assert!(done(&store, &[want("c", 1, 2)]));
    assert!(!done(&store, &[want("c", 1, 2)]));
}

#[test]
fn an_override_is_used_up_once_by_all() {
    let Some(redis) = Redis::in_memory() else { return };
    let entry = Override {
        id: "o".to_owned(),
        effect: OverrideEffect::Allow,
        server: "s".to_owned(),
        grant: None,
        tool: "t".to_owned(),
        args_sha256: None,
        until: None,
        uses: Some(5),
        run: None,
        by: "me".to_owned(),
        at: clock::now(),
        reason: String::new(),
    };
    let stores: Vec<RedisStore> = (0..4).map(|_| redis.store("a")).collect();
    stores[0].set_override(&entry).unwrap();
    assert!(stores[1].set_override(&entry).is_err());
    let full = [want("full", 1, 0)];
    assert!(matches!(
        stores[0].reserve_with_override(clock::now(), &full, "o"),
        Ok(Some(Reserved::Full { .. }))
    ));
    let wants = [Want { past_max: true, ..want("c", 1, 0) }];
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .map(|store| {
                let wants = &wants;
                scope.spawn(move || {
                    (0..10)
                        .filter(|_| {
                            let reserved = store.reserve_with_override(clock::now(), wants, "o").unwrap();
                            matches!(reserved, Some(Reserved::Done { .. }))
                        })
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((passed, used(&stores[3], "c")), (5, 5));
    assert!(stores[2].standing(clock::now()).unwrap().overrides.is_empty());
    assert_eq!(stores[2].end_override("o").unwrap().unwrap().uses, Some(0));
    let ended = Override { id: "e".to_owned(), until: Some(Timestamp(1)), ..entry };
    stores[0].set_override(&ended).unwrap();
    assert_eq!(stores[1].reserve_with_override(clock::now(), &wants, "e").unwrap(), None);
}

#[test]
fn a_silent_server_costs_no_call_more_than_the_timeout() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    assert!(done(&store, &[want("c", 1, 9)]));
    redis.halt();
    let began = Instant::now();
    let error = store.reserve(clock::now(), &[want("c", 1, 9)]).unwrap_err();
    assert!(error.why.contains("no answer within 500 ms"), "{error}");
    assert!(began.elapsed() < TIMEOUT * 4, "{:?}", began.elapsed());
    // The next ones do not wait at all, but for one that tries again now and then.
    let began = Instant::now();
    let mut waited = 0;
    for _ in 0..50 {
        let one = Instant::now();
        assert!(store.reserve(clock::now(), &[want("c", 1, 9)]).is_err());
        waited += u32::from(one.elapsed() > TIMEOUT / 4);
    }
    assert!(waited <= 1 && began.elapsed() < TIMEOUT * 4, "{waited} waited, {:?}", began.elapsed());
    redis.go_on();
    eventually("it answers again", || store.standing_version().is_ok());
    eventually("calls are counted again", || store.reserve(clock::now(), &[want("c", 1, 9)]).is_ok());
    // The one that got no answer may have been counted: more than passed, never less.
    assert!((2..=5).contains(&used(&store, "c")), "{}", used(&store, "c"));
}

#[test]
fn a_server_that_was_killed_goes_on_with_what_it_held() {
    let Some(mut redis) = Redis::durable() else { return };
    let store = redis.store("a");
    store.freeze(&freeze("f")).unwrap();
    let mut passed = 0;
    for _ in 0..3 {
        for _ in 0..5 {
            passed += i128::from(done(&store, &[want("c", 1, 1000)]));
        }
        redis.kill();
        assert!(store.reserve(clock::now(), &[want("c", 1, 1000)]).is_err());
        assert!(store.standing_version().is_err());
        redis.up();
        eventually("it answers again", || store.standing_version().is_ok());
        assert_eq!(used(&store, "c"), passed);
        assert!(store.news().iter().any(|news| news.contains("restarted")), "a restart is told of");
        assert!(store.news().is_empty(), "once");
    }
    assert_eq!(store.standing(clock::now()).unwrap().freezes.len(), 1);
}

#[test]
fn a_server_that_came_back_empty_is_believed_nothing() {
    let Some(mut redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    store.freeze(&freeze("f")).unwrap();
    assert!(done(&store, &[want("c", 1, 1)]));
    redis.kill();
    redis.up();
    // Somebody new begins at once with what is there; those who knew more do not follow.
    let fresh = redis.store("a");
    assert!(done(&fresh, &[want("c", 1, 1)]));
    eventually("it answers", || {
        store.reserve(clock::now(), &[want("d", 1, 1)]).is_err_and(|error| error.why.contains("came back"))
    });
    for _ in 0..3 {
        assert!(store.reserve(clock::now(), &[want("d", 1, 1)]).is_err());
        assert!(store.standing_version().is_err());
        assert!(store.standing(clock::now()).is_err());
        assert!(store.freeze(&freeze("g")).is_err());
        assert!(store.reserve(clock::now(), &[]).is_err());
        assert!(store.counters(clock::now()).is_err());
    }
    assert_eq!(used(&fresh, "d"), 0, "nothing was counted");
}

#[test]
fn a_server_that_lost_its_last_changes_is_believed_nothing() {
    let Some(mut redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    assert!(done(&store, &[want("c", 1, 9)]));
    let client = redis::Client::open(redis.url("").replace("?fleet=", "")).unwrap();
    redis::cmd("SAVE").exec(&mut client.get_connection().unwrap()).unwrap();
    redis.kill();
    redis.up();
    eventually("what was saved is enough so far", || store.standing_version().is_ok());
    assert!(done(&store, &[want("c", 1, 9)]));
    redis.kill();
    redis.up();
    eventually("it is noticed", || {
        store.standing_version().is_err_and(|error| error.why.contains("without its last changes"))
    });
    assert!(store.reserve(clock::now(), &[want("c", 1, 9)]).is_err());
    // Who did not see them cannot know.
    assert_eq!(used(&redis.store("a"), "c"), 1);
}

#[test]
fn a_replica_takes_no_call() {
    let Some(redis) = Redis::in_memory() else { return };
    let store = redis.store("a");
    let client = redis::Client::open(redis.url("").replace("?fleet=", "")).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec(&mut connection).unwrap();
    let error = store.reserve(clock::now(), &[want("c", 1, 9)]).unwrap_err();
    assert!(error.why.contains("name the primary"), "{error}");
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut connection).unwrap();
    eventually("it is a primary again", || store.reserve(clock::now(), &[want("c", 1, 9)]).is_ok());
}

#[test]
fn an_approval_given_anywhere_is_used_once_by_all_and_outlives_the_server() {
    let Some(mut redis) = Redis::durable() else { return };
    let (here, there) = (redis.store("a"), redis.store("a"));
    let now = clock::now();
    let question = |id: &str| Approval {
        id: id.to_owned(),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t|u".to_owned(),
        args_sha256: "d".to_owned(),
        policy: "0123456789ab".to_owned(),
        args: CallArgs::new(r#"{"amount": 12345678901234567890.123456, "text": "a|b\\n"}"#).unwrap(),
        rule: "r".to_owned(),
        pointer: "p".to_owned(),
        message: "sure?".to_owned(),
        client: None,
        asked_at: now,
        until: now.plus_micros(300_000_000),
        timeout_s: 300,
        holders: 1,
        kept: false,
        verdict: None,
    };
    assert_eq!(here.ask_approval(now, &question("1")).unwrap(), Asked::Waiting(question("1")));
    let Asked::Waiting(joined) = there.ask_approval(now, &question("2")).unwrap() else { panic!("it waits") };
    assert_eq!((joined.id.as_str(), joined.holders), ("1", 2));
    assert_eq!(there.approvals(now).unwrap()[0].args, question("1").args, "as the person must see them");
    let round = Round {
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: "d".to_owned(),
        state_sha256: None,
    };
    here.remember_round(now, &round).unwrap();
    redis.kill();
    assert!(here.decide_approval(now, "1", &verdict(now)).is_err());
    redis.up();
    eventually("it answers again", || here.standing_version().is_ok() && there.standing_version().is_ok());
    assert!(here.decide_approval(now, "1", &verdict(now)).unwrap().is_some());
    let spent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = [&here, &there, &here, &there]
            .map(|store| {
                scope.spawn(move || {
                    let reserved = store.reserve_with_approval(now, &[want("c", 1, 9)], "1").unwrap();
                    usize::from(matches!(reserved, Some(Reserved::Done { .. })))
                })
            })
            .into_iter()
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((spent, used(&there, "c")), (1, 1));
    assert!(there.approvals(now).unwrap().is_empty());
    assert!(there.take_round(now, &round).unwrap() && !here.take_round(now, &round).unwrap());
}

fn verdict(now: Timestamp) -> ApprovalVerdict {
    ApprovalVerdict {
        approved: true,
        by: "me".to_owned(),
        at: now,
        note: String::new(),
        until: now.plus_micros(300_000_000),
        for_s: None,
    }
}
