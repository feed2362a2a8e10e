//! `callgate freeze` and `callgate unfreeze`

use super::args::{FreezeArgs, UnfreezeArgs};
use super::{Answer, CliError, Output};

/// Runs `freeze`.
pub(super) fn freeze(args: FreezeArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}

/// Runs `unfreeze`.
pub(super) fn unfreeze(args: UnfreezeArgs, _out: &Output) -> Answer {
    drop(args);
    Err(CliError::usage("SKELETON", ""))
}
