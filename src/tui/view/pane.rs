//! What screens with a list and the selected row's detail draw alike.

use ratatui::layout::{Constraint, Layout, Rect};

use super::cells;
use super::paint::Paint;
use crate::tui::app::live::detail::{Line, Tone};
use crate::tui::theme::Role;

/// What a label takes in a detail, the space after it included.
pub(super) const LABEL: u16 = 11;

/// The list and the detail: side by side from the width `beside` on, with the list's percentages of the
/// columns and of the rows; or the detail alone. Side by side, the wall between them is the detail's
/// first column.
pub(super) fn split(area: Rect, whole: bool, beside: u16, (columns, rows): (u16, u16)) -> (Rect, Rect) {
    if whole {
        return (Rect { height: 0, ..area }, area);
    }
    let parts = |list: u16| [Constraint::Percentage(list), Constraint::Percentage(100 - list)];
    let [list, pane] = if area.width >= beside {
        Layout::horizontal(parts(columns)).areas(area)
    } else {
        Layout::vertical(parts(rows)).areas(area)
    };
    (list, pane)
}

/// Draws the wall between list and detail where they stand side by side; answers with the rest of the
/// detail.
pub(super) fn wall(list: Rect, pane: Rect, paint: &mut Paint<'_>) -> Rect {
    if list.height == 0 || pane.x <= list.x {
        return pane;
    }
    paint.text(pane.x, pane.y, pane.x + 1, Role::Faint, paint.glyphs().line);
    paint.wall(pane.x, pane.y + 1, pane.height.saturating_sub(1));
    Rect { x: pane.x + 1, width: pane.width.saturating_sub(1), ..pane }
}

/// The colour of a line.
pub(super) fn role(tone: Tone) -> Role {
    match tone {
        Tone::Heading => Role::Strong,
        Tone::Plain | Tone::Code => Role::Text,
        Tone::Good => Role::Good,
        Tone::Bad => Role::Bad,
        Tone::Warn => Role::Warn,
    }
}

/// Draws lines with their labels, as many as there is room for; what is hostile in them stands out.
pub(super) fn lines(lines: &[Line], area: Rect, paint: &mut Paint<'_>) {
    for (y, entry) in (area.y..area.bottom()).zip(lines) {
        let text = area.x + 1 + LABEL;
        paint.text(area.x + 1, y, area.x + LABEL, Role::Muted, entry.label);
        paint.text(text, y, area.right(), role(entry.tone), &entry.text);
        paint.strange(text, y, area.right(), &entry.text);
    }
}

/// The detail's lines from `top` on, and on its title line how many more there are.
pub(super) fn detail(
    all: &[Line],
    top: usize,
    height: usize,
    title: Rect,
    text: Rect,
    paint: &mut Paint<'_>,
) {
    let top = top.min(all.len().saturating_sub(height));
    lines(all.get(top..).unwrap_or_default(), text, paint);
    let below = all.len().saturating_sub(top + height);
    if below > 0 {
        let text = format!(" {below} more lines, PgDn ");
        paint.right(title.x, title.y, title.right().saturating_sub(1), Role::Muted, &text);
    }
}

/// Says how many rows of a list lie below those in view, at the right of its first line; answers with
/// the columns that takes.
pub(super) fn below(count: usize, list: Rect, paint: &mut Paint<'_>) -> u16 {
    if count == 0 {
        return 0;
    }
    let end = list.right().saturating_sub(1);
    let start = paint.right(list.x, list.y, end, Role::Muted, &format!(" {count} more below"));
    list.right().saturating_sub(start)
}

/// What is said where there is nothing to list, the first line of it loudest.
pub(super) fn empty(said: &[&str], area: Rect, paint: &mut Paint<'_>) {
    let middle = area.y + area.height / 3;
    for (y, (at, text)) in (middle..area.bottom()).zip(said.iter().enumerate()) {
        let text = cells::cut(text, usize::from(area.width.saturating_sub(2)), paint.glyphs().more);
        let width = u16::try_from(unicode_width::UnicodeWidthStr::width(text.as_str())).unwrap_or(area.width);
        let x = area.x + area.width.saturating_sub(width) / 2;
        paint.text(x, y, area.right(), if at == 0 { Role::Strong } else { Role::Muted }, &text);
    }
}
