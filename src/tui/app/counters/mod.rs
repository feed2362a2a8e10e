//! Every limit that was seen, as a gauge: used, max, time to reset, rate, projected exhaustion.

pub mod keys;

use std::collections::{BTreeMap, VecDeque};

use crate::feed::message::ServerCounter;
use crate::policy::counter::Amount;
use crate::record::{CounterState, Decision};
use crate::time::Timestamp;

/// Different gauges that are kept; a gateway that makes up counters must not fill the memory.
const MOST: usize = 10_000;

/// Seconds that one point of a gauge's history covers.
const STEP: i64 = 2;

/// Points of history that are kept.
pub const POINTS: usize = 60;

/// Seconds over which the rate is taken.
const RATE_OVER: i64 = 30;

/// Which gauge: a counter's key with the server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GaugeKey {
    /// The server.
    pub server: String,
    /// The counter.
    pub counter: String,
    /// The scope: `grant`, `server` or `session`.
    pub scope: String,
    /// The scope's value.
    pub key: String,
    /// The window in seconds.
    pub window: u64,
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
    /// The tool that counted last, where known.
    pub tool: String,
    /// Points of time (in steps) and what was counted in each.
    history: VecDeque<(i64, f64)>,
}

/// A gauge as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// Which one.
    pub key: &'a GaugeKey,
    /// Its last state.
    pub gauge: &'a Gauge,
    /// What it holds now: nothing once its window is over.
    pub used: Amount,
    /// From 0 to 1 and beyond.
    pub fraction: f64,
    /// Milliseconds until it is empty again; 0 when it is.
    pub resets_in_ms: u64,
    /// What is counted in a minute at the present rate.
    pub per_minute: f64,
    /// Seconds until it is full at the present rate, where that is before the reset.
    pub full_in: Option<f64>,
}

/// The Counters screen's place: which gauge is selected and which is the first in view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountersScreen {
    /// The selected gauge, by its place in the order shown.
    pub selected: usize,
    /// The first gauge in view.
    pub top: usize,
    /// How many fit, from the last drawing.
    pub height: usize,
}

impl CountersScreen {
    /// Moves the selection within `count` gauges and keeps it in view.
    pub fn move_by(&mut self, by: isize, count: usize) {
        self.selected = self.selected.saturating_add_signed(by).min(count.saturating_sub(1));
        self.show();
    }

    /// How many gauges fit.
    pub fn set_height(&mut self, height: usize) {
        self.height = height.max(1);
        self.show();
    }

    fn show(&mut self) {
        if self.selected < self.top {
            self.top = self.selected;
        } else if self.selected >= self.top + self.height {
            self.top = self.selected + 1 - self.height.max(1);
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    gauges: BTreeMap<GaugeKey, Gauge>,
}

impl Counters {
    /// Takes in a decision's counters.
    pub fn decision(&mut self, decision: &Decision) {
        for state in &decision.counters {
            let denied = !decision.counted
                && decision
                    .rule
                    .ends_with(&format!("/limits/{}", crate::json::pointer::escape(&state.counter)));
            self.take(&decision.server, state, decision.ts, decision.tool.as_deref(), denied);
        }
    }

    /// Takes in a gateway's own account.
    pub fn state(&mut self, ts: Timestamp, counters: &[ServerCounter]) {
        for counter in counters {
            self.take(&counter.server, &counter.state, ts, None, false);
        }
    }

    fn take(&mut self, server: &str, state: &CounterState, ts: Timestamp, tool: Option<&str>, denied: bool) {
        let key = GaugeKey {
            server: server.to_owned(),
            counter: state.counter.clone(),
            scope: state.scope.clone(),
            key: state.key.clone(),
            window: state.window,
        };
        if self.gauges.len() >= MOST && !self.gauges.contains_key(&key) {
            return;
        }
        let gauge = self.gauges.entry(key).or_insert_with(|| Gauge {
            used: Amount::ZERO,
            max: state.max,
            resets_at: state.resets_at,
            denied: 0,
            tool: String::new(),
            history: VecDeque::new(),
        });
        // An account that is older than what is known (two gateways share the counter) says
        // nothing about this window.
        if state.resets_at < gauge.resets_at {
            return;
        }
        let before = if state.resets_at > gauge.resets_at { Amount::ZERO } else { gauge.used };
        if state.used > before {
            let step = ts.secs().div_euclid(STEP);
            let counted = Amount(state.used.0 - before.0).as_f64();
            match gauge.history.back_mut() {
                Some((last, sum)) if *last == step => *sum += counted,
                _ => gauge.history.push_back((step, counted)),
            }
            while gauge.history.len() > POINTS {
                gauge.history.pop_front();
            }
        }
        gauge.used = state.used;
        gauge.max = state.max;
        gauge.resets_at = state.resets_at;
        gauge.denied += u64::from(denied);
        if let Some(tool) = tool {
            tool.clone_into(&mut gauge.tool);
        }
    }

    /// The gauges at `now`, the fullest first, then by name.
    pub fn readings(&self, now: Timestamp) -> Vec<Reading<'_>> {
        let mut readings: Vec<Reading<'_>> =
            self.gauges.iter().map(|(key, gauge)| reading(key, gauge, now)).collect();
        readings.sort_by(|a, b| b.fraction.total_cmp(&a.fraction).then_with(|| a.key.cmp(b.key)));
        readings
    }

    /// How many gauges there are.
    pub fn len(&self) -> usize {
        self.gauges.len()
    }

    /// Whether no limit was seen yet.
    pub fn is_empty(&self) -> bool {
        self.gauges.is_empty()
    }
}

impl Gauge {
    /// What was counted in each of the last `points` steps, oldest first.
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
}

fn reading<'a>(key: &'a GaugeKey, gauge: &'a Gauge, now: Timestamp) -> Reading<'a> {
    let resets_in_ms = now.millis_until(gauge.resets_at);
    let used = if resets_in_ms == 0 { Amount::ZERO } else { gauge.used };
    let max = gauge.max.as_f64();
    let fraction = if max > 0.0 {
        used.as_f64() / max
    } else if used > Amount::ZERO || gauge.max == Amount::ZERO {
        1.0
    } else {
        0.0
    };
    let since = (now.secs() - RATE_OVER).div_euclid(STEP);
    let recent: f64 = gauge.history.iter().filter(|(step, _)| *step > since).map(|(_, sum)| sum).sum();
    let per_second = recent / 30.0;
    let left = max - used.as_f64();
    let full_in = (per_second > 0.0 && left > 0.0).then(|| left / per_second);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a window")]
    let before_reset = |seconds: &f64| *seconds * 1000.0 < resets_in_ms as f64;
    Reading {
        key,
        gauge,
        used,
        fraction,
        resets_in_ms,
        per_minute: per_second * 60.0,
        full_in: full_in.filter(before_reset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(used: &str, resets_at: i64) -> ServerCounter {
        ServerCounter {
            server: "docker".to_owned(),
            state: CounterState {
                counter: "pull_rate".to_owned(),
                scope: "grant".to_owned(),
                key: "local".to_owned(),
                window: 60,
                used: Amount::parse(used).expect("amount"),
                max: Amount::parse("30").expect("amount"),
                resets_at: Timestamp::from_secs(resets_at),
            },
        }
    }

    #[test]
    fn empties_when_the_window_is_over() {
        let mut counters = Counters::default();
        counters.state(Timestamp::from_secs(30), &[counter("15", 60)]);
        let now = counters.readings(Timestamp::from_secs(31));
        assert_eq!(now[0].used, Amount::parse("15").expect("amount"));
        assert!((now[0].fraction - 0.5).abs() < 1e-9);
        assert_eq!(now[0].resets_in_ms, 29_000);
        let later = counters.readings(Timestamp::from_secs(60));
        assert_eq!(later[0].used, Amount::ZERO);
        assert_eq!(later[0].resets_in_ms, 0);
    }

    #[test]
    fn projects_exhaustion_only_before_the_reset() {
        let mut counters = Counters::default();
        counters.state(Timestamp::from_secs(0), &[counter("10", 60)]);
        counters.state(Timestamp::from_secs(10), &[counter("20", 60)]);
        let reading = &counters.readings(Timestamp::from_secs(10))[0];
        assert!((reading.per_minute - 40.0).abs() < 1e-6, "{}", reading.per_minute);
        assert!((reading.full_in.expect("soon") - 15.0).abs() < 1e-6);
        let reading = &counters.readings(Timestamp::from_secs(50))[0];
        assert_eq!(reading.full_in, None);
    }

    #[test]
    fn an_older_account_of_a_shared_counter_changes_nothing() {
        let mut counters = Counters::default();
        counters.state(Timestamp::from_secs(61), &[counter("3", 120)]);
        counters.state(Timestamp::from_secs(62), &[counter("29", 60)]);
        assert_eq!(counters.readings(Timestamp::from_secs(62))[0].used, Amount::parse("3").expect("amount"));
        assert_eq!(
            counters.readings(Timestamp::from_secs(62))[0].gauge.sparkline(Timestamp::from_secs(62), 3),
            [0, 3, 0]
        );
    }
}
