//! The tests beside the policy in the review before saving: which of them begin to fail.

use std::sync::Arc;

use super::{ImpactEffect, Slot, State};
use crate::replay::cases::Compared;
use crate::tui::app::learn::cases::CasesFile;
use crate::tui::app::{App, Effect};

/// A question about the tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Names the question; later ones have larger numbers.
    pub number: u64,
    /// The policy's text before; `None`: nothing decided before.
    pub base: Option<Arc<str>>,
    /// Its text now.
    pub candidate: Arc<str>,
    /// The tests' text.
    pub cases: Arc<str>,
}

/// How the tests stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tests {
    /// There are none, or nobody asks.
    #[default]
    None,
    /// They are being run.
    Running,
    /// They were run.
    Done(Arc<Compared>),
    /// They cannot be run, and why.
    Broken(String),
}

/// The last question, and how it stands.
#[derive(Debug, Clone, Default)]
pub(in crate::tui::app) struct Pinned {
    pub(super) tests: Tests,
    /// What is asked about while a review is open: the texts, and which state of the tests' file.
    asked: Option<(Option<Arc<str>>, Arc<str>, u64)>,
}

impl App {
    /// Asks what the tests beside the policy say about two texts of it.
    pub(in crate::tui::app) fn ask_tests(
        &mut self,
        base: Option<Arc<str>>,
        candidate: Arc<str>,
        effects: &mut Vec<Effect>,
    ) {
        self.stop_tests(effects);
        let (file, version) = self.learn.cases.file();
        let file = file.clone();
        self.impact.pinned.asked = Some((base.clone(), Arc::clone(&candidate), version));
        self.impact.pinned.tests = match file {
            CasesFile::Missing => Tests::None,
            CasesFile::Unreadable(why) => Tests::Broken(why),
            CasesFile::Text(cases) => {
                let number = self.begin_impact(Slot::Tests);
                let question = Question { number, base, candidate, cases };
                effects.push(Effect::Impact(ImpactEffect::Test(Box::new(question))));
                Tests::Running
            }
        };
    }

    /// Nobody waits for the tests any more.
    pub(in crate::tui::app) fn stop_tests(&mut self, effects: &mut Vec<Effect>) {
        self.stop_impact(Slot::Tests, effects);
        self.impact.pinned = Pinned::default();
    }
}

/// They were run.
pub(super) fn tested(app: &mut App, number: u64, tests: Tests) {
    if app.impact.put(Slot::Tests, number, State::Idle) {
        app.impact.pinned.tests = tests;
    }
}

/// Runs the tests again when their file changed under an open review.
pub(super) fn watch(app: &mut App, effects: &mut Vec<Effect>) {
    let version = app.learn.cases.file().1;
    let asked = app.impact.pinned.asked.as_ref().filter(|(_, _, asked)| *asked != version);
    if let Some((base, candidate, _)) = asked.cloned() {
        app.ask_tests(base, candidate, effects);
    }
}
