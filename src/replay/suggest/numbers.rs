//! What is known of an argument's numbers.

use crate::policy::counter::Amount;

/// One whole, in the millionths that amounts have.
const ONE: i128 = 1_000_000;

#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub(super) count: u64,
    /// Millionths, rounded away from zero.
    least: i128,
    most: i128,
    whole: bool,
    /// One was too large to be bounded.
    extreme: bool,
}

impl std::default::Default for Numbers {
    fn default() -> Self {
        Self { count: 0, least: i128::MAX, most: i128::MIN, whole: true, extreme: false }
    }
}

impl Numbers {
    pub(super) fn see(&mut self, spelt: &str, times: u64) {
        self.count += times;
        let Some(Amount(value)) = Amount::parse(spelt) else {
            self.extreme = true;
            return;
        };
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        // What has a fraction is spelt with a dot or an exponent.
        self.whole &= value % ONE == 0 && spelt.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    }

    /// The smallest and the largest that were seen.
    pub(super) fn range(&self) -> Option<(String, String)> {
        let usable = self.count > 0 && !self.extreme;
        usable.then(|| (Amount(self.least).to_string(), Amount(self.most).to_string()))
    }

    /// The bounds with a margin, as JSON numbers: never tighter than what was seen.
    pub(super) fn bounds(&self, margin: u32) -> Option<(String, String)> {
        self.range()?;
        let percent = i128::from(margin);
        let share = |of: i128| of.checked_mul(percent).map(|of| of / 100);
        let (least, most) = (self.least, self.most);
        // Amounts are rounded away from zero at the sixth decimal.
        let slack = i128::from(!self.whole);
        let room = share(most.abs().max(most.checked_sub(least)?))?;
        let mut high = most.checked_add(room)?.checked_add(slack)?;
        let mut low = least.checked_sub(share(least.abs())?)?.checked_sub(slack)?;
        if least >= 0 {
            low = low.max(0);
        }
        if self.whole {
            high = high.checked_add(ONE - 1)?.div_euclid(ONE) * ONE;
            low = low.div_euclid(ONE) * ONE;
        }
        Some((Amount(low).to_string(), Amount(high).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_leave_the_margin_and_stay_whole() {
        for (seen, margin, bounds) in [
            (&["50", "200"][..], 25, Some(("37", "250"))),
            (&["0", "1"], 25, Some(("0", "2"))),
            (&["0"], 25, Some(("0", "0"))),
            (&["-5", "10"], 100, Some(("-10", "25"))),
            (&["1.5", "2"], 0, Some(("1.499999", "2.000001"))),
            (&["0.00000001"], 0, Some(("0", "0.000002"))),
            (&["7"], 0, Some(("7", "7"))),
            (&["1e2"], 10, Some(("89.999999", "110.000001"))),
            (&["1e400"], 10, None),
            (&[], 10, None),
        ] {
            let mut numbers = Numbers::default();
            for spelt in seen {
                numbers.see(spelt, 1);
            }
            let found = numbers.bounds(margin);
            let found = found.as_ref().map(|(low, high)| (low.as_str(), high.as_str()));
            assert_eq!(found, bounds, "{seen:?}");
        }
    }
}
