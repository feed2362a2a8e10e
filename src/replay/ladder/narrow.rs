//! Edits that deny, or hold for a person, what passed.

use crate::policy::edit::{ConditionDraft, Edit, LimitDraft, Place, RuleDraft};
use crate::policy::explain::Decision;
use crate::policy::model::{Op, RuleList, Window};
use crate::policy::state::ToolState;

use super::values::{Leaf, Leaves};
use super::{Draft, Reach, Row};

/// How many conditions a rule on the whole call may have.
const CONDITIONS: usize = 8;

/// The drafts, chain by chain.
pub(super) fn drafts(row: &Row<'_>, now: Decision, goal: Decision, leaves: &Leaves, out: &mut Vec<Draft>) {
    let tool = row.tool.to_owned();
    let deny = goal == Decision::Deny;
    let list = if deny { RuleList::DenyIf } else { RuleList::ApproveIf };
    // A call that is denied is not held by one more rule: that would take a rule away first.
    if now == Decision::Deny {
        return;
    }
    let add = |rule: RuleDraft| Edit::AddRule { tool: tool.clone(), list, rule };
    let state = if deny { ToolState::Deny } else { ToolState::Approve };
    let whole = Edit::SetState { tools: vec![tool.clone()], state };
    if leaves.complete && (2..=CONDITIONS).contains(&leaves.all.len()) {
        let conditions = leaves
            .all
            .iter()
            .map(|leaf| ConditionDraft { path: leaf.path.clone(), op: Op::Eq, value: leaf.json.clone() })
            .collect();
        let rule = RuleDraft { conditions, message: None, timeout: None };
        out.push(("all arguments".to_owned(), Reach::Exact, add(rule)));
    }
    for leaf in &leaves.all {
        for reach in leaf.reaches() {
            if let Some((op, value)) = condition(leaf, reach) {
                out.push((leaf.path.clone(), reach, add(RuleDraft::when(&leaf.path, op, &value))));
            }
        }
    }
    if deny && row.earlier > 0 {
        let limit = LimitDraft::calls(&tool, row.earlier, Window::Minute);
        out.push((
            "how often".to_owned(),
            Reach::Rate,
            Edit::AddLimit { place: Place::Tool(tool.clone()), limit },
        ));
    }
    out.push((tool.clone(), Reach::Tool, whole));
}

/// The condition under which a rule of `deny_if` or `approve_if` holds for a value and what is
/// around it. A range is upwards: what is too large is what people stop.
fn condition(leaf: &Leaf, reach: Reach) -> Option<(Op, String)> {
    match reach {
        Reach::Exact => Some((Op::Eq, leaf.json.clone())),
        Reach::Set => Some((Op::In, leaf.set_json()?)),
        Reach::Prefix => Some((Op::Regex, leaf.prefix_json()?)),
        Reach::Range => Some((Op::Gte, leaf.bounds()?.0.to_owned())),
        Reach::Rate | Reach::Rule | Reach::Tool => None,
    }
}
