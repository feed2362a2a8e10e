//! One client's session with one server, as data: which requests are in flight, what an answer
//! means for the call it answers, and what both sides have to be told.
//!
//! Free of I/O: what the client or the server said comes in as values, and what has to be done
//! goes out as values. The transport forwards the bytes, asks the store and writes the journal.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::gateway::span::Span;
use crate::mcp::id::{Id, IdKey};
use crate::policy::counter::Taken;
use crate::record::Status;

/// How many cancelled requests are remembered: their answers may still come, or never.
const CANCELLED: usize = 1024;

/// What a request of the client asks for, as far as a session cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// `tools/call`, decided and allowed.
    Call(Call),
    /// `tools/list`
    List {
        /// Whether it is the first page: no cursor was given.
        first: bool,
    },
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `subscriptions/listen`, and whether for changes of the tool list.
    Listen {
        /// `notifications.toolsListChanged`
        tools: bool,
    },
    /// Anything else.
    Other,
}

impl Asks {
    /// What a method other than `tools/call` asks for. `first` and `tools` are as in
    /// [`Asks::List`] and [`Asks::Listen`]. `tools/list` in another case is a list too: a server
    /// that takes it for one would show what is hidden.
    pub fn of(method: &str, first: bool, tools: bool) -> Self {
        match method {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "subscriptions/listen" => Self::Listen { tools },
            _ if method.eq_ignore_ascii_case("tools/list") => Self::List { first },
            _ => Self::Other,
        }
    }
}

/// An allowed call on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    /// The `seq` of its decision; 0 until that is recorded.
    pub decision: u64,
    /// What was counted for it.
    pub taken: Vec<Taken>,
    /// When it was forwarded, in microseconds of a clock that never steps back.
    pub sent_us: u64,
    /// The operation, where its server may want a further round of it.
    pub operation: Option<Box<Operation>>,
    /// What is told of it, where traces are.
    pub span: Option<Box<Span>>,
}

/// What makes a further round the same operation, besides the server's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The tool's name.
    pub tool: String,
    /// SHA-256 of the canonical arguments.
    pub args_sha256: String,
}

/// What an answer of the server says, as far as a session cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The code of a JSON-RPC error.
    pub error: Option<i64>,
    /// The result says `isError: true`.
    pub is_error: bool,
    /// The result holds a `tools` array.
    pub has_tools: bool,
    /// The size of the message in bytes.
    pub bytes: u64,
    /// The result says that a further round is needed.
    pub input_required: bool,
}

/// What the transport does with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// It passes untouched.
    Pass,
    /// It is a list: hidden tools are cut out, where there are any, and its names are remembered.
    List {
        /// Which page: `Some(true)` the first, `Some(false)` a later one, `None` of no known list.
        first: Option<bool>,
    },
    /// It says what the server can do: [`Listing::advertises`](super::listing::Listing::advertises)
    /// wants to know.
    Capabilities,
}

/// A call that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The `seq` of its decision.
    pub decision: u64,
    /// How.
    pub status: Status,
    /// The JSON-RPC error code.
    pub code: Option<i64>,
    /// From forwarding it to its answer, in microseconds.
    pub upstream_us: u64,
    /// The answer's size.
    pub bytes: u64,
    /// What is to be given back to the store, before the answer is passed on.
    pub release: Vec<Taken>,
    /// What is told of it, where traces are.
    pub span: Option<Box<Span>>,
}

/// What to do about an answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// With the answer itself.
    pub relay: Relay,
    /// The call that it ends.
    pub ended: Option<Ended>,
    /// The operation of which the server wants a further round: to be remembered before the answer
    /// is passed on.
    pub round: Option<Operation>,
}

/// What is left when the server is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// Requests that will never be answered, by their ids as spelt; in the order they came.
    pub unanswered: Vec<String>,
    /// Calls whose outcome will never be known.
    pub lost: Vec<Ended>,
}

#[derive(Debug, Clone)]
struct Pending {
    raw: String,
    asks: Asks,
    /// Counts requests, for the order.
    number: u64,
    /// Whether it may have reached the server. An answer before that is no answer to it.
    sent: bool,
    /// A call that waits for a person; it may be cancelled before it was sent.
    held: bool,
    cancelled: bool,
}

/// One client's session with one server.
#[derive(Debug, Default)]
pub struct Session {
    pending: HashMap<IdKey, Pending>,
    requests: u64,
    cancelled: VecDeque<(IdKey, u64)>,
    client: Option<String>,
    gone: bool,
    initialized: bool,
}

/// Whether an error code says that the tool did not run, so that what was counted is given back.
/// Servers report -32602 and -32603 after the tool has run.
pub fn gives_back(code: i64) -> bool {
    matches!(code, -32700 | -32600 | -32601 | -32022..=-32020)
}

impl Session {
    /// A session in which nothing was said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the server is gone: nothing can be forwarded any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// How many requests are in flight.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Whether a request with this id is in flight. One that was cancelled still is: its answer
    /// could come and be taken for another's.
    pub fn in_flight(&self, id: &IdKey) -> bool {
        self.pending.contains_key(id)
    }

    /// Takes note of a request that is to be forwarded. `false`, and nothing is changed, when its
    /// id is in flight: the request must be refused.
    #[must_use]
    pub fn open(&mut self, id: Id, asks: Asks) -> bool {
        let Entry::Vacant(free) = self.pending.entry(id.key) else { return false };
        self.requests += 1;
        let number = self.requests;
        free.insert(Pending { raw: id.raw, asks, number, sent: false, held: false, cancelled: false });
        true
    }

    /// Takes note of a call that is held. `false`, and nothing is changed, when its id is in flight.
    #[must_use]
    pub fn hold(&mut self, id: Id) -> bool {
        let key = id.key.clone();
        let opened = self.open(id, Asks::Call(Call::default()));
        if opened && let Some(pending) = self.pending.get_mut(&key) {
            pending.held = true;
        }
        opened
    }

    /// Whether a held call was cancelled, or is held no longer.
    pub fn is_cancelled(&self, id: &IdKey) -> bool {
        self.pending.get(id).is_none_or(|pending| !pending.held || pending.cancelled)
    }

    /// A held call ends without having been sent. Gives its id as spelt when it is still to be
    /// answered.
    pub fn drop_held(&mut self, id: &IdKey) -> Option<String> {
        if !self.pending.get(id).is_some_and(|pending| pending.held) {
            return None;
        }
        self.pending.remove(id).filter(|pending| !pending.cancelled).map(|pending| pending.raw)
    }

    /// A held call goes on: it is being written to the server now.
    ///
    /// # Errors
    /// When it must not go on: it was cancelled meanwhile (`None`), or the server is gone, and it is
    /// still to be answered (its id as spelt).
    pub fn resume(&mut self, id: &IdKey, call: Call, now_us: u64) -> Result<(), Option<String>> {
        if self.gone || self.is_cancelled(id) {
            return Err(self.drop_held(id));
        }
        let decision = call.decision;
        if let Some(pending) = self.pending.get_mut(id) {
            pending.held = false;
            pending.asks = Asks::Call(call);
        }
        self.sending(id, decision, now_us);
        Ok(())
    }

    /// The request is being written to the server; `decision` is the `seq` of a call's decision.
    pub fn sending(&mut self, id: &IdKey, decision: u64, now_us: u64) {
        if let Some(pending) = self.pending.get_mut(id) {
            pending.sent = true;
            if let Asks::Call(call) = &mut pending.asks {
                call.decision = decision;
                call.sent_us = now_us;
            }
        }
    }

    /// The request was never wholly written to the server. Gives its id as spelt and, for a call,
    /// what is to be given back; `None` when it was no longer in flight (then whoever ended it has
    /// answered it).
    pub fn withdraw(&mut self, id: &IdKey, now_us: u64) -> Option<(String, Option<Ended>)> {
        let pending = self.pending.remove(id)?;
        let ended = match pending.asks {
            Asks::Call(mut call) if !pending.cancelled => {
                let release = std::mem::take(&mut call.taken);
                Some(Ended { release, ..ended(call, Status::Lost, now_us) })
            }
            _ => None,
        };
        Some((pending.raw, ended))
    }

    /// A request ends without an answer that could be read: its transport broke off, or said so
    /// itself. `give_back`: the tool did not run. Gives the id as spelt and how a call ended; `None`
    /// when it is no longer in flight.
    pub fn close(
        &mut self,
        id: &IdKey,
        status: Status,
        give_back: bool,
        now_us: u64,
    ) -> Option<(String, Option<Ended>)> {
        let pending = self.pending.remove(id)?;
        let ended = match pending.asks {
            Asks::Call(mut call) if !pending.cancelled => {
                let release = if give_back { std::mem::take(&mut call.taken) } else { Vec::new() };
                Some(Ended { release, ..ended(call, status, now_us) })
            }
            _ => None,
        };
        Some((pending.raw, ended))
    }

    /// The client cancelled a request. A call ends by it; it may have run, so it stays counted.
    pub fn cancel(&mut self, id: &IdKey, now_us: u64) -> Option<Ended> {
        let pending = self.pending.get_mut(id)?;
        if pending.held {
            // Whoever holds it finds it cancelled, and ends it.
            pending.cancelled = true;
            return None;
        }
        if !pending.sent || std::mem::replace(&mut pending.cancelled, true) {
            return None;
        }
        let ended = match &mut pending.asks {
            Asks::Call(call) => Some(ended(std::mem::take(call), Status::Cancelled, now_us)),
            // Cancelling is how a client ends a subscription.
            Asks::Listen { tools } => {
                *tools = false;
                None
            }
            _ => None,
        };
        self.cancelled.push_back((id.clone(), pending.number));
        if self.cancelled.len() > CANCELLED
            && let Some((oldest, number)) = self.cancelled.pop_front()
            && self.pending.get(&oldest).is_some_and(|pending| pending.number == number)
        {
            self.pending.remove(&oldest);
        }
        ended
    }

    /// The server answered. `id` is `None` where the answer has none that can be read.
    pub fn answered(&mut self, id: Option<&IdKey>, answer: Answer, now_us: u64) -> Answered {
        let known = match id.and_then(|id| self.pending.remove_entry(id)) {
            Some((id, pending)) if !pending.sent => {
                self.pending.insert(id, pending);
                None
            }
            known => known.map(|(_, pending)| pending),
        };
        let Some(pending) = known else {
            // It answers nothing that was asked; a list in it must show nothing that is hidden.
            let relay = if answer.has_tools { Relay::List { first: None } } else { Relay::Pass };
            return Answered { relay, ended: None, round: None };
        };
        let failed = answer.error.is_some();
        let relay = match &pending.asks {
            // A message that is an error and a result at once is read as the one that shows more.
            Asks::List { first } if !failed || answer.has_tools => Relay::List { first: Some(*first) },
            Asks::Initialize | Asks::Discover if !failed => {
                self.initialized |= pending.asks == Asks::Initialize;
                Relay::Capabilities
            }
            _ => Relay::Pass,
        };
        let mut round = None;
        let ended = match pending.asks {
            Asks::Call(mut call) if !pending.cancelled => {
                if answer.input_required && !failed {
                    round = call.operation.take().map(|operation| *operation);
                }
                let status = match answer {
                    Answer { error: Some(_), .. } => Status::RpcError,
                    Answer { is_error: true, .. } => Status::ToolError,
                    _ => Status::Ok,
                };
                let release = if answer.error.is_some_and(gives_back) {
                    std::mem::take(&mut call.taken)
                } else {
                    Vec::new()
                };
                let bytes = answer.bytes;
                Some(Ended { code: answer.error, bytes, release, ..ended(call, status, now_us) })
            }
            _ => None,
        };
        Answered { relay, ended, round }
    }

    /// The server is gone: nothing in flight will be answered by it.
    pub fn server_gone(&mut self, now_us: u64) -> Left {
        self.gone = true;
        let mut left = Left::default();
        let mut pending: Vec<_> =
            self.pending.extract_if(|_, pending| pending.sent).map(|(_, pending)| pending).collect();
        pending.sort_by_key(|pending| pending.number);
        for pending in pending {
            if pending.cancelled {
                continue;
            }
            left.unanswered.push(pending.raw);
            if let Asks::Call(call) = pending.asks {
                left.lost.push(ended(call, Status::Lost, now_us));
            }
        }
        left
    }

    /// Takes note of what the client says of itself.
    pub fn introduce(&mut self, client: Option<String>) {
        if client.is_some() {
            self.client = client;
        }
    }

    /// The client's own name and version, as it claims them.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// What the client is to be told when other tools are visible than before, each one message
    /// without its line feed: one notification in a session with `initialize`, and one for each
    /// subscription to them, with the id of the request that subscribed. Only for servers that say
    /// that they tell such changes, which the [`Listing`](super::listing::Listing) knows.
    pub fn visibility_changed(&self) -> Vec<(Option<IdKey>, Vec<u8>)> {
        let mut messages = Vec::new();
        if self.initialized {
            messages.push((None, crate::mcp::reply::list_changed()));
        }
        let mut streams: Vec<(&IdKey, &Pending)> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.sent && pending.asks == Asks::Listen { tools: true })
            .collect();
        streams.sort_by_key(|(_, pending)| pending.number);
        messages.extend(streams.into_iter().map(|(id, pending)| {
            let message = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}}}}}"#,
                pending.raw
            );
            (Some(id.clone()), message.into_bytes())
        }));
        messages
    }

    /// How many requests are in flight.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

fn ended(call: Call, status: Status, now_us: u64) -> Ended {
    Ended {
        decision: call.decision,
        status,
        code: None,
        upstream_us: if call.sent_us == 0 { 0 } else { now_us.saturating_sub(call.sent_us) },
        bytes: 0,
        release: Vec::new(),
        span: call.span,
    }
}

#[cfg(test)]
mod tests;
