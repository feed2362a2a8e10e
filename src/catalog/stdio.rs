//! A list from a stdio server: the child is started, asked, and gone afterwards with everything
//! that it started.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::error::{CatalogError, Failure, KEPT_LINES, shown};
use super::talk::{Heard, Step, Talk};

/// How long `server/discover` is waited for before `initialize` is asked as well.
const DISCOVER_PATIENCE: Duration = Duration::from_secs(3);
/// How long a server may take to end after its input has ended, and again after SIGTERM.
const END_PATIENCE: Duration = Duration::from_millis(700);
/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(100);
/// The longest line that is read from a server.
const MAX_LINE: u64 = 128 * 1024 * 1024;

/// How a stdio server is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StdioServer {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables added to this process's environment.
    pub env: Vec<(String, String)>,
    /// The folder to start it in; this process's when `None`.
    pub cwd: Option<PathBuf>,
}

enum Event {
    Line(Vec<u8>),
    End,
}

type Tail = Arc<Mutex<VecDeque<String>>>;

/// Starts the server and gets its list. `label` is its command line for people.
pub(super) fn list(
    server: &StdioServer,
    label: &str,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Vec<Box<RawValue>>, CatalogError> {
    let deadline = Instant::now() + timeout;
    let label = label.to_owned();
    let mut child = spawn(server, &label)?;
    let (events, inbox) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || read_lines(stdout, &events));
    }
    let tail = Tail::default();
    let stderr = child.stderr.take().map(|stderr| {
        let tail = Arc::clone(&tail);
        thread::spawn(move || read_tail(stderr, &tail))
    });
    let stdin = child.stdin.take();
    let mut session = Session {
        label,
        step: Step::Discover,
        inbox,
        stdin,
        rubbish: VecDeque::new(),
        answered: false,
        deadline,
        timeout,
    };
    let result = session.run(stop);
    drop(session.stdin.take());
    let ended = matches!(result, Err(Trouble::Ended));
    let status = end(&mut child, if ended { Duration::from_secs(2) } else { END_PATIENCE });
    if let Some(stderr) = stderr {
        // Ends with the group; a grandchild that left the group may hold the pipe, so not joined
        // for ever.
        let since = Instant::now();
        while !stderr.is_finished() && since.elapsed() < Duration::from_millis(300) {
            thread::sleep(Duration::from_millis(5));
        }
    }
    result.map_err(|trouble| {
        let said: Vec<String> = tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        session.explain(trouble, status, said, timeout)
    })
}

/// A command line for people.
pub(super) fn label(command: &[String]) -> String {
    let text = command.join(" ");
    shown(&text)
}

fn spawn(server: &StdioServer, label: &str) -> Result<Child, CatalogError> {
    let Some((program, args)) = server.command.split_first() else {
        return Err(CatalogError::new(Failure::Usage, "no command was given")
            .help("name the server's command line after `--`"));
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(server.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(cwd) = &server.cwd {
        command.current_dir(cwd);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    command.spawn().map_err(|error| {
        let missing_cwd = server.cwd.as_ref().filter(|cwd| !cwd.is_dir());
        match (error.kind(), missing_cwd) {
            (_, Some(cwd)) => CatalogError::new(
                Failure::Server,
                format!("`{label}` cannot be started in `{}`: there is no such folder", cwd.display()),
            ),
            (io::ErrorKind::NotFound, None) => {
                let place = if program.contains(['/', '\\']) {
                    "there is no such file"
                } else {
                    "no folder of PATH has it"
                };
                CatalogError::new(
                    Failure::Server,
                    format!("the command `{}` was not found: {place}", shown(program)),
                )
                .help("check its spelling, or give its whole path")
            }
            (io::ErrorKind::PermissionDenied, None) => {
                CatalogError::new(Failure::Server, format!("`{}` may not be executed", shown(program)))
                    .help("make it executable, or name the program that runs it")
            }
            _ => CatalogError::new(Failure::Server, format!("`{label}` cannot be started: {error}")),
        }
    })
}

/// Why it did not work out.
enum Trouble {
    /// Standard output ended.
    Ended,
    /// The time is up.
    Late,
    /// The server refused.
    Refused(String),
    /// The person asked to stop.
    Stopped,
}

struct Session {
    label: String,
    /// Where the talk stood when it failed.
    step: Step,
    inbox: Receiver<Event>,
    stdin: Option<ChildStdin>,
    /// The last lines that were no JSON-RPC.
    rubbish: VecDeque<String>,
    /// Whether anything was JSON-RPC.
    answered: bool,
    deadline: Instant,
    timeout: Duration,
}

impl Session {
    fn run(&mut self, stop: &AtomicBool) -> Result<Vec<Box<RawValue>>, Trouble> {
        let (mut talk, first) = Talk::start();
        self.send(&first);
        let patience = Instant::now() + DISCOVER_PATIENCE.min(self.timeout / 3);
        loop {
            if talk.step() == Step::Done {
                return Ok(talk.into_tools());
            }
            let now = Instant::now();
            if stop.load(Ordering::Relaxed) {
                return Err(Trouble::Stopped);
            }
            if now >= self.deadline {
                self.step = talk.step();
                return Err(Trouble::Late);
            }
            if talk.step() == Step::Discover && now >= patience {
                let more = talk.fall_back();
                self.send(&more);
            }
            let wait = TICK.min(self.deadline.saturating_duration_since(now));
            let line = match self.inbox.recv_timeout(wait) {
                Ok(Event::Line(line)) => line,
                Err(RecvTimeoutError::Timeout) => continue,
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.step = talk.step();
                    return Err(Trouble::Ended);
                }
            };
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            match talk.hear(text) {
                Heard::Send(messages) => {
                    self.answered = true;
                    self.send(&messages);
                }
                Heard::Rubbish => remember(&mut self.rubbish, text.to_owned()),
                Heard::Refused(why) => return Err(Trouble::Refused(why)),
            }
        }
    }

    /// A server that does not read is noticed by its end or by the time.
    fn send(&mut self, messages: &[String]) {
        if let Some(stdin) = &mut self.stdin {
            for message in messages {
                let _ = stdin.write_all(format!("{message}\n").as_bytes());
            }
            let _ = stdin.flush();
        }
    }

    fn explain(
        &self,
        trouble: Trouble,
        status: Option<ExitStatus>,
        said: Vec<String>,
        timeout: Duration,
    ) -> CatalogError {
        let (label, step) = (&self.label, self.step.name());
        let only_rubbish = !self.answered && !self.rubbish.is_empty();
        let printed = self.rubbish.back().map(|line| shown(line)).unwrap_or_default();
        let mut lines: Vec<String> = said;
        if only_rubbish {
            lines.extend(self.rubbish.iter().cloned());
        }
        match trouble {
            Trouble::Stopped => CatalogError::new(Failure::Interrupted, "interrupted"),
            Trouble::Refused(why) => {
                CatalogError::new(Failure::Server, format!("`{label}` {}", shown(&why))).said(lines)
            }
            Trouble::Ended => {
                let how = match status {
                    Some(status) if status.success() => "ended (exit status 0)".to_owned(),
                    Some(status) => format!("ended with {}", ended_with(status)),
                    None => "closed its standard output".to_owned(),
                };
                let message = format!("`{label}` {how} before it answered {step}");
                let help = if only_rubbish {
                    "it printed text instead of JSON-RPC: is this the command of the MCP server, or of another program of the same package?"
                } else {
                    "run the command by itself to see why; an MCP server waits for its client on standard input"
                };
                CatalogError::new(Failure::Server, message).help(help).said(lines).no_server(!self.answered)
            }
            Trouble::Late if only_rubbish => CatalogError::new(
                Failure::Server,
                format!(
                    "`{label}` prints what is no JSON-RPC on its standard output, for instance `{printed}`, and did not answer {step} within {} s",
                    timeout.as_secs()
                ),
            )
            .help("is it an MCP server in stdio mode? Its standard output must carry nothing but JSON-RPC")
            .said(lines)
            .no_server(true),
            Trouble::Late => CatalogError::new(
                Failure::Server,
                format!("`{label}` did not answer {step} within {} s", timeout.as_secs()),
            )
            .help("give it more time with `--timeout SECONDS`, or run the command by itself to see what it waits for")
            .said(lines),
        }
    }
}

fn ended_with(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return format!("signal {signal}");
        }
    }
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => "no exit status".to_owned(),
    }
}

fn remember(lines: &mut VecDeque<String>, line: String) {
    if lines.len() >= KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

fn read_lines(stdout: impl Read, events: &Sender<Event>) {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if events.send(Event::Line(line)).is_err() {
                    return;
                }
            }
        }
    }
    let _ = events.send(Event::End);
}

fn read_tail(stderr: impl Read, tail: &Tail) {
    let mut reader = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(16 * 1024).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !text.is_empty() {
                    remember(&mut tail.lock().unwrap_or_else(PoisonError::into_inner), text);
                }
            }
        }
    }
}

/// Ends the child and everything in its process group: it may end by itself for a while, then
/// SIGTERM, then SIGKILL. The group gets its SIGKILL before the child is reaped, so that the
/// number cannot belong to anybody else.
#[cfg(unix)]
fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        let _ = child.kill();
        return child.wait().ok();
    };
    let ended = |patience: Duration| {
        let since = Instant::now();
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(pid), options) {
                Ok(None) if since.elapsed() < patience => thread::sleep(Duration::from_millis(10)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    };
    let by_itself = ended(patience);
    if !by_itself {
        let _ = kill_process_group(pid, Signal::TERM);
        ended(END_PATIENCE);
    }
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait().ok()
}

/// Ends the child. Windows has no process groups to signal; the child alone is ended.
#[cfg(not(unix))]
fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let since = Instant::now();
    while since.elapsed() < patience {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait().ok()
}
