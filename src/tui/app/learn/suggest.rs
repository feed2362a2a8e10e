//! What recorded calls need, as proposals that are accepted, widened or dropped one by one. Only what
//! is accepted becomes part of the draft.

use std::sync::Arc;

use super::LearnEffect;
use crate::policy::edit::{Edit, Place, RuleDraft};
use crate::policy::model::{Policy, RuleList};
use crate::policy::state::{ToolState, state_of};
use crate::replay::suggest::{Asked, Learnt, Options, Proposal, Suggestion};
use crate::risk::Profile;
use crate::tui::action::{Action, When};
use crate::tui::app::layer::{Layer, Step};
use crate::tui::app::{App, Effect, Kind};

/// The proposals, a dialog.
#[derive(Debug, Clone, PartialEq)]
pub struct SuggestView {
    /// What was asked for.
    number: u64,
    /// What came of it so far.
    pub state: SuggestState,
    /// The selected proposal.
    pub selected: usize,
}

/// How far a suggestion is.
#[derive(Debug, Clone, PartialEq)]
pub enum SuggestState {
    /// The journals are being read.
    Reading,
    /// Nothing could be suggested, and why.
    Failed(String),
    /// The proposals.
    Ready(Box<Suggestion>),
}

/// How a proposal stands to the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be accepted.
    Open,
    /// The draft has it.
    Accepted,
    /// It was dropped.
    Dropped,
}

/// How a proposal stands to a policy.
pub fn standing(policy: &Policy, proposal: &Proposal) -> Standing {
    let has = proposal.choice().is_some_and(|choice| choice.edits.iter().all(|edit| has(policy, edit)));
    match &proposal.dropped {
        _ if has => Standing::Accepted,
        Some(_) => Standing::Dropped,
        None => Standing::Open,
    }
}

/// Whether a policy says already what an edit would add.
fn has(policy: &Policy, edit: &Edit) -> bool {
    match edit {
        Edit::SetState { tools, state: ToolState::Allow } => {
            tools.iter().all(|tool| policy.tool(tool).is_some() && state_of(policy, tool) == ToolState::Allow)
        }
        Edit::SetState { tools, state } => tools.iter().all(|tool| state_of(policy, tool) == *state),
        Edit::AddRule { tool, list, rule } => policy.tool(tool).is_some_and(|entry| {
            let rules = match list {
                RuleList::Require => &entry.require,
                RuleList::DenyIf => &entry.deny_if,
                RuleList::ApproveIf => &entry.approve_if,
            };
            rules.iter().any(|known| same(&RuleDraft::from(known), rule))
        }),
        Edit::AddLimit { place: Place::Tool(tool), limit } => policy.tool(tool).is_some_and(|entry| {
            entry.limits.iter().any(|known| {
                let window = known.window.seconds() == limit.window.seconds();
                known.counter == limit.counter && window && known.max == limit.max
            })
        }),
        _ => false,
    }
}

/// Whether two rules have the same conditions, however their values are spelt.
fn same(a: &RuleDraft, b: &RuleDraft) -> bool {
    let plain = |text: &str| {
        crate::json::parse(text)
            .map_or_else(|_| text.to_owned(), |parsed| crate::json::canonical::canonical(&parsed.root))
    };
    a.conditions.len() == b.conditions.len()
        && a.conditions
            .iter()
            .zip(&b.conditions)
            .all(|(a, b)| a.path == b.path && a.op == b.op && plain(&a.value) == plain(&b.value))
}

impl App {
    pub(crate) fn can_change_proposal(&self) -> When {
        match self.can_edit() {
            When::Now => {
                let ready = matches!(
                    self.layers.last(),
                    Some(Layer::Suggest(view)) if matches!(view.state, SuggestState::Ready(_))
                );
                When::if_so(ready, "there are no proposals yet")
            }
            not @ When::Not(_) => not,
        }
    }
}

/// Opens the dialog and asks for proposals: from the calls at the servers that this policy is
/// enforced for, where none is known from all calls of the tools that are shown.
pub(in crate::tui::app) fn open(app: &mut App, effects: &mut Vec<Effect>) {
    app.learn.asked += 1;
    let number = app.learn.asked;
    let listed = app.policy.table.tools().iter().filter(|row| row.listed);
    let tools: Vec<String> = listed.map(|row| row.name.to_string()).collect();
    let servers = app.policy.enforced_by.clone();
    let asked = Asked {
        options: Options::of(Profile::Balanced),
        only_tools: servers.is_empty(),
        servers,
        grant: None,
        tools: Some(tools).filter(|tools| !tools.is_empty()),
    };
    effects.push(Effect::Learn(LearnEffect::Learn { number, asked: Box::new(asked) }));
    let view = SuggestView { number, state: SuggestState::Reading, selected: 0 };
    app.layers.push(Layer::Suggest(Box::new(view)));
}

/// Takes in what came of a question.
pub(super) fn learnt(app: &mut App, number: u64, learnt: &Result<Arc<Learnt>, String>) {
    for layer in &mut app.layers {
        if let Layer::Suggest(view) = layer
            && view.number == number
        {
            view.state = match learnt {
                Ok(learnt) => SuggestState::Ready(Box::new(learnt.suggestion.clone())),
                Err(why) => SuggestState::Failed(why.clone()),
            };
        }
    }
}

/// Does an action of the dialog.
pub(in crate::tui::app) fn act(app: &mut App, action: Action) {
    let page = usize::from(app.size.1 / 2).max(1);
    if action == Action::Back {
        app.layers.pop();
        return;
    }
    // The dialog is put aside while the draft is changed.
    let Some(Layer::Suggest(mut view)) = app.layers.pop() else { return };
    if let SuggestState::Ready(suggestion) = &mut view.state {
        let last = suggestion.proposals.len().saturating_sub(1);
        view.selected = view.selected.min(last);
        match action {
            Action::SuggestAccept => {
                if accept(app, suggestion, view.selected) {
                    view.selected = (view.selected + 1).min(last);
                }
            }
            Action::SuggestAll => accept_all(app, suggestion),
            Action::SuggestWiden => {
                let wider = suggestion.proposals.get_mut(view.selected).is_some_and(Proposal::widen);
                if !wider {
                    app.toast(Kind::Info, "there is nothing wider: drop it to leave this open");
                }
            }
            Action::SuggestDrop => {
                if let Some(proposal) = suggestion.proposals.get_mut(view.selected) {
                    proposal.dropped = match proposal.dropped.take() {
                        Some(_) => None,
                        None => Some("by you".to_owned()),
                    };
                    view.selected = (view.selected + 1).min(last);
                }
            }
            _ => {
                if let Some(step) = Step::of(action, page) {
                    view.selected = step.from(view.selected, last);
                }
            }
        }
    }
    app.layers.push(Layer::Suggest(view));
}

/// Puts a proposal into the draft: one edit, one undo.
fn accept(app: &mut App, suggestion: &mut Suggestion, index: usize) -> bool {
    let Some(proposal) = suggestion.proposals.get_mut(index) else { return false };
    let policy = app.policy.editor.as_ref().and_then(|editor| Some(editor.document()?.policy()));
    if policy.is_some_and(|policy| standing(policy, proposal) == Standing::Accepted) {
        app.toast(Kind::Info, "the policy says so already");
        return true;
    }
    proposal.dropped = None;
    let Some(edit) = proposal.choice().map(|choice| one(choice.edits.clone())) else { return false };
    app.edit(&edit)
}

/// Puts every proposal that is open into the draft: one edit, one undo.
fn accept_all(app: &mut App, suggestion: &Suggestion) {
    let Some(policy) = app.policy.editor.as_ref().and_then(|editor| Some(editor.document()?.policy())) else {
        return;
    };
    let open = suggestion.proposals.iter().filter(|proposal| standing(policy, proposal) == Standing::Open);
    let edits: Vec<Edit> = open.filter_map(|proposal| Some(one(proposal.choice()?.edits.clone()))).collect();
    if edits.is_empty() {
        app.toast(Kind::Info, "every proposal is accepted or dropped");
        return;
    }
    let count = edits.len();
    if app.edit(&Edit::Batch(edits)) {
        app.toast(Kind::Good, format!("{count} proposals are in the draft: `u` takes them back"));
    }
}

fn one(mut edits: Vec<Edit>) -> Edit {
    match edits.len() {
        1 => edits.swap_remove(0),
        _ => Edit::Batch(edits),
    }
}
