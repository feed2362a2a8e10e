//! `callgate status`

use super::args::StatusArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: StatusArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
