//! Counts of rows by what they have in common, for the pivots: kept up as rows come, go and are
//! found by the filter, never reckoned anew.

use std::collections::HashMap;

use super::names::{Name, Names};
use super::row::Row;
use super::watch::Counts;
use crate::record::Verdict;
use crate::time::Timestamp;

/// By what rows are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The tool.
    Tool,
    /// The rule that decided.
    Rule,
    /// The grant.
    Grant,
    /// The server.
    Server,
    /// The client, as it names itself.
    Client,
    /// The minute.
    Minute,
}

impl By {
    /// All of them, in the order in which a key turns through them.
    pub const ALL: [Self; 6] =
        [Self::Tool, Self::Rule, Self::Grant, Self::Server, Self::Client, Self::Minute];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Rule => "rule",
            Self::Grant => "grant",
            Self::Server => "server",
            Self::Client => "client",
            Self::Minute => "minute",
        }
    }

    /// The next one, or the one before; `None` past the last and before the first.
    pub fn turn(self, forward: bool) -> Option<Self> {
        let at = Self::ALL.iter().position(|by| *by == self)?;
        let at = if forward { at.checked_add(1) } else { at.checked_sub(1) };
        at.and_then(|at| Self::ALL.get(at)).copied()
    }

    fn key(self, row: &Row) -> Key {
        match self {
            Self::Tool => Key::Name(row.tool),
            Self::Rule => Key::Name(row.rule),
            Self::Grant => Key::Name(row.grant),
            Self::Server => Key::Name(row.server),
            Self::Client => Key::Name(row.client),
            Self::Minute => Key::Minute(row.ts.secs().div_euclid(60) * 60),
        }
    }
}

/// What the rows of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A string.
    Name(Name),
    /// The second at which a minute begins.
    Minute(i64),
}

/// Points of a group's sparkline.
pub const STEPS: usize = 24;
/// Seconds that one point covers.
pub const STEP: i64 = 10;
/// Points over which the rate is taken: a minute.
const RATE: usize = 6;
/// Different groups that are counted; a gateway that makes up tools must not fill the memory.
pub const MOST: usize = 10_000;

/// The calls of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Calls.
    pub calls: u64,
    /// Of them denied.
    pub denies: u64,
    /// The newest.
    pub last: Timestamp,
    /// The step of the newest point.
    newest: i64,
    points: [u32; STEPS],
}

impl Group {
    fn add(&mut self, row: &Row) {
        self.calls += u64::from(!row.again);
        self.denies += u64::from(row.verdict() == Some(Verdict::Deny));
        self.last = self.last.max(row.ts);
        let step = row.ts.secs().div_euclid(STEP);
        if step > self.newest {
            let by = usize::try_from(step - self.newest).unwrap_or(STEPS).min(STEPS);
            self.points.rotate_left(by);
            for point in self.points.iter_mut().rev().take(by) {
                *point = 0;
            }
            self.newest = step;
        }
        if let Some(point) = self.point(step) {
            *point = point.saturating_add(u32::from(!row.again));
        }
    }

    fn remove(&mut self, row: &Row) {
        self.calls = self.calls.saturating_sub(u64::from(!row.again));
        self.denies = self.denies.saturating_sub(u64::from(row.verdict() == Some(Verdict::Deny)));
        if let Some(point) = self.point(row.ts.secs().div_euclid(STEP)) {
            *point = point.saturating_sub(u32::from(!row.again));
        }
    }

    fn point(&mut self, step: i64) -> Option<&mut u32> {
        let behind = usize::try_from(self.newest.checked_sub(step)?).ok()?;
        self.points.get_mut((STEPS - 1).checked_sub(behind)?)
    }

    /// Calls in each of the last [`STEPS`] times [`STEP`] seconds before `now`, the oldest first.
    pub fn sparkline(&self, now: Timestamp) -> Vec<u64> {
        let last = now.secs().div_euclid(STEP);
        let steps = i64::try_from(STEPS).unwrap_or(0);
        (last - steps + 1..=last)
            .map(|step| {
                let behind = self.newest.checked_sub(step).and_then(|behind| usize::try_from(behind).ok());
                let at = behind.and_then(|behind| (STEPS - 1).checked_sub(behind));
                at.and_then(|at| self.points.get(at)).map_or(0, |point| u64::from(*point))
            })
            .collect()
    }

    /// Calls in the last minute before `now`.
    pub fn per_minute(&self, now: Timestamp) -> u64 {
        self.sparkline(now).iter().rev().take(RATE).sum()
    }
}

/// By what groups are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The most calls first.
    #[default]
    Calls,
    /// The most denied first.
    Denies,
    /// The busiest in the last minute first.
    Rate,
    /// The last seen first.
    Last,
    /// By name; minutes the newest first.
    Name,
}

impl Order {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Calls => Self::Denies,
            Self::Denies => Self::Rate,
            Self::Rate => Self::Last,
            Self::Last => Self::Name,
            Self::Name => Self::Calls,
        }
    }

    /// The column that it goes by.
    pub fn title(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Denies => "denied",
            Self::Rate => "rate",
            Self::Last => "last seen",
            Self::Name => "name",
        }
    }
}

/// The groups.
#[derive(Debug, Clone)]
pub struct Tally {
    /// By what they are made.
    pub by: By,
    groups: HashMap<Key, Group>,
    /// Rows of groups beyond [`MOST`].
    pub others: Group,
}

impl Tally {
    /// No rows yet.
    pub fn new(by: By) -> Self {
        Self { by, groups: HashMap::new(), others: Group::default() }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A group.
    pub fn get(&self, key: Key) -> Option<&Group> {
        self.groups.get(&key)
    }

    /// The groups in an order; equal ones by name.
    pub fn sorted(&self, order: Order, names: &Names, now: Timestamp) -> Vec<(Key, &Group)> {
        let mut groups: Vec<(Key, &Group)> = self.groups.iter().map(|(key, group)| (*key, group)).collect();
        let weight = |group: &Group| match order {
            Order::Calls => group.calls,
            Order::Denies => group.denies,
            Order::Rate => group.per_minute(now),
            Order::Last => u64::try_from(group.last.0).unwrap_or(0),
            Order::Name => 0,
        };
        groups.sort_by_cached_key(|(key, group)| {
            let (minute, name) = match key {
                Key::Minute(at) => (at.saturating_neg(), ""),
                Key::Name(name) => (0, names.text(*name)),
            };
            (std::cmp::Reverse(weight(group)), minute, name)
        });
        groups
    }
}

impl Counts for Tally {
    fn add(&mut self, _: u64, row: &Row) {
        if row.verdict().is_none() {
            return;
        }
        let key = self.by.key(row);
        if let Some(group) = self.groups.get_mut(&key) {
            group.add(row);
        } else if self.groups.len() < MOST {
            self.groups.entry(key).or_default().add(row);
        } else {
            self.others.add(row);
        }
    }

    fn remove(&mut self, _: u64, row: &Row) {
        if row.verdict().is_none() {
            return;
        }
        let key = self.by.key(row);
        let Some(group) = self.groups.get_mut(&key) else {
            self.others.remove(row);
            return;
        };
        group.remove(row);
        if group.calls == 0 && group.denies == 0 {
            self.groups.remove(&key);
        }
    }
}

/// The terms of a filter that lets only a group's rows through.
pub fn terms(by: By, key: Key, names: &Names) -> String {
    match key {
        Key::Minute(at) => {
            let end = Timestamp::from_secs(at.saturating_add(60));
            format!("since:{} until:{end}", Timestamp::from_secs(at))
        }
        Key::Name(name) => format!("{}:{}", by.title(), crate::filter::quoted(names.text(name))),
    }
}
