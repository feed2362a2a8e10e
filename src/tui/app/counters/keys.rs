//! What keys, clicks and the wheel do on the Counters screen.

use crate::tui::action::{Action, When};
use crate::tui::app::{App, Hit, Kind};

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action) {
    let page = isize::try_from(app.counters_screen.height.saturating_sub(1).max(1)).unwrap_or(1);
    let all = isize::try_from(app.counters.len()).unwrap_or(isize::MAX);
    match action {
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::PageUp => step(app, -page),
        Action::PageDown => step(app, page),
        Action::First => step(app, -all),
        Action::Last => step(app, all),
        Action::Open => app.counters_screen.whole = !app.counters_screen.whole,
        Action::Back => app.counters_screen.whole = false,
        Action::CounterOrder => {
            app.counters_screen.by_name = !app.counters_screen.by_name;
            app.counters_screen.top = 0;
            let text = if app.counters_screen.by_name {
                "counters by name"
            } else {
                "counters by how near they are to their limit"
            };
            app.toast(Kind::Info, text);
        }
        Action::WarnAt => {
            app.counters_screen.next_threshold();
            let text = match app.counters_screen.warn_at {
                Some(percent) => format!("a limit is near from {percent} % on, and that is said"),
                None => "nothing is said of limits that are near".to_owned(),
            };
            app.toast(Kind::Info, text);
        }
        _ => {}
    }
}

/// Moves the selection by so many gauges.
fn step(app: &mut App, by: isize) {
    let selected = {
        let readings = app.readings();
        let at = app.counters_screen.index(&readings);
        let at = at.saturating_add_signed(by).min(readings.len().saturating_sub(1));
        readings.get(at).map(|reading| reading.key.clone())
    };
    app.counters_screen.selected = selected;
    app.settle_counters();
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    if let Hit::Row(line) = hit {
        let at = app.counters_screen.top + line;
        let key = app.readings().get(at).map(|reading| reading.key.clone());
        if key.is_some() {
            app.counters_screen.selected = key;
        }
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, steps: i32) {
    step(app, isize::try_from(steps.clamp(-50, 50)).unwrap_or(0));
}

impl App {
    /// Whether there are gauges to put in order.
    pub(crate) fn has_counters(&self) -> When {
        When::if_so(!self.counters.is_empty(), "no limit was touched yet")
    }
}
