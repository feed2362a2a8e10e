//! Admitting one want to one counter.

use crate::policy::counter::{Amount, Usage, Want};
use crate::time::Timestamp;

/// A window's length in microseconds, at least one second.
fn micros(window_secs: u64) -> i64 {
    i64::try_from(window_secs.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// When the window that holds `now` began: windows are aligned to the epoch.
pub(super) fn window_start(now: Timestamp, window_secs: u64) -> Timestamp {
    let length = micros(window_secs);
    Timestamp(now.0.div_euclid(length).saturating_mul(length))
}

/// The counter as it stands, and whether the want fits. A stored window that is later than that of
/// `now` stays in force: a clock stepped back refills nothing.
pub(super) fn admit(stored: Option<(Timestamp, Amount)>, now: Timestamp, want: &Want) -> Usage {
    let current = window_start(now, want.key.window);
    let (start, used) = match stored {
        Some((start, used)) if start >= current => (start, used),
        _ => (current, Amount::ZERO),
    };
    Usage {
        key: want.key.clone(),
        used,
        max: want.max,
        window_start: start,
        resets_at: start.plus_micros(micros(want.key.window)),
        room: want.past_max || used.plus(want.increment) <= want.max,
    }
}
