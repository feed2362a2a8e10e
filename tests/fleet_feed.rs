//! One feed that shows a whole fleet: every record of every gateway once, gaps announced, also while
//! the Redis between them is killed and restarted.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod feed_support;
mod gateway_support;
mod redis_support;

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate::feed::client::{FeedAddr, FeedEvent, Feeds, Handle, WatchOptions, watch};
use callgate::feed::discovery;
use callgate::record::Record;
use feed_support::{Gateway, line, next};
use gateway_support::{ALLOW, Home, denied, until};
use redis_support::{Redis, redis_url};
use tokio::sync::mpsc::Receiver;

fn member(run: &std::path::Path, id: &str, redis: &Redis) -> Gateway {
    let url = redis_url(&redis.url("fleet"));
    Gateway::with(run, id, |mut config| {
        config.fleet = Some(url);
        config
    })
}

fn address(gateway: &Gateway) -> FeedAddr {
    FeedAddr { url: gateway.url(), token: gateway.hub.token().to_owned() }
}

fn attach(gateways: &[&Gateway]) -> (Receiver<FeedEvent>, Handle) {
    let feeds = gateways.iter().map(|gateway| address(gateway)).collect();
    watch(Feeds::These(feeds), WatchOptions::default()).unwrap()
}

/// What came: by gateway the last number, all records and gaps in order and nothing twice.
#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<String, u64>,
    records: BTreeMap<String, u64>,
    lost: BTreeMap<String, u64>,
}

impl Seen {
    /// Reads until each of these gateways has come to its number.
    fn read(&mut self, events: &mut Receiver<FeedEvent>, own: &[&str], to: &[(&str, u64)]) {
        while to.iter().any(|(gateway, to)| self.last.get(*gateway).is_none_or(|last| last < to)) {
            match next(events) {
                FeedEvent::Records { lines, .. } => {
                    for got in lines {
                        let record = Record::parse(&got).unwrap();
                        let gateway = record.gateway().to_owned();
                        let last = self.last.get(&gateway).copied();
                        assert!(
                            last.is_none_or(|last| record.seq() == last + 1),
                            "{gateway}: {} after {last:?}",
                            record.seq()
                        );
                        assert_eq!(got, line(&gateway, record.seq()), "byte for byte");
                        self.last.insert(gateway.clone(), record.seq());
                        *self.records.entry(gateway).or_default() += 1;
                    }
                }
                FeedEvent::Gap { gateway, from, to, source } => {
                    let index = usize::try_from(source.0).unwrap() - 1;
                    let gateway = gateway.unwrap_or_else(|| own[index].to_owned());
                    let last = self.last.insert(gateway.clone(), to);
                    assert!(last.is_none_or(|last| from == last + 1), "{gateway}: {from} after {last:?}");
                    *self.lost.entry(gateway).or_default() += to - from + 1;
                }
                FeedEvent::Trouble { message, .. } => panic!("{message}"),
                _ => {}
            }
        }
    }
}

#[test]
fn one_feed_shows_every_record_of_three_gateways_once() {
    let Some(redis) = Redis::in_memory() else { return };
    let run = tempfile::tempdir().unwrap();
    let (a, b, c) =
        (member(run.path(), "a", &redis), member(run.path(), "b", &redis), member(run.path(), "c", &redis));
    // From before anybody looked.
    for gateway in [&a, &b, &c] {
        gateway.publish(20);
    }
    let (mut events, _handle) = attach(&[&a]);
    let mut seen = Seen::default();
    seen.read(&mut events, &["a"], &[("a", 20), ("b", 20), ("c", 20)]);
    for _ in 0..50 {
        a.publish(3);
        b.publish(7);
        c.publish(20);
    }
    seen.read(&mut events, &["a"], &[("a", 170), ("b", 370), ("c", 1_020)]);
    assert_eq!(seen.records, BTreeMap::from([("a".into(), 170), ("b".into(), 370), ("c".into(), 1_020)]));
    assert!(seen.lost.is_empty(), "{:?}", seen.lost);
    // One that ended is missed by nobody, and a new one is seen.
    drop(b);
    let d = member(run.path(), "d", &redis);
    d.publish(5);
    seen.read(&mut events, &["a"], &[("d", 5)]);
    assert!(seen.lost.is_empty());
}

#[test]
fn what_comes_over_two_feeds_is_shown_once() {
    let Some(redis) = Redis::in_memory() else { return };
    let run = tempfile::tempdir().unwrap();
    let (a, b, c) =
        (member(run.path(), "a", &redis), member(run.path(), "b", &redis), member(run.path(), "c", &redis));
    let (mut events, _handle) = attach(&[&a, &b]);
    let mut records: BTreeMap<(String, u64), u32> = BTreeMap::new();
    for round in 1..=30 {
        for gateway in [&a, &b, &c] {
            gateway.publish(10);
        }
        // Their own feeds and the fleet's are not in step, so only at the end all is there.
        while records.len() < round * 30 {
            match next(&mut events) {
                FeedEvent::Records { lines, .. } => {
                    for got in lines {
                        let record = Record::parse(&got).unwrap();
                        *records.entry((record.gateway().to_owned(), record.seq())).or_default() += 1;
                    }
                }
                FeedEvent::Gap { gateway, from, to, .. } => panic!("{gateway:?}: {from} to {to} lost"),
                FeedEvent::Trouble { message, .. } => panic!("{message}"),
                _ => {}
            }
        }
    }
    assert_eq!(records.len(), 900);
    assert!(records.values().all(|count| *count == 1));
}

#[test]
fn a_client_that_does_not_ask_for_the_fleet_gets_its_own_gateway_only() {
    let Some(redis) = Redis::in_memory() else { return };
    let run = tempfile::tempdir().unwrap();
    let (a, b) = (member(run.path(), "a", &redis), member(run.path(), "b", &redis));
    let options = WatchOptions { fleet: false, ..WatchOptions::default() };
    let (mut events, _handle) = watch(Feeds::These(vec![address(&a)]), options).unwrap();
    let mut last = 0;
    for _ in 0..20 {
        b.publish(5);
        a.publish(1);
    }
    // It checks that every record is of that gateway, and that there is no trouble.
    assert_eq!(feed_support::records_to(&mut events, "a", &mut last, 20), (20, vec![]));
}

#[test]
fn a_redis_that_is_killed_loses_no_record_silently_and_shows_none_twice() {
    for durable in [true, false] {
        let redis = if durable { Redis::durable() } else { Redis::in_memory() };
        let Some(mut redis) = redis else { return };
        let run = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            member(run.path(), "a", &redis),
            member(run.path(), "b", &redis),
            member(run.path(), "c", &redis),
        );
        let (mut events, _handle) = attach(&[&a]);
        let mut seen = Seen::default();
        // What came before the feed was watched is no gap where it is not to be had any more.
        for gateway in [&a, &b, &c] {
            gateway.publish(1);
        }
        seen.read(&mut events, &["a"], &[("a", 1), ("b", 1), ("c", 1)]);
        let mut total = 1;
        for round in 1..=3 {
            for gateway in [&a, &b, &c] {
                gateway.publish(100);
            }
            total += 100;
            if round < 3 {
                // Some are on their way when it dies; more come while it is gone.
                redis.kill();
            }
            for gateway in [&a, &b, &c] {
                gateway.publish(100);
            }
            total += 100;
            if round < 3 {
                redis.up();
            }
            seen.read(&mut events, &["a"], &[("a", total), ("b", total), ("c", total)]);
        }
        for gateway in ["a", "b", "c"] {
            let lost = seen.lost.get(gateway).copied().unwrap_or(0);
            assert_eq!(seen.records[gateway] + lost, total, "{gateway}, durable: {durable}: {seen:?}");
        }
        assert!(!seen.lost.contains_key("a"), "its own feed does not go through Redis");
        if durable {
            assert!(seen.lost.is_empty(), "{seen:?}");
        }
    }
}

#[test]
fn what_is_too_large_or_too_much_for_the_stream_is_announced() {
    let Some(redis) = Redis::in_memory() else { return };
    let run = tempfile::tempdir().unwrap();
    let (a, b) = (member(run.path(), "a", &redis), member(run.path(), "b", &redis));
    let (mut events, _handle) = attach(&[&a]);
    b.publish(3);
    let mut seen = Seen::default();
    seen.read(&mut events, &["a"], &[("b", 3)]);
    // A large one: its number is taken, and its line stays at home.
    b.hub.publish(4, Arc::from(vec![b'x'; 40 * 1024]));
    seen.read(&mut events, &["a"], &[("b", 4)]);
    assert_eq!((seen.records["b"], seen.lost["b"]), (3, 1));
    // More than waits for a server that says nothing: the calls' thread is not held up.
    redis.halt();
    let began = std::time::Instant::now();
    for seq in 5..=40_004 {
        b.hub.publish(seq, line("b", seq));
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    redis.go_on();
    seen.read(&mut events, &["a"], &[("b", 40_004)]);
    assert_eq!(seen.records["b"] + seen.lost["b"], 40_004);
    assert!(seen.records["b"] > 3 && seen.lost["b"] > 1, "{seen:?}");
}

#[test]
fn tail_shows_the_calls_of_all_gateways_over_the_feed_of_one() {
    let Some(redis) = Redis::in_memory() else { return };
    let place = redis.url("tail");
    let homes: Vec<Home> = (0..3).map(|_| Home::new(ALLOW)).collect();
    let mut gateways: Vec<gateway_support::Gateway> = homes
        .iter()
        .enumerate()
        .map(|(at, home)| home.gateway(&["--counters", &place, "--grant", &format!("g{at}")], &[]))
        .collect();
    let entry = until("the first gateway's feed", || discovery::list(&homes[0].path("home/run")).ok()?.pop());
    for gateway in &mut gateways {
        assert!(!denied(&gateway.call(1, "echo", r#"{"message":"m","password":"hunter2"}"#)));
    }
    let mut command = homes[0].command();
    command.args(["tail", "--format", "json", "--since", "1h", "--feed", &entry.url()]);
    command.env("CALLGATE_FEED_TOKEN", &entry.token);
    let mut tail = gateway_support::Gateway::spawn(command);
    for number in 2..=20 {
        for gateway in &mut gateways {
            assert!(!denied(&gateway.call(number, "echo", r#"{"message":"m","password":"hunter2"}"#)));
        }
    }
    let mut calls: BTreeMap<String, u64> = BTreeMap::new();
    let mut outcomes = 0;
    while calls.values().sum::<u64>() < 60 || outcomes < 60 {
        let line = tail.line();
        assert!(!String::from_utf8_lossy(&line).contains("hunter2"), "masked, as it is recorded");
        match Record::parse(line.strip_suffix(b"\n").unwrap()).unwrap() {
            Record::Decision(decision) => *calls.entry(decision.grant.clone()).or_default() += 1,
            Record::Outcome(_) => outcomes += 1,
            Record::Event(_) => {}
        }
    }
    assert_eq!(calls, BTreeMap::from([("g0".into(), 20), ("g1".into(), 20), ("g2".into(), 20)]));
    assert_eq!(outcomes, 60);
    for gateway in &mut gateways {
        gateway.finish();
    }
}
