//! What keys, clicks and the wheel do on the Health screen.

use super::{HealthKey, HealthRow, detail, rows, rules};
use crate::tui::action::Action;
use crate::tui::app::{App, Effect, Hit, Kind, Screen, policy};

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let rows = rows(app);
    let all = isize::try_from(rows.len()).unwrap_or(isize::MAX);
    let page = isize::try_from(app.health.pane.1.saturating_sub(1).max(1)).unwrap_or(1);
    match action {
        Action::Up => app.health.move_by(&rows, -1),
        Action::Down => app.health.move_by(&rows, 1),
        Action::First => app.health.move_by(&rows, -all),
        Action::Last => app.health.move_by(&rows, all),
        Action::PageUp => scroll(app, -page),
        Action::PageDown => scroll(app, page),
        Action::Open => open(app, effects),
        Action::Back => app.health.whole = false,
        Action::AcceptPins => crate::tui::app::policy::pins::open(app),
        _ => {}
    }
}

/// A rule opens in the editor, anything else in full.
fn open(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(HealthKey::Rule(at, word)) = app.health.selected.clone() else {
        app.health.whole = !app.health.whole;
        return;
    };
    let found = rules::findings(app).into_iter().find(|one| one.pointer == at && one.word == word);
    let tool = found.map(|one| one.tool.clone()).unwrap_or_default();
    if !policy::show_part(app, &tool, rules::target(&at), effects) {
        app.screen = Screen::Policy;
        app.toast(Kind::Info, format!("{at} is of no one tool: r shows the document's text"));
    }
}

fn scroll(app: &mut App, lines: isize) {
    let (width, height) = app.health.pane;
    let last = detail(app, width).len().saturating_sub(height.max(1));
    app.health.detail_top = app.health.detail_top.min(last).saturating_add_signed(lines).min(last);
}

/// Takes a click on a row of the list.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    let Hit::Row(at) = hit else { return };
    let rows = rows(app);
    if let Some(key) = rows.get(*at).and_then(HealthRow::key) {
        app.health.selected = Some(key);
        app.health.touched = true;
        app.health.detail_top = 0;
        app.health.settle(&rows);
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, pane: &Hit, steps: i32) {
    let by = isize::try_from(steps.clamp(-50, 50)).unwrap_or(0);
    if *pane == Hit::Inspector {
        return scroll(app, by);
    }
    let rows = rows(app);
    app.health.move_by(&rows, by);
}
