//! The suggested policy on the calls it was made of.

use std::collections::HashMap;

use super::Used;
use crate::json;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Reserved, Want};
use crate::policy::decide::{Call, Circumstances, Verdict};
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
    counters: MemoryCounters,
    calls: u64,
    denied: u64,
    refused: HashMap<String, (u64, String)>,
}

impl<'p> Trial<'p> {
    /// Begins with empty counters.
    pub fn new(policy: &'p Compiled) -> Self {
        Self { policy, counters: MemoryCounters::new(), calls: 0, denied: 0, refused: HashMap::new() }
    }

    /// Decides the next call; whether it is allowed.
    pub fn call(&mut self, used: &Used<'_>) -> bool {
        self.calls += 1;
        if self.calls.is_multiple_of(FORGET) {
            self.counters.forget(used.ts);
        }
        let parsed = used.args.and_then(|args| json::parse(args).ok());
        let call = Call { tool: used.tool, arguments: parsed.as_ref().map(|parsed| &parsed.root) };
        match self.policy.decide(&call, &Circumstances::default()) {
            // All that would deny it is told at once, so that one more trial is enough.
            Verdict::Deny(denial) => {
                let refused = &mut self.refused;
                note(refused, denial.pointer.as_deref().unwrap_or_default(), used.tool);
                self.policy.each_firing(&call, &mut |pointer| {
                    if denial.pointer.as_deref() != Some(pointer) {
                        note(refused, pointer, used.tool);
                    }
                });
                self.denied += 1;
                false
            }
            Verdict::Allow { charges, .. } => {
                let wants: Vec<Want> =
                    charges.iter().map(|charge| charge.want(&used.caller, false)).collect();
                let Reserved::Full { usages } = self.counters.reserve(used.ts, &wants) else { return true };
                for (charge, _) in charges.iter().zip(&usages).filter(|(_, usage)| !usage.room) {
                    note(&mut self.refused, &charge.limit.pointer, used.tool);
                }
                self.denied += 1;
                false
            }
        }
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

fn note(refused: &mut HashMap<String, (u64, String)>, pointer: &str, tool: &str) {
    if let Some((calls, _)) = refused.get_mut(pointer) {
        *calls += 1;
    } else if refused.len() < MOST_REFUSALS {
        refused.insert(pointer.to_owned(), (1, tool.to_owned()));
    }
}
