//! `callgate gateway`

use super::args::GatewayArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: GatewayArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
