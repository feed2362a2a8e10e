//! What a set of records comes to: counts by decision, tool, rule, grant and server, rates,
//! latencies, and what is lost of each gateway run.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::histogram::Histogram;
use super::{event, status, verdict};
use crate::record::Verdict;
use crate::record::line::Line;
use crate::time::Timestamp;

/// How many names of one kind are told apart: a server can make up names without end.
const NAMES: usize = 100_000;
/// What stands for all names beyond.
const OTHERS: &str = "(others)";
/// How many open calls of one run are remembered for their outcomes.
const OPEN: usize = 100_000;
const MINUTE: i64 = 60_000_000;

/// Calls by how they were decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Decided calls and refused messages. The two decisions of a held call are one.
    pub calls: u64,
    /// Of them denied.
    pub denied: u64,
    /// Of them held for a person.
    pub held: u64,
}

/// Counts by name.
type Counts = HashMap<Box<str>, Count>;

/// What is known of one gateway run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Run {
    /// Its records.
    pub records: u64,
    /// Numbers between its first and its last record that no record has.
    pub lost: u64,
    /// Lines that are no record: torn, or overwritten.
    pub torn: u64,
    /// Its first record that was read.
    pub first: Timestamp,
    /// Its last record.
    pub last: Timestamp,
    /// Whether it told of its end.
    pub stopped: bool,
    #[serde(skip)]
    last_seq: u64,
    /// Calls that are counted and have no outcome yet.
    #[serde(skip)]
    open: HashSet<u64>,
}

/// Counts records as they are read.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    total: Count,
    records: u64,
    decisions: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    events: BTreeMap<&'static str, u64>,
    /// By server, then tool.
    tools: HashMap<Box<str>, Counts>,
    tool_names: usize,
    rules: Counts,
    grants: Counts,
    servers: Counts,
    runs: HashMap<Box<str>, Run>,
    span: Option<(Timestamp, Timestamp)>,
    minute: (i64, u64),
    busiest: (i64, u64),
    upstream: Histogram,
    decide: Histogram,
    /// Only calls that some filter matches are counted.
    narrowed: bool,
}

/// Quantiles of a latency in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50_us: f64,
    /// Nine in ten.
    pub p90_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// One name with its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The server, where the name is a tool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The name.
    pub name: String,
    /// The counts.
    #[serde(flatten)]
    pub count: Count,
}

/// Everything that was counted, in the order in which it is shown. Serializes as
/// `tail --stats --format json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Records of every kind.
    pub records: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// All calls.
    pub total: Count,
    /// Calls a minute over the whole time, in thousandths.
    pub calls_per_minute_thousandths: u64,
    /// The minute with the most decisions: when it began, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest_minute: Option<(Timestamp, u64)>,
    /// Decisions by their word.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Outcomes by their status.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Events by their kind.
    pub events: BTreeMap<&'static str, u64>,
    /// By tool, the most calls first.
    pub tools: Vec<Named>,
    /// By the rule that decided.
    pub rules: Vec<Named>,
    /// By grant.
    pub grants: Vec<Named>,
    /// By server.
    pub servers: Vec<Named>,
    /// From forwarding a call to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Latency>,
    /// How long deciding took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide: Option<Latency>,
    /// Gateway runs by their first record.
    pub gateways: Vec<(String, Run)>,
    /// Records that are lost, in all runs.
    pub lost: u64,
    /// Lines that are no record, in all runs.
    pub torn: u64,
}

impl Stats {
    /// Counts nothing yet. `narrowed`: a filter chooses which calls count, so an outcome counts
    /// only with its call.
    pub fn new(narrowed: bool) -> Self {
        Self { narrowed, ..Self::default() }
    }

    /// Takes a record in; whether it counts. One that is not `wanted` only tells what is lost
    /// between others, save the outcome of a call that was.
    pub fn see(&mut self, line: &Line<'_>, wanted: bool) -> bool {
        let run = match self.runs.get_mut(line.gateway.0.as_ref()) {
            Some(run) => run,
            None => self.runs.entry(line.gateway.0.as_ref().into()).or_insert_with(|| Run {
                first: line.ts,
                last_seq: line.seq.saturating_sub(1),
                ..Run::default()
            }),
        };
        run.records += 1;
        run.last = run.last.max(line.ts);
        if line.seq > run.last_seq {
            run.lost += line.seq - run.last_seq - 1;
            run.last_seq = line.seq;
        } else {
            // It came late.
            run.lost = run.lost.saturating_sub(1);
        }
        if line.event == Some(crate::record::EventKind::Stop) {
            run.stopped = true;
        }
        if let (Some(ended), Some(call)) = (line.status, line.call) {
            if self.narrowed && !run.open.remove(&call) && !wanted {
                return false;
            }
            self.records += 1;
            *self.outcomes.entry(status(ended)).or_default() += 1;
            self.upstream.add(line.upstream_us.unwrap_or(0));
            self.at(line.ts);
            return true;
        }
        if !wanted {
            return false;
        }
        if self.narrowed && line.decision.is_some() {
            if run.open.len() >= OPEN {
                run.open.clear();
            }
            run.open.insert(line.seq);
        }
        self.records += 1;
        self.at(line.ts);
        if let Some(kind) = line.event {
            *self.events.entry(event(kind)).or_default() += 1;
        }
        if let Some(decision) = line.decision {
            self.decision(line, decision);
        }
        true
    }

    fn decision(&mut self, line: &Line<'_>, decision: Verdict) {
        *self.decisions.entry(verdict(decision)).or_default() += 1;
        let count = Count {
            calls: u64::from(line.call.is_none()),
            denied: u64::from(decision == Verdict::Deny),
            held: u64::from(decision == Verdict::Approve),
        };
        self.total.add(count);
        let server = Line::text(&line.server);
        let tool = match Line::text(&line.tool) {
            "" => Line::text(&line.method),
            tool => tool,
        };
        let tools = match self.tools.get_mut(server) {
            Some(tools) => tools,
            None if self.tool_names >= NAMES => self.tools.entry(OTHERS.into()).or_default(),
            None => self.tools.entry(server.into()).or_default(),
        };
        self.tool_names += usize::from(add(tools, tool, count, self.tool_names < NAMES));
        add(&mut self.servers, server, count, true);
        add(&mut self.grants, Line::text(&line.grant), count, true);
        let rule = Line::text(&line.rule);
        add(&mut self.rules, if rule.is_empty() { "(no rule fired)" } else { rule }, count, true);
        if let Some(took) = line.decide_us.and_then(|spelt| spelt.parse::<f64>().ok()) {
            self.decide.add(nanos(took));
        }
        let minute = line.ts.0.div_euclid(MINUTE);
        if minute == self.minute.0 {
            self.minute.1 += 1;
        } else {
            self.minute = (minute, 1);
        }
        if self.minute.1 > self.busiest.1 {
            self.busiest = self.minute;
        }
    }

    fn at(&mut self, ts: Timestamp) {
        let (first, last) = self.span.get_or_insert((ts, ts));
        *first = ts.min(*first);
        *last = ts.max(*last);
    }

    /// A line that is no record, in the journal of a run.
    pub fn torn(&mut self, gateway: &str) {
        match self.runs.get_mut(gateway) {
            Some(run) => run.torn += 1,
            None => self.runs.entry(gateway.into()).or_default().torn += 1,
        }
    }

    /// What was counted.
    pub fn summary(&self) -> Summary {
        let mut tools: Vec<Named> = self
            .tools
            .iter()
            .flat_map(|(server, tools)| {
                tools.iter().map(|(name, count)| Named {
                    server: Some(server.to_string()),
                    name: name.to_string(),
                    count: *count,
                })
            })
            .collect();
        sort(&mut tools);
        let named = |counts: &Counts| {
            let mut all: Vec<Named> = counts
                .iter()
                .map(|(name, count)| Named { server: None, name: name.to_string(), count: *count })
                .collect();
            sort(&mut all);
            all
        };
        let mut gateways: Vec<(String, Run)> =
            self.runs.iter().map(|(name, run)| (name.to_string(), run.clone())).collect();
        gateways.sort_by(|a, b| (a.1.first, &a.0).cmp(&(b.1.first, &b.0)));
        let micros = self.span.map_or(0, |(first, last)| last.0.saturating_sub(first.0));
        let minutes = u128::try_from(micros.max(MINUTE)).unwrap_or(1);
        let rate = u128::from(self.total.calls) * 1000 * 60_000_000 / minutes;
        Summary {
            records: self.records,
            first: self.span.map(|(first, _)| first),
            last: self.span.map(|(_, last)| last),
            total: self.total,
            calls_per_minute_thousandths: u64::try_from(rate).unwrap_or(u64::MAX),
            busiest_minute: (self.busiest.1 > 0)
                .then(|| (Timestamp(self.busiest.0.saturating_mul(MINUTE)), self.busiest.1)),
            decisions: self.decisions.clone(),
            outcomes: self.outcomes.clone(),
            events: self.events.clone(),
            tools,
            rules: named(&self.rules),
            grants: named(&self.grants),
            servers: named(&self.servers),
            upstream: latency(&self.upstream, 1.0),
            decide: latency(&self.decide, 1000.0),
            lost: gateways.iter().map(|(_, run)| run.lost).sum(),
            torn: gateways.iter().map(|(_, run)| run.torn).sum(),
            gateways,
        }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.denied += other.denied;
        self.held += other.held;
    }
}

/// Adds to a name's count; whether the name is new.
fn add(counts: &mut Counts, name: &str, count: Count, more: bool) -> bool {
    if let Some(known) = counts.get_mut(name) {
        known.add(count);
        return false;
    }
    let room = more && counts.len() < NAMES;
    counts.entry(if room { name } else { OTHERS }.into()).or_default().add(count);
    room
}

/// The most calls first, then by name.
fn sort(all: &mut [Named]) {
    all.sort_by(|a, b| {
        let key = |named: &Named| std::cmp::Reverse((named.count.calls, named.count.denied));
        (key(a), &a.server, &a.name).cmp(&(key(b), &b.server, &b.name))
    });
}

/// Quantiles of what was measured in parts of a microsecond.
#[expect(clippy::cast_precision_loss, reason = "a quantile is no more exact than that")]
fn latency(histogram: &Histogram, parts: f64) -> Option<Latency> {
    let of = |thousandths| histogram.quantile(thousandths) as f64 / parts;
    (histogram.count() > 0).then(|| Latency {
        count: histogram.count(),
        p50_us: of(500),
        p90_us: of(900),
        p99_us: of(990),
        max_us: histogram.most() as f64 / parts,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn nanos(micros: f64) -> u64 {
    (micros * 1000.0).clamp(0.0, 1e18) as u64
}
