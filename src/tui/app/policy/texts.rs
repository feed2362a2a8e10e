//! The document as text on the screen: going there, writing, and coming back.

use super::editor::Editor;
use super::text::Did;
use super::{App, Effect, Focus, Kind, PolicyEffect};
use crate::policy::complete::Known;
use crate::policy::document::Parsed;
use crate::policy::schema::ToolShape;
use crate::tui::action::{Action, Context, When};
use crate::tui::app::layer::Step;
use crate::tui::key::Key;
use crate::tui::keymap::Found;

impl App {
    pub(crate) fn can_write_text(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        When::if_so(self.policy.editor.is_some(), "the policy is not read yet")
    }

    pub(crate) fn has_errors(&self) -> When {
        let any = self.policy.editor.as_ref().is_some_and(|editor| !editor.diagnostics().is_empty());
        When::if_so(any, "nothing is wrong")
    }
}

/// Shows the text: at the first error, else at the selected tool's entry.
pub(super) fn enter(app: &mut App) {
    let was = std::mem::replace(&mut app.policy.focus, Focus::Raw);
    let Some(editor) = &app.policy.editor else { return };
    if was == Focus::Raw {
        return show(app);
    }
    let error = editor.diagnostics().first().map(|found| found.span.start);
    let entry = app.policy.table.selected_tool().and_then(|row| editor.tool(&row.name));
    let place = error.or_else(|| entry.map(|entry| entry.name_span.start));
    let place = place.unwrap_or(app.policy.raw.cursor);
    app.policy.raw.go(editor, place);
    let (rows, _) = crate::tui::view::text::size(app);
    app.policy.raw.center(rows);
    show(app);
}

/// Back to the table.
pub(super) fn leave(app: &mut App) {
    end(app);
    app.policy.focus = Focus::Table;
    app.policy.raw_wanted = false;
}

/// Keys write into the text.
pub(super) fn begin(app: &mut App) {
    match app.can_write_text() {
        When::Now => {
            app.policy.raw.typing = true;
            app.policy.raw_wanted = true;
            show(app);
        }
        When::Not(why) => app.toast(Kind::Warn, why),
    }
}

/// Keys move over the text again; what it means is known from here on.
fn end(app: &mut App) {
    app.policy.raw.offer = None;
    app.policy.raw.anchor = None;
    if !std::mem::take(&mut app.policy.raw.typing) {
        return;
    }
    if let Some(editor) = &mut app.policy.editor {
        editor.pause();
        editor.settle();
    }
    app.policy_tools_changed();
    super::save::layer_closed(app);
}

/// Brings the cursor into view.
fn show(app: &mut App) {
    if let Some(editor) = &app.policy.editor {
        app.policy.raw.sync(editor);
    }
    let (rows, columns) = crate::tui::view::text::size(app);
    if let Some(editor) = &app.policy.editor {
        app.policy.raw.show(editor, rows, columns);
    }
}

/// Takes a key while the text is written; `false`: it is an action's.
pub(super) fn key(app: &mut App, key: Key, effects: &mut Vec<Effect>) -> bool {
    if let Found::Action(action) = app.keymap.find(&[Context::Typing], &[key]) {
        if action == Action::Save {
            end(app);
        }
        return false;
    }
    let (page, _) = crate::tui::view::text::size(app);
    let now = app.now.ms;
    let Some(editor) = &mut app.policy.editor else { return true };
    match app.policy.raw.key(editor, key, page.saturating_sub(1).max(1), now) {
        Did::Nothing | Did::Moved => {}
        Did::Wrote(wanted) => {
            if wanted {
                offer(app, false);
            } else {
                app.policy.raw.offer = None;
            }
        }
        Did::Copied(text) => {
            effects.push(Effect::Copy(text));
            app.toast(Kind::Good, "copied through the terminal; paste with the terminal's own key");
        }
        Did::Leave => end(app),
    }
    show(app);
    true
}

/// Takes pasted text: it is written where the text is being written.
pub(super) fn paste(app: &mut App, text: &str) {
    let now = app.now.ms;
    if !app.policy.raw.typing {
        return app.toast(Kind::Info, "`i` writes into the text: paste then");
    }
    if let Some(editor) = &mut app.policy.editor {
        app.policy.raw.paste(editor, text, now);
    }
    show(app);
}

/// Offers what could be written at the cursor.
pub(super) fn offer(app: &mut App, asked: bool) {
    let Some(editor) = &app.policy.editor else { return };
    let table = &app.policy.table;
    let tools = |each: &mut dyn FnMut(&str)| {
        for row in table.tools().iter().filter(|row| row.listed || table.listed() == 0) {
            each(&row.name);
        }
    };
    let shape = |name: &str| -> Option<ToolShape> {
        table.tool(name).map(|row| ToolShape::from_schema(name, &row.tool.input_schema))
    };
    let policy = editor.document().map(crate::policy::document::Document::policy);
    let known = Known { policy, tools: &tools, shape: &shape };
    app.policy.raw.offer(editor.text(), &known, asked);
    if asked && app.policy.raw.offer.is_none() {
        app.toast(Kind::Info, "nothing is known that fits here");
    }
}

/// Moves over the text while nothing is written.
pub(super) fn step(app: &mut App, step: Step) {
    let Some(editor) = &app.policy.editor else { return };
    let pane = &mut app.policy.raw;
    match step {
        Step::Up(rows) => pane.lines_on(editor, false, rows, false),
        Step::Down(rows) => pane.lines_on(editor, true, rows, false),
        Step::First => pane.go(editor, 0),
        Step::Last => pane.go(editor, editor.text().len()),
    }
    show(app);
}

/// Scrolls without moving the cursor.
pub(super) fn scroll(app: &mut App, step: Step) {
    let last = app.policy.raw.count().saturating_sub(1);
    app.policy.raw.top = step.from(app.policy.raw.top, last);
}

/// A line was clicked.
pub(super) fn click(app: &mut App, line: usize) {
    let Some(editor) = &app.policy.editor else { return };
    let (start, content) = app.policy.raw.line(editor.text(), line);
    let inner = content.len() - content.trim_start().len();
    app.policy.raw.go(editor, start + inner);
    show(app);
}

/// Goes to the next error or warning, or the one before.
pub(super) fn to_error(app: &mut App, forward: bool) {
    let Some(editor) = &app.policy.editor else { return };
    let mut places: Vec<usize> = editor.diagnostics().iter().map(|found| found.span.start).collect();
    places.sort_unstable();
    let here = app.policy.raw.cursor;
    let next = if forward {
        places.iter().find(|at| **at > here).or(places.first())
    } else {
        places.iter().rev().find(|at| **at < here).or(places.last())
    };
    if let Some(next) = next.copied() {
        app.policy.raw.go(editor, next);
        show(app);
    }
}

/// An edit was taken back or done again: the cursor goes to it.
pub(super) fn follow(app: &mut App, undone: bool) {
    if app.policy.focus != Focus::Raw {
        return;
    }
    let place = app
        .policy
        .editor
        .as_ref()
        .and_then(|editor| if undone { editor.next_place() } else { editor.last_place() });
    if let (Some(place), Some(editor)) = (place, &app.policy.editor) {
        app.policy.raw.go(editor, place);
    }
    show(app);
}

/// A large text that is ahead of what is known is read away from the keys, one at a time.
pub(super) fn ask_reading(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(editor) = app.policy.editor.as_ref().filter(|editor| editor.is_stale()) else { return };
    if app.policy.reading.is_none() {
        app.policy.reading = Some(editor.generation());
        let text = std::sync::Arc::clone(editor.text());
        effects.push(Effect::Policy(PolicyEffect::Read(editor.generation(), text)));
    }
}

/// It was read; where the text went on meanwhile, it is read anew.
pub(super) fn read(app: &mut App, generation: u64, parsed: Parsed) {
    app.policy.reading = None;
    if let Some(editor) = &mut app.policy.editor {
        Editor::read(editor, generation, parsed);
    }
}
