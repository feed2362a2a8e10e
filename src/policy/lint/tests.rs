use serde_json::json;

use super::implies::{Fact, contradict};
use super::*;
use crate::json;
use crate::policy::condition::{Condition as Judge, Range, Truth};
use crate::policy::model::{Condition, Op};

fn warnings(text: &str, tools: Option<&[ToolShape]>) -> Vec<(&'static str, String)> {
    let parsed = Document::parse(text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    let found = lint(&parsed.document.unwrap(), tools);
    for one in &found {
        assert_eq!(one.severity, Severity::Warning);
        assert!(!one.span.is_empty(), "{one:?}");
    }
    found.into_iter().map(|found| (found.code, found.pointer)).collect()
}

fn tool(body: &str) -> String {
    format!(r#"{{"version":"1","default":"deny","tools":{{"t":{body}}}}}"#)
}

fn rules(list: &str, rules: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!(r#"{{"conditions":[{rule}]}}"#)).collect();
    tool(&format!(r#"{{"{list}":[{}]}}"#, rules.join(",")))
}

fn on(path: &str, op: &str, value: &str) -> String {
    format!(r#"{{"path":"args.{path}","op":"{op}","value":{value}}}"#)
}

fn a(op: &str, value: &str) -> String {
    on("a", op, value)
}

#[track_caller]
fn gives(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<(&str, String)> = expected.iter().map(|(code, at)| (*code, (*at).to_owned())).collect();
    assert_eq!(warnings(text, None), expected, "{text}");
}

#[test]
fn rules_that_can_never_hold() {
    let at = [("never-holds", "/tools/t/deny_if/0")];
    for (first, second) in [
        (a("gt", "10"), a("lt", "10")),
        (a("gte", "10"), a("lt", "10")),
        (a("gt", "10"), a("lt", "5")),
        (a("eq", "\"x\""), a("gt", "1")),
        (a("eq", "\"x\""), a("eq", "\"y\"")),
        (a("in", "[1,2]"), a("gt", "2")),
        (a("eq", "\"abc\""), a("regex", "\"^x\"")),
        (a("exists", "false"), a("eq", "1")),
        (a("exists", "false"), on("a.b", "eq", "1")),
        (a("eq", "1"), a("neq", "1.0")),
        (a("gte", "5"), format!("{},{}", a("lte", "5"), a("neq", "5"))),
    ] {
        gives(&rules("deny_if", &[&format!("{first},{second}")]), &at);
    }
    gives(&rules("deny_if", &[&a("in", "[]")]), &at);
    for fine in [
        format!("{},{}", a("gte", "10"), a("lte", "10")),
        format!("{},{}", a("gt", "1"), a("neq", "5")),
        format!("{},{}", a("regex", "\"x\""), a("contains", "\"y\"")),
        format!("{},{}", a("exists", "false"), on("b", "eq", "1")),
        // Two elements can meet the two conditions.
        format!("{},{}", on("a[*]", "eq", "1"), on("a[*]", "eq", "2")),
    ] {
        gives(&rules("deny_if", &[&fine]), &[]);
    }
    let both = format!("{},{}", on("a[*]", "eq", "1"), on("a[*]", "eq", "2"));
    gives(&rules("require", &[&both]), &[("never-holds", "/tools/t/require/0")]);
}

#[test]
fn rules_that_another_covers() {
    let second = [("covered", "/tools/t/deny_if/1")];
    let first = [("covered", "/tools/t/deny_if/0")];
    gives(&rules("deny_if", &[&a("gt", "50"), &a("gt", "100")]), &second);
    gives(&rules("deny_if", &[&a("gt", "100"), &a("gt", "50")]), &first);
    gives(&rules("deny_if", &[&a("gt", "50"), &a("gt", "50.0")]), &second);
    gives(&rules("deny_if", &[&a("in", "[1,2]"), &a("eq", "2")]), &second);
    gives(&rules("deny_if", &[&a("gt", "5"), &format!("{},{}", a("gt", "9"), on("b", "eq", "1"))]), &second);
    gives(&rules("deny_if", &["", &a("eq", "2")]), &second);
    gives(&rules("deny_if", &[&a("regex", "\"rm\""), &a("eq", "\"rm -rf\"")]), &second);
    gives(&rules("deny_if", &[&a("exists", "true"), &a("eq", "1")]), &second);
    // What is indeterminate denies too: a string is not below the reach of the second rule.
    gives(&rules("deny_if", &[&a("in", "[1,\"x\"]"), &a("eq", "1")]), &[]);
    gives(&rules("deny_if", &[&a("gt", "50"), &a("lt", "10")]), &[]);
    // A rule with a word of its own before a wider one is how messages are told apart.
    let own = r#"{"deny_if":[{"conditions":[A],"on_deny":"far too much"},{"conditions":[B],"on_deny":"too much"}]}"#;
    let own = own.replace('A', &a("gt", "100")).replace('B', &a("gt", "50"));
    gives(&tool(&own), &[]);
    gives(&rules("require", &[&a("lt", "50"), &a("lt", "100")]), &[("covered", "/tools/t/require/1")]);
    gives(
        &rules("require", &[&a("in", "[1,2]"), &a("exists", "true")]),
        &[("covered", "/tools/t/require/1")],
    );
    gives(&rules("require", &[&a("lt", "100"), &a("gt", "50")]), &[]);
}

#[test]
fn rules_that_stop_less_than_they_seem_to() {
    gives(&tool(r#"{"require":[{"conditions":[]}]}"#), &[("empty-require", "/tools/t/require/0")]);
    let pattern = "/tools/t/require/0/conditions/0/value";
    for loose in ["\"ls|pwd\"", "\"^ls|pwd$\"", "\"(?m)^ls$\""] {
        gives(&rules("require", &[&a("regex", loose)]), &[("unanchored-regex", pattern)]);
    }
    for held in ["\"^(ls|pwd)$\"", "\"^/srv/\"", "\"@example\\\\.com$\"", "\"\\\\Als\\\\z\"", "\"^a$|^b$\""] {
        gives(&rules("require", &[&a("regex", held)]), &[]);
    }
    gives(&rules("deny_if", &[&a("regex", "\"rm\"")]), &[]);
    gives(&rules("deny_if", &[&a("neq", "\"main\"")]), &[("negative-deny", "/tools/t/deny_if/0")]);
    gives(&rules("deny_if", &[&a("not_in", "[\"main\"]")]), &[("negative-deny", "/tools/t/deny_if/0")]);
    gives(&rules("deny_if", &[&format!("{},{}", a("neq", "1"), on("b", "eq", "1"))]), &[]);
    let held = r#"{"require":[{"conditions":[A]}],"deny_if":[{"conditions":[B]}]}"#;
    gives(&tool(&held.replace('A', &a("exists", "true")).replace('B', &a("neq", "1"))), &[]);
}

#[test]
fn limits_that_say_nothing_or_disagree() {
    let limit = |counter: &str, window: &str, max: &str, more: &str| {
        format!(r#"{{"counter":"{counter}","window":"{window}","max":{max}{more}}}"#)
    };
    let limits = |all: &[String]| tool(&format!(r#"{{"limits":[{}]}}"#, all.join(",")));
    gives(&limits(&[limit("c", "day", "0", "")]), &[("max-zero", "/tools/t/limits/0/max")]);
    let (minute, day) = (limit("m", "minute", "3", ""), limit("d", "day", "20", ""));
    gives(&limits(&[minute.clone(), day.clone()]), &[]);
    gives(&limits(&[minute.clone(), limit("d", "hour", "180", "")]), &[("covered", "/tools/t/limits/1")]);
    gives(&limits(&[minute.clone(), limit("d", "hour", "179", "")]), &[]);
    gives(&limits(&[limit("m", "minute", "20", ""), day]), &[("covered", "/tools/t/limits/0")]);
    // A session's limit does not bound a grant's.
    gives(&limits(&[limit("m", "minute", "1", r#","scope":"session""#), limit("d", "hour", "60", "")]), &[]);
    let sums = r#","increment_from":"args.n""#;
    gives(&limits(&[minute, limit("d", "hour", "600", sums)]), &[]);
    let two = |first: &str, second: &str| {
        format!(
            r#"{{"version":"1","default":"deny","tools":{{"a":{{"limits":[{first}]}},"b":{{"limits":[{second}]}}}}}}"#
        )
    };
    let c = |max: &str, more: &str| limit("c", "hour", max, more);
    gives(&two(&c("1", ""), &c("2", "")), &[("differing-max", "/tools/b/limits/0")]);
    gives(&two(&c("1", ""), &c("1.0", "")), &[]);
    gives(&two(&c("1", ""), &c("1", sums)), &[("mixed-counter", "/tools/b/limits/0")]);
    gives(&two(&c("1", ""), &limit("c", "day", "2", "")), &[]);
}

#[test]
fn names_that_contradict_each_other() {
    gives(
        r#"{"version":"1","default":"deny","hide":["t","x","x"],"tools":{"t":{}}}"#,
        &[("hidden-and-listed", "/hide/0"), ("covered", "/hide/2")],
    );
    gives(
        r#"{"version":"1","default":"deny","hide":["*"],"tools":{"t":{}}}"#,
        &[("hidden-and-listed", "/hide/0")],
    );
    gives(&tool(r#"{"reason":"x"}"#), &[("unused-reason", "/tools/t/reason")]);
}

#[test]
fn the_server_s_own_tools() {
    let schema = json!({"type": "object", "required": ["branch", "n"], "properties": {
        "branch": {"type": "string", "enum": ["main", "dev"]}, "n": {"type": "integer"}, "note": {"type": "string"}}});
    let shapes = [ToolShape::from_schema("t", &schema), ToolShape::from_schema("push", &json!({}))];
    let check = |text: &str, expected: &[(&str, &str)]| {
        let expected: Vec<(&str, String)> =
            expected.iter().map(|(code, at)| (*code, (*at).to_owned())).collect();
        assert_eq!(warnings(text, Some(&shapes)), expected, "{text}");
    };
    check(
        r#"{"version":"1","default":"deny","hide":["pussh"],"tools":{"other":{},"push":{}}}"#,
        &[("unknown-tool", "/hide/0"), ("unknown-tool", "/tools/other")],
    );
    let at = "/tools/t/deny_if/0/conditions/0";
    check(&rules("deny_if", &[&on("brnach", "eq", "1")]), &[("unknown-argument", &format!("{at}/path"))]);
    check(&rules("deny_if", &[&on("branch", "gt", "1")]), &[("wrong-argument-type", at)]);
    check(&rules("deny_if", &[&on("branch", "eq", "\"prod\"")]), &[("never-holds", at)]);
    check(&rules("deny_if", &[&on("branch", "eq", "\"main\"")]), &[]);
    check(&rules("deny_if", &[&on("note", "contains", "\"x\"")]), &[("optional-argument", at)]);
    check(&rules("require", &[&on("note", "contains", "\"x\"")]), &[]);
    check(&rules("deny_if", &[&on("n", "gt", "1")]), &[]);
    check(
        &tool(r#"{"limits":[{"counter":"c","window":"day","max":1,"increment_from":"args.note"}]}"#),
        &[("never-holds", "/tools/t/limits/0/increment_from")],
    );
}

#[test]
fn extensions_are_named() {
    let text = r#"{"version":"1","default":"deny","$schema":"s","description":"d","hide_denied":true,
      "all_tools":{"limits":[{"counter":"c","window":60,"max":1}]},
      "tools":{"a/b":{"action":"allow","rate_limit":{"max":1,"window":60},"approve_if":[{"conditions":[{"path":"args.a[*].0.x\\.y","op":"eq","value":1}]}],
        "limits":[{"counter":"d","window":"day","max":1,"scope":"server","increment_from":"args.n","on_deny":"x"}]}}}"#;
    let found = portable(&Document::parse(text).document.unwrap());
    let places: Vec<&str> = found.iter().map(|found| found.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/$schema",
            "/description",
            "/hide_denied",
            "/all_tools/limits/0",
            "/all_tools/limits/0/window",
            "/tools/a~1b/action",
            "/tools/a~1b/rate_limit",
            "/tools/a~1b/approve_if",
            "/tools/a~1b/approve_if/0/conditions/0/path",
            "/tools/a~1b/approve_if/0/conditions/0/path",
            "/tools/a~1b/approve_if/0/conditions/0/path",
            "/tools/a~1b/limits/0/scope",
            "/tools/a~1b/limits/0/increment_from",
            "/tools/a~1b/limits/0/on_deny",
        ]
    );
}

/// Conditions and values small enough to try every pair.
fn pool() -> (Vec<Condition>, Vec<Option<&'static str>>) {
    let ops = [
        (Op::Eq, &["1", "5", "\"x\"", "true", "[1]", "{}"][..]),
        (Op::Neq, &["1", "\"x\"", "[1]", "true"]),
        (Op::Lt, &["1", "5"]),
        (Op::Lte, &["1", "5"]),
        (Op::Gt, &["1", "5"]),
        (Op::Gte, &["1", "5"]),
        (Op::In, &["[]", "[1]", "[1,5]", "[1,\"x\"]", "[\"x\",\"xy\"]", "[null]", "[[1]]"]),
        (Op::NotIn, &["[]", "[1]", "[1,5]", "[1,\"x\"]", "[\"x\"]", "[true]"]),
        (Op::Exists, &["true", "false"]),
        (Op::Regex, &["\"x\"", "\"^x$\"", "\"\"", "\"y\""]),
        (Op::Contains, &["\"x\"", "\"\"", "1", "true"]),
    ];
    let condition = |op, value: &&str| Condition {
        span: Span::default(),
        path: "args.v".to_owned(),
        op,
        value: (*value).to_owned(),
    };
    let conditions =
        ops.iter().flat_map(|(op, values)| values.iter().map(|value| condition(*op, value))).collect();
    let values = vec![
        None,
        Some("null"),
        Some("0"),
        Some("1"),
        Some("1.0"),
        Some("3"),
        Some("5"),
        Some("7"),
        Some("1e99999999999999999999"),
        Some("\"\""),
        Some("\"x\""),
        Some("\"xy\""),
        Some("\"z\""),
        Some("\"\\ud800\""),
        Some("true"),
        Some("false"),
        Some("[]"),
        Some("[1]"),
        Some("[\"x\"]"),
        Some("[1,true]"),
        Some("{}"),
        Some("{\"a\":1}"),
    ];
    (conditions, values)
}

fn truth(condition: &Condition, value: Option<&str>, twin: bool) -> Truth {
    let twin = if twin { "\"V\":1" } else { "\"w\":1" };
    let text = value.map_or_else(|| format!("{{{twin}}}"), |value| format!("{{{twin},\"v\":{value}}}"));
    let parsed = json::parse(&text).unwrap();
    Judge::new(condition).unwrap().judge(Some(&parsed.root), Range::Any).truth
}

#[test]
fn every_claim_holds_for_every_value() {
    let (conditions, values) = pool();
    let facts: Vec<Fact<'_>> = conditions.iter().map(|condition| Fact::new(condition).unwrap()).collect();
    let (mut contradictions, mut only_true, mut only_fires) = (0, 0, 0);
    for a in &facts {
        for b in &facts {
            let pair: &[&Fact<'_>] = if std::ptr::eq(a, b) { &[a] } else { &[a, b] };
            let never = contradict(pair);
            let (stricter, narrower) = (a.true_only_with(b), a.fires_only_with(b));
            contradictions += usize::from(never);
            only_true += usize::from(stricter);
            only_fires += usize::from(narrower);
            for value in &values {
                for twin in [false, true] {
                    let (of_a, of_b) = (truth(a.condition, *value, twin), truth(b.condition, *value, twin));
                    let said = format!("{:?} {:?} {value:?}", a.condition, b.condition);
                    assert!(!(never && of_a == Truth::True && of_b == Truth::True), "contradict {said}");
                    assert!(
                        !(stricter && of_a == Truth::True && of_b != Truth::True),
                        "true_only_with {said}"
                    );
                    assert!(
                        !(narrower && of_a != Truth::False && of_b == Truth::False),
                        "fires_only_with {said}"
                    );
                }
            }
        }
    }
    assert!(
        contradictions > 300 && only_true > 150 && only_fires > 150,
        "{contradictions} {only_true} {only_fires}"
    );
}
