//! `callgate tail` over real files: what it prints, what it follows, how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use callgate::journal::{Options, Writer};
use callgate::record::Record;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("state/journal")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
        command
            .arg("tail")
            .args(args)
            .env("CALLGATE_HOME", self.0.path())
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    fn tail(&self, args: &[&str]) -> Output {
        self.command(args).arg("--no-follow").output().unwrap()
    }

    fn follow(&self, args: &[&str]) -> Following {
        let mut child = self.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Following { child, lines }
    }
}

/// A running `tail`, ended when dropped.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn decision(second: u32, server: &str, tool: &str, verdict: &str) -> Record {
    let line = format!(
        r#"{{"type":"decision","seq":1,"ts":"2026-11-20T21:20:{second:02}.000001Z","gateway":"g","server":"{server}","grant":"local","request_id":{second},"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"/tools/{tool}/action","pointer":null,"message":"Tool {tool} is not permitted by policy","policy":null,"args":{{"n":{second}}},"counters":[],"counted":false,"decide_us":1.5}}"#
    );
    Record::parse(line.as_bytes()).unwrap()
}

fn event(second: u32, kind: &str) -> Record {
    let line = format!(
        r#"{{"type":"event","seq":1,"ts":"2026-11-20T21:20:{second:02}.000001Z","gateway":"g","kind":"{kind}","by":"ann","reason":"incident \u001b[31m","data":{{}}}}"#
    );
    Record::parse(line.as_bytes()).unwrap()
}

fn writer(dir: &Path, gateway: &str, file_bytes: u64) -> Writer {
    Writer::create(dir, gateway, &Options { file_bytes, ..Options::default() }).unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn json_is_the_records_own_bytes_merged_by_time() {
    let home = Home::new();
    let (a, b) = (writer(&home.journal(), "a", 600), writer(&home.journal(), "b", 1 << 20));
    let mut expected = Vec::new();
    for second in 0..12 {
        let writer = if second % 3 == 0 { &b } else { &a };
        let line = writer.append(&mut decision(second, "docker", "pull", "allow")).unwrap().line;
        expected.extend_from_slice(&line);
        expected.push(b'\n');
    }
    assert!(fs::read_dir(home.journal()).unwrap().count() > 3, "one of them was rotated");
    // A torn last line of a crashed gateway is no line.
    let mut torn = fs::OpenOptions::new().append(true).open(home.journal().join("b.1.jsonl")).unwrap();
    torn.write_all(b"{\"type\":\"decision\",\"seq\":99,\"ts\":\"2026").unwrap();
    let output = home.tail(&["--format", "json"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), String::from_utf8(expected).unwrap());
}

#[test]
fn narrows_by_deny_filter_since_and_journal() {
    let home = Home::new();
    let a = writer(&home.journal(), "a", 1 << 20);
    for (second, tool, verdict) in [
        (1, "pull", "allow"),
        (2, "push", "deny"),
        (3, "push", "approve"),
        (4, "pull", "deny"),
        (5, "ps", "deny"),
    ] {
        a.append(&mut decision(second, "docker", tool, verdict)).unwrap();
    }
    a.append(&mut event(6, "freeze")).unwrap();
    let seconds = |args: &[&str]| -> Vec<String> {
        let mut all = vec!["--format", "json"];
        all.extend_from_slice(args);
        text(&home.tail(&all))
            .lines()
            .map(|line| line.split(":20:0").nth(1).unwrap()[..1].to_owned())
            .collect()
    };
    assert_eq!(seconds(&[]), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(seconds(&["--deny"]), ["2", "4", "5"]);
    assert_eq!(seconds(&["--deny", "--filter", "-tool:p*l arg.n:<5"]), ["2"]);
    assert_eq!(seconds(&["--filter", "decision:approve,allow"]), ["1", "3"]);
    assert_eq!(seconds(&["--filter", "kind:freeze"]), ["6"]);
    assert_eq!(seconds(&["--since", "2026-11-20T21:20:04Z"]), ["4", "5", "6"]);
    let file = home.journal().join("a.1.jsonl");
    assert_eq!(seconds(&["--deny", "--journal", file.to_str().unwrap()]), ["2", "4", "5"]);
    assert_eq!(seconds(&["--journal", home.journal().to_str().unwrap(), "--deny"]), ["2", "4", "5"]);
}

#[test]
fn text_has_one_line_a_record_and_nothing_raw() {
    let home = Home::new();
    let a = writer(&home.journal(), "a", 1 << 20);
    a.append(&mut decision(1, "docker", "pull", "deny")).unwrap();
    a.append(&mut event(2, "freeze")).unwrap();
    let shown = text(&home.tail(&["--since", "2026-11-20T00:00:00Z"]));
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(
        lines[0].contains("21:20:01") && lines[0].contains("DENY") && lines[0].contains("docker"),
        "{shown}"
    );
    assert!(lines[0].contains("not permitted by policy"), "{shown}");
    assert!(lines[1].contains("freeze") && lines[1].contains("ann"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let coloured = text(&home.tail(&["--color", "always"]));
    assert!(coloured.contains("\u{1b}[31;1m"), "{coloured:?}");
    assert!(!coloured.contains("incident \u{1b}"), "{coloured:?}");
}

#[test]
fn follows_new_lines_rotation_and_new_gateways() {
    let home = Home::new();
    let a = writer(&home.journal(), "a", 500);
    a.append(&mut decision(1, "docker", "pull", "allow")).unwrap();
    let mut tail = home.follow(&["--format", "json"]);
    assert!(tail.line().contains(":20:01"), "earlier lines come first");
    for second in 2..8 {
        a.append(&mut decision(second, "docker", "pull", "allow")).unwrap();
        assert!(tail.line().contains(&format!(":20:{second:02}")), "{second}");
    }
    let b = writer(&home.journal(), "b", 1 << 20);
    b.append(&mut event(9, "start")).unwrap();
    assert!(tail.line().contains("\"kind\":\"start\""));
    a.append(&mut decision(10, "docker", "pull", "deny")).unwrap();
    assert!(tail.line().contains(":20:10"));
}

#[test]
fn follows_a_journal_that_is_not_there_yet() {
    let home = Home::new();
    let mut tail = home.follow(&["--deny", "--format", "json"]);
    let a = writer(&home.journal(), "a", 1 << 20);
    a.append(&mut decision(1, "docker", "pull", "allow")).unwrap();
    a.append(&mut decision(2, "docker", "pull", "deny")).unwrap();
    assert!(tail.line().contains(":20:02"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let home = Home::new();
    let a = writer(&home.journal(), "a", 1 << 30);
    for _ in 0..2000 {
        a.append(&mut decision(1, "docker", "pull", "allow")).unwrap();
    }
    let mut child = home
        .command(&["--no-follow", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::with_capacity(64, child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn outcome(second: u32, call: u64, micros: u64) -> Record {
    let line = format!(
        r#"{{"type":"outcome","seq":1,"ts":"2026-11-20T21:20:{second:02}.000001Z","gateway":"g","call":{call},"status":"ok","upstream_us":{micros},"bytes":9,"released":false}}"#
    );
    Record::parse(line.as_bytes()).unwrap()
}

/// Two runs: three calls with their end and a freeze, and one whose journal lost a piece and is torn.
fn incident(home: &Home) {
    let a = writer(&home.journal(), "a", 1 << 20);
    a.append(&mut decision(1, "docker", "pull", "allow")).unwrap();
    a.append(&mut outcome(2, 1, 2500)).unwrap();
    a.append(&mut decision(3, "docker", "push", "deny")).unwrap();
    a.append(&mut decision(4, "docker", "push", "deny")).unwrap();
    a.append(&mut event(5, "freeze")).unwrap();
    let b = writer(&home.journal(), "b", 1 << 20);
    for second in 6..10 {
        let mut record = decision(second, "git", "log", "allow");
        if let Record::Decision(decision) = &mut record {
            "b".clone_into(&mut decision.gateway);
        }
        b.append(&mut record).unwrap();
    }
    let path = home.journal().join("b.1.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let holed: String = text.split_inclusive('\n').filter(|line| !line.contains("\"seq\":2,")).collect();
    fs::write(&path, holed + "{\"type\":\"deci").unwrap();
}

#[test]
fn stats_count_by_decision_tool_and_run_and_name_what_is_lost() {
    let home = Home::new();
    incident(&home);
    let shown = text(&home.command(&["--stats"]).output().unwrap());
    for wanted in [
        "8 records from 2026-11-20T21:20:01Z to 2026-11-20T21:20:09Z: 8s",
        "decisions  4 allow, 2 deny",
        "outcomes   1 ok",
        "events     1 freeze",
        "6.0 calls a minute, the busiest 6 at 2026-11-20T21:20:00Z",
        "upstream   p50 2.5 ms",
        "lost records: 1, torn lines: 1",
    ] {
        assert!(shown.contains(wanted), "{wanted} is not in\n{shown}");
    }
    let row = |name: &str| {
        let line =
            shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}\n{shown}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("push of docker")[3..], ["2", "2", "0"]);
    assert_eq!(row("b ")[1..4], ["3", "1", "1"], "{shown}");
    let json = text(&home.command(&["--stats", "--deny", "--format", "json"]).output().unwrap());
    let counts: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(counts["total"]["calls"], 2);
    assert_eq!(counts["lost"], 1, "what is lost shows whatever the filter says");
    assert_eq!(counts["tools"][0]["name"], "push");
}

#[test]
fn other_formats_and_the_report_hold_the_same_records() {
    let home = Home::new();
    incident(&home);
    let csv = text(&home.tail(&["--format", "csv", "--deny"]));
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("ts,type,gateway,seq,server,grant,"), "{csv}");
    assert_eq!(lines.len(), 4, "a header, two records and the end: {csv}");
    assert!(lines[1].contains(",docker,local,") && lines[1].contains("\"{\"\"n\"\":3}\""), "{csv}");
    let cef = text(&home.tail(&["--format", "cef", "--filter", "kind:freeze"]));
    assert!(cef.starts_with("CEF:0|callgate|callgate|") && cef.contains("|freeze|"), "{cef}");
    let logfmt = text(&home.tail(&["--format", "logfmt", "--until", "2026-11-20T21:20:02Z"]));
    assert_eq!(logfmt.lines().count(), 1, "{logfmt}");
    assert!(logfmt.contains(" decision=allow ") && logfmt.contains(r#" args="{\"n\":1}""#), "{logfmt}");
    let report = text(&home.command(&["--report", "--deny"]).output().unwrap());
    assert!(report.starts_with("# Incident report"), "{report}");
    for wanted in
        ["Calls: 2, denied: 2", "**freeze** by `ann`", "| 2 | `push` | `docker` |", "lost records: 1"]
    {
        assert!(report.contains(wanted), "{wanted} is not in\n{report}");
    }
    for all in [&csv, &cef, &logfmt, &report] {
        assert!(!all.contains('\u{1b}'), "{all:?}");
    }
}

#[test]
fn scripts_are_told_by_the_exit_code() {
    let home = Home::new();
    incident(&home);
    let code = |args: &[&str]| home.command(args).output().unwrap().status.code();
    assert_eq!(code(&["--exit-code", "--deny"]), Some(0));
    assert_eq!(code(&["--exit-code", "--filter", "tool:nothing"]), Some(1));
    assert_eq!(code(&["--exit-code", "--until", "2026-11-20T21:00:00Z"]), Some(1));
    assert_eq!(code(&["--no-follow", "--filter", "tool:nothing"]), Some(0));
    assert_eq!(code(&["--follow", "--stats"]), Some(2));
    assert_eq!(code(&["--stats", "--format", "csv"]), Some(2));
    let other =
        Command::new(env!("CARGO_BIN_EXE_callgate")).args(["status", "--format", "csv"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("only `tail` prints"), "{other:?}");
}

#[test]
fn says_what_is_wrong_and_ends_with_its_code() {
    let home = Home::new();
    for (args, code, says) in [
        (vec!["--filter", "tol:x"], 2, "did you mean `tool`"),
        (vec!["--since", "yesterday"], 2, "is not a time"),
        (vec!["--until", "tomorrow"], 2, "`--until tomorrow` is not a time"),
        (vec!["--journal", "/nowhere/at/all.jsonl"], 3, "/nowhere/at/all.jsonl"),
    ] {
        let output = home.tail(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(says), "{stderr}");
    }
    assert_eq!(text(&home.tail(&[])), "", "no journals are no error");
}

#[test]
fn a_shell_gives_curl_the_request_as_it_is() {
    use callgate::export::copy;
    let args = r#"{"a":"it's $HOME `x` \\ \"q\"","n":1.50}"#;
    let script =
        copy::curl("t'", args).replacen("curl", "set --", 1) + r#"; eval "last=\${$#}"; printf %s "$last""#;
    let out = Command::new("sh")
        .args(["-c", &script])
        .env("CALLGATE_URL", "u")
        .env("CALLGATE_TOKEN", "t")
        .output()
        .unwrap();
    assert_eq!(text(&out), copy::json_rpc("t'", args));
    let unset = Command::new("sh").args(["-c", &script]).env("CALLGATE_URL", "u").output().unwrap();
    assert!(String::from_utf8_lossy(&unset.stderr).contains("CALLGATE_TOKEN"), "{unset:?}");
}

#[test]
fn what_is_passed_over_unread_is_never_what_matches() {
    let home = Home::new();
    let line = |seq: u64, members: &str| {
        format!(
            r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:20:00.{seq:06}Z","gateway":"g","server":"s","grant":"l","request_id":1,"method":"tools/call",{members},"decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{{"why":"line\n"}},"counters":[],"counted":true,"decide_us":1.5}}"#
        )
    };
    // The same name in every way in which JSON and people may spell it, and another one.
    let spelt = [
        r#""tool":"ask_it""#,
        r#""tool":"Ask_IT""#,
        r#""tool": "ask_it""#,
        r#""tool":"\u0061sk\u005Fit""#,
        r#""t\u006Fol":"ask_it""#,
        "\"tool\":\"a\u{17f}\u{212a}_it\"",
        r#""tool":"a\u017f\u212a_it""#,
    ];
    let lines: Vec<String> = (1..).zip(spelt).map(|(seq, name)| line(seq, name)).collect();
    let event = r#"{"type":"event","seq":9,"ts":"2026-11-20T21:20:01.000000Z","gateway":"g","kind":"freeze","by":"ana","reason":"loop","data":{"server":"ask_it"}}"#;
    let text = format!("{}\n{}\n{event}\n", lines.join("\n"), line(8, r#""tool":"ask_its""#));
    let path = home.0.path().join("spelt.jsonl");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for format in ["json", "text"] {
        let out = home.tail(&["--journal", path, "--format", format, "--filter", "tool:ask_it"]);
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(text.lines().count(), spelt.len(), "{text}");
    }
    let out = home.tail(&["--journal", path, "--format", "json", "--filter", "server:ask_it"]);
    assert_eq!(String::from_utf8(out.stdout).unwrap(), format!("{event}\n"), "as the Live screen has it");
}
