//! Lengths of time as people write them: `30s`, `5m`, `1h30m`, `2d`.

use crate::time::parse_duration;

/// The longest length that is accepted, in seconds (about 31 years): sums with an instant stay
/// within what can be printed.
pub const MAX_SECONDS: u64 = 1_000_000_000;

/// Seconds of a length such as `90s`, `5m` or `1h30m`, as [`parse_duration`] reads it. `None` when it
/// is none, is zero, or exceeds [`MAX_SECONDS`].
pub fn parse(text: &str) -> Option<u64> {
    parse_duration(text).filter(|seconds| (1..=MAX_SECONDS).contains(seconds))
}

/// The shortest text that [`parse`] reads back: `300` is `5m`, `5400` is `1h30m`.
pub fn print(seconds: u64) -> String {
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, size) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        if rest >= size {
            out.push_str(&(rest / size).to_string());
            out.push(unit);
            rest %= size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("5m", Some(300)),
            ("90s", Some(90)),
            ("1h30m", Some(5_400)),
            ("2d", Some(172_800)),
            ("1w", Some(604_800)),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
        for text in [
            "",
            "0s",
            "5",
            "m",
            "5 m",
            "-5m",
            "5m ",
            "1.5h",
            "5M",
            "99999999999999999999s",
            "9999999999s",
            "5ä",
            "1m1h",
            "1m1m",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(seconds in 1..=MAX_SECONDS) {
            prop_assert_eq!(parse(&print(seconds)), Some(seconds));
        }
    }
}
