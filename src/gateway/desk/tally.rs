//! How often each method was asked for. Only calls and refusals are recorded; the rest is counted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::gateway::lock;

/// How many different methods are told apart; the rest is counted together.
const METHODS: usize = 64;

/// Counts requests by method.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// Counts one request. Calls have records of their own.
    pub(in crate::gateway) fn count(&self, method: &str) {
        if method == crate::mcp::envelope::TOOLS_CALL {
            return;
        }
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(method) {
            *count += 1;
        } else {
            let name = if counts.len() < METHODS && method.len() <= 128 { method } else { "(other)" };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// What was counted so far.
    pub(in crate::gateway) fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }
}
