//! A store in memory, shared by the threads of one process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::round::{self, MAX_ROUNDS, Round};
use super::{
    Approval, ApprovalVerdict, Asked, Freeze, Lift, Override, SeenTool, Standing, Store, StoreError, approval,
};
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
    approvals: BTreeMap<String, Approval>,
    /// With when each was remembered, the oldest first.
    rounds: Vec<(Timestamp, Round)>,
    /// By server and tool: the digest, and since when.
    tools: BTreeMap<String, BTreeMap<String, (String, Timestamp)>>,
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
        let mut approvals: Vec<Approval> =
            inner.approvals.values().filter(|entry| entry.stands(now)).cloned().collect();
        approvals.sort_by(|a, b| (a.asked_at, &a.id).cmp(&(b.asked_at, &b.id)));
        Ok(Standing { freezes, overrides, approvals })
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

    fn end_override_by(&self, id: &str, lift: Option<&Lift>) -> Result<Option<Override>, StoreError> {
        let mut inner = self.lock();
        let ended = inner.overrides.remove(id);
        if let Some(lift) = lift.filter(|_| ended.is_some()) {
            inner.lifted.insert(id.to_owned(), lift.clone());
        }
        inner.changed();
        Ok(ended)
    }

    fn ask_approval(&self, now: Timestamp, question: &Approval) -> Result<Asked, StoreError> {
        let mut inner = self.lock();
        inner.approvals.retain(|_, entry| entry.stands(now));
        let mut waiting = 0;
        for entry in inner.approvals.values_mut() {
            if entry.same_call(question) {
                if entry.verdict.is_some() {
                    return Ok(Asked::Decided(entry.clone()));
                }
                entry.join(question);
                let joined = entry.clone();
                inner.changed();
                return Ok(Asked::Waiting(joined));
            }
            let of_grant = entry.server == question.server && entry.grant == question.grant;
            waiting += usize::from(of_grant && entry.verdict.is_none());
        }
        if waiting >= approval::MAX_WAITING {
            return Ok(Asked::TooMany);
        }
        if inner.approvals.contains_key(&question.id) {
            return Err(taken_id(&question.id));
        }
        inner.approvals.insert(question.id.clone(), question.clone());
        inner.changed();
        Ok(Asked::Waiting(question.clone()))
    }

    fn leave_approval(&self, now: Timestamp, id: &str, cancelled: bool) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let Some(entry) = inner.approvals.get_mut(id).filter(|entry| entry.waits(now)) else {
            return Ok(());
        };
        if entry.leave(cancelled) {
            inner.approvals.remove(id);
        }
        inner.changed();
        Ok(())
    }

    fn decide_approval(
        &self,
        now: Timestamp,
        id: &str,
        verdict: &ApprovalVerdict,
    ) -> Result<Option<Approval>, StoreError> {
        let mut inner = self.lock();
        let Some(entry) = inner.approvals.get_mut(id).filter(|entry| entry.waits(now)) else {
            return Ok(None);
        };
        entry.verdict = Some(verdict.clone());
        let decided = entry.clone();
        inner.changed();
        Ok(Some(decided))
    }

    fn reserve_with_approval(
        &self,
        now: Timestamp,
        wants: &[Want],
        id: &str,
    ) -> Result<Option<Reserved>, StoreError> {
        let mut inner = self.lock();
        if !inner.approvals.get(id).is_some_and(|entry| entry.usable(now)) {
            return Ok(None);
        }
        let reserved = inner.reserve(now, wants);
        if matches!(reserved, Reserved::Done { .. }) {
            inner.approvals.remove(id);
            inner.changed();
        }
        Ok(Some(reserved))
    }

    fn remember_round(&self, now: Timestamp, round: &Round) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.rounds.retain(|(at, _)| round::is_good(*at, now));
        let of_grant =
            |(_, other): &(Timestamp, Round)| other.server == round.server && other.grant == round.grant;
        if inner.rounds.iter().filter(|one| of_grant(one)).count() >= MAX_ROUNDS
            && let Some(oldest) = inner.rounds.iter().position(of_grant)
        {
            inner.rounds.remove(oldest);
        }
        inner.rounds.push((now, round.clone()));
        Ok(())
    }

    fn take_round(&self, now: Timestamp, round: &Round) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let found = inner.rounds.iter().position(|(at, other)| other == round && round::is_good(*at, now));
        if let Some(at) = found {
            inner.rounds.remove(at);
        }
        Ok(found.is_some())
    }

    fn see_tools(&self, now: Timestamp, server: &str, tools: &[(String, String)]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let before = inner.tools.remove(server).unwrap_or_default();
        let since = |name: &String, digest: &String| match before.get(name) {
            Some((known, at)) if known == digest => *at,
            _ => now,
        };
        let seen = tools.iter().map(|(name, digest)| (name.clone(), (digest.clone(), since(name, digest))));
        let seen = seen.collect();
        inner.tools.insert(server.to_owned(), seen);
        inner.changed();
        Ok(())
    }

    fn seen_tools(&self, server: &str) -> Result<Vec<SeenTool>, StoreError> {
        let inner = self.lock();
        let seen = inner.tools.get(server).into_iter().flatten();
        Ok(seen
            .map(|(tool, (digest, at))| SeenTool { tool: tool.clone(), digest: digest.clone(), at: *at })
            .collect())
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
