//! Calls that wait for a person: each is looked after until it is approved and goes on, is denied, or
//! its client gives it up. Whatever transport it came over, it is answered exactly once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use super::asking::{self, Asking};
use super::conversation::Conversation;
use super::decider::Decided;
use super::holds::{self, Hold, Seen, Turn};
use super::judge::{answer_denied, operation, rest};
use super::session::{Call, Ended};
use crate::clock;
use crate::counters::Standing;
use crate::gateway::desk::Desk;
use crate::gateway::lock;
use crate::gateway::span::Span;
use crate::mcp::envelope::{self, Limits, Line};
use crate::mcp::id::IdKey;
use crate::mcp::reply;
use crate::policy::decide::{Denial, rejected};
use crate::record::{Decision, Record, Status, Verdict};
use crate::time::Timestamp;

/// How often held calls are looked after.
const TURN: Duration = Duration::from_millis(40);

/// So many calls of one conversation wait at once; equal ones share a question, but not their bytes.
const MAX_HELD: usize = 128;
/// What all calls that wait in this process hold together, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Calls larger than this are not kept, in bytes: what surrounds the arguments is the client's, too.
const MAX_MESSAGE: usize = 256 * 1024;

/// A call that waits.
pub(in crate::gateway) struct HeldCall {
    pub(in crate::gateway) id: IdKey,
    /// As the client spelt it.
    pub(in crate::gateway) raw_id: String,
    pub(in crate::gateway) modern: bool,
    pub(in crate::gateway) visible: bool,
    /// The very bytes that go on.
    pub(in crate::gateway) message: Vec<u8>,
    pub(in crate::gateway) tool: String,
    pub(in crate::gateway) hold: Hold,
    pub(in crate::gateway) timeout_s: u64,
    /// When its question ends.
    pub(in crate::gateway) until: Timestamp,
    /// Its first decision: to ask.
    pub(in crate::gateway) record: Record,
    /// What is told of it, where traces are.
    pub(in crate::gateway) span: Option<Box<Span>>,
}

/// The calls of one conversation that wait.
#[derive(Default)]
pub(in crate::gateway) struct HeldCalls {
    calls: Mutex<Vec<HeldCall>>,
    /// Held while they are looked after: by one thread at a time.
    tending: Mutex<()>,
    client_gone: AtomicBool,
    server_gone: AtomicBool,
}

impl HeldCall {
    /// The second decision, about nothing yet.
    fn decision(&self) -> Option<Box<Decision>> {
        let Record::Decision(first) = &self.record else { return None };
        let mut second = first.clone();
        second.call = (first.seq > 0).then_some(first.seq);
        second.seq = 0;
        second.ts = clock::now();
        // What a candidate thinks of the call was recorded with the first.
        second.shadow = None;
        Some(second)
    }

    /// The call as one that is denied: the answer, and the record.
    pub(in crate::gateway) fn refused(&self, denial: &Denial) -> (Vec<u8>, Record) {
        let mut record = self.record.clone();
        let mut answer = Vec::new();
        if let Record::Decision(decision) = &mut record {
            decision.decision = Verdict::Deny;
            decision.rule.clone_from(&denial.rule);
            decision.pointer.clone_from(&denial.pointer);
            decision.message.clone_from(&denial.message);
            answer = answer_denied(&self.raw_id, decision, self.visible && denial.visible, self.modern);
        }
        (answer, record)
    }
}

/// Looks after the held calls of every conversation until the gateway is closed.
pub(in crate::gateway) fn run(desk: &Desk) {
    while !desk.is_closed() {
        std::thread::sleep(TURN);
        for conversation in desk.holding() {
            conversation.tend();
        }
    }
}

impl Conversation {
    /// A call waits from now on; that is recorded already.
    pub(in crate::gateway) fn keep(&self, held: HeldCall) {
        self.desk.held_bytes.fetch_add(held.message.len(), Ordering::Relaxed);
        lock(&self.held.calls).push(held);
        if let Some(me) = self.me.upgrade() {
            self.desk.hold(me);
        }
    }

    /// Whether this message can wait here; otherwise its client is told to come back.
    pub(in crate::gateway) fn has_room(&self, message: &[u8]) -> bool {
        let bytes = self.desk.held_bytes.load(Ordering::Relaxed).saturating_add(message.len());
        message.len() <= MAX_MESSAGE && bytes <= MAX_BYTES && lock(&self.held.calls).len() < MAX_HELD
    }

    /// A call is held for a question no longer.
    pub(in crate::gateway) fn unask(&self, question: &str, cancelled: bool) {
        // A question that cannot be told so ends by itself.
        let _ = self.desk.with_store(|store| store.leave_approval(clock::now(), question, cancelled));
    }

    /// The client is gone: its held calls end, and nothing runs.
    pub(in crate::gateway) fn client_gone(&self) {
        self.held.client_gone.store(true, Ordering::Release);
    }

    /// Looks after the held calls once.
    pub(in crate::gateway) fn tend(&self) {
        let _tending = match self.held.tending.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut calls = std::mem::take(&mut *lock(&self.held.calls));
        if calls.is_empty() {
            return;
        }
        let (above, fresh) = self.desk.standing.get();
        calls.retain_mut(|call| {
            let waits = self.still_waits(call, &above, fresh);
            if !waits {
                self.desk.held_bytes.fetch_sub(call.message.len(), Ordering::Relaxed);
            }
            waits
        });
        let mut slot = lock(&self.held.calls);
        calls.append(&mut slot);
        *slot = calls;
    }

    /// The server is gone: held calls are answered, and what was asked stays open for another run.
    pub(in crate::gateway) fn end_holds(&self) {
        self.held.server_gone.store(true, Ordering::Release);
        self.tend();
    }

    /// Whether no call waits.
    pub(in crate::gateway) fn holds_none(&self) -> bool {
        self.held.tending.try_lock().is_ok() && lock(&self.held.calls).is_empty()
    }

    fn still_waits(&self, call: &mut HeldCall, above: &Arc<Standing>, fresh: bool) -> bool {
        let (now, now_us) = (clock::now(), clock::tick() / 1000);
        let who = &self.decider.who;
        let client_gone = self.held.client_gone.load(Ordering::Acquire);
        if self.held.server_gone.load(Ordering::Acquire) && !client_gone {
            self.unask(&call.hold.question, false);
            self.lost(call, Status::Lost);
            if let Some(raw_id) = self.session().drop_held(&call.id) {
                self.say(
                    &reply::error(Some(&raw_id), reply::INTERNAL_ERROR, crate::gateway::GONE),
                    Some(&call.id),
                );
            }
            return false;
        }
        let seen = Seen {
            question: above.approvals.iter().find(|entry| entry.id == call.hold.question),
            fresh,
            frozen: above.frozen(&who.server, &who.grant, &call.tool, now).is_some(),
            cancelled: client_gone || self.session().is_cancelled(&call.id),
        };
        match call.hold.turn(seen, now_us, now) {
            Turn::Wait => true,
            Turn::Progress(number) => {
                if let Some(token) = &call.hold.token {
                    self.say(&holds::progress(token, number), Some(&call.id));
                }
                true
            }
            Turn::Cancel => {
                let _ = self.session().drop_held(&call.id);
                self.unask(&call.hold.question, true);
                self.lost(call, Status::Cancelled);
                self.ended(&call.id);
                false
            }
            Turn::Again => self.again(call, now),
            Turn::Rejected(note) => {
                self.deny(call, rejected(&call.tool, &note));
                false
            }
            Turn::Later => {
                self.unask(&call.hold.question, false);
                let message = asking::later(&call.tool, &call.hold.question, rest(now, call.until));
                self.deny(call, message);
                false
            }
            Turn::TimedOut => {
                self.unask(&call.hold.question, true);
                self.deny(call, asking::timed_out(&call.tool, call.timeout_s));
                false
            }
        }
    }

    /// Decides a held call again, by the policy then in force. `true`: it goes on waiting.
    fn again(&self, call: &mut HeldCall, now: Timestamp) -> bool {
        let began = clock::tick();
        let limits = Limits { max_message: self.desk.max_message };
        // It could be read before; what cannot be read any more does not run.
        let Ok(Line::Message(peeked)) = envelope::peek(&call.message, &limits) else {
            self.deny(call, "the call cannot be read again".to_owned());
            return false;
        };
        let Some(asked) = peeked.call() else {
            self.deny(call, "the call cannot be read again".to_owned());
            return false;
        };
        let client = self.session().client().map(str::to_owned);
        let args = asked.arguments.and_then(|arguments| peeked.raw(arguments));
        let given = Some(call.hold.question.as_str());
        let asking = Asking { client: client.as_deref(), args, given };
        let listed = self.listing().listed(asked.name);
        let mut decided = self.decider.decide(self.id(), &asked, listed, now, &asking);
        let operation = operation(&asked, call.modern, false);
        if let Some(question) = decided.question {
            call.hold.goes_on(question.id, clock::tick() / 1000);
            call.until = question.until;
            return true;
        }
        if decided.decision != Verdict::Allow {
            // A freeze, or a rule: what was asked is left to others who ask the same.
            self.unask(&call.hold.question, true);
        }
        let Some(mut decision) = call.decision() else { return false };
        decided.put(&mut decision);
        let Decided { taken, visible, .. } = decided;
        decision.decide_us = clock::micros_since(began);
        call.visible = visible;
        if decision.decision != Verdict::Allow {
            self.answer(call, decision);
            return false;
        }
        let mut record = Record::Decision(decision);
        if let Err(error) = self.desk.recorder.record_decisions(&mut [&mut record]) {
            if !self.desk.fail_open {
                self.desk.release(&taken);
                let why = format!("the call cannot be recorded, so it is not allowed: {error}");
                self.deny_as(call, &Denial::unavailable(why));
                return false;
            }
            record.set_seq(0);
            self.desk.recorder.record_later(record.clone());
        }
        let seq = record.seq();
        let now_us = clock::tick() / 1000;
        let mut span = call.span.take();
        if let (Some(span), Record::Decision(decision)) = (&mut span, &record) {
            span.decided(decision);
        }
        let going =
            Call { decision: seq, taken: taken.clone(), sent_us: now_us, operation, span: span.clone() };
        let resumed = self.session().resume(&call.id, going, now_us);
        if let Err(unanswered) = resumed {
            // Cancelled while it was decided, or the server is gone: nothing runs, and nothing stays
            // counted.
            let status = if unanswered.is_some() { Status::Lost } else { Status::Cancelled };
            self.desk.end_call(&Ended { release: taken, span, ..ended(seq, status) });
            match unanswered {
                Some(raw_id) => {
                    self.say(
                        &reply::error(Some(&raw_id), reply::INTERNAL_ERROR, crate::gateway::GONE),
                        Some(&call.id),
                    );
                }
                None => self.ended(&call.id),
            }
            return false;
        }
        let sent = self.server().is_some_and(|server| server.forward(&call.message, &call.id));
        if !sent && let Some(raw_id) = self.never_sent(&call.id) {
            self.say(
                &reply::error(Some(&raw_id), reply::INTERNAL_ERROR, crate::gateway::GONE),
                Some(&call.id),
            );
        }
        false
    }

    /// Denies a held call by the rule that held it.
    fn deny(&self, call: &mut HeldCall, message: String) {
        let Record::Decision(first) = &call.record else { return };
        let (rule, pointer) = (first.rule.clone(), first.pointer.clone());
        self.deny_as(call, &Denial { rule, pointer, message, visible: true });
    }

    fn deny_as(&self, call: &mut HeldCall, denial: &Denial) {
        let Some(mut decision) = call.decision() else { return };
        decision.decision = Verdict::Deny;
        decision.rule.clone_from(&denial.rule);
        decision.pointer.clone_from(&denial.pointer);
        decision.message.clone_from(&denial.message);
        decision.approval = Some(call.hold.question.clone());
        self.answer(call, decision);
    }

    /// Records the denial of a held call, and tells the client.
    fn answer(&self, call: &mut HeldCall, decision: Box<Decision>) {
        let answer = answer_denied(&call.raw_id, &decision, call.visible, call.modern);
        let mut record = Record::Decision(decision);
        // A denial stands, recorded or not.
        let _ = self.desk.recorder.record_decisions(&mut [&mut record]);
        self.desk.recorder.traced(call.span.take(), &record);
        if self.session().drop_held(&call.id).is_some() {
            self.say(&answer, Some(&call.id));
        }
    }

    /// Records that a call which was to wait has ended otherwise.
    fn lost(&self, call: &mut HeldCall, status: Status) {
        let ended = Ended { span: call.span.take(), ..ended(call.record.seq(), status) };
        self.desk.recorder.outcomes(std::iter::once((ended, false)), clock::now());
    }
}

fn ended(decision: u64, status: Status) -> Ended {
    Ended { decision, status, code: None, upstream_us: 0, bytes: 0, release: Vec::new(), span: None }
}
