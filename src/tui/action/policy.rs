//! What can be done on the Policy screen.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const TOOL: &[Context] = &[Context::Tool];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(Action::Copy, "policy.copy", "copy", "Copy the entry as JSON")
        .keys(&["y"])
        .on(TOOL)
        .when(App::can_copy),
    Entry::new(Action::Search, "search", "search", "Find by letters of the name or words of the description")
        .keys(&["/"])
        .on(&[Context::Policy])
        .footer(30),
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
    Entry::new(Action::Raw, "policy.raw", "JSON", "Show the whole document as text with its diagnostics")
        .keys(&["r"])
        .on(&[Context::Policy, Context::Inspector, Context::Raw])
        .footer(50),
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
];
