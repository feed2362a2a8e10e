//! The recursive-descent reader behind [`parse`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::{Duplicate, Member, Node, Parsed, Span, Text, Value, special};

/// How deep arrays and objects may nest. Deeper texts are refused: other parsers' limits differ,
/// and a reader must not run out of stack on a message from outside.
pub const MAX_DEPTH: usize = 128;

/// Room for so many elements or members is made at once: what a vector would take for the first.
const FEW: usize = 4;

/// Objects up to this many members are searched for duplicates pairwise, larger ones by hashing.
const PAIRWISE: usize = 12;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    /// Byte offset of the first byte that does not fit.
    pub offset: usize,
    /// What was wrong with it.
    pub kind: ParseErrorKind,
}

/// What was wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// The text ends within a value, or holds none.
    UnexpectedEnd,
    /// A byte that cannot stand here.
    Unexpected,
    /// A control character within a string that is not escaped.
    ControlInString,
    /// A backslash sequence that JSON does not have.
    BadEscape,
    /// A number spelt as JSON does not allow.
    BadNumber,
    /// More than [`MAX_DEPTH`] arrays and objects within each other.
    TooDeep,
    /// More text after the value.
    Trailing,
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the bytes are not valid UTF-8",
            Self::ByteOrderMark => "the text begins with a byte order mark",
            Self::UnexpectedEnd => "the text ends too early",
            Self::Unexpected => "unexpected character",
            Self::ControlInString => "a control character in a string must be escaped",
            Self::BadEscape => "not an escape sequence of JSON",
            Self::BadNumber => "not a number as JSON spells it",
            Self::TooDeep => "nested more than 128 deep",
            Self::Trailing => "more text follows the value",
        })
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for ParseError {}

/// Parses bytes that hold exactly one JSON value.
///
/// # Errors
/// As [`parse`]; bytes that are not UTF-8 are refused first.
pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed<'_>, ParseError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => Err(ParseError { offset: error.valid_up_to(), kind: ParseErrorKind::NotUtf8 }),
    }
}

/// Parses a text that holds exactly one JSON value.
///
/// # Errors
/// The first place where the text departs from RFC 8259, begins with a byte order mark, or nests
/// deeper than [`MAX_DEPTH`]. Duplicate members are no error here: they are listed in the result.
pub fn parse(text: &str) -> Result<Parsed<'_>, ParseError> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, duplicates: Vec::new() };
    if text.starts_with('\u{feff}') {
        return Err(ParseError { offset: 0, kind: ParseErrorKind::ByteOrderMark });
    }
    parser.white_space();
    let root = parser.value(0)?;
    parser.white_space();
    if parser.at < parser.bytes.len() {
        return Err(parser.error(ParseErrorKind::Trailing));
    }
    Ok(Parsed { root, duplicates: parser.duplicates })
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    duplicates: Vec<Duplicate>,
}

impl<'a> Parser<'a> {
    fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError { offset: self.at, kind }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn unexpected(&self) -> ParseError {
        self.error(if self.peek().is_none() {
            ParseErrorKind::UnexpectedEnd
        } else {
            ParseErrorKind::Unexpected
        })
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, ParseError> {
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected()),
        };
        Ok(Node { span: Span { start, end: self.at }, value })
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, ParseError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn enter(&self, depth: usize) -> Result<usize, ParseError> {
        if depth >= MAX_DEPTH { Err(self.error(ParseErrorKind::TooDeep)) } else { Ok(depth + 1) }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, ParseError> {
        let depth = self.enter(depth)?;
        self.at += 1;
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(Vec::new()));
        }
        let mut items = Vec::with_capacity(FEW);
        loop {
            items.push(self.value(depth)?);
            self.white_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.white_space();
                }
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, ParseError> {
        let depth = self.enter(depth)?;
        self.at += 1;
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Vec::new()));
        }
        let mut members: Vec<Member<'a>> = Vec::with_capacity(FEW);
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key_start = self.at;
            let key = self.string()?;
            let key_span = Span { start: key_start, end: self.at };
            self.white_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected());
            }
            self.at += 1;
            self.white_space();
            let value = self.value(depth)?;
            members.push(Member { key, key_span, value });
            self.white_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.white_space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.find_duplicates(&members);
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn find_duplicates(&mut self, members: &[Member<'a>]) {
        if members.len() <= PAIRWISE {
            for (index, member) in members.iter().enumerate() {
                let earlier = members.iter().take(index).find(|other| other.key.value == member.key.value);
                if let Some(first) = earlier {
                    self.duplicates.push(Duplicate { first: first.key_span, second: member.key_span });
                }
            }
        } else {
            let mut seen: HashMap<&str, Span> = HashMap::with_capacity(members.len());
            for member in members {
                if let Some(first) = seen.get(member.key.as_str()) {
                    self.duplicates.push(Duplicate { first: *first, second: member.key_span });
                } else {
                    seen.insert(member.key.as_str(), member.key_span);
                }
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            None => return Err(self.error(ParseErrorKind::UnexpectedEnd)),
            Some(_) => return Err(self.error(ParseErrorKind::BadNumber)),
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error(ParseErrorKind::BadNumber));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or(""))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'0'..=b'9') => {
                self.digits();
                Ok(())
            }
            None => Err(self.error(ParseErrorKind::UnexpectedEnd)),
            Some(_) => Err(self.error(ParseErrorKind::BadNumber)),
        }
    }

    /// Reads a string from its opening quote. Runs without escapes are found by the word and the
    /// vector, so a long plain argument costs little more than touching it.
    fn string(&mut self) -> Result<Text<'a>, ParseError> {
        self.at += 1;
        let start = self.at;
        let run = self.run()?;
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Text { value: Cow::Borrowed(run), exact: true });
        }
        let mut decoded = String::with_capacity(run.len() + 16);
        decoded.push_str(self.text.get(start..self.at).unwrap_or(""));
        let mut exact = true;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text { value: Cow::Owned(decoded), exact });
                }
                Some(b'\\') => exact &= self.escape(&mut decoded)?,
                _ => return Err(self.unexpected()),
            }
            decoded.push_str(self.run()?);
        }
    }

    /// Consumes up to the next quote or backslash.
    fn run(&mut self) -> Result<&'a str, ParseError> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(len) = special::find::<true>(rest) else {
            self.at = self.bytes.len();
            return Err(self.error(ParseErrorKind::UnexpectedEnd));
        };
        if rest.get(len).is_some_and(|byte| *byte < 0x20) {
            self.at += len;
            return Err(self.error(ParseErrorKind::ControlInString));
        }
        let text = self.text.get(self.at..self.at + len).unwrap_or("");
        self.at += len;
        Ok(text)
    }

    /// Decodes one backslash sequence; `false` when it was an unpaired surrogate.
    fn escape(&mut self, into: &mut String) -> Result<bool, ParseError> {
        let at = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape(into);
            }
            None => return Err(self.error(ParseErrorKind::UnexpectedEnd)),
            Some(_) => return Err(ParseError { offset: at, kind: ParseErrorKind::BadEscape }),
        };
        into.push(plain);
        self.at += 1;
        Ok(true)
    }

    fn unicode_escape(&mut self, into: &mut String) -> Result<bool, ParseError> {
        let first = self.hex4()?;
        if let Some(plain) = char::from_u32(first) {
            into.push(plain);
            return Ok(true);
        }
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                into.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                return Ok(true);
            }
            self.at = back;
        }
        into.push('\u{fffd}');
        Ok(false)
    }

    fn hex4(&mut self) -> Result<u32, ParseError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else {
                return Err(self.error(ParseErrorKind::UnexpectedEnd));
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.error(ParseErrorKind::BadEscape));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_spans_spelling_and_order() {
        let text = r#" {"b":1.0e+2,"a":[true,null,"x\u0041"]} "#;
        let root = parse(text).expect("valid").root;
        assert_eq!(root.span.of(text), text.trim());
        let b = root.get("b").expect("b");
        assert_eq!(b.value, Value::Number("1.0e+2"));
        assert_eq!(root.get("a").and_then(|a| a.as_array()).map(<[_]>::len), Some(3));
        assert_eq!(root.as_object().expect("object")[0].key.as_str(), "b");
    }

    #[test]
    fn finds_duplicates_by_decoded_name_at_every_depth() {
        let text = r#"{"name":1,"x":{"a":1,"\u0061":2},"na\u006de":3}"#;
        let parsed = parse(text).expect("valid");
        let names: Vec<_> = parsed.duplicates.iter().map(|d| d.second.of(text)).collect();
        assert_eq!(names, [r#""\u0061""#, r#""na\u006de""#]);
    }

    #[test]
    fn finds_duplicates_in_large_objects() {
        let mut text = String::from("{");
        for index in 0..50 {
            text.push_str(&format!("\"k{index}\":0,"));
        }
        text.push_str("\"k7\":1}");
        assert_eq!(parse(&text).expect("valid").duplicates.len(), 1);
    }

    #[test]
    fn refuses_what_is_not_json() {
        let cases: &[(&str, ParseErrorKind)] = &[
            ("", ParseErrorKind::UnexpectedEnd),
            ("\u{feff}{}", ParseErrorKind::ByteOrderMark),
            ("{\"a\":1,}", ParseErrorKind::Unexpected),
            ("[1,]", ParseErrorKind::Unexpected),
            ("01", ParseErrorKind::BadNumber),
            ("-", ParseErrorKind::UnexpectedEnd),
            ("1.", ParseErrorKind::UnexpectedEnd),
            ("1.e3", ParseErrorKind::BadNumber),
            ("+1", ParseErrorKind::Unexpected),
            (".5", ParseErrorKind::Unexpected),
            ("NaN", ParseErrorKind::Unexpected),
            ("nul", ParseErrorKind::UnexpectedEnd),
            ("\"a\nb\"", ParseErrorKind::ControlInString),
            ("\"\\x\"", ParseErrorKind::BadEscape),
            ("\"\\u12g4\"", ParseErrorKind::BadEscape),
            ("\"abc", ParseErrorKind::UnexpectedEnd),
            ("{} {}", ParseErrorKind::Trailing),
            ("// c\n{}", ParseErrorKind::Unexpected),
        ];
        for (text, kind) in cases {
            assert_eq!(parse(text).expect_err(text).kind, *kind, "{text:?}");
        }
        assert_eq!(parse_bytes(b"\"\xff\"").expect_err("bytes").kind, ParseErrorKind::NotUtf8);
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)).expect_err("deep").kind, ParseErrorKind::TooDeep);
        assert_eq!(parse(&"[".repeat(1_000_000)).expect_err("deep").kind, ParseErrorKind::TooDeep);
    }

    #[test]
    fn marks_unpaired_surrogates() {
        let lone = parse(r#""a\ud83dz""#).expect("valid").root;
        assert_eq!(lone.value, Value::String(Text { value: "a\u{fffd}z".into(), exact: false }));
        let pair = parse(r#""\ud83d\ude00""#).expect("valid").root;
        assert_eq!(pair.value, Value::String(Text { value: "😀".into(), exact: true }));
        let twice = parse(r#""\ud83d\ud83d\ude00""#).expect("valid").root;
        assert_eq!(twice.as_str(), Some("\u{fffd}😀"));
    }

    proptest! {
        #[test]
        fn never_panics_and_spans_lie_in_the_text(text in "\\PC{0,60}|[\\[\\]{}\",:0-9eE+\\-. \\\\untrfals]{0,60}") {
            if let Ok(parsed) = parse(&text) {
                prop_assert_eq!(parsed.root.span.of(&text), text.trim_matches([' ', '\t', '\r', '\n']));
            }
        }

        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9e+\\-. abntrufl\\\\/]{0,24}") {
            // serde_json refuses unpaired surrogates and huge exponents; nothing else differs.
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let ours = parse(&text);
            match (&ours, &theirs) {
                (Ok(_), Err(error)) => {
                    let why = error.to_string();
                    prop_assert!(why.contains("surrogate") || why.contains("hex escape") || why.contains("out of range"), "{}", why);
                }
                (Err(error), Ok(_)) => prop_assert!(false, "{}", error),
                _ => {}
            }
        }
    }
}
