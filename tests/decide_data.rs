//! Published policies decide as their documentation says, recorded traffic is decided alike by
//! `decide` and `explain`, and defects of an earlier proxy of this kind do not come back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs
)]

use std::path::PathBuf;

use callgate::json;
use callgate::policy::compiled::Compiled;
use callgate::policy::counter::{Amount, Caller, Reserved, Want};
use callgate::policy::decide::{Call, Circumstances, Denial, Verdict, retry_after};
use callgate::policy::document::Document;
use callgate::policy::explain::Decision;
use callgate::policy::memory::MemoryCounters;
use callgate::time::Timestamp;

const CALLER: Caller<'static> = Caller { server: "s", grant: "g", session: Some("x") };

fn compiled(text: &str) -> Compiled {
    Compiled::new(&Document::parse(text).valid().unwrap()).unwrap()
}

/// A file of the shared data; `None` where the data is not there.
fn shared(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {}", path.display());
    }
    text
}

fn decide(policy: &Compiled, tool: &str, arguments: &str) -> Verdict {
    let parsed = json::parse(arguments).unwrap();
    policy.decide(&Call { tool, arguments: Some(&parsed.root) }, &Circumstances::default())
}

/// `allow`, or the denial's rule and message.
fn told(policy: &Compiled, tool: &str, arguments: &str) -> (String, String) {
    match decide(policy, tool, arguments) {
        Verdict::Deny(denial) => (denial.rule, denial.message),
        Verdict::Allow { .. } => ("allow".to_owned(), String::new()),
    }
}

#[test]
fn published_policies_decide_as_documented() {
    let default = "(default deny)";
    for (file, tool, arguments, rule, message) in [
        ("01-skeleton", "delete_account", "{}", "(hidden)", ""),
        ("01-skeleton", "create_charge", "{}", "allow", ""),
        ("01-skeleton", "other", "{}", default, "Tool other is not permitted by policy"),
        ("02-allowlist", "list_customers", "{}", "allow", ""),
        ("02-allowlist", "create_refund", "{}", default, ""),
        ("03-argument-cap", "create_refund", r#"{"amount":100}"#, "allow", ""),
        (
            "03-argument-cap",
            "create_refund",
            r#"{"amount":100.01}"#,
            "/tools/create_refund/deny_if/args.amount-gt",
            "Refund exceeds the policy limit.",
        ),
        ("03-argument-cap", "create_refund", "{}", "allow", ""),
        (
            "03-argument-cap",
            "create_refund",
            r#"{"amount":"101"}"#,
            "/tools/create_refund/deny_if/args.amount-gt",
            "Refund exceeds the policy limit. (args.amount is a string, a number is needed)",
        ),
        ("04-shell-two-layers", "execute_command", r#"{"command":"git status"}"#, "allow", ""),
        ("04-shell-two-layers", "execute_command", r#"{"command":"cat src/main.rs"}"#, "allow", ""),
        (
            "04-shell-two-layers",
            "execute_command",
            r#"{"command":"rm -rf /"}"#,
            "/tools/execute_command/require/args.command-regex",
            "Command not on the allowlist.",
        ),
        (
            "04-shell-two-layers",
            "execute_command",
            "{}",
            "/tools/execute_command/require/args.command-regex",
            "Command not on the allowlist.",
        ),
        (
            "04-shell-two-layers",
            "execute_command",
            r#"{"command":"git status; curl evil"}"#,
            "/tools/execute_command/require/args.command-regex",
            "Command not on the allowlist.",
        ),
        (
            "04-shell-two-layers",
            "execute_command",
            r#"{"command":"git log | nc x 1"}"#,
            "/tools/execute_command/deny_if/args.command-regex",
            "Shell metacharacters are blocked.",
        ),
        ("04-shell-two-layers", "anything_else", "{}", "allow", ""),
        ("05-write", "policies.create", "{}", "allow", ""),
        ("05-write", "policies", "{}", default, ""),
        ("06-execute", "execute", "{}", "allow", ""),
        ("07-read", "query", r#"{"q":1}"#, "allow", ""),
        ("08-destructive", "delete_mock", "{}", "(hidden)", ""),
        ("08-destructive", "list_mocks", "{}", default, ""),
        ("09-financial", "ra_refund", "{}", "/tools/ra_refund/deny_if/0", "Requires human approval."),
        ("10-ghcr-push", "ghcr_push", "{}", "allow", ""),
        ("11-pull", "pull", "{}", "allow", ""),
        (
            "12-server-page",
            "remove_container",
            "{}",
            "/tools/remove_container/deny_if/0",
            "Blocked by default. Requires approval.",
        ),
        ("12-server-page", "create_container", "{}", "allow", ""),
    ] {
        let Some(text) = shared(&format!("policies/{file}.json")) else { return };
        let got = told(&compiled(&text), tool, arguments);
        assert_eq!(got.0, rule, "{file} {tool} {arguments}");
        if !message.is_empty() {
            assert_eq!(got.1, message, "{file} {tool} {arguments}");
        }
    }
}

#[test]
fn published_limits_hold_and_refill() {
    let minute = 60_000_000;
    for (file, tool, max, window, message) in [
        ("05-write", "policies.create", 30, minute, "Limit policies.create_rate reached: 30 a minute"),
        ("06-execute", "execute", 10, minute, "Limit execute_rate reached: 10 a minute"),
        ("10-ghcr-push", "ghcr_push", 30, minute, "Limit ghcr_push_rate reached: 30 a minute"),
        ("11-pull", "pull", 10, minute, "Limit pull_rate reached: 10 a minute"),
        (
            "12-server-page",
            "create_container",
            30,
            60 * minute,
            "Limit create_container_per_hour reached: 30 an hour",
        ),
    ] {
        let Some(text) = shared(&format!("policies/{file}.json")) else { return };
        let policy = compiled(&text);
        let mut counters = MemoryCounters::new();
        let Verdict::Allow { charges, .. } = decide(&policy, tool, "{}") else { panic!("{tool}") };
        let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&CALLER, false)).collect();
        let start = Timestamp(1_795_208_400_000_000);
        for _ in 0..max {
            assert!(matches!(counters.reserve(start, &wants), Reserved::Done { .. }));
        }
        let late = start.plus_micros(window - 1);
        let Reserved::Full { usages } = counters.reserve(late, &wants) else { panic!("{tool} has room") };
        assert_eq!(Denial::limit(&charges[0].limit).message, message);
        assert_eq!(retry_after(start, &usages, &charges), Some(u64::try_from(window / 1000).unwrap()));
        assert_eq!(retry_after(late, &usages, &charges), Some(1));
        assert!(matches!(counters.reserve(start.plus_micros(window), &wants), Reserved::Done { .. }));
    }
}

#[test]
fn waiting_helps_only_where_it_can() {
    let policy = compiled(
        r#"{"version":"1","default":"deny","tools":{"t":{"limits":[
            {"counter":"a","window":"minute","max":1},
            {"counter":"b","window":"hour","max":1},
            {"counter":"c","window":"hour","max":5,"increment_from":"args.n"}]}}}"#,
    );
    let charges_of = |arguments: &str| match decide(&policy, "t", arguments) {
        Verdict::Allow { charges, .. } => charges,
        Verdict::Deny(denial) => panic!("{denial:?}"),
    };
    let mut counters = MemoryCounters::new();
    let wants = |charges: &[callgate::policy::decide::Charge]| -> Vec<Want> {
        charges.iter().map(|charge| charge.want(&CALLER, false)).collect()
    };
    let small = charges_of(r#"{"n":1}"#);
    assert!(matches!(counters.reserve(Timestamp(0), &wants(&small)), Reserved::Done { .. }));
    let Reserved::Full { usages } = counters.reserve(Timestamp(0), &wants(&small)) else { panic!() };
    assert_eq!(retry_after(Timestamp(0), &usages, &small), Some(3_600_000));
    // More than an empty counter can hold: no wait is long enough.
    let large = charges_of(r#"{"n":6}"#);
    let Reserved::Full { usages } = counters.reserve(Timestamp(0), &wants(&large)) else { panic!() };
    assert_eq!(retry_after(Timestamp(0), &usages, &large), None);
    assert_eq!(retry_after(Timestamp(0), &[], &[]), None);
}

const AIRLINE: &str = r#"{"version":"1","default":"allow","hide":["list_all_airports"],
    "all_tools":{"limits":[{"counter":"calls","window":"hour","max":40,"scope":"session"}]},
    "tools":{
        "think":{"action":"deny","reason":"Not recorded."},
        "cancel_reservation":{"approve_if":[{"conditions":[{"path":"args.reservation_id","op":"regex","value":"^[0-9A-M]"}]}]},
        "book_reservation":{
            "require":[{"conditions":[{"path":"args.passengers[*].first_name","op":"exists","value":true}]}],
            "deny_if":[{"conditions":[{"path":"args.payment_methods[*].amount","op":"gt","value":500}],"on_deny":"Too much."},
                       {"conditions":[{"path":"args.total_baggages","op":"gt","value":3}]}],
            "limits":[{"counter":"spent","window":"day","max":900,"scope":"grant","increment_from":"args.payment_methods[*].amount"}]},
        "update_reservation_flights":{
            "deny_if":[{"conditions":[{"path":"args.cabin","op":"not_in","value":["economy","basic_economy"]}]}],
            "rate_limit":{"max":2,"window":60}},
        "send_certificate":{"deny_if":[{"conditions":[{"path":"args.amount","op":"gt","value":100}]}]},
        "calculate":{"require":[{"conditions":[{"path":"args.expression","op":"regex","value":"^[0-9 .+*/()-]+$"}]}]}}}"#;

#[test]
fn recorded_traffic_is_decided_and_explained_alike() {
    let Some(text) = shared("traffic/airline-gpt4o.jsonl") else { return };
    let policy = compiled(AIRLINE);
    let mut counters = MemoryCounters::new();
    let (mut calls, mut rules) = (0, std::collections::BTreeMap::<String, usize>::new());
    for (index, line) in text.lines().enumerate() {
        let parsed = json::parse(line).unwrap();
        let session = parsed.root.get("session").and_then(json::Node::as_str).unwrap();
        let params = parsed.root.get("request").and_then(|request| request.get("params")).unwrap();
        let tool = params.get("name").and_then(json::Node::as_str).unwrap();
        let call = Call { tool, arguments: params.get("arguments") };
        let caller = Caller { session: Some(session), ..CALLER };
        // About six calls a minute.
        let now = Timestamp(1_795_208_400_000_000 + i64::try_from(index).unwrap() * 10_000_000);
        let circumstances = Circumstances::default();
        let explained = policy.explain_counted(&call, &circumstances, &mut |charge| {
            let usage = counters.peek(now, &[charge.want(&caller, false)]).remove(0);
            Some((usage.used, usage.resets_at))
        });
        let verdict = policy.decide(&call, &circumstances);
        assert_eq!(verdict, policy.decide(&call, &circumstances), "the same call, the same decision");
        let (decision, rule, pointer, message) = match verdict {
            Verdict::Deny(denial) => (Decision::Deny, denial.rule, denial.pointer, denial.message),
            Verdict::Allow { charges, approval, rule, pointer, .. } => {
                let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&caller, false)).collect();
                let usages = counters.peek(now, &wants);
                match (usages.iter().position(|usage| !usage.room), approval) {
                    (Some(full), _) => {
                        let denial = Denial::limit(&charges[full].limit);
                        (Decision::Deny, denial.rule, denial.pointer, denial.message)
                    }
                    (None, Some(need)) => (Decision::Approve, need.rule, Some(need.pointer), need.message),
                    (None, None) => {
                        assert!(matches!(counters.reserve(now, &wants), Reserved::Done { .. }));
                        (Decision::Allow, rule, pointer, String::new())
                    }
                }
            }
        };
        let got = (explained.decision, explained.rule, explained.pointer, explained.message);
        assert_eq!(got, (decision, rule.clone(), pointer, message), "line {}", index + 1);
        assert_eq!(
            explained.trace.iter().filter(|step| step.decided).count(),
            usize::from(decision != Decision::Allow)
        );
        *rules.entry(rule).or_default() += 1;
        calls += 1;
    }
    assert_eq!(calls, 1_164);
    assert!(rules.len() >= 5, "the policy bites in several places: {rules:?}");
}

/// What `explain --format json` prints is a contract.
#[test]
fn explanations_have_the_agreed_shape() {
    let policy = compiled(
        r#"{"version":"1","default":"deny","tools":{"t":{
            "deny_if":[{"conditions":[{"path":"args.n[*]","op":"gt","value":5}]}],
            "limits":[{"counter":"c","window":"minute","max":2.5,"increment_from":"args.by"}]}}}"#,
    );
    let explain = |arguments: &str| {
        let parsed = json::parse(arguments).unwrap();
        let call = Call { tool: "t", arguments: Some(&parsed.root) };
        serde_json::to_value(policy.explain(&call, &Circumstances::default())).unwrap()
    };
    let told = explain(r#"{"n":[1,"6"],"by":1}"#);
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    let mut wanted = ["tool", "decision", "visible", "rule", "pointer", "message", "limits", "trace"];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(told["decision"], "deny");
    assert_eq!(told["rule"], "/tools/t/deny_if/args.n[*]-gt");
    assert_eq!(told["pointer"], "/tools/t/deny_if/0");
    assert_eq!(
        told["limits"][0].to_string(),
        r#"{"counter":"c","increment":1,"max":2.5,"scope":"grant","window":60}"#
    );
    let step = told["trace"].as_array().unwrap().iter().find(|step| step["list"] == "deny_if").unwrap();
    assert_eq!(
        (&step["outcome"], &step["decided"], &step["holds"]),
        (&"deny".into(), &true.into(), &"indeterminate".into())
    );
    let condition = &step["conditions"][0];
    assert_eq!(condition["path"], "args.n[*]");
    assert_eq!(condition["op"], "gt");
    assert_eq!(condition["outcome"], "indeterminate");
    assert_eq!(condition["why"], "args.n.1 is a string, a number is needed");
    assert_eq!(
        condition["found"][0].to_string(),
        r#"{"outcome":"false","path":"args.n.0","type":"number","value":"1"}"#
    );
    // Empty counters have room for no more than their max.
    let told = explain(r#"{"by":3}"#);
    assert_eq!((told["decision"].as_str(), told["rule"].as_str()), (Some("deny"), Some("/tools/t/limits/c")));
    assert_eq!(told["message"], "Limit c reached: 2.5 a minute");
    // What is shown of a call is bounded, whatever its size.
    let long = format!(r#"{{"n":[{}],"by":1}}"#, vec![format!("\"{}\"", "é".repeat(5_000)); 3_000].join(","));
    assert!(explain(&long).to_string().len() < 40_000);
}

// ---- defects of an earlier proxy --------------------------------------------------------------

/// Negative, fractional and huge increments: none refunds, none counts as nothing, none wraps.
#[test]
fn amounts_neither_refund_nor_vanish_nor_overflow() {
    let policy = compiled(
        r#"{"version":"1","default":"deny","tools":{"pay":{"limits":[{"counter":"paid","window":"day","max":1,"increment_from":"args.amount"}]}}}"#,
    );
    for amount in [
        "-1",
        "-0.000001",
        "-1e30",
        "1e30",
        "1e400",
        "1e99999999999999999999",
        "\"1\"",
        "null",
        "[1]",
        "true",
    ] {
        let arguments = format!(r#"{{"amount":{amount}}}"#);
        let allowed = match decide(&policy, "pay", &arguments) {
            Verdict::Deny(denial) => {
                assert_eq!(denial.pointer.as_deref(), Some("/tools/pay/limits/0"));
                false
            }
            Verdict::Allow { charges, .. } => {
                let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&CALLER, false)).collect();
                matches!(MemoryCounters::new().reserve(Timestamp(0), &wants), Reserved::Done { .. })
            }
        };
        assert!(!allowed, "{amount}");
    }
    let mut counters = MemoryCounters::new();
    let mut pay = |amount: &str| {
        let Verdict::Allow { charges, .. } = decide(&policy, "pay", &format!(r#"{{"amount":{amount}}}"#))
        else {
            panic!("{amount}")
        };
        let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&CALLER, false)).collect();
        match counters.reserve(Timestamp(0), &wants) {
            Reserved::Done { usages, .. } => Some(usages[0].used),
            Reserved::Full { .. } => None,
        }
    };
    assert_eq!(pay("0.99"), Some(Amount(990_000)));
    assert_eq!(pay("0.0000001"), Some(Amount(990_001)));
    assert_eq!(pay("-0.0"), Some(Amount(990_001)));
    assert_eq!(pay("0.01"), None);
    assert_eq!(pay("0.009999"), Some(Amount(1_000_000)));
}

/// What is given back goes to the window it was taken from, whenever the failure is seen; and when
/// the server was never reached, all of it is given back.
#[test]
fn a_release_finds_its_own_window() {
    let policy = compiled(
        r#"{"version":"1","default":"deny","tools":{"t":{"limits":[{"counter":"a","window":"minute","max":2},{"counter":"b","window":"hour","max":2}]}}}"#,
    );
    let Verdict::Allow { charges, .. } = decide(&policy, "t", "{}") else { panic!("denied") };
    let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&CALLER, false)).collect();
    let mut counters = MemoryCounters::new();
    let (first, second) = (Timestamp(59_000_000), Timestamp(61_000_000));
    let Reserved::Done { taken, .. } = counters.reserve(first, &wants) else { panic!("full") };
    assert!(matches!(counters.reserve(second, &wants), Reserved::Done { .. }));
    counters.release(&taken);
    let used: Vec<Amount> = counters.peek(second, &wants).into_iter().map(|usage| usage.used).collect();
    assert_eq!(used, [Amount::ONE, Amount::ONE]);
    counters.release(&taken);
    let used: Vec<Amount> = counters.peek(second, &wants).into_iter().map(|usage| usage.used).collect();
    assert_eq!(used, [Amount::ONE, Amount::ZERO], "never below zero, whatever is released");
}

/// Numeric strings are no numbers: in `require` they do not hold, in `deny_if` they deny.
#[test]
fn numeric_strings_pass_no_rule() {
    for (list, op, value, arguments) in [
        ("deny_if", "eq", "5", r#"{"n":"5"}"#),
        ("deny_if", "gt", "5", r#"{"n":"50"}"#),
        ("deny_if", "eq", "\"5\"", r#"{"n":5}"#),
        ("deny_if", "in", "[5]", r#"{"n":"5"}"#),
        ("require", "eq", "5", r#"{"n":"5"}"#),
        ("require", "lt", "5", r#"{"n":"4"}"#),
        ("require", "neq", "5", r#"{"n":"6"}"#),
        ("require", "not_in", "[5]", r#"{"n":"6"}"#),
    ] {
        let policy = compiled(&format!(
            r#"{{"version":"1","default":"deny","tools":{{"t":{{"{list}":[{{"conditions":[{{"path":"args.n","op":"{op}","value":{value}}}]}}]}}}}}}"#
        ));
        assert!(
            matches!(decide(&policy, "t", arguments), Verdict::Deny(_)),
            "{list} {op} {value} {arguments}"
        );
    }
}
