//! Keeps the policy of a decider as its file is: each good version comes into force, each bad one is
//! reported.

pub(super) mod drift;
pub mod pins;
pub mod reload;
pub(super) mod shadow;
pub(super) mod watch;

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use serde_json::json;

use self::reload::{LoadError, Loaded, Watch};
use crate::gateway::call::decider::Decider;
use crate::record::EventKind;
use crate::revisions::{By, Revisions};

/// Keeps the policy's text for replay and roll back, and tells where that fails.
pub(super) fn keep_text(decider: &Decider) {
    let Some(in_force) = decider.in_force() else { return };
    let text = in_force.document.text();
    let revisions = Revisions::new(&decider.desk.paths);
    let kept = match &decider.who.policy {
        Some(path) => revisions.add(path, text, By::Gateway, &decider.who.server, "in force"),
        None => revisions.keep(text).map(drop),
    };
    if let Err(error) = kept {
        crate::gateway::say(&format!("the policy's text cannot be kept: {error}"));
    }
}

/// Records which policy is in force.
pub(super) fn record_in_force(decider: &Decider) {
    let data = json!({
        "path": decider.who.policy, "revision": decider.revision(),
        "server": decider.who.server, "grant": decider.who.grant,
    });
    decider.desk.recorder.event(EventKind::Policy, None, None, data);
}

/// Watches the file at `path`, for as long as the decider lives and the watch is kept.
///
/// # Errors
/// When the folder cannot be watched at all.
pub(super) fn watch(decider: &Arc<Decider>, path: &Path) -> io::Result<Watch> {
    let revision = decider.revision().unwrap_or_default();
    let decider = Arc::downgrade(decider);
    reload::watch(std::path::absolute(path)?, revision, move |version| {
        if let Some(decider) = Weak::upgrade(&decider) {
            take(&decider, version);
        }
    })
}

fn take(decider: &Decider, version: Result<Loaded, LoadError>) {
    match version {
        Ok(loaded) => {
            let revision = loaded.document.revision().to_owned();
            let before = decider.replace(Some(loaded));
            keep_text(decider);
            if before.is_none_or(|before| before.document.revision() != revision) {
                record_in_force(decider);
            }
        }
        Err(error) => {
            crate::gateway::say(&format!("{error}; the version before stays in force"));
            let data = json!({
                "path": decider.who.policy, "revision": error.revision(), "why": error.to_string(),
                "server": decider.who.server, "grant": decider.who.grant,
            });
            decider.desk.recorder.event(EventKind::PolicyRejected, None, None, data);
        }
    }
}
