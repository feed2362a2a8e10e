//! How close recorded calls would have come to the limit that a form makes.

use super::{ImpactEffect, Slot, State, Whose};
use crate::replay::peak::{Bound, Peak};
use crate::tui::app::layer::Layer;
use crate::tui::app::policy::form;
use crate::tui::app::{App, Effect};

/// A question about a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Names the question; later ones have larger numbers.
    pub number: u64,
    /// Whose calls.
    pub whose: Whose,
    /// The limit.
    pub bound: Bound,
}

/// What the journals say about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// They are being read, and how much of them was, in percent.
    Reading(u8),
    /// They have such calls.
    Calls(Peak),
    /// They have none, or cannot be read.
    Nothing,
}

/// The limit that was last asked about, and what is known of it.
#[derive(Debug, Clone, Default)]
pub(in crate::tui::app) struct Asked(Option<(Bound, Recorded)>);

impl App {
    /// What the journals say about a limit; one that was not asked about yet is asked about soon.
    pub(in crate::tui::app) fn recorded_peak(&self, bound: &Bound) -> Recorded {
        match (&self.impact.peak.0, self.impact.state(Slot::Limit)) {
            (Some((asked, _)), State::Running { percent, .. }) if asked == bound => {
                Recorded::Reading(*percent)
            }
            (Some((asked, recorded)), _) if asked == bound => *recorded,
            _ => Recorded::Reading(0),
        }
    }
}

/// Keeps the question that of the form on top; without one nobody asks.
pub(super) fn watch(app: &mut App, effects: &mut Vec<Effect>) {
    let wanted = match app.layers.last() {
        Some(Layer::Form(form)) => form::bound(form),
        _ => None,
    };
    let asked = app.impact.peak.0.as_ref().map(|(bound, _)| bound);
    let Some(bound) = wanted else {
        // A number that is half written says nothing about what was asked.
        if asked.is_some() && !matches!(app.layers.last(), Some(Layer::Form(_))) {
            app.stop_impact(Slot::Limit, effects);
            app.impact.peak = Asked::default();
        }
        return;
    };
    if asked == Some(&bound) {
        return;
    }
    let number = app.begin_impact(Slot::Limit);
    app.impact.peak = Asked(Some((bound.clone(), Recorded::Reading(0))));
    let question = Question { number, whose: app.calls_of_policy(), bound };
    effects.push(Effect::Impact(ImpactEffect::Peak(Box::new(question))));
}

/// Calls were counted: the form says so.
pub(super) fn found(app: &mut App, number: u64, found: Result<Option<Peak>, String>) {
    if !app.impact.put(Slot::Limit, number, State::Idle) {
        return;
    }
    if let Some((_, recorded)) = &mut app.impact.peak.0 {
        *recorded = found.ok().flatten().map_or(Recorded::Nothing, Recorded::Calls);
    }
    super::say(app);
}
