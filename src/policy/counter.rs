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
        // Owned, so that it can also be read from a `Value`.
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
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

/// A window's length in microseconds, at least one second.
fn micros(window_secs: u64) -> i64 {
    i64::try_from(window_secs.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// When the window that holds `now` began. Windows are fixed and aligned to the epoch, so to UTC.
pub fn window_start(now: Timestamp, window_secs: u64) -> Timestamp {
    let length = micros(window_secs);
    Timestamp(now.0.div_euclid(length).saturating_mul(length))
}

/// What a counter holds before a call, and whether the call's want fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// When its window began.
    pub start: Timestamp,
    /// What it holds.
    pub used: Amount,
    /// Whether the want fits.
    pub room: bool,
}

impl Standing {
    /// The counter as it stands. A stored window that is later than that of `now` stays in force: a
    /// clock stepped back refills nothing. A negative increment never fits: it would give back what
    /// others have used.
    pub fn of(stored: Option<(Timestamp, Amount)>, now: Timestamp, want: &Want) -> Self {
        let current = window_start(now, want.key.window);
        let (start, used) = match stored {
            Some((start, used)) if start >= current => (start, used),
            _ => (current, Amount::ZERO),
        };
        let fits = want.past_max || used.plus(want.increment) <= want.max;
        Self { start, used, room: fits && want.increment >= Amount::ZERO }
    }

    /// As those read it who show it.
    pub fn usage(self, want: &Want) -> Usage {
        Usage {
            key: want.key.clone(),
            used: self.used,
            max: want.max,
            window_start: self.start,
            resets_at: self.start.plus_micros(micros(want.key.window)),
            room: self.room,
        }
    }
}

/// The counter as it stands ([`Standing::of`]), as those read it who show it.
pub fn admit(stored: Option<(Timestamp, Amount)>, now: Timestamp, want: &Want) -> Usage {
    Standing::of(stored, now, want).usage(want)
}

/// Whose call it is, as far as counters ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The grant's label.
    pub grant: &'a str,
    /// The session's id; `None` in the stateless era, where `session` counts as `grant`.
    pub session: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// Whose counter a limit of this scope means, and of which scope it then is.
    pub fn counts_for(&self, scope: Scope) -> (Scope, &'a str) {
        match (scope, self.session) {
            (Scope::Server, _) => (Scope::Server, self.server),
            (Scope::Session, Some(session)) => (Scope::Session, session),
            (Scope::Session, None) | (Scope::Grant, _) => (Scope::Grant, self.grant),
        }
    }

    /// The counter that a limit means for this caller.
    pub fn key(&self, scope: Scope, counter: &str, window: u64) -> CounterKey {
        let (scope, value) = self.counts_for(scope);
        CounterKey {
            server: self.server.to_owned(),
            scope,
            scope_value: value.to_owned(),
            counter: counter.to_owned(),
            window,
        }
    }
}

/// A [`Caller`] that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedCaller {
    server: String,
    grant: String,
    session: Option<String>,
}

impl From<Caller<'_>> for OwnedCaller {
    fn from(caller: Caller<'_>) -> Self {
        Self {
            server: caller.server.to_owned(),
            grant: caller.grant.to_owned(),
            session: caller.session.map(str::to_owned),
        }
    }
}

impl OwnedCaller {
    /// The caller.
    pub fn get(&self) -> Caller<'_> {
        Caller { server: &self.server, grant: &self.grant, session: self.session.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(window: u64, increment: i128, max: i128) -> Want {
        let caller = Caller { server: "s", grant: "g", session: None };
        let key = caller.key(Scope::Session, "c", window);
        Want { key, increment: Amount(increment), max: Amount(max), past_max: false }
    }

    #[test]
    fn windows_are_aligned_to_utc() {
        let now = Timestamp::parse("2026-11-20T21:20:59.999999Z").unwrap();
        for (window, start) in [
            (60, "2026-11-20T21:20:00Z"),
            (3_600, "2026-11-20T21:00:00Z"),
            (86_400, "2026-11-20T00:00:00Z"),
            (1, "2026-11-20T21:20:59Z"),
            (0, "2026-11-20T21:20:59Z"),
        ] {
            assert_eq!(Some(window_start(now, window)), Timestamp::parse(start), "{window}");
        }
        assert_eq!(window_start(Timestamp(-1), 60), Timestamp(-60_000_000));
        // The longest window there is does not overflow.
        let usage = admit(None, now, &want(u64::MAX, 1, 1));
        assert!(usage.room && usage.resets_at > now);
    }

    #[test]
    fn admits_what_fits() {
        let now = Timestamp(120_000_000);
        let current = Some((Timestamp(120_000_000), Amount(9)));
        assert!(admit(current, now, &want(60, 1, 10)).room);
        assert!(!admit(current, now, &want(60, 2, 10)).room);
        assert!(admit(current, now, &Want { past_max: true, ..want(60, 2, 10) }).room);
        assert!(!admit(current, now, &Want { past_max: true, ..want(60, -2, 10) }).room);
        assert!(!admit(current, now, &want(60, -1, 10)).room);
        assert!(!admit(Some((now, Amount(i128::MAX))), now, &want(60, 1, 10)).room);
        // A window that is over counts nothing; one that is later than now stays in force.
        assert_eq!(admit(Some((Timestamp(60_000_000), Amount(9))), now, &want(60, 1, 10)).used, Amount(0));
        let later = admit(Some((Timestamp(180_000_000), Amount(9))), now, &want(60, 2, 10));
        assert_eq!((later.used, later.room, later.resets_at), (Amount(9), false, Timestamp(240_000_000)));
    }

    #[test]
    fn keys_follow_the_scope() {
        let caller = Caller { server: "s", grant: "g", session: Some("x") };
        let value = |caller: &Caller<'_>, scope| {
            let key = caller.key(scope, "c", 60);
            (key.scope, key.scope_value)
        };
        assert_eq!(value(&caller, Scope::Grant), (Scope::Grant, "g".to_owned()));
        assert_eq!(value(&caller, Scope::Server), (Scope::Server, "s".to_owned()));
        assert_eq!(value(&caller, Scope::Session), (Scope::Session, "x".to_owned()));
        let stateless = Caller { session: None, ..caller };
        assert_eq!(value(&stateless, Scope::Session), (Scope::Grant, "g".to_owned()));
    }
}
