//! Reading, running and making policy tests.

use super::*;
use crate::policy::compiled::Compiled;
use crate::policy::document::Document;
use crate::record;

const POLICY: &str = r#"{
  "version": "1", "default": "deny", "hide": ["secret"],
  "tools": {
    "refund": {
      "deny_if": [{ "conditions": [{ "path": "args.amount", "op": "gt", "value": 100 }], "on_deny": "Too much." }],
      "approve_if": [{ "conditions": [{ "path": "args.amount", "op": "gt", "value": 50 }] }]
    },
    "push": { "limits": [{ "counter": "push_rate", "window": "minute", "max": 2, "scope": "session" }] }
  }
}"#;

fn policy() -> Compiled {
    Compiled::new(&Document::parse(POLICY).valid().unwrap()).unwrap()
}

fn ran(tests: &str) -> Report {
    let parsed = read(&format!("{{\"tests\":[{tests}]}}"));
    assert_eq!(parsed.diagnostics, []);
    run(&policy(), &parsed.cases.unwrap())
}

/// The first difference of each test: `what want got`; empty of a test that passed.
fn found(report: &Report) -> Vec<String> {
    let first = |result: &TestResult| {
        let difference = result.failure.as_ref().and_then(|failure| failure.differences.first());
        difference.map_or_else(String::new, |it| format!("{} {} {}", it.what, it.want, it.got))
    };
    report.tests.iter().map(first).collect()
}

#[test]
fn a_call_is_held_against_what_is_expected() {
    for (call, finding) in [
        (r#""tool":"refund","arguments":{"amount":250},"expect":"deny""#, ""),
        (r#""tool":"refund","arguments":{"amount":10},"expect":"deny""#, "decision deny allow"),
        (r#""tool":"refund","arguments":{"amount":60},"expect":"approve""#, ""),
        (r#""tool":"refund","arguments":null,"expect":"allow""#, ""),
        (
            r#""tool":"refund","arguments":{"amount":250},"expect":{"decision":"deny","rule":"/tools/refund/deny_if/args.amount-gt","pointer":"/tools/refund/deny_if/0","message_contains":"much","visible":true}"#,
            "",
        ),
        (
            r#""tool":"refund","arguments":{"amount":250},"expect":{"decision":"deny","rule":""}"#,
            "rule  /tools/refund/deny_if/args.amount-gt",
        ),
        (
            r#""tool":"refund","arguments":{"amount":250},"expect":{"decision":"deny","pointer":"/default"}"#,
            "pointer /default /tools/refund/deny_if/0",
        ),
        (
            r#""tool":"refund","arguments":{"amount":250},"expect":{"decision":"deny","message_contains":"little"}"#,
            "message_contains little Too much.",
        ),
        (r#""tool":"secret","expect":{"decision":"deny","visible":false,"rule":"(hidden)"}"#, ""),
        (r#""tool":"secret","expect":{"decision":"deny","visible":true}"#, "visible true false"),
        (r#""tool":"nobody","expect":{"decision":"deny","rule":"(default deny)","pointer":"/default"}"#, ""),
    ] {
        let report = ran(&format!("{{\"name\":\"t\",{call}}}"));
        assert_eq!(found(&report), [finding], "{call}");
        assert_eq!(report.failed, usize::from(!finding.is_empty()));
    }
}

#[test]
fn a_sequence_has_its_own_clock_and_counters() {
    let full = r#"{"decision":"deny","rule":"/tools/push/limits/push_rate"}"#;
    let test =
        |calls: &str| found(&ran(&format!(r#"{{"name":"t","tool":"push","calls":[{calls}]}}"#))).remove(0);
    let two = r#"{"times":2,"expect":"allow"}"#;
    assert_eq!(test(&format!(r#"{two},{{"expect":{full}}},{{"at":"1m","expect":"allow"}}"#)), "");
    assert_eq!(test(&format!(r#"{two},{{"at":"59s","expect":"allow"}}"#)), "decision allow deny");
    assert_eq!(test(&format!(r#"{two},{{"session":"other","expect":"allow"}}"#)), "");
    assert_eq!(test(&format!(r#"{two},{{"grant":"other","expect":"allow"}}"#)), "");
    assert_eq!(
        test(&format!(
            r#"{{"session":"s","expect":"allow"}},{{"session":"s","grant":"b","expect":"allow"}},{{"session":"s","expect":{full}}}"#
        )),
        ""
    );
    assert_eq!(
        test(
            r#"{"at":"2026-01-01T00:00:30Z","times":2,"expect":"allow"},{"at":"2026-01-01T00:01:00Z","expect":"allow"}"#
        ),
        ""
    );
    // A new test has counters of its own, and what a failure shows is the state before the call.
    let report = ran(&format!(
        r#"{{"name":"a","tool":"push","calls":[{{"times":3,"expect":"allow"}}]}},{{"name":"b","tool":"push","calls":[{two}]}}"#
    ));
    assert_eq!((report.passed, report.failed, report.mark()), (1, 1, "1 of 2 tests fails".to_owned()));
    let failure = report.tests[0].failure.as_ref().unwrap();
    assert_eq!((failure.time, failure.times, failure.pointer.as_str()), (3, 3, "/tests/0/calls/0"));
    assert_eq!(failure.explanation.limits[0].used.map(|used| used.to_string()).as_deref(), Some("2"));
    assert_eq!(failure.explanation.rule, "/tools/push/limits/push_rate");
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let test = r#""name":"n","tool":"t","expect":"deny""#;
    for (text, code, pointer, help) in [
        (String::new(), "syntax", "", "start with `{ \"tests\": [] }`"),
        ("[]".to_owned(), "wrong-type", "", ""),
        ("{}".to_owned(), "missing-key", "", "write the tests: `\"tests\": []`"),
        (r#"{"tets":[],"tests":[]}"#.to_owned(), "unknown-key", "/tets", "did you mean `tests`?"),
        (r#"{"tests":{}}"#.to_owned(), "wrong-type", "/tests", ""),
        (r#"{"tests":[{"tool":"t","expect":"deny"}]}"#.to_owned(), "missing-key", "/tests/0", "say in a few words what must be so"),
        (r#"{"tests":[{"name":"n","expect":"deny"}]}"#.to_owned(), "missing-key", "/tests/0", "name the tool that is called"),
        (r#"{"tests":[{"name":"n","tool":"t"}]}"#.to_owned(), "missing-key", "/tests/0", "write `\"expect\": \"deny\"` or `\"expect\": { \"decision\": \"deny\", \"rule\": ... }`"),
        (format!(r#"{{"tests":[{{{test}}},{{{test}}}]}}"#), "duplicate-name", "/tests/1/name", "give each its own name"),
        (format!(r#"{{"tests":[{{{test},"argument":{{}}}}]}}"#), "unknown-key", "/tests/0/argument", "did you mean `arguments`?"),
        (format!(r#"{{"tests":[{{{test},"args":{{}}}}]}}"#), "unknown-key", "/tests/0/args", "the call's arguments are `arguments`"),
        (format!(r#"{{"tests":[{{{test},"arguments":[1]}}]}}"#), "wrong-type", "/tests/0/arguments", ""),
        (format!(r#"{{"tests":[{{{test},"arguments":{{"a":1,"a":2}}}}]}}"#), "duplicate-member", "/tests/0/arguments/a", "keep one: parsers differ on which of them counts"),
        (format!(r#"{{"tests":[{{{test},"times":0}}]}}"#), "bad-value", "/tests/0/times", ""),
        (format!(r#"{{"tests":[{{{test},"at":"soon"}}]}}"#), "bad-value", "/tests/0/at", "write how long after the test's start (`\"90s\"`) or an instant (`\"2026-11-20T21:00:00Z\"`)"),
        (r#"{"tests":[{"name":"n","tool":"t","expect":"denny"}]}"#.to_owned(), "bad-value", "/tests/0/expect", "did you mean `deny`?"),
        (r#"{"tests":[{"name":"n","tool":"t","expect":"hide"}]}"#.to_owned(), "bad-value", "/tests/0/expect", "a hidden tool's call is denied: `{ \"decision\": \"deny\", \"visible\": false }`"),
        (r#"{"tests":[{"name":"n","tool":"t","expect":{"decision":"deny","message":"x"}}]}"#.to_owned(), "unknown-key", "/tests/0/expect/message", "messages are compared by a part of them: `message_contains`"),
        (r#"{"tests":[{"name":"n","tool":"t","expect":{"decision":"deny","visible":1}}]}"#.to_owned(), "wrong-type", "/tests/0/expect/visible", ""),
        (r#"{"tests":[{"name":"n","tool":"t","expect":{"decision":"deny","pointer":"tools"}}]}"#.to_owned(), "bad-value", "/tests/0/expect/pointer", "for instance `/tools/refund/deny_if/0`"),
        (r#"{"tests":[{"name":"n","tool":"t","calls":[]}]}"#.to_owned(), "bad-value", "/tests/0/calls", ""),
        (r#"{"tests":[{"name":"n","tool":"t","expect":"deny","calls":[{"expect":"deny"}]}]}"#.to_owned(), "misplaced-key", "/tests/0/expect", "move it into the calls"),
        (r#"{"tests":[{"name":"n","tool":"t","calls":[{"at":"2m","expect":"deny"},{"at":"1m","expect":"deny"}]}]}"#.to_owned(), "bad-value", "/tests/0/calls/1/at", "write the calls in the order of their time"),
        (r#"{"tests":[{"name":"n","tool":"t","calls":[{"name":"x","expect":"deny"}]}]}"#.to_owned(), "unknown-key", "/tests/0/calls/0/name", "a call may have `tool`, `arguments`, `server`, `grant`, `session`, `at`, `times`, `expect`"),
    ] {
        let parsed = read(&text);
        let first = &parsed.diagnostics[0];
        assert_eq!((first.code, first.pointer.as_str()), (code, pointer), "{text}");
        assert_eq!(first.help.as_deref().unwrap_or(""), help, "{text}");
        assert!(parsed.cases.is_none(), "{text}");
    }
    let placed = read("{\n  \"tests\": [\n    { \"nmae\": \"x\" }\n  ]\n}");
    let found = placed.diagnostics.iter().find(|found| found.code == "unknown-key").unwrap();
    assert_eq!((found.line, found.column), (3, 7));
}

fn record(decision: &str, rule: &str, args: &str, counters: &str) -> record::Decision {
    let line = format!(
        r#"{{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"s","grant":"ci","request_id":1,"method":"tools/call","tool":"push","decision":"{decision}","enforced":true,"rule":"{rule}","pointer":null,"message":"","policy":null,"args":{args},"counters":[{counters}],"counted":true,"decide_us":1.5}}"#
    );
    match record::Record::parse(line.as_bytes()).unwrap() {
        record::Record::Decision(decision) => *decision,
        _ => panic!("a decision"),
    }
}

#[test]
fn a_recorded_call_becomes_a_test_that_passes() {
    let counters = r#"{"counter":"push_rate","scope":"session","key":"ci","window":60,"used":2,"max":2,"resets_at":"2026-11-20T21:21:00.000000Z"}"#;
    let full = record("deny", "/tools/push/limits/push_rate", r#"{"image":"a"}"#, counters);
    let allowed = record("allow", "", r#"{"image":"a"}"#, "");
    let mut text = add(None, &pin(&full).unwrap()).unwrap();
    text = add(Some(&text), &pin(&allowed).unwrap()).unwrap();
    text = add(Some(&text), &pin(&allowed).unwrap()).unwrap();
    let names: Vec<String> = read(&text).cases.unwrap().tests.into_iter().map(|test| test.name).collect();
    assert_eq!(names, ["push is denied by push_rate", "push is allowed", "push is allowed (2)"]);
    assert_eq!(run(&policy(), &read(&text).cases.unwrap()).failed, 0, "{text}");
    // The rest of a text that a person wrote stays as it is.
    let own = "{\n\t\"tests\" : [\n\t\t{\"name\":\"n\", \"tool\":\"t\", \"expect\":\"deny\"}\n\t]\n}";
    let with = add(Some(own), &pin(&allowed).unwrap()).unwrap();
    assert!(with.starts_with(own.trim_end_matches("\n\t]\n}")), "{with}");
    assert!(matches!(add(Some("{\n\"tests\":{}}"), &pin(&allowed).unwrap()), Err(NotPinned::NotValid(_, 2))));
}

#[test]
fn what_was_not_recorded_is_not_pinned() {
    let mask = r#"{"a":[1,{"b.c":{"masked":"hmac-sha256:00","type":"string","length":3}}]}"#;
    assert_eq!(pin(&record("allow", "", mask, "")), Err(NotPinned::Masked("args.a.1.b.c".to_owned())));
    assert_eq!(
        pin(&record("allow", "", r#"{"a":{"cut":70000}}"#, "")),
        Err(NotPinned::Cut("args.a".to_owned()))
    );
    assert_eq!(
        pin(&record("deny", "(frozen)", "{}", "")),
        Err(NotPinned::Circumstance("(frozen)".to_owned()))
    );
    let nothing = record("allow", "", "null", "");
    assert!(pin(&nothing).unwrap().test.contains(r#""arguments":{}"#));
    assert_eq!(pin(&record::Decision { tool: None, ..nothing }), Err(NotPinned::NoTool));
}

#[test]
fn the_schema_agrees_with_the_reader() {
    let schema = serde_json::from_str(include_str!("../../../assets/tests.schema.json")).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let valid = jsonschema::validator_for(&schema).unwrap();
    let named = r#""name":"n","tool":"t""#;
    for tests in [
        String::new(),
        format!(
            r#"{{{named},"expect":"deny","arguments":{{"a":1}},"at":"1m","times":2,"grant":"g","session":"s","server":"x"}}"#
        ),
        format!(
            r#"{{{named},"expect":{{"decision":"deny","rule":"","pointer":"/p","message_contains":"","visible":false}}}}"#
        ),
        format!(r#"{{{named},"calls":[{{"expect":"allow"}},{{"tool":"u","at":"1m","expect":"approve"}}]}}"#),
        format!(r"{{{named}}}"),
        format!(r#"{{{named},"expect":"no"}}"#),
        format!(r#"{{{named},"expect":{{"rule":"x"}}}}"#),
        format!(r#"{{{named},"expect":"deny","calls":[{{"expect":"deny"}}]}}"#),
        format!(r#"{{{named},"expect":"deny","arguments":[]}}"#),
        format!(r#"{{{named},"expect":"deny","times":0}}"#),
        format!(r#"{{{named},"calls":[]}}"#),
        format!(r#"{{{named},"calls":[{{"args":{{}},"expect":"deny"}}]}}"#),
        r#"{"tool":"t","expect":"deny"}"#.to_owned(),
        r#"{"name":"n","expect":"deny"}"#.to_owned(),
    ] {
        let text = format!(r#"{{"tests":[{tests}]}}"#);
        let value = serde_json::from_str(&text).unwrap();
        assert_eq!(valid.is_valid(&value), read(&text).cases.is_some(), "{text}");
    }
}

#[test]
fn the_example_passes() {
    let document = Document::parse(include_str!("../../../policy.example.json")).valid().unwrap();
    let parsed = read(include_str!("../../../assets/examples/policy.example.test.json"));
    assert_eq!(parsed.diagnostics, []);
    let report = run(&Compiled::new(&document).unwrap(), &parsed.cases.unwrap());
    assert_eq!((report.passed, report.failed), (5, 0), "{report:#?}");
}
