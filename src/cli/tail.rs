//! `callgate tail`

use super::args::TailArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: TailArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
