//! `callgate check`: every diagnostic of policy files and of gateway.json, with the place in the text.

mod health;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::args::CheckArgs;
use super::explain::number;
use super::journals::Journals;
use super::output::{Format, Tint};
use super::source::to_cli;
use super::{Answer, CliError, Output, Verdict};
use crate::catalog::{self, Source};
use crate::gateway::config;
use crate::json::Span;
use crate::policy::diagnostic::{Diagnostic, Lines, Severity};
use crate::policy::document::Document;
use crate::policy::lint::{lint, portable};
use crate::policy::schema::ToolShape;
use crate::replay::health::Health;
use crate::visible::visible;

/// What `--format json` prints.
#[derive(Serialize)]
struct Report {
    files: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    valid: bool,
    diagnostics: Vec<Diagnostic>,
    /// What recorded calls say, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    #[serde(skip)]
    text: String,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs, out: &Output) -> Answer {
    let tools = match &args.tools {
        None => None,
        Some(path) => {
            let loaded = catalog::load(&Source::File(path.clone()), Duration::from_secs(30))
                .map_err(|error| to_cli(&error))?;
            let tools = loaded.servers.iter().flat_map(|server| &server.tools);
            Some(tools.map(|tool| ToolShape::from_schema(&tool.name, &tool.input_schema)).collect::<Vec<_>>())
        }
    };
    let journals = match args.journal.as_slice() {
        [] => None,
        paths => Some(Journals::find(paths, None)?),
    };
    let mut files = Vec::with_capacity(args.files.len());
    for path in &args.files {
        files.push(check(path, args.portable, tools.as_deref(), journals.as_ref(), out)?);
    }
    let valid = files.iter().all(|file| file.valid);
    match out.format {
        Format::Json => out.json(&Report { files })?,
        Format::Text => out.print(&text(&files, out))?,
    }
    Ok(if valid { Verdict::Yes } else { Verdict::No })
}

fn check(
    path: &Path,
    extensions: bool,
    tools: Option<&[ToolShape]>,
    journals: Option<&Journals>,
    out: &Output,
) -> Result<Checked, CliError> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| {
        CliError::outside(format!("`{}` cannot be read: {error}", visible(&name)), "name a policy file")
    })?;
    if config::is_meant(&bytes) {
        return Ok(check_config(path, name, &bytes));
    }
    let parsed = Document::parse_bytes(&bytes);
    let mut diagnostics = parsed.diagnostics;
    let valid = parsed.document.as_ref().is_some_and(Document::is_valid);
    let mut health = None;
    if let Some(document) = parsed.document.filter(|_| valid) {
        if let Some(journals) = journals {
            health = Some(health::look(&document, tools, journals, out)?);
        }
        diagnostics.extend(lint(&document, tools));
        if extensions {
            diagnostics.extend(portable(&document));
        }
        diagnostics.sort_by_key(|found| found.span.start);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Checked { file: name, valid, diagnostics, health, text })
}

/// A gateway.json. Whether its variables are set is for the gateway to see, so that here it is a
/// warning.
fn check_config(path: &Path, file: String, bytes: &[u8]) -> Checked {
    let parsed = config::parse(bytes, config::folder(path), &|name| std::env::var(name).ok());
    let mut diagnostics = parsed.diagnostics;
    for found in diagnostics.iter_mut().filter(|found| found.code == config::UNSET) {
        found.severity = Severity::Warning;
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    // A gateway does not start without them, so that a configuration without them is none.
    diagnostics.extend(parsed.named.iter().filter_map(|named| named.trouble(&text)));
    diagnostics.sort_by_key(|found| found.span.start);
    let valid = !diagnostics.iter().any(|found| found.severity == Severity::Error);
    Checked { file, valid, diagnostics, health: None, text }
}

fn text(files: &[Checked], out: &Output) -> String {
    let mut text = String::new();
    for file in files {
        let lines = Lines::new(&file.text);
        for found in &file.diagnostics {
            show(&mut text, file, &lines, found, out);
        }
        let count = |severity| file.diagnostics.iter().filter(|found| found.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let mut parts = Vec::new();
        if errors > 0 {
            parts.push(out.tint(Tint::Bad, &number(errors, "error")));
        }
        if warnings > 0 {
            parts.push(out.tint(Tint::Warn, &number(warnings, "warning")));
        }
        let verdict = if file.valid { out.tint(Tint::Good, "valid") } else { out.tint(Tint::Bad, "invalid") };
        let parts = if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) };
        push(&mut text, &[&visible(&file.file), ": ", &verdict, &parts, "\n"]);
        if let Some(health) = &file.health {
            text.push_str(&health::text(&file.file, health, out));
        }
    }
    text
}

/// One diagnostic: what and its code, where, the line with a mark under the place, and the help.
fn show(text: &mut String, file: &Checked, lines: &Lines<'_>, found: &Diagnostic, out: &Output) {
    let tint = if found.severity == Severity::Error { Tint::Bad } else { Tint::Warn };
    let head = format!("{}[{}]", found.severity.name(), found.code);
    push(text, &[&out.tint(tint, &head), ": ", &out.tint(Tint::Strong, &found.message), "\n"]);
    let line = found.line.to_string();
    let margin = " ".repeat(line.len());
    let at = format!("{}:{}:{}", visible(&file.file), found.line, found.column);
    let pointer =
        if found.pointer.is_empty() { String::new() } else { format!("  {}", visible(&found.pointer)) };
    push(text, &[&margin, &out.tint(Tint::Dim, "--> "), &at, &out.tint(Tint::Dim, &pointer), "\n"]);
    let (before, marked, after) = split(lines.line(found.line), found.column, found.span, &file.text);
    let bar = out.tint(Tint::Dim, "|");
    push(text, &[&margin, " ", &bar, "\n"]);
    push(text, &[&out.tint(Tint::Dim, &line), " ", &bar, " ", &before, &marked, &after, "\n"]);
    let caret = "^".repeat(width(&marked).max(1));
    push(text, &[&margin, " ", &bar, " ", &" ".repeat(width(&before)), &out.tint(tint, &caret), "\n"]);
    if let Some(help) = &found.help {
        push(
            text,
            &[&margin, &out.tint(Tint::Dim, " = "), &out.tint(Tint::Strong, "help:"), " ", help, "\n"],
        );
    }
    text.push('\n');
}

/// The widest piece of a line that is shown, in characters: one-line policies can be long.
const SHOWN: usize = 100;

/// A line as it is shown: before the marked part, that part, and after it, each made harmless.
fn split(line: &str, column: usize, span: Span, text: &str) -> (String, String, String) {
    let start = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    let (before, rest) = line.split_at_checked(start).unwrap_or((line, ""));
    let len = rest.floor_char_boundary(span.of(text).lines().next().unwrap_or("").len());
    let (marked, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
    let shown = |piece: &str| visible(&piece.replace('\t', "    ")).into_owned();
    let marked: String = marked.chars().take(SHOWN).collect();
    let left = SHOWN.saturating_sub(marked.chars().count());
    let cut_before = before.chars().count().saturating_sub(left / 2 + 1);
    let head: String = before.chars().skip(cut_before).collect();
    let tail: String = after.chars().take(left / 2).collect();
    let head = if cut_before > 0 { format!("…{}", shown(&head)) } else { shown(&head) };
    let tail = if tail.len() < after.len() { format!("{}…", shown(&tail)) } else { shown(&tail) };
    (head, shown(&marked), tail)
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn push(text: &mut String, pieces: &[&str]) {
    text.extend(pieces.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}\"x\"{}", "a".repeat(300), "b".repeat(300));
        let span = Span { start: 300, end: 303 };
        let (before, marked, after) = split(&line, 301, span, &line);
        assert_eq!(marked, "\"x\"");
        assert!(before.starts_with('…') && after.ends_with('…'));
        assert!(before.chars().count() + after.chars().count() <= SHOWN + 2);
        assert_eq!(
            split("\tä\u{1b}", 2, Span { start: 1, end: 3 }, "\tä\u{1b}"),
            ("    ".to_owned(), "ä".to_owned(), "\\u{1b}".to_owned())
        );
        assert_eq!(split("", 1, Span::default(), ""), (String::new(), String::new(), String::new()));
    }
}
