//! The Policy screen.

use ratatui::layout::Rect;

use super::paint::Paint;
use super::{chrome, inspector, layout, text};
use crate::counters::{Override, OverrideEffect};
use crate::policy::model;
use crate::policy::state::{ToolState, limit_text};
use crate::tui::action::Action;
use crate::tui::app::overrides;
use crate::tui::app::policy::table::{Item, ToolRow};
use crate::tui::app::policy::{Focus, Loading, inspect, search};
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;

/// Draws the screen.
pub(super) fn draw(app: &App, paint: &mut Paint<'_>) {
    if app.policy.focus == Focus::Raw {
        text::draw(app, layout::frame(app).body, paint);
        return;
    }
    let areas = layout::policy(app);
    table(app, areas.table, paint);
    inspector::draw(app, areas.inspector, paint);
    if areas.beside {
        let x = areas.inspector.x.saturating_sub(1);
        paint.text(x, areas.inspector.y, x + 1, Role::Faint, paint.glyphs().line);
        paint.wall(x, areas.inspector.y + 1, areas.inspector.height.saturating_sub(1));
    }
}

fn title(app: &App) -> (String, String) {
    let table = &app.policy.table;
    let total = table.tools().len();
    let name = app
        .policy
        .current()
        .map_or_else(|| "Tools".to_owned(), |server| crate::visible::visible(&server.name).into_owned());
    let shown = table.items().iter().filter(|item| matches!(item, Item::Tool(_))).count();
    let listed = table.listed();
    let mut detail = match (shown == total, total - listed) {
        (false, _) => format!("{shown} of {total} tools"),
        (true, 0) => format!("{total} tools"),
        (true, own) if listed == 0 => format!("{own} tools, named by the policy"),
        (true, own) => format!("{listed} tools, {own} only in the policy"),
    };
    let new = app.policy.editor.as_ref().is_some_and(|editor| editor.disk().is_none() && editor.edits() == 0);
    if new && table.marked.is_empty() && total > 0 {
        detail = format!("{detail}, F1: first steps");
    }
    let margin = app.impact.margin(None).words();
    if !margin.is_empty() {
        detail = format!("{detail}, last day's calls {margin}");
    }
    if !table.marked.is_empty() {
        detail = format!("{detail}, {} selected", table.marked.len());
    }
    (name, detail)
}

fn table(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let focused = app.policy.focus == Focus::Table;
    let (name, detail) = title(app);
    let mut x = paint.rule(area, focused, &name, &detail);
    paint.hits.push((area, Hit::List));
    let (y, end) = (area.y, area.right().saturating_sub(1));
    if app.policy.search.typing || !app.policy.search.field.is_empty() {
        x = paint.text(x + 1, y, end, Role::Key, " /");
        let typing = app.policy.search.typing && app.layers.is_empty();
        let text = app.policy.search.field.text().chars().count() + 2;
        let stop = x.saturating_add(u16::try_from(text).unwrap_or(u16::MAX)).min(end);
        paint.text(x, y, stop, Role::Text, &" ".repeat(text));
        paint.field(x, y, stop.max(x + 2).min(end), &app.policy.search.field, typing);
        x = stop.max(x + 2);
    } else if let Some((role, text)) = chrome::loading_words(app) {
        x = paint.text(x + 1, y, end, role, &format!(" {text} "));
    }
    tests_mark(app, x, area, paint);
    let overridden = app.feeds.overrides(app.now.ts).next().is_some();
    let columns = Columns::of(area, app.policy.table.longest(), overridden);
    columns.heads(area.y + 1, paint);
    let rows = usize::from(area.height.saturating_sub(2));
    let top = app.policy.table.top;
    for (index, item) in app.policy.table.items().iter().enumerate().skip(top).take(rows) {
        let y = area.y + 2 + u16::try_from(index - top).unwrap_or(0);
        let row = Rect::new(area.x, y, area.width, 1);
        let selected = index == app.policy.table.selected;
        match item {
            Item::Default | Item::AllTools => document_row(app, *item, &columns, row, paint),
            Item::Tool(tool) => {
                if let Some(tool) = app.policy.table.row(*tool) {
                    tool_row(app, tool, &columns, row, paint);
                }
            }
        }
        if selected {
            paint.select(row, focused);
            paint.text(area.x, y, area.x + 1, Role::Accent, paint.glyphs().cursor);
        }
        paint.hits.push((row, Hit::Row(index)));
    }
    if app.policy.table.items().iter().all(|item| !matches!(item, Item::Tool(_))) {
        let below = area.y + 2 + u16::try_from(app.policy.table.items().len()).unwrap_or(0);
        let left = Rect { y: below, height: area.bottom().saturating_sub(below), ..area };
        empty(app, left, paint);
    }
}

/// How the tests beside the policy stand, at the right of the title.
fn tests_mark(app: &App, x: u16, area: Rect, paint: &mut Paint<'_>) {
    let Some((role, mark)) = app.learn.cases.mark() else { return };
    let end = area.right().saturating_sub(2);
    let wide = u16::try_from(mark.chars().count()).unwrap_or(u16::MAX).saturating_add(2);
    let start = end.saturating_sub(wide);
    if start > x {
        paint.text(start, area.y, end, role, &format!(" {mark} "));
        paint.hits.push((Rect::new(start, area.y, wide, 1), Hit::Action(Action::Tests)));
    }
}

/// How wide the column of risks is, with the space after it.
const RISK: u16 = 13;

/// Where the columns of the table are.
struct Columns {
    state: u16,
    name: u16,
    risk: u16,
    rules: Option<u16>,
    calls: u16,
    end: u16,
}

impl Columns {
    fn of(area: Rect, longest: u16, overridden: bool) -> Self {
        let end = area.right().saturating_sub(1);
        let state = area.x + 2;
        // An override stands in the same column, with its end.
        let name = state + if overridden { 14 } else { 10 };
        let calls = end.saturating_sub(10);
        // What the names do not need goes to the rules, where that is enough to say something.
        let rest = calls.saturating_sub(name + RISK + 1);
        let wanted = longest.saturating_add(3).clamp(14, rest.max(14));
        let left = rest.saturating_sub(wanted.min(rest * 7 / 10));
        let rules = (left >= 10).then(|| calls.saturating_sub(left));
        let risk = rules.unwrap_or(calls).saturating_sub(RISK);
        Self { state, name, risk, rules, calls, end }
    }

    fn heads(&self, y: u16, paint: &mut Paint<'_>) {
        let heads = [(self.state, "state"), (self.name, "tool"), (self.risk, "risk")];
        for (x, head) in heads.into_iter().chain(self.rules.map(|x| (x, "rules"))) {
            paint.text(x, y, self.end, Role::Muted, head);
        }
        paint.right(self.calls, y, self.end, Role::Muted, "calls deny");
    }
}

fn state(state: ToolState, stated: bool, columns: &Columns, y: u16, paint: &mut Paint<'_>) {
    let glyphs = paint.glyphs();
    let (role, glyph) = match state {
        ToolState::Allow => (Role::Allow, glyphs.allow),
        ToolState::Deny => (Role::Deny, glyphs.deny),
        ToolState::Hide => (Role::Hide, glyphs.hide),
        ToolState::Approve => (Role::Approve, glyphs.approve),
    };
    // What only follows from the default stays in the background.
    let role = if stated { role } else { Role::Muted };
    let x = paint.text(columns.state, y, columns.name, role, glyph);
    paint.text(x + 1, y, columns.name, role, state.name());
}

/// An override in the place of the state: what it does, and its end.
fn overridden(app: &App, entry: &Override, columns: &Columns, y: u16, paint: &mut Paint<'_>) {
    let glyphs = paint.glyphs();
    let (role, glyph, word) = match entry.effect {
        OverrideEffect::Allow => (Role::Allow, glyphs.allow, "allow"),
        OverrideEffect::Deny => (Role::Deny, glyphs.deny, "deny"),
        OverrideEffect::Approved => (Role::Approve, glyphs.allow, "skip"),
    };
    let x = paint.text(columns.state, y, columns.name, role, glyph);
    let x = paint.text(x + 1, y, columns.name, role, word);
    let end = overrides::end_words(entry, app.now.ts);
    paint.text(x + 1, y, columns.name.saturating_sub(1), Role::Warn, &end);
}

fn document_row(app: &App, item: Item, columns: &Columns, row: Rect, paint: &mut Paint<'_>) {
    let Some(policy) = app.policy.editor.as_ref().and_then(|it| Some(it.document()?.policy())) else {
        return;
    };
    let y = row.y;
    let (name, text) = if item == Item::Default {
        let (word, means) = match policy.default {
            model::Default::Allow => (ToolState::Allow, "tools that are not listed"),
            model::Default::Deny => (ToolState::Deny, "tools that are not listed"),
        };
        state(word, true, columns, y, paint);
        (
            "default",
            if policy.hide.all { "hide: [\"*\"] hides every tool".to_owned() } else { means.to_owned() },
        )
    } else {
        let limits: Vec<String> = policy.all_tools_limits.iter().map(limit_text).collect();
        let none = "no limit for all tools together".to_owned();
        ("all tools", if limits.is_empty() { none } else { limits.join(", ") })
    };
    let x = paint.text(columns.name, y, columns.end, Role::Strong, name);
    let role =
        if item == Item::AllTools && !policy.all_tools_limits.is_empty() { Role::Text } else { Role::Muted };
    paint.text((columns.name + 12).max(x + 2), y, columns.end, role, &text);
}

fn tool_row(app: &App, tool: &ToolRow, columns: &Columns, row: Rect, paint: &mut Paint<'_>) {
    let y = row.y;
    let table = &app.policy.table;
    let Some(editor) = &app.policy.editor else { return };
    if table.marked.contains(&tool.name) {
        paint.text(row.x + 1, y, row.x + 2, Role::Accent, paint.glyphs().marked);
    }
    let now = editor.state(&tool.name);
    let stated = now == ToolState::Hide || editor.tool(&tool.name).is_some();
    match app.feeds.override_of(&app.policy.enforced_by, &tool.name, app.now.ts) {
        Some(entry) => overridden(app, entry, columns, y, paint),
        None => state(now, stated, columns, y, paint),
    }
    let query = app.policy.search.field.text();
    let marks = if query.is_empty() { Vec::new() } else { search::marks(&tool.shown, query) };
    let dim = !tool.listed || now == ToolState::Hide;
    let role = if dim { Role::Muted } else { Role::Text };
    let mut end = columns.risk.saturating_sub(1);
    if tool.suspicious {
        end = end.saturating_sub(2);
        paint.text(end + 1, y, end + 2, Role::Mark, "!");
    }
    if let Some(mark) = app.policy.pins.mark(tool, table.listed() > 0) {
        let (role, word) = mark.words();
        let wide = u16::try_from(word.len()).unwrap_or(0);
        end = end.saturating_sub(wide + 1);
        paint.text(end + 1, y, end + 1 + wide, role, word);
    }
    let after = paint.marked(columns.name, y, end, paint.theme.style(role), &tool.shown, &marks);
    if tool.suspicious {
        paint.strange(columns.name, y, after, &tool.shown);
    }
    let role = inspect::severity_role(tool.risk.severity);
    let stop = columns.rules.unwrap_or(columns.calls).saturating_sub(1);
    paint.text(columns.risk, y, stop, role, tool.risk.category.name());
    if let Some(x) = columns.rules {
        let glance = editor.glance(&tool.name);
        if !glance.is_empty() {
            paint.text(x, y, columns.calls.saturating_sub(1), Role::Text, &glance);
        } else if !stated {
            paint.text(x, y, columns.calls.saturating_sub(1), Role::Faint, "by default");
        }
    }
    // What the unsaved edits change of recent decisions.
    let margin = app.impact.margin(Some(&tool.name)).words();
    if !margin.is_empty() {
        let text = format!(" {margin} ");
        paint.right(columns.risk, y, columns.calls.saturating_sub(1), Role::Behind, &text);
    }
    let calls = app.policy.calls(&app.feeds, &tool.name);
    if let Some((all, denied)) = calls.filter(|(all, _)| *all > 0) {
        paint.right(columns.calls, y, columns.end.saturating_sub(5), Role::Text, &short(all));
        if denied > 0 {
            paint.right(columns.end.saturating_sub(4), y, columns.end, Role::Deny, &short(denied));
        }
    }
}

/// A number in at most four characters.
fn short(number: u64) -> String {
    match number {
        0..=9_999 => number.to_string(),
        10_000..=999_999 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

fn empty(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let table = &app.policy.table;
    let lines: Vec<(Role, String)> = if table.tools().is_empty() {
        match &app.policy.loading {
            Loading::Running(what) => vec![(Role::Text, format!("{what} ..."))],
            Loading::Failed(why) => vec![
                (Role::Bad, why.clone()),
                (Role::Muted, "The policy's own tools can still be edited.".to_owned()),
            ],
            Loading::Done => vec![(Role::Text, "The server lists no tools.".to_owned())],
            Loading::NoSource => vec![
                (Role::Text, "No tools are known yet.".to_owned()),
                (Role::Muted, "Name a server to see them:".to_owned()),
                (Role::Muted, "  callgate policy.json -- npx some-mcp-server".to_owned()),
                (Role::Muted, "  callgate policy.json --url https://host/mcp".to_owned()),
                (Role::Muted, "or start a gateway with this policy: it is found by itself.".to_owned()),
                (Role::Muted, "F1 shows the first steps.".to_owned()),
            ],
        }
    } else {
        vec![
            (Role::Text, "Nothing matches.".to_owned()),
            (Role::Muted, "Esc shows all tools again.".to_owned()),
        ]
    };
    let width = usize::from(area.width.saturating_sub(6));
    let mut y = area.y + u16::from(area.height > 6);
    for (role, text) in lines {
        for line in inspect::wrap(&text, width) {
            if y < area.bottom() {
                paint.text(area.x + 3, y, area.right(), role, &line);
            }
            y += 1;
        }
    }
}
