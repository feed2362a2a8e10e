//! What the policy file held before: a list, the difference to now, and the way back.

use std::sync::Arc;

use super::review::Review;
use super::{App, Effect, Kind, PolicyEffect, Then};
use crate::revisions::{By, Entry};
use crate::tui::action::{Action, When};
use crate::tui::app::field::Field;
use crate::tui::app::layer::{Layer, PickItem, Picker, Step, Then as LayerThen};
use crate::visible::visible;

/// A revision whose difference is shown: what a roll back would make of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Its text.
    pub text: Arc<str>,
    /// What the edit will be called.
    pub label: String,
}

impl App {
    pub(crate) fn can_see_revisions(&self) -> When {
        When::if_so(self.policy.editor.is_some(), "the policy is not read yet")
    }

    pub(crate) fn can_roll_back(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        let shown = match self.layers.last() {
            Some(Layer::Review(review)) => review.earlier.is_some() && !review.lines.is_empty(),
            _ => false,
        };
        When::if_so(shown, "the texts are equal")
    }
}

/// Asks for the list.
pub(super) fn ask(app: &App, effects: &mut Vec<Effect>) {
    effects.push(Effect::Policy(PolicyEffect::Revisions(app.policy.path.clone())));
}

fn revision(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// The list came.
pub(super) fn listed(app: &mut App, entries: Result<Vec<Entry>, String>) {
    let entries = match entries {
        Ok(entries) => entries,
        Err(why) => return app.toast(Kind::Bad, format!("the revisions cannot be read: {why}")),
    };
    if entries.is_empty() {
        let text = "nothing is kept yet: each save is, and what a gateway puts in force";
        return app.toast(Kind::Info, text);
    }
    let now = app.policy.editor.as_ref().and_then(|editor| editor.document());
    let now = now.map(|document| document.revision().to_owned()).unwrap_or_default();
    let in_force = in_force(app);
    let items = entries.into_iter().map(|entry| {
        let short = revision(&entry.sha256).to_owned();
        let when = local(entry.at, &app.live.tz);
        let who = match entry.by {
            By::Editor => visible(&entry.name).into_owned(),
            By::Gateway => format!("gateway {}", visible(&entry.name)),
            By::Found => "before that".to_owned(),
        };
        let mut marks = Vec::new();
        if short == now {
            marks.push("shown here".to_owned());
        }
        for (gateway, _) in in_force.iter().filter(|(_, revision)| *revision == short) {
            marks.push(format!("in force at {}", visible(gateway)));
        }
        let marks = if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join(", ")) };
        let label = format!("roll back to {short} of {when}");
        PickItem {
            name: format!("{when}  {short}"),
            detail: format!("{who}: {}{marks}", visible(&entry.what)),
            after: false,
            then: LayerThen::Policy(Then::SeeRevision { sha256: entry.sha256, label }),
        }
    });
    let items = items.collect();
    app.layers.push(Layer::Picker(Picker {
        title: format!("Revisions of {}", app.policy.file_name()),
        field: Field::default(),
        items,
        selected: 0,
        other: None,
    }));
}

/// Server and revision of each attached gateway's grant whose policy is this file.
fn in_force(app: &App) -> Vec<(String, String)> {
    let ours = app.policy.path.to_string_lossy();
    let servers = app.feeds.gateways().flat_map(|(_, gateway)| &gateway.hello.servers);
    let grants = servers.flat_map(|server| server.grants.iter().map(move |grant| (server, grant)));
    let ours = grants.filter(|(_, grant)| grant.policy.as_deref() == Some(&*ours));
    let mut found: Vec<(String, String)> =
        ours.filter_map(|(server, grant)| Some((server.name.clone(), grant.revision.clone()?))).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn local(at: crate::time::Timestamp, tz: &jiff::tz::TimeZone) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(instant) => instant.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => at.to_string(),
    }
}

/// One was chosen: its text is wanted.
pub(super) fn see(sha256: String, label: String, effects: &mut Vec<Effect>) {
    effects.push(Effect::Policy(PolicyEffect::Revision { sha256, label }));
}

/// Its text came: the difference is shown.
pub(super) fn text(app: &mut App, label: String, text: Result<Arc<str>, String>) {
    let Some(editor) = &app.policy.editor else { return };
    match text {
        Ok(text) => {
            let title = "From now (-) to that revision (+)".to_owned();
            let mut review = Review::new(title, Vec::new(), editor.text(), &text);
            review.writes = false;
            review.earlier = Some(Earlier { text, label });
            app.layers.push(Layer::Review(Box::new(review)));
        }
        Err(why) => app.toast(Kind::Bad, format!("that revision cannot be read: {why}")),
    }
}

/// Does an action of the difference; `false` when it is none of these.
pub(super) fn act(app: &mut App, action: Action) -> bool {
    let Some(Layer::Review(review)) = app.layers.last() else { return false };
    if review.earlier.is_none() || Step::of(action, 1).is_some() {
        return false;
    }
    if action == Action::RollBack {
        let Some(Layer::Review(review)) = app.layers.pop() else { return true };
        if let Some(Earlier { text, label }) = review.earlier {
            roll_back(app, &text, label);
        }
        super::save::layer_closed(app);
        return true;
    }
    false
}

fn roll_back(app: &mut App, text: &str, label: String) {
    let row = app.policy.table.selected_tool().map(|row| row.name.to_string());
    let Some(editor) = &mut app.policy.editor else { return };
    app.toasts.push(Kind::Good, format!("{label}: Ctrl-s saves it, `u` takes it back"), app.now.ms);
    editor.edit(text, label, row);
    app.policy_tools_changed();
    app.policy_scroll();
}
