//! The quick way through a line: one pass over the members of a decision or outcome that is spelt
//! as the gateway prints it. Anything else is left to serde.

use std::borrow::Cow;

use super::{Line, Text};
use crate::json::special;
use crate::record::{Status, Verdict};
use crate::time::Timestamp;

/// Reads a line; `None` for what is not spelt as expected.
pub(super) fn walk(line: &[u8]) -> Option<Line<'_>> {
    let mut at = Walk::new(std::str::from_utf8(line).ok()?);
    let mut found = Line::default();
    let (mut seq, mut ts, mut gateway) = (None, None, None);
    at.expect(b'{')?;
    loop {
        let name = at.string()?;
        at.expect(b':')?;
        match name {
            "type" => {
                let kind = at.string()?;
                // Events are few, and hold more.
                if !matches!(kind, "decision" | "outcome") {
                    return None;
                }
                found.kind = text(kind);
            }
            "seq" => seq = Some(at.number()?),
            "ts" => ts = Some(Timestamp::parse_utc(at.string()?.as_bytes())?),
            "gateway" => gateway = Some(text(at.string()?)),
            "server" => at.optional(&mut found.server)?,
            "grant" => at.optional(&mut found.grant)?,
            "session" => at.optional(&mut found.session)?,
            "client" => at.optional(&mut found.client)?,
            "method" => at.optional(&mut found.method)?,
            "tool" => at.optional(&mut found.tool)?,
            "rule" => at.optional(&mut found.rule)?,
            "pointer" => at.optional(&mut found.pointer)?,
            "policy" => at.optional(&mut found.policy)?,
            "approval" => at.optional(&mut found.approval)?,
            "message" => at.optional(&mut found.message)?,
            "decide_us" => found.decide_us = Some(at.value()?).filter(|spelt| *spelt != "null"),
            "decision" => {
                found.decision = Some(match at.string()? {
                    "allow" => Verdict::Allow,
                    "deny" => Verdict::Deny,
                    "approve" => Verdict::Approve,
                    _ => return None,
                });
            }
            "status" => {
                found.status = Some(match at.string()? {
                    "ok" => Status::Ok,
                    "tool_error" => Status::ToolError,
                    "rpc_error" => Status::RpcError,
                    "cancelled" => Status::Cancelled,
                    "lost" => Status::Lost,
                    _ => return None,
                });
            }
            "args" => found.args = Some(at.value()?).filter(|args| *args != "null"),
            "counters" => found.counters = Some(at.value()?).filter(|counters| *counters != "null"),
            "request_id" => found.request_id = Some(at.value()?).filter(|id| *id != "null"),
            "enforced" => found.enforced = Some(at.flag()?),
            "counted" => found.counted = Some(at.flag()?),
            "released" => found.released = Some(at.flag()?),
            "call" => found.call = Some(at.number()?),
            "code" => {
                let negative = at.peek() == Some(b'-');
                at.at += usize::from(negative);
                let code = i64::try_from(at.number()?).ok()?;
                found.code = Some(if negative { -code } else { code });
            }
            "bytes" => found.bytes = Some(at.number()?),
            "upstream_us" => found.upstream_us = Some(at.number()?),
            // Few calls have one that differs, but then it is asked for.
            "shadow" => found.shadow = serde_json::from_str(at.value()?).ok()?,
            "kind" | "by" | "reason" | "data" => return None,
            _ => {
                at.value()?;
            }
        }
        match at.peek()? {
            b',' => at.at += 1,
            b'}' if at.at + 1 == line.len() => break,
            _ => return None,
        }
    }
    found.seq = seq?;
    found.ts = ts?;
    found.gateway = gateway?;
    (!found.kind.0.is_empty()).then_some(found)
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
    fn optional(&mut self, into: &mut Option<Text<'a>>) -> Option<()> {
        if self.peek() == Some(b'"') {
            *into = Some(text(self.string()?));
            return Some(());
        }
        *into = None;
        (self.value()? == "null").then_some(())
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

    /// Any value, passed over.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.skip_string()?,
            b'{' | b'[' => self.skip_container()?,
            _ => {
                while !matches!(self.peek()?, b',' | b'}' | b']' | b':' | b'"' | 0..=b' ') {
                    self.at += 1;
                }
            }
        }
        self.text.get(start..self.at).filter(|value| !value.is_empty())
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
            match self.peek()? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}
