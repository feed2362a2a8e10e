//! What is recorded: into the journal first, then onto the feed.

use super::session::Ended;
use crate::record::{Decision, Verdict};
use crate::time::Timestamp;

/// Writes records.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) gateway: String,
    pub(super) server: String,
    pub(super) grant: String,
}

impl Recorder {
    /// A decision about nothing yet.
    pub(super) fn decision(&self, now: Timestamp) -> Decision {
        Decision {
            seq: 0,
            ts: now,
            gateway: self.gateway.clone(),
            server: self.server.clone(),
            grant: self.grant.clone(),
            session: Some(self.gateway.clone()),
            client: None,
            request_id: None,
            method: String::new(),
            tool: None,
            decision: Verdict::Allow,
            enforced: true,
            rule: String::new(),
            pointer: None,
            message: String::new(),
            policy: None,
            args: None,
            counters: Vec::new(),
            counted: false,
            decide_us: 0.0,
            retry_after_ms: None,
            shadow: None,
            approval: None,
            call: None,
        }
    }
    pub(super) fn record_decision(&self, _decision: &mut Decision, _later: bool) -> std::io::Result<()> {
        Ok(())
    }
    pub(super) fn outcome(&self, _ended: &Ended, _released: bool, _now: Timestamp) {}
}
