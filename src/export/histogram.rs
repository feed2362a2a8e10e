//! Quantiles of many numbers in little room: buckets whose width is a 64th of what they hold.

/// A histogram of whole numbers, exact up to 64 and to 1.6 % beyond.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    most: u64,
}

/// Numbers below this have a bucket each; a doubling beyond has half as many.
const FINE: u64 = 128;
const HALF: u64 = FINE / 2;

fn bucket(number: u64) -> usize {
    if number < FINE {
        return usize::try_from(number).unwrap_or(0);
    }
    // How often it is halved until it lies in HALF..FINE.
    let halved = u64::from(number.ilog2()) - u64::from(FINE.ilog2()) + 1;
    usize::try_from(halved * HALF + (number >> halved)).unwrap_or(0)
}

/// The largest number of a bucket.
fn last(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE {
        return bucket;
    }
    let halved = bucket / HALF - 1;
    let within = bucket - halved * HALF;
    (u128::from(within + 1) << halved).saturating_sub(1).try_into().unwrap_or(u64::MAX)
}

impl Histogram {
    pub(super) fn add(&mut self, number: u64) {
        let at = bucket(number);
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(at) {
            *count += 1;
        }
        self.count += 1;
        self.most = self.most.max(number);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The number that so many thousandths of all do not exceed.
    pub(super) fn quantile(&self, thousandths: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(thousandths)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return last(at).min(self.most);
            }
        }
        self.most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_one_another() {
        assert_eq!(last(bucket(u64::MAX)), u64::MAX);
        let mut at = 0;
        for number in 0..100_000_u64 {
            let next = bucket(number);
            assert!(next == at || next == at + 1, "{number}");
            assert!(last(next) >= number && (next == 0 || last(next - 1) < number), "{number}");
            at = next;
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_near(mut numbers in proptest::collection::vec(0..10_000_000_u64, 1..300)) {
            let mut histogram = Histogram::default();
            for number in &numbers {
                histogram.add(*number);
            }
            numbers.sort_unstable();
            for thousandths in [1, 500, 950, 990, 1000] {
                let rank = (numbers.len() * thousandths).div_ceil(1000).max(1);
                let (exact, near) = (numbers[rank - 1], histogram.quantile(thousandths as u64));
                prop_assert!(near >= exact && near <= exact + exact / 64 + 1, "{exact} {near}");
            }
        }
    }
}
