//! What keys, clicks and the wheel do on the Counters screen.

use crate::tui::action::Action;
use crate::tui::app::{App, Hit};

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action) {
    let count = app.counters.len();
    let screen = &mut app.counters_screen;
    let page = isize::try_from(screen.height.saturating_sub(1).max(1)).unwrap_or(1);
    let all = isize::try_from(count).unwrap_or(isize::MAX);
    let by = match action {
        Action::Up => -1,
        Action::Down => 1,
        Action::PageUp => -page,
        Action::PageDown => page,
        Action::First => -all,
        Action::Last => all,
        _ => return,
    };
    screen.move_by(by, count);
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    if let Hit::Row(line) = hit {
        let at = app.counters_screen.top + line;
        app.counters_screen.selected = at.min(app.counters.len().saturating_sub(1));
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, steps: i32) {
    let count = app.counters.len();
    app.counters_screen.move_by(isize::try_from(steps.clamp(-50, 50)).unwrap_or(0), count);
}
