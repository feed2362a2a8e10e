//! Rows counted by something: a table of groups with calls, denies, rate, when last, and a sparkline.

use ratatui::layout::Rect;

use super::{LiveScreen, grouped};
use crate::time::Timestamp;
use crate::tui::app::live::detail::ago;
use crate::tui::app::live::tally::{Group, Key, MOST, STEPS};
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;
use crate::tui::view::cells;
use crate::tui::view::paint::Paint;

/// What a column holds, and how wide it is.
const NUMBERS: [(&str, u16); 4] = [("CALLS", 10), ("DENIED", 10), ("RATE", 9), ("LAST", 10)];

fn name_width(width: u16) -> (u16, bool) {
    let numbers: u16 = NUMBERS.iter().map(|(_, width)| width + 1).sum();
    let spark = u16::try_from(STEPS).unwrap_or(0) + 2;
    let rest = width.saturating_sub(numbers + 2);
    let fits = rest >= spark + 24;
    let name = if fits { rest - spark } else { rest };
    (name.min(60), fits)
}

/// Draws the head and the groups in view.
pub(super) fn draw(app: &App, head: Rect, rows: Rect, paint: &mut Paint<'_>) {
    let screen = &app.live;
    let now = app.now.ts;
    let Some(pivot) = screen.pivot else { return };
    let (name, spark) = name_width(head.width);
    let mut x = head.x + 1;
    x = put(paint, x, head.y, name, Role::Muted, &pivot.by.title().to_uppercase(), false);
    for (title, width) in NUMBERS {
        x = put(paint, x, head.y, width, Role::Muted, title, true);
    }
    if spark {
        paint.text(x + 1, head.y, head.right(), Role::Muted, "LAST 4 MINUTES");
    }
    let groups = screen.groups(now);
    let selected = screen.selected_group(now);
    let height = usize::from(rows.height);
    let others = screen.live.tally().map(|tally| &tally.others).filter(|others| others.calls > 0);
    let room = height.saturating_sub(usize::from(others.is_some()));
    let top = pivot.top.min(groups.len().saturating_sub(room));
    let shown = groups.iter().skip(top).take(room);
    let mut y = rows.y;
    for (line, (key, group)) in shown.enumerate() {
        let text = label(screen, *key);
        row(paint, Rect { y, height: 1, ..rows }, &text, group, now);
        if selected == Some(*key) {
            paint.select(Rect { y, height: 1, ..rows }, true);
            paint.text(rows.x, y, rows.x + 1, Role::Selection, paint.glyphs().cursor);
        }
        paint.hits.push((Rect { y, height: 1, ..rows }, Hit::Row(line)));
        y += 1;
    }
    if let Some(others) = others {
        let text = format!("more than {MOST} different: the others");
        row(paint, Rect { y, height: 1, ..rows }, &text, others, now);
    }
}

fn put(paint: &mut Paint<'_>, x: u16, y: u16, width: u16, role: Role, text: &str, right: bool) -> u16 {
    let more = paint.glyphs().more;
    let wide = usize::from(width);
    let text = if right { cells::right(text, wide, more) } else { cells::left(text, wide, more) };
    paint.text(x, y, x.saturating_add(width), role, &text);
    x.saturating_add(width + 1)
}

/// What a group is called.
fn label(screen: &LiveScreen, key: Key) -> String {
    match key {
        Key::Minute(at) => super::time_of_day(Timestamp::from_secs(at), &screen.tz, "%Y-%m-%d %H:%M"),
        Key::Name(name) => match screen.live.ring.names.text(name) {
            "" => "(none)".to_owned(),
            text => text.to_owned(),
        },
    }
}

fn row(paint: &mut Paint<'_>, area: Rect, text: &str, group: &Group, now: Timestamp) {
    let (name, spark) = name_width(area.width);
    let y = area.y;
    let mut x = put(paint, area.x + 1, y, name, Role::Text, text, false);
    x = put(paint, x, y, 10, Role::Text, &grouped(group.calls), true);
    let (role, denied) = match group.denies {
        0 => (Role::Muted, "0".to_owned()),
        denies => (Role::Deny, grouped(denies)),
    };
    x = put(paint, x, y, 10, role, &denied, true);
    x = put(paint, x, y, 9, Role::Text, &format!("{}/min", group.per_minute(now)), true);
    x = put(paint, x, y, 10, Role::Muted, &ago(group.last, now), true);
    if !spark {
        return;
    }
    let points = group.sparkline(now);
    let most = points.iter().copied().max().unwrap_or(0).max(1);
    for (x, point) in (x + 1..area.right()).zip(points) {
        let level = if point == 0 { 0 } else { usize::try_from((point * 8).div_ceil(most)).unwrap_or(8) };
        let sign = paint.glyphs().spark.get(level.min(8)).copied().unwrap_or(" ");
        paint.text(x, y, x + 1, Role::Accent, sign);
    }
}
