//! A policy's word about recorded calls: what it decides short of its counters.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::masks::Masks;
use super::recorded::Origin;
use crate::json::Node;
use crate::policy::compiled::Compiled;
use crate::policy::decide::{Call, Circumstances, Override, Verdict};

/// A policy with what it says about each tool, as far as that is the same for all calls.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) policy: Arc<Compiled>,
    /// By the tool's number.
    plans: HashMap<u32, Plan>,
}

/// What is known of a tool before a call is seen.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The verdict, where no rule or limit reads the arguments.
    fixed: Option<Arc<Verdict>>,
    /// Whether calls count towards something.
    pub(super) limited: bool,
    /// Whether a limit counts a number from the call.
    pub(super) amounts: bool,
    /// Whether a call can need a person's approval.
    pub(super) asks: bool,
}

impl Judge {
    pub(super) fn new(policy: Arc<Compiled>) -> Self {
        Self { policy, plans: HashMap::new() }
    }

    /// Tools get new numbers.
    pub(super) fn forget(&mut self) {
        self.plans.clear();
    }

    /// What is known of a tool; `number` stands for its name.
    pub(super) fn plan(&mut self, number: u32, tool: &str) -> &Plan {
        let policy = &self.policy;
        let make = || {
            let call = Call { tool, arguments: None };
            let fixed = || Arc::new(policy.decide(&call, &Circumstances::default()));
            Plan {
                fixed: policy.paths(tool).is_empty().then(fixed),
                limited: policy.limits(tool).next().is_some(),
                amounts: policy.counts_amounts(tool),
                asks: policy.may_ask(tool),
            }
        };
        self.plans.entry(number).or_insert_with(make)
    }

    /// Whether the arguments matter for a tool.
    pub(super) fn reads(&mut self, number: u32, tool: &str) -> bool {
        self.plan(number, tool).fixed.is_none()
    }

    /// The verdict on a call; `None` when it cannot be told from what was kept of the arguments.
    pub(super) fn verdict(
        &mut self,
        number: u32,
        tool: &str,
        arguments: Option<&Node<'_>>,
        masks: Option<&Masks<'_>>,
        origin: Origin,
    ) -> Option<Arc<Verdict>> {
        let overridden = match origin {
            Origin::Allowed => Some(Override::Allow),
            Origin::Approved => Some(Override::Approved),
            _ => None,
        };
        if overridden.is_none()
            && let Some(fixed) = &self.plan(number, tool).fixed
        {
            return Some(Arc::clone(fixed));
        }
        let call = Call { tool, arguments };
        let circumstances = Circumstances { overridden, ..Circumstances::default() };
        let verdict = match masks {
            None => self.policy.decide(&call, &circumstances),
            Some(masks) => {
                masks.take_met();
                let verdict = self.policy.decide_veiled(&call, &circumstances, masks);
                if masks.take_met() {
                    return None;
                }
                verdict
            }
        };
        Some(Arc::new(verdict))
    }
}
