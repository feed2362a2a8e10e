//! What is said with a server to get its list, without any I/O: messages in, messages out.
//!
//! Both eras: `server/discover` (2026-07-28) is asked first, and `initialize` where the server
//! does not know it or stays silent. The tools are kept as the server spelt them; the official
//! SDK's types lose members that they do not know (`execution`, unknown annotations), and a saved
//! list or a pin must lose nothing.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The stateless revision.
pub(super) const MODERN: &str = "2026-07-28";
/// What is offered to servers with sessions.
const LEGACY: &str = "2025-11-25";
/// How many pages are followed.
const MAX_PAGES: usize = 1_000;
/// How many tools are taken.
const MAX_TOOLS: usize = 200_000;
/// How many bytes of lists are taken.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// How often a list is asked for again because the server says that it changed meanwhile.
const MAX_RESTARTS: usize = 3;

/// Where the talk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// `server/discover` is asked, nothing else.
    Discover,
    /// `initialize` is asked.
    Initialize,
    /// `tools/list` is asked; the page, from 1.
    List(usize),
    /// The list is whole.
    Done,
}

impl Step {
    /// What is waited for, for people.
    pub(super) fn name(self) -> String {
        match self {
            Self::Discover => "`server/discover`".to_owned(),
            Self::Initialize => "`initialize`".to_owned(),
            Self::List(1) | Self::Done => "`tools/list`".to_owned(),
            Self::List(page) => format!("`tools/list`, page {page}"),
        }
    }
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Understood; these are to be sent (often none).
    Send(Vec<String>),
    /// No JSON-RPC.
    Rubbish,
    /// The server refused, or answered what cannot be used: why.
    Refused(String),
}

/// The conversation.
#[derive(Debug)]
pub(super) struct Talk {
    step: Step,
    /// The id of the request that is waited for.
    waiting: u64,
    discover: Option<u64>,
    next_id: u64,
    modern: bool,
    /// The revision agreed by `initialize`.
    pub(super) version: Option<String>,
    tools: Vec<Box<RawValue>>,
    cursors: HashSet<String>,
    pages: usize,
    bytes: usize,
    restarts: usize,
    changed: bool,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Page {
    tools: Vec<Box<RawValue>>,
    #[serde(rename = "nextCursor", default)]
    next_cursor: Option<String>,
}

impl Talk {
    /// A new conversation, with its first messages.
    pub(super) fn start() -> (Self, Vec<String>) {
        let mut talk = Self {
            step: Step::Discover,
            waiting: 0,
            discover: None,
            next_id: 1,
            modern: false,
            version: None,
            tools: Vec::new(),
            cursors: HashSet::new(),
            pages: 0,
            bytes: 0,
            restarts: 0,
            changed: false,
        };
        talk.modern = true;
        let discover = talk.request("server/discover", json!({}));
        talk.modern = false;
        talk.discover = Some(talk.waiting);
        (talk, vec![discover])
    }

    /// Where it stands.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Whether the server speaks the stateless revision.
    pub(super) fn is_modern(&self) -> bool {
        self.modern
    }

    /// The list, when it is whole.
    pub(super) fn into_tools(self) -> Vec<Box<RawValue>> {
        self.tools
    }

    /// `server/discover` was refused by the transport, or is not answered for so long that the
    /// server may be of the kind that ignores it: `initialize` is asked as well.
    pub(super) fn fall_back(&mut self) -> Vec<String> {
        if self.step != Step::Discover {
            return Vec::new();
        }
        self.step = Step::Initialize;
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": capabilities(),
            "clientInfo": client_info(),
        });
        vec![self.request("initialize", params)]
    }

    /// A message of the server.
    pub(super) fn hear(&mut self, message: &str) -> Heard {
        let Ok(incoming) = serde_json::from_str::<Incoming<'_>>(message) else { return Heard::Rubbish };
        match (&incoming.method, &incoming.id) {
            (Some(method), Some(id)) => return Heard::Send(vec![answer(method, id)]),
            (Some(method), None) => {
                self.changed |= method == "notifications/tools/list_changed";
                return Heard::Send(Vec::new());
            }
            (None, _) => {}
        }
        if incoming.result.is_none() && incoming.error.is_none() {
            return Heard::Rubbish;
        }
        let id = incoming.id.as_ref().and_then(number);
        if id.is_some() && id == self.discover && matches!(self.step, Step::Discover | Step::Initialize) {
            return self.discovered(incoming.result);
        }
        if id != Some(self.waiting) {
            // An error without an id is about the only request in flight.
            let Some(error) = incoming.error.filter(|_| incoming.id.is_none_or(|id| id.is_null())) else {
                return Heard::Send(Vec::new());
            };
            if self.step == Step::Discover {
                return Heard::Send(self.fall_back());
            }
            return self.refused(&error);
        }
        if let Some(error) = incoming.error {
            return self.refused(&error);
        }
        let Some(result) = incoming.result else { return Heard::Rubbish };
        match self.step {
            Step::Initialize => self.initialized(result),
            Step::List(page) => self.listed(page, result),
            Step::Discover | Step::Done => Heard::Send(Vec::new()),
        }
    }

    fn discovered(&mut self, result: Option<&RawValue>) -> Heard {
        self.discover = None;
        let value: Value = result.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let versions = value.get("supportedVersions").and_then(Value::as_array);
        if versions.is_some_and(|versions| versions.iter().any(|version| version == MODERN)) {
            self.modern = true;
            return Heard::Send(vec![self.list(None)]);
        }
        Heard::Send(self.fall_back())
    }

    fn initialized(&mut self, result: &RawValue) -> Heard {
        let value: Value = serde_json::from_str(result.get()).unwrap_or_default();
        let Some(version) = value.get("protocolVersion").and_then(Value::as_str) else {
            return Heard::Refused("answered `initialize` without a `protocolVersion`".to_owned());
        };
        self.version = Some(version.to_owned());
        self.discover = None;
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        Heard::Send(vec![ready, self.list(None)])
    }

    fn listed(&mut self, page: usize, result: &RawValue) -> Heard {
        let found: Page = match serde_json::from_str(result.get()) {
            Ok(found) => found,
            Err(error) => {
                return Heard::Refused(format!("answered `tools/list` with something else: {error}"));
            }
        };
        self.tools.extend(found.tools);
        self.pages += 1;
        self.bytes += result.get().len();
        if self.bytes > MAX_BYTES || self.tools.len() > MAX_TOOLS || self.pages > MAX_PAGES {
            return Heard::Refused(format!(
                "lists without end: {} tools in {} pages so far",
                self.tools.len(),
                self.pages
            ));
        }
        // Some servers end with an empty cursor.
        if let Some(cursor) = found.next_cursor.filter(|cursor| !cursor.is_empty()) {
            if !self.cursors.insert(cursor.clone()) {
                return Heard::Refused(format!("gives the cursor `{cursor}` of `tools/list` a second time"));
            }
            self.step = Step::List(page + 1);
            return Heard::Send(vec![self.list(Some(cursor))]);
        }
        if self.changed && self.restarts < MAX_RESTARTS {
            self.restarts += 1;
            self.tools.clear();
            self.cursors.clear();
            return Heard::Send(vec![self.list(None)]);
        }
        self.step = Step::Done;
        Heard::Send(Vec::new())
    }

    fn refused(&self, error: &RpcError) -> Heard {
        let code = &error.code;
        if matches!(self.step, Step::List(_)) && code == &json!(-32601) {
            return Heard::Refused("offers no tools".to_owned());
        }
        Heard::Refused(format!("refused {} with {code}: {}", self.step.name(), error.message))
    }

    fn list(&mut self, cursor: Option<String>) -> String {
        let params = if let Some(cursor) = cursor {
            json!({"cursor": cursor})
        } else {
            self.step = Step::List(1);
            self.changed = false;
            json!({})
        };
        self.request("tools/list", params)
    }

    fn request(&mut self, method: &str, mut params: Value) -> String {
        self.waiting = self.next_id;
        self.next_id += 1;
        if self.modern
            && let Some(params) = params.as_object_mut()
        {
            params.insert(
                "_meta".to_owned(),
                json!({
                    "io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientInfo": client_info(),
                    "io.modelcontextprotocol/clientCapabilities": capabilities(),
                }),
            );
        }
        json!({"jsonrpc": "2.0", "id": self.waiting, "method": method, "params": params}).to_string()
    }
}

/// What a client can offer. Some servers list further tools to clients that offer more, and a
/// policy is written for the longest list.
fn capabilities() -> Value {
    json!({"roots": {}, "sampling": {}, "elicitation": {}})
}

fn client_info() -> Value {
    json!({"name": "callgate", "version": env!("CARGO_PKG_VERSION")})
}

/// The answer to what a server asks. Nothing that it could ask for is given away.
fn answer(method: &str, id: &Value) -> String {
    match method {
        "ping" => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
        "roots/list" => json!({"jsonrpc": "2.0", "id": id, "result": {"roots": []}}),
        _ => json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "callgate only lists tools"}}),
    }
    .to_string()
}

fn number(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(heard: Heard) -> Vec<Value> {
        match heard {
            Heard::Send(messages) => {
                messages.iter().map(|message| serde_json::from_str(message).expect("JSON")).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_old_server_is_listed_page_by_page() {
        let (mut talk, first) = Talk::start();
        assert!(first[0].contains("server/discover") && first[0].contains(MODERN));
        let next = sent(talk.hear(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}"#));
        assert_eq!(next[0]["method"], "initialize");
        assert!(next[0]["params"].get("_meta").is_none());
        let next = sent(talk.hear(r#"{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2024-11-05"}}"#));
        assert_eq!(next[0]["method"], "notifications/initialized");
        assert_eq!(next[1]["method"], "tools/list");
        let answer = sent(talk.hear(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#));
        assert_eq!(answer[0]["id"], "r");
        let next =
            sent(talk.hear(
                r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"a", "x":1.0}],"nextCursor":"c"}}"#,
            ));
        assert_eq!(next[0]["params"]["cursor"], "c");
        assert_eq!(talk.step(), Step::List(2));
        assert!(sent(talk.hear(r#"{"jsonrpc":"2.0","id":4,"result":{"tools":[]}}"#)).is_empty());
        assert_eq!(talk.step(), Step::Done);
        let tools = talk.into_tools();
        assert_eq!(tools[0].get(), r#"{"name":"a", "x":1.0}"#, "as the server spelt it");
    }

    #[test]
    fn a_new_server_needs_no_handshake() {
        let (mut talk, _) = Talk::start();
        let next =
            sent(talk.hear(r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}"#));
        assert_eq!(next.len(), 1);
        assert_eq!(next[0]["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], MODERN);
        assert!(talk.is_modern());
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[],"nextCursor":""}}"#));
        assert_eq!(talk.step(), Step::Done);
    }

    #[test]
    fn a_silent_server_is_asked_both_ways_and_the_later_answer_is_ignored() {
        let (mut talk, _) = Talk::start();
        assert!(talk.fall_back()[0].contains("initialize"));
        assert!(talk.fall_back().is_empty());
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18"}}"#));
        assert_eq!(talk.step(), Step::List(1));
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"late"}}"#));
        assert_eq!(talk.step(), Step::List(1));
    }

    #[test]
    fn loops_refusals_and_rubbish_are_told() {
        let (mut talk, _) = Talk::start();
        assert_eq!(talk.hear("No X display available"), Heard::Rubbish);
        assert_eq!(talk.hear("{}"), Heard::Rubbish);
        assert_eq!(talk.hear("[1]"), Heard::Rubbish);
        talk.fall_back();
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18"}}"#));
        let page =
            |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[],"nextCursor":"c"}}}}"#);
        sent(talk.hear(&page(3)));
        let Heard::Refused(why) = talk.hear(&page(4)) else { panic!("a loop") };
        assert!(why.contains("`c`"), "{why}");

        let (mut talk, _) = Talk::start();
        talk.fall_back();
        let Heard::Refused(why) =
            talk.hear(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"token missing"}}"#)
        else {
            panic!("a refusal")
        };
        assert!(why.contains("`initialize`") && why.contains("token missing"), "{why}");
    }

    #[test]
    fn a_list_that_changes_meanwhile_is_asked_for_again() {
        let (mut talk, _) = Talk::start();
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}"#));
        sent(talk.hear(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#));
        let again = sent(talk.hear(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a"}]}}"#));
        assert_eq!(again[0]["method"], "tools/list");
        sent(talk.hear(r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#));
        assert_eq!((talk.step(), talk.into_tools().len()), (Step::Done, 2));
    }
}
