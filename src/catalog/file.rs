//! Saved lists: an object with `tools`, a bare array, or a whole JSON-RPC reply.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{CatalogError, Failure};

/// Reads a saved list.
pub(super) fn list(path: &Path) -> Result<Vec<Box<RawValue>>, CatalogError> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        CatalogError::new(Failure::File, format!("`{shown}` cannot be read: {error}"))
            .help("save a list with `callgate tools --save FILE -- CMD`")
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CatalogError::new(Failure::File, format!("`{shown}` is not UTF-8 text")))?;
    parse(&text).map_err(|why| {
        CatalogError::new(Failure::File, format!("`{shown}` {why}"))
            .help("a saved list is an object with `tools`, a bare array of tools, or a whole JSON-RPC reply to `tools/list`")
    })
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    tools: Option<Box<RawValue>>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

/// The elements of a saved list as they are spelt, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Box<RawValue>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wrong = |error: serde_json::Error| {
        if error.is_data() { format!("is no tool list: {error}") } else { format!("is not JSON: {error}") }
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(wrong);
    }
    let whole: Whole = serde_json::from_str(text).map_err(wrong)?;
    if let Some(error) = whole.error {
        let message = error.get("message").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        return Err(format!("is a reply that reports an error: {}", super::error::shown(&message)));
    }
    let whole = match (whole.tools, whole.result) {
        (None, Some(result)) => serde_json::from_str(result.get()).map_err(wrong)?,
        (tools, _) => Whole { tools, result: None, error: None },
    };
    let tools = whole.tools.ok_or("has no member `tools`")?;
    serde_json::from_str(tools.get()).map_err(|_| "has a member `tools` that is no array".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_one_list() {
        for text in [
            r#"{"tools":[{"name":"a"}]}"#,
            r#"[{"name":"a"}]"#,
            "\u{feff}[{\"name\":\"a\"}]",
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}],"nextCursor":null}}"#,
        ] {
            let tools = parse(text).expect(text);
            assert_eq!(tools.len(), 1);
            assert_eq!(tools[0].get(), r#"{"name":"a"}"#);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "is not JSON"),
            ("tools: []", "is not JSON"),
            ("{}", "has no member `tools`"),
            ("3", "is no tool list"),
            (r#"{"tools":{}}"#, "no array"),
            (r#"{"result":{}}"#, "has no member `tools`"),
            (r#"{"error":{"code":1,"message":"nope"}}"#, "nope"),
            (r#"{"tools":[],"tools":[]}"#, "is no tool list"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
