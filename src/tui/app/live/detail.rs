//! What the detail of a row says, as labelled lines; the view only colours them.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::names::Names;
use super::ring::Ring;
use super::row::{Kind, Row, Shadow};
use crate::policy::model::Window;
use crate::record::{Status, Verdict};
use crate::time::Timestamp;
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
}

pub(crate) fn line(label: &'static str, text: impl Into<String>, tone: Tone) -> Line {
    Line { label, text: text.into(), tone }
}

/// The lines of a row's detail, wrapped to `width` columns of text: nothing of a message or an
/// argument is cut away where a person came to read it. Every line is safe to show.
pub fn wrapped(ring: &Ring, id: u64, now: Timestamp, width: usize) -> Vec<Line> {
    wrap_all(lines(ring, id, now), width)
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
            out.push(line(if first { entry.label } else { "" }, part, entry.tone));
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
pub fn lines(ring: &Ring, id: u64, now: Timestamp) -> Vec<Line> {
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
        Kind::Call(verdict) => {
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
            let asks = verdict == Verdict::Approve;
            if !asks {
                out.push(outcome(row));
            }
            approval(ring, id, row, &mut out);
        }
    }
    arguments(row, &mut out);
    gauges(row, names, now, &mut out);
    out.push(line("when", row.ts.to_string(), Tone::Plain));
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
    out
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

fn arguments(row: &Row, out: &mut Vec<Line>) {
    let heading = if matches!(row.kind, Kind::Event(_)) { "data" } else { "arguments" };
    if row.args.is_empty() {
        out.push(line(heading, "none", Tone::Plain));
    }
    for (index, text) in pretty(&row.args).into_iter().enumerate() {
        out.push(line(if index == 0 { heading } else { "" }, text, Tone::Code));
    }
}

fn gauges(row: &Row, names: &Names, now: Timestamp, out: &mut Vec<Line>) {
    for (index, gauge) in row.gauges.iter().enumerate() {
        let resets = now.millis_until(gauge.resets_at);
        let ends =
            if resets == 0 { "window over".to_owned() } else { format!("resets in {}", seconds(resets)) };
        out.push(line(
            if index == 0 { "counters" } else { "" },
            format!(
                "{} {}/{} {} {} · {} {} · {ends}",
                names.text(gauge.counter),
                gauge.used,
                gauge.max,
                if gauge.window == 3600 { "an" } else { "a" },
                Window::label(u64::from(gauge.window)),
                names.text(gauge.scope),
                names.text(gauge.key),
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
