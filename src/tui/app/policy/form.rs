//! Forms: fields to fill in, checked as they are typed.

mod document;
mod freeze;
mod limit;
mod rule;
mod value;

pub(super) use self::document::{open as open_document, open_action, open_rate_limit};
pub(crate) use self::freeze::open as open_freeze;
pub(super) use self::freeze::{Scope as FreezeScope, freeze};
pub(in crate::tui::app) use self::limit::bound;
pub(super) use self::limit::{like as open_limit_like, open as open_limit, own_counter};
pub(in crate::tui::app) use self::rule::ruled;
pub(super) use self::rule::{
    edit as edit_rule, extend as extend_rule, open as open_condition, pick_path, pick_rule,
};
use super::{App, Kind, Then};
use crate::policy::edit::{Edit, Place, RuleDraft, apply_to};
use crate::policy::model::RuleList;
use crate::tui::app::acting;
use crate::tui::app::approvals::keys::Decide;
use crate::tui::app::field::Field;
use crate::tui::app::layer::Then as LayerThen;
use crate::tui::app::overrides::{self, Target};
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
    /// What the document says to the result.
    pub problem: Option<String>,
}

/// What a form makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Makes {
    /// A freeze; the scopes that the first field offers.
    Freeze(Vec<freeze::Scope>),
    /// A file of records.
    Export {
        /// The filter that chooses them.
        filter: String,
        /// The kind whose ending the file's name has.
        suggested: usize,
    },
    /// An override; what the first field offers.
    Override(Vec<Target>),
    /// The rejection of an approval, by its id.
    Reject(String),
    /// The document's own members.
    Document,
    /// The shorthand `action` of a tool.
    Action(String),
    /// The shorthand `rate_limit` of a tool.
    RateLimit(String),
    /// A limit.
    Limit {
        /// Where; several for marked tools.
        places: Vec<Place>,
        /// The one that is changed, else one is added.
        index: Option<usize>,
    },
    /// A rule or a condition of it.
    Rule {
        /// Whose.
        tool: String,
        /// The rule that is changed, else one is added.
        at: Option<(RuleList, usize)>,
        /// The condition that is changed; past the last one it is added.
        condition: usize,
        /// The rule as it was.
        base: RuleDraft,
    },
}

/// Which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// How far a freeze or an override reaches.
    Scope,
    /// What an override does.
    Effect,
    /// How long an override lasts.
    Span,
    /// Why.
    Reason,
    /// A limit that is used often.
    Preset,
    /// How much.
    Max,
    /// In how long.
    Window,
    /// Whose calls share it.
    Share,
    /// What is counted.
    Counts,
    /// The counter's name.
    Counter,
    /// What the agent, or the person who approves, reads.
    Message,
    /// The argument.
    Path,
    /// The operator.
    Op,
    /// The value.
    Value,
    /// The list that a rule stands in.
    List,
    /// How long an approval is waited for.
    Timeout,
    /// A second limit, for a longer window.
    Sustained,
    /// For tools that are not listed.
    Default,
    /// Every tool, or those named.
    HideAll,
    /// What can never be allowed.
    HideDenied,
    /// Free text.
    Description,
    /// The schema's address.
    Schema,
    /// The shorthand.
    Action,
    /// What a file holds.
    Kind,
    /// From when on.
    Since,
    /// A file's name.
    File,
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

    fn is_before_value(&self) -> bool {
        let here = self.fields.get(self.focus).map(|field| field.id);
        matches!(here, Some(Id::Path | Id::Op)) && self.value(Id::Value).is_empty()
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
        // From the argument and the operator Enter leads to the value, while there is none.
        Code::Enter if form.is_before_value() => {
            form.focus = form.fields.iter().position(|field| field.id == Id::Value).unwrap_or(form.focus);
        }
        Code::Enter => {
            check(app, form);
            if let Some((at, error)) = form.error() {
                let error = error.to_owned();
                form.focus = at;
                form.insisted = true;
                app.toast(Kind::Warn, error);
                return Did::Stay;
            }
            if let Some(problem) = dry_run(app, form) {
                app.toast(Kind::Bad, problem.clone());
                form.problem = Some(problem);
                return Did::Stay;
            }
            return match made(app, form) {
                Some(then) => Did::Then(then),
                None => Did::Close,
            };
        }
        Code::Tab if key.shift => form.focus = form.focus.checked_sub(1).unwrap_or(last),
        Code::Tab => form.focus = if form.focus >= last { 0 } else { form.focus + 1 },
        Code::Up => form.focus = form.focus.saturating_sub(1),
        Code::Down => form.focus = (form.focus + 1).min(last),
        _ => {
            let at = if freeze::widens(form, key.code) { 0 } else { form.focus };
            let id = form.fields.get_mut(at).map(|field| {
                field_key(field, key);
                field.id
            });
            match id {
                Some(Id::Preset) => limit::preset(form),
                Some(Id::Max | Id::Window) => limit::own(form),
                Some(Id::Path) if key.code == Code::Char(' ') => {
                    rule::reopen(app, form);
                    return Did::Stay;
                }
                Some(Id::Path | Id::Op) => rule::refit(app, form),
                Some(Id::List) => rule::relist(form),
                _ => {}
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

/// A document up to this size is tried with the result at every key.
const TRY_AT_ONCE: usize = 128 * 1024;

/// Finds out what is wrong and what it means.
pub(in crate::tui::app) fn check(app: &App, form: &mut Form) {
    match &form.makes {
        Makes::Freeze(_) => freeze::check(form),
        Makes::Override(_) => overrides::check(form),
        Makes::Reject(_) => {}
        Makes::Document | Makes::Action(_) | Makes::RateLimit(_) => document::check(form),
        Makes::Export { .. } => acting::export::check(form),
        Makes::Limit { .. } => limit::check(app, form),
        Makes::Rule { .. } => rule::check(app, form),
    }
    let small = app.policy.editor.as_ref().is_some_and(|editor| editor.text().len() <= TRY_AT_ONCE);
    form.problem = if small && form.error().is_none() { dry_run(app, form) } else { None };
}

/// What the document says to the result; `None`: it takes it.
fn dry_run(app: &App, form: &Form) -> Option<String> {
    let edit = edit(app, form)?;
    let document = app.policy.editor.as_ref()?.document()?;
    let error = apply_to(document, &edit).err()?;
    let help = error.help().map(|help| format!(": {help}")).unwrap_or_default();
    Some(format!("{error}{help}"))
}

fn edit(app: &App, form: &Form) -> Option<Edit> {
    match &form.makes {
        Makes::Freeze(_) | Makes::Override(_) | Makes::Reject(_) | Makes::Export { .. } => None,
        Makes::Document => document::document(app, form),
        Makes::Action(tool) => document::action(form, tool),
        Makes::RateLimit(tool) => document::rate_limit(form, tool),
        Makes::Limit { places, index } => limit::edit(app, form, places, *index),
        Makes::Rule { tool, at, condition, base } => rule::made(app, form, tool, *at, *condition, base),
    }
}

fn made(app: &App, form: &Form) -> Option<LayerThen> {
    match &form.makes {
        Makes::Freeze(scopes) => {
            let freeze::Scope { server, grant, tool } = scopes.get(form.field(Id::Scope)?.chosen())?.clone();
            let reason = form.value(Id::Reason).trim().to_owned();
            Some(LayerThen::Policy(Then::Freeze { server, grant, tool, reason }))
        }
        Makes::Override(targets) => {
            overrides::made(form, targets).map(|wanted| LayerThen::Override(Box::new(wanted)))
        }
        Makes::Reject(id) => {
            let note = form.value(Id::Reason).trim().to_owned();
            Some(LayerThen::Decide(id.clone(), Decide::Reject(note)))
        }
        Makes::Export { .. } => acting::export::made(app, form),
        Makes::Document
        | Makes::Action(_)
        | Makes::RateLimit(_)
        | Makes::Limit { .. }
        | Makes::Rule { .. } => Some(LayerThen::Policy(Then::Edit(Box::new(edit(app, form)?)))),
    }
}
