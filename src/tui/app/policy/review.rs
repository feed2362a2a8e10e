//! The review before saving: what changes, then one key writes it.

use std::sync::Arc;

use super::decisions::Shown;
use super::{App, Effect, PolicyEffect};
use crate::policy::diff::{DiffKind, DiffLine, diff};
use crate::policy::document::Document;
use crate::tui::action::Action;
use crate::tui::app::impact::{self, ImpactMsg, Slot};
use crate::tui::app::layer::{Layer, Step};

/// What would be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Its title.
    pub title: String,
    /// The edits, the newest last.
    pub edits: Vec<String>,
    /// The differences, line by line.
    pub lines: Arc<[DiffLine]>,
    /// How many lines are added.
    pub added: usize,
    /// How many lines are removed.
    pub removed: usize,
    /// The cursor, and what of the changed decisions is open.
    pub shown: Shown,
    /// Leave when it is written.
    pub quit: bool,
    /// Enter writes; `false`: it is only looked at.
    pub writes: bool,
    /// The revision that Enter rolls back to, where one is shown.
    pub earlier: Option<super::revisions::Earlier>,
    /// The definitions that Enter accepts, where what differs in them is shown.
    pub accepts: Option<Arc<[crate::policy::pins::Definition]>>,
}

/// A text beyond this size is compared without looking for the smallest difference.
const CONTEXT: usize = 3;

impl Review {
    /// The differences between two texts.
    pub(super) fn new(title: String, edits: Vec<String>, old: &str, new: &str) -> Self {
        let lines: Arc<[DiffLine]> = diff(old, new, CONTEXT).into();
        let count = |kind| lines.iter().filter(|line| line.kind == kind).count();
        let (added, removed) = (count(DiffKind::Added), count(DiffKind::Removed));
        Self {
            title,
            edits,
            added,
            removed,
            lines,
            shown: Shown::default(),
            quit: false,
            writes: true,
            earlier: None,
            accepts: None,
        }
    }
}

/// Opens the review of what is unsaved.
pub(super) fn open(app: &mut App, quit: bool, effects: &mut Vec<Effect>) {
    let Some(editor) = &app.policy.editor else { return };
    let (base, candidate) = (editor.disk().cloned(), Arc::clone(editor.text()));
    let old = editor.disk().map_or("", |text| text);
    let verb = if editor.disk().is_some() { "Save" } else { "Create" };
    let mut review =
        Review::new(format!("{verb} {}", app.policy.file_name()), editor.labels(), old, editor.text());
    review.quit = quit;
    app.layers.push(Layer::Review(Box::new(review)));
    // A file that cannot decide is no base: then it is what was really decided.
    let base = base.filter(|text| Document::parse(text).valid().is_ok());
    app.ask_tests(base.clone(), Arc::clone(&candidate), effects);
    app.ask_impact(Slot::Review, base, vec![candidate], effects);
}

/// Does an action of the review.
pub(in crate::tui::app) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(app.size.1.saturating_sub(8)).max(1);
    if super::revisions::act(app, action) || super::drift::act(app, action, effects) {
        return;
    }
    let Some(Layer::Review(review)) = app.layers.last_mut() else { return };
    let heard = app.impact.heard();
    if let Some(step) = Step::of(action, page) {
        let last = review.rows(heard).len().saturating_sub(1);
        review.go(step.from(review.shown.at, last), heard);
        return;
    }
    match action {
        Action::ShowExamples => review.toggle(heard),
        Action::Write if review.writes => {
            let quit = review.quit;
            app.layers.pop();
            stop(app, effects);
            write(app, quit, effects);
        }
        // What is only looked at is closed by both keys.
        Action::Back | Action::Write => {
            app.layers.pop();
            stop(app, effects);
            super::save::layer_closed(app);
        }
        _ => {}
    }
}

/// Puts the cursor on a row that was clicked, and opens or closes it.
pub(in crate::tui::app) fn click(app: &mut App, row: usize) {
    let Some(Layer::Review(review)) = app.layers.last_mut() else { return };
    let heard = app.impact.heard();
    review.go(row, heard);
    review.toggle(heard);
}

/// Nobody waits for answers any more.
fn stop(app: &mut App, effects: &mut Vec<Effect>) {
    app.stop_impact(Slot::Review, effects);
    app.stop_tests(effects);
}

/// Something was heard of the replay or of the tests.
pub(in crate::tui::app) fn heard(app: &mut App, msg: ImpactMsg) {
    let under = match app.layers.last() {
        Some(Layer::Review(review)) => review.under(app.impact.heard()),
        _ => None,
    };
    let tested = matches!(msg, ImpactMsg::Tested(..));
    impact::update(app, msg);
    if let Some(Layer::Review(review)) = app.layers.last_mut() {
        if tested {
            // Their numbers mean other tests now.
            review.shown.tests.clear();
        }
        review.answered(under, app.impact.heard());
    }
}

/// Asks the runtime to write the file.
pub(super) fn write(app: &mut App, quit: bool, effects: &mut Vec<Effect>) {
    let Some(editor) = &app.policy.editor else { return };
    app.policy.quit_when_saved = quit;
    effects.push(Effect::Policy(PolicyEffect::Save {
        path: app.policy.path.clone(),
        text: Arc::clone(editor.text()),
        expected: editor.disk().cloned(),
        by: app.user.clone(),
        what: summary(&editor.unsaved_labels()),
    }));
}

/// The edits in a few words, the latest first.
fn summary(labels: &[String]) -> String {
    match labels {
        [] => "saved".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{last} and {} more", rest.len()),
    }
}
