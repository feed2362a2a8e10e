//! Which part gets a key, a click or an action.

use super::asks::{Asked, Proof};
use super::layer::{self, Ask, Help, Layer, Palette, Then};
use super::{App, Effect, Hit, Kind, Mouse, Screen};
use crate::feed::message::Ask as FeedAsk;
use crate::tui::action::{self, Action, When};
use crate::tui::key::Key;
use crate::tui::keymap::Found;

/// Takes a key.
pub(super) fn key(app: &mut App, key: Key, effects: &mut Vec<Effect>) {
    // Dialogs with text fields take keys as they are; those without go through the key table.
    let place = app.place();
    if place.is_empty() {
        app.pending.clear();
        return layer::key(app, key, effects);
    }
    let typed = app.layers.is_empty()
        && match app.screen {
            Screen::Policy => super::policy::typing_key(app, key, effects),
            Screen::Live => super::live::keys::typing_key(app, key, effects),
            Screen::Counters | Screen::Approvals | Screen::Health => false,
        };
    if typed {
        app.pending.clear();
        return;
    }
    app.pending.push(key);
    match app.keymap.find(&place, &app.pending) {
        Found::Action(action) => {
            app.pending.clear();
            act(app, action, effects);
        }
        Found::Pending(_) => {}
        Found::Nothing => {
            let sequence = std::mem::take(&mut app.pending);
            // A key after the wrong beginning may itself mean something.
            if sequence.len() > 1 {
                self::key(app, key, effects);
            }
        }
    }
}

/// Takes pasted text: only fields do.
pub(super) fn paste(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    if !app.layers.is_empty() {
        return layer::paste(app, text);
    }
    match app.screen {
        Screen::Policy => super::policy::paste(app, text, effects),
        Screen::Live => super::live::keys::paste(app, text),
        Screen::Counters | Screen::Approvals | Screen::Health => {}
    }
}

/// Takes the mouse.
pub(super) fn mouse(app: &mut App, mouse: Mouse, effects: &mut Vec<Effect>) {
    let (x, y) = match mouse {
        Mouse::Click { x, y } | Mouse::Wheel { x, y, .. } => (x, y),
    };
    let hits = std::sync::Arc::clone(&app.hits);
    let under = hits.iter().rev().filter(|(area, _)| area.contains((x, y).into())).map(|(_, hit)| hit);
    let modal = !app.layers.is_empty();
    match mouse {
        Mouse::Click { .. } => {
            let Some(hit) = under.into_iter().next() else { return };
            match hit {
                Hit::Item(item) if modal => layer::click(app, *item, effects),
                Hit::Action(action) if !modal || matches!(action, Action::Write | Action::Back) => {
                    act(app, *action, effects);
                }
                _ if modal => {}
                Hit::Tab(screen) => act(app, screen.action(), effects),
                hit => match app.screen {
                    Screen::Policy => super::policy::click(app, hit, effects),
                    Screen::Live => super::live::keys::click(app, hit),
                    Screen::Counters => super::counters::keys::click(app, hit),
                    Screen::Approvals => super::approvals::keys::click(app, hit),
                    Screen::Health => super::health::keys::click(app, hit),
                },
            }
        }
        Mouse::Wheel { steps, .. } => {
            if modal {
                return layer::wheel(app, steps, effects);
            }
            let mut under = under;
            if let Some(pane) = under.find(|hit| matches!(hit, Hit::List | Hit::Inspector)) {
                match app.screen {
                    Screen::Policy => super::policy::wheel(app, pane, steps),
                    Screen::Live => super::live::keys::wheel(app, pane, steps),
                    Screen::Counters => super::counters::keys::wheel(app, steps),
                    Screen::Approvals => super::approvals::keys::wheel(app, pane, steps),
                    Screen::Health => super::health::keys::wheel(app, pane, steps),
                }
            }
        }
    }
}

/// Does an action, or says why not.
pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    if let When::Not(why) = app.when(action) {
        if matches!(action, Action::Back | Action::Open) {
            return;
        }
        let title = action::entry(action).map_or("", |entry| entry.title);
        app.toast(Kind::Warn, format!("{title}: {why}"));
        return;
    }
    match app.layers.last() {
        Some(Layer::Review(_)) => return super::policy::review::act(app, action, effects),
        Some(Layer::Cases(_)) => return super::learn::cases::act(app, action),
        Some(Layer::Suggest(_)) => return super::learn::suggest::act(app, action),
        _ => {}
    }
    match action {
        Action::Help => {
            let place = app.place();
            app.layers.push(Layer::Help(Help { place, scroll: 0 }));
        }
        Action::FirstSteps => app.layers.push(Layer::Steps),
        Action::Palette => {
            let place = app.place();
            app.layers.push(Layer::Palette(Palette {
                field: super::field::Field::default(),
                selected: 0,
                place,
            }));
        }
        Action::ScreenPolicy => app.screen = Screen::Policy,
        Action::ScreenLive => app.screen = Screen::Live,
        Action::ScreenCounters => app.screen = Screen::Counters,
        Action::ScreenApprovals => app.screen = Screen::Approvals,
        Action::ScreenHealth => app.screen = Screen::Health,
        Action::NextScreen => turn(app, true),
        Action::PreviousScreen => turn(app, false),
        Action::Mouse => {
            app.mouse = !app.mouse;
            effects.push(Effect::Mouse(app.mouse));
            let text = if app.mouse { "the mouse works here again" } else { "the mouse selects text" };
            app.toast(Kind::Info, text);
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Explain => super::learn::console::open(app),
        Action::Suggest => super::learn::suggest::open(app, effects),
        Action::Tests => super::learn::cases::open(app),
        Action::Freeze => super::policy::form::open_freeze(app),
        Action::Unfreeze => ask_unfreeze(app),
        // The draft is one, wherever the person is.
        Action::Save | Action::Undo | Action::Redo => super::policy::act(app, action, effects),
        Action::Override => super::overrides::open(app),
        Action::EndOverride => super::overrides::ask_end(app),
        Action::Quit => super::policy::quit(app, effects),
        _ if super::acting::act(app, action, effects) => {}
        _ => match app.screen {
            Screen::Policy => super::policy::act(app, action, effects),
            Screen::Live => super::live::keys::act(app, action, effects),
            Screen::Counters => super::counters::keys::act(app, action),
            Screen::Approvals => super::approvals::keys::act(app, action),
            Screen::Health => super::health::keys::act(app, action, effects),
        },
    }
}

fn turn(app: &mut App, forward: bool) {
    let shown = Screen::SHOWN;
    let at = shown.iter().position(|screen| *screen == app.screen).unwrap_or(0);
    let step = if forward { 1 } else { shown.len() - 1 };
    if let Some(screen) = shown.get((at + step) % shown.len()) {
        app.screen = *screen;
    }
}

fn ask_unfreeze(app: &mut App) {
    let now = app.now.ts;
    let letters = "abcdefghijklmnopqrstuvwxyz".chars();
    let answers: Vec<(char, String, Then)> = letters
        .zip(app.feeds.freezes(now))
        .map(|(letter, freeze)| {
            let scope = super::feeds::scope_words(freeze);
            (letter, format!("{scope}: {}", freeze.reason), Then::Unfreeze(freeze.id.clone()))
        })
        .collect();
    let mut ask = Ask::new("Lift which freeze?", Vec::new(), Vec::new());
    ask.answers = answers;
    ask.danger = true;
    app.layers.push(Layer::Ask(ask));
}

/// Lifts a freeze, by its id.
pub(super) fn unfreeze(app: &mut App, id: &str, effects: &mut Vec<Effect>) {
    let found = app.feeds.freezes(app.now.ts).find(|freeze| freeze.id == id).cloned();
    let Some(freeze) = found else {
        app.toast(Kind::Info, "that freeze is over");
        return;
    };
    let ask = FeedAsk::Unfreeze {
        server: freeze.server.clone(),
        grant: freeze.grant.clone(),
        tool: freeze.tool.clone(),
        by: app.user.clone(),
        reason: String::new(),
    };
    let knows = |gateway: &super::feeds::Gateway| gateway.freezes.iter().any(|other| other.id == freeze.id);
    let sources: Vec<_> =
        app.feeds.operators().filter(|(_, gateway)| knows(gateway)).map(|(source, _)| source).collect();
    if sources.is_empty() {
        app.toast(Kind::Bad, "no gateway where you are operator has that freeze");
        return;
    }
    let proof = Proof::Freeze(freeze.id.clone(), false);
    let what = super::feeds::scope_words(&freeze);
    app.asks.push(Asked::new("unfreeze", "unfrozen", what, proof, &sources));
    effects.extend(sources.into_iter().map(|source| Effect::Ask(source, Box::new(ask.clone()))));
}
