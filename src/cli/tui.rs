//! The terminal interface: what is opened when no command is named.

use super::args::OpenArgs;
use super::{Answer, CliError, Output, Verdict};
use crate::paths::Paths;
use crate::tui::{self, Options, Tools};

/// Runs the interface.
pub(super) fn run(args: OpenArgs, _out: &Output) -> Answer {
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    let options = Options {
        policy: args.policy,
        tools: Tools::Attached,
        paths,
        title: None,
        select: None,
        read_only: args.read_only,
        color: None,
    };
    match tui::run(options) {
        Ok(()) => Ok(Verdict::Yes),
        Err(error @ tui::TuiError::NoTerminal(_)) => Err(CliError::usage(
            error.to_string(),
            "`callgate --help` lists the commands that work in pipes and scripts",
        )),
        Err(error) => Err(CliError::outside(error.to_string(), "")),
    }
}
