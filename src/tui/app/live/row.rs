//! One row of the Live screen, small enough for a million of them.

use super::names::{Name, Names};
use crate::filter;
use crate::policy::counter::Amount;
use crate::record::{EventKind, Status, Verdict};
use crate::time::Timestamp;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call, and how it was decided.
    Call(Verdict),
    /// Something that happened to the gateway.
    Event(EventKind),
}

/// A decision or an event; strings are numbers in [`Names`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The gateway run it came from.
    pub source: u32,
    /// Its number within that run.
    pub seq: u64,
    /// When.
    pub ts: Timestamp,
    /// What it is about.
    pub kind: Kind,
    /// `false` when the call passed although it could not be recorded in time.
    pub enforced: bool,
    /// The gateway run's id.
    pub gateway: Name,
    /// The server.
    pub server: Name,
    /// The grant; of an event who did it.
    pub grant: Name,
    /// The session.
    pub session: Name,
    /// The client.
    pub client: Name,
    /// The method; of an event its kind.
    pub method: Name,
    /// The tool.
    pub tool: Name,
    /// The rule that decided.
    pub rule: Name,
    /// Its pointer.
    pub pointer: Name,
    /// The message; of an event the reason.
    pub message: Name,
    /// The policy's revision.
    pub policy: Name,
    /// The approval that the call was held for.
    pub approval: Name,
    /// It is the second decision of a call that was held: the same call.
    pub again: bool,
    /// The recorded arguments, or an event's data, as JSON.
    pub args: Box<str>,
    /// The call's limits after the decision.
    pub gauges: Box<[Gauge]>,
    /// How long deciding took, in nanoseconds.
    pub decide_ns: u32,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
    /// What the shadow policy would have decided.
    pub shadow: Option<Shadow>,
    /// How the call ended.
    pub ended: Option<Ended>,
}

/// What the shadow policy would have decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow {
    /// Its decision.
    pub decision: Verdict,
    /// Its rule.
    pub rule: Name,
    /// Its pointer.
    pub pointer: Name,
}

/// A limit's counter after the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// The counter.
    pub counter: Name,
    /// The scope.
    pub scope: Name,
    /// The scope's value.
    pub key: Name,
    /// The window in seconds.
    pub window: u32,
    /// What it held.
    pub used: Amount,
    /// The limit.
    pub max: Amount,
    /// When it is empty again.
    pub resets_at: Timestamp,
}

/// How a call ended upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// The JSON-RPC error code.
    pub code: Option<i64>,
    /// From forwarding to the answer, in microseconds.
    pub upstream_us: u64,
    /// The answer's size.
    pub bytes: u64,
    /// Whether the reservation was given back.
    pub released: bool,
}

impl Row {
    /// About how much memory the row takes, without its shared strings.
    pub fn bytes(&self) -> usize {
        // Two allocations cost about 16 bytes of bookkeeping each, and the row's place in its
        // gateway run's list 8.
        std::mem::size_of::<Self>() + self.args.len() + std::mem::size_of_val(&*self.gauges) + 40
    }

    /// The decision, when this is a call.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.kind {
            Kind::Call(verdict) => Some(verdict),
            Kind::Event(_) => None,
        }
    }

    /// Gives every string a new number.
    pub(super) fn rename(&mut self, to: &mut dyn FnMut(Name) -> Name) {
        for name in [
            &mut self.gateway,
            &mut self.server,
            &mut self.grant,
            &mut self.session,
            &mut self.client,
            &mut self.method,
            &mut self.tool,
            &mut self.rule,
            &mut self.pointer,
            &mut self.message,
            &mut self.policy,
            &mut self.approval,
        ] {
            *name = to(*name);
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.rule = to(shadow.rule);
            shadow.pointer = to(shadow.pointer);
        }
        for gauge in &mut self.gauges {
            gauge.counter = to(gauge.counter);
            gauge.scope = to(gauge.scope);
            gauge.key = to(gauge.key);
        }
    }

    /// The row as the filter sees it.
    pub fn view<'a>(&'a self, names: &'a Names) -> filter::View<'a> {
        filter::View {
            kind: match self.kind {
                Kind::Call(verdict) => filter::Kind::Call(verdict),
                Kind::Event(kind) => filter::Kind::Event(kind),
            },
            ts: self.ts,
            tool: names.text(self.tool),
            rule: names.text(self.rule),
            grant: names.text(self.grant),
            server: names.text(self.server),
            gateway: names.text(self.gateway),
            session: names.text(self.session),
            client: names.text(self.client),
            method: names.text(self.method),
            message: names.text(self.message),
            args: &self.args,
            status: self.ended.map(|ended| ended.status),
            shadow: self.shadow.map(|shadow| shadow.decision),
        }
    }

    /// The word of the first column: `ALLOW`, `DENY`, `ASK`, or an event's kind.
    pub fn word<'n>(&self, names: &'n Names) -> &'n str {
        match self.kind {
            Kind::Call(Verdict::Allow) => "ALLOW",
            Kind::Call(Verdict::Deny) => "DENY",
            Kind::Call(Verdict::Approve) => "ASK",
            Kind::Event(_) => names.text(self.method),
        }
    }
}
