//! The one place that reads the wall clock. The pure rooms get the time as a value.

use std::time::{SystemTime, UNIX_EPOCH};

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
