//! The tests beside the policy: run after each edit, and listed.

use std::sync::Arc;

use super::{LearnEffect, trace};
use crate::policy::diagnostic::Diagnostic;
use crate::replay::cases::{Failure, Report, TestResult};
use crate::tui::action::{Action, When};
use crate::tui::app::layer::{Layer, Step};
use crate::tui::app::{App, Effect};
use crate::tui::theme::Role;
use crate::tui::view::learn::sizes;

/// The file of tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CasesFile {
    /// There is none.
    #[default]
    Missing,
    /// Its text.
    Text(Arc<str>),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Tested {
    /// Every test was run.
    Ran(Report),
    /// The tests' text has errors, at least one.
    Broken(Vec<Diagnostic>),
}

/// The tests and the last run.
#[derive(Debug, Clone, Default)]
pub struct CasesState {
    file: CasesFile,
    /// Grows with every change of the file.
    version: u64,
    /// The policy's generation and the file's version that the last run was asked for.
    asked: Option<(u64, u64)>,
    number: u64,
    last: Option<Arc<Tested>>,
    /// The number of the run that `last` came of.
    answered: u64,
}

/// The list of tests, a dialog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CasesView {
    /// The selected row.
    pub selected: usize,
    /// Keys move over the lines of why it fails.
    pub inside: bool,
    /// The first of these lines that is drawn.
    pub top: usize,
}

impl CasesView {
    /// Selects a row.
    pub(in crate::tui::app) fn select(&mut self, row: usize) {
        *self = Self { selected: row, ..Self::default() };
    }
}

impl CasesState {
    /// Takes in the file as it is now.
    pub(in crate::tui::app) fn read(&mut self, file: CasesFile) {
        if self.file == file {
            return;
        }
        self.file = file;
        self.version += 1;
        self.asked = None;
        if !matches!(self.file, CasesFile::Text(_)) {
            self.last = None;
        }
    }

    /// The file as it is now, and a number that grows with its changes.
    pub(in crate::tui::app) fn file(&self) -> (&CasesFile, u64) {
        (&self.file, self.version)
    }

    pub(super) fn tested(&mut self, number: u64, tested: Arc<Tested>) {
        // Of several runs only the latest says how it is now.
        if number == self.number {
            self.last = Some(tested);
            self.answered = number;
        }
    }

    /// The last run, where there was one.
    pub fn last(&self) -> Option<&Tested> {
        self.last.as_deref()
    }

    /// Whether a later run is on its way.
    pub fn is_running(&self) -> bool {
        self.number > self.answered
    }

    /// The mark on the Policy screen; `None`: there are no tests.
    pub fn mark(&self) -> Option<(Role, String)> {
        match (&self.file, self.last()) {
            (CasesFile::Missing, _) => None,
            (CasesFile::Unreadable(_), _) => Some((Role::Bad, "tests unreadable".to_owned())),
            (CasesFile::Text(_), None) => Some((Role::Muted, "tests ...".to_owned())),
            (CasesFile::Text(_), Some(Tested::Broken(_))) => {
                Some((Role::Bad, "tests have errors".to_owned()))
            }
            (CasesFile::Text(_), Some(Tested::Ran(report))) => {
                let role = match report.failed {
                    0 => Role::Good,
                    _ => Role::Bad,
                };
                Some((role, report.mark()))
            }
        }
    }

    /// Why the file cannot be read.
    pub fn trouble(&self) -> Option<&str> {
        match &self.file {
            CasesFile::Unreadable(why) => Some(why),
            _ => None,
        }
    }

    /// The results, failures first, each in the order of the text.
    pub fn rows(&self) -> Vec<&TestResult> {
        let Some(Tested::Ran(report)) = self.last() else { return Vec::new() };
        let failed = report.tests.iter().filter(|test| test.failure.is_some());
        failed.chain(report.tests.iter().filter(|test| test.failure.is_none())).collect()
    }
}

/// Runs the tests when the policy or they have changed since the last run.
pub(super) fn keep(app: &mut App, effects: &mut Vec<Effect>) {
    let CasesFile::Text(cases) = &app.learn.cases.file else { return };
    let Some(editor) = app.policy.editor.as_ref().filter(|editor| editor.is_valid()) else { return };
    let now = Some((editor.generation(), app.learn.cases.version));
    if app.learn.cases.asked == now {
        return;
    }
    let (policy, cases) = (Arc::clone(editor.text()), Arc::clone(cases));
    app.learn.cases.asked = now;
    app.learn.cases.number += 1;
    let number = app.learn.cases.number;
    effects.push(Effect::Learn(LearnEffect::Test { number, policy, cases }));
}

impl App {
    pub(crate) fn can_see_tests(&self) -> When {
        let name = self.policy.path.with_extension("test.json");
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let missing = self.learn.cases.file == CasesFile::Missing;
        if missing {
            let name = crate::visible::visible(&name);
            return When::Not(format!("there is no {name}: `t` on a call writes one, or see the README"));
        }
        When::Now
    }
}

/// Opens the list.
pub(in crate::tui::app) fn open(app: &mut App) {
    app.layers.push(Layer::Cases(CasesView::default()));
}

/// Whether the selected test of an open list fails, so that there is something to go into.
pub(in crate::tui::app) fn can_go_in(app: &App) -> bool {
    let Some(Layer::Cases(view)) = app.layers.last() else { return false };
    !view.inside && failure(app, view).is_some()
}

fn failure<'a>(app: &'a App, view: &CasesView) -> Option<&'a Failure> {
    let rows = app.learn.cases.rows();
    rows.get(view.selected.min(rows.len().saturating_sub(1)))?.failure.as_ref()
}

/// Does an action of the list.
pub(in crate::tui::app) fn act(app: &mut App, action: Action) {
    let rows = app.learn.cases.rows().len();
    let last = rows.saturating_sub(1);
    let page = usize::from(app.size.1 / 2).max(1);
    let Some(Layer::Cases(view)) = app.layers.last() else { return };
    // Of the lines of why it fails the last ones stay in view.
    let (columns, height) = sizes(app.size, rows, view.inside);
    let lines = failure(app, view).map_or(0, |it| trace::wrapped(&trace::failure(it), columns).len());
    let last_top = lines.saturating_sub(usize::from(height));
    let Some(Layer::Cases(view)) = app.layers.last_mut() else { return };
    match (Step::of(action, page), action) {
        (Some(step), _) if view.inside => view.top = step.from(view.top.min(last_top), last_top),
        (Some(step), _) => view.select(step.from(view.selected.min(last), last)),
        (None, Action::Open) => view.inside = true,
        (None, Action::Back) if view.inside => (view.inside, view.top) = (false, 0),
        (None, Action::Back) => {
            app.layers.pop();
        }
        _ => {}
    }
}
