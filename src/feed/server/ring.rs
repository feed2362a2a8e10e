//! The latest records in memory, by number. Pure.
//!
//! Everything in it is in the journal too, so it may forget and may have holes: what it lacks is
//! read from there.

use std::collections::VecDeque;
use std::sync::Arc;

/// A record's line.
pub(super) type Line = Arc<[u8]>;

/// Bounded by count and by bytes.
#[derive(Debug)]
pub(super) struct Ring {
    /// The number of the first slot.
    base: u64,
    slots: VecDeque<Option<Line>>,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
}

/// What follows a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These lines, up to the number before this one.
    Lines(u64),
    /// Not here: from this number to that.
    Missing(u64, u64),
    /// Nothing yet.
    Ahead,
}

impl Ring {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self { base: 1, slots: VecDeque::new(), bytes: 0, max_count: max_count.max(1), max_bytes }
    }

    /// Forgets everything; the next number is `base`.
    pub(super) fn restart(&mut self, base: u64) {
        self.base = base;
        self.slots = VecDeque::new();
        self.bytes = 0;
    }

    /// The number after the last slot.
    pub(super) fn end(&self) -> u64 {
        self.base.saturating_add(self.slots.len() as u64)
    }

    /// Makes room up to a number, that one included, with holes.
    pub(super) fn reach(&mut self, seq: u64) {
        let Some(more) = seq.saturating_add(1).checked_sub(self.end()) else { return };
        if more > self.max_count as u64 {
            self.restart(seq.saturating_add(1));
            return;
        }
        for _ in 0..more {
            self.slots.push_back(None);
        }
    }

    /// Keeps a line. Numbers may come out of order; one that was let go already is not wanted.
    pub(super) fn push(&mut self, seq: u64, line: Line) {
        if seq < self.base {
            return;
        }
        if seq >= self.end().saturating_add(self.max_count as u64) {
            self.restart(seq);
        }
        self.reach(seq);
        let size = line.len();
        let slot = usize::try_from(seq.saturating_sub(self.base)).ok().and_then(|at| self.slots.get_mut(at));
        if let Some(slot @ None) = slot {
            *slot = Some(line);
            self.bytes = self.bytes.saturating_add(size);
        }
        while self.slots.len() > self.max_count || (self.bytes > self.max_bytes && self.slots.len() > 1) {
            if let Some(Some(line)) = self.slots.pop_front() {
                self.bytes = self.bytes.saturating_sub(line.len());
            }
            self.base = self.base.saturating_add(1);
        }
    }

    /// Puts the lines from `from` on into `out`, at most so many and (but for the first) so large.
    pub(super) fn collect(&self, from: u64, max_lines: usize, max_bytes: usize, out: &mut Vec<Line>) -> Next {
        if from < self.base {
            return Next::Missing(from, self.base.saturating_sub(1));
        }
        let Ok(at) = usize::try_from(from.saturating_sub(self.base)) else { return Next::Ahead };
        let mut next = from;
        let mut bytes = 0_usize;
        for slot in self.slots.iter().skip(at).take(max_lines) {
            let Some(line) = slot else { break };
            bytes = bytes.saturating_add(line.len());
            if bytes > max_bytes && !out.is_empty() {
                break;
            }
            out.push(Arc::clone(line));
            next = next.saturating_add(1);
        }
        if next > from {
            return Next::Lines(next);
        }
        if from >= self.end() {
            return Next::Ahead;
        }
        let holes = self.slots.iter().skip(at).take_while(|slot| slot.is_none()).count() as u64;
        Next::Missing(from, from.saturating_add(holes).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64) -> Line {
        seq.to_string().into_bytes().into()
    }

    fn look(ring: &Ring, from: u64) -> (Next, Vec<String>) {
        let mut out = Vec::new();
        let next = ring.collect(from, 3, 1000, &mut out);
        (next, out.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect())
    }

    #[test]
    fn forgets_the_oldest_and_says_what_is_missing() {
        let mut ring = Ring::new(4, 1000);
        for seq in 1..=6 {
            ring.push(seq, line(seq));
        }
        assert_eq!(look(&ring, 1).0, Next::Missing(1, 2));
        assert_eq!(look(&ring, 3), (Next::Lines(6), vec!["3".into(), "4".into(), "5".into()]));
        assert_eq!(look(&ring, 7).0, Next::Ahead);
        ring.push(2, line(2));
        assert_eq!(look(&ring, 2).0, Next::Missing(2, 2));
    }

    #[test]
    fn numbers_out_of_order_fill_their_holes() {
        let mut ring = Ring::new(10, 1000);
        ring.push(1, line(1));
        ring.push(4, line(4));
        assert_eq!(look(&ring, 1).0, Next::Lines(2));
        assert_eq!(look(&ring, 2).0, Next::Missing(2, 3));
        ring.push(3, line(3));
        assert_eq!(look(&ring, 2).0, Next::Missing(2, 2));
        ring.push(2, line(2));
        assert_eq!(look(&ring, 2).0, Next::Lines(5));
        ring.reach(6);
        assert_eq!(look(&ring, 5).0, Next::Missing(5, 6));
    }

    #[test]
    fn leaps_and_sizes_are_bounded() {
        let mut ring = Ring::new(4, 10);
        ring.push(1, line(1));
        ring.push(u64::MAX - 5, line(2));
        assert!(ring.slots.len() <= 4);
        ring.restart(1);
        for seq in 1..=20 {
            ring.push(seq, vec![b'x'; 8].into());
            assert!(ring.bytes <= 16);
        }
        let mut out = Vec::new();
        assert_eq!(ring.collect(20, 10, 1, &mut out), Next::Lines(21), "one line is always given");
        ring.push(u64::MAX, line(3));
        ring.reach(u64::MAX);
        assert!(ring.slots.len() <= 4);
    }
}
