//! The file of pins: every error of it named with its place, and one text for equal pins.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::{FIELDS, Fields, Kept, Pin, Pins, exact, spelling};
use crate::json::canonical::{quote, sha256};
use crate::json::pretty::pretty;
use crate::json::{self, Node, Span};
use crate::policy::diagnostic::{At, Diagnostic, Severity, Sink, tick};
use crate::policy::suggest::closest;
use crate::time::Timestamp;

const ROOT_KEYS: [&str; 4] = ["version", "tools", "description", "$schema"];
const PIN_KEYS: [&str; 5] = ["sha256", "by", "at", "definition", "cut"];

/// What came of reading a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The pins, only where the text has no error.
    pub pins: Option<Pins>,
    /// Every error, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

pub(super) fn read(text: &str) -> Read {
    let mut reader = Reader { text, sink: Sink::new(text) };
    let pins = reader.root();
    let diagnostics = reader.sink.sorted();
    Read { pins: pins.filter(|_| diagnostics.is_empty()), diagnostics }
}

struct Reader<'t> {
    text: &'t str,
    sink: Sink<'t>,
}

impl Reader<'_> {
    fn error(&mut self, code: &'static str, at: &At<'_>, span: Span, message: String, help: &str) {
        self.sink.add(Severity::Error, code, at.to_string(), span, message, help);
    }

    fn root(&mut self) -> Option<Pins> {
        let at = At::ROOT;
        let parsed = match json::parse(self.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let span = Span { start: error.offset, end: error.offset };
                self.error("syntax", &at, span, format!("no pins: {}", error.kind), ACCEPT);
                return None;
            }
        };
        for twice in &parsed.duplicates {
            let name = tick(twice.second.of(self.text));
            let message = format!("{name} stands here twice");
            let help = "keep one: parsers differ on which of them counts";
            self.error("duplicate-member", &at, twice.second, message, help);
        }
        let root = &parsed.root;
        self.keys(&at, root, "a file of pins", &ROOT_KEYS)?;
        match root.get("version").map(|node| (node, node.as_str())) {
            Some((_, Some("1"))) => {}
            Some((node, _)) => {
                let help = "write `\"version\": \"1\"`";
                self.error(
                    "bad-version",
                    &at.key("version"),
                    node.span,
                    "`version` must be \"1\"".into(),
                    help,
                );
            }
            None => self.missing(&at, root, "a file of pins", "version"),
        }
        let Some(tools) = root.get("tools") else {
            self.missing(&at, root, "a file of pins", "tools");
            return None;
        };
        let at = at.key("tools");
        let Some(members) = tools.as_object() else {
            let message = format!("`tools` must be an object, not {}", tools.type_name());
            self.error("wrong-type", &at, tools.span, message, "");
            return None;
        };
        let mut pins = BTreeMap::new();
        for member in members {
            let at = at.key(member.key.as_str());
            if !member.key.exact {
                let message = "the name holds half of a surrogate pair".to_owned();
                self.error("bad-name", &at, member.key_span, message, "");
            }
            if let Some(pin) = self.pin(&at, member.key.as_str(), &member.value) {
                pins.insert(member.key.value.clone().into_owned(), pin);
            }
        }
        Some(Pins { tools: pins })
    }

    fn pin(&mut self, at: &At<'_>, tool: &str, node: &Node<'_>) -> Option<Pin> {
        self.keys(at, node, "a pin", &PIN_KEYS)?;
        let sha256 = self.string(at, node, "sha256")?;
        if !is_digest(&sha256) {
            let span = node.get("sha256").map_or(node.span, |node| node.span);
            let message = "`sha256` must be 64 lower-case hex digits".to_owned();
            self.error("bad-digest", &at.key("sha256"), span, message, ACCEPT);
        }
        let by = self.string(at, node, "by")?;
        let spelt = self.string(at, node, "at")?;
        let Some(when) = Timestamp::parse(&spelt) else {
            let span = node.get("at").map_or(node.span, |node| node.span);
            let message = format!("`at` must be an instant, not {}", tick(&spelt));
            self.error("bad-time", &at.key("at"), span, message, "for instance `2026-11-20T21:00:00Z`");
            return None;
        };
        let mut fields = Fields::new();
        if let Some(definition) = node.get("definition") {
            self.definition(&at.key("definition"), definition, &mut fields)?;
        }
        let cut = fields.len();
        if let Some(digests) = node.get("cut") {
            self.cut(&at.key("cut"), digests, &mut fields)?;
        }
        let whole = fields.len() == cut && !fields.is_empty();
        let named = match fields.get("name") {
            Some(Kept::Whole(name)) => {
                let mut quoted = String::new();
                quote(tool, &mut quoted);
                *name == quoted
            }
            Some(Kept::Digest(_)) | None => fields.is_empty() || fields.contains_key("name"),
        };
        if !named || (whole && digest_of(&fields) != sha256) {
            let message = "the definition is not the one that the digest was taken of".to_owned();
            self.error("not-the-definition", at, node.span, message, ACCEPT);
        }
        Some(Pin { sha256, by, at: when, fields })
    }

    fn definition(&mut self, at: &At<'_>, node: &Node<'_>, fields: &mut Fields) -> Option<()> {
        self.keys(at, node, "a definition", &FIELDS)?;
        for member in node.as_object()? {
            let Some(name) = FIELDS.into_iter().find(|name| *name == member.key.value) else { continue };
            if !exact(&member.value) {
                let message = "a string holds half of a surrogate pair".to_owned();
                self.error("bad-string", &at.key(name), member.value.span, message, ACCEPT);
            }
            if !member.value.is_null() {
                fields.insert(name, Kept::Whole(spelling(&member.value, self.text)));
            }
        }
        Some(())
    }

    fn cut(&mut self, at: &At<'_>, node: &Node<'_>, fields: &mut Fields) -> Option<()> {
        self.keys(at, node, "`cut`", &FIELDS)?;
        for member in node.as_object()? {
            let Some(name) = FIELDS.into_iter().find(|name| *name == member.key.value) else { continue };
            let digest = member.value.as_str().filter(|digest| is_digest(digest));
            let twice = fields.contains_key(name);
            match digest.filter(|_| !twice) {
                Some(digest) => {
                    fields.insert(name, Kept::Digest(digest.to_owned()));
                }
                None if twice => {
                    let message = format!("`{name}` stands in `definition`, too");
                    self.error("duplicate-member", &at.key(name), member.key_span, message, "keep one");
                }
                None => {
                    let message = format!("`{name}` must be 64 lower-case hex digits");
                    self.error("bad-digest", &at.key(name), member.value.span, message, ACCEPT);
                }
            }
        }
        Some(())
    }

    /// `None` when the node is no object; an unknown key is an error of its own.
    fn keys(&mut self, at: &At<'_>, node: &Node<'_>, what: &str, known: &[&str]) -> Option<()> {
        let Some(members) = node.as_object() else {
            let message = format!("{what} must be an object, not {}", node.type_name());
            self.error("wrong-type", at, node.span, message, "");
            return None;
        };
        for member in members.iter().filter(|member| !known.contains(&member.key.as_str())) {
            let key = member.key.as_str();
            let help = match closest(key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("{what} has {}", known.join(", ")),
            };
            let message = format!("{what} has no {}", tick(key));
            self.error("unknown-key", &at.key(key), member.key_span, message, &help);
        }
        Some(())
    }

    fn string(&mut self, at: &At<'_>, node: &Node<'_>, key: &str) -> Option<String> {
        let Some(value) = node.get(key) else {
            self.missing(at, node, "a pin", key);
            return None;
        };
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            let message = format!("`{key}` must be a string, not {}", value.type_name());
            self.error("wrong-type", &at.key(key), value.span, message, "");
        }
        text
    }

    fn missing(&mut self, at: &At<'_>, node: &Node<'_>, what: &str, key: &str) {
        let span = Span { start: node.span.start, end: node.span.start + 1 };
        self.error("missing-key", at, span, format!("{what} needs `{key}`"), ACCEPT);
    }
}

/// What to do about a pin that says nothing.
const ACCEPT: &str = "accept the definition again: `callgate tools --pin POLICY` writes it";

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digest of a definition whose every member is kept whole.
fn digest_of(fields: &Fields) -> String {
    let mut text = String::from("{");
    for (name, kept) in fields {
        let Kept::Whole(value) = kept else { continue };
        if text.len() > 1 {
            text.push(',');
        }
        quote(name, &mut text);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    sha256(text.as_bytes())
}

pub(super) fn write(pins: &Pins) -> String {
    let mut text = String::from("{\"version\":\"1\",\"tools\":{");
    for (index, (name, pin)) in pins.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        quote(name, &mut text);
        text.push_str(":{\"sha256\":");
        quote(&pin.sha256, &mut text);
        text.push_str(",\"by\":");
        quote(&pin.by, &mut text);
        text.push_str(",\"at\":");
        quote(&pin.at.to_string(), &mut text);
        // People read a definition in the order in which servers write it.
        let order: HashMap<&str, usize> =
            FIELDS.into_iter().enumerate().map(|(index, name)| (name, index)).collect();
        let mut kept: Vec<(&str, &Kept)> = pin.fields.iter().map(|(name, kept)| (*name, kept)).collect();
        kept.sort_by_key(|(name, _)| order.get(name).copied());
        let whole = |(name, kept): &(&str, &Kept)| match kept {
            Kept::Whole(text) => Some(member(name, text)),
            Kept::Digest(_) => None,
        };
        let cut = |(name, kept): &(&str, &Kept)| match kept {
            Kept::Digest(digest) => Some(member(name, &format!("\"{digest}\""))),
            Kept::Whole(_) => None,
        };
        for (key, members) in [
            ("definition", kept.iter().filter_map(whole).collect::<Vec<_>>()),
            ("cut", kept.iter().filter_map(cut).collect()),
        ] {
            if !members.is_empty() {
                let _ = write!(text, ",\"{key}\":{{{}}}", members.join(","));
            }
        }
        text.push('}');
    }
    text.push_str("}}");
    let mut lines = json::parse(&text).map(|parsed| pretty(&parsed.root).join("\n")).unwrap_or(text);
    lines.push('\n');
    lines
}

fn member(name: &str, value: &str) -> String {
    let mut text = String::new();
    quote(name, &mut text);
    text.push(':');
    text.push_str(value);
    text
}
