//! What people do to what stands: freezes, overrides and approvals, asked over the feed or done by
//! another process, and the records of it.

use serde_json::json;

use super::keeper::Keeper;
use crate::clock;
use crate::counters::{Answer, Approval, Freeze, Lift, Override, Store, StoreError, approval};
use crate::feed::message::{ApprovalView, Ask, State};
use crate::feed::server::Reply;
use crate::gateway::call::standing::Change;
use crate::record::EventKind;

/// How much of arguments goes onto the feed for all approvals together, in bytes.
const SHOWN_ARGS: usize = 8 * 1024 * 1024;
/// "For a while" is at most a day, in seconds.
const LONGEST_WHILE: u64 = 86_400;
/// An override until the restart of a gateway that never restarts ends after so long, in
/// microseconds.
const LONGEST_RUN: i64 = 30 * 86_400 * 1_000_000;

impl Keeper {
    /// Records what changed, and tells the screens.
    pub(in crate::gateway) fn changed(&mut self, change: Change) {
        let (standing, _) = self.desk.standing.get();
        for freeze in change.frozen {
            let data = scope(&freeze);
            self.desk.recorder.event(EventKind::Freeze, Some(freeze.by), Some(freeze.reason), data);
        }
        for freeze in change.unfrozen {
            let over = freeze.until.is_some_and(|until| until <= clock::now());
            let (by, reason) = self.ended_by(&freeze.id, over.then_some("its time is over"));
            self.desk.recorder.event(EventKind::Unfreeze, by, reason, scope(&freeze));
        }
        for entry in change.overrides_set.into_iter().filter(|entry| self.serves(&entry.server)) {
            let data = override_data(&entry, "set");
            self.desk.recorder.event(EventKind::Override, Some(entry.by), Some(entry.reason), data);
        }
        for entry in change.overrides_ended.into_iter().filter(|entry| self.serves(&entry.server)) {
            let over = entry.until.is_some_and(|until| until <= clock::now());
            let used = entry.uses.is_some().then_some("used up");
            let (by, reason) = self.ended_by(&entry.id, if over { Some("its time is over") } else { used });
            let data = override_data(&entry, "ended");
            self.desk.recorder.event(EventKind::Override, by, reason, data);
        }
        for entry in change.answered.into_iter().filter(|entry| self.holds_for(entry)) {
            let Some(verdict) = &entry.verdict else { continue };
            let state = if verdict.approved { "approved" } else { "rejected" };
            let mut data = approval_data(&entry, state);
            if let Some(seconds) = verdict.for_s {
                data.as_object_mut().map(|data| data.insert("for_s".to_owned(), json!(seconds)));
            }
            let note = Some(verdict.note.clone()).filter(|note| !note.is_empty());
            self.desk.recorder.event(EventKind::Approval, Some(verdict.by.clone()), note, data);
        }
        for entry in change.unanswered.into_iter().filter(|entry| self.holds_for(entry)) {
            let state = if entry.until <= clock::now() { "expired" } else { "cancelled" };
            self.desk.recorder.event(EventKind::Approval, None, None, approval_data(&entry, state));
        }
        let Some(hub) = self.desk.recorder.hub() else { return };
        hub.set_state(State::Freezes { freezes: standing.freezes.clone() });
        hub.set_state(State::Overrides { overrides: standing.overrides.clone() });
        hub.set_state(State::Approvals { approvals: self.shown(&standing.approvals) });
    }

    /// Who ended a freeze or an override, and why. Whoever did left a note, whichever way it was
    /// done; `otherwise` is why where nobody did.
    fn ended_by(&self, id: &str, otherwise: Option<&str>) -> (Option<String>, Option<String>) {
        let lift = self.desk.store().and_then(|store| store.lifted(id).ok().flatten());
        let said = |text: &String| !text.is_empty();
        match lift {
            Some(lift) => (Some(lift.by).filter(said), Some(lift.reason).filter(said)),
            None => (None, otherwise.map(str::to_owned)),
        }
    }

    /// Whether one of this gateway's servers has that name.
    fn serves(&self, server: &str) -> bool {
        self.desk.deciders().iter().any(|decider| decider.who.server == server)
    }

    /// Whether calls of that server and grant are decided here.
    fn holds_for(&self, entry: &Approval) -> bool {
        let same =
            |who: &crate::gateway::call::decider::Who| who.server == entry.server && who.grant == entry.grant;
        self.desk.deciders().iter().any(|decider| same(&decider.who))
    }

    /// The approvals of this gateway's grants, as operators see them.
    fn shown(&self, approvals: &[Approval]) -> Vec<ApprovalView> {
        let now = clock::now();
        let mut room = SHOWN_ARGS;
        let open = |entry: &&Approval| (entry.waits(now) || entry.usable(now)) && self.holds_for(entry);
        approvals
            .iter()
            .filter(open)
            .map(|entry| {
                let mut view = ApprovalView::of(entry);
                match room.checked_sub(entry.args.text().len()) {
                    Some(left) => room = left,
                    None => view.args = None,
                }
                view
            })
            .collect()
    }

    /// Does what an operator asks. What it changes is recorded when the change is seen, here as in
    /// every gateway.
    pub(in crate::gateway) fn ask(&mut self, ask: Ask, reply: Reply) {
        let Some(store) = self.desk.store() else {
            return reply.refused("the counters' store cannot be opened");
        };
        let done = match ask {
            Ask::Freeze { freeze } => freeze_it(store.as_ref(), freeze),
            Ask::Unfreeze { server, grant, tool, by, reason } => {
                let lift = Lift { by: someone(by), at: clock::now(), reason };
                let (server, grant, tool) = (server.as_deref(), grant.as_deref(), tool.as_deref());
                match store.unfreeze_by(server, grant, tool, Some(&lift)) {
                    Ok(ended) if ended.is_empty() => Err("there is no freeze with this scope".to_owned()),
                    ended => told(ended, "unfrozen"),
                }
            }
            Ask::Approve { id, by, note, for_s } => {
                let answer = Answer { approved: true, by: someone(by), note, for_s };
                self.answer(store.as_ref(), &id, &answer)
            }
            Ask::Reject { id, by, note } => {
                let answer = Answer { approved: false, by: someone(by), note, for_s: None };
                self.answer(store.as_ref(), &id, &answer)
            }
            Ask::Override { entry } => self.set_override(store.as_ref(), entry),
            Ask::EndOverride { id, by, reason } => self.end_override(store.as_ref(), &id, by, reason),
            // The feed answers that one itself.
            Ask::Subscribe { .. } => Err("there is nothing to do".to_owned()),
        };
        match done {
            Ok(what) => {
                self.refresh();
                reply.done(what);
            }
            Err(why) => reply.refused(why),
        }
    }

    fn answer(&self, store: &dyn Store, id: &str, answer: &Answer) -> Result<String, String> {
        if answer.for_s.is_some_and(|seconds| !(1..=LONGEST_WHILE).contains(&seconds)) {
            return Err("an approval for a while is for a second at least and a day at most".to_owned());
        }
        let now = clock::now();
        let entries = store.approvals(now).map_err(|error| error.to_string())?;
        let gone = || Err("it does not wait any more: it was answered, cancelled, or is over".to_owned());
        match entries.iter().find(|entry| entry.id == id) {
            Some(entry) if self.holds_for(entry) => {}
            _ => return gone(),
        }
        match approval::answer(store, now, id, answer, crate::gateway::fresh_id) {
            Ok(Some(_)) if answer.approved => Ok("approved".to_owned()),
            Ok(Some(_)) => Ok("rejected".to_owned()),
            Ok(None) => gone(),
            Err(error) => Err(error.to_string()),
        }
    }

    fn set_override(&self, store: &dyn Store, mut entry: Override) -> Result<String, String> {
        if entry.reason.trim().is_empty() {
            return Err("an override needs a reason".to_owned());
        }
        if !self.serves(&entry.server) {
            return Err(format!("there is no server `{}` behind this gateway", entry.server));
        }
        if entry.tool.is_empty() {
            return Err("an override is for one tool".to_owned());
        }
        if let Some(digest) = &entry.args_sha256
            && (digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err("args_sha256 is 64 hexadecimal digits".to_owned());
        }
        let now = clock::now();
        match &entry.run {
            Some(run) if *run != self.desk.recorder.gateway => {
                return Err("it names another gateway run".to_owned());
            }
            // One that nobody ends, because the gateway was killed, must not lie in the store for ever.
            Some(_) if entry.until.is_none() => entry.until = Some(now.plus_micros(LONGEST_RUN)),
            None if entry.until.is_none() && entry.uses.is_none() => {
                return Err(
                    "an override needs an end: a time, a number of uses, or this gateway run".to_owned()
                );
            }
            _ => {}
        }
        if !entry.stands(now) {
            return Err("its end is past already".to_owned());
        }
        if entry.id.is_empty() {
            entry.id = crate::gateway::fresh_id();
        }
        entry.by = someone(entry.by);
        entry.at = now;
        told(store.set_override(&entry), &format!("override {} is set", entry.id))
    }

    fn end_override(
        &self,
        store: &dyn Store,
        id: &str,
        by: String,
        reason: String,
    ) -> Result<String, String> {
        let (standing, _) = self.desk.standing.get();
        let none = || Err(format!("there is no override `{id}`"));
        match standing.overrides.iter().find(|entry| entry.id == id) {
            Some(entry) if self.serves(&entry.server) => {}
            _ => return none(),
        }
        let lift = Lift { by: someone(by), at: clock::now(), reason };
        match store.end_override_by(id, Some(&lift)) {
            Ok(None) => none(),
            ended => told(ended, "ended"),
        }
    }
}

/// The overrides that last until this gateway restarts end with it.
pub(in crate::gateway) fn end_run(desk: &super::Desk) {
    let Some(store) = desk.store() else { return };
    let (standing, _) = desk.standing.get();
    let run = Some(desk.recorder.gateway.as_str());
    for entry in standing.overrides.iter().filter(|entry| entry.run.as_deref() == run) {
        let reason = "the gateway stopped".to_owned();
        let lift = Lift { by: String::new(), at: clock::now(), reason: reason.clone() };
        // One that stays has no effect on any other run.
        if matches!(store.end_override_by(&entry.id, Some(&lift)), Ok(Some(_))) {
            desk.recorder.event(EventKind::Override, None, Some(reason), override_data(entry, "ended"));
        }
    }
}

fn freeze_it(store: &dyn Store, mut freeze: Freeze) -> Result<String, String> {
    if freeze.reason.trim().is_empty() {
        return Err("a freeze needs a reason: those whose calls are denied see it".to_owned());
    }
    if freeze.id.is_empty() {
        freeze.id = crate::gateway::fresh_id();
    }
    freeze.by = someone(freeze.by);
    if freeze.at.0 == 0 {
        freeze.at = clock::now();
    }
    told(store.freeze(&freeze), "frozen")
}

fn someone(by: String) -> String {
    if by.trim().is_empty() { "feed".to_owned() } else { by }
}

fn told<T>(done: Result<T, StoreError>, what: &str) -> Result<String, String> {
    done.map(|_| what.to_owned()).map_err(|error| error.to_string())
}

fn scope(freeze: &Freeze) -> serde_json::Value {
    json!({
        "id": freeze.id, "server": freeze.server, "grant": freeze.grant, "tool": freeze.tool,
        "until": freeze.until,
    })
}

// Digests of arguments stay out of the journal: what can be guessed could be tried against them.
fn override_data(entry: &Override, state: &str) -> serde_json::Value {
    json!({
        "state": state, "id": entry.id, "effect": entry.effect, "server": entry.server, "grant": entry.grant,
        "tool": entry.tool, "bound_to_arguments": entry.args_sha256.is_some(), "until": entry.until,
        "uses": entry.uses, "run": entry.run,
    })
}

fn approval_data(entry: &Approval, state: &str) -> serde_json::Value {
    json!({
        "state": state, "id": entry.id, "server": entry.server, "grant": entry.grant, "tool": entry.tool,
        "policy": entry.policy, "rule": entry.rule,
    })
}
