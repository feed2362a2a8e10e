//! The form of a freeze.

use super::{Form, FormField, Id, Makes};
use crate::counters::Freeze;
use crate::feed::message::Ask as FeedAsk;
use crate::tui::app::asks::{Asked, Proof};
use crate::tui::app::layer::Layer;
use crate::tui::app::{App, Effect, Kind};

/// Finds out what is wrong.
pub(super) fn check(form: &mut Form) {
    if let Some(reason) = form.at(Id::Reason) {
        let missing = reason.value().trim().is_empty();
        reason.error = missing.then(|| "say why: agents and colleagues will read it".to_owned());
    }
}

/// Opens the form of a freeze.
pub(crate) fn open(app: &mut App) {
    let mut scopes: Vec<(Option<String>, Option<String>)> = Vec::new();
    let servers: Vec<String> = {
        let mut servers: Vec<String> = app
            .feeds
            .operators()
            .flat_map(|(_, gateway)| gateway.hello.servers.iter().map(|server| server.name.clone()))
            .collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    };
    if let Some(row) = app.policy.table.selected_tool() {
        let tool = row.name.to_string();
        let own = app.policy.enforced_by.clone();
        scopes.extend(own.into_iter().map(|server| (Some(server), Some(tool.clone()))));
    }
    scopes.extend(servers.into_iter().map(|server| (Some(server), None)));
    scopes.push((None, None));
    let show = crate::visible::visible;
    let options = scopes
        .iter()
        .map(|scope| match scope {
            (Some(server), Some(tool)) => format!("{} of {}", show(tool), show(server)),
            (Some(server), None) => format!("server {}", show(server)),
            _ => "everything, everywhere".to_owned(),
        })
        .collect();
    let mut form = Form {
        makes: Makes::Freeze(scopes),
        title: "Freeze: deny every call at once".to_owned(),
        fields: vec![
            FormField::choice(Id::Scope, "what", options, 0),
            FormField::text(Id::Reason, "why", ""),
        ],
        focus: 1,
        insisted: false,
        problem: None,
    };
    check(&mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

/// Asks the gateways to freeze.
pub(in crate::tui::app::policy) fn freeze(
    app: &mut App,
    (server, tool): (Option<String>, Option<String>),
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let freeze = Freeze {
        id: app.fresh_id(),
        server: server.clone(),
        grant: None,
        tool,
        until: None,
        by: app.user.clone(),
        at: app.now.ts,
        reason,
    };
    let knows = |gateway: &crate::tui::app::feeds::Gateway| {
        server.as_ref().is_none_or(|name| gateway.hello.servers.iter().any(|server| server.name == *name))
    };
    let sources: Vec<_> =
        app.feeds.operators().filter(|(_, gateway)| knows(gateway)).map(|(source, _)| source).collect();
    if sources.is_empty() {
        app.toast(Kind::Bad, "no attached gateway knows that server any more: nothing was frozen");
        return;
    }
    let proof = Proof::Freeze(freeze.id.clone(), true);
    let what = crate::tui::app::feeds::scope_words(&freeze);
    app.asks.push(Asked::new("freeze", "frozen", what, proof, &sources));
    let ask = FeedAsk::Freeze { freeze };
    effects.extend(sources.into_iter().map(|source| Effect::Ask(source, Box::new(ask.clone()))));
}
