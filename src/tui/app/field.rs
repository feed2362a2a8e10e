//! A one-line text field with word moves, paste and undo.

use unicode_segmentation::UnicodeSegmentation;

use crate::tui::key::{Code, Key};

/// The longest text that a field takes, in bytes; a paste beyond it is cut.
const MAX_LEN: usize = 16 * 1024;
/// How many steps back a field remembers.
const MAX_UNDO: usize = 200;

/// A one-line text field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Field {
    text: String,
    /// A byte index on a boundary between user-perceived characters.
    cursor: usize,
    undo: Vec<(String, usize)>,
    redo: Vec<(String, usize)>,
    /// The last edit typed a character: the next one joins its undo step.
    typing: bool,
}

impl Field {
    /// A field that holds a text, the cursor at its end.
    pub fn with(text: impl Into<String>) -> Self {
        let text: String = one_line(&text.into());
        Self { cursor: text.len(), text, ..Self::default() }
    }

    /// A field that holds a text, the cursor at a byte of it, or after it.
    pub fn placed(text: impl Into<String>, cursor: usize) -> Self {
        let field = Self::with(text);
        let cursor = field.text.floor_char_boundary(cursor);
        Self { cursor, ..field }
    }

    /// What it holds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor is, as a byte index into the text.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Replaces the whole text; undo brings the old one back.
    pub fn set(&mut self, text: impl Into<String>) {
        self.remember(false);
        self.text = one_line(&text.into());
        self.cursor = self.text.len();
    }

    /// Inserts text at the cursor; line breaks become spaces.
    pub fn paste(&mut self, text: &str) {
        self.remember(false);
        self.insert(&one_line(text));
    }

    /// Takes a key; `false` when it means nothing to a field.
    pub fn key(&mut self, key: Key) -> bool {
        if let Some(c) = key.typed() {
            self.remember(!c.is_whitespace());
            self.insert(c.encode_utf8(&mut [0; 4]));
            return true;
        }
        let (before, after) = self.text.split_at(self.cursor);
        let left = before.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
        let right = after.graphemes(true).next().map_or(self.cursor, |next| self.cursor + next.len());
        let word_left = before.unicode_word_indices().next_back().map_or(0, |(at, _)| at);
        let word_right = after
            .unicode_word_indices()
            .next()
            .map_or(self.text.len(), |(at, word)| self.cursor + at + word.len());
        match (key.code, key.ctrl, key.alt) {
            (Code::Left, false, false) => self.go(left),
            (Code::Right, false, false) => self.go(right),
            (Code::Left, ..) | (Code::Char('b'), false, true) => self.go(word_left),
            (Code::Right, ..) | (Code::Char('f'), false, true) => self.go(word_right),
            (Code::Home, ..) | (Code::Char('a'), true, false) => self.go(0),
            (Code::End, ..) | (Code::Char('e'), true, false) => self.go(self.text.len()),
            (Code::Backspace, false, false) | (Code::Char('h'), true, false) => self.cut(left, self.cursor),
            (Code::Delete, false, false) | (Code::Char('d'), true, false) => self.cut(self.cursor, right),
            (Code::Char('w'), true, false) | (Code::Backspace, ..) => self.cut(word_left, self.cursor),
            (Code::Char('d'), false, true) | (Code::Delete, ..) => self.cut(self.cursor, word_right),
            (Code::Char('u'), true, false) => self.cut(0, self.cursor),
            (Code::Char('k'), true, false) => self.cut(self.cursor, self.text.len()),
            (Code::Char('z' | '_'), true, false) => self.travel(true),
            (Code::Char('y'), true, false) => self.travel(false),
            _ => return false,
        }
        true
    }

    fn insert(&mut self, text: &str) {
        let mut room = MAX_LEN.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        let (text, _) = text.split_at(room);
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        // A combining mark may have joined what follows: stand after the whole of it.
        let end = self.cursor;
        self.cursor = self
            .text
            .grapheme_indices(true)
            .map(|(at, part)| at + part.len())
            .find(|at| *at >= end)
            .unwrap_or(self.text.len());
    }

    fn go(&mut self, to: usize) {
        self.typing = false;
        self.cursor = to;
    }

    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.remember(false);
            self.text.replace_range(from..to, "");
            self.cursor = from;
        }
    }

    fn remember(&mut self, typing: bool) {
        if !(typing && self.typing) {
            self.undo.push((self.text.clone(), self.cursor));
            if self.undo.len() > MAX_UNDO {
                self.undo.remove(0);
            }
        }
        self.redo.clear();
        self.typing = typing;
    }

    fn travel(&mut self, back: bool) {
        self.typing = false;
        let (from, to) =
            if back { (&mut self.undo, &mut self.redo) } else { (&mut self.redo, &mut self.undo) };
        if let Some((text, cursor)) = from.pop() {
            to.push((std::mem::replace(&mut self.text, text), self.cursor));
            self.cursor = cursor;
        }
    }
}

fn one_line(text: &str) -> String {
    text.trim_end_matches(['\r', '\n'])
        .chars()
        .filter(|c| *c != '\r')
        .map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(field: &mut Field, script: &str) {
        for key in script.split_whitespace() {
            assert!(field.key(key.parse().expect(key)), "{key}");
        }
    }

    #[test]
    fn edits_by_character_and_word_and_undoes() {
        let mut field = Field::with("deny all calls");
        keys(&mut field, "ctrl-w o n e");
        assert_eq!(field.text(), "deny all one");
        keys(&mut field, "ctrl-left ctrl-left ctrl-k");
        assert_eq!(field.text(), "deny ");
        keys(&mut field, "ctrl-z ctrl-z");
        assert_eq!(field.text(), "deny all ");
        keys(&mut field, "ctrl-z");
        assert_eq!(field.text(), "deny all calls");
        keys(&mut field, "ctrl-y ctrl-y");
        assert_eq!(field.text(), "deny all one");
        field.paste("a\r\nb\u{1b}[31m\n");
        assert_eq!(field.text(), "deny a b[31mall one");
    }

    proptest! {
        #[test]
        fn any_keys_leave_the_cursor_on_a_boundary_and_undo_goes_back(
            start in "\\PC{0,12}",
            script in prop::collection::vec(prop_oneof![
                Just("left"), Just("right"), Just("ctrl-left"), Just("ctrl-right"), Just("home"), Just("end"),
                Just("backspace"), Just("delete"), Just("ctrl-w"), Just("alt-d"), Just("ctrl-u"), Just("ctrl-k"),
                Just("a"), Just("space"), Just("é"), Just("\u{301}"), Just("👩"), Just("ctrl-z"), Just("ctrl-y"),
            ], 0..60),
        ) {
            let mut field = Field::with(start.clone());
            let first = field.text().to_owned();
            for key in &script {
                if let Ok(key) = key.parse() { field.key(key); }
                prop_assert!(field.text().is_char_boundary(field.cursor()));
            }
            for _ in 0..script.len() { field.key("ctrl-z".parse().unwrap()); }
            prop_assert_eq!(field.text(), first);
        }
    }
}
