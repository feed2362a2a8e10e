//! The line at the bottom that takes typed text: a filter with completion and history, a search, a
//! note on a row, a name for a filter.

use std::collections::BTreeSet;

use super::ring::{Ring, SourceNo};
use super::screen::LiveScreen;
use crate::filter::{Completion, FilterError, Known, complete};
use crate::time::Timestamp;
use crate::tui::app::field::Field;
use crate::tui::key::{Code, Key};

/// How many of the newest rows are looked at for values to complete.
const LOOKED: usize = 5_000;
/// How many rows' arguments are read for their names.
const READ: usize = 200;
/// Values of a field that are offered.
const OFFERED: usize = 500;
/// Filters that history keeps.
const HISTORY: usize = 100;

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Each valid stage of it is the filter in force.
    Filter,
    /// Each valid stage of it is searched for.
    Search,
    /// A note on the row of this gateway run and number.
    Note(SourceNo, u64),
    /// A name for the filter in force.
    Name,
}

impl Purpose {
    /// What stands before the text.
    pub fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter ",
            Self::Search => "search ",
            Self::Note(..) => "note ",
            Self::Name => "name of the filter ",
        }
    }
}

/// What came of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// The line stays open.
    Stays,
    /// It closed and nothing follows.
    Dropped,
    /// A filter is in force; history changed.
    Filter,
    /// A search was begun.
    Search,
    /// A note is to be kept.
    Note(SourceNo, u64, String),
    /// The filter in force gets a name.
    Name(String),
}

/// A line that is being typed.
#[derive(Debug, Clone)]
pub struct Typing {
    /// What it is for.
    pub purpose: Purpose,
    /// The text.
    pub field: Field,
    /// What is wrong with it.
    pub error: Option<FilterError>,
    /// What could stand at the cursor.
    pub completions: Vec<Completion>,
    /// The one that was taken in.
    pub chosen: Option<usize>,
    /// The text and the cursor that completions were made for.
    stem: (String, usize),
    known: Known,
    /// The text that was in force before.
    before: String,
    /// Which entry of the history is shown, counted from the newest, and what was typed before.
    recalled: Option<(usize, String)>,
}

impl Typing {
    /// An open line.
    pub fn new(purpose: Purpose, text: String, known: Known) -> Self {
        let before = text.clone();
        let text = if purpose == Purpose::Filter && !text.is_empty() && !text.ends_with(' ') {
            format!("{text} ")
        } else {
            text
        };
        let mut typing = Self {
            purpose,
            field: Field::with(text),
            error: None,
            completions: Vec::new(),
            chosen: None,
            stem: (String::new(), 0),
            known,
            before,
            recalled: None,
        };
        typing.complete();
        typing
    }

    fn complete(&mut self) {
        self.chosen = None;
        self.stem = (self.field.text().to_owned(), self.field.cursor());
        self.completions = match self.purpose {
            // Nothing typed yet: a list of everything would only be in the way.
            Purpose::Filter | Purpose::Search => {
                let word = self.stem.0.get(..self.stem.1).unwrap_or("");
                if word.is_empty() || word.ends_with(char::is_whitespace) {
                    Vec::new()
                } else {
                    complete(&self.stem.0, self.stem.1, &self.known)
                }
            }
            Purpose::Note(..) | Purpose::Name => Vec::new(),
        };
    }

    /// Takes the next completion in, or the one before.
    fn take(&mut self, forward: bool) {
        let count = self.completions.len();
        if count == 0 {
            return;
        }
        let next = match (self.chosen, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        };
        let Some(completion) = self.completions.get(next) else { return };
        let (text, cursor) = &self.stem;
        let head = text.get(..completion.from).unwrap_or("");
        let tail = text.get(*cursor..).unwrap_or("");
        let taken = format!("{head}{}", completion.text);
        self.field = Field::placed(format!("{taken}{tail}"), taken.len());
        self.chosen = Some(next);
        if count == 1 {
            // What is complete is typed on from: `tool:` wants its values next.
            self.complete();
        }
    }

    /// Puts an earlier filter into the line, or a later one.
    fn recall(&mut self, history: &[String], older: bool) {
        let (at, draft) = match self.recalled.take() {
            None if older => (0, self.field.text().to_owned()),
            None => return,
            Some((at, draft)) if older => (at + 1, draft),
            Some((0, draft)) => {
                self.field = Field::with(draft);
                return;
            }
            Some((at, draft)) => (at - 1, draft),
        };
        let last = history.len().checked_sub(1);
        let Some(last) = last else { return };
        let at = at.min(last);
        if let Some(text) = history.get(last - at) {
            self.field = Field::with(text.clone());
        }
        self.recalled = Some((at, draft));
    }
}

/// Values that the newest rows have.
fn known(ring: &Ring) -> Known {
    let mut sets: [BTreeSet<&str>; 7] = Default::default();
    let mut args: BTreeSet<String> = BTreeSet::new();
    let first = ring.next().saturating_sub(LOOKED as u64).max(ring.first());
    let rows = (first..ring.next()).rev().filter_map(|id| ring.get(id));
    for (looked, row) in rows.enumerate() {
        if row.verdict().is_none() {
            continue;
        }
        let names = [row.tool, row.server, row.grant, row.rule, row.client, row.session, row.gateway];
        for (set, name) in sets.iter_mut().zip(names) {
            if set.len() < OFFERED {
                set.insert(ring.names.text(name));
            }
        }
        if looked < READ
            && args.len() < OFFERED
            && let Ok(parsed) = crate::json::parse(&row.args)
        {
            for member in parsed.root.as_object().unwrap_or_default() {
                args.insert(member.key.as_str().replace('.', "\\."));
            }
        }
    }
    let [tools, servers, grants, rules, clients, sessions, gateways] =
        sets.map(|set| set.into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect());
    Known { tools, servers, grants, rules, clients, sessions, gateways, args: args.into_iter().collect() }
}

impl LiveScreen {
    /// Whether keys go to the line at the bottom.
    pub fn typing(&self) -> bool {
        self.line.is_some()
    }

    /// Opens the line with the filter in force.
    pub fn open_filter(&mut self) {
        let text = self.live.filter_text.clone();
        self.line = Some(Typing::new(Purpose::Filter, text, known(&self.live.ring)));
    }

    /// Opens the line for a search.
    pub fn open_search(&mut self) {
        self.line = Some(Typing::new(Purpose::Search, String::new(), known(&self.live.ring)));
    }

    /// Opens the line for a note on the selected row.
    pub fn open_note(&mut self) {
        self.live.pause();
        let Some(row) = self.live.selected_row() else { return };
        let (source, seq) = (row.source, row.seq);
        let text = self.marks.get(source, seq).map_or_else(String::new, |mark| mark.note.clone());
        self.line = Some(Typing::new(Purpose::Note(source, seq), text, Known::default()));
    }

    /// Opens the line for a name of the filter in force.
    pub fn open_name(&mut self) {
        let name = self.saved.iter().find(|(_, text)| **text == self.live.filter_text);
        let name = name.map_or_else(String::new, |(name, _)| name.clone());
        self.line = Some(Typing::new(Purpose::Name, name, Known::default()));
    }

    /// A key while the line is open.
    pub fn line_key(&mut self, key: Key, now: Timestamp) -> Typed {
        let Some(typing) = &mut self.line else { return Typed::Dropped };
        let purpose = typing.purpose;
        match key.code {
            Code::Enter => return self.enter(),
            Code::Esc => {
                let before = std::mem::take(&mut typing.before);
                self.line = None;
                match purpose {
                    // It was in force before, so it parses.
                    Purpose::Filter => drop(self.live.set_filter(&before, now)),
                    Purpose::Search => {
                        self.live.stop_search();
                    }
                    Purpose::Note(..) | Purpose::Name => {}
                }
                return Typed::Dropped;
            }
            Code::Tab => typing.take(!key.shift),
            Code::Up | Code::Down if purpose == Purpose::Filter => {
                typing.recall(&self.history, key.code == Code::Up);
            }
            _ => {
                typing.field.key(key);
                typing.complete();
            }
        }
        self.apply(now);
        Typed::Stays
    }

    fn enter(&mut self) -> Typed {
        let Some(typing) = &self.line else { return Typed::Dropped };
        // A text that is no filter stays open with its error: nothing typed is lost.
        if typing.error.is_some() {
            return Typed::Stays;
        }
        let text = typing.field.text().trim().to_owned();
        let typed = match typing.purpose {
            Purpose::Filter => {
                if !text.is_empty() {
                    self.history.retain(|known| *known != text);
                    self.history.push(text);
                    let beyond = self.history.len().saturating_sub(HISTORY);
                    self.history.drain(..beyond);
                }
                Typed::Filter
            }
            Purpose::Search => Typed::Search,
            Purpose::Note(source, seq) => Typed::Note(source, seq, text),
            Purpose::Name if text.is_empty() => Typed::Dropped,
            Purpose::Name => Typed::Name(text),
        };
        self.line = None;
        typed
    }

    /// Text pasted into the line.
    pub fn line_paste(&mut self, text: &str, now: Timestamp) {
        if let Some(typing) = &mut self.line {
            typing.field.paste(text);
            typing.complete();
            self.apply(now);
        }
    }

    fn apply(&mut self, now: Timestamp) {
        let Some(typing) = &mut self.line else { return };
        let text = typing.field.text();
        typing.error = match typing.purpose {
            Purpose::Filter if text.trim() == self.live.filter_text.trim() => None,
            Purpose::Filter => self.live.set_filter(text, now).err(),
            Purpose::Search if self.live.search.as_ref().is_some_and(|search| search.text == text) => None,
            Purpose::Search => self.live.set_search(text, now).err(),
            Purpose::Note(..) | Purpose::Name => None,
        };
    }

    /// Takes the filter away; `false` when there was none.
    pub fn clear_filter(&mut self) -> bool {
        let was = !self.live.filter_text.trim().is_empty();
        if was {
            let _ = self.live.set_filter("", Timestamp::default());
        }
        was
    }

    /// Adds terms to the filter in force.
    ///
    /// # Errors
    /// What is wrong with the terms; the filter in force stays.
    pub fn narrow(&mut self, terms: &str, now: Timestamp) -> Result<(), FilterError> {
        let text = format!("{} {terms}", self.live.filter_text.trim());
        self.live.set_filter(text.trim(), now)
    }
}
