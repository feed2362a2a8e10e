//! Rules and conditions.

use super::{At, Place, Reader, a_type};
use crate::json::number::Decimal;
use crate::json::{Node, Span, Value};
use crate::policy::diagnostic::tick;
use crate::policy::duration;
use crate::policy::model::{Condition, Op, Rule};
use crate::policy::path::Path;
use crate::policy::suggest::closest;
use crate::visible::visible;

pub(super) const RULE_KEYS: &[&str] = &["conditions", "on_deny"];
pub(super) const APPROVE_RULE_KEYS: &[&str] = &["conditions", "on_approve", "timeout"];
pub(super) const CONDITION_KEYS: &[&str] = &["path", "op", "value"];

impl Reader<'_, '_> {
    /// The rules that parsed.
    pub(super) fn rules(&mut self, at: &At<'_>, node: &Node<'_>, key: &str, place: Place) -> Vec<Rule> {
        let Some(items) = node.as_array() else {
            let message = format!("`{key}` must be an array of rules, not {}", a_type(node));
            let help = match node.value {
                Value::Object(_) => format!("put the rule into brackets: `\"{key}\": [ {{ ... }} ]`"),
                _ => String::new(),
            };
            self.sink.error("wrong-type", at, node.span, message, help);
            return Vec::new();
        };
        let read = |(index, item)| self.rule(&at.index(index), item, place);
        items.iter().enumerate().filter_map(read).collect()
    }

    fn rule(&mut self, at: &At<'_>, node: &Node<'_>, place: Place) -> Option<Rule> {
        if !self.object(at, node, place) {
            return None;
        }
        let conditions = self.conditions(at, node, place);
        let message_key = if place == Place::ApproveRule { "on_approve" } else { "on_deny" };
        let message = match node.get(message_key) {
            None => Some(None),
            Some(node) => self.sink.string(&at.key(message_key), node, &format!("`{message_key}`")).map(Some),
        };
        let timeout = match node.get("timeout").filter(|_| place == Place::ApproveRule) {
            None => Some(None),
            Some(node) => self.timeout(&at.key("timeout"), node).map(Some),
        };
        Some(Rule { span: node.span, conditions: conditions?, message: message?, timeout: timeout? })
    }

    fn timeout(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<u64> {
        let seconds = node.as_str().and_then(duration::parse);
        if seconds.is_none() {
            let help = match &node.value {
                Value::Number(spelt) => format!("write it with its unit: `\"{spelt}s\"`"),
                _ => "for instance `\"90s\"`, `\"5m\"` or `\"1h\"`".to_owned(),
            };
            let message = match node.as_str() {
                Some(text) => format!("`timeout` cannot be {}", tick(text)),
                None => format!("`timeout` must be a length of time, not {}", a_type(node)),
            };
            self.sink.error("bad-timeout", at, node.span, message, help);
        }
        seconds
    }

    fn conditions(&mut self, at: &At<'_>, node: &Node<'_>, place: Place) -> Option<Vec<Condition>> {
        let Some(list) = node.get("conditions") else {
            self.missing(at, node, place, "conditions", "a rule that always holds has `\"conditions\": []`");
            return None;
        };
        let at = at.key("conditions");
        let Some(items) = list.as_array() else {
            let message = format!("`conditions` must be an array, not {}", a_type(list));
            let help = match list.value {
                Value::Object(_) => "put the condition into brackets: `[ { ... } ]`",
                _ => "",
            };
            self.sink.error("wrong-type", &at, list.span, message, help);
            return None;
        };
        // Every condition is read, so that all errors are named; one bad one drops the rule, as a
        // rule with fewer conditions would be another rule.
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            read.push(self.condition(&at.index(index), item));
        }
        read.into_iter().collect()
    }

    fn condition(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Condition> {
        if !self.object(at, node, Place::Condition) {
            return None;
        }
        let path = match node.get("path") {
            None => {
                let help = "name the argument: `\"path\": \"args.NAME\"`";
                self.missing(at, node, Place::Condition, "path", help);
                None
            }
            Some(node) => {
                let at = at.key("path");
                self.sink.string(&at, node, "`path`").filter(|path| self.path(&at, node.span, path))
            }
        };
        let op = match node.get("op") {
            None => {
                self.missing(at, node, Place::Condition, "op", &operators());
                None
            }
            Some(node) => self.op(&at.key("op"), node),
        };
        let value = match node.get("value") {
            None => {
                let help = match op {
                    Some(Op::Exists) => {
                        "add `\"value\": true`, or `false` for an argument that must be left out"
                    }
                    Some(Op::In | Op::NotIn) => "add the list of values: `\"value\": [ ... ]`",
                    _ => "add what the argument is compared with",
                };
                self.missing(at, node, Place::Condition, "value", help);
                None
            }
            Some(value) => op.filter(|op| self.value(&at.key("value"), *op, value)).map(|_| value.span),
        };
        let value = value?.of(self.text).to_owned();
        Some(Condition { span: node.span, path: path?, op: op?, value })
    }

    fn op(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Op> {
        let Some(name) = node.as_str() else {
            let message = format!("`op` must be a string, not {}", a_type(node));
            self.sink.error("wrong-type", at, node.span, message, operators());
            return None;
        };
        let op = Op::parse(name);
        if op.is_none() {
            let meant = alias(name).or_else(|| closest(name, Op::ALL.into_iter().map(Op::name)));
            let help = meant.map_or_else(operators, |meant| format!("did you mean `{meant}`?"));
            self.sink.error(
                "unknown-operator",
                at,
                node.span,
                format!("unknown operator {}", tick(name)),
                help,
            );
        }
        op
    }

    /// Whether a path can be followed; says why not.
    pub(super) fn path(&mut self, at: &At<'_>, span: Span, path: &str) -> bool {
        match Path::parse(path) {
            Ok(_) => true,
            Err(error) => {
                let message = format!("{}: {}", error.message, tick(path));
                self.sink.error("bad-path", at, span, message, visible(&error.help));
                false
            }
        }
    }

    /// Whether a value fits its operator; says why not.
    fn value(&mut self, at: &At<'_>, op: Op, node: &Node<'_>) -> bool {
        let name = op.name();
        let (wanted, help): (&str, String) = match (op, &node.value) {
            (Op::Eq | Op::Neq, Value::Null) => {
                let value = op == Op::Neq;
                let message =
                    format!("`{name}` cannot compare with null: a missing argument and null are one");
                let help = format!("use `\"op\": \"exists\", \"value\": {value}`");
                self.sink.error("null-value", at, node.span, message, help);
                return false;
            }
            (Op::Lt | Op::Lte | Op::Gt | Op::Gte, Value::Number(spelt)) => {
                if Decimal::parse(spelt).is_none() {
                    let message = format!("{} is too extreme a number to compare with", tick(spelt));
                    self.sink.error("bad-value", at, node.span, message, "");
                    return false;
                }
                return true;
            }
            (Op::Eq | Op::Neq, _)
            | (Op::In | Op::NotIn, Value::Array(_))
            | (Op::Exists, Value::Bool(_))
            | (Op::Contains, Value::String(_) | Value::Number(_) | Value::Bool(_)) => return true,
            (Op::Regex, Value::String(_)) if self.known.contains(node.span.of(self.text)) => return true,
            (Op::Regex, Value::String(pattern)) => return self.regex(at, node.span, pattern.as_str()),
            (Op::Lt | Op::Lte | Op::Gt | Op::Gte, Value::String(text))
                if Decimal::parse(text.as_str()).is_some() =>
            {
                ("a number", format!("write the number without quotes: `{}`", text.as_str()))
            }
            (Op::Lt | Op::Lte | Op::Gt | Op::Gte, _) => ("a number", String::new()),
            (Op::In | Op::NotIn, Value::Object(_) | Value::Null) => ("an array", String::new()),
            (Op::In | Op::NotIn, _) => {
                let shown = tick(&format!("[{}]", node.span.of(self.text)));
                ("an array", format!("put it into brackets: {shown}"))
            }
            (Op::Exists, _) => ("`true` or `false`", String::new()),
            (Op::Regex, _) => ("a string with a pattern", String::new()),
            (Op::Contains, _) => ("a string, a number, `true` or `false`", String::new()),
        };
        let message = format!("the value of `{name}` must be {wanted}, not {}", a_type(node));
        self.sink.error("bad-value", at, node.span, message, help);
        false
    }

    fn regex(&mut self, at: &At<'_>, span: Span, pattern: &str) -> bool {
        let Err(error) = regex::Regex::new(pattern) else { return true };
        let (message, help) = explain(pattern, &error);
        self.sink.error("bad-regex", at, span, message, help);
        false
    }
}

/// The crate's error in one line, and what people mean by what it does not have.
fn explain(pattern: &str, error: &regex::Error) -> (String, &'static str) {
    let text = match error {
        regex::Error::CompiledTooBig(_) => "it grows too large when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let last =
                text.lines().rev().find_map(|line| line.trim().strip_prefix("error: ").map(str::to_owned));
            last.unwrap_or_else(|| text.lines().next_back().unwrap_or("").trim().to_owned())
        }
    };
    let help = if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look)) {
        "look-around would not run in linear time and does not exist here; split the rule into `require` and `deny_if`"
    } else if text.contains("backreferences") {
        "backreferences would not run in linear time and do not exist here"
    } else if pattern.starts_with('*') {
        "a pattern is a regular expression: `.*` matches anything"
    } else if matches!(error, regex::Error::CompiledTooBig(_)) {
        "make the repetitions smaller"
    } else {
        "a literal character such as `(`, `[`, `{`, `*` or `?` is written with `\\\\` before it"
    };
    (format!("the pattern {} does not compile: {text}", tick(pattern)), help)
}

fn operators() -> String {
    let names: Vec<String> = Op::ALL.into_iter().map(|op| format!("`{}`", op.name())).collect();
    format!("the operators are {}", names.join(", "))
}

/// What other languages call the operators.
fn alias(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "=" | "==" | "===" | "equals" | "equal" | "is" => "eq",
        "!=" | "!==" | "<>" | "ne" | "not_eq" | "not_equals" | "not" => "neq",
        "<" | "less_than" => "lt",
        "<=" | "le" | "max" => "lte",
        ">" | "greater_than" => "gt",
        ">=" | "ge" | "min" => "gte",
        "one_of" | "any_of" => "in",
        "nin" | "notin" | "none_of" => "not_in",
        "present" | "exist" | "defined" => "exists",
        "matches" | "match" | "=~" | "re" | "pattern" | "regexp" => "regex",
        "includes" | "has" | "substring" => "contains",
        _ => return None,
    })
}
