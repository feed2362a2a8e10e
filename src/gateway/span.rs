//! One call as a span of a trace, as OpenTelemetry has them: which trace it belongs to, and what
//! is told of it. Pure.
//!
//! A span names the tool, the decision and who decided it. Nothing of the arguments, no message and
//! no session's id is in it: whoever reads traces need not be one who may read the journal.

use crate::record::{Decision, Status, Verdict};
use crate::time::Timestamp;

/// The longest `tracestate` that is passed on, in bytes.
const STATE: usize = 512;
/// A tool's name is the agent's to choose: so much of it is told, in characters.
const NAME: usize = 128;

/// The span that a call says it is part of (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The trace's id.
    pub trace: u128,
    /// The span's id.
    pub span: u64,
    /// Whether whoever began the trace records it.
    pub sampled: bool,
    /// `tracestate`, as it came.
    pub state: Option<String>,
}

impl Parent {
    /// Reads `traceparent` and `tracestate`. `None` for what is no such header, which is as if none
    /// had come.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = hex(parts.next()?, 2)?;
        // Later versions may add parts; the first has none, and 255 is none.
        if version == 255 || trace == 0 || span == 0 || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let plain = |state: &&str| state.len() <= STATE && state.bytes().all(|byte| matches!(byte, 32..=126));
        let state = tracestate.map(str::trim).filter(|state| !state.is_empty()).filter(plain);
        Some(Self { trace, span, sampled: flags & 1 == 1, state: state.map(str::to_owned) })
    }
}

/// A number of exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    (text.len() == digits && text.bytes().all(lower)).then(|| u128::from_str_radix(text, 16).ok())?
}

/// A fact about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace that it is part of.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// What it is part of, where its client said so.
    pub parent: Option<Parent>,
    /// What it is called.
    pub name: String,
    /// When the call came.
    pub start: Timestamp,
    /// When it was answered.
    pub end: Timestamp,
    /// When it came, in microseconds of a clock that never steps back.
    began_us: u64,
    /// What is told of it.
    pub facts: Vec<(&'static str, Fact)>,
    /// Why it failed, in one word; `None`: it did not.
    pub error: Option<String>,
}

impl Span {
    /// A call that came at `start`, when the clock that never steps back stood at `began_us`. `ids`
    /// are random: of a trace that begins here, and of this span.
    pub fn begin(
        parent: Option<Parent>,
        ids: (u128, u64),
        tool: &str,
        start: Timestamp,
        began_us: u64,
    ) -> Self {
        let tool: String = tool.chars().take(NAME).collect();
        let trace = parent.as_ref().map_or(ids.0, |parent| parent.trace);
        Self {
            trace: trace.max(1),
            id: ids.1.max(1),
            parent,
            name: format!("tools/call {tool}"),
            start,
            end: start,
            began_us,
            facts: vec![
                ("mcp.method.name", Fact::Text("tools/call".to_owned())),
                ("gen_ai.operation.name", Fact::Text("execute_tool".to_owned())),
                ("gen_ai.tool.name", Fact::Text(tool)),
            ],
            error: None,
        }
    }

    /// What was decided. The last decision counts: a call that was held has two.
    pub fn decided(&mut self, decision: &Decision) {
        let word = match decision.decision {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Approve => "approve",
        };
        self.text("callgate.server", &decision.server);
        self.text("callgate.grant", &decision.grant);
        self.text("callgate.decision", word);
        self.text("callgate.rule", &decision.rule);
        if let Some(policy) = &decision.policy {
            self.text("callgate.policy", policy);
        }
        self.fact("callgate.enforced", Fact::Flag(decision.enforced));
        self.text("callgate.gateway", &decision.gateway);
        self.seq(decision.seq);
        #[expect(clippy::cast_possible_truncation, reason = "nanoseconds of one decision")]
        self.fact("callgate.decide_ns", Fact::Number((decision.decide_us * 1000.0) as i64));
        self.error = (decision.decision == Verdict::Deny).then(|| "denied".to_owned());
    }

    /// The number of its decision's record; 0 where that was not recorded, so that nothing was
    /// enforced.
    pub fn seq(&mut self, seq: u64) {
        if seq > 0 {
            self.number("callgate.seq", seq);
        }
    }

    /// How an allowed call ended upstream.
    pub fn ended(&mut self, status: Status, code: Option<i64>, upstream_us: u64) {
        let word = match status {
            Status::Ok => "ok",
            Status::ToolError => "tool_error",
            Status::RpcError => "rpc_error",
            Status::Cancelled => "cancelled",
            Status::Lost => "lost",
        };
        self.text("callgate.status", word);
        self.number("callgate.upstream_us", upstream_us);
        if let Some(code) = code {
            self.text("rpc.response.status_code", &code.to_string());
        }
        self.error = match (status, code) {
            (Status::Ok, _) => None,
            (Status::RpcError, Some(code)) => Some(code.to_string()),
            _ => Some(word.to_owned()),
        };
    }

    /// Nothing more is to be told of it.
    pub fn close(&mut self, now_us: u64) {
        let took = i64::try_from(now_us.saturating_sub(self.began_us)).unwrap_or(i64::MAX);
        self.end = Timestamp(self.start.0.saturating_add(took));
        if let Some(error) = self.error.clone() {
            self.fact("error.type", Fact::Text(error));
        }
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.fact(name, Fact::Text(value.to_owned()));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.fact(name, Fact::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn fact(&mut self, name: &'static str, fact: Fact) {
        match self.facts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = fact,
            None => self.facts.push((name, fact)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_what_the_standard_allows() {
        let parent = Parent::parse(GOOD, Some("a=1,b=2")).unwrap();
        assert_eq!(format!("{:032x}", parent.trace), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(format!("{:016x}", parent.span), "b7ad6b7169203331");
        assert!(parent.sampled);
        assert_eq!(parent.state.as_deref(), Some("a=1,b=2"));
        let later = GOOD.replacen("00-", "cc-", 1) + "-what-the-future-will-be-like";
        for (text, sampled) in [(later.as_str(), true), (&GOOD.replace("-01", "-00"), false)] {
            assert_eq!(Parent::parse(text, None).unwrap().sampled, sampled, "{text}");
        }
        for state in ["", " ", "é", "a=\u{1b}[2J", &"x".repeat(513)] {
            assert_eq!(Parent::parse(GOOD, Some(state)).unwrap().state, None, "{state:?}");
        }
    }

    #[test]
    fn what_is_no_trace_begins_one() {
        for text in [
            "",
            "00",
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-+7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(text, None), None, "{text}");
        }
        let span = Span::begin(None, (7, 9), "echo", Timestamp(5), 0);
        assert_eq!((span.trace, span.id, span.parent), (7, 9, None));
    }

    #[test]
    fn a_span_ends_when_its_call_is_answered_whatever_the_clock_does() {
        let mut span = Span::begin(None, (7, 9), &"x".repeat(500), Timestamp(1_000), 100);
        span.ended(Status::RpcError, Some(-32603), 40);
        span.close(350);
        assert_eq!((span.start, span.end), (Timestamp(1_000), Timestamp(1_250)));
        assert_eq!(span.name.len(), "tools/call ".len() + NAME);
        assert_eq!(span.error.as_deref(), Some("-32603"));
        span.ended(Status::Ok, None, 41);
        assert_eq!(span.error, None);
        let of = |name| span.facts.iter().filter(move |(known, _)| *known == name).count();
        assert_eq!(of("callgate.status"), 1, "told once");
    }

    proptest! {
        #[test]
        fn never_panics(parent in any::<String>(), near in "[0-9a-f]{2}-[0-9a-f]{30,34}-[0-9a-f]{15,17}-[0-9a-f]{2}.?", state in any::<String>()) {
            let _ = Parent::parse(&parent, Some(&state));
            let _ = Parent::parse(&near, None);
        }
    }
}
