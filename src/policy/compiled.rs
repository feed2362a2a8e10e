//! A valid document made ready to decide: every constant parsed, every pattern compiled, every
//! message and pointer written once.

use std::fmt;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::condition::{Condition, Judged, Range, Truth, amount};
use super::counter::Amount;
use super::decide::LimitSpec;
use super::document::Document;
use super::model::{self, Action, Policy, RuleList, Scope, Window};
use super::path::Path;
use super::veil::{Plain, Veil};
use crate::json::{Node, pointer};

/// How long a call waits for a person where `timeout` is left out, in seconds.
pub const APPROVAL_TIMEOUT: u64 = 300;

/// A policy ready to decide. Made once per revision and shared.
#[derive(Debug, Clone)]
pub struct Compiled {
    revision: String,
    pub(super) default: model::Default,
    /// `hide: ["*"]`
    hide_all: bool,
    hide_denied: bool,
    /// Every tool that the document names, under `tools` or in `hide`.
    tools: HashMap<Box<str>, Tool>,
    /// `all_tools.limits`
    pub(super) shared: Vec<Limit>,
}

/// What the document says about one tool.
#[derive(Debug, Clone, Default)]
pub(super) struct Tool {
    /// The pointer of what hides it.
    hidden: Option<Box<str>>,
    /// Its entry under `tools`.
    pub(super) entry: Option<Entry>,
}

/// An entry of `tools`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `/tools/NAME`
    pub(super) pointer: Box<str>,
    pub(super) action: Option<Action>,
    pub(super) reason: Option<Box<str>>,
    pub(super) require: Vec<Rule>,
    pub(super) deny_if: Vec<Rule>,
    pub(super) approve_if: Vec<Rule>,
    /// `limits`, then `rate_limit`.
    pub(super) limits: Vec<Limit>,
    paths: Vec<Path>,
    /// No call can be allowed: `action: deny` or an unconditional `deny_if`.
    never: bool,
}

/// An entry of `require`, `deny_if` or `approve_if`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    /// The short code, for instance `/tools/t/deny_if/args.amount-gt`.
    pub(super) code: Box<str>,
    /// The exact pointer, for instance `/tools/t/deny_if/0`.
    pub(super) pointer: Box<str>,
    /// `on_deny` or `on_approve`.
    pub(super) message: Option<Box<str>>,
    /// `timeout`, in seconds.
    pub(super) timeout: u64,
}

/// A limit with what it counts.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) spec: Arc<LimitSpec>,
    /// Whether `on_deny` gave the message.
    pub(super) own_message: bool,
    pub(super) increment_from: Option<Path>,
}

/// Why a document cannot decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotValid {
    /// The pointer of the part that is wrong; empty where the document's diagnostics say it.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for NotValid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "`{}`: {}", self.pointer, self.message)
        }
    }
}

impl std::error::Error for NotValid {}

impl Compiled {
    /// Makes a document ready.
    ///
    /// # Errors
    /// When the document has errors: a policy of which a part is missing must not decide anything.
    pub fn new(document: &Document) -> Result<Self, NotValid> {
        if !document.is_valid() {
            let message = "the policy has errors; `callgate check` names them".to_owned();
            return Err(NotValid { pointer: String::new(), message });
        }
        Self::of(document.policy(), document.revision())
    }

    fn of(policy: &Policy, revision: &str) -> Result<Self, NotValid> {
        let mut tools: HashMap<Box<str>, Tool> = HashMap::with_capacity(policy.tools.len());
        for tool in &policy.tools {
            let entry = entry(tool)?;
            let hidden = match tool.action {
                Some(Action::Hide) => Some(format!("{}/action", entry.pointer).into()),
                _ => None,
            };
            tools.insert(tool.name.as_str().into(), Tool { hidden, entry: Some(entry) });
        }
        for (index, (name, _)) in policy.hide.names.iter().enumerate() {
            let tool = tools.entry(name.as_str().into()).or_default();
            let first = tool.hidden.as_deref().is_some_and(|pointer| pointer.starts_with("/hide/"));
            if !first {
                tool.hidden = Some(format!("/hide/{index}").into());
            }
        }
        let limit = |(index, one): (usize, &model::Limit)| {
            let at = format!("/all_tools/limits/{index}");
            limit(one, at, "/all_tools")
        };
        let shared = policy.all_tools_limits.iter().enumerate().map(limit).collect::<Result<_, _>>()?;
        Ok(Self {
            revision: revision.to_owned(),
            default: policy.default,
            hide_all: policy.hide.all,
            hide_denied: policy.hide_denied,
            tools,
            shared,
        })
    }

    /// The document's revision.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    /// Whether a tool is shown in lists and answered as itself: not hidden, neither by `hide` nor
    /// by `action` nor, with `hide_denied`, because no call to it can be allowed.
    pub fn visible(&self, tool: &str) -> bool {
        self.shown(self.tool(tool))
    }

    pub(super) fn shown(&self, tool: Option<&Tool>) -> bool {
        self.hidden_by(tool).is_none() && !(self.hide_denied && self.never(tool))
    }

    /// The pointer of what hides a tool by its name.
    pub(super) fn hidden_by<'c>(&'c self, tool: Option<&'c Tool>) -> Option<&'c str> {
        if self.hide_all {
            return Some("/hide/0");
        }
        tool?.hidden.as_deref()
    }

    /// No call to the tool can be allowed.
    fn never(&self, tool: Option<&Tool>) -> bool {
        match tool.and_then(|tool| tool.entry.as_ref()) {
            Some(entry) => entry.never,
            None => self.default == model::Default::Deny,
        }
    }

    /// Whether any tool can be hidden, so that lists must be looked at.
    pub fn hides_anything(&self) -> bool {
        self.hide_all
            || (self.hide_denied && self.default == model::Default::Deny)
            || self.tools.values().any(|tool| !self.shown(Some(tool)))
    }

    /// The paths that the tool's rules and limits read, each once.
    pub fn paths(&self, tool: &str) -> &[Path] {
        self.tool(tool).and_then(|tool| tool.entry.as_ref()).map_or(&[], |entry| &entry.paths)
    }

    /// The limits that a call of the tool counts towards, in the order in which one without room
    /// is named: the tool's own, then those of all tools.
    pub fn limits(&self, tool: &str) -> impl Iterator<Item = &LimitSpec> {
        self.counted(self.tool(tool).and_then(|tool| tool.entry.as_ref())).map(|limit| &*limit.spec)
    }

    /// Every limit of the document.
    pub fn every_limit(&self) -> impl Iterator<Item = &LimitSpec> {
        let own = self.tools.values().filter_map(|tool| tool.entry.as_ref()).flat_map(|entry| &entry.limits);
        own.chain(&self.shared).map(|limit| &*limit.spec)
    }

    /// Whether a limit of the tool counts a number from the call (`increment_from`).
    pub fn counts_amounts(&self, tool: &str) -> bool {
        let entry = self.tool(tool).and_then(|tool| tool.entry.as_ref());
        self.counted(entry).any(|limit| limit.increment_from.is_some())
    }

    /// Whether a call of the tool can need a person's approval.
    pub fn may_ask(&self, tool: &str) -> bool {
        let entry = self.tool(tool).and_then(|tool| tool.entry.as_ref());
        entry.is_some_and(|entry| entry.action == Some(Action::Approve) || !entry.approve_if.is_empty())
    }

    pub(super) fn counted<'c>(&'c self, entry: Option<&'c Entry>) -> impl Iterator<Item = &'c Limit> {
        let own: &[Limit] = entry.map_or(&[], |entry| &entry.limits);
        own.iter().chain(&self.shared)
    }
}

impl Rule {
    /// Whether the rule holds, with the first condition that made it indeterminate.
    pub(super) fn judge(&self, arguments: Option<&Node<'_>>, range: Range) -> (Truth, Option<String>) {
        self.judge_veiled(arguments, range, &Plain)
    }

    /// As [`Rule::judge`], on arguments of which not everything may have been kept.
    pub(super) fn judge_veiled<V: Veil + ?Sized>(
        &self,
        arguments: Option<&Node<'_>>,
        range: Range,
        veil: &V,
    ) -> (Truth, Option<String>) {
        let mut doubt: Option<(&Condition, Judged)> = None;
        for condition in &self.conditions {
            let judged = condition.judge_veiled(arguments, range, veil);
            match judged.truth {
                Truth::False => return (Truth::False, None),
                Truth::Indeterminate if doubt.is_none() => doubt = Some((condition, judged)),
                Truth::Indeterminate | Truth::True => {}
            }
        }
        match doubt {
            None => (Truth::True, None),
            Some((condition, judged)) => {
                (Truth::Indeterminate, judged.finding.map(|finding| condition.say(&finding)))
            }
        }
    }
}

impl Limit {
    /// How much a call adds.
    ///
    /// # Errors
    /// What was found instead of an amount, in words.
    pub(super) fn increment(&self, arguments: Option<&Node<'_>>) -> Result<Amount, String> {
        self.increment_veiled(arguments, &Plain)
    }

    /// As [`Limit::increment`], on arguments of which not everything may have been kept.
    pub(super) fn increment_veiled<V: Veil + ?Sized>(
        &self,
        arguments: Option<&Node<'_>>,
        veil: &V,
    ) -> Result<Amount, String> {
        match &self.increment_from {
            None => Ok(Amount::ONE),
            Some(path) => amount(path, arguments, veil),
        }
    }
}

/// How much a call adds to a limit that counts the number at a path; `None` where that cannot be told.
pub fn amount_at(path: &Path, arguments: Option<&Node<'_>>) -> Option<Amount> {
    amount(path, arguments, &Plain).ok()
}

fn entry(tool: &model::Tool) -> Result<Entry, NotValid> {
    let mut at = "/tools".to_owned();
    pointer::push(&mut at, &tool.name);
    let list = |list: RuleList, rules: &[model::Rule]| {
        let compile = |(index, one)| rule(one, &format!("{at}/{}", list.key()), index);
        rules.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()
    };
    let require = list(RuleList::Require, &tool.require)?;
    let deny_if = list(RuleList::DenyIf, &tool.deny_if)?;
    let approve_if = list(RuleList::ApproveIf, &tool.approve_if)?;
    let mut limits = Vec::with_capacity(tool.limits.len() + 1);
    for (index, one) in tool.limits.iter().enumerate() {
        limits.push(limit(one, format!("{at}/limits/{index}"), &at)?);
    }
    if let Some(rate) = &tool.rate_limit {
        let one = model::Limit {
            span: rate.span,
            counter: format!("{}_rate", tool.name),
            window: rate.window,
            max: rate.max.clone(),
            scope: Some(Scope::Grant),
            increment_from: None,
            on_deny: None,
        };
        limits.push(limit(&one, format!("{at}/rate_limit"), &at)?);
    }
    let mut paths: Vec<Path> = Vec::new();
    let rules = require.iter().chain(&deny_if).chain(&approve_if);
    let read = rules.flat_map(|rule| rule.conditions.iter().map(|condition| &condition.path));
    for path in read.chain(limits.iter().filter_map(|limit| limit.increment_from.as_ref())) {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    let never = tool.action == Some(Action::Deny) || deny_if.iter().any(|rule| rule.conditions.is_empty());
    Ok(Entry {
        pointer: at.as_str().into(),
        action: tool.action,
        reason: tool.reason.as_deref().map(Into::into),
        require,
        deny_if,
        approve_if,
        limits,
        paths,
        never,
    })
}

fn rule(rule: &model::Rule, list: &str, index: usize) -> Result<Rule, NotValid> {
    let at = format!("{list}/{index}");
    let mut conditions = Vec::with_capacity(rule.conditions.len());
    for (number, condition) in rule.conditions.iter().enumerate() {
        let compiled = Condition::new(condition)
            .map_err(|message| NotValid { pointer: format!("{at}/conditions/{number}"), message })?;
        conditions.push(compiled);
    }
    let code = match rule.conditions.first() {
        Some(first) => format!("{list}/{}-{}", pointer::escape(&first.path), first.op.name()),
        None => at.clone(),
    };
    Ok(Rule {
        conditions,
        code: code.into(),
        pointer: at.into(),
        message: rule.message.as_deref().map(Into::into),
        timeout: rule.timeout.unwrap_or(APPROVAL_TIMEOUT),
    })
}

fn limit(limit: &model::Limit, at: String, owner: &str) -> Result<Limit, NotValid> {
    let wrong = |message: String| NotValid { pointer: at.clone(), message };
    let max = Amount::parse(&limit.max)
        .filter(|max| *max >= Amount::ZERO)
        .ok_or_else(|| wrong(format!("`max` cannot be {}", limit.max)))?;
    let increment_from = match &limit.increment_from {
        None => None,
        Some(path) => Some(Path::parse(path).map_err(|error| wrong(error.to_string()))?),
    };
    let window = limit.window.seconds();
    let default = || format!("Limit {} reached: {}", limit.counter, allowance(max, window));
    let spec = LimitSpec {
        counter: limit.counter.clone(),
        window,
        max,
        scope: limit.scope.unwrap_or(Scope::Grant),
        rule: format!("{owner}/limits/{}", pointer::escape(&limit.counter)),
        message: limit.on_deny.clone().unwrap_or_else(default),
        pointer: at,
    };
    Ok(Limit { spec: Arc::new(spec), own_message: limit.on_deny.is_some(), increment_from })
}

/// How much is allowed, in words: `30 a minute`, `5 an hour`, `10 in 90 s`.
pub fn allowance(max: Amount, window: u64) -> String {
    match window {
        3_600 => format!("{max} an hour"),
        60 | 86_400 => format!("{max} a {}", Window::label(window)),
        _ => format!("{max} in {}", Window::label(window)),
    }
}

#[cfg(test)]
mod tests;
