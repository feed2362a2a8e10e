//! A decision in lines: its steps, their conditions and what these found.

use unicode_width::UnicodeWidthStr;

use crate::policy::explain::{ConditionTrace, Explanation, Outcome, Truth};
use crate::replay::cases::Failure;
use crate::tui::app::policy::inspect::wrap;
use crate::tui::theme::Role;
use crate::visible::visible;

/// A line of text with its indentation.
pub type Line = (Role, usize, String);

/// Lines as they stand in so many columns.
pub fn wrapped(lines: &[Line], columns: u16) -> Vec<Line> {
    let parts = |(role, indent, text): &Line| {
        let room = usize::from(columns).saturating_sub(*indent);
        let parts = if text.width() <= room { vec![text.clone()] } else { wrap(text, room) };
        let (role, indent) = (*role, *indent);
        parts.into_iter().map(move |part| (role, indent, part))
    };
    lines.iter().flat_map(parts).collect()
}

/// What differs from what a test expects, and how the policy came to its decision.
pub fn failure(failure: &Failure) -> Vec<Line> {
    let mut lines = Vec::new();
    if failure.times > 1 {
        lines.push((Role::Muted, 0, format!("call {} of {}", failure.time, failure.times)));
    }
    for found in &failure.differences {
        let shown =
            |text: &str| if text.is_empty() { "(none)".to_owned() } else { visible(text).into_owned() };
        lines.push((
            Role::Strong,
            0,
            format!("{}: want {}, got {}", found.what, shown(&found.want), shown(&found.got)),
        ));
    }
    lines.push((Role::Text, 0, String::new()));
    steps(&failure.explanation, &mut lines);
    lines
}

/// The steps of a decision, each with its conditions and what they found.
pub fn steps(explanation: &Explanation, lines: &mut Vec<Line>) {
    for step in &explanation.trace {
        let role = match step.outcome {
            Outcome::Pass => Role::Allow,
            Outcome::Deny => Role::Deny,
            Outcome::Approve => Role::Approve,
            Outcome::Skipped => Role::Faint,
        };
        let decided = if step.decided { "  << decided" } else { "" };
        let name = visible(step.pointer.as_deref().unwrap_or(step.list));
        lines.push((role, 0, format!("{:<8} {name}{decided}", step.outcome.name())));
        let why = if step.outcome == Outcome::Skipped { Role::Faint } else { Role::Muted };
        lines.push((why, 9, visible(&step.why).into_owned()));
        for condition in &step.conditions {
            self::condition(condition, lines);
        }
    }
}

fn condition(condition: &ConditionTrace, lines: &mut Vec<Line>) {
    let tone = |truth: Truth| match truth {
        Truth::True => Role::Text,
        Truth::False => Role::Muted,
        Truth::Indeterminate => Role::Warn,
    };
    let text = format!("{} {} {}", visible(&condition.path), condition.op, visible(&condition.value));
    lines.push((tone(condition.outcome), 11, format!("{text}: {}", condition.outcome.name())));
    let several = condition.found.len() > 1;
    for found in &condition.found {
        let value = match &found.value {
            Some(value) => format!("= {}", visible(value)),
            None if found.type_name == "missing" => "is missing".to_owned(),
            None => continue,
        };
        let truth = if several { format!(": {}", found.outcome.name()) } else { String::new() };
        lines.push((Role::Muted, 13, format!("{} {value}{truth}", visible(&found.path))));
    }
    if condition.more > 0 {
        lines.push((Role::Muted, 13, format!("and {} more", condition.more)));
    }
    if let Some(why) = &condition.why {
        lines.push((Role::Warn, 13, visible(why).into_owned()));
    }
}
