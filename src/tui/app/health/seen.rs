//! What was seen of one gateway on its feed: how far it is, what was lost, how it says it fares.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::feed::message::{DriftedTool, Health, Hello};
use crate::feed::offset::Offset;
use crate::record::{Event, EventKind, Record};
use crate::time::Timestamp;
use crate::tui::app::feeds::Row;
use crate::tui::app::live::names::LONGEST;

/// Gaps that are named; all are counted.
const GAPS: usize = 16;
/// Clients that are named: a caller may invent as many names as it likes.
const CLIENTS: usize = 32;
/// Policies of which a refused version is remembered.
const REFUSED: usize = 256;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// For good: the gateway is gone.
    pub ended: bool,
}

/// What was seen of a gateway. Times of its records are by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often it was connected.
    pub connects: u64,
    /// The last loss of the connection.
    pub lost: Option<Loss>,
    /// The highest number of its records that came.
    pub last: u64,
    /// The number that its records had reached when it was connected.
    pub until: u64,
    /// Records that came.
    pub records: u64,
    /// When the last of them was written.
    pub last_at: Option<Timestamp>,
    /// How long the last of them that was written since it is connected took from there to here, in
    /// milliseconds.
    pub lag_ms: Option<u64>,
    /// The last gaps: the first and the last number that is missing.
    pub gaps: VecDeque<(u64, u64)>,
    /// Records that came and could not be read.
    pub unreadable: u64,
    /// How often the feed did something wrong.
    pub troubles: u64,
    /// What it did last.
    pub trouble: Option<String>,
    /// The clients whose calls it decided.
    pub clients: BTreeSet<String>,
    /// There are more clients than those.
    pub others: bool,
    /// How it says it fares.
    pub health: Option<Health>,
    /// How its clock differs from ours.
    pub offset: Offset,
    /// When it began, by its start record.
    pub started: Option<Timestamp>,
    /// Why its store cannot be used, as its records tell.
    pub store: Option<String>,
    /// Versions of policies that it did not take, and why, by the policy's path.
    pub refused: BTreeMap<String, String>,
    /// By server: the tools that are not as a person accepted them.
    pub drift: BTreeMap<String, Vec<DriftedTool>>,
}

impl Seen {
    /// It is connected (again).
    pub(crate) fn connected(&mut self, hello: &Hello, same_run: bool) {
        if !same_run {
            *self = Self { connects: self.connects, lost: self.lost.take(), ..Self::default() };
        }
        self.connects = self.connects.saturating_add(1);
        self.until = hello.next_seq.saturating_sub(1);
    }

    /// Records of it came.
    pub(crate) fn records(&mut self, rows: &[Row], now: Timestamp) {
        self.records = self.records.saturating_add(rows.len() as u64);
        for row in rows {
            self.last = self.last.max(row.record.seq());
            match &row.record {
                Record::Decision(decision) => {
                    if let Some(client) = &decision.client
                        && !self.clients.contains(client)
                    {
                        if self.clients.len() < CLIENTS && client.len() <= LONGEST {
                            self.clients.insert(client.clone());
                        } else {
                            self.others = true;
                        }
                    }
                }
                Record::Event(event) => self.event(event),
                Record::Outcome(_) => {}
            }
        }
        if let Some(row) = rows.last() {
            let at = row.record.ts();
            self.last_at = Some(at);
            // One from before it was connected is no measure of how late they come.
            if row.record.seq() > self.until {
                self.lag_ms = Some(self.offset.here(at).millis_until(now));
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
        let why = || text("why").unwrap_or("for a reason that it did not give").to_owned();
        match event.kind {
            EventKind::Start => self.started = Some(event.ts),
            EventKind::Store => match text("state") {
                Some("failed") => self.store = Some(why()),
                Some("back") => self.store = None,
                _ => {}
            },
            EventKind::Policy => {
                self.refused.remove(text("path").unwrap_or_default());
            }
            EventKind::PolicyRejected if self.refused.len() < REFUSED => {
                let path = text("path").unwrap_or_default();
                if path.len() <= LONGEST {
                    let mut why = why();
                    why.truncate(why.floor_char_boundary(LONGEST));
                    self.refused.insert(path.to_owned(), why);
                }
            }
            _ => {}
        }
    }

    /// Records of it are lost.
    pub(crate) fn gap(&mut self, from: u64, to: u64) {
        self.last = self.last.max(to);
        self.gaps.push_back((from, to));
        if self.gaps.len() > GAPS {
            self.gaps.pop_front();
        }
    }

    /// It said how it fares.
    pub(crate) fn health(&mut self, health: &Health, now: Timestamp) {
        self.offset.heard(health.ts, now);
        self.health = Some(health.clone());
    }

    /// How many of the records from before it was connected have not come yet.
    pub fn behind(&self) -> u64 {
        self.until.saturating_sub(self.last)
    }

    /// When it began, by our clock.
    pub fn since(&self) -> Option<Timestamp> {
        let started = self.health.as_ref().map(|health| health.started).or(self.started)?;
        Some(self.offset.here(started))
    }
}
