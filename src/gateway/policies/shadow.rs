//! A candidate policy beside the enforced one: what it would have decided is recorded, and nothing
//! else comes of it.
//!
//! It is never in a call's way: a file that is not valid is reported and not used (the version before
//! goes on, where there was one), one that is not there yet is waited for, and taking it away ends the
//! shadow. Its counters are in memory, so that it can
//! neither fail nor wait for anything. They begin at zero when the gateway starts; a new version of
//! the file refills nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::reload::{self, Loaded};
use super::watch::Watch;
use crate::gateway::call::decider::Decider;
use crate::gateway::lock;
use crate::json::canonical::arguments_sha256;
use crate::mcp::envelope::ToolCall;
use crate::policy::compiled::Compiled;
use crate::policy::decide::{Call, Circumstances, Listed};
use crate::policy::explain::Decision;
use crate::policy::memory::MemoryCounters;
use crate::policy::shadow::opinion;
use crate::record::{EventKind, Shadow, Verdict};
use crate::revisions::Revisions;
use crate::time::Timestamp;

/// How many calls lie between two looks at which counters are over.
const FORGET_EVERY: u32 = 4096;

/// The candidate of one grant, where there is one.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Beside {
    /// Whether there is one: most gateways have none, and then a call asks nothing more.
    present: AtomicBool,
    candidate: Mutex<Option<Candidate>>,
    counted: Mutex<Counted>,
}

#[derive(Debug, Clone)]
struct Candidate {
    path: PathBuf,
    compiled: Arc<Compiled>,
}

#[derive(Debug, Default)]
struct Counted {
    counters: MemoryCounters,
    calls: u32,
}

impl Beside {
    /// The path and the revision of the candidate.
    pub(in crate::gateway) fn describe(&self) -> Option<(PathBuf, String)> {
        let candidate = lock(&self.candidate);
        candidate.as_ref().map(|one| (one.path.clone(), one.compiled.revision().to_owned()))
    }
}

impl Decider {
    /// What the candidate would have decided about a call; `None` where there is none.
    pub(in crate::gateway) fn shadow_opinion(
        &self,
        session: Option<&str>,
        call: &ToolCall<'_, '_>,
        listed: Listed,
        now: Timestamp,
    ) -> Option<Shadow> {
        if !self.shadow.present.load(Ordering::Acquire) {
            return None;
        }
        let candidate = lock(&self.shadow.candidate).as_ref().map(|one| Arc::clone(&one.compiled))?;
        let (above, _) = self.desk.standing.get();
        let who = (self.who.server.as_str(), self.who.grant.as_str(), call.name);
        let digest = || arguments_sha256(call.arguments).unwrap_or_default();
        let entry = above.overriding(who, now, &[], &digest);
        let circumstances = Circumstances {
            frozen: above.frozen(who.0, who.1, who.2, now).map(|freeze| freeze.reason.as_str()),
            listed,
            overridden: entry.map(crate::counters::Override::effect_on_decision),
            drifted: self.pins.denies(call.name),
        };
        let call = Call { tool: call.name, arguments: call.arguments };
        let mut counted = lock(&self.shadow.counted);
        counted.calls = counted.calls.wrapping_add(1);
        if counted.calls.is_multiple_of(FORGET_EVERY) {
            counted.counters.forget(now);
        }
        let caller = self.caller(session);
        let said = opinion(&candidate, &mut counted.counters, &caller, &call, &circumstances, now);
        Some(Shadow {
            decision: match said.decision {
                Decision::Allow => Verdict::Allow,
                Decision::Deny => Verdict::Deny,
                Decision::Approve => Verdict::Approve,
            },
            rule: said.rule,
            pointer: said.pointer,
        })
    }
}

/// Puts the policy at `path` beside the enforced one, now and whenever it changes, for as long as
/// the decider lives and the watch is kept. A file that cannot be used is reported.
///
/// # Errors
/// When the file cannot be watched at all.
pub(in crate::gateway) fn begin(decider: &Arc<Decider>, path: &Path) -> io::Result<Watch> {
    let path = std::path::absolute(path)?;
    let first = reload::load(&path);
    let revision = first.as_ref().map_or_else(
        |error| error.revision().unwrap_or_default().to_owned(),
        |loaded| loaded.document.revision().to_owned(),
    );
    let missing = matches!(first, Err(reload::LoadError::Unreadable { .. }));
    take(decider, &path, first);
    let decider = Arc::downgrade(decider);
    // What could not be read is told once: the watch tells it again only when it differs.
    let mut told = missing;
    reload::watch(path.clone(), revision, move |version| {
        let again = std::mem::take(&mut told) && matches!(version, Err(reload::LoadError::Unreadable { .. }));
        if let (Some(decider), false) = (decider.upgrade(), again) {
            take(&decider, &path, version);
        }
    })
}

fn take(decider: &Decider, path: &Path, version: Result<Loaded, reload::LoadError>) {
    let (server, grant) = (&decider.who.server, &decider.who.grant);
    match version {
        Ok(loaded) => {
            if let Err(error) = Revisions::new(&decider.desk.paths).keep(loaded.document.text()) {
                crate::gateway::say(&format!("the shadow policy's text cannot be kept: {error}"));
            }
            let compiled = Arc::new(loaded.compiled);
            let data = json!({
                "path": path, "revision": compiled.revision(), "shadow": true, "server": server, "grant": grant,
            });
            *lock(&decider.shadow.candidate) = Some(Candidate { path: path.to_owned(), compiled });
            decider.shadow.present.store(true, Ordering::Release);
            decider.desk.served_differently();
            decider.desk.recorder.event(EventKind::Policy, None, None, data);
        }
        // A file that is not there is no bad version: it may come, and taking it away ends the shadow.
        Err(reload::LoadError::Unreadable { why, .. }) if why.kind() == io::ErrorKind::NotFound => {
            decider.shadow.present.store(false, Ordering::Release);
            let was = lock(&decider.shadow.candidate).take();
            let shown = path.display();
            if was.is_none() {
                return crate::gateway::say(&format!(
                    "there is no shadow until `{shown}` is there; it is watched"
                ));
            }
            crate::gateway::say(&format!("the shadow ended: `{shown}` is gone"));
            decider.desk.served_differently();
            let data = json!({
                "path": path, "revision": null, "shadow": true, "server": server, "grant": grant,
            });
            decider.desk.recorder.event(EventKind::Policy, None, None, data);
        }
        Err(error) => {
            let rest = if decider.shadow.describe().is_some() {
                "the version before goes on as the shadow"
            } else {
                "there is no shadow, and nothing else changes"
            };
            crate::gateway::say(&format!("as a shadow: {error}; {rest}"));
            let data = json!({
                "path": path, "revision": error.revision(), "why": error.to_string(), "shadow": true,
                "server": server, "grant": grant,
            });
            decider.desk.recorder.event(EventKind::PolicyRejected, None, None, data);
        }
    }
}
