//! The ladder of a row: the edits of a policy that would have decided a recorded call otherwise,
//! from the narrowest to the widest.
//!
//! Each rung is an [`Edit`] whose result was tried on the row: it decides as promised, or the rung
//! is not offered. Within one chain a rung changes everything that the rung before it changes, and
//! more. Nothing is built on a value that the record holds masked or cut.

mod narrow;
mod values;
mod widen;

use crate::json::{self, Node};
use crate::policy::compiled::Compiled;
use crate::policy::counter::Amount;
use crate::policy::decide::{Call, Circumstances};
use crate::policy::document::Document;
use crate::policy::edit::{Edit, apply_to};
use crate::policy::explain::{Decision, Explanation};
use values::Leaves;

/// A recorded call.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The tool.
    pub tool: &'a str,
    /// The recorded arguments as JSON; empty for none.
    pub args: &'a str,
    /// What the counters of its limits held before it.
    pub held: &'a [Held<'a>],
    /// The recorded arguments of other calls of the tool, for sets of values.
    pub others: &'a [&'a str],
    /// How many calls of the tool its grant made before it in the same minute.
    pub earlier: u64,
}

/// What a counter held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// The counter.
    pub counter: &'a str,
    /// Its window in seconds.
    pub window: u64,
    /// Its scope's name.
    pub scope: &'a str,
    /// How much.
    pub used: Amount,
}

/// How far an edit reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// This exact value.
    Exact,
    /// This value and others that were seen.
    Set,
    /// Texts that begin as this one.
    Prefix,
    /// Numbers up to, or from, this one.
    Range,
    /// Calls beyond so many.
    Rate,
    /// The whole rule or limit that decided.
    Rule,
    /// The whole tool.
    Tool,
}

impl Reach {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Exact => "this value",
            Self::Set => "seen values",
            Self::Prefix => "same beginning",
            Self::Range => "range",
            Self::Rate => "rate",
            Self::Rule => "whole rule",
            Self::Tool => "whole tool",
        }
    }
}

/// One way of deciding the row otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// What it turns on: an argument's path, `all arguments`, a rule's pointer.
    pub chain: String,
    /// How far it reaches.
    pub reach: Reach,
    /// What it does, in words.
    pub words: String,
    /// The edit.
    pub edit: Edit,
    /// The policy's text with the edit.
    pub text: String,
}

/// What can be done about a row under a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// How the policy decides the row as it stands.
    pub now: Decision,
    /// What decides it.
    pub rule: String,
    /// Its pointer.
    pub pointer: Option<String>,
    /// The rungs, chain by chain, each from the narrowest to the widest.
    pub rungs: Vec<Rung>,
    /// Arguments on which no rule can be built, and why.
    pub left_out: Vec<String>,
}

/// Why a row has no ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLadder {
    /// The policy has errors.
    NotValid,
    /// The recorded arguments cannot be read.
    Unreadable,
    /// A rule of the tool reads what the record holds masked or cut: how the policy decides the row
    /// cannot be told from the record.
    Hidden(String),
}

impl std::fmt::Display for NoLadder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotValid => f.write_str("the policy has errors: correct them first"),
            Self::Unreadable => f.write_str("the recorded arguments cannot be read"),
            Self::Hidden(path) => {
                write!(f, "a rule reads {path}, which the record holds masked or cut")
            }
        }
    }
}

impl std::error::Error for NoLadder {}

/// Tries policies on the row.
pub(super) struct Trial<'r, 'n> {
    row: &'r Row<'r>,
    arguments: Option<&'n Node<'n>>,
}

impl Trial<'_, '_> {
    /// How a policy decides the row, with the counters as they were.
    fn explain(&self, document: &Document) -> Option<Explanation> {
        let compiled = Compiled::new(document).ok()?;
        let call = Call { tool: self.row.tool, arguments: self.arguments };
        let mut standing = |charge: &crate::policy::decide::Charge| {
            let limit = &charge.limit;
            let held = self.row.held.iter().find(|held| {
                held.counter == limit.counter
                    && held.window == limit.window
                    && held.scope == limit.scope.name()
            });
            // A limit that was not there then counted the calls of its minute, if it counts calls.
            let earlier = Amount(i128::from(self.row.earlier).saturating_mul(1_000_000));
            let used = match held {
                Some(held) => held.used,
                None if charge.increment == Amount::ONE && limit.window == 60 => earlier,
                None => return None,
            };
            Some((used, crate::time::Timestamp::default()))
        };
        Some(compiled.explain_counted(&call, &Circumstances::default(), &mut standing))
    }
}

/// The rungs that make a policy decide a row as `goal`. None when it does so already.
///
/// # Errors
/// When nothing can be said about the row.
pub fn ladder(document: &Document, row: &Row<'_>, goal: Decision) -> Result<Ladder, NoLadder> {
    let parsed;
    let arguments = if row.args.is_empty() || row.args == "null" {
        None
    } else {
        parsed = json::parse(row.args).map_err(|_| NoLadder::Unreadable)?;
        Some(&parsed.root)
    };
    let leaves = Leaves::of(arguments, row.others);
    let compiled = Compiled::new(document).map_err(|_| NoLadder::NotValid)?;
    if let Some(path) = compiled.paths(row.tool).iter().find(|path| leaves.hides(path)) {
        return Err(NoLadder::Hidden(path.as_str().to_owned()));
    }
    let trial = Trial { row, arguments };
    let now = trial.explain(document).ok_or(NoLadder::NotValid)?;
    let mut drafts = Vec::new();
    if now.decision != goal {
        match goal {
            Decision::Allow => widen::drafts(document, &trial, &now, &leaves, &mut drafts),
            Decision::Deny | Decision::Approve => {
                narrow::drafts(row, now.decision, goal, &leaves, &mut drafts);
            }
        }
    }
    let mut rungs: Vec<Rung> = Vec::new();
    for (chain, reach, edit) in drafts {
        let Ok(result) = apply_to(document, &edit) else { continue };
        let kept = trial.explain(&result).is_some_and(|then| then.decision == goal);
        // The same edit by another way is the same rung, unless it ends another chain.
        let again = rungs
            .iter()
            .any(|rung| rung.text == result.text() && (rung.chain == chain || rung.reach == reach));
        if kept && !again {
            let text = result.text().to_owned();
            rungs.push(Rung { chain, reach, words: words(&edit), edit, text });
        }
    }
    Ok(Ladder { now: now.decision, rule: now.rule, pointer: now.pointer, rungs, left_out: leaves.left_out })
}

/// What an edit of several parts does.
fn words(edit: &Edit) -> String {
    match edit {
        Edit::Batch(edits) => edits.iter().map(words).collect::<Vec<_>>().join(", "),
        one => one.describe(),
    }
}

/// A draft of a rung: its chain, reach and edit.
type Draft = (String, Reach, Edit);

#[cfg(test)]
#[path = "ladder/tests.rs"]
mod tests;
