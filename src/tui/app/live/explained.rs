//! Why a recorded call was decided as it was: the rule where it stands in its document, and its
//! conditions with the values that the call had.

use super::detail::{About, Line, Tone, line};
use super::names::Names;
use super::row::Row;
use crate::json::{self, line_column};
use crate::policy::compiled::Compiled;
use crate::policy::decide::{Call, Circumstances};
use crate::policy::document::Document;
use crate::policy::explain::{ConditionTrace, Explanation, Outcome, Step, Truth};

/// Lines of a document that are shown.
const SHOWN: usize = 14;

/// A policy that a gateway once enforced.
pub struct Kept {
    /// The text.
    pub document: Document,
    compiled: Compiled,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("revision", &self.document.revision()).finish_non_exhaustive()
    }
}

impl Kept {
    /// Reads a kept text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).valid().map_err(|found| found.message.clone())?;
        let compiled = Compiled::new(&document).map_err(|error| error.to_string())?;
        Ok(Self { document, compiled })
    }
}

/// Adds the lines about the rule of a call.
pub fn lines(about: &About<'_>, row: &Row, out: &mut Vec<Line>) {
    let names = &about.ring.names;
    if row.policy == Names::EMPTY {
        return;
    }
    let kept = match about.policy {
        None => return out.push(line("document", "being read", Tone::Plain)),
        Some(Err(why)) => return out.push(line("document", format!("not at hand: {why}"), Tone::Plain)),
        Some(Ok(kept)) => kept,
    };
    let pointer = names.text(row.pointer);
    if row.pointer != Names::EMPTY {
        snippet(about, &kept.document, pointer, out);
    }
    let parsed = json::parse(&row.args).ok();
    let call = Call { tool: names.text(row.tool), arguments: parsed.as_ref().map(|parsed| &parsed.root) };
    let explanation = kept.compiled.explain(&call, &Circumstances::default());
    steps(about, &explanation, pointer, out);
}

/// Whether a part that begins folded is open, or the other way round.
fn is_open(about: &About<'_>, name: &str, at_first: bool) -> bool {
    at_first != about.toggled.contains(name)
}

fn heading(label: &'static str, text: &str, name: &str, open: bool) -> Line {
    let mut entry = line(label, format!("  {text}"), Tone::Plain);
    entry.fold = Some((name.to_owned(), open));
    entry
}

/// The rule as it stands in its document.
fn snippet(about: &About<'_>, document: &Document, pointer: &str, out: &mut Vec<Line>) {
    let Some(span) = document.pointer_span(pointer) else { return };
    let text = document.text();
    let (first, _) = line_column(text, span.start);
    let (last, _) = line_column(text, span.end);
    let open = is_open(about, "document", true);
    let text = format!("line {first} of {}", document.revision());
    out.push(heading("document", &text, "document", open));
    if !open {
        return;
    }
    let count = last.saturating_sub(first) + 1;
    for (number, text) in (first..).zip(text.lines().skip(first.saturating_sub(1)).take(count.min(SHOWN))) {
        out.push(line("", format!("{number:>5} {text}"), Tone::Code));
    }
    if count > SHOWN {
        out.push(line("", format!("      … {} lines more", count - SHOWN), Tone::Plain));
    }
}

/// The steps that decided, the deciding one first.
fn steps(about: &About<'_>, explanation: &Explanation, pointer: &str, out: &mut Vec<Line>) {
    let of_rule = |step: &&Step| step.pointer.as_deref() == Some(pointer) && !pointer.is_empty();
    let deciding = explanation.trace.iter().find(of_rule);
    if let Some(step) = deciding.filter(|step| !step.conditions.is_empty() || step.outcome != Outcome::Pass) {
        let open = is_open(about, "conditions", true);
        out.push(heading("conditions", &step.why, "conditions", open));
        if open {
            step.conditions.iter().for_each(|found| condition(found, out));
        }
    }
    let open = is_open(about, "steps", false);
    let count = explanation.trace.len();
    let text = format!("{count} steps with empty counters, no freeze, no override");
    out.push(heading("steps", &text, "steps", open));
    if !open {
        return;
    }
    for step in &explanation.trace {
        let tone = match step.outcome {
            Outcome::Pass => Tone::Good,
            Outcome::Deny => Tone::Bad,
            Outcome::Approve => Tone::Warn,
            Outcome::Skipped => Tone::Plain,
        };
        let name = step.pointer.as_deref().unwrap_or(step.list);
        out.push(line("", format!("{:<8} {name}", step.outcome.name()), tone));
        out.push(line("", format!("         {}", step.why), Tone::Plain));
        step.conditions.iter().for_each(|found| condition(found, out));
    }
}

/// Whether a value stands for one that was not kept.
fn is_kept_out(value: &str) -> bool {
    value.starts_with("{\"masked\":\"hmac-sha256:") || value.starts_with("{\"cut\":")
}

fn condition(condition: &ConditionTrace, out: &mut Vec<Line>) {
    let hidden = condition.found.iter().any(|found| found.value.as_deref().is_some_and(is_kept_out));
    let (word, tone) = match condition.outcome {
        // What was compared was the mask, not the value.
        _ if hidden => ("cannot be told here", Tone::Warn),
        Truth::True => ("true", Tone::Heading),
        Truth::False => ("false", Tone::Plain),
        Truth::Indeterminate => ("indeterminate", Tone::Warn),
    };
    out.push(line("", format!("  {} {} {} · {word}", condition.path, condition.op, condition.value), tone));
    for found in &condition.found {
        let text = match &found.value {
            Some(value) if is_kept_out(value) => format!("{} was masked or cut in the record", found.path),
            Some(value) => format!("{} = {value}", found.path),
            None if found.type_name == "missing" => format!("{} is missing", found.path),
            None => continue,
        };
        out.push(line("", format!("    {text}"), Tone::Code));
        if let Some(why) = found.why.as_ref().filter(|_| !hidden) {
            out.push(line("", format!("    {why}"), Tone::Warn));
        }
    }
    if condition.more > 0 {
        out.push(line("", format!("    and {} more", condition.more), Tone::Plain));
    }
}
