//! Instants as values. The pure modules get the time passed in; nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: microseconds since 1970-01-01T00:00:00Z, printed as RFC 3339 UTC with six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since the epoch.
    pub fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Milliseconds from this instant to a later one; 0 when it is not later.
    pub fn millis_until(self, later: Self) -> u64 {
        u64::try_from(later.0.saturating_sub(self.0).saturating_add(999) / 1000).unwrap_or(0)
    }

    /// This instant plus a number of microseconds (negative: earlier).
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self(instant.as_microsecond()))
    }
}

/// Reads a length of time as people write it: whole numbers with the units `s`, `m`, `h`, `d` and
/// `w`, the larger first (`90s`, `15m`, `1h30m`). The answer is in seconds; `None` for anything
/// else, for a number without its unit, and beyond 10,000 years.
pub fn parse_duration(text: &str) -> Option<u64> {
    const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    const LONGEST: u64 = 10_000 * 366 * 86_400;
    let (mut total, mut number, mut above) = (0_u64, None::<u64>, u64::MAX);
    for c in text.trim().chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == c)?;
        if unit >= above {
            return None;
        }
        above = unit;
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && above != u64::MAX && total <= LONGEST).then_some(total)
}

/// A length of time in seconds as people write it, the largest two units that are not zero:
/// `45s`, `1m 30s`, `2h`, `3d 4h`.
pub fn show_duration(seconds: u64) -> String {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let mut rest = seconds;
    let mut parts: Vec<String> = Vec::new();
    for (name, unit) in UNITS {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count}{name}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant:.6}"),
            Err(_) => f.write_str("0000-00-00T00:00:00.000000Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 instant"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lengths_of_time() {
        for (text, seconds) in [
            ("15m", 900),
            ("1h", 3_600),
            ("90s", 90),
            ("1h30m", 5_400),
            ("3d", 259_200),
            ("0s", 0),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "15",
            "m",
            "1m1h",
            "1m2m",
            "-1m",
            "1.5h",
            "1 h",
            "99999999999999999999s",
            "9999999999999w",
            "1y",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for (seconds, text) in
            [(0, "0s"), (45, "45s"), (90, "1m 30s"), (7_200, "2h"), (273_600, "3d 4h"), (86_405, "1d")]
        {
            assert_eq!(show_duration(seconds), text);
        }
    }

    #[test]
    fn prints_and_reads_rfc_3339() {
        let instant = Timestamp(1_795_209_600_000_001);
        assert_eq!(instant.to_string(), "2026-11-20T21:20:00.000001Z");
        assert_eq!(Timestamp::parse("2026-11-20T21:20:00.000001Z"), Some(instant));
        assert_eq!(Timestamp::parse("2026-11-20T22:20:00.000001+01:00"), Some(instant));
        assert_eq!(Timestamp(0).millis_until(Timestamp(1)), 1);
        assert_eq!(Timestamp(5).millis_until(Timestamp(1)), 0);
        assert_eq!(Timestamp(-1).secs(), -1);
    }
}
