//! How far another machine's clock is ahead of this one's, from the times of what it says. Pure.

use crate::time::Timestamp;

/// Clocks that differ by less are taken as one: waiting and the network make as much, in
/// microseconds.
const SAME: i64 = 1_000_000;
/// A sample this much behind the estimate is a clock that was set, or a wait that was long.
const STEP: i64 = 5_000_000;
/// So many of them in a row are a clock that was set.
const STEPS: u8 = 3;

/// The estimate for one gateway. Whatever is on its way makes a sample too small and never too
/// large, so the estimate follows a larger one at once and a smaller one slowly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offset {
    ahead: Option<i64>,
    away: u8,
}

impl Offset {
    /// Something was said at `theirs` by its clock and arrived at `here` by ours.
    pub fn heard(&mut self, theirs: Timestamp, here: Timestamp) {
        let sample = theirs.0.saturating_sub(here.0);
        let Some(ahead) = self.ahead else {
            self.ahead = Some(sample);
            return;
        };
        let below = ahead.saturating_sub(sample);
        if below <= 0 {
            *self = Self { ahead: Some(sample), away: 0 };
        } else if below > STEP {
            self.away += 1;
            if self.away >= STEPS {
                *self = Self { ahead: Some(sample), away: 0 };
            }
        } else {
            *self = Self { ahead: Some(ahead.saturating_sub(below / 16)), away: 0 };
        }
    }

    /// How many microseconds its clock is ahead of ours (negative: behind); `None` while they are
    /// taken as one.
    pub fn ahead(&self) -> Option<i64> {
        self.ahead.filter(|ahead| ahead.saturating_abs() >= SAME)
    }

    /// A time by its clock as ours would have shown it.
    pub fn here(&self, theirs: Timestamp) -> Timestamp {
        Timestamp(theirs.0.saturating_sub(self.ahead().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[i64]) -> Option<i64> {
        let mut offset = Offset::default();
        for (second, ahead) in (0..).zip(samples) {
            let here = Timestamp::from_secs(1_000_000 + second);
            offset.heard(here.plus_micros(ahead * 1000), here);
        }
        offset.ahead().map(|ahead| ahead / 1000)
    }

    #[test]
    fn tells_a_clock_that_differs_from_a_message_that_was_late() {
        for (samples, ahead) in [
            (&[][..], None),
            (&[-3, -1, -20], None),
            (&[90_000], Some(90_000)),
            (&[-90_000, -89_990], Some(-89_990)),
            // Two that were late by a minute say nothing; the third means that a clock was set.
            (&[0, -60_000, -60_000, 0], None),
            (&[0, -60_000, -60_000, -60_000], Some(-60_000)),
            // Asleep: what lay in the network is old, what comes then is not.
            (&[0, -9_000_000, -9_000_000, -9_000_000, -2], None),
        ] {
            assert_eq!(after(samples), ahead, "{samples:?}");
        }
    }

    #[test]
    fn times_are_brought_to_this_clock() {
        let mut offset = Offset::default();
        assert_eq!(offset.here(Timestamp(5)), Timestamp(5));
        offset.heard(Timestamp::from_secs(160), Timestamp::from_secs(100));
        assert_eq!(offset.here(Timestamp::from_secs(200)), Timestamp::from_secs(140));
        let mut near = Offset::default();
        near.heard(Timestamp(100), Timestamp(400));
        assert_eq!(near.here(Timestamp(7)), Timestamp(7), "what is nearly the same is left as it is");
    }
}
