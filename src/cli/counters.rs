//! `--counters PLACE`: the store that a command works on.

use std::sync::Arc;

use super::CliError;
use super::args::CountersArgs;
use crate::counters::{self, Store, StoreError, StorePlace};
use crate::paths::Paths;

/// The place that was named, by the option or the environment, else this user's own.
pub(super) fn place(args: &CountersArgs, paths: &Paths) -> Result<StorePlace, CliError> {
    StorePlace::choose(args.counters.as_deref(), paths.store())
        .map_err(|bad| CliError::usage(bad.what, bad.help))
}

/// Opens it.
pub(super) fn open(place: &StorePlace) -> Result<Arc<dyn Store>, CliError> {
    counters::open(place).map_err(outside)
}

/// As [`open`], unless there is nothing yet: looking must not make one.
pub(super) fn look(place: &StorePlace) -> Result<Option<Arc<dyn Store>>, CliError> {
    if place.may_exist() { open(place).map(Some) } else { Ok(None) }
}

/// The store failed.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn outside(error: StoreError) -> CliError {
    CliError::outside(error.to_string(), "")
}
