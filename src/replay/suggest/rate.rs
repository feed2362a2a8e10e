//! How often a tool was called: the fullest window of each length.

use std::collections::HashMap;

use crate::policy::counter::{Caller, window_start};
use crate::time::Timestamp;

/// At most so many grants are told apart; further ones share one account, which only makes a peak
/// higher.
const MOST_GRANTS: usize = 1_000;

/// The most calls of one grant within one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peak {
    pub(super) calls: u64,
    /// When the window began.
    pub(super) at: Timestamp,
}

/// The windows that are counted: a minute and a day.
pub(super) const WINDOWS: [u64; 2] = [60, 86_400];

#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    /// Where each server and grant has its windows.
    places: HashMap<(String, String), usize>,
    open: Vec<[Open; 2]>,
    /// The server and grant of the last call: the next one mostly has the same.
    last: Option<(String, String, usize)>,
    peaks: [Option<Peak>; 2],
}

/// A window that is being counted.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    start: Timestamp,
    calls: u64,
}

impl Rates {
    pub(super) fn count(&mut self, ts: Timestamp, caller: &Caller<'_>) {
        let place = self.place(caller);
        let Some(open) = self.open.get_mut(place) else { return };
        for ((open, peak), window) in open.iter_mut().zip(&mut self.peaks).zip(WINDOWS) {
            // As counters do: a window that is later than now stays.
            let start = window_start(ts, window).max(open.start);
            if start > open.start {
                *open = Open { start, calls: 0 };
            }
            open.calls += 1;
            if peak.is_none_or(|peak| peak.calls < open.calls) {
                *peak = Some(Peak { calls: open.calls, at: start });
            }
        }
    }

    fn place(&mut self, caller: &Caller<'_>) -> usize {
        if let Some((server, grant, place)) = &self.last
            && server == caller.server
            && grant == caller.grant
        {
            return *place;
        }
        let mut key = (caller.server.to_owned(), caller.grant.to_owned());
        if self.places.len() >= MOST_GRANTS && !self.places.contains_key(&key) {
            key = (String::new(), String::new());
        }
        let next = self.open.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.open.push([Open { start: Timestamp(i64::MIN), calls: 0 }; 2]);
        }
        self.last = Some((caller.server.to_owned(), caller.grant.to_owned(), place));
        place
    }

    /// The fullest window of a length.
    pub(super) fn peak(&self, window: u64) -> Option<Peak> {
        let index = WINDOWS.iter().position(|length| *length == window)?;
        self.peaks.get(index).copied().flatten()
    }
}
