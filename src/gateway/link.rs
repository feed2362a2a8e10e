//! What both directions of a stdio session share.

use std::fs::File;
use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::decider::{Decider, InForce};
use super::recorder::Recorder;
use super::session::{Ended, Session};
use super::tally::Tally;
use crate::clock;

/// What happens around a session.
#[derive(Debug)]
pub(super) enum Happening {
    /// The client's stream has ended.
    ClientEnded,
    /// What the client should get cannot be delivered.
    ClientGone,
    /// The server's stream has ended.
    ServerEnded,
    /// The server and all that it started are gone; its exit code.
    Exited(u8),
    /// A signal came.
    Signal(i32),
}

/// Shared by the threads of one stdio session. The locks are held for moments, never while
/// waiting for a peer, except those of the two streams.
pub(super) struct Link {
    pub(super) max_message: usize,
    pub(super) decider: Decider,
    pub(super) recorder: Recorder,
    pub(super) tally: Tally,
    session: Mutex<Session>,
    client: Mutex<File>,
    server: Mutex<Option<ChildStdin>>,
    /// The server's input is to be closed by whoever holds it.
    closing: AtomicBool,
    client_gone: AtomicBool,
    busy: Mutex<()>,
    closed: AtomicBool,
    /// Lists that were relayed, for the screens: whether each is a first page, and its line.
    lists: Mutex<Vec<(bool, Vec<u8>)>>,
    happenings: Mutex<Sender<Happening>>,
}

impl Link {
    pub(super) fn new(
        max_message: usize,
        decider: Decider,
        recorder: Recorder,
        client: File,
        happenings: Sender<Happening>,
    ) -> Self {
        Self {
            max_message,
            decider,
            recorder,
            tally: Tally::default(),
            session: Mutex::new(Session::new()),
            client: Mutex::new(client),
            server: Mutex::new(None),
            closing: AtomicBool::new(false),
            client_gone: AtomicBool::new(false),
            busy: Mutex::new(()),
            closed: AtomicBool::new(false),
            lists: Mutex::new(Vec::new()),
            happenings: Mutex::new(happenings),
        }
    }

    /// Gives it the server's input.
    pub(super) fn connect(&self, server: ChildStdin) {
        *lock(&self.server) = Some(server);
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    /// Held while lines are decided and forwarded, so that the end can wait for them.
    pub(super) fn busy(&self) -> MutexGuard<'_, ()> {
        lock(&self.busy)
    }

    /// Whether nothing is being decided at this moment.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.try_lock().is_ok()
    }

    /// Everything is over.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Keeps a list for the screens.
    pub(super) fn show_list(&self, first: bool, line: Vec<u8>) {
        let mut lists = lock(&self.lists);
        if first {
            lists.clear();
        }
        lists.push((first, line));
    }

    /// The lists since this was last asked.
    pub(super) fn take_lists(&self) -> Vec<(bool, Vec<u8>)> {
        std::mem::take(&mut *lock(&self.lists))
    }

    pub(super) fn happened(&self, happening: Happening) {
        let _ = lock(&self.happenings).send(happening);
    }

    /// Writes to the client.
    pub(super) fn to_client(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let done = write_all(&mut &*lock(&self.client), bytes);
        if done.is_err() && !self.client_gone.swap(true, Ordering::Relaxed) {
            self.happened(Happening::ClientGone);
        }
    }

    /// Writes to the server. Gives how much was written where it was not all.
    pub(super) fn to_server(&self, bytes: &[u8]) -> Option<usize> {
        let mut slot = lock(&self.server);
        let Some(stream) = slot.as_mut() else { return Some(0) };
        let failed = write_all(stream, bytes).err();
        if failed.is_some() || self.closing.load(Ordering::Relaxed) {
            *slot = None;
        }
        failed
    }

    /// Ends the server's input; at once, unless something is just being written to it.
    pub(super) fn close_server_input(&self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Ok(mut slot) = self.server.try_lock() {
            *slot = None;
        }
    }

    /// Another policy is in force than `before`: tells the client where that changes what it sees.
    pub(super) fn visibility_may_differ(&self, before: &InForce) {
        let now = self.decider.in_force();
        if !before.compiled.hides_anything() && !now.compiled.hides_anything() {
            return;
        }
        let session = self.session();
        let lines = if session
            .sees_otherwise(&|tool| before.compiled.visible(tool), &|tool| now.compiled.visible(tool))
        {
            session.visibility_changed()
        } else {
            Vec::new()
        };
        drop(session);
        for mut line in lines {
            line.push(b'\n');
            self.to_client(&line);
        }
    }

    /// Gives back what an ended call has to, and records its outcome.
    pub(super) fn end_call(&self, ended: &Ended) {
        let released = self.decider.release(&ended.release);
        self.recorder.outcomes(std::iter::once((ended.clone(), released)), clock::now());
    }
}

/// A stream that gives bytes as they come.
pub(super) trait Read {
    /// At least one byte, or 0 at the end.
    fn read_some(&mut self, space: &mut [u8]) -> io::Result<usize>;
}

impl<T: io::Read + Wait> Read for T {
    fn read_some(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(false),
                other => return other,
            }
        }
    }
}

/// Something that may have been made non-blocking by whoever gave it to this process.
pub(super) trait Wait {
    /// Until bytes can be read, or written.
    fn wait(&self, write: bool);
}

#[cfg(unix)]
impl<T: std::os::fd::AsFd> Wait for T {
    fn wait(&self, write: bool) {
        use rustix::event::{PollFd, PollFlags, poll};
        let flags = if write { PollFlags::OUT } else { PollFlags::IN };
        let _ = poll(&mut [PollFd::new(self, flags)], None);
    }
}

#[cfg(not(unix))]
impl<T> Wait for T {
    fn wait(&self, _write: bool) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// As `Write::write_all`, but tells how much was written when it fails.
fn write_all<T: Write + Wait>(stream: &mut T, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.wait(true),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
