//! The document as text: lines with their colours, what is wrong underlined, and what could be
//! written at the cursor.

use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::paint::Paint;
use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::tui::app::policy::editor::Editor;
use crate::tui::app::policy::inspect::wrap;
use crate::tui::app::policy::text::{Offer, at_column, columns, shown};
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;

/// Lines of the foot that says what is wrong at the cursor.
const FOOT: u16 = 2;
/// How many candidates are shown.
const OFFERED: usize = 8;
/// A line beyond this many bytes is drawn without colours.
const PLAIN: usize = 16 * 1024;

/// How many lines and columns of text are drawn in an area.
pub fn size(app: &App) -> (usize, usize) {
    let area = super::layout::frame(app).body;
    let foot = app.policy.editor.as_ref().map_or(0, foot);
    let gutter = gutter(app.policy.raw.count());
    (usize::from(area.height.saturating_sub(1 + foot)), usize::from(area.width.saturating_sub(gutter + 1)))
}

fn foot(editor: &Editor) -> u16 {
    if editor.diagnostics().is_empty() || editor.is_stale() { 0 } else { FOOT }
}

fn gutter(lines: usize) -> u16 {
    u16::try_from(lines.to_string().len().max(3)).unwrap_or(3) + 2
}

/// Draws it.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let Some(editor) = &app.policy.editor else { return unread(app, area, paint) };
    let pane = &app.policy.raw;
    let text = editor.text();
    head(app, editor, area, paint);
    paint.hits.push((area, Hit::List));
    let foot = foot(editor);
    let left = area.x + gutter(pane.count());
    let rows = usize::from(area.height.saturating_sub(1 + foot));
    let here = pane.line_of(pane.cursor);
    let selected = pane.selection();
    let found: &[Diagnostic] = if editor.is_stale() { &[] } else { editor.diagnostics() };
    for (line, y) in (pane.top..pane.count()).take(rows).zip(area.y + 1..) {
        let (start, content) = pane.line(text, line);
        let wrong: Vec<&Diagnostic> = found.iter().filter(|it| it.line == line + 1).collect();
        let worst = wrong.iter().map(|it| it.severity).max_by_key(|it| *it == Severity::Error);
        let role = match worst {
            Some(Severity::Error) => Role::Bad,
            Some(_) => Role::Warn,
            None if line == here => Role::Accent,
            None => Role::Faint,
        };
        paint.right(area.x, y, left.saturating_sub(1), role, &(line + 1).to_string());
        let room = usize::from(area.right().saturating_sub(left));
        let after = content_line(content, pane.left, Rect::new(left, y, area.right() - left, 1), paint);
        // Columns of bytes of this line, as they are drawn.
        let column = |at: usize| {
            let to = content.floor_char_boundary(at.saturating_sub(start).min(content.len()));
            let column = columns(content.get(..to).unwrap_or_default()).saturating_sub(pane.left).min(room);
            left.saturating_add(u16::try_from(column).unwrap_or(u16::MAX))
        };
        for it in &wrong {
            let from = column(it.span.start);
            let to = column(it.span.end.max(it.span.start + 1)).max(from + 1).min(area.right());
            paint.underline(Rect::new(from.min(to), y, to.saturating_sub(from), 1), severity(it.severity));
        }
        if let Some(range) =
            selected.as_ref().filter(|range| range.start <= start + content.len() && range.end > start)
        {
            let (from, to) = (column(range.start.max(start)), column(range.end));
            // The end of a line that is selected shows, too.
            let to = if range.end > start + content.len() { (to + 1).min(area.right()) } else { to };
            paint.tint(Rect::new(from, y, to.saturating_sub(from), 1), Role::Selection);
        }
        if let Some(first) = wrong.first()
            && usize::from(area.right().saturating_sub(after)) > 16
        {
            let words = format!("  {}", crate::visible::visible(&first.message));
            paint.text(after, y, area.right(), severity(first.severity), &words);
        }
        if !pane.typing && line == here {
            paint.tint(Rect::new(area.x, y, area.width, 1), Role::SelectionFar);
        }
        paint.hits.push((Rect::new(area.x, y, area.width, 1), Hit::Row(line)));
    }
    if foot > 0 {
        wrong_here(editor, pane.cursor, Rect { y: area.bottom() - foot, height: foot, ..area }, paint);
    }
    if !pane.typing || !app.layers.is_empty() {
        return;
    }
    let column = pane.column(text, pane.cursor).saturating_sub(pane.left);
    let x =
        left.saturating_add(u16::try_from(column).unwrap_or(u16::MAX)).min(area.right().saturating_sub(1));
    let y = area.y + 1 + u16::try_from(here.saturating_sub(pane.top)).unwrap_or(0);
    if let Some(offer) = &pane.offer {
        let back = pane.column(text, offer.replaces.start).saturating_sub(pane.left);
        let x = left.saturating_add(u16::try_from(back).unwrap_or(0));
        offered(offer, Position { x, y }, area, paint);
    }
    paint.cursor = Some(Position { x, y });
}

fn severity(severity: Severity) -> Role {
    if severity == Severity::Error { Role::Bad } else { Role::Warn }
}

fn unread(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let (title, text) = match &app.policy.unreadable {
        Some(why) => ("unreadable", why.as_str()),
        None => ("reading", ""),
    };
    paint.rule(area, true, title, "");
    for (y, line) in (area.y + 2..area.bottom()).zip(wrap(text, usize::from(area.width) - 4)) {
        paint.text(area.x + 2, y, area.right(), Role::Bad, &line);
    }
}

fn head(app: &App, editor: &Editor, area: Rect, paint: &mut Paint<'_>) {
    let pane = &app.policy.raw;
    let errors = editor.diagnostics().iter().filter(|found| found.severity == Severity::Error).count();
    let warnings = editor.diagnostics().len() - errors;
    let plural = |many: usize| if many == 1 { "" } else { "s" };
    let state = match (editor.is_stale(), errors, warnings) {
        (true, ..) => "reading".to_owned(),
        (_, 0, 0) => "valid".to_owned(),
        (_, 0, many) => format!("valid, {many} warning{}", plural(many)),
        (_, many, _) => format!("{many} error{}: it cannot be saved so", plural(many)),
    };
    let detail = if pane.typing { format!("{state}, editing") } else { state };
    paint.rule(area, true, &app.policy.file_name(), &detail);
    let (line, column) = (pane.line_of(pane.cursor) + 1, pane.column(editor.text(), pane.cursor) + 1);
    paint.right(area.x, area.y, area.right().saturating_sub(1), Role::Muted, &format!(" {line}:{column} "));
}

/// What is wrong at the cursor, else what comes next.
fn wrong_here(editor: &Editor, cursor: usize, area: Rect, paint: &mut Paint<'_>) {
    let all = editor.diagnostics();
    let inside = all.iter().position(|it| it.span.start <= cursor && cursor <= it.span.end);
    let next = inside.or_else(|| all.iter().position(|it| it.span.start > cursor)).unwrap_or(0);
    let Some(found) = all.get(next) else { return };
    let help = found.help.as_deref().map(|help| format!(": {help}")).unwrap_or_default();
    let words = crate::visible::visible(&format!("{}{help}", found.message)).into_owned();
    let title = format!("{} of {}, line {}", next + 1, all.len(), found.line);
    let x = paint.text(area.x + 1, area.y, area.right(), Role::Muted, &title);
    let room = usize::from(area.right().saturating_sub(x + 2));
    for (part, y) in wrap(&words, room).iter().zip(area.y..area.bottom()) {
        paint.text(x + 2, y, area.right(), severity(found.severity), part);
    }
}

/// Draws a line from a column on; answers with the column of the screen after it.
fn content_line(line: &str, from: usize, area: Rect, paint: &mut Paint<'_>) -> u16 {
    let whole = [(0..line.len(), Role::Text)];
    let parts = if line.len() > PLAIN { Vec::from(whole) } else { colours(line) };
    // What lies at the left of the window is not looked at.
    let first = at_column(line, from);
    let mut x = area.x;
    for (range, role) in parts {
        let range = range.start.max(first)..range.end;
        let Some(part) = line.get(range).filter(|part| !part.is_empty()) else { continue };
        let room = usize::from(area.right().saturating_sub(x));
        if room == 0 {
            break;
        }
        let mut piece = String::new();
        let mut used = 0;
        for grapheme in part.graphemes(true) {
            let shown = shown(grapheme);
            used += shown.width();
            if used > room {
                break;
            }
            piece.push_str(&shown);
        }
        let start = x;
        x = paint.text(x, area.y, area.right(), role, &piece);
        if piece.contains("\\u{") {
            paint.strange(start, area.y, x, &piece);
        }
    }
    x
}

/// The parts of a line with their roles. A string of JSON never spans lines, so that each line can
/// be looked at alone.
fn colours(line: &str) -> Vec<(std::ops::Range<usize>, Role)> {
    let bytes = line.as_bytes();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (end, role) = match byte {
            b'"' => {
                let mut end = at + 1;
                while let Some(byte) = bytes.get(end) {
                    end += if *byte == b'\\' { 2 } else { 1 };
                    if *byte == b'"' {
                        break;
                    }
                }
                let end = line.floor_char_boundary(end.min(bytes.len()));
                let key = line.get(end..).is_some_and(|rest| rest.trim_start().starts_with(':'));
                (end, if key { Role::JsonKey } else { Role::JsonText })
            }
            b'0'..=b'9' | b'-' => (
                run(bytes, at, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+')),
                Role::JsonNumber,
            ),
            b'a'..=b'z' | b'A'..=b'Z' => (run(bytes, at, |b| b.is_ascii_alphanumeric()), Role::JsonNumber),
            b' ' | b'\t' => (run(bytes, at, |b| matches!(b, b' ' | b'\t')), Role::Text),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                (run(bytes, at, |b| matches!(b, b'{' | b'}' | b'[' | b']' | b',' | b':')), Role::Muted)
            }
            _ => (line.ceil_char_boundary(at + 1), Role::Text),
        };
        let end = end.max(at + 1);
        parts.push((at..end, role));
        at = end;
    }
    parts
}

fn run(bytes: &[u8], at: usize, of: impl Fn(u8) -> bool) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| of(**byte)).count()
}

/// What could be written, below the cursor, or above it where there is no room.
fn offered(offer: &Offer, at: Position, area: Rect, paint: &mut Paint<'_>) {
    let many = offer.candidates.len().min(OFFERED);
    let top = offer.at.saturating_sub(many.saturating_sub(1));
    let shown: Vec<(String, String)> = offer
        .candidates
        .iter()
        .skip(top)
        .take(many)
        .map(|it| {
            let show = |text: &str| crate::visible::visible(text).into_owned();
            (show(&it.shown), show(&it.detail))
        })
        .collect();
    let names = shown.iter().map(|(name, _)| name.width()).max().unwrap_or(0).min(40);
    let details = shown.iter().map(|(_, detail)| detail.width()).max().unwrap_or(0).min(44);
    let width = u16::try_from(names + details + 4).unwrap_or(60).min(area.width);
    let height = u16::try_from(many).unwrap_or(8);
    let below = area.bottom().saturating_sub(at.y + 1);
    let y = if below >= height { at.y + 1 } else { at.y.saturating_sub(height).max(area.y + 1) };
    let x = at.x.min(area.right().saturating_sub(width));
    let place = Rect::new(x, y, width, height).intersection(area);
    paint.clear(place);
    paint.tint(place, Role::Bar);
    for ((name, detail), (index, y)) in shown.iter().zip((top..).zip(place.y..place.bottom())) {
        let split = x + 1 + u16::try_from(names).unwrap_or(40);
        paint.text(x + 1, y, split, Role::Text, name);
        paint.text(split + 2, y, place.right(), Role::Muted, detail);
        if index == offer.at {
            paint.select(Rect::new(x, y, width, 1), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_line_whatever_stands_in_it() {
        for line in ["", "  \"a\": [\"b\\\"\", 1.5e3, true],", "\"open", "\"\\", "é \u{202e}\"ü\"", "\"x\\é"]
        {
            let parts = colours(line);
            let mut at = 0;
            for (range, _) in &parts {
                assert_eq!(range.start, at, "{line}");
                assert!(line.get(range.clone()).is_some(), "{line}");
                at = range.end;
            }
            assert_eq!(at, line.len(), "{line}");
        }
        let roles: Vec<Role> = colours("\"a\": \"b\"").into_iter().map(|(_, role)| role).collect();
        assert_eq!(roles, [Role::JsonKey, Role::Muted, Role::Text, Role::JsonText]);
    }
}
