//! The server's process: started under its guard, signalled, and its exit status.

#[cfg(unix)]
pub mod guard;

use std::process::{Child, ChildStdin, ChildStdout};
#[cfg(unix)]
use std::sync::{Arc, Mutex, PoisonError};

/// How long each rung of the ladder waits for the next one.
pub const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// A started server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    #[cfg(unix)]
    handle: Handle,
}

/// The process ids of all guards: what else is below this process, a killed guard has left.
#[cfg(unix)]
static GUARDS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Signals a server; may outlive it.
#[derive(Debug, Clone)]
#[cfg(unix)]
pub struct Handle {
    /// The guard's process id; `None` once it was waited for and the id may be another's.
    pid: Arc<Mutex<Option<rustix::process::Pid>>>,
}

/// Signals a server; where there are no signals it can only be ended.
#[derive(Debug, Clone)]
#[cfg(not(unix))]
pub struct Handle {
    child: std::sync::Weak<()>,
}

#[cfg(unix)]
impl Server {
    /// Starts `command` under a guard, with these variables besides the gateway's own. Must be called from the main thread: the guard takes the
    /// death of the thread that started it for the gateway's.
    ///
    /// # Errors
    /// When the guard cannot be started. A program that does not exist is the guard's to report:
    /// it prints what is wrong and ends with exit code 3.
    pub fn start(
        command: &[String],
        env: &[(String, String)],
    ) -> std::io::Result<(Self, ChildStdin, ChildStdout)> {
        let mut guard = self::guard::command(command)?;
        guard.envs(env.iter().map(|(name, value)| (name, value)));
        let mut guards = crate::gateway::lock(&GUARDS);
        let mut child = guard.spawn()?;
        guards.push(child.id());
        drop(guards);
        #[cfg(target_os = "linux")]
        {
            // Should the guard be killed, what it guarded becomes this process's to end.
            let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        }
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let streams = child.stdin.take().zip(child.stdout.take());
        let (input, output) = streams.ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok((Self { child, handle: Handle { pid: Arc::new(Mutex::new(pid)) } }, input, output))
    }

    /// What signals it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the guard, and with it for the server and all that it started. Gives the exit
    /// code as shells give it.
    pub fn wait(mut self) -> u8 {
        use std::os::unix::process::ExitStatusExt;

        use rustix::process::{WaitId, WaitIdOptions};

        let pid = *self.handle.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = pid {
            // Not reaped yet: its id stays its own until no one can signal it any more.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
        }
        let mut slot = self.handle.pid.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        let status = self.child.wait();
        crate::gateway::lock(&GUARDS).retain(|guard| *guard != self.child.id());
        drop(slot);
        match status {
            Ok(status) => {
                if status.signal().is_some() {
                    // The guard itself was killed: end what it leaves.
                    end_orphans();
                }
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(3)
            }
            Err(_) => 3,
        }
    }
}

#[cfg(unix)]
impl Handle {
    /// Asks the server to end (SIGTERM; the guard follows it with SIGKILL after [`GRACE`]).
    pub fn terminate(&self) {
        self.send(rustix::process::Signal::TERM);
    }

    /// Passes SIGINT on.
    pub fn interrupt(&self) {
        self.send(rustix::process::Signal::INT);
    }

    fn send(&self, signal: rustix::process::Signal) {
        let pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = *pid {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Ends the processes that a killed guard left: on Linux they are this process's children now.
#[cfg(unix)]
fn end_orphans() {
    use std::time::{Duration, Instant};

    use rustix::process::{Signal, WaitOptions};

    let started = Instant::now();
    while started.elapsed() < GRACE * 3 {
        // While a guard is being started it is not known yet.
        let guards = crate::gateway::lock(&GUARDS);
        let mut children = self::guard::children_of(rustix::process::getpid());
        children.retain(|pid| {
            !guards.iter().any(|guard| i64::from(*guard) == i64::from(pid.as_raw_nonzero().get()))
        });
        drop(guards);
        if children.is_empty() {
            return;
        }
        let signal = if started.elapsed() < GRACE { Signal::TERM } else { Signal::KILL };
        for pid in children {
            let _ = rustix::process::kill_process(pid, signal);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Without process groups and signals there is no guard: the server ends at its end of input.
#[cfg(not(unix))]
impl Server {
    /// Starts `command`, with these variables besides the gateway's own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        command: &[String],
        env: &[(String, String)],
    ) -> std::io::Result<(Self, ChildStdin, ChildStdout)> {
        use std::process::{Command, Stdio};
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let (input, output) = streams.ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok((Self { child }, input, output))
    }

    /// What signals it.
    pub fn handle(&self) -> Handle {
        Handle { child: std::sync::Weak::new() }
    }

    /// Waits for it and gives its exit code.
    pub fn wait(mut self) -> u8 {
        let code = self.child.wait().ok().and_then(|status| status.code());
        code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(3)
    }
}

#[cfg(not(unix))]
impl Handle {
    /// There is no signal to send; the end of its input has to do.
    pub fn terminate(&self) {
        let _ = &self.child;
    }

    /// As [`Handle::terminate`].
    pub fn interrupt(&self) {}
}
