//! The decision about one call, as far as it can be made without a store.

use std::sync::Arc;

use super::compiled::{APPROVAL_TIMEOUT, Compiled, Entry, Limit, Rule, Tool};
use super::condition::{Range, Truth};
use super::counter::{Amount, Caller, Usage, Want};
use super::model::{self, Action, Scope};
use super::veil::{Plain, Veil};
use crate::json::Node;
use crate::time::Timestamp;

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

impl Denial {
    fn visibly(rule: &str, message: String) -> Self {
        Self { rule: rule.to_owned(), pointer: None, message, visible: true }
    }

    /// A message that cannot be judged, or must not be. It is answered with a JSON-RPC error.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::visibly("(malformed)", message.into())
    }

    /// The call lies in the scope of a freeze.
    pub fn frozen(reason: &str) -> Self {
        Self::visibly("(frozen)", format!("Frozen: {reason}"))
    }

    /// The grant has no policy: nothing is allowed.
    pub fn no_policy() -> Self {
        Self::visibly("(no policy)", "No policy is in force for this grant".to_owned())
    }

    /// The store or the journal that the call needs cannot be reached.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::visibly("(unavailable)", message.into())
    }

    /// A limit has no room.
    pub fn limit(limit: &LimitSpec) -> Self {
        Self {
            rule: limit.rule.clone(),
            pointer: Some(limit.pointer.clone()),
            message: limit.message.clone(),
            visible: true,
        }
    }
}

/// See [`Denial::no_policy`].
pub fn no_policy() -> Denial {
    Denial::no_policy()
}

/// See [`Denial::frozen`].
pub fn frozen(reason: &str) -> Denial {
    Denial::frozen(reason)
}

/// See [`Denial::malformed`].
pub fn malformed(message: impl Into<String>) -> Denial {
    Denial::malformed(message)
}

/// See [`Denial::unavailable`].
pub fn unavailable(message: impl Into<String>) -> Denial {
    Denial::unavailable(message)
}

impl Charge {
    /// What the call wants to count, for the store.
    pub fn want(&self, caller: &Caller<'_>, past_max: bool) -> Want {
        Want {
            key: caller.key(self.limit.scope, &self.limit.counter, self.limit.window),
            increment: self.increment,
            max: self.limit.max,
            past_max,
        }
    }
}

/// How long until every limit without room is empty again, in milliseconds: the longest of their
/// waits. `None` when waiting cannot help: no limit lacks room, or one would lack it even when
/// empty. Usages stand in the order of the charges.
pub fn retry_after(now: Timestamp, usages: &[Usage], charges: &[Charge]) -> Option<u64> {
    let mut longest = None;
    for (usage, charge) in usages.iter().zip(charges).filter(|(usage, _)| !usage.room) {
        if charge.increment > usage.max {
            return None;
        }
        longest = longest.max(Some(now.millis_until(usage.resets_at)));
    }
    longest
}

/// A call to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The tool's name, decoded.
    pub tool: &'a str,
    /// `arguments`; absent and null are `{}`.
    pub arguments: Option<&'a Node<'a>>,
}

impl Compiled {
    /// Decides a call as far as that is possible without a store: steps 1 to 12 of the order, save
    /// whether a limit has room. An allow holds once its charges are reserved, all or none.
    pub fn decide(&self, call: &Call<'_>, circumstances: &Circumstances<'_>) -> Verdict {
        self.decide_veiled(call, circumstances, &Plain)
    }

    /// As [`Compiled::decide`], on arguments of which not everything may have been kept. Where the
    /// veil was met ([`Veil::met`]), the verdict means nothing.
    pub fn decide_veiled<V: Veil + ?Sized>(
        &self,
        call: &Call<'_>,
        circumstances: &Circumstances<'_>,
        veil: &V,
    ) -> Verdict {
        let tool = self.tool(call.tool);
        match self.judge(tool, call, circumstances, veil) {
            Ok(allow) => allow,
            Err(mut denial) => {
                // Whatever denied it: a hidden tool does not exist for the agent.
                let unknown = circumstances.listed == Listed::No && self.default == model::Default::Deny;
                denial.visible = !unknown && self.shown(tool);
                Verdict::Deny(denial)
            }
        }
    }

    fn judge<V: Veil + ?Sized>(
        &self,
        tool: Option<&Tool>,
        call: &Call<'_>,
        circumstances: &Circumstances<'_>,
        veil: &V,
    ) -> Result<Verdict, Denial> {
        let arguments = match call.arguments {
            Some(node) if node.as_object().is_some() => Some(node),
            Some(node) if !node.is_null() => {
                let found = node.type_name();
                return Err(Denial::malformed(format!("`arguments` must be an object, not {}", a(found))));
            }
            _ => None,
        };
        if let Some(reason) = circumstances.frozen {
            return Err(Denial::frozen(reason));
        }
        if let Some(pointer) = self.hidden_by(tool) {
            return Err(denial("(hidden)", Some(pointer), not_permitted(call.tool)));
        }
        if let Some(Override::Deny(reason)) = circumstances.overridden {
            let message = if reason.is_empty() {
                not_permitted(call.tool)
            } else {
                format!("{}: {reason}", not_permitted(call.tool))
            };
            return Err(denial("(override)", None, message));
        }
        let entry = tool.and_then(|tool| tool.entry.as_ref());
        if circumstances.overridden == Some(Override::Allow) {
            return Ok(self.allow_past_rules(entry, arguments, veil));
        }
        let pointer = match entry {
            Some(entry) => {
                entry.check(call.tool, arguments, veil)?;
                entry.pointer.to_string()
            }
            None if self.default == model::Default::Deny => {
                return Err(denial("(default deny)", Some("/default"), not_permitted(call.tool)));
            }
            None => "/default".to_owned(),
        };
        if circumstances.drifted {
            let why = "its definition has changed since it was accepted";
            return Err(denial("(drift)", None, format!("{}: {why}", not_permitted(call.tool))));
        }
        let mut charges = Vec::new();
        for limit in self.counted(entry) {
            let increment =
                limit.increment_veiled(arguments, veil).map_err(|found| limit.cannot_count(&found))?;
            charges.push(Charge { limit: Arc::clone(&limit.spec), increment });
        }
        let mut approval = entry.and_then(|entry| entry.approval(call.tool, arguments, veil));
        let mut rule = String::new();
        if circumstances.overridden == Some(Override::Approved) && approval.take().is_some() {
            "(override)".clone_into(&mut rule);
        }
        Ok(Verdict::Allow { charges, approval, past_max: false, rule, pointer: Some(pointer) })
    }

    /// An `allow` override skips the rules, but the call still counts. What cannot be counted
    /// (`increment_from` found no amount) is left out.
    fn allow_past_rules<V: Veil + ?Sized>(
        &self,
        entry: Option<&Entry>,
        arguments: Option<&Node<'_>>,
        veil: &V,
    ) -> Verdict {
        let charge = |limit: &Limit| {
            let increment = limit.increment_veiled(arguments, veil).ok()?;
            Some(Charge { limit: Arc::clone(&limit.spec), increment })
        };
        Verdict::Allow {
            charges: self.counted(entry).filter_map(charge).collect(),
            approval: None,
            past_max: true,
            rule: "(override)".to_owned(),
            pointer: None,
        }
    }
}

impl Entry {
    /// Steps 7 to 9: `action: deny`, `require`, `deny_if`.
    fn check<V: Veil + ?Sized>(
        &self,
        tool: &str,
        arguments: Option<&Node<'_>>,
        veil: &V,
    ) -> Result<(), Denial> {
        if self.action == Some(Action::Deny) {
            let at = format!("{}/action", self.pointer);
            let message = self.reason.as_deref().map_or_else(|| not_permitted(tool), str::to_owned);
            return Err(denial(&at, Some(&at), message));
        }
        for rule in &self.require {
            let (truth, found) = rule.judge_veiled(arguments, Range::All, veil);
            if truth != Truth::True {
                return Err(rule.denial(tool, found.as_deref()));
            }
        }
        for rule in &self.deny_if {
            let (truth, found) = rule.judge_veiled(arguments, Range::Any, veil);
            if truth != Truth::False {
                return Err(rule.denial(tool, found.as_deref()));
            }
        }
        Ok(())
    }

    /// Step 12: whether a person must approve, and which rule asks first.
    fn approval<V: Veil + ?Sized>(
        &self,
        tool: &str,
        arguments: Option<&Node<'_>>,
        veil: &V,
    ) -> Option<ApprovalNeed> {
        let text = |own: Option<&str>| own.map_or_else(|| needs_approval(tool), str::to_owned);
        if self.action == Some(Action::Approve) {
            let at = format!("{}/action", self.pointer);
            return Some(ApprovalNeed {
                rule: at.clone(),
                pointer: at,
                message: text(self.reason.as_deref()),
                timeout: APPROVAL_TIMEOUT,
            });
        }
        self.approve_if.iter().find_map(|rule| {
            let (truth, found) = rule.judge_veiled(arguments, Range::Any, veil);
            (truth != Truth::False).then(|| ApprovalNeed {
                rule: rule.code.to_string(),
                pointer: rule.pointer.to_string(),
                message: with_finding(text(rule.message.as_deref()), found.as_deref()),
                timeout: rule.timeout,
            })
        })
    }
}

impl Rule {
    fn denial(&self, tool: &str, found: Option<&str>) -> Denial {
        let message = match &self.message {
            Some(own) => own.to_string(),
            None if self.conditions.is_empty() => not_permitted(tool),
            None => format!("Argument rule of {tool} not met"),
        };
        denial(&self.code, Some(&self.pointer), with_finding(message, found))
    }
}

impl Limit {
    /// `increment_from` found no amount: what cannot be counted cannot be bounded.
    pub(super) fn cannot_count(&self, found: &str) -> Denial {
        let message = if self.own_message {
            self.spec.message.clone()
        } else {
            format!("Limit {} cannot be counted", self.spec.counter)
        };
        denial(&self.spec.rule, Some(&self.spec.pointer), with_finding(message, Some(found)))
    }
}

fn denial(rule: &str, pointer: Option<&str>, message: String) -> Denial {
    Denial { rule: rule.to_owned(), pointer: pointer.map(str::to_owned), message, visible: true }
}

fn not_permitted(tool: &str) -> String {
    format!("Tool {tool} is not permitted by policy")
}

/// What the agent reads of a call that needs an approval.
pub fn needs_approval(tool: &str) -> String {
    format!("Tool {tool} needs a person's approval")
}

/// Whether a message begins as [`needs_approval`] has it.
pub fn asks_for_approval(message: &str, tool: &str) -> bool {
    let rest = message.strip_prefix("Tool ").and_then(|rest| rest.strip_prefix(tool));
    rest.is_some_and(|rest| rest.starts_with(" needs a person's approval"))
}

/// What the agent reads when a person said no.
pub fn rejected(tool: &str, note: &str) -> String {
    if note.trim().is_empty() {
        format!("{REJECTED} of {tool}")
    } else {
        format!("{REJECTED} of {tool}: {note}")
    }
}

/// How [`rejected`] begins.
const REJECTED: &str = "A person rejected this call";

/// Whether a message is one of [`rejected`].
pub fn is_rejection(message: &str) -> bool {
    message.starts_with(REJECTED)
}

fn a(type_name: &'static str) -> String {
    match type_name {
        "array" => "an array".to_owned(),
        other => format!("a {other}"),
    }
}

/// A message with what was found in the call, where that is why the rule could not be told.
fn with_finding(mut message: String, found: Option<&str>) -> String {
    if let Some(found) = found {
        message.push_str(" (");
        message.push_str(found);
        message.push(')');
    }
    message
}
