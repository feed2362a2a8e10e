//! What is recorded: into the journal first, then onto the feed.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::notify::Notifier;
use crate::clock;
use crate::feed::message::RuleHits;
use crate::feed::server::Hub;
use crate::gateway::call::session::Ended;
use crate::gateway::lock;
use crate::gateway::ops::Meters;
use crate::gateway::span::Span;
use crate::gateway::traces::Tracer;
use crate::journal::{Options, Writer};
use crate::record::{Decision, Event, EventKind, Outcome, Record, Verdict};
use crate::time::Timestamp;

/// How many decisions wait for a journal that cannot be written (`--fail-open`).
const WAITING: usize = 10_000;

/// By server and rule: how often, and when last.
type Hits = HashMap<String, HashMap<String, (u64, Timestamp)>>;

/// Writes records.
pub(in crate::gateway) struct Recorder {
    /// The id of this run.
    pub(in crate::gateway) gateway: String,
    /// When it began.
    pub(in crate::gateway) started: Timestamp,
    folder: PathBuf,
    /// `None` while the journal cannot be opened.
    writer: Mutex<Option<Arc<Writer>>>,
    hub: OnceLock<Hub>,
    /// Calls that ended and are not recorded yet.
    ended: Mutex<Vec<(Ended, bool, Timestamp)>>,
    /// What could not be recorded.
    waiting: Mutex<Vec<Record>>,
    hits: Mutex<Hits>,
    /// Something was recorded since the screens were last told.
    stirred: AtomicBool,
    /// The journal failed when it was last written.
    failing: AtomicBool,
    meters: Meters,
    notifier: OnceLock<Notifier>,
    tracer: OnceLock<Tracer>,
}

impl Recorder {
    /// Opens the journal in `folder`; where that fails, why is given too, and it is tried again by
    /// [`Recorder::reopen`].
    pub(in crate::gateway) fn open(folder: PathBuf, gateway: String) -> (Self, Option<io::Error>) {
        let recorder = Self {
            gateway,
            started: clock::now(),
            folder,
            writer: Mutex::new(None),
            hub: OnceLock::new(),
            ended: Mutex::new(Vec::new()),
            waiting: Mutex::new(Vec::new()),
            hits: Mutex::new(HashMap::new()),
            stirred: AtomicBool::new(true),
            failing: AtomicBool::new(false),
            meters: Meters::default(),
            notifier: OnceLock::new(),
            tracer: OnceLock::new(),
        };
        let trouble = recorder.reopen().err();
        (recorder, trouble)
    }

    /// Opens the journal, unless it is open.
    pub(in crate::gateway) fn reopen(&self) -> io::Result<()> {
        if lock(&self.writer).is_some() {
            return Ok(());
        }
        let writer = Writer::create(&self.folder, &self.gateway, &Options::default())?;
        *lock(&self.writer) = Some(Arc::new(writer));
        Ok(())
    }

    /// Whether the journal is open.
    pub(in crate::gateway) fn is_open(&self) -> bool {
        lock(&self.writer).is_some()
    }

    /// From now on records go onto this feed, too.
    pub(in crate::gateway) fn connect(&self, hub: Hub) {
        let _ = self.hub.set(hub);
    }

    /// From now on people are told of what is recorded.
    pub(in crate::gateway) fn notify(&self, notifier: Notifier) {
        let _ = self.notifier.set(notifier);
    }

    /// From now on calls are told as spans.
    pub(in crate::gateway) fn trace(&self, tracer: Tracer) {
        let _ = self.tracer.set(tracer);
    }

    pub(in crate::gateway) fn tracer(&self) -> Option<&Tracer> {
        self.tracer.get()
    }

    /// A call is over with this record, which is all that is told of it.
    pub(in crate::gateway) fn traced(&self, span: Option<Box<Span>>, record: &Record) {
        let (Some(tracer), Some(mut span)) = (self.tracer(), span) else { return };
        if let Record::Decision(decision) = record {
            span.decided(decision);
        }
        tracer.end(*span);
    }

    pub(in crate::gateway) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Whether the journal is open, and took what it was last given.
    pub(in crate::gateway) fn is_writable(&self) -> bool {
        self.is_open() && !self.failing.load(Ordering::Relaxed)
    }

    /// How many records wait for the journal.
    pub(in crate::gateway) fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    pub(in crate::gateway) fn hub(&self) -> Option<&Hub> {
        self.hub.get()
    }

    /// A decision about nothing yet.
    pub(in crate::gateway) fn decision(
        &self,
        now: Timestamp,
        server: &str,
        grant: &str,
        session: Option<&str>,
    ) -> Box<Decision> {
        Box::new(Decision {
            seq: 0,
            ts: now,
            gateway: self.gateway.clone(),
            server: server.to_owned(),
            grant: grant.to_owned(),
            session: session.map(str::to_owned),
            client: None,
            request_id: None,
            method: String::new(),
            tool: None,
            decision: Verdict::Allow,
            enforced: true,
            rule: String::new(),
            pointer: None,
            message: String::new(),
            policy: None,
            args: None,
            counters: Vec::new(),
            counted: false,
            decide_us: 0.0,
            retry_after_ms: None,
            shadow: None,
            approval: None,
            call: None,
        })
    }

    /// Records decisions that were made together: when this returns, write(2) of all of them has
    /// returned, and each has its number. After an error none of them is recorded.
    pub(in crate::gateway) fn record_decisions(&self, records: &mut [&mut Record]) -> io::Result<()> {
        let mut outcomes = self.take_outcomes();
        if outcomes.is_empty() {
            self.append(records)?;
        } else {
            let mut all: Vec<&mut Record> =
                outcomes.iter_mut().chain(records.iter_mut().map(|record| &mut **record)).collect();
            if let Err(error) = self.append(&mut all) {
                let mut waiting = lock(&self.waiting);
                let room = WAITING.saturating_sub(waiting.len());
                waiting.extend(outcomes.into_iter().take(room));
                return Err(error);
            }
        }
        for record in records {
            let Record::Decision(decision) = &**record else { continue };
            if decision.rule.is_empty() {
                continue;
            }
            let mut hits = lock(&self.hits);
            let rules = match hits.get_mut(&decision.server) {
                Some(rules) => rules,
                None => hits.entry(decision.server.clone()).or_default(),
            };
            if let Some((count, last)) = rules.get_mut(&decision.rule) {
                *count += 1;
                *last = decision.ts;
            } else {
                rules.insert(decision.rule.clone(), (1, decision.ts));
            }
        }
        Ok(())
    }

    /// The call passes although its decision could not be recorded: that is done later.
    pub(in crate::gateway) fn record_later(&self, mut record: Record) {
        if let Record::Decision(decision) = &mut record {
            decision.enforced = false;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push(record);
        }
    }

    /// Records what waits.
    pub(in crate::gateway) fn catch_up(&self) {
        let mut waiting = lock(&self.waiting);
        let mut done = 0;
        for record in waiting.iter_mut() {
            if self.append(&mut [record]).is_err() {
                break;
            }
            done += 1;
        }
        waiting.drain(..done);
    }

    /// Takes note of how calls ended, each with whether its reservation was given back. That is
    /// recorded with the next decision, or by the background thread: an answer has gone on already,
    /// and two threads that write the journal at once would wait for each other. A call whose
    /// decision was not recorded has no number to refer to.
    pub(in crate::gateway) fn outcomes(&self, ended: impl Iterator<Item = (Ended, bool)>, now: Timestamp) {
        let ended = ended.filter_map(|(mut ended, released)| {
            if let (Some(tracer), Some(mut span)) = (self.tracer(), ended.span.take()) {
                span.seq(ended.decision);
                span.ended(ended.status, ended.code, ended.upstream_us);
                tracer.end(*span);
            }
            (ended.decision > 0).then_some((ended, released, now))
        });
        lock(&self.ended).extend(ended);
    }

    /// The outcomes that wait, as records.
    fn take_outcomes(&self) -> Vec<Record> {
        let ended = std::mem::take(&mut *lock(&self.ended));
        ended
            .into_iter()
            .map(|(ended, released, ts)| {
                Record::Outcome(Box::new(Outcome {
                    seq: 0,
                    ts,
                    gateway: self.gateway.clone(),
                    call: ended.decision,
                    status: ended.status,
                    code: ended.code,
                    upstream_us: ended.upstream_us,
                    bytes: ended.bytes,
                    released,
                }))
            })
            .collect()
    }

    /// Records the outcomes that wait.
    pub(in crate::gateway) fn settle(&self) {
        let mut outcomes = self.take_outcomes();
        if !outcomes.is_empty() && self.append(&mut outcomes.iter_mut().collect::<Vec<_>>()).is_err() {
            let mut waiting = lock(&self.waiting);
            let room = WAITING.saturating_sub(waiting.len());
            waiting.extend(outcomes.into_iter().take(room));
        }
    }

    /// Records what happened to the gateway.
    pub(in crate::gateway) fn event(
        &self,
        kind: EventKind,
        by: Option<String>,
        reason: Option<String>,
        data: serde_json::Value,
    ) {
        let event = Event { seq: 0, ts: clock::now(), gateway: self.gateway.clone(), kind, by, reason, data };
        let mut record = Record::Event(Box::new(event));
        if self.append(&mut [&mut record]).is_err() {
            let mut waiting = lock(&self.waiting);
            if waiting.len() < WAITING {
                waiting.push(record);
            }
        }
    }

    fn append(&self, records: &mut [&mut Record]) -> io::Result<()> {
        let writer = lock(&self.writer).clone();
        let writer = writer.ok_or_else(|| io::Error::other("the journal cannot be opened"));
        let (hub, notifier) = (self.hub.get(), self.notifier.get());
        let (mut bytes, mut lines) = (0_usize, Vec::new());
        let appended = writer.and_then(|writer| {
            writer.append_all(records, |seq, line| {
                bytes = bytes.saturating_add(line.len()).saturating_add(1);
                if notifier.is_some() {
                    lines.push(Arc::<[u8]>::from(line));
                }
                if let Some(hub) = hub {
                    hub.publish_bytes(seq, line);
                }
            })
        });
        self.failing.store(appended.is_err(), Ordering::Relaxed);
        if appended.is_err() {
            self.meters.failed();
        }
        appended?;
        self.meters.wrote(bytes);
        for record in records.iter() {
            self.meters.recorded(record);
        }
        for (record, line) in records.iter().zip(&lines) {
            if let Some(notifier) = notifier {
                notifier.offer(record, line);
            }
        }
        self.stirred.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether anything was recorded since this was last asked.
    pub(in crate::gateway) fn stirred(&self) -> bool {
        self.stirred.swap(false, Ordering::Relaxed)
    }

    /// How often each rule decided.
    pub(in crate::gateway) fn hits(&self) -> Vec<RuleHits> {
        let mut hits: Vec<RuleHits> = lock(&self.hits)
            .iter()
            .flat_map(|(server, rules)| rules.iter().map(move |(rule, hits)| (server, rule, hits)))
            .map(|(server, rule, (hits, last))| RuleHits {
                server: server.clone(),
                rule: rule.clone(),
                hits: *hits,
                last: *last,
            })
            .collect();
        hits.sort_by(|a, b| (&a.server, &a.rule).cmp(&(&b.server, &b.rule)));
        hits
    }

    /// The last words: everything is on the disk, and the feed is closed.
    pub(in crate::gateway) fn close(&self) {
        self.settle();
        self.catch_up();
        if let Some(writer) = lock(&self.writer).clone() {
            let _ = writer.sync();
        }
        if let Some(notifier) = self.notifier.get() {
            notifier.close();
        }
        if let Some(tracer) = self.tracer() {
            tracer.close();
        }
        if let Some(hub) = self.hub.get() {
            hub.close();
        }
    }
}
