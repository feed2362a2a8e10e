//! What a policy uses beyond PolicyLayer's documented format.

use crate::json::pointer;
use crate::policy::diagnostic::{Diagnostic, Severity, Sink, tick};
use crate::policy::document::Document;
use crate::policy::model::{Condition, Limit, RuleList, Scope, Tool, Window};
use crate::policy::path::{Path, Step};

/// Names each extension that a document uses, as warnings with the code `extension`. A document
/// with errors has none, as its parts cannot be told apart for sure.
pub fn portable(document: &Document) -> Vec<Diagnostic> {
    if !document.is_valid() {
        return Vec::new();
    }
    let mut found = Found { document, sink: Sink::new(document.text()) };
    let policy = document.policy();
    found.key("/$schema", "`$schema`", "take it away");
    found.key("/description", "`description`", "take it away, or keep it beside the policy");
    found.key("/hide_denied", "`hide_denied`", "name the tools in `hide`");
    for (index, limit) in policy.all_tools_limits.iter().enumerate() {
        found.limit(&format!("/all_tools/limits/{index}"), limit);
    }
    for tool in &policy.tools {
        found.tool(tool);
    }
    found.sink.sorted()
}

struct Found<'d> {
    document: &'d Document,
    sink: Sink<'d>,
}

impl Found<'_> {
    fn note(&mut self, pointer: &str, what: &str, help: &str) {
        let span = self.document.pointer_span(pointer).unwrap_or_default();
        let message = format!("{what} is not in PolicyLayer's documented format");
        self.sink.add(Severity::Warning, "extension", pointer.to_owned(), span, message, help);
    }

    /// Notes a key that is in the text.
    fn key(&mut self, pointer: &str, what: &str, help: &str) {
        if self.document.pointer_span(pointer).is_some() {
            self.note(pointer, what, help);
        }
    }

    fn tool(&mut self, tool: &Tool) {
        let mut at = "/tools".to_owned();
        pointer::push(&mut at, &tool.name);
        self.key(
            &format!("{at}/action"),
            "`action`",
            "`{}` allows, an unconditional `deny_if` denies, `hide` at the top hides",
        );
        self.key(&format!("{at}/reason"), "`reason`", "the message of a rule is its `on_deny`");
        self.key(&format!("{at}/rate_limit"), "`rate_limit`", "write it as an entry of `limits`");
        self.key(
            &format!("{at}/approve_if"),
            "`approve_if`",
            "deny instead, with an `on_deny` that says whom to ask",
        );
        for (list, rules) in [
            (RuleList::Require, &tool.require),
            (RuleList::DenyIf, &tool.deny_if),
            (RuleList::ApproveIf, &tool.approve_if),
        ] {
            for (index, rule) in rules.iter().enumerate() {
                for (place, condition) in rule.conditions.iter().enumerate() {
                    self.condition(&format!("{at}/{}/{index}/conditions/{place}", list.key()), condition);
                }
            }
        }
        for (index, limit) in tool.limits.iter().enumerate() {
            self.limit(&format!("{at}/limits/{index}"), limit);
        }
    }

    fn condition(&mut self, at: &str, condition: &Condition) {
        self.path(&format!("{at}/path"), &condition.path);
    }

    fn path(&mut self, at: &str, path: &str) {
        let Ok(parsed) = Path::parse(path) else { return };
        if parsed.ranges() {
            self.note(at, &format!("`[*]` in {}", tick(path)), "there is no way to reach into arrays there");
        }
        if parsed.steps().iter().any(|step| matches!(step, Step::Number { .. })) {
            self.note(
                at,
                &format!("a number step in {}", tick(path)),
                "there is no way to reach into arrays there",
            );
        }
        if path.contains('\\') {
            self.note(at, &format!("an escape in {}", tick(path)), "names with dots cannot be reached there");
        }
    }

    fn limit(&mut self, at: &str, limit: &Limit) {
        if let Window::Seconds(seconds) = limit.window {
            let help = match seconds {
                60 => "write `\"minute\"`",
                3_600 => "write `\"hour\"`",
                86_400 => "write `\"day\"`",
                _ => "choose `\"minute\"`, `\"hour\"` or `\"day\"`",
            };
            self.note(&format!("{at}/window"), "a window in seconds", help);
        }
        match limit.scope {
            Some(Scope::Grant) => {}
            None => self.note(
                at,
                "a limit without `scope`",
                "add `\"scope\": \"grant\"`, which is what it means here",
            ),
            Some(scope) => {
                self.note(
                    &format!("{at}/scope"),
                    &format!("the scope `{}`", scope.name()),
                    "only `\"grant\"` is",
                );
            }
        }
        if let Some(path) = &limit.increment_from {
            let pointer = format!("{at}/increment_from");
            self.note(&pointer, "`increment_from`", "count calls instead");
            self.path(&pointer, path);
        }
        self.key(&format!("{at}/on_deny"), "`on_deny` of a limit", "take it away");
    }
}
