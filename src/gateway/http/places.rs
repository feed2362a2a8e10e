//! Who is served where: servers, the grants on each, and the sessions of each grant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::super::conversation::Conversation;
use super::super::decider::Decider;
use super::super::listing::Listing;
use super::super::lock;
use super::streams::Streams;
use super::upstream::Upstream;
use crate::clock;

/// One server, and where it is served.
pub(super) struct Place {
    pub(super) behind: Behind,
    sessions: Mutex<HashMap<String, Arc<Live>>>,
}

/// What a server is reached by.
pub(super) enum Behind {
    /// Its address.
    Url(Box<Upstream>),
}

/// One grant on one server.
pub(super) struct Seat {
    pub(super) decider: Arc<Decider>,
    /// What the stateless requests of the grant were last listed.
    listing: Arc<Mutex<Listing>>,
    /// Becomes true when the grant is revoked.
    revoked: watch::Sender<bool>,
}

/// A session of a client.
pub(super) struct Live {
    pub(super) conversation: Arc<Conversation>,
    pub(super) streams: Arc<Streams>,
    /// Whose it is.
    seat: Arc<Seat>,
    /// When it was last used, as [`clock::tick`].
    used: AtomicU64,
}

/// Why there is no session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// It is another grant's; that is not told.
    NotYours,
    /// There are too many, and each of them is in use.
    TooMany,
    /// Its id cannot be read.
    Unreadable,
}

impl Seat {
    pub(super) fn new(decider: Arc<Decider>) -> Arc<Self> {
        Arc::new(Self { decider, listing: Arc::default(), revoked: watch::Sender::new(false) })
    }

    /// Tells when the grant is revoked.
    pub(super) fn revoked(&self) -> watch::Receiver<bool> {
        self.revoked.subscribe()
    }

    /// A conversation of a request that stands for itself.
    pub(super) fn stateless(self: &Arc<Self>) -> Arc<Live> {
        Live::new(self, Arc::clone(&self.listing))
    }

    /// A conversation that becomes a session.
    pub(super) fn session(self: &Arc<Self>) -> Arc<Live> {
        let live = Live::new(self, Arc::default());
        self.decider.attach(&live.conversation);
        live
    }
}

impl Live {
    fn new(seat: &Arc<Seat>, listing: Arc<Mutex<Listing>>) -> Arc<Self> {
        let streams: Arc<Streams> = Arc::default();
        let decider = &seat.decider;
        let client = Box::new(Arc::clone(&streams));
        let conversation = Conversation::new(Arc::clone(&decider.desk), Arc::clone(decider), listing, client);
        Arc::new(Self {
            conversation: Arc::new(conversation),
            streams,
            seat: Arc::clone(seat),
            used: AtomicU64::new(clock::tick()),
        })
    }

    pub(super) fn touch(&self) {
        self.used.store(clock::tick(), Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.conversation.session().is_empty()
    }
}

impl Place {
    pub(super) fn new(behind: Behind) -> Self {
        Self { behind, sessions: Mutex::default() }
    }

    /// The session that a client names. One that is not known may have begun before this run of the
    /// gateway: whether it is one is the upstream's to say.
    pub(super) fn named(&self, id: &str, seat: &Arc<Seat>, most: usize) -> Result<Arc<Live>, NoSession> {
        if let Some(live) = lock(&self.sessions).get(id) {
            if !Arc::ptr_eq(&live.seat, seat) {
                return Err(NoSession::NotYours);
            }
            live.touch();
            return Ok(Arc::clone(live));
        }
        let live = seat.session();
        live.conversation.named(id);
        self.keep(id, &live, most)?;
        Ok(live)
    }

    /// Keeps a session under its id. Where there are too many, the one goes that was not used for
    /// the longest time.
    pub(super) fn keep(&self, id: &str, live: &Arc<Live>, most: usize) -> Result<(), NoSession> {
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= most && !sessions.contains_key(id) {
            let oldest = sessions
                .iter()
                .filter(|(_, live)| live.is_idle())
                .min_by_key(|(_, live)| live.used.load(Ordering::Relaxed))
                .map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return Err(NoSession::TooMany) };
            sessions.remove(&oldest);
        }
        sessions.entry(id.to_owned()).or_insert_with(|| Arc::clone(live));
        Ok(())
    }

    /// Forgets a session.
    pub(super) fn forget(&self, id: &str) -> Option<Arc<Live>> {
        lock(&self.sessions).remove(id)
    }

    /// Forgets the sessions that were not used for so long.
    pub(super) fn forget_idle(&self, after: Duration) {
        let now = clock::tick();
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        lock(&self.sessions).retain(|_, live| {
            !live.is_idle() || now.saturating_sub(live.used.load(Ordering::Relaxed)) < after
        });
    }
}
