//! When to draw: input at once, the stream 33 ms after the first change that is not shown, the
//! clock when something on the screen changes by time; nothing new, no frame.

/// The shortest time between two frames, in milliseconds: key repeat coalesces.
const APART: u64 = 8;
/// How long a change of the stream may stay unshown, in milliseconds.
const STREAM: u64 = 33;

/// When the next frame is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redraw {
    due: Option<u64>,
    last: Option<u64>,
}

impl Redraw {
    /// A person did something at `now`.
    pub fn input(&mut self, now: u64) {
        let soon = self.last.map_or(now, |last| now.max(last + APART));
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// Something came in at `now`; a change that waits already is not put off.
    pub fn stream(&mut self, now: u64) {
        self.due = Some(self.due.unwrap_or(now + STREAM));
    }

    /// When a frame is due.
    pub fn at(&self) -> Option<u64> {
        self.due
    }

    /// Whether a frame is due at `now`; if so it counts as drawn.
    pub fn take(&mut self, now: u64) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_drawn_at_once_and_the_stream_at_most_33_ms_late() {
        let mut redraw = Redraw::default();
        assert!(!redraw.take(0), "nothing new, no frame");
        redraw.input(100);
        assert!(redraw.take(100));
        redraw.input(101);
        assert!(!redraw.take(107), "key repeat coalesces");
        assert!(redraw.take(108));
        redraw.stream(200);
        for at in 201..233 {
            redraw.stream(at);
            assert!(!redraw.take(at));
        }
        assert!(redraw.take(233), "a throttle, not a debounce");
        redraw.stream(300);
        redraw.input(301);
        assert!(redraw.take(301), "input takes the stream along");
        assert_eq!(redraw.at(), None);
    }
}
