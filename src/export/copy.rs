//! A recorded call as people paste it elsewhere: as a JSON-RPC request, and as `curl` against an
//! HTTP gateway.
//!
//! What was masked when it was recorded stays a mask: nothing here can bring it back.

use super::csv::escaped;
use crate::json::canonical::quote;

/// The JSON-RPC request of a call, in one line. `args` is JSON, empty for none.
pub fn json_rpc(tool: &str, args: &str) -> String {
    let mut out = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"#.to_owned();
    let mut name = String::new();
    quote(tool, &mut name);
    out.push_str(&escaped(&name));
    if !args.is_empty() && args != "null" {
        out.push_str(r#","arguments":"#);
        out.push_str(&escaped(args));
    }
    out.push_str("}}");
    out
}

/// The same as a command for a shell. Where the gateway is and the grant's token come from the
/// environment of whoever runs it: neither is in the text.
pub fn curl(tool: &str, args: &str) -> String {
    let body = json_rpc(tool, args).replace('\'', r"'\''");
    format!(
        "curl -sS \"${{CALLGATE_URL:?like http://127.0.0.1:8080/mcp}}\" \
         -H \"Authorization: Bearer ${{CALLGATE_TOKEN:?of the grant}}\" \
         -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
         -H 'MCP-Protocol-Version: 2025-06-18' -d '{body}'"
    )
}
