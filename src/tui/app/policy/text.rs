//! The document as text: a cursor, a selection, and keys that change what stands there. Every change
//! is an edit of the one history that the forms write, too.

use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::editor::{Editor, Stroke};
use crate::policy::complete::{self, Candidate};
use crate::tui::key::{Code, Key};

/// What a tab is shown as.
pub const TAB: &str = "    ";

/// Where the person is in the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextPane {
    /// Keys write into the text; else they move over it.
    pub typing: bool,
    /// The cursor, a byte of the text.
    pub cursor: usize,
    /// The other end of the selection.
    pub anchor: Option<usize>,
    /// The first line shown, from 0.
    pub top: usize,
    /// The first column shown, from 0.
    pub left: usize,
    /// The column that moves up and down keep to.
    goal: Option<usize>,
    /// What could be written here.
    pub offer: Option<Offer>,
    lines: Lines,
}

/// What could be written at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The candidates, the likeliest first.
    pub candidates: Arc<[Candidate]>,
    /// The chosen one.
    pub at: usize,
    /// The bytes that it replaces.
    pub replaces: Range<usize>,
}

/// Where each line begins, for one generation of the text.
#[derive(Debug, Clone, Default, PartialEq)]
struct Lines {
    generation: Option<u64>,
    starts: Arc<Vec<usize>>,
}

impl Lines {
    fn of(text: &str) -> Vec<usize> {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        std::iter::once(0).chain(ends.map(|at| at + 1)).collect()
    }
}

/// What a key did to the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Did {
    /// Nothing: it means nothing here.
    Nothing,
    /// The cursor moved, or what is offered changed.
    Moved,
    /// The text changed; `true`: what could be written here is wanted.
    Wrote(bool),
    /// This is for the clipboard.
    Copied(String),
    /// Typing ends.
    Leave,
}

impl TextPane {
    /// Brings what is known of the lines up to the text.
    pub(super) fn sync(&mut self, editor: &Editor) {
        if self.lines.generation != Some(editor.generation()) {
            self.lines.generation = Some(editor.generation());
            self.lines.starts = Arc::new(Lines::of(editor.text()));
        }
        self.cursor = boundary(editor.text(), self.cursor);
        self.anchor = self.anchor.map(|anchor| boundary(editor.text(), anchor));
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.lines.starts.len()
    }

    /// The line that a byte stands in, from 0.
    pub fn line_of(&self, at: usize) -> usize {
        self.lines.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// The bytes of a line, without its ending.
    pub fn line<'t>(&self, text: &'t str, line: usize) -> (usize, &'t str) {
        let start = self.lines.starts.get(line).copied().unwrap_or(text.len());
        let end = self.lines.starts.get(line + 1).map_or(text.len(), |next| next - 1);
        (start, text.get(start..end).unwrap_or_default().trim_end_matches('\r'))
    }

    /// The selected bytes.
    pub fn selection(&self) -> Option<Range<usize>> {
        let anchor = self.anchor.filter(|anchor| *anchor != self.cursor)?;
        Some(anchor.min(self.cursor)..anchor.max(self.cursor))
    }

    /// The column of a byte, from 0.
    pub fn column(&self, text: &str, at: usize) -> usize {
        let (start, line) = self.line(text, self.line_of(at));
        columns(line.get(..at.saturating_sub(start)).unwrap_or(line))
    }

    /// Goes to a byte.
    pub(super) fn go(&mut self, editor: &Editor, at: usize) {
        self.sync(editor);
        self.cursor = boundary(editor.text(), at);
        self.anchor = None;
        self.goal = None;
        self.offer = None;
    }

    /// Brings the cursor into view.
    pub(super) fn show(&mut self, editor: &Editor, rows: usize, columns: usize) {
        self.sync(editor);
        let (rows, columns) = (rows.max(1), columns.max(8));
        let line = self.line_of(self.cursor);
        if line < self.top {
            self.top = line;
        } else if line >= self.top + rows {
            self.top = line + 1 - rows;
        }
        let column = self.column(editor.text(), self.cursor);
        if column < self.left || column + 1 > self.left + columns {
            self.left = (column + 1).saturating_sub(columns * 3 / 4);
        }
        if column + 1 < columns {
            self.left = 0;
        }
    }

    /// Brings the cursor's line to where there is room below it to read on.
    pub(super) fn center(&mut self, rows: usize) {
        self.top = self.line_of(self.cursor).saturating_sub(rows / 3);
    }

    /// Moves by lines.
    pub(super) fn lines_on(&mut self, editor: &Editor, down: bool, many: usize, select: bool) {
        self.sync(editor);
        let text = editor.text();
        let goal = self.goal.unwrap_or_else(|| self.column(text, self.cursor));
        let line = self.line_of(self.cursor);
        let last = self.count().saturating_sub(1);
        let next = if down { line.saturating_add(many).min(last) } else { line.saturating_sub(many) };
        let (start, content) = self.line(text, next);
        let to = if next == line && down { start + content.len() } else { start + at_column(content, goal) };
        let to = if next == line && !down { start } else { to };
        self.move_to(to, select);
        self.goal = Some(goal);
    }

    fn move_to(&mut self, to: usize, select: bool) {
        if select {
            self.anchor.get_or_insert(self.cursor);
        } else {
            self.anchor = None;
        }
        self.cursor = to;
        self.goal = None;
        self.offer = None;
    }

    /// Takes a key while typing. `page`: lines of a page.
    pub(super) fn key(&mut self, editor: &mut Editor, key: Key, page: usize, now: u64) -> Did {
        self.sync(editor);
        if let Some(did) = self.offered(editor, key, now) {
            return did;
        }
        let text = Arc::clone(editor.text());
        let select = key.shift;
        let (start, content) = self.line(&text, self.line_of(self.cursor));
        match key.code {
            Code::Esc if self.anchor.is_some() => self.anchor = None,
            Code::Esc => return Did::Leave,
            Code::Left if key.ctrl || key.alt => self.move_to(word_left(&text, self.cursor), select),
            Code::Right if key.ctrl || key.alt => self.move_to(word_right(&text, self.cursor), select),
            Code::Left => self.move_to(left(&text, self.cursor), select),
            Code::Right => self.move_to(right(&text, self.cursor), select),
            Code::Up => self.lines_on(editor, false, 1, select),
            Code::Down => self.lines_on(editor, true, 1, select),
            Code::PageUp => self.lines_on(editor, false, page, select),
            Code::PageDown => self.lines_on(editor, true, page, select),
            Code::Home if key.ctrl => self.move_to(0, select),
            Code::End if key.ctrl => self.move_to(text.len(), select),
            Code::Home => {
                // First to the text, then to the line's very beginning.
                let inner = start + content.len() - content.trim_start().len();
                self.move_to(if self.cursor == inner { start } else { inner }, select);
            }
            Code::End => self.move_to(start + content.len(), select),
            Code::Char('a') if key.ctrl => {
                self.anchor = Some(0);
                self.cursor = text.len();
            }
            Code::Char('c' | 'x') if key.ctrl => {
                let range = self.selection().unwrap_or_else(|| whole_line(&text, start, content));
                let copied = text.get(range.clone()).unwrap_or_default().to_owned();
                if key.code == Code::Char('x') {
                    self.replace(editor, range, "", Stroke::Alone("cut"), now);
                }
                return Did::Copied(copied);
            }
            Code::Char('k') if key.ctrl => {
                self.replace(
                    editor,
                    whole_line(&text, start, content),
                    "",
                    Stroke::Alone("delete a line"),
                    now,
                );
                return Did::Wrote(false);
            }
            Code::Char('w') if key.ctrl => return self.erase(editor, word_left(&text, self.cursor), now),
            Code::Backspace if key.ctrl || key.alt => {
                return self.erase(editor, word_left(&text, self.cursor), now);
            }
            Code::Backspace => {
                // In the indentation a whole step goes.
                let before = text.get(start..self.cursor).unwrap_or_default();
                let blank = !before.is_empty() && before.bytes().all(|byte| byte == b' ');
                let to =
                    if blank && before.len() % 2 == 0 { self.cursor - 2 } else { left(&text, self.cursor) };
                return self.erase(editor, to, now);
            }
            Code::Delete => return self.erase(editor, right(&text, self.cursor), now),
            Code::Enter => {
                self.enter(editor, &text, content, now);
                return Did::Wrote(false);
            }
            Code::Tab => {
                if key.shift || self.selection().is_some() {
                    self.indent(editor, !key.shift, now);
                } else {
                    self.write(editor, "  ", now);
                }
                return Did::Wrote(false);
            }
            _ => {
                let Some(c) = key.typed() else { return Did::Nothing };
                self.type_char(editor, &text, c, now);
                return Did::Wrote(c.is_alphanumeric() || matches!(c, '"' | '_' | '.'));
            }
        }
        editor.pause();
        Did::Moved
    }

    /// Takes a key while something is offered; `None`: it is for the text.
    fn offered(&mut self, editor: &mut Editor, key: Key, now: u64) -> Option<Did> {
        let offer = self.offer.as_mut()?;
        let last = offer.candidates.len().saturating_sub(1);
        match key.code {
            Code::Up => offer.at = offer.at.checked_sub(1).unwrap_or(last),
            Code::Down => offer.at = if offer.at >= last { 0 } else { offer.at + 1 },
            Code::Esc => self.offer = None,
            Code::Enter | Code::Tab if !key.shift => {
                let Offer { candidates, at, replaces } = self.offer.take()?;
                let chosen = candidates.get(at)?;
                self.replace(editor, replaces, &chosen.text, Stroke::Alone("complete"), now);
                self.cursor -= chosen.back;
                return Some(Did::Wrote(chosen.back > 0));
            }
            _ => return None,
        }
        Some(Did::Moved)
    }

    fn erase(&mut self, editor: &mut Editor, to: usize, now: u64) -> Did {
        let alone = self.selection();
        let range = alone.clone().unwrap_or(to.min(self.cursor)..to.max(self.cursor));
        if range.is_empty() {
            return Did::Moved;
        }
        let stroke = if alone.is_some() { Stroke::Alone("delete") } else { Stroke::Erase };
        self.replace(editor, range, "", stroke, now);
        Did::Wrote(self.offer.is_some())
    }

    /// Writes text at the cursor, in place of the selection.
    pub(super) fn write(&mut self, editor: &mut Editor, what: &str, now: u64) {
        let selected = self.selection();
        let stroke =
            if selected.is_some() || what.contains('\n') { Stroke::Alone("write") } else { Stroke::Type };
        let range = selected.unwrap_or(self.cursor..self.cursor);
        self.replace(editor, range, what, stroke, now);
    }

    /// Writes pasted text.
    pub(super) fn paste(&mut self, editor: &mut Editor, what: &str, now: u64) {
        self.sync(editor);
        // Line ends as the text has them; other control characters are no JSON.
        let ends = if editor.text().contains("\r\n") { "\r\n" } else { "\n" };
        let lines = what.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = lines.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
        let range = self.selection().unwrap_or(self.cursor..self.cursor);
        self.replace(editor, range, &clean.replace('\n', ends), Stroke::Alone("paste"), now);
        self.offer = None;
    }

    fn replace(&mut self, editor: &mut Editor, range: Range<usize>, with: &str, stroke: Stroke, now: u64) {
        editor.splice(range.clone(), with, stroke, now);
        self.cursor = range.start + with.len();
        self.anchor = None;
        self.goal = None;
        self.sync(editor);
    }

    fn type_char(&mut self, editor: &mut Editor, text: &str, c: char, now: u64) {
        let next = text.get(self.cursor..).and_then(|rest| rest.chars().next());
        // A closing mark that stands there already is stepped over.
        if self.selection().is_none() && next == Some(c) && matches!(c, '"' | '}' | ']') {
            let (start, content) = self.line(text, self.line_of(self.cursor));
            let before = content.get(..self.cursor.saturating_sub(start)).unwrap_or_default();
            let quotes = before.matches('"').count() - before.matches("\\\"").count();
            if c != '"' || quotes % 2 == 1 {
                self.move_to(right(text, self.cursor), false);
                return editor.pause();
            }
        }
        let mut written = String::from(c);
        let free = next.is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '}' | ']'));
        let close = match c {
            '{' if free => "}",
            '[' if free => "]",
            '"' if free && !self.in_string(text) => "\"",
            // A closing bracket stands as deep as its line began.
            '}' | ']' => {
                self.outdent(editor, text, now);
                ""
            }
            _ => "",
        };
        written.push_str(close);
        self.write(editor, &written, now);
        self.cursor -= close.len();
    }

    fn in_string(&self, text: &str) -> bool {
        let (start, content) = self.line(text, self.line_of(self.cursor));
        let before = content.get(..self.cursor.saturating_sub(start)).unwrap_or_default();
        (before.matches('"').count() - before.matches("\\\"").count()) % 2 == 1
    }

    /// Takes a step of indentation away where only white space stands before the cursor.
    fn outdent(&mut self, editor: &mut Editor, text: &str, now: u64) {
        let (start, content) = self.line(text, self.line_of(self.cursor));
        let before = content.get(..self.cursor.saturating_sub(start)).unwrap_or_default();
        if before.len() >= 2 && before.bytes().all(|byte| byte == b' ') && content.trim().is_empty() {
            self.replace(editor, self.cursor - 2..self.cursor, "", Stroke::Erase, now);
        }
    }

    /// A new line as deep as this one, or a step deeper after an opening bracket.
    fn enter(&mut self, editor: &mut Editor, text: &str, content: &str, now: u64) {
        let ends = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let indent: String = content.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let before = text.get(..self.cursor).unwrap_or_default().trim_end_matches([' ', '\t']);
        let opens = before.ends_with(['{', '[']);
        let closes =
            text.get(self.cursor..).is_some_and(|rest| rest.trim_start_matches(' ').starts_with(['}', ']']));
        let step = if indent.starts_with('\t') { "\t" } else { "  " };
        let mut written = format!("{ends}{indent}");
        let mut back = 0;
        if opens {
            written.push_str(step);
            if closes {
                let rest = format!("{ends}{indent}");
                back = rest.len();
                written.push_str(&rest);
            }
        }
        let range = self.selection().unwrap_or(self.cursor..self.cursor);
        self.replace(editor, range, &written, Stroke::Alone("new line"), now);
        self.cursor -= back;
    }

    /// Moves the selected lines, or this one, a step in or out.
    fn indent(&mut self, editor: &mut Editor, inward: bool, now: u64) {
        let text = Arc::clone(editor.text());
        let range = self.selection().unwrap_or(self.cursor..self.cursor);
        let (first, last) = (self.line_of(range.start), self.line_of(range.end));
        let (start, _) = self.line(&text, first);
        let (end, content) = self.line(&text, last);
        let end = end + content.len();
        let old = text.get(start..end).unwrap_or_default();
        let shift = |line: &str| {
            if inward {
                if line.trim().is_empty() { line.to_owned() } else { format!("  {line}") }
            } else {
                let cut = line.bytes().take(2).take_while(|byte| *byte == b' ').count();
                line.get(cut..).unwrap_or_default().to_owned()
            }
        };
        let new = old.split('\n').map(shift).collect::<Vec<_>>().join("\n");
        if new != old {
            self.replace(editor, start..end, &new, Stroke::Alone("indent"), now);
            self.anchor = Some(start);
        }
    }

    /// Offers what could be written at the cursor.
    pub(super) fn offer(&mut self, text: &str, known: &complete::Known<'_>, asked: bool) {
        self.offer = None;
        let Some(place) = complete::place(text, self.cursor) else { return };
        if !asked && place.prefix.is_empty() && place.to == place.from {
            return;
        }
        let candidates = complete::candidates(&place, known);
        // What is written already need not be offered.
        let written = text.get(place.from..place.to).unwrap_or_default();
        let done = candidates.first().is_some_and(|first| first.text == written);
        if candidates.is_empty() || (done && !asked) {
            return;
        }
        // A key that has its value already only changes its name.
        let follows = text.get(place.to..).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let name_only = |candidate: Candidate| match candidate.text.split_once("\": ") {
            Some((name, _)) if follows => Candidate { text: format!("{name}\""), back: 0, ..candidate },
            _ => candidate,
        };
        let candidates = candidates.into_iter().map(name_only).collect();
        self.offer = Some(Offer { candidates, at: 0, replaces: place.from..place.to });
    }
}

/// A line with its ending.
fn whole_line(text: &str, start: usize, content: &str) -> Range<usize> {
    let end = start + content.len();
    let rest = text.get(end..).unwrap_or_default();
    let ending = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    start..end + ending
}

/// How many columns a text takes as it is shown.
pub fn columns(text: &str) -> usize {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.len();
    }
    text.graphemes(true).map(|part| shown(part).width()).sum()
}

/// A character as it is shown.
pub fn shown(part: &str) -> std::borrow::Cow<'_, str> {
    if part == "\t" { std::borrow::Cow::Borrowed(TAB) } else { crate::visible::visible(part) }
}

/// The byte at a column of a line, or its end.
pub fn at_column(line: &str, column: usize) -> usize {
    if line.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return column.min(line.len());
    }
    let mut used = 0;
    for (at, part) in line.grapheme_indices(true) {
        let wide = shown(part).width();
        if used + wide > column {
            return at;
        }
        used += wide;
    }
    line.len()
}

/// The nearest boundary of a character at or before a byte.
fn boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

fn left(text: &str, at: usize) -> usize {
    let from = text.floor_char_boundary(at.saturating_sub(64));
    let before = text.get(from..at).unwrap_or_default();
    before.graphemes(true).next_back().map_or(0, |part| at - part.len())
}

fn right(text: &str, at: usize) -> usize {
    let to = text.ceil_char_boundary((at + 64).min(text.len()));
    let after = text.get(at..to).unwrap_or_default();
    after.graphemes(true).next().map_or(at, |part| at + part.len())
}

fn word_left(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let gap = before.trim_end_matches(|c: char| !c.is_alphanumeric());
    if gap.is_empty() {
        return 0;
    }
    gap.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()
}

fn word_right(text: &str, at: usize) -> usize {
    let after = text.get(at..).unwrap_or_default();
    let word = after.trim_start_matches(|c: char| !c.is_alphanumeric());
    let rest = word.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    at + after.len() - rest.len()
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
