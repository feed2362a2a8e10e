//! The detail of a row beside the list, or under it.

use ratatui::layout::Rect;

use super::inside;
use crate::tui::app::live::detail::Tone;
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;
use crate::tui::view::cells;
use crate::tui::view::paint::Paint;

/// What a label takes, the space after it included.
pub(super) const LABEL: u16 = 11;

/// Draws it.
pub(super) fn draw(app: &App, area: Rect, pane: Rect, paint: &mut Paint<'_>) {
    let screen = &app.live;
    let inner = inside(pane, area);
    let role = if screen.inside.is_some() { Role::Focus } else { Role::Faint };
    if pane.x > area.x {
        for y in pane.y..pane.bottom() {
            paint.text(pane.x, y, pane.x + 1, role, paint.glyphs().bar);
        }
    } else {
        let line = paint.glyphs().line.repeat(usize::from(pane.width));
        paint.text(pane.x, pane.y, pane.right(), role, &line);
    }
    paint.hits.push((pane, Hit::Inspector));
    let lines = screen.detail_lines(&app.counters, app.now.ts);
    let height = usize::from(inner.height);
    let top = screen.detail_top.min(lines.len().saturating_sub(height));
    for ((y, at), entry) in (inner.y..inner.bottom()).zip(top..).zip(lines.iter().skip(top)) {
        let role = match entry.tone {
            Tone::Heading => Role::Strong,
            Tone::Plain | Tone::Code => Role::Text,
            Tone::Good => Role::Allow,
            Tone::Bad => Role::Deny,
            Tone::Warn => Role::Warn,
        };
        let text_x = inner.x + LABEL;
        paint.text(inner.x, y, text_x - 1, Role::Muted, entry.label);
        let text =
            cells::cut(&entry.text, usize::from(inner.right().saturating_sub(text_x)), paint.glyphs().more);
        paint.text(text_x, y, inner.right(), role, &text);
        if let Some((_, open)) = &entry.fold {
            let indent = entry.text.len() - entry.text.trim_start().len();
            let x = text_x + u16::try_from(indent.saturating_sub(2)).unwrap_or(0);
            let sign = match (paint.glyphs().unicode, open) {
                (true, true) => "▾",
                (true, false) => "▸",
                (false, true) => "-",
                (false, false) => "+",
            };
            paint.text(x, y, inner.right(), Role::Key, sign);
        }
        let place = Rect { y, height: 1, ..inner };
        if entry.fold.is_some() || entry.goes.is_some() {
            paint.hits.push((place, Hit::Part(at)));
        }
        if screen.inside == Some(at) {
            paint.select(place, true);
        }
    }
    let below = lines.len().saturating_sub(top + height);
    if below > 0 && inner.height > 0 {
        let text = format!("{} {below} more, PgDn ", paint.glyphs().more);
        let y = inner.bottom().saturating_sub(1);
        paint.right(inner.x, y, inner.right(), Role::Muted, &text);
    }
}
