//! A message too large to be held, looked at as it passes: whose answer it is, and how the call
//! ended. Where something is hidden, a tool list in it is noticed before its tools have passed.

use crate::clock;
use crate::gateway::call::conversation::Conversation;
use crate::gateway::call::session::Answer;
use crate::json::fold::same_ignoring_case;
use crate::mcp::id::Id;

/// How much of a name or of a plain value is looked at, in bytes.
const LOOKED_AT: usize = 1024;

/// A tool list that cannot be looked at as a whole, while something is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List;

/// A member of the message that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Result,
    Error,
    IsError,
    Code,
    Other,
}

/// Reads one JSON-RPC message in parts, without keeping it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about where the reading is")]
pub(super) struct Skim {
    hides: bool,
    depth: usize,
    /// Within a string, and whether the next byte of it is escaped.
    string: Option<bool>,
    /// The string is a name.
    naming: bool,
    /// A name comes next, in the object at this depth.
    expects_name: bool,
    /// Which member of the message, and of its result or error, is being read.
    outer: Member,
    inner: Member,
    /// A name or a plain value.
    text: Vec<u8>,
    bytes: u64,
    id: Option<Id>,
    error: Option<i64>,
    is_error: bool,
}

impl Skim {
    pub(super) fn new(hides: bool) -> Self {
        Self {
            hides,
            depth: 0,
            string: None,
            naming: false,
            expects_name: false,
            outer: Member::Other,
            inner: Member::Other,
            text: Vec::new(),
            bytes: 0,
            id: None,
            error: None,
            is_error: false,
        }
    }

    /// Takes the next part, before it passes.
    ///
    /// # Errors
    /// When a tool list begins in it, or could, while something is hidden.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), List> {
        self.bytes += bytes.len() as u64;
        for byte in bytes {
            self.byte(*byte)?;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), List> {
        if let Some(escaped) = self.string {
            self.keep(byte);
            self.string = match (escaped, byte) {
                (false, b'"') => None,
                (escaped, byte) => Some(!escaped && byte == b'\\'),
            };
            if self.string.is_none() && self.naming {
                self.naming = false;
                return self.named();
            }
            return Ok(());
        }
        match byte {
            b'"' => {
                self.string = Some(false);
                self.naming = self.expects_name && self.depth <= 2;
                if self.naming {
                    self.text.clear();
                    self.expects_name = false;
                }
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.expects_name = byte == b'{';
                if self.depth == 1 && byte == b'[' && self.hides {
                    // Several messages at once; any of them could be a list.
                    return Err(List);
                }
                self.text.clear();
            }
            b'}' | b']' => {
                self.value_ended();
                self.depth = self.depth.saturating_sub(1);
                self.expects_name = false;
            }
            b',' => {
                self.value_ended();
                self.expects_name = true;
            }
            b':' => self.text.clear(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.keep(byte),
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        if self.depth <= 2 && self.text.len() < LOOKED_AT {
            self.text.push(byte);
        }
    }

    fn named(&mut self) -> Result<(), List> {
        let name: String = serde_json::from_slice(&self.text).unwrap_or_default();
        let member = |known: &[(&str, Member)]| {
            known
                .iter()
                .find(|(known, _)| same_ignoring_case(known, &name))
                .map_or(Member::Other, |(_, m)| *m)
        };
        if self.depth == 1 {
            self.outer = member(&[("id", Member::Id), ("result", Member::Result), ("error", Member::Error)]);
            self.inner = Member::Other;
            if self.outer == Member::Error {
                self.error = Some(0);
            }
        } else {
            self.inner = match self.outer {
                Member::Result => member(&[("isError", Member::IsError)]),
                Member::Error => member(&[("code", Member::Code)]),
                _ => Member::Other,
            };
            if self.hides && self.outer == Member::Result && same_ignoring_case("tools", &name) {
                return Err(List);
            }
        }
        self.text.clear();
        Ok(())
    }

    fn value_ended(&mut self) {
        let text = std::mem::take(&mut self.text);
        match (self.depth, self.outer, self.inner) {
            (1, Member::Id, _) => self.id = Id::from_json(&text),
            (2, Member::Result, Member::IsError) => self.is_error |= text == b"true",
            (2, Member::Error, Member::Code) => {
                self.error =
                    Some(std::str::from_utf8(&text).ok().and_then(|code| code.parse().ok()).unwrap_or(0));
            }
            _ => {}
        }
        if self.depth == 2 {
            self.inner = Member::Other;
        }
    }

    /// The message is over: the request that it answers ends.
    pub(super) fn end(&self, conversation: &Conversation) {
        // The retry of an operation whose question is this large is a new call.
        let answer = Answer {
            error: self.error,
            is_error: self.is_error,
            has_tools: false,
            bytes: self.bytes,
            input_required: false,
        };
        let key = self.id.as_ref().map(|id| &id.key);
        let answered = conversation.session().answered(key, answer, clock::tick() / 1000);
        if let Some(ended) = answered.ended {
            conversation.desk.end_call(&ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, hides: bool, size: usize) -> Result<Skim, List> {
        let mut skim = Skim::new(hides);
        for part in text.as_bytes().chunks(size) {
            skim.push(part)?;
        }
        Ok(skim)
    }

    #[test]
    fn tells_how_a_call_ended() {
        for size in [1, 3, 1000] {
            let big = r#"{"jsonrpc":"2.0","result":{"content":[{"text":"\"isError\":true} \\","isError":true}],"isError" : false,"x":{"tools":[]}},"id":"a\u0062"}"#;
            let skim = read(big, true, size).unwrap();
            assert_eq!(skim.id.unwrap().raw, r#""a\u0062""#);
            assert_eq!((skim.error, skim.is_error), (None, false));
            let failed = read(r#"{"id":7,"result":{"isError":true}}"#, true, size).unwrap();
            assert!(failed.is_error);
            let error =
                read(r#"{"id":7.0,"error":{"message":"m","code":-32601,"data":[1]}}"#, true, size).unwrap();
            assert_eq!((error.error, error.id.unwrap().raw.as_str()), (Some(-32601), "7.0"));
        }
    }

    #[test]
    fn a_list_does_not_pass_where_something_is_hidden() {
        for text in [
            r#"{"id":1,"result":{"a":1,"tools":["#,
            r#"{"id":1,"result":{"t\u006fols":["#,
            r#"{"id":1,"Result":{"TOOLS":["#,
            r#"[{"id":1,"#,
        ] {
            assert_eq!(read(text, true, 2).err(), Some(List), "{text}");
            assert!(read(text, false, 2).is_ok());
        }
        assert!(read(r#"{"id":1,"result":{"content":{"tools":[]}},"tools":[]}"#, true, 2).is_ok());
    }
}
