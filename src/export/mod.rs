//! Records for other programs and for people: lines of other formats, counts, and the report of an
//! incident. `tail` and the terminal interface write the same.
//!
//! | part | is |
//! |---|---|
//! | [`csv`], [`cef`], [`logfmt`] | a record as one line of these formats |
//! | [`copy`] | a recorded call as a request |
//! | [`stats`] | what a set of records comes to: counts, rates, latencies, what is lost |
//! | [`report`] | the Markdown report of an incident |
//!
//! Pure. What comes from servers and agents is never written raw, in any format.

pub mod cef;
pub mod copy;
pub mod csv;
mod histogram;
pub mod logfmt;
pub mod report;
pub mod stats;

use crate::record::line::Line;
use crate::record::{EventKind, Status, Verdict};

/// A format of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// `ArcSight`'s Common Event Format, version 0.
    Cef,
    /// `key=value` pairs.
    Logfmt,
}

impl Format {
    /// Appends what comes before the first record.
    pub fn begin(self, out: &mut Vec<u8>) {
        if self == Self::Csv {
            csv::header(out);
        }
    }

    /// Appends a record's line.
    pub fn line(self, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Csv => csv::line(line, out),
            Self::Cef => cef::line(line, out),
            Self::Logfmt => logfmt::line(line, out),
        }
    }
}

/// The name of a decision in records.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Approve => "approve",
    }
}

/// The name of a status in records.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::ToolError => "tool_error",
        Status::RpcError => "rpc_error",
        Status::Cancelled => "cancelled",
        Status::Lost => "lost",
    }
}

/// The name of an event in records.
pub fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Start => "start",
        EventKind::Stop => "stop",
        EventKind::Policy => "policy",
        EventKind::PolicyRejected => "policy_rejected",
        EventKind::Freeze => "freeze",
        EventKind::Unfreeze => "unfreeze",
        EventKind::Override => "override",
        EventKind::Approval => "approval",
        EventKind::Drift => "drift",
        EventKind::Store => "store",
    }
}

/// Calls a function with each member of a record that is there, in one order for all formats. The
/// names are those of the record; an event's kind is `kind`.
fn members<'l>(line: &'l Line<'_>, mut each: impl FnMut(&'static str, Member<'l>)) {
    let text = |text: &'l Option<crate::record::line::Text<'_>>| Line::text(text);
    each("ts", Member::Instant(line.ts));
    each("type", Member::Text(&line.kind.0));
    each("gateway", Member::Text(&line.gateway.0));
    each("seq", Member::Number(line.seq));
    each("server", Member::Text(text(&line.server)));
    each("grant", Member::Text(text(&line.grant)));
    each("session", Member::Text(text(&line.session)));
    each("client", Member::Text(text(&line.client)));
    each("method", Member::Text(text(&line.method)));
    each("tool", Member::Text(text(&line.tool)));
    each("decision", Member::Text(line.decision.map_or("", verdict)));
    each(
        "enforced",
        Member::Text(line.enforced.map_or("", |enforced| if enforced { "true" } else { "false" })),
    );
    each("rule", Member::Text(text(&line.rule)));
    each("pointer", Member::Text(text(&line.pointer)));
    each("message", Member::Text(text(&line.message)));
    each("policy", Member::Text(text(&line.policy)));
    each("args", Member::Json(line.args.unwrap_or("")));
    each("decide_us", Member::Text(line.decide_us.unwrap_or("")));
    let shadow = line.shadow.as_ref();
    each("shadow", Member::Text(shadow.map_or("", |shadow| verdict(shadow.decision))));
    each("shadow_rule", Member::Text(shadow.map_or("", |shadow| &shadow.rule.0)));
    each("approval", Member::Text(text(&line.approval)));
    let number = |number: Option<u64>| number.map_or(Member::Text(""), Member::Number);
    each("call", number(line.call));
    each("status", Member::Text(line.status.map_or("", status)));
    each("code", line.code.map_or(Member::Text(""), Member::Signed));
    each("upstream_us", number(line.upstream_us));
    each("bytes", number(line.bytes));
    each("kind", Member::Text(line.event.map_or("", event)));
    each("by", Member::Text(text(&line.by)));
    each("reason", Member::Text(text(&line.reason)));
    each("data", Member::Json(line.data.unwrap_or("")));
}

/// What a member holds; an empty text where the record has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member<'l> {
    Text(&'l str),
    /// JSON, as it is spelt.
    Json(&'l str),
    Number(u64),
    Signed(i64),
    Instant(crate::time::Timestamp),
}

#[cfg(test)]
mod tests;
