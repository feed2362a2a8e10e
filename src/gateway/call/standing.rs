//! What stands above every policy: freezes and overrides, as this gateway last read them.
//!
//! A decision must not wait for the store, so each gateway keeps a copy that a background thread
//! refreshes. The copy knows its age: one that is too old is no ground to decide on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock;
use crate::counters::{Approval, Freeze, Override, Standing};
use crate::gateway::lock;
use crate::time::Timestamp;

/// A copy older than this is no ground to decide on, in nanoseconds.
const TOO_OLD: u64 = 2_000_000_000;

/// This gateway's copy of the freezes and overrides.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Copy {
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
pub(in crate::gateway) struct Change {
    pub(in crate::gateway) frozen: Vec<Freeze>,
    pub(in crate::gateway) unfrozen: Vec<Freeze>,
    pub(in crate::gateway) overrides_set: Vec<Override>,
    pub(in crate::gateway) overrides_ended: Vec<Override>,
    /// Questions that were answered.
    pub(in crate::gateway) answered: Vec<Approval>,
    /// Questions that are gone unanswered.
    pub(in crate::gateway) unanswered: Vec<Approval>,
}

/// What stands in the first and not in the second, by id.
fn only_in<T: Clone>(all: &[T], others: &[T], id: fn(&T) -> &str) -> Vec<T> {
    let known: HashSet<&str> = others.iter().map(id).collect();
    all.iter().filter(|one| !known.contains(id(one))).cloned().collect()
}

impl Copy {
    /// The copy, and whether it may be relied on.
    pub(in crate::gateway) fn get(&self) -> (Arc<Standing>, bool) {
        let refreshed = self.refreshed.load(Ordering::Acquire);
        let fresh = refreshed > 0 && clock::tick().saturating_sub(refreshed) <= TOO_OLD;
        (Arc::clone(&lock(&self.standing)), fresh)
    }

    /// The copy is as the store was at `tick`.
    pub(in crate::gateway) fn confirm(&self, tick: u64) {
        self.refreshed.store(tick.max(1), Ordering::Release);
    }

    /// Whether it is the store's reading of this version.
    pub(in crate::gateway) fn is_version(&self, version: u64) -> bool {
        self.read.load(Ordering::Acquire) && self.version.load(Ordering::Acquire) == version
    }

    /// Takes a new reading, made at `tick`, when the store's version was this.
    pub(in crate::gateway) fn replace(&self, standing: Standing, version: u64, tick: u64) -> Change {
        let mut slot = lock(&self.standing);
        let before = &**slot;
        let freeze_id: fn(&Freeze) -> &str = |freeze| &freeze.id;
        let override_id: fn(&Override) -> &str = |entry| &entry.id;
        let open = |approvals: &[Approval]| -> Vec<Approval> {
            approvals.iter().filter(|entry| entry.verdict.is_none()).cloned().collect()
        };
        let answered = |approvals: &[Approval]| -> Vec<Approval> {
            approvals.iter().filter(|entry| entry.verdict.is_some()).cloned().collect()
        };
        let approval_id: fn(&Approval) -> &str = |entry| &entry.id;
        let change = Change {
            frozen: only_in(&standing.freezes, &before.freezes, freeze_id),
            unfrozen: only_in(&before.freezes, &standing.freezes, freeze_id),
            overrides_set: only_in(&standing.overrides, &before.overrides, override_id),
            overrides_ended: only_in(&before.overrides, &standing.overrides, override_id),
            answered: only_in(&answered(&standing.approvals), &answered(&before.approvals), approval_id),
            unanswered: only_in(&open(&before.approvals), &standing.approvals, approval_id),
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
pub(in crate::gateway) fn frozen<'s>(
    standing: &'s Standing,
    server: &str,
    grant: &str,
    tool: &str,
    now: Timestamp,
) -> Option<&'s Freeze> {
    standing.frozen(server, grant, tool, now)
}

/// The override that applies to a call; see [`Standing::overriding`].
pub(in crate::gateway) fn overriding<'s>(
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
            copy.replace(Standing { freezes: vec![freeze("a")], ..Standing::default() }, 1, clock::tick());
        assert_eq!((first.frozen.len(), first.unfrozen.len()), (1, 0));
        assert!(copy.get().1);
        let second =
            copy.replace(Standing { freezes: vec![freeze("b")], ..Standing::default() }, 1, clock::tick());
        assert_eq!((second.frozen[0].id.as_str(), second.unfrozen[0].id.as_str()), ("b", "a"));
    }
}
