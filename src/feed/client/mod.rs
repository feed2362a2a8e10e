//! The half in a monitor: attaches to gateways, resumes where it was, and believes nobody.
//!
//! Every gateway is a *source* with a task of its own; all of them talk into one bounded channel,
//! so a monitor that is slow makes its gateways wait in their journals and nowhere else. A feed is
//! as untrusted as anything else: what it says is checked for shape, size and order before it is
//! passed on, and what is wrong becomes [`FeedEvent::Trouble`].

mod delivered;
mod link;
mod source;
mod supervise;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::message::{Ask, Hello, State};

/// Events that wait for the monitor. A batch of records holds at most 256 KiB.
const EVENTS: usize = 24;

/// One feed that is watched, for as long as the watching lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Where a feed is, and what lets one in.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedAddr {
    /// `ws://HOST:PORT/feed` or `wss://...`.
    pub url: String,
    /// The token; none is sent when it is empty.
    pub token: String,
}

impl fmt::Debug for FeedAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("FeedAddr").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whom to watch.
#[derive(Debug, Clone)]
pub enum Feeds {
    /// Every gateway that announces itself in this folder, now and later.
    RunDir(PathBuf),
    /// These; their [`SourceId`]s count from 1 in this order.
    These(Vec<FeedAddr>),
}

/// How to watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchOptions {
    /// How many records from before the watching began are wanted, at most, of each gateway. What
    /// is skipped by this is not announced as a gap.
    pub history: u64,
    /// Whether feeds that are named also give the records of their fleets' other gateways. Where
    /// gateways are found by themselves, each gives its own.
    pub fleet: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { history: u64::MAX, fleet: true }
    }
}

/// What happens on the feeds.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// A gateway answered; after a loss, again. Another `gateway` in the hello than before is
    /// another run, whose records are numbered anew.
    Connected {
        /// Which feed.
        source: SourceId,
        /// Who it is.
        hello: Box<Hello>,
    },
    /// A state, whole.
    State {
        /// Which feed.
        source: SourceId,
        /// It replaces what was said of it before.
        state: Box<State>,
    },
    /// Records, each gateway's in order, without repetition, byte for byte as in the journal. Each
    /// is a JSON object with a `type`, its gateway's id and its `seq`; more is not promised. They
    /// are this gateway's or, with [`WatchOptions::fleet`], another one's of its fleet.
    Records {
        /// Which feed.
        source: SourceId,
        /// The lines without line feeds.
        lines: Vec<Arc<[u8]>>,
    },
    /// Records that cannot be had.
    Gap {
        /// Which feed.
        source: SourceId,
        /// Of which gateway run, where it is not the feed's own.
        gateway: Option<String>,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An answer to [`Handle::ask`].
    Reply {
        /// Which feed.
        source: SourceId,
        /// Whether it was done.
        ok: bool,
        /// What was asked.
        of: String,
        /// Why not, or what was done.
        message: String,
    },
    /// The connection ended or could not be made. Unless `ended`, it is tried again.
    Lost {
        /// Which feed.
        source: SourceId,
        /// Why.
        why: String,
        /// The gateway is gone for good.
        ended: bool,
    },
    /// The feed, or the search for feeds, does something wrong; it goes on as well as it can.
    Trouble {
        /// Which feed, where it is one.
        source: Option<SourceId>,
        /// What.
        message: String,
    },
}

/// Holds the watching; it ends when this is dropped.
#[derive(Debug)]
pub struct Handle {
    asks: mpsc::Sender<(SourceId, Ask)>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Asks a gateway for something. `false` when too much was asked already; the answer comes as
    /// [`FeedEvent::Reply`], also when the gateway is not connected.
    pub fn ask(&self, source: SourceId, ask: Ask) -> bool {
        self.asks.try_send((source, ask)).is_ok()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Watches feeds from a thread of its own. The receiver can be awaited or read blockingly.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn watch(feeds: Feeds, options: WatchOptions) -> io::Result<(mpsc::Receiver<FeedEvent>, Handle)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (events, receiver) = mpsc::channel(EVENTS);
    let (asks, asked) = mpsc::channel(64);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        runtime.block_on(async move {
            tokio::select! {
                () = supervise::run(feeds, options, events, asked) => {}
                _ = stopped => {}
            }
        });
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    })?;
    Ok((receiver, Handle { asks, stop: Some(stop), thread: Some(thread) }))
}
