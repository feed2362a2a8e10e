//! What can be done about the selected row of the Live screen.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const HERE: &[Context] = &[Context::Live];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(
        Action::RowRule,
        "row.rule",
        "new rule",
        "Make the rule that would have decided this row otherwise, as narrow as wanted",
    )
    .keys(&["n"])
    .on(HERE)
    .when(App::can_rule_row)
    .footer(30),
    Entry::new(
        Action::RowTest,
        "row.test",
        "pin as test",
        "Keep this decision as a test beside the policy, for `callgate test`",
    )
    .keys(&["t"])
    .on(HERE)
    .when(App::can_pin_row)
    .footer(32),
    Entry::new(Action::RowCopy, "row.copy", "copy", "Copy the row: record, request, curl, rule, link")
        .keys(&["y"])
        .on(HERE)
        .when(App::can_copy_row)
        .footer(33),
    Entry::new(
        Action::Export,
        "row.export",
        "export",
        "Write what the filter matches to a file: records, CSV, or a report",
    )
    .keys(&["e", "X"])
    .on(HERE)
    .footer(34),
    Entry::new(
        Action::RowEditor,
        "row.editor",
        "go to rule",
        "Show what decided this row on the Policy screen, to change it there",
    )
    .keys(&["E"])
    .on(HERE)
    .when(App::can_go_to_rule),
];
