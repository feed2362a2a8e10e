//! What could stand at the cursor of a filter.

use super::parse::{DECISIONS, KINDS, SHADOWS, STATUSES};
use super::{Field, OTHER_NAMES};

/// Values that were seen, for completion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Tools.
    pub tools: Vec<String>,
    /// Servers.
    pub servers: Vec<String>,
    /// Grants.
    pub grants: Vec<String>,
    /// Rules.
    pub rules: Vec<String>,
}

/// One completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where in the text the replaced part begins; it ends at the cursor.
    pub from: usize,
    /// What replaces it.
    pub text: String,
}

/// Completions at a cursor (a byte offset), the likeliest first, at most 50.
pub fn complete(text: &str, cursor: usize, known: &Known) -> Vec<Completion> {
    let before = text.get(..text.floor_char_boundary(cursor)).unwrap_or("");
    let start = before
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    let mut word = before.get(start..).unwrap_or("");
    let mut from = start;
    if let Some(rest) = word.strip_prefix(['-', '!']) {
        word = rest;
        from += 1;
    }
    let (from, part, options): (usize, &str, Vec<String>) = match word.split_once(':') {
        None => {
            let names = Field::ALL.iter().map(|(_, name)| format!("{name}:"));
            let others = OTHER_NAMES
                .iter()
                .map(|name| if name.ends_with('.') { (*name).to_owned() } else { format!("{name}:") });
            (from, word, names.chain(others).collect())
        }
        Some((name, value)) => {
            // After a comma the next value is typed.
            let part = value.rsplit(',').next().unwrap_or(value);
            (before.len() - part.len(), part, values(name, known))
        }
    };
    let part = part.to_lowercase();
    options
        .into_iter()
        .filter(|option| option.to_lowercase().starts_with(&part) && option.len() > part.len())
        .take(50)
        .map(|text| Completion { from, text })
        .collect()
}

fn values(name: &str, known: &Known) -> Vec<String> {
    let fixed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    // A value with a space or a comma must be quoted to be read back.
    let quoted = |values: &[String]| {
        values
            .iter()
            .map(
                |value| {
                    if value.contains([' ', ',', '"', '*']) { format!("{value:?}") } else { value.clone() }
                },
            )
            .collect()
    };
    match name {
        "decision" => fixed(&DECISIONS.map(|(word, _)| word)),
        "status" => fixed(&STATUSES.map(|(word, _)| word)),
        "shadow" => fixed(&SHADOWS.map(|(word, _)| word)),
        "kind" => fixed(&KINDS),
        "since" | "until" => fixed(&["5m", "15m", "1h", "24h"]),
        "tool" => quoted(&known.tools),
        "server" => quoted(&known.servers),
        "grant" => quoted(&known.grants),
        "rule" => quoted(&known.rules),
        _ => Vec::new(),
    }
}
