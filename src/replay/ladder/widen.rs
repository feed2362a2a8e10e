//! Edits that let a call pass which was denied, or held for a person.
//!
//! What denies is found and changed, then the result is tried again: a call can be denied by
//! several rules, one behind the other, and all of them are changed by one rung.

use crate::policy::counter::Amount;
use crate::policy::document::Document;
use crate::policy::edit::{ConditionDraft, Edit, LimitDraft, Place, RuleDraft, apply_to};
use crate::policy::explain::{Decision, Explanation, Truth};
use crate::policy::model::{self, Action, Op, RuleList};
use crate::policy::state::{ToolState, always};

use super::values::{Leaf, LeafKind, Leaves, quoted};
use super::{Draft, Reach, Trial};

/// How many rules one rung changes at most.
const RULES: usize = 8;

/// The drafts, chain by chain.
pub(super) fn drafts(
    document: &Document,
    trial: &Trial<'_, '_>,
    now: &Explanation,
    leaves: &Leaves,
    out: &mut Vec<Draft>,
) {
    let tool = trial.row.tool;
    if stands_for_all(document, now, tool) {
        for leaf in &leaves.all {
            for reach in leaf.reaches() {
                if let Some(edit) = widen(document, trial, leaves, reach, Some(leaf)) {
                    out.push((leaf.path.clone(), reach, edit));
                }
            }
        }
        if let Some(edit) = widen(document, trial, leaves, Reach::Tool, None) {
            out.push((tool.to_owned(), Reach::Tool, edit));
        }
        return;
    }
    let chain = now.pointer.clone().unwrap_or_default();
    for reach in [Reach::Exact, Reach::Set, Reach::Prefix, Reach::Range, Reach::Rule] {
        if let Some(edit) = widen(document, trial, leaves, reach, None) {
            out.push((chain.clone(), reach, edit));
        }
    }
}

/// Whether what decides is no condition: the tool is unlisted, hidden, or every call is stopped.
fn stands_for_all(document: &Document, now: &Explanation, tool: &str) -> bool {
    let Some(place) = Decider::of(now) else { return true };
    match place {
        Decider::Default | Decider::Hidden | Decider::Action => true,
        Decider::Rule(list, index) => rule(document, tool, list, index).is_none_or(always),
        Decider::Limit(..) | Decider::RateLimit => false,
    }
}

/// What decided, read from its pointer.
#[derive(Debug, Clone, Copy)]
enum Decider {
    Default,
    Hidden,
    Action,
    Rule(RuleList, usize),
    /// Whether it is one of `all_tools`, and which.
    Limit(bool, usize),
    RateLimit,
}

impl Decider {
    fn of(now: &Explanation) -> Option<Self> {
        if now.rule == "(hidden)" {
            return Some(Self::Hidden);
        }
        let pointer = now.pointer.as_deref()?;
        if pointer == "/default" {
            return Some(Self::Default);
        }
        let mut parts = pointer.rsplit('/');
        let end = parts.next()?;
        match (end, parts.next()) {
            ("action", _) => Some(Self::Action),
            ("rate_limit", _) => Some(Self::RateLimit),
            (index, Some("limits")) => {
                Some(Self::Limit(pointer.starts_with("/all_tools/"), index.parse().ok()?))
            }
            (index, Some(key)) => {
                let all = [RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf];
                let list = all.into_iter().find(|it| it.key() == key)?;
                Some(Self::Rule(list, index.parse().ok()?))
            }
            _ => None,
        }
    }
}

fn rule<'d>(document: &'d Document, tool: &str, list: RuleList, index: usize) -> Option<&'d model::Rule> {
    let tool = document.policy().tool(tool)?;
    match list {
        RuleList::Require => tool.require.get(index),
        RuleList::DenyIf => tool.deny_if.get(index),
        RuleList::ApproveIf => tool.approve_if.get(index),
    }
}

/// Changes whatever stops the row until nothing does.
fn widen(
    document: &Document,
    trial: &Trial<'_, '_>,
    leaves: &Leaves,
    reach: Reach,
    leaf: Option<&Leaf>,
) -> Option<Edit> {
    let mut edits = Vec::new();
    let mut document = document.clone();
    for _ in 0..RULES {
        let now = trial.explain(&document)?;
        if now.decision == Decision::Allow {
            return match edits.len() {
                0 => None,
                1 => edits.pop(),
                _ => Some(Edit::Batch(edits)),
            };
        }
        let edit = Fix { document: &document, trial, leaves, reach, leaf }.fix(&now)?;
        document = apply_to(&document, &edit).ok()?;
        match edit {
            Edit::Batch(more) => edits.extend(more),
            one => edits.push(one),
        }
    }
    None
}

/// One change of a document, so that what decides now does so no more.
struct Fix<'a, 'r, 'n> {
    document: &'a Document,
    trial: &'a Trial<'r, 'n>,
    leaves: &'a Leaves,
    reach: Reach,
    leaf: Option<&'a Leaf>,
}

impl Fix<'_, '_, '_> {
    fn tool(&self) -> String {
        self.trial.row.tool.to_owned()
    }

    fn fix(&self, now: &Explanation) -> Option<Edit> {
        let tool = self.tool();
        match Decider::of(now)? {
            Decider::Default => self.only(Edit::ListTool { tool }, None),
            Decider::Hidden if self.document.policy().hide.all => None,
            Decider::Hidden => self.only(self.allowed(), None),
            Decider::Action => {
                let entry = self.document.policy().tool(&tool)?;
                let message = entry.reason.clone();
                match entry.action {
                    Some(Action::Approve) => self.only_unasked(message.as_deref(), None),
                    _ => self.only(self.allowed(), message),
                }
            }
            Decider::Rule(list, index) => {
                let found = rule(self.document, &tool, list, index)?;
                match list {
                    RuleList::Require => self.loosen(found, index, now),
                    RuleList::DenyIf if always(found) => self.only(self.allowed(), found.message.clone()),
                    RuleList::ApproveIf if always(found) => {
                        self.only_unasked(found.message.as_deref(), Some(found))
                    }
                    RuleList::DenyIf | RuleList::ApproveIf => self.except(found, list, index),
                }
            }
            Decider::Limit(shared, index) => self.raise(shared, index, now),
            Decider::RateLimit => {
                let rate = self.document.policy().tool(&tool)?.rate_limit.as_ref()?;
                let remove = Edit::RemoveRateLimit { tool: tool.clone() };
                if self.reach >= Reach::Rule {
                    return Some(remove);
                }
                let mut limit = LimitDraft::calls(&tool, 0, rate.window);
                limit.max = self.more(&rate.max, &limit.counter, rate.window.seconds(), now)?;
                Some(Edit::Batch(vec![remove, Edit::AddLimit { place: Place::Tool(tool), limit }]))
            }
        }
    }

    fn allowed(&self) -> Edit {
        Edit::SetState { tools: vec![self.tool()], state: ToolState::Allow }
    }

    /// An edit that lets the tool pass, for the value alone where one is given.
    fn only(&self, open: Edit, message: Option<String>) -> Option<Edit> {
        let Some(leaf) = self.leaf.filter(|_| self.reach < Reach::Rule) else { return Some(open) };
        let (op, value) = match self.reach {
            Reach::Exact => (Op::Eq, leaf.json.clone()),
            Reach::Set => (Op::In, leaf.set_json()?),
            Reach::Prefix => (Op::Regex, leaf.prefix_json()?),
            // Upwards it would never end.
            Reach::Range => (Op::Lte, leaf.bounds()?.1.to_owned()),
            Reach::Rate | Reach::Rule | Reach::Tool => return None,
        };
        let rule = RuleDraft { message, ..RuleDraft::when(&leaf.path, op, &value) };
        let add = Edit::AddRule { tool: self.tool(), list: RuleList::Require, rule };
        Some(Edit::Batch(vec![open, add]))
    }

    /// As [`Self::only`] where every call was held for a person: others still are, and so is one
    /// that leaves the argument out.
    fn only_unasked(&self, message: Option<&str>, was: Option<&model::Rule>) -> Option<Edit> {
        let open = self.allowed();
        let Some(leaf) = self.leaf.filter(|_| self.reach < Reach::Rule) else { return Some(open) };
        let (op, value) = match self.reach {
            Reach::Exact => (Op::Neq, leaf.json.clone()),
            Reach::Set => (Op::NotIn, leaf.set_json()?),
            Reach::Range => (Op::Gt, leaf.bounds()?.1.to_owned()),
            // A pattern cannot say "unless it begins so".
            Reach::Prefix | Reach::Rate | Reach::Rule | Reach::Tool => return None,
        };
        let timeout = was.and_then(|rule| RuleDraft::from(rule).timeout);
        let add = |op, value: &str| Edit::AddRule {
            tool: self.tool(),
            list: RuleList::ApproveIf,
            rule: RuleDraft {
                message: message.map(str::to_owned),
                timeout: timeout.clone(),
                ..RuleDraft::when(&leaf.path, op, value)
            },
        };
        Some(Edit::Batch(vec![open, add(op, &value), add(Op::Exists, "false")]))
    }

    /// An exception from a rule that holds: built on what the rule itself reads, because a call
    /// that leaves another argument out would pass by it.
    fn except(&self, rule: &model::Rule, list: RuleList, index: usize) -> Option<Edit> {
        let tool = self.tool();
        if self.reach >= Reach::Rule {
            return Some(Edit::RemoveRule { tool, list, index });
        }
        let mut draft = RuleDraft::from(rule);
        let own = rule.conditions.iter().enumerate();
        // A bound is raised, where that is asked for; else the value is taken out.
        let leaf_of = |condition: &model::Condition| self.leaves.at(&condition.path);
        if self.reach == Reach::Range {
            let raised = own.clone().find_map(|(at, condition)| {
                let (least, most) = leaf_of(condition)?.bounds()?;
                let (op, value) = match condition.op {
                    Op::Gt | Op::Gte => (Op::Gt, most),
                    Op::Lt | Op::Lte => (Op::Lt, least),
                    _ => return None,
                };
                Some((at, ConditionDraft { path: condition.path.clone(), op, value: value.to_owned() }))
            });
            if let Some((at, condition)) = raised {
                *draft.conditions.get_mut(at)? = condition;
                return Some(Edit::SetRule { tool, list, index, rule: draft });
            }
        }
        let leaf = own.clone().find_map(|(_, condition)| leaf_of(condition))?;
        let (op, value) = match leaf.set_json().filter(|_| self.reach >= Reach::Set) {
            Some(set) => (Op::NotIn, set),
            None => (Op::Neq, leaf.json.clone()),
        };
        draft.conditions.push(ConditionDraft { path: leaf.path.clone(), op, value });
        Some(Edit::SetRule { tool, list, index, rule: draft })
    }

    /// Makes the conditions of a `require` rule hold that do not.
    fn loosen(&self, rule: &model::Rule, index: usize, now: &Explanation) -> Option<Edit> {
        let (tool, list) = (self.tool(), RuleList::Require);
        if self.reach >= Reach::Rule {
            return Some(Edit::RemoveRule { tool, list, index });
        }
        let step = now.trace.iter().find(|step| step.decided)?;
        let mut draft = RuleDraft::from(rule);
        for (condition, traced) in draft.conditions.iter_mut().zip(&step.conditions) {
            if traced.outcome != Truth::True {
                let leaf = self.leaves.at(&condition.path)?;
                *condition = loosened(condition, leaf, self.reach)?;
            }
        }
        (!step.conditions.is_empty()).then_some(Edit::SetRule { tool, list, index, rule: draft })
    }

    fn raise(&self, shared: bool, index: usize, now: &Explanation) -> Option<Edit> {
        let policy = self.document.policy();
        let tool = self.tool();
        let (place, limits) = if shared {
            (Place::AllTools, &policy.all_tools_limits)
        } else {
            (Place::Tool(tool.clone()), &policy.tool(&tool)?.limits)
        };
        if self.reach >= Reach::Rule {
            return Some(Edit::RemoveLimit { place, index });
        }
        let mut limit = LimitDraft::from(limits.get(index)?);
        limit.max = self.more(&limit.max, &limit.counter, limit.window.seconds(), now)?;
        Some(Edit::SetLimit { place, index, limit })
    }

    /// How much a limit must at least hold for this call, or twice as much as before.
    fn more(&self, max: &str, counter: &str, window: u64, now: &Explanation) -> Option<String> {
        let used = now.limits.iter().find(|limit| limit.counter == counter && limit.window == window)?;
        let needed = used.used.unwrap_or(Amount::ZERO).plus(used.increment?);
        let twice = Amount::parse(max).map(|max| max.plus(max));
        let max = twice.filter(|twice| self.reach == Reach::Range && *twice > needed).unwrap_or(needed);
        Some(max.to_string())
    }
}

/// A condition of `require` that also holds for a value; the widest form that the reach allows.
fn loosened(condition: &ConditionDraft, leaf: &Leaf, reach: Reach) -> Option<ConditionDraft> {
    let with = |op, value: String| Some(ConditionDraft { path: condition.path.clone(), op, value });
    let mut values = vec![leaf.json.clone()];
    if reach >= Reach::Set {
        values.extend(leaf.set.iter().filter(|value| **value != leaf.json).cloned());
    }
    let bounds = leaf.bounds().filter(|_| reach >= Reach::Range);
    match condition.op {
        Op::Lt | Op::Lte => with(Op::Lte, bounds?.1.to_owned()),
        Op::Gt | Op::Gte => with(Op::Gte, bounds?.0.to_owned()),
        Op::Eq | Op::In => {
            let old = listed(condition)?;
            if let (Some(prefix), true) = (&leaf.prefix, reach >= Reach::Prefix) {
                let exact = old.iter().map(|value| text_of(value)).collect::<Option<Vec<_>>>()?;
                return with(Op::Regex, quoted(&alternatives(&exact, Some(prefix), None)));
            }
            let new = values.into_iter().filter(|value| !old.contains(value)).collect::<Vec<_>>();
            with(Op::In, format!("[{}]", [old, new].concat().join(", ")))
        }
        Op::NotIn => {
            let rest: Vec<String> =
                listed(condition)?.into_iter().filter(|value| !values.contains(value)).collect();
            with(Op::NotIn, format!("[{}]", rest.join(", ")))
        }
        Op::Regex | Op::Contains => {
            let LeafKind::Text(_) = &leaf.kind else { return None };
            let old = text_of(&condition.value)?;
            let old = if condition.op == Op::Contains { regex::escape(&old) } else { format!("(?:{old})") };
            let exact = values.iter().map(|value| text_of(value)).collect::<Option<Vec<_>>>()?;
            let prefix = leaf.prefix.as_ref().filter(|_| reach >= Reach::Prefix);
            with(Op::Regex, quoted(&alternatives(&exact, prefix, Some(&old))))
        }
        Op::Neq | Op::Exists => None,
    }
}

/// A pattern for any of some texts, a beginning, and another pattern.
fn alternatives(exact: &[String], prefix: Option<&String>, other: Option<&str>) -> String {
    let mut parts: Vec<String> = other.map(str::to_owned).into_iter().collect();
    parts.extend(exact.iter().map(|text| format!("^{}$", regex::escape(text))));
    parts.extend(prefix.cloned());
    parts.join("|")
}

/// The values that a condition of `eq`, `in` or `not_in` names, as JSON texts.
fn listed(condition: &ConditionDraft) -> Option<Vec<String>> {
    let parsed = crate::json::parse(&condition.value).ok()?;
    match (condition.op, parsed.root.as_array()) {
        (Op::In | Op::NotIn, Some(items)) => {
            Some(items.iter().map(|item| item.span.of(&condition.value).to_owned()).collect())
        }
        _ => Some(vec![condition.value.trim().to_owned()]),
    }
}

fn text_of(json: &str) -> Option<String> {
    crate::json::parse(json).ok()?.root.as_str().map(str::to_owned)
}
