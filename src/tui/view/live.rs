//! Draws the Live screen: a line of state, the rows in view, and the selected row's detail.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::cells;
use super::paint::Paint;
use crate::record::{EventKind, Status, Verdict};
use crate::time::Timestamp;
use crate::tui::app::live::detail::{self, Tone};
use crate::tui::app::live::names::Names;
use crate::tui::app::live::row::{Kind, Row};
use crate::tui::app::live::{Live, LiveScreen};
use crate::tui::app::{App, Hit};
use crate::tui::theme::{Role, Theme};

/// Lines above the rows: the state and the column heads.
const HEAD: u16 = 2;

/// Widths of the columns; a width of 0 leaves the column out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    time: usize,
    word: usize,
    server: usize,
    grant: usize,
    tool: usize,
    rule: usize,
    args: usize,
    end: usize,
}

/// Which columns fit: narrow screens give up grant, server and rule, in this order; what is left
/// goes to the arguments.
fn columns(width: usize) -> Columns {
    let mut columns = Columns { time: 8, word: 5, server: 0, grant: 0, tool: 18, rule: 0, args: 0, end: 8 };
    if width >= 70 {
        columns.server = 9;
    }
    if width >= 95 {
        columns.rule = 24;
    }
    if width >= 110 {
        columns.time = 12;
        columns.server = 12;
        columns.tool = 22;
    }
    if width >= 130 {
        columns.grant = 10;
        columns.rule = 32;
    }
    let fixed =
        [columns.time, columns.word, columns.server, columns.grant, columns.tool, columns.rule, columns.end];
    // One column for the cursor, one after each column that is there, and one at the edge.
    let used: usize = 2 + fixed.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<usize>();
    columns.args = width.saturating_sub(used);
    if columns.args < 8 {
        // Too little to read arguments in: the tool has the room, and the outcome stays.
        columns.args = 0;
        let others = 2 + columns.time + columns.word + columns.end + 4;
        columns.tool = width.saturating_sub(others).max(4);
    }
    columns
}

/// How many rows fit in an area of this size.
pub fn rows_in(area: Rect, detail: bool, typing: bool) -> usize {
    let list = split(area, detail).0;
    usize::from(list.height.saturating_sub(HEAD + u16::from(typing)))
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
    let (mut list, pane) = split(area, screen.detail);
    paint.hits.push((list, Hit::List));
    if let Some(typing) = &screen.filter {
        let y = list.bottom().saturating_sub(1);
        let x = paint.text(list.x + 1, y, list.right(), Role::Key, "filter ");
        let end = match &typing.error {
            Some(error) => {
                // What was typed keeps its room; the rest says what is wrong with it.
                let typed = unicode_width::UnicodeWidthStr::width(typing.field.text()).clamp(12, 40) + 11;
                let room = usize::from(list.width).saturating_sub(typed);
                let text = cells::cut(error, room, paint.theme.glyphs.more);
                paint.right(x + 8, y, list.right(), Role::Bad, &text).saturating_sub(2)
            }
            None => list.right(),
        };
        paint.field(x, y, end, &typing.field, true);
        list.height = list.height.saturating_sub(1);
    }
    let places = draw_list(screen, paint.theme, list, paint.buf);
    paint.hits.extend(places.into_iter().enumerate().map(|(line, place)| (place, Hit::Row(line))));
    if let Some(pane) = pane {
        draw_detail(screen, app.now.ts, paint.theme, area, pane, paint.buf);
        paint.hits.push((pane, Hit::Inspector));
    }
}

fn state_line<'a>(screen: &LiveScreen, theme: &Theme, width: usize) -> Line<'a> {
    let live = &screen.live;
    let more = theme.glyphs.more;
    let totals = live.ring.totals();
    let mut spans = if live.is_following() {
        vec![Span::styled(format!(" {} FOLLOWING ", theme.glyphs.bullet), theme.style(Role::Good))]
    } else {
        let new = live.new_since_pause();
        let badge =
            if new > 0 { format!(" PAUSED · {} new ", grouped(new as u64)) } else { " PAUSED ".to_owned() };
        vec![Span::styled(badge, theme.style(Role::Warn))]
    };
    spans.push(Span::styled(format!(" {} calls", grouped(totals.decisions)), theme.style(Role::Text)));
    if totals.denies > 0 {
        spans.push(Span::styled(format!("  {} denied", grouped(totals.denies)), theme.style(Role::Deny)));
    }
    if live.lost > 0 {
        spans.push(Span::styled(format!("  {} lost", grouped(live.lost)), theme.style(Role::Bad)));
    }
    if live.is_filtered() && !screen.typing() {
        let shown = match live.search_progress() {
            Some(part) => format!("{} shown, searching {:.0} %", grouped(live.count() as u64), part * 100.0),
            None => format!("{} shown", grouped(live.count() as u64)),
        };
        let used: usize = spans.iter().map(Span::width).sum();
        let filter = cells::cut(&live.filter_text, width.saturating_sub(used + shown.len() + 14), more);
        spans.push(Span::styled("  filter ", theme.style(Role::Muted)));
        spans.push(Span::styled(filter, theme.style(Role::Match)));
        spans.push(Span::styled(format!(" {} {shown}", theme.glyphs.dot), theme.style(Role::Muted)));
    }
    Line::from(spans)
}

fn draw_list(screen: &LiveScreen, theme: &Theme, area: Rect, buf: &mut Buffer) -> Vec<Rect> {
    let live = &screen.live;
    let width = usize::from(area.width);
    if area.height < 3 {
        return Vec::new();
    }
    buf.set_line(area.x, area.y, &state_line(screen, theme, width), area.width);
    let columns = columns(width);
    let head = Rect { y: area.y + 1, height: 1, ..area };
    buf.set_line(head.x, head.y, &heading(&columns, theme), head.width);
    let rows = Rect { y: area.y + 2, height: area.height - 2, ..area };
    if live.count() == 0 {
        draw_empty(screen, theme, rows, buf);
        return Vec::new();
    }
    let selected = if live.is_following() && !screen.detail { None } else { live.selected() };
    let mut places = Vec::new();
    for (line, id) in (0..rows.height).zip(live.visible()) {
        let Some(row) = live.ring.get(id) else { continue };
        let place = Rect { y: rows.y + line, height: 1, ..rows };
        let cells = row_line(live, (id, row), &columns, theme, &screen.tz);
        buf.set_line(place.x, place.y, &cells, place.width);
        if selected == Some(id) {
            buf.set_style(place, theme.style(Role::Selection));
            buf.set_string(place.x, place.y, theme.glyphs.cursor, theme.style(Role::Selection));
        }
        places.push(place);
    }
    places
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

fn heading<'a>(columns: &Columns, theme: &Theme) -> Line<'a> {
    let titles = [
        ("TIME", columns.time),
        ("", columns.word),
        ("SERVER", columns.server),
        ("GRANT", columns.grant),
        ("TOOL", columns.tool),
        ("RULE", columns.rule),
        ("ARGUMENTS", columns.args),
    ];
    let mut text = String::from(" ");
    for (title, width) in titles.into_iter().filter(|(_, width)| *width > 0) {
        text.push_str(&cells::left(title, width, ""));
        text.push(' ');
    }
    text.push_str(&cells::right("OUTCOME", columns.end, ""));
    Line::from(Span::styled(text, theme.style(Role::Muted)))
}

fn row_line<'a>(
    live: &Live,
    (id, row): (u64, &Row),
    columns: &Columns,
    theme: &Theme,
    tz: &jiff::tz::TimeZone,
) -> Line<'a> {
    let names = &live.ring.names;
    let more = theme.glyphs.more;
    let text = theme.style(Role::Text);
    let muted = theme.style(Role::Muted);
    let word = match row.kind {
        Kind::Call(Verdict::Allow) => theme.style(Role::Allow),
        Kind::Call(Verdict::Deny) => theme.style(Role::Deny),
        Kind::Call(Verdict::Approve) => theme.style(Role::Approve),
        Kind::Event(_) => theme.style(Role::Accent),
    };
    let mut spans = vec![Span::raw(" ")];
    let mut put = |content: &str, width: usize, style: Style| {
        if width > 0 {
            spans.push(cells::span(content, width, more, style));
            spans.push(Span::raw(" "));
        }
    };
    put(&clock(row.ts, tz, columns.time > 8), columns.time, muted);
    if matches!(row.kind, Kind::Event(_)) {
        // An event has no tool, rule or outcome: it says what happened across all of them.
        let width = columns.server
            + columns.grant
            + columns.tool
            + columns.rule
            + columns.args
            + columns.end
            + columns.word;
        put(&event_text(live, row), width + 2, word);
        return Line::from(spans);
    }
    put(row.word(names), columns.word, word);
    put(names.text(row.server), columns.server, muted);
    put(names.text(row.grant), columns.grant, muted);
    let tool = if row.tool == Names::EMPTY { row.method } else { row.tool };
    let tool_style = if Live::is_denied(row) { theme.style(Role::Strong) } else { text };
    put(names.text(tool), columns.tool, tool_style);
    put(short_rule(names.text(row.rule)), columns.rule, if Live::is_denied(row) { word } else { muted });
    let why =
        if columns.rule == 0 && Live::is_denied(row) { short_rule(names.text(row.rule)) } else { &row.args };
    put(why, columns.args, muted);
    let (end, style) = outcome(live, id, row, theme);
    spans.push(Span::styled(cells::right(&end, columns.end, more), style));
    Line::from(spans)
}

/// A rule's code without the tool, which has its own column.
fn short_rule(rule: &str) -> &str {
    match rule.strip_prefix("/tools/").and_then(|rest| rest.split_once('/')) {
        Some((_, short)) => short,
        None => rule,
    }
}

/// What happened to a gateway, in words: the part of its data that people look for first.
fn event_text(live: &Live, row: &Row) -> String {
    let names = &live.ring.names;
    let data: serde_json::Value = serde_json::from_str(&row.args).unwrap_or_default();
    let text = |name: &str| data.get(name).and_then(|value| value.as_str()).unwrap_or("").to_owned();
    let words = |name: &str| {
        let items = data.get(name).and_then(|value| value.as_array()).cloned().unwrap_or_default();
        items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" ")
    };
    let first = match row.kind {
        Kind::Event(EventKind::Start) => format!("{} {}", text("name"), words("command")),
        Kind::Event(EventKind::Policy | EventKind::PolicyRejected) => {
            format!("{} {}", text("path"), text("revision"))
        }
        Kind::Event(EventKind::Approval | EventKind::Override) => {
            let of = |name: &str| Some(text(name)).filter(|part| !part.is_empty());
            let what = match (of("tool"), of("server")) {
                (Some(tool), Some(server)) => format!("{tool} of {server}"),
                (tool, server) => tool.or(server).unwrap_or_default(),
            };
            [text("state"), text("effect"), what]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        }
        _ => ["name", "server", "tool"]
            .into_iter()
            .map(text)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    };
    let mut out = names.text(row.method).replace('_', " ");
    for part in [first.trim(), names.text(row.message), names.text(row.grant)] {
        if !part.is_empty() {
            out.push_str(" · ");
            out.push_str(part);
        }
    }
    out
}

fn outcome(live: &Live, id: u64, row: &Row, theme: &Theme) -> (String, Style) {
    match (row.kind, row.ended) {
        (_, Some(ended)) => {
            let (text, role) = match ended.status {
                Status::Ok => (detail::micros(ended.upstream_us), Role::Muted),
                Status::ToolError => ("tool err".to_owned(), Role::Warn),
                Status::RpcError => ("error".to_owned(), Role::Bad),
                Status::Cancelled => ("cancel".to_owned(), Role::Warn),
                Status::Lost => ("lost".to_owned(), Role::Bad),
            };
            (text, theme.style(role))
        }
        (Kind::Call(Verdict::Approve), None) => {
            let ring = &live.ring;
            let answer = ring.held.answer_of(id).and_then(|id| ring.get(id)).and_then(Row::verdict);
            let (text, role) = match answer {
                Some(Verdict::Allow) => ("allowed", Role::Allow),
                Some(_) => ("denied", Role::Deny),
                None => ("held", Role::Warn),
            };
            (text.to_owned(), theme.style(role))
        }
        (Kind::Call(Verdict::Allow), None) => (theme.glyphs.more.to_owned(), theme.style(Role::Muted)),
        _ => (String::new(), theme.style(Role::Muted)),
    }
}

/// The time of day where the person is.
pub(super) fn clock(ts: Timestamp, tz: &jiff::tz::TimeZone, millis: bool) -> String {
    let Ok(instant) = jiff::Timestamp::from_microsecond(ts.0) else { return String::new() };
    let zoned = instant.to_zoned(tz.clone());
    let whole = zoned.strftime("%H:%M:%S").to_string();
    if millis { format!("{whole}.{:03}", zoned.millisecond()) } else { whole }
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

/// What a label takes in the detail, the space after it included.
const LABEL: usize = 11;

/// The detail's columns of text and its lines in an area of this size.
pub fn pane_of(area: Rect) -> (usize, usize) {
    let inner = split(area, true).1.map_or(Rect::ZERO, |pane| inside(pane, area));
    (usize::from(inner.width).saturating_sub(LABEL), usize::from(inner.height))
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

fn draw_detail(screen: &LiveScreen, now: Timestamp, theme: &Theme, area: Rect, pane: Rect, buf: &mut Buffer) {
    let line = theme.style(Role::Faint);
    let inner = inside(pane, area);
    if pane.x > area.x {
        for y in pane.y..pane.bottom() {
            buf.set_string(pane.x, y, theme.glyphs.bar, line);
        }
    } else {
        buf.set_string(pane.x, pane.y, theme.glyphs.line.repeat(usize::from(pane.width)), line);
    }
    let Some(id) = screen.live.selected() else { return };
    let width = usize::from(inner.width).saturating_sub(LABEL);
    let lines = detail::wrapped(&screen.live.ring, id, now, width);
    let height = usize::from(inner.height);
    let top = screen.detail_top.min(lines.len().saturating_sub(height));
    for (offset, entry) in (0..inner.height).zip(lines.iter().skip(top)) {
        let role = match entry.tone {
            Tone::Heading => Role::Strong,
            Tone::Plain | Tone::Code => Role::Text,
            Tone::Good => Role::Allow,
            Tone::Bad => Role::Deny,
            Tone::Warn => Role::Warn,
        };
        let label = cells::left(entry.label, LABEL - 1, "");
        let text = cells::cut(&entry.text, width, theme.glyphs.more);
        let spans = vec![
            Span::styled(label, theme.style(Role::Muted)),
            Span::raw(" "),
            Span::styled(text, theme.style(role)),
        ];
        buf.set_line(inner.x, inner.y + offset, &Line::from(spans), inner.width);
    }
    let below = lines.len().saturating_sub(top + height);
    if below > 0 && inner.height > 0 {
        let text = format!("{} {below} more, PgDn ", theme.glyphs.more);
        let width = u16::try_from(Span::raw(text.as_str()).width()).unwrap_or(0);
        let x = inner.x + inner.width.saturating_sub(width);
        buf.set_string(x, inner.y + inner.height - 1, &text, theme.style(Role::Muted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_every_width_exactly() {
        for width in 40..300 {
            let c = columns(width);
            let parts = [c.time, c.word, c.server, c.grant, c.tool, c.rule, c.args, c.end];
            let used: usize = 1 + parts.iter().filter(|part| **part > 0).map(|part| part + 1).sum::<usize>();
            assert!(used <= width + 1, "{width}: {used} {c:?}");
            assert!(c.tool >= 4 && c.end == 8, "{width}: {c:?}");
        }
    }

    #[test]
    fn rules_lose_the_tool_that_has_its_own_column() {
        assert_eq!(short_rule("/tools/pull/limits/pull_rate"), "limits/pull_rate");
        assert_eq!(short_rule("(hidden)"), "(hidden)");
        assert_eq!(short_rule("/all_tools/limits/x"), "/all_tools/limits/x");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
