//! Dialogs: a stack over the screen. The top one gets every key first; Esc always closes it.

use unicode_width::UnicodeWidthStr;

use super::acting::ladder::Climb;
use super::field::Field;
use super::learn::cases::CasesView;
use super::learn::console::{self, Console};
use super::learn::suggest::SuggestView;
use super::policy::form::Form;
use super::policy::review::Review;
use super::{App, Effect};
use crate::tui::action::{self, Action, Context, Entry, When};
use crate::tui::key::{Code, Key};

/// A dialog.
#[derive(Debug, Clone)]
pub enum Layer {
    /// The keys of a place.
    Help(Help),
    /// Every action, found by name.
    Palette(Palette),
    /// The first steps.
    Steps,
    /// A question with a few answers.
    Ask(Ask),
    /// A list to pick from, found by name.
    Picker(Picker),
    /// Fields to fill in.
    Form(Box<Form>),
    /// What would be written.
    Review(Box<Review>),
    /// The tests beside the policy.
    Cases(CasesView),
    /// Why a call is decided as it is.
    Console(Box<Console>),
    /// What recorded calls need.
    Suggest(Box<SuggestView>),
    /// The rules that would have decided a row otherwise.
    Climb(Box<Climb>),
}

/// The keys of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// The place that help is about.
    pub place: Vec<Context>,
    /// The first line shown.
    pub scroll: usize,
}

/// Every action, found by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    /// What is searched.
    pub field: Field,
    /// The selected row.
    pub selected: usize,
    /// The place it was opened in.
    pub place: Vec<Context>,
}

/// A question with a few answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Its title.
    pub title: String,
    /// What it says.
    pub body: Vec<String>,
    /// The answers: key, words, what follows.
    pub answers: Vec<(char, String, Then)>,
    /// The selected answer.
    pub selected: usize,
    /// The first line of the text in view.
    pub scroll: usize,
    /// What Esc means; nothing follows when `None`.
    pub danger: bool,
}

/// A list to pick from.
#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    /// Its title.
    pub title: String,
    /// What is searched.
    pub field: Field,
    /// Name, detail, what follows.
    pub items: Vec<PickItem>,
    /// The selected row of those shown.
    pub selected: usize,
    /// What follows from the typed text itself, when nothing matches it.
    pub other: Option<Other>,
}

/// An entry of a [`Picker`].
#[derive(Debug, Clone, PartialEq)]
pub struct PickItem {
    /// What is searched and shown first.
    pub name: String,
    /// Shown beside it.
    pub detail: String,
    /// Comes after the others, however well it matches.
    pub after: bool,
    /// What follows.
    pub then: Then,
}

/// What a picker makes of text that is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A path into the arguments.
    Path,
}

/// What follows from an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// Nothing: the dialog closes.
    Nothing,
    /// Leave, whatever is unsaved; the recovery file goes too.
    Discard,
    /// Save, then leave.
    SaveAndQuit,
    /// Something of the Policy screen.
    Policy(super::policy::Then),
    /// Something of the Live screen.
    Live(super::live::keys::Then),
    /// Lift a freeze, by its id.
    Unfreeze(String),
    /// Decide an approval, by its id.
    Decide(String, super::approvals::keys::Decide),
    /// Set an override.
    Override(Box<super::overrides::Wanted>),
    /// End an override, by its id.
    EndOverride(String),
    /// Something about a row.
    Acting(Box<super::acting::Then>),
}

impl Ask {
    /// A question.
    pub fn new(title: impl Into<String>, body: Vec<String>, answers: Vec<(char, &str, Then)>) -> Self {
        Self {
            title: title.into(),
            body,
            answers: answers.into_iter().map(|(key, words, then)| (key, words.to_owned(), then)).collect(),
            selected: 0,
            scroll: 0,
            danger: false,
        }
    }

    /// How it is laid out on a terminal of this size: its width with the frame, the lines of its
    /// text, and how many of them are in view.
    pub fn layout(&self, size: (u16, u16)) -> (usize, Vec<String>, usize) {
        let longest = self.answers.iter().map(|(_, words, _)| words.width() + 6).max().unwrap_or(0);
        let body = self.body.iter().map(|line| line.width()).max().unwrap_or(0);
        let width = longest.max(body).max(self.title.width() + 4).clamp(36, 92) + 4;
        let width = width.min(usize::from(size.0));
        let lines: Vec<String> =
            self.body.iter().flat_map(|text| super::policy::inspect::wrap(text, width - 4)).collect();
        // The header, the footer, the frame, the gap and the answers have their lines.
        let room = usize::from(size.1).saturating_sub(5 + self.answers.len()).max(1);
        let seen = lines.len().min(room);
        (width, lines, seen)
    }
}

impl Layer {
    /// Where keys go while it is on top.
    pub fn place(&self) -> Vec<Context> {
        match self {
            Self::Review(review) if review.earlier.is_some() => vec![Context::Revision, Context::Review],
            Self::Review(review) if review.accepts.is_some() => vec![Context::Accepting, Context::Review],
            Self::Review(_) => vec![Context::Review],
            Self::Cases(_) => vec![Context::List],
            Self::Suggest(_) => vec![Context::Suggest, Context::List],
            _ => Vec::new(),
        }
    }

    /// What its footer says: key and what it does.
    pub fn hints(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Help(_) => &[("Esc", "close"), ("Up Down", "scroll")],
            Self::Palette(_) => &[("Enter", "do it"), ("Up Down", "choose"), ("Esc", "close")],
            Self::Steps => &[("Enter", "do the next one"), ("Esc", "close")],
            Self::Ask(_) => &[("Enter", "choose"), ("Up Down", "move"), ("Esc", "back")],
            Self::Picker(_) => &[("Enter", "pick"), ("Up Down", "choose"), ("Esc", "back")],
            Self::Form(_) => {
                &[("Enter", "done"), ("Tab", "next field"), ("Left Right", "change"), ("Esc", "drop")]
            }
            Self::Console(_) => &[
                ("Tab", "complete"),
                ("Up Down", "scroll"),
                ("F2", "counters reported or empty"),
                ("Esc", "close"),
            ],
            Self::Review(_) | Self::Cases(_) | Self::Suggest(_) => &[],
            Self::Climb(_) => &[
                ("Enter", "into the draft"),
                ("Up Down", "narrower, wider"),
                ("Tab", "decide otherwise"),
                ("Esc", "back"),
            ],
        }
    }
}

/// The rows of a help dialog: headings, and entries with their context.
#[derive(Debug, Clone, Copy)]
pub enum HelpRow {
    /// A heading.
    Heading(&'static str),
    /// An action.
    Entry(&'static Entry),
    /// Nothing.
    Gap,
}

impl Help {
    /// Its rows, in the order of the place's contexts.
    pub fn rows(&self) -> Vec<HelpRow> {
        let mut rows = Vec::new();
        for context in &self.place {
            let mut entries = action::table().filter(|entry| entry.contexts.contains(context)).peekable();
            if entries.peek().is_none() {
                continue;
            }
            if !rows.is_empty() {
                rows.push(HelpRow::Gap);
            }
            rows.push(HelpRow::Heading(context.title()));
            rows.extend(entries.map(HelpRow::Entry));
        }
        rows
    }
}

impl Palette {
    /// The actions that match, the best first; with an empty search all of them, those of this
    /// place first.
    pub fn rows(&self, app: &App) -> Vec<(&'static Entry, When)> {
        let here = |entry: &Entry| entry.contexts.iter().any(|context| self.place.contains(context));
        let mut rows: Vec<(i64, usize, &'static Entry)> = action::table()
            .filter(|entry| !matches!(entry.action, Action::Palette))
            .enumerate()
            .filter_map(|(order, entry)| {
                let query = self.field.text();
                let text = format!("{} {} {}", entry.title, entry.doc, entry.id);
                let score = super::policy::search::score(&text, query)?;
                // What the action is called counts for more than what is said about it.
                let named = super::policy::search::score(entry.title, query).map_or(0, |score| score + 100);
                let first = if entry.title.starts_with(query.trim()) { 100 } else { 0 };
                let bonus = named + first + if here(entry) { 40 } else { 0 };
                Some((-(score + bonus), order, entry))
            })
            .collect();
        rows.sort_by_key(|(score, order, _)| (*score, *order));
        rows.into_iter()
            .map(|(_, _, entry)| {
                let when = if here(entry) { (entry.when)(app) } else { elsewhere(entry) };
                (entry, when)
            })
            .collect()
    }
}

fn elsewhere(entry: &Entry) -> When {
    let place = entry.contexts.first().map_or("elsewhere", |context| context.title());
    When::Not(format!("only in: {place}"))
}

impl Picker {
    /// The entries that match, the best first, by index.
    pub fn rows(&self) -> Vec<usize> {
        if self.field.is_empty() {
            return (0..self.items.len()).collect();
        }
        let mut rows: Vec<(bool, i64, usize)> = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let score = super::policy::search::score(&item.name, self.field.text())?;
                Some((item.after, -score, index))
            })
            .collect();
        rows.sort_unstable();
        rows.into_iter().map(|(_, _, index)| index).collect()
    }

    fn chosen(&self) -> Option<Then> {
        let rows = self.rows();
        if let Some(item) = rows.get(self.selected).and_then(|index| self.items.get(*index)) {
            return Some(item.then.clone());
        }
        match self.other {
            Some(Other::Path) if !self.field.is_empty() => {
                let text = self.field.text().trim();
                let path = if text.starts_with("args.") { text.to_owned() } else { format!("args.{text}") };
                Some(Then::Policy(super::policy::Then::PickPath(path)))
            }
            _ => None,
        }
    }
}

/// What a key did to a dialog.
enum Did {
    /// It stays.
    Stay,
    /// It closes.
    Close,
    /// It closes and something follows.
    Then(Then),
    /// It closes and an action is done.
    Act(Action),
}

/// Gives a key to the top dialog.
pub(super) fn key(app: &mut App, key: Key, effects: &mut Vec<Effect>) {
    let Some(mut layer) = app.layers.pop() else { return };
    let at = app.layers.len();
    let page = usize::from(app.size.1 / 2).max(1);
    let room = crate::tui::view::layout::dialogs(app);
    let did = match &mut layer {
        Layer::Help(help) => {
            let last = help.rows().len().saturating_sub(1);
            match step(key, page) {
                Some(step) => {
                    help.scroll = step.from(help.scroll, last);
                    Did::Stay
                }
                None if closes(key) || matches!(key.code, Code::Char('?' | 'q')) => Did::Close,
                None => Did::Stay,
            }
        }
        Layer::Palette(palette) => palette_key(app, palette, key, page),
        Layer::Steps if key.code == Code::Enter => {
            let next = super::policy::steps::steps(app).into_iter().find(|step| !step.done);
            next.and_then(|step| step.action).map_or(Did::Close, Did::Act)
        }
        Layer::Steps if closes(key) || key.code == Code::F(1) => Did::Close,
        Layer::Ask(ask) => ask_key(ask, key, room),
        Layer::Picker(picker) => {
            let rows = picker.rows().len();
            if closes(key) {
                Did::Close
            } else if key.code == Code::Enter {
                picker.chosen().map_or(Did::Stay, Did::Then)
            } else {
                search_key(&mut picker.field, &mut picker.selected, rows, key, page);
                Did::Stay
            }
        }
        Layer::Form(form) => match super::policy::form::key(app, form, key) {
            super::policy::form::Did::Stay => Did::Stay,
            super::policy::form::Did::Close => Did::Close,
            super::policy::form::Did::Then(then) => Did::Then(then),
        },
        Layer::Console(view) => {
            if console::key(view, key) {
                Did::Stay
            } else {
                Did::Close
            }
        }
        Layer::Steps | Layer::Review(_) | Layer::Cases(_) | Layer::Suggest(_) => Did::Stay,
        Layer::Climb(climb) => match super::acting::ladder::key(app, climb, key, effects) {
            super::acting::ladder::Did::Stay => Did::Stay,
            super::acting::ladder::Did::Close => Did::Close,
            super::acting::ladder::Did::Then(then) => Did::Then(then),
        },
    };
    match did {
        Did::Stay => app.layers.insert(at.min(app.layers.len()), layer),
        Did::Close => super::policy::layer_closed(app),
        Did::Then(next) => {
            then(app, next, effects);
            super::policy::layer_closed(app);
        }
        Did::Act(action) => super::route::act(app, action, effects),
    }
}

fn palette_key(app: &mut App, palette: &mut Palette, key: Key, page: usize) -> Did {
    let rows = palette.rows(app);
    if closes(key) {
        return Did::Close;
    }
    if key.code == Code::Enter {
        return match rows.get(palette.selected) {
            Some((entry, When::Now)) => Did::Act(entry.action),
            Some((entry, When::Not(why))) => {
                let text = format!("{}: {why}", entry.title);
                app.toast(super::Kind::Warn, text);
                Did::Stay
            }
            None => Did::Stay,
        };
    }
    search_key(&mut palette.field, &mut palette.selected, rows.len(), key, page);
    Did::Stay
}

fn ask_key(ask: &mut Ask, key: Key, size: (u16, u16)) -> Did {
    if closes(key) {
        return Did::Close;
    }
    if key.code == Code::Enter {
        return ask.answers.get(ask.selected).map_or(Did::Close, |(_, _, then)| Did::Then(then.clone()));
    }
    if let Some(c) = key.typed()
        && let Some((_, _, then)) = ask.answers.iter().find(|(letter, _, _)| *letter == c)
    {
        return Did::Then(then.clone());
    }
    if matches!(key.code, Code::PageUp | Code::PageDown) {
        let (_, lines, seen) = ask.layout(size);
        let page = seen.saturating_sub(1).max(1);
        if let Some(step) = step(key, page) {
            ask.scroll = step.from(ask.scroll, lines.len().saturating_sub(seen));
        }
        return Did::Stay;
    }
    let last = ask.answers.len().saturating_sub(1);
    match (key.code, step(key, last.max(1))) {
        (_, Some(step)) => ask.selected = step.from(ask.selected, last),
        (Code::Tab | Code::Right | Code::Char('j'), None) => ask.selected = (ask.selected + 1).min(last),
        (Code::Left | Code::Char('k'), None) => ask.selected = ask.selected.saturating_sub(1),
        _ => {}
    }
    Did::Stay
}

fn search_key(field: &mut Field, selected: &mut usize, rows: usize, key: Key, page: usize) {
    let last = rows.saturating_sub(1);
    let moves = matches!(key.code, Code::Up | Code::Down | Code::PageUp | Code::PageDown);
    if let Some(step) = step(key, page).filter(|_| moves) {
        *selected = step.from(*selected, last);
        return;
    }
    let before = field.text().to_owned();
    field.key(key);
    if field.text() != before {
        *selected = 0;
    }
}

/// What follows from an answer.
pub(super) fn then(app: &mut App, then: Then, effects: &mut Vec<Effect>) {
    match then {
        Then::Nothing => {}
        Then::Discard => super::policy::discard_and_quit(app, effects),
        Then::SaveAndQuit => super::policy::save_and_quit(app, effects),
        Then::Policy(then) => super::policy::then(app, then, effects),
        Then::Live(then) => super::live::keys::then(app, then, effects),
        Then::Unfreeze(id) => super::route::unfreeze(app, &id, effects),
        Then::Decide(id, decide) => super::approvals::keys::decide(app, &id, decide, effects),
        Then::Override(wanted) => super::overrides::set(app, *wanted, effects),
        Then::EndOverride(id) => super::overrides::end(app, &id, effects),
        Then::Acting(then) => super::acting::then(app, *then, effects),
    }
}

/// Gives a click on a row to the top dialog.
pub(super) fn click(app: &mut App, item: usize, effects: &mut Vec<Effect>) {
    let enter = Key::plain(Code::Enter);
    match app.layers.last_mut() {
        Some(Layer::Palette(palette)) => palette.selected = item,
        Some(Layer::Picker(picker)) => picker.selected = item,
        Some(Layer::Ask(ask)) => ask.selected = item,
        Some(Layer::Form(form)) => return form.click(item),
        Some(Layer::Cases(view)) => return view.select(item),
        Some(Layer::Suggest(view)) => {
            view.selected = item;
            return;
        }
        Some(Layer::Review(_)) => return super::policy::review::click(app, item),
        // A click shows a rule in full; a second one takes it.
        Some(Layer::Climb(climb)) if climb.selected != item => {
            climb.selected = item;
            return;
        }
        Some(Layer::Climb(_) | Layer::Steps) => {}
        _ => return,
    }
    key(app, enter, effects);
}

/// Gives the wheel to the top dialog.
pub(super) fn wheel(app: &mut App, steps: i32, effects: &mut Vec<Effect>) {
    if let Some(Layer::Review(_)) = app.layers.last() {
        let action = if steps < 0 { Action::Up } else { Action::Down };
        for _ in 0..steps.unsigned_abs().min(20) {
            super::policy::review::act(app, action, effects);
        }
        return;
    }
    if let Some(Layer::Cases(_) | Layer::Suggest(_)) = app.layers.last() {
        let action = if steps < 0 { Action::Up } else { Action::Down };
        for _ in 0..steps.unsigned_abs().min(20) {
            super::route::act(app, action, effects);
        }
        return;
    }
    let code = if steps < 0 { Code::Up } else { Code::Down };
    for _ in 0..steps.unsigned_abs().min(20) {
        key(app, Key::plain(code), effects);
    }
}

/// Gives pasted text to the top dialog.
pub(super) fn paste(app: &mut App, text: &str) {
    let Some(mut layer) = app.layers.pop() else { return };
    match &mut layer {
        Layer::Palette(palette) => palette.field.paste(text),
        Layer::Picker(picker) => picker.field.paste(text),
        Layer::Form(form) => super::policy::form::paste(app, form, text),
        Layer::Console(view) => view.field.paste(text),
        Layer::Help(_)
        | Layer::Steps
        | Layer::Ask(_)
        | Layer::Review(_)
        | Layer::Cases(_)
        | Layer::Suggest(_)
        | Layer::Climb(_) => {}
    }
    app.layers.push(layer);
}

fn closes(key: Key) -> bool {
    key.code == Code::Esc || (key.ctrl && key.code == Code::Char('c'))
}

/// A way to move over rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many rows up.
    Up(usize),
    /// So many rows down.
    Down(usize),
    /// The first row.
    First,
    /// The last row.
    Last,
}

impl Step {
    /// Where it leads, within `0..=last`.
    pub(super) fn from(self, at: usize, last: usize) -> usize {
        match self {
            Self::Up(rows) => at.saturating_sub(rows).min(last),
            Self::Down(rows) => at.saturating_add(rows).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }

    /// Of a moving action.
    pub(super) fn of(action: Action, page: usize) -> Option<Self> {
        Some(match action {
            Action::Up => Self::Up(1),
            Action::Down => Self::Down(1),
            Action::PageUp => Self::Up(page),
            Action::PageDown => Self::Down(page),
            Action::First => Self::First,
            Action::Last => Self::Last,
            _ => return None,
        })
    }
}

fn step(key: Key, page: usize) -> Option<Step> {
    Some(match key.code {
        Code::Up => Step::Up(1),
        Code::Down => Step::Down(1),
        Code::PageUp => Step::Up(page),
        Code::PageDown => Step::Down(page),
        Code::Home => Step::First,
        Code::End => Step::Last,
        _ => return None,
    })
}
