//! The document and its file: read, written, changed by somebody else, recovered after a crash.

use std::sync::Arc;

use super::editor::Editor;
use super::review::{self, Review};
use super::{App, Effect, Focus, Kind, PolicyEffect, Then};
use crate::policy::document::Document;
use crate::tui::action::When;
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};

/// How writing the file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It holds this text now.
    Done(Arc<str>),
    /// It was not written: it holds something else than expected.
    Changed(Option<Arc<str>>),
    /// It could not be written.
    Failed(String),
}

/// Unsaved edits that an earlier run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Names it for the runtime.
    pub name: String,
    /// When it was kept, for people.
    pub when: String,
    /// The text.
    pub text: Arc<str>,
}

impl App {
    pub(crate) fn can_save(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        let Some(editor) = &self.policy.editor else {
            return When::Not("the policy is not read yet".to_owned());
        };
        // A file that is not there yet can be made, untouched as its text may be.
        if !editor.is_unsaved() && editor.disk().is_some() {
            return When::Not("nothing is unsaved".to_owned());
        }
        if editor.is_stale() {
            return When::Not("the text is still being read: a moment".to_owned());
        }
        When::if_so(editor.is_valid(), "the policy has errors: `r` shows them")
    }
}

/// The file as it is now.
pub(super) fn disk(app: &mut App, text: Option<Arc<str>>) {
    app.policy.unreadable = None;
    let Some(editor) = &mut app.policy.editor else {
        let first = text.clone().unwrap_or_else(|| Arc::from(Document::new_text().as_str()));
        let editor = Editor::open(first, text);
        let valid = editor.is_valid();
        app.policy.editor = Some(editor);
        if !valid {
            super::texts::enter(app);
        }
        app.policy_tools_changed();
        return;
    };
    if editor.disk() == text.as_ref() {
        app.policy.theirs = None;
        return;
    }
    if let Some(theirs) = text.as_ref()
        && **theirs == **editor.text()
    {
        // Somebody wrote just what is here, or our own write is seen before its answer.
        editor.set_disk(text);
        app.policy.theirs = None;
        return;
    }
    if editor.is_unsaved() {
        app.policy.theirs = Some(text);
        app.policy.theirs_offered = false;
        offer(app);
        return;
    }
    match text {
        None => {
            editor.set_disk(None);
            let name = app.policy.file_name();
            app.toast(Kind::Warn, format!("{name} was deleted; saving makes it again"));
        }
        Some(text) => {
            take(app, &text, "take over the changed file");
            let name = app.policy.file_name();
            app.toast(Kind::Info, format!("{name} changed on disk: shown as it is now"));
        }
    }
}

fn take(app: &mut App, text: &Arc<str>, label: &str) {
    let row = app.policy.table.selected_tool().map(|row| row.name.to_string());
    let Some(editor) = &mut app.policy.editor else { return };
    editor.set_disk(Some(Arc::clone(text)));
    editor.edit(text, label, row);
    let valid = editor.is_valid();
    if !valid {
        super::texts::enter(app);
    } else if app.policy.focus == Focus::Raw && !app.policy.raw_wanted {
        super::texts::leave(app);
    }
    app.policy_tools_changed();
}

/// Offers what to do about a file that changed under unsaved edits, unless a dialog is open.
fn offer(app: &mut App) {
    let Some(theirs) = &app.policy.theirs else { return };
    if !app.layers.is_empty() || app.policy.search.typing {
        return;
    }
    let name = app.policy.file_name();
    let edits = app.policy.editor.as_ref().map_or(0, Editor::edits);
    let then = |then| LayerThen::Policy(then);
    let (what, take) = match theirs {
        Some(_) => ("was changed", "take theirs; mine is one undo away"),
        None => ("was deleted", "keep mine unsaved, without a file"),
    };
    let body = vec![format!(
        "{name} {what} by another program while {edits} edit{} here {} not saved. Nothing is lost either way.",
        if edits == 1 { "" } else { "s" },
        if edits == 1 { "is" } else { "are" },
    )];
    let mut body = body;
    let mut answers = Vec::new();
    let words = match super::merging::Merging::of(app) {
        Some(Ok(merging)) => Some(merging.words()),
        Some(Err(why)) => {
            body.push(format!("They cannot be merged: {why}."));
            None
        }
        None => None,
    };
    if let Some(words) = &words {
        answers.push(('m', words.as_str(), then(Then::Merge)));
    }
    answers.extend([
        ('k', "keep mine; saving replaces theirs", then(Then::KeepMine)),
        ('t', take, then(Then::TakeTheirs)),
        ('d', "see what they changed", then(Then::SeeTheirs)),
    ]);
    app.layers.push(Layer::Ask(Ask::new(format!("{name} {what} on disk"), body, answers)));
    app.policy.theirs_offered = true;
}

/// A dialog closed or typing ended: what had to wait for it comes now.
pub(in crate::tui::app) fn layer_closed(app: &mut App) {
    if !app.policy.theirs_offered {
        offer(app);
    }
}

/// Keeps the edits; the next save replaces the file.
pub(super) fn keep_mine(app: &mut App) {
    if let (Some(theirs), Some(editor)) = (app.policy.theirs.take(), &mut app.policy.editor) {
        editor.set_disk(theirs);
        app.toast(Kind::Info, "your edits stay; saving shows what they replace");
    }
}

/// Takes the file's text over, as one edit that can be undone.
pub(super) fn take_theirs(app: &mut App) {
    match app.policy.theirs.take() {
        Some(Some(text)) => {
            take(app, &text, "take over the changed file");
            app.toast(Kind::Info, "theirs is here; `u` brings yours back");
        }
        Some(None) => {
            if let Some(editor) = &mut app.policy.editor {
                editor.set_disk(None);
            }
        }
        None => {}
    }
}

/// Shows what the other program changed.
pub(super) fn see_theirs(app: &mut App) {
    let (Some(theirs), Some(editor)) = (&app.policy.theirs, &app.policy.editor) else { return };
    let theirs = theirs.as_ref().map_or("", |text| text);
    let base = editor.disk().map_or("", |text| text);
    let title = "What the other program changed".to_owned();
    let mut review = Review::new(title, Vec::new(), base, theirs);
    review.writes = false;
    // The question comes back when the difference has been seen.
    app.policy.theirs_offered = false;
    app.layers.push(Layer::Review(Box::new(review)));
}

/// Saves: by a review, or by the question about a changed file first.
pub(super) fn save(app: &mut App, quit: bool, effects: &mut Vec<Effect>) {
    if app.policy.theirs.is_some() {
        offer(app);
    } else {
        review::open(app, quit, effects);
    }
}

/// Writing ended.
pub(super) fn saved(app: &mut App, saved: Saved, effects: &mut Vec<Effect>) {
    let quit = std::mem::take(&mut app.policy.quit_when_saved);
    let name = app.policy.file_name();
    let Some(editor) = &mut app.policy.editor else { return };
    match saved {
        Saved::Done(text) => {
            editor.set_disk(Some(Arc::clone(&text)));
            app.policy.theirs = None;
            if quit && !editor.is_unsaved() {
                app.leaving = true;
                effects.push(Effect::Quit);
            }
            app.toast(Kind::Good, format!("saved {name}"));
            super::shadow::saved(app, &text, effects);
        }
        Saved::Changed(theirs) => {
            app.policy.theirs = Some(theirs);
            app.policy.theirs_offered = false;
            offer(app);
        }
        Saved::Failed(why) => app.toast(Kind::Bad, format!("not saved: {why}")),
    }
}

/// An earlier run left unsaved edits behind.
pub(super) fn leftover(app: &mut App, left: Leftover, effects: &mut Vec<Effect>) {
    let Some(editor) = &app.policy.editor else { return };
    if *left.text == **editor.text() {
        effects.push(Effect::Policy(PolicyEffect::DropLeftover(left.name)));
        return;
    }
    let name = app.policy.file_name();
    let body = vec![format!(
        "callgate ended at {} with edits of {name} that were not saved. They were kept.",
        left.when
    )];
    let drop = LayerThen::Policy(Then::DropLeftover(left.name.clone()));
    let answers = vec![
        (
            'r',
            "restore them (as one edit that can be undone)",
            LayerThen::Policy(Then::Restore(Box::new(left))),
        ),
        ('d', "throw them away", drop),
        ('l', "later: offer them again at the next start", LayerThen::Nothing),
    ];
    app.layers.push(Layer::Ask(Ask::new("Unsaved edits were kept", body, answers)));
}

/// Puts kept edits into the document.
pub(super) fn restore(app: &mut App, left: Leftover, effects: &mut Vec<Effect>) {
    let row = app.policy.table.selected_tool().map(|row| row.name.to_string());
    if let Some(editor) = &mut app.policy.editor {
        editor.edit(&left.text, "restore unsaved edits", row);
    }
    app.policy_tools_changed();
    // Only after these edits are kept as those of this run may the old copy go.
    keep(app, effects);
    effects.push(Effect::Policy(PolicyEffect::DropLeftover(left.name)));
}

/// Keeps what is unsaved where a crash cannot reach it, whenever it changed.
pub(in crate::tui::app) fn keep(app: &mut App, effects: &mut Vec<Effect>) {
    super::texts::ask_reading(app, effects);
    let Some(editor) = &app.policy.editor else { return };
    let unsaved = editor.is_unsaved();
    let state = (editor.generation(), unsaved);
    if app.policy.kept == Some(state) {
        return;
    }
    let was = app.policy.kept.replace(state).is_some_and(|(_, unsaved)| unsaved);
    let path = app.policy.path.clone();
    if unsaved {
        effects.push(Effect::Policy(PolicyEffect::Keep { path, text: Arc::clone(editor.text()) }));
    } else if was {
        effects.push(Effect::Policy(PolicyEffect::Forget(path)));
    }
}
