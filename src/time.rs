//! Instants as values. The pure modules get the time passed in; nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for an instant beyond the years 1 to 9999.
pub(crate) const NO_INSTANT: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

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

    /// Reads the form that records have, `2026-11-20T21:20:00.000001Z`, and only that: quicker than
    /// [`Timestamp::parse`].
    pub fn parse_utc(text: &[u8]) -> Option<Self> {
        let text: &[u8; 27] = text.try_into().ok()?;
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
            b'.',
            u1,
            u2,
            u3,
            u4,
            u5,
            u6,
            b'Z',
        ] = *text
        else {
            return None;
        };
        let digits = [y1, y2, y3, y4, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, u1, u2, u3, u4, u5, u6];
        // Without an early exit: nearly every one is right, and millions are read.
        if digits.iter().fold(false, |wrong, digit| wrong | !digit.is_ascii_digit()) {
            return None;
        }
        let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        let year = two(y1, y2) * 100 + two(y3, y4);
        let (month, day) = (two(m1, m2), two(d1, d2));
        let (hour, minute, second) = (two(h1, h2), two(n1, n2), two(s1, s2));
        let micros = (two(u1, u2) * 100 + two(u3, u4)) * 100 + two(u5, u6);
        let leap = || year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 => 28 + i64::from(leap()),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 || year == 0 {
            return None;
        }
        // Days since 1970-01-01 by years that begin in March (Howard Hinnant's days_from_civil, of
        // which the eras are left out: there are no years before the first here).
        let (shifted, of_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let of_year = (153 * of_march + 2) / 5 + day - 1;
        let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719_468;
        Some(Self((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros))
    }

    /// The instant in the form that [`Timestamp::parse_utc`] reads.
    pub(crate) fn utc(self) -> Option<[u8; 27]> {
        let days = self.secs().div_euclid(86_400);
        // 0000-03-01 is the day 0 of the count.
        let count = days.checked_add(719_468)?;
        let era = count.div_euclid(146_097);
        let of_era = count.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        if !(1..=9999).contains(&year) {
            return None;
        }
        let second = self.secs().rem_euclid(86_400);
        let micros = self.0.rem_euclid(1_000_000);
        let digit = |number: i64| b'0' + u8::try_from(number % 10).unwrap_or(0);
        let two = |number: i64| [digit(number / 10), digit(number)];
        let ([y1, y2], [y3, y4]) = (two(year / 100), two(year));
        let ([m1, m2], [d1, d2]) = (two(month), two(day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(second / 3600), two(second / 60 % 60), two(second % 60));
        let ([u1, u2], [u3, u4], [u5, u6]) = (two(micros / 10_000), two(micros / 100), two(micros));
        Some([
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', u1,
            u2, u3, u4, u5, u6, b'Z',
        ])
    }

    /// Appends what [`std::fmt::Display`] prints.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.utc().unwrap_or(*NO_INSTANT));
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
    for c in text.chars() {
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
        match self.utc() {
            Some(text) => f.write_str(std::str::from_utf8(&text).unwrap_or("")),
            None => f.write_str(std::str::from_utf8(NO_INSTANT).unwrap_or("")),
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
        Self::parse_utc(text.as_bytes())
            .or_else(|| Self::parse(&text))
            .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 instant"))
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
            " 1h",
            "1h ",
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
    fn agrees_with_the_calendar() {
        let mut micros: i64 = -62_135_596_800_000_000; // 0001-01-01
        while micros < 253_402_300_800_000_000 {
            let expected = jiff::Timestamp::from_microsecond(micros).unwrap();
            let text = format!("{expected:.6}");
            assert_eq!(Timestamp(micros).to_string(), text);
            assert_eq!(Timestamp::parse_utc(text.as_bytes()), Some(Timestamp(micros)));
            micros += 86_399_123_457 * 37;
        }
        assert_eq!(Timestamp(i64::MAX).to_string(), "0000-00-00T00:00:00.000000Z");
        for bad in
            ["2026-02-29T00:00:00.000000Z", "2026-11-20T24:00:00.000000Z", "2026-11-20 21:20:00.000001Z"]
        {
            assert_eq!(Timestamp::parse_utc(bad.as_bytes()), None);
        }
        assert!(Timestamp::parse_utc(b"2024-02-29T23:59:59.999999Z").is_some());
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
