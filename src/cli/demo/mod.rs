//! `callgate demo`: everything at once with nothing installed. Bundled MCP servers, gateways in
//! front of them, an agent's traffic, and the terminal interface on both.
//!
//! All of it lives in a private folder of its own, and all of it ends with the demo, however the
//! demo ends.

mod agent;
mod docker;
mod payments;
mod rng;
mod script;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::args::DemoArgs;
use super::{Answer, CliError, Output, Verdict};
use crate::paths;
use crate::record::{self, Record};
use crate::visible;

const DOCKER_POLICY: &str = include_str!("../../../assets/demo/docker.policy.json");
const PAYMENTS_POLICY: &str = include_str!("../../../assets/demo/payments.policy.json");

/// What every demo's folder is called, before its process id.
const PREFIX: &str = "callgate-demo-";

/// How long the agent may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(25);

/// Runs the demo, or one part of it.
pub(super) fn run(args: &DemoArgs, out: &Output) -> Answer {
    let seed = args.seed.unwrap_or_else(|| crate::clock::now().0.unsigned_abs());
    let part = match args.part.as_deref() {
        Some("docker") => server::serve(&mut docker::Docker::new()),
        Some("payments") => server::serve(&mut payments::Payments::new()),
        Some("agent") => match std::env::var_os("CALLGATE_HOME") {
            Some(home) => agent::run(Path::new(&home), seed),
            None => {
                return Err(CliError::usage("the agent needs CALLGATE_HOME", "run `callgate demo` instead"));
            }
        },
        Some(other) => {
            return Err(CliError::usage(
                format!("the demo has no part `{}`", visible::visible(other)),
                "run `callgate demo`",
            ));
        }
        None => return demo(args.headless, seed, out),
    };
    match part {
        Ok(()) => Ok(Verdict::Yes),
        // Whoever read the other end has gone: that is how parts end.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Verdict::Yes),
        Err(error) => Err(CliError::outside(error.to_string(), "")),
    }
}

fn demo(headless: Option<u64>, seed: u64, out: &Output) -> Answer {
    if headless.is_none() && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(CliError::usage(
            "the demo opens the terminal interface, and here is no terminal",
            "run it in a terminal; `callgate --help` lists the commands that work in pipes and scripts",
        ));
    }
    clear_leftovers(&std::env::temp_dir());
    let home = Home::create().map_err(|error| {
        CliError::outside(
            format!("the demo's folder cannot be made: {error}"),
            "is the temporary folder writable?",
        )
    })?;
    let mut agent = Agent::start(&home.0, seed).map_err(|error| failed(&error, &home.0))?;
    agent.ready(&home.0)?;
    let answer = match headless {
        Some(seconds) => agent.run_for(Duration::from_secs(seconds), &home.0),
        None => open(&home.0, out),
    };
    agent.end();
    answer?;
    if headless.is_some() {
        out.line(&summary(&home.0))?;
    }
    Ok(Verdict::Yes)
}

/// Opens the terminal interface on the Docker server's policy and on the demo's gateways alone.
#[cfg(feature = "tui")]
fn open(home: &Path, out: &Output) -> Result<(), CliError> {
    use crate::feed::client::Feeds;
    use crate::tui::app::policy::Server;
    use crate::tui::{self, Options, Tools};
    let folder = home.to_path_buf();
    let paths = paths::Paths::resolve(&|name| (name == "CALLGATE_HOME").then(|| folder.clone()))
        .map_err(|error| CliError::outside(error.to_string(), ""))?;
    let server = |name: &str, list: &str| {
        #[derive(serde::Deserialize)]
        struct List {
            tools: Vec<crate::mcp::tool::Tool>,
        }
        let list: List = serde_json::from_str(list)
            .map_err(|error| CliError::outside(format!("the demo's tools cannot be read: {error}"), ""))?;
        Ok::<_, CliError>(Server {
            name: name.to_owned(),
            label: format!("callgate demo --part {name}"),
            tools: std::sync::Arc::new(list.tools),
            policy: Some(home.join(format!("{name}.policy.json"))),
        })
    };
    let servers = vec![server("docker", docker::TOOLS)?, server("payments", payments::TOOLS)?];
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let options = Options {
        policy: home.join("docker.policy.json"),
        tools: Tools::Loaded(servers),
        feeds: Some(Feeds::RunDir(paths.run.clone())),
        paths,
        title: Some("callgate demo".to_owned()),
        select: Some("ghcr_push".to_owned()),
        read_only: false,
        color: match (out.color, plain) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        },
    };
    tui::run(options).map_err(|error| CliError::outside(error.to_string(), ""))
}

#[cfg(not(feature = "tui"))]
fn open(_home: &Path, _out: &Output) -> Result<(), CliError> {
    Err(CliError::usage("this build has no terminal interface", "`callgate demo` needs the feature `tui`"))
}

/// The demo's folder, which goes when the demo does.
struct Home(PathBuf);

impl Home {
    fn create() -> io::Result<Self> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("{PREFIX}{}-{:016x}", std::process::id(), u64::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        paths::private_dir(&path)?;
        let home = Self(path);
        fs::write(home.0.join("docker.policy.json"), DOCKER_POLICY)?;
        fs::write(home.0.join("payments.policy.json"), PAYMENTS_POLICY)?;
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Takes away what demos left whose whole machine or container was killed at once.
fn clear_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid: u32| !alive(pid)) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(unix)]
fn alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error != rustix::io::Errno::SRCH,
    })
}

#[cfg(not(unix))]
fn alive(_pid: u32) -> bool {
    true
}

/// The agent's process.
struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    /// What it says; disconnected when it ends.
    said: mpsc::Receiver<String>,
}

impl Agent {
    fn start(home: &Path, seed: u64) -> io::Result<Self> {
        let log = fs::File::create(home.join("agent.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["demo", "--part", "agent", "--seed", &seed.to_string()])
            .env("CALLGATE_HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        // What is typed at the terminal is for the demo; the agent ends when its input does.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let (sender, said) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, input, said })
    }

    /// Waits until calls flow.
    fn ready(&mut self, home: &Path) -> Result<(), CliError> {
        match self.said.recv_timeout(PATIENCE) {
            Ok(line) if line == agent::READY => Ok(()),
            _ => {
                self.end();
                Err(failed(&"its gateways did not start", home))
            }
        }
    }

    /// Lets the agent work.
    fn run_for(&mut self, time: Duration, home: &Path) -> Result<(), CliError> {
        match self.said.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(failed(&"its agent ended too early", home)),
        }
    }

    /// Says goodbye and waits until nothing runs any more.
    fn end(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = writeln!(input, "{}", agent::GOODBYE);
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

/// The demo failed: why, and what its parts said last.
fn failed(why: &dyn std::fmt::Display, home: &Path) -> CliError {
    let log = fs::read_to_string(home.join("agent.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(5).collect();
    let tail: Vec<String> = tail.into_iter().rev().map(|line| visible::visible(line).into_owned()).collect();
    CliError::outside(format!("the demo cannot run: {why}"), tail.join("; "))
}

/// One line about what was decided, out of the journals.
fn summary(home: &Path) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut total, mut allowed, mut waiting) = (0_u64, 0_u64, 0_u64);
    let journals = fs::read_dir(home.join("state").join("journal")).into_iter().flatten().flatten();
    for file in journals {
        let bytes = fs::read(file.path()).unwrap_or_default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(Record::Decision(decision)) = Record::parse(line) else {
                continue;
            };
            // A held call has two decisions, and is one call.
            match decision.call {
                Some(_) => waiting = waiting.saturating_sub(1),
                None => total += 1,
            }
            if decision.decision == record::Verdict::Approve {
                waiting += 1;
                continue;
            }
            if decision.decision == record::Verdict::Allow {
                allowed += 1;
                continue;
            }
            let kind = match decision.rule.as_str() {
                "(hidden)" => "hidden",
                "(default deny)" => "unlisted",
                rule if rule.contains("/limits/") => "limit",
                rule if rule.contains("/deny_if/") || rule.contains("/require/") => "rule",
                _ => "other",
            };
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let denied: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let deny = total.saturating_sub(allowed + waiting);
    let held = if waiting > 0 { format!(", waiting for a person {waiting}") } else { String::new() };
    format!("decisions {total}: allow {allowed}, deny {deny} ({}){held}", denied.join(", "))
}
