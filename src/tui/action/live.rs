//! What can be done on the Live and Counters screens.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const HERE: &[Context] = &[Context::Live];

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
        "Show only rows that a filter matches, as in `tail`; Tab completes, Up recalls",
    )
    .keys(&["f"])
    .on(HERE)
    .footer(20),
    Entry::new(Action::LiveSearch, "live.search", "search", "Find rows without hiding the others")
        .keys(&["/"])
        .on(HERE)
        .footer(21),
    Entry::new(Action::FindOlder, "live.find_older", "older match", "Go to the next older row that is found")
        .keys(&[","])
        .on(HERE)
        .when(App::has_search),
    Entry::new(Action::FindNewer, "live.find_newer", "newer match", "Go to the next newer row that is found")
        .keys(&["."])
        .on(HERE)
        .when(App::has_search),
    Entry::new(
        Action::SavedFilters,
        "live.saved",
        "saved filters",
        "Put a saved filter in force, or forget it",
    )
    .keys(&["s"])
    .on(HERE)
    .when(App::has_saved),
    Entry::new(Action::SaveFilter, "live.save", "save filter", "Save the filter in force under a name")
        .keys(&["S"])
        .on(HERE)
        .when(App::has_filter),
    Entry::new(
        Action::PivotNext,
        "live.pivot",
        "count by",
        "Count rows by tool, rule, grant, server, client, minute; Enter narrows to one",
    )
    .keys(&["b"])
    .on(HERE)
    .footer(22),
    Entry::new(Action::PivotPrevious, "live.pivot_back", "count back", "Count rows by the one before")
        .keys(&["B"])
        .on(HERE),
    Entry::new(
        Action::PivotOrder,
        "live.pivot_order",
        "order",
        "Order the counts by calls, denied, rate, last seen or name",
    )
    .keys(&["r"])
    .on(HERE)
    .when(App::has_pivot)
    .footer(23),
    Entry::new(
        Action::Repeats,
        "live.repeats",
        "repeats",
        "Show repeats of a call as one row, or each by itself",
    )
    .keys(&["c"])
    .on(HERE)
    .footer(50),
    Entry::new(
        Action::OpenRepeats,
        "live.open_repeats",
        "open repeats",
        "Show the row's repeats one by one, or as one",
    )
    .keys(&["space"])
    .on(HERE)
    .when(App::has_repeats),
    Entry::new(Action::MarkRow, "live.mark", "mark", "Mark the row, or take its mark away")
        .keys(&["m"])
        .on(HERE)
        .when(App::has_row)
        .footer(51),
    Entry::new(Action::NoteRow, "live.note", "note", "Write a note on the row")
        .keys(&["i"])
        .on(HERE)
        .when(App::has_row),
    Entry::new(Action::MarkOlder, "live.mark_older", "older mark", "Go to the next older marked row")
        .keys(&["{"])
        .on(HERE)
        .when(App::has_marks),
    Entry::new(Action::MarkNewer, "live.mark_newer", "newer mark", "Go to the next newer marked row")
        .keys(&["}"])
        .on(HERE)
        .when(App::has_marks),
    Entry::new(Action::OnlyMarked, "live.only_marked", "only marked", "Show only marked rows, or all again")
        .keys(&["*"])
        .on(HERE)
        .when(App::has_marks),
    Entry::new(Action::TimeAxis, "live.axis", "time axis", "Show calls and denies over time, or hide them")
        .keys(&["w"])
        .on(HERE),
    Entry::new(Action::ZoomIn, "live.zoom_in", "zoom in", "Make a column of the time axis shorter")
        .keys(&["+", "="])
        .on(HERE),
    Entry::new(Action::ZoomOut, "live.zoom_out", "zoom out", "Make a column of the time axis longer")
        .keys(&["-"])
        .on(HERE),
    Entry::new(
        Action::JumpOlder,
        "live.jump_older",
        "jump back",
        "Jump to the column of the time axis before",
    )
    .keys(&["["])
    .on(HERE)
    .when(App::has_row),
    Entry::new(Action::JumpNewer, "live.jump_newer", "jump on", "Jump to the column of the time axis after")
        .keys(&["]"])
        .on(HERE)
        .when(App::has_row),
    Entry::new(Action::Relative, "live.relative", "ago", "Show how long ago rows were, or when")
        .keys(&["T"])
        .on(HERE),
];
