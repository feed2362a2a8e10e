//! What every screen has: the bar at the top, the banner, the keys at the bottom, the toasts.

use std::collections::VecDeque;

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
use crate::tui::theme::{Glyphs, Role};

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
    let status = status_parts(app, paint.glyphs());
    if Screen::SHOWN.len() > 1 {
        let room = end.saturating_sub(x + status_width(&status) + 2);
        let (tabs, gap) = tabs(app, room);
        for ((number, screen), title) in (1..).zip(Screen::SHOWN).zip(tabs) {
            let current = *screen == app.screen;
            let start = x;
            x = paint.text(x, y, end, Role::Key, &number.to_string());
            if !title.is_empty() {
                x = paint.text(x + 1, y, end, if current { Role::Strong } else { Role::Muted }, title);
            }
            if let Some(waiting) = waiting(app, *screen) {
                x = paint.text(x + 1, y, end, Role::Warn, &waiting);
            }
            let tab = Rect::new(start.saturating_sub(1), y, x.saturating_sub(start) + 2, 1);
            if current {
                paint.select(tab, true);
            }
            paint.hits.push((tab, Hit::Tab(*screen)));
            x += gap;
        }
    }
    let mut end = end.saturating_sub(1);
    for (role, text) in status.iter().rev() {
        end = paint.right(x, y, end, *role, text).saturating_sub(1);
    }
}

/// How many calls wait on the tab of approvals.
fn waiting(app: &App, screen: Screen) -> Option<String> {
    let waiting = app.approvals.waiting();
    (screen == Screen::Approvals && waiting > 0).then(|| waiting.to_string())
}

/// The words of the tabs and the columns between them: the most that leaves room for what stands at the
/// right. Where there is little, only the screen that is shown has its name.
fn tabs(app: &App, room: u16) -> (Vec<&'static str>, u16) {
    let whole: Vec<&str> = Screen::SHOWN.iter().map(|screen| screen.title()).collect();
    let but_current = |words: &dyn Fn(Screen) -> &'static str| -> Vec<&'static str> {
        let of = |screen: &Screen| if *screen == app.screen { screen.title() } else { words(*screen) };
        Screen::SHOWN.iter().map(of).collect()
    };
    let short = but_current(&Screen::short);
    // Whoever waits keeps a name beside the number.
    let numbers = but_current(&|screen| if waiting(app, screen).is_some() { screen.short() } else { "" });
    for (titles, gap) in [(&whole, 3), (&whole, 2), (&short, 2), (&numbers, 2)] {
        let width = |(screen, title): (&Screen, &&str)| {
            1 + title.width()
                + usize::from(!title.is_empty())
                + waiting(app, *screen).map_or(0, |it| it.len() + 1)
        };
        let all: usize = Screen::SHOWN.iter().zip(titles).map(width).sum();
        if all + usize::from(gap) * titles.len() <= usize::from(room) {
            return (titles.clone(), gap);
        }
    }
    (numbers, 1)
}

/// What stands at the right: the file and how it stands, and the gateways.
fn status_parts(app: &App, glyphs: &Glyphs) -> Vec<(Role, String)> {
    let (role, mark) = match &app.policy.editor {
        _ if app.policy.unreadable.is_some() => (Role::Bad, "unreadable"),
        None => (Role::Muted, "reading"),
        Some(editor) if !editor.is_valid() => (Role::Bad, "invalid"),
        Some(editor) if editor.is_unsaved() => (Role::Warn, "unsaved"),
        Some(editor) if editor.disk().is_none() => (Role::Muted, "new"),
        Some(_) => (Role::Muted, ""),
    };
    let mut parts = vec![(Role::Text, app.policy.file_name())];
    if !mark.is_empty() {
        let bullet = if role == Role::Muted { String::new() } else { format!("{} ", glyphs.bullet) };
        parts.push((role, format!("{bullet}{mark}")));
    }
    let gateways = match app.feeds.alive() {
        0 => (Role::Muted, "no gateway".to_owned()),
        1 => (Role::Good, format!("{} 1 gateway", glyphs.bullet)),
        many => (Role::Good, format!("{} {many} gateways", glyphs.bullet)),
    };
    parts.push((gateways.0, format!(" {}", gateways.1)));
    parts
}

fn status_width(parts: &[(Role, String)]) -> u16 {
    u16::try_from(parts.iter().map(|(_, text)| text.width() + 1).sum::<usize>()).unwrap_or(u16::MAX)
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
const MOST_TOAST: usize = 4;

/// The lines of the toasts, the newest below: its kind stands before the first line of each. They take
/// at most a third of the screen; older ones give way.
pub(super) fn toast_lines(app: &App) -> VecDeque<(Option<Kind>, String)> {
    let most = usize::from(app.size.1.saturating_sub(2) / 3).max(1);
    let mut out: VecDeque<(Option<Kind>, String)> = VecDeque::new();
    for toast in app.toasts.iter().rev() {
        // What gateways and colleagues said is read whole.
        let text = crate::visible::visible(&toast.text);
        let mut lines = wrap(&text, usize::from(app.size.0.saturating_sub(4)));
        lines.truncate(MOST_TOAST.min(most));
        if out.len() + lines.len() > most {
            break;
        }
        for (index, line) in lines.into_iter().enumerate().rev() {
            out.push_front(((index == 0).then_some(toast.kind), line));
        }
    }
    out
}

/// The toasts, above the footer.
pub(super) fn toasts(app: &App, area: Rect, paint: &mut Paint<'_>) {
    paint.clear(area);
    paint.tint(area, Role::Bar);
    for ((kind, line), y) in toast_lines(app).into_iter().zip(area.y..area.bottom()) {
        let (role, word) = match kind {
            Some(Kind::Good) => (Role::Good, paint.glyphs().allow),
            Some(Kind::Info) => (Role::Strong, paint.glyphs().dot),
            Some(Kind::Warn) => (Role::Warn, "!"),
            Some(Kind::Bad) => (Role::Bad, paint.glyphs().deny),
            None => (Role::Text, " "),
        };
        paint.text(1, y, area.right(), role, word);
        paint.text(3, y, area.right(), Role::Text, &line);
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
