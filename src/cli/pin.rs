//! Accepting the present definitions of a server's tools: `callgate tools --pin`, and `init`.

use std::io::IsTerminal as _;
use std::path::Path;

use super::explain::number;
use super::freeze::ask;
use super::{Answer, CliError, Output, Verdict};
use crate::catalog::ServerTools;
use crate::catalog::pins::{self, PinsError};
use crate::clock;
use crate::paths::user;
use crate::policy::pins::{Definition, Pins, differing};
use crate::visible::visible;

/// How many tools are named before it is asked.
const NAMED: usize = 40;

/// Accepts what was listed, once the person says so.
pub(super) fn run(policy: &Path, servers: &[ServerTools], yes: bool, out: &Output) -> Answer {
    let [server] = servers else {
        return Err(CliError::usage(
            format!("`--pin` takes one server, and these are {}", servers.len()),
            "name one server with `--server NAME`",
        ));
    };
    if let Err(error) = std::fs::metadata(policy) {
        return Err(CliError::outside(
            format!("the policy `{}` cannot be read: {error}", policy.display()),
            "`callgate init -o FILE -- CMD ARG...` writes a starting policy and its pins",
        ));
    }
    let place = pins::place(policy);
    let known = match pins::load(&place) {
        Ok(pins) => pins,
        Err(error) if error.is_missing() => Pins::default(),
        Err(error) => return Err(failed(&error)),
    };
    let definitions = server.definitions();
    let wanted = pins::preview(&known, &definitions);
    let gone = known.iter().filter(|(name, _)| !definitions.iter().any(|one| one.name == *name)).count();
    if gone > 0 {
        out.note(&format!("{} of the pins are not in this list; they stay", number(gone, "tool")));
    }
    if wanted.new.is_empty() && wanted.changed.is_empty() {
        out.note(&format!("`{}`: {} accepted already", place.display(), number(wanted.same, "tool")));
        return Ok(Verdict::Yes);
    }
    for (word, names) in [("changed", &wanted.changed), ("new", &wanted.new)] {
        for name in names.iter().take(NAMED) {
            out.note(&format!("  {word:<8} {}{}", visible(name), fields(&known, &definitions, name)));
        }
        if names.len() > NAMED {
            out.note(&format!("  {word:<8} and {} more", names.len() - NAMED));
        }
    }
    let what =
        format!("{} changed, {} new, {} as before", wanted.changed.len(), wanted.new.len(), wanted.same);
    if !yes {
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err(CliError::usage(
                format!("nothing is accepted without a person's yes ({what})"),
                "run it on a terminal, or add `--yes`",
            ));
        }
        if !ask(&format!("Accept these definitions ({what})? [y/N] ")) {
            out.note("nothing is accepted");
            return Ok(Verdict::No);
        }
    }
    let accepted =
        pins::accept(&place, definitions, &user(), clock::now()).map_err(|error| failed(&error))?;
    let count = accepted.new.len() + accepted.changed.len();
    out.note(&format!("accepted {} in `{}`", number(count, "tool"), place.display()));
    Ok(Verdict::Yes)
}

/// `: description, inputSchema`
fn fields(known: &Pins, definitions: &[Definition], name: &str) -> String {
    let pin = known.get(name);
    let now = definitions.iter().rfind(|definition| definition.name == name);
    match pin.zip(now).map(|(pin, now)| differing(pin, now)) {
        Some(fields) if !fields.is_empty() => format!(": {}", fields.join(", ")),
        _ => String::new(),
    }
}

/// The pins of a policy that was just written.
pub(super) fn first(policy: &Path, server: &ServerTools, out: &Output) -> Result<(), CliError> {
    let place = pins::place(policy);
    pins::accept(&place, server.definitions(), &user(), clock::now()).map_err(|error| failed(&error))?;
    out.note(&format!("wrote `{}`: a tool whose definition changes is reported", place.display()));
    Ok(())
}

/// An error of pins as the command line reports it.
pub(super) fn failed(error: &PinsError) -> CliError {
    let help = match error.help() {
        Some(help) => help.to_owned(),
        None if error.is_missing() => "`callgate tools --pin POLICY` accepts a server's tools".to_owned(),
        None => String::new(),
    };
    match error {
        PinsError::Invalid(..) => CliError::no(error.to_string(), help),
        PinsError::Unreadable(..) | PinsError::Unwritten(..) => CliError::outside(error.to_string(), help),
    }
}
