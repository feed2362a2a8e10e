//! Health of small policies over calls made up for them.

use super::*;
use crate::json;
use crate::policy::path::Path;

fn run(entry: &str, calls: &[(i64, &str, &str)]) -> Health {
    let text = format!(r#"{{"version":"1","default":"deny","hide":["h"],"tools":{{{entry}}}}}"#);
    let document = Document::parse(&text).valid().unwrap();
    let mut checkup = Checkup::new(&document, None).unwrap();
    for (second, tool, args) in calls {
        let parsed = json::parse(args).unwrap();
        let caller = Caller { server: "s", grant: "g", session: None };
        checkup.call(&Seen { ts: Timestamp::from_secs(*second), caller, tool, args: Some(&parsed.root) });
    }
    checkup.health()
}

fn part<'h>(health: &'h Health, pointer: &str) -> &'h Part {
    health.parts.iter().find(|part| part.pointer == pointer).unwrap()
}

fn ills(part: &Part) -> Vec<(Ill, Proof)> {
    part.findings.iter().map(|finding| (finding.ill, finding.proof)).collect()
}

const GT: &str = r#"{"conditions":[{"path":"args.a","op":"gt","value":10}]}"#;
const GT_MORE: &str =
    r#"{"conditions":[{"path":"args.a","op":"gt","value":10},{"path":"args.b","op":"exists","value":true}]}"#;

#[test]
fn hits_are_counted_where_they_were_decided() {
    let limit = r#"{"counter":"c","window":"minute","max":2,"scope":"grant"}"#;
    let entry = format!(r#""t":{{"deny_if":[{GT}],"limits":[{limit}]}},"idle":{{}}"#);
    let health = run(
        &entry,
        &[
            (0, "t", r#"{"a":1}"#),
            (1, "t", r#"{"a":11}"#),
            (2, "t", r#"{"a":2}"#),
            (3, "t", r#"{"a":3}"#),
            (65, "t", r#"{"a":"much"}"#),
            (66, "h", "{}"),
            (67, "nobody", "{}"),
        ],
    );
    let rule = part(&health, "/tools/t/deny_if/0");
    assert_eq!((rule.calls, rule.hits, rule.last_hit), (5, 2, Some(Timestamp::from_secs(65))));
    assert_eq!(rule.text, "a > 10");
    let limit = part(&health, "/tools/t/limits/0");
    assert_eq!((limit.hits, limit.last_hit), (1, Some(Timestamp::from_secs(3))));
    assert_eq!(
        limit.peak.map(|peak| (peak.used, peak.at)),
        Some((Amount(2_000_000), Timestamp::from_secs(2)))
    );
    assert_eq!(part(&health, "/hide/0").hits, 1);
    assert_eq!(part(&health, "/default").hits, 1);
    assert_eq!((health.calls, health.unreadable, health.ailing()), (7, 0, 0));
    assert_eq!(health.never_called, ["idle"]);
}

#[test]
fn what_never_decides_is_told_with_its_proof() {
    let calls = [(0, "t", r#"{"a":11,"b":1}"#), (1, "t", r#"{"a":1}"#)];
    // Covered, by reasoning.
    let health = run(&format!(r#""t":{{"deny_if":[{GT},{GT_MORE}]}}"#), &calls);
    assert_eq!(ills(part(&health, "/tools/t/deny_if/1")), [(Ill::Covered, Proof::Reasoned)]);
    // Shadowed, by reasoning: what require refuses.
    let lte = r#"{"conditions":[{"path":"args.a","op":"lte","value":10}]}"#;
    let health = run(&format!(r#""t":{{"require":[{lte}],"deny_if":[{GT}]}}"#), &calls);
    let shadowed = part(&health, "/tools/t/deny_if/0");
    assert_eq!(ills(shadowed), [(Ill::Shadowed, Proof::Reasoned)]);
    assert_eq!(shadowed.findings[0].by.as_deref(), Some("/tools/t/require/0"));
    // Shadowed by what was recorded only.
    let has_b = r#"{"conditions":[{"path":"args.b","op":"exists","value":true}]}"#;
    let health = run(&format!(r#""t":{{"deny_if":[{GT},{has_b}]}}"#), &calls);
    let shadowed = part(&health, "/tools/t/deny_if/1");
    assert_eq!((ills(shadowed), shadowed.preempted), (vec![(Ill::Shadowed, Proof::Recorded)], 1));
    assert_eq!(shadowed.findings[0].by.as_deref(), Some("/tools/t/deny_if/0"));
    // Never hit, and impossible.
    let never =
        r#"{"conditions":[{"path":"args.a","op":"gt","value":5},{"path":"args.a","op":"lt","value":5}]}"#;
    let limit = r#"{"counter":"c","window":"day","max":9,"scope":"grant"}"#;
    let health = run(&format!(r#""t":{{"deny_if":[{never}],"limits":[{limit}]}}"#), &calls);
    assert_eq!(ills(part(&health, "/tools/t/deny_if/0")), [(Ill::Impossible, Proof::Reasoned)]);
    let limit = part(&health, "/tools/t/limits/0");
    assert_eq!(ills(limit), [(Ill::NeverHit, Proof::Recorded)]);
    assert_eq!(limit.findings[0].message, "never reached: at most 2 of 9 were used");
    // Without any record nothing is said of records.
    assert_eq!(run(&format!(r#""t":{{"deny_if":[{GT}]}}"#), &[]).ailing(), 0);
}

#[test]
fn a_limit_that_denies_comes_before_approval() {
    let limit = r#"{"counter":"c","window":"day","max":1,"scope":"grant"}"#;
    let entry = format!(r#""t":{{"approve_if":[{GT}],"limits":[{limit}]}}"#);
    let health = run(&entry, &[(0, "t", r#"{"a":1}"#), (1, "t", r#"{"a":11}"#)]);
    let rule = part(&health, "/tools/t/approve_if/0");
    assert_eq!((rule.hits, rule.preempted), (0, 1));
    assert_eq!(rule.findings[0].by.as_deref(), Some("/tools/t/limits/0"));
}

#[test]
fn unknown_arguments_and_tools_are_the_servers_word() {
    let schema = serde_json::json!({"type":"object","properties":{"a":{"type":"number"}},"additionalProperties":false});
    let text = r#"{"version":"1","default":"deny","tools":{"t":{"deny_if":[{"conditions":[{"path":"args.aa","op":"gt","value":10}]}]},"u":{"action":"deny"}}}"#;
    let document = Document::parse(text).valid().unwrap();
    let shapes = vec![ToolShape::from_schema("t", &schema), ToolShape::from_schema("more", &schema)];
    let health = Checkup::new(&document, Some(shapes)).unwrap().health();
    assert_eq!(part(&health, "/tools/t/deny_if/0").findings[0].ill, Ill::UnknownArgument);
    assert_eq!(part(&health, "/tools/u/action").findings[0].ill, Ill::UnknownTool);
    assert_eq!(health.unknown_tools, ["u"]);
    assert_eq!(health.never_called, ["t"]);
}

#[test]
fn what_was_masked_is_not_judged() {
    let mask = r#"{"a":{"masked":"hmac-sha256:00","type":"number","length":2}}"#;
    let entry = format!(r#""t":{{"deny_if":[{GT}]}}"#);
    let health = run(&entry, &[(0, "t", mask), (1, "t", r#"{"a":1,"other":{"cut":70000}}"#)]);
    assert_eq!((health.calls, health.unreadable), (2, 1));
    assert_eq!(part(&health, "/tools/t/deny_if/0").hits, 0);
    for (path, args, so) in [
        ("args.a.b", r#"{"a":{"cut":1}}"#, true),
        ("args.a", r#"{"a":[{"x":{"cut":1}}]}"#, true),
        ("args.a[*].x", r#"{"a":[{"x":1},{"x":{"cut":1}}]}"#, true),
        ("args.a.1", r#"{"a":[{"cut":1},2]}"#, false),
        ("args.b", r#"{"a":{"cut":1}}"#, false),
    ] {
        let parsed = json::parse(args).unwrap();
        assert_eq!(hides(Path::parse(path).unwrap().steps(), &parsed.root), so, "{path}");
    }
}
