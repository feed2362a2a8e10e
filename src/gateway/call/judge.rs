//! What is to be done with one message of a client, whatever it came over: it is looked at and
//! decided, its decision is recorded, and only then the transport forwards it or answers.

use super::asking::{self, Asking};
use super::conversation::Conversation;
use super::decider::Decided;
use super::held::HeldCall;
use super::holds::Hold;
use super::session::{Asks, Call, Ended, Operation};
use crate::clock;
use crate::counters::Approval;
use crate::gateway::desk::Desk;
use crate::gateway::span::{Parent, Span};
use crate::json::Node;
use crate::json::canonical::arguments_sha256;
use crate::mcp::envelope::{self, Kind, Limits, Line, Message, Refusal, ToolCall};
use crate::mcp::id::IdKey;
use crate::mcp::reply;
use crate::policy::counter::Taken;
use crate::policy::decide::Denial;
use crate::record::{Decision, Record, Shadow, Verdict};
use crate::time::Timestamp;

/// What is to be done with a message.
pub(in crate::gateway) enum Ruling {
    /// It goes on as it is. Nothing is recorded of it.
    Forward {
        /// The request that it opens, when it is one.
        request: Option<IdKey>,
        /// The request that it cancels.
        cancels: Option<IdKey>,
    },
    /// A call goes on, once its decision is recorded.
    Allow(Box<Allowed>),
    /// It is answered here, once the decision is recorded.
    Answer(Box<Answer>),
    /// A call waits for a person, once that is recorded. Only where [`Conversation::may_hold`] says
    /// so.
    Hold(Box<HeldCall>),
    /// It waits. There is nothing to be done for it now: it will be answered, or go on by itself.
    Held,
}

/// A call that may go on.
pub(in crate::gateway) struct Allowed {
    pub(in crate::gateway) id: IdKey,
    raw_id: String,
    modern: bool,
    visible: bool,
    taken: Vec<Taken>,
    record: Record,
}

/// An answer of the gateway's own.
pub(in crate::gateway) struct Answer {
    /// One message, without a line feed.
    pub(in crate::gateway) reply: Vec<u8>,
    /// The JSON-RPC code of a message that was refused as malformed.
    pub(in crate::gateway) refused: Option<i64>,
    record: Record,
    recorded: bool,
    /// What is told of the call, where traces are.
    span: Option<Box<Span>>,
}

impl Ruling {
    fn record(&mut self) -> Option<&mut Record> {
        match self {
            Self::Forward { .. } | Self::Held => None,
            Self::Allow(allowed) => Some(&mut allowed.record),
            Self::Answer(answer) => (!answer.recorded).then_some(&mut answer.record),
            Self::Hold(held) => Some(&mut held.record),
        }
    }

    /// The request that it opens: it is in flight from now on, and must be marked as sent, or
    /// withdrawn.
    pub(in crate::gateway) fn request(&self) -> Option<&IdKey> {
        match self {
            Self::Forward { request, .. } => request.as_ref(),
            Self::Allow(allowed) => Some(&allowed.id),
            Self::Answer(_) | Self::Hold(_) | Self::Held => None,
        }
    }
}

impl Conversation {
    /// Looks at a message and decides it. `None`: there is nothing but white space in it. `check`
    /// sees each message that can be read before it is decided, and may refuse it; `carried` is the
    /// trace that its transport says it is part of, asked only where traces are.
    pub(in crate::gateway) fn judge(
        &self,
        message: &[u8],
        check: &mut dyn FnMut(&Message<'_>) -> Result<(), Refusal>,
        carried: &dyn Fn() -> Option<Parent>,
    ) -> Option<Ruling> {
        let began = clock::tick();
        let limits = Limits { max_message: self.desk.max_message };
        let peeked = match envelope::peek(message, &limits) {
            Ok(Line::Message(peeked)) => peeked,
            Ok(Line::Blank) => return None,
            Err(refusal) => return Some(self.refuse(refusal, began)),
        };
        if let Err(refusal) = check(&peeked) {
            return Some(self.refuse(refusal, began));
        }
        let (id, method) = match &peeked.kind {
            Kind::Response { .. } => return Some(Ruling::Forward { request: None, cancels: None }),
            Kind::Notification { .. } => {
                let cancels = peeked.cancels().map(|id| id.key);
                return Some(Ruling::Forward { request: None, cancels });
            }
            Kind::Request { id, method } => (id, method),
        };
        self.desk.tally.count(method);
        let mut session = self.session();
        if session.client().is_none() || matches!(method.as_ref(), "initialize" | "server/discover") {
            session.introduce(peeked.client().map(|info| match info.version {
                Some(version) => format!("{} {version}", info.name),
                None => info.name,
            }));
        }
        if session.in_flight(&id.key) {
            drop(session);
            let refusal = Refusal {
                code: reply::INVALID_REQUEST,
                id: Some(id.raw.clone()),
                message: format!("the id {} is still in flight", id.raw),
                tool: peeked.call().map(|call| call.name.to_owned()),
                method: Some(method.clone().into_owned()),
            };
            return Some(self.refuse(refusal, began));
        }
        if let Some(call) = peeked.call() {
            let client = session.client().map(str::to_owned);
            drop(session);
            let listed = self.listing().listed(call.name);
            let now = clock::now();
            let args = call.arguments.and_then(|arguments| peeked.raw(arguments));
            let asking = Asking { client: client.as_deref(), args, given: None };
            let decided = self.decider.decide(self.id(), &call, listed, now, &asking);
            let took = clock::micros_since(began);
            // Afterwards, so that what it costs is no part of what deciding took.
            let shadow = self.decider.shadow_opinion(self.id(), &call, listed, now);
            let span = self.desk.recorder.tracer().and_then(|tracer| {
                let own = peeked.trace().and_then(|(parent, state)| Parent::parse(parent, state));
                tracer.begin(own.or_else(carried), call.name, began)
            });
            return Some(self.decided(message, &peeked, &call, client, decided, shadow, now, took, span));
        }
        let first = asked(&peeked, "cursor").is_none_or(Node::is_null);
        let tools = asked(&peeked, "notifications")
            .and_then(|wanted| wanted.get("toolsListChanged"))
            .is_some_and(|wanted| matches!(wanted.value, crate::json::Value::Bool(true)));
        let key = id.key.clone();
        if !session.open(id.clone(), Asks::of(method, first, tools)) {
            return None;
        }
        Some(Ruling::Forward { request: Some(key), cancels: None })
    }

    #[expect(clippy::too_many_arguments, reason = "one call's facts, gathered in one place")]
    fn decided(
        &self,
        message: &[u8],
        peeked: &Message<'_>,
        call: &ToolCall<'_, '_>,
        client: Option<String>,
        mut decided: Decided,
        shadow: Option<Shadow>,
        now: Timestamp,
        decide_us: f64,
        mut span: Option<Box<Span>>,
    ) -> Ruling {
        let raw_id = peeked.id().map(|id| id.raw.clone()).unwrap_or_default();
        let modern = peeked.is_modern();
        let args = self.decider.recorded_arguments(message, call);
        let mut decision = self.decision(now);
        decision.client = client;
        decision.request_id = raw(&raw_id);
        envelope::TOOLS_CALL.clone_into(&mut decision.method);
        decision.tool = Some(call.name.to_owned());
        decision.args = args;
        decided.put(&mut decision);
        decision.decide_us = decide_us;
        decision.shadow = shadow;
        if let Some(span) = &mut span {
            span.decided(&decision);
        }
        if let Some(question) = decided.question {
            return self.ask(message, peeked, call, *question, decision, decided.visible, span);
        }
        if decided.decision == Verdict::Allow
            && let Some(id) = peeked.id().cloned()
        {
            let key = id.key.clone();
            let free = !decision.counted && decision.approval.is_none();
            let operation = operation(call, modern, free);
            let asks = Asks::Call(Call { taken: decided.taken.clone(), operation, span, ..Call::default() });
            let _ = self.session().open(id, asks);
            return Ruling::Allow(Box::new(Allowed {
                id: key,
                raw_id,
                modern,
                visible: decided.visible,
                taken: decided.taken,
                record: Record::Decision(decision),
            }));
        }
        let reply = answer_denied(&raw_id, &decision, decided.visible, modern);
        let record = Record::Decision(decision);
        Ruling::Answer(Box::new(Answer { reply, refused: None, record, recorded: false, span }))
    }

    /// A person is asked: the call waits, or is told to come back where it cannot.
    #[expect(clippy::too_many_arguments, reason = "one call's facts, gathered in one place")]
    fn ask(
        &self,
        message: &[u8],
        peeked: &Message<'_>,
        call: &ToolCall<'_, '_>,
        question: Approval,
        mut decision: Box<Decision>,
        visible: bool,
        span: Option<Box<Span>>,
    ) -> Ruling {
        let modern = peeked.is_modern();
        let raw_id = peeked.id().map(|id| id.raw.clone()).unwrap_or_default();
        if self.server().is_some()
            && self.has_room(message)
            && let Some(id) = peeked.id().cloned()
        {
            let key = id.key.clone();
            if self.session().hold(id) {
                let token = call.progress_token.map(str::to_owned);
                let hold = Hold::new(question.id, token, question.timeout_s, clock::tick() / 1000);
                return Ruling::Hold(Box::new(HeldCall {
                    id: key,
                    raw_id,
                    modern,
                    visible,
                    message: message.to_vec(),
                    tool: question.tool,
                    hold,
                    timeout_s: question.timeout_s,
                    until: question.until,
                    record: Record::Decision(decision),
                    span,
                }));
            }
        }
        self.unask(&question.id, false);
        decision.decision = Verdict::Deny;
        decision.message = asking::later(&question.tool, &question.id, rest(decision.ts, question.until));
        let reply = answer_denied(&raw_id, &decision, visible, modern);
        let record = Record::Decision(decision);
        Ruling::Answer(Box::new(Answer { reply, refused: None, record, recorded: false, span }))
    }

    /// A message that is not forwarded, in whole or in part. `began` is when it was first looked at,
    /// as [`clock::tick`].
    pub(in crate::gateway) fn refuse(&self, refusal: Refusal, began: u64) -> Ruling {
        let denial = Denial::malformed(refusal.message);
        let mut decision = self.decision(clock::now());
        decision.client = self.session().client().map(str::to_owned);
        decision.request_id = refusal.id.as_deref().and_then(raw);
        decision.method = refusal.method.unwrap_or_default();
        decision.tool = refusal.tool;
        decision.decision = Verdict::Deny;
        decision.policy = self.decider.revision();
        decision.rule = denial.rule;
        decision.message = denial.message;
        decision.decide_us = clock::micros_since(began);
        let reply = reply::malformed(refusal.id.as_deref(), refusal.code, &decision.message);
        let record = Record::Decision(decision);
        let refused = Some(refusal.code);
        Ruling::Answer(Box::new(Answer { reply, refused, record, recorded: false, span: None }))
    }

    fn decision(&self, now: Timestamp) -> Box<Decision> {
        let who = &self.decider.who;
        self.desk.recorder.decision(now, &who.server, &who.grant, self.id())
    }

    /// The journal first: records the rulings that were made together. Afterwards an
    /// [`Ruling::Allow`] may go on; a call whose decision cannot be recorded has become an answer.
    pub(in crate::gateway) fn record<'r>(&self, rulings: impl Iterator<Item = &'r mut Ruling>) {
        let mut rulings: Vec<&mut Ruling> = rulings.collect();
        // One write for all that came together; where that fails, each for itself.
        let together = {
            let mut records: Vec<&mut Record> =
                rulings.iter_mut().filter_map(|ruling| ruling.record()).collect();
            records.is_empty() || self.desk.recorder.record_decisions(&mut records).is_ok()
        };
        for ruling in &mut rulings {
            if !together {
                self.record_alone(ruling);
            }
            if let Ruling::Answer(answer) = ruling {
                answer.recorded = true;
                self.desk.recorder.traced(answer.span.take(), &answer.record);
            }
            if matches!(ruling, Ruling::Hold(_))
                && let Ruling::Hold(held) = std::mem::replace(*ruling, Ruling::Held)
            {
                self.keep(*held);
            }
        }
    }

    fn record_alone(&self, ruling: &mut Ruling) {
        let Some(record) = ruling.record() else { return };
        let Err(error) = self.desk.recorder.record_decisions(&mut [record]) else { return };
        let why = format!("the call cannot be recorded, so it is not allowed: {error}");
        if let Ruling::Hold(held) = ruling {
            // Nobody is asked about what leaves no trace, whatever may fail open.
            self.unask(&held.hold.question, true);
            let _ = self.session().drop_held(&held.id);
            let (reply, record) = held.refused(&Denial::unavailable(why));
            let span = held.span.take();
            *ruling = Ruling::Answer(Box::new(Answer { reply, refused: None, record, recorded: true, span }));
            return;
        }
        // A denial stands, recorded or not.
        let Ruling::Allow(allowed) = ruling else { return };
        if self.desk.fail_open {
            allowed.record.set_seq(0);
            self.desk.recorder.record_later(allowed.record.clone());
            return;
        }
        let denial = Denial::unavailable(why);
        let mut record = allowed.record.clone();
        let mut reply = Vec::new();
        if let Record::Decision(decision) = &mut record {
            decision.decision = Verdict::Deny;
            decision.rule = denial.rule;
            decision.pointer = None;
            decision.message = denial.message;
            decision.retry_after_ms = None;
            reply = answer_denied(&allowed.raw_id, decision, allowed.visible, allowed.modern);
        }
        let withdrawn = self.session().withdraw(&allowed.id, 0);
        let span = withdrawn.and_then(|(_, ended)| ended?.span);
        self.desk.release(&allowed.taken);
        *ruling = Ruling::Answer(Box::new(Answer { reply, refused: None, record, recorded: true, span }));
    }

    /// What goes on is marked as sent, which it must be before it can be answered; what it cancels
    /// ends. The ended calls are to be given to [`Desk::end_call`] once the message has gone on.
    /// `false`: the server is gone, and nothing can go on.
    pub(in crate::gateway) fn sending<'r>(
        &self,
        rulings: impl Iterator<Item = &'r Ruling>,
        ended: &mut Vec<Ended>,
    ) -> bool {
        let mut session = self.session();
        let now = clock::tick() / 1000;
        for ruling in rulings {
            match ruling {
                Ruling::Forward { request, cancels } => {
                    if let Some(id) = request {
                        session.sending(id, 0, now);
                    }
                    if let Some(id) = cancels {
                        ended.extend(session.cancel(id, now));
                    }
                }
                Ruling::Allow(allowed) => session.sending(&allowed.id, allowed.record.seq(), now),
                Ruling::Answer(_) | Ruling::Hold(_) | Ruling::Held => {}
            }
        }
        !session.is_gone()
    }

    /// A request that did not reach the server as a whole: it did not run. Gives its id as spelt,
    /// unless whoever ended it has answered it already.
    pub(in crate::gateway) fn never_sent(&self, id: &IdKey) -> Option<String> {
        let withdrawn = self.session().withdraw(id, clock::tick() / 1000);
        let (raw_id, ended) = withdrawn?;
        if let Some(ended) = ended {
            self.desk.end_call(&ended);
        }
        Some(raw_id)
    }

    /// The server is gone: ends what is in flight, and gives the ids, as spelt, of the requests that
    /// are still to be answered.
    pub(in crate::gateway) fn server_gone(&self) -> Vec<String> {
        let left = self.session().server_gone(clock::tick() / 1000);
        for lost in &left.lost {
            self.desk.end_call(lost);
        }
        left.unanswered
    }
}

impl Desk {
    /// As [`Desk::end_call`], for each.
    pub(in crate::gateway) fn end_calls(&self, ended: &[Ended]) {
        for ended in ended {
            self.end_call(ended);
        }
    }
}

/// What a further round of a call would be known by; only servers of the 2026-07-28 era want any.
/// One of a call that was `free` saves nothing, unless that was a round itself.
pub(in crate::gateway) fn operation(
    call: &ToolCall<'_, '_>,
    modern: bool,
    free: bool,
) -> Option<Box<Operation>> {
    let round = call.input_responses || call.request_state.is_some();
    if !modern || (free && !round) {
        return None;
    }
    let args_sha256 = arguments_sha256(call.arguments)?;
    Some(Box::new(Operation { tool: call.name.to_owned(), args_sha256 }))
}

/// Whole seconds until an instant.
pub(in crate::gateway) fn rest(now: Timestamp, until: Timestamp) -> u64 {
    now.millis_until(until) / 1000
}

fn asked<'m, 'a>(message: &'m Message<'a>, name: &str) -> Option<&'m Node<'a>> {
    message.params.as_ref()?.get(name)
}

fn raw(text: &str) -> Option<Box<serde_json::value::RawValue>> {
    serde_json::value::RawValue::from_string(text.to_owned()).ok()
}

pub(in crate::gateway) fn answer_denied(
    id: &str,
    decision: &Decision,
    visible: bool,
    modern: bool,
) -> Vec<u8> {
    if !visible {
        return reply::unknown_tool(id, decision.tool.as_deref().unwrap_or_default());
    }
    let denial = Denial {
        rule: decision.rule.clone(),
        pointer: decision.pointer.clone(),
        message: decision.message.clone(),
        visible,
    };
    reply::denied(id, &denial, decision.policy.as_deref(), decision.retry_after_ms, modern)
}
