//! `callgate gateway`

use super::args::{GatewayArgs, GuardArgs, RecordArgs};
use super::{Answer, CliError, Output, Verdict, counters};
use crate::catalog::server_name;
use crate::gateway::reload::LoadError;
use crate::gateway::stdio::{self, Config, StartError};
use crate::paths::Paths;
use crate::record::mask::Mode;

/// Runs the command.
pub(super) fn run(args: GatewayArgs, _out: &Output) -> Answer {
    if let Some(first) = args.command.first().filter(|first| first.starts_with('-')) {
        return Err(CliError::usage(
            format!("`{first}` is no option of `callgate gateway`"),
            "options of the server follow its command: callgate gateway --policy FILE -- CMD ARG...",
        ));
    }
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    let config = Config {
        name: args.name.unwrap_or_else(|| server_name(&args.command)),
        grant: args.grant,
        policy: args.policy,
        counters: counters::place(&args.counters, &paths)?,
        fail_open: args.fail_open,
        record_args: match args.record_args {
            RecordArgs::Full => Mode::Full,
            RecordArgs::Masked => Mode::Masked,
            RecordArgs::Keys => Mode::Keys,
        },
        max_message: args.max_message,
        paths,
        command: args.command,
    };
    match stdio::run(&config) {
        Ok(code) => Ok(Verdict::Code(code)),
        Err(StartError::Policy(error @ LoadError::Invalid { .. })) => {
            Err(CliError::no(error.to_string(), "`callgate check FILE` names every error with its place"))
        }
        Err(StartError::Policy(error @ LoadError::Unreadable { .. })) => Err(CliError::outside(
            error.to_string(),
            "`callgate init -o FILE -- CMD ARG...` writes a starting policy for a server",
        )),
        Err(StartError::Start(error)) => Err(CliError::outside(error.to_string(), "")),
    }
}

/// Runs the guard of a stdio gateway's server.
#[cfg(unix)]
pub(super) fn guard(args: &GuardArgs) -> Answer {
    use crate::gateway::guard::{self, GuardError};
    guard::run(args.parent, &args.command).map(Verdict::Code).map_err(|error| {
        let help = match &error {
            GuardError::Start { missing: true, .. } => {
                "is it installed, and in this process's PATH? An absolute path always works"
            }
            _ => "",
        };
        CliError::outside(error.to_string(), help)
    })
}

/// There is no guard where there are no process groups.
#[cfg(not(unix))]
pub(super) fn guard(_args: &GuardArgs) -> Answer {
    Err(CliError::usage("there is no guard on this system", ""))
}
