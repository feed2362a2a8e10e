//! What a message of the server means, whatever it came over: the call that it answers ends, and a
//! list loses what is hidden. Everything else passes as the very bytes that it is.

use std::ops::Range;
use std::sync::Arc;

use super::conversation::Conversation;
use super::session::{self, Ended, Relay};
use crate::clock;
use crate::gateway::desk::ShownList;
use crate::json::{self, Value};
use crate::mcp::server::{Response, ServerMessage, peek_server};

/// The first message of a subscription: what of it the server agreed to (2026-07-28).
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Passes {
    /// The message as it is.
    Whole,
    /// This instead.
    Instead(Vec<u8>),
    /// These instead of a batch, one by one.
    Parts(Vec<Vec<u8>>),
    /// Nothing: it is no message.
    Nothing,
}

/// What follows from a message of the server.
#[derive(Default)]
pub(in crate::gateway) struct Afterwards {
    /// Calls that ended, each with whether its reservation was given back.
    pub(in crate::gateway) ended: Vec<(Ended, bool)>,
    /// Lists that were relayed.
    lists: Vec<ShownList>,
}

impl Conversation {
    /// Looks at a message of the server. What has to be given back is given back before this
    /// returns; what may follow once the message has gone on is collected in `afterwards`.
    /// `size` is what the outcome's record says of the answer's size, in bytes.
    pub(in crate::gateway) fn hear(
        &self,
        message: &[u8],
        size: usize,
        afterwards: &mut Afterwards,
    ) -> Passes {
        match peek_server(message) {
            ServerMessage::Response(response) => {
                let relay = self.answered(&response, size, afterwards);
                match self.relayed(message, relay, &response, afterwards) {
                    None => Passes::Whole,
                    Some(instead) => Passes::Instead(instead),
                }
            }
            ServerMessage::Notification { method } => {
                // Whoever never asked what the server can do is told by this.
                if method == ACKNOWLEDGED && says(message, &["params", "notifications", "toolsListChanged"]) {
                    self.listing().advertises(true);
                }
                Passes::Whole
            }
            ServerMessage::Request { .. } => Passes::Whole,
            ServerMessage::Batch(elements) => self.batch(message, &elements, afterwards),
            ServerMessage::Blank | ServerMessage::NotJsonRpc => Passes::Nothing,
        }
    }

    /// What may follow the answers: outcomes, and what a list tells the screens.
    pub(in crate::gateway) fn after(&self, afterwards: &mut Afterwards) {
        if !afterwards.ended.is_empty() {
            self.desk.recorder.outcomes(afterwards.ended.drain(..), clock::now());
        }
        for list in afterwards.lists.drain(..) {
            self.desk.show_list(list);
        }
    }

    fn answered(&self, response: &Response, size: usize, afterwards: &mut Afterwards) -> Relay {
        let answer = session::Answer {
            error: response.error,
            is_error: response.is_error,
            has_tools: response.result_has_tools,
            bytes: size as u64,
            input_required: response.input_required && !response.ambiguous,
        };
        let key = response.id.as_ref().map(|id| &id.key);
        let answered = self.session().answered(key, answer, clock::tick() / 1000);
        if let Some(operation) = answered.round {
            self.decider.remember(operation, response.request_state.as_deref());
        }
        if let Some(ended) = answered.ended {
            let released = self.desk.release(&ended.release);
            afterwards.ended.push((ended, released));
        }
        answered.relay
    }

    fn relayed(
        &self,
        message: &[u8],
        relay: Relay,
        response: &Response,
        afterwards: &mut Afterwards,
    ) -> Option<Vec<u8>> {
        match relay {
            Relay::Pass => None,
            Relay::Capabilities => {
                let advertised = advertises_changes(message);
                self.listing().advertises(advertised);
                None
            }
            Relay::List { first } => {
                let id = response.id.as_ref().map(|id| id.raw.as_str());
                let shown = super::lists::look(self, message, id, first);
                if let Some(first) = first.filter(|_| shown.is_list) {
                    afterwards.lists.push(ShownList {
                        server: self.decider.who.server.clone(),
                        conversation: self.number,
                        decider: Arc::downgrade(&self.decider),
                        first,
                        message: message.to_vec(),
                    });
                }
                shown.instead
            }
        }
    }

    /// Several messages at once, which servers of the 2025-03-26 era may send. They pass as they are
    /// unless something in them must be cut.
    fn batch(&self, message: &[u8], elements: &[Range<usize>], afterwards: &mut Afterwards) -> Passes {
        let mut parts = Vec::new();
        let mut cut = false;
        for element in elements {
            let bytes = message.get(element.clone()).unwrap_or_default();
            let ServerMessage::Response(response) = peek_server(bytes) else {
                parts.push(bytes.to_vec());
                continue;
            };
            let relay = self.answered(&response, bytes.len(), afterwards);
            let instead = self.relayed(bytes, relay, &response, afterwards);
            cut |= instead.is_some();
            parts.push(instead.unwrap_or_else(|| bytes.to_vec()));
        }
        if cut { Passes::Parts(parts) } else { Passes::Whole }
    }
}

/// Whether an answer to `initialize` or `server/discover` says that the server tells when its
/// tools change.
pub(in crate::gateway) fn advertises_changes(message: &[u8]) -> bool {
    says(message, &["result", "capabilities", "tools", "listChanged"])
}

/// Whether `true` stands at a place of a message.
fn says(message: &[u8], place: &[&str]) -> bool {
    let Ok(parsed) = json::parse_bytes(message) else { return false };
    let node = place.iter().try_fold(&parsed.root, |node, name| node.get(name));
    node.is_some_and(|node| matches!(node.value, Value::Bool(true)))
}
