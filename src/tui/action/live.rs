//! What can be done on the Live and Counters screens.

use super::{Action, Context, Entry};
use crate::tui::app::App;

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
        Action::CounterOrder,
        "counters.order",
        "order",
        "Order the counters by how near they are to their limit, or by name",
    )
    .keys(&["s"])
    .on(&[Context::Counters])
    .when(App::has_counters)
    .footer(20),
    Entry::new(
        Action::WarnAt,
        "counters.warn_at",
        "warn at",
        "Change from what part of a limit on it is near, and that is said",
    )
    .keys(&["w"])
    .on(&[Context::Counters])
    .footer(21),
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
