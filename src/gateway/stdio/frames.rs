//! Lines out of a stream of bytes, without copying them: both directions of stdio.
//!
//! Bytes are read into [`Frames::space`]; [`Frames::next_frame`] then gives the lines found as
//! ranges of the buffer, so that several lines that arrived together can be forwarded by one write
//! of the bytes they arrived in. Free of I/O.

use std::ops::Range;

use memchr::memchr;

/// The buffer's size while lines are small.
const START: usize = 64 * 1024;

/// An empty buffer larger than this is given back to the system.
const KEEP: usize = 1024 * 1024;

/// What was found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line with its line feed (the last line of a stream may have none).
    Line(Range<usize>),
    /// A line longer than the maximum; its bytes were thrown away, except for the first ones,
    /// which the range covers.
    TooLong(Range<usize>),
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Where the first byte that was not given out lies.
    start: usize,
    /// Where the bytes that were read end.
    end: usize,
    /// Up to where no line feed was found.
    scanned: usize,
    /// The longest line, without its line feed.
    max: usize,
    /// The rest of a line that is too long is being thrown away.
    skipping: bool,
}

impl Frames {
    /// For lines of at most `max` bytes without the line feed; `usize::MAX` for any length.
    pub fn new(max: usize) -> Self {
        Self { buffer: vec![0; START], start: 0, end: 0, scanned: 0, max, skipping: false }
    }

    /// Where the next bytes are to be read to; never empty. Ranges given out before are void.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.scanned = 0;
            if self.buffer.len() > KEEP {
                self.buffer = vec![0; START];
            }
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.scanned -= self.start;
                self.start = 0;
            }
            if self.end > self.buffer.len() / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note of `count` bytes that were read into [`Frames::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next line, or `None` until more was read.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let rest = self.buffer.get(self.scanned..self.end)?;
            let Some(at) = memchr(b'\n', rest) else {
                self.scanned = self.end;
                if self.skipping {
                    self.start = self.end;
                    return None;
                }
                if self.end - self.start > self.max {
                    self.skipping = true;
                    let head = self.start..self.start + self.max;
                    self.start = self.end;
                    return Some(Frame::TooLong(head));
                }
                return None;
            };
            let line = self.start..self.scanned + at + 1;
            self.start = line.end;
            self.scanned = line.end;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            // A carriage return before the line feed belongs to the line's end, not to the message.
            if line.len() - 1 > self.max {
                return Some(Frame::TooLong(line.start..line.start + self.max));
            }
            return Some(Frame::Line(line));
        }
    }

    /// At the end of the stream: what stands after the last line feed.
    pub fn last_frame(&mut self) -> Option<Frame> {
        let rest = self.start..self.end;
        self.start = self.end;
        self.scanned = self.end;
        if std::mem::take(&mut self.skipping) || rest.is_empty() {
            return None;
        }
        Some(if rest.len() > self.max {
            Frame::TooLong(rest.start..rest.start + self.max)
        } else {
            Frame::Line(rest)
        })
    }

    /// The bytes of a range that was given out since the last read.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `stream` in pieces and gives the lines, `None` for those that are too long.
    fn lines(stream: &[u8], sizes: &[usize], max: usize) -> Vec<Option<Vec<u8>>> {
        let mut frames = Frames::new(max);
        let mut found = Vec::new();
        let mut take = |frames: &Frames, frame| {
            found.push(match frame {
                Frame::Line(range) => Some(frames.bytes(range).to_vec()),
                Frame::TooLong(range) => {
                    assert!(frames.bytes(range).len() <= max);
                    None
                }
            });
        };
        let mut rest = stream;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let space = frames.space();
            let count = rest.len().min(space.len()).min(*sizes.next().unwrap());
            space[..count].copy_from_slice(&rest[..count]);
            frames.filled(count);
            rest = &rest[count..];
            while let Some(frame) = frames.next_frame() {
                take(&frames, frame);
            }
        }
        if let Some(frame) = frames.last_frame() {
            take(&frames, frame);
        }
        found
    }

    #[test]
    fn a_long_line_is_thrown_away_and_the_next_one_is_read() {
        let mut stream = vec![b'x'; 300_000];
        stream.extend_from_slice(b"\nshort\r\n\nlast");
        let expected = [None, Some(b"short\r\n".to_vec()), Some(b"\n".to_vec()), Some(b"last".to_vec())];
        for size in [1, 7, 70_000, 400_000] {
            assert_eq!(lines(&stream, &[size], 10), expected);
        }
        assert_eq!(lines(&stream, &[9], usize::MAX).len(), 4);
    }

    #[test]
    fn the_maximum_is_exact() {
        assert_eq!(lines(b"12345\n", &[1], 5), [Some(b"12345\n".to_vec())]);
        assert_eq!(lines(b"123456\n", &[1], 5), [None]);
        assert_eq!(lines(b"123456\n", &[9], 5), [None]);
        assert_eq!(lines(b"123456", &[9], 5), [None]);
        assert_eq!(lines(b"12345", &[9], 5), [Some(b"12345".to_vec())]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            stream in proptest::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n')], 0..400),
            sizes in proptest::collection::vec(1_usize..60, 1..8),
            max in 0_usize..30,
        ) {
            let expected: Vec<Option<Vec<u8>>> = stream
                .split_inclusive(|byte| *byte == b'\n')
                .map(|line| {
                    let length = line.len() - usize::from(line.last() == Some(&b'\n'));
                    (length <= max).then(|| line.to_vec())
                })
                .collect();
            prop_assert_eq!(lines(&stream, &sizes, max), expected);
        }
    }
}
