//! Forms: fields to fill in, checked as they are typed.

use super::{App, Effect, Kind, Then};
use crate::counters::Freeze;
use crate::feed::message::Ask as FeedAsk;
use crate::tui::app::field::Field;
use crate::tui::app::layer::{Layer, Then as LayerThen};
use crate::tui::key::{Code, Key};

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// What it makes.
    pub makes: Makes,
    /// Its title.
    pub title: String,
    /// Its fields.
    pub fields: Vec<FormField>,
    /// The field that has the keys.
    pub focus: usize,
    /// Enter was pressed although something is missing: say what from now on.
    pub insisted: bool,
}

/// What a form makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Makes {
    /// A freeze; the scopes that the first field offers, as server and tool.
    Freeze(Vec<(Option<String>, Option<String>)>),
}

/// Which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// How far a freeze reaches.
    Scope,
    /// Why.
    Reason,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct FormField {
    /// Which.
    pub id: Id,
    /// Its label.
    pub label: &'static str,
    /// What is in it.
    pub input: Input,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What it means, where nothing is wrong.
    pub note: String,
}

/// What is in a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Text.
    Text(Field),
    /// One of several.
    Choice {
        /// What is offered.
        options: Vec<String>,
        /// The chosen one.
        at: usize,
    },
}

impl FormField {
    /// A text field.
    pub fn text(id: Id, label: &'static str, text: &str) -> Self {
        Self { id, label, input: Input::Text(Field::with(text)), error: None, note: String::new() }
    }

    /// A choice.
    pub fn choice(id: Id, label: &'static str, options: Vec<String>, at: usize) -> Self {
        Self { id, label, input: Input::Choice { options, at }, error: None, note: String::new() }
    }

    /// The text, or the chosen option.
    pub fn value(&self) -> &str {
        match &self.input {
            Input::Text(field) => field.text(),
            Input::Choice { options, at } => options.get(*at).map_or("", String::as_str),
        }
    }

    /// The index of the chosen option.
    pub fn chosen(&self) -> usize {
        match &self.input {
            Input::Choice { at, .. } => *at,
            Input::Text(_) => 0,
        }
    }
}

impl Form {
    /// A field.
    pub fn field(&self, id: Id) -> Option<&FormField> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// What is in a field.
    pub fn value(&self, id: Id) -> &str {
        self.field(id).map_or("", FormField::value)
    }

    fn at(&mut self, id: Id) -> Option<&mut FormField> {
        self.fields.iter_mut().find(|field| field.id == id)
    }

    /// Gives the keys to a field.
    pub fn click(&mut self, field: usize) {
        self.focus = field.min(self.fields.len().saturating_sub(1));
    }

    fn error(&self) -> Option<(usize, &str)> {
        self.fields.iter().enumerate().find_map(|(at, field)| Some((at, field.error.as_deref()?)))
    }
}

/// What a key did to a form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Did {
    /// It stays open.
    Stay,
    /// It closes.
    Close,
    /// It closes and something follows.
    Then(LayerThen),
}

/// Gives a key to a form.
pub(crate) fn key(app: &mut App, form: &mut Form, key: Key) -> Did {
    let last = form.fields.len().saturating_sub(1);
    match key.code {
        Code::Esc => return Did::Close,
        Code::Char('c') if key.ctrl => return Did::Close,
        Code::Enter => {
            check(app, form);
            if let Some((at, error)) = form.error() {
                let error = error.to_owned();
                form.focus = at;
                form.insisted = true;
                app.toast(Kind::Warn, error);
                return Did::Stay;
            }
            return match made(form) {
                Some(then) => Did::Then(then),
                None => Did::Close,
            };
        }
        Code::Tab if key.shift => form.focus = form.focus.checked_sub(1).unwrap_or(last),
        Code::Tab => form.focus = if form.focus >= last { 0 } else { form.focus + 1 },
        Code::Up => form.focus = form.focus.saturating_sub(1),
        Code::Down => form.focus = (form.focus + 1).min(last),
        _ => {
            if let Some(field) = form.fields.get_mut(form.focus) {
                field_key(field, key);
            }
        }
    }
    check(app, form);
    Did::Stay
}

fn field_key(field: &mut FormField, key: Key) {
    match &mut field.input {
        Input::Text(text) => {
            text.key(key);
        }
        Input::Choice { options, at } => {
            let last = options.len().saturating_sub(1);
            match key.code {
                Code::Left => *at = at.checked_sub(1).unwrap_or(last),
                Code::Right | Code::Char(' ') => *at = if *at >= last { 0 } else { *at + 1 },
                Code::Home => *at = 0,
                Code::End => *at = last,
                Code::Char(c) => {
                    // A digit picks by number, a letter the next option that begins with it.
                    if let Some(digit) = c.to_digit(10).and_then(|digit| usize::try_from(digit).ok()) {
                        if (1..=options.len()).contains(&digit) {
                            *at = digit - 1;
                        }
                    } else if let Some(next) = (1..=options.len())
                        .map(|step| (*at + step) % options.len())
                        .find(|index| options.get(*index).is_some_and(|option| option.starts_with(c)))
                    {
                        *at = next;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Gives pasted text to a form.
pub(crate) fn paste(app: &App, form: &mut Form, text: &str) {
    if let Some(FormField { input: Input::Text(field), .. }) = form.fields.get_mut(form.focus) {
        field.paste(text);
    }
    check(app, form);
}

/// Finds out what is wrong and what it means.
pub(super) fn check(_app: &App, form: &mut Form) {
    match &form.makes {
        Makes::Freeze(_) => {
            if let Some(reason) = form.at(Id::Reason) {
                let missing = reason.value().trim().is_empty();
                reason.error = missing.then(|| "say why: agents and colleagues will read it".to_owned());
            }
        }
    }
}

fn made(form: &Form) -> Option<LayerThen> {
    match &form.makes {
        Makes::Freeze(scopes) => {
            let (server, tool) = scopes.get(form.field(Id::Scope)?.chosen())?.clone();
            let reason = form.value(Id::Reason).trim().to_owned();
            Some(LayerThen::Policy(Then::Freeze { server, tool, reason }))
        }
    }
}

/// Opens the form of a freeze.
pub(crate) fn open_freeze(app: &mut App) {
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
        let own = super::tools::enforcing(app);
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
    };
    check(app, &mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

/// Asks the gateways to freeze.
pub(super) fn freeze(
    app: &mut App,
    server: Option<String>,
    tool: Option<String>,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let freeze = Freeze {
        id: String::new(),
        server: server.clone(),
        grant: None,
        tool,
        until: None,
        by: app.user.clone(),
        at: app.now.ts,
        reason,
    };
    // A freeze lies in the store that all gateways of the user share: one that knows the server is
    // asked, and all of them where it is for everything (they may have stores of their own).
    let knows = |gateway: &crate::tui::app::feeds::Gateway| {
        server.as_ref().is_none_or(|name| gateway.hello.servers.iter().any(|server| server.name == *name))
    };
    let mut sources: Vec<_> =
        app.feeds.operators().filter(|(_, gateway)| knows(gateway)).map(|(source, _)| source).collect();
    sources.truncate(1);
    if sources.is_empty() {
        app.toast(Kind::Bad, "no attached gateway knows that server any more: nothing was frozen");
        return;
    }
    app.toast(Kind::Info, format!("freezing {}", crate::tui::app::feeds::scope_words(&freeze)));
    let ask = FeedAsk::Freeze { freeze };
    effects.extend(sources.into_iter().map(|source| Effect::Ask(source, Box::new(ask.clone()))));
}
