//! What keys, clicks, the wheel and gateways do on the Live screen.

use crate::tui::action::Action;
use crate::tui::app::{App, Hit};
use crate::tui::key::Key;

/// Takes a key while the filter is typed; `false` when it is not.
pub(crate) fn typing_key(app: &mut App, key: Key) -> bool {
    let typing = app.live.typing();
    if typing {
        app.live.filter_key(key, app.now.ts);
    }
    typing
}

/// Takes pasted text.
pub(crate) fn paste(app: &mut App, text: &str) {
    app.live.filter_paste(text, app.now.ts);
}

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action) {
    let screen = &mut app.live;
    let page = isize::try_from(screen.live.height().saturating_sub(1).max(1)).unwrap_or(1);
    match action {
        Action::Up => screen.move_by(-1),
        Action::Down => screen.move_by(1),
        // With the detail open the pages are the detail's: the rows have the arrows.
        Action::PageUp if screen.detail => screen.scroll_detail(-5),
        Action::PageDown if screen.detail => screen.scroll_detail(5),
        Action::PageUp => screen.move_by(-page),
        Action::PageDown => screen.move_by(page),
        Action::First => {
            screen.live.to_oldest();
            screen.detail_top = 0;
        }
        Action::Last => {
            screen.show_detail(false);
            screen.live.follow();
        }
        Action::Open => screen.show_detail(!screen.detail),
        Action::LiveFilter => screen.open_filter(),
        Action::Back if screen.detail => screen.show_detail(false),
        Action::Back if screen.clear_filter() => {}
        Action::Back => screen.live.follow(),
        _ => {}
    }
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    if let Hit::Row(line) = hit {
        let before = app.live.live.selected();
        let was_open = app.live.detail;
        app.live.live.click(*line);
        app.live.detail_top = 0;
        if before == app.live.live.selected() {
            app.live.show_detail(!was_open);
        }
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, pane: &Hit, steps: i32) {
    let rows = isize::try_from(steps.clamp(-50, 50)).unwrap_or(0);
    match pane {
        Hit::Inspector => app.live.scroll_detail(rows),
        _ => app.live.move_by(rows),
    }
}
