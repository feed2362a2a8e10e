//! What people at monitors do to gateways. Two of them on one queue: a hundred calls wait, both decide
//! as fast as they can, and each approval is decided once. One on two real gateways with one store: a
//! freeze and overrides reach both, and are lifted at both.

#![cfg(all(unix, feature = "tui"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod gateway_support;
mod pty_support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::feed::message::{Ask, GrantInfo, ServerInfo, State};
use callgate::feed::server::{Hub, HubConfig};
use gateway_support::{Home, LONG, denied};
use pty_support::Program;
use serde_json::{Value, json};

const CALLS: usize = 100;

fn approval(number: usize) -> Value {
    let now = clock::now();
    json!({
        "id": format!("q{number:03}"), "server": "payments", "grant": "local", "tool": format!("refund_{number:03}"),
        "args": {"amount": number, "to": "customer"}, "args_sha256": "0".repeat(64), "policy": "0123456789ab",
        "rule": "/tools/refund/action", "pointer": "/tools/refund/action", "message": "",
        "asked_at": now.plus_micros(i64::try_from(number).unwrap()), "until": now.plus_micros(600_000_000),
        "timeout_s": 600, "holders": 1
    })
}

/// What a store does: each question is answered once.
#[derive(Default)]
struct Questions {
    waiting: BTreeMap<String, Value>,
    decided: BTreeMap<String, Vec<String>>,
    too_late: usize,
}

impl Questions {
    fn decide(&mut self, id: &str, by: &str) -> Result<(), String> {
        if self.waiting.remove(id).is_none() {
            self.too_late += 1;
            return Err("it does not wait any more".to_owned());
        }
        self.decided.entry(id.to_owned()).or_default().push(by.to_owned());
        Ok(())
    }

    fn state(&self) -> State {
        let approvals: Vec<&Value> = self.waiting.values().collect();
        serde_json::from_str(&json!({"of": "approvals", "approvals": approvals}).to_string()).unwrap()
    }
}

#[test]
fn a_hundred_approvals_are_decided_from_two_monitors_each_once() {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    std::fs::create_dir_all(&run).unwrap();
    let mut config =
        HubConfig::new(run, home.path().join("journal"), "run-1".to_owned(), "payments".to_owned());
    config.servers = vec![ServerInfo {
        name: "payments".to_owned(),
        upstream: "a test".to_owned(),
        grants: vec![GrantInfo { label: "local".to_owned(), policy: None, revision: None, shadow: None }],
    }];
    let hub = Arc::new(Hub::start(config).unwrap());
    let questions = Questions {
        waiting: (0..CALLS).map(|number| (format!("q{number:03}"), approval(number))).collect(),
        ..Questions::default()
    };
    let questions = Arc::new(Mutex::new(questions));
    hub.set_state(questions.lock().unwrap().state());
    let commands = hub.commands();
    let gateway = {
        let (hub, questions) = (Arc::clone(&hub), Arc::clone(&questions));
        std::thread::spawn(move || {
            while let Ok(command) = commands.recv_timeout(Duration::from_secs(30)) {
                let mut questions = questions.lock().unwrap();
                let done = match &command.ask {
                    Ask::Approve { id, by, .. } | Ask::Reject { id, by, .. } => {
                        questions.decide(id.as_str(), by.as_str())
                    }
                    other => Err(format!("{other:?}")),
                };
                hub.set_state(questions.state());
                let over = questions.waiting.is_empty();
                drop(questions);
                match done {
                    Ok(()) => command.reply.done("decided"),
                    Err(why) => command.reply.refused(why),
                }
                if over {
                    return;
                }
            }
        })
    };

    let people: Vec<_> = [("ana", "ay"), ("kim", "r\r")]
        .into_iter()
        .map(|(user, keys)| {
            let (home, questions) = (home.path().to_owned(), Arc::clone(&questions));
            std::thread::spawn(move || {
                let policy = home.join(format!("{user}.json"));
                let mut term = Program::new(&home).arg(policy).env("USER", user).size(120, 30).start();
                term.wait("4 Approvals 100");
                term.type_keys("4");
                term.wait("ENDS IN");
                let late = Instant::now() + Duration::from_mins(1);
                while !questions.lock().unwrap().waiting.is_empty() {
                    assert!(Instant::now() < late, "{user} gets nowhere:\n{}", term.screen().text());
                    // Both begin at the same end, so that they meet at the same questions.
                    term.type_keys("g");
                    term.type_keys(keys);
                    std::thread::sleep(Duration::from_millis(5));
                }
                // Enter where no form was open made the detail whole: Esc shows the queue again.
                term.type_keys("\u{1b}");
                term.wait("nothing waits");
                term.type_keys("q");
                assert_eq!(term.end(), 0);
            })
        })
        .collect();
    for person in people {
        person.join().unwrap();
    }
    gateway.join().unwrap();
    let questions = questions.lock().unwrap();
    assert_eq!(questions.decided.len(), CALLS);
    assert!(questions.decided.values().all(|by| by.len() == 1), "each once: {:?}", questions.decided);
    let by = |user: &str| questions.decided.values().filter(|by| by[0] == user).count();
    assert_eq!(by("ana") + by("kim"), CALLS);
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
