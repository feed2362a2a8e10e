//! What recorded calls of a tool were called with, for the form that makes a rule of it.

use super::{ImpactEffect, Slot, State, Whose};
use crate::tui::app::layer::Layer;
use crate::tui::app::policy::form;
use crate::tui::app::{App, Effect};

/// A question about a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Names the question; later ones have larger numbers.
    pub number: u64,
    /// Whose calls.
    pub whose: Whose,
    /// The tool.
    pub tool: String,
}

/// Asks as soon as the form of a rule is there; once no form is, nobody waits.
pub(super) fn watch(app: &mut App, effects: &mut Vec<Effect>) {
    let wanted = app.layers.iter().rev().find_map(|layer| match layer {
        Layer::Form(form) => form::ruled(form),
        _ => None,
    });
    let asked = app.impact.seen_of.as_deref();
    if asked == wanted {
        return;
    }
    let Some(tool) = wanted.map(str::to_owned) else {
        app.impact.seen_of = None;
        return app.stop_impact(Slot::Seen, effects);
    };
    let number = app.begin_impact(Slot::Seen);
    app.impact.seen_of = Some(tool.clone());
    let question = Question { number, whose: app.calls_of_policy(), tool };
    effects.push(Effect::Impact(ImpactEffect::Seen(Box::new(question))));
}

/// They were found: the arguments of each, the newest first.
pub(super) fn found(app: &mut App, number: u64, found: Result<Vec<Box<str>>, String>) {
    if !app.impact.put(Slot::Seen, number, State::Idle) {
        return;
    }
    // Journals that cannot be read show nothing here; Health says why.
    std::sync::Arc::make_mut(&mut app.policy.seen).add_recorded(found.unwrap_or_default());
    super::say(app);
}
