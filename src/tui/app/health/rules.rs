//! What of the open policy needs a look: rules that can never hold, that another covers, that name
//! what the server does not have, and those that never decided anything.

use std::collections::HashMap;
use std::sync::Arc;

use crate::json::pointer;
use crate::policy::document::Document;
use crate::policy::lint::{lint, shadowed};
use crate::policy::model::{RuleList, Tool};
use crate::policy::schema::ToolShape;
use crate::policy::state::rule_text;
use crate::tui::app::App;
use crate::tui::app::live::detail::{Line, Tone, line};
use crate::tui::app::policy::inspect::Target;
use crate::tui::app::policy::table::ToolRow;

/// Something about a part of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The exact pointer of the part.
    pub pointer: String,
    /// The kind, in a word or two: `never holds`.
    pub word: String,
    /// Whose part it is; empty where it is of no one tool.
    pub tool: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// It follows from the text; else it was only seen.
    pub certain: bool,
}

/// What was found in a text, and in which.
#[derive(Debug, Clone, Default)]
pub struct Found {
    text: Option<Arc<str>>,
    tools: Option<Arc<Vec<ToolRow>>>,
    certain: Arc<[Finding]>,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.certain == other.certain
    }
}

impl Eq for Found {}

/// Looks the open policy through, where it or the tools changed since.
pub(crate) fn look(app: &mut App) {
    let Some(editor) = &app.policy.editor else {
        app.health.found = Found::default();
        return;
    };
    let (text, tools) = (editor.text(), app.policy.table.shared());
    let found = &app.health.found;
    if found.text.as_ref().is_some_and(|known| Arc::ptr_eq(known, text))
        && found.tools.as_ref().is_some_and(|known| Arc::ptr_eq(known, &tools))
    {
        return;
    }
    let certain: Vec<Finding> = match editor.document() {
        Some(document) => certain(document, &tools),
        None => Vec::new(),
    };
    app.health.found = Found { text: Some(Arc::clone(text)), tools: Some(tools), certain: certain.into() };
}

/// What follows from the text, and from the definitions of the tools that it names.
fn certain(document: &Document, tools: &[ToolRow]) -> Vec<Finding> {
    let policy = document.policy();
    let hidden = policy.hide.names.iter().map(|(name, _)| name.as_str());
    let named: std::collections::HashSet<&str> =
        policy.tools.iter().map(|tool| tool.name.as_str()).chain(hidden).collect();
    let listed = tools.iter().any(|row| row.listed);
    let shapes: Vec<ToolShape> = tools
        .iter()
        .filter(|row| row.listed && named.contains(&*row.name))
        .map(|row| ToolShape::from_schema(&row.name, &row.tool.input_schema))
        .collect();
    let mut found: Vec<Finding> = lint(document, listed.then_some(shapes.as_slice()))
        .into_iter()
        .map(|one| Finding {
            word: one.code.replace('-', " "),
            tool: tool_of(&one.pointer),
            pointer: one.pointer,
            message: one.message,
            help: one.help.unwrap_or_default(),
            certain: true,
        })
        .collect();
    let known: std::collections::HashSet<String> = found.iter().map(|one| one.pointer.clone()).collect();
    let shadowed = shadowed(document).into_iter().filter(|one| !known.contains(&one.pointer));
    found.extend(shadowed.map(|one| Finding {
        word: "shadowed".to_owned(),
        tool: tool_of(&one.pointer),
        message: format!("never asked: {} ({})", one.why, one.by),
        help: "it does nothing as long as the other stands before it".to_owned(),
        pointer: one.pointer,
        certain: true,
    }));
    found
}

fn tool_of(at: &str) -> String {
    let name = at.strip_prefix("/tools/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    name.replace("~1", "/").replace("~0", "~")
}

/// Everything that was found: what follows from the text first, then what never decided a call at
/// the gateways that enforce this policy.
pub fn findings(app: &App) -> Vec<Finding> {
    let mut out = app.health.found.certain.to_vec();
    let document = app.policy.editor.as_ref().and_then(|editor| editor.document());
    let Some(document) = document.filter(|_| !app.policy.enforced_by.is_empty()) else { return out };
    let mut hits: HashMap<&str, u64> = HashMap::new();
    for (_, gateway) in app.feeds.gateways().filter(|(_, gateway)| gateway.alive) {
        for rule in gateway.rules.iter().filter(|rule| app.policy.enforced_by.contains(&rule.server)) {
            *hits.entry(&rule.rule).or_default() += rule.hits;
        }
    }
    let known: std::collections::HashSet<String> = out.iter().map(|one| one.pointer.clone()).collect();
    for tool in &document.policy().tools {
        let called = app.policy.calls(&app.feeds, &tool.name).map_or(0, |(calls, _)| calls);
        for (at, code, text) in parts(tool) {
            let inside = |other: &String| *other == at || other.starts_with(&format!("{at}/"));
            if hits.contains_key(code.as_str()) || known.iter().any(inside) {
                continue;
            }
            out.push(Finding {
                pointer: at,
                word: "never hit".to_owned(),
                tool: tool.name.clone(),
                message: format!(
                    "{text}: decided no call since the gateways began; {called} came to the tool"
                ),
                help:
                    "if such calls never come, the rule costs nothing; if they should, look at its conditions"
                        .to_owned(),
                certain: false,
            });
        }
    }
    out
}

/// The rules of a tool: pointer, short code, and what each says. A limit that was never reached is as
/// it should be.
fn parts(tool: &Tool) -> Vec<(String, String, String)> {
    let mut base = "/tools".to_owned();
    pointer::push(&mut base, &tool.name);
    let mut out = Vec::new();
    for (list, rules) in [
        (RuleList::Require, &tool.require),
        (RuleList::DenyIf, &tool.deny_if),
        (RuleList::ApproveIf, &tool.approve_if),
    ] {
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{base}/{}/{index}", list.key());
            let code = match rule.conditions.first() {
                Some(first) => {
                    format!("{base}/{}/{}-{}", list.key(), pointer::escape(&first.path), first.op.name())
                }
                None => at.clone(),
            };
            out.push((at, code, format!("{} {}", list.key(), rule_text(rule))));
        }
    }
    out
}

/// What the inspector calls the part at a pointer.
pub(crate) fn target(at: &str) -> Option<Target> {
    let mut steps = at.strip_prefix("/tools/")?.split('/').skip(1);
    let list = match steps.next()? {
        "require" => RuleList::Require,
        "deny_if" => RuleList::DenyIf,
        "approve_if" => RuleList::ApproveIf,
        "limits" => return Some(Target::Limit(steps.next()?.parse().ok()?)),
        "rate_limit" => return Some(Target::RateLimit),
        _ => return Some(Target::Entry),
    };
    let index = steps.next()?.parse().ok()?;
    Some(match (steps.next(), steps.next().and_then(|place| place.parse().ok())) {
        (Some("conditions"), Some(place)) => Target::Condition(list, index, place),
        _ => Target::Rule(list, index),
    })
}

/// Everything about a finding.
pub fn lines(finding: &Finding) -> Vec<Line> {
    let tone = if finding.certain { Tone::Warn } else { Tone::Plain };
    let mut out = vec![line("finding", finding.word.clone(), tone)];
    if !finding.tool.is_empty() {
        out.push(line("tool", finding.tool.clone(), Tone::Heading));
    }
    out.push(line("what", finding.message.clone(), Tone::Plain));
    if !finding.help.is_empty() {
        out.push(line("to do", finding.help.clone(), Tone::Plain));
    }
    out.push(line("pointer", finding.pointer.clone(), Tone::Code));
    out.push(line(
        "rests on",
        if finding.certain {
            "the text itself and the tools' definitions"
        } else {
            "what the connected gateways counted"
        },
        Tone::Plain,
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_the_inspectors_parts() {
        for (at, wanted) in [
            ("/tools/t/deny_if/2", Some(Target::Rule(RuleList::DenyIf, 2))),
            ("/tools/t/require/0/conditions/1/path", Some(Target::Condition(RuleList::Require, 0, 1))),
            ("/tools/t/limits/3/increment_from", Some(Target::Limit(3))),
            ("/tools/t/rate_limit", Some(Target::RateLimit)),
            ("/tools/t/reason", Some(Target::Entry)),
            ("/tools/t", None),
            ("/hide/0", None),
        ] {
            assert_eq!(target(at), wanted, "{at}");
        }
        assert_eq!(tool_of("/tools/a~1b/deny_if/0"), "a/b");
        assert_eq!(tool_of("/hide/0"), "");
    }
}
