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
#[cfg(unix)]
mod http_support;

use std::time::Duration;

use callgate::clock;
use callgate::counters::approval;
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Answer, Store};
use callgate::record::{Decision, Verdict};
use gateway_support::{Gateway, Home, call, denied, rule, shared, until};
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

/// For an airline's tools: rules on names, numbers, texts and elements of arrays; limits on calls and
/// amounts, in short windows and in one that does not end.
const AIRLINE: &str = r#"{
  "version": "1", "default": "deny", "hide": ["transfer_to_human_agents"],
  "all_tools": {"limits": [{"counter": "all", "window": 86400000, "max": 1000, "scope": "server"}]},
  "tools": {
    "get_user_details": {"limits": [{"counter": "users", "window": 86400000, "max": 100, "scope": "grant"}]},
    "get_reservation_details": {"limits": [{"counter": "burst", "window": 1, "max": 40, "scope": "grant"},
                                           {"counter": "mine", "window": "hour", "max": 250, "scope": "session"}]},
    "search_direct_flight": {},
    "search_onestop_flight": {"require": [{"conditions": [{"path": "args.date", "op": "regex", "value": "^2024-05-"}]}]},
    "calculate": {"deny_if": [{"conditions": [{"path": "args.expression", "op": "regex", "value": "[*/]"}]}]},
    "book_reservation": {
      "require": [{"conditions": [{"path": "args.passengers[*].last_name", "op": "exists", "value": true}]}],
      "deny_if": [{"conditions": [{"path": "args.payment_methods[*].amount", "op": "gt", "value": 600}]}],
      "limits": [{"counter": "bags", "window": 86400000, "max": 40, "increment_from": "args.total_baggages"}]
    },
    "update_reservation_flights": {"deny_if": [{"conditions": [{"path": "args.cabin", "op": "in", "value": ["business"]}]}]},
    "update_reservation_baggages": {"deny_if": [{"conditions": [{"path": "args.nonfree_baggages", "op": "gte", "value": 1}]}]},
    "cancel_reservation": {"limits": [{"counter": "cancels", "window": 2, "max": 9, "scope": "server"}]},
    "send_certificate": {"limits": [{"counter": "money", "window": 86400000, "max": 500, "increment_from": "args.amount"}]}
  }
}"#;

#[test]
fn real_agents_calls_replay_without_a_change() {
    let Some(shared) = shared() else { return };
    let traffic = std::fs::read_to_string(shared.join("traffic/airline-gpt4o.jsonl")).unwrap();
    let home = Home::new(AIRLINE);
    // Half of them by one gateway, the rest by another after it, on the same counters.
    let requests: Vec<String> = traffic
        .lines()
        .zip(1..)
        .map(|(line, id)| {
            let row: Value = serde_json::from_str(line).unwrap();
            let params = &row["request"]["params"];
            call(id, params["name"].as_str().unwrap(), &params["arguments"].to_string())
        })
        .collect();
    assert_eq!(requests.len(), 1_164);
    for half in requests.chunks(582) {
        let mut gateway = home.gateway(&[], &[]);
        let (mut sent, mut answered) = (0, 0);
        while answered < half.len() {
            while sent < half.len() && sent - answered < 8 {
                gateway.send(&half[sent]);
                sent += 1;
            }
            gateway.json();
            answered += 1;
        }
        assert_eq!(gateway.finish().1, 0);
    }
    let recorded = calls(&home);
    for rule in [
        "(hidden)",
        "(default deny)",
        "/tools/get_user_details/limits/users",
        "/tools/calculate/deny_if/args.expression-regex",
        "/tools/book_reservation/deny_if/args.payment_methods[*].amount-gt",
        "/tools/book_reservation/limits/bags",
        "/tools/update_reservation_flights/deny_if/args.cabin-in",
        "/tools/send_certificate/limits/money",
    ] {
        let rules: std::collections::BTreeSet<&str> = recorded.iter().map(|one| one.rule.as_str()).collect();
        assert!(rules.contains(rule), "{rule} was meant to decide something: {rules:?}");
    }
    let policy = home.text("policy.json");
    for arguments in [vec![policy.as_str()], vec![&policy, "--against", &policy]] {
        let report = replayed(&home, &arguments);
        no_change(&report);
        assert_eq!(report["calls"], 1_164, "{report:#}");
        assert_eq!(report["replayable"], 1_164, "{report:#}");
    }
    // One limit is wider: exactly its own denials may change, and some do.
    let wider = home.text("wider.json");
    std::fs::write(&wider, AIRLINE.replace(r#""max": 100"#, r#""max": 110"#)).unwrap();
    let report = replayed(&home, &[&wider, "--server", "fixture"]);
    assert_eq!(report["changed"]["deny_to_allow"], 0, "{report:#}");
    assert!(report["changed"]["limit"].as_u64().unwrap() > 0, "{report:#}");
    for group in report["groups"].as_array().unwrap() {
        let freed = group["from"]["rule"] == "/tools/get_user_details/limits/users";
        // Calls that are let pass count, so others come to a limit that all tools share.
        assert!(freed || group["to"]["rule"] == "/all_tools/limits/all", "{group:#}");
    }
}

#[cfg(unix)]
#[test]
fn sessions_over_http_replay_without_a_change() {
    use http_support::Gate;
    const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    const SESSIONS: usize = 4;
    let home = Home::new(
        r#"{"version":"1","default":"deny","tools":{"echo":{
          "deny_if":[{"conditions":[{"path":"args.message","op":"eq","value":"never"}]}],
          "limits":[{"counter":"mine","window":86400000,"max":7,"scope":"session"},
                    {"counter":"sum","window":86400000,"max":90,"scope":"session","increment_from":"args.amount"},
                    {"counter":"all","window":86400000,"max":26,"scope":"grant"}]}}}"#,
    );
    let mut gate = Gate::command(&home, &[], &[]);
    let ask = |session: &str, id: usize, message: &str, amount: usize| {
        let arguments = format!(r#"{{"message":"{message}","amount":{amount}}}"#);
        let answer = gate.post(session, &call(id as u64, "echo", &arguments));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    std::thread::scope(|scope| {
        for number in 0..SESSIONS {
            let (gate, ask) = (&gate, &ask);
            scope.spawn(move || {
                let begun = gate.post("", INITIALIZE);
                let session = format!("Mcp-Session-Id: {}\r\n", begun.header("mcp-session-id").unwrap());
                // One session spends its amounts first, the others their calls.
                let amount = if number == 0 { 30 } else { 1 };
                for id in 1..=12 {
                    let message = if id % 4 == 0 { "never" } else { "m" };
                    ask(&session, id, message, amount);
                }
            });
        }
    });
    gate.signal(rustix::process::Signal::TERM);
    gate.wait();
    let recorded = calls(&home);
    let denied_by = |rule: &str| {
        let of = |one: &&Decision| one.rule == format!("/tools/echo/limits/{rule}");
        let sessions = recorded.iter().filter(of).filter_map(|one| one.session.as_deref());
        sessions.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(recorded.len(), SESSIONS * 12);
    assert!(denied_by("sum") == 1 && denied_by("mine") + denied_by("all") >= SESSIONS - 1, "{recorded:#?}");
    let policy = home.text("policy.json");
    for arguments in [vec![policy.as_str()], vec![&policy, "--against", &policy]] {
        let report = replayed(&home, &arguments);
        no_change(&report);
        assert_eq!((&report["calls"], &report["replayable"]), (&48.into(), &48.into()), "{report:#}");
    }
    // Were the counters those of the grant, more would be denied: the sessions are told apart.
    let shared = home.text("shared.json");
    let text = std::fs::read_to_string(home.policy()).unwrap().replace("session", "grant");
    std::fs::write(&shared, text).unwrap();
    let report = replayed(&home, &[&shared, "--server", "up"]);
    assert!(report["changed"]["limit"].as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn what_people_approved_rejected_and_left_open_replays_without_a_change() {
    let asks = |message: &str, timeout: &str| {
        format!(
            r#"{{"conditions":[{{"path":"args.message","op":"eq","value":"{message}"}}],"timeout":"{timeout}"}}"#
        )
    };
    let policy = format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"approve_if":[{},{}],
          "limits":[{{"counter":"c","window":86400000,"max":3,"scope":"grant"}}]}}}}}}"#,
        asks("ask", "5m"),
        asks("late", "1s")
    );
    let home = Home::new(&policy);
    let store = || SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap();
    let mut gateway = home.gateway(&[], &[]);
    let held = |id: u64, message: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{message}","n":{id}}},"_meta":{{"progressToken":"t{id}"}}}}}}"#
        )
    };
    let decide = |approved: bool| {
        let open = until("the question", || {
            let now = clock::now();
            let open = store().approvals(now).unwrap();
            open.into_iter().find(|entry| entry.waits(now) && entry.holders > 0)
        });
        let answer = Answer { approved, by: "tester".to_owned(), note: String::new(), for_s: None };
        approval::answer(&store(), clock::now(), &open.id, &answer, || "o".to_owned()).unwrap().unwrap();
    };
    let said = |gateway: &mut Gateway, id: u64| loop {
        let said = gateway.json();
        if said["id"] == id {
            return said;
        }
    };
    // Approved, rejected, timed out, approved again; then the limit stands before the question.
    for (id, approved) in [(1, true), (2, false), (4, true)] {
        gateway.send(&held(id, "ask"));
        decide(approved);
        assert_eq!(denied(&said(&mut gateway, id)), !approved);
        if id == 2 {
            let answer = gateway.ask(&held(3, "late"));
            assert!(denied(&answer), "{answer}");
        }
    }
    assert!(!denied(&gateway.call(5, "echo", r#"{"message":"free"}"#)));
    let full = gateway.ask(&held(6, "ask"));
    assert_eq!(rule(&full), "/tools/echo/limits/c", "{full}");
    gateway.finish();
    assert_eq!(home.decisions().iter().filter(|one| one.call.is_some()).count(), 4, "decided again");
    let file = home.text("policy.json");
    for arguments in [vec![file.as_str()], vec![&file, "--against", &file]] {
        let report = replayed(&home, &arguments);
        no_change(&report);
        assert_eq!((&report["calls"], &report["replayable"]), (&6.into(), &6.into()), "{report:#}");
    }
    // Denied instead of asked about: the two that were approved, and the two that were not.
    let closed = home.text("closed.json");
    let text = policy.replace("approve_if", "deny_if").replace(r#","timeout":"5m""#, "");
    std::fs::write(&closed, text.replace(r#","timeout":"1s""#, "")).unwrap();
    let report = replayed(&home, &[&closed, "--server", "fixture"]);
    assert_eq!(report["changed"]["allow_to_deny"], 2, "{report:#}");
    assert_eq!(report["changed"]["approval"], 2, "{report:#}");
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
    serve(&home, "one");
    serve(&home, "two");
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

/// A gateway of this name decides one call.
fn serve(home: &Home, name: &str) {
    let mut command = home.command();
    command.arg("gateway").arg("--policy").arg(home.policy()).args(["--name", name, "--"]);
    command.arg(gateway_support::fixture());
    let mut gateway = Gateway::spawn(command);
    gateway.call(1, "echo", r#"{"message":"m","amount":1}"#);
    gateway.finish();
}

#[test]
fn a_server_that_never_ran_is_no_choice() {
    let home = Home::new(POLICY);
    serve(&home, "one");
    let policy = home.text("policy.json");
    let out = home.run(&["gateway", "--policy", &policy, "--name", "gone", "--", "callgate-no-such-program"]);
    assert!(!out.status.success());
    std::fs::write(home.path("draft.json"), POLICY).unwrap();
    let draft = home.text("draft.json");
    assert_eq!(replayed(&home, &[&draft])["calls"], 1);
    serve(&home, "two");
    let out = home.run(&["replay", &draft]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("`--server one`, `--server two`") && !said.contains("gone"), "{said}");
}
