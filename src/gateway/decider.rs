//! The decision about one call: the policy in force, what stands above it (freezes, overrides),
//! and the counters.

use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;

use super::link::lock;
use crate::mcp::envelope::ToolCall;
use crate::policy::counter::Taken;
use crate::policy::decide::{Denial, Listed};
use crate::record::{CounterState, Verdict};
use crate::time::Timestamp;

/// A call's decision, as it is recorded and answered.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) decision: Verdict,
    pub(super) enforced: bool,
    /// A denied call of an invisible tool is answered as one of an unknown tool.
    pub(super) visible: bool,
    pub(super) rule: String,
    pub(super) pointer: Option<String>,
    pub(super) message: String,
    pub(super) policy: Option<String>,
    pub(super) counters: Vec<CounterState>,
    pub(super) counted: bool,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) taken: Vec<Taken>,
}

/// The policy in force.
#[derive(Debug, Default)]
pub(super) struct InForce {}

impl InForce {
    pub(super) fn hides_anything(&self) -> bool {
        false
    }
}

/// Decides calls.
#[derive(Debug, Default)]
pub(super) struct Decider {
    in_force: Mutex<Arc<InForce>>,
}

impl Decider {
    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&lock(&self.in_force))
    }
    pub(super) fn fail_open(&self) -> bool {
        false
    }
    pub(super) fn revision(&self) -> Option<String> {
        None
    }
    pub(super) fn recorded_arguments(&self, _call: &ToolCall<'_, '_>) -> Option<Box<RawValue>> {
        None
    }
    pub(super) fn decide(&self, _call: &ToolCall<'_, '_>, _listed: Listed, _now: Timestamp) -> Decided {
        Decided {
            decision: Verdict::Allow,
            enforced: true,
            visible: true,
            rule: String::new(),
            pointer: None,
            message: String::new(),
            policy: None,
            counters: Vec::new(),
            counted: false,
            retry_after_ms: None,
            taken: Vec::new(),
        }
    }
    pub(super) fn release(&self, _taken: &[Taken]) -> bool {
        false
    }
}

pub(super) fn malformed(message: String) -> Denial {
    Denial { rule: "(malformed)".to_owned(), pointer: None, message, visible: true }
}

pub(super) fn unavailable(message: String) -> Denial {
    Denial { rule: "(unavailable)".to_owned(), pointer: None, message, visible: true }
}
