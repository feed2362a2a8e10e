//! One total function that holds this room to its promises on any bytes, for fuzzing and for
//! property tests.

use serde_json::Value;

use super::envelope::{Limits, Line, TOOLS_CALL, peek};
use super::id::{Id, IdKey};
use super::list::{ListOptions, cut_tools};
use super::server::peek_server;

/// Runs every reader of this room over the bytes and asserts what must hold of the answers.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check(bytes: &[u8]) {
    let limits = Limits { max_message: 1 << 20 };
    check_peek(bytes, limits);
    let _ = peek_server(bytes);
    check_cut(bytes);
}

/// A line that is let through means to `serde_json`, which takes the last of duplicates, what it
/// means to us.
fn check_peek(bytes: &[u8], limits: Limits) {
    let message = match peek(bytes, &limits) {
        Ok(Line::Message(message)) => message,
        Ok(Line::Blank) => {
            assert!(bytes.iter().all(u8::is_ascii_whitespace), "only white space is blank");
            return;
        }
        Err(refusal) => {
            assert!(matches!(refusal.code, -32600 | -32700), "a refusal has one of two codes");
            assert!(!refusal.message.is_empty(), "a refusal says why");
            if let Some(id) = refusal.id {
                assert!(Id::from_json(id.as_bytes()).is_some(), "a refusal's id is an id");
            }
            return;
        }
    };
    let inner = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    assert!(!inner.iter().any(|byte| matches!(byte, b'\r' | b'\n')), "one line");
    // serde_json bounds what we do not: huge exponents, lone surrogates.
    let Ok(theirs) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    assert!(theirs.is_object(), "no batch passes");
    assert_eq!(theirs.get("jsonrpc"), Some(&Value::from("2.0")), "the version is required");
    assert_eq!(theirs.get("method").and_then(Value::as_str), message.method(), "the method");
    let id = theirs.get("id").filter(|id| !id.is_null());
    assert_eq!(id.is_some(), message.id().is_some(), "the id");
    if let (Some(Value::String(theirs)), Some(ours)) = (id, message.id()) {
        assert_eq!(IdKey::Text(theirs.clone()), ours.key, "the id's value");
    }
    if message.method() == Some(TOOLS_CALL) {
        let params = theirs.get("params");
        let call = message.call();
        assert!(message.id().is_some(), "a call can be answered");
        assert!(call.is_some(), "a call is seen as one");
        if let Some(call) = call {
            let name = params.and_then(|params| params.get("name")).and_then(Value::as_str);
            assert_eq!(name, Some(call.name), "the tool's name");
            let arguments =
                params.and_then(|params| params.get("arguments")).filter(|value| !value.is_null());
            assert_eq!(arguments.is_some(), call.arguments.is_some(), "the arguments");
            assert!(arguments.is_none_or(Value::is_object), "arguments are an object");
            if let (Some(Value::Object(theirs)), Some(ours)) =
                (arguments, call.arguments.and_then(crate::json::Node::as_object))
            {
                assert_eq!(theirs.len(), ours.len(), "no argument is lost");
            }
        }
    }
}

/// A list that is cut is the list without the hidden tools, and nothing else is changed.
fn check_cut(bytes: &[u8]) {
    let keep = |name: &str| name.len().is_multiple_of(2);
    let Ok(cut) = cut_tools(bytes, &keep, &ListOptions { max_message: 1 << 20, ..ListOptions::default() })
    else {
        return;
    };
    let Ok(mut before) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let after: Value = serde_json::from_slice(&cut.bytes).unwrap_or(Value::Null);
    if cut.is_list
        && let Some(Value::Array(tools)) = before.pointer_mut("/result/tools")
    {
        assert_eq!(tools.len(), cut.names.len(), "every tool is named");
        tools.retain(|tool| tool.get("name").and_then(Value::as_str).is_some_and(keep));
    }
    assert_eq!(before, after, "only hidden tools are cut");
}
