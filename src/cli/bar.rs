//! How far something is, on standard error while it is a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::Output;

/// How often it moves, and how long something takes before it is shown.
const REDRAW: Duration = Duration::from_millis(100);
/// How many cells it has.
const CELLS: u64 = 30;

/// A bar that is gone when it is dropped.
pub(super) struct Bar<'o> {
    out: &'o Output,
    on: bool,
    next: Instant,
    drawn: bool,
}

impl<'o> Bar<'o> {
    /// Nothing is shown yet.
    pub(super) fn new(out: &'o Output) -> Self {
        let on = std::io::stderr().is_terminal();
        Self { out, on, next: Instant::now() + REDRAW, drawn: false }
    }

    /// Moves it when it is time to. To be called now and then: the clock is looked at each time.
    pub(super) fn show(&mut self, doing: &str, (done, total): (u64, u64), what: &str) {
        if self.on && Instant::now() >= self.next {
            self.out.progress(&text(doing, (done, total), what));
            self.drawn = true;
            self.next = Instant::now() + REDRAW;
        }
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        if self.drawn {
            self.out.progress("");
        }
    }
}

/// `replaying [####....]  50% 1000 records`
fn text(doing: &str, (done, total): (u64, u64), what: &str) -> String {
    let part = |of: u64| (done * of).checked_div(total).unwrap_or(0).min(of);
    let bar: String = (0..CELLS).map(|cell| if cell < part(CELLS) { '#' } else { '.' }).collect();
    format!("{doing} [{bar}] {:>3}% {what}", part(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_never_overflows() {
        assert_eq!(text("a", (0, 0), "b"), format!("a [{}]   0% b", ".".repeat(30)));
        assert_eq!(text("a", (1, 2), "b"), format!("a [{}{}]  50% b", "#".repeat(15), ".".repeat(15)));
        assert_eq!(text("a", (9, 2), "b"), format!("a [{}] 100% b", "#".repeat(30)));
    }
}
