use proptest::prelude::*;

use super::*;
use crate::policy::document::Document;

fn document(text: &str) -> Document {
    Document::parse(text).valid().expect("a valid policy")
}

fn policy(default: &str, entry: &str) -> Document {
    let tools = if entry.is_empty() { "{}".to_owned() } else { format!(r#"{{"t": {entry}}}"#) };
    document(&format!(r#"{{"version": "1", "default": "{default}", "tools": {tools}}}"#))
}

fn row<'a>(args: &'a str, others: &'a [&'a str]) -> Row<'a> {
    Row { tool: "t", args, held: &[], others, earlier: 0 }
}

/// The rungs as `chain reach: words`.
fn shown(document: &Document, row: &Row<'_>, goal: Decision) -> Vec<String> {
    let ladder = ladder(document, row, goal).expect("a ladder");
    ladder
        .rungs
        .iter()
        .map(|rung| format!("{} / {}: {}", rung.chain, rung.reach.words(), rung.words))
        .collect()
}

#[test]
fn an_allowed_call_is_denied_by_its_values_or_as_a_whole() {
    let rungs = shown(
        &policy("deny", "{}"),
        &Row {
            earlier: 3,
            ..row(r#"{"path":"/srv/app/x.txt","n":5,"deep":{"k":true}}"#, &[r#"{"path":"/srv/app/y.txt"}"#])
        },
        Decision::Deny,
    );
    assert_eq!(
        rungs,
        [
            r#"all arguments / this value: deny t if path = "/srv/app/x.txt" and n = 5 and deep.k = true"#,
            r#"args.path / this value: deny t if path = "/srv/app/x.txt""#,
            r#"args.path / seen values: deny t if path in ["/srv/app/x.txt", "/srv/app/y.txt"]"#,
            r"args.path / same beginning: deny t if path ~ /^/srv/app//",
            r"args.n / this value: deny t if n = 5",
            r"args.n / range: deny t if n >= 5",
            r"args.deep.k / this value: deny t if deep.k = true",
            r"how often / rate: limit t to 3 a minute",
            r"t / whole tool: deny t",
        ]
    );
    let asked = shown(&policy("deny", "{}"), &row(r#"{"n":5}"#, &[]), Decision::Approve);
    assert_eq!(asked[0], "args.n / this value: require approval of t if n = 5");
    assert_eq!(asked[2], "t / whole tool: require approval of t");
    assert!(shown(&policy("deny", "{}"), &row("{}", &[]), Decision::Allow).is_empty(), "it is so already");
}

#[test]
fn what_is_stopped_altogether_is_opened_for_a_value_or_as_a_whole() {
    for (default, entry) in [
        ("deny", ""),
        ("deny", r#"{"action": "deny"}"#),
        ("allow", r#"{"deny_if": [{"conditions": []}]}"#),
        ("deny", r#"{"action": "hide"}"#),
    ] {
        let rungs = shown(&policy(default, entry), &row(r#"{"b":"main","n":2}"#, &[]), Decision::Allow);
        assert!(rungs[0].ends_with(r#"require b = "main" for t"#), "{entry}: {rungs:?}");
        assert!(rungs.iter().any(|it| it.ends_with("require n <= 2 for t")), "{entry}: {rungs:?}");
        assert!(rungs.last().expect("rungs").starts_with("t / whole tool: "), "{entry}: {rungs:?}");
    }
    // One that is held is held on when the argument is left out.
    let held = policy("deny", r#"{"action": "approve"}"#);
    let ladder = ladder(&held, &row(r#"{"b":"main"}"#, &[]), Decision::Allow).expect("a ladder");
    let first = document(&ladder.rungs[0].text);
    for (args, wanted) in [
        (r#"{"b":"main"}"#, Decision::Allow),
        (r#"{"b":"other"}"#, Decision::Approve),
        ("{}", Decision::Approve),
    ] {
        assert_eq!(decided(&first, args, &[]), wanted, "{args}");
    }
}

#[test]
fn a_rule_gets_an_exception_a_raised_bound_or_goes() {
    let entry = r#"{"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 100}]}]}"#;
    let rungs = shown(&policy("deny", entry), &row(r#"{"n":150,"m":"x"}"#, &[]), Decision::Allow);
    assert_eq!(
        rungs,
        [
            "/tools/t/deny_if/0 / this value: change a rule: deny t if n > 100 and n != 150",
            "/tools/t/deny_if/0 / range: change a rule: deny t if n > 150",
            "/tools/t/deny_if/0 / whole rule: remove a deny_if rule of t",
        ]
    );
    let entry =
        r#"{"require": [{"conditions": [{"path": "args.b", "op": "in", "value": ["dev", "test"]}]}]}"#;
    let rungs = shown(&policy("deny", entry), &row(r#"{"b":"dev/x"}"#, &[]), Decision::Allow);
    assert_eq!(
        rungs,
        [
            r#"/tools/t/require/0 / this value: change a rule: require b in ["dev", "test", "dev/x"] for t"#,
            "/tools/t/require/0 / same beginning: change a rule: require b ~ /^dev$|^test$|^dev// for t",
            "/tools/t/require/0 / whole rule: remove a require rule of t",
        ]
    );
    // Two rules, one behind the other, are changed by one rung.
    let entry = r#"{"require": [{"conditions": [{"path": "args.n", "op": "lte", "value": 10}]}],
        "deny_if": [{"conditions": [{"path": "args.b", "op": "eq", "value": "x"}]}]}"#;
    let rungs = shown(&policy("deny", entry), &row(r#"{"n":12,"b":"x"}"#, &[]), Decision::Allow);
    assert_eq!(
        rungs,
        [
            r#"/tools/t/require/0 / range: change a rule: require n <= 12 for t, change a rule: deny t if b = "x" and b != "x""#,
            "/tools/t/require/0 / whole rule: remove a require rule of t, remove a deny_if rule of t",
        ]
    );
}

#[test]
fn a_limit_is_raised_as_far_as_the_call_needs() {
    let held = [Held { counter: "c", window: 60, scope: "grant", used: Amount(30_000_000) }];
    let entry = r#"{"limits": [{"counter": "c", "window": "minute", "max": 30, "scope": "grant"}]}"#;
    let limited = Row { held: &held, ..row("{}", &[]) };
    let rungs = shown(&policy("deny", entry), &limited, Decision::Allow);
    assert_eq!(
        rungs,
        [
            "/tools/t/limits/0 / this value: limit t to 31 a minute",
            "/tools/t/limits/0 / range: limit t to 60 a minute",
            "/tools/t/limits/0 / whole rule: remove a limit of t",
        ]
    );
    let held = [Held { counter: "t_rate", window: 60, scope: "grant", used: Amount(10_000_000) }];
    let limited = Row { held: &held, ..row("{}", &[]) };
    let entry = r#"{"rate_limit": {"max": 10, "window": 60}}"#;
    let rungs = shown(&policy("deny", entry), &limited, Decision::Allow);
    assert_eq!(
        rungs[0],
        "/tools/t/rate_limit / this value: remove the rate limit of t, limit t to 11 a minute"
    );
}

#[test]
fn nothing_is_built_on_what_the_record_does_not_hold() {
    let mask = r#"{"masked":"hmac-sha256:00","type":"string","length":9}"#;
    let args = format!(r#"{{"token":{mask},"body":{{"cut":70000}},"b":"main"}}"#);
    let found = ladder(&policy("deny", "{}"), &row(&args, &[]), Decision::Deny).expect("a ladder");
    assert_eq!(found.left_out, ["args.token is recorded masked", "args.body is too large to be recorded"]);
    let chains: Vec<&str> = found.rungs.iter().map(|rung| rung.chain.as_str()).collect();
    assert_eq!(chains, ["args.b", "t"]);
    assert!(found.rungs.iter().all(|rung| !rung.text.contains("masked")));
    // A mask in another call's record joins no set.
    let other = format!(r#"{{"b":{mask}}}"#);
    let found =
        ladder(&policy("deny", "{}"), &row(r#"{"b":"main"}"#, &[&other]), Decision::Deny).expect("one");
    assert!(found.rungs.iter().all(|rung| rung.reach != Reach::Set));
    // What a rule reads masked cannot be told.
    for path in ["args.token", "args.token.x", "args"] {
        let entry = format!(
            r#"{{"deny_if": [{{"conditions": [{{"path": "{}", "op": "exists", "value": true}}]}}]}}"#,
            if path == "args" { "args.body" } else { path }
        );
        let no = ladder(&policy("deny", &entry), &row(&args, &[]), Decision::Deny);
        assert!(matches!(no, Err(NoLadder::Hidden(_))), "{path}: {no:?}");
    }
}

#[test]
fn hostile_names_and_values_make_valid_policies() {
    let args = r#"{"a.b[0]":"x\"\n\u202e\u001b","":1,"\ud800":2,"n":1e400,"long":"LONG"}"#
        .replace("LONG", &"x".repeat(400));
    let document = document(r#"{"version": "1", "default": "allow", "tools": {}}"#);
    let hostile = Row { tool: "t/\u{202e}~\"", ..row(&args, &[]) };
    let found = ladder(&document, &hostile, Decision::Deny).expect("a ladder");
    assert!(found.rungs.len() >= 2);
    for rung in found.rungs {
        assert!(!rung.words.contains(['\u{202e}', '\u{1b}', '\n']), "{:?}", rung.words);
        assert!(Document::parse(&rung.text).valid().is_ok());
    }
}

/// How a policy decides a call of `t`.
fn decided(document: &Document, args: &str, held: &[Held<'_>]) -> Decision {
    let parsed = json::parse(args).expect("JSON");
    let row = Row { held, ..row(args, &[]) };
    let trial = Trial { row: &row, arguments: Some(&parsed.root) };
    trial.explain(document).expect("decides").decision
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..6_i32).prop_map(|n| n.to_string()),
        prop_oneof![
            Just("main"),
            Just("dev"),
            Just("dev/a"),
            Just("dev/b"),
            Just("prod/a/x"),
            Just("prod/a/y"),
            Just("a.b-c")
        ]
        .prop_map(|text| format!("\"{text}\"")),
        any::<bool>().prop_map(|it| it.to_string()),
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[abc]", values(), 0..4).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn conditions() -> impl Strategy<Value = String> {
    let one = ("[abc]", 0..8_usize, values()).prop_map(|(key, op, value)| {
        let text = if value.starts_with('"') { value.clone() } else { "\"dev\"".to_owned() };
        let number =
            if value.starts_with(|c: char| c.is_ascii_digit()) { value.clone() } else { "3".to_owned() };
        let (op, value) = match op {
            0 => ("eq", value),
            1 => ("neq", value),
            2 => ("gt", number),
            3 => ("lte", number),
            4 => ("in", format!("[{value}, \"main\"]")),
            5 => ("not_in", format!("[{value}, \"main\"]")),
            6 => ("contains", text),
            _ => ("exists", "true".to_owned()),
        };
        format!(r#"{{"path": "args.{key}", "op": "{op}", "value": {value}}}"#)
    });
    proptest::collection::vec(one, 0..3).prop_map(|all| format!(r#"{{"conditions": [{}]}}"#, all.join(",")))
}

fn policies() -> impl Strategy<Value = String> {
    let rules = || proptest::collection::vec(conditions(), 0..3);
    let parts = (rules(), rules(), rules(), 0..6_usize, any::<bool>(), any::<bool>());
    parts.prop_map(|(require, deny, approve, action, open, listed)| {
        let mut members = Vec::new();
        for (key, rules) in [("require", require), ("deny_if", deny), ("approve_if", approve)] {
            let rules: Vec<String> =
                rules.into_iter().filter(|rule| key != "require" || !rule.contains("[]")).collect();
            if !rules.is_empty() {
                members.push(format!(r#""{key}": [{}]"#, rules.join(",")));
            }
        }
        match action {
            0 => members.push(r#""action": "deny""#.to_owned()),
            1 => members.push(r#""action": "approve""#.to_owned()),
            2 => members.push(r#""limits": [{"counter": "c", "window": "minute", "max": 3}]"#.to_owned()),
            _ => {}
        }
        let entry = if listed { format!(r#""t": {{{}}}"#, members.join(", ")) } else { String::new() };
        let default = if open { "allow" } else { "deny" };
        format!(r#"{{"version": "1", "default": "{default}", "tools": {{{entry}}}}}"#)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every rung decides the row as promised, and within a chain each changes what the one before
    /// it changes.
    #[test]
    fn rungs_keep_their_promise_and_widen(
        text in policies(),
        args in arguments(),
        others in proptest::collection::vec(arguments(), 0..4),
        calls in proptest::collection::vec(arguments(), 1..24),
        used in 0..4_i128,
        goal in prop_oneof![Just(Decision::Allow), Just(Decision::Deny), Just(Decision::Approve)],
    ) {
        let document = document(&text);
        let held = [Held { counter: "c", window: 60, scope: "grant", used: Amount(used * 1_000_000) }];
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let row = Row { held: &held, ..row(&args, &others) };
        let ladder = ladder(&document, &row, goal).expect("nothing is masked");
        let before = decided(&document, &args, &held);
        prop_assert_eq!(ladder.now, before);
        prop_assert!(before != goal || ladder.rungs.is_empty());
        for rung in &ladder.rungs {
            let after = Document::parse(&rung.text).valid().expect("a valid policy");
            prop_assert_eq!(decided(&after, &args, &held), goal, "{:?}", rung);
            let applied = apply_to(&document, &rung.edit).expect("applies");
            prop_assert_eq!(applied.text(), rung.text.as_str());
        }
        let changed = |rung: &Rung| -> Vec<bool> {
            let after = Document::parse(&rung.text).valid().expect("a valid policy");
            calls
                .iter()
                .map(|call| {
                    let (was, is) = (decided(&document, call, &held), decided(&after, call, &held));
                    was != is && is == goal
                })
                .collect()
        };
        for pair in ladder.rungs.windows(2).filter(|pair| pair[0].chain == pair[1].chain) {
            prop_assert!(pair[0].reach < pair[1].reach, "{:?}", pair);
            let (narrow, wide) = (changed(&pair[0]), changed(&pair[1]));
            for (at, (narrow, wide)) in narrow.iter().zip(&wide).enumerate() {
                prop_assert!(!narrow || *wide, "{} is changed by {:?} and not by {:?}", calls[at], pair[0], pair[1]);
            }
        }
    }
}
