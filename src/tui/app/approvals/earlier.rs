//! Earlier calls like the one that waits, and how people decided them.

use super::Entry;
use crate::record::Verdict;
use crate::time::Timestamp;
use crate::tui::app::health::gateways::span;
use crate::tui::app::live::detail::{Line, Tone, line};
use crate::tui::app::live::ring::Ring;
use crate::tui::app::live::row::{Kind, Row};

/// Calls that are named; all that are known are counted.
const NAMED: usize = 3;

/// An earlier call of the same tool that waited for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// When it was decided, or asked where that is not known.
    pub at: Timestamp,
    /// How, in a word.
    pub word: &'static str,
    /// By whom; empty where nobody did.
    pub by: String,
    /// Their note.
    pub note: String,
    /// Whose call it was.
    pub grant: String,
    /// Its arguments as they were recorded.
    pub args: String,
    /// They are those of the call that waits.
    pub same: bool,
}

/// The earlier calls like this one among the rows that are kept, those with the same arguments
/// first, then the newest.
pub fn earlier(ring: &Ring, entry: &Entry) -> Vec<Earlier> {
    let names = &ring.names;
    let asked = || {
        ring.held.last().filter_map(|id| Some((id, ring.get(id)?))).filter(|(_, row)| {
            row.kind == Kind::Call(Verdict::Approve)
                && names.text(row.server) == entry.server
                && names.text(row.tool) == entry.tool
        })
    };
    // Recorded arguments are masked: they are compared with what was recorded of this call.
    let mine = asked().find(|(_, row)| names.text(row.approval) == entry.id).map(|(_, row)| &*row.args);
    let mut out: Vec<Earlier> = asked()
        .filter(|(_, row)| names.text(row.approval) != entry.id)
        .filter_map(|(id, row)| {
            let told = ring.held.told(names.text(row.approval));
            let answer = ring.held.answer_of(id).and_then(|id| ring.get(id));
            let word = match (told, answer.and_then(Row::verdict)) {
                (Some(told), _) => told.word,
                (None, Some(Verdict::Allow)) => "approved",
                (None, Some(Verdict::Deny)) => "not approved",
                (None, _) => return None,
            };
            Some(Earlier {
                at: told.map_or_else(|| answer.map_or(row.ts, |row| row.ts), |told| told.at),
                word,
                by: told.map_or_else(String::new, |told| told.by.clone()),
                note: told.map_or_else(String::new, |told| told.note.clone()),
                grant: names.text(row.grant).to_owned(),
                args: row.args.to_string(),
                same: mine == Some(&*row.args),
            })
        })
        .collect();
    out.sort_by_key(|one| std::cmp::Reverse((one.same, one.at)));
    out
}

/// What the detail says of them.
pub fn lines(earlier: &[Earlier], now: Timestamp, out: &mut Vec<Line>) {
    if earlier.is_empty() {
        out.push(line("earlier", "no call of this tool that waited is known here", Tone::Plain));
        return;
    }
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for one in earlier {
        *counts.entry(one.word).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let same = earlier.iter().filter(|one| one.same).count();
    let with = match same {
        0 => "none with the same arguments".to_owned(),
        same => format!("{same} with the same arguments"),
    };
    out.push(line("earlier", format!("{}; {with}", counts.join(", ")), Tone::Heading));
    for one in earlier.iter().take(NAMED) {
        let by = if one.by.is_empty() { String::new() } else { format!(" by {}", one.by) };
        let ago = span(one.at.millis_until(now));
        let what =
            if one.same { "the same arguments".to_owned() } else { one.args.chars().take(120).collect() };
        let tone = match one.word {
            "approved" => Tone::Good,
            "rejected" | "not approved" => Tone::Bad,
            _ => Tone::Plain,
        };
        out.push(line("", format!("{}{by} {ago} ago, grant {}: {what}", one.word, one.grant), tone));
        if !one.note.is_empty() {
            out.push(line("", format!("note: {}", one.note), Tone::Plain));
        }
    }
}
