//! What must hold of every client's file: the body of the fuzz target and of a property test.

use std::path::Path;

use super::{to_paste, unwrap, wrap};
use crate::catalog::clients::read;

/// Puts the gateway in front of every server under `mcpServers` of a text, once read as each format,
/// and takes it out again.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(text: &str) {
    for name in ["mcp.json", "config.toml", "config.yaml"] {
        let file = Path::new(name);
        let Ok(root) = read::value(file, text) else { continue };
        let Some(servers) = root.get("mcpServers").and_then(serde_json::Value::as_object) else { continue };
        for server in servers.keys().take(4) {
            let at = ["mcpServers".to_owned(), server.clone()];
            let words = ["gateway", "--policy", "/p \"q\".json", "--name", "n"].map(str::to_owned);
            let _ = to_paste(file, text, &at, "callgate", &words);
            let Ok(wrapped) = wrap(file, text, &at, "callgate", &words) else { continue };
            let back = unwrap(file, &wrapped.text, &at, Some((&wrapped.before, &wrapped.after)));
            assert!(
                back.is_ok_and(|back| back.exact && back.text == text),
                "what was put in comes out, byte for byte: {name}: {text}"
            );
            // Without what was kept, the meaning is what it was, or it says that it cannot.
            if let Ok(back) = unwrap(file, &wrapped.text, &at, None) {
                let again = read::value(file, &back.text);
                assert!(
                    again
                        .is_ok_and(|again| read::command_line(&again, &at) == read::command_line(&root, &at)),
                    "the entry starts what it started: {name}: {text}"
                );
            }
        }
    }
}
