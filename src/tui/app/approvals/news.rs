//! What gateways say about approvals: the queue, and the events of their journals.

use crate::record::Event;
use crate::tui::app::{App, Effect, Kind, Screen};

/// Takes over the queue of all attached gateways; says what came.
pub(crate) fn queue(app: &mut App, effects: &mut Vec<Effect>) {
    let reported = app
        .feeds
        .gateways()
        .filter(|(_, gateway)| gateway.alive)
        .map(|(source, gateway)| (source, gateway.approvals.clone()))
        .collect();
    let news = app.approvals.take(reported, &app.live.live.ring.held, app.now.ts);
    let Some(first) = news.came.first().and_then(|id| app.approvals.get(id)) else { return };
    let name = first.name();
    if app.approvals.calls_people(app.now.ms) {
        if app.approvals.bell {
            effects.push(Effect::Bell);
        }
        if app.approvals.desktop {
            let more = match news.came.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            effects.push(Effect::Desktop(format!("callgate: {name}{more} for approval")));
        }
    }
    if app.screen == Screen::Approvals && app.layers.is_empty() {
        return;
    }
    let text = match news.came.len() - 1 {
        0 => format!("{name} waits for approval: 4 shows it"),
        more => format!("{name} and {more} more wait for approval: 4 shows them"),
    };
    app.toast(Kind::Warn, text);
}

/// Takes in an event: one about an approval tells how it ended.
pub(crate) fn hear(app: &mut App, event: &Event) {
    let held = &mut app.live.live.ring.held;
    if let Some(id) = held.hear(event)
        && let Some(told) = held.told(&id)
    {
        app.approvals.hear(&id, told);
    }
}
