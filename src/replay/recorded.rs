//! A recorded call, read in place.

use crate::policy::decide;
use crate::record::Verdict;
use crate::record::line::Line;
use crate::time::Timestamp;

/// What a line says to those who follow calls.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A call was decided, or decided again after it was held.
    Call(Recorded<'a>),
    /// A call ended.
    Ended(Ended<'a>),
    /// Something else.
    Other,
}

/// A decision about a call.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The id of the gateway run.
    pub gateway: &'a str,
    /// The record's number in it.
    pub seq: u64,
    /// When it was decided.
    pub ts: Timestamp,
    /// The server's name.
    pub server: &'a str,
    /// The grant's label.
    pub grant: &'a str,
    /// The session; `None` in the stateless era.
    pub session: Option<&'a str>,
    /// The tool.
    pub tool: &'a str,
    /// The decision.
    pub verdict: Verdict,
    /// The short code of what decided; empty when nothing fired.
    pub rule: &'a str,
    /// The exact pointer into the document that decided.
    pub pointer: Option<&'a str>,
    /// The text for the agent, or for the person who is asked.
    pub message: &'a str,
    /// The policy's revision.
    pub policy: Option<&'a str>,
    /// The arguments as JSON, masked; `None` when there were none.
    pub args: Option<&'a str>,
    /// Every limit of the call after the decision, as JSON: see [`crate::record::line::counters`].
    pub counters: &'a str,
    /// Whether the call was counted.
    pub counted: bool,
    /// `false` when the call passed although it could not be decided or recorded as it should.
    pub enforced: bool,
    /// The approval's id.
    pub approval: Option<&'a str>,
    /// Of a second decision, the `seq` of the one that held the call.
    pub held_by: Option<u64>,
}

/// How a call ended, as far as counters ask.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The id of the gateway run.
    pub gateway: &'a str,
    /// The `seq` of the call's decision.
    pub call: u64,
    /// Whether the reservation was given back.
    pub released: bool,
}

/// What decided a recorded call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The document.
    Document,
    /// A freeze, a deny override, or drift: every policy denies it.
    Above,
    /// An `allow` override: the rules were skipped.
    Allowed,
    /// An `approved` override: nobody had to be asked.
    Approved,
    /// The message could not be judged.
    Malformed,
    /// The store or the journal could not be reached.
    Unavailable,
    /// There was no policy.
    NoPolicy,
    /// It passed although it could not be decided or recorded.
    Unenforced,
}

impl<'a> Entry<'a> {
    /// Reads a line. A refused message that names no tool is no call.
    pub fn of(line: &'a Line<'_>) -> Self {
        let gateway = line.gateway.0.as_ref();
        match (line.kind.0.as_ref(), line.decision, &line.tool) {
            ("decision", Some(verdict), Some(tool)) => Self::Call(Recorded {
                gateway,
                seq: line.seq,
                ts: line.ts,
                server: Line::text(&line.server),
                grant: Line::text(&line.grant),
                session: line.session.as_ref().map(|text| text.0.as_ref()),
                tool: &tool.0,
                verdict,
                rule: Line::text(&line.rule),
                pointer: line.pointer.as_ref().map(|text| text.0.as_ref()),
                message: Line::text(&line.message),
                policy: line.policy.as_ref().map(|text| text.0.as_ref()),
                args: line.args,
                counters: line.counters.unwrap_or("[]"),
                counted: line.counted.unwrap_or(false),
                enforced: line.enforced.unwrap_or(true),
                approval: line.approval.as_ref().map(|text| text.0.as_ref()),
                held_by: line.call,
            }),
            ("outcome", _, _) => match line.call {
                Some(call) => Self::Ended(Ended { gateway, call, released: line.released.unwrap_or(false) }),
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl Recorded<'_> {
    /// What decided it.
    pub fn origin(&self) -> Origin {
        if !self.enforced {
            return Origin::Unenforced;
        }
        match (self.rule, self.verdict) {
            ("(frozen)" | "(drift)", _) | ("(override)", Verdict::Deny) => Origin::Above,
            // An `allow` override skips the rules, so no part of the document is named.
            ("(override)", _) if self.pointer.is_none() => Origin::Allowed,
            ("(override)", _) => Origin::Approved,
            ("(malformed)", _) => Origin::Malformed,
            ("(unavailable)", _) => Origin::Unavailable,
            ("(no policy)", _) => Origin::NoPolicy,
            _ => Origin::Document,
        }
    }

    /// Whether the policy wanted a person's approval for it.
    pub fn asked(&self) -> bool {
        match self.verdict {
            Verdict::Approve => true,
            Verdict::Allow => self.approval.is_some(),
            Verdict::Deny => self.denied_by_asking(),
        }
    }

    /// Whether it was denied because no person approved it (so far).
    pub fn denied_by_asking(&self) -> bool {
        match part(self.rule) {
            "approve_if" => true,
            // `action` is also what denies by itself.
            "action" => self.approval.is_some() || decide::asks_for_approval(self.message, self.tool),
            _ => false,
        }
    }

    /// Whether a person said no.
    pub fn rejected(&self) -> bool {
        self.verdict == Verdict::Deny && self.denied_by_asking() && decide::is_rejection(self.message)
    }

    /// Whether a limit denied it.
    pub fn denied_by_limit(&self) -> bool {
        self.verdict == Verdict::Deny && is_limit(self.rule)
    }
}

/// Whether a rule's short code is that of a limit.
pub fn is_limit(rule: &str) -> bool {
    rule.starts_with("/all_tools/limits/") || part(rule) == "limits"
}

/// The member of a tool's entry that a short code names. Slashes in a tool's name are escaped.
fn part(rule: &str) -> &str {
    rule.strip_prefix("/tools/").and_then(|rest| rest.split('/').nth(1)).unwrap_or("")
}
