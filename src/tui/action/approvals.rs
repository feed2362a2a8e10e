//! What can be done on the Approvals screen, and with overrides.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const HERE: &[Context] = &[Context::Approvals];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(
        Action::ScreenApprovals,
        "screen.approvals",
        "approvals",
        "Show the Approvals screen: calls that wait for a person",
    )
    .keys(&["4"])
    .on(&[Context::Global]),
    Entry::new(Action::ApproveOnce, "approvals.once", "approve", "Approve the call: it runs, once")
        .keys(&["a"])
        .on(HERE)
        .when(App::can_decide)
        .danger()
        .footer(15),
    Entry::new(
        Action::ApproveFor,
        "approvals.for",
        "for a while",
        "Approve the call and calls with the same arguments for 15 minutes, an hour or 8",
    )
    .keys(&["A"])
    .on(HERE)
    .when(App::can_decide)
    .danger()
    .footer(16),
    Entry::new(Action::Reject, "approvals.reject", "reject", "Reject the call, with a note to the agent")
        .keys(&["r"])
        .on(HERE)
        .when(App::can_decide)
        .danger()
        .footer(17),
    Entry::new(Action::Bell, "approvals.bell", "bell", "Ring the bell when a call waits, or be silent")
        .keys(&["b"])
        .on(HERE)
        .footer(60),
    Entry::new(
        Action::Desktop,
        "approvals.desktop",
        "desktop",
        "Tell the desktop when a call waits (OSC 9), or do not",
    )
    .keys(&["B"])
    .on(HERE),
    Entry::new(
        Action::Override,
        "override",
        "override",
        "Allow, deny or skip approval for the tool, once or for a while",
    )
    .keys(&["o"])
    .on(&[Context::Live, Context::Tool])
    .when(App::can_override)
    .danger()
    .footer(42),
    Entry::new(Action::EndOverride, "override.end", "end override", "End an override before its time")
        .keys(&["O"])
        .on(&[Context::Global])
        .when(App::can_end_override)
        .danger()
        .footer(86),
];
