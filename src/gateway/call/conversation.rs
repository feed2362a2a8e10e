//! One client's session with one server, over any transport: the pure [`Session`], whose calls are
//! decided by whom, and how the client is told what it did not ask for.
//!
//! On stdio there is one. Over HTTP there is one for each `Mcp-Session-Id`, and in the stateless
//! era one for each request.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use super::decider::{Decider, InForce};
use super::held::HeldCalls;
use super::listing::Listing;
use super::session::Session;
use crate::gateway::desk::Desk;
use crate::gateway::lock;
use crate::mcp::id::IdKey;

/// How a client is told what is no answer of its server: each transport has its own way.
pub(in crate::gateway) trait ToClient: Send + Sync {
    /// Sends one message, without a line feed. `about` is the request on whose stream it belongs;
    /// without one it belongs to the session as a whole. Must not wait for a client that is slow
    /// for longer than the transport's own deadline.
    fn say(&self, message: &[u8], about: Option<&IdKey>);

    /// A request that waited here has ended and gets no answer: it was cancelled.
    fn ended(&self, _request: &IdKey) {}
}

/// How an approved call goes on to its server: each transport has its own way.
pub(in crate::gateway) trait ToServer: Send + Sync {
    /// Writes one message, without a line feed, as the very bytes that it is. `false`: it did not
    /// reach the server as a whole.
    fn forward(&self, message: &[u8], request: &IdKey) -> bool;
}

/// One client's session with one server.
pub(in crate::gateway) struct Conversation {
    pub(in crate::gateway) desk: Arc<Desk>,
    pub(in crate::gateway) decider: Arc<Decider>,
    /// Tells it from others in this process.
    pub(in crate::gateway) number: u64,
    id: OnceLock<String>,
    session: Mutex<Session>,
    listing: Arc<Mutex<Listing>>,
    client: Box<dyn ToClient>,
    /// Where calls can be held until a person has approved them.
    server: OnceLock<Box<dyn ToServer>>,
    pub(in crate::gateway) held: HeldCalls,
    /// Itself: the desk keeps it alive while calls of it wait.
    pub(in crate::gateway) me: Weak<Self>,
}

impl Conversation {
    /// A conversation in which nothing was said. `listing` is its own, or that of all stateless
    /// requests of the grant.
    pub(in crate::gateway) fn new(
        desk: Arc<Desk>,
        decider: Arc<Decider>,
        listing: Arc<Mutex<Listing>>,
        client: Box<dyn ToClient>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            number: desk.number_conversation(),
            desk,
            decider,
            id: OnceLock::new(),
            session: Mutex::new(Session::new()),
            listing,
            client,
            server: OnceLock::new(),
            held: HeldCalls::default(),
            me: Weak::clone(me),
        })
    }

    /// Calls that need an approval are held from now on: approved ones go on this way. Without it
    /// they are denied at once, and their questions stay open.
    pub(in crate::gateway) fn may_hold(&self, server: Box<dyn ToServer>) {
        let _ = self.server.set(server);
    }

    /// See [`Conversation::may_hold`].
    pub(in crate::gateway) fn server(&self) -> Option<&dyn ToServer> {
        self.server.get().map(AsRef::as_ref)
    }

    /// The session's id, once it is known: calls are counted and recorded under it.
    pub(in crate::gateway) fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }

    /// The session has this id. Only the first one counts.
    pub(in crate::gateway) fn named(&self, id: impl Into<String>) {
        let _ = self.id.set(id.into());
    }

    pub(in crate::gateway) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    pub(in crate::gateway) fn listing(&self) -> MutexGuard<'_, Listing> {
        lock(&self.listing)
    }

    /// See [`ToClient::say`].
    pub(in crate::gateway) fn say(&self, message: &[u8], about: Option<&IdKey>) {
        self.client.say(message, about);
    }

    /// See [`ToClient::ended`].
    pub(in crate::gateway) fn ended(&self, request: &IdKey) {
        self.client.ended(request);
    }

    /// Another policy is in force than `before`: tells the client where that changes what it sees.
    pub(in crate::gateway) fn visibility_may_differ(&self, before: Option<&InForce>, now: Option<&InForce>) {
        let hides = |policy: Option<&InForce>| policy.is_some_and(|now| now.compiled.hides_anything());
        if !hides(before) && !hides(now) {
            return;
        }
        let visible =
            |policy: Option<&InForce>, tool: &str| policy.is_none_or(|now| now.compiled.visible(tool));
        let differs = {
            let listing = self.listing();
            listing.is_advertised()
                && listing.sees_otherwise(&|tool| visible(before, tool), &|tool| visible(now, tool))
        };
        if !differs {
            return;
        }
        let messages = self.session().visibility_changed();
        for (about, message) in messages {
            self.say(&message, about.as_ref());
        }
    }
}
