//! The one place that reads the wall clock. The pure rooms get the time as a value.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// The present instant by the system's clock, which may step back.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
        Err(before) => {
            Timestamp(i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros))
        }
    }
}

/// Nanoseconds since this clock was first asked; it never steps back. For durations only.
pub fn tick() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds since an earlier [`tick`].
#[expect(clippy::cast_precision_loss, reason = "a duration to look at")]
pub fn micros_since(earlier: u64) -> f64 {
    tick().saturating_sub(earlier) as f64 / 1000.0
}
