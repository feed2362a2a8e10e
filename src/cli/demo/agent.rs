//! The demo's agent: an MCP client that starts the two gateways and works through its script.
//!
//! It is a process of its own, so that it also clears up when the demo is killed: the end of its
//! standard input ends the gateways, and where nobody said goodbye first, it takes the demo's
//! folder away as well.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::script::{Script, Step, Target};

/// What the demo says before it ends in good order.
pub(super) const GOODBYE: &str = "goodbye";
/// What the agent says when calls flow.
pub(super) const READY: &str = "ready";

/// How long a gateway may take to end by itself.
const END: Duration = Duration::from_secs(6);

enum Event {
    Line(Target, String),
    Gone(Target),
    /// The demo ended, in good order or not.
    End {
        goodbye: bool,
    },
}

struct Gateway {
    child: Child,
    input: Option<ChildStdin>,
}

struct Agent {
    gateways: HashMap<&'static str, Gateway>,
    next_id: u64,
    /// Calls without an answer, by id.
    open: HashMap<u64, Step>,
    script: Script,
    start: Instant,
}

/// Plays the agent until the demo ends. `home` is the demo's folder.
pub(super) fn run(home: &Path, seed: u64) -> io::Result<()> {
    let (sender, events) = mpsc::channel();
    let mut agent = Agent {
        gateways: HashMap::new(),
        next_id: 0,
        open: HashMap::new(),
        script: Script::new(seed),
        start: Instant::now(),
    };
    let watch = sender.clone();
    std::thread::spawn(move || {
        let mut goodbye = false;
        for line in io::stdin().lock().lines() {
            goodbye |= line.is_ok_and(|line| line == GOODBYE);
        }
        let _ = watch.send(Event::End { goodbye });
    });
    let played = agent.begin(home, &sender).and_then(|()| agent.play(&events));
    drop(sender);
    agent.end();
    // Without a goodbye nobody else is left to clear up.
    if !matches!(played, Ok(true)) {
        let _ = std::fs::remove_dir_all(home);
    }
    played.map(|_| ())
}

impl Agent {
    fn begin(&mut self, home: &Path, sender: &mpsc::Sender<Event>) -> io::Result<()> {
        for target in [Target::Docker, Target::Payments] {
            let gateway = start(home, target, sender)?;
            self.gateways.insert(name(target), gateway);
            let hello = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "release-agent", "version": "1.4.0"},
            });
            let id = self.id();
            self.send(target, &json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": hello}));
            self.send(target, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            self.list(target);
        }
        Ok(())
    }

    /// Works through the script. `Ok(true)` when the demo said goodbye.
    fn play(&mut self, events: &mpsc::Receiver<Event>) -> io::Result<bool> {
        let mut listed = 0;
        loop {
            let wait = if listed < 2 {
                Duration::from_secs(20)
            } else {
                Duration::from_millis(self.script.due()).saturating_sub(self.start.elapsed())
            };
            match events.recv_timeout(wait) {
                Ok(Event::Line(target, line)) => {
                    if self.heard(target, &line) {
                        listed += 1;
                        if listed == 2 {
                            self.start = Instant::now();
                            let mut out = io::stdout().lock();
                            let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
                        }
                    }
                }
                Ok(Event::Gone(target)) => {
                    return Err(io::Error::other(format!("the gateway `{}` ended", name(target))));
                }
                Ok(Event::End { goodbye }) => return Ok(goodbye),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) if listed < 2 => {
                    return Err(io::Error::other("a gateway did not list its tools within 20 seconds"));
                }
                Err(RecvTimeoutError::Timeout) => self.step(),
            }
        }
    }

    fn step(&mut self) {
        let Some(step) = self.script.take() else {
            return;
        };
        let id = self.id();
        // With a token it is told that a held call still waits, and waits with it.
        let params = json!({"name": step.tool, "arguments": step.arguments, "_meta": {"progressToken": id}});
        self.send(
            step.target,
            &json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}),
        );
        self.open.insert(id, step);
    }

    /// Takes in a line from a gateway; whether it was a first list of tools.
    fn heard(&mut self, target: Target, line: &str) -> bool {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return false;
        };
        if message.get("method").and_then(Value::as_str) == Some("notifications/tools/list_changed") {
            self.list(target);
            return false;
        }
        let id = message.get("id").and_then(Value::as_u64);
        let Some(step) = id.and_then(|id| self.open.remove(&id)) else {
            return message.pointer("/result/tools").is_some();
        };
        if let Some(wait) =
            message.pointer("/result/_meta/callgate~1decision/retry_after_ms").and_then(Value::as_u64)
        {
            let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.script.denied(now, step, wait);
        } else if step.tool == "create_charge"
            && let Some(charge) = message.pointer("/result/structuredContent/id").and_then(Value::as_str)
        {
            self.script.charged(charge);
        }
        false
    }

    fn list(&mut self, target: Target) {
        let id = self.id();
        self.send(target, &json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}));
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Writes one message. A gateway that is gone is noticed at the end of its output.
    fn send(&mut self, target: Target, message: &Value) {
        if let Some(input) = self.gateways.get_mut(name(target)).and_then(|gateway| gateway.input.as_mut()) {
            let _ = writeln!(input, "{message}").and_then(|()| input.flush());
        }
    }

    /// Ends the gateways: end of input, then the end of patience.
    fn end(&mut self) {
        for gateway in self.gateways.values_mut() {
            gateway.input = None;
        }
        let deadline = Instant::now() + END;
        for gateway in self.gateways.values_mut() {
            while matches!(gateway.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = gateway.child.kill();
            let _ = gateway.child.wait();
        }
    }
}

/// The server's name, in the gateways and in the files.
fn name(target: Target) -> &'static str {
    match target {
        Target::Docker => "docker",
        Target::Payments => "payments",
    }
}

fn start(home: &Path, target: Target, sender: &mpsc::Sender<Event>) -> io::Result<Gateway> {
    let own = std::env::current_exe()?;
    let name = name(target);
    let mut child = Command::new(&own)
        .args(["gateway", "--policy"])
        .arg(home.join(format!("{name}.policy.json")))
        .arg("--shadow")
        .arg(home.join(format!("{name}.policy.shadow.json")))
        .args(["--name", name, "--grant", "agent-1", "--"])
        .arg(&own)
        .args(["demo", "--part", name])
        .env("CALLGATE_HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let input = child.stdin.take();
    if let Some(output) = child.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(Event::Line(target, line)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Event::Gone(target));
        });
    }
    Ok(Gateway { child, input })
}
