//! Pins on the Policy screen: which tools are as a person accepted them, and accepting them anew.

use std::sync::Arc;

use super::inspect::Line;
use super::table::ToolRow;
use super::{App, Effect, PolicyEffect, Then};
use crate::catalog::pins::Accepted;
use crate::policy::pins::{Definition, Pin, Pins, Standing, differing};
use crate::tui::action::When;
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::tui::app::{Kind, Screen};
use crate::tui::theme::Role;

/// How many tools the question names.
const NAMED: usize = 6;

/// The file of pins beside the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PinsFile {
    /// There is none: nobody has accepted anything.
    #[default]
    Missing,
    /// It was read.
    Read(Arc<Pins>),
    /// It cannot be used, and why.
    Bad(String),
}

/// What the table says about a tool and its pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Its definition differs from the accepted one.
    Drifted,
    /// Nobody accepted its definition.
    New,
    /// It was accepted, and no server lists it any more.
    Gone,
}

impl Mark {
    /// The role and the word.
    pub fn words(self) -> (Role, &'static str) {
        match self {
            Self::Drifted => (Role::Warn, "drifted"),
            Self::New => (Role::Accent, "new"),
            Self::Gone => (Role::Muted, "gone"),
        }
    }
}

impl PinsFile {
    /// The pins; none where nothing was accepted.
    pub fn pins(&self) -> Option<&Pins> {
        match self {
            Self::Read(pins) if !pins.is_empty() => Some(pins),
            Self::Read(_) | Self::Missing | Self::Bad(_) => None,
        }
    }

    /// What is to be said about a row. Nothing where nobody pins, and nothing of what no server
    /// could list yet (`listed`: one has).
    pub fn mark(&self, row: &ToolRow, listed: bool) -> Option<Mark> {
        let pins = self.pins()?;
        if !row.listed {
            return (listed && pins.get(&row.name).is_some()).then_some(Mark::Gone);
        }
        match pins.standing(&row.name, row.digest()) {
            Standing::Same => None,
            Standing::Drifted => Some(Mark::Drifted),
            Standing::New => Some(Mark::New),
        }
    }
}

/// The tools of an accepting: the marked ones, else the selected one, as far as a server lists them.
fn meant(app: &App) -> Vec<&ToolRow> {
    let table = &app.policy.table;
    let rows: Vec<&ToolRow> = if table.marked.is_empty() {
        table.selected_tool().into_iter().collect()
    } else {
        table.marked.iter().filter_map(|name| table.tool(name)).collect()
    };
    rows.into_iter().filter(|row| row.listed).collect()
}

impl App {
    pub(crate) fn can_accept(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        if let PinsFile::Bad(why) = &self.policy.pins {
            return When::Not(why.clone());
        }
        if self.policy.editor.as_ref().is_none_or(|editor| editor.disk().is_none()) {
            return When::Not("save the policy first: its pins lie beside it".to_owned());
        }
        if self.screen == Screen::Health {
            return match self.drift_to_accept() {
                Ok(_) => When::Now,
                Err(not) => not,
            };
        }
        let meant = meant(self);
        if meant.is_empty() {
            return When::Not("no server lists this tool: there is no definition to accept".to_owned());
        }
        let all = meant.iter().all(|row| {
            let pins = self.policy.pins.pins();
            pins.is_some_and(|pins| pins.standing(&row.name, row.digest()) == Standing::Same)
        });
        When::if_so(!all, "it is accepted as it is")
    }
}

/// Asks before anything is accepted: what an agent will trust.
pub(in crate::tui::app) fn open(app: &mut App) {
    let definitions: Vec<Definition> = if app.screen == Screen::Health {
        app.drift_to_accept().into_iter().collect()
    } else {
        meant(app).into_iter().filter_map(ToolRow::definition).collect()
    };
    let pins = app.policy.pins.pins();
    let mut body = Vec::new();
    let mut lines = 0;
    for definition in &definitions {
        let pin = pins.and_then(|pins| pins.get(&definition.name));
        let name = crate::visible::visible(&definition.name);
        let what = match pin {
            Some(pin) if pin.sha256 == definition.sha256 => continue,
            Some(pin) => format!("{name}: {}", fields(pin, definition)),
            None => format!("{name}: new"),
        };
        lines += 1;
        if lines <= NAMED {
            body.push(what);
        }
    }
    if lines > NAMED {
        body.push(format!("and {} more", lines - NAMED));
    }
    let title = match definitions.as_slice() {
        [one] => format!("Accept the definition of {}?", crate::visible::visible(&one.name)),
        many => format!("Accept the definitions of {} tools?", many.len()),
    };
    let definitions: Arc<[Definition]> = definitions.into();
    let accept = LayerThen::Policy(Then::Accept(Arc::clone(&definitions)));
    let answers = vec![
        ('a', "accept as they are now", accept),
        ('d', "see what differs, line by line", LayerThen::Policy(Then::SeeDrift(definitions))),
        ('c', "leave them", LayerThen::Nothing),
    ];
    app.layers.push(Layer::Ask(Ask::new(title, body, answers)));
}

fn fields(pin: &Pin, now: &Definition) -> String {
    let fields = differing(pin, now);
    if fields.is_empty() { "it differs".to_owned() } else { format!("differs in {}", fields.join(", ")) }
}

/// The person said so.
pub(super) fn accept(app: &mut App, definitions: &[Definition], effects: &mut Vec<Effect>) {
    effects.push(Effect::Policy(PolicyEffect::Accept {
        policy: app.policy.path.clone(),
        definitions: definitions.to_vec(),
        by: app.user.clone(),
        at: app.now.ts,
    }));
    app.policy.table.marked.clear();
}

/// The file was written, or not.
pub(super) fn accepted(app: &mut App, done: &Result<Accepted, String>) {
    match done {
        Ok(accepted) => {
            let count = accepted.new.len() + accepted.changed.len();
            let tools = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
            app.toast(Kind::Good, format!("accepted {tools} as it is now"));
        }
        Err(why) => app.toast(Kind::Bad, why.clone()),
    }
}

/// What the inspector says of a tool's pin.
pub(super) fn lines(app: &App, row: &ToolRow, width: usize, lines: &mut Vec<Line>) {
    let Some(pins) = app.policy.pins.pins() else { return };
    let listed = app.policy.table.listed() > 0;
    let pin = pins.get(&row.name);
    let who = pin.map(|pin| {
        let day = pin.at.to_string();
        format!("{} on {}", crate::visible::visible(&pin.by), day.get(..10).unwrap_or_default())
    });
    let who = who.unwrap_or_default();
    let (role, word, text) = match app.policy.pins.mark(row, listed) {
        Some(Mark::Drifted) => {
            let now = row.definition();
            let what = pin.zip(now).map_or_else(String::new, |(pin, now)| fields(pin, &now));
            (Role::Warn, "drifted", format!("not as accepted by {who}: {what}"))
        }
        Some(Mark::New) => (Role::Accent, "new", "nobody has accepted its definition".to_owned()),
        Some(Mark::Gone) => (Role::Muted, "gone", format!("accepted by {who}, no longer listed")),
        None if pin.is_some() && row.listed => (Role::Muted, "pin", format!("as accepted by {who}")),
        None => return,
    };
    super::inspect::labelled(role, word, &text, width, lines);
}
