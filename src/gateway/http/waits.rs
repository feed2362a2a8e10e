//! Calls of HTTP clients that wait for a person: what happens to each reaches the request that is
//! kept open for it, and a request that is let go ends its call.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use tokio::sync::{mpsc, watch};

use super::headers;
use crate::clock;
use crate::gateway::call::conversation::{Conversation, ToClient, ToServer};
use crate::gateway::call::held::HeldCall;
use crate::gateway::lock;
use crate::mcp::id::IdKey;
use crate::mcp::server::{ServerMessage, peek_server};

/// The requests of one conversation that are kept open for calls which wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: Mutex<Vec<Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    id: IdKey,
    state: Mutex<State>,
    /// Wakes the request; one that has not been heard yet is enough.
    changed: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest notification of progress; those before it are of no use any more.
    progress: Option<Vec<u8>>,
    end: Option<End>,
    /// The request is not open any more.
    gone: bool,
}

/// How waiting ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Answer(Vec<u8>),
    Approved,
    Cancelled,
}

/// What happens to a call that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Its client is told that it goes on.
    Progress(Vec<u8>),
    /// It has this answer, and nothing runs.
    Answer(Vec<u8>),
    /// It is to be sent on now.
    Approved,
    /// It has no answer: its client cancelled it.
    Cancelled,
    /// It has no answer: the grant is no more.
    Revoked,
}

/// A call that waits. When this is let go before the call has ended, its client is gone.
pub(super) struct Wait {
    waits: Arc<Waits>,
    slot: Arc<Slot>,
    changed: mpsc::Receiver<()>,
    conversation: Arc<Conversation>,
    revoked: watch::Receiver<bool>,
    /// As spelt.
    pub(super) raw_id: String,
    /// Its client is told by a stream how it goes on.
    pub(super) told: bool,
    over: bool,
}

impl Waits {
    fn find(&self, id: &IdKey) -> Option<Arc<Slot>> {
        // An id can be used again before the request before it has let go.
        lock(&self.open).iter().rev().find(|slot| slot.id == *id).cloned()
    }

    /// Tells whoever waits with this id. `false`: nobody does.
    pub(super) fn say(&self, message: &[u8], id: &IdKey) -> bool {
        let Some(slot) = self.find(id) else { return false };
        let answers = matches!(peek_server(message), ServerMessage::Response(_));
        slot.tell(|state| {
            if answers {
                state.end.get_or_insert_with(|| End::Answer(message.to_vec()));
            } else {
                state.progress = Some(message.to_vec());
            }
        })
    }

    /// A call has ended without an answer.
    pub(super) fn ended(&self, id: &IdKey) {
        if let Some(slot) = self.find(id) {
            slot.tell(|state| {
                state.end.get_or_insert(End::Cancelled);
            });
        }
    }
}

impl Slot {
    fn tell(&self, what: impl FnOnce(&mut State)) -> bool {
        let mut state = lock(&self.state);
        if state.gone {
            return false;
        }
        what(&mut state);
        drop(state);
        let _ = self.changed.try_send(());
        true
    }
}

impl ToServer for Arc<Waits> {
    /// The request that waits sends the call on: it has what came with it.
    fn forward(&self, _message: &[u8], request: &IdKey) -> bool {
        self.find(request).is_some_and(|slot| {
            slot.tell(|state| {
                state.end.get_or_insert(End::Approved);
            })
        })
    }
}

/// How a client is told: by the request that waits, else by what it has open besides.
pub(super) struct Voice<T> {
    pub(super) waits: Arc<Waits>,
    pub(super) open: T,
}

impl<T: ToClient> ToClient for Voice<T> {
    fn say(&self, message: &[u8], about: Option<&IdKey>) {
        if !about.is_some_and(|id| self.waits.say(message, id)) {
            self.open.say(message, about);
        }
    }

    fn ended(&self, request: &IdKey) {
        self.waits.ended(request);
    }
}

impl Wait {
    /// For a call that is about to be held; its client's `headers` say whether it takes a stream.
    /// Where it does not, it cannot be told of progress, and is not kept waiting for longer than one
    /// that did not ask for it.
    pub(super) fn new(
        waits: &Arc<Waits>,
        conversation: &Arc<Conversation>,
        held: &mut HeldCall,
        headers: &HeaderMap,
        revoked: watch::Receiver<bool>,
    ) -> Self {
        if !headers::accepts(headers, "text/event-stream") {
            held.hold.token = None;
        }
        let (sender, changed) = mpsc::channel(1);
        let slot = Arc::new(Slot { id: held.id.clone(), state: Mutex::default(), changed: sender });
        lock(&waits.open).push(Arc::clone(&slot));
        Self {
            waits: Arc::clone(waits),
            slot,
            changed,
            conversation: Arc::clone(conversation),
            revoked,
            raw_id: held.raw_id.clone(),
            told: held.hold.token.is_some(),
            over: false,
        }
    }

    /// The call's id.
    pub(super) fn id(&self) -> &IdKey {
        &self.slot.id
    }

    /// What happens next. After [`Next::Approved`] the call is the caller's to end.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            // What was approved for a grant that is no more does not run.
            if *self.revoked.borrow() {
                return Next::Revoked;
            }
            if let Some(next) = self.take() {
                return next;
            }
            tokio::select! {
                _ = self.changed.recv() => {}
                changed = self.revoked.changed() => {
                    if changed.is_err() {
                        return Next::Revoked;
                    }
                }
            }
        }
    }

    fn take(&mut self) -> Option<Next> {
        let mut state = lock(&self.slot.state);
        if let Some(end) = state.end.take() {
            state.gone = true;
            self.over = true;
            return Some(match end {
                End::Answer(answer) => Next::Answer(answer),
                End::Approved => Next::Approved,
                End::Cancelled => Next::Cancelled,
            });
        }
        state.progress.take().map(Next::Progress)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.waits.open).retain(|slot| !Arc::ptr_eq(slot, &self.slot));
        if self.over {
            return;
        }
        let end = {
            let mut state = lock(&self.slot.state);
            state.gone = true;
            state.end.take()
        };
        match end {
            // It was to be sent on, and nobody does.
            Some(End::Approved) => {
                let _ = self.conversation.never_sent(&self.slot.id);
            }
            Some(_) => {}
            None => {
                let mut session = self.conversation.session();
                if !session.is_cancelled(&self.slot.id) {
                    session.cancel(&self.slot.id, clock::tick() / 1000);
                }
            }
        }
    }
}
