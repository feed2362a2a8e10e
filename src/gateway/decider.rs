//! The decision about one call: the policy in force, what stands above it (freezes, overrides),
//! and the counters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::link::lock;
use super::reload::Loaded;
use super::standing::{self, Copy};
use crate::counters::{OverrideEffect, Store, StoreError};
use crate::json::Node;
use crate::json::canonical::canonical;
use crate::mcp::envelope::ToolCall;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Caller, Reserved, Taken, Usage, Want};
use crate::policy::decide::{
    ApprovalNeed, Call, Charge, Circumstances, Denial, Listed, Override, Verdict as Ruling, retry_after,
};
use crate::policy::document::Document;
use crate::record::mask::Masker;
use crate::record::{CounterState, Verdict};
use crate::time::Timestamp;

/// A call's decision, as it is recorded and answered.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) decision: Verdict,
    /// `false`: it passes although the store could not be asked.
    pub(super) enforced: bool,
    /// A denied call of an invisible tool is answered as one of an unknown tool.
    pub(super) visible: bool,
    pub(super) rule: String,
    pub(super) pointer: Option<String>,
    pub(super) message: String,
    pub(super) policy: Option<String>,
    pub(super) counters: Vec<CounterState>,
    pub(super) counted: bool,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) taken: Vec<Taken>,
}

/// The policy in force; swapped whole.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) document: Document,
    pub(super) compiled: Compiled,
}

/// Whose calls are decided.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// The server's name.
    pub(super) server: String,
    /// The grant's label.
    pub(super) grant: String,
    /// The session's id: on stdio, the gateway run.
    pub(super) session: String,
}

/// Decides calls.
pub(super) struct Decider {
    pub(super) who: Who,
    pub(super) standing: Copy,
    fail_open: bool,
    in_force: Mutex<Arc<InForce>>,
    store: Mutex<Option<Arc<dyn Store>>>,
    masker: Masker,
    /// The store failed a call since this was last asked.
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
}

impl Decider {
    pub(super) fn new(who: Who, loaded: Loaded, masker: Masker, fail_open: bool) -> Self {
        let in_force = InForce { document: loaded.document, compiled: loaded.compiled };
        Self {
            who,
            standing: Copy::default(),
            fail_open,
            in_force: Mutex::new(Arc::new(in_force)),
            store: Mutex::new(None),
            masker,
            trouble: Mutex::new(None),
            troubled: AtomicBool::new(false),
        }
    }

    /// The policy in force at this moment.
    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&lock(&self.in_force))
    }

    /// Puts another policy in force, for the next call, and gives the one before.
    pub(super) fn replace(&self, loaded: Loaded) -> Arc<InForce> {
        let next = Arc::new(InForce { document: loaded.document, compiled: loaded.compiled });
        std::mem::replace(&mut *lock(&self.in_force), next)
    }

    /// The store is at hand.
    pub(super) fn connect(&self, store: Arc<dyn Store>) {
        *lock(&self.store) = Some(store);
    }

    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        lock(&self.store).clone()
    }

    pub(super) fn fail_open(&self) -> bool {
        self.fail_open
    }

    /// Of the policy in force.
    pub(super) fn revision(&self) -> String {
        self.in_force().document.revision().to_owned()
    }

    /// What the store said when it last failed a call; told once.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.troubled.swap(false, Ordering::Relaxed) { lock(&self.trouble).take() } else { None }
    }

    /// The arguments as they are recorded; `line` is the message that holds them.
    pub(super) fn recorded_arguments(&self, line: &[u8], call: &ToolCall<'_, '_>) -> Option<Box<RawValue>> {
        let arguments = call.arguments?;
        let in_force = self.in_force();
        Some(self.masker.mask(line, arguments, in_force.compiled.paths(call.name)))
    }

    /// Decides one call, and counts it when it is allowed.
    pub(super) fn decide(&self, call: &ToolCall<'_, '_>, listed: Listed, now: Timestamp) -> Decided {
        let in_force = self.in_force();
        let (above, fresh) = self.standing.get();
        let mut deciding = Deciding { decider: self, in_force: &in_force, call, now, enforced: true };
        if !fresh {
            if !self.fail_open {
                return deciding.unavailable("freezes cannot be read at the moment, so no call is allowed");
            }
            deciding.enforced = false;
        }
        let mut spent: Vec<String> = Vec::new();
        loop {
            let who = (self.who.server.as_str(), self.who.grant.as_str(), call.name);
            let frozen = standing::frozen(&above, who.0, who.1, who.2, now);
            let digest = || arguments_digest(call.arguments);
            let entry = standing::overriding(&above, who, now, &spent, &digest);
            let circumstances = Circumstances {
                frozen: frozen.map(|freeze| freeze.reason.as_str()),
                listed,
                overridden: entry.map(|entry| match entry.effect {
                    OverrideEffect::Deny => Override::Deny(&entry.reason),
                    OverrideEffect::Allow => Override::Allow,
                    OverrideEffect::Approved => Override::Approved,
                }),
                ..Circumstances::default()
            };
            let asked = Call { tool: call.name, arguments: call.arguments };
            let (charges, approval, past_max, rule, pointer) =
                match in_force.compiled.decide(&asked, &circumstances) {
                    Ruling::Deny(denial) => return deciding.denied(denial, Vec::new(), None),
                    Ruling::Allow { charges, approval, past_max, rule, pointer } => {
                        (charges, approval, past_max, rule, pointer)
                    }
                };
            let wants: Vec<Want> =
                charges.iter().map(|charge| charge.want(&self.caller(), past_max)).collect();
            if let Some(need) = approval {
                return deciding.approval(&charges, &wants, need);
            }
            let allowed = |usages: &[Usage], taken: Vec<Taken>, counted: bool, enforced: bool| Decided {
                decision: Verdict::Allow,
                enforced,
                visible: true,
                rule: rule.clone(),
                pointer: pointer.clone(),
                message: String::new(),
                policy: Some(in_force.document.revision().to_owned()),
                counters: usages.iter().map(state).collect(),
                counted,
                retry_after_ms: None,
                taken,
            };
            let used = entry.filter(|entry| entry.uses.is_some() && entry.effect != OverrideEffect::Deny);
            if wants.is_empty() && used.is_none() {
                return allowed(&[], Vec::new(), false, deciding.enforced);
            }
            let reserved = self.with_store(|store| match used {
                Some(entry) => store.reserve_with_override(now, &wants, &entry.id),
                None => store.reserve(now, &wants).map(Some),
            });
            match reserved {
                Ok(Some(Reserved::Done { usages, taken })) => {
                    return allowed(&usages, taken, !wants.is_empty(), deciding.enforced);
                }
                Ok(Some(Reserved::Full { usages })) => return deciding.full(&charges, &usages),
                // Another gateway was faster: the override is used up. It is decided without it.
                Ok(None) => spent.extend(used.map(|entry| entry.id.clone())),
                Err(error) if self.fail_open => {
                    self.note(&error);
                    return allowed(&[], Vec::new(), false, false);
                }
                Err(error) => {
                    self.note(&error);
                    return deciding
                        .unavailable("the counters cannot be reached, so no call that counts is allowed");
                }
            }
        }
    }

    /// Gives back what was counted. `true` when something was.
    pub(super) fn release(&self, taken: &[Taken]) -> bool {
        if taken.is_empty() {
            return false;
        }
        match self.with_store(|store| store.release(taken)) {
            Ok(()) => true,
            Err(error) => {
                self.note(&error);
                false
            }
        }
    }

    fn with_store<T>(&self, ask: impl FnOnce(&dyn Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.store() {
            Some(store) => ask(store.as_ref()),
            None => Err(StoreError { place: "(none)".to_owned(), why: "it could not be opened".to_owned() }),
        }
    }

    fn note(&self, error: &StoreError) {
        *lock(&self.trouble) = Some(error.to_string());
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// Whose counters a call of this session counts towards.
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { server: &self.who.server, grant: &self.who.grant, session: Some(&self.who.session) }
    }
}

/// One call being decided.
struct Deciding<'d, 'm, 'a> {
    decider: &'d Decider,
    in_force: &'d InForce,
    call: &'d ToolCall<'m, 'a>,
    now: Timestamp,
    enforced: bool,
}

impl Deciding<'_, '_, '_> {
    fn denied(&self, denial: Denial, counters: Vec<CounterState>, retry_after_ms: Option<u64>) -> Decided {
        Decided {
            decision: Verdict::Deny,
            enforced: true,
            visible: denial.visible && self.in_force.compiled.visible(self.call.name),
            rule: denial.rule,
            pointer: denial.pointer,
            message: denial.message,
            policy: Some(self.in_force.document.revision().to_owned()),
            counters,
            counted: false,
            retry_after_ms,
            taken: Vec::new(),
        }
    }

    fn unavailable(&self, why: &str) -> Decided {
        self.denied(Denial::unavailable(why), Vec::new(), None)
    }

    fn full(&self, charges: &[Charge], usages: &[Usage]) -> Decided {
        let counters = usages.iter().map(state).collect();
        let first =
            charges.iter().zip(usages).find(|(_, usage)| !usage.room).or(charges.iter().zip(usages).next());
        match first {
            Some((charge, _)) => {
                let wait = retry_after(self.now, usages, charges);
                self.denied(Denial::limit(&charge.limit), counters, wait)
            }
            None => self.unavailable("the counters gave no answer"),
        }
    }

    /// Until a person can be asked, a call that needs one is denied, and says so. Its limits come
    /// first.
    fn approval(&self, charges: &[Charge], wants: &[Want], need: ApprovalNeed) -> Decided {
        let mut counters = Vec::new();
        if !wants.is_empty() {
            match self.decider.with_store(|store| store.peek(self.now, wants)) {
                Ok(usages) if usages.iter().any(|usage| !usage.room) => return self.full(charges, &usages),
                Ok(usages) => counters = usages.iter().map(state).collect(),
                Err(error) => {
                    self.decider.note(&error);
                    return self
                        .unavailable("the counters cannot be reached, so no call that counts is allowed");
                }
            }
        }
        let plain = format!("Tool {} needs a person's approval", self.call.name);
        let asked = if need.message.is_empty() || need.message == plain {
            String::new()
        } else {
            format!(" ({})", need.message)
        };
        let message = format!("{plain}{asked}, which this gateway cannot ask for yet");
        let denial = Denial { rule: need.rule, pointer: Some(need.pointer), message, visible: true };
        self.denied(denial, counters, None)
    }
}

/// A counter as records show it.
pub(super) fn state(usage: &Usage) -> CounterState {
    CounterState {
        counter: usage.key.counter.clone(),
        scope: usage.key.scope.name().to_owned(),
        key: usage.key.scope_value.clone(),
        window: usage.key.window,
        used: usage.used,
        max: usage.max,
        resets_at: usage.resets_at,
    }
}

fn arguments_digest(arguments: Option<&Node<'_>>) -> String {
    use std::fmt::Write as _;
    let text = arguments.map_or_else(|| "{}".to_owned(), canonical);
    let mut digest = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}
