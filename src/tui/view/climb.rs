//! The dialog of the rules that would have decided a row otherwise.

use ratatui::layout::Rect;

use super::paint::{Paint, middle};
use crate::policy::explain::Decision;
use crate::tui::app::acting::ladder::{Climb, word};
use crate::tui::app::policy::inspect::wrap;
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;
use crate::visible::visible;

/// How wide the column of reaches is.
const REACH: u16 = 16;

fn role(decision: Decision) -> Role {
    match decision {
        Decision::Allow => Role::Allow,
        Decision::Deny => Role::Deny,
        Decision::Approve => Role::Approve,
    }
}

/// Draws it.
pub(super) fn draw(app: &App, climb: &Climb, area: Rect, paint: &mut Paint<'_>) {
    let size = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let rungs = climb.rungs();
    let mut chains: Vec<&str> = rungs.iter().map(|rung| rung.chain.as_str()).collect();
    chains.dedup();
    let left_out = climb.ladder.as_ref().is_ok_and(|ladder| !ladder.left_out.is_empty());
    let notes = usize::from(!climb.note.is_empty()) + usize::from(left_out);
    // The frame, the head with a gap, the rungs with their headings, and the foot.
    let lines = 2 + 4 + notes + rungs.len() + chains.len() + 4;
    let width = area.width.min(100);
    let title = format!("New rule in {}", climb.file);
    let inside = paint.dialog(middle(area, width, size(lines).max(12)), &title, false);
    let mut y = head(climb, inside, paint);
    let foot = inside.bottom().saturating_sub(4);
    let Some(selected) = climb.rung() else {
        for line in wrap(&climb.empty(), usize::from(inside.width)) {
            if y < inside.bottom() {
                paint.text(inside.x, y, inside.right(), Role::Warn, &line);
                y += 1;
            }
        }
        return;
    };
    // Headings take lines: what is above the selected rung is scrolled as lines.
    let mut rows: Vec<(Option<usize>, &str)> = Vec::new();
    let mut chain = "";
    for (index, rung) in rungs.iter().enumerate() {
        if rung.chain != chain {
            chain = &rung.chain;
            rows.push((None, chain));
        }
        rows.push((Some(index), &rung.words));
    }
    let height = usize::from(foot.saturating_sub(y));
    let at = rows.iter().position(|(index, _)| *index == Some(climb.selected)).unwrap_or(0);
    let top = (at + 1).saturating_sub(height);
    for (index, text) in rows.iter().skip(top).take(height) {
        match index {
            None => {
                paint.text(inside.x, y, inside.right(), Role::Accent, &visible(text));
            }
            Some(index) => {
                let reach = rungs.get(*index).map_or("", |rung| rung.reach.words());
                let split = inside.x + 2 + REACH;
                paint.text(inside.x + 2, y, split, Role::Muted, reach);
                let all = visible(text);
                let changes = climb.reports(&app.impact).and_then(|reports| reports.get(*index));
                let changes = changes.map_or_else(String::new, |report| report.changed.total().to_string());
                let edge = paint.right(split, y, inside.right(), Role::Strong, &changes);
                paint.text(split, y, edge.saturating_sub(1), Role::Text, &all);
                let row = Rect { x: inside.x.saturating_sub(1), y, width: inside.width + 2, height: 1 };
                if *index == climb.selected {
                    paint.select(row, true);
                }
                paint.hits.push((row, Hit::Item(*index)));
            }
        }
        y += 1;
    }
    let below = rows.len().saturating_sub(top + height);
    let rule = paint.glyphs().line.repeat(usize::from(inside.width));
    paint.text(inside.x, foot, inside.right(), Role::Faint, &rule);
    if below > 0 {
        paint.right(inside.x, foot, inside.right(), Role::Muted, &format!(" {below} more below "));
    }
    let changes = climb.impact_words(&app.impact);
    paint.text(inside.x, inside.bottom().saturating_sub(1), inside.right(), Role::Muted, &changes);
    let words = wrap(&visible(&selected.words), usize::from(inside.width));
    for (y, line) in (foot + 1..inside.bottom().saturating_sub(1)).zip(words) {
        paint.text(inside.x, y, inside.right(), Role::Text, &line);
    }
}

/// What the row is, how it is decided, and what is aimed at.
fn head(climb: &Climb, inside: Rect, paint: &mut Paint<'_>) -> u16 {
    let facts = &climb.facts;
    let mut y = inside.y;
    let x = paint.text(inside.x, y, inside.right(), Role::Strong, &visible(&facts.tool));
    let x = paint.text(x + 1, y, inside.right(), Role::Muted, &format!("of {}", visible(&facts.server)));
    let args = if facts.args.is_empty() { "{}" } else { &facts.args };
    paint.text(x + 2, y, inside.right(), Role::Muted, &visible(args));
    y += 1;
    if let Ok(ladder) = &climb.ladder {
        let x = paint.text(inside.x, y, inside.right(), Role::Muted, "now");
        let x = paint.text(x + 1, y, inside.right(), role(ladder.now), word(ladder.now));
        let by = ladder.pointer.as_deref().filter(|_| ladder.now != Decision::Allow);
        if let Some(by) = by {
            paint.text(x + 1, y, inside.right(), Role::Muted, &format!("by {}", visible(by)));
        }
        y += 1;
        let mut x = paint.text(inside.x, y, inside.right(), Role::Muted, "aim");
        for goal in &climb.goals {
            let start = x + 1;
            let chosen = *goal == climb.goal;
            x = paint.text(
                start,
                y,
                inside.right(),
                if chosen { role(*goal) } else { Role::Muted },
                word(*goal),
            );
            if chosen && climb.goals.len() > 1 {
                paint.select(Rect::new(start, y, x.saturating_sub(start), 1), true);
            }
            x += 1;
        }
        if climb.goals.len() > 1 {
            let x = paint.text(x + 1, y, inside.right(), Role::Key, "Tab");
            paint.text(x + 1, y, inside.right(), Role::Muted, "changes it");
        }
        y += 1;
        let left_out = ladder.left_out.join(", ");
        for note in [climb.note.as_str(), left_out.as_str()].into_iter().filter(|note| !note.is_empty()) {
            paint.text(inside.x, y, inside.right(), Role::Warn, &visible(note));
            y += 1;
        }
    }
    y + 1
}
