//! Edits of the selected row, of marked rows, and of parts of an entry.

use super::editor::Editor;
use super::form;
use super::inspect::{self, Target};
use super::table::Item;
use super::{App, Focus, Kind};
use crate::policy::edit::{Edit, Place};
use crate::policy::model::{self, RuleList};
use crate::policy::state::ToolState;
use crate::tui::action::{Action, When};

impl App {
    /// Whether the document can be edited by keys at all.
    pub(crate) fn can_edit(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        match &self.policy.editor {
            None => When::Not("the policy is not read yet".to_owned()),
            Some(editor) => When::if_so(editor.is_valid(), "the policy has errors: `r` shows them"),
        }
    }

    pub(super) fn if_editable(&self, holds: bool, reason: &str) -> When {
        match self.can_edit() {
            When::Now => When::if_so(holds, reason),
            not @ When::Not(_) => not,
        }
    }

    /// The tools that an edit is for: the marked ones, else the selected one.
    pub(crate) fn targets(&self) -> Vec<String> {
        let table = &self.policy.table;
        if !table.marked.is_empty() && self.policy.focus == Focus::Table {
            return table.marked.iter().map(ToString::to_string).collect();
        }
        table.selected_tool().map(|row| row.name.to_string()).into_iter().collect()
    }

    pub(crate) fn can_allow_or_deny(&self) -> When {
        let fits = !self.targets().is_empty() || self.policy.table.item() == Some(Item::Default);
        self.if_editable(fits, "choose a tool or the default")
    }

    pub(crate) fn can_hide(&self) -> When {
        let fits = !self.targets().is_empty() || self.policy.table.item() == Some(Item::Default);
        self.if_editable(fits, "choose a tool, or the default to hide every tool")
    }

    pub(crate) fn can_approve_tool(&self) -> When {
        self.if_editable(!self.targets().is_empty(), "choose a tool: the default is allow or deny")
    }

    pub(crate) fn can_limit(&self) -> When {
        let fits = !self.targets().is_empty() || self.policy.table.item() == Some(Item::AllTools);
        self.if_editable(fits, "choose a tool, or the row of all tools")
    }

    pub(crate) fn can_condition(&self) -> When {
        self.if_editable(self.policy.table.selected_tool().is_some(), "choose a tool")
    }

    fn target(&self) -> Option<Target> {
        inspect::target(self)
    }

    pub(crate) fn can_edit_part(&self) -> When {
        let fits = matches!(
            self.target(),
            Some(
                Target::Rule(..)
                    | Target::Condition(..)
                    | Target::Limit(..)
                    | Target::State
                    | Target::Default
                    | Target::Document
                    | Target::Action
                    | Target::RateLimit
            )
        );
        self.if_editable(fits, "go to a rule, a condition or a limit")
    }

    pub(crate) fn can_remove_part(&self) -> When {
        let fits = matches!(
            self.target(),
            Some(
                Target::Rule(..)
                    | Target::Condition(..)
                    | Target::Limit(..)
                    | Target::RateLimit
                    | Target::Action
                    | Target::Entry
            )
        );
        self.if_editable(fits, "go to a rule, a condition or a limit")
    }

    pub(crate) fn can_move_part(&self) -> When {
        self.if_editable(matches!(self.target(), Some(Target::Rule(..))), "go to a rule")
    }

    pub(crate) fn can_extend_rule(&self) -> When {
        let fits = matches!(self.target(), Some(Target::Rule(..) | Target::Condition(..)));
        self.if_editable(fits, "go to a rule")
    }

    /// Applies an edit to the document; what it says when it cannot is shown.
    pub fn edit(&mut self, edit: &Edit) -> bool {
        if let When::Not(why) = self.can_edit() {
            self.toast(Kind::Warn, why);
            return false;
        }
        let row = self.policy.table.selected_tool().map(|row| row.name.to_string());
        let Some(editor) = &mut self.policy.editor else { return false };
        match editor.apply(edit, row) {
            Ok(changed) => {
                if changed {
                    self.policy_tools_changed();
                    self.policy_refresh();
                } else {
                    self.toast(Kind::Info, "nothing changes: the policy says so already");
                }
                changed
            }
            Err(error) => {
                let help = error.help().map(|help| format!(": {help}")).unwrap_or_default();
                self.toast(Kind::Bad, format!("{error}{help}"));
                false
            }
        }
    }

    /// The document changed: what is shown by state may be other rows now.
    fn policy_refresh(&mut self) {
        let parts = inspect::count(self);
        self.policy.part = self.policy.part.min(parts.saturating_sub(1));
    }
}

/// Does an edit action; `false` when it is none.
pub(super) fn act(app: &mut App, action: Action) -> bool {
    match action {
        Action::Allow => set_state(app, ToolState::Allow),
        Action::Deny => set_state(app, ToolState::Deny),
        Action::Hide => set_state(app, ToolState::Hide),
        Action::Approve => set_state(app, ToolState::Approve),
        Action::NextState => next_state(app),
        Action::Limit => form::open_limit(app, None),
        Action::Condition => form::open_condition(app),
        Action::Paste => super::clip::paste(app),
        Action::Duplicate => super::clip::duplicate(app),
        Action::Document => form::open_document(app),
        Action::Shorthand => form::open_action(app),
        Action::RateLimit => form::open_rate_limit(app),
        Action::Edit => edit_part(app),
        Action::Remove => remove_part(app),
        Action::MoveUp => move_part(app, false),
        Action::MoveDown => move_part(app, true),
        Action::AddCondition => {
            if let Some(Target::Rule(list, rule) | Target::Condition(list, rule, _)) = app.target() {
                form::extend_rule(app, list, rule);
            }
        }
        _ => return false,
    }
    true
}

fn set_state(app: &mut App, state: ToolState) {
    let tools = app.targets();
    if tools.is_empty() {
        let hidden = app.policy.editor.as_ref().and_then(|editor| editor.document());
        let hidden = hidden.is_some_and(|document| document.policy().hide.all);
        app.edit(&match state {
            ToolState::Allow => Edit::SetDefault(model::Default::Allow),
            ToolState::Hide => Edit::SetHideAll(!hidden),
            ToolState::Deny | ToolState::Approve => Edit::SetDefault(model::Default::Deny),
        });
        return;
    }
    let many = tools.len();
    if app.edit(&Edit::SetState { tools, state }) && many > 1 {
        app.toast(Kind::Good, format!("{}: {many} tools (u takes it back)", state.name()));
    }
}

fn next_state(app: &mut App) {
    let Some(editor) = &app.policy.editor else { return };
    match app.policy.table.item() {
        Some(Item::Tool(_)) => {
            let tools = app.targets();
            let Some(first) = tools.first() else { return };
            let now = editor.state(first);
            let all = ToolState::ALL;
            let at = all.iter().position(|state| *state == now).unwrap_or(0);
            if let Some(next) = all.get((at + 1) % all.len()) {
                set_state(app, *next);
            }
        }
        Some(Item::Default) => {
            let allow =
                editor.document().is_some_and(|document| document.policy().default == model::Default::Allow);
            set_state(app, if allow { ToolState::Deny } else { ToolState::Allow });
        }
        _ => app.toast(Kind::Info, "limits count for all tools: `l` adds one"),
    }
}

/// The tool or the place of the inspector's rows.
pub(super) fn place(app: &App) -> Option<Place> {
    match app.policy.table.item()? {
        Item::AllTools => Some(Place::AllTools),
        Item::Tool(index) => app.policy.table.row(index).map(|row| Place::Tool(row.name.to_string())),
        Item::Default => None,
    }
}

fn edit_part(app: &mut App) {
    match app.target() {
        Some(Target::State | Target::Default) => next_state(app),
        Some(Target::Document) => form::open_document(app),
        Some(Target::Action) => form::open_action(app),
        Some(Target::RateLimit) => form::open_rate_limit(app),
        Some(Target::Limit(index)) => form::open_limit(app, Some(index)),
        Some(Target::Rule(list, rule)) => form::edit_rule(app, list, rule, None),
        Some(Target::Condition(list, rule, condition)) => form::edit_rule(app, list, rule, Some(condition)),
        _ => {}
    }
}

/// Opens the inspector's row: as `e`, where that means something.
pub(super) fn open_part(app: &mut App) {
    if app.can_edit_part() == When::Now {
        edit_part(app);
    }
}

pub(super) fn remove_part(app: &mut App) {
    let Some(place) = place(app) else { return };
    let tool = match &place {
        Place::Tool(tool) => tool.clone(),
        Place::AllTools => String::new(),
    };
    let edit = match app.target() {
        Some(Target::Limit(index)) => Edit::RemoveLimit { place, index },
        Some(Target::RateLimit) => Edit::RemoveRateLimit { tool },
        Some(Target::Action) => Edit::SetAction { tool, action: None, reason: None },
        Some(Target::Entry) => Edit::RemoveTool { tool },
        Some(Target::Rule(list, index)) => Edit::RemoveRule { tool, list, index },
        Some(Target::Condition(list, index, condition)) => {
            let Some(rule) = app.policy.editor.as_ref().and_then(|editor| rule(editor, &tool, list, index))
            else {
                return;
            };
            // A rule without conditions holds for every call: with its last one, the rule goes.
            if rule.conditions.len() <= 1 {
                Edit::RemoveRule { tool, list, index }
            } else {
                let mut draft = crate::policy::edit::RuleDraft::from(rule);
                draft.conditions.remove(condition.min(draft.conditions.len() - 1));
                Edit::SetRule { tool, list, index, rule: draft }
            }
        }
        _ => return,
    };
    let label = edit.describe();
    if app.edit(&edit) {
        app.toast(Kind::Good, format!("{label} (u takes it back)"));
    }
}

fn move_part(app: &mut App, down: bool) {
    let (Some(Place::Tool(tool)), Some(Target::Rule(list, from))) = (place(app), app.target()) else {
        return;
    };
    let count = app
        .policy
        .editor
        .as_ref()
        .and_then(|editor| editor.tool(&tool))
        .map_or(0, |entry| rules(entry, list).len());
    let to = if down { from + 1 } else { from.wrapping_sub(1) };
    if to >= count {
        return;
    }
    if app.edit(&Edit::MoveRule { tool, list, from, to }) {
        inspect::go_to(app, &Target::Rule(list, to));
    }
}

/// A tool's rules of one list.
pub(super) fn rules(tool: &model::Tool, list: RuleList) -> &[model::Rule] {
    match list {
        RuleList::Require => &tool.require,
        RuleList::DenyIf => &tool.deny_if,
        RuleList::ApproveIf => &tool.approve_if,
    }
}

/// One of them.
pub(super) fn rule<'a>(
    editor: &'a Editor,
    tool: &str,
    list: RuleList,
    index: usize,
) -> Option<&'a model::Rule> {
    rules(editor.tool(tool)?, list).get(index)
}
