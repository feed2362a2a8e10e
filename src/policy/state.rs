//! What a policy makes of a tool, in one word and in one line.

use std::collections::{HashMap, HashSet};

use super::model::{self, Action, Limit, Op, Policy, Rule, Tool, Window};
use crate::json;
use crate::visible::visible;

/// A tool's state: what happens to a call that no conditional rule stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ToolState {
    /// Calls pass, subject to rules and limits.
    Allow,
    /// Every call is denied, visibly.
    Deny,
    /// The tool is not shown, and unknown when called.
    Hide,
    /// Every call needs a person's approval.
    Approve,
}

impl ToolState {
    /// All of them, in the order in which one key walks through them.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Approve, Self::Deny, Self::Hide];

    /// The word for it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Hide => "hide",
            Self::Approve => "approve",
        }
    }
}

/// The state of a tool. For many tools use [`States`].
pub fn state_of(policy: &Policy, tool: &str) -> ToolState {
    let hidden = policy.hide.all || policy.hide.names.iter().any(|(name, _)| name == tool);
    state(policy, hidden, policy.tool(tool))
}

/// The states of many tools: one pass over the policy, then each by name at once.
#[derive(Debug)]
pub struct States<'p> {
    policy: &'p Policy,
    hidden: HashSet<&'p str>,
    tools: HashMap<&'p str, &'p Tool>,
}

impl<'p> States<'p> {
    /// Looks the policy through.
    pub fn of(policy: &'p Policy) -> Self {
        let mut tools = HashMap::with_capacity(policy.tools.len());
        for tool in &policy.tools {
            tools.entry(tool.name.as_str()).or_insert(tool);
        }
        let hidden = policy.hide.names.iter().map(|(name, _)| name.as_str()).collect();
        Self { policy, hidden, tools }
    }

    /// The state of a tool.
    pub fn state(&self, tool: &str) -> ToolState {
        state(self.policy, self.policy.hide.all || self.hidden.contains(tool), self.tool(tool))
    }

    /// The tool's entry.
    pub fn tool(&self, tool: &str) -> Option<&'p Tool> {
        self.tools.get(tool).copied()
    }

    /// As [`rules_at_a_glance`].
    pub fn glance(&self, tool: &str) -> String {
        self.tool(tool).map_or_else(String::new, tool_glance)
    }
}

/// The state of a tool whose place in the policy is known: whether `hide` has it, and its entry.
pub fn state(policy: &Policy, hidden: bool, entry: Option<&Tool>) -> ToolState {
    let Some(tool) = entry else {
        return match (hidden, policy.default) {
            (true, _) => ToolState::Hide,
            (false, model::Default::Deny) => ToolState::Deny,
            (false, model::Default::Allow) => ToolState::Allow,
        };
    };
    if hidden || tool.action == Some(Action::Hide) {
        ToolState::Hide
    } else if tool.action == Some(Action::Deny) || tool.deny_if.iter().any(always) {
        ToolState::Deny
    } else if tool.action == Some(Action::Approve) || tool.approve_if.iter().any(always) {
        ToolState::Approve
    } else {
        ToolState::Allow
    }
}

/// Whether a rule holds for every call.
pub fn always(rule: &Rule) -> bool {
    rule.conditions.is_empty()
}

/// A tool's limits and conditional rules in one line, limits first: `30/min, deny if amount > 100`.
/// What its state says already is left out; empty when there is nothing more.
pub fn rules_at_a_glance(policy: &Policy, tool: &str) -> String {
    policy.tool(tool).map_or_else(String::new, tool_glance)
}

/// As [`rules_at_a_glance`], of an entry.
pub fn tool_glance(tool: &Tool) -> String {
    let mut parts = Vec::new();
    if let Some(limit) = &tool.rate_limit {
        parts.push(format!("{}/{}", visible(&limit.max), short_window(limit.window)));
    }
    parts.extend(tool.limits.iter().map(limit_text));
    for (word, rules) in
        [("require", &tool.require), ("deny if", &tool.deny_if), ("approve if", &tool.approve_if)]
    {
        for rule in rules.iter().filter(|rule| !always(rule)) {
            parts.push(format!("{word} {}", rule_text(rule)));
        }
    }
    parts.join(", ")
}

/// A limit in a few characters: `30/min`, `500 amount/day`.
pub fn limit_text(limit: &Limit) -> String {
    let of = limit.increment_from.as_ref().map_or_else(String::new, |path| format!(" {}", short_path(path)));
    format!("{}{of}/{}", visible(&limit.max), short_window(limit.window))
}

/// A rule's conditions for people: `amount > 100 and currency is "EUR"`; `always` when it has none.
pub fn rule_text(rule: &Rule) -> String {
    if always(rule) {
        return "always".to_owned();
    }
    let texts = rule.conditions.iter().map(|it| condition_text(&it.path, it.op, &it.value));
    texts.collect::<Vec<_>>().join(" and ")
}

/// A condition for people; `value` is JSON text.
pub fn condition_text(path: &str, op: Op, value: &str) -> String {
    let path = short_path(path);
    let value = value.trim();
    let plain = match json::parse(value) {
        Ok(parsed) => parsed.root.as_str().map(str::to_owned),
        Err(_) => None,
    };
    let shown = shorten(&visible(value));
    match op {
        Op::Exists => format!("{path} is {}", if value == "false" { "missing" } else { "given" }),
        Op::Regex => format!("{path} ~ /{}/", shorten(&visible(plain.as_deref().unwrap_or(value)))),
        Op::Contains => format!("{path} contains {shown}"),
        Op::In => format!("{path} in {shown}"),
        Op::NotIn => format!("{path} not in {shown}"),
        Op::Eq => format!("{path} = {shown}"),
        Op::Neq => format!("{path} != {shown}"),
        Op::Lt => format!("{path} < {shown}"),
        Op::Lte => format!("{path} <= {shown}"),
        Op::Gt => format!("{path} > {shown}"),
        Op::Gte => format!("{path} >= {shown}"),
    }
}

fn short_path(path: &str) -> String {
    visible(path.strip_prefix("args.").unwrap_or(path)).into_owned()
}

fn short_window(window: Window) -> String {
    match window.seconds() {
        60 => "min".to_owned(),
        3_600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        seconds => super::duration::print(seconds),
    }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Document;

    fn policy(text: &str) -> Policy {
        let parsed = Document::parse(text);
        assert_eq!(parsed.diagnostics, []);
        parsed.document.unwrap().policy().clone()
    }

    #[test]
    fn states_follow_the_strongest_word() {
        let policy = policy(
            r#"{"version":"1","default":"deny","hide":["h","both"],"tools":{
                "plain":{}, "both":{}, "listed":{"action":"allow"}, "d":{"action":"deny"}, "x":{"action":"hide"},
                "a":{"action":"approve"}, "never":{"deny_if":[{"conditions":[{"path":"args.a","op":"eq","value":1}]},{"conditions":[]}]},
                "ask":{"approve_if":[{"conditions":[]}]}, "ask_never":{"approve_if":[{"conditions":[]}],"deny_if":[{"conditions":[]}]},
                "some":{"deny_if":[{"conditions":[{"path":"args.a","op":"eq","value":1}]}]}}}"#,
        );
        let states = States::of(&policy);
        for (tool, state) in [
            ("plain", ToolState::Allow),
            ("listed", ToolState::Allow),
            ("some", ToolState::Allow),
            ("both", ToolState::Hide),
            ("h", ToolState::Hide),
            ("x", ToolState::Hide),
            ("d", ToolState::Deny),
            ("never", ToolState::Deny),
            ("ask_never", ToolState::Deny),
            ("unlisted", ToolState::Deny),
            ("a", ToolState::Approve),
            ("ask", ToolState::Approve),
        ] {
            assert_eq!(state_of(&policy, tool), state, "{tool}");
            assert_eq!(states.state(tool), state, "{tool}");
        }
        let open = super::Policy { default: model::Default::Allow, ..policy.clone() };
        assert_eq!(state_of(&open, "unlisted"), ToolState::Allow);
        let mut closed = policy;
        closed.hide.all = true;
        assert_eq!(state_of(&closed, "plain"), ToolState::Hide);
    }

    #[test]
    fn glances_are_short() {
        let policy = policy(
            r#"{"version":"1","default":"deny","tools":{"t":{"rate_limit":{"max":5,"window":90},
                "limits":[{"counter":"c","window":"minute","max":30},{"counter":"s","window":"day","max":500,"increment_from":"args.amount"}],
                "deny_if":[{"conditions":[]},{"conditions":[{"path":"args.amount","op":"gt","value":100},{"path":"args.to","op":"exists","value":false}]}],
                "require":[{"conditions":[{"path":"args.cmd","op":"regex","value":"^ls\u0007$"}]}],
                "approve_if":[{"conditions":[{"path":"args.x","op":"in","value":[1,2]}]}]}}}"#,
        );
        assert_eq!(
            rules_at_a_glance(&policy, "t"),
            "5/1m30s, 30/min, 500 amount/day, require cmd ~ /^ls\\u{7}$/, deny if amount > 100 and to is missing, approve if x in [1,2]"
        );
        assert_eq!(rules_at_a_glance(&policy, "other"), "");
    }
}
