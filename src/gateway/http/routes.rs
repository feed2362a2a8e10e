//! Where a stdio server's messages go once it stands behind HTTP: on stdio they come one after
//! another, over HTTP each belongs on the answer to a request, or on the session's own stream.
//!
//! | message | goes |
//! |---|---|
//! | an answer | to the request that it answers |
//! | progress | to the request that gave the token |
//! | of a subscription | to the `subscriptions/listen` that it names |
//! | a change of a list or a resource | on the session's own stream |
//! | anything else | to the only request in flight; else on the session's own stream; where there is none, to the oldest request |
//!
//! Where none of these is open, a message waits for the session's own stream. Free of I/O but for
//! the channels.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::gateway::call::conversation::ToClient;
use crate::gateway::lock;
use crate::json::{self, Node};
use crate::mcp::id::{Id, IdKey};
use crate::mcp::server::ServerMessage;

/// How many messages wait for a client that reads slowly; then its server waits.
const WAITING: usize = 64;
/// How much waits for a stream that is not open: messages, and bytes.
const KEPT: usize = 256;
const KEPT_BYTES: usize = 1024 * 1024;

/// What goes onto the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A message before the answer.
    Message(Vec<u8>),
    /// The answer.
    Answer(Vec<u8>),
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    id: IdKey,
    /// The token that its progress is told by.
    progress: Option<IdKey>,
    /// Its client takes more than the answer.
    events: bool,
    sender: mpsc::Sender<Said>,
}

/// The open ends of one session.
#[derive(Debug, Default)]
pub(super) struct Routes {
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    waiting: Vec<Waiting>,
    stream: Option<mpsc::Sender<Said>>,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    gone: bool,
}

/// What a request that is sent on says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asks {
    pub(super) id: IdKey,
    pub(super) progress: Option<IdKey>,
    pub(super) events: bool,
}

/// Where one message goes.
#[derive(Debug)]
pub(super) enum Way {
    /// Through this channel, as this.
    To(mpsc::Sender<Said>, Said),
    /// It waits, or nobody asked for it.
    Nowhere,
    /// A request of the server that no client will ever see: what it is answered with.
    Refused(Vec<u8>),
}

impl Routes {
    /// Opens a way for the answer to a request. `None`: one with this id or this token is open, or
    /// the server is gone.
    pub(super) fn open(&self, asks: &Asks) -> Option<mpsc::Receiver<Said>> {
        let mut ends = lock(&self.ends);
        let taken = ends.waiting.iter().any(|waiting| {
            waiting.id == asks.id || (asks.progress.is_some() && waiting.progress == asks.progress)
        });
        if taken || ends.gone {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let Asks { id, progress, events } = asks.clone();
        ends.waiting.push(Waiting { id, progress, events, sender });
        Some(receiver)
    }

    /// Nobody waits for this answer any more.
    pub(super) fn close(&self, id: &IdKey) {
        lock(&self.ends).waiting.retain(|waiting| waiting.id != *id);
    }

    /// Opens the session's own stream; the one before ends. What waited comes first.
    pub(super) fn listen(&self) -> mpsc::Receiver<Said> {
        let mut ends = lock(&self.ends);
        let (sender, receiver) = mpsc::channel(WAITING + KEPT);
        ends.kept_bytes = 0;
        for message in ends.kept.drain(..) {
            let _ = sender.try_send(Said::Message(message));
        }
        ends.stream = (!ends.gone).then_some(sender);
        receiver
    }

    /// Whether no request waits and no stream is open.
    pub(super) fn is_idle(&self) -> bool {
        let ends = lock(&self.ends);
        ends.waiting.is_empty() && ends.stream.as_ref().is_none_or(mpsc::Sender::is_closed)
    }

    /// Whether no request waits.
    pub(super) fn is_free(&self) -> bool {
        lock(&self.ends).waiting.is_empty()
    }

    /// Whether the server is gone.
    pub(super) fn is_gone(&self) -> bool {
        lock(&self.ends).gone
    }

    /// The server is gone: every stream ends.
    pub(super) fn end(&self) {
        let mut ends = lock(&self.ends);
        ends.gone = true;
        ends.waiting.clear();
        ends.stream = None;
        ends.kept.clear();
    }

    /// Where a message of the server goes.
    pub(super) fn way(&self, kind: &ServerMessage, message: &[u8]) -> Way {
        match kind {
            ServerMessage::Response(response) => {
                let mut ends = lock(&self.ends);
                let at = response
                    .id
                    .as_ref()
                    .and_then(|id| ends.waiting.iter().position(|waiting| waiting.id == id.key));
                match at {
                    Some(at) => {
                        let waiting = ends.waiting.remove(at);
                        Way::To(waiting.sender, Said::Answer(message.to_vec()))
                    }
                    None => Way::Nowhere,
                }
            }
            ServerMessage::Notification { method } => self.notification(method, message),
            ServerMessage::Request { id, .. } => match self.related(message, false) {
                Way::Nowhere => Way::Refused(crate::mcp::reply::error(
                    Some(&id.raw),
                    crate::mcp::reply::INTERNAL_ERROR,
                    "there is no client that could answer",
                )),
                way => way,
            },
            ServerMessage::Batch(_) | ServerMessage::Blank | ServerMessage::NotJsonRpc => Way::Nowhere,
        }
    }

    fn notification(&self, method: &str, message: &[u8]) -> Way {
        let about = about(method, message);
        let said = || Said::Message(message.to_vec());
        let ends = lock(&self.ends);
        match about {
            About::Progress(token) => match ends
                .waiting
                .iter()
                .find(|waiting| waiting.events && token.is_some() && waiting.progress == token)
            {
                Some(waiting) => Way::To(waiting.sender.clone(), said()),
                None => Way::Nowhere,
            },
            About::Subscription(id) => match ends.waiting.iter().find(|waiting| waiting.id == id) {
                Some(waiting) => Way::To(waiting.sender.clone(), said()),
                None => Way::Nowhere,
            },
            About::Session => {
                drop(ends);
                self.session_wide(message)
            }
            About::Unknown => {
                drop(ends);
                self.related(message, true)
            }
        }
    }

    /// On the session's own stream, or kept for it.
    fn session_wide(&self, message: &[u8]) -> Way {
        let mut ends = lock(&self.ends);
        if let Some(stream) = ends.stream.as_ref().filter(|stream| !stream.is_closed()) {
            return Way::To(stream.clone(), Said::Message(message.to_vec()));
        }
        ends.keep(message);
        Way::Nowhere
    }

    /// Where the client listens that it most likely belongs to; else `kept` for the stream.
    fn related(&self, message: &[u8], kept: bool) -> Way {
        let mut ends = lock(&self.ends);
        let said = || Said::Message(message.to_vec());
        if let [only] = ends.waiting.as_slice()
            && only.events
        {
            return Way::To(only.sender.clone(), said());
        }
        if let Some(stream) = ends.stream.as_ref().filter(|stream| !stream.is_closed()) {
            return Way::To(stream.clone(), said());
        }
        if let Some(oldest) = ends.waiting.iter().find(|waiting| waiting.events) {
            return Way::To(oldest.sender.clone(), said());
        }
        if kept {
            ends.keep(message);
        }
        Way::Nowhere
    }
}

impl Ends {
    /// Keeps a message for the stream; where there is no room, the oldest goes.
    fn keep(&mut self, message: &[u8]) {
        self.kept_bytes += message.len();
        self.kept.push_back(message.to_vec());
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.kept_bytes -= oldest.len();
        }
    }
}

impl ToClient for Arc<Routes> {
    fn say(&self, message: &[u8], about: Option<&IdKey>) {
        let way = match about {
            None => self.session_wide(message),
            Some(id) => match lock(&self.ends).waiting.iter().find(|waiting| waiting.id == *id) {
                Some(waiting) if waiting.events => {
                    Way::To(waiting.sender.clone(), Said::Message(message.to_vec()))
                }
                _ => Way::Nowhere,
            },
        };
        if let Way::To(sender, said) = way {
            let _ = sender.try_send(said);
        }
    }
}

/// What a notification is about.
enum About {
    Progress(Option<IdKey>),
    Subscription(IdKey),
    Session,
    Unknown,
}

fn about(method: &str, message: &[u8]) -> About {
    let Ok(text) = std::str::from_utf8(message) else { return About::Unknown };
    let Ok(parsed) = json::parse(text) else { return About::Unknown };
    let params = parsed.root.get("params");
    let id = |node: Option<&Node<'_>>| node.and_then(|node| Id::from_node(node, text)).map(|id| id.key);
    if method == "notifications/progress" {
        return About::Progress(id(params.and_then(|params| params.get("progressToken"))));
    }
    let subscription =
        params.and_then(|params| params.get("_meta")?.get("io.modelcontextprotocol/subscriptionId"));
    if let Some(id) = id(subscription) {
        return About::Subscription(id);
    }
    let session = method.ends_with("/list_changed")
        || matches!(method, "notifications/resources/updated" | "notifications/elicitation/complete");
    if session { About::Session } else { About::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::server::peek_server;

    fn key(id: &str) -> IdKey {
        Id::from_json(id.as_bytes()).unwrap().key
    }

    fn asks(id: &str, progress: Option<&str>, events: bool) -> Asks {
        Asks { id: key(id), progress: progress.map(key), events }
    }

    /// Sends a message on its way; what kind of way that was.
    fn route(routes: &Routes, message: &str) -> &'static str {
        match routes.way(&peek_server(message.as_bytes()), message.as_bytes()) {
            Way::To(sender, said) => {
                sender.try_send(said).unwrap();
                "to"
            }
            Way::Nowhere => "nowhere",
            Way::Refused(_) => "refused",
        }
    }

    fn next(receiver: &mut mpsc::Receiver<Said>) -> String {
        match receiver.try_recv() {
            Ok(Said::Message(message)) => String::from_utf8(message).unwrap(),
            Ok(Said::Answer(answer)) => format!("answer {}", String::from_utf8(answer).unwrap()),
            Err(_) => String::new(),
        }
    }

    #[test]
    fn each_message_goes_where_it_belongs() {
        let routes = Routes::default();
        let mut one = routes.open(&asks("1", Some("\"t\""), true)).unwrap();
        let mut two = routes.open(&asks("\"1\"", Some("7"), true)).unwrap();
        assert!(routes.open(&asks("1.0", None, true)).is_none(), "an id is open once");
        assert!(routes.open(&asks("3", Some("7.0"), true)).is_none(), "a token too");
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        assert_eq!(route(&routes, progress), "to");
        assert_eq!(next(&mut two), progress);
        let listed = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#;
        route(&routes, listed);
        assert_eq!(next(&mut one), listed);
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        assert_eq!(route(&routes, changed), "nowhere", "it waits");
        let mut stream = routes.listen();
        assert_eq!(next(&mut stream), changed);
        let ask = r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#;
        route(&routes, ask);
        assert_eq!(next(&mut stream), ask, "which request it belongs to cannot be told");
        let answer = r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#;
        route(&routes, answer);
        assert_eq!(next(&mut one), format!("answer {answer}"));
        route(&routes, ask);
        assert_eq!(next(&mut two), ask, "now it can");
        assert_eq!(route(&routes, answer), "nowhere", "an answer answers once");
    }

    #[test]
    fn a_request_that_nobody_sees_is_refused() {
        let routes = Routes::default();
        let ask = r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#;
        assert_eq!(route(&routes, ask), "refused");
        let _one = routes.open(&asks("1", None, false)).unwrap();
        assert_eq!(route(&routes, ask), "refused", "its client takes only the answer");
    }

    #[test]
    fn what_waits_is_bounded() {
        let routes = Routes::default();
        for number in 0..1000 {
            let message =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"n":{number}}}}}"#);
            assert_eq!(route(&routes, &message), "nowhere");
        }
        let mut stream = routes.listen();
        assert!(next(&mut stream).contains("744"), "the oldest went");
        let mut count = 1;
        while !next(&mut stream).is_empty() {
            count += 1;
        }
        assert_eq!(count, 256);
    }
}
