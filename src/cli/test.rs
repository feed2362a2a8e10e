//! `callgate test`: a policy against the tests beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::TestArgs;
use super::bar::Bar;
use super::explain::{self, number};
use super::output::Tint;
use super::{Answer, CliError, Output, Verdict};
use crate::policy::compiled::Compiled;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::document::Document;
use crate::replay::cases::{self, Cases, Failure, Report};
use crate::visible::visible;

mod junit;
mod recorded;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// For people.
    Text,
    /// As JSON.
    Json,
    /// As `JUnit`'s XML, which CI systems read.
    Junit,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Whole<'r> {
    policy: String,
    cases: String,
    #[serde(flatten)]
    report: &'r Report,
}

/// Runs the command.
pub(super) fn run(args: &TestArgs, printed: Printed, out: &Output) -> Answer {
    if let Some(journal) = args.cases.as_deref().filter(|path| recorded::is_journal(path)) {
        return recorded::run(args, journal, printed, out);
    }
    if args.server.is_some() {
        return Err(CliError::usage(
            "`--server` chooses among the calls of a journal, and these are tests",
            "name a journal (`.jsonl`, or a folder of them), or leave `--server` out",
        ));
    }
    let document = explain::read(&args.file)?;
    let compiled = Compiled::new(&document)
        .map_err(|error| CliError::no(format!("`{}`: {error}", args.file.display()), ""))?;
    let path = args.cases.clone().unwrap_or_else(|| beside(&args.file));
    let cases = read(&path, args.cases.is_some(), out)?;
    let report = run_all(&compiled, &cases, out);
    match printed {
        Printed::Json => out.json(&Whole {
            policy: args.file.display().to_string(),
            cases: path.display().to_string(),
            report: &report,
        })?,
        Printed::Junit => out.print(&junit::xml(&report, &args.file, &path))?,
        Printed::Text => out.print(&text(&report, &document, args, &path, out))?,
    }
    Ok(if report.failed > 0 { Verdict::No } else { Verdict::Yes })
}

/// Runs every test, telling how far it is on a terminal.
fn run_all(policy: &Compiled, cases: &Cases, out: &Output) -> Report {
    let mut bar = Bar::new(out);
    let all = cases.tests.len();
    cases::run_telling(policy, cases, &mut |done| {
        bar.show("testing", (done as u64, all as u64), &format!("{done} of {}", number(all, "test")));
    })
}

/// The file of tests beside a policy: `policy.test.json` of `policy.json`.
pub(super) fn beside(policy: &Path) -> PathBuf {
    policy.with_extension("test.json")
}

fn read(path: &Path, named: bool, out: &Output) -> Result<Cases, CliError> {
    let bytes = fs::read(path).map_err(|error| {
        let help = if named {
            "name the file of tests"
        } else {
            "write the tests there, or name their file after the policy; `{ \"tests\": [] }` is the smallest"
        };
        CliError::outside(format!("the tests `{}` cannot be read: {error}", path.display()), help)
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        CliError::no(format!("the tests `{}` are not UTF-8", path.display()), "save the file as UTF-8")
    })?;
    let parsed = cases::read(text);
    parsed.cases.ok_or_else(|| refused(path, &parsed.diagnostics, out))
}

/// What is wrong with a file of tests: all of it is told, the first as the error.
fn refused(path: &Path, diagnostics: &[Diagnostic], out: &Output) -> CliError {
    let file = visible(&path.display().to_string()).into_owned();
    let count = diagnostics.len();
    for found in diagnostics {
        let at =
            if found.pointer.is_empty() { String::new() } else { format!(" {}", visible(&found.pointer)) };
        out.note(&format!("{file}:{}:{}:{at} {}", found.line, found.column, found.message));
        if let Some(help) = &found.help {
            out.note(&format!("  help: {help}"));
        }
    }
    CliError::no(format!("the tests `{file}` have {} and test nothing", number(count, "error")), "")
}

fn text(report: &Report, document: &Document, args: &TestArgs, path: &Path, out: &Output) -> String {
    let mut text = String::new();
    let file = visible(&path.display().to_string()).into_owned();
    for test in &report.tests {
        let name = visible(&test.name);
        let Some(failure) = &test.failure else {
            if !args.quiet {
                let _ = writeln!(text, "{}  {name}", out.tint(Tint::Good, "pass"));
            }
            continue;
        };
        let place = out.tint(Tint::Dim, &format!("{file}:{}", failure.line));
        let _ = writeln!(text, "{}  {}  {place}", out.tint(Tint::Bad, "FAIL"), out.tint(Tint::Strong, &name));
        for line in differences(failure) {
            let _ = writeln!(text, "      {line}");
        }
        let trace = explain::text(out, &failure.explanation, document, &args.file, failure.at);
        for line in trace.lines() {
            let _ = write!(text, "      {}", out.tint(Tint::Dim, "│ "));
            text.push_str(line);
            text.push('\n');
        }
    }
    let summary = if report.failed > 0 {
        out.tint(Tint::Bad, &format!("{} failed", report.failed))
    } else {
        out.tint(Tint::Good, "all passed")
    };
    let _ = writeln!(text, "{}, {summary}", number(report.tests.len(), "test"));
    text
}

/// What differs, a line each, harmless on a terminal.
fn differences(failure: &Failure) -> Vec<String> {
    let mut lines = Vec::new();
    if failure.times > 1 {
        lines.push(format!("call {} of {}", failure.time, failure.times));
    }
    for found in &failure.differences {
        let shown = |text: &str| {
            if text.is_empty() { "(none)".to_owned() } else { visible(text).into_owned() }
        };
        lines.push(format!("{}: want {}, got {}", found.what, shown(&found.want), shown(&found.got)));
    }
    lines
}
