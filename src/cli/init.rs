//! `callgate init`

use super::args::InitArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: InitArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
