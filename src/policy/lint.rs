//! Warnings: what is legal in a policy but surely not meant.
//!
//! Only what can be shown is said: that a rule can never hold, or that another covers it, follows
//! from the same evaluation that decides calls, never from a guess.

mod implies;
mod limits;
mod portable;
mod reach;
mod rules;
mod server;

use std::collections::{HashMap, HashSet};

pub use portable::portable;
pub use reach::{Shadowed, shadowed};

use super::diagnostic::{Diagnostic, Severity, Sink, tick};
use super::document::Document;
use super::model::{Action, Tool};
use super::schema::{ToolShape, by_name};
use super::suggest::closest;
use crate::json::{Span, pointer};

/// What the description of a policy begins with that was suggested, and that nobody has accepted.
pub const UNAPPROVED: &str = "UNAPPROVED:";

/// Every warning about a document, in the order of its text. With the server's tools also what
/// they do not have. A document with errors has none: first things first.
pub fn lint(document: &Document, tools: Option<&[ToolShape]>) -> Vec<Diagnostic> {
    if !document.is_valid() {
        return Vec::new();
    }
    let mut lint = Lint { document, sink: Sink::new(document.text()), server: tools.map(Server::of) };
    lint.unapproved();
    lint.hide();
    lint.limits();
    for tool in &document.policy().tools {
        lint.tool(tool);
    }
    lint.sink.sorted()
}

/// The server's tools.
struct Server<'s> {
    shapes: HashMap<&'s str, &'s ToolShape>,
    names: Vec<&'s str>,
    /// Suggestions that may still be looked for: a policy for another server has only unknown
    /// names, and each search reads every name.
    searches: usize,
}

impl<'s> Server<'s> {
    fn of(shapes: &'s [ToolShape]) -> Self {
        let names = shapes.iter().map(|shape| shape.name.as_str()).collect();
        Self { shapes: by_name(shapes), names, searches: 100 }
    }
}

struct Lint<'d> {
    document: &'d Document,
    sink: Sink<'d>,
    server: Option<Server<'d>>,
}

impl Lint<'_> {
    fn warn(
        &mut self,
        code: &'static str,
        pointer: String,
        span: Span,
        message: String,
        help: impl Into<String>,
    ) {
        self.sink.add(Severity::Warning, code, pointer, span, message, help);
    }

    /// Warns at a part that has no span of its own in the model.
    fn warn_at(&mut self, code: &'static str, pointer: String, message: String, help: impl Into<String>) {
        let span = self.document.pointer_span(&pointer).unwrap_or_default();
        self.warn(code, pointer, span, message, help);
    }

    fn unapproved(&mut self) {
        let description = self.document.policy().description.as_deref();
        if description.is_some_and(|text| text.starts_with(UNAPPROVED)) {
            self.warn_at(
                "unapproved",
                "/description".to_owned(),
                "this policy was suggested, and nobody has accepted it".to_owned(),
                "review it, then take the description away or write your own",
            );
        }
    }

    fn hide(&mut self) {
        let policy = self.document.policy();
        let listed: HashSet<&str> = policy.tools.iter().map(|tool| tool.name.as_str()).collect();
        if policy.hide.all && !policy.tools.is_empty() {
            self.warn_at(
                "hidden-and-listed",
                "/hide/0".to_owned(),
                format!("`*` hides every tool, also the {} under `tools`", policy.tools.len()),
                "take `*` away, or the entries: no rule of theirs is ever reached",
            );
        }
        let mut seen = HashSet::new();
        for (index, (name, span)) in policy.hide.names.iter().enumerate() {
            let at = format!("/hide/{index}");
            if !seen.insert(name) {
                let message = format!("{} is hidden twice", tick(name));
                self.warn("covered", at.clone(), *span, message, "one entry is enough");
            }
            if listed.contains(name.as_str()) {
                self.warn(
                    "hidden-and-listed",
                    at.clone(),
                    *span,
                    format!("{} is hidden and also listed under `tools`", tick(name)),
                    "hiding wins: no rule of its entry is ever reached; keep one of the two",
                );
            }
            self.tool_name(at, *span, name);
        }
    }

    fn tool(&mut self, tool: &Tool) {
        let mut at = "/tools".to_owned();
        pointer::push(&mut at, &tool.name);
        self.tool_name(at.clone(), tool.name_span, &tool.name);
        if tool.reason.is_some() && tool.action.is_none_or(|action| action == Action::Allow) {
            self.warn_at(
                "unused-reason",
                format!("{at}/reason"),
                "`reason` is the message of `action`, and nothing shows it here".to_owned(),
                "the message of a rule or limit is its `on_deny`",
            );
        }
        self.rules(&at, tool);
        self.arguments(&at, tool);
    }

    fn tool_name(&mut self, at: String, span: Span, name: &str) {
        let Some(server) = &mut self.server else { return };
        if server.shapes.contains_key(name) {
            return;
        }
        let mut help = String::new();
        if server.searches > 0 {
            server.searches -= 1;
            if let Some(meant) = closest(name, server.names.iter().copied()) {
                help = format!("did you mean {}?", tick(meant));
            }
        }
        self.warn("unknown-tool", at, span, format!("the server has no tool {}", tick(name)), help);
    }
}

#[cfg(test)]
#[path = "lint/tests.rs"]
mod tests;
