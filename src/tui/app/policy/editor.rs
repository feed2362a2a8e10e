//! The document that is edited: its text, what it means, and the history of edits without end.
//!
//! The text is the truth; every edit is a change of a few bytes of it. The history keeps these
//! changes, not whole texts, so that it can be as long as a working day.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::policy::document::{Document, Parsed};
use crate::policy::edit;
use crate::policy::model::Tool;
use crate::policy::state::{self, ToolState};

/// A change of one stretch of a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    at: usize,
    removed: Box<str>,
    inserted: Box<str>,
}

impl Patch {
    /// What turns one text into another.
    pub fn between(old: &str, new: &str) -> Self {
        let mut start = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
        while !(old.is_char_boundary(start) && new.is_char_boundary(start)) {
            start -= 1;
        }
        let room = old.len().min(new.len()) - start;
        let mut end = old.bytes().rev().zip(new.bytes().rev()).take(room).take_while(|(a, b)| a == b).count();
        while !(old.is_char_boundary(old.len() - end) && new.is_char_boundary(new.len() - end)) {
            end -= 1;
        }
        Self {
            at: start,
            removed: old.get(start..old.len() - end).unwrap_or_default().into(),
            inserted: new.get(start..new.len() - end).unwrap_or_default().into(),
        }
    }

    /// The new text from the old.
    fn forward(&self, text: &str) -> String {
        Self::replace(text, self.at, self.removed.len(), &self.inserted)
    }

    /// The old text from the new.
    fn backward(&self, text: &str) -> String {
        Self::replace(text, self.at, self.inserted.len(), &self.removed)
    }

    /// This change and one right after it as one; `None`: they do not touch.
    fn and(&self, next: &Self) -> Option<Self> {
        let text = |a: &str, b: &str| format!("{a}{b}").into_boxed_str();
        if next.removed.is_empty() && next.at == self.at + self.inserted.len() {
            return Some(Self { inserted: text(&self.inserted, &next.inserted), ..self.clone() });
        }
        if !next.inserted.is_empty() || !self.inserted.is_empty() {
            return None;
        }
        if next.at + next.removed.len() == self.at {
            return Some(Self {
                at: next.at,
                removed: text(&next.removed, &self.removed),
                inserted: "".into(),
            });
        }
        (next.at == self.at).then(|| Self { removed: text(&self.removed, &next.removed), ..self.clone() })
    }

    fn replace(text: &str, at: usize, len: usize, with: &str) -> String {
        let mut out = String::with_capacity(text.len() - len + with.len());
        out.push_str(text.get(..at).unwrap_or_default());
        out.push_str(with);
        out.push_str(text.get(at + len..).unwrap_or_default());
        out
    }
}

impl Stroke {
    /// What the edit is called.
    fn label(self, patch: &Patch) -> String {
        let (word, text) = match self {
            Self::Type => ("type", &patch.inserted),
            Self::Erase => ("delete", &patch.removed),
            Self::Alone(word) => return format!("{word} in the text"),
        };
        let shown: String = text.trim().chars().take(NAMED).collect();
        format!("{word} `{}`", crate::visible::visible(&shown))
    }
}

/// One edit of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    label: String,
    patch: Patch,
    /// The row that was selected.
    row: Option<String>,
}

/// How a change of the text was made by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Characters were typed: one edit as long as they follow each other.
    Type,
    /// Characters were taken away: likewise.
    Erase,
    /// An edit of its own, with its name.
    Alone(&'static str),
}

/// A text up to this size is read at every stroke; a larger one later, and away from the keys.
pub const READ_AT_ONCE: usize = 128 * 1024;
/// How long the next stroke may take to belong to the same edit, in milliseconds.
const TOGETHER: u64 = 2_000;
/// How much of what was typed an edit's name shows, in characters.
const NAMED: usize = 24;

/// The document that is edited.
#[derive(Debug, Clone)]
pub struct Editor {
    text: Arc<str>,
    document: Option<Document>,
    diagnostics: Vec<Diagnostic>,
    /// The file's content as last seen; `None`: there is no file.
    disk: Option<Arc<str>>,
    history: Vec<Edit>,
    /// How many of the history's edits are in the text.
    at: usize,
    /// How many of the history's edits were in the text when it was last as the file is.
    saved_at: usize,
    /// The text is ahead of what is known about it.
    stale: bool,
    /// The last edit of the history goes on with the next stroke like it, until this time.
    stroke: Option<(Stroke, u64)>,
    /// Grows with every change of the text.
    generation: u64,
    /// The text was made here and nobody touched it.
    pristine: bool,
    tools: HashMap<Box<str>, usize>,
    hidden: HashSet<Box<str>>,
}

impl Editor {
    /// Opens a text: a file's, or a new document's where there is none.
    pub fn open(text: Arc<str>, disk: Option<Arc<str>>) -> Self {
        let pristine = disk.is_none();
        let mut editor = Self {
            text: Arc::from(""),
            document: None,
            diagnostics: Vec::new(),
            disk,
            history: Vec::new(),
            at: 0,
            saved_at: 0,
            stale: false,
            stroke: None,
            generation: 0,
            pristine,
            tools: HashMap::new(),
            hidden: HashSet::new(),
        };
        editor.put(text);
        editor
    }

    fn put(&mut self, text: Arc<str>) {
        let parsed = Document::parse(&text);
        self.text = text;
        self.stroke = None;
        self.generation += 1;
        self.take(parsed);
    }

    fn take(&mut self, parsed: Parsed) {
        self.document = parsed.document;
        self.diagnostics = parsed.diagnostics;
        self.stale = false;
        self.index();
    }

    /// Whether the text is ahead of what is known about it.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The text of a generation was read.
    pub fn read(&mut self, generation: u64, parsed: Parsed) {
        if self.stale && generation == self.generation {
            self.take(parsed);
        }
    }

    /// Reads the text where it is ahead.
    pub fn settle(&mut self) {
        if self.stale {
            self.take(Document::parse(&Arc::clone(&self.text)));
        }
    }

    /// The next stroke begins an edit of its own.
    pub fn pause(&mut self) {
        self.stroke = None;
    }

    /// Replaces a stretch of the text by hand, at a time in milliseconds. Strokes that follow each
    /// other are one edit.
    pub fn splice(&mut self, range: std::ops::Range<usize>, with: &str, stroke: Stroke, now: u64) {
        let Some(removed) = self.text.get(range.clone()) else { return };
        if removed == with {
            return;
        }
        let patch = Patch { at: range.start, removed: removed.into(), inserted: with.into() };
        let text: Arc<str> = Arc::from(patch.forward(&self.text));
        let goes_on = self.stroke.is_some_and(|(last, until)| last == stroke && now <= until)
            && self.at == self.history.len()
            && self.saved_at != self.at;
        let joined = self.history.last().filter(|_| goes_on).and_then(|last| last.patch.and(&patch));
        if let (Some(joined), Some(last)) = (joined, self.history.last_mut()) {
            last.label = stroke.label(&joined);
            last.patch = joined;
        } else {
            let label = stroke.label(&patch);
            self.record(Edit { label, patch, row: None });
        }
        if text.len() <= READ_AT_ONCE {
            self.put(text);
        } else {
            self.text = text;
            self.generation += 1;
            self.stale = true;
        }
        self.stroke = Some((stroke, now.saturating_add(TOGETHER)));
    }

    /// Where the last edit that is in the text ended.
    pub fn last_place(&self) -> Option<usize> {
        let edit = self.at.checked_sub(1).and_then(|at| self.history.get(at))?;
        Some(edit.patch.at + edit.patch.inserted.len())
    }

    /// Where the next edit that can be done again begins.
    pub fn next_place(&self) -> Option<usize> {
        self.history.get(self.at).map(|edit| edit.patch.at)
    }

    /// Looks names up once, so that each row of a long table is cheap.
    fn index(&mut self) {
        self.tools.clear();
        self.hidden.clear();
        if let Some(document) = &self.document {
            let policy = document.policy();
            for (index, tool) in policy.tools.iter().enumerate() {
                self.tools.entry(tool.name.as_str().into()).or_insert(index);
            }
            self.hidden.extend(policy.hide.names.iter().map(|(name, _)| name.as_str().into()));
        }
    }

    /// A tool's entry.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.document()?.policy().tools.get(*self.tools.get(name)?)
    }

    /// A tool's state.
    pub fn state(&self, name: &str) -> ToolState {
        let Some(document) = &self.document else { return ToolState::Deny };
        let policy = document.policy();
        state::state(policy, policy.hide.all || self.hidden.contains(name), self.tool(name))
    }

    /// A tool's limits and rules in one line.
    pub fn glance(&self, name: &str) -> String {
        self.tool(name).map_or_else(String::new, state::tool_glance)
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// What it means, as far as it can be read.
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// What is wrong with it.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether it has no errors: only then can it be edited by keys.
    pub fn is_valid(&self) -> bool {
        !self.stale
            && self.document.is_some()
            && self.diagnostics.iter().all(|found| found.severity != Severity::Error)
    }

    /// The file's content as last seen.
    pub fn disk(&self) -> Option<&Arc<str>> {
        self.disk.as_ref()
    }

    /// Takes note of the file's content.
    pub fn set_disk(&mut self, disk: Option<Arc<str>>) {
        if disk.as_deref() == Some(&*self.text) {
            self.saved_at = self.at;
        }
        self.disk = disk;
    }

    /// Whether the text differs from the file. A new document that nobody touched does not count.
    pub fn is_unsaved(&self) -> bool {
        match &self.disk {
            Some(disk) => **disk != *self.text,
            None => !self.pristine || self.at > 0,
        }
    }

    /// How many edits lie between the text and its beginning.
    pub fn edits(&self) -> usize {
        self.at
    }

    /// Grows with every change of the text.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes an edit; what had been taken back is forgotten.
    pub fn edit(&mut self, text: &str, label: impl Into<String>, row: Option<String>) {
        if *text == *self.text {
            return;
        }
        self.remember(text, label.into(), row);
        self.put(Arc::from(text));
    }

    /// Applies an edit; `Ok(false)`: it changes nothing.
    ///
    /// # Errors
    /// When the document does not take it; nothing changed then.
    pub fn apply(&mut self, change: &edit::Edit, row: Option<String>) -> Result<bool, edit::EditError> {
        self.settle();
        let Some(document) = &self.document else {
            return Err(edit::EditError::NoSuch { what: "policy that can be read".to_owned() });
        };
        let next = edit::apply_to(document, change)?;
        if *next.text() == *self.text {
            return Ok(false);
        }
        self.remember(next.text(), change.describe(), row);
        self.text = Arc::from(next.text());
        self.stroke = None;
        self.generation += 1;
        self.take(Parsed { document: Some(next), diagnostics: Vec::new() });
        Ok(true)
    }

    fn remember(&mut self, text: &str, label: String, row: Option<String>) {
        self.record(Edit { label, patch: Patch::between(&self.text, text), row });
    }

    fn record(&mut self, edit: Edit) {
        if self.saved_at > self.at {
            self.saved_at = 0;
        }
        self.history.truncate(self.at);
        self.history.push(edit);
        self.at = self.history.len();
    }

    /// Takes back the last edit: its label and the row that was selected.
    pub fn undo(&mut self) -> Option<(String, Option<String>)> {
        let edit = self.at.checked_sub(1).and_then(|at| self.history.get(at))?;
        let (text, done) = (edit.patch.backward(&self.text), (edit.label.clone(), edit.row.clone()));
        self.at -= 1;
        self.put(Arc::from(text));
        Some(done)
    }

    /// Does again what was taken back last.
    pub fn redo(&mut self) -> Option<(String, Option<String>)> {
        let edit = self.history.get(self.at)?;
        let (text, done) = (edit.patch.forward(&self.text), (edit.label.clone(), edit.row.clone()));
        self.at += 1;
        self.put(Arc::from(text));
        Some(done)
    }

    /// The edits between the text and its beginning, the oldest first.
    pub fn labels(&self) -> Vec<String> {
        self.history.iter().take(self.at).map(|edit| edit.label.clone()).collect()
    }

    /// The edits since the text was last as the file is, the oldest first.
    pub fn unsaved_labels(&self) -> Vec<String> {
        let from = if self.saved_at <= self.at { self.saved_at } else { 0 };
        self.history.iter().take(self.at).skip(from).map(|edit| edit.label.clone()).collect()
    }

    /// What undo would take back.
    pub fn undo_label(&self) -> Option<&str> {
        self.at.checked_sub(1).and_then(|at| self.history.get(at)).map(|edit| edit.label.as_str())
    }

    /// What redo would do again.
    pub fn redo_label(&self) -> Option<&str> {
        self.history.get(self.at).map(|edit| edit.label.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_edits_are_undone_to_the_exact_bytes_and_every_state_is_valid_or_says_why(
            edits in prop::collection::vec(crate::policy::edit::arbitrary::edit(), 1..24),
            back in 0usize..24,
        ) {
            let first: Arc<str> = Arc::from(crate::policy::edit::arbitrary::POLICY);
            let mut editor = Editor::open(Arc::clone(&first), Some(Arc::clone(&first)));
            for (at, edit) in edits.iter().enumerate() {
                // An edit that does not fit is refused with its reason, and changes nothing.
                let before = Arc::clone(editor.text());
                if let Err(why) = editor.apply(edit, None) {
                    prop_assert!(!why.to_string().is_empty());
                    prop_assert_eq!(editor.text(), &before);
                }
                if at % 7 == 6 {
                    for _ in 0..back % 3 { editor.undo(); }
                }
                prop_assert!(editor.is_valid() && editor.diagnostics().is_empty());
                let document = Document::parse(editor.text()).valid();
                prop_assert!(document.is_ok_and(|it| crate::policy::compiled::Compiled::new(&it).is_ok()));
            }
            let (end, many) = (Arc::clone(editor.text()), editor.edits());
            while editor.undo().is_some() {}
            prop_assert_eq!(editor.text(), &first);
            prop_assert!(!editor.is_unsaved());
            for _ in 0..many { prop_assert!(editor.redo().is_some()); }
            prop_assert_eq!(editor.text(), &end);
        }

        #[test]
        fn undo_to_the_start_and_redo_to_the_end_give_the_exact_bytes(
            texts in prop::collection::vec("[a-cäé\u{301}👩\\n ]{0,12}", 1..12),
        ) {
            let mut editor = Editor::open(Arc::from(texts[0].as_str()), None);
            for text in &texts { editor.edit(text, "edit", None); }
            let end = editor.text().clone();
            while editor.undo().is_some() {}
            prop_assert_eq!(&**editor.text(), texts[0].as_str());
            prop_assert_eq!(editor.edits(), 0);
            while editor.redo().is_some() {}
            prop_assert_eq!(editor.text(), &end);
        }
    }
}
