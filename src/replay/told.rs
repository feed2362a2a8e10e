//! What one side of a comparison says about a call, and whether two sides differ.

use std::sync::Arc;

use super::groups::Made;
use super::recorded::Recorded;
use super::report::Kind;
use crate::policy::decide::Verdict as Ruling;
use crate::record::Verdict;

/// What one side says about a call.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// A person is to be asked.
    pub(super) asked: bool,
    /// Whether it runs in the end; `None` while nobody has answered.
    pub(super) allowed: Option<bool>,
    /// A limit denies it.
    pub(super) limit: bool,
    pub(super) why: Why,
}

/// Where the rule stands that a side decides by.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// In the record.
    Recorded { rule: Box<str>, pointer: Option<Box<str>> },
    /// In a verdict; with the limit that has no room.
    Ruled(Arc<Ruling>, Option<usize>),
}

impl Told {
    /// What was recorded.
    pub(super) fn recorded(call: &Recorded<'_>) -> Self {
        let asked = call.asked();
        Self {
            asked,
            allowed: match call.verdict {
                Verdict::Allow => Some(true),
                Verdict::Approve => None,
                Verdict::Deny if asked && !call.rejected() => None,
                Verdict::Deny => Some(false),
            },
            limit: call.denied_by_limit(),
            why: Why::Recorded { rule: call.rule.into(), pointer: call.pointer.map(Into::into) },
        }
    }

    /// Whether a person's answer is still awaited.
    pub(super) fn waits(&self) -> bool {
        self.asked && self.allowed.is_none()
    }

    pub(super) fn made(&self) -> Made<'_> {
        let decision = match (self.asked, self.allowed) {
            (_, Some(false)) if self.limit || !self.asked => Verdict::Deny,
            (true, _) => Verdict::Approve,
            (false, _) => Verdict::Allow,
        };
        let (rule, pointer) = match &self.why {
            Why::Recorded { rule, pointer } => (&**rule, pointer.as_deref()),
            Why::Ruled(verdict, full) => match verdict.as_ref() {
                Ruling::Deny(denial) => (denial.rule.as_str(), denial.pointer.as_deref()),
                Ruling::Allow { charges, approval, rule, pointer, .. } => {
                    match (full.and_then(|full| charges.get(full)), approval) {
                        (Some(charge), _) => {
                            (charge.limit.rule.as_str(), Some(charge.limit.pointer.as_str()))
                        }
                        (None, Some(need)) if self.asked => (need.rule.as_str(), Some(need.pointer.as_str())),
                        _ => (rule.as_str(), pointer.as_deref()),
                    }
                }
            },
        };
        Made { decision, rule, pointer }
    }
}

/// How a decision changed; `None` when it did not.
pub(super) fn change(base: &Told, now: &Told) -> Option<Kind> {
    let plain = |base: &Told, now: &Told| match (base.allowed, now.allowed) {
        (Some(false), Some(true)) if base.limit => Some(Kind::Limit),
        (Some(true), Some(false)) if now.limit => Some(Kind::Limit),
        (Some(false), Some(true)) => Some(Kind::DenyToAllow),
        (Some(true), Some(false)) => Some(Kind::AllowToDeny),
        _ => None,
    };
    match (base.asked, now.asked) {
        (false, false) | (true, true) => plain(base, now),
        // Somebody did answer, and the answer would have been another.
        (true, false) => plain(base, now).or(Some(Kind::Approval)),
        (false, true) => Some(Kind::Approval),
    }
}
