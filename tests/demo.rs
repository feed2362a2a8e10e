//! The demo shows what it is for, and leaves nothing behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[cfg(feature = "tui")]
mod pty_support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const CALLGATE: &str = env!("CARGO_BIN_EXE_callgate");

/// Long enough for the slowest machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_mins(1);

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo").join(name)
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts the demo without its interface, with its folder under `temp`.
fn demo(temp: &Path, seconds: &str) -> Child {
    Command::new(CALLGATE)
        .args(["demo", "--seed", "7", "--headless", seconds])
        .env("TMPDIR", temp)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn homes(temp: &Path) -> Vec<PathBuf> {
    fs::read_dir(temp).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The decisions so far, of both gateways.
fn decisions(home: &Path) -> Vec<Value> {
    let files = fs::read_dir(home.join("state/journal")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts
        .flat_map(|text| {
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
        })
        .filter(|record| record["type"] == "decision")
        .collect()
}

/// Processes that have this folder in their command line or, where that can be read, as theirs.
fn processes_of(temp: &Path) -> usize {
    let needle = temp.to_str().unwrap();
    let listed = Command::new("ps").args(["-A", "-o", "args="]).output().unwrap();
    let named = String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains(needle)).count();
    let own = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&format!("CALLGATE_HOME={needle}"))
    });
    named + own.count()
}

#[test]
fn allows_denials_a_limit_and_a_probe_come_and_nothing_stays() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = demo(temp.path(), "3600");
    let seen = |home: &Path, holds: &dyn Fn(&Value) -> bool| decisions(home).iter().any(holds);
    until("the demo's folder", || !homes(temp.path()).is_empty());
    let home = homes(temp.path()).remove(0);
    for (what, holds) in [
        (
            "an allow",
            &(|record: &Value| record["decision"] == "allow" && record["rule"] == "")
                as &dyn Fn(&Value) -> bool,
        ),
        ("a denied push", &|record| record["tool"] == "ghcr_push" && record["decision"] == "deny"),
        ("a limit that ran out", &|record| record["rule"] == "/tools/pull/limits/pull_rate"),
        ("a probe", &|record| record["rule"] == "(hidden)"),
        ("a payment", &|record| record["server"] == "payments" && record["decision"] == "allow"),
    ] {
        until(what, || {
            assert!(child.try_wait().unwrap().is_none(), "the demo ended");
            seen(&home, holds)
        });
    }
    assert!(decisions(&home).iter().all(|record| record["grant"] == "agent-1"));
    assert!(decisions(&home).iter().all(|record| record["rule"] != "(malformed)"));
    // Killed as hard as can be: its agent clears up all the same.
    child.kill().unwrap();
    child.wait().unwrap();
    until("the folder's end", || homes(temp.path()).is_empty());
    until("the processes' end", || processes_of(temp.path()) == 0);
}

#[test]
fn says_what_was_decided() {
    let temp = tempfile::tempdir().unwrap();
    let output = demo(temp.path(), "2").wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("decisions ") && said.contains("allow") && said.lines().count() == 1, "{said}");
    assert!(homes(temp.path()).is_empty());
}

#[test]
fn takes_away_what_a_dead_demo_left() {
    let temp = tempfile::tempdir().unwrap();
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let dead = temp.path().join(format!("callgate-demo-{}-0", ended.id()));
    let living = temp.path().join(format!("callgate-demo-{}-0", std::process::id()));
    for folder in [&dead, &living] {
        fs::create_dir(folder).unwrap();
    }
    assert!(demo(temp.path(), "0").wait().unwrap().success());
    assert_eq!(homes(temp.path()), [living]);
}

/// One session with a part of the demo, without a gateway.
fn ask(part: &str, requests: &[Value]) -> Vec<Value> {
    let mut child = Command::new(CALLGATE)
        .args(["demo", "--part", part])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut answers = Vec::new();
    for request in requests {
        writeln!(input, "{request}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        answers.push(serde_json::from_str(&line).unwrap());
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    answers
}

fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

#[test]
fn the_docker_server_lists_56_tools_and_keeps_what_calls_change() {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}});
    let answers = ask(
        "docker",
        &[
            hello,
            json!({"jsonrpc": "2.0", "id": "list", "method": "tools/list"}),
            call(2, "create_container", &json!({"image": "redis:8", "name": "extra"})),
            call(3, "list_containers", &json!({"all": true})),
            call(4, "remove_container", &json!({"container": "prod-api", "force": false})),
            call(5, "run_container", &json!({"image": "redis:8"})),
            call(6, "no_such_tool", &json!({})),
            json!({"jsonrpc": "2.0", "id": 7, "method": "server/discover"}),
        ],
    );
    assert_eq!(answers[0]["result"]["protocolVersion"], "2025-06-18");
    let tools = answers[1]["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 56);
    for name in ["ghcr_push", "pull"] {
        assert!(tools.iter().any(|tool| tool["name"] == name), "{name}");
    }
    assert_eq!(answers[1]["id"], "list");
    let containers = answers[3]["result"]["structuredContent"]["containers"].as_array().unwrap();
    assert!(containers.iter().any(|one| one["name"] == "extra" && one["state"] == "created"));
    assert!(answers[4]["result"]["isError"] == true && answers[5]["result"]["isError"] == true);
    assert_eq!(
        (&answers[6]["error"]["code"], &answers[7]["error"]["code"]),
        (&json!(-32602), &json!(-32601))
    );
}

#[test]
fn the_tools_are_of_all_five_classes() {
    let output = Command::new(CALLGATE)
        .args(["tools", "--format", "json", "--tools"])
        .arg(asset("docker.tools.json"))
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tools = listed["tools"].as_array().unwrap();
    for (class, at_least) in
        [("read", 15), ("write", 10), ("execute", 5), ("destructive", 8), ("financial", 3)]
    {
        assert!(tools.iter().filter(|tool| tool["category"] == class).count() >= at_least, "{class}");
    }
}

/// The interface over it all, in a terminal: the Docker server with its tools, `ghcr_push`
/// selected, and calls coming in on Live.
#[cfg(feature = "tui")]
#[test]
fn opens_on_the_docker_server_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let program = pty_support::Program::new(&temp.path().join("unused")).arg("demo").arg("--seed").arg("7");
    let program = program.env("TMPDIR", temp.path().to_str().unwrap()).size(160, 45).patience(PATIENCE);
    let mut term = program.start();
    term.wait("docker 56 tools");
    term.wait_until("the selection", |screen| {
        screen.text().lines().any(|line| line.starts_with('▸') && line.contains("ghcr_push"))
    });
    term.type_keys("2");
    term.wait("ALLOW");
    term.wait("DENY");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    assert!(homes(temp.path()).is_empty());
    until("the processes' end", || processes_of(temp.path()) == 0);
}

#[test]
fn the_policies_are_clean_against_the_tools() {
    for name in ["docker", "payments"] {
        let output = Command::new(CALLGATE)
            .args(["check", "--format", "json", "--tools"])
            .arg(asset(&format!("{name}.tools.json")))
            .arg(asset(&format!("{name}.policy.json")))
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["files"][0]["diagnostics"], json!([]), "{name}");
    }
}
