//! What can be done everywhere, and moving.

use super::{Action, Context, Entry, When};
use crate::tui::app::App;

const ROWS: &[Context] = &[Context::List, Context::Review];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(Action::Help, "help", "help", "Show the keys of this place")
        .keys(&["?"])
        .on(&[Context::Global])
        .footer(90),
    Entry::new(Action::FirstSteps, "steps", "first steps", "Show the first steps, and what of them is done")
        .keys(&["f1"])
        .on(&[Context::Global]),
    Entry::new(Action::Palette, "palette", "commands", "Find any action by name and do it")
        .keys(&[":"])
        .on(&[Context::Global])
        .footer(91),
    Entry::new(Action::Save, "save", "save", "Review what changed and write the policy")
        .keys(&["ctrl-s"])
        .on(&[Context::Global, Context::Typing])
        .when(App::can_save)
        .footer(5),
    Entry::new(Action::Undo, "undo", "undo", "Take back the last edit")
        .keys(&["u"])
        .on(&[Context::Global])
        .when(App::can_undo)
        .footer(45),
    Entry::new(Action::Redo, "redo", "redo", "Do again what was taken back")
        .keys(&["ctrl-r", "ctrl-y"])
        .on(&[Context::Global, Context::Typing])
        .when(App::can_redo),
    Entry::new(Action::ScreenPolicy, "screen.policy", "policy", "Show the Policy screen")
        .keys(&["1"])
        .on(&[Context::Global]),
    Entry::new(Action::NextScreen, "screen.next", "next screen", "Show the next screen")
        .keys(&["tab"])
        .on(&[Context::Global])
        .when(App::has_screens),
    Entry::new(Action::PreviousScreen, "screen.previous", "prev. screen", "Show the previous screen")
        .keys(&["shift-tab"])
        .on(&[Context::Global])
        .when(App::has_screens),
    Entry::new(
        Action::Freeze,
        "freeze",
        "freeze",
        "Deny every call of a tool, a server or everything, at once",
    )
    .keys(&["F"])
    .on(&[Context::Global])
    .when(App::can_freeze)
    .danger()
    .footer(85),
    Entry::new(Action::Unfreeze, "unfreeze", "unfreeze", "Lift a freeze")
        .keys(&["U"])
        .on(&[Context::Global])
        .when(App::can_unfreeze)
        .danger(),
    Entry::new(
        Action::Mouse,
        "mouse",
        "mouse",
        "Give the mouse to the terminal, to select text, or take it back",
    )
    .keys(&["M"])
    .on(&[Context::Global]),
    Entry::new(Action::Redraw, "redraw", "redraw", "Draw the whole screen again")
        .keys(&["ctrl-l"])
        .on(&[Context::Global]),
    Entry::new(Action::Suspend, "suspend", "suspend", "Go back to the shell for a while; `fg` returns")
        .keys(&["ctrl-z"])
        .on(&[Context::Global])
        .when(|_| When::if_so(cfg!(unix), "this system has no job control")),
    Entry::new(Action::Quit, "quit", "quit", "Leave; asks when something is unsaved")
        .keys(&["q", "ctrl-c"])
        .on(&[Context::Global])
        .footer(99),
    Entry::new(Action::Up, "move.up", "up", "Go one row up").keys(&["up", "k"]).on(ROWS),
    Entry::new(Action::Down, "move.down", "down", "Go one row down").keys(&["down", "j"]).on(ROWS),
    Entry::new(Action::PageUp, "move.page_up", "page up", "Go one page up")
        .keys(&["pgup", "ctrl-b"])
        .on(ROWS),
    Entry::new(Action::PageDown, "move.page_down", "page down", "Go one page down")
        .keys(&["pgdn", "ctrl-f"])
        .on(ROWS),
    Entry::new(Action::First, "move.first", "first", "Go to the first row").keys(&["g", "home"]).on(ROWS),
    Entry::new(Action::Last, "move.last", "last", "Go to the last row").keys(&["G", "end"]).on(ROWS),
    Entry::new(Action::Open, "open", "open", "Open the row, or go into the inspector")
        .keys(&["enter", "right"])
        .on(&[Context::List])
        .when(App::can_open)
        .footer(10),
    Entry::new(Action::Back, "back", "back", "Go back; clear marks, search and filters")
        .keys(&["esc", "left"])
        .on(&[Context::List, Context::Review])
        .when(App::can_go_back)
        .footer(14),
    Entry::new(
        Action::ShowExamples,
        "review.examples",
        "open",
        "Show or hide the recorded calls of this row, or why its test fails",
    )
    .keys(&["right", "space"])
    .on(&[Context::Review])
    .footer(11),
    Entry::new(Action::Write, "review.write", "write", "Write the policy to its file")
        .keys(&["enter"])
        .on(&[Context::Review])
        .footer(10),
];
