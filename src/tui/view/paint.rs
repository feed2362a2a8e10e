//! Drawing text into a buffer by role. What is drawn has been made visible before.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::app::Hit;
use crate::tui::theme::{Glyphs, Role, Theme};

/// What is drawn on, and what came of it.
#[derive(Debug)]
pub struct Paint<'a> {
    /// The cells.
    pub buf: &'a mut Buffer,
    /// How things look.
    pub theme: &'a Theme,
    /// What stands where, for the mouse; later entries lie on top.
    pub hits: Vec<(Rect, Hit)>,
    /// Where the cursor blinks.
    pub cursor: Option<Position>,
}

impl<'a> Paint<'a> {
    /// Draws on a buffer.
    pub fn new(buf: &'a mut Buffer, theme: &'a Theme) -> Self {
        Self { buf, theme, hits: Vec::new(), cursor: None }
    }

    /// The signs.
    pub fn glyphs(&self) -> &'a Glyphs {
        &self.theme.glyphs
    }

    /// Draws text from `x` on, at most up to the column `end` (exclusive), with a sign where it is
    /// cut; answers with the column after it.
    pub fn text(&mut self, x: u16, y: u16, end: u16, role: Role, text: &str) -> u16 {
        self.styled(x, y, end, self.theme.style(role), text)
    }

    /// As [`Paint::text`], in a style of its own.
    pub fn styled(&mut self, x: u16, y: u16, end: u16, style: Style, text: &str) -> u16 {
        let room = usize::from(end.saturating_sub(x));
        if room == 0 || y >= self.buf.area.bottom() {
            return x;
        }
        if text.width() <= room {
            return self.put(x, y, room, style, text);
        }
        let after = self.put(x, y, room - 1, style, fit(text, room - 1));
        self.put(after, y, 1, style, self.theme.glyphs.more)
    }

    fn put(&mut self, x: u16, y: u16, room: usize, style: Style, text: &str) -> u16 {
        self.buf.set_stringn(x, y, text, room, style).0
    }

    /// Draws text that ends before the column `end`; answers with the column where it begins.
    pub fn right(&mut self, start: u16, y: u16, end: u16, role: Role, text: &str) -> u16 {
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        let x = end.saturating_sub(width).max(start);
        self.text(x, y, end, role, text);
        x
    }

    /// Gives cells a style on top of what they have.
    pub fn tint(&mut self, area: Rect, role: Role) {
        self.buf.set_style(area.intersection(self.buf.area), self.theme.style(role));
    }

    /// Empties cells.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buf.area);
        for position in area.positions() {
            if let Some(cell) = self.buf.cell_mut(position) {
                cell.reset();
            }
        }
    }

    /// A pane's title: a rule with words in it. Answers with the column after the words.
    pub fn rule(&mut self, area: Rect, focused: bool, title: &str, detail: &str) -> u16 {
        let (line, words) = if focused { (Role::Focus, Role::Accent) } else { (Role::Faint, Role::Strong) };
        let rule = self.glyphs().line.repeat(usize::from(area.width));
        self.text(area.x, area.y, area.right(), line, &rule);
        let mut x = self.text(area.x + 1, area.y, area.right(), words, &format!(" {title} "));
        if !detail.is_empty() {
            x = self.text(x, area.y, area.right(), Role::Muted, &format!("{detail} "));
        }
        x
    }

    /// A vertical line.
    pub fn wall(&mut self, x: u16, y: u16, height: u16) {
        let glyph = self.glyphs().bar;
        for row in y..y.saturating_add(height) {
            self.text(x, row, x + 1, Role::Faint, glyph);
        }
    }

    /// A dialog: what is behind it grows faint, and a frame with a title is drawn around it.
    /// Answers with the area inside the frame.
    pub fn dialog(&mut self, area: Rect, title: &str, danger: bool) -> Rect {
        let behind = self.theme.style(Role::Behind);
        let whole = self.buf.area;
        for position in whole.positions() {
            if let Some(cell) = self.buf.cell_mut(position) {
                cell.set_style(Style::reset());
                cell.set_style(behind);
            }
        }
        self.clear(area);
        let role = if danger { Role::Bad } else { Role::Focus };
        let glyphs = self.glyphs();
        let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
        let line = glyphs.line.repeat(usize::from(area.width.saturating_sub(2)));
        let end = area.right();
        for (y, left, right) in
            [(area.y, top_left, top_right), (area.bottom().saturating_sub(1), bottom_left, bottom_right)]
        {
            self.text(area.x, y, end, role, left);
            self.text(area.x + 1, y, end, role, &line);
            self.text(end.saturating_sub(1), y, end, role, right);
        }
        for y in area.y + 1..area.bottom().saturating_sub(1) {
            self.text(area.x, y, end, role, glyphs.bar);
            self.text(end.saturating_sub(1), y, end, role, glyphs.bar);
        }
        let words = if danger { Role::Bad } else { Role::Accent };
        self.text(area.x + 2, area.y, end.saturating_sub(2), words, &format!(" {title} "));
        self.hits.push((whole, Hit::Dialog));
        Rect {
            x: area.x + 2,
            y: area.y + 1,
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }

    /// Underlays a selected row.
    pub fn select(&mut self, area: Rect, near: bool) {
        self.tint(area, if near { Role::Selection } else { Role::SelectionFar });
    }

    /// A text field with its cursor when it has the keys.
    pub fn field(&mut self, x: u16, y: u16, end: u16, field: &crate::tui::app::field::Field, typing: bool) {
        let text = crate::visible::visible(field.text());
        let before = field.text().get(..field.cursor()).unwrap_or_default();
        let column = crate::visible::visible(before).width();
        let room = usize::from(end.saturating_sub(x)).max(2);
        // The part around the cursor is shown.
        let skip = (column + 1).saturating_sub(room);
        let mut left = 0;
        let shown: String = text
            .graphemes(true)
            .skip_while(|part| {
                let hidden = left < skip;
                left += if hidden { part.width() } else { 0 };
                hidden
            })
            .collect();
        self.styled(x, y, end, self.theme.style(Role::Text), &shown);
        if typing {
            let at = u16::try_from(column.saturating_sub(left)).unwrap_or(0);
            self.cursor = Some(Position { x: x.saturating_add(at).min(end.saturating_sub(1)), y });
        }
    }

    /// Draws a name with the characters of a search marked.
    pub fn marked(&mut self, x: u16, y: u16, end: u16, style: Style, text: &str, marks: &[usize]) -> u16 {
        let after = self.styled(x, y, end, style, text);
        let found = self.theme.style(Role::Match);
        let mut column = x;
        for (index, c) in text.chars().enumerate() {
            let width = u16::try_from(unicode_width::UnicodeWidthChar::width(c).unwrap_or(0)).unwrap_or(0);
            if marks.binary_search(&index).is_ok() && column + width <= after {
                self.buf.set_style(Rect::new(column, y, width, 1), found);
            }
            column = column.saturating_add(width);
        }
        after
    }

    /// Makes the marks of hostile characters (`\u{202e}`) in a drawn text stand out.
    pub fn strange(&mut self, x: u16, y: u16, end: u16, text: &str) {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find("\\u{")) {
            let start = from + at;
            let length = text.get(start..).and_then(|rest| rest.find('}')).map_or(0, |close| close + 1);
            let column = |bytes: usize| {
                let columns = text.get(..bytes).map_or(0, UnicodeWidthStr::width);
                x.saturating_add(u16::try_from(columns).unwrap_or(u16::MAX)).min(end)
            };
            let (left, right) = (column(start), column(start + length));
            self.tint(Rect::new(left, y, right - left, 1), Role::Mark);
            from = start + length.max(1);
        }
    }

    /// Underlines cells in a role's colour.
    pub fn underline(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role).add_modifier(Modifier::UNDERLINED);
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// Makes cells bold.
    pub fn bold(&mut self, area: Rect) {
        self.buf.set_style(area.intersection(self.buf.area), Style::new().add_modifier(Modifier::BOLD));
    }
}

/// As much of a text as fits into so many columns.
pub fn fit(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut end = 0;
    for (at, part) in text.grapheme_indices(true) {
        used += part.width();
        if used > columns {
            break;
        }
        end = at + part.len();
    }
    text.get(..end).unwrap_or_default()
}

/// A rectangle in the middle of another.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
