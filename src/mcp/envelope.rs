//! What a client sends: one JSON-RPC message, looked at in place before its very bytes go on.
//!
//! The gateway decides on these bytes and another parser acts on them, so [`peek`] refuses
//! whatever two parsers could read differently: see the rules at each [`Refusal`]. What passes
//! means the same to a first-wins, a last-wins and a case-insensitive reader, to one that ends
//! lines at a carriage return, and to one that reads a stream instead of lines.

use std::borrow::Cow;

use memchr::memchr2;

use super::id::Id;
use super::reply::{INVALID_REQUEST, PARSE_ERROR};
use super::scan;
use crate::json::{self, Member, Node, ParseErrorKind, Value, fold};

/// The method that the policy is about.
pub const TOOLS_CALL: &str = "tools/call";
/// The member of `_meta` that only messages of the 2026-07-28 era carry.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

const TOP: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS: [&str; 3] = ["name", "arguments", "_meta"];

/// How much of a foreign name an error message repeats, in characters.
const QUOTED: usize = 64;

/// Bounds on what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in bytes without its line end (`--max-message`).
    pub max_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 10 * 1024 * 1024 }
    }
}

/// One line of input.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// Only white space: dropped in silence.
    Blank,
    /// A message that every parser reads alike.
    Message(Message<'a>),
}

/// A message that every parser reads alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// `params`, where there are any.
    pub params: Option<Node<'a>>,
    text: &'a str,
}

/// The three kinds of JSON-RPC messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Asks for an answer.
    Request {
        /// Its id.
        id: Id,
        /// Its method.
        method: Cow<'a, str>,
    },
    /// Asks for none.
    Notification {
        /// Its method.
        method: Cow<'a, str>,
    },
    /// Answers a request of the server.
    Response {
        /// The id of the server's request; `None` is `null`, which only an error may have.
        id: Option<Id>,
    },
}

/// A `tools/call` as its message has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToolCall<'m, 'a> {
    /// The tool's name, decoded.
    pub name: &'m str,
    /// The arguments: an object, or `None` where they are absent or null.
    pub arguments: Option<&'m Node<'a>>,
    /// `_meta.progressToken` as JSON, where the client asks for progress.
    pub progress_token: Option<&'a str>,
    /// Whether it carries `inputResponses` (a further round of a 2026-07-28 operation).
    pub input_responses: bool,
    /// `requestState` as JSON, where it carries one.
    pub request_state: Option<&'a str>,
}

/// Who a client says it is: for display, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its name.
    pub name: String,
    /// Its version, where it gives one.
    pub version: Option<String>,
}

/// A message that is not forwarded, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// -32700 for what is not one line of JSON, -32600 for what is no acceptable message.
    pub code: i64,
    /// The id to answer with, as spelt. `None` (answer with `null`) where none can be read, where
    /// it is ambiguous, and where the message is not a request of the client.
    pub id: Option<String>,
    /// Why, for the agent and the journal.
    pub message: String,
    /// The tool, where exactly one is named.
    pub tool: Option<String>,
    /// The method, where exactly one is named.
    pub method: Option<String>,
}

/// Reads one line of a stdio client, given without its line feed. A carriage return right before
/// the line feed is allowed and stays in the bytes that are forwarded.
///
/// # Errors
/// A [`Refusal`] for whatever two parsers could read differently: invalid UTF-8, a byte order
/// mark, a carriage return or line feed within the line (Python and .NET end a line at either),
/// more than one value, no JSON, nesting over 128, a batch, a duplicate member at any depth, a
/// member that equals one of the envelope or of a call only when case is ignored (.NET), an
/// inexact name or method, no `"jsonrpc": "2.0"`, an id that is neither string nor number,
/// anything but exactly one of request, notification and response, a `tools/call` without id,
/// without a string `name`, or with `arguments` that are neither object nor null, and a message
/// over the limit.
pub fn peek<'a>(line: &'a [u8], limits: &Limits) -> Result<Line<'a>, Refusal> {
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        return Ok(Line::Blank);
    }
    if line.len() > limits.max_message {
        return Err(Refusal::too_large(line, limits));
    }
    let body = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr2(b'\r', b'\n', body).is_some() {
        let why = "a message must stand on one line, without carriage returns or line feeds";
        return Err(Refusal::unread(PARSE_ERROR, why.to_owned(), body));
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let why = format!("the message is not valid UTF-8 at byte {}", error.valid_up_to());
            return Err(Refusal::unread(PARSE_ERROR, why, body));
        }
    };
    let parsed = json::parse(text).map_err(|error| match error.kind {
        ParseErrorKind::TooDeep => Refusal::unread(INVALID_REQUEST, error.to_string(), body),
        // Which of the values on the line would an id belong to?
        ParseErrorKind::Trailing => {
            Refusal::new(PARSE_ERROR, format!("more than one value on a line: {error}"))
        }
        _ => Refusal::unread(PARSE_ERROR, format!("the message is not valid JSON: {error}"), body),
    })?;
    let Value::Object(members) = &parsed.root.value else {
        let why = match parsed.root.value {
            Value::Array(_) => "batches are not accepted: send each message on its own line".to_owned(),
            _ => format!("a message must be an object, not a {}", parsed.root.type_name()),
        };
        return Err(Refusal::new(INVALID_REQUEST, why));
    };
    let refuse = |why: String| Refusal::about(why, members, text);
    if let Some(duplicate) = parsed.duplicates.first() {
        let name = quoted_span(duplicate.second.of(text));
        return Err(refuse(format!("the member `{name}` occurs more than once in one object")));
    }
    let kind = classify(members, text).map_err(refuse)?;
    let Value::Object(members) = parsed.root.value else {
        return Err(Refusal::new(INVALID_REQUEST, "a message must be an object".to_owned()));
    };
    let params = members.into_iter().find(|member| member.key.value == "params").map(|member| member.value);
    Ok(Line::Message(Message { kind, params, text }))
}

/// Everything about the envelope that the JSON reader does not check itself.
fn classify<'a>(members: &[Member<'a>], text: &str) -> Result<Kind<'a>, String> {
    let mut top = Top::default();
    for member in members {
        name_is_sound(member, &TOP, "at the top level")?;
        let node = Some(&member.value);
        match member.key.as_str() {
            "jsonrpc" => top.jsonrpc = node,
            "id" => top.id = node,
            "method" => top.method = node,
            "params" => top.params = node,
            "result" => top.result = node,
            "error" => top.error = node,
            _ => {}
        }
    }
    if top.jsonrpc.and_then(Node::as_str) != Some("2.0") {
        return Err(match top.jsonrpc {
            None => "the member `jsonrpc` is missing: it must be \"2.0\"".to_owned(),
            Some(_) => "`jsonrpc` must be \"2.0\"".to_owned(),
        });
    }
    for member in top.params.and_then(Node::as_object).unwrap_or(&[]) {
        name_is_sound(member, &PARAMS, "in `params`")?;
    }
    let id = match top.id {
        None => None,
        Some(node) if node.is_null() => Some(None),
        Some(node) => match Id::from_node(node, text) {
            Some(id) => Some(Some(id)),
            None => return Err("an `id` must be a string or a number".to_owned()),
        },
    };
    let Some(method) = top.method else {
        return match (id, top.result.is_some(), top.error.is_some()) {
            (None, false, false) => {
                Err("neither a request nor a response: `method` and `id` are missing".to_owned())
            }
            (_, false, false) => Err("neither a request nor a response: `method` is missing".to_owned()),
            (_, true, true) => Err("a response must have `result` or `error`, not both".to_owned()),
            (None, _, _) => Err("a response must have an `id`".to_owned()),
            (Some(None), true, _) => Err("the `id` of a result must be a string or a number".to_owned()),
            (Some(id), _, _) => Ok(Kind::Response { id }),
        };
    };
    if top.result.is_some() || top.error.is_some() {
        return Err("a message must be a request or a response, not both".to_owned());
    }
    let Value::String(method) = &method.value else {
        return Err(format!("`method` must be a string, not a {}", method.type_name()));
    };
    if !method.exact || method.value.contains('\0') {
        return Err("`method` holds characters that parsers read differently".to_owned());
    }
    if fold::case_twins(&method.value, TOOLS_CALL) {
        return Err(format!("the method `{}` is spelt `{TOOLS_CALL}`", quoted(&method.value)));
    }
    let call = method.value == TOOLS_CALL;
    if call {
        check_call(top.params)?;
    }
    let method = method.value.clone();
    match id {
        Some(Some(id)) => Ok(Kind::Request { id, method }),
        Some(None) => Err("the `id` of a request must be a string or a number, not null".to_owned()),
        None if call => Err("a `tools/call` must have an `id`".to_owned()),
        None => Ok(Kind::Notification { method }),
    }
}

/// The envelope's members.
#[derive(Default)]
struct Top<'m, 'a> {
    jsonrpc: Option<&'m Node<'a>>,
    id: Option<&'m Node<'a>>,
    method: Option<&'m Node<'a>>,
    params: Option<&'m Node<'a>>,
    result: Option<&'m Node<'a>>,
    error: Option<&'m Node<'a>>,
}

/// Refuses a name that some parser reads as one of `known` although it is not spelt so.
fn name_is_sound(member: &Member<'_>, known: &[&str], place: &str) -> Result<(), String> {
    let name = member.key.as_str();
    if known.contains(&name) {
        return Ok(());
    }
    // A parser written in C may end the name at the zero.
    if !member.key.exact || name.contains('\0') {
        return Err(format!("a name {place} holds characters that parsers read differently"));
    }
    match known.iter().find(|known| fold::same_ignoring_case(known, name)) {
        Some(known) => {
            Err(format!("the member `{}` {place} differs from `{known}` only by case", quoted(name)))
        }
        None => Ok(()),
    }
}

fn check_call(params: Option<&Node<'_>>) -> Result<(), String> {
    let Some(params) = params else {
        return Err("a `tools/call` must have `params`".to_owned());
    };
    if params.as_object().is_none() {
        return Err(format!(
            "the `params` of a `tools/call` must be an object, not a {}",
            params.type_name()
        ));
    }
    match params.get("name").map(|name| &name.value) {
        None => return Err("a `tools/call` must name its tool in `params.name`".to_owned()),
        Some(Value::String(name)) if !name.exact || name.value.contains('\0') => {
            return Err("the tool's name holds characters that parsers read differently".to_owned());
        }
        Some(Value::String(_)) => {}
        Some(_) => return Err("the tool's name must be a string".to_owned()),
    }
    match params.get("arguments") {
        Some(arguments) if !matches!(arguments.value, Value::Object(_) | Value::Null) => {
            Err(format!("`arguments` must be an object, not a {}", arguments.type_name()))
        }
        _ => Ok(()),
    }
}

impl<'a> Message<'a> {
    /// The method of a request or notification.
    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request { method, .. } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } => None,
        }
    }

    /// The id of a request or response.
    pub fn id(&self) -> Option<&Id> {
        match &self.kind {
            Kind::Request { id, .. } => Some(id),
            Kind::Response { id } => id.as_ref(),
            Kind::Notification { .. } => None,
        }
    }

    /// The call, when this is a `tools/call`.
    pub fn call(&self) -> Option<ToolCall<'_, 'a>> {
        if self.method() != Some(TOOLS_CALL) {
            return None;
        }
        let params = self.params.as_ref()?;
        Some(ToolCall {
            name: params.get("name")?.as_str()?,
            arguments: params.get("arguments").filter(|arguments| !arguments.is_null()),
            progress_token: self.meta("progressToken").and_then(|token| self.raw(token)),
            input_responses: params.get("inputResponses").is_some_and(|value| !value.is_null()),
            request_state: params
                .get("requestState")
                .filter(|state| !state.is_null())
                .and_then(|state| self.raw(state)),
        })
    }

    /// A member of `params._meta`.
    pub fn meta(&self, name: &str) -> Option<&Node<'a>> {
        self.params.as_ref()?.get("_meta")?.get(name)
    }

    /// Whether the message is of the 2026-07-28 era: each names its protocol version itself.
    pub fn is_modern(&self) -> bool {
        self.meta(PROTOCOL_VERSION).is_some()
    }

    /// The protocol version that the message names: its own in the 2026-07-28 era, the offered one
    /// in an `initialize`.
    pub fn protocol_version(&self) -> Option<&str> {
        let own = self.meta(PROTOCOL_VERSION);
        own.or_else(|| self.params.as_ref()?.get("protocolVersion"))?.as_str()
    }

    /// Who the client says it is, in `_meta` or in the `params` of `initialize`.
    pub fn client(&self) -> Option<ClientInfo> {
        let info = match self.meta(CLIENT_INFO) {
            Some(info) => info,
            None if self.method() == Some("initialize") => self.params.as_ref()?.get("clientInfo")?,
            None => return None,
        };
        let text = |name| info.get(name).and_then(Node::as_str).map(str::to_owned);
        Some(ClientInfo { name: text("name")?, version: text("version") })
    }

    /// `traceparent` and `tracestate` in `_meta`, where the first is given.
    pub fn trace(&self) -> Option<(&str, Option<&str>)> {
        let text = |name| self.meta(name).and_then(Node::as_str);
        Some((text("traceparent")?, text("tracestate")))
    }

    /// The request that this cancels, when it is `notifications/cancelled`.
    pub fn cancels(&self) -> Option<Id> {
        if self.method() != Some("notifications/cancelled") {
            return None;
        }
        Id::from_node(self.params.as_ref()?.get("requestId")?, self.text)
    }

    /// The bytes of a part of this message.
    pub fn raw(&self, node: &Node<'_>) -> Option<&'a str> {
        self.text.get(node.span.start..node.span.end)
    }
}

impl Refusal {
    fn new(code: i64, message: String) -> Self {
        Self { code, id: None, message, tool: None, method: None }
    }

    /// The refusal of a message over the limit. `start` is as much of it as is at hand; its id and
    /// names are looked for there.
    pub fn too_large(start: &[u8], limits: &Limits) -> Self {
        let why = format!("the message is larger than {} bytes", limits.max_message);
        Self::unread(INVALID_REQUEST, why, start)
    }

    /// The refusal of bytes that were not parsed: what can be found by quotes and brackets.
    fn unread(code: i64, message: String, bytes: &[u8]) -> Self {
        let mut found = Self::new(code, message);
        let start = scan::skip_space(bytes, 0);
        let Some(members) = scan::members(bytes, start) else {
            return found;
        };
        let mut response = false;
        let (mut ids, mut methods, mut params) = (Vec::new(), Vec::new(), Vec::new());
        for member in members.flatten() {
            match member.key.as_ref() {
                "id" => ids.push(member.value),
                "method" => methods.push(member.value),
                "params" => params.push(member.value),
                "result" | "error" => response = true,
                _ => {}
            }
        }
        let text = |range: &std::ops::Range<usize>| {
            let bytes = bytes.get(range.clone()).filter(|bytes| bytes.starts_with(b"\""))?;
            let (text, exact) = scan::decode(bytes);
            exact.then(|| text.into_owned())
        };
        if let ([id], false, false) = (ids.as_slice(), methods.is_empty(), response) {
            found.id = bytes.get(id.clone()).and_then(Id::from_json).map(|id| id.raw);
        }
        if let [method] = methods.as_slice() {
            found.method = text(method);
        }
        if found.method.as_deref() == Some(TOOLS_CALL)
            && let [params] = params.as_slice()
            && let Some(members) = scan::members(bytes, params.start)
        {
            let names: Vec<_> = members.flatten().filter(|member| member.key == "name").collect();
            if let [name] = names.as_slice() {
                found.tool = text(&name.value);
            }
        }
        found
    }

    /// The refusal of a parsed object.
    fn about(message: String, members: &[Member<'_>], text: &str) -> Self {
        let mut refusal = Self::new(INVALID_REQUEST, message);
        let method = only(members, "method");
        let response = members.iter().any(|member| matches!(member.key.as_str(), "result" | "error"));
        // An answer with the id of a request of the server's would be taken for the answer to a
        // request of the client's own.
        if members.iter().any(|member| member.key.value == "method") && !response {
            refusal.id = only(members, "id").and_then(|id| Id::from_node(id, text)).map(|id| id.raw);
        }
        refusal.method = method.and_then(exact_text);
        if refusal.method.as_deref().is_some_and(|method| fold::same_ignoring_case(method, TOOLS_CALL)) {
            let params = only(members, "params").and_then(Node::as_object).unwrap_or(&[]);
            refusal.tool = only(params, "name").and_then(exact_text);
        }
        refusal
    }
}

/// The member of that name, when there is exactly one.
fn only<'m, 'a>(members: &'m [Member<'a>], name: &str) -> Option<&'m Node<'a>> {
    let mut found = members.iter().filter(|member| member.key.value == name);
    let first = found.next()?;
    found.next().is_none().then_some(&first.value)
}

fn exact_text(node: &Node<'_>) -> Option<String> {
    match &node.value {
        Value::String(text) if text.exact => Some(text.value.clone().into_owned()),
        _ => None,
    }
}

/// A foreign name as an error message repeats it.
fn quoted(name: &str) -> String {
    let mut short: String = name.chars().take(QUOTED).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// As [`quoted`], from a name with its quotes.
fn quoted_span(name: &str) -> String {
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    quoted(inner)
}

#[cfg(test)]
mod tests;
