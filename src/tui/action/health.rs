//! What can be done on the Health screen, besides moving over its rows.

use super::{Action, Context, Entry};

pub(super) const TABLE: &[Entry] = &[Entry::new(
    Action::ScreenHealth,
    "screen.health",
    "health",
    "Show the Health screen: gateways, drifted tools, rules",
)
.keys(&["5"])
.on(&[Context::Global])];
