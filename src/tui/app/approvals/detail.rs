//! What the detail of an approval says, as labelled lines; the view only colours them.

use super::earlier::{self, Earlier};
use super::{Entry, Given};
use crate::policy::model::Window;
use crate::time::Timestamp;
use crate::tui::app::live::detail::{Line, Tone, line, pretty, seconds, wrap_all};

/// The lines of an approval's detail, wrapped to `width` columns of text. Every line is safe to show.
pub fn wrapped(entry: &Entry, earlier: &[Earlier], now: Timestamp, width: usize) -> Vec<Line> {
    wrap_all(lines(entry, earlier, now), width)
}

/// The lines of an approval's detail.
pub fn lines(entry: &Entry, earlier: &[Earlier], now: Timestamp) -> Vec<Line> {
    let mut out = vec![standing(entry, now)];
    if let Some(given) = &entry.given {
        decided(given, entry, now, &mut out);
    }
    if !entry.message.is_empty() {
        out.push(line("why", entry.message.clone(), Tone::Heading));
    }
    out.push(line("rule", entry.rule.clone(), Tone::Plain));
    match &entry.args {
        None => out.push(line(
            "arguments",
            "not sent here: only operators get them, and only while they are not too large",
            Tone::Warn,
        )),
        Some(args) => {
            for (index, text) in pretty(args).into_iter().enumerate() {
                out.push(line(if index == 0 { "arguments" } else { "" }, text, Tone::Code));
            }
        }
    }
    earlier::lines(earlier, now, &mut out);
    out.push(line("server", entry.server.clone(), Tone::Plain));
    out.push(line("grant", entry.grant.clone(), Tone::Plain));
    if let Some(client) = &entry.client {
        out.push(line("client", client.clone(), Tone::Plain));
    }
    let callers = match entry.holders {
        0 => "no caller waits any more; a later equal call can use the answer".to_owned(),
        1 => "1 caller waits".to_owned(),
        many => format!("{many} callers wait with equal arguments: one approval lets one of them through"),
    };
    if entry.is_waiting() {
        out.push(line("callers", callers, Tone::Plain));
    }
    out.push(line("asked", entry.asked_at.to_string(), Tone::Plain));
    if !entry.pointer.is_empty() {
        out.push(line("pointer", entry.pointer.clone(), Tone::Plain));
    }
    out.push(line("policy", entry.policy.clone(), Tone::Plain));
    out.push(line("approval", entry.id.clone(), Tone::Plain));
    out
}

fn standing(entry: &Entry, now: Timestamp) -> Line {
    match entry.word() {
        None => {
            let left = entry.left(now);
            if left == 0 {
                return line("state", "its time is over", Tone::Bad);
            }
            let tone = if entry.is_near_its_end(now) { Tone::Warn } else { Tone::Plain };
            let whole = entry.timeout_s.saturating_mul(1_000);
            line("ends in", format!("{} of {}; then it is denied", seconds(left), seconds(whole)), tone)
        }
        Some("approved") if entry.over.is_none() => {
            let until = entry.given.as_ref().map_or(entry.until, |given| given.until);
            let left = seconds(now.millis_until(until));
            line("state", format!("approved, not used yet; good for {left}"), Tone::Good)
        }
        Some("approved") => line("state", "approved", Tone::Good),
        Some("rejected") => line("state", "rejected", Tone::Bad),
        Some("expired") => line("state", "expired: nobody decided in time", Tone::Warn),
        Some("cancelled") => line("state", "cancelled: the caller left", Tone::Plain),
        Some(_) => line("state", "over: it does not wait any more", Tone::Plain),
    }
}

fn decided(given: &Given, entry: &Entry, now: Timestamp, out: &mut Vec<Line>) {
    if !given.by.is_empty() {
        let ago = match given.at.millis_until(now) {
            0..1_000 => "just now".to_owned(),
            millis => format!("{} ago", seconds(millis)),
        };
        let took = seconds(entry.asked_at.millis_until(given.at));
        out.push(line("by", format!("{}, {ago}, after {took}", given.by), Tone::Plain));
    }
    if !given.note.is_empty() {
        out.push(line("note", given.note.clone(), Tone::Plain));
    }
    if let Some(span) = given.for_s {
        let text = format!("equal calls pass without asking for {}", Window::label(span));
        out.push(line("lasts", text, Tone::Warn));
    }
}
