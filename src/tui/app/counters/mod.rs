//! Every limit that was seen, as a gauge: used, max, time to reset, rate, projected exhaustion, who
//! uses it up, and how its past windows ended.

pub mod detail;
pub mod gauge;
pub mod keys;

use std::collections::BTreeMap;

pub use self::gauge::{Gauge, Past, Share};
use super::{App, Kind};
use crate::feed::message::ServerCounter;
use crate::policy::counter::Amount;
use crate::record::{CounterState, Decision};
use crate::time::Timestamp;

/// Different gauges that are kept; a gateway that makes up counters must not fill the memory.
const MOST: usize = 10_000;

/// The longest names of a gauge, in bytes: endless ones must not fill it either.
const LONGEST: usize = 4 * 1024;

/// The part of a limit, in percent, from which on it is near, unless the person says otherwise.
pub const WARN_AT: u8 = 80;

/// What the person can choose from; `None` never warns.
const CHOICES: [Option<u8>; 5] = [Some(50), Some(WARN_AT), Some(90), Some(95), None];

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

impl GaugeKey {
    /// The bytes of its names.
    fn len(&self) -> usize {
        self.server.len() + self.counter.len() + self.scope.len() + self.key.len()
    }

    /// As sentences name it: `pull_rate of docker (grant local)`.
    pub fn name(&self) -> String {
        let show = crate::visible::visible;
        let whose = match self.scope.as_str() {
            "server" => String::new(),
            scope => format!(" ({} {})", show(scope), show(&self.key)),
        };
        format!("{} of {}{whose}", show(&self.counter), show(&self.server))
    }
}

/// What a gauge will come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// There is no room: calls are denied until it resets.
    Full,
    /// Full in so many seconds at the present rate, before it resets.
    FullIn(f64),
    /// At the present rate it resets before it is full.
    Holds,
    /// Nothing is counted at present.
    Idle,
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
    /// What it will come to.
    pub outlook: Outlook,
}

impl Reading<'_> {
    /// Seconds until calls are denied, for the order: full ones first, then those that will be.
    fn nearness(&self) -> f64 {
        match self.outlook {
            Outlook::Full => 0.0,
            Outlook::FullIn(seconds) => seconds,
            Outlook::Holds | Outlook::Idle => f64::INFINITY,
        }
    }

    /// The outlook in words.
    pub fn outlook_words(&self) -> String {
        match self.outlook {
            Outlook::Full => "full, denies".to_owned(),
            Outlook::FullIn(seconds) => format!("full in {}", short(seconds)),
            Outlook::Holds => "holds until reset".to_owned(),
            Outlook::Idle => String::new(),
        }
    }
}

/// Seconds in their largest unit.
fn short(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} m", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3_600.0)
    }
}

/// The Counters screen's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountersScreen {
    /// The selected gauge: the order changes as they fill.
    pub selected: Option<GaugeKey>,
    /// The first gauge in view.
    pub top: usize,
    /// How many fit, from the last drawing.
    pub height: usize,
    /// The detail has the whole screen.
    pub whole: bool,
    /// The order is that of the names, not of how near they are to their limit.
    pub by_name: bool,
    /// From what part of a limit on it is near, in percent; `None`: nobody is warned.
    pub warn_at: Option<u8>,
    /// When a warning was last given, in milliseconds of `Now::ms`.
    warned_at: Option<u64>,
}

impl Default for CountersScreen {
    fn default() -> Self {
        Self {
            selected: None,
            top: 0,
            height: 1,
            whole: false,
            by_name: false,
            warn_at: Some(WARN_AT),
            warned_at: None,
        }
    }
}

impl CountersScreen {
    /// The selected gauge's place among the readings; the first while it is not there.
    pub fn index(&self, readings: &[Reading<'_>]) -> usize {
        let at = |key: &GaugeKey| readings.iter().position(|reading| reading.key == key);
        self.selected.as_ref().and_then(at).unwrap_or(0)
    }

    /// The next threshold of those that can be chosen.
    fn next_threshold(&mut self) {
        let at = CHOICES.iter().position(|choice| *choice == self.warn_at).unwrap_or(0);
        self.warn_at = CHOICES.get((at + 1) % CHOICES.len()).copied().flatten();
    }

    /// Whether this part of a limit, from 0 to 1, is near it.
    pub fn is_near(&self, fraction: f64) -> bool {
        self.warn_at.is_some_and(|percent| fraction * 100.0 >= f64::from(percent))
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    gauges: BTreeMap<GaugeKey, Gauge>,
    /// Those that came near their limit since this was last asked.
    near: Vec<GaugeKey>,
    /// Accounts of counters that are not among those that are kept.
    others: u64,
    /// How many there are when room is looked for again.
    looks_at: u64,
}

impl Counters {
    /// Takes in a decision's counters. `warn_at`: from which percentage on a gauge is near.
    pub fn decision(&mut self, decision: &Decision, warn_at: Option<u8>) {
        for state in &decision.counters {
            let denied = !decision.counted
                && decision
                    .rule
                    .ends_with(&format!("/limits/{}", crate::json::pointer::escape(&state.counter)));
            let who = (decision.grant.as_str(), decision.tool.as_deref().unwrap_or(""));
            let by = gauge::By { who: Some(who), counted: decision.counted, denied };
            self.take(&decision.server, state, decision.ts, &by, warn_at);
        }
    }

    /// Takes in a gateway's own account.
    pub fn state(&mut self, ts: Timestamp, counters: &[ServerCounter], warn_at: Option<u8>) {
        let by = gauge::By { who: None, counted: false, denied: false };
        for counter in counters {
            self.take(&counter.server, &counter.state, ts, &by, warn_at);
        }
    }

    fn take(
        &mut self,
        server: &str,
        state: &CounterState,
        ts: Timestamp,
        by: &gauge::By<'_>,
        warn_at: Option<u8>,
    ) {
        let key = GaugeKey {
            server: server.to_owned(),
            counter: state.counter.clone(),
            scope: state.scope.clone(),
            key: state.key.clone(),
            window: state.window,
        };
        if let Some(gauge) = self.gauges.get_mut(&key) {
            let came_near = gauge.take(state, ts, by, warn_at);
            if came_near && self.near.len() < MOST {
                self.near.push(key);
            }
        } else if key.len() <= LONGEST && self.has_room(ts) {
            self.gauges.insert(key, Gauge::new(state, ts, by));
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// Whether another gauge is kept: those whose windows are long over give way, half of them at once.
    /// Where there are none they are not looked for at every account.
    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.gauges.len() < MOST {
            return true;
        }
        if self.others < self.looks_at {
            return false;
        }
        let mut over: Vec<Timestamp> =
            self.gauges.values().map(|gauge| gauge.resets_at).filter(|at| *at < now).collect();
        over.sort_unstable();
        match over.get(over.len() / 2) {
            Some(middle) => self.gauges.retain(|_, gauge| gauge.resets_at > *middle),
            None => self.looks_at = self.others.saturating_add(MOST as u64),
        }
        self.gauges.len() < MOST
    }

    /// Accounts of counters that are not kept, because there are too many different ones.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// The gauges at `now`: those that are full or will be soonest first, then the fullest, then by
    /// name; or all by name.
    pub fn readings(&self, now: Timestamp, by_name: bool) -> Vec<Reading<'_>> {
        let mut readings: Vec<Reading<'_>> =
            self.gauges.iter().map(|(key, gauge)| gauge.reading(key, now)).collect();
        if !by_name {
            readings.sort_by(|a, b| {
                let near = a.nearness().total_cmp(&b.nearness());
                near.then_with(|| b.fraction.total_cmp(&a.fraction)).then_with(|| a.key.cmp(b.key))
            });
        }
        readings
    }

    /// What a gauge holds now, and its limit.
    pub fn get(&self, key: &GaugeKey, now: Timestamp) -> Option<(Amount, Amount)> {
        let (key, gauge) = self.gauges.get_key_value(key)?;
        Some((gauge.reading(key, now).used, gauge.max))
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

impl App {
    /// The gauges in the order of the screen.
    pub fn readings(&self) -> Vec<Reading<'_>> {
        self.counters.readings(self.now.ts, self.counters_screen.by_name)
    }

    /// Keeps a gauge that is there selected and in view.
    pub(super) fn settle_counters(&mut self) {
        let (at, count) = {
            let readings = self.readings();
            let at = self.counters_screen.index(&readings);
            (at, readings.len())
        };
        let screen = &mut self.counters_screen;
        let height = screen.height.max(1);
        if at < screen.top {
            screen.top = at;
        } else if at >= screen.top + height {
            screen.top = at + 1 - height;
        }
        screen.top = screen.top.min(count.saturating_sub(height));
    }

    /// Says which limits came near, at most every three seconds.
    pub(super) fn warn_of_limits(&mut self) {
        if self.counters.near.is_empty() {
            return;
        }
        let now = self.now.ms;
        let waits = |at: u64| now.saturating_sub(at) < 3_000;
        if self.counters_screen.warned_at.is_some_and(waits) {
            return;
        }
        let mut near = std::mem::take(&mut self.counters.near);
        near.dedup();
        // The worst of those that are still near names the others.
        let reading = |key: &GaugeKey| {
            let (key, gauge) = self.counters.gauges.get_key_value(key)?;
            let reading = gauge.reading(key, self.now.ts);
            self.counters_screen.is_near(reading.fraction).then_some(reading)
        };
        let mut still: Vec<Reading<'_>> = near.iter().filter_map(reading).collect();
        still.sort_by(|a, b| b.fraction.total_cmp(&a.fraction));
        let Some(worst) = still.first() else { return };
        let more = match still.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more near their limit"),
        };
        let outlook = match worst.outlook {
            Outlook::FullIn(_) => format!(", {} at this rate", worst.outlook_words()),
            Outlook::Full => ": full, calls are denied".to_owned(),
            Outlook::Holds | Outlook::Idle => String::new(),
        };
        let text = format!("{}: {}/{}{outlook}{more}", worst.key.name(), worst.used, worst.gauge.max);
        self.counters_screen.warned_at = Some(now);
        self.toast(Kind::Warn, text);
    }
}

#[cfg(test)]
mod tests;
