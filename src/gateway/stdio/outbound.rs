//! From the server to the client over stdio: each line passes as the very bytes that it is, except
//! that lists lose their hidden tools and what is no message goes to standard error.

use std::ops::Range;

use super::frames::{Frame, Frames};
use super::link::{Happening, Link, Read};
use crate::gateway::call::answer::{Afterwards, Passes};
use crate::mcp::reply;

/// Relays what the server says until it stops, and answers what it leaves unanswered.
pub(in crate::gateway) fn run(link: &Link, mut output: impl Read) {
    let frames = Frames::new(usize::MAX);
    let mut outbound = Outbound { link, frames, pass: 0..0, afterwards: Afterwards::default() };
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
        link.conversation.after(&mut outbound.afterwards);
        if count == 0 {
            break;
        }
    }
    let mut replies = Vec::new();
    for id in link.conversation.server_gone() {
        replies.extend_from_slice(&reply::error(Some(&id), reply::INTERNAL_ERROR, crate::gateway::GONE));
        replies.push(b'\n');
    }
    link.to_client(&replies);
    link.happened(Happening::ServerEnded);
}

struct Outbound<'l> {
    link: &'l Link,
    frames: Frames,
    /// Bytes that pass and were not written yet: lines that arrived together go on together.
    pass: Range<usize>,
    afterwards: Afterwards,
}

impl Outbound<'_> {
    fn relay(&mut self, frame: Frame) {
        let (Frame::Line(range) | Frame::TooLong(range)) = frame;
        let line = self.frames.bytes(range.clone());
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        match self.link.conversation.hear(body, line.len(), &mut self.afterwards) {
            Passes::Whole => self.pass(range),
            Passes::Instead(instead) => self.instead(vec![instead]),
            Passes::Parts(parts) => self.instead(parts),
            Passes::Nothing => crate::gateway::foreign_output(body),
        }
    }

    fn instead(&mut self, lines: Vec<Vec<u8>>) {
        self.flush();
        for mut line in lines {
            line.push(b'\n');
            self.link.to_client(&line);
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
}
