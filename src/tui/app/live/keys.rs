//! What keys, clicks, the wheel and gateways do on the Live screen.

use super::marks::{Change, Mark};
use super::news::LiveEffect;
use super::seek::Found;
use super::strip::WIDTHS;
use super::tally::{self, By};
use super::typing::Typed;
use crate::tui::action::{Action, When};
use crate::tui::app::layer::{self, Layer, PickItem, Picker};
use crate::tui::app::{App, Effect, Hit, Kind, field};
use crate::tui::key::Key;

/// What follows from an answer to a dialog of this screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Puts a saved filter in force.
    Use(String),
    /// Forgets a saved filter.
    Forget(String),
}

/// Takes a key while the line at the bottom is typed; `false` when it is not.
pub(crate) fn typing_key(app: &mut App, key: Key, effects: &mut Vec<Effect>) -> bool {
    if !app.live.typing() {
        return false;
    }
    match app.live.line_key(key, app.now.ts) {
        Typed::Stays | Typed::Dropped => {}
        Typed::Filter => effects.push(Effect::Live(LiveEffect::History(app.live.history.clone()))),
        Typed::Search => say_found(app),
        Typed::Note(source, seq, note) => {
            if let Some((of, mark, was)) =
                app.live.mark_of_selected().filter(|(of, mark, _)| *of == source && mark.seq == seq)
                && (was || !note.is_empty())
            {
                set_mark(app, of, Mark { note, ..mark }, effects);
            }
        }
        Typed::Name(name) => {
            let text = app.live.live.filter_text.trim().to_owned();
            app.live.saved.insert(name.clone(), text.clone());
            app.toast(Kind::Good, format!("filter saved as {}", crate::visible::visible(&name)));
            effects.push(Effect::Live(LiveEffect::Filter(name, Some(text))));
        }
    }
    true
}

/// Takes pasted text.
pub(crate) fn paste(app: &mut App, text: &str) {
    app.live.line_paste(text, app.now.ts);
}

fn say_found(app: &mut App) {
    if let Found::None(older) = app.live.live.found {
        let way = if older { "older" } else { "newer" };
        app.toast(Kind::Info, format!("no {way} row matches"));
    }
}

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    if app.live.pivot.is_some() && act_on_groups(app, action) {
        return;
    }
    if app.live.inside.is_some() && act_inside(app, action) {
        return;
    }
    let screen = &mut app.live;
    let page = isize::try_from(screen.live.height().saturating_sub(1).max(1)).unwrap_or(1);
    match action {
        Action::Up => screen.move_by(-1),
        Action::Down => screen.move_by(1),
        // With the detail open the pages are the detail's: the rows have the arrows.
        Action::PageUp if screen.detail => scroll_detail(app, -5),
        Action::PageDown if screen.detail => scroll_detail(app, 5),
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
        Action::Open if screen.detail => screen.inside = Some(screen.detail_top),
        Action::Open => screen.show_detail(true),
        Action::Back if screen.detail => screen.show_detail(false),
        Action::Back if screen.live.stop_search() => {}
        Action::Back if screen.clear_filter() => {}
        Action::Back if screen.live.shows_only() => screen.live.show_only(None),
        Action::Back => screen.live.follow(),
        action => act_more(app, action, effects),
    }
}

fn act_more(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let screen = &mut app.live;
    match action {
        Action::LiveFilter => screen.open_filter(),
        Action::LiveSearch => screen.open_search(),
        Action::FindOlder | Action::FindNewer => {
            screen.live.seek(action == Action::FindOlder);
            screen.detail_top = 0;
            say_found(app);
        }
        Action::SavedFilters => open_saved(app),
        Action::SaveFilter => screen.open_name(),
        Action::PivotNext | Action::PivotPrevious => {
            let forward = action == Action::PivotNext;
            let first = if forward { By::ALL.first() } else { By::ALL.last() };
            screen.show_pivot(match screen.pivot {
                Some(pivot) => pivot.by.turn(forward),
                None => first.copied(),
            });
        }
        Action::Repeats => {
            screen.live.fold(!screen.live.folds());
            let text = if screen.live.folds() {
                "repeats are shown as one row"
            } else {
                "each row is shown by itself"
            };
            app.toast(Kind::Info, text);
        }
        Action::OpenRepeats => {
            let had = screen.live.toggle_repeats();
            if !had {
                app.toast(Kind::Info, "this row has no repeats");
            }
        }
        Action::MarkRow => toggle_mark(app, effects),
        Action::NoteRow => screen.open_note(),
        Action::MarkOlder | Action::MarkNewer => {
            let older = action == Action::MarkOlder;
            if !screen.to_mark(older) {
                app.toast(Kind::Info, if older { "no older mark here" } else { "no newer mark here" });
            }
        }
        Action::OnlyMarked => {
            let only = (!screen.live.shows_only()).then(|| screen.marks.keys().collect());
            screen.live.show_only(only);
        }
        Action::TimeAxis => {
            let shown = screen.live.strip().is_some();
            screen.strip = Some(!shown);
        }
        Action::ZoomIn => screen.zoom = screen.zoom.saturating_sub(1),
        Action::ZoomOut => screen.zoom = (screen.zoom + 1).min(WIDTHS.len() - 1),
        Action::JumpOlder | Action::JumpNewer => {
            if screen.live.strip().is_none() {
                screen.strip = Some(true);
                screen.live.count_time(true);
            }
            screen.jump(action == Action::JumpOlder);
        }
        Action::Relative => screen.relative = !screen.relative,
        _ => {}
    }
}

/// Does an action on the groups of a pivot; `false` when it is none of theirs.
fn act_on_groups(app: &mut App, action: Action) -> bool {
    let now = app.now.ts;
    let screen = &mut app.live;
    let page = isize::try_from(screen.live.height().saturating_sub(1).max(1)).unwrap_or(1);
    match action {
        Action::Up => screen.move_group(-1, now),
        Action::Down => screen.move_group(1, now),
        Action::PageUp => screen.move_group(-page, now),
        Action::PageDown => screen.move_group(page, now),
        Action::First => screen.move_group(isize::MIN, now),
        Action::Last => screen.move_group(isize::MAX, now),
        Action::Back => screen.show_pivot(None),
        Action::Open => {
            if let (Some(pivot), Some(key)) = (screen.pivot, screen.selected_group(now)) {
                let terms = tally::terms(pivot.by, key, &screen.live.ring.names);
                screen.show_pivot(None);
                if let Err(error) = screen.narrow(&terms, now) {
                    app.toast(Kind::Bad, error.to_string());
                }
            }
        }
        Action::PivotOrder => {
            if let Some(pivot) = &mut screen.pivot {
                pivot.order = pivot.order.next();
                pivot.top = 0;
                pivot.selected = None;
            }
        }
        _ => return false,
    }
    true
}

/// Does an action within the detail; `false` when it is none of it.
fn act_inside(app: &mut App, action: Action) -> bool {
    match action {
        Action::Up => scroll_detail(app, -1),
        Action::Down => scroll_detail(app, 1),
        Action::PageUp => scroll_detail(app, -5),
        Action::PageDown => scroll_detail(app, 5),
        Action::First => scroll_detail(app, isize::MIN),
        Action::Last => scroll_detail(app, isize::MAX),
        Action::Back => app.live.inside = None,
        Action::Open | Action::OpenRepeats => open_line(app),
        _ => return false,
    }
    true
}

fn open_line(app: &mut App) {
    let lines = app.live.detail_lines(&app.counters, app.now.ts);
    let Some(line) = app.live.inside.and_then(|at| lines.get(at)) else { return };
    if let Some((name, _)) = line.fold.clone() {
        if !app.live.toggled.remove(&name) {
            app.live.toggled.insert(name);
        }
    } else if let Some(id) = line.goes {
        app.live.live.go_to(id);
        app.live.detail_top = 0;
        app.live.inside = Some(0);
    }
}

fn scroll_detail(app: &mut App, lines: isize) {
    let total = app.live.detail_lines(&app.counters, app.now.ts).len();
    app.live.scroll_detail(lines, total);
}

fn toggle_mark(app: &mut App, effects: &mut Vec<Effect>) {
    app.live.live.pause();
    let Some((source, mark, was)) = app.live.mark_of_selected() else { return };
    if was {
        app.live.marks.unset(source, mark.seq);
        app.live.live.marked(source, mark.seq, false);
        effects.push(Effect::Live(LiveEffect::Mark(Change::Unset(mark.gateway, mark.seq))));
        if !mark.note.is_empty() {
            app.toast(Kind::Info, "the mark and its note are gone");
        }
    } else {
        set_mark(app, source, mark, effects);
    }
}

fn set_mark(app: &mut App, source: u32, mark: Mark, effects: &mut Vec<Effect>) {
    let seq = mark.seq;
    app.live.marks.set(source, mark.clone());
    app.live.live.marked(source, seq, true);
    effects.push(Effect::Live(LiveEffect::Mark(Change::Set(mark))));
}

fn open_saved(app: &mut App) {
    let saved = &app.live.saved;
    let item = |name: String, detail: &str, after, then| PickItem {
        name,
        detail: detail.to_owned(),
        after,
        then: layer::Then::Live(then),
    };
    let mut items: Vec<PickItem> =
        saved.iter().map(|(name, text)| item(name.clone(), text, false, Then::Use(text.clone()))).collect();
    items.extend(
        saved
            .iter()
            .map(|(name, text)| item(format!("forget {name}"), text, true, Then::Forget(name.clone()))),
    );
    app.layers.push(Layer::Picker(Picker {
        title: "Saved filters".to_owned(),
        field: field::Field::default(),
        items,
        selected: 0,
        other: None,
    }));
}

/// What follows from an answer.
pub(crate) fn then(app: &mut App, then: Then, effects: &mut Vec<Effect>) {
    match then {
        Then::Use(text) => {
            if let Err(error) = app.live.live.set_filter(&text, app.now.ts) {
                app.toast(Kind::Bad, format!("that filter cannot be used: {error}"));
            }
        }
        Then::Forget(name) => {
            app.live.saved.remove(&name);
            effects.push(Effect::Live(LiveEffect::Filter(name, None)));
        }
    }
}

impl App {
    pub(crate) fn has_filter(&self) -> When {
        When::if_so(!self.live.live.filter_text.trim().is_empty(), "no filter is in force: type one first")
    }

    pub(crate) fn has_saved(&self) -> When {
        When::if_so(!self.live.saved.is_empty(), "no filter is saved: put one in force and name it")
    }

    pub(crate) fn has_search(&self) -> When {
        When::if_so(self.live.live.search.is_some(), "nothing is searched for")
    }

    pub(crate) fn has_pivot(&self) -> When {
        When::if_so(self.live.pivot.is_some(), "rows are shown one by one")
    }

    pub(crate) fn has_row(&self) -> When {
        let rows = self.live.pivot.is_none() && self.live.live.count() > 0;
        When::if_so(rows, "no row is selected")
    }

    pub(crate) fn has_marks(&self) -> When {
        let some = !self.live.marks.is_empty() || self.live.live.shows_only();
        When::if_so(some, "no row is marked")
    }

    pub(crate) fn has_repeats(&self) -> When {
        When::if_so(self.live.live.folds() || self.live.inside.is_some(), "repeats are not shown as one row")
    }
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    let now = app.now.ts;
    match hit {
        Hit::Row(line) if app.live.pivot.is_some() => {
            let top = app.live.pivot.map_or(0, |pivot| pivot.top);
            let key = app.live.groups(now).get(top + line).map(|(key, _)| *key);
            if key.is_some() && app.live.selected_group(now) == key {
                act_on_groups(app, Action::Open);
            } else if let (Some(pivot), Some(_)) = (&mut app.live.pivot, key) {
                pivot.selected = key;
            }
        }
        Hit::Row(line) => {
            let before = app.live.live.selected();
            let was_open = app.live.detail;
            app.live.live.click(*line);
            app.live.detail_top = 0;
            app.live.inside = None;
            if before == app.live.live.selected() {
                app.live.show_detail(!was_open);
            }
        }
        Hit::Part(line) => {
            app.live.inside = Some(*line);
            open_line(app);
        }
        Hit::Time(second) => app.live.to_time(*second),
        _ => {}
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, pane: &Hit, steps: i32) {
    let rows = isize::try_from(steps.clamp(-50, 50)).unwrap_or(0);
    match pane {
        Hit::Inspector => {
            app.live.inside = None;
            scroll_detail(app, rows);
        }
        _ if app.live.pivot.is_some() => app.live.move_group(rows, app.now.ts),
        _ => app.live.move_by(rows),
    }
}
