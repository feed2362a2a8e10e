//! Draws the Approvals screen: the queue, and the selected approval with what can be done about it.

use ratatui::layout::Rect;

use super::cells;
use super::live::grouped;
use super::paint::Paint;
use super::pane::{self, LABEL};
use crate::tui::action::{Action, When};
use crate::tui::app::approvals::{Entry, detail};
use crate::tui::app::live::detail::seconds;
use crate::tui::app::{App, Hit};
use crate::tui::key;
use crate::tui::theme::Role;

/// Lines above the rows: how many wait, and the column heads.
const HEAD: u16 = 2;
/// Lines above the detail's text: its title and what can be done.
const TOP: u16 = 2;
/// From this width on the detail stands beside the queue.
const BESIDE: u16 = 110;

/// How many rows fit in an area, and the detail's columns of text and its lines.
pub fn sizes(area: Rect, whole: bool) -> (usize, (usize, usize)) {
    let (list, pane) = split(area, whole);
    let rows = usize::from(list.height.saturating_sub(HEAD));
    let text = (pane.width.saturating_sub(LABEL + 1), pane.height.saturating_sub(TOP));
    (rows, (usize::from(text.0), usize::from(text.1)))
}

fn split(area: Rect, whole: bool) -> (Rect, Rect) {
    pane::split(area, whole, BESIDE, (48, 38))
}

/// Draws the screen.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    if app.approvals.entries().is_empty() {
        return empty(app, area, paint);
    }
    let (list, one_of) = split(area, app.approvals.whole);
    if list.height > 0 {
        queue(app, list, paint);
    }
    let one_of = pane::wall(list, one_of, paint);
    one(app, one_of, paint);
}

fn empty(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let lines: [&str; 3] = if app.feeds.alive() == 0 {
        [
            "No gateway is running.",
            "Calls that a gateway holds until a person approves them appear here.",
            "Start one with `callgate gateway`, or put it into a client's configuration.",
        ]
    } else {
        [
            "No call waits for a person.",
            "A tool held for approval (p on the Policy screen) asks here before it runs:",
            "who called it, with what arguments, by which rule, and how long there is to decide.",
        ]
    };
    pane::empty(&lines, area, paint);
}

/// Widths of the columns; a width of 0 leaves the column out.
struct Columns {
    ends: usize,
    tool: usize,
    server: usize,
    grant: usize,
    args: usize,
}

fn columns(width: usize) -> Columns {
    let mut columns = Columns { ends: 9, tool: 20, server: 0, grant: 0, args: 0 };
    if width >= 56 {
        columns.server = 11;
    }
    if width >= 68 {
        columns.grant = 9;
    }
    if width >= 100 {
        columns.tool = 26;
        columns.server = 16;
    }
    let fixed = [columns.ends, columns.tool, columns.server, columns.grant];
    let used: usize = 2 + fixed.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<usize>();
    columns.args = width.saturating_sub(used + 1);
    if columns.args < 10 {
        columns.tool += columns.args;
        columns.args = 0;
    }
    columns
}

fn queue(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let screen = &app.approvals;
    paint.hits.push((area, Hit::List));
    let (y, end) = (area.y, area.right());
    let waiting = screen.waiting();
    let (role, text) = match waiting {
        0 => (Role::Muted, "nothing waits".to_owned()),
        1 => (Role::Warn, "1 call waits".to_owned()),
        many => (Role::Warn, format!("{} calls wait", grouped(many as u64))),
    };
    let mut x = paint.text(area.x + 1, y, end, role, &text);
    let unspent = screen.unspent();
    if unspent > 0 {
        x = paint.text(x + 2, y, end, Role::Allow, &format!("{unspent} approved, not used yet"));
    }
    let past = screen.entries().len() - waiting - unspent;
    if past > 0 {
        x = paint.text(x + 2, y, end, Role::Muted, &format!("{past} decided"));
    }
    if !screen.bell {
        x = paint.text(x + 2, y, end, Role::Muted, "bell off");
    }
    if screen.desktop {
        paint.text(x + 2, y, end, Role::Muted, "desktop told");
    }
    let columns = columns(usize::from(area.width));
    let titles = [
        ("TOOL", columns.tool),
        ("SERVER", columns.server),
        ("GRANT", columns.grant),
        ("ARGUMENTS", columns.args),
    ];
    let mut heads = format!("  {} ", cells::right("ENDS IN", columns.ends, ""));
    for (title, width) in titles.into_iter().filter(|(_, width)| *width > 0) {
        heads.push_str(&cells::left(title, width, ""));
        heads.push(' ');
    }
    paint.text(area.x, y + 1, end, Role::Muted, heads.trim_end());
    let rows = Rect { y: area.y + HEAD, height: area.height.saturating_sub(HEAD), ..area };
    let selected = screen.selected_index();
    for (y, (at, entry)) in (rows.y..rows.bottom()).zip(screen.entries().iter().enumerate().skip(screen.top))
    {
        let place = Rect { y, height: 1, ..rows };
        let marks = row(app, entry, &columns, place, paint);
        if selected == Some(at) {
            paint.select(place, true);
            paint.text(place.x, y, place.x + 1, Role::Accent, paint.glyphs().cursor);
        }
        for (x, text) in marks {
            paint.strange(x, y, place.right(), &text);
        }
        paint.hits.push((place, Hit::Row(at)));
    }
    let shown = screen.top + usize::from(rows.height);
    let below = screen.entries().len().saturating_sub(shown);
    pane::below(below, area, paint);
}

/// Draws a row; gives the texts in which hostile characters are to stand out, selected or not.
fn row(
    app: &App,
    entry: &Entry,
    columns: &Columns,
    place: Rect,
    paint: &mut Paint<'_>,
) -> Vec<(u16, String)> {
    let mut marks = Vec::new();
    let now = app.now.ts;
    let more = paint.glyphs().more;
    let (role, ends) = match entry.word() {
        None if entry.left(now) == 0 => (Role::Bad, "over".to_owned()),
        None => {
            let near = entry.is_near_its_end(now);
            (if near { Role::Warn } else { Role::Text }, seconds(entry.left(now)))
        }
        Some("approved") => (Role::Allow, "approved".to_owned()),
        Some("rejected") => (Role::Deny, "rejected".to_owned()),
        Some(word) => (Role::Muted, word.to_owned()),
    };
    let waits = entry.is_waiting();
    let mut x = place.x + 2;
    let mut put = |paint: &mut Paint<'_>, role: Role, text: &str, width: usize| {
        if width > 0 {
            paint.text(x, place.y, place.right(), role, text);
            if text.contains("\\u{") {
                marks.push((x, text.to_owned()));
            }
            x += u16::try_from(width + 1).unwrap_or(0);
        }
    };
    put(paint, role, &cells::right(&ends, columns.ends, more), columns.ends);
    let tool = cells::left(&entry.tool, columns.tool, more);
    put(paint, if waits { Role::Strong } else { Role::Muted }, &tool, columns.tool);
    put(paint, Role::Muted, &cells::left(&entry.server, columns.server, more), columns.server);
    put(paint, Role::Muted, &cells::left(&entry.grant, columns.grant, more), columns.grant);
    let args = entry.args.as_deref().unwrap_or("");
    let role = if waits { Role::Text } else { Role::Muted };
    put(paint, role, &cells::left(args, columns.args, more), columns.args);
    marks
}

/// The selected approval.
fn one(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::Inspector));
    let Some(entry) = app.approvals.selected() else { return };
    let callers = match entry.holders {
        many @ 2.. if entry.is_waiting() => format!("held by {many} callers"),
        _ => String::new(),
    };
    let title = entry.name();
    paint.rule(area, true, &title, &callers);
    paint.strange(area.x + 2, area.y, area.right(), &title);
    buttons(app, Rect { y: area.y + 1, height: 1, ..area }, paint);
    let text = Rect { y: area.y + TOP, height: area.height.saturating_sub(TOP), ..area };
    let (width, height) = app.approvals.pane;
    let lines = detail::wrapped(entry, &app.approvals.earlier, app.now.ts, width);
    pane::detail(&lines, app.approvals.detail_top, height, area, text, paint);
}

/// What can be done about it, with the keys; or why nothing can.
fn buttons(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let (mut x, y) = (area.x + 1, area.y);
    if let When::Not(why) = app.can_decide() {
        let over = app.approvals.selected().is_some_and(|entry| entry.word().is_some());
        let text = if over { why } else { format!("cannot be decided: {why}") };
        paint.text(x, y, area.right(), Role::Muted, &text);
        return;
    }
    let unicode = paint.glyphs().unicode;
    for (action, words, role) in [
        (Action::ApproveOnce, "approve once", Role::Allow),
        (Action::ApproveFor, "approve for a while", Role::Allow),
        (Action::Reject, "reject with a note", Role::Deny),
    ] {
        let keys = app.keymap.keys(action).first().map(|keys| key::label(keys, unicode));
        let start = x;
        x = paint.text(x, y, area.right(), Role::Key, &keys.unwrap_or_default());
        x = paint.text(x + 1, y, area.right(), role, words);
        paint.hits.push((Rect::new(start, y, x.saturating_sub(start), 1), Hit::Action(action)));
        x += 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_pass_the_edge() {
        for width in 40..300 {
            let c = columns(width);
            let parts = [c.ends, c.tool, c.server, c.grant, c.args];
            let used: usize = 2 + parts.iter().filter(|part| **part > 0).map(|part| part + 1).sum::<usize>();
            assert!(used <= width + 1, "{width}: {used}");
        }
    }

    #[test]
    fn the_detail_has_room_at_every_size() {
        for (width, height) in [(40, 8), (80, 22), (109, 22), (110, 22), (160, 43)] {
            for whole in [false, true] {
                let (_, (columns, lines)) = sizes(Rect::new(0, 1, width, height), whole);
                assert!(columns >= 28 && lines >= 2, "{width}x{height}: {columns}x{lines}");
            }
        }
    }
}
