//! What keys, clicks and the wheel do on the Policy screen.

use std::path::PathBuf;

use super::table::{Filter, Item};
use super::{App, Effect, Focus, PolicyEffect, Then, ask_quit, inspect, travelled};
use crate::risk::Category;
use crate::tui::action::Action;
use crate::tui::app::Hit;
use crate::tui::app::layer::{Layer, PickItem, Picker, Step, Then as LayerThen};
use crate::tui::key::{Code, Key};

/// Takes a key while the search is typed; `false` when it is not.
pub(crate) fn typing_key(app: &mut App, key: Key, effects: &mut Vec<Effect>) -> bool {
    if app.policy.focus == Focus::Raw && app.policy.raw.typing {
        return super::texts::key(app, key, effects);
    }
    if !app.policy.search.typing {
        return false;
    }
    app.policy.touched = true;
    match key.code {
        Code::Enter => {
            app.policy.search.typing = false;
            super::save::layer_closed(app);
        }
        Code::Esc => clear_search(app, effects),
        Code::Char('c') if key.ctrl => clear_search(app, effects),
        Code::Up => move_rows(app, Step::Up(1)),
        Code::Down => move_rows(app, Step::Down(1)),
        Code::PageUp => move_rows(app, Step::Up(page(app))),
        Code::PageDown => move_rows(app, Step::Down(page(app))),
        _ => {
            let before = app.policy.search.field.text().to_owned();
            app.policy.search.field.key(key);
            if app.policy.search.field.text() != before {
                app.policy_show(true, effects);
            }
        }
    }
    true
}

/// Takes pasted text.
pub(crate) fn paste(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    if app.policy.focus == Focus::Raw {
        return super::texts::paste(app, text);
    }
    if app.policy.search.typing {
        app.policy.search.field.paste(text);
        app.policy_show(true, effects);
    }
}

fn clear_search(app: &mut App, effects: &mut Vec<Effect>) {
    app.policy.search = super::Search::default();
    app.policy_show(false, effects);
    super::save::layer_closed(app);
}

fn page(app: &App) -> usize {
    crate::tui::view::layout::policy(app).rows().saturating_sub(1).max(1)
}

fn move_rows(app: &mut App, step: Step) {
    let last = app.policy.table.items().len().saturating_sub(1);
    let was = app.policy.table.selected;
    app.policy.table.selected = step.from(was, last);
    if app.policy.table.selected != was {
        app.policy.part = 0;
        app.policy.part_top = 0;
    }
    app.policy_scroll();
}

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    app.policy.touched = true;
    if let Some(step) = Step::of(action, page(app)) {
        return match app.policy.focus {
            Focus::Table => move_rows(app, step),
            Focus::Inspector => inspect::step(app, step),
            Focus::Raw => super::texts::step(app, step),
        };
    }
    if super::edits::act(app, action) {
        return;
    }
    match action {
        Action::Open => match app.policy.focus {
            Focus::Table if app.policy.table.item().is_some() => {
                app.policy.focus = Focus::Inspector;
                inspect::enter(app);
            }
            Focus::Inspector => super::edits::open_part(app),
            Focus::Raw => super::texts::begin(app),
            Focus::Table => {}
        },
        Action::TextEdit => super::texts::begin(app),
        Action::TextUndo => act(app, Action::Undo, effects),
        Action::Complete => super::texts::offer(app, true),
        Action::NextError => super::texts::to_error(app, true),
        Action::PreviousError => super::texts::to_error(app, false),
        Action::Save => super::save::save(app, false, effects),
        Action::Recommended => super::recommend::open(app),
        Action::Shadow => super::shadow::open(app),
        Action::Revisions => super::revisions::ask(app, effects),
        Action::AcceptPins => super::pins::open(app),
        Action::Back => back(app, effects),
        Action::Search => {
            app.policy.focus = Focus::Table;
            app.policy.search.typing = true;
        }
        Action::Filter => open_filter(app),
        Action::Mark => {
            if let Some(name) = app.policy.table.selected_tool().map(|row| row.name.clone())
                && !app.policy.table.marked.remove(&name)
            {
                app.policy.table.marked.insert(name);
            }
            move_rows(app, Step::Down(1));
        }
        Action::MarkAll => {
            let shown: Vec<_> = app
                .policy
                .table
                .items()
                .iter()
                .filter_map(|item| if let Item::Tool(index) = item { Some(*index) } else { None })
                .filter_map(|index| app.policy.table.row(index).map(|row| row.name.clone()))
                .collect();
            let all = shown.iter().all(|name| app.policy.table.marked.contains(name));
            app.policy.table.marked.clear();
            if !all {
                app.policy.table.marked.extend(shown);
            }
        }
        Action::Raw => {
            if app.policy.focus == Focus::Raw {
                super::texts::leave(app);
            } else {
                super::texts::enter(app);
            }
        }
        Action::Editor => {
            let error = app
                .policy
                .editor
                .as_ref()
                .and_then(|editor| editor.diagnostics().first().map(|found| found.line));
            let here = app.policy.raw.line_of(app.policy.raw.cursor) + 1;
            let line = if app.policy.focus == Focus::Raw { here } else { error.unwrap_or(1) };
            effects.push(Effect::Policy(PolicyEffect::Editor(app.policy.path.clone(), line)));
        }
        Action::NextServer => {
            let next = (app.policy.server + 1) % app.policy.servers.len().max(1);
            app.policy.server = next;
            app.policy_tools_changed();
            if let Some(path) = app.policy.current().and_then(|server| server.policy.clone()) {
                open(app, path, effects);
            }
        }
        Action::Undo => {
            let done = app.policy.editor.as_mut().and_then(super::Editor::undo);
            travelled(app, "undone", done);
        }
        Action::Redo => {
            let done = app.policy.editor.as_mut().and_then(super::Editor::redo);
            travelled(app, "done again", done);
        }
        Action::Copy => super::clip::copy(app, effects),
        Action::Cut => super::clip::cut(app, effects),
        _ => {}
    }
}

/// Opens another policy file.
pub(crate) fn open(app: &mut App, path: PathBuf, effects: &mut Vec<Effect>) {
    if app.policy.path != path {
        app.policy.path.clone_from(&path);
        app.policy.editor = None;
        app.policy.pins = super::PinsFile::Missing;
        // Other gateways enforce this one.
        app.policy_attached();
        effects.push(Effect::Policy(PolicyEffect::Open(path)));
    }
}

fn back(app: &mut App, effects: &mut Vec<Effect>) {
    match app.policy.focus {
        Focus::Inspector => app.policy.focus = Focus::Table,
        Focus::Raw => super::texts::leave(app),
        Focus::Table => {
            if !app.policy.search.field.is_empty() {
                clear_search(app, effects);
            } else if !app.policy.table.marked.is_empty() {
                app.policy.table.marked.clear();
            } else if app.policy.filter.take().is_some() {
                app.policy_show(false, effects);
            }
        }
    }
}

fn open_filter(app: &mut App) {
    let count = |test: &dyn Fn(&super::table::ToolRow) -> bool| {
        app.policy.table.tools().iter().filter(|row| test(row)).count()
    };
    let item = |name: &str, filter: Option<Filter>, detail: String| PickItem {
        name: name.to_owned(),
        detail,
        after: false,
        then: LayerThen::Policy(Then::Filter(filter)),
    };
    let mut items = vec![item("all", None, count(&|_| true).to_string())];
    if let Some(editor) = &app.policy.editor {
        for state in crate::policy::state::ToolState::ALL {
            let number = count(&|row| editor.state(&row.name) == state);
            items.push(item(state.name(), Some(Filter::State(state)), format!("{number} in this state")));
        }
        let number = count(&|row| editor.tool(&row.name).is_some_and(super::tools::has_rules));
        items.push(item("rules", Some(Filter::Ruled), format!("{number} with rules or limits")));
        let number = count(&|row| editor.tool(&row.name).is_none());
        items.push(item(
            "unlisted",
            Some(Filter::Unlisted),
            format!("{number} that the policy does not list"),
        ));
    }
    for category in
        [Category::Financial, Category::Destructive, Category::Execute, Category::Write, Category::Read]
    {
        let number = count(&|row| row.risk.category == category);
        let detail = format!("{number} {} risk", category.severity().name());
        items.push(item(category.name(), Some(Filter::Category(category)), detail));
    }
    items.push(item("unknown to the server", Some(Filter::Unknown), count(&|row| !row.listed).to_string()));
    items.push(item(
        "suspicious characters",
        Some(Filter::Suspicious),
        count(&|row| row.suspicious).to_string(),
    ));
    if app.policy.pins.pins().is_some() {
        let marked = |mark| count(&|row| app.policy.pins.mark(row, true) == Some(mark));
        let (drifted, new) = (marked(super::pins::Mark::Drifted), marked(super::pins::Mark::New));
        items.push(item("drifted", Some(Filter::Drifted), format!("{drifted} not as accepted")));
        items.push(item("new", Some(Filter::New), format!("{new} that nobody accepted")));
    }
    app.layers.push(Layer::Picker(Picker {
        title: "Show only".to_owned(),
        field: crate::tui::app::field::Field::default(),
        items,
        selected: 0,
        other: None,
    }));
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit, effects: &mut Vec<Effect>) {
    app.policy.touched = true;
    match hit {
        Hit::Row(line) if app.policy.focus == Focus::Raw => super::texts::click(app, *line),
        Hit::Row(row) => {
            app.policy.search.typing = false;
            if app.policy.focus == Focus::Table && app.policy.table.selected == *row {
                return act(app, Action::Open, effects);
            }
            app.policy.focus = Focus::Table;
            app.policy.table.selected = (*row).min(app.policy.table.items().len().saturating_sub(1));
            app.policy.part = 0;
            app.policy.part_top = 0;
        }
        Hit::Part(part) => {
            app.policy.focus = Focus::Inspector;
            inspect::select(app, *part);
        }
        Hit::Inspector => app.policy.focus = Focus::Inspector,
        Hit::List if app.policy.focus != Focus::Raw => app.policy.focus = Focus::Table,
        _ => {}
    }
}

/// Takes the wheel over a pane.
pub(crate) fn wheel(app: &mut App, pane: &Hit, steps: i32) {
    let rows = usize::try_from(steps.unsigned_abs()).unwrap_or(1).min(50);
    let step = if steps < 0 { Step::Up(rows) } else { Step::Down(rows) };
    match (pane, app.policy.focus) {
        (_, Focus::Raw) => super::texts::scroll(app, step),
        (Hit::List, _) => move_rows(app, step),
        _ => inspect::scroll(app, step),
    }
}

/// Leaves, or asks.
pub(crate) fn quit(app: &mut App, effects: &mut Vec<Effect>) {
    if app.policy.is_unsaved() {
        ask_quit(app);
    } else {
        app.leaving = true;
        effects.push(Effect::Quit);
    }
}
