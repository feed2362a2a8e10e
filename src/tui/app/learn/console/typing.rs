//! Arguments as they are typed, against the tool's schema: what fits at the cursor, and what the
//! schema has against them.

use std::fmt::Write as _;

use crate::json::canonical::{canonical, quote};
use crate::json::number::Decimal;
use crate::json::{self, Node, Value};
use crate::policy::complete::{self, Part};
use crate::policy::path::{self, Path, Step};
use crate::policy::schema::{Argument, JsonType, ToolShape};
use crate::visible::visible;

/// The way to all arguments.
const ROOT: &str = "args";
/// So many elements of an array are looked at.
const ELEMENTS: usize = 100;
/// So many choices are named.
const CHOICES: usize = 12;

/// What Tab puts in, and what is to stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// What is put in at the cursor; empty when nothing fits.
    pub text: String,
    /// How many characters before its end the cursor comes to stand.
    pub back: usize,
    /// What the schema says about the place.
    pub about: String,
}

/// The name of an argument that is a part of what stands at a path, and of nothing in between.
fn name(argument: &Argument, of: &str) -> Option<String> {
    let rest = argument.path.strip_prefix(of)?.strip_prefix('.')?;
    match Path::parse(&format!("{ROOT}.{rest}")).ok()?.steps() {
        [Step::Name(name) | Step::Number { text: name, .. }] => Some(name.clone()),
        _ => None,
    }
}

/// The arguments that are parts of what stands at a path, with their names.
fn parts<'s>(shape: &'s ToolShape, of: &str) -> impl Iterator<Item = (String, &'s Argument)> {
    shape.arguments.iter().filter_map(move |argument| Some((name(argument, of)?, argument)))
}

/// A part's path.
fn part(of: &str, name: &str) -> String {
    let mut path = format!("{of}.");
    path::escape(name, &mut path);
    path
}

/// A path as people write it: without the word that all have in common.
fn shown(path: &str) -> String {
    visible(path.strip_prefix("args.").unwrap_or(path)).into_owned()
}

/// The parts of what stands at a path with their types, in one line.
pub(super) fn signature(shape: &ToolShape, of: &str) -> String {
    let words: Vec<String> = parts(shape, of)
        .map(|(name, argument)| {
            // Of a part of something that may be left out the schema's word is not known here.
            let mark = if argument.required || of != ROOT { "" } else { "?" };
            format!("{}{mark}: {}", visible(&name), types(argument))
        })
        .collect();
    match (words.is_empty(), of) {
        (false, _) => words.join(", "),
        (true, ROOT) => "the schema names no arguments".to_owned(),
        (true, _) => format!("the schema names no parts of {}", shown(of)),
    }
}

fn types(argument: &Argument) -> String {
    if !argument.choices.is_empty() {
        let mut choices: Vec<String> =
            argument.choices.iter().take(CHOICES).map(ToString::to_string).collect();
        if argument.choices.len() > CHOICES {
            choices.push("...".to_owned());
        }
        return visible(&choices.join("|")).into_owned();
    }
    let names: Vec<&str> = argument.types.iter().map(|kind| kind.name()).collect();
    if names.is_empty() { "any".to_owned() } else { names.join("|") }
}

/// What the schema says about one argument.
fn about(argument: &Argument) -> String {
    let mut text = format!("{}: {}", shown(&argument.path), types(argument));
    for (bound, words) in [(&argument.min, "at least"), (&argument.max, "at most")] {
        if let Some(bound) = bound {
            let _ = write!(text, ", {words} {bound}");
        }
    }
    if let Some(description) = &argument.description {
        text.push_str("  ");
        text.push_str(&visible(description));
    }
    text
}

/// The value that an argument begins with, and how many of its last characters come after the cursor.
fn blank(shape: &ToolShape, argument: &Argument) -> (String, usize) {
    if let Some(choice) = argument.choices.first() {
        return (choice.to_string(), 0);
    }
    let (text, back) = match argument.types.first() {
        Some(JsonType::Number | JsonType::Integer) => ("0", 0),
        Some(JsonType::Boolean) => ("false", 0),
        Some(JsonType::Array) => ("[]", 1),
        Some(JsonType::Object) => {
            let text = skeleton(shape, &argument.path);
            let back = usize::from(text == "{}");
            return (text, back);
        }
        Some(JsonType::Null) => ("null", 0),
        Some(JsonType::String) | None => ("\"\"", 1),
    };
    (text.to_owned(), back)
}

/// The parts of an object that every call needs, with values to begin from.
pub(super) fn skeleton(shape: &ToolShape, of: &str) -> String {
    let mut text = String::from("{");
    for (name, argument) in parts(shape, of).filter(|(_, argument)| argument.required) {
        if text.len() > 1 {
            text.push_str(", ");
        }
        quote(&name, &mut text);
        text.push_str(": ");
        text.push_str(&blank(shape, argument).0);
    }
    text.push('}');
    text
}

/// What fits at the cursor: the rest of an argument's name with a value to begin from, or the rest of
/// a value that the schema names.
pub(super) fn offer(shape: &ToolShape, text: &str, cursor: usize) -> Offer {
    let Some((before, after)) = text.split_at_checked(cursor) else { return Offer::default() };
    let begun = before.trim_end();
    if begun.is_empty() {
        let text = if after.trim().is_empty() { skeleton(shape, ROOT) } else { String::new() };
        return Offer { text, back: 0, about: signature(shape, ROOT) };
    }
    let Some(place) = complete::place(text, cursor) else {
        return Offer { about: signature(shape, ROOT), ..Offer::default() };
    };
    let mut path = ROOT.to_owned();
    for step in &place.path {
        // A name that is a star stands for itself nowhere in real schemas.
        if step == "*" { path.push_str("[*]") } else { path = part(&path, step) }
    }
    let typed = text.get(place.from..cursor).unwrap_or_default();
    // Within a word nothing can be put in, nor where nothing can begin.
    let begins = match place.part {
        Part::Key => begun.ends_with(['{', ',']),
        Part::Value => begun.ends_with([':', '[', ',']),
    };
    let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '-'));
    let fits = if typed.is_empty() { begins } else { !goes_on };
    let space = if typed.is_empty() && before.ends_with([',', ':']) { " " } else { "" };
    let (found, about) = match place.part {
        Part::Key => (key(shape, &path, typed, &place), signature(shape, &path)),
        Part::Value => {
            let argument = shape.argument(&path);
            (
                argument.and_then(|argument| value(shape, argument, typed)),
                argument.map_or_else(String::new, self::about),
            )
        }
    };
    let (text, back) = found.filter(|_| fits).unwrap_or_default();
    let text = if text.is_empty() { text } else { format!("{space}{text}") };
    Offer { text, back, about }
}

/// The rest of a name that fits and is not there yet, with a value to begin from.
fn key(shape: &ToolShape, of: &str, typed: &str, place: &complete::Place) -> Option<(String, usize)> {
    // What is typed without quotes is no name.
    if !typed.is_empty() && !typed.starts_with('"') {
        return None;
    }
    let given = |name: &str| place.members.iter().any(|(key, _)| key == name);
    parts(shape, of).filter(|(name, _)| !given(name)).find_map(|(name, argument)| {
        let mut quoted = String::new();
        quote(&name, &mut quoted);
        let rest = quoted.strip_prefix(typed)?;
        let (blank, back) = blank(shape, argument);
        Some((format!("{rest}: {blank}"), back))
    })
}

/// The rest of a value that the schema names; where nothing is typed, one to begin from.
fn value(shape: &ToolShape, argument: &Argument, typed: &str) -> Option<(String, usize)> {
    if typed.is_empty() {
        return Some(blank(shape, argument));
    }
    let mut named: Vec<String> = argument.choices.iter().map(ToString::to_string).collect();
    if named.is_empty() && argument.types.contains(&JsonType::Boolean) {
        named.extend(["true", "false"].map(str::to_owned));
    }
    if named.is_empty() && argument.types.contains(&JsonType::Null) {
        named.push("null".to_owned());
    }
    let rest = named.iter().filter_map(|value| value.strip_prefix(typed)).find(|rest| !rest.is_empty())?;
    Some((rest.to_owned(), 0))
}

/// What the schema has against the arguments; the policy may decide all the same.
pub(super) fn remarks(shape: &ToolShape, root: &Node<'_>, out: &mut Vec<String>) {
    members(shape, root, ROOT, shape.open, out);
    for argument in shape.arguments.iter().filter(|argument| argument.required) {
        let Ok(path) = Path::parse(&argument.path) else { continue };
        let Some((last, above)) = path.steps().split_last() else { continue };
        // Where what it is a part of is missing, that is said instead.
        let inside = above.iter().try_fold(root, |node, step| node.get(step_name(step)?));
        if inside.is_some_and(|node| {
            node.as_object().is_some() && step_name(last).is_some_and(|name| node.get(name).is_none())
        }) {
            out.push(format!("`{}` is missing, and every call needs it", shown(&argument.path)));
        }
    }
}

fn step_name(step: &Step) -> Option<&str> {
    match step {
        Step::Name(name) | Step::Number { text: name, .. } => Some(name),
        Step::Each => None,
    }
}

/// Looks at the members of an object; `open`: it may have some that the schema does not name.
fn members(shape: &ToolShape, node: &Node<'_>, at: &str, open: bool, out: &mut Vec<String>) {
    for member in node.as_object().unwrap_or_default() {
        let path = part(at, member.key.as_str());
        match shape.argument(&path) {
            None if open => {}
            None => out.push(format!("the tool has no argument `{}`", shown(&path))),
            Some(argument) => given(shape, argument, &member.value, out),
        }
    }
}

/// Looks at a value and what is in it.
fn given(shape: &ToolShape, argument: &Argument, node: &Node<'_>, out: &mut Vec<String>) {
    let name = shown(&argument.path);
    if node.is_null() {
        return;
    }
    if !argument.types.is_empty() && !argument.types.iter().any(|kind| is_of(*kind, node)) {
        out.push(format!("`{name}` is {} by the schema", types(argument)));
        return;
    }
    if !argument.choices.is_empty() {
        let spelt = canonical(node);
        let chosen = argument.choices.iter().any(|choice| {
            json::parse(&choice.to_string()).is_ok_and(|parsed| canonical(&parsed.root) == spelt)
        });
        if !chosen {
            out.push(format!("`{name}` is one of {}", types(argument)));
        }
    }
    members(shape, node, &argument.path, argument.open || argument.types.is_empty(), out);
    if let Some(element) = shape.argument(&format!("{}[*]", argument.path)) {
        for item in node.as_array().unwrap_or_default().iter().take(ELEMENTS) {
            given(shape, element, item, out);
        }
    }
}

fn is_of(kind: JsonType, node: &Node<'_>) -> bool {
    match kind {
        JsonType::Integer => match &node.value {
            Value::Number(spelt) => Decimal::parse(spelt).is_some_and(|it| it.is_integer()),
            _ => false,
        },
        kind => kind.name() == node.type_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> ToolShape {
        let schema = serde_json::json!({"type":"object","required":["to","amount"],"additionalProperties":false,
            "properties":{"to":{"type":"string","enum":["eu","us"]},"amount":{"type":"integer"},"note":{"type":"string"}}});
        ToolShape::from_schema("pay", &schema)
    }

    /// With parts within parts, and names that paths have to escape.
    fn deep() -> ToolShape {
        let schema = serde_json::json!({"type":"object","required":["order"],"properties":{
            "order":{"type":"object","required":["ship"],"additionalProperties":false,"properties":{
                "ship":{"type":"object","required":["mode"],"properties":{
                    "mode":{"type":"string","enum":["air","sea","rail"],"description":"How it goes"},
                    "zip.code":{"type":"string"}}},
                "items":{"type":"array","items":{"type":"object","additionalProperties":false,"properties":{
                    "sku":{"type":"string"},"qty":{"type":"integer","minimum":1},
                    "tags":{"type":"array","items":{"type":"string","enum":["cold","heavy"]}}}}},
                "gift":{"type":"boolean"}}}}});
        ToolShape::from_schema("buy", &schema)
    }

    #[test]
    fn what_every_call_needs_is_begun() {
        assert_eq!(skeleton(&shape(), ROOT), r#"{"amount": 0, "to": "eu"}"#);
        assert_eq!(skeleton(&ToolShape::default(), ROOT), "{}");
        assert_eq!(skeleton(&deep(), ROOT), r#"{"order": {"ship": {"mode": "air"}}}"#);
    }

    #[test]
    fn tab_completes_names_and_values() {
        for (text, offered) in [
            ("", r#"{"amount": 0, "to": "eu"}"#),
            ("{", r#""amount": 0"#),
            (r#"{"am"#, r#"ount": 0"#),
            (r#"{"n"#, r#"ote": """#),
            (r#"{"amount": 5,"#, r#" "note": """#),
            (r#"{"amount": 5, "t"#, r#"o": "eu""#),
            (r#"{"to":"#, r#" "eu""#),
            (r#"{"to": "u"#, r#"s""#),
            (r#"{"to": "x"#, ""),
            (r#"{"to": "eu""#, ""),
            (r#"{"zzz"#, ""),
            (r#"{"amount": 5"#, ""),
            (r#"{"note": "a, "#, ""),
            (r#"{"am}"#, ""),
        ] {
            assert_eq!(offer(&shape(), text, text.len()).text, offered, "{text}");
        }
    }

    #[test]
    fn tab_completes_within_objects_and_arrays() {
        for (text, offered, back) in [
            (r#"{"order": {"#, r#""gift": false"#, 0),
            (r#"{"order": {"gift": true, "#, r#""items": []"#, 1),
            (r#"{"order": {"it"#, r#"ems": []"#, 1),
            (r#"{"order": {"items": ["#, "{}", 1),
            (r#"{"order": {"items": [{"#, r#""qty": 0"#, 0),
            (r#"{"order": {"items": [{"qty": 1}, {"s"#, r#"ku": """#, 1),
            (r#"{"order": {"items": [{"tags": ["#, r#""cold""#, 0),
            (r#"{"order": {"items": [{"tags": ["cold","#, r#" "cold""#, 0),
            (r#"{"order": {"items": [{"tags": ["cold", "h"#, r#"eavy""#, 0),
            (r#"{"order": {"ship": {"mode": "se"#, r#"a""#, 0),
            (r#"{"order": {"ship": {"mode": "air", "z"#, r#"ip.code": """#, 1),
            (r#"{"order": {"gift": t"#, "rue", 0),
            (r#"{"order": {"sh"#, r#"ip": {"mode": "air"}"#, 0),
        ] {
            let found = offer(&deep(), text, text.len());
            assert_eq!((found.text.as_str(), found.back), (offered, back), "{text}");
        }
        // What stands after the cursor is seen: no name twice, nothing within a word.
        let text = r#"{"order": {, "gift": true}}"#;
        assert_eq!(offer(&deep(), text, 11).text, r#""items": []"#);
        assert_eq!(offer(&deep(), text, 15).text, "");
        let said = |text: &str| offer(&deep(), text, text.len()).about;
        assert_eq!(
            said(r#"{"order": {"ship": {"mode": "#),
            r#"order.ship.mode: "air"|"sea"|"rail"  How it goes"#
        );
        assert_eq!(said(r#"{"order": {"items": [{"qty":"#), "order.items[*].qty: integer, at least 1");
        assert_eq!(said(r#"{"order": {"items": [{"#), "qty: integer, sku: string, tags: array");
    }

    #[test]
    fn the_schema_has_its_say() {
        let said = |shape: &ToolShape, text: &str| {
            let mut out = Vec::new();
            remarks(shape, &json::parse(text).unwrap().root, &mut out);
            out.join("; ")
        };
        assert_eq!(said(&shape(), r#"{"to":"eu","amount":3}"#), "");
        assert_eq!(
            said(&shape(), r#"{"to":"moon","amount":1.5}"#),
            "`to` is one of \"eu\"|\"us\"; `amount` is integer by the schema"
        );
        assert_eq!(
            said(&shape(), r#"{"to":"eu","cost":3}"#),
            "the tool has no argument `cost`; `amount` is missing, and every call needs it"
        );
        assert_eq!(
            said(&deep(), r#"{"order":{"ship":{"mode":"air"},"items":[{"qty":1,"tags":["cold"]}]}}"#),
            ""
        );
        assert_eq!(
            said(&deep(), r#"{"order":{"ship":{},"items":[{"qty":1.5,"tags":["hot"],"n":1}],"x":1}}"#),
            "`order.items[*].qty` is integer by the schema; \
             `order.items[*].tags[*]` is one of \"cold\"|\"heavy\"; \
             the tool has no argument `order.items[*].n`; the tool has no argument `order.x`; \
             `order.ship.mode` is missing, and every call needs it"
        );
        assert_eq!(said(&deep(), "{}"), "`order` is missing, and every call needs it");
    }
}
