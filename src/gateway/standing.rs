//! What stands above every policy: freezes and overrides, as this gateway last read them.
//!
//! A decision must not wait for the store, so each gateway keeps a copy that a background thread
//! refreshes. The copy knows its age: one that is too old is no ground to decide on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::clock;
use crate::counters::{Freeze, Override, Standing};
use crate::time::Timestamp;

/// A copy older than this is no ground to decide on, in nanoseconds.
const TOO_OLD: u64 = 2_000_000_000;

/// This gateway's copy of the freezes and overrides.
#[derive(Debug, Default)]
pub(super) struct Copy {
    standing: Mutex<Arc<Standing>>,
    /// The store's version of it.
    version: AtomicU64,
    /// Whether `version` is one.
    read: AtomicBool,
    /// When it was last known to be right, as [`clock::tick`]; 0 for never.
    refreshed: AtomicU64,
}

/// What changed between two readings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) frozen: Vec<Freeze>,
    pub(super) unfrozen: Vec<Freeze>,
    pub(super) overrides: bool,
}

impl Copy {
    /// The copy, and whether it may be relied on.
    pub(super) fn get(&self) -> (Arc<Standing>, bool) {
        let refreshed = self.refreshed.load(Ordering::Acquire);
        let fresh = refreshed > 0 && clock::tick().saturating_sub(refreshed) <= TOO_OLD;
        (Arc::clone(&lock(&self.standing)), fresh)
    }

    /// The copy is as the store was at `tick`.
    pub(super) fn confirm(&self, tick: u64) {
        self.refreshed.store(tick.max(1), Ordering::Release);
    }

    /// Whether it is the store's reading of this version.
    pub(super) fn is_version(&self, version: u64) -> bool {
        self.read.load(Ordering::Acquire) && self.version.load(Ordering::Acquire) == version
    }

    /// Takes a new reading, made at `tick`, when the store's version was this.
    pub(super) fn replace(&self, standing: Standing, version: u64, tick: u64) -> Change {
        let mut slot = lock(&self.standing);
        let ids = |freezes: &[Freeze]| freezes.iter().map(|freeze| freeze.id.clone()).collect::<HashSet<_>>();
        let (before, after) = (ids(&slot.freezes), ids(&standing.freezes));
        let change = Change {
            frozen: standing.freezes.iter().filter(|freeze| !before.contains(&freeze.id)).cloned().collect(),
            unfrozen: slot.freezes.iter().filter(|freeze| !after.contains(&freeze.id)).cloned().collect(),
            overrides: slot.overrides != standing.overrides,
        };
        *slot = Arc::new(standing);
        drop(slot);
        self.version.store(version, Ordering::Release);
        self.read.store(true, Ordering::Release);
        self.confirm(tick);
        change
    }
}

/// The freeze in whose scope a call lies.
pub(super) fn frozen<'s>(
    standing: &'s Standing,
    server: &str,
    grant: &str,
    tool: &str,
    now: Timestamp,
) -> Option<&'s Freeze> {
    standing.frozen(server, grant, tool, now)
}

/// The override that applies to a call; see [`Standing::overriding`].
pub(super) fn overriding<'s>(
    standing: &'s Standing,
    call: (&str, &str, &str),
    now: Timestamp,
    spent: &[String],
    digest: &dyn Fn() -> String,
) -> Option<&'s Override> {
    standing.overriding(call, now, spent, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(id: &str) -> Freeze {
        Freeze {
            id: id.to_owned(),
            server: None,
            grant: None,
            tool: None,
            until: None,
            by: "me".to_owned(),
            at: Timestamp(0),
            reason: "why".to_owned(),
        }
    }

    #[test]
    fn a_copy_is_relied_on_only_once_it_was_read() {
        let copy = Copy::default();
        assert!(!copy.get().1);
        let first =
            copy.replace(Standing { freezes: vec![freeze("a")], overrides: Vec::new() }, 1, clock::tick());
        assert_eq!((first.frozen.len(), first.unfrozen.len()), (1, 0));
        assert!(copy.get().1);
        let second =
            copy.replace(Standing { freezes: vec![freeze("b")], overrides: Vec::new() }, 1, clock::tick());
        assert_eq!((second.frozen[0].id.as_str(), second.unfrozen[0].id.as_str()), ("b", "a"));
    }
}
