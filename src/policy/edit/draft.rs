//! Limits and rules as people give them, before they are part of a text.

use super::tree::New;
use super::{EditError, condition_text};
use crate::json;
use crate::policy::duration;
use crate::policy::model::{Condition, Limit, Op, Rule, RuleList, Scope, Window};
use crate::visible::visible;

/// A limit to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitDraft {
    /// `counter`
    pub counter: String,
    /// `window`
    pub window: Window,
    /// `max`: a number's JSON text.
    pub max: String,
    /// `scope`; left out of the text when `None`.
    pub scope: Option<Scope>,
    /// `increment_from` (extension): a path.
    pub increment_from: Option<String>,
    /// `on_deny` (extension)
    pub on_deny: Option<String>,
}

/// A rule to be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleDraft {
    /// `conditions`; none at all always holds.
    pub conditions: Vec<ConditionDraft>,
    /// `on_deny`, or `on_approve` in `approve_if`.
    pub message: Option<String>,
    /// `timeout` of `approve_if`, for instance `5m`.
    pub timeout: Option<String>,
}

/// A condition to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionDraft {
    /// `path`
    pub path: String,
    /// `op`
    pub op: Op,
    /// `value`: its JSON text.
    pub value: String,
}

impl LimitDraft {
    /// The limit that is recommended where nothing else is known: `max` calls a window of one
    /// grant, counted as `TOOL_rate`.
    pub fn calls(tool: &str, max: u64, window: Window) -> Self {
        Self {
            counter: format!("{tool}_rate"),
            window,
            max: max.to_string(),
            scope: Some(Scope::Grant),
            increment_from: None,
            on_deny: None,
        }
    }

    /// For people: `30 a minute`, `500 of args.amount a day`.
    pub fn summary(&self) -> String {
        let of =
            self.increment_from.as_ref().map_or_else(String::new, |path| format!(" of {}", visible(path)));
        format!("{}{of} {}", visible(&self.max), Window::each(self.window.seconds()))
    }

    pub(super) fn new_value(&self) -> Result<New, EditError> {
        let window = match self.window {
            Window::Minute => New::string("minute"),
            Window::Hour => New::string("hour"),
            Window::Day => New::string("day"),
            Window::Seconds(seconds) => New::Leaf(seconds.to_string()),
        };
        let mut members = vec![
            ("counter".to_owned(), New::string(&self.counter)),
            ("window".to_owned(), window),
            ("max".to_owned(), json_text(&self.max, "max")?),
        ];
        if let Some(scope) = self.scope {
            members.push(("scope".to_owned(), New::string(scope.name())));
        }
        if let Some(path) = &self.increment_from {
            members.push(("increment_from".to_owned(), New::string(path)));
        }
        if let Some(message) = &self.on_deny {
            members.push(("on_deny".to_owned(), New::string(message)));
        }
        Ok(New::Object(members))
    }
}

impl From<&Limit> for LimitDraft {
    fn from(limit: &Limit) -> Self {
        Self {
            counter: limit.counter.clone(),
            window: limit.window,
            max: limit.max.clone(),
            scope: limit.scope,
            increment_from: limit.increment_from.clone(),
            on_deny: limit.on_deny.clone(),
        }
    }
}

impl RuleDraft {
    /// A rule of one condition, without a message.
    pub fn when(path: &str, op: Op, value: &str) -> Self {
        let condition = ConditionDraft { path: path.to_owned(), op, value: value.to_owned() };
        Self { conditions: vec![condition], message: None, timeout: None }
    }

    /// A rule that always holds.
    pub fn always(message: Option<&str>) -> Self {
        Self { conditions: Vec::new(), message: message.map(str::to_owned), timeout: None }
    }

    /// For people: `amount > 100 and currency is "EUR"`; empty when it always holds.
    pub fn summary(&self) -> String {
        let texts = self.conditions.iter().map(|it| condition_text(&it.path, it.op, &it.value));
        texts.collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn new_value(&self, list: RuleList) -> Result<New, EditError> {
        let mut conditions = Vec::with_capacity(self.conditions.len());
        for condition in &self.conditions {
            conditions.push(New::Object(vec![
                ("path".to_owned(), New::string(&condition.path)),
                ("op".to_owned(), New::string(condition.op.name())),
                ("value".to_owned(), json_text(&condition.value, "value")?),
            ]));
        }
        let mut members = vec![("conditions".to_owned(), New::Array(conditions))];
        if let Some(message) = &self.message {
            let key = if list == RuleList::ApproveIf { "on_approve" } else { "on_deny" };
            members.push((key.to_owned(), New::string(message)));
        }
        if let Some(timeout) = &self.timeout {
            members.push(("timeout".to_owned(), New::string(timeout)));
        }
        Ok(New::Object(members))
    }
}

impl From<&Rule> for RuleDraft {
    fn from(rule: &Rule) -> Self {
        Self {
            conditions: rule.conditions.iter().map(ConditionDraft::from).collect(),
            message: rule.message.clone(),
            timeout: rule.timeout.map(duration::print),
        }
    }
}

impl From<&Condition> for ConditionDraft {
    fn from(condition: &Condition) -> Self {
        Self { path: condition.path.clone(), op: condition.op, value: condition.value.clone() }
    }
}

/// A person's JSON text: exactly one value, without duplicate members.
pub(super) fn json_text(text: &str, what: &'static str) -> Result<New, EditError> {
    match json::parse(text) {
        Ok(parsed) if parsed.duplicates.is_empty() => Ok(New::from_node(&parsed.root, text)),
        Ok(_) => Err(EditError::NotJson {
            what,
            text: text.to_owned(),
            why: "a member stands in it twice".to_owned(),
        }),
        Err(error) => Err(EditError::NotJson { what, text: text.to_owned(), why: error.kind.to_string() }),
    }
}
