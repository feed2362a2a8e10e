//! The decision about one call: the policy in force, what stands above it (freezes, overrides),
//! and the counters.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use serde_json::value::RawValue;

use super::asking::{Answered, Asking};
use super::conversation::Conversation;
use super::standing;
use crate::counters::{Approval, Freeze, OverrideEffect};
use crate::gateway::desk::Desk;
use crate::gateway::lock;
use crate::gateway::policies::pins::Pinned;
use crate::gateway::policies::reload::Loaded;
use crate::gateway::policies::shadow::Beside;
use crate::json::canonical::arguments_sha256;
use crate::mcp::envelope::ToolCall;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Caller, Reserved, Taken, Usage, Want};
use crate::policy::decide::{
    Call, Charge, Circumstances, Denial, Listed, Override, Verdict as Ruling, retry_after,
};
use crate::policy::document::Document;
use crate::record::{CounterState, Decision, Verdict};
use crate::time::Timestamp;

/// A call's decision, as it is recorded and answered.
#[derive(Debug)]
pub(in crate::gateway) struct Decided {
    pub(in crate::gateway) decision: Verdict,
    /// `false`: it passes although the store could not be asked.
    pub(in crate::gateway) enforced: bool,
    /// A denied call of an invisible tool is answered as one of an unknown tool.
    pub(in crate::gateway) visible: bool,
    pub(in crate::gateway) rule: String,
    pub(in crate::gateway) pointer: Option<String>,
    pub(in crate::gateway) message: String,
    pub(in crate::gateway) policy: Option<String>,
    pub(in crate::gateway) counters: Vec<CounterState>,
    pub(in crate::gateway) counted: bool,
    pub(in crate::gateway) retry_after_ms: Option<u64>,
    pub(in crate::gateway) taken: Vec<Taken>,
    /// The approval that the call waits for, was given, or was refused.
    pub(in crate::gateway) approval: Option<String>,
    /// The question to a person, where the decision is [`Verdict::Approve`].
    pub(in crate::gateway) question: Option<Box<Approval>>,
}

impl Decided {
    /// Moves what is recorded of it into a call's record.
    pub(in crate::gateway) fn put(&mut self, decision: &mut Decision) {
        decision.decision = self.decision;
        decision.enforced = self.enforced;
        decision.counters = std::mem::take(&mut self.counters);
        decision.counted = self.counted;
        decision.policy = self.policy.take();
        decision.retry_after_ms = self.retry_after_ms;
        decision.rule = std::mem::take(&mut self.rule);
        decision.pointer = self.pointer.take();
        decision.message = std::mem::take(&mut self.message);
        // A call that was held stays the one of its approval.
        decision.approval = self.approval.take().or_else(|| decision.approval.take());
    }
}

/// The policy in force; swapped whole.
#[derive(Debug)]
pub(in crate::gateway) struct InForce {
    pub(in crate::gateway) document: Document,
    pub(in crate::gateway) compiled: Compiled,
}

impl InForce {
    fn of(loaded: Loaded) -> Arc<Self> {
        Arc::new(Self { document: loaded.document, compiled: loaded.compiled })
    }
}

/// Who is served, and how screens show it.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Who {
    /// The server's name.
    pub(in crate::gateway) server: String,
    /// The grant's label.
    pub(in crate::gateway) grant: String,
    /// The only session that this grant will ever have here: on stdio, the gateway run.
    pub(in crate::gateway) session: Option<String>,
    /// The server's command line or address, without secrets.
    pub(in crate::gateway) upstream: String,
    /// The policy's path.
    pub(in crate::gateway) policy: Option<PathBuf>,
}

/// Decides the calls of one grant on one server.
pub(in crate::gateway) struct Decider {
    pub(in crate::gateway) desk: Arc<Desk>,
    pub(in crate::gateway) who: Who,
    /// What was accepted of the tools' definitions, and what has drifted from it.
    pub(in crate::gateway) pins: Pinned,
    /// The candidate beside the policy.
    pub(in crate::gateway) shadow: Beside,
    in_force: Mutex<Option<Arc<InForce>>>,
    conversations: Mutex<Vec<Weak<Conversation>>>,
}

impl Decider {
    /// With the policy in force; without one every call is denied. The desk knows it from now on.
    pub(in crate::gateway) fn new(desk: Arc<Desk>, who: Who, loaded: Option<Loaded>) -> Arc<Self> {
        let decider = Arc::new(Self {
            desk,
            who,
            in_force: Mutex::new(loaded.map(InForce::of)),
            conversations: Mutex::new(Vec::new()),
            pins: Pinned::default(),
            shadow: Beside::default(),
        });
        decider.desk.serve(&decider);
        decider
    }

    /// The policy in force at this moment.
    pub(in crate::gateway) fn in_force(&self) -> Option<Arc<InForce>> {
        lock(&self.in_force).clone()
    }

    /// Puts another policy in force, for the next call of every session, gives the one before, and
    /// tells the clients where they see other tools by it.
    pub(in crate::gateway) fn replace(&self, loaded: Option<Loaded>) -> Option<Arc<InForce>> {
        let now = loaded.map(InForce::of);
        let before = std::mem::replace(&mut *lock(&self.in_force), now.clone());
        self.desk.served_differently();
        for conversation in self.conversations() {
            conversation.visibility_may_differ(before.as_deref(), now.as_deref());
        }
        before
    }

    /// The conversation is to be told when what it sees changes, for as long as it lives.
    pub(in crate::gateway) fn attach(&self, conversation: &Arc<Conversation>) {
        let mut conversations = lock(&self.conversations);
        conversations.retain(|known| known.strong_count() > 0);
        conversations.push(Arc::downgrade(conversation));
    }

    /// The conversations that are to be told.
    pub(in crate::gateway) fn conversations(&self) -> Vec<Arc<Conversation>> {
        lock(&self.conversations).iter().filter_map(Weak::upgrade).collect()
    }

    /// Of the policy in force.
    pub(in crate::gateway) fn revision(&self) -> Option<String> {
        self.in_force().map(|in_force| in_force.document.revision().to_owned())
    }

    /// The arguments as they are recorded; `message` is the one that holds them.
    pub(in crate::gateway) fn recorded_arguments(
        &self,
        message: &[u8],
        call: &ToolCall<'_, '_>,
    ) -> Option<Box<RawValue>> {
        let arguments = call.arguments?;
        let in_force = self.in_force();
        let paths = in_force.as_ref().map_or(&[][..], |in_force| in_force.compiled.paths(call.name));
        Some(self.desk.masker.mask(message, arguments, paths))
    }

    /// Decides one call of a session, and counts it when it is allowed. `session` is `None` in the
    /// stateless era. `asking` says how a person is asked where that is needed.
    pub(in crate::gateway) fn decide(
        &self,
        session: Option<&str>,
        call: &ToolCall<'_, '_>,
        listed: Listed,
        now: Timestamp,
        asking: &Asking<'_>,
    ) -> Decided {
        let in_force = self.in_force();
        let (above, fresh) = self.desk.standing.get();
        let mut deciding =
            Deciding { decider: self, in_force: in_force.as_deref(), call, now, enforced: true, asking };
        if !fresh {
            if !self.desk.fail_open {
                return deciding.unavailable("freezes cannot be read at the moment, so no call is allowed");
            }
            deciding.enforced = false;
        }
        let mut spent: Vec<String> = Vec::new();
        loop {
            let who = (self.who.server.as_str(), self.who.grant.as_str(), call.name);
            let frozen = standing::frozen(&above, who.0, who.1, who.2, now);
            let Some(in_force) = in_force.as_deref() else {
                return deciding.denied(deciding.without_policy(frozen), Vec::new(), None);
            };
            let digest = || arguments_sha256(call.arguments).unwrap_or_default();
            let entry = standing::overriding(&above, who, now, &spent, &digest);
            let circumstances = Circumstances {
                frozen: frozen.map(|freeze| freeze.reason.as_str()),
                listed,
                overridden: entry.map(|entry| match entry.effect {
                    OverrideEffect::Deny => Override::Deny(&entry.reason),
                    OverrideEffect::Allow => Override::Allow,
                    OverrideEffect::Approved => Override::Approved,
                }),
                drifted: self.pins.denies(call.name),
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
                charges.iter().map(|charge| charge.want(&self.caller(session), past_max)).collect();
            let allowed = |usages: &[Usage], taken: Vec<Taken>, counted: bool, enforced: bool| Decided {
                decision: Verdict::Allow,
                enforced,
                visible: true,
                rule,
                pointer,
                message: String::new(),
                policy: Some(in_force.document.revision().to_owned()),
                counters: usages.iter().map(state).collect(),
                counted,
                retry_after_ms: None,
                taken,
                approval: None,
                question: None,
            };
            // The server asked for this round of a call that was counted, and approved where needed.
            if self.takes_round(call, now) {
                return allowed(&[], Vec::new(), false, deciding.enforced);
            }
            if let Some(need) = approval {
                match deciding.approval(&charges, &wants, &need) {
                    Answered::Decided(decided) => return *decided,
                    Answered::Approved { id, usages, taken } => {
                        let counted = !wants.is_empty();
                        let decided = allowed(&usages, taken, counted, deciding.enforced);
                        return Decided { approval: Some(id), ..decided };
                    }
                }
            }
            let used = entry.filter(|entry| entry.uses.is_some() && entry.effect != OverrideEffect::Deny);
            if wants.is_empty() && used.is_none() {
                return allowed(&[], Vec::new(), false, deciding.enforced);
            }
            let reserved = self.desk.with_store(|store| match used {
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
                Err(_) if self.desk.fail_open => return allowed(&[], Vec::new(), false, false),
                Err(_) => {
                    return deciding
                        .unavailable("the counters cannot be reached, so no call that counts is allowed");
                }
            }
        }
    }

    /// Whose counters a call of this session counts towards.
    pub(in crate::gateway) fn caller<'c>(&'c self, session: Option<&'c str>) -> Caller<'c> {
        Caller { server: &self.who.server, grant: &self.who.grant, session }
    }
}

/// One call being decided.
pub(in crate::gateway) struct Deciding<'d, 'm, 'a> {
    pub(in crate::gateway) decider: &'d Decider,
    in_force: Option<&'d InForce>,
    pub(in crate::gateway) call: &'d ToolCall<'m, 'a>,
    pub(in crate::gateway) now: Timestamp,
    enforced: bool,
    pub(in crate::gateway) asking: &'d Asking<'d>,
}

impl Deciding<'_, '_, '_> {
    /// Of the policy that decides.
    pub(in crate::gateway) fn revision(&self) -> Option<String> {
        self.in_force.map(|in_force| in_force.document.revision().to_owned())
    }

    pub(in crate::gateway) fn denied(
        &self,
        denial: Denial,
        counters: Vec<CounterState>,
        retry_after_ms: Option<u64>,
    ) -> Decided {
        Decided {
            decision: Verdict::Deny,
            enforced: true,
            visible: denial.visible
                && self.in_force.is_none_or(|in_force| in_force.compiled.visible(self.call.name)),
            rule: denial.rule,
            pointer: denial.pointer,
            message: denial.message,
            policy: self.revision(),
            counters,
            counted: false,
            retry_after_ms,
            taken: Vec::new(),
            approval: None,
            question: None,
        }
    }

    /// Steps 1 to 3 of the order for a grant without a policy.
    fn without_policy(&self, frozen: Option<&Freeze>) -> Denial {
        let malformed = self.call.arguments.filter(|node| node.as_object().is_none() && !node.is_null());
        match (malformed, frozen) {
            (Some(node), _) => {
                Denial::malformed(format!("`arguments` must be an object, found: {}", node.type_name()))
            }
            (None, Some(freeze)) => Denial::frozen(&freeze.reason),
            (None, None) => Denial::no_policy(),
        }
    }

    pub(in crate::gateway) fn unavailable(&self, why: &str) -> Decided {
        self.denied(Denial::unavailable(why), Vec::new(), None)
    }

    pub(in crate::gateway) fn full(&self, charges: &[Charge], usages: &[Usage]) -> Decided {
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
}

/// A counter as records show it.
pub(in crate::gateway) fn state(usage: &Usage) -> CounterState {
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
