//! `callgate demo`

use super::args::DemoArgs;
use super::{Answer, CliError, Output};

/// Runs the command.
pub(super) fn run(args: DemoArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
