//! `callgate suggest`: the least-privilege policy that recorded traffic needs.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::args::SuggestArgs;
use super::explain::number;
use super::journals::Journals;
use super::output::{Format, Tint};
use super::source::to_cli;
use super::{Answer, CliError, Output, Verdict, init, tail};
use crate::catalog::{self, Source};
use crate::clock;
use crate::paths::{Existing, Paths, scratch, write_whole};
use crate::replay::suggest::{Asked, Learnt, NotLearnt, Options, Proposal, Suggestion, learn};
use crate::time::Timestamp;
use crate::visible::visible;

/// What `--format json` prints.
#[derive(Serialize)]
struct Report<'s> {
    #[serde(flatten)]
    suggestion: &'s Suggestion,
    /// Recorded calls that the policy denies all the same; none, unless trials ran out.
    denies: u64,
    policy: &'s str,
}

/// Runs the command.
pub(super) fn run(args: &SuggestArgs, out: &Output) -> Answer {
    if let Some(path) = args.output.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(init::there_already(path, "`--force` replaces it; `-o` takes another name, too"));
    }
    let now = clock::now();
    let since = args.since.as_deref().map(|text| tail::instant("--since", text, now)).transpose()?;
    let journals = Journals::find(&args.journals, since)?;
    let mut options = Options { portable: args.portable, ..Options::of(args.profile) };
    options.margin = args.margin.unwrap_or(options.margin);
    let asked = Asked {
        options,
        servers: args.server.iter().cloned().collect(),
        grant: args.grant.clone(),
        tools: args.tools.as_deref().map(tool_names).transpose()?,
        only_tools: false,
    };
    let state = Paths::from_env().ok().map(|paths| paths.state);
    let mut store = scratch(state.as_deref());
    let learnt = learn(&asked, &mut store, &mut |each| journals.each("learning", out, each));
    let learnt = learnt.map_err(|why| match why {
        NotLearnt::Lines(error) => error,
        NotLearnt::Store(_) => CliError::outside(
            why.to_string(),
            "they lie in the state folder, or among temporary files where that cannot be written to",
        ),
        NotLearnt::NoCalls => {
            CliError::no(why.to_string(), "name the journals, or widen `--since`, `--server` and `--grant`")
        }
        NotLearnt::Policy(_) => CliError::outside(why.to_string(), ""),
    })?;
    let Learnt { suggestion, text, denies } = learnt;
    let report = report(&suggestion, denies, out);
    match (out.format, &args.output) {
        (Format::Json, output) => {
            out.json(&Report { suggestion: &suggestion, denies, policy: &text })?;
            if let Some(path) = output {
                write(path, &text, args.force)?;
            }
        }
        (Format::Text, None) => {
            out.note(report.trim_end());
            out.print(&text)?;
        }
        (Format::Text, Some(path)) => {
            write(path, &text, args.force)?;
            out.print(&report)?;
            let file = visible(&path.display().to_string()).into_owned();
            out.note(&format!(
                "wrote `{file}`; nobody has accepted it yet: review it, then take its description away"
            ));
            out.note(&format!("  look at it:   callgate {file}"));
            out.note(&format!("  check it:     callgate check {file}"));
        }
    }
    Ok(Verdict::Yes)
}

fn tool_names(path: &std::path::Path) -> Result<Vec<String>, CliError> {
    let loaded = catalog::load(&Source::File(path.to_owned()), Duration::from_secs(30))
        .map_err(|error| to_cli(&error))?;
    Ok(loaded.servers.iter().flat_map(|server| &server.tools).map(|tool| tool.name.clone()).collect())
}

fn write(path: &std::path::Path, text: &str, force: bool) -> Result<(), CliError> {
    let existing = if force { Existing::Replace } else { Existing::Keep };
    write_whole(path, text.as_bytes(), existing)
        .map_err(|error| CliError::outside(format!("`{}` cannot be written: {error}", path.display()), ""))
}

/// What is proposed, for people: each tool with what it rests on.
fn report(suggestion: &Suggestion, denies: u64, out: &Output) -> String {
    let mut text = String::new();
    let mut tool = None;
    for proposal in &suggestion.proposals {
        if tool != Some(&proposal.tool) {
            tool = Some(&proposal.tool);
            text.push_str(&out.tint(Tint::Strong, &visible(&proposal.tool)));
            text.push('\n');
        }
        line(&mut text, proposal, out);
    }
    for left in &suggestion.open {
        let name = format!("{} {}", visible(&left.tool), visible(&left.path));
        text.push_str(&out.tint(Tint::Dim, &format!("left open  {name}: {}", left.why)));
        text.push('\n');
    }
    let seen = suggestion.seen;
    let day =
        |ts: Option<Timestamp>| ts.map_or_else(String::new, |ts| ts.to_string().chars().take(16).collect());
    let calls = number(usize::try_from(seen.calls).unwrap_or(usize::MAX), "allowed call");
    let _ = writeln!(
        text,
        "learnt from {calls} ({} denied ones left aside), {} to {}, with a margin of {} %",
        seen.denied,
        day(seen.since).replace('T', " "),
        day(seen.until).replace('T', " "),
        suggestion.margin
    );
    let verdict = if denies == 0 {
        out.tint(Tint::Good, "the policy allows every one of them")
    } else {
        out.tint(Tint::Bad, &format!("the policy denies {denies} of them"))
    };
    text.push_str(&verdict);
    text.push('\n');
    text
}

fn line(text: &mut String, proposal: &Proposal, out: &Output) {
    let Some(choice) = proposal.choice() else { return };
    let what = match &proposal.dropped {
        None => choice.text.clone(),
        Some(why) => out.tint(Tint::Warn, &format!("dropped: {} ({why})", choice.text)),
    };
    let evidence = proposal.evidence.text();
    let evidence = if proposal.evidence.calls == 0 {
        String::new()
    } else {
        format!("  {}", out.tint(Tint::Dim, &evidence))
    };
    let _ = writeln!(text, "  {:<6} {what}{evidence}", proposal.kind.name());
}
