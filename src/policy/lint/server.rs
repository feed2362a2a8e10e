//! A policy beside the server's own tools: arguments that it does not have, types that cannot
//! match, and arguments that a call may leave out.

use super::Lint;
use super::implies::Fact;
use super::rules::is_required;
use crate::json;
use crate::policy::condition::Truth;
use crate::policy::diagnostic::tick;
use crate::policy::model::{Condition, Op, RuleList, Tool};
use crate::policy::path::Path;
use crate::policy::schema::{Argument, JsonType, Known, ToolShape};
use crate::policy::suggest::closest;

impl Lint<'_> {
    /// Holds the paths of a tool's rules and limits against its schema.
    pub(super) fn arguments(&mut self, at: &str, tool: &Tool) {
        let Some(shape) =
            self.server.as_ref().and_then(|server| server.shapes.get(tool.name.as_str())).copied()
        else {
            return;
        };
        for (list, rules) in [
            (RuleList::Require, &tool.require),
            (RuleList::DenyIf, &tool.deny_if),
            (RuleList::ApproveIf, &tool.approve_if),
        ] {
            for (index, rule) in rules.iter().enumerate() {
                for (place, condition) in rule.conditions.iter().enumerate() {
                    let at = format!("{at}/{}/{index}/conditions/{place}", list.key());
                    if let Some(argument) = self.argument(format!("{at}/path"), shape, &condition.path) {
                        self.condition(&at, list, tool, condition, argument);
                    }
                }
            }
        }
        for (index, limit) in tool.limits.iter().enumerate() {
            let Some(path) = &limit.increment_from else { continue };
            let at = format!("{at}/limits/{index}/increment_from");
            if let Some(argument) = self.argument(at.clone(), shape, path)
                && !argument.types.is_empty()
                && !argument.types.iter().any(|kind| matches!(kind, JsonType::Number | JsonType::Integer))
            {
                let message = format!(
                    "{} is {} by its schema: every call would be denied",
                    tick(path),
                    types(argument)
                );
                self.warn_at("never-holds", at, message, "name an argument that is a number");
            }
        }
    }

    /// The argument at a path; warns when the server has none.
    fn argument<'s>(&mut self, at: String, shape: &'s ToolShape, path: &str) -> Option<&'s Argument> {
        match shape.known(&Path::parse(path).ok()?) {
            Known::Yes(argument) => Some(argument),
            Known::Unsure => None,
            Known::No => {
                let known = shape.arguments.iter().map(|argument| argument.path.as_str());
                let names: Vec<String> = known.clone().take(8).map(tick).collect();
                let help = match closest(path, known) {
                    Some(meant) => format!("did you mean {}?", tick(meant)),
                    None if names.is_empty() => "it takes no arguments".to_owned(),
                    None => format!("it has {}", names.join(", ")),
                };
                let message = format!("the tool {} has no argument {}", tick(&shape.name), tick(path));
                self.warn_at("unknown-argument", at, message, help);
                None
            }
        }
    }

    fn condition(
        &mut self,
        at: &str,
        list: RuleList,
        tool: &Tool,
        condition: &Condition,
        argument: &Argument,
    ) {
        let Some(fact) = Fact::new(condition) else { return };
        if let Some(needed) = fact.needs()
            && !argument.types.is_empty()
            && !argument.types.iter().any(|kind| needed.contains(&json_name(*kind)))
        {
            let message = format!(
                "{} is {} by its schema, and `{}` here needs {}",
                tick(&condition.path),
                types(argument),
                condition.op.name(),
                needed.join(" or ")
            );
            self.warn_at("wrong-argument-type", at.to_owned(), message, "the condition can never be met");
            return;
        }
        if !argument.choices.is_empty() && !fact.wants_missing() {
            let fits = |choice: &serde_json::Value| fact.truth_of(&choice.to_string()) == Some(Truth::True);
            if !argument.choices.iter().any(fits) {
                let shown: Vec<String> =
                    argument.choices.iter().take(8).map(|choice| tick(&choice.to_string())).collect();
                let message =
                    format!("no value that the schema allows for {} meets this", tick(&condition.path));
                self.warn_at(
                    "never-holds",
                    at.to_owned(),
                    message,
                    format!("it may be {}", shown.join(", ")),
                );
                return;
            }
        }
        if list == RuleList::DenyIf
            && !argument.required
            && condition.op != Op::Exists
            && !condition.path.contains("[*]")
            && !is_required(tool, &condition.path)
        {
            let exists = format!(
                "if that must not be, add `\"require\": [ {{ \"conditions\": [ {{ \"path\": {}, \"op\": \"exists\", \"value\": true }} ] }} ]`",
                quoted(&condition.path)
            );
            let message = format!(
                "the schema leaves {} optional: a call without it passes this rule",
                tick(&condition.path)
            );
            self.warn_at("optional-argument", at.to_owned(), message, exists);
        }
    }
}

fn quoted(path: &str) -> String {
    let mut out = String::new();
    json::canonical::quote(path, &mut out);
    crate::visible::visible(&out).into_owned()
}

/// The name that evaluation uses: integers are numbers there.
fn json_name(kind: JsonType) -> &'static str {
    if kind == JsonType::Integer { "number" } else { kind.name() }
}

fn types(argument: &Argument) -> String {
    let names: Vec<&str> = argument.types.iter().map(|kind| kind.name()).collect();
    names.join(" or ")
}
