//! Server-sent events, told apart without changing a byte. Free of I/O.
//!
//! Everything that cannot matter to a decision goes on as soon as its line is complete: comments,
//! `id:`, `retry:` and `event:` lines, blank lines. From an event's first `data` line on, its bytes
//! are held until the blank line that ends it, so that its message can be looked at, and replaced
//! where it must be. Only the `data` lines of an event are ever replaced.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// A part of the stream. The bytes of all parts, in order, are the bytes of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes without a message.
    Pass(Vec<u8>),
    /// The `data` lines of an event, what is between them, and the blank line that ends it.
    Event(Event),
    /// A part of an event that is too large to be held: its bytes, and the data among them.
    Large {
        /// As they came.
        raw: Vec<u8>,
        /// The data, continued from the part before.
        data: Vec<u8>,
        /// Whether the event ends here.
        last: bool,
    },
}

/// An event that holds data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// As it came.
    pub raw: Vec<u8>,
    /// Where its data lines are, with their line ends.
    lines: Vec<(Range<usize>, Range<usize>)>,
}

impl Event {
    /// What its data lines hold, joined as the standard says.
    pub fn data(&self) -> Cow<'_, [u8]> {
        let part = |range: &Range<usize>| self.raw.get(range.clone()).unwrap_or_default();
        match self.lines.as_slice() {
            [(_, value)] => Cow::Borrowed(part(value)),
            lines => Cow::Owned(lines.iter().map(|(_, value)| part(value)).collect::<Vec<_>>().join(&b'\n')),
        }
    }

    /// The event with other data. Line ends within the new data, which JSON allows between its
    /// tokens, become spaces.
    pub fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + data.len());
        let mut from = 0;
        for (number, (line, value)) in self.lines.iter().enumerate() {
            out.extend_from_slice(self.raw.get(from..line.start).unwrap_or_default());
            from = line.end;
            if number > 0 {
                continue;
            }
            out.extend_from_slice(b"data: ");
            out.extend(data.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            out.extend_from_slice(self.raw.get(value.end..line.end).unwrap_or_default());
        }
        out.extend_from_slice(self.raw.get(from..).unwrap_or_default());
        out
    }
}

/// A message of the gateway's own as an event.
pub fn event(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 24);
    out.extend_from_slice(b"event: message\ndata: ");
    out.extend_from_slice(message);
    out.extend_from_slice(b"\n\n");
    out
}

/// Cuts a stream into pieces.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about where the reading is")]
pub struct Events {
    /// The complete lines of an event, from its first data line on.
    held: Vec<u8>,
    /// The data lines in `held`.
    lines: Vec<(Range<usize>, Range<usize>)>,
    /// A line that is not complete.
    partial: Vec<u8>,
    /// The beginning of the line that is not complete has been given out: what kind of line it is.
    begun: Option<Kind>,
    /// The event is too large to be held, and has been given out up to here.
    large: bool,
    /// The last line ended with a carriage return; a line feed may still belong to it.
    after_return: bool,
    /// No line was complete yet: the first may begin with a byte order mark.
    first: bool,
    /// Fields of an event were passed on whose end has not come.
    open: bool,
    /// An event had an id, so that the stream can be resumed.
    ids: bool,
    /// The most that is held of one event, in bytes.
    max: usize,
    pieces: Vec<Piece>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Data; where its value begins.
    Data(usize),
    Comment,
    Other,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

impl Events {
    /// For events of at most `max` bytes; larger ones come in parts.
    pub fn new(max: usize) -> Self {
        Self {
            held: Vec::new(),
            lines: Vec::new(),
            partial: Vec::new(),
            begun: None,
            large: false,
            after_return: false,
            first: true,
            open: false,
            ids: false,
            max,
            pieces: Vec::new(),
        }
    }

    /// Whether the stream is between two events, so that another can be put in.
    pub fn is_between(&self) -> bool {
        !self.open && !self.large && self.held.is_empty() && self.partial.is_empty() && self.begun.is_none()
    }

    /// Whether a client could resume the stream where it breaks off: its events have ids.
    pub fn is_resumable(&self) -> bool {
        self.ids
    }

    /// Takes the next bytes of the stream, and gives what is complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut rest = bytes;
        if self.after_return
            && let Some((first, more)) = rest.split_first()
        {
            self.after_return = false;
            if *first == b'\n' {
                self.belated_line_feed();
                rest = more;
            }
        }
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            let (text, ending) = rest.split_at(at);
            let length = match ending {
                [b'\r', b'\n', ..] => 2,
                [b'\r'] => {
                    self.after_return = true;
                    1
                }
                _ => 1,
            };
            let (ending, more) = ending.split_at(length);
            self.partial.extend_from_slice(text);
            self.line(ending);
            rest = more;
        }
        self.partial.extend_from_slice(rest);
        if self.large || self.begun.is_some() || self.held.len() + self.partial.len() > self.max {
            self.give_out();
        }
        std::mem::take(&mut self.pieces)
    }

    /// The stream has ended: what is left, as the event that a careless reader takes it for.
    pub fn finish(mut self) -> Vec<Piece> {
        let kind = self.begun.or_else(|| kind_of(&self.partial, self.first, true));
        if self.large {
            let data = match kind {
                Some(Kind::Data(start)) if self.begun.is_none() => {
                    [b"\n", self.partial.get(start..).unwrap_or_default()].concat()
                }
                Some(Kind::Data(_)) => self.partial.clone(),
                _ => Vec::new(),
            };
            self.pieces.push(Piece::Large { raw: self.partial, data, last: true });
        } else {
            if let (None, Some(Kind::Data(start))) = (self.begun, kind) {
                let line = self.held.len()..self.held.len() + self.partial.len();
                self.lines.push((line.clone(), line.start + start..line.end));
            }
            self.held.append(&mut self.partial);
            if self.lines.is_empty() {
                let held = std::mem::take(&mut self.held);
                self.pass(held);
            } else {
                self.pieces.push(Piece::Event(Event { raw: self.held, lines: self.lines }));
            }
        }
        self.pieces
    }

    /// A line is complete.
    fn line(&mut self, ending: &[u8]) {
        let mut raw = std::mem::take(&mut self.partial);
        let text = raw.len();
        let kind = kind_of(&raw, self.first, true);
        let begun = self.begun.take();
        let blank = begun.is_none() && (text == 0 || (self.first && raw == MARK));
        self.first = false;
        self.ids |= begun.is_none() && raw.starts_with(b"id:");
        if self.large {
            let data = match (begun, kind) {
                (Some(Kind::Data(_)), _) => raw.clone(),
                (None, Some(Kind::Data(start))) => {
                    let mut data = vec![b'\n'];
                    data.extend_from_slice(raw.get(start..).unwrap_or_default());
                    data
                }
                _ => Vec::new(),
            };
            raw.extend_from_slice(ending);
            self.pieces.push(Piece::Large { raw, data, last: blank });
            self.large = !blank;
            self.open = !blank;
            return;
        }
        raw.extend_from_slice(ending);
        if let (None, Some(Kind::Data(start))) = (begun, kind) {
            let line = self.held.len()..self.held.len() + raw.len();
            self.lines.push((line.clone(), line.start + start.min(text)..line.start + text));
            self.held.append(&mut raw);
        } else if self.lines.is_empty() {
            self.pass(raw);
            let comment = begun.or(kind) == Some(Kind::Comment);
            self.open = !blank && (self.open || !comment);
        } else {
            self.held.append(&mut raw);
            if blank {
                let raw = std::mem::take(&mut self.held);
                let lines = std::mem::take(&mut self.lines);
                self.pieces.push(Piece::Event(Event { raw, lines }));
                self.open = false;
            }
        }
    }

    /// The line feed that belongs to the carriage return before it.
    fn belated_line_feed(&mut self) {
        if self.large {
            self.pieces.push(Piece::Large { raw: vec![b'\n'], data: Vec::new(), last: false });
        } else if self.held.is_empty() {
            self.pass(vec![b'\n']);
        } else {
            if let Some((line, _)) = self.lines.last_mut().filter(|(line, _)| line.end == self.held.len()) {
                line.end += 1;
            }
            self.held.push(b'\n');
        }
    }

    /// Gives out what is too large to be held.
    fn give_out(&mut self) {
        let begins = self.begun.is_none();
        let Some(kind) = self.kind() else {
            // What kind of line it is is not known yet; it is short.
            if !self.held.is_empty() {
                self.become_large();
            }
            return;
        };
        if self.held.is_empty() && !self.large && !matches!(kind, Kind::Data(_)) {
            let partial = std::mem::take(&mut self.partial);
            if !partial.is_empty() {
                self.pass(partial);
                self.begun = Some(kind);
                self.open |= kind != Kind::Comment;
            }
            return;
        }
        let continues = self.large || !self.held.is_empty();
        self.become_large();
        let raw = std::mem::take(&mut self.partial);
        if raw.is_empty() {
            return;
        }
        let data = match kind {
            Kind::Data(start) if begins => {
                let value = raw.get(start..).unwrap_or_default();
                if continues { [b"\n", value].concat() } else { value.to_vec() }
            }
            Kind::Data(_) => raw.clone(),
            _ => Vec::new(),
        };
        self.begun = Some(kind);
        self.pieces.push(Piece::Large { raw, data, last: false });
    }

    fn become_large(&mut self) {
        self.large = true;
        if !self.held.is_empty() {
            let event = Event { raw: std::mem::take(&mut self.held), lines: std::mem::take(&mut self.lines) };
            let data = event.data().into_owned();
            self.pieces.push(Piece::Large { raw: event.raw, data, last: false });
        }
    }

    /// What the incomplete line is; `None` while that cannot be told.
    fn kind(&self) -> Option<Kind> {
        self.begun.or_else(|| kind_of(&self.partial, self.first, false))
    }

    fn pass(&mut self, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(Piece::Pass(before)) = self.pieces.last_mut() {
            before.append(&mut bytes);
        } else {
            self.pieces.push(Piece::Pass(bytes));
        }
    }
}

/// What a line is, as far as its beginning tells. `first`: it may have a byte order mark.
fn kind_of(line: &[u8], first: bool, complete: bool) -> Option<Kind> {
    let mark = if first && line.starts_with(MARK) { MARK.len() } else { 0 };
    let text = line.get(mark..).unwrap_or_default();
    if let Some(value) = text.strip_prefix(b"data:") {
        return match value.first() {
            None if !complete => None,
            Some(b' ') => Some(Kind::Data(mark + 6)),
            _ => Some(Kind::Data(mark + 5)),
        };
    }
    if text == b"data" && complete {
        return Some(Kind::Data(mark + 4));
    }
    if !complete && (b"data:".starts_with(text) || (first && MARK.starts_with(line))) {
        return None;
    }
    Some(if text.starts_with(b":") { Kind::Comment } else { Kind::Other })
}

/// Runs the reader over a stream that comes in parts of these sizes, and asserts what must hold.
/// For fuzzing and property tests.
///
/// # Panics
/// When a promise is broken; that is its purpose.
#[doc(hidden)]
pub fn check(stream: &[u8], sizes: &[usize], max: usize) {
    let whole = told(stream, &[stream.len().max(1)], usize::MAX);
    let parts = told(stream, sizes, usize::MAX);
    assert_eq!(whole.0, stream, "no byte is changed");
    assert_eq!(parts.0, stream, "no byte is changed in parts");
    assert_eq!(whole.1, parts.1, "the messages do not depend on how they come");
    let bounded = told(stream, sizes, max);
    assert_eq!(bounded.0, stream, "no byte of a large event is changed");
    assert_eq!(whole.1, bounded.1, "the messages do not depend on how much is held");
}

/// The bytes of all pieces, and the data of all events.
fn told(stream: &[u8], sizes: &[usize], max: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut events = Events::new(max);
    let mut pieces = Vec::new();
    let mut rest = stream;
    let mut sizes = sizes.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        let (part, more) = rest.split_at(size);
        pieces.append(&mut events.push(part));
        rest = more;
    }
    pieces.append(&mut events.finish());
    let (mut bytes, mut messages, mut large) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        match piece {
            Piece::Pass(raw) => bytes.extend(raw),
            Piece::Event(event) => {
                messages.push(event.data().into_owned());
                bytes.extend(event.raw);
            }
            Piece::Large { raw, data, last } => {
                bytes.extend(raw);
                let message: &mut Vec<u8> = large.get_or_insert_default();
                message.extend(data);
                if last {
                    messages.extend(large.take());
                }
            }
        }
    }
    assert!(large.is_none(), "every large event ends");
    (bytes, messages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(stream: &[u8]) -> Vec<Piece> {
        let mut events = Events::new(usize::MAX);
        let mut pieces = events.push(stream);
        pieces.append(&mut events.finish());
        pieces
    }

    #[test]
    fn what_is_no_data_passes_at_once() {
        let mut events = Events::new(1000);
        assert_eq!(events.push(b": alive\n"), [Piece::Pass(b": alive\n".to_vec())]);
        assert!(events.is_between());
        assert_eq!(events.push(b"id: 7\r\nretry: 5\r\n"), [Piece::Pass(b"id: 7\r\nretry: 5\r\n".to_vec())]);
        assert!(!events.is_between(), "an event is open");
        assert_eq!(events.push(b"data: {\"a\""), []);
        assert_eq!(events.push(b":1}\r\n"), []);
        let done = events.push(b"\r\n");
        let [Piece::Event(event)] = done.as_slice() else { panic!("{done:?}") };
        assert_eq!(&*event.data(), b"{\"a\":1}");
        assert_eq!(event.raw, b"data: {\"a\":1}\r\n\r\n");
        assert!(events.is_between());
    }

    #[test]
    fn each_line_end_ends_a_line() {
        for end in ["\n", "\r", "\r\n"] {
            let stream =
                "data:a\u{1}data: b\u{1}event: x\u{1}data\u{1}\u{1}data:  c\u{1}\u{1}".replace('\u{1}', end);
            let data: Vec<Vec<u8>> = told(stream.as_bytes(), &[stream.len()], usize::MAX).1;
            assert_eq!(data, [b"a\nb\n".to_vec(), b" c".to_vec()], "{end:?}");
        }
    }

    #[test]
    fn only_data_lines_are_replaced() {
        let stream = b"data: {\"a\":\r\nid: 3\r\ndata: 1}\r\n: note\r\n\r\n";
        let found = pieces(stream);
        let [Piece::Event(event)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(event.with_data(b"{\n}"), b"data: { }\r\nid: 3\r\n: note\r\n\r\n");
    }

    #[test]
    fn a_mark_at_the_beginning_hides_no_data() {
        assert_eq!(told(b"\xef\xbb\xbfdata: x\n\n", &[1], usize::MAX).1, [b"x".to_vec()]);
        assert_eq!(told(b"\n\xef\xbb\xbfdata: x\n\n", &[1], usize::MAX).1, Vec::<Vec<u8>>::new());
    }

    #[test]
    fn an_event_that_does_not_end_is_looked_at_too() {
        assert_eq!(told(b"data: x", &[1], usize::MAX).1, [b"x".to_vec()]);
    }

    proptest! {
        #[test]
        fn holds_its_promises(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("data: "), Just("data:"), Just("data"), Just("dat"), Just("\n"), Just("\r"),
                    Just("\r\n"), Just("\n\n"), Just(": c"), Just("id: 1"), Just("retry: 9"), Just("{}"),
                    Just("\u{feff}"), Just(" "), Just("event: message"), Just("xxxxxxxxxxxxxxxxxxxxxxxxx"),
                ],
                0..40,
            ),
            sizes in proptest::collection::vec(1_usize..9, 1..5),
            max in 0_usize..60,
        ) {
            check(words.concat().as_bytes(), &sizes, max);
        }
    }
}
