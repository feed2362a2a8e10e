//! Monitors and many gateways. What ten of them say is one order, whatever their clocks; one behind TLS
//! is watched through losses; what cannot be read is said. And what people at monitors do: two of them on one queue: a hundred calls wait, both decide
//! as fast as they can, and each approval is decided once. One on two real gateways with one store: a
//! freeze and overrides reach both, and are lifted at both.

#![cfg(all(unix, feature = "tui"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod feed_support;
mod gateway_support;
mod pty_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::feed::client::{FeedAddr, Feeds};
use callgate::feed::message::{FeedHealth, Health, JournalHealth, Role, State, StoreHealth};
use callgate::feed::server::{Hub, HubConfig, Public};
use callgate::feed::token::FeedToken;
use callgate::record::EventKind;
use callgate::time::Timestamp;
use callgate::token::TokenDigest;
use callgate::tui::app::FeedMsg;
use callgate::tui::feed;
use feed_support::{Memory, PATIENCE, Wire, certificates, tls};
use gateway_support::{Home, LONG, denied, faketime};
use pty_support::Program;
use serde_json::json;

const GATEWAYS: usize = 4;
const EACH: usize = 25;

/// How many the Approvals tab says that wait.
fn waiting(text: &str) -> usize {
    let after = text.split("4 Approvals ").nth(1).unwrap_or_default();
    after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[test]
fn a_hundred_approvals_are_decided_from_two_monitors_each_once() {
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{"approve_if":[{"conditions":[],"timeout":"30m"}]}}}"#;
    let home = Home::new(policy);
    let mut gateways: Vec<_> =
        (0..GATEWAYS).map(|number| home.gateway(&["--grant", &format!("team-{number}")], &[])).collect();
    for gateway in &mut gateways {
        for call in 0..EACH {
            gateway.send(&format!(
                r#"{{"jsonrpc":"2.0","id":{call},"method":"tools/call","params":{{"name":"echo","arguments":{{"n":{call}}},"_meta":{{"progressToken":"t{call}"}}}}}}"#
            ));
        }
    }
    let mut terms = ["ana", "kim"].map(|user| {
        let policy = home.path(&format!("{user}.json"));
        let program = Program::new(&home.path("home")).arg(policy).env("USER", user).size(130, 30);
        program.patience(LONG).start()
    });
    // Nobody decides before both have the whole queue before them.
    for term in &mut terms {
        term.wait(&format!("4 Approvals {}", GATEWAYS * EACH));
        term.type_keys("4");
        term.wait("ENDS IN");
    }
    let people: Vec<_> = terms
        .into_iter()
        .zip([("ana", "ay"), ("kim", "r\r")])
        .map(|(mut term, (user, keys))| {
            std::thread::spawn(move || {
                let late = Instant::now() + 10 * LONG;
                let mut turn = 0;
                while waiting(&term.screen().text()) > 0 {
                    assert!(Instant::now() < late, "{user} gets nowhere:\n{}", term.screen().text());
                    // Both begin at the same end, so that they meet at the same questions.
                    term.type_keys("g");
                    term.type_keys(keys);
                    std::thread::sleep(Duration::from_millis(20));
                    turn += 1;
                    if turn % 8 == 0 {
                        // Enter where no form was open made the detail whole: Esc shows the queue again.
                        term.type_keys("\u{1b}");
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
                term.type_keys("\u{1b}");
                term.wait("nothing waits");
                // What follows Esc at once would be one key with it.
                std::thread::sleep(Duration::from_millis(300));
                term.type_keys("q");
                assert_eq!(term.end(), 0);
            })
        })
        .collect();
    for person in people {
        person.join().unwrap();
    }
    let mut ran = 0;
    for gateway in &mut gateways {
        let mut answers = BTreeMap::new();
        while answers.len() < EACH {
            let said = gateway.json();
            if let Some(id) = said["id"].as_u64() {
                assert!(answers.insert(id, denied(&said)).is_none(), "answered twice: {said}");
            }
        }
        ran += answers.values().filter(|denied| !**denied).count();
        gateway.finish();
    }
    // Each question was decided by one person, each call once, and what was approved is what ran.
    let mut decided: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut approved = 0;
    for data in home.events(EventKind::Approval) {
        let state = data["state"].as_str().unwrap();
        if matches!(state, "approved" | "rejected") {
            decided.entry(data["id"].as_str().unwrap().to_owned()).or_default().push(state.to_owned());
        }
    }
    for states in decided.values() {
        // Every gateway tells of it in its own journal, and all tell the same.
        assert!(states.iter().all(|state| *state == states[0]), "{decided:?}");
        approved += usize::from(states[0] == "approved");
    }
    assert_eq!(decided.len(), GATEWAYS * EACH);
    assert_eq!(approved, ran);
    let mut calls: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for decision in home.decisions() {
        if let Some(call) = decision.call {
            *calls.entry((decision.gateway, call)).or_default() += 1;
        }
    }
    assert_eq!(calls.len(), GATEWAYS * EACH);
    assert!(calls.values().all(|count| *count == 1));
}

#[test]
fn a_freeze_and_overrides_reach_every_gateway_of_a_store() {
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{},"fail":{"action":"deny"}}}"#;
    let home = Home::new(policy);
    let mut gateways = [home.gateway(&[], &[]), home.gateway(&["--grant", "other"], &[])];
    let program = Program::new(&home.path("home")).arg(home.policy()).env("USER", "kim");
    let mut term = program.size(140, 40).patience(LONG).start();
    term.wait("2 gateways");
    term.wait("fail");

    // The two share a store: one of them is faster, and both have it.
    term.type_keys("F");
    term.wait("Freeze: deny every call");
    term.type_keys("a loop\r");
    term.wait("taken by fixture (2 gateways)");
    term.wait("FROZEN");
    for (id, gateway) in (1..).zip(&mut gateways) {
        let tool = if term.screen().text().contains("tool fail") { "fail" } else { "echo" };
        let answer = gateway.call(id, tool, "{}");
        assert!(answer.to_string().contains("Frozen: a loop"), "{answer}");
    }
    term.type_keys("U\r");
    term.wait("unfrozen: ");
    term.wait_gone("FROZEN");

    // Select the tool by its name; the policy denies it.
    term.type_keys("/fail\r");
    term.type_keys("o");
    term.wait("Override the policy for a while");
    term.type_keys("incident\r");
    term.wait("overridden: allow fail of fixture");
    term.wait("OVERRIDE (15 m)");
    for (id, gateway) in (10..).zip(&mut gateways) {
        let late = Instant::now() + LONG;
        while denied(&gateway.call(id, "fail", "{}")) {
            assert!(Instant::now() < late, "the override never came");
        }
    }
    term.type_keys("O\r");
    term.wait("ended: allow fail of fixture");
    term.wait_gone("OVERRIDE (");
    for (id, gateway) in (20..).zip(&mut gateways) {
        assert!(denied(&gateway.call(id, "fail", "{}")));
    }

    // Until restart: each gateway's run has its own.
    term.type_keys("o");
    term.wait("Override the policy for a while");
    term.type_keys("\u{1b}[A\u{1b}[C\u{1b}[B");
    term.type_keys("debug\r");
    term.wait("OVERRIDE (run): allow fail of fixture (and 1 more), by kim: debug");
    let [mut first, mut second] = gateways;
    assert!(!denied(&first.call(30, "fail", "{}")) && !denied(&second.call(30, "fail", "{}")));
    first.finish();
    term.wait("OVERRIDE (run): allow fail of fixture, by kim: debug");
    assert!(!denied(&second.call(31, "fail", "{}")), "the other one's stands");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    second.finish();
}

/// A decision of a gateway run as its journal has it.
fn decision(run: &str, seq: u64, ts: Timestamp) -> Arc<[u8]> {
    let line = json!({
        "type": "decision", "seq": seq, "ts": ts, "gateway": run, "server": "docker", "grant": "local",
        "request_id": seq, "method": "tools/call", "tool": "pull", "decision": "allow", "enforced": true,
        "rule": "", "pointer": "/tools/pull", "message": "", "policy": null, "args": {}, "counters": [],
        "counted": true, "decide_us": 1.5
    });
    Arc::from(line.to_string().as_bytes())
}

/// A gateway's half of the feed, with a past.
struct Half {
    hub: Hub,
    history: Arc<Memory>,
    run: String,
}

impl Half {
    fn start(folder: &std::path::Path, run: &str, change: impl FnOnce(&mut HubConfig)) -> Self {
        let history = Arc::new(Memory::default());
        let folder = folder.join(run);
        let mut config = HubConfig::new(folder.clone(), folder, run.to_owned(), run.to_owned());
        change(&mut config);
        let hub = Hub::start_with(config, history.clone()).unwrap();
        Self { hub, history, run: run.to_owned() }
    }

    fn publish(&self, seq: u64, line: Arc<[u8]>) {
        self.history.0.lock().unwrap().insert(seq, Arc::clone(&line));
        self.hub.publish(seq, line);
    }

    fn decide(&self, seq: u64, ts: Timestamp) {
        self.publish(seq, decision(&self.run, seq, ts));
    }

    fn address(&self) -> FeedAddr {
        FeedAddr { url: format!("ws://{}/feed", self.hub.address()), token: self.hub.token().to_owned() }
    }
}

/// Hears the feeds, in a runtime of its own, until `done` says so.
fn hear(addresses: Vec<FeedAddr>, mut done: impl FnMut(FeedMsg) -> bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut messages, handle) = feed::start(Feeds::These(addresses), PATIENCE).unwrap();
        loop {
            let message = tokio::time::timeout(PATIENCE, messages.recv()).await.expect("in time").unwrap();
            if done(message) {
                break;
            }
        }
        drop(messages);
        drop(handle);
    });
}

#[test]
fn the_past_of_ten_gateways_is_one_order_whatever_their_clocks() {
    const EACH: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000_i64;
    let began = clock::now().plus_micros(-6 * hour);
    let halves: Vec<Half> =
        (0..10).map(|number| Half::start(folder.path(), &format!("g{number}"), |_| {})).collect();
    // The clock of the last one is an hour ahead.
    let ahead = |number: usize| if number == 9 { hour } else { 0 };
    for (number, half) in halves.iter().enumerate() {
        for seq in 1..=EACH {
            // Far enough apart for a message that is a little late to move nothing.
            let at = i64::try_from(seq * 60).unwrap() + i64::try_from(number * 5).unwrap();
            half.decide(seq, began.plus_micros(at * 1_000_000 + ahead(number)));
        }
        let now = clock::now().plus_micros(ahead(number));
        half.hub.set_state(State::Health(Box::new(Health {
            ts: now,
            started: now,
            journal: JournalHealth { writable: true, waiting: 0, bytes: 0, errors: 0 },
            store: StoreHealth { place: "none".to_owned(), usable: true, trouble: None },
            feed: FeedHealth { clients: 1, lag: 0, missed: 0 },
        })));
    }
    let mut order: Vec<(u64, String)> = Vec::new();
    hear(halves.iter().map(Half::address).collect(), |message| {
        if let FeedMsg::Records(_, rows) | FeedMsg::Merged(rows) = message {
            order.extend(rows.iter().map(|row| (row.record.seq(), row.record.gateway().to_owned())));
        }
        order.len() >= usize::try_from(EACH * 10).unwrap()
    });
    let wanted: Vec<(u64, String)> =
        (1..=EACH).flat_map(|seq| (0..10).map(move |number| (seq, format!("g{number}")))).collect();
    let wrong = order.iter().zip(&wanted).position(|(got, wanted)| got != wanted);
    assert_eq!(wrong.map(|at| (at, &order[at], &wanted[at])), None);
}

#[test]
fn records_that_cannot_be_read_are_said_and_the_others_come() {
    let folder = tempfile::tempdir().unwrap();
    let half = Half::start(folder.path(), "g1", |_| {});
    half.decide(1, clock::now());
    half.publish(2, Arc::from(br#"{"type":"decision","seq":2,"gateway":"g1","decision":7}"#.as_slice()));
    half.decide(3, clock::now());
    let (mut seqs, mut unreadable) = (Vec::new(), 0);
    hear(vec![half.address()], |message| {
        match message {
            FeedMsg::Records(_, rows) => seqs.extend(rows.iter().map(|row| row.record.seq())),
            FeedMsg::Unreadable(_, count) => unreadable += count,
            _ => {}
        }
        seqs.len() == 2 && unreadable == 1
    });
    assert_eq!(seqs, [1, 3]);
}

#[test]
fn a_gateway_behind_tls_is_watched_through_losses_and_nothing_is_missing() {
    let home = tempfile::tempdir().unwrap();
    assert!(certificates(home.path()), "openssl makes the certificates of this test");
    let token = callgate::token::text(&[7; 32]);
    let half = Half::start(home.path(), "far", |config| {
        config.tokens = vec![FeedToken {
            label: "ops".to_owned(),
            role: Role::Viewer,
            digest: TokenDigest::of(&token),
            expires: None,
        }];
        config.public = Some(Public {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(Arc::new(tls(home.path()))),
            behind_proxy: false,
        });
    });
    let wire = Wire::to(half.hub.public_address().unwrap());
    let mut seq = 0;
    let mut publish = |count: u64| {
        for _ in 0..count {
            seq += 1;
            half.decide(seq, clock::now());
        }
    };
    publish(40);
    let program = Program::new(home.path()).arg(home.path().join("policy.json")).arg("--feed");
    let program = program.arg(format!("wss://{}/feed", wire.address)).patience(LONG).size(120, 30);
    let program = program.env("CALLGATE_FEED_TOKEN", &token);
    let mut term = program.env("SSL_CERT_FILE", home.path().join("ca.pem").to_str().unwrap()).start();
    term.wait("1 gateway");
    term.type_keys("2");
    term.wait("40 calls");
    for round in 1..=3_u64 {
        wire.cut();
        publish(20);
        term.wait(&format!("{} calls", 40 + round * 20));
    }
    term.type_keys("5");
    term.wait("reconnects");
    assert!(!term.screen().text().contains("lost on the way"), "{}", term.screen().text());
    term.wait("viewer: it takes nothing from here");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
#[allow(clippy::print_stderr)]
fn after_a_night_asleep_a_connection_that_died_without_a_word_is_made_anew_and_nothing_is_missing() {
    let Some(library) = faketime() else {
        eprintln!("skipped: there is no libfaketime");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let half = Half::start(home.path(), "far", |_| {});
    let wire = Wire::to(half.hub.address());
    for seq in 1..=40 {
        half.decide(seq, clock::now());
    }
    let step = home.path().join("clock");
    let set = |offset: &str| {
        std::fs::write(home.path().join("clock.new"), offset).unwrap();
        std::fs::rename(home.path().join("clock.new"), &step).unwrap();
    };
    // The evening before; the clock that timers go by stands still in between, as in a sleep.
    set("-8h");
    let program = Program::new(home.path()).arg(home.path().join("policy.json")).arg("--feed");
    let program = program.arg(format!("ws://{}/feed", wire.address)).patience(LONG).size(140, 40);
    let program = program.env("CALLGATE_FEED_TOKEN", half.hub.token()).env("LD_PRELOAD", &library);
    let program =
        program.env("FAKETIME_TIMESTAMP_FILE", step.to_str().unwrap()).env("FAKETIME_NO_CACHE", "1");
    let mut term = program.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").start();
    term.wait("1 gateway");
    term.type_keys("2");
    term.wait("40 calls");
    wire.fall_silent();
    for seq in 41..=65 {
        half.decide(seq, clock::now());
    }
    set("+0h");
    term.wait("65 calls");
    // It goes on as it did before.
    half.decide(66, clock::now());
    term.wait("66 calls");
    term.type_keys("5");
    term.wait("reconnects");
    assert!(!term.screen().text().contains("lost on the way"), "{}", term.screen().text());
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn thirty_thousand_invented_tools_come_over_a_feed_and_keys_are_answered() {
    const CALLS: u64 = 30_000;
    let home = tempfile::tempdir().unwrap();
    let half = Half::start(home.path(), "liar", |_| {});
    let program = Program::new(home.path()).arg(home.path().join("policy.json")).arg("--feed");
    let program = program.arg(format!("ws://{}/feed", half.hub.address())).patience(LONG).size(140, 40);
    let program = program.env("CALLGATE_FEED_TOKEN", half.hub.token()).env("CALLGATE_ROWS", "1000");
    let mut term = program.start();
    term.wait("1 gateway");
    term.type_keys("2");
    for seq in 1..=CALLS {
        let line = decision("liar", seq, clock::now());
        let name = format!("\"tool\":\"pull-{seq}-\\u001b[31m\"");
        let line = String::from_utf8_lossy(&line).replace("\"tool\":\"pull\"", &name);
        half.publish(seq, Arc::from(line.as_bytes()));
    }
    term.wait("30,000 calls");
    term.type_keys("b");
    term.wait("by tool");
    term.type_keys("5");
    term.wait("only some are counted by tool");
    assert!(!term.screen().text().contains("lost on the way"), "{}", term.screen().text());
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn a_gateway_that_is_killed_and_started_again_loses_nothing_that_the_journal_has() {
    let home = Home::new(r#"{"version":"1","default":"allow","tools":{"echo":{}}}"#);
    let mut first = home.gateway(&[], &[]);
    for id in 1..=5 {
        first.call(id, "echo", "{}");
    }
    let program = Program::new(&home.path("home")).arg(home.policy()).patience(LONG).size(140, 40);
    let mut term = program.start();
    term.wait("1 gateway");
    term.type_keys("2");
    term.wait("5 calls");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    term.type_keys("5");
    term.wait("0 connected");
    term.wait("ended");
    let mut second = home.gateway(&[], &[]);
    for id in 1..=3 {
        second.call(id, "echo", "{}");
    }
    term.wait("1 connected");
    term.type_keys("2");
    term.wait("8 calls");
    let calls = home.decisions().len();
    assert_eq!(calls, 8, "as the journals have them");
    let text = term.screen().text();
    let state = text.lines().find(|line| line.contains("8 calls")).unwrap_or_default();
    assert!(!state.contains("lost"), "{text}");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    second.finish();
}
