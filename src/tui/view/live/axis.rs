//! The time axis: calls and denies over time as two rows of bars with the times below.

use ratatui::layout::Rect;

use super::LiveScreen;
use crate::time::Timestamp;
use crate::tui::app::Hit;
use crate::tui::app::live::screen::Axis;
use crate::tui::theme::Role;
use crate::tui::view::paint::Paint;

/// Lines that it takes.
pub(super) const LINES: u16 = 3;
/// Columns of its words at the left.
const WORDS: u16 = 8;

/// Draws it at the top of an area.
pub(super) fn draw(screen: &LiveScreen, now: Timestamp, area: Rect, paint: &mut Paint<'_>) {
    let count = area.width.saturating_sub(WORDS + 1);
    let Some(axis) = screen.axis(now, usize::from(count)) else { return };
    let left = area.x + WORDS;
    paint.text(area.x + 1, area.y, left, Role::Muted, "calls");
    paint.text(area.x + 1, area.y + 1, left, Role::Muted, "denied");
    let most = |value: fn(&crate::tui::app::live::strip::Column) -> u64| {
        axis.columns.iter().map(value).max().unwrap_or(0)
    };
    let (calls, denies) = (most(|column| column.calls), most(|column| column.denies));
    for (x, column) in (left..).zip(&axis.columns) {
        let bar = paint.glyphs().spark;
        let sign = |value: u64, most: u64| bar.get(level(value, most)).copied().unwrap_or(" ");
        paint.text(x, area.y, x + 1, Role::Accent, sign(column.calls, calls));
        paint.text(x, area.y + 1, x + 1, Role::Deny, sign(column.denies, denies));
    }
    labels(screen, &axis, Rect { x: left, y: area.y + 2, width: count, height: 1 }, paint);
    let mut at = axis.from;
    for x in left..left.saturating_add(count) {
        paint.hits.push((Rect { x, y: area.y, width: 1, height: LINES }, Hit::Time(at)));
        at = at.saturating_add(axis.width);
    }
}

/// The height of a bar: nothing is empty, anything is something.
fn level(value: u64, most: u64) -> usize {
    if value == 0 {
        return 0;
    }
    usize::try_from((value.saturating_mul(8)).div_ceil(most.max(1))).unwrap_or(8).clamp(1, 8)
}

fn labels(screen: &LiveScreen, axis: &Axis, area: Rect, paint: &mut Paint<'_>) {
    let word = match axis.width {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    };
    paint.text(area.x - WORDS + 1, area.y, area.x, Role::Muted, &format!("by {word}"));
    // A time every so many columns, where the column begins.
    let step = 20;
    for column in (0..area.width.saturating_sub(9)).step_by(step) {
        let second = axis.from.saturating_add(axis.width.saturating_mul(i64::from(column)));
        let day = axis.width >= 900;
        let text = super::time_of_day(
            Timestamp::from_secs(second),
            &screen.tz,
            if day { "%d %H:%M" } else { "%H:%M:%S" },
        );
        let x = area.x + column;
        paint.text(x, area.y, area.right(), Role::Faint, paint.glyphs().bar);
        paint.text(x + 1, area.y, area.right(), Role::Muted, &text);
    }
    if let Some(column) = axis.selected.and_then(|column| u16::try_from(column).ok()) {
        let place = Rect { x: area.x + column, y: area.y - 2, width: 1, height: LINES };
        paint.select(place, true);
        // Without colour the place is a sign.
        paint.text(place.x, area.y, place.x + 1, Role::Accent, "^");
    }
}
