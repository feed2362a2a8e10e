//! The inspector beside the table.

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::tui::app::policy::{Focus, inspect, table::Item};
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;

/// Draws the inspector of the selected row.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let focused = app.policy.focus == Focus::Inspector;
    let title = match app.policy.table.item() {
        Some(Item::Default) => "default".to_owned(),
        Some(Item::AllTools) => "all tools".to_owned(),
        Some(Item::Tool(index)) => {
            app.policy.table.row(index).map_or_else(String::new, |row| row.shown.clone())
        }
        None => "nothing selected".to_owned(),
    };
    paint.rule(area, focused, &title, "");
    paint.hits.push((area, Hit::Inspector));
    let width = usize::from(area.width.saturating_sub(3));
    let lines = inspect::lines(app, width);
    let rows = usize::from(area.height.saturating_sub(1));
    for (index, line) in lines.iter().enumerate().skip(app.policy.part_top).take(rows) {
        let y = area.y + 1 + u16::try_from(index - app.policy.part_top).unwrap_or(0);
        let mut x = area.x + 2;
        for (role, text) in &line.parts {
            x = paint.text(x, y, area.right(), *role, text);
        }
        let row = Rect::new(area.x, y, area.width, 1);
        if line.target.is_some() {
            if focused && index == app.policy.part {
                paint.select(row, true);
                paint.text(area.x, y, area.x + 1, Role::Accent, paint.glyphs().cursor);
            }
            paint.hits.push((row, Hit::Part(index)));
        }
    }
    if lines.len() > app.policy.part_top + rows && rows > 0 {
        let more = format!(" {} more ", lines.len() - app.policy.part_top - rows);
        paint.right(area.x, area.y, area.right().saturating_sub(1), Role::Muted, &more);
    }
}
