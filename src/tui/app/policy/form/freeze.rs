//! The form of a freeze.

use super::{Form, FormField, Id, Makes};
use crate::counters::Freeze;
use crate::feed::message::Ask as FeedAsk;
use crate::tui::app::asks::{Asked, Proof};
use crate::tui::app::layer::Layer;
use crate::tui::app::{App, Effect, Kind, Screen};
use crate::tui::key::Code;

/// Finds out what is wrong.
pub(super) fn check(form: &mut Form) {
    if let Some(reason) = form.at(Id::Reason) {
        let missing = reason.value().trim().is_empty();
        reason.error = missing.then(|| "say why: agents and colleagues will read it".to_owned());
    }
}

/// Whether an arrow is meant for what is frozen, which is the first field: the form opens on the reason,
/// and within a reason that is empty there is nowhere to go.
pub(super) fn widens(form: &Form, code: Code) -> bool {
    let empty = form.fields.get(form.focus).is_some_and(|field| field.value().is_empty());
    matches!(form.makes, Makes::Freeze(_)) && empty && matches!(code, Code::Left | Code::Right)
}

/// How far a freeze reaches; what is left out is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The server.
    pub server: Option<String>,
    /// The grant.
    pub grant: Option<String>,
    /// The tool.
    pub tool: Option<String>,
}

impl Scope {
    fn words(&self) -> String {
        let show = crate::visible::visible;
        let grant = self.grant.as_deref().map(|grant| format!("grant {}", show(grant)));
        let of = match (&self.tool, &self.server) {
            (Some(tool), Some(server)) => format!("{} of {}", show(tool), show(server)),
            (Some(tool), None) => show(tool).into_owned(),
            (None, Some(server)) => format!("server {}", show(server)),
            (None, None) if grant.is_some() => "everywhere".to_owned(),
            (None, None) => "everything, everywhere".to_owned(),
        };
        match grant {
            Some(grant) => format!("{grant}, {of}"),
            None => of,
        }
    }
}

/// Opens the form of a freeze.
pub(crate) fn open(app: &mut App) {
    let mut scopes: Vec<Scope> = Vec::new();
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
    // What the person looks at comes first.
    let row =
        app.live.live.selected_row().filter(|row| app.screen == Screen::Live && row.verdict().is_some());
    if let Some(row) = row {
        let text = |name| {
            let text = app.live.live.ring.names.text(name);
            (!text.is_empty()).then(|| text.to_owned())
        };
        let (server, grant, tool) = (text(row.server), text(row.grant), text(row.tool));
        scopes.push(Scope { server: server.clone(), grant: None, tool: tool.clone() });
        scopes.push(Scope { server: server.clone(), grant: grant.clone(), tool });
        scopes.push(Scope { server: server.clone(), grant: grant.clone(), tool: None });
        scopes.push(Scope { server, ..Scope::default() });
        scopes.push(Scope { grant, ..Scope::default() });
    } else if let Some(row) = app.policy.table.selected_tool() {
        let tool = row.name.to_string();
        let own = app.policy.enforced_by.clone();
        scopes.extend(own.into_iter().map(|server| Scope {
            server: Some(server),
            grant: None,
            tool: Some(tool.clone()),
        }));
    }
    scopes.extend(servers.into_iter().map(|server| Scope { server: Some(server), ..Scope::default() }));
    scopes.push(Scope::default());
    let mut seen = Vec::new();
    scopes.retain(|scope| {
        let new = !seen.contains(scope);
        seen.push(scope.clone());
        new
    });
    let options = scopes.iter().map(Scope::words).collect();
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
    Scope { server, grant, tool }: Scope,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let freeze = Freeze {
        id: app.fresh_id(),
        server: server.clone(),
        grant,
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
