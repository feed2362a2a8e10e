//! Real servers and real clients, versions pinned. Needs Node.js (and Python for one client), so
//! each test asks for `CALLGATE_REAL=1` and passes with a word about it otherwise; `.ci/run` sets
//! it after installing what is needed. `CALLGATE_PYTHON` names an interpreter with the `mcp`
//! package.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

mod pty_support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything@2026.8.31";
/// The package's own command is a command-line tool that prints a menu; its server is a file
/// beside it.
const DOCKER: [&str; 7] = [
    "npx",
    "-y",
    "-p",
    "@0xshariq/docker-mcp-server@2.0.4",
    "sh",
    "-c",
    r#"exec node "$(dirname "$(readlink -f "$(command -v docker-mcp-server)")")/dist/index.js""#,
];
/// By itself it groups its tools into 61; `--mode all` lists each.
const AZURE: [&str; 7] = ["npx", "-y", "@azure/mcp@2.0.5", "server", "start", "--mode", "all"];
const INSPECTOR: &str = "@modelcontextprotocol/inspector@0.15.0";

/// How long a real server or client may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_mins(3);

fn asked_for(test: &str) -> bool {
    let asked = std::env::var_os("CALLGATE_REAL").is_some();
    if !asked {
        println!("{test}: skipped, set CALLGATE_REAL=1 to run it with Node.js");
    }
    asked
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_callgate")
}

/// A home of its own for each test.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("CALLGATE_HOME", self.path("home")).env("NO_COLOR", "1").current_dir(self.folder.path());
        command
    }

    fn callgate(&self, arguments: &[&str]) -> Output {
        self.command(program()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// The journal's decisions, as `tail` gives them.
    fn decisions(&self, extra: &[&str]) -> Vec<Value> {
        let mut arguments = vec!["tail", "--no-follow", "--format", "json"];
        arguments.extend(extra);
        let output = self.callgate(&arguments);
        text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|record| record["type"] == "decision")
            .collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A stdio peer: lines in, lines out.
struct Peer {
    child: Child,
    lines: Receiver<Vec<u8>>,
}

impl Peer {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 || send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn send(&mut self, message: &Value) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(&line).unwrap();
        stdin.flush().unwrap();
    }

    /// Lines up to and including the one for which `last` holds.
    fn until(&mut self, last: impl Fn(&Value) -> bool) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer after {seen:?}"));
            let done = serde_json::from_slice::<Value>(&line).is_ok_and(|value| last(&value));
            seen.push(line);
            if done {
                return seen;
            }
        }
    }

    fn answer(&mut self, id: &Value) -> Vec<Vec<u8>> {
        self.until(|value| value["id"] == *id && value.get("method").is_none())
    }

    fn ask(&mut self, id: u32, method: &str, params: &Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        serde_json::from_slice(self.answer(&json!(id)).last().unwrap()).unwrap()
    }

    fn initialize(&mut self) {
        let answer = self.ask(
            0,
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
        );
        assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    }

    /// Ends the input and waits for the end; the exit code.
    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

fn gateway(home: &Home, policy: &Path, name: &str, command: &[&str]) -> Command {
    let mut gateway = home.command(program());
    gateway.arg("gateway").arg("--policy").arg(policy).args(["--name", name, "--"]).args(command);
    gateway
}

fn lists_with_risk(command: &[&str], count: usize) {
    let home = Home::new();
    let mut source = vec!["--"];
    source.extend(command);
    let mut list = vec!["tools", "--format", "json", "--timeout", "170"];
    list.extend(&source);
    let tools = json_of(&home.callgate(&list));
    let tools = tools["tools"].as_array().unwrap();
    assert_eq!(tools.len(), count);
    for tool in tools {
        assert!(
            ["read", "write", "execute", "destructive", "financial"]
                .contains(&tool["category"].as_str().unwrap()),
            "{tool}"
        );
        assert!(!tool["evidence"].as_array().unwrap().is_empty(), "{tool}");
    }
    for profile in ["strict", "balanced", "open"] {
        let file = format!("{profile}.json");
        let mut init = vec!["init", "--profile", profile, "-o", &file, "--timeout", "170"];
        init.extend(&source);
        let output = home.callgate(&init);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let checked = json_of(&home.callgate(&["check", "--format", "json", &file]));
        assert_eq!(checked["files"][0]["valid"], true, "{checked}");
        assert_eq!(checked["files"][0]["diagnostics"], json!([]), "{checked}");
    }
    // The starting policy in force: what it hides is gone, what it allows is listed.
    let policy = home.path("balanced.json");
    let mut peer = Peer::start(gateway(&home, &policy, "real", command));
    peer.initialize();
    let listed = peer.ask(1, "tools/list", &json!({}));
    let listed: Vec<&str> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    let policy: Value = serde_json::from_str(&fs::read_to_string(&policy).unwrap()).unwrap();
    let hidden: Vec<&str> = policy["hide"]
        .as_array()
        .map_or(Vec::new(), |names| names.iter().filter_map(Value::as_str).collect());
    assert!(hidden.iter().all(|name| !listed.contains(name)));
    assert_eq!(listed.len() + hidden.len(), count);
    if let Some(name) = hidden.first() {
        let answer = peer.ask(2, "tools/call", &json!({"name": name, "arguments": {}}));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_eq!(home.decisions(&["--deny"]).last().unwrap()["rule"], "(hidden)");
    }
    peer.end();
}

#[test]
fn the_docker_server_is_listed_guarded_and_gated() {
    if asked_for("docker") {
        lists_with_risk(&DOCKER, 24);
        // The package's own command is a menu; listing finds the server beside it.
        let home = Home::new();
        let asked = ["tools", "--format", "json", "--timeout", "170", "--", "npx", "-y", DOCKER[3]];
        assert_eq!(json_of(&home.callgate(&asked))["tools"].as_array().map(Vec::len), Some(24));
    }
}

#[test]
fn the_azure_server_is_listed_guarded_and_gated() {
    if asked_for("azure") {
        lists_with_risk(&AZURE, 235);
    }
}

/// A session that touches every kind of traffic; only what differs between two runs of the same
/// server by itself (weather made up at random) is left out.
fn everything_session(command: Command) -> Vec<Vec<u8>> {
    let mut peer = Peer::start(command);
    let mut seen = Vec::new();
    peer.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": {"roots": {"listChanged": true}, "sampling": {}, "elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}}}));
    seen.extend(peer.answer(&json!(0)));
    peer.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    seen.extend(peer.until(|value| value["method"] == "roots/list"));
    peer.send(
        &json!({"jsonrpc": "2.0", "id": 0, "result": {"roots": [{"uri": "file:///srv", "name": "srv"}]}}),
    );
    let calls = [
        ("tools/list", json!({})),
        ("tools/call", json!({"name": "echo", "arguments": {"message": "h\u{e9}llo \u{1f600} \"quoted\""}})),
        ("tools/call", json!({"name": "get-sum", "arguments": {"a": 2, "b": 40}})),
        ("tools/call", json!({"name": "get-sum", "arguments": {"a": "two", "b": 40}})),
        ("tools/call", json!({"name": "get-tiny-image", "arguments": {}})),
        ("tools/call", json!({"name": "no-such-tool", "arguments": {}})),
        (
            "tools/call",
            json!({"name": "get-annotated-message", "arguments": {"messageType": "error", "includeImage": true}}),
        ),
        ("tools/call", json!({"name": "get-resource-links", "arguments": {"count": 3}})),
        (
            "tools/call",
            json!({"name": "trigger-long-running-operation", "arguments": {"duration": 1, "steps": 4}, "_meta": {"progressToken": "p"}}),
        ),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": "simple-prompt"})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("ping", json!({})),
        ("server/discover", json!({})),
        ("completion/complete", json!({})),
        ("logging/setLevel", json!({"level": "debug"})),
    ];
    for (index, (method, params)) in calls.iter().enumerate() {
        let id = json!(format!("call-{index}"));
        peer.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        seen.extend(peer.answer(&id));
    }
    peer.end();
    seen
}

/// The lines with their number; those that carry no id may overtake answers by the server's own
/// doing, so lines are compared by their bytes, each as often as it came.
fn sorted(mut lines: Vec<Vec<u8>>) -> Vec<String> {
    lines.sort();
    lines.iter().map(|line| text(line)).collect()
}

#[test]
fn server_everything_answers_byte_for_byte_as_without_the_gateway() {
    if !asked_for("everything") {
        return;
    }
    let home = Home::new();
    let policy = home.write("allow.json", r#"{"version":"1","default":"allow"}"#);
    let mut direct = home.command("npx");
    direct.args(["-y", EVERYTHING]);
    let without = everything_session(direct);
    let with = everything_session(gateway(&home, &policy, "everything", &["npx", "-y", EVERYTHING]));
    assert!(without.len() > 20);
    let mut compared = 0;
    for (a, b) in sorted(without).iter().zip(sorted(with).iter()) {
        assert_eq!(a, b);
        compared += 1;
    }
    println!("{compared} lines compared");
    assert_eq!(home.decisions(&[]).len(), 8);
}

#[test]
fn the_inspector_lists_and_calls_through_the_gateway() {
    if !asked_for("inspector") {
        return;
    }
    let home = Home::new();
    let policy = home.write(
        "policy.json",
        r#"{"version":"1","default":"allow","hide":["get-env"],"tools":{"get-sum":{"deny_if":[{"conditions":[{"path":"args.a","op":"gt","value":10}],"on_deny":"Sums up to 10 only."}]}}}"#,
    );
    let configuration = home.write(
        "mcp.json",
        &json!({"mcpServers": {"everything": {"command": program(),
            "args": ["gateway", "--policy", policy, "--name", "everything", "npx", "-y", EVERYTHING],
            "env": {"CALLGATE_HOME": home.path("home")}}}})
        .to_string(),
    );
    let inspect = |more: &[&str]| -> Value {
        let mut command = home.command("npx");
        command
            .args(["-y", INSPECTOR, "--cli", "--config"])
            .arg(&configuration)
            .args(["--server", "everything"]);
        json_of(&command.args(more).stdin(Stdio::null()).output().unwrap())
    };
    let listed = inspect(&["--method", "tools/list"]);
    let names: Vec<&str> =
        listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"echo") && !names.contains(&"get-env"), "{names:?}");
    let echoed = inspect(&["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hi"]);
    assert_eq!(echoed["content"][0]["text"], "Echo: hi");
    let denied = inspect(&["--method", "tools/call", "--tool-name", "get-sum", "--tool-arg", "a=11", "b=1"]);
    assert_eq!(denied["isError"], true);
    assert_eq!(denied["content"][0]["text"], "[POLICY DENIED] Sums up to 10 only.");
    let seen = home.decisions(&["--deny"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["rule"], "/tools/get-sum/deny_if/args.a-gt");
    assert_eq!(seen[0]["args"], json!({"a": 11, "b": 1}));
}

#[test]
fn the_python_client_works_through_the_gateway_in_both_eras() {
    if !asked_for("python") {
        return;
    }
    let Some(python) = std::env::var_os("CALLGATE_PYTHON") else {
        println!("python: skipped, set CALLGATE_PYTHON to an interpreter with the mcp package");
        return;
    };
    let home = Home::new();
    let policy = home.write(
        "policy.json",
        r#"{"version":"1","default":"deny","tools":{"echo":{"limits":[{"counter":"echo_rate","window":"day","max":1,"scope":"grant"}]},"get-sum":{}}}"#,
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python_client.py");
    let run = |mode: &str| -> Value {
        let mut command = home.command(&python);
        // The SDK hands little of its environment on to servers, so the home is named here.
        let home_is = format!("CALLGATE_HOME={}", home.path("home").display());
        command.arg(&script).args([mode, "env", &home_is, program(), "gateway", "--policy"]).arg(&policy);
        command.args(["--name", "everything", "--", "npx", "-y", EVERYTHING]);
        json_of(&command.stdin(Stdio::null()).output().unwrap())
    };
    let first = run("auto");
    assert_eq!(first["echo"], json!({"error": false, "text": "Echo: hi"}));
    assert_eq!(first["get-sum"]["text"], "The sum of 2 and 40 is 42.");
    let second = run("legacy");
    assert_eq!(second["echo"]["error"], true, "{second}");
    assert!(second["echo"]["text"].as_str().unwrap().starts_with("[POLICY DENIED] "), "{second}");
}

#[test]
fn a_denied_call_is_seen_in_the_terminal_interface_and_in_tail() {
    if !asked_for("terminal") {
        return;
    }
    let home = Home::new();
    let policy = home.write(
        "policy.json",
        r#"{"version":"1","default":"allow","tools":{"echo":{"action":"deny","reason":"Quiet please."}}}"#,
    );
    let mut peer = Peer::start(gateway(&home, &policy, "everything", &["npx", "-y", EVERYTHING]));
    peer.initialize();

    let program = pty_support::Program::new(&home.path("home")).arg("policy.json");
    let mut screen = program.cwd(home.folder.path()).size(140, 40).patience(PATIENCE).start();
    screen.wait("echo");
    screen.type_keys("2");
    screen.wait("Live");
    let answer = peer.ask(7, "tools/call", &json!({"name": "echo", "arguments": {"message": "loud"}}));
    assert_eq!(answer["result"]["content"][0]["text"], "[POLICY DENIED] Quiet please.");
    screen.wait("DENY");
    screen.type_keys("q");
    assert_eq!(screen.end(), 0);

    let seen = home.decisions(&["--deny"]);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["message"], "Quiet please.");
    peer.end();
}
