//! Draws the Live screen: a line of state, the time axis, the rows in view or a pivot of them, the line
//! that is typed, and the selected row's detail.

mod axis;
mod pane;
mod pivot;
mod rows;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use self::pane::LABEL;
use self::rows::{columns, heading, row_line};
use super::cells;
use super::paint::Paint;
use crate::time::Timestamp;
use crate::tui::app::live::row::Row;
use crate::tui::app::live::seek::Found;
use crate::tui::app::live::typing::Typing;
use crate::tui::app::live::{Live, LiveScreen};
use crate::tui::app::{App, Hit};
use crate::tui::theme::{Role, Theme};

/// Lines above the rows: the state and the column heads.
const HEAD: u16 = 2;

/// How many rows fit in an area of this size.
pub fn rows_in(area: Rect, screen: &LiveScreen) -> usize {
    usize::from(parts(area, screen).rows.height)
}

/// The parts of the list.
#[derive(Debug, Clone, Copy)]
struct Parts {
    list: Rect,
    axis: Rect,
    head: Rect,
    rows: Rect,
    line: Rect,
}

fn parts(area: Rect, screen: &LiveScreen) -> Parts {
    let list = split(area, screen.detail).0;
    let line = u16::from(screen.typing());
    // The rows have the first right to the room.
    let axis =
        if screen.live.strip().is_some() && list.height >= HEAD + axis::LINES + 4 { axis::LINES } else { 0 };
    let rows = list.height.saturating_sub(HEAD + axis + line);
    let at = |y: u16, height: u16| Rect { y: list.y + y, height, ..list };
    Parts {
        list,
        axis: at(1, axis),
        head: at(1 + axis, 1),
        rows: at(HEAD + axis, rows),
        line: at(list.height.saturating_sub(line), line),
    }
}

/// The list and the detail.
fn split(area: Rect, detail: bool) -> (Rect, Option<Rect>) {
    if !detail {
        return (area, None);
    }
    let [list, pane] = if area.width >= 110 {
        Layout::horizontal([Constraint::Percentage(54), Constraint::Percentage(46)]).areas(area)
    } else {
        Layout::vertical([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(area)
    };
    (list, Some(pane))
}

/// Draws the screen.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let screen = &app.live;
    let parts = parts(area, screen);
    paint.hits.push((parts.list, Hit::List));
    let width = usize::from(parts.list.width);
    let state = state_line(screen, paint.theme, width);
    paint.buf.set_line(parts.list.x, parts.list.y, &state, parts.list.width);
    if parts.axis.height > 0 {
        axis::draw(screen, app.now.ts, parts.axis, paint);
    }
    if screen.pivot.is_some() {
        pivot::draw(app, parts.head, parts.rows, paint);
    } else {
        draw_list(screen, app.now.ts, parts, paint);
    }
    if let Some(typing) = &screen.line {
        draw_line(typing, parts, paint);
    }
    if let Some(pane) = split(area, screen.detail).1 {
        pane::draw(app, area, pane, paint);
    }
}

/// The line that is typed, what is wrong with it, and what could stand there.
fn draw_line(typing: &Typing, parts: Parts, paint: &mut Paint<'_>) {
    let line = parts.line;
    let more = paint.glyphs().more;
    let x = paint.text(line.x + 1, line.y, line.right(), Role::Key, typing.purpose.label());
    let text = typing.field.text();
    let typed = u16::try_from(unicode_width::UnicodeWidthStr::width(text)).unwrap_or(u16::MAX);
    let end = match &typing.error {
        Some(error) => {
            // What was typed keeps its room; the rest says what is wrong with it.
            let room = usize::from(line.right().saturating_sub(x))
                .saturating_sub(usize::from(typed.clamp(12, 40)) + 3);
            let said = cells::cut(&error.to_string(), room, more);
            paint.right(x + 8, line.y, line.right(), Role::Bad, &said).saturating_sub(2)
        }
        None => line.right(),
    };
    paint.field(x, line.y, end, &typing.field, true);
    if let Some(error) = &typing.error
        && x.saturating_add(typed) <= end
    {
        let column = |at: usize| {
            let before =
                crate::visible::visible(text.get(..text.floor_char_boundary(at)).unwrap_or("")).into_owned();
            x.saturating_add(
                u16::try_from(unicode_width::UnicodeWidthStr::width(before.as_str())).unwrap_or(0),
            )
        };
        let (from, to) = (column(error.span.start), column(error.span.end));
        paint.tint(Rect { x: from, width: to.saturating_sub(from).max(1), ..line }, Role::Mark);
    }
    draw_completions(typing, x, line, paint);
}

/// Completions shown at once.
const COMPLETIONS: usize = 8;

fn draw_completions(typing: &Typing, x: u16, line: Rect, paint: &mut Paint<'_>) {
    let shown = typing.completions.len().min(COMPLETIONS).min(usize::from(line.y.saturating_sub(3)));
    if shown == 0 {
        return;
    }
    let chosen = typing.chosen.unwrap_or(0);
    let top = (chosen + 1).saturating_sub(shown);
    let texts: Vec<String> = typing
        .completions
        .iter()
        .skip(top)
        .take(shown)
        .map(|completion| cells::cut(&completion.text, 48, paint.glyphs().more))
        .collect();
    let wide =
        texts.iter().map(|text| unicode_width::UnicodeWidthStr::width(text.as_str())).max().unwrap_or(0);
    let width = u16::try_from(wide + 2).unwrap_or(50);
    let height = u16::try_from(shown).unwrap_or(0);
    let left = x.min(line.right().saturating_sub(width));
    let area = Rect { x: left, y: line.y - height, width, height };
    paint.clear(area);
    paint.tint(area, Role::Bar);
    for (index, (y, text)) in (area.y..).zip(&texts).enumerate() {
        paint.text(area.x + 1, y, area.right(), Role::Text, text);
        if typing.chosen == Some(top + index) {
            paint.select(Rect { y, height: 1, ..area }, true);
        }
    }
    let hidden = typing.completions.len() - shown;
    let hint =
        if hidden > 0 { format!(" Tab takes one, {hidden} more") } else { " Tab takes one".to_owned() };
    paint.text(area.right(), line.y - 1, line.right(), Role::Muted, &hint);
}

fn state_line<'a>(screen: &LiveScreen, theme: &Theme, width: usize) -> Line<'a> {
    let live = &screen.live;
    let more = theme.glyphs.more;
    let totals = live.ring.totals();
    let mut spans = if live.is_following() {
        vec![Span::styled(format!(" {} FOLLOWING ", theme.glyphs.bullet), theme.style(Role::Good))]
    } else {
        let new = live.new_since_pause();
        let badge = if new > 0 {
            format!(" PAUSED {} {} new ", theme.glyphs.dot, grouped(new as u64))
        } else {
            " PAUSED ".to_owned()
        };
        vec![Span::styled(badge, theme.style(Role::Warn))]
    };
    spans.push(Span::styled(format!(" {} calls", grouped(totals.decisions)), theme.style(Role::Text)));
    if totals.denies > 0 {
        spans.push(Span::styled(format!("  {} denied", grouped(totals.denies)), theme.style(Role::Deny)));
    }
    if live.lost > 0 {
        spans.push(Span::styled(format!("  {} lost", grouped(live.lost)), theme.style(Role::Bad)));
    }
    if let Some(at) = live.reading() {
        let text = format!("  reading the journal, {}", time_of_day(at, &screen.tz, "%d %H:%M:%S"));
        spans.push(Span::styled(text, theme.style(Role::Warn)));
    }
    if let Some(pivot) = screen.pivot {
        let groups = live.tally().map_or(0, crate::tui::app::live::tally::Tally::len);
        let text = format!(
            "  {} by {}, most {} first",
            grouped(groups as u64),
            pivot.by.title(),
            pivot.order.title()
        );
        spans.push(Span::styled(text, theme.style(Role::Accent)));
    }
    for (on, text) in [(live.folds(), "  repeats as one"), (live.shows_only(), "  only marked")] {
        if on {
            spans.push(Span::styled(text, theme.style(Role::Accent)));
        }
    }
    if let (Some(search), false) = (&live.search, screen.typing()) {
        let came = match live.found {
            Found::Searching => ", searching",
            Found::None(true) => ": no older match",
            Found::None(false) => ": no newer match",
            Found::Nothing | Found::Here => "",
        };
        spans.push(Span::styled("  search ", theme.style(Role::Muted)));
        spans.push(Span::styled(cells::cut(&search.text, 24, more), theme.style(Role::Match)));
        spans.push(Span::styled(came, theme.style(Role::Muted)));
    }
    if live.is_filtered() && !screen.typing() {
        let shown = match live.search_progress() {
            Some(part) => format!("{} shown, searching {:.0} %", grouped(live.count() as u64), part * 100.0),
            None => format!("{} shown", grouped(live.count() as u64)),
        };
        if !live.filter_text.trim().is_empty() {
            let used: usize = spans.iter().map(Span::width).sum();
            let filter = cells::cut(&live.filter_text, width.saturating_sub(used + shown.len() + 14), more);
            spans.push(Span::styled("  filter ", theme.style(Role::Muted)));
            spans.push(Span::styled(filter, theme.style(Role::Match)));
        }
        spans.push(Span::styled(format!(" {} {shown}", theme.glyphs.dot), theme.style(Role::Muted)));
    }
    Line::from(spans)
}

fn draw_list(screen: &LiveScreen, now: Timestamp, parts: Parts, paint: &mut Paint<'_>) {
    let live = &screen.live;
    let theme = paint.theme;
    if parts.list.height < 3 {
        return;
    }
    let columns = columns(usize::from(parts.list.width), live.ring.runs() > 1);
    paint.buf.set_line(parts.head.x, parts.head.y, &heading(&columns, theme), parts.head.width);
    let rows = parts.rows;
    if live.count() == 0 {
        draw_empty(screen, theme, rows, paint.buf);
        return;
    }
    let selected = if live.is_following() && !screen.detail { None } else { live.selected() };
    let far = screen.inside.is_some();
    for (line, (y, id)) in (rows.y..rows.bottom()).zip(live.visible()).enumerate() {
        let Some(row) = live.ring.get(id) else { continue };
        let place = Rect { y, height: 1, ..rows };
        let cells = row_line(screen, (id, row), &columns, theme, now);
        paint.buf.set_line(place.x, place.y, &cells, place.width);
        highlight(live, row, place, paint);
        if screen.marks.get(row.source, row.seq).is_some() {
            paint.text(place.x, y, place.x + 1, Role::Warn, theme.glyphs.marked);
        }
        if selected == Some(id) {
            paint.select(place, !far);
            let marked = screen.marks.get(row.source, row.seq).is_some();
            let sign = if marked { theme.glyphs.marked } else { theme.glyphs.cursor };
            paint.text(place.x, y, place.x + 1, Role::Selection, sign);
        }
        paint.hits.push((place, Hit::Row(line)));
    }
}

/// Marks what is searched for where it stands; a row that matches elsewhere is marked at its time.
fn highlight(live: &Live, row: &Row, place: Rect, paint: &mut Paint<'_>) {
    let Some(search) = live.search.as_ref().filter(|_| live.is_found(row)) else { return };
    let mut found = false;
    if let Some(word) = &search.word {
        let signs: Vec<(u16, String)> = (place.x..place.right())
            .filter_map(|x| paint.buf.cell((x, place.y)).map(|cell| (x, cell.symbol().to_lowercase())))
            .collect();
        let text: String = signs.iter().map(|(_, sign)| sign.as_str()).collect();
        let mut starts = Vec::with_capacity(signs.len());
        let mut at = 0;
        for (x, sign) in &signs {
            starts.push((at, *x));
            at += sign.len();
        }
        for (from, part) in text.match_indices(word.as_str()) {
            let inside = starts.iter().filter(|(at, _)| (from..from + part.len()).contains(at));
            for (_, x) in inside {
                paint.tint(Rect { x: *x, width: 1, ..place }, Role::Match);
                found = true;
            }
        }
    }
    if !found {
        paint.tint(Rect { x: place.x + 1, width: 8, ..place }, Role::Match);
    }
}

fn draw_empty(screen: &LiveScreen, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let live = &screen.live;
    let texts: [&str; 2] = if live.is_filtered() && !live.ring.is_empty() {
        ["Nothing matches the filter.", "f changes it; Esc takes it away."]
    } else if screen.gateways == 0 {
        [
            "No gateway is running.",
            "Start one with `callgate gateway`, or put it into a client's configuration: its calls appear here.",
        ]
    } else {
        ["No call yet.", "Calls appear here as agents make them."]
    };
    let middle = area.y + area.height / 3;
    for (offset, text) in (0..).zip(texts) {
        let style = if offset == 0 { theme.style(Role::Strong) } else { theme.style(Role::Muted) };
        let text = cells::cut(text, usize::from(area.width), theme.glyphs.more);
        let width = u16::try_from(Span::raw(text.as_str()).width()).unwrap_or(area.width);
        if middle + offset < area.y + area.height {
            buf.set_string(area.x + area.width.saturating_sub(width) / 2, middle + offset, &text, style);
        }
    }
}

/// The time of day where the person is.
pub(super) fn clock(ts: Timestamp, tz: &jiff::tz::TimeZone, millis: bool) -> String {
    let whole = time_of_day(ts, tz, "%H:%M:%S");
    if millis { format!("{whole}.{:03}", ts.0.rem_euclid(1_000_000) / 1_000) } else { whole }
}

/// A time where the person is, in a format of `strftime`.
fn time_of_day(ts: Timestamp, tz: &jiff::tz::TimeZone, format: &str) -> String {
    let Ok(instant) = jiff::Timestamp::from_microsecond(ts.0) else { return String::new() };
    instant.to_zoned(tz.clone()).strftime(format).to_string()
}

/// A whole number with commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The detail's columns of text and its lines in an area of this size.
pub fn pane_of(area: Rect) -> (usize, usize) {
    let inner = split(area, true).1.map_or(Rect::ZERO, |pane| inside(pane, area));
    (usize::from(inner.width.saturating_sub(LABEL)), usize::from(inner.height))
}

/// The detail without its edge: at the left beside the list, above under it.
fn inside(pane: Rect, area: Rect) -> Rect {
    if pane.x > area.x {
        return Rect { x: pane.x + 2, width: pane.width.saturating_sub(2), ..pane };
    }
    Rect {
        x: pane.x + 1,
        y: pane.y + 1,
        width: pane.width.saturating_sub(1),
        height: pane.height.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
