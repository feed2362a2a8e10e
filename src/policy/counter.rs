//! Counting: amounts, windows, what a call wants to count, and what became of it.
//!
//! The arithmetic of admitting a call is here once; the store in memory, the one in SQLite and
//! replay all use it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::model::Scope;
use crate::json::number::Decimal;
use crate::time::Timestamp;

/// A counted amount: millionths, so that sums are exact to six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub i128);

impl Amount {
    /// One call.
    pub const ONE: Self = Self(1_000_000);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From a number as JSON spells it, rounded up to six decimals. `None` for what is no number
    /// or lies beyond 10^32.
    pub fn parse(spelt: &str) -> Option<Self> {
        Decimal::parse(spelt)?.scaled_up(6).map(Self)
    }

    /// The sum, or the largest amount when it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The amount as a floating-point number, for drawing only.
    #[expect(clippy::cast_precision_loss, reason = "for gauges; decisions never use it")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Prints the shortest decimal: `3`, `19.99`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        let (whole, rest) = (size / 1_000_000, size % 1_000_000);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{rest:06}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// As a JSON number.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0 / 1_000_000) {
            Ok(whole) if self.0 % 1_000_000 == 0 => serializer.serialize_i64(whole),
            _ => {
                let raw = serde_json::value::RawValue::from_string(self.to_string());
                raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).ok_or_else(|| serde::de::Error::custom("not an amount"))
    }
}

/// Which counter: neither the tool nor the policy's revision is part of it, so tools that name one
/// counter share it and an edit refills nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey {
    /// The server's name.
    pub server: String,
    /// Whose calls share it.
    pub scope: Scope,
    /// The grant's label, the server's name or the session's id.
    pub scope_value: String,
    /// The counter's name.
    pub counter: String,
    /// The window's length in seconds.
    pub window: u64,
}

/// One thing that a call wants to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The counter.
    pub key: CounterKey,
    /// How much is added.
    pub increment: Amount,
    /// How much the counter may hold.
    pub max: Amount,
    /// Count even without room (an `allow` override).
    pub past_max: bool,
}

/// A counter at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The counter.
    pub key: CounterKey,
    /// What it holds.
    pub used: Amount,
    /// The limit that was looked at.
    pub max: Amount,
    /// When its window began.
    pub window_start: Timestamp,
    /// When its window ends and it is empty again.
    pub resets_at: Timestamp,
    /// Whether the increment fits (before reserving) or fitted.
    pub room: bool,
}

/// What was taken from one counter, so that it can be given back to the same window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The counter.
    pub key: CounterKey,
    /// The start of the window it was taken from.
    pub window_start: Timestamp,
    /// How much.
    pub amount: Amount,
}

/// What became of a reservation: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Every want was counted; the usages are those after it, in the order of the wants.
    Done {
        /// The counters after the reservation.
        usages: Vec<Usage>,
        /// What to give back if the call turns out not to have run.
        taken: Vec<Taken>,
    },
    /// At least one had no room (`room: false`), so nothing was counted.
    Full {
        /// The counters as they stand, in the order of the wants.
        usages: Vec<Usage>,
    },
}
