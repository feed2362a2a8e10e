//! A policy text with what it says: the source of the editor, of `check` and of the compiled form.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::diagnostic::{At, Diagnostic, Severity, Sink};
use super::model::{Op, Policy};
use super::parse;
use crate::json::{self, Node, ParseErrorKind, Span, Value, pointer};

/// A policy text and its content. Cheap to clone.
#[derive(Clone)]
pub struct Document {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    policy: Policy,
    revision: String,
    valid: bool,
    /// Span of every node by its pointer, made when first asked for.
    spans: OnceLock<HashMap<String, Span>>,
}

/// What came of reading a text.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The document, whenever the text is a JSON object; it may hold errors all the same.
    pub document: Option<Document>,
    /// Every error of the text, in its order. Warnings come from [`super::lint`].
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// The document when it is valid, else the first error.
    ///
    /// # Errors
    /// The first diagnostic of the text.
    pub fn valid(self) -> Result<Document, Box<Diagnostic>> {
        let first = self.diagnostics.into_iter().find(|found| found.severity == Severity::Error);
        match (self.document, first) {
            (_, Some(error)) => Err(Box::new(error)),
            (Some(document), None) => Ok(document),
            // Unreachable: without a document there is an error. Still no policy.
            (None, None) => Err(Box::new(Diagnostic::nowhere("the text is not a policy"))),
        }
    }
}

impl Document {
    /// Reads a text.
    pub fn parse(text: &str) -> Parsed {
        Self::read(text, &HashSet::new())
    }

    /// Reads a text that came of this one: patterns that stand in both are not compiled again, so
    /// that an edit of a large policy costs what it changes.
    pub fn parse_next(&self, text: &str) -> Parsed {
        if !self.is_valid() {
            return Self::parse(text);
        }
        let tools = self.policy().tools.iter();
        let rules = tools.flat_map(|tool| [&tool.require, &tool.deny_if, &tool.approve_if]).flatten();
        let patterns = rules.flat_map(|rule| &rule.conditions).filter(|condition| condition.op == Op::Regex);
        Self::read(text, &patterns.map(|condition| condition.value.as_str()).collect())
    }

    fn read(text: &str, known: &HashSet<&str>) -> Parsed {
        let mut sink = Sink::new(text);
        let parsed = match json::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                syntax_error(text, error.offset, error.kind, &POLICY, &mut sink);
                return Parsed { document: None, diagnostics: sink.sorted() };
            }
        };
        let Some(policy) = parse::policy(text, &parsed, known, &mut sink) else {
            return Parsed { document: None, diagnostics: sink.sorted() };
        };
        let diagnostics = sink.sorted();
        let inner = Inner {
            text: text.to_owned(),
            policy,
            revision: revision(text.as_bytes()),
            valid: diagnostics.is_empty(),
            spans: OnceLock::new(),
        };
        Parsed { document: Some(Self { inner: Arc::new(inner) }), diagnostics }
    }

    /// Reads the bytes of a file.
    pub fn parse_bytes(bytes: &[u8]) -> Parsed {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => {
                let text = String::from_utf8_lossy(bytes);
                let at = error.valid_up_to();
                let mut sink = Sink::new(&text);
                syntax_error(&text, at, ParseErrorKind::NotUtf8, &POLICY, &mut sink);
                Parsed { document: None, diagnostics: sink.sorted() }
            }
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// What the text says. Parts with errors are absent from it.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The first 12 hex digits of the SHA-256 of the text.
    pub fn revision(&self) -> &str {
        &self.inner.revision
    }

    /// Whether the text has no errors. Only then may it decide anything.
    pub fn is_valid(&self) -> bool {
        self.inner.valid
    }

    /// The span of the value that a JSON Pointer names.
    pub fn pointer_span(&self, pointer: &str) -> Option<Span> {
        let spans = self.inner.spans.get_or_init(|| {
            let mut spans = HashMap::new();
            if let Ok(parsed) = json::parse(&self.inner.text) {
                index_spans(&parsed.root, &mut String::new(), &mut spans);
            }
            spans
        });
        spans.get(pointer).copied()
    }

    /// The text of a new policy: nothing is allowed.
    pub fn new_text() -> String {
        "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {}\n}\n".to_owned()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("revision", &self.inner.revision)
            .field("valid", &self.inner.valid)
            .field("bytes", &self.inner.text.len())
            .finish_non_exhaustive()
    }
}

/// Two documents are equal when their texts are.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner.text == other.inner.text
    }
}

impl Eq for Document {}

/// The revision of a policy's bytes: the first 12 hex digits of their SHA-256.
pub fn revision(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut out = String::with_capacity(12);
    for byte in digest.iter().take(6) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn index_spans(node: &Node<'_>, at: &mut String, spans: &mut HashMap<String, Span>) {
    spans.entry(at.clone()).or_insert(node.span);
    let len = at.len();
    match &node.value {
        Value::Object(members) => {
            for member in members {
                pointer::push(at, member.key.as_str());
                index_spans(&member.value, at, spans);
                at.truncate(len);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                index_spans(item, at, spans);
                at.truncate(len);
            }
        }
        _ => {}
    }
}

/// What a text should have been, for the words of its syntax errors.
#[derive(Debug)]
pub(crate) struct Meant {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How to begin one.
    pub(crate) begin: &'static str,
    /// Where remarks may stand instead of in comments.
    pub(crate) remarks: &'static str,
}

const POLICY: Meant = Meant {
    name: "policy",
    begin: "start with `{ \"version\": \"1\", \"default\": \"deny\" }`",
    remarks: "JSON has no comments; use `description`",
};

/// Explains why a text is not JSON, with what people most often mean by what stands there.
pub(crate) fn syntax_error(
    text: &str,
    offset: usize,
    kind: ParseErrorKind,
    meant: &Meant,
    sink: &mut Sink<'_>,
) {
    let rest = text.get(offset..).unwrap_or("");
    let next = rest.chars().next();
    let before = text.get(..offset).unwrap_or("").trim_end().chars().next_back();
    let end = offset + next.map_or(0, char::len_utf8);
    let (code, message, help) = match kind {
        ParseErrorKind::ByteOrderMark => (
            "byte-order-mark",
            "the text begins with a byte order mark".to_owned(),
            "save the file as UTF-8 without a byte order mark",
        ),
        ParseErrorKind::NotUtf8 => {
            ("not-utf8", "the bytes from here on are not UTF-8".to_owned(), "save the file as UTF-8")
        }
        ParseErrorKind::UnexpectedEnd if text.trim().is_empty() => {
            ("syntax", "the text is empty".to_owned(), meant.begin)
        }
        ParseErrorKind::UnexpectedEnd => (
            "syntax",
            "the text ends too early".to_owned(),
            "a closing `}`, `]` or `\"` is missing somewhere above",
        ),
        ParseErrorKind::Trailing => (
            "syntax",
            format!("more text follows the {}", meant.name),
            "a file holds exactly one JSON object",
        ),
        ParseErrorKind::Unexpected => {
            let shown = next.map_or_else(String::new, |c| super::diagnostic::tick(&c.to_string()));
            let help = match next {
                Some('/' | '#') => meant.remarks,
                Some('\'') => "JSON strings stand in double quotes",
                Some('}' | ']') if before == Some(',') => "take away the comma before it",
                Some('"' | '{' | '[') if before != Some(',') => "a comma or a colon is missing before it",
                Some('“' | '”') => "use the plain double quote `\"`",
                Some('T' | 'F' | 'N') => "JSON writes `true`, `false` and `null` in lower case",
                Some(c) if c.is_alphabetic() => "names and texts stand in double quotes",
                _ => "",
            };
            ("syntax", format!("unexpected character {shown}"), help)
        }
        ParseErrorKind::BadEscape => (
            "syntax",
            ParseErrorKind::BadEscape.to_string(),
            "within a JSON string a backslash is written twice: `\\\\`",
        ),
        other => ("syntax", other.to_string(), ""),
    };
    sink.add(Severity::Error, code, At::ROOT.to_string(), Span { start: offset, end }, message, help);
}

#[cfg(test)]
#[path = "document/tests.rs"]
mod tests;
