//! What every screen has: the bar at the top, the banner, the keys at the bottom, the toasts.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::paint::Paint;
use crate::tui::action::{self, Action, Entry, When};
use crate::tui::app::feeds::scope_words;
use crate::tui::app::overrides;
use crate::tui::app::policy::Loading;
use crate::tui::app::policy::inspect::wrap;
use crate::tui::app::toast::Kind;
use crate::tui::app::{App, Hit, Screen};
use crate::tui::key;
use crate::tui::theme::Role;

/// Whether a line below the header is needed: a freeze, or a file that changed.
pub(crate) fn has_banner(app: &App) -> bool {
    banner_text(app).is_some()
}

fn banner_text(app: &App) -> Option<(Role, String)> {
    let mut freezes = app.feeds.freezes(app.now.ts);
    let Some(freeze) = freezes.next() else {
        if app.policy.theirs.is_none() {
            return overridden(app);
        }
        let word = if app.policy.theirs.as_ref()?.is_some() { "changed" } else { "deleted" };
        let name = app.policy.file_name();
        return Some((
            Role::Warn,
            format!("{name} was {word} by another program: Ctrl-s decides what to keep"),
        ));
    };
    let more = freezes.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    let show = crate::visible::visible;
    let at = freeze.at.to_string();
    let time = at.get(11..16).unwrap_or_default();
    Some((
        Role::Banner,
        format!(
            "FROZEN: {}{more} by {} at {time} UTC: {}",
            scope_words(freeze),
            show(&freeze.by),
            show(&freeze.reason)
        ),
    ))
}

/// What is overridden, and until when.
fn overridden(app: &App) -> Option<(Role, String)> {
    let now = app.now.ts;
    let mut overrides = app.feeds.overrides(now);
    let entry = overrides.next()?;
    let more = match overrides.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let show = crate::visible::visible;
    let (words, end) = (overrides::subject(entry), overrides::end_words(entry, now));
    let why = format!("{}: {}", show(&entry.by), show(&entry.reason));
    Some((Role::Warn, format!("OVERRIDE ({end}): {words}{more}, by {why}")))
}

/// The bar at the top.
pub(super) fn header(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.tint(area, Role::Bar);
    let (y, end) = (area.y, area.right());
    let name = app.title.as_deref().unwrap_or("callgate");
    let mut x = paint.text(1, y, end, Role::Accent, name);
    x += 2;
    if Screen::SHOWN.len() > 1 {
        // Narrow bars stand closer: what is at their right is read too.
        let gap = if area.width < 100 { 2 } else { 3 };
        for (number, screen) in (1..).zip(Screen::SHOWN) {
            let current = *screen == app.screen;
            let start = x;
            x = paint.text(x, y, end, Role::Key, &number.to_string());
            x = paint.text(x + 1, y, end, if current { Role::Strong } else { Role::Muted }, screen.title());
            let waiting = app.approvals.waiting();
            if *screen == Screen::Approvals && waiting > 0 {
                x = paint.text(x + 1, y, end, Role::Warn, &waiting.to_string());
            }
            let tab = Rect::new(start.saturating_sub(1), y, x.saturating_sub(start) + 2, 1);
            if current {
                paint.select(tab, true);
            }
            paint.hits.push((tab, Hit::Tab(*screen)));
            x += gap;
        }
    }
    status(app, x, area, paint);
}

fn status(app: &App, x: u16, area: Rect, paint: &mut Paint<'_>) {
    let (y, mut end) = (area.y, area.right().saturating_sub(1));
    let glyphs = *paint.glyphs();
    let alive = app.feeds.alive();
    let (role, text) = match alive {
        0 => (Role::Muted, "no gateway".to_owned()),
        1 => (Role::Good, format!("{} 1 gateway", glyphs.bullet)),
        many => (Role::Good, format!("{} {many} gateways", glyphs.bullet)),
    };
    // A narrow bar keeps what a person acts on: the file and whether it is saved.
    if end.saturating_sub(x) > 44 {
        end = paint.right(x, y, end, role, &text).saturating_sub(2);
    }
    let file = app.policy.file_name();
    let (role, mark) = match &app.policy.editor {
        _ if app.policy.unreadable.is_some() => (Role::Bad, "unreadable"),
        None => (Role::Muted, "reading"),
        Some(editor) if !editor.is_valid() => (Role::Bad, "invalid"),
        Some(editor) if editor.is_unsaved() => (Role::Warn, "unsaved"),
        Some(editor) if editor.disk().is_none() => (Role::Muted, "new"),
        Some(_) => (Role::Muted, ""),
    };
    if !mark.is_empty() {
        end = paint.right(x, y, end, role, mark).saturating_sub(1);
        if role != Role::Muted {
            end = paint.right(x, y, end, role, glyphs.bullet).saturating_sub(1);
        }
    }
    paint.right(x, y, end, Role::Text, &file);
}

/// A freeze's banner.
pub(super) fn banner(app: &App, area: Rect, paint: &mut Paint<'_>) {
    if area.height == 0 {
        return;
    }
    if let Some((role, text)) = banner_text(app) {
        paint.tint(area, role);
        paint.text(1, area.y, area.right(), role, &text);
    }
}

/// The keys of this place, the most useful first.
pub(super) fn footer(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let (y, end) = (area.y, area.right());
    if !app.pending.is_empty() {
        let keys = key::Keys(app.pending.clone());
        paint.text(1, y, end, Role::Key, &format!("{keys} ..."));
        return;
    }
    if let Some(layer) = app.layers.last()
        && layer.place().is_empty()
    {
        let mut x = 1;
        for (key, does) in layer.hints() {
            x = paint.text(x, y, end, Role::Key, key);
            x = paint.text(x + 1, y, end, Role::Muted, does) + 2;
        }
        return;
    }
    let place = app.place();
    let mut entries: Vec<&Entry> = action::table()
        .filter(|entry| entry.footer > 0 && entry.contexts.iter().any(|context| place.contains(context)))
        .filter(|entry| matches!((entry.when)(app), When::Now))
        .collect();
    entries.sort_by_key(|entry| entry.footer);
    // Help always fits: it is where everything else is found.
    let fixed = [Action::Help, Action::Quit];
    let unicode = paint.glyphs().unicode;
    let shown = |entry: &Entry| {
        let keys = app.keymap.keys(entry.action).first().map(|keys| key::label(keys, unicode));
        (keys.unwrap_or_default(), entry.title)
    };
    let width = |entry: &Entry| {
        let (keys, title) = shown(entry);
        keys.width() + 1 + title.width() + 2
    };
    let mut room = usize::from(area.width);
    room = room.saturating_sub(
        entries.iter().filter(|entry| fixed.contains(&entry.action)).map(|entry| width(entry)).sum::<usize>(),
    );
    let mut x = 1;
    for entry in entries {
        if !fixed.contains(&entry.action) {
            let Some(rest) = room.checked_sub(width(entry)) else { continue };
            room = rest;
        }
        let (keys, title) = shown(entry);
        let start = x;
        x = paint.text(x, y, end, Role::Key, &keys);
        x = paint.text(x + 1, y, end, Role::Muted, title);
        paint.hits.push((Rect::new(start, y, x.saturating_sub(start), 1), Hit::Action(entry.action)));
        x += 2;
    }
}

/// The lines of a toast at most.
const MOST_TOAST: u16 = 4;

/// The toasts, above the footer at the right.
pub(super) fn toasts(app: &App, footer: Rect, paint: &mut Paint<'_>) {
    let mut y = footer.y;
    for toast in app.toasts.iter().rev() {
        let (role, word) = match toast.kind {
            Kind::Good => (Role::Good, paint.glyphs().allow),
            Kind::Info => (Role::Strong, paint.glyphs().dot),
            Kind::Warn => (Role::Warn, "!"),
            Kind::Bad => (Role::Bad, paint.glyphs().deny),
        };
        // What gateways and colleagues said is read whole.
        let text = crate::visible::visible(&toast.text);
        let lines = wrap(&text, usize::from(footer.width.saturating_sub(6)).min(90));
        let longest = lines.iter().map(|line| line.width()).max().unwrap_or(0);
        let width = u16::try_from(longest + 4).unwrap_or(u16::MAX).min(footer.width.saturating_sub(2));
        let height = u16::try_from(lines.len()).unwrap_or(1).clamp(1, MOST_TOAST);
        y = y.saturating_sub(height);
        if y == 0 {
            break;
        }
        let area = Rect::new(footer.right() - width, y, width, height);
        paint.clear(area);
        paint.tint(area, Role::Bar);
        paint.text(area.x + 1, y, area.right(), role, word);
        for (line, y) in lines.iter().zip(area.y..area.bottom()) {
            paint.text(area.x + 3, y, area.right().saturating_sub(1), Role::Text, line);
        }
    }
}

/// What the table is waiting for, or why it is empty.
pub(super) fn loading_words(app: &App) -> Option<(Role, String)> {
    match &app.policy.loading {
        Loading::Running(what) => {
            let spinner = app.theme.glyphs.spinner;
            let stage = usize::try_from(app.now.ms / 100).unwrap_or(0) % spinner.len().max(1);
            let sign = spinner.get(stage).copied().unwrap_or("");
            Some((Role::Warn, format!("{sign} {what}")))
        }
        Loading::Failed(why) => Some((Role::Bad, why.clone())),
        Loading::NoSource | Loading::Done => None,
    }
}
