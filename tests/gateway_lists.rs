//! What is hidden, denied or merely unknown: what the agent sees in the list, what a call is
//! answered, and what the journal says, in each combination; and who is told when that changes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod gateway_support;

use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Freeze, Override, Store};
use callgate::record::Verdict;
use gateway_support::{Home, rule};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":"list","method":"tools/list"}"#;

/// What stands above the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    Frozen,
    Denied,
    Allowed,
}

/// What a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Unknown,
    Denied,
    Runs,
}

fn set(home: &Home, above: Above) {
    let store = SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap();
    let at = "2026-11-20T21:00:00Z";
    let mut entry =
        json!({"id": "o", "server": "fixture", "tool": "danger", "by": "ana", "at": at, "reason": "why"});
    match above {
        Above::Nothing => {}
        Above::Frozen => {
            let freeze: Freeze =
                serde_json::from_value(json!({"id": "f", "by": "ana", "at": at, "reason": "why"})).unwrap();
            store.freeze(&freeze).unwrap();
        }
        Above::Denied | Above::Allowed => {
            entry["effect"] = json!(if above == Above::Denied { "deny" } else { "allow" });
            store.set_override(&serde_json::from_value::<Override>(entry).unwrap()).unwrap();
        }
    }
}

#[test]
fn hidden_denied_and_unknown_in_each_combination() {
    use Above::{Allowed, Denied, Frozen, Nothing};
    use Answered::{Runs, Unknown};
    let hide = r#"{"version":"1","default":"allow","hide":["danger"]}"#;
    let action_hide = r#"{"version":"1","default":"allow","tools":{"danger":{"action":"hide"}}}"#;
    let action_deny = r#"{"version":"1","default":"allow","tools":{"danger":{"action":"deny"}}}"#;
    let never = r#"{"version":"1","default":"allow","tools":{"danger":{"deny_if":[{"conditions":[]}]}}}"#;
    let unlisted = r#"{"version":"1","default":"deny","tools":{"echo":{}}}"#;
    let hidden_too = |policy: &str| policy.replacen('{', r#"{"hide_denied":true,"#, 1);
    let quiet = [action_deny, never, unlisted].map(hidden_too);
    let [action_quiet, never_quiet, unlisted_quiet] = &quiet;
    // The policy, what stands above it, whether the tool is listed, the answer, the rule.
    let cases: &[(&str, Above, bool, Answered, &str)] = &[
        (hide, Nothing, false, Unknown, "(hidden)"),
        (hide, Frozen, false, Unknown, "(frozen)"),
        (hide, Denied, false, Unknown, "(hidden)"),
        (hide, Allowed, false, Unknown, "(hidden)"),
        (action_hide, Nothing, false, Unknown, "(hidden)"),
        (action_hide, Allowed, false, Unknown, "(hidden)"),
        (action_deny, Nothing, true, Answered::Denied, "/tools/danger/action"),
        (action_deny, Frozen, true, Answered::Denied, "(frozen)"),
        (action_deny, Denied, true, Answered::Denied, "(override)"),
        (action_deny, Allowed, true, Runs, "(override)"),
        (action_quiet, Nothing, false, Unknown, "/tools/danger/action"),
        (action_quiet, Frozen, false, Unknown, "(frozen)"),
        (action_quiet, Denied, false, Unknown, "(override)"),
        (action_quiet, Allowed, false, Runs, "(override)"),
        (never, Nothing, true, Answered::Denied, "/tools/danger/deny_if/0"),
        (never_quiet, Nothing, false, Unknown, "/tools/danger/deny_if/0"),
        (unlisted, Nothing, true, Answered::Denied, "(default deny)"),
        (unlisted, Denied, true, Answered::Denied, "(override)"),
        (unlisted, Allowed, true, Runs, "(override)"),
        (unlisted_quiet, Nothing, false, Unknown, "(default deny)"),
        (unlisted_quiet, Frozen, false, Unknown, "(frozen)"),
        (unlisted_quiet, Allowed, false, Runs, "(override)"),
    ];
    for (policy, above, listed, answered, code) in cases {
        let home = Home::new(policy);
        set(&home, *above);
        let mut gateway = home.gateway(&["--pins", "off"], &[]);
        let list = gateway.ask(LIST);
        let names: Vec<&str> = list["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tool| tool["name"].as_str())
            .collect();
        assert_eq!(names.contains(&"danger"), *listed, "{policy} {above:?}");
        let answer = gateway.call(1, "danger", "{}");
        let found = match (answer["error"]["message"].as_str(), rule(&answer)) {
            (Some("Unknown tool: danger"), _) => Unknown,
            (None, "") if answer["result"]["content"][0]["text"] == "ran danger" => Runs,
            (None, shown) if shown == *code => Answered::Denied,
            _ => panic!("{policy} {above:?}: {answer}"),
        };
        assert_eq!(found, *answered, "{policy} {above:?}");
        if found == Unknown {
            assert!(!answer.to_string().contains("callgate"), "an unknown tool tells nothing: {answer}");
        }
        gateway.finish();
        let decisions = home.decisions();
        let [decision] = decisions.as_slice() else { panic!("{} decisions", decisions.len()) };
        let verdict = if *answered == Runs { Verdict::Allow } else { Verdict::Deny };
        assert_eq!((decision.decision, decision.rule.as_str()), (verdict, *code), "{policy} {above:?}");
        assert_eq!(decision.tool.as_deref(), Some("danger"));
    }
}

#[test]
fn a_drift_of_a_hidden_tool_is_not_told_to_the_agent() {
    for (policy, listed, code) in [
        (r#"{"version":"1","default":"allow"}"#, true, "(drift)"),
        (r#"{"version":"1","default":"allow","hide":["danger"]}"#, false, "(hidden)"),
        // Step 6 comes before step 10.
        (r#"{"version":"1","default":"deny"}"#, true, "(default deny)"),
        (r#"{"version":"1","default":"deny","hide_denied":true}"#, false, "(default deny)"),
    ] {
        let home = Home::new(policy);
        std::fs::write(home.path("list.json"), r#"{"tools":[{"name":"danger"}]}"#).unwrap();
        let (list, path) = (home.text("list.json"), home.text("policy.json"));
        assert!(home.run(&["tools", "--tools", &list, "--pin", &path, "--yes"]).status.success());
        let mut gateway = home.gateway(&["--pins", "enforce"], &[]);
        assert_eq!(gateway.ask(LIST).to_string().contains("\"danger\""), listed);
        let answer = gateway.call(1, "danger", "{}");
        assert_eq!(answer["error"]["code"] == -32602, !listed, "{answer}");
        gateway.finish();
        assert_eq!(home.decisions()[0].rule, code);
    }
}

#[test]
fn a_save_that_changes_what_is_visible_is_told_in_both_eras() {
    let open = r#"{"version":"1","default":"allow"}"#;
    let closed = r#"{"version":"1","default":"allow","hide":["danger"]}"#;
    let home = Home::new(open);
    let mut gateway = home.gateway(&[], &[]);
    gateway.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    );
    gateway.ask(LIST);
    home.set_policy(closed);
    assert_eq!(gateway.json()["method"], "notifications/tools/list_changed");
    gateway.finish();

    home.set_policy(open);
    let mut gateway = home.gateway(&[], &[]);
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let ask = |id: &str, method: &str, more: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{more}{meta}}}}}"#)
    };
    gateway.ask(&ask("1", "server/discover", ""));
    gateway.ask(&ask("2", "tools/list", ""));
    gateway.send(&ask("\"sub\"", "subscriptions/listen", r#""notifications":{"toolsListChanged":true},"#));
    // What is answered after it was forwarded after it.
    gateway.ask(&ask("3", "tools/list", ""));
    // A save that changes nothing of what is visible is not told; one that does is.
    home.set_policy(r#"{"version":"1","default":"allow","tools":{"echo":{}}}"#);
    home.set_policy(closed);
    let told: Value = gateway.json();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "sub", "{told}");
    let list = gateway.ask(&ask("4", "tools/list", ""));
    assert!(!list.to_string().contains("danger"));
    assert_eq!(
        (&list["result"]["ttlMs"], &list["result"]["cacheScope"]),
        (&json!(10_000), &json!("private"))
    );
    gateway.finish();
}
