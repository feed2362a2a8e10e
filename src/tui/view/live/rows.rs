//! One row of the Live screen, in the columns that there is room for.

use std::fmt::Write as _;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::clock;
use crate::record::{EventKind, Status, Verdict};
use crate::time::Timestamp;
use crate::tui::app::live::detail;
use crate::tui::app::live::names::Names;
use crate::tui::app::live::row::{Kind, Row};
use crate::tui::app::live::{Live, LiveScreen};
use crate::tui::theme::{Role, Theme};
use crate::tui::view::cells;

/// Widths of the columns; a width of 0 leaves the column out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    time: usize,
    word: usize,
    origin: usize,
    server: usize,
    grant: usize,
    tool: usize,
    rule: usize,
    args: usize,
    end: usize,
}

/// Which columns fit: narrow screens give up the gateway, grant, rule and server, in this order; what
/// is left goes to the arguments. The gateway is told where rows come from `several`.
pub(super) fn columns(width: usize, several: bool) -> Columns {
    let mut columns =
        Columns { time: 8, word: 5, origin: 0, server: 0, grant: 0, tool: 18, rule: 0, args: 0, end: 8 };
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
    if width >= 120 && several {
        columns.origin = 10;
    }
    let fixed = [
        columns.time,
        columns.word,
        columns.origin,
        columns.server,
        columns.grant,
        columns.tool,
        columns.rule,
        columns.end,
    ];
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

pub(super) fn heading<'a>(columns: &Columns, theme: &Theme) -> Line<'a> {
    let titles = [
        ("TIME", columns.time),
        ("", columns.word),
        ("GATEWAY", columns.origin),
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

pub(super) fn row_line<'a>(
    screen: &LiveScreen,
    (id, row): (u64, &Row),
    columns: &Columns,
    theme: &Theme,
    now: Timestamp,
) -> Line<'a> {
    let live = &screen.live;
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
    let time = if screen.relative {
        let ago = detail::ago(row.ts, now);
        cells::right(ago.strip_suffix(" ago").unwrap_or(&ago), columns.time.min(8), more)
    } else {
        clock(row.ts, &screen.tz, columns.time > 8)
    };
    put(&time, columns.time, muted);
    if matches!(row.kind, Kind::Event(_)) {
        // An event has no tool, rule or outcome: it says what happened across all of them.
        let width = columns.origin
            + columns.server
            + columns.grant
            + columns.tool
            + columns.rule
            + columns.args
            + columns.end
            + columns.word;
        put(&event_text(live, row, theme), width + 2, word);
        return Line::from(spans);
    }
    put(row.word(names), columns.word, word);
    put(live.ring.origin(row), columns.origin, muted);
    put(names.text(row.server), columns.server, muted);
    put(names.text(row.grant), columns.grant, muted);
    let tool = if row.tool == Names::EMPTY { row.method } else { row.tool };
    let tool_style = if Live::is_denied(row) { theme.style(Role::Strong) } else { text };
    match live.repeat(id).filter(|repeat| !repeat.open) {
        Some(repeat) => {
            let text = format!("{}x {}", repeat.members.len(), names.text(tool));
            put(&text, columns.tool, theme.style(Role::Strong));
        }
        None => put(names.text(tool), columns.tool, tool_style),
    }
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
fn event_text(live: &Live, row: &Row, theme: &Theme) -> String {
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
            let _ = write!(out, " {} {part}", theme.glyphs.dot);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_every_width_exactly() {
        for (width, several) in (40..300).flat_map(|width| [(width, false), (width, true)]) {
            let c = columns(width, several);
            let parts = [c.time, c.word, c.origin, c.server, c.grant, c.tool, c.rule, c.args, c.end];
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
    }
}
