//! A fleet: gateways that share counters and freezes in Redis, and what becomes of their calls while
//! it is killed, silent, back, or back without what it held.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;
mod redis_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::counters::{Freeze, Store};
use callgate::policy::counter::{Amount, CounterKey, Want};
use callgate::policy::model::Scope;
use callgate::record::{EventKind, Verdict};
use gateway_support::{ALLOW, Gateway, Home, LONG, call, denied, rule, until};
use redis_support::{Redis, free_port};

/// A window in seconds that does not end while a test runs.
const WINDOW: u64 = 86_400_000;

fn limited(max: u64) -> String {
    format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"limits":[{{"counter":"c","window":{WINDOW},"max":{max},"scope":"grant"}}]}}}}}}"#
    )
}

fn gateway(home: &Home, place: &str, options: &[&str]) -> Gateway {
    let mut all = vec!["--counters", place];
    all.extend(options);
    home.gateway(&all, &[])
}

/// What the fleet has counted.
fn counted(store: &dyn Store) -> u64 {
    let key = CounterKey {
        server: "fixture".to_owned(),
        scope: Scope::Grant,
        scope_value: "local".to_owned(),
        counter: "c".to_owned(),
        window: WINDOW,
    };
    let want = Want { key, increment: Amount::ZERO, max: Amount::ONE, past_max: false };
    let used = until("the fleet's counter", || store.peek(clock::now(), std::slice::from_ref(&want)).ok());
    u64::try_from(used[0].used.0 / Amount::ONE.0).unwrap()
}

/// What became of one gateway's calls.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    allowed: u64,
    full: u64,
    unavailable: u64,
}

/// Calls, a few in flight, until it is time to stop and so many were refused for the limit.
fn agent(mut gateway: Gateway, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let (mut sent, mut answered) = (0_u64, 0_u64);
    let began = Instant::now();
    loop {
        let over = stop.load(Ordering::SeqCst) && tally.full > 0;
        assert!(began.elapsed() < LONG, "the limit was never reached: {tally:?}");
        while !over && sent - answered < 4 {
            sent += 1;
            gateway.send(&call(sent, "echo", r#"{"message":"m"}"#));
        }
        if sent == answered {
            break;
        }
        let answer = gateway.json();
        answered += 1;
        match rule(&answer) {
            "/tools/echo/limits/c" => tally.full += 1,
            "(unavailable)" => {
                tally.unavailable += 1;
                // An agent that is told so waits a little.
                std::thread::sleep(Duration::from_millis(2));
            }
            "" => tally.allowed += u64::from(!denied(&answer)),
            other => panic!("{other}: {answer}"),
        }
    }
    assert_eq!(gateway.finish().1, 0);
    tally
}

#[test]
fn ten_gateways_never_pass_a_limit_though_redis_is_killed_again_and_again() {
    const MAX: u64 = 1_500;
    let Some(mut redis) = Redis::durable() else { return };
    let home = Home::new(&limited(MAX));
    let place = redis.url("ten");
    let gateways: Vec<Gateway> = (0..10).map(|_| gateway(&home, &place, &[])).collect();
    let store = redis.store("ten");
    let stop = AtomicBool::new(false);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let agents: Vec<_> = gateways
            .into_iter()
            .map(|gateway| {
                let stop = &stop;
                scope.spawn(move || agent(gateway, stop))
            })
            .collect();
        for kill in 1..=4 {
            // Under load, and before the limit is reached.
            until("calls are counted", || (counted(&store) >= kill * 200).then_some(()));
            redis.kill();
            std::thread::sleep(Duration::from_millis(150));
            redis.up();
        }
        stop.store(true, Ordering::SeqCst);
        agents.into_iter().map(|agent| agent.join().unwrap()).collect()
    });
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let (allowed, unavailable) = (sum(|tally| tally.allowed), sum(|tally| tally.unavailable));
    // A call whose reservation was counted but not confirmed did not run: so never more than the
    // limit, and fewer by at most those that were refused.
    assert!(allowed <= MAX, "{allowed} passed: {tallies:?}");
    assert!(allowed + unavailable >= MAX, "{allowed} passed, {unavailable} refused: {tallies:?}");
    assert!(unavailable > 0, "nobody noticed: {tallies:?}");
    assert!(tallies.iter().all(|tally| tally.allowed > 0), "{tallies:?}");
    assert_eq!(counted(&store), MAX);
    let decisions = home.decisions();
    let passed = decisions.iter().filter(|one| one.decision == Verdict::Allow);
    assert_eq!(passed.clone().count() as u64, allowed, "what passed is recorded");
    assert!(passed.clone().all(|one| one.enforced && one.counted));
    let restarts = home.events(EventKind::Store);
    assert!(restarts.iter().any(|data| data["state"] == "failed"), "{restarts:?}");
    assert!(restarts.iter().any(|data| data["why"].as_str().is_some_and(|why| why.contains("restarted"))));
}

#[test]
fn a_silent_redis_makes_calls_unavailable_in_good_time() {
    let Some(redis) = Redis::in_memory() else { return };
    let home = Home::new(&limited(100));
    let place = redis.url("silent");
    let mut closed = gateway(&home, &place, &[]);
    let mut open = gateway(&home, &place, &["--fail-open"]);
    assert!(!denied(&closed.call(1, "echo", "{}")));
    assert!(!denied(&open.call(1, "echo", "{}")));
    redis.halt();
    for number in 2..30 {
        let began = Instant::now();
        let answer = closed.call(number, "echo", "{}");
        assert_eq!(rule(&answer), "(unavailable)", "{answer}");
        // Connecting and one answer, and what a busy machine adds.
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    // Freezes cannot be known either: after two seconds not even a call that counts nothing passes.
    until("no call at all passes", || {
        (rule(&closed.call(40, "fail", "{}")) == "(unavailable)").then_some(())
    });
    for number in 2..10 {
        assert!(!denied(&open.call(number, "echo", "{}")), "--fail-open");
    }
    redis.go_on();
    until("calls pass again", || (!denied(&closed.call(50, "echo", "{}"))).then_some(()));
    until("and are counted again", || {
        open.call(60, "echo", "{}");
        home.decisions().last().is_some_and(|last| last.enforced && last.counted).then_some(())
    });
    closed.finish();
    open.finish();
    let passed_open =
        home.decisions().into_iter().filter(|one| one.decision == Verdict::Allow && !one.enforced);
    assert!(passed_open.clone().count() >= 8);
    assert!(passed_open.clone().all(|one| !one.counted));
}

#[test]
fn an_empty_redis_is_no_fresh_start_for_those_who_knew_more() {
    let Some(mut redis) = Redis::in_memory() else { return };
    let home = Home::new(&limited(1));
    let place = redis.url("empty");
    let mut first = gateway(&home, &place, &[]);
    assert!(!denied(&first.call(1, "echo", "{}")));
    assert_eq!(rule(&first.call(2, "echo", "{}")), "/tools/echo/limits/c");
    redis.kill();
    redis.up();
    for number in 3..20 {
        assert_eq!(rule(&first.call(number, "echo", "{}")), "(unavailable)");
        std::thread::sleep(Duration::from_millis(40));
    }
    // Nor does a call pass that counts nothing: which freezes stood is not known.
    until("no call at all passes", || (rule(&first.call(40, "fail", "{}")) == "(unavailable)").then_some(()));
    until("it is recorded", || {
        let told = home.events(EventKind::Store);
        told.iter()
            .any(|data| data["why"].as_str().is_some_and(|why| why.contains("without what it held")))
            .then_some(())
    });
    first.finish();
    // A gateway that is started now begins with what is there.
    let mut second = gateway(&home, &place, &[]);
    assert!(!denied(&second.call(1, "echo", "{}")));
    second.finish();
}

#[test]
fn freezes_reach_the_whole_fleet_and_operators_find_its_store() {
    let Some(redis) = Redis::in_memory() else { return };
    // Two machines: nothing is shared but Redis.
    let (here, there) = (Home::new(ALLOW), Home::new(ALLOW));
    let place = redis.url("frozen");
    let mut one = gateway(&here, &place, &[]);
    let mut other = gateway(&there, &redis.socket_url("frozen"), &[]);
    assert!(!denied(&one.call(1, "echo", "{}")));
    assert!(!denied(&other.call(1, "echo", "{}")));
    let frozen = there
        .command()
        .args(["freeze", "--server", "fixture", "--reason", "an incident"])
        .env("CALLGATE_COUNTERS", &place)
        .output()
        .unwrap();
    assert!(frozen.status.success(), "{}", String::from_utf8_lossy(&frozen.stderr));
    for gateway in [&mut one, &mut other] {
        let answer = until("the freeze", || Some(gateway.call(2, "echo", "{}")).filter(denied));
        assert_eq!(rule(&answer), "(frozen)");
    }
    let status = here.run(&["status", "--format", "json", "--counters", &place]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["freezes"][0]["reason"], "an incident");
    redis.store("frozen").unfreeze(Some("fixture"), None, None).unwrap();
    for gateway in [&mut one, &mut other] {
        until("the end", || (!denied(&gateway.call(3, "echo", "{}"))).then_some(()));
        gateway.finish();
    }
}

/// `cargo test --test fleet_counters ten_gateways_of -- --nocapture` says how long it took.
#[test]
#[allow(clippy::print_stderr)]
fn ten_gateways_of_ten_machines_see_a_freeze_and_its_end() {
    const GATEWAYS: usize = 10;
    const ROUNDS: usize = 5;
    let Some(redis) = Redis::in_memory() else { return };
    let place = redis.url("wide");
    let homes: Vec<Home> = (0..GATEWAYS).map(|_| Home::new(ALLOW)).collect();
    let mut gateways: Vec<(Gateway, u64)> =
        homes.iter().map(|home| (gateway(home, &place, &[]), 0)).collect();
    let store = redis.store("wide");
    let mut took: Vec<Duration> = Vec::new();
    for round in 0..=ROUNDS {
        for frozen in [true, false] {
            if frozen {
                let freeze = Freeze {
                    id: format!("f{round}"),
                    server: None,
                    grant: None,
                    tool: None,
                    until: None,
                    by: "tester".to_owned(),
                    at: clock::now(),
                    reason: "an incident".to_owned(),
                };
                store.freeze(&freeze).unwrap();
            } else {
                assert_eq!(store.unfreeze(None, None, None).unwrap().len(), 1);
            }
            let began = Instant::now();
            std::thread::scope(|scope| {
                let seen: Vec<_> = gateways
                    .iter_mut()
                    .map(|(gateway, id)| {
                        scope.spawn(move || {
                            until("what was set", || {
                                *id += 1;
                                let answer = gateway.call(*id, "echo", "{}");
                                let rule = if denied(&answer) { rule(&answer) } else { "" };
                                (rule == if frozen { "(frozen)" } else { "" }).then(Instant::now)
                            })
                        })
                    })
                    .collect();
                let seen = seen.into_iter().map(|one| one.join().unwrap() - began);
                // The first round waits for the gateways' own start, too.
                took.extend(seen.filter(|_| round > 0));
            });
        }
    }
    took.sort();
    let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("seen by {GATEWAYS} gateways over Redis in {half:.0?} (median), {most:.0?} (the last)");
    for (gateway, _) in &mut gateways {
        assert_eq!(gateway.finish().1, 0);
    }
}

#[test]
fn a_password_comes_from_the_environment_and_goes_no_further() {
    let Some(redis) = Redis::start(&["--requirepass", "hunter2"]) else { return };
    let home = Home::new(&limited(5));
    let place = redis.url("secret");
    let refused =
        home.run(&["status", "--counters", &format!("redis://:hunter2@127.0.0.1:{}", redis.port())]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("hunter2"));
    let refused = home.run(&["status", "--counters", &place]);
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("CALLGATE_REDIS_PASSWORD"), "{said}");
    let mut command = home.command();
    command.env("CALLGATE_REDIS_PASSWORD", "hunter2");
    command.arg("gateway").arg("--policy").arg(home.policy()).args(["--name", "fixture"]);
    command.args(["--counters", &place, "--", "sh", "-c"]);
    // A server that tells what it was given.
    let told = home.path("told");
    command.arg(format!("env > '{}'; exec '{}'", told.display(), gateway_support::fixture()));
    let mut gateway = Gateway::spawn(command);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    assert_eq!(home.decisions()[0].counters[0].used, Amount::ONE);
    gateway.finish();
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains("CALLGATE_HOME") && !told.contains("hunter2"));
    let journal = std::fs::read_dir(home.path("home/state/journal")).unwrap().next().unwrap().unwrap();
    assert!(!std::fs::read_to_string(journal.path()).unwrap().contains("hunter2"));
}

#[test]
fn a_gateway_that_starts_without_its_redis_waits_for_it() {
    let Some(mut redis) = Redis::durable() else { return };
    redis
        .store("late")
        .freeze(&Freeze {
            id: "f".to_owned(),
            server: None,
            grant: None,
            tool: Some("fail".to_owned()),
            until: None,
            by: "me".to_owned(),
            at: clock::now(),
            reason: "why".to_owned(),
        })
        .unwrap();
    redis.kill();
    let home = Home::new(&limited(5));
    let mut gateway = gateway(&home, &redis.url("late"), &[]);
    for tool in ["echo", "fail"] {
        assert_eq!(rule(&gateway.call(1, tool, "{}")), "(unavailable)");
    }
    redis.up();
    until("calls pass", || (!denied(&gateway.call(2, "echo", "{}"))).then_some(()));
    assert_eq!(rule(&gateway.call(3, "fail", "{}")), "(frozen)");
    gateway.finish();
}

/// A certificate for 127.0.0.1 with an authority of its own, made with openssl.
fn certificates(folder: &std::path::Path) -> bool {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca \
        -addext basicConstraints=critical,CA:TRUE && \
        openssl req -newkey rsa:2048 -nodes -keyout key.pem -out req.pem -subj /CN=localhost && \
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' > ext && \
        openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem";
    std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn tls_needs_an_authority_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        redis_support::skipped("there is no openssl to make certificates with");
        return;
    }
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let Some(redis) = Redis::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("cert.pem"),
        "--tls-key-file",
        &file("key.pem"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]) else {
        return;
    };
    let home = Home::new(&limited(5));
    let place = format!("rediss://127.0.0.1:{port}/0?fleet=tls");
    let status = |ca: Option<&str>, place: &str| {
        let mut command = home.command();
        if let Some(ca) = ca {
            command.env("CALLGATE_REDIS_CA", ca);
        }
        command.args(["status", "--counters", place]).output().unwrap()
    };
    let stranger = status(None, &place);
    assert_eq!(stranger.status.code(), Some(3));
    let said = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(said.contains("certificate"), "{said}");
    let trusted = status(Some(&file("ca.pem")), &place);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    // Not the name on it.
    assert!(status(Some(&file("ca.pem")), &place.replace("127.0.0.1", "127.0.0.2")).status.code() == Some(3));
    // Nor does TLS talk to a server without it, or the other way round.
    assert_eq!(
        status(Some(&file("ca.pem")), &redis.url("tls").replace("redis:", "rediss:")).status.code(),
        Some(3)
    );
    assert_eq!(status(None, &place.replace("rediss:", "redis:")).status.code(), Some(3));
    let mut command = home.command();
    command.env("CALLGATE_REDIS_CA", file("ca.pem"));
    command.arg("gateway").arg("--policy").arg(home.policy()).args([
        "--name",
        "fixture",
        "--counters",
        &place,
    ]);
    command.arg("--").arg(gateway_support::fixture());
    let mut gateway = Gateway::spawn(command);
    for number in 1..=5 {
        assert!(!denied(&gateway.call(number, "echo", "{}")));
    }
    assert_eq!(rule(&gateway.call(6, "echo", "{}")), "/tools/echo/limits/c");
    gateway.finish();
    assert_eq!(counted(&redis.store("tls")), 5);
}

#[test]
fn a_call_held_here_is_approved_there() {
    let Some(redis) = Redis::in_memory() else { return };
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{"approve_if":[{"conditions":[],"on_approve":"sure?","timeout":"2m"}]}}}"#;
    // Two machines: nothing is shared but Redis.
    let (here, there) = (Home::new(policy), Home::new(policy));
    let place = redis.url("asked");
    let mut gateway = gateway(&here, &place, &[]);
    gateway.send(&call(1, "echo", r#"{"message":"m"}"#));
    let store = redis.store("asked");
    let waiting =
        until("the question", || store.approvals(clock::now()).ok().filter(|waiting| !waiting.is_empty()));
    let listed = there.run(&["status", "--format", "json", "--counters", &place]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["approvals"].as_array().map(Vec::len), Some(1), "{listed}");
    let verdict =
        callgate::counters::Answer { approved: true, by: "ann".to_owned(), note: String::new(), for_s: None };
    let id = &waiting[0].id;
    let decided = callgate::counters::approval::answer(&store, clock::now(), id, &verdict, || "o".to_owned());
    assert!(decided.unwrap().is_some());
    let answer = gateway.json();
    assert!(!denied(&answer), "{answer}");
    assert!(store.approvals(clock::now()).unwrap().is_empty(), "it is spent");
    gateway.finish();
}
