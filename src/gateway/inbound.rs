//! From the client to the server: each line is looked at, decided, recorded, and only then
//! forwarded as the very bytes that it is, or answered here.
//!
//! Lines that arrived together are decided one by one, and forwarded by one write. A line that
//! arrived alone waits for nothing.

use std::ops::Range;

use super::decider::Decided;
use super::frames::{Frame, Frames};
use super::link::{Link, Read};
use super::session::{Asks, Call, Ended};
use crate::clock;
use crate::json::Node;
use crate::mcp::envelope::{self, Kind, Limits, Line, Message, Refusal, ToolCall};
use crate::mcp::id::IdKey;
use crate::mcp::reply;
use crate::policy::counter::Taken;
use crate::policy::decide::Denial;
use crate::record::{Decision, Record, Verdict};

/// How many lines are decided before the first of them is forwarded.
const TOGETHER: usize = 32;

/// What is to be done with one line.
enum Step {
    /// The bytes go on.
    Forward {
        range: Range<usize>,
        /// The request that they open, when they are one.
        request: Option<IdKey>,
        /// The request that they cancel.
        cancels: Option<IdKey>,
    },
    /// A call goes on once its decision is recorded.
    Allow(Box<Allowed>),
    /// The client is answered here once the decision is recorded.
    Answer { reply: Vec<u8>, record: Record },
}

impl Step {
    /// What is to be recorded about it.
    fn record(&mut self) -> Option<&mut Record> {
        match self {
            Self::Forward { .. } => None,
            Self::Allow(allowed) => Some(&mut allowed.record),
            Self::Answer { record, .. } => Some(record),
        }
    }
}

struct Allowed {
    range: Range<usize>,
    id: IdKey,
    raw_id: String,
    modern: bool,
    visible: bool,
    taken: Vec<Taken>,
    record: Record,
}

/// Relays what the client says until it stops, and gives why it stopped.
pub(super) fn run(link: &Link, input: impl Read) -> std::io::Result<()> {
    let mut inbound = Inbound {
        link,
        limits: Limits { max_message: link.max_message },
        // A carriage return before the line feed is no part of the message.
        frames: Frames::new(link.max_message.saturating_add(1)),
        steps: Vec::with_capacity(TOGETHER),
        replies: Vec::new(),
    };
    let mut input = input;
    loop {
        let count = input.read_some(inbound.frames.space())?;
        let _busy = link.busy();
        inbound.frames.filled(count);
        let ended = count == 0;
        while let Some(frame) = inbound.frames.next_frame() {
            inbound.plan(frame);
        }
        if ended && let Some(frame) = inbound.frames.last_frame() {
            inbound.plan(frame);
        }
        inbound.carry_out();
        if ended {
            return Ok(());
        }
    }
}

struct Inbound<'l> {
    link: &'l Link,
    limits: Limits,
    frames: Frames,
    steps: Vec<Step>,
    replies: Vec<u8>,
}

impl Inbound<'_> {
    fn plan(&mut self, frame: Frame) {
        let step = match frame {
            Frame::Line(range) => {
                let line = self.frames.bytes(range.clone());
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                self.plan_line(line, range)
            }
            Frame::TooLong(range) => {
                let head = self.frames.bytes(range);
                Some(self.refuse(Refusal::too_large(head, &self.limits), clock::tick()))
            }
        };
        self.steps.extend(step);
        if self.steps.len() >= TOGETHER {
            self.carry_out();
        }
    }

    fn plan_line(&self, line: &[u8], range: Range<usize>) -> Option<Step> {
        let began = clock::tick();
        let message = match envelope::peek(line, &self.limits) {
            Ok(Line::Message(message)) => message,
            Ok(Line::Blank) => return None,
            Err(refusal) => return Some(self.refuse(refusal, began)),
        };
        let forward = |request, cancels| Some(Step::Forward { range: range.clone(), request, cancels });
        let (id, method) = match &message.kind {
            Kind::Response { .. } => return forward(None, None),
            Kind::Notification { .. } => return forward(None, message.cancels().map(|id| id.key)),
            Kind::Request { id, method } => (id, method),
        };
        self.link.tally.count(method);
        let mut session = self.link.session();
        if session.client().is_none() || matches!(method.as_ref(), "initialize" | "server/discover") {
            session.introduce(message.client().map(|info| match info.version {
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
                tool: message.call().map(|call| call.name.to_owned()),
                method: Some(method.clone().into_owned()),
            };
            return Some(self.refuse(refusal, began));
        }
        if let Some(call) = message.call() {
            let listed = session.listed(call.name);
            let client = session.client().map(str::to_owned);
            drop(session);
            let now = clock::now();
            let decided = self.link.decider.decide(&call, listed, now);
            return Some(self.decided(line, &message, &call, range, client, decided, now, began));
        }
        let first = asked(&message, "cursor").is_none_or(Node::is_null);
        let tools = asked(&message, "notifications")
            .and_then(|wanted| wanted.get("toolsListChanged"))
            .is_some_and(|wanted| matches!(wanted.value, crate::json::Value::Bool(true)));
        let key = id.key.clone();
        if !session.open(id.clone(), Asks::of(method, first, tools)) {
            return None;
        }
        drop(session);
        forward(Some(key), None)
    }

    #[expect(clippy::too_many_arguments, reason = "one call's facts, gathered in one place")]
    fn decided(
        &self,
        line: &[u8],
        message: &Message<'_>,
        call: &ToolCall<'_, '_>,
        range: Range<usize>,
        client: Option<String>,
        decided: Decided,
        now: crate::time::Timestamp,
        began: u64,
    ) -> Step {
        let raw_id = message.id().map(|id| id.raw.clone()).unwrap_or_default();
        let modern = message.is_modern();
        let args = self.link.decider.recorded_arguments(line, call);
        let mut decision = self.link.recorder.decision(now);
        decision.client = client;
        decision.request_id = raw(&raw_id);
        envelope::TOOLS_CALL.clone_into(&mut decision.method);
        decision.tool = Some(call.name.to_owned());
        decision.decision = decided.decision;
        decision.enforced = decided.enforced;
        decision.args = args;
        decision.counters = decided.counters;
        decision.counted = decided.counted;
        decision.policy = decided.policy;
        decision.retry_after_ms = decided.retry_after_ms;
        decision.rule = decided.rule;
        decision.pointer = decided.pointer;
        decision.message = decided.message;
        decision.decide_us = clock::micros_since(began);
        if decided.decision == Verdict::Allow
            && let Some(id) = message.id().cloned()
        {
            let key = id.key.clone();
            let asks = Asks::Call(Call { taken: decided.taken.clone(), ..Call::default() });
            let _ = self.link.session().open(id, asks);
            return Step::Allow(Box::new(Allowed {
                range,
                id: key,
                raw_id,
                modern,
                visible: decided.visible,
                taken: decided.taken,
                record: Record::Decision(decision),
            }));
        }
        let reply = answer_denied(&raw_id, &decision, decided.visible, modern);
        Step::Answer { reply, record: Record::Decision(decision) }
    }

    fn refuse(&self, refusal: Refusal, began: u64) -> Step {
        let denial = Denial::malformed(refusal.message);
        let mut decision = self.link.recorder.decision(clock::now());
        decision.client = self.link.session().client().map(str::to_owned);
        decision.request_id = refusal.id.as_deref().and_then(raw);
        decision.method = refusal.method.unwrap_or_default();
        decision.tool = refusal.tool;
        decision.decision = Verdict::Deny;
        decision.policy = Some(self.link.decider.revision());
        decision.rule = denial.rule;
        decision.message = denial.message;
        decision.decide_us = clock::micros_since(began);
        let reply = reply::malformed(refusal.id.as_deref(), refusal.code, &decision.message);
        Step::Answer { reply, record: Record::Decision(decision) }
    }

    /// Records, forwards and answers what was planned.
    fn carry_out(&mut self) {
        let mut steps = std::mem::take(&mut self.steps);
        // One write for all that came together; where that fails, each for itself.
        let recorded = {
            let mut records: Vec<&mut Record> = steps.iter_mut().filter_map(Step::record).collect();
            records.is_empty() || self.link.recorder.record_decisions(&mut records).is_ok()
        };
        for step in &mut steps {
            self.settle(step, recorded);
        }
        self.forward(&steps);
        if !self.replies.is_empty() {
            self.link.to_client(&self.replies);
            self.replies.clear();
        }
        steps.clear();
        self.steps = steps;
    }

    /// Journal first. A call whose decision cannot be recorded is denied.
    fn settle(&mut self, step: &mut Step, recorded: bool) {
        match step {
            Step::Forward { .. } => {}
            Step::Answer { reply, record } => {
                // A denial stands, recorded or not.
                if !recorded {
                    let _ = self.link.recorder.record_decisions(&mut [record]);
                }
                self.replies.append(reply);
                self.replies.push(b'\n');
            }
            Step::Allow(allowed) => {
                if recorded {
                    return;
                }
                let Err(error) = self.link.recorder.record_decisions(&mut [&mut allowed.record]) else {
                    return;
                };
                if self.link.decider.fail_open() {
                    allowed.record.set_seq(0);
                    self.link.recorder.record_later(allowed.record.clone());
                    return;
                }
                let denial = Denial::unavailable(format!(
                    "the call cannot be recorded, so it is not allowed: {error}"
                ));
                if let Record::Decision(decision) = &mut allowed.record {
                    decision.decision = Verdict::Deny;
                    decision.rule = denial.rule;
                    decision.pointer = None;
                    decision.message = denial.message;
                    decision.retry_after_ms = None;
                    let reply = answer_denied(&allowed.raw_id, decision, allowed.visible, allowed.modern);
                    self.replies.extend_from_slice(&reply);
                    self.replies.push(b'\n');
                }
                let _ = self.link.session().withdraw(&allowed.id, 0);
                self.link.decider.release(&allowed.taken);
                *step = Step::Forward { range: 0..0, request: None, cancels: None };
            }
        }
    }

    /// Writes what goes on, contiguous lines by one write.
    fn forward(&mut self, steps: &[Step]) {
        let mut lines: Vec<(Range<usize>, Option<&IdKey>)> = Vec::with_capacity(steps.len());
        let mut ended: Vec<Ended> = Vec::new();
        let gone;
        {
            let mut session = self.link.session();
            // What is marked as sent before that is answered where the server's end is noticed.
            gone = session.is_gone();
            let now = clock::tick() / 1000;
            for step in steps {
                match step {
                    Step::Forward { range, request, cancels } => {
                        if let Some(id) = request {
                            session.sending(id, 0, now);
                        }
                        if let Some(id) = cancels {
                            ended.extend(session.cancel(id, now));
                        }
                        if !range.is_empty() {
                            lines.push((range.clone(), request.as_ref()));
                        }
                    }
                    Step::Allow(allowed) => {
                        session.sending(&allowed.id, allowed.record.seq(), now);
                        lines.push((allowed.range.clone(), Some(&allowed.id)));
                    }
                    Step::Answer { .. } => {}
                }
            }
        }
        let mut rest = lines.as_slice();
        while let Some((first, _)) = rest.first() {
            let mut end = first.end;
            let mut together = 1;
            while let Some((next, _)) = rest.get(together)
                && next.start == end
            {
                end = next.end;
                together += 1;
            }
            let (block, later) = rest.split_at(together);
            rest = later;
            let written =
                if gone { Some(0) } else { self.link.to_server(self.frames.bytes(first.start..end)) };
            if let Some(failed_at) = written {
                let whole = first.start + failed_at;
                for (_, id) in block.iter().filter(|(range, _)| range.end > whole) {
                    if let Some(id) = id {
                        self.never_written(id);
                    }
                }
            }
        }
        for ended in ended {
            self.link.end_call(&ended);
        }
    }

    /// A request that did not reach the server as a whole: it did not run.
    fn never_written(&mut self, id: &IdKey) {
        let withdrawn = self.link.session().withdraw(id, clock::tick() / 1000);
        let Some((raw_id, ended)) = withdrawn else { return };
        if let Some(ended) = ended {
            self.link.end_call(&ended);
        }
        let reply = reply::error(Some(&raw_id), reply::INTERNAL_ERROR, super::GONE);
        self.replies.extend_from_slice(&reply);
        self.replies.push(b'\n');
    }
}

fn asked<'m, 'a>(message: &'m Message<'a>, name: &str) -> Option<&'m Node<'a>> {
    message.params.as_ref()?.get(name)
}

fn raw(text: &str) -> Option<Box<serde_json::value::RawValue>> {
    serde_json::value::RawValue::from_string(text.to_owned()).ok()
}

fn answer_denied(id: &str, decision: &Decision, visible: bool, modern: bool) -> Vec<u8> {
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
