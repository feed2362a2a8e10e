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
    /// Clients.
    pub clients: Vec<String>,
    /// Sessions.
    pub sessions: Vec<String>,
    /// Gateway runs.
    pub gateways: Vec<String>,
    /// Names of arguments.
    pub args: Vec<String>,
}

/// A value as a filter must spell it to mean just this text.
pub fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
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
            // A name with a colon in it could not be told from its value.
            let args = known.args.iter().filter(|_| word.starts_with("arg."));
            let args = args.filter(|name| !name.contains([':', ' ', '"'])).map(|name| format!("arg.{name}:"));
            (from, word, names.chain(others).chain(args).collect())
        }
        Some((name, value)) => {
            // After a comma the next value is typed.
            let part = value.rsplit(',').next().unwrap_or(value);
            (before.len() - part.len(), part, values(name, known))
        }
    };
    // A value that must be quoted is found without its quote, too.
    let bare = |text: &str| text.trim_start_matches('"').to_lowercase();
    let part = bare(part);
    options
        .into_iter()
        .filter(|option| bare(option).starts_with(&part) && option.len() > part.len())
        .take(50)
        .map(|text| Completion { from, text })
        .collect()
}

fn values(name: &str, known: &Known) -> Vec<String> {
    let fixed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let quoted = |values: &[String]| values.iter().map(|value| quoted(value)).collect();
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
        "client" => quoted(&known.clients),
        "session" => quoted(&known.sessions),
        "gateway" => quoted(&known.gateways),
        _ => Vec::new(),
    }
}
