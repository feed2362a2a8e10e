//! Draws the Health screen: gateways and what needs a look, and the selected one in full.

use ratatui::layout::Rect;

use super::cells;
use super::live::grouped;
use super::paint::Paint;
use super::pane::{self, LABEL};
use crate::tui::action::{Action, When};
use crate::tui::app::feeds::Source;
use crate::tui::app::health::policies::InForce;
use crate::tui::app::health::rules::{self, Finding};
use crate::tui::app::health::{HealthKey, HealthRow, detail, gateways, rows};
use crate::tui::app::live::detail::Tone;
use crate::tui::app::{App, Hit};
use crate::tui::key;
use crate::tui::theme::Role;

/// From this width on the detail stands beside the list.
const BESIDE: u16 = 130;

/// How many rows fit in an area, and the detail's columns of text and its lines.
pub fn sizes(area: Rect, whole: bool) -> (usize, (usize, usize)) {
    let (list, pane) = split(area, whole);
    let text = (pane.width.saturating_sub(LABEL + 2), pane.height.saturating_sub(1));
    (usize::from(list.height), (usize::from(text.0), usize::from(text.1)))
}

fn split(area: Rect, whole: bool) -> (Rect, Rect) {
    pane::split(area, whole, BESIDE, (56, 50))
}

/// Draws the screen.
pub(super) fn draw(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let (list, one) = split(area, app.health.whole);
    if list.height > 0 {
        draw_list(app, list, paint);
    }
    let one = pane::wall(list, one, paint);
    draw_detail(app, one, paint);
}

fn draw_list(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::List));
    let rows = rows(app);
    let in_force = InForce::of(app);
    let selected = app.health.index(&rows);
    let below = rows.len().saturating_sub(app.health.top + usize::from(area.height));
    // What is said of rows below stands on the first line and covers nothing of it.
    let said = pane::below(below, area, paint);
    for (y, (at, row)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(app.health.top)) {
        let taken = if y == area.y { said } else { 0 };
        let place = Rect { y, height: 1, width: area.width.saturating_sub(taken), ..area };
        let (x, end) = (place.x + 2, place.right().saturating_sub(1));
        match row {
            HealthRow::Heading(title, note) => {
                let x = paint.text(place.x + 1, y, end, Role::Accent, title);
                paint.text(x + 2, y, end, Role::Muted, note);
            }
            HealthRow::Columns => {
                let text = format!(
                    "{} {} {} {} {} {}  ",
                    cells::left("STATE", 13, ""),
                    cells::left("NAME", 13, ""),
                    cells::left("POLICY", 12, ""),
                    cells::right("UP", 5, ""),
                    cells::right("LAG", 6, ""),
                    cells::right("LOST", 6, ""),
                );
                let x = paint.text(x, y, end, Role::Muted, &text);
                paint.text(x, y, end, Role::Muted, "SERVERS, TROUBLE");
            }
            HealthRow::Gateway(source) => gateway(app, *source, &in_force, place, paint),
            HealthRow::Drift(one) => {
                let x = paint.text(x, y, end, Role::Warn, "! drifted     ");
                let tool = cells::left(&one.tool.tool, 24, paint.glyphs().more);
                let x = paint.text(x, y, end, Role::Strong, &tool);
                paint.text(x + 1, y, end, Role::Muted, &crate::visible::visible(&one.server));
            }
            HealthRow::RuleColumns => {
                let text = format!(
                    "{} {} {}  {} RULE",
                    cells::left("STATE", 18, ""),
                    cells::right("HITS", 7, ""),
                    cells::right("LAST", 6, ""),
                    cells::left("TOOL", 16, ""),
                );
                paint.text(x, y, end, Role::Muted, &text);
            }
            HealthRow::Rule(one) => rule(app, one, place, paint),
            HealthRow::Note(text) => {
                paint.text(x, y, end, Role::Muted, text);
            }
            HealthRow::Gap => {}
        }
        if selected == Some(at) && row.key().is_some() {
            paint.select(place, true);
            paint.text(place.x, y, place.x + 1, Role::Accent, paint.glyphs().cursor);
        }
        if row.key().is_some() {
            paint.hits.push((place, Hit::Row(at)));
        }
    }
}

/// A rule, with what it decided where that is known.
fn rule(app: &App, one: &Finding, place: Rect, paint: &mut Paint<'_>) {
    let (y, end, more) = (place.y, place.right().saturating_sub(1), paint.glyphs().more);
    let (role, mark) = match (one.certain, one.ails) {
        (true, _) => (Role::Warn, "!"),
        (false, true) => (Role::Muted, " "),
        (false, false) => (Role::Good, " "),
    };
    let told = one.part.as_ref().filter(|_| rules::told(app).is_some());
    let word = cells::left(&format!("{mark} {}", one.word), if told.is_some() { 18 } else { 19 }, more);
    let mut x = paint.text(place.x + 2, y, end, role, &word);
    let mut wide = 18;
    if rules::told(app).is_some() {
        wide = 16;
        let (hits, last) = match told {
            Some(part) => (grouped(part.hits), rules::last(part, app.now.ts)),
            None => (String::new(), String::new()),
        };
        let role = if told.is_some_and(|part| part.hits > 0) { Role::Text } else { Role::Muted };
        let text = format!("{} {} ", cells::right(&hits, 7, more), cells::right(&last, 6, more));
        x = paint.text(place.x + 2 + 19, y, end, role, &text);
    }
    let tool = if one.tool.is_empty() { &one.pointer } else { &one.tool };
    let x = paint.text(x + 1, y, end, Role::Strong, &cells::left(tool, wide, more));
    let room = usize::from(end.saturating_sub(x + 1));
    paint.text(x + 1, y, end, Role::Text, &cells::cut(&one.message, room, more));
}

fn gateway(app: &App, source: Source, in_force: &InForce, place: Rect, paint: &mut Paint<'_>) {
    let Some(gateway) = app.feeds.gateway(source) else { return };
    let (y, end, more) = (place.y, place.right().saturating_sub(1), paint.glyphs().more);
    let (tone, word) = gateways::word(gateway);
    let troubles = gateways::troubles(app, gateway, in_force);
    let glyphs = *paint.glyphs();
    let (mark, tone) = match (tone, troubles.first()) {
        (Tone::Good, Some(worst)) => ("!", worst.tone),
        (Tone::Good, None) => (glyphs.bullet, tone),
        (Tone::Plain, _) => (glyphs.hide, tone),
        _ => ("!", tone),
    };
    let muted = tone == Tone::Plain;
    let strong = if muted { Role::Muted } else { Role::Strong };
    let x =
        paint.text(place.x + 2, y, end, pane::role(tone), &cells::left(&format!("{mark} {word}"), 13, more));
    let x = paint.text(x + 1, y, end, strong, &cells::left(&gateway.hello.name, 13, more));
    let differs = troubles.iter().any(|trouble| trouble.word == "policy differs");
    let policy = if differs { Role::Warn } else { Role::Muted };
    let x = paint.text(x + 1, y, end, policy, &cells::left(&gateways::revision(gateway), 12, more));
    let up = gateways::uptime(gateway, app.now.ts);
    let x = paint.text(x + 1, y, end, Role::Muted, &cells::right(&up, 5, more));
    let lag = if gateway.alive && gateway.seen.last_at.is_some() {
        match gateway.seen.lag_ms {
            _ if gateway.seen.behind() > 0 => "behind".to_owned(),
            late => late.map(gateways::lag).unwrap_or_default(),
        }
    } else {
        String::new()
    };
    let x = paint.text(x + 1, y, end, Role::Muted, &cells::right(&lag, 6, more));
    let lost = grouped(gateway.lost);
    let lost_role = if gateway.lost > 0 { Role::Bad } else { Role::Muted };
    let x = paint.text(x + 1, y, end, lost_role, &cells::right(&lost, 6, more));
    let room = usize::from(end.saturating_sub(x + 2));
    let (role, text) = match troubles.first() {
        Some(worst) if room < 40 => (pane::role(worst.tone), worst.word.to_owned()),
        Some(worst) => (pane::role(worst.tone), worst.text.clone()),
        None => {
            let servers: Vec<&str> =
                gateway.hello.servers.iter().map(|server| server.name.as_str()).collect();
            (Role::Muted, crate::visible::visible(&servers.join(", ")).into_owned())
        }
    };
    paint.text(x + 2, y, end, role, &cells::cut(&text, room, more));
}

fn draw_detail(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.hits.push((area, Hit::Inspector));
    let hint = |action: Action, does: &str| {
        let keys = app.keymap.keys(action).first().map(|keys| key::label(keys, paint.glyphs().unicode));
        keys.filter(|_| app.when(action) == When::Now)
            .map_or_else(String::new, |keys| format!("{keys} {does}"))
    };
    let note = match &app.health.selected {
        Some(HealthKey::Drift(..)) => hint(Action::AcceptPins, "accepts it as it is now"),
        Some(HealthKey::Rule(..)) => hint(Action::Open, "opens it in the editor"),
        _ => String::new(),
    };
    let title = match &app.health.selected {
        Some(HealthKey::Gateway(source)) => {
            app.feeds.gateway(*source).map_or_else(String::new, |it| format!("gateway {}", it.hello.name))
        }
        Some(HealthKey::Drift(server, tool)) => format!("{tool} of {server}"),
        Some(HealthKey::Rule(at, _)) => at.clone(),
        None => return,
    };
    let title = crate::visible::visible(&title).into_owned();
    paint.rule(area, true, &title, &note);
    let (width, height) = app.health.pane;
    let lines = detail(app, width);
    let text = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    pane::detail(&lines, app.health.detail_top, height, area, text, paint);
}
