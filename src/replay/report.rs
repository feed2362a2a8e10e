//! What a replay comes to.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::record::Verdict;
use crate::time::Timestamp;

/// What changes when a candidate takes the base's place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Recorded calls that the candidate would have had to decide.
    pub calls: u64,
    /// Of these, how many can be told for sure.
    pub replayable: u64,
    /// Why the others cannot, with how many there are of each.
    pub not_replayable: BTreeMap<Reason, u64>,
    /// Changed decisions, each counted once.
    pub changed: Changed,
    /// The same by tool, kind and rules: what is newly allowed first, then what needs a person, then
    /// what is newly denied; within each the most first.
    pub groups: Vec<Group>,
    /// Changed decisions that stand in no group, because there are too many groups.
    pub ungrouped: u64,
}

/// Changed decisions by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Changed {
    /// Denied by a rule before, allowed now.
    pub deny_to_allow: u64,
    /// Allowed before, denied by a rule now.
    pub allow_to_deny: u64,
    /// A limit denied it before or denies it now, but not both.
    pub limit: u64,
    /// A person was asked before or is asked now, but not both.
    pub approval: u64,
}

impl Changed {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.deny_to_allow + self.allow_to_deny + self.limit + self.approval
    }

    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::DenyToAllow => self.deny_to_allow += 1,
            Kind::AllowToDeny => self.allow_to_deny += 1,
            Kind::Limit => self.limit += 1,
            Kind::Approval => self.approval += 1,
        }
    }
}

/// How a decision changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Denied by a rule, or rejected by a person, before; allowed now.
    DenyToAllow,
    /// Allowed before, denied by a rule now.
    AllowToDeny,
    /// A limit denied it before or denies it now, but not both.
    Limit,
    /// A person was asked before or is asked now, but not both.
    Approval,
}

/// Why a call says nothing about a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A rule needs a value that was masked or cut when the call was recorded.
    Masked,
    /// The message was malformed.
    Malformed,
    /// There was no policy to decide it.
    NoPolicy,
    /// The store or the journal could not be reached.
    Unavailable,
    /// It passed although it could not be decided or recorded as it should.
    Unenforced,
    /// Its arguments cannot be read.
    Unreadable,
}

impl Reason {
    /// The reason in words, to stand after a number of calls: `12 calls: a rule needs ...`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Masked => "a rule needs an argument that was masked or cut when it was recorded",
            Self::Malformed => "the message was malformed",
            Self::NoPolicy => "there was no policy to decide it",
            Self::Unavailable => "the store or the journal could not be reached",
            Self::Unenforced => "it passed without being decided or recorded as it should",
            Self::Unreadable => "the recorded arguments cannot be read",
        }
    }
}

/// Changed decisions of one tool, by the rules that make the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The tool.
    pub tool: String,
    /// How they changed.
    pub kind: Kind,
    /// What decided them before.
    pub from: Side,
    /// What decides them now.
    pub to: Side,
    /// How many.
    pub count: u64,
    /// Some of them, the latest last.
    #[serde(skip)]
    pub examples: Vec<Example>,
}

impl Group {
    /// Which way: to be looked at first comes first.
    pub fn direction(&self) -> Direction {
        match self.to.decision {
            Verdict::Allow => Direction::Looser,
            Verdict::Approve => Direction::Asks,
            Verdict::Deny => Direction::Tighter,
        }
    }
}

/// Which way a decision changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Allowed now.
    Looser,
    /// A person is asked now.
    Asks,
    /// Denied now.
    Tighter,
}

/// A decision with what made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Side {
    /// The decision.
    pub decision: Verdict,
    /// The short code of the rule; empty when nothing fired.
    pub rule: String,
    /// The exact pointer into the document.
    pub pointer: Option<String>,
}

impl Default for Side {
    fn default() -> Self {
        Self { decision: Verdict::Allow, rule: String::new(), pointer: None }
    }
}

/// A call whose decision changed; `gateway` and `seq` find its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The id of the gateway run.
    pub gateway: String,
    /// The number of its (first) decision in it.
    pub seq: u64,
    /// When it was decided.
    pub ts: Timestamp,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The tool.
    pub tool: String,
    /// The arguments as JSON, masked; empty when there were none, or when they are longer than
    /// [`Example::LONGEST_ARGS`].
    #[serde(serialize_with = "as_json")]
    pub args: String,
    /// The revision of the policy that decided it.
    pub policy: Option<String>,
    /// How it changed.
    pub kind: Kind,
    /// The decision before.
    pub from: Side,
    /// The decision now.
    pub to: Side,
}

impl Example {
    /// Longer arguments are not kept, in bytes.
    pub const LONGEST_ARGS: usize = 16 * 1024;
}

fn as_json<S: Serializer>(args: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<&RawValue>(args) {
        Ok(raw) => raw.serialize(serializer),
        Err(_) => serializer.serialize_none(),
    }
}
