//! What counters of a call cost, uncontended: in the embedded store (the target is 20 µs for three),
//! and beside it in a Redis on this machine, where `redis-server` is on the PATH.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/redis_support/mod.rs"]
mod redis_support;

use callgate::counters::Store;
use callgate::counters::redis::RedisStore;
use callgate::counters::sqlite::SqliteStore;
use callgate::policy::counter::{Amount, CounterKey, Want};
use callgate::policy::model::Scope;
use callgate::time::Timestamp;
use criterion::{Criterion, criterion_group, criterion_main};

fn wants(count: usize, max: i128) -> Vec<Want> {
    (0..count)
        .map(|n| Want {
            key: CounterKey {
                server: "docker".to_owned(),
                scope: Scope::Grant,
                scope_value: "local".to_owned(),
                counter: format!("counter_{n}"),
                window: 60,
            },
            increment: Amount::ONE,
            max: Amount(max),
            past_max: false,
        })
        .collect()
}

fn store(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.sqlite")).unwrap();
    let now = Timestamp(1_800_000_000_000_000);
    let mut group = c.benchmark_group("store");
    for count in [1, 3] {
        let room = wants(count, i128::MAX);
        group.bench_function(format!("reserve {count}"), |b| b.iter(|| store.reserve(now, &room).unwrap()));
    }
    let full = wants(3, 0);
    group.bench_function("reserve 3 without room", |b| b.iter(|| store.reserve(now, &full).unwrap()));
    group.bench_function("peek 3", |b| b.iter(|| store.peek(now, &full).unwrap()));
    group.bench_function("standing version", |b| b.iter(|| store.standing_version().unwrap()));
    // The same among the rows of many sessions.
    for session in 0..20_000 {
        let mut want = wants(1, i128::MAX);
        want[0].key.scope_value = format!("session {session}");
        store.reserve(now, &want).unwrap();
    }
    let room = wants(3, i128::MAX);
    group.bench_function("reserve 3 among 20,000", |b| b.iter(|| store.reserve(now, &room).unwrap()));
    group.finish();
}

/// The same over a socket of this machine and over its loopback interface, with everything kept in
/// memory, and with each change written to the disk before it is confirmed (`appendfsync always`).
fn redis(c: &mut Criterion) {
    let now = Timestamp(1_800_000_000_000_000);
    let mut group = c.benchmark_group("redis");
    for durable in [false, true] {
        let server =
            if durable { redis_support::Redis::durable() } else { redis_support::Redis::in_memory() };
        let Some(server) = server else { return };
        let kept = if durable { "on disk" } else { "in memory" };
        for (by, place) in [("socket", server.socket_url("bench")), ("tcp", server.url("bench"))] {
            let store = RedisStore::open(&redis_support::redis_url(&place)).unwrap();
            for count in [1, 3] {
                let room = wants(count, i128::MAX);
                group.bench_function(format!("reserve {count}, {by}, {kept}"), |b| {
                    b.iter(|| store.reserve(now, &room).unwrap());
                });
            }
            group.bench_function(format!("standing version, {by}, {kept}"), |b| {
                b.iter(|| store.standing_version().unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, store, redis);
criterion_main!(benches);
