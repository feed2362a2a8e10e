//! What a server sends: enough of a look to match answers to requests, at any size.
//!
//! The server's messages pass untouched, so this look is lenient, and it never decides what
//! passes. It decides two things that must not go wrong: which pending call an answer belongs to
//! (and whether its reservation is given back), and whether an answer holds a tool list that must
//! be filtered. Where a message could be read in two ways, it is marked [`Response::ambiguous`],
//! and then the cautious reading holds in each respect: the id is the last one (all known clients
//! take the last of duplicates), nothing that it says gives a reservation back or frees a round,
//! and a tool list in any of the readings counts as one. The cutting itself is strict and refuses
//! such a list.

use std::ops::Range;

use super::id::Id;
use super::scan::{self, decode, skip_space};
use crate::json::{self, Node, fold};

/// One line of a server's output, given without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// Only white space.
    Blank,
    /// Answers a request of the client.
    Response(Response),
    /// Asks the client something (sampling, elicitation, roots, ping).
    Request {
        /// Its id.
        id: Id,
        /// Its method.
        method: String,
    },
    /// Tells the client something.
    Notification {
        /// Its method.
        method: String,
    },
    /// An array: the places of its elements. Only servers of the 2025-03-26 era may send one; each
    /// element is a message by itself.
    Batch(Vec<Range<usize>>),
    /// Anything else that is printed on standard output.
    NotJsonRpc,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one message")]
pub struct Response {
    /// The id of the request; `None` where it is null or cannot be read.
    pub id: Option<Id>,
    /// The error's code, when it is an error: 0 where the code cannot be relied on.
    pub error: Option<i64>,
    /// `result.isError` is true.
    pub is_error: bool,
    /// The result has a member `tools`, in some reading.
    pub result_has_tools: bool,
    /// `result.resultType` is `input_required` (2026-07-28): the operation goes on with a further
    /// round.
    pub input_required: bool,
    /// `result.requestState` as JSON.
    pub request_state: Option<String>,
    /// Parsers could read the message differently; see the module.
    pub ambiguous: bool,
}

/// Looks at one line of a server's output.
pub fn peek_server(line: &[u8]) -> ServerMessage {
    let start = skip_space(line, 0);
    match line.get(start) {
        None => ServerMessage::Blank,
        Some(b'{') => peek_object(line, start).unwrap_or(ServerMessage::NotJsonRpc),
        Some(b'[') => match scan::elements(line, start) {
            Ok((elements, end))
                if skip_space(line, end) == line.len()
                    && elements.iter().any(|element| line.get(element.start) == Some(&b'{')) =>
            {
                ServerMessage::Batch(elements)
            }
            _ => ServerMessage::NotJsonRpc,
        },
        Some(_) => ServerMessage::NotJsonRpc,
    }
}

fn peek_object(line: &[u8], start: usize) -> Option<ServerMessage> {
    let mut jsonrpc = false;
    let mut id: Option<Range<usize>> = None;
    let mut method: Option<Range<usize>> = None;
    let mut errors = Vec::new();
    let mut results = Vec::new();
    let mut ambiguous = false;
    let mut walk = scan::members(line, start)?;
    for member in walk.by_ref() {
        let member = member.ok()?;
        let (name, exact) = known(&member.key, &["jsonrpc", "id", "method", "result", "error"]);
        ambiguous |= !member.exact || !exact;
        match name {
            Some("jsonrpc") => jsonrpc = true,
            // Only exact names are last-wins candidates for what is matched.
            Some("id") if exact => ambiguous |= id.replace(member.value).is_some(),
            Some("method") if exact => ambiguous |= method.replace(member.value).is_some(),
            Some("result") => results.push(member.value),
            Some("error") => errors.push(member.value),
            _ => {}
        }
    }
    if skip_space(line, walk.end?) != line.len() {
        return None;
    }
    ambiguous |= results.len() + errors.len() > 1;
    let id = id.and_then(|range| line.get(range)).and_then(Id::from_json);
    if results.is_empty() && errors.is_empty() {
        let method = method.and_then(|range| line.get(range)).filter(|bytes| bytes.starts_with(b"\""))?;
        if !jsonrpc {
            return None;
        }
        let method = decode(method).0.into_owned();
        return Some(match id {
            Some(id) => ServerMessage::Request { id, method },
            None => ServerMessage::Notification { method },
        });
    }
    ambiguous |= method.is_some();
    let mut response = Response {
        id,
        error: None,
        is_error: false,
        result_has_tools: false,
        input_required: false,
        request_state: None,
        ambiguous,
    };
    for result in results {
        look_at_result(line, result.start, &mut response);
    }
    if let Some(error) = errors.last() {
        response.error = Some(error_code(line, error.start).unwrap_or(0));
    }
    if response.ambiguous {
        response.error = response.error.map(|_| 0);
        response.input_required = false;
        response.request_state = None;
    }
    Some(ServerMessage::Response(response))
}

fn look_at_result(line: &[u8], start: usize, response: &mut Response) {
    let Some(members) = scan::members(line, start) else {
        return;
    };
    let (mut types, mut states) = (0, 0);
    for member in members.flatten() {
        let value = line.get(member.value).unwrap_or(&[]);
        let (name, exact) = known(&member.key, &["tools", "isError", "resultType", "requestState"]);
        match name {
            Some("tools") => {
                response.result_has_tools = true;
                response.ambiguous |= !exact;
            }
            Some("isError") if exact => response.is_error |= value == b"true",
            Some("resultType") => {
                types += 1;
                response.input_required = exact && decode(value).0 == "input_required";
            }
            Some("requestState") => {
                states += 1;
                response.request_state = std::str::from_utf8(value).ok().filter(|_| exact).map(str::to_owned);
            }
            _ => {}
        }
    }
    // A round is free only when it is certain which one it is.
    if types > 1 || states > 1 {
        response.input_required = false;
        response.request_state = None;
    }
}

/// The code of an error; `None` where there is not exactly one, or where it is no whole number.
fn error_code(line: &[u8], start: usize) -> Option<i64> {
    let mut codes = Vec::new();
    for member in scan::members(line, start)? {
        let member = member.ok()?;
        let (name, exact) = known(&member.key, &["code"]);
        if name.is_some() {
            codes.push((member.value, exact));
        }
    }
    match codes.as_slice() {
        [(code, true)] => std::str::from_utf8(line.get(code.clone())?).ok()?.parse().ok(),
        _ => None,
    }
}

/// Which of the names this is when case is ignored, and whether it is spelt so.
fn known<'n>(key: &str, names: &[&'n str]) -> (Option<&'n str>, bool) {
    if let Some(name) = names.iter().find(|name| **name == key) {
        return (Some(name), true);
    }
    match names.iter().find(|name| fold::same_ignoring_case(name, key)) {
        Some(name) => (Some(name), false),
        None => (None, true),
    }
}

/// What a server says of itself in answer to `initialize` or `server/discover`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerInfo {
    /// Its own name.
    pub name: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// The protocol version that it chose (`initialize`).
    pub protocol_version: Option<String>,
    /// It advertises `capabilities.tools.listChanged`.
    pub tools_list_changed: bool,
}

/// Reads the answer to `initialize` or `server/discover`. `None` when the line is no valid JSON or
/// holds no result. For what the gateway offers and shows; no decision rests on it.
pub fn server_info(line: &[u8]) -> Option<ServerInfo> {
    let parsed = json::parse_bytes(line).ok()?;
    let result = parsed.root.get("result")?;
    let text = |node: Option<&Node<'_>>| node.and_then(Node::as_str).map(str::to_owned);
    let info = result.get("serverInfo").or_else(|| {
        // The 2026-07-28 era carries it in `_meta`.
        result.get("_meta")?.get("io.modelcontextprotocol/serverInfo")
    });
    let list_changed = result
        .get("capabilities")
        .and_then(|capabilities| capabilities.get("tools")?.get("listChanged"))
        .is_some_and(|flag| flag.value == json::Value::Bool(true));
    Some(ServerInfo {
        name: text(info.and_then(|info| info.get("name"))),
        version: text(info.and_then(|info| info.get("version"))),
        protocol_version: text(result.get("protocolVersion")),
        tools_list_changed: list_changed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(line: &str) -> Response {
        match peek_server(line.as_bytes()) {
            ServerMessage::Response(response) => response,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn tells_the_kinds_apart() {
        let kind = |line: &str| match peek_server(line.as_bytes()) {
            ServerMessage::Blank => "blank",
            ServerMessage::Response(_) => "response",
            ServerMessage::Request { .. } => "request",
            ServerMessage::Notification { .. } => "notification",
            ServerMessage::Batch(_) => "batch",
            ServerMessage::NotJsonRpc => "none",
        };
        for (line, expected) in [
            (" \t\r", "blank"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":""}}"#, "response"),
            (r#" {"result":{},"id":1} "#, "response"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, "request"),
            (r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, "notification"),
            (r#"{"method":"GET","path":"/"}"#, "none"),
            (r#"{"level":"info","msg":"up"}"#, "none"),
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, "batch"),
            ("[12:00:01] listening", "none"),
            ("[1,2]", "none"),
            ("No X display available", "none"),
            ("{", "none"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":2,"result":{}}"#, "none"),
            ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", "none"),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }

    #[test]
    fn reads_what_an_answer_says() {
        let plain = response(
            r#"{"jsonrpc":"2.0","id":16.0,"result":{"content":[{"text":"\"tools\""}],"isError":true}}"#,
        );
        assert_eq!(plain.id.expect("id").key, Id::from_json(b"16").expect("id").key);
        assert!(plain.is_error && !plain.result_has_tools && !plain.ambiguous);
        assert_eq!(plain.error, None);
        assert_eq!(response(r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#).error, Some(-32601));
        assert_eq!(response(r#"{"id":1,"error":{"code":-32601.0}}"#).error, Some(0));
        assert_eq!(response(r#"{"id":1,"error":"no"}"#).error, Some(0));
        let round = response(
            r#"{"id":1,"result":{"resultType":"input_required","inputRequests":{},"requestState":"s\u0031"}}"#,
        );
        assert!(round.input_required);
        assert_eq!(round.request_state.as_deref(), Some(r#""s\u0031""#));
        assert!(response(r#"{"id":1,"result":{"x":NaN,"t\u006fols":[]}}"#).result_has_tools);
    }

    #[test]
    fn the_cautious_reading_of_ambiguous_answers() {
        for line in [
            r#"{"id":1,"id":2,"error":{"code":-32601}}"#,
            r#"{"id":2,"error":{"code":-32603},"error":{"code":-32601}}"#,
            r#"{"id":2,"result":{},"error":{"code":-32601}}"#,
            r#"{"id":2,"Error":{"code":-32603},"error":{"code":-32601}}"#,
            r#"{"id":2,"method":"x","error":{"code":-32601}}"#,
            r#"{"id":2,"ID":1,"error":{"code":-32601}}"#,
        ] {
            let answer = response(line);
            assert!(answer.ambiguous, "{line}");
            assert_eq!(answer.error, Some(0), "{line}");
            assert_eq!(answer.id.expect("id").raw, "2", "{line}");
        }
        for line in [
            r#"{"id":1,"result":{},"result":{"tools":[]}}"#,
            r#"{"id":1,"result":{"tools":[]},"result":{}}"#,
            r#"{"id":1,"Result":{"tools":[]}}"#,
            r#"{"id":1,"result":{"Tools":[]}}"#,
            r#"{"id":1,"method":"x","result":{"tools":[]}}"#,
        ] {
            let answer = response(line);
            assert!(answer.ambiguous && answer.result_has_tools, "{line}");
        }
        let codes = response(r#"{"id":1,"error":{"code":-32603,"code":-32601}}"#);
        assert_eq!(codes.error, Some(0));
        let rounds = response(r#"{"id":1,"result":{"resultType":"complete","resultType":"input_required"}}"#);
        assert!(!rounds.input_required);
    }

    #[test]
    fn reads_capabilities() {
        let info = server_info(
            br#"{"id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}}"#,
        )
        .expect("result");
        assert!(info.tools_list_changed);
        assert_eq!(info.name.as_deref(), Some("s"));
        assert_eq!(server_info(br#"{"id":0,"error":{}}"#), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = peek_server(&bytes);
            let _ = server_info(&bytes);
        }
    }
}
