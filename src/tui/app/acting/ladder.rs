//! The dialog of the rules that would have decided a row otherwise, the narrowest first.

use std::sync::Arc;

use super::Then;
use super::facts::Facts;
use crate::policy::explain::Decision;
use crate::replay::Report;
use crate::replay::ladder::{Held, Ladder, Row, Rung, ladder};
use crate::tui::app::impact::{Impact, Slot, State};
use crate::tui::app::layer::{Layer, Then as LayerThen};
use crate::tui::app::{App, Effect, Kind};
use crate::tui::key::{Code, Key};
use crate::visible::visible;

/// The dialog.
#[derive(Debug, Clone, PartialEq)]
pub struct Climb {
    /// The row.
    pub facts: Facts,
    /// How it is to be decided.
    pub goal: Decision,
    /// What can be chosen there, besides how it is decided now.
    pub goals: Vec<Decision>,
    /// The rungs, or why there are none.
    pub ladder: Result<Ladder, String>,
    /// The selected rung.
    pub selected: usize,
    /// Which policy the rule goes into.
    pub file: String,
    /// What has to be known about the row and this policy; empty for nothing.
    pub note: String,
}

/// How far back calls are replayed, in microseconds.
const BACK: i64 = 24 * 3_600_000_000;

/// What a key did.
pub(crate) enum Did {
    /// It stays open.
    Stay,
    /// It closes.
    Close,
    /// It closes and something follows.
    Then(LayerThen),
}

/// Opens the dialog.
pub(super) fn open(app: &mut App, facts: Facts, effects: &mut Vec<Effect>) {
    let Some(editor) = &app.policy.editor else { return };
    let disk = editor.disk().map(|text| crate::policy::document::revision(text.as_bytes()));
    let mut climb = Climb {
        facts,
        goal: Decision::Allow,
        goals: Vec::new(),
        ladder: Err(String::new()),
        selected: 0,
        file: app.policy.file_name(),
        note: String::new(),
    };
    climb.aim(app, Decision::Allow);
    if let Ok(found) = &climb.ladder {
        let goals = match found.now {
            Decision::Allow => vec![Decision::Deny, Decision::Approve],
            Decision::Deny => vec![Decision::Allow],
            Decision::Approve => vec![Decision::Allow, Decision::Deny],
        };
        if found.now != climb.facts.decided {
            let was =
                if climb.facts.rule.is_empty() { String::new() } else { format!(" by {}", climb.facts.rule) };
            climb.note =
                format!("This draft decides it otherwise than recorded: {}{was}.", word(climb.facts.decided));
        } else if !climb.facts.policy.is_empty() && disk.as_ref() != Some(&climb.facts.policy) {
            climb.note = format!("Decided by revision {}; the file is another now.", climb.facts.policy);
        }
        climb.goals = goals;
    }
    if let Some(goal) = climb.goals.first().copied() {
        climb.aim(app, goal);
    }
    climb.reckon(app, effects);
    app.layers.push(Layer::Climb(Box::new(climb)));
}

/// A decision as the screens name it.
pub fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "ALLOW",
        Decision::Deny => "DENY",
        Decision::Approve => "ASK",
    }
}

impl Climb {
    /// Finds the rungs to a goal.
    fn aim(&mut self, app: &App, goal: Decision) {
        self.goal = goal;
        self.selected = 0;
        let Some(document) = app.policy.editor.as_ref().and_then(|editor| editor.document()) else {
            self.ladder = Err("the policy has errors: correct them first".to_owned());
            return;
        };
        let facts = &self.facts;
        let held: Vec<Held<'_>> = facts
            .held
            .iter()
            .map(|(counter, window, scope, used)| Held { counter, window: *window, scope, used: *used })
            .collect();
        let others: Vec<&str> = facts.others.iter().map(String::as_str).collect();
        let row = Row {
            tool: &facts.tool,
            args: &facts.args,
            held: &held,
            others: &others,
            earlier: facts.earlier,
        };
        self.ladder = ladder(document, &row, goal).map_err(|why| why.to_string());
    }

    /// Asks what the rungs change on recorded calls.
    fn reckon(&self, app: &mut App, effects: &mut Vec<Effect>) {
        let Some(editor) = &app.policy.editor else { return };
        let base = Arc::clone(editor.text());
        let candidates: Vec<Arc<str>> = self.rungs().iter().map(|rung| Arc::from(&*rung.text)).collect();
        if candidates.is_empty() {
            return app.stop_impact(Slot::Ladder, effects);
        }
        let since = app.now.ts.plus_micros(-BACK);
        app.ask_ladder(base, candidates, (self.facts.server.clone(), since), effects);
    }

    /// What the rungs change on recorded calls, as far as it is known.
    pub fn reports<'i>(&self, impact: &'i Impact) -> Option<&'i [Report]> {
        match impact.state(Slot::Ladder) {
            State::Running { so_far, .. } => so_far.as_deref(),
            State::Done(reports) => Some(reports),
            State::Idle | State::Failed(_) => None,
        }
    }

    /// What the selected rung changes, in words.
    pub fn impact_words(&self, impact: &Impact) -> String {
        if let State::Failed(why) = impact.state(Slot::Ladder) {
            return format!("not replayed: {}", visible(why));
        }
        let Some(reports) = self.reports(impact) else { return "replaying a day's calls".to_owned() };
        let so_far = if matches!(impact.state(Slot::Ladder), State::Done(_)) { "" } else { " so far" };
        let Some(report) = reports.get(self.selected) else { return String::new() };
        let mut parts = Vec::new();
        for (count, words) in [
            (report.changed.deny_to_allow, "denied before and allowed then"),
            (report.changed.allow_to_deny, "allowed before and denied then"),
            (report.changed.limit, "by a limit"),
            (report.changed.approval, "asked about or no more"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {words}"));
            }
        }
        if parts.is_empty() {
            parts.push("none decided otherwise".to_owned());
        }
        let unsure = report.calls.saturating_sub(report.replayable);
        if unsure > 0 {
            parts.push(format!("{unsure} cannot be told"));
        }
        format!("of {} calls of a day{so_far}: {}", report.calls, parts.join(", "))
    }

    /// The rungs.
    pub fn rungs(&self) -> &[Rung] {
        self.ladder.as_ref().map_or(&[], |ladder| ladder.rungs.as_slice())
    }

    /// The selected rung.
    pub fn rung(&self) -> Option<&Rung> {
        self.rungs().get(self.selected)
    }

    /// Why there is no rung, or what else there is to do.
    pub fn empty(&self) -> String {
        match &self.ladder {
            Err(why) => format!("No rule can be offered: {}.", visible(why)),
            Ok(found) if found.now == self.facts.decided => {
                "No single edit decides it otherwise; change the rules on the Policy screen.".to_owned()
            }
            Ok(_) => match self.facts.rule.as_str() {
                "(frozen)" => "It was denied by a freeze, and no rule lifts one: U does.".to_owned(),
                "(override)" => "It was decided by an override: O ends it.".to_owned(),
                "(drift)" => "Its tool had drifted: accept its definition on the Policy screen.".to_owned(),
                _ => "No rule is needed for that.".to_owned(),
            },
        }
    }
}

/// Gives a key to the dialog.
pub(crate) fn key(app: &mut App, climb: &mut Climb, key: Key, effects: &mut Vec<Effect>) -> Did {
    let last = climb.rungs().len().saturating_sub(1);
    match key.code {
        Code::Esc => return close(app, effects),
        Code::Char('c') if key.ctrl => return close(app, effects),
        Code::Enter => {
            if let Some(rung) = climb.rung() {
                close(app, effects);
                return Did::Then(LayerThen::Acting(Box::new(Then::Climb(Box::new(rung.clone())))));
            }
        }
        Code::Tab | Code::Left | Code::Right if climb.goals.len() > 1 => {
            let at = climb.goals.iter().position(|goal| *goal == climb.goal).unwrap_or(0);
            if let Some(goal) = climb.goals.get((at + 1) % climb.goals.len()).copied() {
                climb.aim(app, goal);
                climb.reckon(app, effects);
            }
        }
        Code::Up | Code::Char('k') => climb.selected = climb.selected.saturating_sub(1),
        Code::Down | Code::Char('j') => climb.selected = (climb.selected + 1).min(last),
        Code::Home | Code::PageUp | Code::Char('g') => climb.selected = 0,
        Code::End | Code::PageDown | Code::Char('G') => climb.selected = last,
        _ => {}
    }
    Did::Stay
}

/// Nobody needs the replay any more.
fn close(app: &mut App, effects: &mut Vec<Effect>) -> Did {
    app.stop_impact(Slot::Ladder, effects);
    Did::Close
}

/// Puts a rung into the draft.
pub(super) fn climb(app: &mut App, rung: &Rung) {
    if app.edit(&rung.edit) {
        let file = app.policy.file_name();
        app.toast(
            Kind::Good,
            format!("in the draft of {file}: {} (u takes it back, Ctrl-s reviews and saves)", rung.words),
        );
    }
}
