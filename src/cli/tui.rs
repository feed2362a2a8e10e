//! `callgate tui`

use super::args::OpenArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: OpenArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
