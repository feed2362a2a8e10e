//! `callgate replay`: recorded calls under another policy.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::args::ReplayArgs;
use super::journals::{Journals, unread};
use super::output::{Format, Tint};
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
use crate::journal;
use crate::journal::follow::Source;
use crate::journal::past;
use crate::paths::Paths;
use crate::policy::compiled::Compiled;
use crate::policy::document::Document;
use crate::record;
use crate::record::line::Line;
use crate::record::mask::{Masker, Mode};
use crate::replay::report::Direction;
use crate::replay::{Applies, Base, Changed, Example, Group, Options, Replay, Report, Side};
use crate::visible::visible;

/// So many examples are printed of each group, and kept for `--format json`.
const EXAMPLES: usize = 3;
/// So many groups are printed as text; `--format json` has all.
const GROUPS: usize = 40;

/// What `--format json` prints.
#[derive(Serialize)]
struct Printed<'r> {
    calls: u64,
    replayable: u64,
    not_replayable: &'r std::collections::BTreeMap<crate::replay::Reason, u64>,
    changed: Changed,
    groups: &'r [Group],
    examples: Vec<&'r Example>,
}

/// Runs the command.
pub(super) fn run(args: &ReplayArgs, out: &Output) -> Answer {
    let (report, elsewhere) = replayed(args, "replaying", out)?;
    match out.format {
        Format::Json => out.json(&Printed {
            calls: report.calls,
            replayable: report.replayable,
            not_replayable: &report.not_replayable,
            changed: report.changed,
            groups: &report.groups,
            examples: report.groups.iter().flat_map(|group| &group.examples).collect(),
        })?,
        Format::Text => out.print(&text(&report, elsewhere, out))?,
    }
    Ok(if args.exit_code && report.changed.total() > 0 { Verdict::No } else { Verdict::Yes })
}

/// What changes, and how many calls were passed over. `doing` is what the progress bar says.
pub(super) fn replayed(args: &ReplayArgs, doing: &str, out: &Output) -> Result<(Report, u64), CliError> {
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    let since =
        args.since.as_deref().map(|text| super::tail::instant("--since", text, clock::now())).transpose()?;
    let candidate = policy(&args.policy)?;
    let against = args.against.as_deref().map(policy).transpose()?;
    let journals = Journals::find(&args.journals, since)?;
    let applies = applies(args, journals.sources())?;
    // Without a key, masks cannot be compared: those calls are said not to be replayable.
    let masker = journal::existing_key(&paths.state).map(|key| Masker::new(key, Mode::Masked));
    let kept = paths.policies();
    let options = Options {
        applies,
        masker,
        examples: EXAMPLES,
        known: Box::new(move |revision| known(&kept, revision)),
    };
    let base = against.map_or(Base::Recorded, Base::Policy);
    let mut replay = Replay::new(base, vec![candidate], options);
    journals.all(doing, out, &mut |line| {
        // What is no record is nothing that was decided.
        if let Ok(line) = Line::parse(line) {
            replay.line(&line);
        }
    })?;
    let elsewhere = replay.elsewhere();
    let report = replay.finish().into_iter().next().unwrap_or_default();
    Ok((report, elsewhere))
}

/// A policy that decides.
fn policy(path: &Path) -> Result<Arc<Compiled>, CliError> {
    let shown = visible(&path.display().to_string()).into_owned();
    let bytes = std::fs::read(path).map_err(|error| {
        CliError::outside(format!("`{shown}` cannot be read: {error}"), "name a policy file")
    })?;
    let wrong = || {
        CliError::no(
            format!("`{shown}` is not a valid policy"),
            format!("`callgate check {shown}` names what is wrong"),
        )
    };
    let document = Document::parse_bytes(&bytes).valid().map_err(|_| wrong())?;
    Compiled::new(&document).map(Arc::new).map_err(|_| wrong())
}

fn known(folder: &Path, revision: &str) -> Option<Arc<Compiled>> {
    let document = Document::parse(&past::policy_text(folder, revision)?).valid().ok()?;
    Compiled::new(&document).ok().map(Arc::new)
}

/// Whose calls: those that `--server` and `--grant` name; else of those who were under one of the two
/// files; else of the only server there is.
fn applies(args: &ReplayArgs, sources: &[Source]) -> Result<Applies, CliError> {
    let found = past::governance(sources).map_err(|error| unread("journals", &error))?;
    if let Some(server) = &args.server {
        return Ok(Applies::To(vec![(server.clone(), args.grant.clone())]));
    }
    let mut under = found.under(&args.policy);
    if let Some(old) = &args.against {
        under.extend(found.under(old));
    }
    let wanted = |grant: &str| args.grant.as_deref().is_none_or(|wanted| wanted == grant);
    if !under.is_empty() {
        under.retain(|(_, grant)| wanted(grant));
        return Ok(Applies::To(under.into_iter().map(|(server, grant)| (server, Some(grant))).collect()));
    }
    let mut servers: BTreeSet<String> = found.servers.into_keys().collect();
    if servers.len() > 1 {
        // What a failed start left behind is no choice.
        servers = past::called(sources, servers).map_err(|error| unread("journals", &error))?;
    }
    match servers.iter().collect::<Vec<_>>().as_slice() {
        [] => Ok(Applies::All),
        [only] => Ok(Applies::To(vec![((*only).clone(), args.grant.clone())])),
        several => {
            let names: Vec<String> = several.iter().map(|name| visible(name).into_owned()).collect();
            Err(CliError::usage(
                format!(
                    "no recorded call was decided by `{}`, and there are calls of several servers",
                    visible(&args.policy.display().to_string())
                ),
                format!("name the one that the policy is for: `--server {}`", names.join("`, `--server ")),
            ))
        }
    }
}

/// The report for people.
pub(super) fn text(report: &Report, elsewhere: u64, out: &Output) -> String {
    let mut text = String::new();
    let mut line = |parts: &[&str]| {
        for part in parts {
            text.push_str(part);
        }
        text.push('\n');
    };
    let total = report.changed.total();
    if report.calls == 0 {
        line(&["no recorded calls"]);
    } else {
        let share = format!("{} of {} replayed", count(total, "decision"), count(report.replayable, "call"));
        let head = if total == 0 {
            out.tint(
                Tint::Good,
                &format!("no decision changes, {} replayed", count(report.replayable, "call")),
            )
        } else {
            out.tint(Tint::Strong, &format!("{share} change{}", if total == 1 { "s" } else { "" }))
        };
        line(&[&head]);
    }
    let Changed { deny_to_allow, allow_to_deny, limit, approval } = report.changed;
    for (number, words, tint) in [
        (deny_to_allow, "denied before, allowed now", Tint::Warn),
        (allow_to_deny, "allowed before, denied now", Tint::Bad),
        (limit, "by a limit", Tint::Strong),
        (approval, "by asking a person", Tint::Strong),
    ] {
        if number > 0 {
            line(&["  ", &out.tint(tint, &format!("{number:>7}")), " ", words]);
        }
    }
    for group in report.groups.iter().take(GROUPS) {
        let (sign, tint) = match group.direction() {
            Direction::Looser => ("+", Tint::Warn),
            Direction::Asks => ("?", Tint::Strong),
            Direction::Tighter => ("-", Tint::Bad),
        };
        line(&[""]);
        line(&[
            &out.tint(tint, &format!("{sign}{}", group.count)),
            " ",
            &out.tint(Tint::Strong, &visible(&group.tool)),
            ": ",
            &side(&group.from),
            " -> ",
            &side(&group.to),
        ]);
        for example in &group.examples {
            let args = if example.args.is_empty() { "{}" } else { &example.args };
            line(&[
                "    ",
                &out.tint(
                    Tint::Dim,
                    &format!("{} {} {}", example.ts, visible(&example.gateway), example.seq),
                ),
                " ",
                &shorten(&visible(args)),
            ]);
        }
    }
    let rest = report.groups.len().saturating_sub(GROUPS);
    if rest > 0 || report.ungrouped > 0 {
        line(&[&format!("\nand {rest} more kinds of change; `--format json` has all")]);
    }
    if !report.not_replayable.is_empty() {
        line(&["\nnot replayable:"]);
        for (reason, number) in &report.not_replayable {
            line(&["  ", &format!("{number:>7}"), " ", reason.words()]);
        }
    }
    if elsewhere > 0 {
        line(&[&out.tint(
            Tint::Dim,
            &format!("\n{} of other servers and grants passed over", count(elsewhere, "call")),
        )]);
    }
    text
}

/// A decision with its rule: `deny by /tools/t/deny_if/0`.
pub(super) fn side(side: &Side) -> String {
    let word = match side.decision {
        record::Verdict::Allow => "allow",
        record::Verdict::Deny => "deny",
        record::Verdict::Approve => "approve",
    };
    if side.rule.is_empty() { word.to_owned() } else { format!("{word} by {}", visible(&side.rule)) }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 100;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}
