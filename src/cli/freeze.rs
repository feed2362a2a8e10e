//! `callgate freeze` and `callgate unfreeze`: the kill switch.
//!
//! It is set in the store first and explained afterwards: in an incident the seconds count.
//! Lifting one needs a person at a terminal.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::args::{FreezeArgs, UnfreezeArgs};
use super::counters::{self, outside};
use super::output::{Format, Tint};
use super::status::scope;
use super::survey::{Seen, survey};
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
use crate::counters::{Freeze, Lift};
use crate::paths::{Paths, user};
use crate::time::{parse_duration, show_duration};
use crate::visible::visible;

/// A reason is a sentence or two.
const LONGEST_REASON: usize = 1000;

#[derive(Debug, Serialize)]
struct Frozen {
    frozen: Freeze,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Lifted {
    lifted: Vec<Freeze>,
}

/// Runs `freeze`.
pub(super) fn freeze(args: FreezeArgs, out: &Output) -> Answer {
    let until = args.duration.as_deref().map(ends).transpose()?;
    check_names([&args.server, &args.grant, &args.tool])?;
    let reason = reason(&args.reason)?;
    let paths = paths()?;
    let place = counters::place(&args.counters, &paths)?;
    let store = counters::open(&place)?;
    let now = clock::now();
    let freeze = Freeze {
        id: new_id()?,
        server: args.server,
        grant: args.grant,
        tool: args.tool,
        until: until.map(|seconds| now.plus_micros(seconds)),
        by: user(),
        at: now,
        reason,
    };
    store.freeze(&freeze).map_err(outside)?;
    // Done; whether it hits anything is only a question now.
    let (warnings, blind) = warnings(&paths, &freeze);
    match out.format {
        Format::Json => out.json(&Frozen { frozen: freeze, warnings })?,
        Format::Text => {
            out.line(&format!("{} {}", out.tint(Tint::Bad, "Frozen:"), describe(&freeze)))?;
            for warning in warnings {
                out.note(&format!("warning: {warning}"));
            }
        }
    }
    if blind.is_empty() {
        return Ok(Verdict::Yes);
    }
    Err(CliError::outside(
        format!(
            "not everything is frozen: {} does not see this freeze, and its calls go on",
            blind.join(", ")
        ),
        format!(
            "this freeze lies in {place}, which that gateway cannot read or does not count in: freeze there, too, \
             with the `--counters` (or CALLGATE_COUNTERS) that it was started with"
        ),
    ))
}

/// Runs `unfreeze`.
pub(super) fn unfreeze(args: &UnfreezeArgs, out: &Output) -> Answer {
    let reason = reason(&args.reason)?;
    check_names([&args.server, &args.grant, &args.tool])?;
    let (server, grant, tool) = (args.server.as_deref(), args.grant.as_deref(), args.tool.as_deref());
    let what = scope(server, grant, tool);
    let standing = match counters::look(&counters::place(&args.counters, &paths()?)?)? {
        Some(store) => Some((store.standing(clock::now()).map_err(outside)?.freezes, store)),
        None => None,
    };
    let Some((standing, store)) = standing.filter(|(standing, _)| !standing.is_empty()) else {
        return Err(CliError::no(
            "nothing is frozen",
            "that is, in this store; that of a fleet is named by `--counters` or CALLGATE_COUNTERS",
        ));
    };
    let same = |freeze: &&Freeze| {
        freeze.server.as_deref() == server
            && freeze.grant.as_deref() == grant
            && freeze.tool.as_deref() == tool
    };
    let matching: Vec<&Freeze> = standing.iter().filter(same).collect();
    if matching.is_empty() {
        let others: Vec<String> = standing.iter().map(describe).collect();
        return Err(CliError::no(
            format!("no freeze has exactly this scope: {what}"),
            format!("frozen are:\n    {}", others.join("\n    ")),
        ));
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::usage(
            "lifting a freeze needs a person at a terminal",
            "run this command in a terminal, or lift it in the terminal interface",
        ));
    }
    for freeze in &matching {
        out.note(&format!("Frozen: {}", describe(freeze)));
    }
    if !ask(&format!("Lift it and let calls to {what} through again? [y/N] ")) {
        return Err(CliError::no("nothing was lifted", ""));
    }
    let lift = Lift { by: user(), at: clock::now(), reason };
    let lifted = store.unfreeze_by(server, grant, tool, Some(&lift)).map_err(outside)?;
    if lifted.is_empty() {
        return Err(CliError::no("nothing was lifted: somebody else was faster, or it ended", ""));
    }
    match out.format {
        Format::Json => out.json(&Lifted { lifted })?,
        Format::Text => {
            for freeze in &lifted {
                out.line(&format!("{} {}", out.tint(Tint::Good, "Lifted:"), describe(freeze)))?;
            }
        }
    }
    Ok(Verdict::Yes)
}

pub(super) fn paths() -> Result<Paths, CliError> {
    Paths::from_env().map_err(|error| CliError::outside(error.to_string(), "set HOME or CALLGATE_HOME"))
}

fn reason(text: &str) -> Result<String, CliError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CliError::usage("the reason is empty", "say why, for those who find their calls denied"));
    }
    if text.chars().count() > LONGEST_REASON {
        return Err(CliError::usage(
            format!("the reason is longer than {LONGEST_REASON} characters"),
            "make it a sentence or two",
        ));
    }
    Ok(text.to_owned())
}

/// An empty name matches nothing: a freeze of it would look like one and stop no call.
fn check_names(names: [&Option<String>; 3]) -> Result<(), CliError> {
    if names.iter().any(|name| name.as_deref() == Some("")) {
        return Err(CliError::usage("a name is empty", "leave the option out to mean all of them"));
    }
    Ok(())
}

/// A `--for` in microseconds.
fn ends(text: &str) -> Result<i64, CliError> {
    parse_duration(text)
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000_000))
        .ok_or_else(|| {
            CliError::usage(
                format!("`{}` is no length of time", visible(text)),
                "write for instance `15m`, `1h30m` or `2d`",
            )
        })
}

fn describe(freeze: &Freeze) -> String {
    let what = scope(freeze.server.as_deref(), freeze.grant.as_deref(), freeze.tool.as_deref());
    let end = freeze.until.map_or_else(
        || "until lifted".to_owned(),
        |until| {
            let seconds = clock::now().millis_until(until).div_ceil(1000);
            format!("for {}", show_duration(seconds))
        },
    );
    format!("{what}, {end}, by {}: {}", visible(&freeze.by), visible(&freeze.reason))
}

/// What makes one doubt that the freeze hits what was meant; and the running gateways that it concerns
/// and that do not see it.
fn warnings(paths: &Paths, freeze: &Freeze) -> (Vec<String>, Vec<String>) {
    // One that says nothing of freezes is asked nothing more.
    let aware = |one: &Seen| one.freezes().is_none_or(|all| all.iter().any(|other| other.id == freeze.id));
    let concerned = |one: &Seen| {
        let named = |name: &String| one.servers().iter().any(|server| server.name == *name);
        freeze.server.as_ref().is_none_or(named)
    };
    let seen = match survey(&paths.run, &|one| aware(one) || !concerned(one)) {
        Ok(seen) => seen,
        Err(error) => return (vec![error.to_string()], Vec::new()),
    };
    if seen.is_empty() {
        let none = "no gateway of yours is running; the freeze waits for the next";
        return (vec![none.to_owned()], Vec::new());
    }
    let blind = seen.iter().filter(|one| one.trouble.is_none() && concerned(one) && !aware(one));
    let blind = blind.map(|one| format!("gateway `{}` (pid {})", visible(&one.entry.name), one.entry.pid));
    let blind = blind.collect();
    let mut warnings: Vec<String> = seen
        .iter()
        .filter_map(|one| {
            let trouble = one.trouble.as_ref()?;
            let (name, pid) = (visible(&one.entry.name), one.entry.pid);
            Some(format!("gateway `{name}` (pid {pid}) did not answer: {}", visible(trouble)))
        })
        .collect();
    let servers = || seen.iter().flat_map(Seen::servers);
    let mut unknown = |what: &str, name: &Option<String>, known: &dyn Fn(&str) -> bool| {
        if let Some(name) = name.as_deref().filter(|name| !known(name)) {
            warnings.push(format!("no running gateway knows the {what} `{}`", visible(name)));
        }
    };
    unknown("server", &freeze.server, &|name| servers().any(|server| server.name == name));
    unknown("grant", &freeze.grant, &|name| {
        servers().any(|server| server.grants.iter().any(|grant| grant.label == name))
    });
    unknown("tool", &freeze.tool, &|name| seen.iter().any(|one| one.has_tool(name)));
    (warnings, blind)
}

pub(super) fn new_id() -> Result<String, CliError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::outside(format!("the system gives no random numbers: {error}"), ""))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// Asks; only a clear yes is one.
pub(super) fn ask(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
