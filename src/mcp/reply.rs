//! What the gateway says itself, instead of a server or in front of one. Each reply is one line of
//! JSON without its line feed.

use crate::json::canonical::quote;
use crate::policy::decide::Denial;

/// Invalid JSON (JSON-RPC 2.0, section 5.1).
pub const PARSE_ERROR: i64 = -32700;
/// Not a request that can be accepted (JSON-RPC 2.0, section 5.1).
pub const INVALID_REQUEST: i64 = -32600;
/// Invalid parameters; MCP answers an unknown tool with it.
pub const INVALID_PARAMS: i64 = -32602;
/// Internal error (JSON-RPC 2.0, section 5.1).
pub const INTERNAL_ERROR: i64 = -32603;

/// A result that tells the model why its call was denied. A result and not an error, so that the
/// model can read it and adapt.
///
/// `id` is the request's id as JSON, `policy` the revision of the policy in force. `modern` calls
/// are of the 2026-07-28 era, whose results name their type. `retry_after_ms` is `None` when
/// waiting cannot help.
pub fn denied(
    id: &str,
    denial: &Denial,
    policy: Option<&str>,
    retry_after_ms: Option<u64>,
    modern: bool,
) -> Vec<u8> {
    let mut out = String::with_capacity(256 + denial.message.len());
    out.push_str(r#"{"jsonrpc":"2.0","id":"#);
    out.push_str(id);
    out.push_str(r#","result":{"content":[{"type":"text","text":"#);
    quote(&format!("[POLICY DENIED] {}", denial.message), &mut out);
    out.push_str(r#"}],"isError":true,"_meta":{"callgate/decision":{"rule":"#);
    quote(&denial.rule, &mut out);
    out.push_str(r#","pointer":"#);
    quote_or_null(denial.pointer.as_deref(), &mut out);
    out.push_str(r#","policy":"#);
    quote_or_null(policy, &mut out);
    out.push_str(r#","retry_after_ms":"#);
    match retry_after_ms {
        Some(wait) => out.push_str(&wait.to_string()),
        None => out.push_str("null"),
    }
    out.push_str("}}");
    if modern {
        out.push_str(r#","resultType":"complete""#);
    }
    out.push_str("}}");
    out.into_bytes()
}

/// The error for a tool that does not exist, and for one that is hidden.
pub fn unknown_tool(id: &str, name: &str) -> Vec<u8> {
    error(Some(id), INVALID_PARAMS, &format!("Unknown tool: {name}"))
}

/// The error for a message that was refused; without an id where none could be read.
pub fn malformed(id: Option<&str>, code: i64, message: &str) -> Vec<u8> {
    error(id, code, message)
}

/// The error for a list out of which the hidden tools could not be cut.
pub fn list_unreadable(id: &str) -> Vec<u8> {
    error(Some(id), INTERNAL_ERROR, "the server's tool list cannot be read, so nothing of it is passed on")
}

/// Tells a client that what it may see has changed.
pub fn list_changed() -> Vec<u8> {
    br#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_vec()
}

/// An error response. `id` is the request's id as JSON; `null` is written where there is none.
pub fn error(id: Option<&str>, code: i64, message: &str) -> Vec<u8> {
    let mut out = String::with_capacity(80 + message.len());
    out.push_str(r#"{"jsonrpc":"2.0","id":"#);
    out.push_str(id.unwrap_or("null"));
    out.push_str(r#","error":{"code":"#);
    out.push_str(&code.to_string());
    out.push_str(r#","message":"#);
    quote(message, &mut out);
    out.push_str("}}");
    out.into_bytes()
}

fn quote_or_null(text: Option<&str>, out: &mut String) {
    match text {
        Some(text) => quote(text, out),
        None => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(line: &[u8]) -> Value {
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(line).expect("valid JSON")
    }

    #[test]
    fn a_denial_is_a_result() {
        let mut denial = Denial {
            rule: "/tools/ghcr_push/deny_if/0".to_owned(),
            pointer: Some("/tools/ghcr_push/deny_if/0".to_owned()),
            message: "no\n\"push\"".to_owned(),
            visible: true,
        };
        assert_eq!(
            read(&denied("16.0", &denial, Some("0123456789ab"), None, false)),
            json!({"jsonrpc": "2.0", "id": 16.0, "result": {
                "content": [{"type": "text", "text": "[POLICY DENIED] no\n\"push\""}],
                "isError": true,
                "_meta": {"callgate/decision": {
                    "rule": "/tools/ghcr_push/deny_if/0",
                    "pointer": "/tools/ghcr_push/deny_if/0",
                    "policy": "0123456789ab",
                    "retry_after_ms": null
                }}
            }})
        );
        denial.pointer = None;
        let modern = read(&denied("\"a\"", &denial, None, Some(1500), true));
        assert_eq!(modern["result"]["resultType"], "complete");
        assert_eq!(modern["result"]["_meta"]["callgate/decision"]["retry_after_ms"], 1500);
        assert_eq!(modern["result"]["_meta"]["callgate/decision"]["policy"], Value::Null);
    }

    #[test]
    fn errors_carry_the_id_as_it_is_spelt() {
        assert_eq!(
            String::from_utf8(unknown_tool("1.0", "x\u{1b}")).expect("UTF-8"),
            r#"{"jsonrpc":"2.0","id":1.0,"error":{"code":-32602,"message":"Unknown tool: x\u001b"}}"#
        );
        assert_eq!(read(&malformed(None, PARSE_ERROR, "no"))["id"], Value::Null);
        assert_eq!(read(&list_unreadable("7"))["error"]["code"], -32603);
        assert_eq!(read(&list_changed())["method"], "notifications/tools/list_changed");
    }
}
