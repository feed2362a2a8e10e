//! Real gateways in front of the fixture server, for the tests beside this folder.

#![allow(dead_code, unreachable_pub)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use callgate::record::{Decision, Outcome, Record};
use serde_json::Value;

/// Nothing here takes so long unless it hangs.
pub const LONG: Duration = Duration::from_mins(1);

pub fn callgate() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_callgate"))
}

/// The fixture server, built if only one test file was asked for.
pub fn fixture() -> String {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let path = callgate().parent().unwrap().join("examples").join("fixture-server");
        if !path.exists() {
            let status = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--example", "fixture-server"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap();
            assert!(status.success());
        }
        path
    });
    path.to_str().unwrap().to_owned()
}

/// A home of its own for one test.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new(policy: &str) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.set_policy(policy);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn policy(&self) -> PathBuf {
        self.path("policy.json")
    }

    /// Replaces the policy as a careful editor does.
    pub fn set_policy(&self, text: &str) {
        fs::write(self.path("policy.draft"), text).unwrap();
        fs::rename(self.path("policy.draft"), self.policy()).unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(callgate());
        command.env("CALLGATE_HOME", self.path("home"));
        command
    }

    /// A gateway in front of the fixture server.
    pub fn gateway(&self, options: &[&str], server: &[&str]) -> Gateway {
        let mut command = self.command();
        command.arg("gateway").arg("--policy").arg(self.policy()).args(["--name", "fixture"]);
        command.args(options).arg("--").arg(fixture()).args(server);
        Gateway::spawn(command)
    }

    /// Every record of every journal.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let Ok(entries) = fs::read_dir(self.path("home/state/journal")) else { return records };
        for entry in entries {
            let text = fs::read(entry.unwrap().path()).unwrap();
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                // A line that is torn by kill -9 is no record.
                if let Some(line) = line.strip_suffix(b"\n") {
                    records.push(Record::parse(line).unwrap());
                }
            }
        }
        records
    }

    pub fn decisions(&self) -> Vec<Decision> {
        self.records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Decision(decision) => Some(*decision),
                _ => None,
            })
            .collect()
    }

    pub fn outcomes(&self) -> Vec<Outcome> {
        self.records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Outcome(outcome) => Some(*outcome),
                _ => None,
            })
            .collect()
    }

    pub fn events(&self, kind: callgate::record::EventKind) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Event(event) if event.kind == kind => Some(event.data),
                _ => None,
            })
            .collect()
    }

    /// Runs a `callgate` command to its end.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.command().args(arguments).stdin(Stdio::null()).output().unwrap()
    }
}

/// A running gateway (or any other process that speaks lines).
pub struct Gateway {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
}

impl Gateway {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                match reader.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        Self { child, stdin, lines }
    }

    pub fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next line with its line feed.
    pub fn line(&mut self) -> Vec<u8> {
        self.lines.recv_timeout(LONG).expect("a line")
    }

    /// The next line if one comes.
    pub fn try_line(&mut self) -> Option<Vec<u8>> {
        match self.lines.recv_timeout(LONG) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing came, and not the end either"),
        }
    }

    pub fn json(&mut self) -> Value {
        serde_json::from_slice(&self.line()).unwrap()
    }

    /// Asks and gives the answer to this very request.
    pub fn ask(&mut self, request: &str) -> Value {
        let id = serde_json::from_str::<Value>(request).unwrap()["id"].clone();
        self.send(request);
        loop {
            let answer = self.json();
            if answer["id"] == id {
                return answer;
            }
        }
    }

    pub fn call(&mut self, id: u64, tool: &str, arguments: &str) -> Value {
        self.ask(&call(id, tool, arguments))
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Ends the input, reads what still comes, and gives the exit code.
    pub fn finish(&mut self) -> (Vec<Vec<u8>>, i32) {
        drop(self.stdin.take());
        self.wait()
    }

    /// Reads what still comes, and gives the exit code.
    pub fn wait(&mut self) -> (Vec<Vec<u8>>, i32) {
        let mut rest = Vec::new();
        while let Some(line) = self.try_line() {
            rest.push(line);
        }
        let status = self.child.wait().unwrap();
        (rest, status.code().unwrap_or(-1))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn call(id: u64, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

/// A 2026-07-28 call.
pub fn modern_call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// Waits for something that must come about.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < LONG, "{what}: did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn denied(answer: &Value) -> bool {
    answer["result"]["_meta"]["callgate/decision"].is_object() || answer["error"]["code"] == -32602
}

pub fn rule(answer: &Value) -> &str {
    answer["result"]["_meta"]["callgate/decision"]["rule"].as_str().unwrap_or("")
}

/// Process ids that the fixture wrote, one a line.
pub fn pids(path: &Path) -> Vec<i32> {
    fs::read_to_string(path).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return !cfg!(target_os = "linux")
            && rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_ok();
    };
    !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z')
}

pub fn all_gone(path: &Path) {
    for pid in pids(path) {
        until(&format!("the end of process {pid}"), || (!is_alive(pid)).then_some(()));
    }
}

/// The folder with recordings and traffic, where there is one.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if path.exists() {
        return Some(path);
    }
    let mut out = File::options().append(true).open("/dev/null").unwrap();
    writeln!(out, "skipped: no recordings").unwrap();
    None
}

pub const ALLOW: &str = r#"{"version":"1","default":"allow","tools":{}}"#;

/// Where libfaketime lies, which can set the clock of one process.
pub fn faketime() -> Option<String> {
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| std::path::Path::new(path).exists())
}
