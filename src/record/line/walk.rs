//! The quick way through a line: one pass over the members of a decision or outcome that is spelt
//! as the gateway prints it, without a look at their names where they also come in its order.
//! Anything else is left to serde.

use std::borrow::Cow;

use super::{Line, Text};
use crate::json::special;
use crate::record::{Status, Verdict};
use crate::time::Timestamp;

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

/// What a line holds, as it is spelt.
#[derive(Default)]
pub(super) struct Found<'a> {
    kind: Option<&'a str>,
    pub(super) seq: Option<u64>,
    pub(super) ts: Option<Timestamp>,
    pub(super) gateway: Option<&'a str>,
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
    let found = members(std::str::from_utf8(line).ok()?)?;
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
    let found = members(std::str::from_utf8(line).ok()?)?;
    (found.kind == Some("decision")).then_some(found)
}

/// Reads the members of a line.
#[expect(clippy::inline_always, reason = "what is found is large, and is not to be copied about")]
#[inline(always)]
fn members(line: &str) -> Option<Found<'_>> {
    let mut at = Walk::new(line);
    let mut found = Found::default();
    if printed(&mut at, &mut found).is_none() {
        at.at = 0;
        at.expect(b'{')?;
        found = Found::default();
        at.member(&mut found)?;
    }
    loop {
        match at.peek()? {
            b',' => at.at += 1,
            b'}' if at.at + 1 == line.len() => return Some(found),
            _ => return None,
        }
        at.member(&mut found)?;
    }
}

/// Reads the members that every decision or outcome has, where they are spelt and ordered as gateways
/// print them: nearly all lines are, and this way is twice as quick as looking at each name. Those
/// that only some have are left at the end.
#[expect(clippy::inline_always, reason = "what is found is large, and is not to be copied about")]
#[inline(always)]
fn printed<'a>(at: &mut Walk<'a>, found: &mut Found<'a>) -> Option<()> {
    at.literal(b"{\"type\":\"")?;
    let decision = at.literal(b"decision\",\"seq\":").is_some();
    if !decision {
        at.literal(b"outcome\",\"seq\":")?;
    }
    found.kind = Some(if decision { "decision" } else { "outcome" });
    found.seq = Some(at.number()?);
    at.literal(b",\"ts\":")?;
    found.ts = Some(at.instant()?);
    at.literal(b",\"gateway\":")?;
    found.gateway = Some(at.string()?);
    if !decision {
        at.literal(b",\"call\":")?;
        found.call = Some(at.number()?);
        at.literal(b",\"status\":")?;
        found.status = Some(at.status()?);
        if at.literal(b",\"upstream_us\":").is_some() {
            found.upstream_us = Some(at.number()?);
            at.literal(b",\"bytes\":")?;
            found.bytes = Some(at.number()?);
            at.literal(b",\"released\":")?;
            found.released = Some(at.flag()?);
        }
        return Some(());
    }
    at.literal(b",\"server\":")?;
    found.server = Some(at.string()?);
    at.literal(b",\"grant\":")?;
    found.grant = Some(at.string()?);
    if at.literal(b",\"session\":").is_some() {
        found.session = Some(at.string()?);
    }
    if at.literal(b",\"client\":").is_some() {
        found.client = Some(at.string()?);
    }
    at.literal(b",\"request_id\":")?;
    at.some_value(&mut found.request_id)?;
    at.literal(b",\"method\":")?;
    found.method = Some(at.string()?);
    at.literal(b",\"tool\":")?;
    at.optional(&mut found.tool)?;
    at.literal(b",\"decision\":")?;
    found.decision = Some(at.verdict()?);
    at.literal(b",\"enforced\":")?;
    found.enforced = Some(at.flag()?);
    at.literal(b",\"rule\":")?;
    found.rule = Some(at.string()?);
    at.literal(b",\"pointer\":")?;
    at.optional(&mut found.pointer)?;
    at.literal(b",\"message\":")?;
    found.message = Some(at.string()?);
    at.literal(b",\"policy\":")?;
    at.optional(&mut found.policy)?;
    at.literal(b",\"args\":")?;
    at.some_value(&mut found.args)?;
    at.literal(b",\"counters\":")?;
    at.some_value(&mut found.counters)?;
    at.literal(b",\"counted\":")?;
    found.counted = Some(at.flag()?);
    at.literal(b",\"decide_us\":")?;
    at.some_value(&mut found.decide_us)
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

    /// Reads a member, whichever it is.
    fn member(&mut self, found: &mut Found<'a>) -> Option<()> {
        let name = self.string()?;
        self.expect(b':')?;
        match name {
            "type" => {
                let kind = self.string()?;
                // Events are few, and hold more.
                found.kind = Some(kind).filter(|kind| matches!(*kind, "decision" | "outcome"));
                found.kind?;
            }
            "seq" => found.seq = Some(self.number()?),
            "ts" => found.ts = Some(self.instant()?),
            "gateway" => found.gateway = Some(self.string()?),
            "server" => self.optional(&mut found.server)?,
            "grant" => self.optional(&mut found.grant)?,
            "session" => self.optional(&mut found.session)?,
            "client" => self.optional(&mut found.client)?,
            "method" => self.optional(&mut found.method)?,
            "tool" => self.optional(&mut found.tool)?,
            "rule" => self.optional(&mut found.rule)?,
            "pointer" => self.optional(&mut found.pointer)?,
            "policy" => self.optional(&mut found.policy)?,
            "approval" => self.optional(&mut found.approval)?,
            "message" => self.optional(&mut found.message)?,
            "decision" => found.decision = Some(self.verdict()?),
            "status" => found.status = Some(self.status()?),
            "args" => self.some_value(&mut found.args)?,
            "counters" => self.some_value(&mut found.counters)?,
            "request_id" => self.some_value(&mut found.request_id)?,
            "decide_us" => self.some_value(&mut found.decide_us)?,
            "shadow" => self.some_value(&mut found.shadow)?,
            "enforced" => found.enforced = Some(self.flag()?),
            "counted" => found.counted = Some(self.flag()?),
            "released" => found.released = Some(self.flag()?),
            "call" => found.call = Some(self.number()?),
            "code" => {
                let negative = self.peek() == Some(b'-');
                self.at += usize::from(negative);
                let code = i64::try_from(self.number()?).ok()?;
                found.code = Some(if negative { -code } else { code });
            }
            "bytes" => found.bytes = Some(self.number()?),
            "upstream_us" => found.upstream_us = Some(self.number()?),
            "kind" | "by" | "reason" | "data" => return None,
            _ => self.skip()?,
        }
        Some(())
    }

    fn verdict(&mut self) -> Option<Verdict> {
        match self.string()? {
            "allow" => Some(Verdict::Allow),
            "deny" => Some(Verdict::Deny),
            "approve" => Some(Verdict::Approve),
            _ => None,
        }
    }

    fn status(&mut self) -> Option<Status> {
        match self.string()? {
            "ok" => Some(Status::Ok),
            "tool_error" => Some(Status::ToolError),
            "rpc_error" => Some(Status::RpcError),
            "cancelled" => Some(Status::Cancelled),
            "lost" => Some(Status::Lost),
            _ => None,
        }
    }

    /// An instant as gateways print it.
    fn instant(&mut self) -> Option<Timestamp> {
        Timestamp::parse_utc(self.string()?.as_bytes())
    }

    /// Passes these very bytes, or stays.
    fn literal<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let here = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        let same = here == literal;
        self.at += if same { N } else { 0 };
        same.then_some(())
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
        if self.literal(b"true").is_some() {
            return Some(true);
        }
        self.literal(b"false").map(|()| false)
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
