//! Questions to a person: calls that wait for an approval, and what was answered.
//!
//! One entry is one question: equal calls (the same server, grant, tool, canonical arguments and
//! policy revision) share it. An answer is given once. An approval is good for one call, an answer
//! of no for every equal call, each until its `until`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Override, OverrideEffect, Store, StoreError};
use crate::time::Timestamp;

/// How many questions of one grant may wait at once.
pub const MAX_WAITING: usize = 32;

/// A call's arguments as they came, unmasked: for operators only, never for a journal.
#[derive(Clone)]
pub struct CallArgs(Box<RawValue>);

impl CallArgs {
    /// From JSON text; `None` where it is none.
    pub fn new(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

// Not derived, so that a log of whatever holds them tells nothing of what is in them.
impl fmt::Debug for CallArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallArgs({} bytes)", self.text().len())
    }
}

impl PartialEq for CallArgs {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for CallArgs {}

impl Serialize for CallArgs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

/// A question: may this call run?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Names it.
    pub id: String,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The tool's name.
    pub tool: String,
    /// SHA-256 of the canonical arguments.
    pub args_sha256: String,
    /// The revision of the policy that asks.
    pub policy: String,
    /// The arguments, unmasked.
    pub args: CallArgs,
    /// The short code of the rule that asks.
    pub rule: String,
    /// The exact pointer of that rule.
    pub pointer: String,
    /// The policy's text for the person.
    pub message: String,
    /// The client's name and version, as it claims them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// When it ends unanswered.
    pub until: Timestamp,
    /// The policy's `timeout`, in seconds: how long an answer is good for.
    pub timeout_s: u64,
    /// How many calls are held for it at this moment.
    pub holders: u32,
    /// Some call was told to come back for the answer, so that it stays open without holders.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// The answer, once it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ApprovalVerdict>,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalVerdict {
    /// Yes or no.
    pub approved: bool,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What the person says about it; the agent reads it when the answer is no.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Until when it is good.
    pub until: Timestamp,
    /// Equal calls are approved for so many seconds: an override was set for them too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// What became of a question when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It waits, as this entry; perhaps another call asked it first.
    Waiting(Approval),
    /// It was answered meanwhile: an approval that is not spent, or a no.
    Decided(Approval),
    /// Too many questions of this grant wait already.
    TooMany,
}

impl Approval {
    /// Whether both are about equal calls, so that one answer is good for either.
    pub fn same_call(&self, other: &Self) -> bool {
        self.server == other.server
            && self.grant == other.grant
            && self.tool == other.tool
            && self.args_sha256 == other.args_sha256
            && self.policy == other.policy
    }

    /// When it is of no use any more.
    pub fn ends(&self) -> Timestamp {
        self.verdict.as_ref().map_or(self.until, |verdict| verdict.until)
    }

    /// Whether it waits for an answer or has one that is good at `now`.
    pub fn stands(&self, now: Timestamp) -> bool {
        now < self.ends()
    }

    /// Whether it waits for an answer.
    pub fn waits(&self, now: Timestamp) -> bool {
        self.verdict.is_none() && self.stands(now)
    }

    /// Whether it is an approval that a call can use.
    pub fn usable(&self, now: Timestamp) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.approved) && self.stands(now)
    }

    /// Another call joins the question, which asks for as long as that call's own would.
    pub fn join(&mut self, other: &Self) {
        self.holders = self.holders.saturating_add(1);
        self.until = self.until.max(other.until);
    }

    /// A call is held for it no longer. `true`: nobody waits for the answer, and the question ends.
    pub fn leave(&mut self, cancelled: bool) -> bool {
        self.holders = self.holders.saturating_sub(1);
        self.kept |= !cancelled;
        self.holders == 0 && !self.kept
    }
}

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub approved: bool,
    /// Who.
    pub by: String,
    /// A word about it.
    pub note: String,
    /// With a yes: equal calls of the grant need no further approval for so many seconds.
    pub for_s: Option<u64>,
}

/// Answers a question, and sets the override that an approval for a while amounts to (bound to the
/// same arguments). `None` when the question does not wait any more: it was answered by another, is
/// over, or never was.
///
/// # Errors
/// When the store cannot be reached. If it fails between the two, the answer is given for one call
/// only.
pub fn answer(
    store: &dyn Store,
    now: Timestamp,
    id: &str,
    answer: &Answer,
    override_id: impl FnOnce() -> String,
) -> Result<Option<Approval>, StoreError> {
    let Some(waiting) = store.approvals(now)?.into_iter().find(|one| one.id == id && one.waits(now)) else {
        return Ok(None);
    };
    let micros = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    let verdict = ApprovalVerdict {
        approved: answer.approved,
        by: answer.by.clone(),
        at: now,
        note: answer.note.clone(),
        until: now.plus_micros(micros(waiting.timeout_s)),
        for_s: answer.for_s.filter(|_| answer.approved),
    };
    let Some(decided) = store.decide_approval(now, id, &verdict)? else { return Ok(None) };
    if let Some(seconds) = verdict.for_s {
        store.set_override(&Override {
            id: override_id(),
            effect: OverrideEffect::Approved,
            server: decided.server.clone(),
            grant: Some(decided.grant.clone()),
            tool: decided.tool.clone(),
            args_sha256: Some(decided.args_sha256.clone()),
            until: Some(now.plus_micros(micros(seconds))),
            uses: None,
            run: None,
            by: verdict.by.clone(),
            at: now,
            reason: if verdict.note.is_empty() {
                format!("approval {id} was given for a while")
            } else {
                verdict.note.clone()
            },
        })?;
    }
    Ok(Some(decided))
}
