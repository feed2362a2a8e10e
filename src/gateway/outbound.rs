//! From the server to the client: each line passes as the very bytes that it is, except that
//! lists lose their hidden tools and what is no message goes to standard error.

use std::ops::Range;

use super::frames::{Frame, Frames};
use super::link::{Happening, Link, Read};
use super::session::{Answer, Ended, Relay};
use crate::clock;
use crate::json::{self, Value};
use crate::mcp::reply;
use crate::mcp::server::{Response, ServerMessage, peek_server};

/// Relays what the server says until it stops, and answers what it leaves unanswered.
pub(super) fn run(link: &Link, mut output: impl Read) {
    let mut outbound =
        Outbound { link, frames: Frames::new(usize::MAX), pass: 0..0, ended: Vec::new(), lists: Vec::new() };
    loop {
        // A stream that fails has ended.
        let count = output.read_some(outbound.frames.space()).unwrap_or(0);
        outbound.frames.filled(count);
        while let Some(frame) = outbound.frames.next_frame() {
            outbound.relay(frame);
        }
        if count == 0
            && let Some(frame) = outbound.frames.last_frame()
        {
            outbound.relay(frame);
        }
        outbound.flush();
        outbound.afterwards();
        if count == 0 {
            break;
        }
    }
    let left = link.session().server_gone(clock::tick() / 1000);
    let mut replies = Vec::new();
    for id in &left.unanswered {
        replies.extend_from_slice(&reply::error(Some(id), reply::INTERNAL_ERROR, super::GONE));
        replies.push(b'\n');
    }
    for lost in &left.lost {
        link.end_call(lost);
    }
    link.to_client(&replies);
    link.happened(Happening::ServerEnded);
}

struct Outbound<'l> {
    link: &'l Link,
    frames: Frames,
    /// Bytes that pass and were not written yet: lines that arrived together go on together.
    pass: Range<usize>,
    /// Calls whose outcomes are recorded after their answers went on.
    ended: Vec<(Ended, bool)>,
    /// Lists that were relayed, for the screens.
    lists: Vec<(bool, Vec<u8>)>,
}

impl Outbound<'_> {
    fn relay(&mut self, frame: Frame) {
        let (Frame::Line(range) | Frame::TooLong(range)) = frame;
        let line = self.frames.bytes(range.clone());
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        let body_range = range.start..range.start + body.len();
        match peek_server(body) {
            ServerMessage::Response(response) => {
                let relay = self.answered(&response, line.len());
                self.forward(range, body_range, relay, &response);
            }
            ServerMessage::Request { .. } | ServerMessage::Notification { .. } => self.pass(range),
            ServerMessage::Batch(elements) => self.batch(range, &elements),
            ServerMessage::Blank | ServerMessage::NotJsonRpc => {
                super::foreign_output(self.frames.bytes(body_range));
            }
        }
    }

    /// What the answer means for the call it answers. What has to be given back is given back
    /// before the answer goes on.
    fn answered(&mut self, response: &Response, bytes: usize) -> Relay {
        let answer = Answer {
            error: response.error,
            is_error: response.is_error,
            has_tools: response.result_has_tools,
            bytes: bytes as u64,
        };
        let key = response.id.as_ref().map(|id| &id.key);
        let answered = self.link.session().answered(key, answer, clock::tick() / 1000);
        if let Some(ended) = answered.ended {
            let released = self.link.decider.release(&ended.release);
            self.ended.push((ended, released));
        }
        answered.relay
    }

    fn forward(&mut self, range: Range<usize>, body: Range<usize>, relay: Relay, response: &Response) {
        match relay {
            Relay::Pass => self.pass(range),
            Relay::Capabilities => {
                let advertised = advertises_changes(self.frames.bytes(body));
                self.link.session().advertises(advertised);
                self.pass(range);
            }
            Relay::List { first } => {
                let line = self.frames.bytes(body);
                let id = response.id.as_ref().map(|id| id.raw.as_str());
                let shown = super::lists::look(self.link, line, id, first);
                if let Some(first) = first.filter(|_| shown.is_list) {
                    self.lists.push((first, line.to_vec()));
                }
                let Some(mut instead) = shown.instead else { return self.pass(range) };
                self.flush();
                instead.push(b'\n');
                self.link.to_client(&instead);
            }
        }
    }

    /// Several messages on one line, which servers of the 2025-03-26 era may send. It passes whole
    /// unless something in it must be cut; then its messages go on one by one.
    fn batch(&mut self, range: Range<usize>, elements: &[Range<usize>]) {
        let mut parts = Vec::new();
        let mut cut = false;
        for element in elements {
            let start = range.start + element.start;
            let body = start..range.start + element.end;
            let bytes = self.frames.bytes(body.clone()).to_vec();
            let ServerMessage::Response(response) = peek_server(&bytes) else {
                parts.push(bytes);
                continue;
            };
            match self.answered(&response, bytes.len()) {
                Relay::List { first } => {
                    let id = response.id.as_ref().map(|id| id.raw.as_str());
                    let shown = super::lists::look(self.link, &bytes, id, first);
                    cut |= shown.instead.is_some();
                    parts.push(shown.instead.unwrap_or(bytes));
                }
                _ => parts.push(bytes),
            }
        }
        if !cut {
            self.pass(range);
            return;
        }
        self.flush();
        for mut part in parts {
            part.push(b'\n');
            self.link.to_client(&part);
        }
    }

    fn pass(&mut self, range: Range<usize>) {
        if self.pass.end == range.start && !self.pass.is_empty() {
            self.pass.end = range.end;
        } else {
            self.flush();
            self.pass = range;
        }
    }

    fn flush(&mut self) {
        let range = std::mem::take(&mut self.pass);
        self.link.to_client(self.frames.bytes(range));
    }

    /// What may follow the answers: outcomes, and what a list tells.
    fn afterwards(&mut self) {
        if !self.ended.is_empty() {
            self.link.recorder.outcomes(self.ended.drain(..), clock::now());
        }
        for (first, line) in self.lists.drain(..) {
            self.link.show_list(first, line);
        }
    }
}

/// Whether an answer to `initialize` or `server/discover` says that the server tells when its
/// tools change.
fn advertises_changes(line: &[u8]) -> bool {
    let Ok(parsed) = json::parse_bytes(line) else { return false };
    let node = ["result", "capabilities", "tools", "listChanged"]
        .into_iter()
        .try_fold(&parsed.root, |node, name| node.get(name));
    node.is_some_and(|node| matches!(node.value, Value::Bool(true)))
}
