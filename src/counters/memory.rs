//! A store in memory, shared by the threads of one process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Freeze, Lift, Override, Standing, Store, StoreError};
use crate::policy::counter::{Reserved, Taken, Usage, Want};
use crate::policy::memory::MemoryCounters;
use crate::time::Timestamp;

/// The same promises as the shared stores, but nothing outlives the process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counters: MemoryCounters,
    /// The limits that were looked at last, for [`Store::counters`].
    seen: BTreeMap<crate::policy::counter::CounterKey, Want>,
    freezes: BTreeMap<String, Freeze>,
    overrides: BTreeMap<String, Override>,
    lifted: BTreeMap<String, Lift>,
    version: u64,
}

impl MemoryStore {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn reserve(&mut self, now: Timestamp, wants: &[Want]) -> Reserved {
        let reserved = self.counters.reserve(now, wants);
        if matches!(reserved, Reserved::Done { .. }) {
            for want in wants {
                self.seen.insert(want.key.clone(), want.clone());
            }
        }
        reserved
    }

    fn changed(&mut self) {
        self.version = self.version.wrapping_add(1);
    }
}

fn taken_id(id: &str) -> StoreError {
    StoreError { place: "memory".to_owned(), why: format!("`{id}` is there already") }
}

impl Store for MemoryStore {
    fn reserve(&self, now: Timestamp, wants: &[Want]) -> Result<Reserved, StoreError> {
        Ok(self.lock().reserve(now, wants))
    }

    fn reserve_with_override(
        &self,
        now: Timestamp,
        wants: &[Want],
        id: &str,
    ) -> Result<Option<Reserved>, StoreError> {
        let mut inner = self.lock();
        if !inner.overrides.get(id).is_some_and(|entry| entry.stands(now)) {
            return Ok(None);
        }
        let reserved = inner.reserve(now, wants);
        if matches!(reserved, Reserved::Done { .. })
            && let Some(Override { uses: Some(uses), .. }) = inner.overrides.get_mut(id)
        {
            *uses = uses.saturating_sub(1);
            inner.changed();
        }
        Ok(Some(reserved))
    }

    fn peek(&self, now: Timestamp, wants: &[Want]) -> Result<Vec<Usage>, StoreError> {
        Ok(self.lock().counters.peek(now, wants))
    }

    fn release(&self, taken: &[Taken]) -> Result<(), StoreError> {
        self.lock().counters.release(taken);
        Ok(())
    }

    fn standing(&self, now: Timestamp) -> Result<Standing, StoreError> {
        let inner = self.lock();
        let stands = |freeze: &&Freeze| freeze.until.is_none_or(|until| now < until);
        let mut freezes: Vec<Freeze> = inner.freezes.values().filter(stands).cloned().collect();
        let mut overrides: Vec<Override> =
            inner.overrides.values().filter(|entry| entry.stands(now)).cloned().collect();
        freezes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        overrides.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(Standing { freezes, overrides })
    }

    fn standing_version(&self) -> Result<u64, StoreError> {
        Ok(self.lock().version)
    }

    fn freeze(&self, freeze: &Freeze) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.freezes.contains_key(&freeze.id) {
            return Err(taken_id(&freeze.id));
        }
        inner.freezes.insert(freeze.id.clone(), freeze.clone());
        inner.changed();
        Ok(())
    }

    fn unfreeze_by(
        &self,
        server: Option<&str>,
        grant: Option<&str>,
        tool: Option<&str>,
        lift: Option<&Lift>,
    ) -> Result<Vec<Freeze>, StoreError> {
        let mut inner = self.lock();
        let same = |freeze: &Freeze| {
            freeze.server.as_deref() == server
                && freeze.grant.as_deref() == grant
                && freeze.tool.as_deref() == tool
        };
        let mut ended: Vec<Freeze> = inner.freezes.values().filter(|freeze| same(freeze)).cloned().collect();
        inner.freezes.retain(|_, freeze| !same(freeze));
        for freeze in &ended {
            if let Some(lift) = lift {
                inner.lifted.insert(freeze.id.clone(), lift.clone());
            }
        }
        inner.changed();
        ended.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(ended)
    }

    fn lifted(&self, id: &str) -> Result<Option<Lift>, StoreError> {
        Ok(self.lock().lifted.get(id).cloned())
    }

    fn set_override(&self, entry: &Override) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.overrides.contains_key(&entry.id) {
            return Err(taken_id(&entry.id));
        }
        inner.overrides.insert(entry.id.clone(), entry.clone());
        inner.changed();
        Ok(())
    }

    fn end_override(&self, id: &str) -> Result<Option<Override>, StoreError> {
        let mut inner = self.lock();
        let ended = inner.overrides.remove(id);
        inner.changed();
        Ok(ended)
    }

    fn counters(&self, now: Timestamp) -> Result<Vec<Usage>, StoreError> {
        let inner = self.lock();
        let wants: Vec<Want> = inner.seen.values().cloned().collect();
        let mut usages: Vec<Usage> = inner
            .counters
            .peek(now, &wants)
            .into_iter()
            .filter(|usage| usage.used > crate::policy::counter::Amount::ZERO)
            .map(|usage| Usage { room: usage.used < usage.max, ..usage })
            .collect();
        usages.sort_by(|a, b| {
            let key = |usage: &Usage| {
                let key = &usage.key;
                (
                    key.server.clone(),
                    key.counter.clone(),
                    key.scope_value.clone(),
                    key.scope.name(),
                    key.window,
                )
            };
            key(a).cmp(&key(b))
        });
        Ok(usages)
    }
}
