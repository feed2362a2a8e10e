//! What is counted as it is recorded: decisions, outcomes, and how the journal fares.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::gateway::lock;
use crate::record::{Decision, Record, Status, Verdict};

/// How many combinations of server, tool, rule and decision are told apart.
const SERIES: usize = 1000;
/// How many of them the names in calls that no rule of a policy decided may take: an agent can
/// invent as many as it likes.
const INVENTED: usize = SERIES / 2;
/// What stands for everything beyond that.
const OTHER: &str = "(other)";

/// One combination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) rule: String,
    pub(super) decision: &'static str,
}

/// By server, tool and rule: how often each decision was made.
type Calls = HashMap<String, HashMap<String, HashMap<String, [u64; 3]>>>;

/// Everything that is counted.
#[derive(Debug)]
pub(in crate::gateway) struct Meters {
    calls: Mutex<Calls>,
    series: AtomicU64,
    invented: AtomicU64,
    outcomes: [AtomicU64; 5],
    pub(super) decide: Histogram,
    pub(super) upstream: Histogram,
    bytes: AtomicU64,
    errors: AtomicU64,
}

const DECISIONS: [&str; 3] = ["allow", "deny", "approve"];
const STATUSES: [&str; 5] = ["ok", "tool_error", "rpc_error", "cancelled", "lost"];

impl Default for Meters {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            series: AtomicU64::new(0),
            invented: AtomicU64::new(0),
            outcomes: Default::default(),
            // From a microsecond to a quarter of a second, and from a millisecond to two minutes.
            decide: Histogram::new(exponential_buckets(1e-6, 2.0, 19)),
            upstream: Histogram::new(exponential_buckets(1e-3, 2.0, 18)),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }
}

impl Meters {
    /// So many bytes were written to the journal.
    pub(in crate::gateway) fn wrote(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A record is in the journal.
    pub(in crate::gateway) fn recorded(&self, record: &Record) {
        match record {
            Record::Decision(decision) => {
                self.decide.observe(decision.decide_us / 1e6);
                self.decided(decision);
            }
            Record::Outcome(outcome) => {
                let at = match outcome.status {
                    Status::Ok => 0,
                    Status::ToolError => 1,
                    Status::RpcError => 2,
                    Status::Cancelled => 3,
                    Status::Lost => 4,
                };
                if let Some(count) = self.outcomes.get(at) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                #[expect(clippy::cast_precision_loss, reason = "microseconds of a call are far below 2^52")]
                self.upstream.observe(outcome.upstream_us as f64 / 1e6);
            }
            Record::Event(_) => {}
        }
    }

    /// The journal could not be written.
    pub(in crate::gateway) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    fn decided(&self, decision: &Decision) {
        let tool = decision.tool.as_deref().unwrap_or("");
        let at = match decision.decision {
            Verdict::Allow => 0,
            Verdict::Deny => 1,
            Verdict::Approve => 2,
        };
        let mut calls = lock(&self.calls);
        let known = calls
            .get_mut(&decision.server)
            .and_then(|tools| tools.get_mut(tool))
            .and_then(|rules| rules.get_mut(&decision.rule));
        if let Some(counts) = known {
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
            return;
        }
        // A tool that decided by its own entry stands in the policy; any other may be invented.
        let named = decision.pointer.as_deref().is_some_and(|pointer| pointer.starts_with("/tools/"));
        let room = |taken: &AtomicU64, most: usize| taken.load(Ordering::Relaxed) < most as u64;
        let fits = room(&self.series, SERIES) && (named || room(&self.invented, INVENTED));
        let (tool, rule) = if fits {
            self.series.fetch_add(1, Ordering::Relaxed);
            self.invented.fetch_add(u64::from(!named), Ordering::Relaxed);
            (tool, decision.rule.as_str())
        } else {
            (OTHER, OTHER)
        };
        let tools = calls.entry(decision.server.clone()).or_default();
        let counts = tools.entry(tool.to_owned()).or_default().entry(rule.to_owned()).or_default();
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }

    /// How often each combination was decided.
    pub(super) fn calls(&self) -> Vec<(Series, u64)> {
        let mut found = Vec::new();
        for (server, tools) in lock(&self.calls).iter() {
            for (tool, rules) in tools {
                for (rule, counts) in rules {
                    for (decision, count) in DECISIONS.iter().zip(counts).filter(|(_, count)| **count > 0) {
                        let (server, tool, rule) = (server.clone(), tool.clone(), rule.clone());
                        found.push((Series { server, tool, rule, decision }, *count));
                    }
                }
            }
        }
        found.sort();
        found
    }

    /// How often calls ended in each way.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        STATUSES.iter().zip(&self.outcomes).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
    }

    /// Bytes that were written to the journal.
    pub(in crate::gateway) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often it could not be written.
    pub(in crate::gateway) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::desk::recorder::Recorder;
    use crate::time::Timestamp;

    fn decision(tool: &str, rule: &str, pointer: &str, verdict: Verdict) -> Record {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, _) = Recorder::open(folder.path().to_owned(), "g1".to_owned());
        let mut decision = recorder.decision(Timestamp(0), "s", "g", None);
        decision.tool = Some(tool.to_owned());
        decision.rule = rule.to_owned();
        decision.pointer = Some(pointer.to_owned());
        decision.decision = verdict;
        Record::Decision(decision)
    }

    #[test]
    fn invented_names_leave_room_for_the_policys_own() {
        let meters = Meters::default();
        let mut record = decision("", "(default deny)", "/default", Verdict::Deny);
        for index in 0..3 * SERIES {
            if let Record::Decision(decision) = &mut record {
                decision.tool = Some(format!("t{index}"));
            }
            meters.recorded(&record);
        }
        meters.recorded(&decision("real", "/tools/real/action", "/tools/real/action", Verdict::Deny));
        meters.recorded(&decision("real", "", "/tools/real", Verdict::Allow));
        let calls = meters.calls();
        assert!(calls.len() <= SERIES + 2, "{}", calls.len());
        let of = |tool: &str| calls.iter().filter(|(s, _)| s.tool == tool).map(|(_, n)| *n).sum::<u64>();
        assert_eq!(of("real"), 2);
        assert_eq!(of(OTHER), (3 * SERIES - INVENTED) as u64);
        assert_eq!(calls.iter().map(|(_, n)| *n).sum::<u64>(), 3 * SERIES as u64 + 2);
    }
}
