//! The words of policy.json, version "1" with callgate's extensions, as types.
//!
//! These types are what a *document* says, with the place of each part, so that the editor can
//! show and change it. Deciding uses the compiled form.

use crate::json::Span;

/// What happens to tools that are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Default {
    /// Unlisted tools may be called.
    Allow,
    /// Unlisted tools are denied.
    Deny,
}

/// `hide`: an array of names, or `["*"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hide {
    /// `["*"]`: every tool is hidden.
    pub all: bool,
    /// The names, with their index in the array and their span; empty when `all`.
    pub names: Vec<(String, Span)>,
}

/// A document's content. Parts that did not parse are absent here and named in the diagnostics.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `default`; `Deny` when missing or wrong.
    pub default: Default,
    /// `hide`
    pub hide: Hide,
    /// `hide_denied` (extension)
    pub hide_denied: bool,
    /// `all_tools.limits`
    pub all_tools_limits: Vec<Limit>,
    /// `tools`, in document order.
    pub tools: Vec<Tool>,
    /// `description` (extension)
    pub description: Option<String>,
}

impl Policy {
    /// The entry for a tool, by its exact name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// One entry of `tools`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The tool's exact name.
    pub name: String,
    /// Span of the name with its quotes.
    pub name_span: Span,
    /// Span of the entry's value.
    pub span: Span,
    /// `require`
    pub require: Vec<Rule>,
    /// `deny_if`
    pub deny_if: Vec<Rule>,
    /// `approve_if` (extension)
    pub approve_if: Vec<Rule>,
    /// `limits`
    pub limits: Vec<Limit>,
    /// `action` (extension)
    pub action: Option<Action>,
    /// `reason` (extension): the message of `action`.
    pub reason: Option<String>,
    /// `rate_limit` (extension)
    pub rate_limit: Option<RateLimit>,
}

/// `tools.NAME.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Only lists the tool; its other rules still apply.
    Allow,
    /// Denies every call, visibly.
    Deny,
    /// As an entry of `hide`.
    Hide,
    /// Every call needs a person's approval.
    Approve,
}

/// Which list of a tool's entry a rule stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleList {
    /// Every rule must hold.
    Require,
    /// Any rule that holds denies.
    DenyIf,
    /// Any rule that holds needs approval.
    ApproveIf,
}

impl RuleList {
    /// The key in the document.
    pub fn key(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::DenyIf => "deny_if",
            Self::ApproveIf => "approve_if",
        }
    }
}

/// An entry of `require`, `deny_if` or `approve_if`; its conditions are all needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Span of the rule.
    pub span: Span,
    /// `conditions`
    pub conditions: Vec<Condition>,
    /// `on_deny`, or `on_approve` in `approve_if`.
    pub message: Option<String>,
    /// `timeout` of `approve_if`, in seconds.
    pub timeout: Option<u64>,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Span of the condition.
    pub span: Span,
    /// `path` as written, for instance `args.items[*].price`.
    pub path: String,
    /// `op`
    pub op: Op,
    /// `value`, as its JSON text.
    pub value: String,
}

/// The eleven operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Less than.
    Lt,
    /// At most.
    Lte,
    /// Greater than.
    Gt,
    /// At least.
    Gte,
    /// Equal to an element of the value.
    In,
    /// Equal to no element of the value.
    NotIn,
    /// Present and not null.
    Exists,
    /// Matched somewhere by the pattern.
    Regex,
    /// Has the value as a substring or an element.
    Contains,
}

impl Op {
    /// All of them, in the order in which screens offer them.
    pub const ALL: [Self; 11] = [
        Self::Eq,
        Self::Neq,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::In,
        Self::NotIn,
        Self::Exists,
        Self::Regex,
        Self::Contains,
    ];

    /// The name in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Exists => "exists",
            Self::Regex => "regex",
            Self::Contains => "contains",
        }
    }

    /// The operator of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }
}

/// A bound on a counter within a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Span of the limit.
    pub span: Span,
    /// `counter`
    pub counter: String,
    /// `window`
    pub window: Window,
    /// `max`, as spelt.
    pub max: String,
    /// `scope`; `None` when left out (an extension), which means grant.
    pub scope: Option<Scope>,
    /// `increment_from` (extension): the path of the number that is counted.
    pub increment_from: Option<String>,
    /// `on_deny` (extension)
    pub on_deny: Option<String>,
}

/// `tools.NAME.rate_limit`: `{"max": 10, "window": 60}`.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Span of the value.
    pub span: Span,
    /// `max`, as spelt.
    pub max: String,
    /// `window`
    pub window: Window,
}

/// A window's length. Windows are fixed and aligned to UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// `"minute"`
    Minute,
    /// `"hour"`
    Hour,
    /// `"day"`
    Day,
    /// A whole number of seconds, at least 1 (extension).
    Seconds(u64),
}

impl Window {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Seconds(seconds) => seconds,
        }
    }

    /// How texts for people name it after a number: `a minute`, `an hour`, `a day`, `each 90 s`.
    pub fn each(seconds: u64) -> String {
        match seconds {
            60 | 86_400 => format!("a {}", Self::label(seconds)),
            3_600 => "an hour".to_owned(),
            _ => format!("each {}", Self::label(seconds)),
        }
    }

    /// How a limit's default message and the screens name it: `minute`, `hour`, `day`, `90 s`.
    pub fn label(seconds: u64) -> String {
        match seconds {
            60 => "minute".to_owned(),
            3_600 => "hour".to_owned(),
            86_400 => "day".to_owned(),
            other => format!("{other} s"),
        }
    }
}

/// Whose calls share a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One grant's.
    Grant,
    /// All grants' of the server.
    Server,
    /// One session's.
    Session,
}

impl Scope {
    /// The name in documents and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Server => "server",
            Self::Session => "session",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Grant, Self::Server, Self::Session].into_iter().find(|scope| scope.name() == name)
    }
}
