//! The streams that a client has open, so that the gateway can say something of its own on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::gateway::call::conversation::ToClient;
use crate::gateway::lock;
use crate::mcp::id::IdKey;

/// How many messages wait for a stream whose client is slow; what comes beyond is lost, as it is
/// where there is no stream at all.
const WAITING: usize = 16;

/// The open streams of one conversation.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Mutex<Vec<Stream>>,
    number: AtomicU64,
}

#[derive(Debug)]
struct Stream {
    number: u64,
    /// The request whose stream it is; `None` for that of the session as a whole.
    about: Option<IdKey>,
    sender: mpsc::Sender<Vec<u8>>,
}

/// The reading end of an open stream; it is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Heard {
    streams: Arc<Streams>,
    number: u64,
    messages: mpsc::Receiver<Vec<u8>>,
}

impl Streams {
    /// Opens a stream.
    pub(super) fn open(self: &Arc<Self>, about: Option<IdKey>) -> Heard {
        let (sender, messages) = mpsc::channel(WAITING);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).push(Stream { number, about, sender });
        Heard { streams: Arc::clone(self), number, messages }
    }

    /// Whether none is open.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.open).is_empty()
    }
}

impl ToClient for Arc<Streams> {
    fn say(&self, message: &[u8], about: Option<&IdKey>) {
        let open = lock(&self.open);
        // A message goes onto one stream only: the one that was opened last.
        if let Some(stream) = open.iter().rev().find(|stream| stream.about.as_ref() == about) {
            let _ = stream.sender.try_send(message.to_vec());
        }
    }
}

impl Heard {
    /// The next message of the gateway's own.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.messages.recv().await
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        lock(&self.streams.open).retain(|stream| stream.number != self.number);
    }
}
