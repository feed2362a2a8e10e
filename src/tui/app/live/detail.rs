//! What the detail of a row says, as labelled lines; the view only colours them.

use std::fmt::Write as _;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::explained::Kept;
use super::fold::Repeat;
use super::marks::Marks;
use super::names::Names;
use super::ring::Ring;
use super::row::{Kind, Row, Shadow};
use super::tree::Toggled;
use crate::policy::model::Window;
use crate::record::{Status, Verdict};
use crate::time::Timestamp;
use crate::tui::app::counters::{Counters, GaugeKey};
use crate::visible::visible;

/// How a line is emphasised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading of a group of lines.
    Heading,
    /// As any text.
    Plain,
    /// Fine.
    Good,
    /// Denied or failed.
    Bad,
    /// Look here.
    Warn,
    /// JSON.
    Code,
}

/// One line of the detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The label at the left; empty for a line that continues.
    pub label: &'static str,
    /// The text; not yet made visible-safe.
    pub text: String,
    /// How it is emphasised.
    pub tone: Tone,
    /// What begins here can be folded: its name, and whether it is open. The sign for it stands in
    /// the two columns before the text.
    pub fold: Option<(String, bool)>,
    /// The row that the line is about.
    pub goes: Option<u64>,
}

pub(crate) fn line(label: &'static str, text: impl Into<String>, tone: Tone) -> Line {
    Line { label, text: text.into(), tone, fold: None, goes: None }
}

/// What the detail of a row is made from.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The rows.
    pub ring: &'a Ring,
    /// Counters as they are now.
    pub counters: &'a Counters,
    /// Marks and notes.
    pub marks: &'a Marks,
    /// Which parts are not as they are at first.
    pub toggled: &'a Toggled,
    /// The policy that decided, where it was read, or why it could not be.
    pub policy: Option<&'a Result<Arc<Kept>, String>>,
    /// The repeats that the row stands for.
    pub repeat: Option<&'a Repeat>,
    /// The time.
    pub now: Timestamp,
}

/// The lines of a row's detail, wrapped to `width` columns of text: nothing of a message or an
/// argument is cut away where a person came to read it. Every line is safe to show.
pub fn wrapped(about: &About<'_>, id: u64, width: usize) -> Vec<Line> {
    wrap_all(lines(about, id), width)
}

/// Lines wrapped to `width` columns of text, hostile characters marked.
pub(crate) fn wrap_all(lines: Vec<Line>, width: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for entry in lines {
        let text = visible(&entry.text);
        // What continues a line of JSON stands under its value.
        let indent = text.len() - text.trim_start().len();
        let mut first = true;
        for part in wrap(&text, width.max(8), if entry.tone == Tone::Code { indent + 2 } else { 0 }) {
            let mut piece = line(if first { entry.label } else { "" }, part, entry.tone);
            piece.goes = entry.goes;
            piece.fold = entry.fold.clone().filter(|_| first);
            out.push(piece);
            first = false;
        }
    }
    out
}

/// Pieces of a text of at most `width` columns, broken at spaces where there are some; the later
/// pieces stand `indent` further right.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let indent = " ".repeat(indent.min(width / 3));
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut used = 0;
    // Where the piece could be broken: after its last space.
    let mut space = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide > width {
            let keep = if space > width / 2 && grapheme != " " { space } else { part.len() };
            let rest = part.split_off(keep);
            parts.push(std::mem::take(&mut part));
            part.push_str(&indent);
            part.push_str(rest.trim_start());
            used = part.width();
            space = 0;
            if grapheme == " " && part.len() == indent.len() {
                continue;
            }
        }
        part.push_str(grapheme);
        used += wide;
        if grapheme == " " && part.len() > indent.len() + 1 {
            space = part.len();
        }
    }
    parts.push(part);
    parts
}

/// The lines of a row's detail.
pub fn lines(about: &About<'_>, id: u64) -> Vec<Line> {
    let ring = about.ring;
    let Some(row) = ring.get(id) else { return Vec::new() };
    let names = &ring.names;
    let text = |name| names.text(name).to_owned();
    let mut out = Vec::new();
    match row.kind {
        Kind::Event(_) => {
            out.push(line("event", text(row.method), Tone::Heading));
            if row.message != Names::EMPTY {
                out.push(line("reason", text(row.message), Tone::Plain));
            }
            if row.grant != Names::EMPTY {
                out.push(line("by", text(row.grant), Tone::Plain));
            }
        }
        Kind::Call(verdict) => call(about, (id, row, verdict), &mut out),
    }
    if let Some(repeat) = about.repeat {
        out.push(repeated(ring, repeat));
    }
    if let Some(mark) = about.marks.get(row.source, row.seq) {
        let note = if mark.note.is_empty() { "marked" } else { &mark.note };
        out.push(line("note", note, Tone::Warn));
    }
    let heading = if matches!(row.kind, Kind::Event(_)) { "data" } else { "arguments" };
    if row.args.is_empty() {
        out.push(line(heading, "none", Tone::Plain));
    } else {
        out.extend(super::tree::lines(heading, &row.args, "args", about.toggled));
    }
    if matches!(row.kind, Kind::Call(_)) {
        super::explained::lines(about, row, &mut out);
    }
    gauges(about, row, &mut out);
    out.push(line("when", format!("{} · {}", row.ts, ago(row.ts, about.now)), Tone::Plain));
    out.push(line("server", text(row.server), Tone::Plain));
    if matches!(row.kind, Kind::Call(_)) {
        out.push(line("grant", text(row.grant), Tone::Plain));
    }
    for (label, name) in [("session", row.session), ("client", row.client), ("gateway", row.gateway)] {
        if name != Names::EMPTY {
            out.push(line(label, text(name), Tone::Plain));
        }
    }
    out.push(line("record", format!("number {} of its gateway", row.seq), Tone::Plain));
    if matches!(row.kind, Kind::Call(_)) {
        around(ring, (id, row), &mut out);
    }
    out
}

fn call(about: &About<'_>, (id, row, verdict): (u64, &Row, Verdict), out: &mut Vec<Line>) {
    let names = &about.ring.names;
    let text = |name| names.text(name).to_owned();
    let tone = match verdict {
        Verdict::Allow => Tone::Good,
        Verdict::Deny => Tone::Bad,
        Verdict::Approve => Tone::Warn,
    };
    let mut decision = row.word(names).to_owned();
    if !row.enforced {
        decision.push_str(" (not enforced: it could not be recorded in time)");
    }
    out.push(line("decision", decision, tone));
    out.push(line("tool", text(row.tool), Tone::Plain));
    if row.message != Names::EMPTY {
        out.push(line("message", text(row.message), Tone::Plain));
    }
    let rule = if row.rule == Names::EMPTY { "no rule fired".to_owned() } else { text(row.rule) };
    out.push(line("rule", rule, Tone::Plain));
    if row.pointer != Names::EMPTY {
        out.push(line("pointer", text(row.pointer), Tone::Plain));
    }
    if row.policy != Names::EMPTY {
        out.push(line("policy", text(row.policy), Tone::Plain));
    }
    if let Some(shadow) = row.shadow {
        out.push(beside(shadow, verdict, names));
    }
    if let Some(millis) = row.retry_after_ms {
        out.push(line("retry", format!("after {}", seconds(millis)), Tone::Plain));
    }
    if verdict != Verdict::Approve {
        out.push(outcome(row));
    }
    out.push(latency(row));
    approval(about.ring, id, row, out);
}

/// Where the time of a call went.
fn latency(row: &Row) -> Line {
    let decided = f64::from(row.decide_ns) / 1_000.0;
    let mut text = format!("{decided:.1} µs to decide");
    if let Some(ended) = row.ended {
        let share = match ended.upstream_us {
            0 => String::new(),
            upstream => {
                let all = micros_of(upstream) + decided;
                format!(" · {:.1} % of it in the gateway", 100.0 * decided / all)
            }
        };
        let _ = write!(text, " · {} upstream{share}", micros(ended.upstream_us));
    }
    line("latency", text, Tone::Plain)
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn micros_of(micros: u64) -> f64 {
    micros as f64
}

fn repeated(ring: &Ring, repeat: &Repeat) -> Line {
    let at = |id: Option<&u64>| id.and_then(|id| ring.get(*id)).map_or(Timestamp::default(), |row| row.ts);
    let (first, last) = (at(repeat.members.front()), at(repeat.members.back()));
    let over = seconds(first.millis_until(last));
    let text = format!("{} times over {over}, the last at {last}", repeat.members.len());
    line("repeated", text, Tone::Warn)
}

/// How long ago something was, as people say it.
pub fn ago(ts: Timestamp, now: Timestamp) -> String {
    let passed = u64::try_from(now.secs().saturating_sub(ts.secs())).unwrap_or(0);
    match passed {
        0..60 => format!("{passed}s ago"),
        60..3_600 => format!("{}m ago", passed / 60),
        3_600..86_400 => format!("{}h{:02} ago", passed / 3_600, passed % 3_600 / 60),
        _ => format!("{}d ago", passed / 86_400),
    }
}

/// Rows that are looked at, each way, for calls of the same session.
const LOOK_AROUND: u64 = 4_000;
/// Calls of the same session shown, each way.
const AROUND: usize = 4;

/// The calls of the same session around a row.
fn around(ring: &Ring, (id, row): (u64, &Row), out: &mut Vec<Line>) {
    let same = |other: &u64| {
        ring.get(*other).is_some_and(|other| {
            other.source == row.source && other.session == row.session && other.verdict().is_some()
        })
    };
    let mut before: Vec<u64> = (id.saturating_sub(LOOK_AROUND)..id).rev().filter(same).take(AROUND).collect();
    before.reverse();
    let after: Vec<u64> = (id + 1..id.saturating_add(LOOK_AROUND)).filter(same).take(AROUND).collect();
    if before.is_empty() && after.is_empty() {
        return;
    }
    let names = &ring.names;
    let all = before.into_iter().chain([id]).chain(after);
    for (index, other) in all.enumerate() {
        let Some(found) = ring.get(other) else { continue };
        let when = match i64::cmp(&found.ts.0, &row.ts.0) {
            std::cmp::Ordering::Less => format!("-{}", seconds_exact(found.ts.millis_until(row.ts))),
            _ => format!("+{}", seconds_exact(row.ts.millis_until(found.ts))),
        };
        let text = if other == id {
            format!("{:>8}  this call", "")
        } else {
            format!("{when:>8}  {:<5} {} {}", found.word(names), names.text(found.tool), found.args)
        };
        let cut = text.floor_char_boundary(160);
        let tone = match found.verdict() {
            _ if other == id => Tone::Heading,
            Some(Verdict::Deny) => Tone::Bad,
            _ => Tone::Plain,
        };
        let label = if index == 0 { "around" } else { "" };
        let mut entry = line(label, text.get(..cut).unwrap_or(""), tone);
        entry.goes = (other != id).then_some(other);
        out.push(entry);
    }
}

fn seconds_exact(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// What the shadow policy would have decided.
fn beside(shadow: Shadow, decided: Verdict, names: &Names) -> Line {
    let word = match shadow.decision {
        Verdict::Allow => "ALLOW",
        Verdict::Deny => "DENY",
        Verdict::Approve => "ASK",
    };
    let mut text =
        if shadow.decision == decided { format!("{word}, too") } else { format!("{word} instead") };
    for name in [shadow.rule, shadow.pointer] {
        if name != Names::EMPTY {
            text.push_str(" · ");
            text.push_str(names.text(name));
        }
    }
    line("shadow", text, if shadow.decision == decided { Tone::Plain } else { Tone::Warn })
}

/// For whom a call was held, how long, and who decided.
fn approval(ring: &Ring, id: u64, row: &Row, out: &mut Vec<Line>) {
    let names = &ring.names;
    let asks = row.verdict() == Some(Verdict::Approve);
    let other = if asks { ring.held.answer_of(id) } else { ring.held.asked_by(id) };
    let other = other.and_then(|id| ring.get(id));
    if asks {
        let (text, tone) = match other {
            Some(answer) => {
                let (word, tone) = match answer.verdict() {
                    Some(Verdict::Allow) => ("allowed", Tone::Good),
                    _ => ("denied", Tone::Bad),
                };
                (format!("held {}, then {word}", seconds(row.ts.millis_until(answer.ts))), tone)
            }
            None => ("held: a person decides on it".to_owned(), Tone::Warn),
        };
        out.push(line("outcome", text, tone));
        if let Some(answer) = other {
            out.push(line("decided", format!("as number {} of its gateway", answer.seq), Tone::Plain));
        }
    } else if let Some(asked) = other {
        let text = format!("held {} before, as number {}", seconds(asked.ts.millis_until(row.ts)), asked.seq);
        out.push(line("asked", text, Tone::Plain));
    }
    if row.approval == Names::EMPTY {
        return;
    }
    out.push(line("approval", names.text(row.approval).to_owned(), Tone::Plain));
    if let Some(told) = ring.held.told(names.text(row.approval)) {
        let tone = match told.word {
            "approved" => Tone::Good,
            "rejected" => Tone::Bad,
            _ => Tone::Warn,
        };
        let by = if told.by.is_empty() { String::new() } else { format!(" by {}", told.by) };
        out.push(line("", format!("{}{by} at {}", told.word, told.at), tone));
        if !told.note.is_empty() {
            out.push(line("note", told.note.clone(), Tone::Plain));
        }
    }
}

fn gauges(about: &About<'_>, row: &Row, out: &mut Vec<Line>) {
    let names = &about.ring.names;
    let now = about.now;
    for (index, gauge) in row.gauges.iter().enumerate() {
        let resets = now.millis_until(gauge.resets_at);
        let ends =
            if resets == 0 { "window over".to_owned() } else { format!("resets in {}", seconds(resets)) };
        let key = GaugeKey {
            server: names.text(row.server).to_owned(),
            counter: names.text(gauge.counter).to_owned(),
            scope: names.text(gauge.scope).to_owned(),
            key: names.text(gauge.key).to_owned(),
            window: u64::from(gauge.window),
        };
        let present = about.counters.get(&key, now);
        let present = present.map_or_else(String::new, |(used, max)| format!(" · now {used}/{max}"));
        out.push(line(
            if index == 0 { "counters" } else { "" },
            format!(
                "{} {}/{} {} {} · {} {} · {ends}{present}",
                key.counter,
                gauge.used,
                gauge.max,
                if gauge.window == 3600 { "an" } else { "a" },
                Window::label(u64::from(gauge.window)),
                key.scope,
                key.key,
            ),
            if gauge.used >= gauge.max { Tone::Warn } else { Tone::Plain },
        ));
    }
}

fn outcome(row: &Row) -> Line {
    let Some(ended) = row.ended else {
        let text = match row.kind {
            Kind::Call(Verdict::Allow) => "no answer yet",
            _ => "never forwarded",
        };
        return line("outcome", text, Tone::Plain);
    };
    let (word, tone) = match ended.status {
        Status::Ok => ("ok", Tone::Good),
        Status::ToolError => ("tool error", Tone::Warn),
        Status::RpcError => ("error", Tone::Bad),
        Status::Cancelled => ("cancelled", Tone::Warn),
        Status::Lost => ("lost", Tone::Bad),
    };
    let code = ended.code.map_or_else(String::new, |code| format!(" {code}"));
    let given_back = if ended.released { " · reservation given back" } else { "" };
    line(
        "outcome",
        format!("{word}{code} · {} upstream · {} bytes{given_back}", micros(ended.upstream_us), ended.bytes),
        tone,
    )
}

/// A duration in microseconds as people read it.
pub fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// A duration in milliseconds, rounded up to seconds, as people read it.
pub fn seconds(millis: u64) -> String {
    match millis.div_ceil(1_000) {
        total @ 0..60 => format!("{total} s"),
        total @ 60..3_600 => format!("{} m {:02} s", total / 60, total % 60),
        total => format!("{} h {:02} m", total / 3_600, total % 3_600 / 60),
    }
}

/// JSON over several lines; what is no JSON stays one line.
pub(crate) fn pretty(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    match crate::json::parse(text) {
        Ok(parsed) => crate::json::pretty::pretty(&parsed.root),
        Err(_) => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces_and_loses_nothing() {
        assert_eq!(wrap("short", 10, 0), ["short"]);
        assert_eq!(wrap("six pulls are enough", 12, 0), ["six pulls ", "are enough"]);
        assert_eq!(
            wrap("  \"image\": \"abcdefghij\"", 12, 4),
            ["  \"image\": ", "    \"abcdefg", "    hij\""]
        );
        assert_eq!(wrap("日本語日本語", 8, 0), ["日本語日", "本語"]);
        for width in 8..40 {
            let text = "a few words, andaverylongonewithoutanyspaces".repeat(3);
            let parts = wrap(&text, width, 2);
            assert!(parts.iter().all(|part| part.width() <= width), "{width}: {parts:?}");
            let joined: String = parts.concat().chars().filter(|c| *c != ' ').collect();
            assert_eq!(joined, text.replace(' ', ""));
        }
    }
}
