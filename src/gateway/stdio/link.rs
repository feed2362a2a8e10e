//! What both directions of a stdio session share: its streams.

use std::fs::File;
use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::gateway::call::conversation::{Conversation, ToClient, ToServer};
use crate::gateway::desk::Desk;
use crate::gateway::lock;
use crate::mcp::id::IdKey;

/// What happens around a session.
#[derive(Debug)]
pub(in crate::gateway) enum Happening {
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
pub(in crate::gateway) struct Link {
    pub(in crate::gateway) conversation: Arc<Conversation>,
    client: Arc<ClientStream>,
    server: Mutex<Option<ChildStdin>>,
    /// The server's input is to be closed by whoever holds it.
    closing: AtomicBool,
    busy: Mutex<()>,
    happenings: Mutex<Sender<Happening>>,
}

impl Link {
    pub(in crate::gateway) fn new(
        conversation: Arc<Conversation>,
        client: Arc<ClientStream>,
        happenings: Sender<Happening>,
    ) -> Self {
        Self {
            conversation,
            client,
            server: Mutex::new(None),
            closing: AtomicBool::new(false),
            busy: Mutex::new(()),
            happenings: Mutex::new(happenings),
        }
    }

    pub(in crate::gateway) fn desk(&self) -> &Desk {
        &self.conversation.desk
    }

    /// Gives it the server's input.
    pub(in crate::gateway) fn connect(&self, server: ChildStdin) {
        *lock(&self.server) = Some(server);
    }

    /// Held while lines are decided and forwarded, so that the end can wait for them.
    pub(in crate::gateway) fn busy(&self) -> MutexGuard<'_, ()> {
        lock(&self.busy)
    }

    /// Whether nothing is being decided at this moment.
    pub(in crate::gateway) fn is_idle(&self) -> bool {
        self.busy.try_lock().is_ok()
    }

    pub(in crate::gateway) fn happened(&self, happening: Happening) {
        let _ = lock(&self.happenings).send(happening);
    }

    /// Writes to the client.
    pub(in crate::gateway) fn to_client(&self, bytes: &[u8]) {
        self.client.write(bytes);
    }

    /// Writes to the server. Gives how much was written where it was not all.
    pub(in crate::gateway) fn to_server(&self, bytes: &[u8]) -> Option<usize> {
        let mut slot = lock(&self.server);
        let Some(stream) = slot.as_mut() else { return Some(0) };
        let failed = write_all(stream, bytes).err();
        if failed.is_some() || self.closing.load(Ordering::Relaxed) {
            *slot = None;
        }
        failed
    }

    /// Ends the server's input; at once, unless something is just being written to it.
    pub(in crate::gateway) fn close_server_input(&self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Ok(mut slot) = self.server.try_lock() {
            *slot = None;
        }
    }
}

impl ToServer for Weak<Link> {
    fn forward(&self, message: &[u8], _request: &IdKey) -> bool {
        let Some(link) = self.upgrade() else { return false };
        let mut bytes = Vec::with_capacity(message.len() + 1);
        bytes.extend_from_slice(message);
        bytes.push(b'\n');
        link.to_server(&bytes).is_none()
    }
}

/// The stream to the client of a stdio session.
pub(in crate::gateway) struct ClientStream {
    stream: Mutex<File>,
    gone: AtomicBool,
    happenings: Mutex<Sender<Happening>>,
}

impl ClientStream {
    pub(in crate::gateway) fn new(stream: File, happenings: Sender<Happening>) -> Self {
        let (stream, happenings) = (Mutex::new(stream), Mutex::new(happenings));
        Self { stream, gone: AtomicBool::new(false), happenings }
    }

    fn write(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let done = write_all(&mut &*lock(&self.stream), bytes);
        if done.is_err() && !self.gone.swap(true, Ordering::Relaxed) {
            let _ = lock(&self.happenings).send(Happening::ClientGone);
        }
    }
}

impl ToClient for Arc<ClientStream> {
    fn say(&self, message: &[u8], _about: Option<&IdKey>) {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend_from_slice(message);
        line.push(b'\n');
        self.write(&line);
    }
}

/// A stream that gives bytes as they come.
pub(in crate::gateway) trait Read {
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
pub(in crate::gateway) trait Wait {
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
