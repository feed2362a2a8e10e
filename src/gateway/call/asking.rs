//! Step 12 of a decision, and what makes it unnecessary: a person's approval, asked for through the
//! store, and the further rounds of an operation that was decided before.

use super::decider::{Decided, Decider, Deciding, state};
use super::session::Operation;
use crate::counters::{Approval, Asked, CallArgs, Round};
use crate::json::canonical::{arguments_sha256, canonical, sha256};
use crate::mcp::envelope::ToolCall;
use crate::policy::counter::{Reserved, Taken, Usage, Want};
use crate::policy::decide::{ApprovalNeed, Charge, Denial, needs_approval, rejected};
use crate::record::Verdict;
use crate::time::{Timestamp, show_duration};

/// A person is shown arguments up to this size, in bytes; nobody could judge more.
const MAX_ARGS: usize = 128 * 1024;

/// How a person is asked about a call.
pub(in crate::gateway) struct Asking<'c> {
    /// The client's name and version, as it claims them.
    pub(in crate::gateway) client: Option<&'c str>,
    /// The arguments as they came; `None` for `{}`.
    pub(in crate::gateway) args: Option<&'c str>,
    /// The approval that this very call was given while it was held.
    pub(in crate::gateway) given: Option<&'c str>,
}

/// What came of asking.
pub(in crate::gateway) enum Answered {
    /// It waits, or is denied.
    Decided(Box<Decided>),
    /// It was approved; the approval is spent, and what the call counts is counted.
    Approved {
        /// The approval.
        id: String,
        /// What the counters hold now.
        usages: Vec<Usage>,
        /// What was counted.
        taken: Vec<Taken>,
    },
}

impl Deciding<'_, '_, '_> {
    /// Whether a person has approved this very call; if nobody was asked yet, somebody is. Its
    /// limits come first.
    pub(in crate::gateway) fn approval(
        &self,
        charges: &[Charge],
        wants: &[Want],
        need: &ApprovalNeed,
    ) -> Answered {
        let decided = |decided: Decided| Answered::Decided(Box::new(decided));
        let desk = &self.decider.desk;
        let unreachable = "approvals cannot be reached, so no call that needs one is allowed";
        let mut counters = Vec::new();
        if !wants.is_empty() {
            match desk.with_store(|store| store.peek(self.now, wants)) {
                Ok(usages) if usages.iter().any(|usage| !usage.room) => {
                    return decided(self.full(charges, &usages));
                }
                Ok(usages) => counters = usages.iter().map(state).collect(),
                Err(_) => return decided(self.unavailable(unreachable)),
            }
        }
        let denied = |message: String, id: Option<String>| {
            let (rule, pointer) = (need.rule.clone(), Some(need.pointer.clone()));
            let denial = Denial { rule, pointer, message, visible: true };
            let mut denied = self.denied(denial, counters.clone(), None);
            denied.approval = id;
            decided(denied)
        };
        let question = match self.question(need) {
            Ok(question) => question,
            Err(why) => return denied(why, None),
        };
        // What was given to this very call is good for it, whatever policy is in force by now.
        if let Some(id) = self.asking.given {
            match desk.with_store(|store| store.reserve_with_approval(self.now, wants, id)) {
                Ok(Some(Reserved::Done { usages, taken })) => {
                    return Answered::Approved { id: id.to_owned(), usages, taken };
                }
                Ok(Some(Reserved::Full { usages })) => return decided(self.full(charges, &usages)),
                Ok(None) => {}
                Err(_) => return decided(self.unavailable(unreachable)),
            }
        }
        // Another gateway may use an approval between the two; then it is asked anew.
        for _ in 0..4 {
            match desk.with_store(|store| store.ask_approval(self.now, &question)) {
                Ok(Asked::Waiting(entry)) => {
                    let mut held = self.denied(
                        Denial {
                            rule: need.rule.clone(),
                            pointer: Some(need.pointer.clone()),
                            message: need.message.clone(),
                            visible: true,
                        },
                        counters.clone(),
                        None,
                    );
                    held.decision = Verdict::Approve;
                    held.approval = Some(entry.id.clone());
                    held.question = Some(Box::new(entry));
                    return decided(held);
                }
                Ok(Asked::Decided(entry)) if entry.usable(self.now) => {
                    match desk.with_store(|store| store.reserve_with_approval(self.now, wants, &entry.id)) {
                        Ok(Some(Reserved::Done { usages, taken })) => {
                            return Answered::Approved { id: entry.id, usages, taken };
                        }
                        Ok(Some(Reserved::Full { usages })) => return decided(self.full(charges, &usages)),
                        Ok(None) => {}
                        Err(_) => return decided(self.unavailable(unreachable)),
                    }
                }
                Ok(Asked::Decided(entry)) => {
                    let note = entry.verdict.map(|verdict| verdict.note).unwrap_or_default();
                    return denied(rejected(self.call.name, &note), Some(entry.id));
                }
                Ok(Asked::TooMany) => {
                    let why = "as many calls as can wait for one are waiting already";
                    return denied(format!("{}, but {why}", needs_approval(self.call.name)), None);
                }
                Err(_) => return decided(self.unavailable(unreachable)),
            }
        }
        decided(self.unavailable("approvals of this call are used up as they are given; try again"))
    }

    /// What a person is asked, or why nobody can be.
    fn question(&self, need: &ApprovalNeed) -> Result<Approval, String> {
        let who = &self.decider.who;
        let cannot = |why: &str| format!("{}, but {why}", needs_approval(self.call.name));
        let text = self.asking.args.unwrap_or("{}");
        if text.len() > MAX_ARGS {
            return Err(cannot("its arguments are too large for a person to judge"));
        }
        // Equal arguments are told by what they mean; these mean different things to different parsers.
        let digest = arguments_sha256(self.call.arguments)
            .ok_or_else(|| cannot("its arguments hold characters that cannot be told apart"))?;
        let args = CallArgs::new(text).ok_or_else(|| cannot("its arguments cannot be shown to a person"))?;
        let micros = i64::try_from(need.timeout.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        Ok(Approval {
            id: crate::gateway::fresh_id(),
            server: who.server.clone(),
            grant: who.grant.clone(),
            tool: self.call.name.to_owned(),
            args_sha256: digest,
            policy: self.revision().unwrap_or_default(),
            args,
            rule: need.rule.clone(),
            pointer: need.pointer.clone(),
            message: need.message.clone(),
            client: self.asking.client.map(str::to_owned),
            asked_at: self.now,
            until: self.now.plus_micros(micros),
            timeout_s: need.timeout,
            holders: 1,
            kept: false,
            verdict: None,
        })
    }
}

impl Decider {
    /// Whether a call is a further round that its server asked for and that nobody has answered yet.
    /// It is taken: another such call is a new one.
    pub(in crate::gateway) fn takes_round(&self, call: &ToolCall<'_, '_>, now: Timestamp) -> bool {
        if !call.input_responses && call.request_state.is_none() {
            return false;
        }
        let Some(args_sha256) = arguments_sha256(call.arguments) else { return false };
        let Ok(state_sha256) = state_sha256(call.request_state) else { return false };
        let round = Round {
            server: self.who.server.clone(),
            grant: self.who.grant.clone(),
            tool: call.name.to_owned(),
            args_sha256,
            state_sha256,
        };
        self.desk.with_store(|store| store.take_round(now, &round)).unwrap_or(false)
    }

    /// The server wants a further round of an operation, and gave this state with it (as JSON). What
    /// cannot be remembered is a new call when it comes.
    pub(in crate::gateway) fn remember(&self, operation: Operation, request_state: Option<&str>) {
        let Ok(state_sha256) = state_sha256(request_state) else { return };
        let round = Round {
            server: self.who.server.clone(),
            grant: self.who.grant.clone(),
            tool: operation.tool,
            args_sha256: operation.args_sha256,
            state_sha256,
        };
        let _ = self.desk.with_store(|store| store.remember_round(crate::clock::now(), &round));
    }
}

/// The digest of a `requestState`, however it is spelt; an error for one that parsers read
/// differently.
fn state_sha256(state: Option<&str>) -> Result<Option<String>, ()> {
    let Some(text) = state else { return Ok(None) };
    let parsed = crate::json::parse(text).map_err(|_| ())?;
    if parsed.root.is_null() {
        return Ok(None);
    }
    match arguments_sha256(Some(&parsed.root)) {
        Some(_) => Ok(Some(sha256(canonical(&parsed.root).as_bytes()))),
        None => Err(()),
    }
}

/// What the agent reads when it is told to come back.
pub(in crate::gateway) fn later(tool: &str, id: &str, rest_s: u64) -> String {
    format!(
        "{}. Nobody has answered yet; the request stays open for {} as approval {id}. Call again with the same \
         arguments to use an approval given meanwhile",
        needs_approval(tool),
        show_duration(rest_s)
    )
}

/// What the agent reads when nobody answered in time.
pub(in crate::gateway) fn timed_out(tool: &str, timeout_s: u64) -> String {
    format!("{}, and nobody gave it within {}", needs_approval(tool), show_duration(timeout_s))
}
