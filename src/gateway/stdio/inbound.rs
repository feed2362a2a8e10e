//! From the client to the server over stdio: each line is decided, recorded, and only then
//! forwarded as the very bytes that it is, or answered here.
//!
//! Lines that arrived together are decided one by one, and forwarded by one write. A line that
//! arrived alone waits for nothing.

use std::ops::Range;

use super::frames::{Frame, Frames};
use super::link::{Link, Read};
use crate::clock;
use crate::gateway::call::judge::Ruling;
use crate::gateway::call::session::Ended;
use crate::mcp::envelope::{Limits, Refusal};
use crate::mcp::id::IdKey;
use crate::mcp::reply;

/// How many lines are decided before the first of them is forwarded.
const TOGETHER: usize = 32;

/// What is to be done with one line.
struct Step {
    range: Range<usize>,
    ruling: Ruling,
}

/// Relays what the client says until it stops, and gives why it stopped.
pub(in crate::gateway) fn run(link: &Link, input: impl Read) -> std::io::Result<()> {
    let mut inbound = Inbound {
        link,
        // A carriage return before the line feed is no part of the message.
        frames: Frames::new(link.desk().max_message.saturating_add(1)),
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
    frames: Frames,
    steps: Vec<Step>,
    replies: Vec<u8>,
}

impl Inbound<'_> {
    fn plan(&mut self, frame: Frame) {
        let conversation = &self.link.conversation;
        let step = match frame {
            Frame::Line(range) => {
                let line = self.frames.bytes(range.clone());
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                conversation.judge(line, &mut |_| Ok(()), &|| None).map(|ruling| Step { range, ruling })
            }
            Frame::TooLong(range) => {
                let head = self.frames.bytes(range);
                let limits = Limits { max_message: self.link.desk().max_message };
                let ruling = conversation.refuse(Refusal::too_large(head, &limits), clock::tick());
                Some(Step { range: 0..0, ruling })
            }
        };
        self.steps.extend(step);
        if self.steps.len() >= TOGETHER {
            self.carry_out();
        }
    }

    /// Records, forwards and answers what was planned.
    fn carry_out(&mut self) {
        let mut steps = std::mem::take(&mut self.steps);
        self.link.conversation.record(steps.iter_mut().map(|step| &mut step.ruling));
        for step in &mut steps {
            if let Ruling::Answer(answer) = &mut step.ruling {
                self.replies.append(&mut answer.reply);
                self.replies.push(b'\n');
            }
        }
        self.forward(&steps);
        if !self.replies.is_empty() {
            self.link.to_client(&self.replies);
            self.replies.clear();
        }
        steps.clear();
        self.steps = steps;
    }

    /// Writes what goes on, contiguous lines by one write.
    fn forward(&mut self, steps: &[Step]) {
        let mut ended: Vec<Ended> = Vec::new();
        // What is marked as sent before that is answered where the server's end is noticed.
        let there = self.link.conversation.sending(steps.iter().map(|step| &step.ruling), &mut ended);
        let lines: Vec<(&Range<usize>, Option<&IdKey>)> = steps
            .iter()
            .filter(|step| matches!(step.ruling, Ruling::Forward { .. } | Ruling::Allow(_)))
            .map(|step| (&step.range, step.ruling.request()))
            .collect();
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
                if there { self.link.to_server(self.frames.bytes(first.start..end)) } else { Some(0) };
            if let Some(failed_at) = written {
                let whole = first.start + failed_at;
                for id in block.iter().filter(|(range, _)| range.end > whole).filter_map(|(_, id)| *id) {
                    if let Some(raw_id) = self.link.conversation.never_sent(id) {
                        let reply = reply::error(Some(&raw_id), reply::INTERNAL_ERROR, crate::gateway::GONE);
                        self.replies.extend_from_slice(&reply);
                        self.replies.push(b'\n');
                    }
                }
            }
        }
        self.link.desk().end_calls(&ended);
    }
}
