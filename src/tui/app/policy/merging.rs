//! A file that changed under unsaved edits: both changes brought together, and what does not fit
//! together asked one by one.

use std::sync::Arc;

use super::{App, Kind, Then};
use crate::policy::edit::merge::{Choice, Conflict, merge};
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::visible::visible;

/// A merge whose conflicts are being chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Merging {
    base: Arc<str>,
    mine: Arc<str>,
    theirs: Arc<str>,
    conflicts: Vec<Conflict>,
    choices: Vec<Choice>,
}

/// As much of a value as a question shows, in characters.
const SHOWN: usize = 600;

impl Merging {
    /// Looks at what both changed; `Err`: why they cannot be merged.
    pub(super) fn of(app: &App) -> Option<Result<Self, String>> {
        let theirs = Arc::clone(app.policy.theirs.as_ref()?.as_ref()?);
        let editor = app.policy.editor.as_ref()?;
        let base = editor.disk().map_or_else(|| Arc::from("{}"), Arc::clone);
        let mine = Arc::clone(editor.text());
        Some(match merge(&base, &mine, &theirs, &[]) {
            Ok(merged) => Ok(Self { base, mine, theirs, conflicts: merged.conflicts, choices: Vec::new() }),
            Err(why) => Err(why.to_string()),
        })
    }

    /// What it will ask.
    pub(super) fn words(&self) -> String {
        match self.conflicts.len() {
            0 => "merge: keep what both changed, nothing of it conflicts".to_owned(),
            1 => "merge: keep what both changed; one part conflicts and is asked".to_owned(),
            many => format!("merge: keep what both changed; {many} parts conflict and are asked"),
        }
    }
}

/// Begins to merge.
pub(super) fn begin(app: &mut App) {
    match Merging::of(app) {
        Some(Ok(merging)) => {
            app.policy.merging = Some(Box::new(merging));
            next(app);
        }
        Some(Err(why)) => app.toast(Kind::Bad, format!("not merged: {why}")),
        None => {}
    }
}

/// A conflict was decided; `None`: the one before is asked again.
pub(super) fn resolve(app: &mut App, choice: Option<Choice>) {
    let Some(merging) = &mut app.policy.merging else { return };
    match choice {
        Some(choice) => merging.choices.push(choice),
        None => drop(merging.choices.pop()),
    }
    next(app);
}

/// Asks the next conflict, or ends the merge.
fn next(app: &mut App) {
    let Some(merging) = &app.policy.merging else { return };
    let at = merging.choices.len();
    let Some(conflict) = merging.conflicts.get(at) else { return finish(app) };
    let many = merging.conflicts.len();
    let back = at > 0;
    let place: Vec<_> = conflict.place.iter().map(|step| visible(step).into_owned()).collect();
    let say = |word: &str, value: Option<&String>, absent: &str| {
        let value = value.map_or_else(|| absent.to_owned(), |json| shorten(&visible(json)));
        format!("{word:<8}{value}")
    };
    let body = vec![
        place.join(" > "),
        say("before", conflict.base.as_ref(), "it was not there"),
        say("mine", conflict.mine.as_ref(), "taken away"),
        say("theirs", conflict.theirs.as_ref(), "taken away"),
    ];
    let then = |choice| LayerThen::Policy(Then::Resolve(choice));
    let mut answers = vec![
        ('m', "mine: what was edited here", then(Some(Choice::Mine))),
        ('t', "theirs: what the file holds", then(Some(Choice::Theirs))),
    ];
    if conflict.both {
        answers.push(('b', "both rules, mine first", then(Some(Choice::Both))));
    }
    if back {
        answers.push(('p', "go back to the one before", then(None)));
    }
    let title = format!("Both changed this ({} of {many})", at + 1);
    app.layers.push(Layer::Ask(Ask::new(title, body, answers)));
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Everything is decided: one edit that can be undone.
fn finish(app: &mut App) {
    let Some(merging) = app.policy.merging.take() else { return };
    let fresh = app.policy.theirs.as_ref() == Some(&Some(Arc::clone(&merging.theirs)));
    let row = app.policy.table.selected_tool().map(|row| row.name.to_string());
    let Some(editor) = app.policy.editor.as_mut().filter(|editor| fresh && *editor.text() == merging.mine)
    else {
        app.policy.theirs_offered = false;
        return app.toast(Kind::Warn, "the file changed once more: decide again");
    };
    let merged = match merge(&merging.base, &merging.mine, &merging.theirs, &merging.choices) {
        Ok(merged) => merged,
        Err(why) => return app.toast(Kind::Bad, format!("not merged: {why}")),
    };
    editor.set_disk(Some(merging.theirs));
    editor.edit(&merged.text, "merge with the changed file", row);
    let valid = editor.is_valid();
    app.policy.theirs = None;
    app.policy_tools_changed();
    let asked = match merged.conflicts.len() {
        0 => String::new(),
        1 => ", 1 part as you chose".to_owned(),
        many => format!(", {many} parts as you chose"),
    };
    if valid {
        app.toast(Kind::Good, format!("merged{asked}: Ctrl-s reviews it, `u` takes it back"));
    } else {
        app.toast(Kind::Bad, "merged, but the whole is not a valid policy: `r` shows why");
    }
}
