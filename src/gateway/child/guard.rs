//! The guard: a small process between the gateway and the server that outlives both.
//!
//! A server must not be left behind, whatever happens to the gateway; a killed gateway cannot see
//! to that. So the gateway starts itself a second time as the guard, the guard starts the server
//! in a process group of its own with the guard's standard streams, lets go of those streams (it
//! must not hide an end of file from either side), and waits. It ends the group by the ladder
//! (end of input, 2 s, SIGTERM, 2 s, SIGKILL) when the gateway is gone, and passes the server's
//! exit status on.
//!
//! | the gateway sends | the guard does |
//! |---|---|
//! | SIGTERM, SIGHUP | passes it to the group; SIGKILL 2 s later |
//! | SIGINT | passes it to the group; SIGTERM 2 s later, SIGKILL 2 s after that |
//!
//! On Linux the guard is also the reaper of orphans below it, so that processes which left the
//! group (`setsid`) are found and ended too, and it learns of the gateway's death from the kernel;
//! elsewhere it looks for a new parent five times a second.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// How long each rung of the ladder waits for the next one.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long a killed group is waited for: SIGKILL works at once unless the kernel itself hangs.
const GIVE_UP: Duration = Duration::from_secs(5);

/// How often remaining processes are looked for while the group is being ended.
const LOOK: Duration = Duration::from_millis(20);

/// How often a new parent is looked for where the kernel does not tell.
const POLL: Duration = Duration::from_millis(200);

/// Why the guard could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The server's program could not be started.
    #[error("cannot start `{program}`: {why}")]
    Start {
        /// The program as given.
        program: String,
        /// What the system says.
        why: std::io::Error,
        /// Whether there is no such program.
        missing: bool,
    },
    /// Signals cannot be received.
    #[error("cannot watch over the server: {0}")]
    Signals(std::io::Error),
}

/// The rung of the ladder that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The input has ended; SIGTERM comes next.
    InputEnded(Instant),
    /// SIGTERM was sent; SIGKILL comes next.
    Terminated(Instant),
    /// SIGKILL was sent.
    Killed(Instant),
}

/// Starts `command` and stays until it and everything below it is gone. Gives the server's exit
/// code, or 128 and the signal's number.
///
/// # Errors
/// When the program cannot be started.
pub fn run(parent: u32, command: &[OsString]) -> Result<u8, GuardError> {
    let mut signals =
        Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(GuardError::Signals)?;
    let (sender, received) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })
        .map_err(GuardError::Signals)?;
    let told = watch_parent();
    if orphaned(parent) {
        // The gateway died before the kernel was asked to tell: nothing was started yet.
        return Ok(0);
    }
    let Some((program, arguments)) = command.split_first() else { return Ok(0) };
    // The guard is never waited for through `Child`: reaping is done for all processes at once.
    let server =
        Command::new(program).args(arguments).process_group(0).spawn().map_err(|why| GuardError::Start {
            program: program.to_string_lossy().into_owned(),
            missing: why.kind() == std::io::ErrorKind::NotFound,
            why,
        })?;
    let Some(group) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) else { return Ok(0) };
    drop(server);
    let_go_of_streams();
    Ok(Guard { group, parent, stage: Stage::Running, status: None }.watch(&received, told))
}

/// Has the kernel send SIGUSR1 when the gateway dies, and makes this process the parent of
/// orphans. `false` where the kernel cannot tell.
fn watch_parent() -> bool {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        rustix::process::set_parent_process_death_signal(Some(Signal::USR1)).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

fn orphaned(parent: u32) -> bool {
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    i64::from(now) != i64::from(parent)
}

/// Puts the null device over standard input and output: the server has them now.
fn let_go_of_streams() {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

struct Guard {
    /// The server's process, which leads its group.
    group: Pid,
    /// The gateway's process.
    parent: u32,
    stage: Stage,
    /// The server's status, once it ended.
    status: Option<u8>,
}

impl Guard {
    fn watch(mut self, received: &mpsc::Receiver<i32>, told: bool) -> u8 {
        loop {
            let empty = self.reap();
            if self.status.is_some() {
                if empty {
                    break;
                }
                if matches!(self.stage, Stage::Running | Stage::InputEnded(_)) {
                    // The server is gone but not all that it started.
                    self.terminate();
                }
            }
            if let Stage::Killed(until) = self.stage
                && Instant::now() >= until
            {
                break;
            }
            match received.recv_timeout(self.patience(told)) {
                Ok(SIGTERM | SIGHUP) => self.terminate(),
                Ok(SIGINT) => {
                    self.send(Signal::INT);
                    self.input_ended();
                }
                // SIGCHLD is answered by reaping above, SIGUSR1 by the look at the parent below.
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
            if orphaned(self.parent) {
                self.input_ended();
            }
            self.climb(Instant::now());
        }
        self.status.unwrap_or(137)
    }

    /// How long nothing needs to be done unless a signal comes.
    fn patience(&self, told: bool) -> Duration {
        let longest = if told { Duration::from_hours(1) } else { POLL };
        match self.stage {
            Stage::Running => longest,
            Stage::InputEnded(next) => {
                longest.min(next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
            }
            Stage::Terminated(_) | Stage::Killed(_) => LOOK,
        }
    }

    fn input_ended(&mut self) {
        if self.stage == Stage::Running {
            self.stage = Stage::InputEnded(Instant::now() + GRACE);
        }
    }

    fn terminate(&mut self) {
        if matches!(self.stage, Stage::Running | Stage::InputEnded(_)) {
            self.stage = Stage::Terminated(Instant::now() + GRACE);
        }
        self.send(Signal::TERM);
    }

    fn climb(&mut self, now: Instant) {
        match self.stage {
            Stage::InputEnded(next) if now >= next => self.terminate(),
            Stage::Terminated(next) if now >= next => {
                self.send(Signal::KILL);
                self.stage = Stage::Killed(now + GIVE_UP);
            }
            Stage::Killed(_) => self.send(Signal::KILL),
            _ => {}
        }
    }

    /// Sends a signal to the group and to orphans that left it.
    fn send(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.group, signal);
        for pid in children_of(rustix::process::getpid()) {
            if rustix::process::getpgid(Some(pid)).is_ok_and(|group| group != self.group) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }

    /// Collects every ended process below; `true` when none is left.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.group => self.status = code(status).or(self.status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return false,
                // Nothing below that can be waited for. Where orphans are not given to this
                // process the group may still have members.
                Err(_) => {
                    return cfg!(target_os = "linux")
                        || rustix::process::test_kill_process_group(self.group).is_err();
                }
            }
        }
    }
}

/// A process's exit code as shells give it.
fn code(status: WaitStatus) -> Option<u8> {
    if let Some(code) = status.exit_status() {
        return u8::try_from(code & 0xff).ok();
    }
    status.terminating_signal().and_then(|signal| u8::try_from(128 + signal).ok())
}

/// The processes whose parent is `parent`, as far as the system shows them.
#[cfg(target_os = "linux")]
pub(in crate::gateway) fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parent = parent.as_raw_nonzero().get();
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; the fields after the last one are fixed.
            let (_, fields) = stat.rsplit_once(')')?;
            let found: i32 = fields.split_ascii_whitespace().nth(1)?.parse().ok()?;
            if found == parent { Pid::from_raw(pid) } else { None }
        })
        .collect()
}

/// The processes whose parent is `parent`, as far as the system shows them.
#[cfg(not(target_os = "linux"))]
pub(in crate::gateway) fn children_of(_parent: Pid) -> Vec<Pid> {
    Vec::new()
}

/// The command line of the guard for `command`, to be started from the gateway's main thread: on
/// Linux the death of the thread that started it counts as the gateway's.
///
/// # Errors
/// When the running program cannot be found.
pub fn command(command: &[String]) -> std::io::Result<Command> {
    let mut guard = Command::new(std::env::current_exe()?);
    guard
        .arg("guard")
        .arg(format!("--parent={}", std::process::id()))
        .arg("--")
        .args(command)
        // A server has no business with what lets the gateway into its store.
        .env_remove(crate::counters::USERNAME)
        .env_remove(crate::counters::PASSWORD)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(guard)
}
