//! What gateways share, and what changes while they run: counters, freezes, the policy, failures.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Freeze, Lift, Override, OverrideEffect, Store};
use callgate::record::{EventKind, Record, Verdict};
use gateway_support::{ALLOW, Gateway, Home, call, denied, rule, until};
use serde_json::Value;

fn limited(max: u64) -> String {
    format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"limits":[{{"counter":"c","window":86400000,"max":{max},"scope":"grant"}}]}},"error":{{"limits":[{{"counter":"e","window":86400000,"max":2,"scope":"grant"}}]}}}}}}"#
    )
}

fn store(home: &Home) -> SqliteStore {
    SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap()
}

fn freeze(id: &str, tool: Option<&str>) -> Freeze {
    Freeze {
        id: id.to_owned(),
        server: None,
        grant: None,
        tool: tool.map(str::to_owned),
        until: None,
        by: "tester".to_owned(),
        at: clock::now(),
        reason: "an incident".to_owned(),
    }
}

/// Sends `count` calls, 32 in flight, and gives how many were allowed.
fn load(mut gateway: Gateway, count: u64) -> u64 {
    let mut allowed = 0;
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < 32 {
            sent += 1;
            gateway.send(&call(sent, "echo", r#"{"message":"m"}"#));
        }
        answered += 1;
        allowed += u64::from(!denied(&gateway.json()));
    }
    assert_eq!(gateway.finish().1, 0);
    allowed
}

#[test]
fn gateways_share_a_counter_and_its_limit_holds_exactly() {
    let home = Home::new(&limited(700));
    let gateways: Vec<Gateway> = (0..3).map(|_| home.gateway(&[], &[])).collect();
    let threads: Vec<_> =
        gateways.into_iter().map(|gateway| std::thread::spawn(move || load(gateway, 400))).collect();
    let allowed: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(allowed, 700);
    let decisions = home.decisions();
    assert_eq!(decisions.len(), 1_200);
    assert_eq!(decisions.iter().filter(|decision| decision.decision == Verdict::Allow).count(), 700);
    assert_eq!(home.outcomes().len(), 700);
    // A restart refills nothing, and another grant has its own.
    let mut again = home.gateway(&[], &[]);
    assert_eq!(rule(&again.call(1, "echo", "{}")), "/tools/echo/limits/c");
    again.finish();
    let mut other = home.gateway(&["--grant", "other"], &[]);
    assert!(!denied(&other.call(1, "echo", "{}")));
    other.finish();
}

#[test]
fn what_did_not_run_is_given_back_before_its_answer() {
    let home = Home::new(&limited(1));
    let mut gateway = home.gateway(&[], &[]);
    for number in 0..5 {
        let answer = gateway.call(number, "error", r#"{"code":-32601}"#);
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    for number in 10..12 {
        assert_eq!(gateway.call(number, "error", r#"{"code":-32603}"#)["error"]["code"], -32603);
    }
    assert_eq!(rule(&gateway.call(12, "error", r#"{"code":-32603}"#)), "/tools/error/limits/e");
    gateway.finish();
    assert_eq!(home.outcomes().iter().filter(|outcome| outcome.released).count(), 5);
}

#[test]
fn a_freeze_is_seen_and_lifted() {
    let home = Home::new(ALLOW);
    let mut gateway = home.gateway(&[], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    let store = store(&home);
    store.freeze(&freeze("f1", Some("echo"))).unwrap();
    let answer = until("the freeze", || Some(gateway.call(2, "echo", "{}")).filter(denied));
    assert_eq!(rule(&answer), "(frozen)");
    assert_eq!(answer["result"]["content"][0]["text"], "[POLICY DENIED] Frozen: an incident");
    assert!(!denied(&gateway.call(3, "fail", "{}")), "another tool");
    assert!(gateway.ask(r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#)["result"].is_object());
    let lift = Lift { by: "ann".to_owned(), at: clock::now(), reason: "it is over".to_owned() };
    store.unfreeze_by(None, None, Some("echo"), Some(&lift)).unwrap();
    until("the end of the freeze", || (!denied(&gateway.call(5, "echo", "{}"))).then_some(()));
    until("its record", || (home.events(EventKind::Unfreeze).len() == 1).then_some(()));
    assert_eq!(home.events(EventKind::Freeze)[0]["tool"], "echo");
    let says_by_whom = home.records().into_iter().any(|record| match record {
        Record::Event(event) if event.kind == EventKind::Unfreeze => {
            event.by.as_deref() == Some("ann") && event.reason.as_deref() == Some("it is over")
        }
        _ => false,
    });
    assert!(says_by_whom);
    // One that is there at the start holds from the first call on.
    store.freeze(&freeze("f2", None)).unwrap();
    gateway.finish();
    let mut gateway = home.gateway(&[], &[]);
    assert_eq!(rule(&gateway.call(1, "fail", "{}")), "(frozen)");
    gateway.finish();
}

#[test]
fn a_freeze_that_a_gateway_does_not_see_is_no_success() {
    let home = Home::new(ALLOW);
    // Its counters lie in a store of its own, and the shell that freezes does not say so.
    let own = home.path("other.sqlite");
    let mut gateway = home.gateway(&["--counters", own.to_str().unwrap()], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let blind = home.run(&["freeze", "--server", "fixture", "--reason", "an incident"]);
    assert_eq!(blind.status.code(), Some(3), "{}", said(&blind));
    assert!(said(&blind).contains("does not see this freeze, and its calls go on"), "{}", said(&blind));
    assert!(said(&blind).contains("--counters"), "{}", said(&blind));
    assert!(!denied(&gateway.call(2, "echo", "{}")));
    // One that does not concern it is none of its business.
    let other = home.run(&["freeze", "--server", "another", "--reason", "an incident"]);
    assert!(other.status.success(), "{}", said(&other));
    let right = ["freeze", "--server", "fixture", "--reason", "now", "--counters", own.to_str().unwrap()];
    let right = home.run(&right);
    assert!(right.status.success(), "{}", said(&right));
    assert_eq!(rule(&gateway.call(3, "echo", "{}")), "(frozen)");
    // A look at the wrong store shows what the gateway says all the same.
    let status = home.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("now"), "{status:?}");
    assert!(said(&status).contains("count in another store"), "{}", said(&status));
    gateway.finish();
}

/// Calls until an answer has this rule (`""`: until it is not denied), and gives when that came.
fn sees(gateway: &mut Gateway, id: &mut u64, wanted: &str) -> Instant {
    until("what was set", || {
        *id += 1;
        let answer = gateway.call(*id, "echo", "{}");
        let found = if denied(&answer) { rule(&answer).to_owned() } else { String::new() };
        (found == wanted).then(Instant::now)
    })
}

/// `cargo test --test gateway_shared every_gateway -- --nocapture` says how long it took.
#[test]
#[allow(clippy::print_stderr)]
fn every_gateway_of_the_store_sees_freezes_and_overrides() {
    const GATEWAYS: usize = 10;
    const ROUNDS: usize = 5;
    let home = Home::new(ALLOW);
    let mut gateways: Vec<(Gateway, u64)> = (0..GATEWAYS).map(|_| (home.gateway(&[], &[]), 0)).collect();
    let store = store(&home);
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut all_see = |what: &'static str, wanted: &str, set: &mut dyn FnMut()| {
        set();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let seen: Vec<_> = gateways
                .iter_mut()
                .map(|(gateway, id)| scope.spawn(move || sees(gateway, id, wanted)))
                .collect();
            took.extend(seen.into_iter().map(|one| (what, one.join().unwrap() - began)));
        });
    };
    all_see("the start", "", &mut || ());
    for round in 0..ROUNDS {
        let id = format!("f{round}");
        all_see("a freeze", "(frozen)", &mut || store.freeze(&freeze(&id, None)).unwrap());
        all_see("its end", "", &mut || {
            assert_eq!(store.unfreeze(None, None, None).unwrap().len(), 1);
        });
        let deny = Override {
            id: format!("o{round}"),
            effect: OverrideEffect::Deny,
            server: "fixture".to_owned(),
            grant: None,
            tool: "echo".to_owned(),
            args_sha256: None,
            until: None,
            uses: None,
            run: None,
            by: "tester".to_owned(),
            at: clock::now(),
            reason: "no".to_owned(),
        };
        all_see("an override", "(override)", &mut || store.set_override(&deny).unwrap());
        all_see("its end", "", &mut || {
            store.end_override(&deny.id).unwrap();
        });
    }
    for what in ["a freeze", "an override", "its end"] {
        let mut times: Vec<Duration> =
            took.iter().filter(|(known, _)| *known == what).map(|(_, time)| *time).collect();
        times.sort();
        let (half, most) = (times[times.len() / 2], times[times.len() - 1]);
        eprintln!("{what}: seen by {GATEWAYS} gateways in {half:.0?} (median), {most:.0?} (the last)");
    }
    for (gateway, _) in &mut gateways {
        assert_eq!(gateway.finish().1, 0);
    }
}

#[test]
fn overrides_stand_above_the_policy() {
    let home = Home::new(r#"{"version":"1","default":"deny","tools":{"echo":{"action":"approve"}}}"#);
    let mut gateway = home.gateway(&[], &[]);
    assert_eq!(rule(&gateway.call(1, "fail", "{}")), "(default deny)");
    let entry = |id: &str, tool: &str, effect, uses| Override {
        id: id.to_owned(),
        effect,
        server: "fixture".to_owned(),
        grant: None,
        tool: tool.to_owned(),
        args_sha256: None,
        until: None,
        uses,
        run: None,
        by: "tester".to_owned(),
        at: clock::now(),
        reason: "try".to_owned(),
    };
    let store = store(&home);
    store.set_override(&entry("o1", "fail", OverrideEffect::Allow, Some(2))).unwrap();
    store.set_override(&entry("o2", "echo", OverrideEffect::Approved, None)).unwrap();
    until("the override", || (!denied(&gateway.call(2, "echo", "{}"))).then_some(()));
    let uses: Vec<bool> = (10..14).map(|id| !denied(&gateway.call(id, "fail", "{}"))).collect();
    assert_eq!(uses, [true, true, false, false], "each use is taken once");
    store.set_override(&entry("o3", "echo", OverrideEffect::Deny, None)).unwrap();
    let answer = until("the denial", || Some(gateway.call(20, "echo", "{}")).filter(denied));
    assert_eq!(rule(&answer), "(override)");
    gateway.finish();
}

#[test]
fn the_policy_is_reloaded_under_load_without_a_wrong_or_lost_answer() {
    let policy = |denied: &str| {
        format!(r#"{{"version":"1","default":"allow","tools":{{"{denied}":{{"action":"deny"}}}}}}"#)
    };
    let home = Home::new(&policy("a"));
    let mut gateway = home.gateway(&[], &[]);
    let mut revisions = HashMap::new();
    for tool in ["a", "b"] {
        revisions.insert(callgate::policy::document::revision(policy(tool).as_bytes()), tool);
    }
    let mut id = 0;
    for round in 0..20 {
        let now_denied = if round % 2 == 0 { "b" } else { "a" };
        home.set_policy(&policy(now_denied));
        let mut in_force = false;
        let began = std::time::Instant::now();
        while !in_force {
            assert!(began.elapsed() < gateway_support::LONG);
            for tool in ["a", "b"] {
                id += 1;
                let answer = gateway.call(id, tool, "{}");
                if denied(&answer) {
                    let revision = answer["result"]["_meta"]["callgate/decision"]["policy"].as_str().unwrap();
                    assert_eq!(revisions[revision], tool, "denied by the policy that it names");
                    in_force |= tool == now_denied;
                } else {
                    assert_eq!(answer["result"]["content"][0]["text"], format!("ran {tool}"));
                }
            }
        }
    }
    gateway.finish();
    let decisions = home.decisions();
    assert_eq!(decisions.len() as u64, id, "each call is recorded once");
    for decision in decisions {
        let denies = revisions[decision.policy.as_deref().unwrap()];
        assert_eq!(decision.decision == Verdict::Deny, decision.tool.as_deref() == Some(denies));
    }
    assert_eq!(fs::read_dir(home.path("home/state/policies")).unwrap().count(), 2, "each text is kept once");
}

#[test]
fn a_bad_version_is_reported_and_the_old_one_stays() {
    let home = Home::new(r#"{"version":"1","default":"allow","hide":["danger"],"tools":{}}"#);
    let mut gateway = home.gateway(&[], &[]);
    gateway.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    );
    gateway.ask(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    for (number, bad) in
        [Some("{"), Some(r#"{"version":"1","default":"allow","deny_iff":[]}"#), None].iter().enumerate()
    {
        match bad {
            Some(text) => home.set_policy(text),
            None => fs::remove_file(home.policy()).unwrap(),
        }
        until("the report", || (home.events(EventKind::PolicyRejected).len() == number + 1).then_some(()));
        assert_eq!(gateway.call(3, "danger", "{}")["error"]["code"], -32602, "the old one stays");
    }
    // A good one changes what is visible, and the client is told.
    home.set_policy(ALLOW);
    let told = gateway.json();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert!(!denied(&gateway.call(4, "danger", "{}")));
    let list = gateway.ask(r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#);
    assert!(list.to_string().contains("danger"));
    gateway.finish();
    assert!(home.decisions().iter().all(|decision| decision.client.as_deref() == Some("t 1")));
}

#[test]
fn a_call_that_cannot_be_recorded_is_denied_unless_told_otherwise() {
    for fail_open in [false, true] {
        let home = Home::new(ALLOW);
        fs::create_dir_all(home.path("home/state")).unwrap();
        // A file where the journal's folder should be.
        fs::write(home.path("home/state/journal"), "").unwrap();
        let log = home.text("server.in");
        let options: &[&str] = if fail_open { &["--fail-open"] } else { &[] };
        let mut gateway = home.gateway(options, &["--log", &log]);
        let answer = gateway.call(1, "echo", r#"{"message":"m"}"#);
        assert_eq!(denied(&answer), !fail_open);
        if fail_open {
            fs::remove_file(home.path("home/state/journal")).unwrap();
            until("the record", || {
                home.decisions().into_iter().find(|decision| decision.tool.as_deref() == Some("echo"))
            });
            let decision = home.decisions().remove(0);
            assert!(!decision.enforced && decision.decision == Verdict::Allow);
        } else {
            assert_eq!(rule(&answer), "(unavailable)");
        }
        gateway.finish();
        assert_eq!(fs::read_to_string(&log).unwrap_or_default().is_empty(), !fail_open);
    }
}

#[test]
fn without_the_store_what_counts_is_denied_unless_told_otherwise() {
    for fail_open in [false, true] {
        let home = Home::new(&limited(1));
        fs::create_dir_all(home.path("home/state")).unwrap();
        fs::write(home.path("home/state/store.sqlite"), "this is no store").unwrap();
        let options: &[&str] = if fail_open { &["--fail-open"] } else { &[] };
        let mut gateway = home.gateway(options, &[]);
        for number in 0..3 {
            let answer = gateway.call(number, "echo", "{}");
            assert_eq!(denied(&answer), !fail_open, "{answer}");
            if !fail_open {
                assert_eq!(rule(&answer), "(unavailable)");
            }
        }
        gateway.finish();
        let decisions = home.decisions();
        assert_eq!(decisions.len(), 3);
        assert!(decisions.iter().all(|decision| decision.enforced != fail_open && !decision.counted));
        assert_eq!(home.events(EventKind::Store)[0]["state"], "failed");
    }
}

#[test]
fn secrets_are_masked_in_the_journal_and_pass_untouched() {
    let home = Home::new(ALLOW);
    let log = home.text("server.in");
    let mut gateway = home.gateway(&[], &["--log", &log]);
    gateway.call(1, "echo", r#"{"message":"m","api_key":"sk-verysecretvalue0123456789"}"#);
    gateway.finish();
    assert!(fs::read_to_string(log).unwrap().contains("verysecret"));
    let args: Value = serde_json::from_str(home.decisions()[0].args.as_ref().unwrap().get()).unwrap();
    assert!(args["api_key"]["masked"].as_str().unwrap().starts_with("hmac-sha256:"), "{args}");
}
