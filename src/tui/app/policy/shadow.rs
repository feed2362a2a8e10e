//! The draft beside the live policy: written where gateways look for a shadow, compared, and taken
//! over. Gateways and this program share a file and the feed, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use super::{App, Effect, Kind, PolicyEffect, Then};
use crate::policy::document::revision;
use crate::tui::action::When;
use crate::tui::app::Screen;
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::tui::app::live::row::Kind as RowKind;
use crate::visible::visible;

/// The filter of the Live screen that shows what the shadow decides differently.
const DIFFERS: &str = "shadow:differs";

/// What can be done about the shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Do {
    /// Write the draft as the shadow.
    Run,
    /// Show the calls that it decides differently.
    See,
    /// Make it the document, and save that.
    Promote,
    /// End it.
    End,
}

/// A shadow that runs at a gateway of this policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The server.
    pub server: String,
    /// The file.
    pub path: String,
    /// The revision of the candidate.
    pub revision: String,
}

impl App {
    pub(crate) fn can_shadow(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        When::if_so(self.policy.editor.is_some(), "the policy is not read yet")
    }

    /// The shadows beside this policy at the attached gateways.
    pub fn shadows(&self) -> Vec<Running> {
        let ours = self.policy.path.to_string_lossy();
        let servers = self.feeds.gateways().flat_map(|(_, gateway)| &gateway.hello.servers);
        let grants = servers.flat_map(|server| server.grants.iter().map(move |grant| (server, grant)));
        let ours = grants.filter(|(_, grant)| grant.policy.as_deref() == Some(&*ours));
        let mut found: Vec<Running> = ours
            .filter_map(|(server, grant)| {
                let shadow = grant.shadow.as_ref()?;
                let (path, revision) = (shadow.path.clone(), shadow.revision.clone());
                Some(Running { server: server.name.clone(), path, revision })
            })
            .collect();
        found.sort_by(|a, b| (&a.server, &a.path).cmp(&(&b.server, &b.path)));
        found.dedup();
        found
    }
}

/// Where the shadow of the open policy lies: where an attached gateway has it, else beside the policy.
fn place(app: &App) -> PathBuf {
    match app.shadows().into_iter().next() {
        Some(running) => running.path.into(),
        None => crate::catalog::pins::beside(&app.policy.path, "shadow"),
    }
}

/// How many recorded calls a shadow was asked about, and how many it would have decided otherwise.
fn compared(app: &App) -> (usize, usize) {
    let ring = &app.live.live.ring;
    let (mut all, mut differ) = (0, 0);
    for row in (ring.first()..ring.next()).rev().take(50_000).filter_map(|id| ring.get(id)) {
        if let (RowKind::Call(verdict), Some(shadow)) = (row.kind, row.shadow) {
            all += 1;
            differ += usize::from(shadow.decision != verdict);
        }
    }
    (all, differ)
}

/// Asks what to do.
pub(super) fn open(app: &mut App) {
    let running = app.shadows();
    let file = place(app);
    let name = visible(&file.file_name().unwrap_or(file.as_os_str()).to_string_lossy()).into_owned();
    let draft =
        app.policy.editor.as_ref().map(|editor| revision(editor.text().as_bytes())).unwrap_or_default();
    let mut body = Vec::new();
    for shadow in &running {
        let same =
            if shadow.revision == draft { "the draft as it is now" } else { "another text than the draft" };
        body.push(format!("At {} the shadow {} runs: {same}.", visible(&shadow.server), shadow.revision));
    }
    if running.is_empty() {
        body.push(format!(
            "A shadow decides each call beside the live policy and changes nothing. Gateways that are started \
             with --shadow {name} take the draft up when it is written there, and say what it would decide."
        ));
    } else {
        let (all, differ) = compared(app);
        body.push(format!("{differ} of {all} calls since are decided differently."));
    }
    let then = |what| LayerThen::Policy(Then::Shadow(what));
    let mut answers = Vec::new();
    if app.policy.editor.as_ref().is_some_and(super::Editor::is_valid) {
        answers.push(('r', "run the draft as it is now as the shadow", then(Do::Run)));
    }
    if !running.is_empty() {
        answers.push(('d', "see the calls that it decides differently", then(Do::See)));
        answers.push(('p', "promote: make it the policy, by a review as always", then(Do::Promote)));
        answers.push(('e', "end it", then(Do::End)));
    }
    answers.push(('c', "leave it as it is", LayerThen::Nothing));
    app.layers.push(Layer::Ask(Ask::new("The draft beside the live policy", body, answers)));
}

/// Does it.
pub(super) fn act(app: &mut App, what: Do, effects: &mut Vec<Effect>) {
    let path = place(app);
    match what {
        Do::Run => {
            let Some(editor) = &app.policy.editor else { return };
            let text = Some(Arc::clone(editor.text()));
            effects.push(Effect::Policy(PolicyEffect::Shadow { path, text }));
        }
        Do::See => {
            if app.live.live.set_filter(DIFFERS, app.now.ts).is_ok() {
                app.screen = Screen::Live;
            }
        }
        Do::Promote => effects.push(Effect::Policy(PolicyEffect::ReadShadow(path))),
        Do::End => effects.push(Effect::Policy(PolicyEffect::Shadow { path, text: None })),
    }
}

/// The file was written or taken away, or not.
pub(super) fn written(app: &mut App, done: Result<bool, String>) {
    match done {
        Ok(true) if app.shadows().is_empty() => {
            let name = place(app);
            let name = visible(&name.to_string_lossy()).into_owned();
            app.toast(
                Kind::Warn,
                format!("written, but no attached gateway looks there: start one with --shadow {name}"),
            );
        }
        Ok(true) => {
            app.toast(Kind::Good, "the draft runs as the shadow: `b` tells what it decides differently");
        }
        Ok(false) => app.toast(Kind::Good, "the shadow ended"),
        Err(why) => app.toast(Kind::Bad, format!("the shadow cannot be written: {why}")),
    }
}

/// Its text was read: it becomes the document, by the review that every save has.
pub(super) fn promote(app: &mut App, text: Result<Arc<str>, String>, effects: &mut Vec<Effect>) {
    let text = match text {
        Ok(text) => text,
        Err(why) => return app.toast(Kind::Bad, format!("the shadow cannot be read: {why}")),
    };
    let row = app.policy.table.selected_tool().map(|row| row.name.to_string());
    if let Some(editor) = &mut app.policy.editor {
        editor.edit(&text, "promote the shadow", row);
        app.policy.promoted = Some(text);
    }
    app.policy_tools_changed();
    match app.can_save() {
        When::Now => super::save::save(app, false, effects),
        When::Not(why) => app.toast(Kind::Info, format!("it is the policy already: {why}")),
    }
}

/// The policy was saved: a shadow that it was made of has nothing left to tell.
pub(super) fn saved(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    if app.policy.promoted.take().is_some_and(|promoted| *promoted == *text) {
        effects.push(Effect::Policy(PolicyEffect::Shadow { path: place(app), text: None }));
    }
}
