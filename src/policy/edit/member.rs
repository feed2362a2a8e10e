//! Members of any JSON text put in and taken out, everything else staying byte for byte: for the
//! other documents that people write by hand.

use super::style::{Context, Style};
use super::tree::{Container, New, Tree, after_newline};
use super::{EditError, no_such};
use crate::json;

/// A text with the member at `path` (names from the root down) set to `value`, a JSON text. Objects
/// on the way are made where there are none; a new member goes last.
///
/// # Errors
/// When the text or the value is not JSON, or something on the way is no object.
pub fn put(text: &str, path: &[&str], value: &str) -> Result<String, EditError> {
    let not_json = |error: json::ParseError| EditError::NotJson {
        what: "value",
        text: value.to_owned(),
        why: error.to_string(),
    };
    let parsed = json::parse(value).map_err(not_json)?;
    let mut new = New::from_node(&parsed.root, value);
    change(text, |root, style, context| {
        let mut path = path;
        let (mut container, mut context) = (root, context.clone());
        while let [key, rest @ ..] = path {
            let Some(index) = container.position(key) else {
                // All the rest of the way is new, too.
                for key in rest.iter().rev() {
                    new = New::Object(vec![((*key).to_owned(), new.clone())]);
                }
                let end = container.items.len();
                container.insert(end, Some(key), &new, style, &context);
                return Ok(());
            };
            context = container.context(index, &context, style);
            let Some(item) = container.items.get_mut(index) else { break };
            if rest.is_empty() {
                item.value.merge(&new, style, &context);
                return Ok(());
            }
            let Tree::Object(inner) = &mut item.value else {
                return Err(no_such(format!("object `{key}` in the text")));
            };
            (container, path) = (inner, rest);
        }
        Err(no_such("member without a name"))
    })
}

/// A text with `value`, a JSON text, put last into the array at `path`.
///
/// # Errors
/// When the text or the value is not JSON, or there is no array.
pub fn push(text: &str, path: &[&str], value: &str) -> Result<String, EditError> {
    let not_json = |error: json::ParseError| EditError::NotJson {
        what: "value",
        text: value.to_owned(),
        why: error.to_string(),
    };
    let parsed = json::parse(value).map_err(not_json)?;
    let new = New::from_node(&parsed.root, value);
    change(text, |root, style, context| {
        let (mut container, mut context) = (root, context.clone());
        for (depth, key) in path.iter().enumerate() {
            let gone = || no_such(format!("array `{key}` in the text"));
            let index = container.position(key).ok_or_else(gone)?;
            context = container.context(index, &context, style);
            match container.items.get_mut(index).map(|item| &mut item.value) {
                Some(Tree::Array(inner)) if depth + 1 == path.len() => {
                    let end = inner.items.len();
                    inner.insert(end, None, &new, style, &context);
                    return Ok(());
                }
                Some(Tree::Object(inner)) => container = inner,
                _ => return Err(gone()),
            }
        }
        Err(no_such("array without a name"))
    })
}

/// A text without the member at `path`.
///
/// # Errors
/// When the text is not JSON or has no such member.
pub fn take(text: &str, path: &[&str]) -> Result<String, EditError> {
    change(text, |root, _, _| {
        let mut path = path;
        let mut container = root;
        while let [key, rest @ ..] = path {
            let gone = || no_such(format!("member `{key}` in the text"));
            let index = container.position(key).ok_or_else(gone)?;
            if rest.is_empty() {
                container.remove(index);
                return Ok(());
            }
            let Some(Tree::Object(inner)) = container.items.get_mut(index).map(|item| &mut item.value) else {
                return Err(gone());
            };
            (container, path) = (inner, rest);
        }
        Err(no_such("member without a name"))
    })
}

fn change(
    text: &str,
    edit: impl FnOnce(&mut Container<'_>, &Style, &Context) -> Result<(), EditError>,
) -> Result<String, EditError> {
    let parsed = json::parse(text).map_err(|error| no_such(format!("JSON in the text: {error}")))?;
    let Tree::Object(mut root) = Tree::of(&parsed.root, text) else {
        return Err(no_such("object in the text"));
    };
    let head = text.get(..parsed.root.span.start).unwrap_or("");
    let tail = text.get(parsed.root.span.end..).unwrap_or("");
    let style = Style::of(text, &root);
    let context = Context { indent: after_newline(head).unwrap_or("").to_owned(), inline: style.one_line() };
    edit(&mut root, &style, &context)?;
    let mut out = String::with_capacity(text.len() + 256);
    out.push_str(head);
    Tree::Object(root).print(&mut out);
    out.push_str(tail);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n    \"b\" : 1.0,\n    \"grants\": {\n        \"a\": {\n            \"k\": \"v\"\n        }\n    }\n}\n";

    #[test]
    fn members_come_and_go_without_a_trace() {
        let with = put(TEXT, &["grants", "new"], r#"{"server":"s","policy":"p"}"#).unwrap();
        assert_eq!(
            with,
            TEXT.replace(
                "        }\n    }\n",
                "        },\n        \"new\" : {\n            \"server\" : \"s\",\n            \"policy\" : \"p\"\n        }\n    }\n"
            )
        );
        assert_eq!(take(&with, &["grants", "new"]).unwrap(), TEXT);
        let deep = put(TEXT, &["feed", "tokens", "ops"], r#"{"role":"viewer"}"#).unwrap();
        let root = json::parse(&deep).unwrap().root;
        let role = root.get("feed").and_then(|n| n.get("tokens")?.get("ops")?.get("role")?.as_str());
        assert_eq!(role, Some("viewer"));
        assert!(deep.starts_with(TEXT.trim_end().trim_end_matches('}').trim_end()));
        let changed = put(TEXT, &["grants", "a", "k"], "2").unwrap();
        assert_eq!(changed, TEXT.replace("\"v\"", "2"));
    }

    #[test]
    fn elements_go_last_in_the_manner_of_the_text() {
        let lines = "{\n  \"t\": [\n    { \"a\": 1 }\n  ]\n}\n";
        let more = push(lines, &["t"], r#"{"a":2}"#).unwrap();
        assert_eq!(more, "{\n  \"t\": [\n    { \"a\": 1 },\n    { \"a\": 2 }\n  ]\n}\n");
        assert_eq!(push("{\"o\":{\"t\":[]}}", &["o", "t"], "1").unwrap(), "{\"o\":{\"t\":[1]}}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert!(take(TEXT, &["grants", "b"]).is_err());
        assert!(take(TEXT, &["b", "y"]).is_err());
        assert!(put(TEXT, &["b", "y"], "1").is_err());
        assert!(put(TEXT, &[], "1").is_err());
        assert!(put("[]", &["a"], "1").is_err());
        assert!(put(TEXT, &["a"], "{").is_err());
        assert!(push(TEXT, &["grants"], "1").is_err());
        assert!(push(TEXT, &["b", "c"], "1").is_err());
        assert!(push(TEXT, &[], "1").is_err());
    }
}
