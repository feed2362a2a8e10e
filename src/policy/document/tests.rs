//! One text for each error, and the diagnostics it must give.

use super::*;

fn errors(text: &str) -> Vec<Diagnostic> {
    Document::parse(text).diagnostics
}

/// The code and pointer of each error of a text.
fn codes(text: &str) -> Vec<(&'static str, String)> {
    errors(text).into_iter().map(|found| (found.code, found.pointer)).collect()
}

fn tool(body: &str) -> String {
    format!(r#"{{"version":"1","default":"deny","tools":{{"t":{body}}}}}"#)
}

fn condition(op: &str, value: &str) -> String {
    tool(&format!(r#"{{"deny_if":[{{"conditions":[{{"path":"args.a","op":"{op}","value":{value}}}]}}]}}"#))
}

#[track_caller]
fn one(text: &str, code: &str, pointer: &str, help: &str) {
    let found = errors(text);
    assert_eq!(found.len(), 1, "{text}: {found:#?}");
    let found = &found[0];
    assert_eq!((found.code, found.pointer.as_str()), (code, pointer), "{found:#?}");
    let said = found.help.as_deref().unwrap_or("");
    assert!(said.contains(help), "help {said:?} lacks {help:?}");
    assert_eq!(
        (found.line, found.column),
        crate::json::line_column(text, found.span.start),
        "the place is the span's"
    );
}

#[test]
fn everything_the_format_has_is_accepted() {
    let text = r#"{
      "$schema": "x", "description": "y", "version": "1", "default": "allow", "hide": ["h"], "hide_denied": true,
      "all_tools": { "limits": [ { "counter": "all", "window": "day", "max": 1e3 } ] },
      "tools": {
        "plain": {},
        "all": {
          "action": "approve", "reason": "because", "rate_limit": { "max": 10, "window": 60 },
          "require": [ { "conditions": [ { "path": "args.a.0.b\\.c[*]", "op": "regex", "value": "^x$" } ], "on_deny": "m" } ],
          "deny_if": [ { "conditions": [] } ],
          "approve_if": [ { "conditions": [ { "path": "args.n", "op": "gte", "value": 1.5 } ], "on_approve": "m", "timeout": "5m" } ],
          "limits": [ { "counter": "sum", "window": 90, "max": 0.5, "scope": "session", "increment_from": "args.n", "on_deny": "m" } ]
        }
      }
    }"#;
    let parsed = Document::parse(text);
    assert_eq!(parsed.diagnostics, []);
    let document = parsed.document.unwrap();
    assert!(document.is_valid());
    let policy = document.policy();
    assert_eq!(policy.tools.len(), 2);
    let tool = policy.tool("all").unwrap();
    assert_eq!(tool.approve_if[0].timeout, Some(300));
    assert_eq!(tool.limits[0].max, "0.5");
    assert_eq!(document.pointer_span("/tools/all/limits/0/max").unwrap().of(text), "0.5");
    assert_eq!(document.pointer_span("/tools/nothing"), None);
}

#[test]
fn the_new_text_is_a_valid_policy_that_allows_nothing() {
    let parsed = Document::parse(&Document::new_text());
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.valid().unwrap().policy().default, crate::policy::model::Default::Deny);
}

#[test]
fn texts_that_are_no_json_object() {
    for (text, code, help) in [
        ("\u{feff}{}", "byte-order-mark", "without"),
        ("", "syntax", "version"),
        ("{\"version\":\"1\"", "syntax", "missing"),
        ("{\"version\":\"1\",}", "syntax", "comma"),
        ("{ // hi\n}", "syntax", "comments"),
        ("{'a':1}", "syntax", "double quotes"),
        ("{\"a\":1 \"b\":2}", "syntax", "missing"),
        ("{} {}", "syntax", "one JSON object"),
        ("{\"a\":\"\\d\"}", "syntax", "twice"),
        ("{\"a\":True}", "syntax", "lower case"),
        ("[]", "wrong-type", ""),
    ] {
        let parsed = Document::parse(text);
        assert!(parsed.document.is_none(), "{text}");
        assert_eq!(parsed.diagnostics.len(), 1, "{text}");
        let found = &parsed.diagnostics[0];
        assert_eq!(found.code, code, "{text}");
        assert!(found.help.as_deref().unwrap_or("").contains(help), "{text}: {found:?}");
    }
    assert_eq!(Document::parse_bytes(b"{\"a\":\"\xff\"}").diagnostics[0].code, "not-utf8");
    assert!(Document::parse(&"[".repeat(100_000)).document.is_none());
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    one(&tool(r#"{"deny_iff":[]}"#), "unknown-key", "/tools/t/deny_iff", "did you mean `deny_if`?");
    one(r#"{"version":"1","default":"deny","tool":{}}"#, "unknown-key", "/tool", "did you mean `tools`?");
    one(r#"{"version":"1","default":"deny","limits":[]}"#, "unknown-key", "/limits", "all_tools.limits");
    one(
        r#"{"version":"1","default":"deny","all_tools":{"limit":[]}}"#,
        "unknown-key",
        "/all_tools/limit",
        "did you mean `limits`?",
    );
    one(
        &tool(r#"{"deny_if":[{"conditions":[],"on_denny":"x"}]}"#),
        "unknown-key",
        "/tools/t/deny_if/0/on_denny",
        "did you mean `on_deny`?",
    );
    one(
        &tool(r#"{"deny_if":[{"conditions":[],"timeout":"5m"}]}"#),
        "unknown-key",
        "/tools/t/deny_if/0/timeout",
        "approve_if",
    );
    one(
        &tool(r#"{"approve_if":[{"conditions":[],"on_deny":"x"}]}"#),
        "unknown-key",
        "/tools/t/approve_if/0/on_deny",
        "on_approve",
    );
    one(
        &tool(r#"{"require":[{"conditions":[{"path":"args.a","op":"eq","value":1,"negate":true}]}]}"#),
        "unknown-key",
        "/tools/t/require/0/conditions/0/negate",
        "a condition may have",
    );
    one(
        &tool(r#"{"limits":[{"counter":"c","window":"day","max":1,"scop":"grant"}]}"#),
        "unknown-key",
        "/tools/t/limits/0/scop",
        "did you mean `scope`?",
    );
    one(
        &tool(r#"{"rate_limit":{"max":1,"window":60,"scope":"grant"}}"#),
        "unknown-key",
        "/tools/t/rate_limit/scope",
        "`max`, `window`",
    );
    one(&tool(r#"{"a/b~":1}"#), "unknown-key", "/tools/t/a~1b~0", "a tool's entry may have");
}

#[test]
fn duplicates_are_errors_anywhere() {
    one(
        "{\"version\":\"1\",\n\"default\":\"deny\",\"version\":\"1\"}",
        "duplicate-member",
        "/version",
        "keep one",
    );
    one(&tool(r#"{"limits":[],"li\u006dits":[]}"#), "duplicate-member", "/tools/t/limits", "");
    assert_eq!(
        codes(&condition("eq", r#"{"x":{"y":1,"y":2}}"#)),
        [("duplicate-member", "/tools/t/deny_if/0/conditions/0/value/x/y".to_owned())]
    );
    assert_eq!(
        codes(r#"{"version":"1","default":"deny","tools":{"a":{},"a":{}}}"#),
        [("duplicate-member", "/tools/a".to_owned())]
    );
}

#[test]
fn names_are_exact() {
    for (hide, pointer) in
        [(r#"["*","a"]"#, "/hide/0"), (r#"["a","*"]"#, "/hide/1"), (r#"["ghcr_*"]"#, "/hide/0")]
    {
        let text = format!(r#"{{"version":"1","default":"deny","hide":{hide}}}"#);
        assert_eq!(codes(&text), [("wildcard", pointer.to_owned())]);
    }
    assert_eq!(codes(r#"{"version":"1","default":"deny","hide":["*"]}"#), []);
    one(r#"{"version":"1","default":"deny","tools":{"*":{}}}"#, "wildcard", "/tools/*", "all_tools");
    one(r#"{"version":"1","default":"deny","tools":{"":{}}}"#, "empty-name", "/tools/", "");
    one(r#"{"version":"1","default":"deny","hide":[""]}"#, "empty-name", "/hide/0", "");
    one(
        r#"{"version":"1","default":"deny","tools":{"\ud800":{}}}"#,
        "unpaired-surrogate",
        "/tools/\u{fffd}",
        "",
    );
}

#[test]
fn values_fit_their_operators() {
    let at = "/tools/t/deny_if/0/conditions/0/value";
    for op in ["lt", "lte", "gt", "gte"] {
        assert_eq!(codes(&condition(op, "100")), []);
        one(&condition(op, "\"100\""), "bad-value", at, "without quotes");
        one(&condition(op, "[1]"), "bad-value", at, "");
        one(&condition(op, "1e99999999999999999999"), "bad-value", at, "");
    }
    for op in ["in", "not_in"] {
        assert_eq!(codes(&condition(op, "[1,\"a\"]")), []);
        one(&condition(op, "\"a\""), "bad-value", at, "`[\"a\"]`");
        one(&condition(op, "{}"), "bad-value", at, "");
    }
    for op in ["eq", "neq"] {
        for value in ["1", "\"a\"", "true", "[]", "{}"] {
            assert_eq!(codes(&condition(op, value)), []);
        }
    }
    one(&condition("eq", "null"), "null-value", at, r#""op": "exists", "value": false"#);
    one(&condition("neq", "null"), "null-value", at, r#""op": "exists", "value": true"#);
    assert_eq!(codes(&condition("exists", "false")), []);
    one(&condition("exists", "\"true\""), "bad-value", at, "");
    assert_eq!(codes(&condition("contains", "true")), []);
    one(&condition("contains", "[1]"), "bad-value", at, "");
    one(&condition("contains", "null"), "bad-value", at, "");
    one(&condition("regex", "1"), "bad-value", at, "");
    one(&condition("regex", "\"(\""), "bad-regex", at, "");
    one(&condition("regex", "\"(?!x)\""), "bad-regex", at, "look-around");
    one(&condition("regex", "\"\\\\w{1000}{1000}\""), "bad-regex", at, "");
    one(
        &condition("==", "1"),
        "unknown-operator",
        "/tools/t/deny_if/0/conditions/0/op",
        "did you mean `eq`?",
    );
    one(&condition("contain", "1"), "unknown-operator", "/tools/t/deny_if/0/conditions/0/op", "`contains`");
}

#[test]
fn conditions_are_whole() {
    let with = |condition: &str| tool(&format!(r#"{{"require":[{{"conditions":[{condition}]}}]}}"#));
    let at = "/tools/t/require/0/conditions/0";
    one(&with(r#"{"op":"eq","value":1}"#), "missing-key", at, "args.NAME");
    one(&with(r#"{"path":"args.a","value":1}"#), "missing-key", at, "operators");
    one(&with(r#"{"path":"args.a","op":"exists"}"#), "missing-key", at, "true");
    for (path, help) in [
        ("amount", "did you mean `args.amount`?"),
        ("$.amount", "did you mean `args.amount`?"),
        ("args", "args.NAME"),
        ("", "args.NAME"),
        ("args.", ""),
        ("args.a..b", ""),
        ("state.t.c", "args.state"),
    ] {
        let text = with(&format!(r#"{{"path":"{path}","op":"eq","value":1}}"#));
        one(&text, "bad-path", &format!("{at}/path"), help);
    }
    one(
        &tool(r#"{"deny_if":[{"on_deny":"x"}]}"#),
        "missing-key",
        "/tools/t/deny_if/0",
        r#""conditions": []"#,
    );
    one(&tool(r#"{"deny_if":{"conditions":[]}}"#), "wrong-type", "/tools/t/deny_if", "brackets");
    one(
        &tool(r#"{"deny_if":[{"conditions":{}}]}"#),
        "wrong-type",
        "/tools/t/deny_if/0/conditions",
        "brackets",
    );
    for (timeout, help) in [("300", "300s"), ("\"soon\"", "5m"), ("\"0s\"", "5m")] {
        let text = tool(&format!(r#"{{"approve_if":[{{"conditions":[],"timeout":{timeout}}}]}}"#));
        one(&text, "bad-timeout", "/tools/t/approve_if/0/timeout", help);
    }
}

#[test]
fn limits_are_whole() {
    let with = |limit: &str| tool(&format!(r#"{{"limits":[{limit}]}}"#));
    let at = "/tools/t/limits/0";
    one(&with(r#"{"window":"day","max":1}"#), "missing-key", at, "`t_rate`");
    one(&with(r#"{"counter":"c","max":1}"#), "missing-key", at, "minute");
    one(&with(r#"{"counter":"c","window":"day"}"#), "missing-key", at, "max");
    one(
        &with(r#"{"counter":" ","window":"day","max":1}"#),
        "empty-counter",
        &format!("{at}/counter"),
        "`t_rate`",
    );
    for (max, code) in [
        ("-1", "bad-max"),
        ("1.5", "bad-max"),
        ("1e30", "bad-max"),
        ("\"1\"", "wrong-type"),
        ("1e99999999999999999999", "bad-max"),
    ] {
        let text = with(&format!(r#"{{"counter":"c","window":"day","max":{max}}}"#));
        one(&text, code, &format!("{at}/max"), "");
    }
    let amount = |max: &str| {
        with(&format!(r#"{{"counter":"c","window":"day","max":{max},"increment_from":"args.n"}}"#))
    };
    assert_eq!(codes(&amount("1.5")), []);
    one(&amount("-0.5"), "bad-max", &format!("{at}/max"), "");
    for (window, help) in [
        ("\"minutes\"", "`minute`"),
        ("\"daily\"", "`day`"),
        ("\"5m\"", "`300`"),
        ("\"week\"", "604800"),
        ("0", "seconds"),
        ("1.5", "seconds"),
        ("-60", "seconds"),
        ("1e12", "seconds"),
    ] {
        let text = with(&format!(r#"{{"counter":"c","window":{window},"max":1}}"#));
        one(&text, "bad-window", &format!("{at}/window"), help);
    }
    one(
        &with(r#"{"counter":"c","window":"day","max":1,"scope":"org"}"#),
        "unknown-value",
        &format!("{at}/scope"),
        "`grant`",
    );
    one(
        &with(r#"{"counter":"c","window":"day","max":1,"increment_from":"amount"}"#),
        "bad-path",
        &format!("{at}/increment_from"),
        "args.amount",
    );
    one(
        r#"{"version":"1","default":"deny","all_tools":{"limits":[{"counter":"c","window":"day","max":1,"increment_from":"args.n"}]}}"#,
        "increment-in-all-tools",
        "/all_tools/limits/0/increment_from",
        "each tool",
    );
    one(
        &tool(r#"{"rate_limit":{"max":1.5,"window":60}}"#),
        "bad-max",
        "/tools/t/rate_limit/max",
        "increment_from",
    );
}

#[test]
fn one_call_counts_a_counter_once() {
    let limit =
        |counter: &str, window: &str| format!(r#"{{"counter":"{counter}","window":{window},"max":1}}"#);
    let (minute, sixty, hour) = (limit("c", "\"minute\""), limit("c", "60"), limit("c", "\"hour\""));
    one(&tool(&format!(r#"{{"limits":[{minute},{sixty}]}}"#)), "repeated-counter", "/tools/t/limits/1", "");
    assert_eq!(codes(&tool(&format!(r#"{{"limits":[{minute},{hour}]}}"#))), []);
    let rate = limit("t_rate", "\"minute\"");
    one(
        &tool(&format!(r#"{{"limits":[{rate}],"rate_limit":{{"max":1,"window":60}}}}"#)),
        "repeated-counter",
        "/tools/t/limits/0",
        "",
    );
    let all = |first: &str, second: &str| {
        format!(
            r#"{{"version":"1","default":"deny","all_tools":{{"limits":[{first}]}},"tools":{{"t":{{"limits":[{second}]}},"u":{{"limits":[{hour}]}}}}}}"#
        )
    };
    one(&all(&minute, &sixty), "repeated-counter", "/tools/t/limits/0", "");
    assert_eq!(codes(&all(&minute, &hour)), []);
    let twice = format!(r#"{{"version":"1","default":"deny","all_tools":{{"limits":[{minute},{minute}]}}}}"#);
    one(&twice, "repeated-counter", "/all_tools/limits/1", "");
    // Two scopes of one counter are still one name in rules, records and screens.
    let scoped = r#"{"counter":"c","window":"minute","max":1,"scope":"server"}"#;
    one(&tool(&format!(r#"{{"limits":[{minute},{scoped}]}}"#)), "repeated-counter", "/tools/t/limits/1", "");
}

#[test]
fn top_level_values() {
    one(r#"{"default":"deny"}"#, "missing-key", "", "version");
    one(r#"{"version":"1"}"#, "missing-key", "", "default");
    one(r#"{"version":1,"default":"deny"}"#, "wrong-type", "/version", "quotes");
    one(r#"{"version":"2","default":"deny"}"#, "unknown-version", "/version", "\"1\"");
    one(r#"{"version":"1","default":"dney"}"#, "unknown-value", "/default", "did you mean `deny`?");
    one(r#"{"version":"1","default":"deny","hide":"x"}"#, "wrong-type", "/hide", "");
    one(r#"{"version":"1","default":"deny","tools":[]}"#, "wrong-type", "/tools", "");
    one(r#"{"version":"1","default":"deny","hide_denied":"yes"}"#, "wrong-type", "/hide_denied", "");
    one(&tool("[]"), "wrong-type", "/tools/t", "");
    one(&tool(r#"{"action":"block"}"#), "unknown-value", "/tools/t/action", "`deny`");
}

#[test]
fn every_error_is_named_in_the_order_of_the_text() {
    let text = tool(r#"{"deny_iff":1,"limits":[{"max":-1}],"require":[{"conditions":[{"op":"x"}]}]}"#);
    let places: Vec<usize> = errors(&text).iter().map(|found| found.span.start).collect();
    assert!(places.is_sorted());
    assert_eq!(places.len(), 7, "{:#?}", errors(&text));
    let document = Document::parse(&text).document.unwrap();
    assert!(!document.is_valid());
    assert!(document.policy().tool("t").unwrap().limits.is_empty());
}

#[test]
fn diagnostics_serialize_as_check_prints_them() {
    let found = &errors(&tool(r#"{"deny_iff":[]}"#))[0];
    assert_eq!(
        serde_json::to_value(found).unwrap(),
        serde_json::json!({
            "severity": "error", "code": "unknown-key", "pointer": "/tools/t/deny_iff", "line": 1, "column": 47,
            "message": "unknown key `deny_iff`", "help": "did you mean `deny_if`?"
        })
    );
}

#[test]
fn revisions_are_of_the_bytes() {
    assert_eq!(revision(b""), "e3b0c44298fc");
}

#[test]
fn what_came_of_a_valid_text_is_read_the_same() {
    let good = condition("regex", "\"^a$\"");
    let document = Document::parse(&good).document.unwrap();
    for next in [good.clone(), condition("regex", "\"(\""), condition("regex", "\"b\""), "{".to_owned()] {
        assert_eq!(document.parse_next(&next).diagnostics, Document::parse(&next).diagnostics);
    }
    // Only a pattern's own text counts, not the same text under another operator.
    let text = condition("eq", "\"(\"");
    let other = Document::parse(&text).document.unwrap();
    assert_eq!(other.parse_next(&condition("regex", "\"(\"")).diagnostics[0].code, "bad-regex");
    // A text with errors vouches for nothing.
    let bad = Document::parse(&condition("regex", "\"(\"")).document.unwrap();
    assert_eq!(bad.parse_next(&condition("regex", "\"(\"")).diagnostics[0].code, "bad-regex");
}
