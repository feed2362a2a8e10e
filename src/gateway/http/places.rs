//! Who is served where: servers, the grants on each, and the sessions of each grant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::child::{Child, Launch};
use super::routes::{Asks, Routes, Said};
use super::streams::Streams;
use super::upstream::Upstream;
use super::waits::{Voice, Wait, Waits};
use crate::clock;
use crate::gateway::call::conversation::{Conversation, ToClient};
use crate::gateway::call::decider::Decider;
use crate::gateway::call::judge::Ruling;
use crate::gateway::call::listing::Listing;
use crate::gateway::lock;

/// How long a session must have been unused to go where another needs its room.
const SETTLED: Duration = Duration::from_secs(30);

/// A conversation, and the way for the answer to a request in it.
pub(super) type Found = (Arc<Live>, Option<mpsc::Receiver<Said>>);

/// One server, and where it is served.
pub(super) struct Place {
    pub(super) behind: Behind,
    sessions: Mutex<HashMap<String, Arc<Live>>>,
}

/// What a server is reached by.
pub(super) enum Behind {
    /// Its address.
    Url(Box<Upstream>),
    /// Its command, which runs once for each session.
    Command(Box<Pool>),
}

/// The servers that a command was started for.
pub(super) struct Pool {
    pub(super) launch: Launch,
    permits: Arc<Semaphore>,
    /// Those that serve requests which stand for themselves.
    lives: Mutex<Vec<Arc<Live>>>,
}

/// The server of a session, and the ways of its messages.
pub(super) struct Own {
    pub(super) child: Child,
    pub(super) routes: Arc<Routes>,
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
    /// Its calls that wait for a person.
    pub(super) waits: Arc<Waits>,
    /// Its own server, where a command is behind the gateway.
    pub(super) own: OnceLock<Own>,
    /// Whose it is.
    seat: Arc<Seat>,
    /// When it was last used, as [`clock::tick`].
    used: AtomicU64,
}

/// Why there is no session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// There is none of that id, or it is another grant's: that is not told.
    Unknown,
    /// None is named where one must be.
    Missing,
    /// Its server could not be started.
    Failed(String),
    /// There are too many, and each of them is in use.
    TooMany,
    /// Its id cannot be read.
    Unreadable,
}

impl Seat {
    pub(super) fn new(decider: Arc<Decider>) -> Arc<Self> {
        Arc::new(Self { decider, listing: Arc::default(), revoked: watch::Sender::new(false) })
    }

    /// The grant is no more: what it has open is closed.
    pub(super) fn revoke(&self) {
        self.revoked.send_replace(true);
    }

    /// Tells when the grant is revoked.
    pub(super) fn revoked(&self) -> watch::Receiver<bool> {
        self.revoked.subscribe()
    }

    /// A conversation of a request that stands for itself.
    pub(super) fn stateless(self: &Arc<Self>) -> Arc<Live> {
        Live::new(self, Arc::clone(&self.listing))
    }

    /// A conversation with a server of its own: that of a session, or one for requests that stand
    /// for themselves.
    pub(super) fn with_server(self: &Arc<Self>, session: bool) -> (Arc<Live>, Arc<Routes>) {
        let routes: Arc<Routes> = Arc::default();
        let listing = if session { Arc::default() } else { Arc::clone(&self.listing) };
        let live = Live::with(self, listing, Arc::default(), Arc::clone(&routes));
        self.decider.attach(&live.conversation);
        (live, routes)
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
        let client = Arc::clone(&streams);
        Self::with(seat, listing, streams, client)
    }

    fn with(
        seat: &Arc<Seat>,
        listing: Arc<Mutex<Listing>>,
        streams: Arc<Streams>,
        open: impl ToClient + 'static,
    ) -> Arc<Self> {
        let decider = &seat.decider;
        let waits: Arc<Waits> = Arc::default();
        let client = Box::new(Voice { waits: Arc::clone(&waits), open });
        let conversation = Conversation::new(Arc::clone(&decider.desk), Arc::clone(decider), listing, client);
        conversation.may_hold(Box::new(Arc::clone(&waits)));
        Arc::new(Self {
            conversation,
            streams,
            waits,
            own: OnceLock::new(),
            seat: Arc::clone(seat),
            used: AtomicU64::new(clock::tick()),
        })
    }

    /// It has a server of its own from now on.
    pub(super) fn give(&self, routes: Arc<Routes>, child: Child) {
        let _ = self.own.set(Own { child, routes });
    }

    /// Whether its server is there, where it has one of its own.
    fn is_there(&self) -> bool {
        self.own.get().is_none_or(|own| !own.routes.is_gone())
    }

    /// Keeps a request open for a call that is about to be held; before it is.
    pub(super) fn waits_for(&self, ruling: &mut Option<Ruling>, headers: &HeaderMap) -> Option<Wait> {
        let Some(Ruling::Hold(held)) = ruling else { return None };
        Some(Wait::new(&self.waits, &self.conversation, held, headers, self.seat.revoked()))
    }

    fn unused(&self) -> Duration {
        Duration::from_nanos(clock::tick().saturating_sub(self.used.load(Ordering::Relaxed)))
    }

    pub(super) fn touch(&self) {
        self.used.store(clock::tick(), Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        let open = match self.own.get() {
            Some(own) => !own.routes.is_idle() && !own.routes.is_gone(),
            None => !self.conversation.session().is_empty(),
        };
        self.streams.is_empty() && !open
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
                return Err(NoSession::Unknown);
            }
            live.touch();
            return Ok(Arc::clone(live));
        }
        let live = seat.session();
        live.conversation.named(id);
        self.keep(id, &live, most)?;
        Ok(live)
    }

    /// The session that a client names, which must have begun here.
    pub(super) fn known(&self, id: &str, seat: &Arc<Seat>) -> Result<Arc<Live>, NoSession> {
        let mut sessions = lock(&self.sessions);
        let live = sessions.get(id).filter(|live| Arc::ptr_eq(&live.seat, seat)).cloned();
        let live = live.ok_or(NoSession::Unknown)?;
        if !live.is_there() {
            sessions.remove(id);
            return Err(NoSession::Unknown);
        }
        live.touch();
        Ok(live)
    }

    /// Ends the sessions whose server is gone, and the one that was not used for the longest time.
    fn make_room(&self) {
        let mut sessions = lock(&self.sessions);
        let before = sessions.len();
        sessions.retain(|_, live| live.is_there());
        if sessions.len() < before {
            return;
        }
        let oldest = sessions
            .iter()
            .filter(|(_, live)| live.is_idle() && live.unused() > SETTLED)
            .max_by_key(|(_, live)| live.unused())
            .map(|(id, _)| id.clone());
        if let Some(oldest) = oldest {
            sessions.remove(&oldest);
        }
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
        let stays = |live: &Live| live.is_there() && (!live.is_idle() || live.unused() < after);
        lock(&self.sessions).retain(|_, live| stays(live));
        if let Behind::Command(pool) = &self.behind {
            lock(&pool.lives).retain(|live| stays(live));
        }
    }
}

impl Pool {
    /// At most `most` servers at once.
    pub(super) fn new(launch: Launch, most: usize) -> Self {
        Self { launch, permits: Arc::new(Semaphore::new(most)), lives: Mutex::default() }
    }

    /// Room for one more server; where there is none, one that is not used goes.
    pub(super) fn permit(&self, place: &Place) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        let spare = {
            let mut lives = lock(&self.lives);
            let spare = lives.iter().position(|live| live.is_idle() && live.unused() > SETTLED);
            spare.map(|at| lives.swap_remove(at))
        };
        if spare.is_none() {
            place.make_room();
        }
        drop(spare);
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Keeps a server for further requests that stand for themselves.
    pub(super) fn add(&self, live: &Arc<Live>) {
        lock(&self.lives).push(Arc::clone(live));
    }

    /// A server of the grant without any request, and the way for an answer.
    pub(super) fn free(&self, seat: &Arc<Seat>, asks: Option<&Asks>) -> Option<Found> {
        self.find(seat, asks, true)
    }

    /// A server of the grant whose requests are not to be confused with this one.
    pub(super) fn shared(&self, seat: &Arc<Seat>, asks: Option<&Asks>) -> Option<Found> {
        self.find(seat, asks, false)
    }

    fn find(&self, seat: &Arc<Seat>, asks: Option<&Asks>, alone: bool) -> Option<Found> {
        let mut lives = lock(&self.lives);
        lives.retain(|live| live.is_there());
        for live in lives.iter().filter(|live| Arc::ptr_eq(&live.seat, seat)) {
            let Some(own) = live.own.get() else { continue };
            let Some(asks) = asks else {
                live.touch();
                return Some((Arc::clone(live), None));
            };
            // One that was cancelled may still be answered.
            if (alone && !own.routes.is_free()) || live.conversation.session().in_flight(&asks.id) {
                continue;
            }
            if let Some(answers) = own.routes.open(asks) {
                live.touch();
                return Some((Arc::clone(live), Some(answers)));
            }
        }
        None
    }
}
