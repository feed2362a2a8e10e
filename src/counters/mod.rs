//! The stores of counters, freezes, overrides, approvals and rounds, behind one trait.
//!
//! Calls are short and synchronous: the stdio gateway decides on its reader thread, and the HTTP
//! gateway wraps them where it must not block.
//!
//! | part | is |
//! |---|---|
//! | [`memory`] | one process's own store, for tests, benches and what must leave no trace |
//! | [`sqlite`] | what all gateways of a user share on a machine |
//! | [`redis`] | what a fleet's gateways share, in Redis or Valkey |

pub mod approval;
pub mod memory;
mod place;
pub mod redis;
pub mod round;
pub mod sqlite;
mod standing;

pub use place::{BadPlace, COUNTERS, PASSWORD, RedisUrl, StorePlace, USERNAME, open};

use serde::{Deserialize, Serialize};

pub use self::approval::{Answer, Approval, ApprovalVerdict, Asked, CallArgs};
pub use self::round::Round;
use crate::policy::counter::{Reserved, Taken, Usage, Want};
use crate::time::Timestamp;

/// Why the store could not answer. Calls that need it are then `(unavailable)`.
#[derive(Debug, thiserror::Error)]
#[error("the counters' store at `{place}` cannot be used: {why}")]
pub struct StoreError {
    /// Where it lies, without secrets.
    pub place: String,
    /// What happened.
    pub why: String,
}

/// A kill switch: denies every call in its scope. Absent parts of the scope match everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Names it, for lifting it.
    pub id: String,
    /// The server's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The grant's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// Whether a call lies in its scope at `now`.
    pub fn covers(&self, server: &str, grant: &str, tool: &str, now: Timestamp) -> bool {
        let matches = |scope: &Option<String>, value: &str| scope.as_deref().is_none_or(|name| name == value);
        self.until.is_none_or(|until| now < until)
            && matches(&self.server, server)
            && matches(&self.grant, grant)
            && matches(&self.tool, tool)
    }
}

/// A temporary rule, kept outside policy.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Names it.
    pub id: String,
    /// What it does.
    pub effect: OverrideEffect,
    /// The server's name.
    pub server: String,
    /// The grant's label; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The tool's name.
    pub tool: String,
    /// SHA-256 of the canonical arguments that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_sha256: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many calls it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// The only gateway run that heeds it, for one that lasts until the gateway restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Override {
    /// Whether it still has effect at `now`.
    pub fn stands(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until) && self.uses != Some(0)
    }
}

/// What an override does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideEffect {
    /// Skips the rules; the call still counts.
    Allow,
    /// Denies.
    Deny,
    /// Skips only the approval.
    Approved,
}

/// Who lifted a freeze, or ended an override, before its end, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A tool's definition as a list showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTool {
    /// The tool's name.
    pub tool: String,
    /// The digest of its definition, as [`crate::policy::pins`] takes it.
    pub digest: String,
    /// Since when it has had that one.
    pub at: Timestamp,
}

/// What the store keeps beside counters, read as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Freezes that have not ended.
    pub freezes: Vec<Freeze>,
    /// Overrides that have not ended.
    pub overrides: Vec<Override>,
    /// Questions that wait, approvals that are not spent, and refusals that still hold.
    pub approvals: Vec<Approval>,
}

/// Counters, freezes, overrides, approvals and rounds that several gateways share.
pub trait Store: Send + Sync {
    /// Counts every want, or none.
    ///
    /// # Errors
    /// When the store cannot be reached or is broken; nothing was counted then.
    fn reserve(&self, now: Timestamp, wants: &[Want]) -> Result<Reserved, StoreError>;

    /// Takes one use of an override and counts every want, both or neither. `None` when the
    /// override has ended, is used up or does not exist; nothing was counted then.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn reserve_with_override(
        &self,
        now: Timestamp,
        wants: &[Want],
        id: &str,
    ) -> Result<Option<Reserved>, StoreError>;

    /// The counters as they stand, counting nothing.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn peek(&self, now: Timestamp, wants: &[Want]) -> Result<Vec<Usage>, StoreError>;

    /// Gives back what was taken, to the windows it was taken from, never below zero.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn release(&self, taken: &[Taken]) -> Result<(), StoreError>;

    /// Freezes and overrides in force, and approvals that stand.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn standing(&self, now: Timestamp) -> Result<Standing, StoreError>;

    /// A number that differs from the last one given whenever a freeze, an override or an approval
    /// was set, changed or ended meanwhile, by anyone. Cheap enough to ask ten times a second.
    ///
    /// # Errors
    /// As [`Store::reserve`]; also when the store was removed or replaced under this process.
    fn standing_version(&self) -> Result<u64, StoreError>;

    /// Adds a freeze.
    ///
    /// # Errors
    /// As [`Store::reserve`]; also when a freeze with that id is there.
    fn freeze(&self, freeze: &Freeze) -> Result<(), StoreError>;

    /// Ends every freeze whose scope equals the given one exactly (all absent: the freeze of
    /// everything); the ended ones are given back.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn unfreeze(
        &self,
        server: Option<&str>,
        grant: Option<&str>,
        tool: Option<&str>,
    ) -> Result<Vec<Freeze>, StoreError> {
        self.unfreeze_by(server, grant, tool, None)
    }

    /// As [`Store::unfreeze`], and remembers who lifted them: every gateway notices that a freeze
    /// is gone, and [`Store::lifted`] tells it by whom.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn unfreeze_by(
        &self,
        server: Option<&str>,
        grant: Option<&str>,
        tool: Option<&str>,
        lift: Option<&Lift>,
    ) -> Result<Vec<Freeze>, StoreError>;

    /// Who lifted the freeze of that id, where that is known; it is forgotten after a day or so.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn lifted(&self, id: &str) -> Result<Option<Lift>, StoreError>;

    /// Adds an override.
    ///
    /// # Errors
    /// As [`Store::reserve`]; also when an override with that id is there.
    fn set_override(&self, entry: &Override) -> Result<(), StoreError>;

    /// Ends an override before its time; it is given back where it was there.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn end_override(&self, id: &str) -> Result<Option<Override>, StoreError> {
        self.end_override_by(id, None)
    }

    /// As [`Store::end_override`], and remembers who ended it: [`Store::lifted`] tells it.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn end_override_by(&self, id: &str, lift: Option<&Lift>) -> Result<Option<Override>, StoreError>;

    /// Asks a question. An equal one that waits is joined ([`Approval::join`]); one that was answered
    /// meanwhile gives its answer. At most [`approval::MAX_WAITING`] of one grant on one server wait.
    ///
    /// # Errors
    /// As [`Store::reserve`]; also when another question with that id is there.
    fn ask_approval(&self, now: Timestamp, question: &Approval) -> Result<Asked, StoreError>;

    /// A call is held for the question no longer. One that was `cancelled` by everyone ends
    /// ([`Approval::leave`]); nothing happens to one that was answered or is gone.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn leave_approval(&self, now: Timestamp, id: &str, cancelled: bool) -> Result<(), StoreError>;

    /// Answers a question, once, whoever else tries: `None` when it does not wait at `now`.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn decide_approval(
        &self,
        now: Timestamp,
        id: &str,
        verdict: &ApprovalVerdict,
    ) -> Result<Option<Approval>, StoreError>;

    /// The questions that wait, the approvals that are not spent, and the refusals that still hold,
    /// in the order in which they were asked.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn approvals(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
        Ok(self.standing(now)?.approvals)
    }

    /// Spends an approval and counts every want, both or neither. `None` when it was not given, is
    /// spent, over or gone; nothing was counted then. Where a limit is full it is not spent.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn reserve_with_approval(
        &self,
        now: Timestamp,
        wants: &[Want],
        id: &str,
    ) -> Result<Option<Reserved>, StoreError>;

    /// Remembers that a server wants another round of a call, until it is taken or an hour is over.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn remember_round(&self, now: Timestamp, round: &Round) -> Result<(), StoreError>;

    /// Takes one such round away. `false`: none is remembered, so that the call is a new one.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn take_round(&self, now: Timestamp, round: &Round) -> Result<bool, StoreError>;

    /// Keeps what a complete list of a server showed, each tool with the digest of its definition, in
    /// the place of what was kept of the server. A tool whose digest is as before keeps its instant.
    /// Counts as a change of what stands ([`Store::standing_version`]).
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn see_tools(&self, now: Timestamp, server: &str, tools: &[(String, String)]) -> Result<(), StoreError>;

    /// What was kept of a server's last list, in the order of the names.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn seen_tools(&self, server: &str) -> Result<Vec<SeenTool>, StoreError>;

    /// Starts housekeeping that no call should wait for, where there is any to do; it does not wait
    /// for it either. To be called about once a second.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn maintain(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What happened to the store that people should know of, though it goes on working; told once.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }

    /// Every counter that is not empty at `now`, for status and screens.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    fn counters(&self, now: Timestamp) -> Result<Vec<Usage>, StoreError>;
}
