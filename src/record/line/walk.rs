//! The quick way through a line: one pass over the members of a decision or outcome that is spelt
//! as the gateway prints it. Anything else is left to serde.

use std::borrow::Cow;

use super::{Line, Text};
use crate::json::special;
use crate::record::{Status, Verdict};
use crate::time::Timestamp;

/// A member of a record, as far as one is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Type,
    Seq,
    Ts,
    Gateway,
    Server,
    Grant,
    Session,
    Client,
    RequestId,
    Method,
    Tool,
    Decision,
    Enforced,
    Rule,
    Pointer,
    Message,
    Policy,
    Args,
    Counters,
    Counted,
    DecideUs,
    Shadow,
    Approval,
    Call,
    Status,
    Code,
    UpstreamUs,
    Bytes,
    Released,
    /// One that only events have.
    OfEvents,
    /// One that nobody asks for.
    Other,
}

/// A member's name as a line spells it, with its quotes and its colon: up to sixteen bytes, which are
/// compared at once.
struct Spelt {
    member: Member,
    name: &'static str,
    word: u128,
    mask: u128,
    len: usize,
}

const fn spelt(name: &'static str, member: Member) -> Spelt {
    let bytes = name.as_bytes();
    let len = bytes.len() + 3;
    assert!(len <= 16, "a name that fits");
    let mut word = b'"' as u128;
    let mut at = 0;
    while at < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "while compiling")]
        let byte = bytes[at];
        at += 1;
        word |= (byte as u128) << (8 * at);
    }
    word |= (b'"' as u128) << (8 * (at + 1)) | (b':' as u128) << (8 * (at + 2));
    let mask = u128::MAX >> (128 - 8 * len);
    Spelt { member, name, word, mask, len }
}

/// The members of a decision, in the order in which gateways print them.
static DECISION: [Spelt; 24] = [
    spelt("type", Member::Type),
    spelt("seq", Member::Seq),
    spelt("ts", Member::Ts),
    spelt("gateway", Member::Gateway),
    spelt("server", Member::Server),
    spelt("grant", Member::Grant),
    spelt("session", Member::Session),
    spelt("client", Member::Client),
    spelt("request_id", Member::RequestId),
    spelt("method", Member::Method),
    spelt("tool", Member::Tool),
    spelt("decision", Member::Decision),
    spelt("enforced", Member::Enforced),
    spelt("rule", Member::Rule),
    spelt("pointer", Member::Pointer),
    spelt("message", Member::Message),
    spelt("policy", Member::Policy),
    spelt("args", Member::Args),
    spelt("counters", Member::Counters),
    spelt("counted", Member::Counted),
    spelt("decide_us", Member::DecideUs),
    spelt("shadow", Member::Shadow),
    spelt("approval", Member::Approval),
    spelt("call", Member::Call),
];

/// Those of an outcome.
static OUTCOME: [Spelt; 10] = [
    spelt("type", Member::Type),
    spelt("seq", Member::Seq),
    spelt("ts", Member::Ts),
    spelt("gateway", Member::Gateway),
    spelt("call", Member::Call),
    spelt("status", Member::Status),
    spelt("code", Member::Code),
    spelt("upstream_us", Member::UpstreamUs),
    spelt("bytes", Member::Bytes),
    spelt("released", Member::Released),
];

/// The bytes that end a number or a word.
static ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "while compiling")]
        {
            ends[byte as usize] = byte <= b' ' || matches!(byte, b',' | b'}' | b']' | b':' | b'"');
        }
        if byte == u8::MAX {
            break ends;
        }
        byte += 1;
    }
};

/// How far ahead a member is looked for: `session`, `client` and `code` may be left out.
const AHEAD: usize = 3;

impl Member {
    /// Whether it says nothing about who called what.
    fn is_aside(self) -> bool {
        !matches!(
            self,
            Self::Type
                | Self::Ts
                | Self::Server
                | Self::Grant
                | Self::Session
                | Self::Tool
                | Self::Decision
                | Self::Args
                | Self::OfEvents
        )
    }

    fn named(name: &str) -> Self {
        if matches!(name, "kind" | "by" | "reason" | "data") {
            return Self::OfEvents;
        }
        let known = DECISION.iter().chain(&OUTCOME).find(|spelt| spelt.name == name);
        known.map_or(Self::Other, |spelt| spelt.member)
    }
}

/// What a line holds, as it is spelt.
#[derive(Default)]
pub(super) struct Found<'a> {
    kind: Option<&'a str>,
    seq: Option<u64>,
    pub(super) ts: Option<Timestamp>,
    gateway: Option<&'a str>,
    pub(super) server: Option<&'a str>,
    pub(super) grant: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    client: Option<&'a str>,
    request_id: Option<&'a str>,
    method: Option<&'a str>,
    pub(super) tool: Option<&'a str>,
    pub(super) decision: Option<Verdict>,
    enforced: Option<bool>,
    rule: Option<&'a str>,
    pointer: Option<&'a str>,
    message: Option<&'a str>,
    policy: Option<&'a str>,
    pub(super) args: Option<&'a str>,
    counters: Option<&'a str>,
    counted: Option<bool>,
    decide_us: Option<&'a str>,
    shadow: Option<&'a str>,
    approval: Option<&'a str>,
    call: Option<u64>,
    status: Option<Status>,
    code: Option<i64>,
    upstream_us: Option<u64>,
    bytes: Option<u64>,
    released: Option<bool>,
}

/// Reads a line; `None` for what is not spelt as expected.
pub(super) fn walk(line: &[u8]) -> Option<Line<'_>> {
    let found = members::<false>(std::str::from_utf8(line).ok()?)?;
    Some(Line {
        kind: text(found.kind?),
        seq: found.seq?,
        ts: found.ts?,
        gateway: text(found.gateway?),
        server: found.server.map(text),
        grant: found.grant.map(text),
        session: found.session.map(text),
        client: found.client.map(text),
        method: found.method.map(text),
        tool: found.tool.map(text),
        decision: found.decision,
        request_id: found.request_id,
        enforced: found.enforced,
        rule: found.rule.map(text),
        pointer: found.pointer.map(text),
        message: found.message.map(text),
        policy: found.policy.map(text),
        counters: found.counters,
        counted: found.counted,
        decide_us: found.decide_us,
        // Few calls have one that differs, but then it is asked for.
        shadow: match found.shadow {
            None => None,
            Some(shadow) => serde_json::from_str(shadow).ok()?,
        },
        approval: found.approval.map(text),
        args: found.args,
        call: found.call,
        status: found.status,
        code: found.code,
        upstream_us: found.upstream_us,
        released: found.released,
        bytes: found.bytes,
        event: None,
        by: None,
        reason: None,
        data: None,
    })
}

/// Reads of a decision who called what; `None` for what is not spelt as expected.
pub(super) fn call(line: &[u8]) -> Option<Found<'_>> {
    let found = members::<true>(std::str::from_utf8(line).ok()?)?;
    (found.kind == Some("decision")).then_some(found)
}

/// Reads the members of a line. For a `CALL` those are passed over that do not say who called what.
#[inline]
fn members<const CALL: bool>(line: &str) -> Option<Found<'_>> {
    let mut at = Walk::new(line);
    let mut found = Found::default();
    let (mut order, mut next) = (DECISION.as_slice(), 0);
    at.expect(b'{')?;
    loop {
        let member = at.member(order, &mut next)?;
        match member {
            _ if CALL && member.is_aside() => at.skip()?,
            Member::Type => {
                let kind = at.string()?;
                // Events are few, and hold more.
                order = match kind {
                    "decision" => &DECISION,
                    "outcome" => &OUTCOME,
                    _ => return None,
                };
                found.kind = Some(kind);
            }
            Member::Seq => found.seq = Some(at.number()?),
            Member::Ts => found.ts = Some(Timestamp::parse_utc(at.string()?.as_bytes())?),
            Member::Gateway => found.gateway = Some(at.string()?),
            Member::Server => at.optional(&mut found.server)?,
            Member::Grant => at.optional(&mut found.grant)?,
            Member::Session => at.optional(&mut found.session)?,
            Member::Client => at.optional(&mut found.client)?,
            Member::Method => at.optional(&mut found.method)?,
            Member::Tool => at.optional(&mut found.tool)?,
            Member::Rule => at.optional(&mut found.rule)?,
            Member::Pointer => at.optional(&mut found.pointer)?,
            Member::Policy => at.optional(&mut found.policy)?,
            Member::Approval => at.optional(&mut found.approval)?,
            Member::Message => at.optional(&mut found.message)?,
            Member::Decision => {
                found.decision = Some(match at.string()? {
                    "allow" => Verdict::Allow,
                    "deny" => Verdict::Deny,
                    "approve" => Verdict::Approve,
                    _ => return None,
                });
            }
            Member::Status => {
                found.status = Some(match at.string()? {
                    "ok" => Status::Ok,
                    "tool_error" => Status::ToolError,
                    "rpc_error" => Status::RpcError,
                    "cancelled" => Status::Cancelled,
                    "lost" => Status::Lost,
                    _ => return None,
                });
            }
            Member::Args => at.some_value(&mut found.args)?,
            Member::Counters => at.some_value(&mut found.counters)?,
            Member::RequestId => at.some_value(&mut found.request_id)?,
            Member::DecideUs => at.some_value(&mut found.decide_us)?,
            Member::Shadow => at.some_value(&mut found.shadow)?,
            Member::Enforced => found.enforced = Some(at.flag()?),
            Member::Counted => found.counted = Some(at.flag()?),
            Member::Released => found.released = Some(at.flag()?),
            Member::Call => found.call = Some(at.number()?),
            Member::Code => {
                let negative = at.peek() == Some(b'-');
                at.at += usize::from(negative);
                let code = i64::try_from(at.number()?).ok()?;
                found.code = Some(if negative { -code } else { code });
            }
            Member::Bytes => found.bytes = Some(at.number()?),
            Member::UpstreamUs => found.upstream_us = Some(at.number()?),
            Member::OfEvents => return None,
            Member::Other => at.skip()?,
        }
        match at.peek()? {
            b',' => at.at += 1,
            b'}' if at.at + 1 == line.len() => return Some(found),
            _ => return None,
        }
    }
}

pub(super) fn text(text: &str) -> Text<'_> {
    Text(Cow::Borrowed(text))
}

/// A place in a text that is read forwards.
pub(super) struct Walk<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// At the beginning of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    /// The byte here.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes a byte.
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek() == Some(byte);
        self.at += 1;
        found.then_some(())
    }

    /// A member's name with its colon. `next` is where in the order of gateways the one is that should
    /// stand here.
    fn member(&mut self, order: &[Spelt], next: &mut usize) -> Option<Member> {
        if let Some(here) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<16>()) {
            let here = u128::from_le_bytes(*here);
            for index in *next..*next + AHEAD {
                let Some(spelt) = order.get(index) else { break };
                if here & spelt.mask == spelt.word {
                    self.at += spelt.len;
                    *next = index + 1;
                    return Some(spelt.member);
                }
            }
        }
        let name = self.string()?;
        self.expect(b':')?;
        let member = Member::named(name);
        if let Some(index) = order.iter().position(|spelt| spelt.member == member) {
            *next = index + 1;
        }
        Some(member)
    }

    /// A string without escapes.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + special::find::<true>(self.bytes.get(start..)?)?;
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// A string or null.
    fn optional(&mut self, into: &mut Option<&'a str>) -> Option<()> {
        if self.peek() == Some(b'"') {
            *into = Some(self.string()?);
            return Some(());
        }
        *into = None;
        (self.value()? == "null").then_some(())
    }

    /// Any value; null is none.
    fn some_value(&mut self, into: &mut Option<&'a str>) -> Option<()> {
        let value = self.value()?;
        *into = Some(value).filter(|value| *value != "null");
        Some(())
    }

    /// `true` or `false`.
    fn flag(&mut self) -> Option<bool> {
        match self.value()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let leading = self.bytes.get(start) == Some(&b'0') && self.at > start + 1;
        (self.at > start && !leading && matches!(self.peek(), Some(b',' | b'}'))).then_some(number)
    }

    /// Any value, as it is spelt.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at)
    }

    /// Any value, passed over.
    fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_container(),
            _ => {
                let rest = self.bytes.get(self.at..)?;
                let len = rest.iter().position(|byte| ENDS.get(usize::from(*byte)) == Some(&true))?;
                self.at += len;
                (len > 0).then_some(())
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let found = self.at + special::find::<true>(self.bytes.get(self.at..)?)?;
            match self.bytes.get(found)? {
                b'"' => {
                    self.at = found + 1;
                    return Some(());
                }
                b'\\' => self.at = found + 2,
                _ => return None,
            }
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?;
            self.at += plain;
            match rest.get(plain)? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}
