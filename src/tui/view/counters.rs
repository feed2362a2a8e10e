//! Draws the Counters screen: every limit as a gauge, the nearest to its end first, and the selected
//! one in full.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::cells;
use super::live::grouped;
use super::paint::Paint;
use super::pane::{self, LABEL};
use crate::policy::model::Window;
use crate::tui::app::counters::{Outlook, Past, Reading, detail};
use crate::tui::app::live::detail::{seconds, wrap_all};
use crate::tui::app::{App, Hit};
use crate::tui::theme::{Role, Theme};

/// Lines above the gauges.
const HEAD: u16 = 2;
/// From this width on the detail stands beside the gauges.
const BESIDE: u16 = 130;
/// What the detail takes below them, where there is room for both.
const BELOW: u16 = 10;

/// How many gauges fit.
pub fn rows_in(area: Rect, whole: bool) -> usize {
    usize::from(split(area, whole).0.height.saturating_sub(HEAD))
}

/// The gauges and the selected one's detail.
fn split(area: Rect, whole: bool) -> (Rect, Option<Rect>) {
    if whole {
        return (Rect { height: 0, ..area }, Some(area));
    }
    if area.width >= BESIDE {
        let [list, pane] =
            Layout::horizontal([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(area);
        return (list, Some(pane));
    }
    if area.height < BELOW + HEAD + 4 {
        return (area, None);
    }
    let [list, pane] = Layout::vertical([Constraint::Min(0), Constraint::Length(BELOW)]).areas(area);
    (list, Some(pane))
}

struct Columns {
    server: usize,
    counter: usize,
    whose: usize,
    bar: usize,
    amount: usize,
    window: usize,
    resets: usize,
    outlook: usize,
    spark: usize,
}

fn columns(width: usize) -> Columns {
    let mut columns = Columns {
        server: 8,
        counter: 16,
        whose: 0,
        bar: 6,
        amount: 11,
        window: 6,
        resets: 9,
        outlook: 0,
        spark: 0,
    };
    if width >= 76 {
        columns.outlook = 17;
    }
    if width >= 96 {
        columns.spark = 12;
    }
    if width >= 116 {
        columns.whose = 14;
        columns.spark = 20;
        columns.server = 12;
        columns.counter = 22;
    }
    let fixed = [
        columns.server,
        columns.counter,
        columns.whose,
        columns.amount,
        columns.window,
        columns.resets,
        columns.outlook,
        columns.spark,
    ];
    let used: usize = 2 + fixed.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<usize>();
    columns.bar = width.saturating_sub(used + 1).clamp(4, 30);
    columns
}

/// Draws the screen.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let readings = app.readings();
    if readings.is_empty() {
        return empty(app, area, paint);
    }
    let (list, one) = split(area, app.counters_screen.whole);
    if list.height > HEAD {
        draw_gauges(app, &readings, list, paint);
    }
    let Some(one) = one else { return };
    let one = pane::wall(list, one, paint);
    if let Some(reading) = readings.get(app.counters_screen.index(&readings)) {
        draw_detail(app, reading, one, paint);
    }
}

fn empty(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let lines: [&str; 2] = if app.feeds.alive() == 0 {
        [
            "No gateway is running.",
            "Start one with `callgate gateway`: a gauge appears for each of its limits.",
        ]
    } else {
        [
            "No limit was touched yet.",
            "l on the Policy screen limits a tool; its gauge appears with the first call.",
        ]
    };
    pane::empty(&lines, area, paint);
}

/// Draws the gauges in view.
fn draw_gauges(app: &App, readings: &[Reading<'_>], area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::List));
    let screen = &app.counters_screen;
    let (y, end) = (area.y, area.right());
    let full = readings.iter().filter(|reading| reading.outlook == Outlook::Full).count();
    let near =
        readings.iter().filter(|it| it.outlook != Outlook::Full && screen.is_near(it.fraction)).count();
    let count = match readings.len() {
        1 => "1 counter".to_owned(),
        many => format!("{many} counters"),
    };
    let mut x = paint.text(area.x + 1, y, end, Role::Text, &count);
    if full > 0 {
        x = paint.text(x + 2, y, end, Role::Bad, &format!("{full} full"));
    }
    if near > 0 {
        x = paint.text(x + 2, y, end, Role::Warn, &format!("{near} near the limit"));
    }
    let warns = match screen.warn_at {
        Some(percent) => format!("warns at {percent} %"),
        None => "no warnings".to_owned(),
    };
    x = paint.text(x + 2, y, end, Role::Muted, &warns);
    if screen.by_name {
        x = paint.text(x + 2, y, end, Role::Muted, "by name");
    }
    let others = app.counters.others();
    if others > 0 {
        let text = format!("and others, {} accounts of them not kept", grouped(others));
        paint.text(x + 2, y, end, Role::Warn, &text);
    }
    let columns = columns(usize::from(area.width));
    let titles = [
        ("SERVER", columns.server),
        ("COUNTER", columns.counter),
        ("WHOSE", columns.whose),
        ("", columns.bar),
        ("USED/MAX", columns.amount),
        ("WINDOW", columns.window),
        ("RESETS IN", columns.resets),
        ("OUTLOOK", columns.outlook),
        ("PAST WINDOWS", columns.spark),
    ];
    let mut text = String::from("  ");
    for (title, width) in titles.into_iter().filter(|(_, width)| *width > 0) {
        let right = matches!(title, "USED/MAX" | "RESETS IN");
        text.push_str(&if right { cells::right(title, width, "") } else { cells::left(title, width, "") });
        text.push(' ');
    }
    paint.text(area.x, y + 1, end, Role::Muted, text.trim_end());
    let rows = Rect { y: area.y + HEAD, height: area.height - HEAD, ..area };
    let selected = screen.index(readings);
    for (line, (index, reading)) in (0..rows.height).zip(readings.iter().enumerate().skip(screen.top)) {
        let place = Rect { y: rows.y + line, height: 1, ..rows };
        let near = screen.is_near(reading.fraction);
        paint.buf.set_line(place.x, place.y, &gauge(reading, near, &columns, paint.theme), place.width);
        if index == selected {
            paint.select(place, true);
            paint.text(place.x, place.y, place.x + 1, Role::Accent, paint.glyphs().cursor);
        }
        paint.hits.push((place, Hit::Row(usize::from(line))));
    }
    let below = readings.len().saturating_sub(screen.top + usize::from(rows.height));
    pane::below(below, area, paint);
}

fn level(reading: &Reading<'_>, near: bool) -> Role {
    match reading.outlook {
        Outlook::Full => Role::Bad,
        _ if near => Role::Warn,
        _ => Role::Good,
    }
}

fn outlook_role(outlook: Outlook) -> Role {
    match outlook {
        Outlook::Full => Role::Bad,
        Outlook::FullIn(_) => Role::Warn,
        Outlook::Holds | Outlook::Idle => Role::Muted,
    }
}

fn gauge<'a>(reading: &Reading<'_>, near: bool, columns: &Columns, theme: &Theme) -> Line<'a> {
    let more = theme.glyphs.more;
    let level = level(reading, near);
    // Without colour, too, it is seen which are near.
    let mark = if near { "!" } else { " " };
    let mut spans = vec![Span::raw(" "), Span::styled(mark.to_owned(), theme.style(level))];
    let mut put = |text: String, width: usize, role: Role| {
        if width > 0 {
            spans.push(Span::styled(text, theme.style(role)));
            spans.push(Span::raw(" "));
        }
    };
    put(cells::left(&reading.key.server, columns.server, more), columns.server, Role::Muted);
    put(cells::left(&reading.key.counter, columns.counter, more), columns.counter, Role::Strong);
    let whose = format!("{} {}", reading.key.scope, reading.key.key);
    put(cells::left(&whose, columns.whose, more), columns.whose, Role::Muted);
    put(bar(reading.fraction, columns.bar, theme), columns.bar, level);
    let amount = format!("{}/{}", reading.used, reading.gauge.max);
    put(cells::right(&amount, columns.amount, more), columns.amount, level);
    put(cells::left(&Window::label(reading.key.window), columns.window, more), columns.window, Role::Muted);
    let resets = if reading.resets_in_ms == 0 { "empty".to_owned() } else { seconds(reading.resets_in_ms) };
    put(cells::right(&resets, columns.resets, more), columns.resets, Role::Text);
    let outlook = cells::left(&reading.outlook_words(), columns.outlook, more);
    put(outlook, columns.outlook, outlook_role(reading.outlook));
    if columns.spark > 0 {
        spans.push(Span::styled(windows(reading, columns.spark, theme), theme.style(Role::Muted)));
    }
    Line::from(spans)
}

/// How the last windows ended and how this one stands, each against its own limit; the newest at
/// the right.
fn windows(reading: &Reading<'_>, width: usize, theme: &Theme) -> String {
    let now = Past { until: reading.gauge.resets_at, used: reading.used, max: reading.gauge.max };
    let past = &reading.gauge.past;
    let shown: Vec<&Past> =
        past.iter().skip((past.len() + 1).saturating_sub(width)).chain(std::iter::once(&now)).collect();
    let pad = " ".repeat(width.saturating_sub(shown.len()));
    let columns: String = shown.into_iter().map(|window| column(window, theme)).collect();
    format!("{pad}{columns}")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 8")]
fn column(window: &Past, theme: &Theme) -> &'static str {
    let max = window.max.as_f64();
    let part = if max > 0.0 { window.used.as_f64() / max } else { 0.0 };
    let glyphs = &theme.glyphs.spark;
    let mut step = (part * 8.0).round().clamp(0.0, 8.0) as usize;
    // Anything shows; only what is full fills.
    if part > 0.0 {
        step = step.max(1);
    }
    if part < 1.0 {
        step = step.min(7);
    }
    if step == 0 { theme.glyphs.dot } else { glyphs.get(step).copied().unwrap_or(" ") }
}

fn draw_detail(app: &App, reading: &Reading<'_>, area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::Inspector));
    paint.rule(area, app.counters_screen.whole, &reading.key.name(), "");
    let width = usize::from(area.width.saturating_sub(LABEL + 2));
    let (mut y, end) = (area.y + 1, area.right().saturating_sub(1));
    if area.height > 4 {
        let near = app.counters_screen.is_near(reading.fraction);
        let bar = bar(reading.fraction, width.min(40), paint.theme);
        paint.text(area.x + 1 + LABEL, y, end, level(reading, near), &bar);
        y += 1;
    }
    let lines = wrap_all(detail::lines(reading, app.now.ts), width);
    let rest = lines.len();
    let text = Rect { y, height: area.bottom().saturating_sub(y), width: end.saturating_sub(area.x), ..area };
    pane::lines(&lines, text, paint);
    y += u16::try_from(rest).unwrap_or(u16::MAX).min(text.height);
    let shown = usize::from(area.bottom().saturating_sub(area.y + 2));
    if rest > shown {
        let text = if app.counters_screen.whole { " more below " } else { " more: Enter " };
        paint.right(area.x, area.y, end, Role::Muted, text);
    } else if area.bottom() > y + 1 {
        paint.text(area.x + 1, y, area.x + LABEL, Role::Muted, "windows");
        let spark = windows(reading, width.min(49), paint.theme);
        paint.text(area.x + 1 + LABEL, y, end, Role::Text, spark.trim_start());
        let points: Vec<u64> = reading.gauge.sparkline(app.now.ts, width.min(40));
        let most = points.iter().copied().max().unwrap_or(0).max(1);
        let glyphs = &paint.glyphs().spark;
        let line: String = points
            .iter()
            .map(|point| {
                let step = if *point == 0 { 0 } else { (point * 8).div_ceil(most).clamp(1, 8) };
                usize::try_from(step).ok().and_then(|step| glyphs.get(step)).copied().unwrap_or(" ")
            })
            .collect();
        if !line.trim().is_empty() {
            paint.text(area.x + 1, y + 1, area.x + LABEL, Role::Muted, "lately");
            paint.text(area.x + 1 + LABEL, y + 1, end, Role::Text, &line);
        }
    }
}

/// A bar of `width` columns; anything above zero shows, and only what is full fills it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to the width"
)]
fn bar(fraction: f64, width: usize, theme: &Theme) -> String {
    let exact = fraction.clamp(0.0, 1.0) * width as f64;
    let mut filled = exact.round() as usize;
    if fraction > 0.0 {
        filled = filled.max(1);
    }
    if fraction < 1.0 {
        filled = filled.min(width.saturating_sub(1));
    }
    let [on, off] = theme.glyphs.gauge;
    format!("{}{}", on.repeat(filled.min(width)), off.repeat(width.saturating_sub(filled)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Depth;

    #[test]
    fn a_bar_tells_some_from_none_and_nearly_from_full() {
        let theme = Theme::new(Depth::None, false, false);
        assert_eq!(bar(0.0, 5, &theme), ".....");
        assert_eq!(bar(0.01, 5, &theme), "#....");
        assert_eq!(bar(0.99, 5, &theme), "####.");
        assert_eq!(bar(1.0, 5, &theme), "#####");
        assert_eq!(bar(7.0, 5, &theme), "#####");
    }
}
