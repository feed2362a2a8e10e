//! `--notify CMD`: tells people of denies, approvals and freezes by a command of the operator's.
//!
//! The command is the operator's own, run by the shell as it was given; what happened, and with it
//! whatever an agent said, reaches it on its standard input only, never on its command line.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::record::{EventKind, Record, Verdict};

/// The pause between two runs.
const PAUSE: Duration = Duration::from_secs(1);
/// A run that takes longer is ended.
const LONGEST: Duration = Duration::from_secs(10);
/// So long the last may still be told once the gateway ends.
const LAST: Duration = Duration::from_secs(2);
/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// The variable that says how many records the one on standard input stands for besides itself.
const MORE: &str = "CALLGATE_NOTIFY_MORE";

/// Runs the command from a thread of its own; ends it when dropped.
#[derive(Debug)]
pub(in crate::gateway) struct Notifier {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    stirred: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    /// The most urgent record that waits, and how urgent it is.
    record: Option<(u8, Arc<[u8]>)>,
    /// Others that came meanwhile.
    more: u64,
    /// The gateway ends: nothing comes any more, and then nobody is told any more.
    closed: Option<Instant>,
}

impl Pending {
    /// Nobody is told any more.
    fn over(&self) -> bool {
        self.closed.is_some_and(|end| Instant::now() >= end)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How urgent a record is; `None`: nobody is told of it.
fn urgency(record: &Record) -> Option<u8> {
    match record {
        Record::Decision(decision) => match decision.decision {
            Verdict::Approve => Some(3),
            Verdict::Deny => Some(1),
            Verdict::Allow => None,
        },
        Record::Event(event) if event.kind == EventKind::Freeze => Some(2),
        Record::Event(_) | Record::Outcome(_) => None,
    }
}

impl Notifier {
    /// Starts the thread; `pause` is the least time between the beginnings of two runs, `longest`
    /// that of one.
    ///
    /// # Errors
    /// When no thread can be started.
    fn with(command: String, pause: Duration, longest: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("notify".to_owned())
            .spawn(move || run(&theirs, &command, pause, longest))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Starts the thread that runs `command`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(in crate::gateway) fn start(command: String) -> std::io::Result<Self> {
        Self::with(command, PAUSE, LONGEST)
    }

    /// A record came. Never waits for the command; of records that come while it runs, the latest
    /// of the most urgent is kept, and the others are counted.
    pub(in crate::gateway) fn offer(&self, record: &Record, line: &Arc<[u8]>) {
        let Some(urgency) = urgency(record) else { return };
        let mut pending = self.shared.lock();
        if pending.closed.is_some() {
            return;
        }
        let known = pending.record.as_ref().map(|(known, _)| *known);
        if known.is_some() {
            pending.more = pending.more.saturating_add(1);
        } else {
            self.shared.stirred.notify_all();
        }
        if known.is_some_and(|known| known > urgency) {
            return;
        }
        pending.record = Some((urgency, Arc::clone(line)));
    }

    /// Tells what still waits, for [`LAST`] at most; then the command is ended if it runs, and none
    /// is started any more.
    pub(in crate::gateway) fn close(&self) {
        self.shared.lock().closed.get_or_insert(Instant::now() + LAST);
        self.shared.stirred.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(shared: &Shared, command: &str, pause: Duration, longest: Duration) {
    let mut said = false;
    loop {
        let mut pending = shared.lock();
        let (line, more) = loop {
            if pending.over() {
                return;
            }
            if let Some((_, line)) = pending.record.take() {
                break (line, std::mem::take(&mut pending.more));
            }
            if pending.closed.is_some() {
                return;
            }
            pending = shared.stirred.wait(pending).unwrap_or_else(PoisonError::into_inner);
        };
        drop(pending);
        let began = Instant::now();
        if let Err(why) = tell(shared, command, &line, more, longest)
            && !std::mem::replace(&mut said, true)
        {
            crate::gateway::say(&format!("--notify: {why} (said once)"));
        }
        let next = began + pause;
        let mut pending = shared.lock();
        while Instant::now() < next {
            // What waits is told at the same pace to the end.
            let next = match pending.closed {
                Some(_) if pending.record.is_none() => return,
                Some(end) if Instant::now() >= end => return,
                Some(end) => next.min(end),
                None => next,
            };
            let left = next.saturating_duration_since(Instant::now());
            pending = shared.stirred.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One run.
fn tell(
    shared: &Shared,
    command: &str,
    line: &Arc<[u8]>,
    more: u64,
    longest: Duration,
) -> Result<(), String> {
    let mut child = shell(command)
        .env(MORE, more.to_string())
        .stdin(Stdio::piped())
        // Standard output is the agent's.
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("the command cannot be started: {error}"))?;
    let input = child.stdin.take();
    let line = Arc::clone(line);
    // A command that reads nothing must not hold up its own end.
    let writing = std::thread::Builder::new().name("notify-in".to_owned()).spawn(move || {
        if let Some(mut input) = input {
            // One that does not care about the record closes its input.
            let _ = input.write_all(&line).and_then(|()| input.write_all(b"\n"));
        }
    });
    let deadline = Instant::now() + longest;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break Ok(()),
            Ok(Some(status)) => break Err(format!("the command ended with {status}")),
            Ok(None) if shared.lock().over() => break Ok(()),
            Ok(None) if Instant::now() >= deadline => {
                break Err(format!("the command took longer than {} s and was ended", longest.as_secs()));
            }
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => break Err(format!("the command cannot be watched: {error}")),
        }
    };
    end(&mut child);
    if let Ok(writing) = writing {
        let _ = writing.join();
    }
    ended
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

/// Ends the command with all that it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // The group has the child's number, which nobody else has while one of them lives.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::record::Event;
    use crate::time::Timestamp;
    use serde_json::json;
    use std::path::Path;

    fn freeze(reason: &str) -> (Record, Arc<[u8]>) {
        let record = Record::Event(Box::new(Event {
            seq: 1,
            ts: Timestamp(0),
            gateway: "g".to_owned(),
            kind: EventKind::Freeze,
            by: None,
            reason: Some(reason.to_owned()),
            data: json!({}),
        }));
        let line = record.to_line().unwrap().into();
        (record, line)
    }

    fn wait_for(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_record_is_on_stdin_and_others_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let command = format!("cat >> '{0}'; echo \"$CALLGATE_NOTIFY_MORE\" >> '{0}'", out.display());
        let notifier = Notifier::with(command, Duration::from_millis(700), LONGEST).unwrap();
        let evil = "'; touch evil; $(touch evil) `touch evil`";
        let (record, line) = freeze(evil);
        notifier.offer(&record, &line);
        wait_for("the first", || read(&out).lines().count() == 2);
        for _ in 0..5 {
            notifier.offer(&record, &line);
        }
        wait_for("the rest in one", || read(&out).lines().count() >= 4);
        let text = read(&out);
        let lines: Vec<&str> = text.lines().collect();
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!(lines, [line, "0", line, "4"]);
        assert!(!Path::new("evil").exists() && !folder.path().join("evil").exists());
    }

    #[test]
    fn a_stuck_command_is_ended_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let command = format!("sleep 600 & echo $! >> '{}'; sleep 600", pids.display());
        let alive = |pid: &str| {
            let state = read(&Path::new("/proc").join(pid).join("stat"));
            state.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        };
        let (record, _) = freeze("x");
        // More than a pipe holds, and nobody reads it.
        let line: Arc<[u8]> = vec![b'x'; 1 << 20].into();
        let notifier = Notifier::with(command, Duration::ZERO, Duration::from_millis(200)).unwrap();
        notifier.offer(&record, &line);
        wait_for("the command", || read(&pids).lines().count() == 1);
        let first = read(&pids).trim().to_owned();
        wait_for("its end", || !alive(&first));
        notifier.offer(&record, &line);
        wait_for("another run", || read(&pids).lines().count() == 2);
        notifier.close();
        let second = read(&pids).lines().nth(1).unwrap().to_owned();
        wait_for("nothing left at the end", || !alive(&second));
    }

    #[test]
    fn what_waits_at_the_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let command = format!("cat >> '{}'; sleep 0.2; echo >> '{0}'", out.display());
        let notifier = Notifier::with(command, Duration::from_millis(300), LONGEST).unwrap();
        for reason in ["first", "second"] {
            let (record, line) = freeze(reason);
            notifier.offer(&record, &line);
            wait_for(reason, || read(&out).contains("first"));
        }
        notifier.close();
        let text = read(&out);
        assert!(text.contains("second"), "{text}");
        assert!(text.ends_with("\n\n"), "the last run came to its own end: {text}");
        let (record, line) = freeze("third");
        notifier.offer(&record, &line);
        assert!(!read(&out).contains("third"));
    }

    #[test]
    fn allowed_calls_and_outcomes_tell_nobody() {
        let (mut record, _) = freeze("x");
        assert_eq!(urgency(&record), Some(2));
        if let Record::Event(event) = &mut record {
            event.kind = EventKind::Unfreeze;
        }
        assert_eq!(urgency(&record), None);
    }
}
