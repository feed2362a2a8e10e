//! One gauge: what a counter holds, who counted it, how fast it fills, how past windows ended.

use std::collections::{BTreeMap, VecDeque};

use super::{GaugeKey, Outlook, Reading};
use crate::policy::counter::Amount;
use crate::record::CounterState;
use crate::time::Timestamp;

/// Seconds that one point of a gauge's history covers.
const STEP: i64 = 2;
/// Points of history that are kept.
pub const POINTS: usize = 60;
/// Seconds over which the rate is taken; of a long window over a minute more.
const RATE_OVER: i64 = 30;
const RATE_OVER_LONG: i64 = 90;
/// A window from which on it is long, in seconds.
const LONG: u64 = 600;
/// A rate over less than this says nothing, in seconds.
const RATE_LEAST: i64 = 10;
/// Past windows that are kept.
pub const WINDOWS: usize = 48;
/// Different users of a gauge that are told apart.
const USERS: usize = 64;

/// How a past window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When it ended.
    pub until: Timestamp,
    /// What it held then.
    pub used: Amount,
    /// The limit then.
    pub max: Amount,
}

/// What one tool of one grant counted in this window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// The amount.
    pub used: Amount,
    /// The calls.
    pub calls: u64,
    /// The calls that found no room.
    pub denied: u64,
}

/// What an account of a counter comes with.
pub(super) struct By<'a> {
    /// Whose decision it is: the grant and the tool; `None`: a gateway's own account.
    pub(super) who: Option<(&'a str, &'a str)>,
    /// The call was counted.
    pub(super) counted: bool,
    /// This limit denied the call.
    pub(super) denied: bool,
}

/// One gauge.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// What it holds, until `resets_at`.
    pub used: Amount,
    /// The limit.
    pub max: Amount,
    /// When it is empty again.
    pub resets_at: Timestamp,
    /// Calls that this limit denied, as far as this program saw.
    pub denied: u64,
    /// Who counted what in this window, by grant and tool, as far as this program saw.
    pub shares: BTreeMap<(String, String), Share>,
    /// How past windows ended, the oldest first.
    pub past: VecDeque<Past>,
    /// Points of time (in steps) and what was counted in each.
    history: VecDeque<(i64, f64)>,
    /// When it was first seen, in seconds.
    since: i64,
    /// Somebody counted exactly one: it counts calls.
    ones: bool,
}

impl Gauge {
    /// As it is first seen: what it holds already came at no known rate.
    pub(super) fn new(state: &CounterState, ts: Timestamp, by: &By<'_>) -> Self {
        let mut gauge = Self {
            used: state.used,
            max: state.max,
            resets_at: state.resets_at,
            denied: 0,
            shares: BTreeMap::new(),
            past: VecDeque::new(),
            history: VecDeque::new(),
            since: ts.secs(),
            ones: false,
        };
        if by.counted && state.used > Amount::ZERO {
            // One call's worth of it is this call's.
            let one = Amount::ONE.min(state.used);
            gauge.point(ts, one);
            gauge.share(by, one);
        } else {
            gauge.share(by, Amount::ZERO);
        }
        gauge
    }

    /// Takes an account in; whether it has just come near its limit.
    pub(super) fn take(
        &mut self,
        state: &CounterState,
        ts: Timestamp,
        by: &By<'_>,
        warn_at: Option<u8>,
    ) -> bool {
        // An account that is older than what is known (two gateways share the counter) says
        // nothing about this window.
        if state.resets_at < self.resets_at {
            return false;
        }
        if state.resets_at > self.resets_at {
            self.turn(state);
        }
        let near = |gauge: &Self| {
            let fraction = gauge.fraction(gauge.used);
            warn_at.is_some_and(|percent| fraction * 100.0 >= f64::from(percent))
        };
        let was_near = near(self);
        let before = self.used;
        let more = Amount(state.used.0.saturating_sub(before.0).max(0));
        if more > Amount::ZERO {
            self.point(ts, more);
        }
        // Gateways that share a counter tell of it in their own order: it only grows in a window,
        // but where what was reserved is given back. Then the gateway's own account says less.
        if by.who.is_none() || state.used > before {
            self.used = state.used;
        }
        self.max = state.max;
        self.denied += u64::from(by.denied);
        let mine = match by.counted {
            false => Amount::ZERO,
            true if more > Amount::ZERO => {
                self.ones |= more == Amount::ONE;
                // Where calls are counted, what is beyond one was counted by others meanwhile.
                if self.ones { Amount::ONE.min(more) } else { more }
            }
            // Told late: somebody else's account had it already.
            true => Amount::ONE.min(self.unseen()),
        };
        self.share(by, mine);
        near(self) && !was_near
    }

    /// Another window has begun.
    fn turn(&mut self, state: &CounterState) {
        self.past.push_back(Past { until: self.resets_at, used: self.used, max: self.max });
        // Windows in which nothing was counted were nobody's news.
        let span = i64::try_from(state.window.max(1).saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let mut until = self.resets_at.plus_micros(span);
        let mut empty = 0;
        while until < state.resets_at && empty < WINDOWS {
            self.past.push_back(Past { until, used: Amount::ZERO, max: self.max });
            until = until.plus_micros(span);
            empty += 1;
        }
        while self.past.len() > WINDOWS {
            self.past.pop_front();
        }
        self.shares.clear();
        self.used = Amount::ZERO;
        self.resets_at = state.resets_at;
    }

    fn point(&mut self, ts: Timestamp, amount: Amount) {
        let (step, counted) = (ts.secs().div_euclid(STEP), amount.as_f64());
        match self.history.back_mut() {
            Some((last, sum)) if *last >= step => *sum += counted,
            _ => self.history.push_back((step, counted)),
        }
        while self.history.len() > POINTS {
            self.history.pop_front();
        }
    }

    fn share(&mut self, by: &By<'_>, amount: Amount) {
        let Some((grant, tool)) = by.who.filter(|_| by.counted || by.denied) else { return };
        let key = (grant.to_owned(), tool.to_owned());
        if self.shares.len() >= USERS && !self.shares.contains_key(&key) {
            return;
        }
        let share = self.shares.entry(key).or_default();
        share.used = Amount(share.used.0.saturating_add(amount.0));
        share.calls += u64::from(by.counted);
        share.denied += u64::from(by.denied);
    }

    /// What was counted in this window by calls that this program did not see.
    pub fn unseen(&self) -> Amount {
        let seen = self.shares.values().fold(0, |sum, share| share.used.0.saturating_add(sum));
        Amount(self.used.0.saturating_sub(seen).max(0))
    }

    fn fraction(&self, used: Amount) -> f64 {
        let max = self.max.as_f64();
        if max > 0.0 {
            used.as_f64() / max
        } else if used > Amount::ZERO || self.max == Amount::ZERO {
            1.0
        } else {
            0.0
        }
    }

    /// What was counted in each of the last `points` steps of two seconds, the oldest first.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sparkline; clamped")]
    pub fn sparkline(&self, now: Timestamp, points: usize) -> Vec<u64> {
        let last = now.secs().div_euclid(STEP);
        let first = last - i64::try_from(points).unwrap_or(0) + 1;
        (first..=last)
            .map(|step| {
                let counted = self.history.iter().find(|(at, _)| *at == step).map_or(0.0, |(_, sum)| *sum);
                counted.ceil().clamp(0.0, 1e18) as u64
            })
            .collect()
    }

    /// How it stands at `now`.
    pub(super) fn reading<'a>(&'a self, key: &'a GaugeKey, now: Timestamp) -> Reading<'a> {
        let resets_in_ms = now.millis_until(self.resets_at);
        let used = if resets_in_ms == 0 { Amount::ZERO } else { self.used };
        let fraction = self.fraction(used);
        let longest = if key.window >= LONG { RATE_OVER_LONG } else { RATE_OVER };
        let over = now.secs().saturating_sub(self.since).clamp(RATE_LEAST, longest);
        let since = (now.secs() - over).div_euclid(STEP);
        let recent: f64 = self.history.iter().filter(|(step, _)| *step > since).map(|(_, sum)| sum).sum();
        #[expect(clippy::cast_precision_loss, reason = "at most a minute and a half")]
        let per_second = recent / over as f64;
        let left = self.max.as_f64() - used.as_f64();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a window")]
        let before_reset = |seconds: f64| seconds * 1000.0 < resets_in_ms as f64;
        let outlook = if fraction >= 1.0 {
            Outlook::Full
        } else if per_second <= 0.0 {
            Outlook::Idle
        } else if before_reset(left / per_second) {
            Outlook::FullIn(left / per_second)
        } else {
            Outlook::Holds
        };
        Reading { key, gauge: self, used, fraction, resets_in_ms, per_minute: per_second * 60.0, outlook }
    }
}
