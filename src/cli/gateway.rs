//! `callgate gateway`

use super::args::{GatewayArgs, GuardArgs};
use super::{Answer, CliError, Output, Verdict};
use crate::gateway::stdio::{self, Config, StartError};

/// Runs the command.
pub(super) fn run(args: GatewayArgs, _out: &Output) -> Answer {
    if let Some(first) = args.command.first().filter(|first| first.starts_with('-')) {
        return Err(CliError::usage(
            format!("`{first}` is no option of `callgate gateway`"),
            "options of the server follow its command: callgate gateway --policy FILE -- CMD ARG...",
        ));
    }
    let config = Config {
        name: args.name.unwrap_or_else(|| "server".to_owned()),
        grant: args.grant,
        max_message: args.max_message,
        command: args.command,
    };
    match stdio::run(config) {
        Ok(code) => Ok(Verdict::Code(code)),
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
