//! What can be done on the Live and Counters screens.

use super::{Action, Context, Entry};

pub(super) const TABLE: &[Entry] = &[
    Entry::new(Action::ScreenLive, "screen.live", "live", "Show the Live screen: decisions as they come")
        .keys(&["2"])
        .on(&[Context::Global]),
    Entry::new(
        Action::ScreenCounters,
        "screen.counters",
        "counters",
        "Show the Counters screen: limits as gauges",
    )
    .keys(&["3"])
    .on(&[Context::Global]),
    Entry::new(
        Action::LiveFilter,
        "live.filter",
        "filter",
        "Show only rows that a filter matches, as in `tail`",
    )
    .keys(&["f", "/"])
    .on(&[Context::Live])
    .footer(20),
];
