//! `callgate explain`

use super::args::ExplainArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: ExplainArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
