//! `callgate check`

use super::args::CheckArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: CheckArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
