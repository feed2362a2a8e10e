//! Recorded calls as tests: each is to be decided as it was.

use std::path::Path;

use serde::Serialize;

use super::junit::escape;
use super::{Printed, TestArgs};
use crate::cli::args::ReplayArgs;
use crate::cli::explain::number;
use crate::cli::output::Tint;
use crate::cli::{Answer, CliError, Output, Verdict, replay};
use crate::replay::{Changed, Example, Group, Report};
use crate::visible::visible;

/// What `--format json` prints.
#[derive(Serialize)]
struct Whole<'r> {
    policy: String,
    journal: String,
    passed: u64,
    failed: u64,
    skipped: u64,
    changed: Changed,
    groups: &'r [Group],
    examples: Vec<&'r Example>,
}

/// Whether what was named is a journal and no file of tests.
pub(super) fn is_journal(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension == "jsonl")
}

/// Decides the calls of a journal again.
pub(super) fn run(args: &TestArgs, journal: &Path, printed: Printed, out: &Output) -> Answer {
    let asked = ReplayArgs {
        policy: args.file.clone(),
        journals: vec![journal.to_owned()],
        against: None,
        since: None,
        server: args.server.clone(),
        grant: None,
        exit_code: true,
    };
    let (report, elsewhere) = replay::replayed(&asked, "testing", out)?;
    let failed = report.changed.total();
    let passed = report.replayable.saturating_sub(failed);
    let skipped = report.calls.saturating_sub(report.replayable);
    if report.replayable == 0 {
        let shown = visible(&journal.display().to_string()).into_owned();
        let why =
            if skipped > 0 { "none of its calls can be decided again" } else { "it holds no such call" };
        return Err(CliError::no(
            format!("the journal `{shown}` tests nothing: {why}"),
            "name another journal, or with `--server` the server whose calls are meant",
        ));
    }
    match printed {
        Printed::Json => out.json(&Whole {
            policy: args.file.display().to_string(),
            journal: journal.display().to_string(),
            passed,
            failed,
            skipped,
            changed: report.changed,
            groups: &report.groups,
            examples: report.groups.iter().flat_map(|group| &group.examples).collect(),
        })?,
        Printed::Junit => out.print(&xml(&report, passed, &args.file, journal))?,
        Printed::Text => {
            let mut text = if failed > 0 || !args.quiet {
                replay::text(&report, elsewhere, out) + "\n"
            } else {
                String::new()
            };
            let summary = if failed > 0 {
                out.tint(Tint::Bad, &format!("{failed} decided otherwise"))
            } else {
                out.tint(Tint::Good, "all decided as they were")
            };
            text += &number(count(report.replayable), "recorded call");
            text = text + ", " + &summary + "\n";
            out.print(&text)?;
        }
    }
    Ok(if failed > 0 { Verdict::No } else { Verdict::Yes })
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A test for what stays, one for each kind of change, and one that was skipped for each reason.
fn xml(report: &Report, passed: u64, policy: &Path, journal: &Path) -> String {
    let policy = escape(&policy.display().to_string());
    let file = escape(&journal.display().to_string());
    let (failures, skipped) = (report.groups.len(), report.not_replayable.len());
    let mut cases = Vec::new();
    let head = |name: &str| {
        format!("    <testcase classname=\"{policy}\" name=\"{}\" file=\"{file}\"", escape(name))
    };
    if passed > 0 {
        let name = format!("{} decided as recorded", number(count(passed), "call"));
        cases.push(head(&name) + "/>\n");
    }
    for group in &report.groups {
        let (from, to) = (replay::side(&group.from), replay::side(&group.to));
        let name = format!("{}: {from}, now {to}", group.tool);
        let body: Vec<String> = group
            .examples
            .iter()
            .map(|one| escape(&format!("{} {} {} {}", one.ts, one.gateway, one.seq, one.args)))
            .collect();
        let message = escape(&format!("{} decided otherwise", number(count(group.count), "call")));
        cases.push(format!(
            "{}>\n      <failure type=\"decision\" message=\"{message}\">{}</failure>\n    </testcase>\n",
            head(&name),
            body.join("\n"),
        ));
    }
    for (reason, calls) in &report.not_replayable {
        let name = format!("{} not decided again", number(count(*calls), "call"));
        let why = escape(reason.words());
        cases.push(format!("{}>\n      <skipped message=\"{why}\"/>\n    </testcase>\n", head(&name)));
    }
    let counts =
        format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"", cases.len());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{policy}\" {counts}>\n{}  </testsuite>\n</testsuites>\n",
        cases.concat()
    )
}
