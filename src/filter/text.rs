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
    /// The whole text: pieces in their order with anything between them; case is ignored.
    Glob(Vec<String>, Box<Regex>),
    /// A part of the text; case is ignored.
    Part(String, Box<Regex>),
    /// An expression, searched for.
    Regex(Box<Regex>),
}

impl Pattern {
    /// A pattern of literal text with `*` for any characters; case is ignored.
    pub(super) fn glob(text: &str) -> Result<Self, String> {
        if !text.contains('*') {
            return Ok(Self::Whole(text.to_owned()));
        }
        let escaped: Vec<String> = text.split('*').map(regex::escape).collect();
        let regex = build(&format!("^{}$", escaped.join(".*")), true)?;
        Ok(Self::Glob(text.split('*').map(str::to_owned).collect(), regex))
    }

    /// The text itself, whatever stands in it.
    pub(super) fn exact(text: &str) -> Self {
        Self::Whole(text.to_owned())
    }

    /// A regular expression as a person wrote it; case matters.
    pub(super) fn expression(text: &str) -> Result<Self, String> {
        build(text, false).map(Self::Regex)
    }

    /// The same text as a part of another.
    pub(super) fn anywhere(self) -> Result<Self, String> {
        match self {
            Self::Whole(text) => {
                let regex = build(&regex::escape(&text), true)?;
                Ok(Self::Part(text, regex))
            }
            other => Ok(other),
        }
    }

    /// Texts of which each stands in whatever matches, in this order when it matches the whole, case
    /// ignored; `None` of an expression.
    pub(super) fn pieces(&self) -> Option<Vec<&str>> {
        match self {
            Self::Whole(text) | Self::Part(text, _) => Some(vec![text]),
            Self::Glob(pieces, _) => Some(pieces.iter().map(String::as_str).collect()),
            Self::Regex(_) => None,
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
            Self::Glob(_, regex) | Self::Part(_, regex) | Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn build(pattern: &str, fold: bool) -> Result<Box<Regex>, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(fold)
        .dot_matches_new_line(fold)
        .size_limit(REGEX_SIZE)
        .build()
        .map(Box::new)
        .map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned()
            }
        })
}
