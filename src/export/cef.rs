//! `ArcSight`'s Common Event Format, version 0, for a SIEM:
//! `CEF:0|callgate|callgate|VERSION|ID|NAME|SEVERITY|EXTENSION`.
//!
//! The id is the decision, the outcome's status or the event's kind. In the header `\` and `|` are
//! escaped, in the extension `\` and `=`; hidden characters are visible marks everywhere. Custom
//! texts hold at most 4000 characters there, so long arguments are cut.

use std::borrow::Cow;

use crate::json::write::unsigned;
use crate::record::line::Line;
use crate::record::{EventKind, Status, Verdict};
use crate::visible::visible;

use super::{event, status, verdict};

/// How many characters a custom text may have.
const LONGEST: usize = 4000;
/// How many a message may have.
const MESSAGE: usize = 1023;

/// Appends a record with its line feed.
pub fn line(line: &Line<'_>, out: &mut Vec<u8>) {
    let (id, name, severity) = kind(line);
    out.extend_from_slice(b"CEF:0|callgate|callgate|");
    out.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    for part in [id, name] {
        out.push(b'|');
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'|');
    out.push(b'0' + severity);
    out.push(b'|');
    out.extend_from_slice(b"rt=");
    // Milliseconds since 1970.
    unsigned(out, u64::try_from(line.ts.0.div_euclid(1000)).unwrap_or(0));
    let mut pair = |name: &str, text: &str, most: usize| {
        if !text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            value(text, most, out);
        }
    };
    let text = Line::text;
    pair("externalId", &format!("{}:{}", line.gateway.0, line.seq), LONGEST);
    if let Some(decision) = line.decision {
        pair("act", verdict(decision), LONGEST);
    }
    pair("app", text(&line.method), LONGEST);
    pair("destinationServiceName", text(&line.server), LONGEST);
    pair("suser", if line.by.is_some() { text(&line.by) } else { text(&line.grant) }, LONGEST);
    pair("requestClientApplication", text(&line.client), LONGEST);
    pair("msg", text(&line.message), MESSAGE);
    pair("reason", text(&line.reason), MESSAGE);
    if let Some(ended) = line.status {
        pair("outcome", status(ended), LONGEST);
    }
    let args = line.args.or(line.data).filter(|args| *args != "{}").unwrap_or("");
    let label = if line.data.is_some() { "data" } else { "arguments" };
    for (number, label, held) in [
        (1, "tool", text(&line.tool)),
        (2, "rule", text(&line.rule)),
        (3, "policy", text(&line.policy)),
        (4, label, args),
        (5, "pointer", text(&line.pointer)),
        (6, "session", text(&line.session)),
    ] {
        if !held.is_empty() {
            pair(&format!("cs{number}Label"), label, LONGEST);
            pair(&format!("cs{number}"), held, LONGEST);
        }
    }
    for (number, label, held) in [(1, "call", line.call), (2, "upstream_us", line.upstream_us)] {
        if let Some(held) = held {
            pair(&format!("cn{number}Label"), label, LONGEST);
            pair(&format!("cn{number}"), &held.to_string(), LONGEST);
        }
    }
    if let Some(code) = line.code {
        pair("cn3Label", "code", LONGEST);
        pair("cn3", &code.to_string(), LONGEST);
    }
    if let Some(bytes) = line.bytes {
        pair("in", &bytes.to_string(), LONGEST);
    }
    out.push(b'\n');
}

/// Id, name and severity, 0 to 9.
fn kind(line: &Line<'_>) -> (&'static str, &'static str, u8) {
    match (line.decision, line.status, line.event) {
        (Some(Verdict::Allow), _, _) => (verdict(Verdict::Allow), "Tool call allowed", 1),
        (Some(Verdict::Deny), _, _) => (verdict(Verdict::Deny), "Tool call denied", 6),
        (Some(Verdict::Approve), _, _) => (verdict(Verdict::Approve), "Tool call held for approval", 4),
        (_, Some(ended @ (Status::Lost | Status::RpcError)), _) => (status(ended), "Tool call failed", 4),
        (_, Some(ended @ Status::ToolError), _) => (status(ended), "Tool reported an error", 2),
        (_, Some(ended), _) => (status(ended), "Tool call ended", 1),
        (_, _, Some(kind)) => {
            let severity = match kind {
                EventKind::Freeze => 8,
                EventKind::Store | EventKind::PolicyRejected => 7,
                EventKind::Drift | EventKind::Override | EventKind::Unfreeze => 5,
                EventKind::Policy | EventKind::Approval => 3,
                EventKind::Start | EventKind::Stop => 1,
            };
            (event(kind), "Gateway event", severity)
        }
        _ => ("record", "Record", 0),
    }
}

/// A value of the extension.
fn value(text: &str, most: usize, out: &mut Vec<u8>) {
    let text = visible(text);
    let text: Cow<'_, str> = match text.char_indices().nth(most) {
        // What is cut says so.
        Some(_) => {
            let end = text.char_indices().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
            Cow::Owned(format!("{}…", text.get(..end).unwrap_or("")))
        }
        None => text,
    };
    for byte in text.bytes() {
        if matches!(byte, b'\\' | b'=') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
