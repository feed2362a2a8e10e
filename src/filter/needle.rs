//! Expressions over a journal's raw lines, for passing over what cannot match without reading it.
//!
//! Each is wider than the term it stands for, never narrower. A record may spell a character of a
//! string as an escape, put white space between its tokens, and even escape a letter of a member's
//! name: whatever is spelt so matches here and is left to those who read. None matches across a line
//! feed.

use std::collections::BTreeSet;

use regex::bytes::{Regex, RegexBuilder};

use super::Field;
use super::text::Pattern;

/// The largest compiled expression, in bytes; a term that needs more has none.
const SIZE: usize = 1 << 20;
/// A lower-case letter or an underscore spelt as an escape: a member's name, or a word, may be.
const SPELT: &str = r"\\u00[567]";
/// White space between tokens of one line.
const SPACE: &str = r"[ \t\r]*";
/// What stands in a string up to its first escape, and that escape.
const ESCAPE: &str = r#"(?-u:[^"\\\n])*\\"#;

/// A member that is one of some words, as `"decision":"deny"`.
pub(super) fn words(members: &[(&str, &str)]) -> Option<Regex> {
    let mut parts: Vec<String> =
        members.iter().map(|(name, word)| format!(r#""{name}"{SPACE}:{SPACE}"{word}""#)).collect();
    parts.push(SPELT.to_owned());
    build(&parts)
}

/// A member that is an object.
pub(super) fn object(name: &str) -> Option<Regex> {
    build(&[format!(r#""{name}"{SPACE}:{SPACE}\{{"#), SPELT.to_owned()])
}

/// A field that matches one of some patterns.
pub(super) fn field(field: Field, patterns: &[Pattern]) -> Option<Regex> {
    // An event's own members stand for some fields.
    let names = match field {
        Field::Tool => "tool",
        Field::Rule => "rule",
        Field::Grant => "(?:grant|by)",
        Field::Server => "server",
        Field::Gateway => "gateway",
        Field::Session => "session",
        Field::Client => "client",
        Field::Method => "method",
        Field::Message => "(?:message|reason)",
        Field::Decision | Field::Status | Field::Shadow | Field::Kind => return None,
    };
    let mut values = vec![ESCAPE.to_owned()];
    for pattern in patterns {
        let pieces = pattern.pieces()?;
        // Nothing at all would match what has no such member.
        if pieces.iter().all(|piece| piece.is_empty()) {
            return None;
        }
        // What only escapes can spell is found by them.
        if pieces.iter().any(|piece| piece.contains(is_escaped)) {
            continue;
        }
        let pieces: Vec<String> = pieces.iter().map(|piece| regex::escape(piece)).collect();
        values.push(format!(r#"(?i:{})""#, pieces.join(r#"(?-u:[^"\\\n])*"#)));
    }
    build(&[format!(r#""{names}"{SPACE}:{SPACE}"(?:{})"#, values.join("|")), SPELT.to_owned()])
}

/// A word anywhere in the fields that free text looks into.
pub(super) fn anywhere(pattern: &Pattern) -> Option<Regex> {
    let piece =
        pattern.pieces()?.into_iter().max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty())?;
    let mut parts = vec![
        format!(r#""(?:tool|rule|message|reason|server|grant|by)"{SPACE}:{SPACE}"{ESCAPE}"#),
        SPELT.to_owned(),
    ];
    // Arguments are looked into as they are spelt, so quotes and backslashes may stand there.
    if !piece.contains('\n') {
        parts.push(format!("(?i:{})", regex::escape(piece)));
    }
    build(&parts)
}

/// An argument of this name: as it is, or with one of its characters spelt as an escape.
pub(super) fn argument(name: &str) -> Option<Regex> {
    let plain = format!(r#""{}"{SPACE}:"#, regex::escape(name));
    if name.contains(|c| is_escaped(c) || c == '/') {
        // There are more ways to spell these: any name with an escape in it.
        let escaped = format!(r#"\\(?-u:[^\n])(?-u:[^"\\\n]|\\[^\n])*"{SPACE}:"#);
        return if name.contains(is_escaped) { build(&[escaped]) } else { build(&[plain, escaped]) };
    }
    let units: BTreeSet<u16> = name.encode_utf16().collect();
    let units: Vec<String> = units.iter().map(|unit| format!("{unit:04x}")).collect();
    build(&[plain, format!(r"\\u(?i-u:{})", units.join("|"))])
}

/// Whether JSON has the character in a string only as an escape.
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\' | '\0'..='\u{1f}')
}

fn build(parts: &[String]) -> Option<Regex> {
    RegexBuilder::new(&parts.join("|")).size_limit(SIZE).build().ok()
}
