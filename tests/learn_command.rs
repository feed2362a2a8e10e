//! `callgate test` and `callgate suggest` as people, CI and programs meet them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    missing_docs
)]

use std::path::Path;
use std::process::{Command, Output};

use callgate::policy::document::Document;

const POLICY: &str = r#"{
  "version": "1", "default": "deny",
  "tools": { "pay": { "deny_if": [{ "conditions": [{ "path": "args.amount", "op": "gt", "value": 100 }] }] } }
}
"#;

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
    command.current_dir(folder).env("CALLGATE_HOME", folder.join("home")).env_remove("NO_COLOR");
    command.args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn policy(tests: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.json"), POLICY).unwrap();
    if let Some(tests) = tests {
        std::fs::write(
            folder.path().join("policy.test.json"),
            format!("{{\n  \"tests\": [\n{tests}\n  ]\n}}\n"),
        )
        .unwrap();
    }
    folder
}

const GOOD: &str = r#"    { "name": "large sums are denied", "tool": "pay", "arguments": { "amount": 250 }, "expect": "deny" }"#;
const BAD: &str =
    r#"    { "name": "99 is denied", "tool": "pay", "arguments": { "amount": 99 }, "expect": "deny" }"#;

#[test]
fn tests_pass_or_say_what_is_wrong() {
    let folder = policy(Some(GOOD));
    let passed = run(folder.path(), &["test", "policy.json"]);
    assert_eq!(passed.status.code(), Some(0), "{}", stderr(&passed));
    assert_eq!(stdout(&passed), "pass  large sums are denied\n1 test, all passed\n");

    let folder = policy(Some(&[GOOD, BAD].join(",\n")));
    let failed = run(folder.path(), &["test", "--quiet", "policy.json"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        stdout(&failed),
        "\
FAIL  99 is denied  policy.test.json:4
      decision: want deny, got allow
      │ allow  pay
      │   at   /tools/pay  (policy.json:3:21)
      │ 
      │ ├─ pass     /tools/pay
      │ │           the policy lists the tool
      │ └─ pass     /tools/pay/deny_if/0
      │             the rule does not hold
      │             └─ args.amount gt 100  false
      │                  args.amount = 99
2 tests, 1 failed
"
    );
    let json = run(folder.path(), &["test", "policy.json", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &1.into()));
    assert_eq!(report["tests"][1]["failure"]["differences"][0]["got"], "allow");
    let junit = run(folder.path(), &["test", "policy.json", "--format", "junit"]);
    assert_eq!(junit.status.code(), Some(1));
    assert!(
        stdout(&junit).contains("<testsuite name=\"policy.json\" tests=\"2\" failures=\"1\" errors=\"0\">")
    );
    assert!(stdout(&junit).contains("message=\"decision: want deny, got allow\""));
}

#[test]
fn what_cannot_be_tested_is_no_pass() {
    let folder = policy(None);
    let missing = run(folder.path(), &["test", "policy.json"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("policy.test.json"), "{}", stderr(&missing));
    assert_eq!(run(folder.path(), &["test", "none.json"]).status.code(), Some(3));
    let misspelt = policy(Some(r#"    { "name": "n", "tool": "pay", "expect": "denny" }"#));
    let broken = run(misspelt.path(), &["test", "policy.json"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stderr(&broken).contains("policy.test.json:3:45: /tests/0/expect"), "{}", stderr(&broken));
    assert!(stderr(&broken).contains("did you mean `deny`?"));
    // Only this command has that format.
    let other = run(misspelt.path(), &["check", "policy.json", "--format", "junit"]);
    assert_eq!(other.status.code(), Some(2));
}

/// A journal with calls of an agent: 40 payments a minute apart and two denied ones.
fn journal(folder: &Path) -> String {
    let mut text = String::new();
    for n in 0..42_i64 {
        let (decision, amount) = if n < 40 { ("allow", 10 + n) } else { ("deny", 100_000) };
        let ts = callgate::time::Timestamp::from_secs(1_790_000_000 + n * 60);
        text.push_str(&format!(
            r#"{{"type":"decision","seq":{},"ts":"{ts}","gateway":"g1","server":"bank","grant":"local","request_id":{n},"method":"tools/call","tool":"pay","decision":"{decision}","enforced":true,"rule":"","pointer":"/default","message":"","policy":null,"args":{{"amount":{amount},"to":"DE{:04}"}},"counters":[],"counted":true,"decide_us":1.5}}"#,
            n + 1,
            n * 13,
        ));
        text.push('\n');
    }
    let path = folder.join("g1.1.jsonl");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn recorded_calls_are_tests_of_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let policy = |rules: &str| {
        let text = format!(r#"{{"version":"1","default":"allow","tools":{{"pay":{{{rules}}}}}}}"#);
        std::fs::write(folder.path().join("policy.json"), text).unwrap();
    };
    policy(r#""deny_if":[{"conditions":[{"path":"args.amount","op":"gt","value":1000}]}]"#);
    // The recorded denies came from nowhere in a document: they are decided by this one as they were.
    let same = run(folder.path(), &["test", "policy.json", &journal]);
    assert_eq!(same.status.code(), Some(0), "{}{}", stdout(&same), stderr(&same));
    assert!(stdout(&same).ends_with("42 recorded calls, all decided as they were\n"), "{}", stdout(&same));
    let quiet = run(folder.path(), &["test", "policy.json", &journal, "--quiet"]);
    assert_eq!(stdout(&quiet), "42 recorded calls, all decided as they were\n");
    // A folder is one, too, and another server's calls are none of this policy's.
    let inside = folder.path().display().to_string();
    assert_eq!(run(folder.path(), &["test", "policy.json", &inside]).status.code(), Some(0));
    let other = run(folder.path(), &["test", "policy.json", &inside, "--server", "none"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("tests nothing"), "{}", stderr(&other));

    // Where nothing is chosen among, nothing is passed over in silence.
    std::fs::write(folder.path().join("policy.test.json"), r#"{"tests":[]}"#).unwrap();
    let tests = run(folder.path(), &["test", "policy.json", "--server", "bank"]);
    assert_eq!(tests.status.code(), Some(2), "{}", stderr(&tests));
    // What stands in a journal reaches no terminal raw, and a torn last line is no call.
    let hostile = std::fs::read_to_string(&journal).unwrap().lines().next().unwrap().to_owned();
    let hostile = hostile.replace("\"tool\":\"pay\"", "\"tool\":\"pay\\u001b[2J\\u202e\"");
    std::fs::write(
        folder.path().join("h.1.jsonl"),
        format!("{hostile}\n{}", hostile.get(..hostile.len() / 2).unwrap()),
    )
    .unwrap();
    std::fs::write(folder.path().join("closed.json"), r#"{"version":"1","default":"deny","tools":{}}"#)
        .unwrap();
    for format in ["text", "json", "junit"] {
        let closed = run(folder.path(), &["test", "closed.json", "h.1.jsonl", "--format", format]);
        assert_eq!(closed.status.code(), Some(1), "{}", stderr(&closed));
        let text = stdout(&closed);
        assert!(text.contains("pay") && !text.contains(['\u{1b}', '\u{202e}']) || format == "json", "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    policy(r#""deny_if":[{"conditions":[{"path":"args.amount","op":"gt","value":45}]}]"#);
    let tighter = run(folder.path(), &["test", "policy.json", &journal]);
    assert_eq!(tighter.status.code(), Some(1));
    let text = stdout(&tighter);
    // 46 to 49 of the amounts 10 to 49.
    assert!(text.ends_with("42 recorded calls, 4 decided otherwise\n"), "{text}");
    assert!(text.contains("-4 pay: allow -> deny by /tools/pay/deny_if/args.amount-gt"), "{text}");
    let json = run(folder.path(), &["test", "policy.json", &journal, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["passed"], &json["failed"], &json["skipped"]), (&38.into(), &4.into(), &0.into()));
    let junit = run(folder.path(), &["test", "policy.json", &journal, "--format", "junit"]);
    assert_eq!(junit.status.code(), Some(1));
    let xml = stdout(&junit);
    assert!(xml.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\""), "{xml}");
    assert!(xml.contains("name=\"38 calls decided as recorded\""), "{xml}");
    assert!(xml.contains("message=\"4 calls decided otherwise\""), "{xml}");
}

#[test]
fn a_policy_is_learnt_from_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let printed = run(folder.path(), &["suggest", &journal]);
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    let text = stdout(&printed);
    assert!(Document::parse(&text).valid().is_ok(), "{text}");
    let report = stderr(&printed);
    assert!(report.contains("bound  amount >= 7 and amount <= 62  40 calls; 10 to 49"), "{report}");
    assert!(
        report.contains("bound  to ~ /^DE[0-9]{4}$/  40 calls; 40 values; e.g. DE0000, DE0013, DE0026"),
        "{report}"
    );
    assert!(report.contains("(2 denied ones left aside)"), "{report}");
    assert!(report.contains("the policy allows every one of them"), "{report}");

    let written = run(folder.path(), &["suggest", &journal, "--margin", "0", "-o", "learnt.json"]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    assert!(stderr(&written).contains("nobody has accepted it yet"));
    let file = std::fs::read_to_string(folder.path().join("learnt.json")).unwrap();
    assert!(
        file.contains("\"value\": 49") && file.contains("UNAPPROVED: suggested from 40 allowed calls"),
        "{file}"
    );
    assert!(stdout(&run(folder.path(), &["check", "learnt.json"])).contains("warning[unapproved]"));
    let again = run(folder.path(), &["suggest", &journal, "-o", "learnt.json"]);
    assert_eq!(again.status.code(), Some(3), "what is there stays");
    let judged = run(
        folder.path(),
        &["explain", "learnt.json", "pay", r#"{"amount":50,"to":"DE0001"}"#, "--exit-code"],
    );
    assert_eq!(judged.status.code(), Some(1));

    let json = run(folder.path(), &["suggest", &journal, "--format", "json", "--grant", "local"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["seen"]["calls"], 40);
    assert_eq!(report["denies"], 0);
    let bound = &report["proposals"][1];
    assert_eq!((&bound["kind"], &bound["path"]), (&"bound".into(), &"args.amount".into()));
    assert_eq!(bound["evidence"]["range"], serde_json::json!(["10", "49"]));
    assert!(bound["choices"].as_array().unwrap().len() > 1);
    let nobody = run(folder.path(), &["suggest", &journal, "--grant", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("nothing can be learnt"));
}

#[test]
fn what_recorded_calls_did_to_each_rule() {
    let folder = policy(None);
    let journal = journal(folder.path());
    let checked = run(folder.path(), &["check", "policy.json", "--journal", &journal]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert_eq!(
        stdout(&checked),
        "\
policy.json: valid
policy.json, 42 recorded calls from 2026-09-21 14:13 to 2026-09-21 14:54
    hits  last              rule
       0  never             /default  deny what is not listed
       2  2026-09-21 14:54  /tools/pay/deny_if/0  amount > 100
"
    );
    let json = run(folder.path(), &["check", "policy.json", "--journal", &journal, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["files"][0]["health"]["parts"][1]["hits"], 2);
}

#[test]
fn several_journals_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let one = journal(folder.path());
    let text = std::fs::read_to_string(&one).unwrap();
    let (early, late): (Vec<_>, Vec<_>) =
        text.split_inclusive('\n').enumerate().partition(|(index, _)| index % 2 == 0);
    for (name, lines) in [("a.1.jsonl", late), ("b.1.jsonl", early)] {
        let part: String = lines.into_iter().map(|(_, line)| line).collect();
        std::fs::write(folder.path().join(name), part).unwrap();
    }
    let whole = run(folder.path(), &["suggest", &one]);
    let parts = run(folder.path(), &["suggest", "a.1.jsonl", "b.1.jsonl"]);
    assert_eq!(parts.status.code(), Some(0), "{}", stderr(&parts));
    assert_eq!(stdout(&whole), stdout(&parts));
    assert_eq!(stderr(&whole), stderr(&parts));
}

#[test]
fn a_policy_that_is_there_stays_and_the_help_fits() {
    let folder = policy(None);
    let journal = journal(folder.path());
    let refused = run(folder.path(), &["suggest", &journal, "-o", "policy.json"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = stderr(&refused);
    assert!(said.contains("`--force` replaces it") && said.contains("`-o`"), "{said}");
    assert!(!said.contains("callgate tools"), "{said}");
}
