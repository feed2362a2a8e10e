//! Numbers as the decimals that they spell, whatever their size.
//!
//! A limit of 100 must not be passed by `100.00000000000000001`, and ids beyond 2^53 must stay
//! apart, so numbers are never turned into binary floating point to be compared.

use std::cmp::Ordering;
use std::fmt;

/// A decimal number: `0.DIGITS * 10^exponent`, negative or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// Significant digits without leading or trailing zeros; empty for zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON spells it. `None` when it is not one, or when its exponent is so
    /// large that its size cannot be told (beyond 2^62): such a number compares with nothing.
    pub fn parse(spelt: &str) -> Option<Self> {
        let (negative, rest) = match spelt.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, spelt),
        };
        let (mantissa, power) = match rest.find(['e', 'E']) {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
            None => (rest, "0"),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let leading = digits.bytes().take_while(|byte| *byte == b'0').count();
        let kept = digits.trim_end_matches('0').len();
        if leading >= kept {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let power: i64 = power.strip_prefix('+').unwrap_or(power).parse().ok()?;
        if power.unsigned_abs() > 1 << 62 {
            return None;
        }
        let scale = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading).ok()?)?;
        let exponent = power.checked_add(scale)?;
        digits.truncate(kept);
        digits.drain(..leading);
        Some(Self { negative, digits, exponent })
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the number has no fraction.
    pub fn is_integer(&self) -> bool {
        self.digits.is_empty() || i64::try_from(self.digits.len()).is_ok_and(|len| self.exponent >= len)
    }

    /// The number times 10^`places`, rounded away from zero to an integer; `None` when that does
    /// not fit.
    pub fn scaled_up(&self, places: u8) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let point = self.exponent.checked_add(i64::from(places))?;
        if point > 38 {
            return None;
        }
        let mut whole: i128 = 0;
        let mut rest = false;
        let point = usize::try_from(point).unwrap_or(0);
        for index in 0..point.max(self.digits.len()) {
            let digit = self.digits.as_bytes().get(index).map_or(0, |byte| byte - b'0');
            if index < point {
                whole = whole.checked_mul(10)?.checked_add(i128::from(digit))?;
            } else if digit != 0 {
                rest = true;
                break;
            }
        }
        if rest {
            whole = whole.checked_add(1)?;
        }
        Some(if self.negative { -whole } else { whole })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign != Ordering::Equal || self.is_zero() {
            return by_sign;
        }
        // Digits are fractions without trailing zeros, so text order is their order.
        let size = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { size.reverse() } else { size }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The one spelling of the number: equal numbers print alike. Integers up to 21 digits print
/// plainly, everything else as digits and an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let len = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        if self.exponent >= len && self.exponent <= 21 {
            f.write_str(&self.digits)?;
            for _ in len..self.exponent {
                f.write_str("0")?;
            }
            Ok(())
        } else if (1..len).contains(&self.exponent) {
            let (whole, fraction) = self.digits.split_at(usize::try_from(self.exponent).unwrap_or(0));
            write!(f, "{whole}.{fraction}")
        } else if (-6..=0).contains(&self.exponent) {
            f.write_str("0.")?;
            for _ in self.exponent..0 {
                f.write_str("0")?;
            }
            f.write_str(&self.digits)
        } else {
            let (first, rest) = self.digits.split_at(1);
            f.write_str(first)?;
            if !rest.is_empty() {
                write!(f, ".{rest}")?;
            }
            write!(f, "e{}", self.exponent - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(spelt: &str) -> Decimal {
        Decimal::parse(spelt).expect(spelt)
    }

    #[test]
    fn compares_by_value() {
        let rising = [
            "-1e400",
            "-2.5",
            "-2",
            "-0.1",
            "0",
            "1e-400",
            "0.1",
            "1",
            "1.00000000000000000001",
            "9",
            "10",
            "9007199254740993",
            "9007199254740994",
            "1e400",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(decimal(a).cmp(&decimal(b)), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [
            ("1", "1.0"),
            ("10", "1e1"),
            ("-0", "0"),
            ("0e99999999999999999999", "0"),
            ("120", "1.2E+2"),
            ("0.5", "5e-1"),
        ] {
            assert_eq!(decimal(a), decimal(b), "{a} {b}");
        }
        assert_eq!(Decimal::parse("1e99999999999999999999"), None);
    }

    #[test]
    fn scales_rounding_up() {
        assert_eq!(decimal("1").scaled_up(6), Some(1_000_000));
        assert_eq!(decimal("0.0000001").scaled_up(6), Some(1));
        assert_eq!(decimal("19.99").scaled_up(6), Some(19_990_000));
        assert_eq!(decimal("1.0000001").scaled_up(6), Some(1_000_001));
        assert_eq!(decimal("-0.5").scaled_up(0), Some(-1));
        assert_eq!(decimal("1e40").scaled_up(6), None);
        assert_eq!(decimal("1e-4000000000").scaled_up(6), Some(1));
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(spelt in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?") {
            let number = decimal(&spelt);
            prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number));
        }

        #[test]
        fn orders_integers(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(decimal(&a.to_string()).cmp(&decimal(&b.to_string())), a.cmp(&b));
        }
    }
}
