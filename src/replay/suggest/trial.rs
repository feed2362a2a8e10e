//! The suggested policy on the calls it was made of.

use foldhash::{HashMap, HashMapExt as _};

use super::{MOST_TOOLS, Used};
use crate::json;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{OwnedCaller, Want};
use crate::policy::decide::{Call, Charge, Circumstances, Verdict};
use crate::policy::memory::MemoryCounters;

/// At most so many different pointers are told.
const MOST_REFUSALS: usize = 1_000;
/// After so many calls counters whose windows are over are forgotten.
const FORGET: u64 = 4096;

/// A part of the policy that denied recorded calls, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its pointer.
    pub pointer: String,
    /// How many it denied.
    pub calls: u64,
    /// The tool of the first of them.
    pub tool: String,
}

/// Calls that were allowed, being decided under a policy, with counters on the recorded clock. What
/// was masked or cut is judged as it stands: nothing is suggested for it.
#[derive(Debug)]
pub struct Trial<'p> {
    policy: &'p Compiled,
    plans: HashMap<String, Plan>,
    /// The numbers of arguments that were found to pass.
    passed: Vec<bool>,
    counters: MemoryCounters,
    calls: u64,
    denied: u64,
    refused: Refused,
}

/// By pointer: how many calls it denied, and the tool of the first.
type Refused = HashMap<String, (u64, String)>;

/// What is known of a tool.
#[derive(Debug)]
struct Plan {
    /// Something reads the arguments.
    reads: bool,
    /// Every call that is allowed counts the same.
    steady: bool,
    /// What the last one counted that was decided.
    charges: Option<Vec<Charge>>,
    /// Who called last, and what that call counted: the next one mostly comes from the same.
    last: Option<(OwnedCaller, Vec<Want>)>,
}

impl Plan {
    fn new(policy: &Compiled, tool: &str) -> Self {
        Self {
            reads: !policy.paths(tool).is_empty(),
            steady: !policy.counts_amounts(tool),
            charges: None,
            last: None,
        }
    }
}

impl<'p> Trial<'p> {
    /// Begins with empty counters.
    pub fn new(policy: &'p Compiled) -> Self {
        Self {
            policy,
            plans: HashMap::new(),
            passed: Vec::new(),
            counters: MemoryCounters::new(),
            calls: 0,
            denied: 0,
            refused: HashMap::new(),
        }
    }

    /// Decides the next call; whether it is allowed. `number` stands for its arguments: others of the
    /// same tool that have it are the same.
    pub fn call(&mut self, used: &Used<'_>, number: Option<u32>) -> bool {
        self.calls += 1;
        if self.calls.is_multiple_of(FORGET) {
            self.counters.forget(used.ts);
        }
        if !self.plans.contains_key(used.tool) {
            if self.plans.len() >= MOST_TOOLS {
                self.plans.clear();
            }
            self.plans.insert(used.tool.to_owned(), Plan::new(self.policy, used.tool));
        }
        let Some(plan) = self.plans.get_mut(used.tool) else { return false };
        // What is no object is denied whatever the policy says.
        let object = || used.args.is_none_or(|args| args.starts_with('{'));
        let same = || number.and_then(|number| self.passed.get(number as usize)) == Some(&true);
        let known = if plan.reads { same() } else { object() };
        let refused = &mut self.refused;
        if !(known && plan.steady && plan.charges.is_some()) {
            let parsed = used.args.and_then(|args| json::parse(args).ok());
            let call = Call { tool: used.tool, arguments: parsed.as_ref().map(|parsed| &parsed.root) };
            match self.policy.decide(&call, &Circumstances::default()) {
                Verdict::Allow { charges, .. } => plan.charges = Some(charges),
                // All that would deny it is told at once, so that one more trial is enough.
                Verdict::Deny(denial) => {
                    note(refused, denial.pointer.as_deref().unwrap_or_default(), used.tool);
                    self.policy.each_firing(&call, &mut |pointer| {
                        if denial.pointer.as_deref() != Some(pointer) {
                            note(refused, pointer, used.tool);
                        }
                    });
                    self.denied += 1;
                    return false;
                }
            }
            if let Some(at) = number.map(|number| number as usize) {
                if self.passed.len() <= at {
                    self.passed.resize(at + 1, false);
                }
                if let Some(passed) = self.passed.get_mut(at) {
                    *passed = true;
                }
            }
        }
        let charges = plan.charges.as_deref().unwrap_or_default();
        if charges.is_empty() {
            return true;
        }
        let (_, wants) = match &mut plan.last {
            Some(last) if plan.steady && last.0.get() == used.caller => last,
            last => {
                let wants = charges.iter().map(|charge| charge.want(&used.caller, false)).collect();
                last.insert((used.caller.into(), wants))
            }
        };
        let Err(standings) = self.counters.count(used.ts, wants) else { return true };
        for (charge, _) in charges.iter().zip(standings).filter(|(_, standing)| !standing.room) {
            note(refused, &charge.limit.pointer, used.tool);
        }
        self.denied += 1;
        false
    }

    /// How many calls were denied.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// What denied calls, or would have if nothing else had, by pointer.
    pub fn refusals(&self) -> Vec<Refusal> {
        let refusal = |(pointer, (calls, tool)): (&String, &(u64, String))| Refusal {
            pointer: pointer.clone(),
            calls: *calls,
            tool: tool.clone(),
        };
        let mut refusals: Vec<Refusal> = self.refused.iter().map(refusal).collect();
        refusals.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        refusals
    }
}

fn note(refused: &mut Refused, pointer: &str, tool: &str) {
    if let Some((calls, _)) = refused.get_mut(pointer) {
        *calls += 1;
    } else if refused.len() < MOST_REFUSALS {
        refused.insert(pointer.to_owned(), (1, tool.to_owned()));
    }
}
