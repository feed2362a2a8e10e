//! The first steps: what to do in order, what is done already, and the keys for it.

use super::{App, Loading};
use crate::tui::action::Action;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whether it is done.
    pub done: bool,
    /// What is to be done.
    pub what: String,
    /// How.
    pub how: String,
    /// The action whose key does it.
    pub action: Option<Action>,
}

/// Every step, in order.
pub fn steps(app: &App) -> Vec<Step> {
    let policy = &app.policy;
    let table = &policy.table;
    let editor = policy.editor.as_ref();
    let document = editor.and_then(|editor| editor.document());
    let tools = document.map_or(&[][..], |document| &document.policy().tools);
    let hidden = document.map_or(0, |document| document.policy().hide.names.len());
    let listed = table.listed();
    let conditional = tools.iter().any(|tool| {
        let rules = [&tool.require, &tool.deny_if, &tool.approve_if];
        rules.into_iter().flatten().any(|rule| !rule.conditions.is_empty())
    });
    let file = crate::visible::visible(&policy.path.to_string_lossy()).into_owned();
    let server = policy.current().map(|server| crate::visible::visible(&server.label).into_owned());
    let server = server.unwrap_or_else(|| "npx some-mcp-server".to_owned());
    let step = |done, what: &str, how: String, action| Step { done, what: what.to_owned(), how, action };
    let loading = matches!(policy.loading, Loading::Running(_));
    let calls = app.feeds.gateways().count() > 0 && !app.live.live.ring.is_empty();
    vec![
        step(
            listed > 0,
            "See the server's tools, the riskiest first",
            match listed {
                0 if loading => "they are being asked for".to_owned(),
                0 => "start as: callgate policy.json -- npx some-mcp-server".to_owned(),
                many => format!("{many} are here; `/` finds one, `f` shows one kind"),
            },
            None,
        ),
        step(
            tools.len() + hidden > 0,
            "Begin with the recommended rules for all of them",
            "reads allowed, writes limited, what destroys hidden; `u` takes anything back".to_owned(),
            Some(Action::Recommended),
        ),
        step(
            conditional,
            "Say more about one: a rule on an argument",
            "pick the argument, an operator, a value; `l` limits how often".to_owned(),
            Some(Action::Condition),
        ),
        step(
            editor.is_some_and(|editor| editor.disk().is_some()),
            "Save: the review says what changes before anything is written",
            file.clone(),
            Some(Action::Save),
        ),
        step(
            !policy.enforced_by.is_empty(),
            "Put the gateway where the server's command stands in your client",
            format!("callgate gateway --policy {file} -- {server}"),
            None,
        ),
        step(
            calls,
            "Watch the calls as they are decided",
            "turn one into a rule, or save here again: gateways take it up at once".to_owned(),
            Some(Action::ScreenLive),
        ),
    ]
}
