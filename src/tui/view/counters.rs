//! Draws the Counters screen: every limit as a gauge, the fullest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::cells;
use super::paint::Paint;
use crate::policy::model::Window;
use crate::time::Timestamp;
use crate::tui::app::counters::{Counters, CountersScreen, Reading};
use crate::tui::app::live::detail;
use crate::tui::app::{App, Hit};
use crate::tui::theme::{Role, Theme};

/// Lines above the gauges.
const HEAD: u16 = 2;

/// How many gauges fit.
pub fn rows_in(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(HEAD))
}

struct Columns {
    server: usize,
    counter: usize,
    whose: usize,
    bar: usize,
    amount: usize,
    window: usize,
    resets: usize,
    rate: usize,
    spark: usize,
}

fn columns(width: usize) -> Columns {
    let mut columns = Columns {
        server: 9,
        counter: 18,
        whose: 0,
        bar: 10,
        amount: 13,
        window: 7,
        resets: 9,
        rate: 0,
        spark: 0,
    };
    if width >= 96 {
        columns.whose = 16;
    }
    if width >= 112 {
        columns.rate = 14;
    }
    if width >= 140 {
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
        columns.rate,
        columns.spark,
    ];
    let used: usize = 2 + fixed.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<usize>();
    columns.bar = width.saturating_sub(used).clamp(4, 40);
    columns
}

/// Draws the screen.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::List));
    let places = draw_gauges(&app.counters_screen, &app.counters, app.now.ts, paint.theme, area, paint.buf);
    paint.hits.extend(places.into_iter().enumerate().map(|(line, place)| (place, Hit::Row(line))));
}

/// Draws the gauges in view; gives their places.
fn draw_gauges(
    screen: &CountersScreen,
    counters: &Counters,
    now: Timestamp,
    theme: &Theme,
    area: Rect,
    buf: &mut Buffer,
) -> Vec<Rect> {
    if area.height <= HEAD {
        return Vec::new();
    }
    let readings = counters.readings(now);
    let more = theme.glyphs.more;
    let full = readings.iter().filter(|reading| reading.fraction >= 1.0).count();
    let near = readings.iter().filter(|reading| (0.8..1.0).contains(&reading.fraction)).count();
    let mut head = vec![Span::styled(
        match readings.len() {
            1 => " 1 counter".to_owned(),
            many => format!(" {many} counters"),
        },
        theme.style(Role::Text),
    )];
    if full > 0 {
        head.push(Span::styled(format!("  {full} full"), theme.style(Role::Bad)));
    }
    if near > 0 {
        head.push(Span::styled(format!("  {near} near the limit"), theme.style(Role::Warn)));
    }
    buf.set_line(area.x, area.y, &Line::from(head), area.width);
    let rows = Rect { y: area.y + HEAD, height: area.height - HEAD, ..area };
    if readings.is_empty() {
        let text = "No limit was touched yet. A gauge appears with the first call that counts towards one.";
        let text = cells::cut(text, usize::from(rows.width).saturating_sub(2), more);
        buf.set_string(rows.x + 1, rows.y + rows.height / 3, &text, theme.style(Role::Muted));
        return Vec::new();
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
        ("RATE", columns.rate),
        ("LAST 40 S", columns.spark),
    ];
    let mut text = String::from("  ");
    for (title, width) in titles.into_iter().filter(|(_, width)| *width > 0) {
        let right = matches!(title, "USED/MAX" | "RESETS IN" | "RATE");
        text.push_str(&if right { cells::right(title, width, "") } else { cells::left(title, width, "") });
        text.push(' ');
    }
    buf.set_stringn(area.x, area.y + 1, &text, usize::from(area.width), theme.style(Role::Muted));
    let mut places = Vec::new();
    for (line, (index, reading)) in (0..rows.height).zip(readings.iter().enumerate().skip(screen.top)) {
        let place = Rect { y: rows.y + line, height: 1, ..rows };
        buf.set_line(place.x, place.y, &gauge(reading, &columns, now, theme), place.width);
        if index == screen.selected {
            buf.set_style(place, theme.style(Role::Selection));
            buf.set_string(place.x, place.y, theme.glyphs.cursor, theme.style(Role::Selection));
        }
        places.push(place);
    }
    places
}

fn gauge<'a>(reading: &Reading<'_>, columns: &Columns, now: Timestamp, theme: &Theme) -> Line<'a> {
    let more = theme.glyphs.more;
    let level = match reading.fraction {
        fraction if fraction >= 1.0 => Role::Bad,
        fraction if fraction >= 0.8 => Role::Warn,
        _ => Role::Good,
    };
    let muted = theme.style(Role::Muted);
    let mut spans = vec![Span::raw("  ")];
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
    let resets =
        if reading.resets_in_ms == 0 { "empty".to_owned() } else { detail::seconds(reading.resets_in_ms) };
    put(cells::right(&resets, columns.resets, more), columns.resets, Role::Text);
    let rate = match reading.full_in {
        Some(seconds) => format!("full in {seconds:.0} s"),
        None if reading.per_minute > 0.0 => format!("{:.0}/min", reading.per_minute),
        None => String::new(),
    };
    let role = if reading.full_in.is_some() { Role::Warn } else { Role::Muted };
    put(cells::right(&rate, columns.rate, more), columns.rate, role);
    if columns.spark > 0 {
        let points = reading.gauge.sparkline(now, columns.spark);
        let most = points.iter().copied().max().unwrap_or(0).max(1);
        let glyphs = &theme.glyphs.spark;
        let line: String = points
            .iter()
            .map(|point| {
                let step = if *point == 0 { 0 } else { (point * 8).div_ceil(most).clamp(1, 8) };
                usize::try_from(step).ok().and_then(|step| glyphs.get(step)).copied().unwrap_or(" ")
            })
            .collect();
        spans.push(Span::styled(line, muted));
    }
    Line::from(spans)
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
