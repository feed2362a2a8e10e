//! The newest rows of every gateway, bounded by count and bytes.
//!
//! Everything else refers to rows by their arrival number, never by index, so that a row that
//! leaves moves nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::held::Held;
use super::names::{Name, Names};
use super::past::{BASE, Past, Way};
use super::row::{Ended, Gauge, Kind, Row, Shadow};
use crate::journal::Place;
use crate::record::{Decision, Event, EventKind, Outcome, Record, Verdict};

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
        // With the window of older rows at most 400 MB.
        Self { rows: 1_000_000, bytes: 352 << 20 }
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
    /// What gateway runs call themselves.
    origins: HashMap<SourceNo, Arc<str>>,
    /// Rows that left, while somebody counts them.
    gone: Vec<(u64, Row)>,
    keep_gone: bool,
    /// How often strings were numbered anew.
    renumbered: u64,
    /// Older rows that were read from the journals.
    pub past: Past,
    /// Of gateway runs whose journals were read at the start, the last number read.
    known: HashMap<SourceNo, u64>,
    /// Outcomes whose calls are not here: they may be older.
    orphans: HashMap<(SourceNo, u64), Ended>,
}

/// Outcomes without their calls that are remembered.
const ORPHANS: usize = 4_096;

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
        Self { bounds, first: BASE, ..Self::default() }
    }

    /// Holds no more than this from the next row on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Takes in a record that was read from a journal: what a feed gives of that gateway run up to
    /// this number came already.
    pub fn remember(&mut self, source: SourceNo, seq: u64) {
        let known = self.known.entry(source).or_default();
        *known = seq.max(*known);
    }

    /// Whether a record was read from a journal before.
    pub fn knows(&self, source: SourceNo, seq: u64) -> bool {
        self.known.get(&source).is_some_and(|known| seq <= *known)
    }

    /// Of each gateway run that rows are kept of, its id and the number of its first row.
    pub fn firsts(&self) -> impl Iterator<Item = (&str, u64)> {
        let row = |ids: &VecDeque<u64>| ids.front().and_then(|id| self.get(*id));
        self.by_source.values().filter_map(row).map(|row| (self.names.text(row.gateway), row.seq))
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
        let row = decided(&mut self.names, source, decision);
        // The second decision of a held call is the same call.
        self.totals.decisions += u64::from(decision.call.is_none());
        match decision.decision {
            Verdict::Deny => self.totals.denies += 1,
            Verdict::Approve => self.totals.approvals += 1,
            Verdict::Allow => {}
        }
        let id = self.keep(row);
        if decision.decision == Verdict::Approve {
            self.held.asks(id);
        }
        if let Some(asked) = decision.call.and_then(|seq| self.kept(source, seq)) {
            self.held.link(asked, id);
        }
    }

    fn event(&mut self, source: SourceNo, event: &Event) {
        let row = happened(&mut self.names, source, event);
        self.named(source, event);
        self.keep(row);
    }

    /// A start tells what a gateway run calls itself.
    fn named(&mut self, source: SourceNo, event: &Event) {
        if event.kind == EventKind::Start
            && let Some(name) = event.data.get("name").and_then(|name| name.as_str())
        {
            self.call(source, name);
        }
    }

    /// Joins an outcome to its call's row, which is looked for among the rows of its gateway run.
    fn outcome(&mut self, source: SourceNo, outcome: &Outcome) -> Option<u64> {
        let Some(id) = self.kept(source, outcome.call) else {
            if self.orphans.len() < ORPHANS {
                self.orphans.insert((source, outcome.call), ended(outcome));
            }
            return None;
        };
        // What ran is what was allowed in the end.
        let id = self.held.answer_of(id).unwrap_or(id);
        let row = self.get_mut(id)?;
        row.verdict()?;
        row.ended = Some(ended(outcome));
        Some(id)
    }

    /// The row of a gateway run's record, while it is kept.
    pub fn find(&self, source: SourceNo, seq: u64) -> Option<u64> {
        self.kept(source, seq).or_else(|| self.past.find(source, seq))
    }

    /// The same among the newest rows alone.
    fn kept(&self, source: SourceNo, seq: u64) -> Option<u64> {
        let ids = self.by_source.get(&source)?;
        let at = ids.binary_search_by_key(&seq, |id| self.get(*id).map_or(0, |row| row.seq));
        at.ok().and_then(|at| ids.get(at)).copied()
    }

    fn keep(&mut self, row: Row) -> u64 {
        self.bytes += row.bytes();
        let id = self.next();
        self.by_source.entry(row.source).or_default().push_back(id);
        // Grown by doubling, but never beyond what is kept: a ring comes round to all of its room.
        let held = self.rows.len();
        if held == self.rows.capacity() {
            let room = self.bounds.rows.saturating_add(1).saturating_sub(held);
            self.rows.reserve_exact(held.clamp(64, room.max(64)));
        }
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
            if ids.is_empty() {
                self.by_source.remove(&row.source);
            }
        }
        self.held.forget(self.first);
        if self.keep_gone {
            self.gone.push((self.first, row));
        }
        self.first += 1;
    }

    /// Strings outlive their rows; when most of them do, the rows are numbered anew. A gateway
    /// that makes up names for ever is bounded by this.
    fn forget_unused_names(&mut self) {
        if self.names.len() < 100_000 || self.names.len() < self.rows.len().saturating_mul(12) {
            return;
        }
        self.renumbered += 1;
        let old = std::mem::take(&mut self.names);
        let names = &mut self.names;
        for row in self.rows.iter_mut().chain(self.past.rows_mut()) {
            row.rename(&mut |name: Name| names.add(old.text(name)));
        }
    }

    /// Whether rows that leave are kept for [`Ring::take_gone`].
    pub(super) fn keep_gone(&mut self, keep: bool) {
        self.keep_gone = keep;
    }

    /// The rows that left since, oldest first.
    pub(super) fn take_gone(&mut self) -> Vec<(u64, Row)> {
        std::mem::take(&mut self.gone)
    }

    /// Changes whenever strings are numbered anew.
    pub(super) fn renumbered(&self) -> u64 {
        self.renumbered
    }

    /// A gateway run has a name.
    pub fn call(&mut self, source: SourceNo, name: &str) {
        let end = name.floor_char_boundary(super::names::LONGEST);
        self.origins.insert(source, name.get(..end).unwrap_or("").into());
    }

    /// What the gateway run of a row calls itself; its id where it never said.
    pub fn origin(&self, row: &Row) -> &str {
        self.origins.get(&row.source).map_or_else(|| self.names.text(row.gateway), |name| &**name)
    }

    /// Whether rows of a gateway run are kept.
    pub fn has_rows_of(&self, run: SourceNo) -> bool {
        self.by_source.contains_key(&run) || self.past.has_rows_of(run)
    }

    /// Forgets what is known of gateway runs, except of these.
    pub fn forget_runs(&mut self, keep: &dyn Fn(SourceNo) -> bool) {
        self.origins.retain(|run, _| keep(*run));
        self.known.retain(|run, _| keep(*run));
    }

    /// How many gateway runs are known by name, and how many by their last number: for tests.
    #[doc(hidden)]
    pub fn known_runs(&self) -> (usize, usize) {
        (self.origins.len(), self.known.len())
    }

    /// Of how many gateway runs rows are kept.
    pub fn runs(&self) -> usize {
        self.by_source.len()
    }

    /// Takes a page of older records in, oldest first, each with its call's outcome where that is
    /// known, and outcomes of older calls.
    pub fn add_past(
        &mut self,
        way: Way,
        records: &[(SourceNo, Record, Option<Box<Outcome>>)],
        orphans: &[(SourceNo, Outcome)],
        (older, newer): (Arc<Place>, Arc<Place>),
    ) {
        self.past
            .orphans
            .extend(orphans.iter().map(|(source, outcome)| ((*source, outcome.call), ended(outcome))));
        if self.past.orphans.len() > ORPHANS {
            self.past.orphans.clear();
        }
        let mut rows = Vec::with_capacity(records.len());
        for (source, record, outcome) in records {
            let mut row = match record {
                Record::Decision(decision) => decided(&mut self.names, *source, decision),
                Record::Event(event) => {
                    self.named(*source, event);
                    happened(&mut self.names, *source, event)
                }
                Record::Outcome(_) => continue,
            };
            row.ended = match outcome {
                Some(outcome) => Some(ended(outcome)),
                None => self.orphans.remove(&(*source, row.seq)).filter(|_| row.verdict().is_some()),
            };
            rows.push(row);
        }
        self.past.add(way, rows, older, newer);
    }

    /// The row with this arrival number, while it is kept.
    pub fn get(&self, id: u64) -> Option<&Row> {
        if id < BASE {
            return self.past.get(id);
        }
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

/// A decision as a row.
fn decided(names: &mut Names, source: SourceNo, decision: &Decision) -> Row {
    let tool = decision.tool.as_deref().unwrap_or("");
    let mut name = |text: Option<&str>| text.map_or(Names::EMPTY, |text| names.add(text));
    Row {
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
        again: decision.call.is_some(),
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
    }
}

/// An event as a row.
fn happened(names: &mut Names, source: SourceNo, event: &Event) -> Row {
    let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    Row {
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
        again: false,
        args: if event.data.is_null() { Box::default() } else { event.data.to_string().into() },
        gauges: Box::default(),
        decide_ns: 0,
        retry_after_ms: None,
        shadow: None,
        ended: None,
    }
}

fn ended(outcome: &Outcome) -> Ended {
    Ended {
        status: outcome.status,
        code: outcome.code,
        upstream_us: outcome.upstream_us,
        bytes: outcome.bytes,
        released: outcome.released,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn nanos(micros: f64) -> u32 {
    (micros * 1000.0).clamp(0.0, f64::from(u32::MAX)) as u32
}
