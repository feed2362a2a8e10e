//! The Markdown report of an incident: when, what, which rules, which policies, what people did,
//! and what is lost.
//!
//! Text from servers and agents stands in code spans only, with its hidden characters marked: no
//! link, picture or HTML of theirs is ever in force in the report.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::event;
use super::stats::{Named, Stats, Summary};
use crate::record::line::Line;
use crate::record::{EventKind, Status, Verdict};
use crate::time::{Timestamp, show_duration};
use crate::visible::visible;

/// How many events are listed.
const EVENTS: usize = 400;
/// How many steps of time the timeline has at most.
const STEPS: i64 = 40;
/// How many rows a table has at most.
const ROWS: usize = 20;
/// How many kinds of denials are told apart.
const GROUPS: usize = 10_000;
/// How much of one call's arguments is shown, in characters.
const ARGS: usize = 240;
const MINUTE: i64 = 60_000_000;

/// Decisions within some time.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    allowed: u64,
    denied: u64,
    held: u64,
    failed: u64,
}

/// Denied calls of one tool by one rule.
#[derive(Debug, Clone)]
struct Denied {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    message: String,
    /// The arguments of the last one.
    args: String,
    gateway: String,
    seq: u64,
}

/// A policy by which calls were decided.
#[derive(Debug, Clone, Copy)]
struct InForce {
    first: Timestamp,
    last: Timestamp,
    decisions: u64,
}

/// Collects what a report tells.
#[derive(Debug, Clone)]
pub struct Report {
    stats: Stats,
    minutes: BTreeMap<i64, Step>,
    events: Vec<(Timestamp, String)>,
    more_events: u64,
    denied: HashMap<(String, String, String), Denied>,
    more_denied: u64,
    policies: BTreeMap<String, InForce>,
}

/// What stands around a report.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The filter that chose the records; empty for all of them.
    pub filter: &'a str,
    /// When the report was made.
    pub made: Timestamp,
    /// By whom; empty where that is unknown.
    pub by: &'a str,
}

impl Report {
    /// Holds nothing yet. `narrowed` as in [`Stats::new`].
    pub fn new(narrowed: bool) -> Self {
        Self {
            stats: Stats::new(narrowed),
            minutes: BTreeMap::new(),
            events: Vec::new(),
            more_events: 0,
            denied: HashMap::new(),
            more_denied: 0,
            policies: BTreeMap::new(),
        }
    }

    /// Takes a record in. What people and gateways did belongs into a report, whatever the filter
    /// says; other records only when they are `wanted`.
    pub fn see(&mut self, line: &Line<'_>, wanted: bool) {
        let counts = self.stats.see(line, wanted);
        if let Some(kind) = line.event {
            return self.event(line, kind);
        }
        if !counts {
            return;
        }
        let step = self.minutes.entry(line.ts.0.div_euclid(MINUTE)).or_default();
        match (line.decision, line.status) {
            (Some(Verdict::Allow), _) => step.allowed += 1,
            (Some(Verdict::Approve), _) => step.held += 1,
            (Some(Verdict::Deny), _) => {
                step.denied += 1;
                self.deny(line);
            }
            (None, Some(Status::ToolError | Status::RpcError | Status::Lost)) => step.failed += 1,
            (None, _) => {}
        }
        let revision = Line::text(&line.policy);
        if line.decision.is_some() && !revision.is_empty() {
            let fresh = InForce { first: line.ts, last: line.ts, decisions: 0 };
            let policy = match self.policies.get_mut(revision) {
                Some(policy) => policy,
                None => self.policies.entry(revision.to_owned()).or_insert(fresh),
            };
            policy.first = policy.first.min(line.ts);
            policy.last = policy.last.max(line.ts);
            policy.decisions += 1;
        }
    }

    /// A line that is no record, in the journal of a run.
    pub fn torn(&mut self, gateway: &str) {
        self.stats.torn(gateway);
    }

    fn event(&mut self, line: &Line<'_>, kind: EventKind) {
        if self.events.len() >= EVENTS {
            self.more_events += 1;
            return;
        }
        let mut text = format!("**{}**", event(kind).replace('_', " "));
        for (word, part) in [("by", Line::text(&line.by)), ("", Line::text(&line.reason))] {
            if !part.is_empty() {
                let _ =
                    write!(text, "{}{word} {}", if word.is_empty() { ":" } else { " " }, code(part, ARGS));
            }
        }
        if let Some(data) = line.data.filter(|data| *data != "{}") {
            let _ = write!(text, " {}", code(data, ARGS));
        }
        let _ = write!(text, " (gateway {})", code(&line.gateway.0, ARGS));
        self.events.push((line.ts, text));
    }

    fn deny(&mut self, line: &Line<'_>) {
        let text = |text| Line::text(text).to_owned();
        let tool = if Line::text(&line.tool).is_empty() { &line.method } else { &line.tool };
        let key = (text(&line.server), text(tool), text(&line.rule));
        if self.denied.len() >= GROUPS && !self.denied.contains_key(&key) {
            self.more_denied += 1;
            return;
        }
        let group = self.denied.entry(key).or_insert_with(|| Denied {
            count: 0,
            first: line.ts,
            last: line.ts,
            message: String::new(),
            args: String::new(),
            gateway: String::new(),
            seq: 0,
        });
        group.count += 1;
        group.first = group.first.min(line.ts);
        group.last = group.last.max(line.ts);
        line_into(&mut group.message, Line::text(&line.message));
        line_into(&mut group.args, line.args.unwrap_or(""));
        line_into(&mut group.gateway, &line.gateway.0);
        group.seq = line.seq;
    }

    /// The report.
    pub fn markdown(&self, frame: &Frame<'_>) -> String {
        let summary = self.stats.summary();
        let mut out = String::from("# Incident report\n\n");
        head(&mut out, &summary, frame);
        self.timeline(&mut out, &summary);
        self.denials(&mut out);
        out.push_str("## Counts\n\n");
        table(&mut out, "tool", &summary.tools);
        table(&mut out, "rule", &summary.rules);
        table(&mut out, "grant", &summary.grants);
        table(&mut out, "server", &summary.servers);
        self.policies(&mut out);
        gateways(&mut out, &summary);
        out
    }

    /// What people and gateways did, among what happened to calls.
    fn timeline(&self, out: &mut String, summary: &Summary) {
        out.push_str("## Timeline\n\n| time (UTC) | what |\n|---|---|\n");
        let (Some(first), Some(last)) =
            (summary.first.map(|ts| ts.0.div_euclid(MINUTE)), summary.last.map(|ts| ts.0.div_euclid(MINUTE)))
        else {
            out.push_str("| | nothing |\n\n");
            return;
        };
        let wide = step(last - first + 1);
        let mut rows: Vec<(Timestamp, String)> = Vec::new();
        let mut steps: BTreeMap<i64, Step> = BTreeMap::new();
        for (minute, found) in &self.minutes {
            let sum = steps.entry(minute.div_euclid(wide) * wide).or_default();
            sum.allowed += found.allowed;
            sum.denied += found.denied;
            sum.held += found.held;
            sum.failed += found.failed;
        }
        for (minute, found) in steps {
            let parts: Vec<String> = [
                (found.allowed, "allowed"),
                (found.denied, "**denied**"),
                (found.held, "held for approval"),
                (found.failed, "failed"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
            if !parts.is_empty() {
                let span = if wide == 1 { "minute".to_owned() } else { format!("{wide} minutes") };
                rows.push((
                    Timestamp(minute.saturating_mul(MINUTE)),
                    format!("{span}: {}", parts.join(", ")),
                ));
            }
        }
        rows.extend(self.events.iter().cloned());
        rows.sort();
        for (ts, text) in rows {
            let _ = writeln!(out, "| {} | {text} |", short(ts));
        }
        if self.more_events > 0 {
            let _ = writeln!(out, "| | and {} further events |", self.more_events);
        }
        out.push('\n');
    }

    fn denials(&self, out: &mut String) {
        if self.denied.is_empty() {
            return;
        }
        let mut groups: Vec<_> = self.denied.iter().collect();
        groups.sort_by(|a, b| (std::cmp::Reverse(a.1.count), a.0).cmp(&(std::cmp::Reverse(b.1.count), b.0)));
        out.push_str(
            "## What was denied\n\n| calls | tool | server | rule | first | last | the agent was told | the last one's arguments | record |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for ((server, tool, rule), group) in groups.iter().take(ROWS) {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                group.count,
                code(tool, ARGS),
                code(server, ARGS),
                code(rule, ARGS),
                short(group.first),
                short(group.last),
                code(&group.message, ARGS),
                code(&group.args, ARGS),
                code(&format!("{}:{}", group.gateway, group.seq), ARGS),
            );
        }
        let beyond = groups.len().saturating_sub(ROWS) as u64 + self.more_denied;
        if beyond > 0 {
            let _ = writeln!(out, "\nAnd {beyond} further kinds of denials.");
        }
        out.push('\n');
    }

    fn policies(&self, out: &mut String) {
        if self.policies.is_empty() {
            return;
        }
        let mut all: Vec<_> = self.policies.iter().collect();
        all.sort_by_key(|(revision, policy)| (policy.first, *revision));
        out.push_str(
            "## Policies\n\n| revision | first decision | last decision | decisions |\n|---|---|---|---|\n",
        );
        for (revision, policy) in all {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                code(revision, ARGS),
                short(policy.first),
                short(policy.last),
                policy.decisions
            );
        }
        out.push_str("\nTheir texts lie under `policies/` in the state folder.\n\n");
    }
}

fn line_into(into: &mut String, text: &str) {
    into.clear();
    let end = text.char_indices().nth(ARGS + 1).map_or(text.len(), |(at, _)| at);
    into.push_str(text.get(..end).unwrap_or(""));
}

fn head(out: &mut String, summary: &Summary, frame: &Frame<'_>) {
    let by = if frame.by.is_empty() { String::new() } else { format!(" by {}", code(frame.by, ARGS)) };
    let _ = writeln!(out, "Made {}{by} with callgate {}.", short(frame.made), env!("CARGO_PKG_VERSION"));
    if !frame.filter.is_empty() {
        let _ = writeln!(
            out,
            "Only what the filter {} matches; events of gateways are all here.",
            code(frame.filter, 2000)
        );
    }
    out.push('\n');
    if let (Some(first), Some(last)) = (summary.first, summary.last) {
        let seconds = u64::try_from(last.secs().saturating_sub(first.secs())).unwrap_or(0);
        let _ = writeln!(out, "From {} to {}: {}.", short(first), short(last), show_duration(seconds));
    }
    let total = summary.total;
    let _ = writeln!(
        out,
        "Calls: {}, denied: {}, held for approval: {}; gateway runs: {}.",
        total.calls,
        total.denied,
        total.held,
        summary.gateways.len()
    );
    if summary.lost + summary.torn > 0 {
        let _ = writeln!(
            out,
            "**Incomplete:** lost records: {}, torn lines: {} (see the gateways below).",
            summary.lost, summary.torn
        );
    }
    out.push('\n');
}

fn table(out: &mut String, what: &str, rows: &[Named]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "| {what} | calls | denied | held |\n|---|---|---|---|");
    for row in rows.iter().take(ROWS) {
        let of = row.server.as_deref().filter(|server| !server.is_empty());
        let of = of.map_or_else(String::new, |server| format!(" of {}", code(server, ARGS)));
        let count = row.count;
        let _ = writeln!(
            out,
            "| {}{of} | {} | {} | {} |",
            code(&row.name, ARGS),
            count.calls,
            count.denied,
            count.held
        );
    }
    if rows.len() > ROWS {
        let _ = writeln!(out, "| and {} more | | | |", rows.len() - ROWS);
    }
    out.push('\n');
}

fn gateways(out: &mut String, summary: &Summary) {
    out.push_str("## Gateways\n\n| run | first record | last record | records | lost | torn | end |\n|---|---|---|---|---|---|---|\n");
    for (name, run) in &summary.gateways {
        let end = if run.stopped { "told of its end" } else { "runs, or was killed" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {end} |",
            code(name, ARGS),
            if run.records == 0 { String::new() } else { short(run.first) },
            if run.records == 0 { String::new() } else { short(run.last) },
            run.records,
            run.lost,
            run.torn
        );
    }
}

/// How many minutes a step of the timeline has, so that there are few of them.
fn step(minutes: i64) -> i64 {
    [1, 5, 15, 60, 240, 1440, 10_080]
        .into_iter()
        .find(|wide| minutes / wide <= STEPS)
        .unwrap_or(minutes / STEPS)
}

/// An instant to the second.
fn short(ts: Timestamp) -> String {
    let text = ts.to_string();
    format!("{} {}", text.get(..10).unwrap_or(""), text.get(11..19).unwrap_or(""))
}

/// Text as a code span within a table: nothing in it means anything to Markdown.
fn code(text: &str, most: usize) -> String {
    let text = visible(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let cut = text.char_indices().nth(most).map(|(at, _)| at);
    let text = text.get(..cut.unwrap_or(text.len())).unwrap_or("").replace('|', "\\|");
    let dots = if cut.is_some() { "…" } else { "" };
    // A fence longer than any run of backticks within.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{dots}{pad}{fence}")
}
