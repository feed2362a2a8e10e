//! The time axis: calls and denies per second and per minute, kept up as rows come and go, and read
//! as columns of any width.

use std::collections::BTreeMap;

use super::row::Row;
use super::watch::Counts;
use crate::record::Verdict;

/// What a column can be wide, in seconds.
pub const WIDTHS: [i64; 7] = [1, 5, 15, 60, 300, 900, 3_600];

/// Seconds that are kept one by one; what is older is kept by the minute.
const SECONDS: usize = 100_000;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Column {
    /// Calls.
    pub calls: u64,
    /// Of them denied.
    pub denies: u64,
}

/// Calls over time.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    seconds: BTreeMap<i64, Column>,
    minutes: BTreeMap<i64, Column>,
}

impl Strip {
    fn level(&self, width: i64) -> &BTreeMap<i64, Column> {
        if width < 60 { &self.seconds } else { &self.minutes }
    }

    /// So many columns of `width` seconds from the second `from` on.
    pub fn columns(&self, from: i64, width: i64, count: usize) -> Vec<Column> {
        let mut columns = vec![Column::default(); count];
        let width = width.max(1);
        let end = from.saturating_add(width.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)));
        if end <= from {
            return columns;
        }
        for (second, found) in self.level(width).range(from..end) {
            let at = usize::try_from((second - from) / width).unwrap_or(usize::MAX);
            if let Some(column) = columns.get_mut(at) {
                column.calls += found.calls;
                column.denies += found.denies;
            }
        }
        columns
    }

    /// The second at which the nearest column before `second` begins that has calls.
    pub fn before(&self, second: i64, width: i64) -> Option<i64> {
        let found = self.level(width).range(..second).rev().find(|(_, column)| column.calls > 0);
        found.map(|(found, _)| found.div_euclid(width) * width)
    }

    /// The same after `second`.
    pub fn after(&self, second: i64, width: i64) -> Option<i64> {
        let found = self.level(width).range(second..).find(|(_, column)| column.calls > 0);
        found.map(|(found, _)| found.div_euclid(width) * width)
    }

    /// The newest second that has calls.
    pub fn newest(&self) -> Option<i64> {
        self.seconds.last_key_value().map(|(second, _)| *second)
    }
}

impl Counts for Strip {
    fn add(&mut self, _: u64, row: &Row) {
        let Some(verdict) = row.verdict() else { return };
        let second = row.ts.secs();
        for (map, key) in
            [(&mut self.seconds, second), (&mut self.minutes, second.div_euclid(60).saturating_mul(60))]
        {
            let column = map.entry(key).or_default();
            column.calls += u64::from(!row.again);
            column.denies += u64::from(verdict == Verdict::Deny);
            if map.len() > SECONDS {
                map.pop_first();
            }
        }
    }

    fn remove(&mut self, _: u64, row: &Row) {
        let Some(verdict) = row.verdict() else { return };
        let second = row.ts.secs();
        for (map, key) in
            [(&mut self.seconds, second), (&mut self.minutes, second.div_euclid(60).saturating_mul(60))]
        {
            let Some(column) = map.get_mut(&key) else { continue };
            column.calls = column.calls.saturating_sub(u64::from(!row.again));
            column.denies = column.denies.saturating_sub(u64::from(verdict == Verdict::Deny));
            if *column == Column::default() {
                map.remove(&key);
            }
        }
    }
}
