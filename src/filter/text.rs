//! Patterns for text: the whole of it, with `*`, a part of it, or a regular expression. Everything
//! but the whole is searched in linear time, however the pattern and the text are made.

use regex::{Regex, RegexBuilder};

use crate::json::fold::same_ignoring_case;

/// The largest compiled expression, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// What a text is held against.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// The whole text; case is ignored.
    Whole(String),
    /// An expression, searched for.
    Regex(Box<Regex>),
}

impl Pattern {
    /// A pattern of literal text with `*` for any characters; case is ignored.
    pub(super) fn glob(text: &str) -> Result<Self, String> {
        if !text.contains('*') {
            return Ok(Self::Whole(text.to_owned()));
        }
        let pieces: Vec<String> = text.split('*').map(regex::escape).collect();
        build(&format!("^{}$", pieces.join(".*")), true)
    }

    /// The text itself, whatever stands in it.
    pub(super) fn exact(text: &str) -> Self {
        Self::Whole(text.to_owned())
    }

    /// A regular expression as a person wrote it; case matters.
    pub(super) fn expression(text: &str) -> Result<Self, String> {
        build(text, false)
    }

    /// The same text as a part of another.
    pub(super) fn anywhere(self) -> Result<Self, String> {
        match self {
            Self::Whole(text) => build(&regex::escape(&text), true),
            regex @ Self::Regex(_) => Ok(regex),
        }
    }

    /// Whether it is the empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(text) if text.is_empty())
    }

    /// Whether the whole text matches (an expression: some of it).
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => same_ignoring_case(whole, text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn build(pattern: &str, fold: bool) -> Result<Pattern, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(fold)
        .dot_matches_new_line(fold)
        .size_limit(REGEX_SIZE)
        .build()
        .map(|regex| Pattern::Regex(Box::new(regex)))
        .map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned()
            }
        })
}
