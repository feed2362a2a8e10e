//! JSON read in place: the one reader under the policy document, the message envelope and the
//! masking of recorded arguments.
//!
//! A gateway that decides on bytes which another parser will read must see everything in them
//! that parsers can disagree on, so this reader keeps what `serde_json` throws away: the span of
//! every node, the spelling of every number, the order of members, and every duplicate member.
//! It is strict RFC 8259 on valid UTF-8: no comments, no trailing commas, no byte order mark.
//!
//! Pure; every module may use it.

pub mod canonical;
pub mod fold;
pub mod number;
mod parser;
pub mod pointer;
pub mod pretty;
pub(crate) mod special;
pub mod write;

use std::borrow::Cow;

pub use parser::{MAX_DEPTH, ParseError, ParseErrorKind, parse, parse_bytes};

/// A half-open range of byte offsets into the text that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset one past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of `text` that this span covers; empty when the span lies outside of it.
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or("")
    }

    /// Number of bytes covered.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the span covers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A decoded string. Borrowed from the text unless it held escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// The decoded characters; an unpaired surrogate escape is read as U+FFFD.
    pub value: Cow<'a, str>,
    /// `false` when an unpaired surrogate was replaced, so that `value` is not what another
    /// parser may see. Such a string must never satisfy or escape a rule: it is indeterminate.
    pub exact: bool,
}

impl Text<'_> {
    /// The decoded characters.
    pub fn as_str(&self) -> &str {
        &self.value
    }
}

/// One value with the place it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'a> {
    /// The bytes of this value, without surrounding white space.
    pub span: Span,
    /// What it is.
    pub value: Value<'a>,
}

/// A JSON value that borrows from its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is spelt.
    Number(&'a str),
    /// A string, decoded.
    String(Text<'a>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object, its members in the order of the text, duplicates included.
    Object(Vec<Member<'a>>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// The decoded name.
    pub key: Text<'a>,
    /// The bytes of the name with its quotes.
    pub key_span: Span,
    /// The value.
    pub value: Node<'a>,
}

/// The outcome of a parse: the tree and every duplicate member in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'a> {
    /// The value that the text holds.
    pub root: Node<'a>,
    /// Members whose decoded name occurred earlier in the same object, in text order.
    pub duplicates: Vec<Duplicate>,
}

/// A member that repeats the name of an earlier one in the same object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// Span of the earlier member's name.
    pub first: Span,
    /// Span of the repeated name.
    pub second: Span,
}

impl<'a> Node<'a> {
    /// The members, when this is an object.
    pub fn as_object(&self) -> Option<&[Member<'a>]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, when this is an array.
    pub fn as_array(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The decoded characters, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(&text.value),
            _ => None,
        }
    }

    /// The value of the first member called `key`, when this is an object that has one.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.member(key).map(|member| &member.value)
    }

    /// The first member called `key`, when this is an object that has one.
    pub fn member(&self, key: &str) -> Option<&Member<'a>> {
        self.as_object()?.iter().find(|member| member.key.value == key)
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The JSON type's name as people write it: `null`, `boolean`, `number`, `string`, `array` or
    /// `object`.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }
}

/// Line and column, both from 1, of a byte offset; columns count characters.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = text.floor_char_boundary(offset);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    (line, column)
}
