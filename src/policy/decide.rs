//! The decision about one call, as far as it can be made without a store.

use std::sync::Arc;

use super::counter::Amount;
use super::model::Scope;

/// What the gateway knows at the moment of a call, besides the policy and the call.
#[derive(Debug, Clone, Default)]
pub struct Circumstances<'a> {
    /// The reason of a freeze in whose scope the call lies.
    pub frozen: Option<&'a str>,
    /// Whether the tool stood in the last complete list that this gateway relayed.
    pub listed: Listed,
    /// The override that applies, a deny before any other.
    pub overridden: Option<Override<'a>>,
    /// The tool's definition differs from its pin and pins are enforced.
    pub drifted: bool,
}

/// What the last complete list said about a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// No complete list was relayed yet.
    #[default]
    Unknown,
    /// It was on it.
    Yes,
    /// It was not.
    No,
}

/// An override's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override<'a> {
    /// Denies, with its reason.
    Deny(&'a str),
    /// Skips steps 6 to 12; the call still counts.
    Allow,
    /// Skips only the approval.
    Approved,
}

/// A decision that denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The short code, for instance `/tools/t/deny_if/args.amount-gt` or `(hidden)`.
    pub rule: String,
    /// The exact pointer into the document that decided; `None` where no document did.
    pub pointer: Option<String>,
    /// The text for the agent, without the `[POLICY DENIED] ` prefix.
    pub message: String,
    /// `false`: the call is answered as for an unknown tool.
    pub visible: bool,
}

/// A limit of the compiled policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSpec {
    /// The counter's name.
    pub counter: String,
    /// The window's length in seconds.
    pub window: u64,
    /// How much the counter may hold.
    pub max: Amount,
    /// Whose calls share it.
    pub scope: Scope,
    /// The short code when it denies, for instance `/tools/t/limits/c`.
    pub rule: String,
    /// The exact pointer, for instance `/tools/t/limits/0`.
    pub pointer: String,
    /// The message when it denies: `on_deny` or the default one.
    pub message: String,
}

/// A limit that this call counts towards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The limit.
    pub limit: Arc<LimitSpec>,
    /// How much this call adds.
    pub increment: Amount,
}

/// A call that needs a person's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalNeed {
    /// The short code of the rule that asks.
    pub rule: String,
    /// The exact pointer.
    pub pointer: String,
    /// The text shown to the person.
    pub message: String,
    /// How long to wait, in seconds.
    pub timeout: u64,
}

/// The answer about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Denied; nothing is counted.
    Deny(Denial),
    /// Allowed once every charge is reserved (all or none) and, where asked, a person approved.
    Allow {
        /// What to count, in the order in which a limit without room is named.
        charges: Vec<Charge>,
        /// The approval that is needed first.
        approval: Option<ApprovalNeed>,
        /// The charges count even past their max (an `allow` override).
        past_max: bool,
        /// The short code to record: empty, or `(override)`.
        rule: String,
        /// `/tools/T` or `/default`.
        pointer: Option<String>,
    },
}
