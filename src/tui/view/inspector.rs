//! The inspector beside the table, and the whole document as text.

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::policy::diagnostic::Severity;
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

/// Draws the whole document as text, each diagnostic below its line.
pub(super) fn raw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let Some(editor) = &app.policy.editor else {
        let (title, text) = match &app.policy.unreadable {
            Some(why) => ("unreadable", why.as_str()),
            None => ("reading", ""),
        };
        paint.rule(area, true, title, "");
        for (y, line) in (area.y + 2..area.bottom()).zip(inspect::wrap(text, usize::from(area.width) - 4)) {
            paint.text(area.x + 2, y, area.right(), Role::Bad, &line);
        }
        return;
    };
    let errors = editor.diagnostics().iter().filter(|found| found.severity == Severity::Error).count();
    let warnings = editor.diagnostics().len() - errors;
    let detail = match (errors, warnings) {
        (0, 0) => "valid".to_owned(),
        (0, many) => format!("valid, {many} warning{}", if many == 1 { "" } else { "s" }),
        (1, _) => "1 error: fix it in your editor".to_owned(),
        (many, _) => format!("{many} errors: fix them in your editor"),
    };
    paint.rule(area, true, &app.policy.file_name(), &detail);
    paint.hits.push((area, Hit::List));
    let digits = editor.text().lines().count().to_string().len().max(3);
    let mut y = area.y + 1;
    let left = area.x + 1 + u16::try_from(digits).unwrap_or(3) + 1;
    for (number, line) in (1usize..).zip(editor.text().lines()).skip(app.policy.raw_top) {
        if y >= area.bottom() {
            break;
        }
        let here = || editor.diagnostics().iter().filter(move |found| found.line == number);
        let bad = here().any(|found| found.severity == Severity::Error);
        let role = if bad { Role::Bad } else { Role::Faint };
        paint.right(area.x, y, left.saturating_sub(1), role, &number.to_string());
        // Indentation by tabs is shown as spaces; anything else that is not plain gets its mark.
        let line = crate::visible::visible(&line.replace('\t', "    ")).into_owned();
        let role = if bad { Role::Strong } else { Role::Text };
        let room = usize::from(area.right().saturating_sub(left)).max(1);
        let mut rest = line.as_str();
        loop {
            let part = super::paint::fit(rest, room);
            if y < area.bottom() {
                paint.text(left, y, area.right(), role, part);
            }
            y += 1;
            rest = rest.get(part.len()..).unwrap_or_default();
            if rest.is_empty() || part.is_empty() {
                break;
            }
        }
        for found in here() {
            let role = if found.severity == Severity::Error { Role::Bad } else { Role::Warn };
            let indent = left + u16::try_from(found.column.saturating_sub(1) % room).unwrap_or(0).min(40);
            let help = found.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
            let text = format!("^ {}{help}", crate::visible::visible(&found.message));
            let room = usize::from(area.right().saturating_sub(indent + 1)).max(20);
            for part in inspect::wrap(&text, room) {
                if y < area.bottom() {
                    paint.text(indent.min(area.right().saturating_sub(22)), y, area.right(), role, &part);
                }
                y += 1;
            }
        }
    }
}
