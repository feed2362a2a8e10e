//! What edits would have changed: questions about recorded calls under other policies, and their
//! answers. The journals are read by the runtime, off this thread.
//!
//! To ask: [`App::ask_impact`] with a [`Slot`] of your own, the base and any number of candidates. The
//! answer has one report for each candidate, in their order. In each slot the latest question wins:
//! an earlier one is given up, and what is still heard of it is ignored. The same holds for the tests
//! beside the policy ([`pinned`]), for a limit that is being written ([`peak`]) and for the examples of
//! an argument in the form of a rule ([`seen`]).

pub mod peak;
pub mod pinned;
pub mod seen;

use std::path::PathBuf;
use std::sync::Arc;

use super::layer::Layer;
use super::policy::form;
use super::{App, Effect};
use crate::replay::Report;
use crate::replay::peak::Peak;
use crate::replay::report::Direction;
use crate::time::Timestamp;

/// Who asks; one question at a time each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The margin of the Policy screen: unsaved edits against the file, on recent calls.
    Margin,
    /// The review before saving: the same on all calls, with examples.
    Review,
    /// The rules that would have decided a row otherwise: each against the draft, on its server's calls.
    Ladder,
    /// The review before saving, about the tests beside the policy.
    Tests,
    /// The form of a limit: how close calls would have come.
    Limit,
    /// The form of a rule: what its tool was called with.
    Seen,
}

impl Slot {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Its place among them.
    pub fn index(self) -> usize {
        match self {
            Self::Margin => 0,
            Self::Review => 1,
            Self::Ladder => 2,
            Self::Tests => 3,
            Self::Limit => 4,
            Self::Seen => 5,
        }
    }
}

/// Whose calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of those who were under a policy file; where no journal names it, of these servers.
    Policy {
        /// The file.
        path: PathBuf,
        /// The servers.
        servers: Vec<String>,
    },
    /// Of one server.
    Server(String),
}

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All that are recorded.
    All,
    /// Those of the last day before the latest one.
    Recent,
    /// Those from an instant on.
    Since(Timestamp),
}

/// A question about recorded calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Who asks.
    pub slot: Slot,
    /// Names the question; later ones have larger numbers.
    pub number: u64,
    /// Whose calls.
    pub whose: Whose,
    /// What candidates are compared with: a policy's text, or what was decided.
    pub base: Option<Arc<str>>,
    /// The candidates' texts.
    pub candidates: Vec<Arc<str>>,
    /// Which calls.
    pub span: Span,
    /// How many examples are kept of each group.
    pub examples: usize,
    /// What was found so far is told on the way.
    pub tells: bool,
}

/// What the runtime is to do. What was asked before in the same slot is given up.
#[derive(Debug, Clone, PartialEq)]
pub enum ImpactEffect {
    /// Answer a question.
    Ask(Box<Question>),
    /// Run the tests beside the policy.
    Test(Box<pinned::Question>),
    /// Say how close recorded calls would have come to a limit.
    Peak(Box<peak::Question>),
    /// Say what recorded calls of a tool were called with.
    Seen(Box<seen::Question>),
    /// Give up what was asked in a slot.
    Stop(Slot),
}

/// What is heard of a question.
#[derive(Debug, Clone)]
pub enum ImpactMsg {
    /// It is being answered.
    Progress {
        /// Who asked.
        slot: Slot,
        /// The question.
        number: u64,
        /// Percent of the journals that were read.
        percent: u8,
        /// Calls so far.
        calls: u64,
        /// What was found so far, where the question tells it.
        so_far: Option<Arc<[Report]>>,
    },
    /// It is answered: one report for each candidate; or why it cannot be.
    Done(Slot, u64, Result<Arc<[Report]>, String>),
    /// Tests were run: the number of the question, and what came of it.
    Tested(u64, pinned::Tests),
    /// Recorded calls were counted: the number of the question, and what the fullest window held, where
    /// there were calls.
    Peak(u64, Result<Option<Peak>, String>),
    /// Recorded calls were looked up: the number of the question, and what they were called with, the
    /// newest first.
    Seen(u64, Result<Vec<Box<str>>, String>),
}

/// How a question stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum State {
    /// Nothing is asked.
    #[default]
    Idle,
    /// It is being answered.
    Running {
        /// Percent of the journals that were read.
        percent: u8,
        /// Calls so far.
        calls: u64,
        /// What was found so far, where the question tells it.
        so_far: Option<Arc<[Report]>>,
    },
    /// It is answered.
    Done(Arc<[Report]>),
    /// It cannot be answered, and why.
    Failed(String),
}

/// The questions and how they stand.
#[derive(Debug, Clone, Default)]
pub struct Impact {
    slots: [(u64, State); Slot::COUNT],
    numbers: u64,
    /// The tests beside the policy, for the review.
    pub(super) pinned: pinned::Pinned,
    /// How close recorded calls would have come to a limit, for its form.
    pub(super) peak: peak::Asked,
    /// The tool whose calls are looked up for the form of a rule.
    seen_of: Option<String>,
    /// The document that the margin speaks of.
    margin_of: Option<(u64, bool)>,
}

/// What edits change of one tool's recent decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin {
    /// Allowed now.
    pub looser: u64,
    /// A person is asked now.
    pub asks: u64,
    /// Denied now.
    pub tighter: u64,
}

impl Margin {
    /// In a few characters: `+3 ?1 -12`; empty when nothing changes.
    pub fn words(self) -> String {
        let parts = [("+", self.looser), ("?", self.asks), ("-", self.tighter)];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(sign, count)| format!("{sign}{count}"))
            .collect();
        parts.join(" ")
    }
}

/// What was heard so far for the review before saving.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// How the replay of recorded calls stands.
    pub replay: &'a State,
    /// How the tests beside the policy stand.
    pub tests: &'a pinned::Tests,
}

impl Impact {
    /// How the question of a slot stands.
    pub fn state(&self, slot: Slot) -> &State {
        self.slots.get(slot.index()).map_or(&State::Idle, |(_, state)| state)
    }

    /// What the review before saving is drawn from.
    pub fn heard(&self) -> Heard<'_> {
        Heard { replay: self.state(Slot::Review), tests: &self.pinned.tests }
    }

    /// What the unsaved edits change of a tool's recent decisions, or of all tools'.
    pub fn margin(&self, tool: Option<&str>) -> Margin {
        let State::Done(reports) = self.state(Slot::Margin) else { return Margin::default() };
        let mut margin = Margin::default();
        let groups = reports.iter().flat_map(|report| &report.groups);
        for group in groups.filter(|group| tool.is_none_or(|tool| tool == group.tool)) {
            match group.direction() {
                Direction::Looser => margin.looser += group.count,
                Direction::Asks => margin.asks += group.count,
                Direction::Tighter => margin.tighter += group.count,
            }
        }
        margin
    }

    /// Takes in how a question stands; `false`: another one was asked since.
    fn put(&mut self, slot: Slot, number: u64, state: State) -> bool {
        match self.slots.get_mut(slot.index()) {
            Some(place) if place.0 == number => {
                place.1 = state;
                true
            }
            _ => false,
        }
    }
}

impl App {
    /// A new question in a slot: its number. What is heard of earlier ones is ignored from now on.
    fn begin_impact(&mut self, slot: Slot) -> u64 {
        self.impact.numbers += 1;
        let number = self.impact.numbers;
        if let Some(place) = self.impact.slots.get_mut(slot.index()) {
            *place = (number, State::Running { percent: 0, calls: 0, so_far: None });
        }
        number
    }

    /// The calls that this policy is about.
    fn calls_of_policy(&self) -> Whose {
        let mut servers = self.policy.enforced_by.clone();
        servers.extend(self.policy.current().map(|server| server.name.clone()));
        Whose::Policy { path: self.policy.path.clone(), servers }
    }

    /// Asks what candidates would change. `candidates` are texts of valid policies; without a `base`
    /// they are compared with what was decided.
    pub fn ask_impact(
        &mut self,
        slot: Slot,
        base: Option<Arc<str>>,
        candidates: Vec<Arc<str>>,
        effects: &mut Vec<Effect>,
    ) {
        let (span, examples) = match slot {
            Slot::Margin => (Span::Recent, 0),
            _ => (Span::All, 20),
        };
        let whose = self.calls_of_policy();
        self.ask_replay(slot, base, candidates, (whose, span, examples), effects);
    }

    /// As [`App::ask_impact`], about one server's calls from an instant on; what is found is told on the
    /// way.
    pub(super) fn ask_ladder(
        &mut self,
        base: Arc<str>,
        candidates: Vec<Arc<str>>,
        (server, since): (String, Timestamp),
        effects: &mut Vec<Effect>,
    ) {
        let which = (Whose::Server(server), Span::Since(since), 0);
        self.ask_replay(Slot::Ladder, Some(base), candidates, which, effects);
    }

    fn ask_replay(
        &mut self,
        slot: Slot,
        base: Option<Arc<str>>,
        candidates: Vec<Arc<str>>,
        (whose, span, examples): (Whose, Span, usize),
        effects: &mut Vec<Effect>,
    ) {
        let number = self.begin_impact(slot);
        let tells = slot == Slot::Ladder;
        let question = Question { slot, number, whose, base, candidates, span, examples, tells };
        effects.push(Effect::Impact(ImpactEffect::Ask(Box::new(question))));
    }

    /// Nobody waits for a slot's answer any more.
    pub fn stop_impact(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let Some(place) = self.impact.slots.get_mut(slot.index()) else { return };
        if matches!(place.1, State::Running { .. }) {
            effects.push(Effect::Impact(ImpactEffect::Stop(slot)));
        }
        self.impact.numbers += 1;
        *place = (self.impact.numbers, State::Idle);
    }
}

/// Something was heard of a question.
pub(super) fn update(app: &mut App, msg: ImpactMsg) {
    match msg {
        ImpactMsg::Progress { slot, number, percent, calls, so_far } => {
            let ours = app.impact.put(slot, number, State::Running { percent, calls, so_far });
            if ours && slot == Slot::Limit {
                say(app);
            }
        }
        ImpactMsg::Done(slot, number, answer) => {
            let state = answer.map_or_else(State::Failed, State::Done);
            app.impact.put(slot, number, state);
        }
        ImpactMsg::Tested(number, tests) => pinned::tested(app, number, tests),
        ImpactMsg::Peak(number, found) => peak::found(app, number, found),
        ImpactMsg::Seen(number, found) => seen::found(app, number, found),
    }
}

/// The form that waits says what is known by now, also under a picker.
fn say(app: &mut App) {
    let Some(at) = app.layers.iter().rposition(|layer| matches!(layer, Layer::Form(_))) else { return };
    if let Layer::Form(mut form) = app.layers.remove(at) {
        form::check(app, &mut form);
        app.layers.insert(at, Layer::Form(form));
    }
}

/// Keeps the margin's question that of the unsaved edits, the review's tests those of the file, and the
/// questions of forms theirs.
pub(super) fn watch(app: &mut App, effects: &mut Vec<Effect>) {
    pinned::watch(app, effects);
    peak::watch(app, effects);
    seen::watch(app, effects);
    let Some(editor) = &app.policy.editor else { return };
    let now = Some((editor.generation(), editor.is_unsaved()));
    if app.impact.margin_of == now {
        return;
    }
    app.impact.margin_of = now;
    let base = editor.disk().filter(|_| editor.is_unsaved() && editor.is_valid()).cloned();
    let candidate = Arc::clone(editor.text());
    match base {
        Some(base) => app.ask_impact(Slot::Margin, Some(base), vec![candidate], effects),
        None => app.stop_impact(Slot::Margin, effects),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;
    use crate::replay::{Group, Kind, Side};

    fn group(tool: &str, to: Verdict, count: u64) -> Group {
        let side = |decision| Side { decision, ..Side::default() };
        Group {
            tool: tool.to_owned(),
            kind: Kind::DenyToAllow,
            from: side(Verdict::Deny),
            to: side(to),
            count,
            examples: Vec::new(),
        }
    }

    #[test]
    fn the_margin_adds_up_and_stale_answers_are_ignored() {
        let mut impact = Impact::default();
        impact.slots[Slot::Margin.index()] = (7, State::Running { percent: 0, calls: 0, so_far: None });
        let groups = vec![
            group("a", Verdict::Allow, 3),
            group("a", Verdict::Deny, 12),
            group("b", Verdict::Approve, 1),
        ];
        let answer: Arc<[Report]> = Arc::from([Report { groups, ..Report::default() }]);
        impact.put(Slot::Margin, 6, State::Done(Arc::clone(&answer)));
        assert_eq!(impact.margin(None), Margin::default());
        impact.put(Slot::Margin, 7, State::Done(answer));
        assert_eq!(impact.margin(Some("a")).words(), "+3 -12");
        assert_eq!(impact.margin(Some("c")).words(), "");
        assert_eq!(impact.margin(None).words(), "+3 ?1 -12");
    }
}
