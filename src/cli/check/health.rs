//! What recorded calls say about a policy's rules: `callgate check --journal`.

use super::super::explain::number;
use super::super::journals::Journals;
use super::super::output::Tint;
use super::super::{CliError, Output};
use crate::policy::document::Document;
use crate::policy::schema::ToolShape;
use crate::record::line::Line;
use crate::replay::Applies;
use crate::replay::health::{Checkup, Health, Part};
use crate::time::Timestamp;
use crate::visible::visible;
use std::fmt::Write as _;

/// Decides every recorded call again under the policy, and says what came of each rule.
pub(super) fn look(
    document: &Document,
    tools: Option<&[ToolShape]>,
    journals: &Journals,
    out: &Output,
) -> Result<Health, CliError> {
    let mut checkup = Checkup::new(document, tools.map(<[ToolShape]>::to_vec))
        .map_err(|error| CliError::no(error.to_string(), ""))?;
    journals.each("checking", out, &mut |line| {
        if let Ok(line) = Line::parse(line) {
            checkup.line(&line, &Applies::All);
        }
    })?;
    Ok(checkup.health())
}

/// The health for people: each part with its hits, and what is wrong with it.
pub(super) fn text(file: &str, health: &Health, out: &Output) -> String {
    let minute = |ts: Timestamp| -> String {
        let text = ts.to_string();
        text.get(..16).unwrap_or(&text).replace('T', " ")
    };
    let calls = number(usize::try_from(health.calls).unwrap_or(usize::MAX), "recorded call");
    let mut text = match (health.since, health.until) {
        (Some(since), Some(until)) => {
            format!("{}, {calls} from {} to {}\n", visible(file), minute(since), minute(until))
        }
        _ => format!("{}, {calls}\n", visible(file)),
    };
    if health.unreadable > 0 {
        let lost = format!(
            "{} of them could not be decided again: a rule reads what was masked\n",
            health.unreadable
        );
        text.push_str(&out.tint(Tint::Warn, &lost));
    }
    text.push_str(&out.tint(Tint::Dim, "    hits  last              rule\n"));
    for part in &health.parts {
        part_lines(part, &minute, out, &mut text);
    }
    for (what, names) in
        [("never called", &health.never_called), ("not at the server", &health.unknown_tools)]
    {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| visible(name)).collect();
            let _ = writeln!(text, "{}  {}", out.tint(Tint::Warn, what), names.join(", "));
        }
    }
    text
}

fn part_lines(part: &Part, minute: &dyn Fn(Timestamp) -> String, out: &Output, text: &mut String) {
    let last = part.last_hit.map_or_else(|| "never".to_owned(), minute);
    let _ = writeln!(
        text,
        "{:>8}  {last:<16}  {}  {}",
        part.hits,
        visible(&part.pointer),
        out.tint(Tint::Dim, &part.text)
    );
    for finding in &part.findings {
        let word = out.tint(Tint::Warn, finding.ill.name());
        let _ = writeln!(text, "{:28}{word}: {}", "", visible(&finding.message));
    }
}
