//! What can be done on the Policy screen.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const TOOL: &[Context] = &[Context::Tool];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(Action::Allow, "policy.allow", "allow", "Allow the tool; its other rules stay")
        .keys(&["a"])
        .on(TOOL)
        .when(App::can_allow_or_deny)
        .footer(20),
    Entry::new(Action::Deny, "policy.deny", "deny", "Deny every call of the tool, visibly")
        .keys(&["d"])
        .on(TOOL)
        .when(App::can_allow_or_deny)
        .footer(21),
    Entry::new(Action::Hide, "policy.hide", "hide", "Take the tool out of the agent's list")
        .keys(&["x"])
        .on(TOOL)
        .when(App::can_hide)
        .footer(22),
    Entry::new(Action::Approve, "policy.approve", "approve", "Hold every call until a person approves it")
        .keys(&["p"])
        .on(TOOL)
        .when(App::can_approve_tool)
        .footer(23),
    Entry::new(
        Action::NextState,
        "policy.next_state",
        "next state",
        "Change to the next state: allow, deny, hide, approve",
    )
    .keys(&["space"])
    .on(TOOL)
    .when(App::can_edit),
    Entry::new(Action::Limit, "policy.limit", "limit", "Limit how often: `l`, a number, Enter")
        .keys(&["l"])
        .on(TOOL)
        .when(App::can_limit)
        .footer(24),
    Entry::new(Action::Condition, "policy.condition", "condition", "Add a rule on an argument of the tool")
        .keys(&["c"])
        .on(TOOL)
        .when(App::can_condition)
        .footer(25),
    Entry::new(
        Action::Copy,
        "policy.copy",
        "copy",
        "Copy this rule or limit, or the whole entry, as JSON too",
    )
    .keys(&["y"])
    .on(TOOL)
    .when(App::can_copy),
    Entry::new(
        Action::Paste,
        "policy.paste",
        "put in",
        "Put what was copied into this or the selected tools",
    )
    .keys(&["P"])
    .on(TOOL)
    .when(App::can_paste),
    Entry::new(Action::Cut, "inspector.cut", "cut", "Copy this rule or limit, and take it away")
        .keys(&["ctrl-x"])
        .on(&[Context::Inspector])
        .when(App::can_cut),
    Entry::new(
        Action::Duplicate,
        "inspector.duplicate",
        "duplicate",
        "Double this rule; a limit for another window",
    )
    .keys(&["ctrl-d"])
    .on(&[Context::Inspector])
    .when(App::can_cut),
    Entry::new(
        Action::Document,
        "policy.document",
        "the policy",
        "Default, hiding, description and schema of the whole policy",
    )
    .keys(&["w"])
    .on(&[Context::Policy, Context::Inspector])
    .when(App::can_edit),
    Entry::new(Action::Shorthand, "policy.action", "action", "Write the shorthand `action` with its reason")
        .on(TOOL)
        .when(App::can_condition),
    Entry::new(Action::RateLimit, "policy.rate_limit", "rate_limit", "Write the shorthand `rate_limit`")
        .on(TOOL)
        .when(App::can_condition),
    Entry::new(Action::Search, "search", "search", "Find by letters of the name or words of the description")
        .keys(&["/"])
        .on(&[Context::Policy])
        .footer(18),
    Entry::new(Action::Filter, "filter", "filter", "Show only one state, risk or kind")
        .keys(&["f"])
        .on(&[Context::Policy])
        .footer(31),
    Entry::new(Action::Mark, "mark", "select", "Select the row for an edit of many")
        .keys(&["v"])
        .on(&[Context::Policy])
        .when(App::can_mark)
        .footer(40),
    Entry::new(Action::MarkAll, "mark.all", "select all", "Select every row shown, or none")
        .keys(&["V"])
        .on(&[Context::Policy])
        .when(App::can_mark_all),
    Entry::new(
        Action::Recommended,
        "policy.recommended",
        "recommended",
        "Apply the recommended rules to this, the selected or all tools",
    )
    .keys(&["R"])
    .on(&[Context::Policy, Context::Inspector])
    .when(App::can_recommend)
    .footer(41),
    Entry::new(
        Action::AcceptPins,
        "policy.accept",
        "accept",
        "Accept this or the selected tools as they are now",
    )
    .keys(&["A"])
    .on(&[Context::Policy, Context::Inspector, Context::Health])
    .when(App::can_accept),
    Entry::new(Action::AcceptShown, "definitions.accept", "accept", "Accept the definitions as they are now")
        .keys(&["enter"])
        .on(&[Context::Accepting])
        .when(App::can_accept_shown)
        .footer(1),
    Entry::new(
        Action::Shadow,
        "policy.shadow",
        "shadow",
        "Run the draft beside the live policy, compare, promote",
    )
    .keys(&["b"])
    .on(&[Context::Policy, Context::Inspector])
    .when(App::can_shadow),
    Entry::new(
        Action::Revisions,
        "policy.revisions",
        "revisions",
        "Show what the file held before, what differs, and roll back",
    )
    .keys(&["h"])
    .on(&[Context::Policy, Context::Inspector])
    .when(App::can_see_revisions),
    Entry::new(
        Action::RollBack,
        "revision.roll_back",
        "roll back",
        "Make the document what it was, as an edit",
    )
    .keys(&["enter"])
    .on(&[Context::Revision])
    .when(App::can_roll_back)
    .footer(1),
    Entry::new(Action::Raw, "policy.raw", "JSON", "Show the whole document as text with its diagnostics")
        .keys(&["r"])
        .on(&[Context::Policy, Context::Inspector, Context::Raw])
        .footer(50),
    Entry::new(Action::TextEdit, "text.edit", "edit here", "Write into the text; Esc ends it")
        .keys(&["i", "e"])
        .on(&[Context::Raw])
        .when(App::can_write_text)
        .footer(9),
    Entry::new(Action::TextUndo, "text.undo", "undo", "Take back the last edit, as `u` does elsewhere")
        .keys(&["ctrl-z"])
        .on(&[Context::Typing])
        .when(App::can_undo)
        .footer(6),
    Entry::new(Action::Complete, "text.complete", "complete", "Offer the keys and values that fit here")
        .keys(&["ctrl-space"])
        .on(&[Context::Typing])
        .footer(7),
    Entry::new(Action::NextError, "text.next_error", "next error", "Go to the next error or warning")
        .keys(&["f8"])
        .on(&[Context::Raw, Context::Typing])
        .when(App::has_errors)
        .footer(8),
    Entry::new(
        Action::PreviousError,
        "text.previous_error",
        "prev. error",
        "Go to the error or warning before",
    )
    .keys(&["shift-f8"])
    .on(&[Context::Raw, Context::Typing])
    .when(App::has_errors),
    Entry::new(Action::Editor, "policy.editor", "$EDITOR", "Open the file in your own editor and come back")
        .keys(&["E"])
        .on(&[Context::Policy, Context::Inspector, Context::Raw])
        .when(App::can_open_editor)
        .footer(51),
    Entry::new(
        Action::NextServer,
        "policy.next_server",
        "next server",
        "Show the tools and the policy of the next server",
    )
    .keys(&["s"])
    .on(&[Context::Policy])
    .when(App::has_servers)
    .footer(60),
    Entry::new(Action::Edit, "inspector.edit", "edit", "Change the rule, limit or condition of this row")
        .keys(&["e"])
        .on(&[Context::Inspector])
        .when(App::can_edit_part)
        .footer(11),
    Entry::new(
        Action::Remove,
        "inspector.remove",
        "remove",
        "Remove the rule, limit or condition of this row",
    )
    .keys(&["delete", "D"])
    .on(&[Context::Inspector])
    .when(App::can_remove_part)
    .footer(12),
    Entry::new(Action::MoveUp, "inspector.move_up", "move up", "Move the rule before the one above it")
        .keys(&["shift-up", "K"])
        .on(&[Context::Inspector])
        .when(App::can_move_part),
    Entry::new(Action::MoveDown, "inspector.move_down", "move down", "Move the rule after the one below it")
        .keys(&["shift-down", "J"])
        .on(&[Context::Inspector])
        .when(App::can_move_part),
    Entry::new(
        Action::AddCondition,
        "inspector.and",
        "and ...",
        "Add a condition to this rule: all of them must hold",
    )
    .keys(&["+"])
    .on(&[Context::Inspector])
    .when(App::can_extend_rule)
    .footer(13),
];
