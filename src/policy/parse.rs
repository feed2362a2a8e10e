//! From a JSON tree to a [`Policy`], naming every error on the way.
//!
//! Nothing is passed over: a key that is not known here may be a misspelt rule, and a rule that
//! silently does not exist is a hole.

mod limits;
mod rules;

use std::collections::{HashMap, HashSet};

use super::diagnostic::{At, Sink, a_type, tick};
use super::model::{self, Action, Hide, Policy, Tool};
use super::strict;
use super::suggest::closest;
use crate::json::{self, Member, Node, Span, Value};

const ROOT_KEYS: &[&str] =
    &["version", "default", "hide", "hide_denied", "all_tools", "tools", "description", "$schema"];
const ALL_TOOLS_KEYS: &[&str] = &["limits"];
const TOOL_KEYS: &[&str] = &["require", "deny_if", "approve_if", "limits", "action", "reason", "rate_limit"];

/// What kind of object a key was met in: decides the help for an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    AllTools,
    Tool,
    Rule,
    ApproveRule,
    Condition,
    Limit,
    RateLimit,
}

impl Place {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Root => ROOT_KEYS,
            Self::AllTools => ALL_TOOLS_KEYS,
            Self::Tool => TOOL_KEYS,
            Self::Rule => rules::RULE_KEYS,
            Self::ApproveRule => rules::APPROVE_RULE_KEYS,
            Self::Condition => rules::CONDITION_KEYS,
            Self::Limit => limits::LIMIT_KEYS,
            Self::RateLimit => limits::RATE_LIMIT_KEYS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Root => "a policy",
            Self::AllTools => "`all_tools`",
            Self::Tool => "a tool's entry",
            Self::Rule => "a rule",
            Self::ApproveRule => "a rule of `approve_if`",
            Self::Condition => "a condition",
            Self::Limit => "a limit",
            Self::RateLimit => "`rate_limit`",
        }
    }
}

/// The keys that an object may have, by the way to it: names of members, `*` for an element.
pub(super) fn keys_of(path: &[&str]) -> &'static [&'static str] {
    let place = match path {
        [] => Place::Root,
        ["all_tools"] => Place::AllTools,
        ["tools", _] => Place::Tool,
        ["tools", _, "require" | "deny_if", "*"] => Place::Rule,
        ["tools", _, "approve_if", "*"] => Place::ApproveRule,
        ["tools", _, "require" | "deny_if" | "approve_if", "*", "conditions", "*"] => Place::Condition,
        ["all_tools", "limits", "*"] | ["tools", _, "limits", "*"] => Place::Limit,
        ["tools", _, "rate_limit"] => Place::RateLimit,
        _ => return &[],
    };
    place.keys()
}

/// Words of other formats and other places, and what they are here.
fn other_words(place: Place, key: &str) -> Option<&'static str> {
    Some(match (place, key) {
        (Place::Root | Place::AllTools, "require" | "deny_if" | "approve_if" | "action" | "rate_limit") => {
            "it belongs to a tool: `\"tools\": { \"NAME\": { ... } }`"
        }
        (Place::Root, "limits") => "limits of every call stand in `all_tools.limits`, a tool's in its entry",
        (Place::Tool, "conditions" | "on_deny") => {
            "it belongs to a rule: `\"deny_if\": [ { \"conditions\": [ ... ] } ]`"
        }
        (Place::Tool, "counter" | "max" | "window" | "scope" | "increment_from") => {
            "it belongs to a limit: `\"limits\": [ { ... } ]`"
        }
        (Place::Tool, "allow") => "an entry without rules, `{}`, allows the tool",
        (Place::Tool, "deny") => "to deny every call write `\"deny_if\": [ { \"conditions\": [] } ]`",
        (Place::Tool, "hide" | "hidden") => "hidden tools are named in `hide` at the top",
        (Place::Tool, "approve" | "approval" | "require_approval") => {
            "to ask for approval of every call write `\"approve_if\": [ { \"conditions\": [] } ]`"
        }
        (Place::Tool, "rules") => "rules stand in `require`, `deny_if` or `approve_if`",
        (Place::Rule, "path" | "op" | "value") => "it belongs to a condition: `\"conditions\": [ { ... } ]`",
        (Place::Rule, "on_approve" | "timeout") => "only rules of `approve_if` have it",
        (Place::ApproveRule, "message" | "reason" | "on_deny") => {
            "the text shown to the person is `on_approve`"
        }
        (Place::Condition, "operator") => "the operator is `op`",
        (Place::Condition, "field" | "arg" | "argument" | "key") => "the argument is named by `path`",
        (Place::Condition, "values") => "the value or list of values is `value`",
        (Place::Rule | Place::Limit, "message" | "reason") => "the text for a denied call is `on_deny`",
        (Place::Limit, "name" | "key") => "the counter's name is `counter`",
        (Place::Limit | Place::RateLimit, "limit" | "count" | "calls") => "the bound is `max`",
        (Place::Limit | Place::RateLimit, "per" | "period" | "interval") => "the length of time is `window`",
        _ => return None,
    })
}

/// Reads the tree; `None` when it is not an object. The patterns in `known`, as JSON text, are known
/// to compile.
pub(super) fn policy(
    text: &str,
    parsed: &json::Parsed<'_>,
    known: &HashSet<&str>,
    sink: &mut Sink<'_>,
) -> Option<Policy> {
    let mut reader = Reader { text, known, sink };
    let root = &parsed.root;
    reader.sink.whole(parsed);
    let at = At::ROOT;
    if !reader.object(&at, root, Place::Root) {
        return None;
    }
    reader.version(&at, root);
    let default = reader.default(&at, root);
    if let Some(node) = root.get("$schema") {
        reader.sink.string(&at.key("$schema"), node, "`$schema`");
    }
    let description = root
        .get("description")
        .and_then(|node| reader.sink.string(&at.key("description"), node, "`description`"));
    let hide = root.get("hide").map(|node| reader.hide(&at.key("hide"), node)).unwrap_or_default();
    let hide_denied = root
        .get("hide_denied")
        .and_then(|node| reader.boolean(&at.key("hide_denied"), node, "`hide_denied`"))
        .unwrap_or(false);
    let mut counters = Counters::default();
    let all_tools_limits = root
        .get("all_tools")
        .map(|node| {
            let at = at.key("all_tools");
            reader.object(&at, node, Place::AllTools);
            node.get("limits").map(|node| reader.limits(&at.key("limits"), node, None)).unwrap_or_default()
        })
        .unwrap_or_default();
    for (index, limit) in &all_tools_limits {
        let at = at.key("all_tools");
        let at = at.key("limits");
        reader.count_once(
            &mut counters.all,
            None,
            &limit.counter,
            limit.window,
            &at.index(*index),
            limit.span,
        );
    }
    let tools =
        root.get("tools").map(|node| reader.tools(&at.key("tools"), node, &counters)).unwrap_or_default();
    let all_tools_limits = all_tools_limits.into_iter().map(|(_, limit)| limit).collect();
    Some(Policy { default, hide, hide_denied, all_tools_limits, tools, description })
}

/// The counters that every call counts already: (name, window in seconds) and where.
#[derive(Default)]
struct Counters {
    all: HashMap<(String, u64), String>,
}

struct Reader<'r, 's> {
    text: &'r str,
    known: &'r HashSet<&'r str>,
    sink: &'r mut Sink<'s>,
}

impl Reader<'_, '_> {
    fn missing(&mut self, at: &At<'_>, node: &Node<'_>, place: Place, key: &str, help: &str) {
        self.sink.missing(at, node, format!("{} needs `{key}`", place.name()), help);
    }

    /// Reports the unknown keys of an object; `false` when the node is none.
    fn object(&mut self, at: &At<'_>, node: &Node<'_>, place: Place) -> bool {
        let kind = strict::Place(place.name(), place.keys());
        self.sink.object(at, node, kind, |key| other_words(place, key)).is_some()
    }

    fn boolean(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.sink.wrong_type(at, node, what, "`true` or `false`");
        None
    }

    /// One of a few words; `None` after reporting what it is instead.
    fn word(
        &mut self,
        at: &At<'_>,
        node: &Node<'_>,
        what: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let known = known.join(", ");
        let Some(text) = node.as_str() else {
            self.sink.wrong_type(at, node, what, &format!("one of {known}"));
            return None;
        };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(word);
        }
        let help = match closest(text, words.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it may be {known}"),
        };
        self.sink.error("unknown-value", at, node.span, format!("{what} cannot be {}", tick(text)), help);
        None
    }

    fn version(&mut self, at: &At<'_>, root: &Node<'_>) {
        let Some(node) = root.get("version") else {
            self.missing(at, root, Place::Root, "version", "add `\"version\": \"1\"`");
            return;
        };
        let at = at.key("version");
        match &node.value {
            Value::String(text) if text.as_str() == "1" => {}
            Value::String(text) => {
                let message = format!("version {} is not known", tick(text.as_str()));
                self.sink.error(
                    "unknown-version",
                    &at,
                    node.span,
                    message,
                    "this program reads version `\"1\"`",
                );
            }
            Value::Number(_) => self.sink.error(
                "wrong-type",
                &at,
                node.span,
                "`version` must be a string, not a number".to_owned(),
                "write `\"1\"` in quotes",
            ),
            _ => self.sink.wrong_type(&at, node, "`version`", "the string `\"1\"`"),
        }
    }

    fn default(&mut self, at: &At<'_>, root: &Node<'_>) -> model::Default {
        let Some(node) = root.get("default") else {
            let help = "add `\"default\": \"deny\"`: what happens to tools that are not listed";
            self.missing(at, root, Place::Root, "default", help);
            return model::Default::Deny;
        };
        match self.word(&at.key("default"), node, "`default`", &["allow", "deny"]) {
            Some("allow") => model::Default::Allow,
            _ => model::Default::Deny,
        }
    }

    fn hide(&mut self, at: &At<'_>, node: &Node<'_>) -> Hide {
        let Some(items) = node.as_array() else {
            self.sink.wrong_type(at, node, "`hide`", "an array of tool names");
            return Hide::default();
        };
        if let [only] = items
            && only.as_str() == Some("*")
        {
            return Hide { all: true, names: Vec::new() };
        }
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            let Some(name) = item.as_str() else {
                self.sink.wrong_type(&at, item, "an entry of `hide`", "a tool's name");
                continue;
            };
            if name == "*" {
                let message = "`*` hides every tool and must stand alone".to_owned();
                self.sink.error("wildcard", &at, item.span, message, "write `[\"*\"]`, or take away `*`");
            } else if self.tool_name(&at, name, item.span) {
                names.push((name.to_owned(), item.span));
            }
        }
        Hide { all: false, names }
    }

    /// Whether a name can be a tool's; says why not.
    fn tool_name(&mut self, at: &At<'_>, name: &str, span: Span) -> bool {
        if name.is_empty() {
            let help = "name the tool exactly as `tools/list` does";
            self.sink.error("empty-name", at, span, "a tool's name is empty".to_owned(), help);
            return false;
        }
        if name.contains('*') {
            let message = format!("there are no patterns in tool names: {}", tick(name));
            let help = "use `all_tools` for limits of every call, or list the names";
            self.sink.error("wildcard", at, span, message, help);
            return false;
        }
        true
    }

    fn tools(&mut self, at: &At<'_>, node: &Node<'_>, counters: &Counters) -> Vec<Tool> {
        let Some(members) = node.as_object() else {
            self.sink.wrong_type(at, node, "`tools`", "an object with tool names as keys");
            return Vec::new();
        };
        let mut tools = Vec::with_capacity(members.len());
        for member in members {
            let name = member.key.as_str();
            let at = at.key(name);
            let named = self.tool_name(&at, name, member.key_span);
            if let Some(tool) = self.tool(&at, member, counters)
                && named
            {
                tools.push(tool);
            }
        }
        tools
    }

    fn tool(&mut self, at: &At<'_>, member: &Member<'_>, counters: &Counters) -> Option<Tool> {
        let node = &member.value;
        if !self.object(at, node, Place::Tool) {
            return None;
        }
        let name = member.key.as_str().to_owned();
        let mut list = |key: &'static str, place| {
            node.get(key).map(|node| self.rules(&at.key(key), node, key, place)).unwrap_or_default()
        };
        let require = list("require", Place::Rule);
        let deny_if = list("deny_if", Place::Rule);
        let approve_if = list("approve_if", Place::ApproveRule);
        let action = node.get("action").and_then(|node| self.action(&at.key("action"), node));
        let reason =
            node.get("reason").and_then(|node| self.sink.string(&at.key("reason"), node, "`reason`"));
        let limits = node
            .get("limits")
            .map(|node| self.limits(&at.key("limits"), node, Some(&name)))
            .unwrap_or_default();
        let rate_limit = node.get("rate_limit").and_then(|node| self.rate_limit(&at.key("rate_limit"), node));

        let mut seen = HashMap::new();
        if let Some(limit) = &rate_limit {
            let counter = format!("{name}_rate");
            let at = at.key("rate_limit");
            self.count_once(&mut seen, Some(counters), &counter, limit.window, &at, limit.span);
        }
        for (index, limit) in &limits {
            let at = at.key("limits");
            self.count_once(
                &mut seen,
                Some(counters),
                &limit.counter,
                limit.window,
                &at.index(*index),
                limit.span,
            );
        }
        Some(Tool {
            name,
            name_span: member.key_span,
            span: node.span,
            require,
            deny_if,
            approve_if,
            limits: limits.into_iter().map(|(_, limit)| limit).collect(),
            action,
            reason,
            rate_limit,
        })
    }

    fn action(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Action> {
        let word = self.word(at, node, "`action`", &["allow", "deny", "hide", "approve"])?;
        Some(match word {
            "allow" => Action::Allow,
            "deny" => Action::Deny,
            "hide" => Action::Hide,
            _ => Action::Approve,
        })
    }
}
