//! `callgate tools`

use super::args::ToolsArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: ToolsArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
