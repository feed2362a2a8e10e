//! `callgate check` as people and programs meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

fn check(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
    command.current_dir(folder).env("CALLGATE_HOME", folder).env_remove("NO_COLOR");
    command.arg("check").args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn names_the_place_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {\n    \"pay\": { \"deny_iff\": [] }\n  }\n}\n";
    std::fs::write(folder.path().join("bad.json"), bad).unwrap();
    let output = check(folder.path(), &["bad.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "error[unknown-key]: unknown key `deny_iff`\n \
         --> bad.json:5:14  /tools/pay/deny_iff\n  \
         |\n\
         5 |     \"pay\": { \"deny_iff\": [] }\n  \
         |              ^^^^^^^^^^\n  \
         = help: did you mean `deny_if`?\n\n\
         bad.json: invalid, 1 error\n"
    );
    let coloured = check(folder.path(), &["--color", "always", "bad.json"]);
    assert!(stdout(&coloured).contains("\u{1b}[31;1merror[unknown-key]\u{1b}[0m"));
}

#[test]
fn prints_what_programs_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"version":"1","default":"deny","tools":{"pay":{"require":[{"conditions":[]}],"action":"allow"}}}"#;
    std::fs::write(folder.path().join("a.json"), text).unwrap();
    std::fs::write(folder.path().join("b.json"), "[").unwrap();
    let output = check(folder.path(), &["--format", "json", "a.json", "b.json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["files"][0],
        serde_json::json!({"file": "a.json", "valid": true, "diagnostics": [{
            "severity": "warning", "code": "empty-require", "pointer": "/tools/pay/require/0", "line": 1, "column": 60,
            "message": "a `require` rule without conditions always holds: it requires nothing",
            "help": "add a condition, or take the rule away"}]})
    );
    assert_eq!(report["files"][1]["valid"], false);
    assert_eq!(report["files"][1]["diagnostics"][0]["code"], "syntax");
    // Warnings do not make a policy invalid; extensions are named when asked for.
    let output = check(folder.path(), &["--portable", "a.json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("warning[extension]: `action` is not in"), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("a.json: valid, 2 warnings\n"));
}

#[test]
fn holds_a_policy_against_the_server_s_tools() {
    let folder = tempfile::tempdir().unwrap();
    let tools = r#"{"tools":[{"name":"push","inputSchema":{"type":"object","properties":{"branch":{"type":"string"}}}}]}"#;
    std::fs::write(folder.path().join("tools.json"), tools).unwrap();
    let text = r#"{"version":"1","default":"deny","tools":{"pussh":{},"push":{"require":[{"conditions":[{"path":"args.brnch","op":"eq","value":"dev"}]}]}}}"#;
    std::fs::write(folder.path().join("p.json"), text).unwrap();
    let output = check(folder.path(), &["p.json", "--tools", "tools.json"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(
        said.contains("the server has no tool `pussh`") && said.contains("did you mean `push`?"),
        "{said}"
    );
    assert!(
        said.contains("no argument `args.brnch`") && said.contains("did you mean `args.branch`?"),
        "{said}"
    );
}

#[test]
fn a_missing_file_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(folder.path(), &["none.json"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`none.json` cannot be read"));
    assert_eq!(check(folder.path(), &[]).status.code(), Some(2));
}

fn callgate(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
    command.current_dir(folder).env("HOME", folder).env("CALLGATE_HOME", folder.join("home"));
    let output = command.args(args).stdin(std::process::Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_misspelt_command_opens_no_editor() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for args in [&["chek"] as &[&str], &["chek", "policy.json"], &["chek", "--portable", "policy.json"]] {
        let (code, said) = callgate(at, args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(
            said.contains("`chek` is no command and no file: did you mean `callgate check`?"),
            "{args:?}: {said}"
        );
        assert!(said.contains("`callgate ./chek`"), "{args:?}: {said}");
    }
    // What is meant as a file is one: it is for the editor, which there is no terminal for here.
    std::fs::write(at.join("tols"), "{}").unwrap();
    for word in ["./chek", "chek.json", "tols", "payments"] {
        let (_, said) = callgate(at, &[word]);
        assert!(!said.contains("did you mean") && said.contains("terminal"), "{word}: {said}");
    }
}

#[test]
fn only_formats_that_the_command_has_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    for (args, choices) in [
        (&["check", "p.json", "--format", "xml"] as &[&str], "[possible values: text, json]"),
        (&["--format", "juni", "status"], "[possible values: text, json]"),
        (&["test", "p.json", "--format", "xml"], "[possible values: text, json, junit]"),
        (&["tail", "--format", "xml"], "[possible values: text, json, csv, cef, logfmt]"),
    ] {
        let (code, said) = callgate(folder.path(), args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains(choices) && !said.contains("'junit'"), "{args:?}: {said}");
    }
}

#[test]
fn a_journal_that_is_not_there_is_looked_for_where_gateways_write() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.json"), r#"{"version":"1","default":"deny"}"#).unwrap();
    let (code, said) = callgate(folder.path(), &["check", "p.json", "--journal", "/nope"]);
    assert_eq!(code, Some(3), "{said}");
    let own = folder.path().join("home/state/journal");
    assert!(said.contains("`/nope`") && said.contains(&*own.display().to_string()), "{said}");
    assert!(!said.contains("callgate status"), "{said}");
}
