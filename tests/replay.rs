//! `callgate replay`: what the real gateway decided replays under the same policy without a change,
//! and another policy changes what it must.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;

use std::time::Duration;

use callgate::record::{Decision, Verdict};
use gateway_support::{Gateway, Home, call, denied, until};
use serde_json::Value;

/// Windows of two seconds, a minute and a day; scopes of every kind; amounts; rules of every list.
const POLICY: &str = r#"{
  "version": "1", "default": "deny", "hide": ["add"],
  "all_tools": {"limits": [{"counter": "all", "window": "day", "max": 2000, "scope": "server"}]},
  "tools": {
    "echo": {
      "require": [{"conditions": [{"path": "args.message", "op": "exists", "value": true}]}],
      "deny_if": [{"conditions": [{"path": "args.message", "op": "regex", "value": "^never"}]},
                  {"conditions": [{"path": "args.password", "op": "eq", "value": "open sesame"}]}],
      "approve_if": [{"conditions": [{"path": "args.message", "op": "eq", "value": "ask"}], "timeout": "1s"}],
      "limits": [{"counter": "burst", "window": 2, "max": 20, "scope": "grant"},
                 {"counter": "mine", "window": "minute", "max": 60, "scope": "session"},
                 {"counter": "sum", "window": "day", "max": 900, "increment_from": "args.amount"}]
    },
    "error": {"limits": [{"counter": "errors", "window": "day", "max": 3, "scope": "server"}]}
  }
}"#;

/// Sends calls of many kinds, so many in flight.
fn load(mut gateway: Gateway, count: u64, flight: u64) {
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < flight {
            sent += 1;
            let request = match sent % 10 {
                0 => call(sent, "echo", r#"{"message":"never","amount":1}"#),
                1 => call(sent, "echo", r#"{"amount":1}"#),
                2 => call(sent, "echo", r#"{"message":"m","amount":"one"}"#),
                3 => call(sent, "echo", r#"{"message":"m","amount":2.25,"password":"open sesame"}"#),
                4 => call(sent, "echo", r#"{"message":"m","amount":1,"password":"another"}"#),
                5 => call(sent, "error", r#"{"code":-32601}"#),
                6 => call(sent, "add", r#"{"a":1,"b":2}"#),
                _ => call(sent, "echo", &format!(r#"{{"message":"m {sent}","amount":{}.5}}"#, sent % 7)),
            };
            gateway.send(&request);
        }
        answered += 1;
        gateway.json();
    }
    assert_eq!(gateway.finish().1, 0);
}

fn replayed(home: &Home, arguments: &[&str]) -> Value {
    let out = home.run(&[&["--format", "json", "replay"], arguments].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn no_change(report: &Value) {
    let none = serde_json::json!({"deny_to_allow": 0, "allow_to_deny": 0, "limit": 0, "approval": 0});
    assert_eq!(report["changed"], none, "{report:#}");
}

/// The decisions about calls, without second ones.
fn calls(home: &Home) -> Vec<Decision> {
    home.decisions().into_iter().filter(|decision| decision.call.is_none()).collect()
}

#[test]
fn what_gateways_decided_together_replays_without_a_change() {
    let home = Home::new(POLICY);
    // Three at once near every limit, then a restart in another window.
    for round in 0..2 {
        let gateways: Vec<Gateway> = (0..3).map(|_| home.gateway(&[], &[])).collect();
        let threads: Vec<_> =
            gateways.into_iter().map(|gateway| std::thread::spawn(move || load(gateway, 150, 16))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        if round == 0 {
            std::thread::sleep(Duration::from_millis(2100));
        }
    }
    // One that nobody approves.
    let mut gateway = home.gateway(&["--grant", "other"], &[]);
    assert!(denied(&gateway.call(1, "echo", r#"{"message":"ask","amount":1}"#)));
    gateway.finish();
    let recorded = calls(&home);
    for rule in [
        "/tools/echo/limits/burst",
        "/tools/echo/limits/sum",
        "/tools/echo/deny_if/args.password-eq",
        "/tools/echo/require/args.message-exists",
        "(hidden)",
    ] {
        assert!(
            recorded.iter().any(|decision| decision.rule == rule),
            "{rule} was meant to decide something"
        );
    }
    assert!(home.outcomes().iter().any(|outcome| outcome.released), "something was given back");
    let policy = home.policy();
    let report = replayed(&home, &[policy.to_str().unwrap()]);
    no_change(&report);
    assert_eq!(report["calls"], recorded.len());
    assert_eq!(report["replayable"], recorded.len());
    no_change(&replayed(&home, &[policy.to_str().unwrap(), "--against", policy.to_str().unwrap()]));

    // One changed rule: what must change is counted from the records themselves.
    let other = home.path("other.json");
    std::fs::write(&other, POLICY.replace(r#""value": "open sesame""#, r#""value": "another""#)).unwrap();
    let out = home.run(&["replay", other.to_str().unwrap(), "--exit-code", "--server", "fixture"]);
    assert_eq!(out.status.code(), Some(1));
    let report = replayed(&home, &[other.to_str().unwrap(), "--server", "fixture"]);
    let with = |text: &str, verdict: Verdict| {
        let of = |decision: &&Decision| {
            decision.decision == verdict
                && decision.args.as_ref().is_some_and(|args| args.get().contains(text))
        };
        recorded.iter().filter(of).count()
    };
    // The values are masked in the record: an amount tells which is which.
    assert_eq!(
        report["changed"]["allow_to_deny"],
        with(r#""amount":1,"password":{"masked""#, Verdict::Allow)
    );
    assert!(report["changed"]["allow_to_deny"].as_u64().unwrap() > 0);
    let freed = report["changed"]["deny_to_allow"].as_u64().unwrap();
    assert!(freed <= with(r#""amount":2.25,"password":{"masked""#, Verdict::Deny) as u64);
    let group = &report["groups"][0];
    assert_eq!((&group["tool"], &group["to"]["decision"]), (&"echo".into(), &"allow".into()), "{report:#}");
    let masked = |example: &Value| !example["args"]["password"]["masked"].is_null();
    assert!(report["examples"].as_array().unwrap().iter().any(masked), "{report:#}");
}

#[test]
fn a_reload_between_two_policies_changes_only_what_the_other_decided() {
    let before = POLICY.replace(r#""max": "#, r#""max": 9000"#);
    let after = before.replace("^never", "^m 1");
    let home = Home::new(&before);
    let mut gateway = home.gateway(&[], &[]);
    let ask = |gateway: &mut Gateway, id: u64| {
        gateway.call(id, "echo", &format!(r#"{{"message":"m {}","amount":1}}"#, id % 3))
    };
    for id in 0..30 {
        ask(&mut gateway, id);
    }
    home.set_policy(&after);
    let mut id = 30;
    until("the reload", || {
        id += 1;
        let answer = ask(&mut gateway, id * 3 + 1);
        (gateway_support::rule(&answer) == "/tools/echo/deny_if/args.message-regex").then_some(())
    });
    for id in 200_000..200_030 {
        ask(&mut gateway, id);
    }
    gateway.finish();
    let recorded = calls(&home);
    let first = recorded[0].policy.clone().unwrap();
    let old = recorded.iter().filter(|decision| decision.policy.as_deref() == Some(&first)).count();
    assert!(old >= 30 && old < recorded.len());
    let report = replayed(&home, &[home.policy().to_str().unwrap()]);
    let hit = |decision: &&Decision| {
        decision.policy.as_deref() == Some(&first)
            && decision.args.as_ref().is_some_and(|args| args.get().contains(r#""m 1""#))
    };
    assert_eq!(report["changed"]["allow_to_deny"], recorded.iter().filter(hit).count(), "{report:#}");
    assert_eq!(report["changed"]["deny_to_allow"], 0);
    assert_eq!(report["changed"]["limit"], 0);
    for example in report["examples"].as_array().unwrap() {
        assert_eq!(example["policy"], first);
    }
}

#[test]
fn names_what_it_cannot_do() {
    let home = Home::new(POLICY);
    let policy = home.text("policy.json");
    let out = home.run(&["replay", &policy]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "no recorded calls\n");
    let out = home.run(&["replay", "none.json"]);
    assert_eq!(out.status.code(), Some(3));
    std::fs::write(home.path("bad.json"), "{}").unwrap();
    let out = home.run(&["replay", &home.text("bad.json")]);
    assert_eq!(out.status.code(), Some(1));
    let out = home.run(&["replay", &policy, &home.text("no.jsonl")]);
    assert_eq!(out.status.code(), Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    // Calls of two servers, and a policy that neither was under.
    for name in ["one", "two"] {
        let mut command = home.command();
        command.arg("gateway").arg("--policy").arg(home.policy()).args(["--name", name, "--"]);
        let mut gateway = Gateway::spawn({
            command.arg(gateway_support::fixture());
            command
        });
        gateway.call(1, "echo", r#"{"message":"m","amount":1}"#);
        gateway.finish();
    }
    std::fs::write(home.path("draft.json"), POLICY).unwrap();
    let out = home.run(&["replay", &home.text("draft.json")]);
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("--server one") && said.contains("--server two"), "{said}");
    let report = replayed(&home, &[&home.text("draft.json"), "--server", "two"]);
    assert_eq!(report["calls"], 1);
    let report = replayed(&home, &[&policy, &home.text("home/state/journal")]);
    assert_eq!(report["calls"], 2);
}
