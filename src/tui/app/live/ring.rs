//! The newest rows of every gateway, bounded by count and bytes.
//!
//! Everything else refers to rows by their arrival number, never by index, so that a row that
//! leaves moves nothing.

use std::collections::{HashMap, VecDeque};

use super::held::Held;
use super::names::{Name, Names};
use super::row::{Ended, Gauge, Kind, Row, Shadow};
use crate::record::{Decision, Event, Outcome, Record, Verdict};

/// How much the ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows.
    pub rows: usize,
    /// Bytes, estimated from what the rows and their strings take.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 384 << 20 }
    }
}

/// Where a record came from: the number of a gateway run among those that this program knows.
pub type SourceNo = u32;

/// The rows.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    bounds: Bounds,
    rows: VecDeque<Row>,
    /// The arrival number of the first row that is kept.
    first: u64,
    bytes: usize,
    /// The strings of the rows.
    pub names: Names,
    /// For each gateway run the arrival numbers of its decisions, oldest first.
    by_source: HashMap<SourceNo, VecDeque<u64>>,
    totals: Totals,
    /// Calls that were held for a person.
    pub held: Held,
}

/// Counts over everything that ever arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Decided calls.
    pub decisions: u64,
    /// Of them denied.
    pub denies: u64,
    /// Of them held for approval.
    pub approvals: u64,
}

impl Ring {
    /// An empty ring.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes a record in. An outcome makes no row of its own: it joins its call's row, whose number
    /// is given back, while that is kept.
    pub fn push(&mut self, source: SourceNo, record: &Record) -> Option<u64> {
        match record {
            Record::Decision(decision) => {
                self.decision(source, decision);
                None
            }
            Record::Event(event) => {
                self.event(source, event);
                None
            }
            Record::Outcome(outcome) => self.outcome(source, outcome),
        }
    }

    fn decision(&mut self, source: SourceNo, decision: &Decision) {
        // The second decision of a held call is the same call.
        self.totals.decisions += u64::from(decision.call.is_none());
        match decision.decision {
            Verdict::Deny => self.totals.denies += 1,
            Verdict::Approve => self.totals.approvals += 1,
            Verdict::Allow => {}
        }
        let tool = decision.tool.as_deref().unwrap_or("");
        let names = &mut self.names;
        let mut name = |text: Option<&str>| text.map_or(Names::EMPTY, |text| names.add(text));
        let row = Row {
            source,
            seq: decision.seq,
            ts: decision.ts,
            kind: Kind::Call(decision.decision),
            enforced: decision.enforced,
            gateway: name(Some(&decision.gateway)),
            server: name(Some(&decision.server)),
            grant: name(Some(&decision.grant)),
            session: name(decision.session.as_deref()),
            client: name(decision.client.as_deref()),
            method: name(Some(&decision.method)),
            tool: name(Some(tool)),
            rule: name(Some(&decision.rule)),
            pointer: name(decision.pointer.as_deref()),
            message: name(Some(&decision.message)),
            policy: name(decision.policy.as_deref()),
            approval: name(decision.approval.as_deref()),
            args: decision.args.as_ref().map_or_else(Box::default, |args| args.get().into()),
            gauges: decision
                .counters
                .iter()
                .map(|counter| Gauge {
                    counter: name(Some(&counter.counter)),
                    scope: name(Some(&counter.scope)),
                    key: name(Some(&counter.key)),
                    window: u32::try_from(counter.window).unwrap_or(u32::MAX),
                    used: counter.used,
                    max: counter.max,
                    resets_at: counter.resets_at,
                })
                .collect(),
            decide_ns: nanos(decision.decide_us),
            retry_after_ms: decision.retry_after_ms,
            shadow: decision.shadow.as_ref().map(|shadow| Shadow {
                decision: shadow.decision,
                rule: name(Some(&shadow.rule)),
                pointer: name(shadow.pointer.as_deref()),
            }),
            ended: None,
        };
        let id = self.keep(row);
        self.by_source.entry(source).or_default().push_back(id);
        if decision.decision == Verdict::Approve {
            self.held.asks(id);
        }
        if let Some(asked) = decision.call.and_then(|seq| self.decided_as(source, seq)) {
            self.held.link(asked, id);
        }
    }

    fn event(&mut self, source: SourceNo, event: &Event) {
        let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let names = &mut self.names;
        let row = Row {
            source,
            seq: event.seq,
            ts: event.ts,
            kind: Kind::Event(event.kind),
            enforced: true,
            gateway: names.add(&event.gateway),
            server: names.add(event.data.get("server").and_then(|server| server.as_str()).unwrap_or("")),
            grant: names.add(event.by.as_deref().unwrap_or("")),
            session: Names::EMPTY,
            client: Names::EMPTY,
            method: names.add(kind.as_deref().unwrap_or("")),
            tool: Names::EMPTY,
            rule: Names::EMPTY,
            pointer: Names::EMPTY,
            message: names.add(event.reason.as_deref().unwrap_or("")),
            policy: Names::EMPTY,
            approval: Names::EMPTY,
            args: if event.data.is_null() { Box::default() } else { event.data.to_string().into() },
            gauges: Box::default(),
            decide_ns: 0,
            retry_after_ms: None,
            shadow: None,
            ended: None,
        };
        self.keep(row);
    }

    /// Joins an outcome to its call's row, which is looked for among the rows of its gateway run.
    fn outcome(&mut self, source: SourceNo, outcome: &Outcome) -> Option<u64> {
        let id = self.decided_as(source, outcome.call)?;
        // What ran is what was allowed in the end.
        let id = self.held.answer_of(id).unwrap_or(id);
        self.get_mut(id)?.ended = Some(Ended {
            status: outcome.status,
            code: outcome.code,
            upstream_us: outcome.upstream_us,
            bytes: outcome.bytes,
            released: outcome.released,
        });
        Some(id)
    }

    /// The row of a gateway run's decision, while it is kept.
    fn decided_as(&self, source: SourceNo, seq: u64) -> Option<u64> {
        let ids = self.by_source.get(&source)?;
        let at = ids.binary_search_by_key(&seq, |id| self.get(*id).map_or(0, |row| row.seq));
        at.ok().and_then(|at| ids.get(at)).copied()
    }

    fn keep(&mut self, row: Row) -> u64 {
        self.bytes += row.bytes();
        self.rows.push_back(row);
        while self.rows.len() > self.bounds.rows
            || (self.bytes + self.names.bytes() > self.bounds.bytes && self.rows.len() > 1)
        {
            self.drop_oldest();
        }
        self.forget_unused_names();
        self.first + self.rows.len() as u64 - 1
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(row.bytes());
        if let Some(ids) = self.by_source.get_mut(&row.source)
            && ids.front() == Some(&self.first)
        {
            ids.pop_front();
        }
        self.held.forget(self.first);
        self.first += 1;
    }

    /// Strings outlive their rows; when most of them do, the rows are numbered anew. A gateway
    /// that makes up names for ever is bounded by this.
    fn forget_unused_names(&mut self) {
        if self.names.len() < 100_000 || self.names.len() < self.rows.len().saturating_mul(12) {
            return;
        }
        let old = std::mem::take(&mut self.names);
        let names = &mut self.names;
        for row in &mut self.rows {
            row.rename(&mut |name: Name| names.add(old.text(name)));
        }
    }

    /// The row with this arrival number, while it is kept.
    pub fn get(&self, id: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Row> {
        self.rows.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    /// The arrival number of the first row that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The arrival number that the next row will have.
    pub fn next(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// How many rows are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is kept.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// About how much memory the rows take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.names.bytes()
    }

    /// Counts over everything that arrived.
    pub fn totals(&self) -> Totals {
        self.totals
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn nanos(micros: f64) -> u32 {
    (micros * 1000.0).clamp(0.0, f64::from(u32::MAX)) as u32
}
