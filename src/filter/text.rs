//! Patterns for text: exact, with `*`, or a regular expression.

use crate::json::fold::same_ignoring_case;

/// What a text is held against.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// Pieces between stars; case is ignored.
    Glob(Vec<String>),
    /// A regular expression, searched for.
    Regex(Box<regex::Regex>),
}

impl Pattern {
    /// A pattern of literal text with `*` for any characters.
    pub(super) fn glob(text: &str) -> Self {
        Self::Glob(text.split('*').map(str::to_owned).collect())
    }

    /// A pattern without stars: the text itself.
    pub(super) fn exact(text: &str) -> Self {
        Self::Glob(vec![text.to_owned()])
    }

    /// Whether it is the empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Glob(pieces) if pieces.len() == 1 && pieces.iter().all(String::is_empty))
    }

    /// Whether the whole text matches (a regular expression: some of it).
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Glob(pieces) => glob(pieces, text),
        }
    }
}

fn glob(pieces: &[String], text: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return text.is_empty() };
    let Some((last, middle)) = rest.split_last() else { return same_ignoring_case(first, text) };
    let Some(text) = strip_start(text, first) else { return false };
    let Some(mut text) = strip_end(text, last) else { return false };
    for piece in middle {
        match find(text, piece) {
            Some(after) => text = after,
            None => return false,
        }
    }
    true
}

/// What follows `start`, where the text begins with it, case aside.
fn strip_start<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(split_chars(text, start.chars().count())?)?;
    same_ignoring_case(head, start).then_some(rest)
}

fn strip_end<'t>(text: &'t str, end: &str) -> Option<&'t str> {
    let count = end.chars().count();
    let at = if count == 0 { text.len() } else { text.char_indices().rev().nth(count - 1)?.0 };
    let (rest, tail) = text.split_at_checked(at)?;
    same_ignoring_case(tail, end).then_some(rest)
}

/// The offset after so many characters.
fn split_chars(text: &str, count: usize) -> Option<usize> {
    if count == 0 {
        return Some(0);
    }
    text.char_indices().nth(count - 1).map(|(at, c)| at + c.len_utf8())
}

/// What follows the first place where `piece` stands, case aside.
pub(super) fn find<'t>(text: &'t str, piece: &str) -> Option<&'t str> {
    if piece.is_empty() {
        return Some(text);
    }
    if piece.is_ascii() && !piece.bytes().any(|byte| matches!(byte, b'k' | b'K' | b's' | b'S')) {
        // No letter outside ASCII folds to these, so bytes can be compared.
        let at = text
            .as_bytes()
            .windows(piece.len())
            .position(|part| part.eq_ignore_ascii_case(piece.as_bytes()))?;
        return text.get(at + piece.len()..);
    }
    text.char_indices().find_map(|(at, _)| strip_start(text.get(at..)?, piece))
}
