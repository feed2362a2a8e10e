//! The rule that is recommended for a class, by profile (DESIGN, section 8).

use super::{Category, Profile};
use crate::policy::edit::{Edit, LimitDraft, Place, RuleDraft};
use crate::policy::model::{Policy, RuleList, Window};
use crate::policy::state::{ToolState, state_of};

/// How often a tool that writes may be called a minute.
const WRITES_A_MINUTE: u64 = 30;
/// How often a tool that runs something may be called a minute.
const RUNS_A_MINUTE: u64 = 10;
/// What a denied financial call is answered.
const NEEDS_A_PERSON: &str = "Requires human approval.";

/// A recommended rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recommended {
    /// Every call may pass.
    Allow,
    /// Calls may pass, so many a window.
    Limit(LimitDraft),
    /// Neither shown nor callable.
    Hide,
    /// Denied, visibly.
    Deny {
        /// What the agent is answered.
        message: String,
    },
    /// Each call needs a person's approval.
    Approve,
}

/// The rule that is recommended for a tool of a class.
pub fn recommend(name: &str, category: Category, profile: Profile) -> Recommended {
    match (category, profile) {
        (Category::Read, _) => Recommended::Allow,
        (Category::Write, _) => Recommended::Limit(LimitDraft::calls(name, WRITES_A_MINUTE, Window::Minute)),
        (Category::Execute, _) => Recommended::Limit(LimitDraft::calls(name, RUNS_A_MINUTE, Window::Minute)),
        (Category::Destructive, Profile::Strict | Profile::Balanced) => Recommended::Hide,
        (Category::Financial, Profile::Strict) => Recommended::Deny { message: NEEDS_A_PERSON.to_owned() },
        (Category::Destructive, Profile::Open) | (Category::Financial, Profile::Balanced | Profile::Open) => {
            Recommended::Approve
        }
    }
}

impl Recommended {
    /// One word for it: `allow`, `limit`, `hide`, `deny`, `approve`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Limit(_) => "limit",
            Self::Hide => "hide",
            Self::Deny { .. } => "deny",
            Self::Approve => "approve",
        }
    }

    /// For people: `allow`, `30 a minute`, `hide`, `deny`, `approve`.
    pub fn summary(&self) -> String {
        match self {
            Self::Limit(limit) => limit.summary(),
            other => other.name().to_owned(),
        }
    }

    /// The edit that makes it so, for a tool that the policy says nothing about yet.
    pub fn edits(&self, tool: &str) -> Edit {
        let state = |state| Edit::SetState { tools: vec![tool.to_owned()], state };
        match self {
            Self::Allow => state(ToolState::Allow),
            Self::Limit(limit) => Edit::Batch(vec![
                state(ToolState::Allow),
                Edit::AddLimit { place: Place::Tool(tool.to_owned()), limit: limit.clone() },
            ]),
            Self::Hide => state(ToolState::Hide),
            Self::Deny { message } => Edit::AddRule {
                tool: tool.to_owned(),
                list: RuleList::DenyIf,
                rule: RuleDraft::always(Some(message)),
            },
            Self::Approve => state(ToolState::Approve),
        }
    }

    /// The edit that makes it so in a policy that may already say something about the tool: a
    /// limit of the same counter and window is changed instead of put beside it, and a tool that
    /// is already denied stays as it is. `None` when nothing is to be done.
    pub fn edits_in(&self, policy: &Policy, tool: &str) -> Option<Edit> {
        let entry = policy.tool(tool);
        let now = state_of(policy, tool);
        match self {
            Self::Limit(limit) => {
                let allow = Edit::SetState { tools: vec![tool.to_owned()], state: ToolState::Allow };
                let place = Place::Tool(tool.to_owned());
                let same = entry.and_then(|entry| {
                    entry.limits.iter().position(|known| {
                        known.counter == limit.counter && known.window.seconds() == limit.window.seconds()
                    })
                });
                let known = same.and_then(|index| entry?.limits.get(index));
                let mut edits = Vec::new();
                if now != ToolState::Allow || entry.is_none() {
                    edits.push(allow);
                }
                match (same, known) {
                    (Some(_), Some(known)) if LimitDraft::from(known) == *limit => {}
                    (Some(index), _) => edits.push(Edit::SetLimit { place, index, limit: limit.clone() }),
                    (None, _) => edits.push(Edit::AddLimit { place, limit: limit.clone() }),
                }
                (!edits.is_empty()).then_some(Edit::Batch(edits))
            }
            Self::Allow => (now != ToolState::Allow).then(|| self.edits(tool)),
            Self::Hide => (now != ToolState::Hide).then(|| self.edits(tool)),
            Self::Approve => (now != ToolState::Approve).then(|| self.edits(tool)),
            Self::Deny { .. } => {
                let listed_denied = entry.is_some() && now == ToolState::Deny;
                (!listed_denied && now != ToolState::Hide).then(|| self.edits(tool))
            }
        }
    }
}
