//! Headers on their way through, and what they claim about the body. Free of I/O.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_ENCODING, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::gateway::span::Parent;
use crate::mcp::envelope::{Message, Refusal};

/// Names the session of the eras with `initialize`.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The protocol version that the client speaks.
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method of the message in the body (2026-07-28).
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What the method is about: a tool, a prompt, a resource, a task (2026-07-28).
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The JSON-RPC code of headers that do not agree with the body.
pub(super) const HEADER_MISMATCH: i64 = -32020;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that belong to one connection.
const HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers of the client that end here: who it is to the gateway, how it came to it, and what the
/// gateway settles with the upstream itself.
const ENDS_HERE: [HeaderName; 7] =
    [HOST, AUTHORIZATION, COOKIE, ORIGIN, EXPECT, ACCEPT_ENCODING, CONTENT_LENGTH];

/// Headers of the upstream that end here: its cookies would be answered by none, and another
/// address to speak to would lead the client around the gateway.
const NOT_FOR_CLIENTS: [HeaderName; 2] = [SET_COOKIE, ALT_SVC];

fn removed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect()
}

fn passed(headers: &HeaderMap, ends: &[HeaderName]) -> HeaderMap {
    let named = removed_by_connection(headers);
    let mut passed = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        if !HOP.contains(name) && !ends.contains(name) && !named.contains(name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// What of a client's headers goes upstream, with the upstream's own: those win.
pub(super) fn for_upstream(client: &HeaderMap, own: &HeaderMap) -> HeaderMap {
    let mut headers = passed(client, &ENDS_HERE);
    // What cannot be read cannot be looked at.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for name in own.keys() {
        headers.remove(name);
    }
    for (name, value) in own {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// What of an upstream's headers reaches the client.
pub(super) fn for_client(upstream: &HeaderMap) -> HeaderMap {
    passed(upstream, &NOT_FOR_CLIENTS)
}

/// The trace that a request says it is part of.
pub(super) fn trace(headers: &HeaderMap) -> Option<Parent> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next()?.to_str().ok().filter(|_| parents.next().is_none())?;
    // One that came in parts is one list.
    let states: Vec<&str> =
        headers.get_all("tracestate").iter().filter_map(|part| part.to_str().ok()).collect();
    Parent::parse(parent, Some(&states.join(",")))
}

/// The media type, in lower case, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
}

/// Whether the body is as it is: not compressed.
pub(super) fn is_identity(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("identity")))
}

/// Why a body of this type cannot be taken; it must be JSON in UTF-8.
pub(super) fn unsupported(headers: &HeaderMap) -> Option<&'static str> {
    if !is_identity(headers) {
        return Some("the body must not be compressed");
    }
    if headers.get_all(CONTENT_TYPE).iter().count() != 1
        || media_type(headers).as_deref() != Some("application/json")
    {
        return Some("the body's content-type must be application/json");
    }
    let parameters = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    for parameter in parameters.split(';').skip(1) {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("charset")
        {
            let value = value.trim().trim_matches('"');
            if !value.eq_ignore_ascii_case("utf-8") && !value.eq_ignore_ascii_case("utf8") {
                return Some("the body must be UTF-8");
            }
        }
    }
    None
}

/// Whether the client takes answers of this media type.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let mut any = false;
    for value in headers.get_all(http::header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',') {
            any = true;
            let range = range.split(';').next().unwrap_or("").trim();
            let kind = wanted.split('/').next().unwrap_or("");
            let wild = range.strip_suffix("/*").is_some_and(|of| of == "*" || of.eq_ignore_ascii_case(kind));
            if range.eq_ignore_ascii_case(wanted) || wild {
                return true;
            }
        }
    }
    !any
}

/// The value of a header that stands at most once.
///
/// # Errors
/// When it stands more often, or is no text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("the header {name} stands more than once"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(format!("the header {name} holds characters that no header may have")),
    }
}

/// A value that may be wrapped, because headers cannot hold every text.
fn unwrapped(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Where the name that `Mcp-Name` repeats stands in the parameters of a method.
fn name_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// Holds what the headers say of a message against the message. What they repeat must agree,
/// because whoever stands in between may trust them; `required`: a message of the 2026-07-28 era
/// must have them all, which is the upstream's to demand where it reads headers itself.
///
/// # Errors
/// A refusal with [`HEADER_MISMATCH`].
pub(super) fn agree(headers: &HeaderMap, message: &Message<'_>, required: bool) -> Result<(), Refusal> {
    disagreement(headers, message, required).map_or(Ok(()), |why| {
        Err(Refusal {
            code: HEADER_MISMATCH,
            id: message.method().and(message.id()).map(|id| id.raw.clone()),
            message: format!("Header mismatch: {why}"),
            tool: message.call().map(|call| call.name.to_owned()),
            method: message.method().map(str::to_owned),
        })
    })
}

fn disagreement(headers: &HeaderMap, message: &Message<'_>, required: bool) -> Option<String> {
    disagrees(headers, message, required).err()
}

fn disagrees(headers: &HeaderMap, message: &Message<'_>, required: bool) -> Result<(), String> {
    let required = required && message.is_modern();
    let version = single(headers, &VERSION)?;
    if message.is_modern() {
        match (version, message.protocol_version()) {
            (Some(said), Some(own)) if said == own => {}
            (None, Some(_)) if !required => {}
            (None, _) => return Err(format!("the header {VERSION} is missing")),
            (Some(said), _) => {
                return Err(format!("the header {VERSION} is `{said}`, the message names another version"));
            }
        }
    }
    // The answer to a request of the server has no method.
    let Some(method) = message.method() else { return Ok(()) };
    match single(headers, &METHOD)? {
        Some(said) if said == method => {}
        Some(said) => {
            return Err(format!("the header {METHOD} is `{said}`, the message's method is `{method}`"));
        }
        None if required => return Err(format!("the header {METHOD} is missing")),
        None => {}
    }
    let Some(member) = name_member(method) else { return Ok(()) };
    let name = message.params.as_ref().and_then(|params| params.get(member)).and_then(|name| name.as_str());
    match (single(headers, &NAME)?, name) {
        (Some(said), name) => match unwrapped(said) {
            None => Err(format!("the header {NAME} is not valid Base64 of UTF-8")),
            Some(said) if Some(&*said) == name => Ok(()),
            Some(said) => Err(format!("the header {NAME} is `{said}`, the message names another")),
        },
        (None, Some(_)) if required => Err(format!("the header {NAME} is missing")),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope::{Limits, Line, peek};

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn what_belongs_to_the_client_ends_here() {
        let client = map(&[
            ("host", "127.0.0.1:1"),
            ("authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("accept-encoding", "gzip"),
            ("mcp-param-region", "eu"),
            ("mcp-session-id", "s"),
            ("last-event-id", "9"),
            ("x-own", "client"),
        ]);
        let sent = for_upstream(&client, &map(&[("x-own", "gateway"), ("authorization", "Bearer upstream")]));
        let mut pairs: Vec<_> =
            sent.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        pairs.sort_unstable();
        assert_eq!(
            pairs,
            [
                ("accept-encoding", "identity"),
                ("authorization", "Bearer upstream"),
                ("last-event-id", "9"),
                ("mcp-param-region", "eu"),
                ("mcp-session-id", "s"),
                ("x-own", "gateway"),
            ]
        );
    }

    #[test]
    fn what_the_upstream_says_reaches_the_client() {
        let upstream = map(&[
            ("www-authenticate", "Bearer resource_metadata=\"x\""),
            ("mcp-session-id", "s"),
            ("x-accel-buffering", "no"),
            ("cache-control", "no-cache"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a=b"),
            ("alt-svc", "h3=\":1\""),
        ]);
        let mut names: Vec<_> = for_client(&upstream).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "mcp-session-id", "www-authenticate", "x-accel-buffering"]);
    }

    #[test]
    fn headers_must_agree_with_the_body() {
        let modern = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"grüß","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
        let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://b"}}"#;
        let version = ("mcp-protocol-version", "2026-07-28");
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "=?base64?Z3LDvMOf?=");
        for (body, headers, required, good) in [
            (modern, vec![version, method, name], true, true),
            (modern, vec![version, method], true, false),
            (modern, vec![version, name], true, false),
            (modern, vec![method, name], true, false),
            (modern, vec![version], false, true),
            (modern, vec![("mcp-protocol-version", "2025-11-25"), method, name], false, false),
            (modern, vec![version, ("mcp-method", "tools/list"), name], false, false),
            (modern, vec![version, method, ("mcp-name", "echo")], false, false),
            (modern, vec![version, method, ("mcp-name", "=?base64?!?=")], false, false),
            (modern, vec![version, method, name, name], false, false),
            (legacy, vec![], true, true),
            (legacy, vec![("mcp-name", "echo")], true, true),
            (legacy, vec![("mcp-name", "other")], false, false),
            (legacy, vec![("mcp-method", "ping")], false, false),
            (legacy, vec![("mcp-protocol-version", "2025-11-25")], false, true),
            (read, vec![("mcp-name", "a://b")], false, true),
            (read, vec![("mcp-name", "a://c")], false, false),
        ] {
            let Ok(Line::Message(message)) = peek(body.as_bytes(), &Limits::default()) else { panic!() };
            let agreed = agree(&map(&headers), &message, required);
            assert_eq!(agreed.is_ok(), good, "{body} {headers:?} {agreed:?}");
            if let Err(refusal) = agreed {
                assert_eq!(refusal.code, -32020);
                assert!(refusal.id.is_some());
            }
        }
    }

    #[test]
    fn what_a_body_must_be() {
        for (headers, good) in [
            (vec![("content-type", "application/json")], true),
            (vec![("content-type", "Application/JSON; charset=\"UTF-8\"")], true),
            (vec![("content-type", "application/json; charset=utf-16")], false),
            (vec![("content-type", "text/plain")], false),
            (vec![], false),
            (vec![("content-type", "application/json"), ("content-encoding", "gzip")], false),
            (vec![("content-type", "application/json"), ("content-encoding", "identity")], true),
        ] {
            assert_eq!(unsupported(&map(&headers)).is_none(), good, "{headers:?}");
        }
    }

    #[test]
    fn what_a_client_accepts() {
        for (accept, json, events) in [
            ("application/json, text/event-stream", true, true),
            ("text/event-stream;q=0.5", false, true),
            ("*/*", true, true),
            ("application/*", true, false),
        ] {
            let headers = map(&[("accept", accept)]);
            assert_eq!(accepts(&headers, "application/json"), json, "{accept}");
            assert_eq!(accepts(&headers, "text/event-stream"), events, "{accept}");
        }
        assert!(accepts(&HeaderMap::new(), "text/event-stream"));
    }
}
