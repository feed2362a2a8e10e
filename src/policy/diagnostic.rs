//! What is wrong with a policy text, where, and what to do about it.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::json::{self, Node, Span, Value, pointer};
use crate::visible::visible;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The text is no valid policy; nothing enforces it.
    Error,
    /// Legal, but surely not meant.
    Warning,
}

impl Severity {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One remark on a policy text. Serializes as `check --format json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable name for the kind of remark, for instance `unknown-key`.
    pub code: &'static str,
    /// JSON Pointer (RFC 6901) to the place; empty for the whole document.
    pub pointer: String,
    /// The bytes it is about.
    #[serde(skip)]
    pub span: Span,
    /// Line of the span's start, from 1.
    pub line: usize,
    /// Column of the span's start in characters, from 1.
    pub column: usize,
    /// What is wrong, in lower case, the text's own words in backticks and made harmless.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about a whole text of which nothing more can be said.
    pub(crate) fn nowhere(message: &str) -> Self {
        Self {
            severity: Severity::Error,
            code: "syntax",
            pointer: String::new(),
            span: Span::default(),
            line: 1,
            column: 1,
            message: message.to_owned(),
            help: None,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Where the lines of a text begin, to turn many offsets into lines and columns.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines.
    pub fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { text, starts }
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// The text of a line (from 1), without its line ending.
    pub fn line(&self, line: usize) -> &'t str {
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied();
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let text = start.and_then(|start| self.text.get(start..end)).unwrap_or("");
        text.trim_end_matches(['\n', '\r'])
    }
}

/// Collects diagnostics about one text.
#[derive(Debug)]
pub(crate) struct Sink<'t> {
    text: &'t str,
    lines: Option<Lines<'t>>,
    pub(crate) found: Vec<Diagnostic>,
}

impl<'t> Sink<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, lines: None, found: Vec::new() }
    }

    /// Notes one; `help` may be empty.
    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        pointer: String,
        span: Span,
        message: String,
        help: impl Into<String>,
    ) {
        let (line, column) = self.lines.get_or_insert_with(|| Lines::new(self.text)).place(span.start);
        let help = Some(help.into()).filter(|text| !text.is_empty());
        self.found.push(Diagnostic { severity, code, pointer, span, line, column, message, help });
    }

    /// As [`Sink::add`], for what makes the document invalid.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        span: Span,
        message: String,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, code, at.to_string(), span, message, help);
    }

    /// A value of another type than is wanted there.
    pub(crate) fn wrong_type(&mut self, at: &At<'_>, node: &Node<'_>, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", a_type(node));
        self.error("wrong-type", at, node.span, message, "");
    }

    /// What holds for every node: no duplicate members, no strings that cannot be told exactly.
    pub(crate) fn whole(&mut self, parsed: &json::Parsed<'_>) {
        let duplicates: HashMap<usize, Span> =
            parsed.duplicates.iter().map(|found| (found.second.start, found.first)).collect();
        self.walk(&At::ROOT, &parsed.root, &duplicates);
    }

    fn walk(&mut self, at: &At<'_>, node: &Node<'_>, duplicates: &HashMap<usize, Span>) {
        match &node.value {
            Value::Object(members) => {
                for member in members {
                    let at = at.key(member.key.as_str());
                    if let Some(first) = duplicates.get(&member.key_span.start) {
                        let (line, _) = json::line_column(self.text, first.start);
                        self.add(
                            Severity::Error,
                            "duplicate-member",
                            at.to_string(),
                            member.key_span,
                            format!("{} stands here twice; first on line {line}", tick(member.key.as_str())),
                            "keep one: parsers differ on which of them counts",
                        );
                    }
                    if !member.key.exact {
                        self.inexact(&at, member.key_span);
                    }
                    self.walk(&at, &member.value, duplicates);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(&at.index(index), item, duplicates);
                }
            }
            Value::String(text) if !text.exact => self.inexact(at, node.span),
            _ => {}
        }
    }

    fn inexact(&mut self, at: &At<'_>, span: Span) {
        self.add(
            Severity::Error,
            "unpaired-surrogate",
            at.to_string(),
            span,
            "the string holds half of a surrogate pair, which is no character".to_owned(),
            "write the character itself, or both halves of its escape",
        );
    }

    /// In the order of the text.
    pub(crate) fn sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.span.start, found.severity));
        self.found
    }
}

/// A place in a document on the way down: a pointer that costs nothing until it is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> At<'p> {
    pub(crate) const ROOT: At<'static> = At { parent: None, step: Step::Root };

    pub(crate) fn key(&'p self, key: &'p str) -> At<'p> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    pub(crate) fn index(&'p self, index: usize) -> At<'p> {
        At { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => write!(f, "/{}", pointer::escape(key)),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

/// A value by its type, with its article, as messages name it.
pub(crate) fn a_type(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        _ => format!("a {}", node.type_name()),
    }
}

/// Longest piece of the document that a message quotes, in characters.
const QUOTED: usize = 80;

/// A text of the document in backticks: cut when long, and harmless on a terminal.
pub fn tick(text: &str) -> String {
    let cut = text.char_indices().nth(QUOTED).map(|(at, _)| at);
    match cut {
        Some(at) => format!("`{}…`", visible(text.get(..at).unwrap_or(""))),
        None => format!("`{}`", visible(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_agree_with_the_slow_way() {
        let text = "a\nbä\r\n\nc";
        let lines = Lines::new(text);
        for offset in 0..=text.len() {
            assert_eq!(lines.place(offset), crate::json::line_column(text, offset), "{offset}");
        }
        assert_eq!(lines.line(2), "bä");
        assert_eq!(lines.line(4), "c");
        assert_eq!(lines.line(9), "");
        assert_eq!(lines.line(0), "");
    }

    #[test]
    fn quotes_harmlessly() {
        assert_eq!(tick("a\u{1b}[2J\u{202e}\n"), "`a\\u{1b}[2J\\u{202e}\\n`");
        assert_eq!(tick(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn pointers_print_escaped() {
        let at = At::ROOT;
        let tools = at.key("tools");
        let tool = tools.key("a/b~c");
        assert_eq!(tool.index(3).to_string(), "/tools/a~1b~0c/3");
        assert_eq!(At::ROOT.to_string(), "");
    }
}
