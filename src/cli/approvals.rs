//! `callgate approvals`: the calls that wait for a person, without the terminal interface.
//!
//! It works on the store itself, so that what was asked can be answered although no gateway runs.
//! Answering needs a person at a terminal, who has seen the arguments in full.

use std::io::IsTerminal;

use serde::Serialize;

use super::args::{ApprovalsArgs, ApprovalsDo, ApproveArgs, RejectArgs};
use super::counters::{self, outside};
use super::freeze::{ask, new_id, paths};
use super::output::{Format, Tint};
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
use crate::counters::{Approval, approval};
use crate::paths::user;
use crate::time::{Timestamp, parse_duration, show_duration};
use crate::visible::visible;

/// "For a while" is at most a day, in seconds.
const LONGEST_WHILE: u64 = 86_400;
/// A note is a sentence or two.
const LONGEST_NOTE: usize = 1000;

#[derive(Debug, Serialize)]
struct List<'l> {
    approvals: Vec<&'l Approval>,
}

#[derive(Debug, Serialize)]
struct Answered<'l> {
    answered: &'l Approval,
}

/// Runs the command.
pub(super) fn run(args: ApprovalsArgs, out: &Output) -> Answer {
    let now = clock::now();
    let place = counters::place(&args.counters, &paths()?)?;
    let store = counters::look(&place)?;
    let standing = match &store {
        Some(store) => store.approvals(now).map_err(outside)?,
        None => Vec::new(),
    };
    let (id, mut given) = match args.what.unwrap_or(ApprovalsDo::List) {
        ApprovalsDo::List => return list(&standing, now, out),
        ApprovalsDo::Approve(ApproveArgs { id, note, duration }) => {
            let for_s = duration.as_deref().map(a_while).transpose()?;
            (id, approval::Answer { approved: true, by: String::new(), note: checked(note)?, for_s })
        }
        ApprovalsDo::Reject(RejectArgs { id, note }) => {
            (id, approval::Answer { approved: false, by: String::new(), note: checked(note)?, for_s: None })
        }
    };
    let entry = standing.iter().find(|entry| entry.id == id && entry.waits(now));
    let (Some(store), Some(entry)) = (store, entry) else {
        return Err(CliError::no(
            format!("no call waits as `{}`: it was answered, cancelled, or is over", visible(&id)),
            "`callgate approvals` lists those that wait",
        ));
    };
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::usage(
            "answering for a call needs a person at a terminal",
            "run this command in a terminal, or answer in the terminal interface",
        ));
    }
    out.note(&shown(entry, now, out));
    let question = match (given.approved, given.for_s) {
        (false, _) => "Reject this call? [y/N] ".to_owned(),
        (true, None) => "Let this call run, once? [y/N] ".to_owned(),
        (true, Some(seconds)) => {
            format!("Let this call run, and equal ones for {}? [y/N] ", show_duration(seconds))
        }
    };
    if !ask(&question) {
        return Err(CliError::no("nothing was answered", ""));
    }
    given.by = user();
    let override_id = new_id()?;
    let answered =
        approval::answer(store.as_ref(), clock::now(), &id, &given, || override_id).map_err(outside)?;
    let Some(answered) = answered else {
        return Err(CliError::no("it does not wait any more: somebody else was faster, or it is over", ""));
    };
    match out.format {
        Format::Json => out.json(&Answered { answered: &answered })?,
        Format::Text => {
            let done = if given.approved { (Tint::Good, "Approved:") } else { (Tint::Bad, "Rejected:") };
            out.line(&format!("{} {}", out.tint(done.0, done.1), title(&answered)))?;
        }
    }
    Ok(Verdict::Yes)
}

fn list(standing: &[Approval], now: Timestamp, out: &Output) -> Answer {
    let open: Vec<&Approval> =
        standing.iter().filter(|entry| entry.waits(now) || entry.usable(now)).collect();
    match out.format {
        Format::Json => out.json(&List { approvals: open })?,
        Format::Text if open.is_empty() => out.line("No call waits for an approval.")?,
        Format::Text => {
            let parts: Vec<String> = open.iter().map(|entry| shown(entry, now, out)).collect();
            out.print(&format!("{}\n", parts.join("\n\n")))?;
        }
    }
    Ok(Verdict::Yes)
}

fn title(entry: &Approval) -> String {
    format!(
        "{} of server {}, by grant {}",
        visible(&entry.tool),
        visible(&entry.server),
        visible(&entry.grant)
    )
}

/// One question, for a person to judge. Nothing of it is written as it came: it is the agent's text.
fn shown(entry: &Approval, now: Timestamp, out: &Output) -> String {
    let line =
        |name: &str, text: String| format!("  {} {text}\n", out.tint(Tint::Dim, &format!("{name:<9}")));
    let left = |until: Timestamp| show_duration(now.millis_until(until).div_ceil(1000));
    let mut text = format!("{}  {}\n", out.tint(Tint::Strong, &visible(&entry.id)), title(entry));
    text += &line("asks", format!("{} ({})", visible(&entry.message), visible(&entry.rule)));
    text += &line("arguments", visible(entry.args.text()).into_owned());
    if let Some(client) = &entry.client {
        text += &line("client", format!("{} (as it calls itself)", visible(client)));
    }
    let asked = show_duration(entry.asked_at.millis_until(now) / 1000);
    text += &match &entry.verdict {
        Some(verdict) => {
            // One for a while is not used up by the first call.
            let good = if verdict.for_s.is_some() { "good for equal calls" } else { "not used yet, good" };
            line("given", format!("by {}, {good} for another {}", visible(&verdict.by), left(verdict.until)))
        }
        None => line(
            "asked",
            format!("{asked} ago, {} held, ends in {}", calls(entry.holders), left(entry.until)),
        ),
    };
    text.trim_end().to_owned()
}

fn calls(count: u32) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn checked(note: Option<String>) -> Result<String, CliError> {
    let note = note.unwrap_or_default().trim().to_owned();
    if note.chars().count() > LONGEST_NOTE {
        return Err(CliError::usage(
            format!("the note is longer than {LONGEST_NOTE} characters"),
            "make it a sentence or two",
        ));
    }
    Ok(note)
}

fn a_while(text: &str) -> Result<u64, CliError> {
    parse_duration(text).filter(|seconds| (1..=LONGEST_WHILE).contains(seconds)).ok_or_else(|| {
        CliError::usage(
            format!("`{}` is no length of time up to a day", visible(text)),
            "write for instance `15m` or `1h30m`",
        )
    })
}
