//! What gateways say about approvals: the queue, and the events of their journals.

use super::queue::Told;
use crate::record::{Event, EventKind};
use crate::tui::app::{App, Effect, Kind, Screen};

/// How many approvals' ends are remembered from events.
const TOLD: usize = 2_000;

/// Takes over the queue of all attached gateways; says what came.
pub(crate) fn queue(app: &mut App, effects: &mut Vec<Effect>) {
    let reported = app
        .feeds
        .gateways()
        .filter(|(_, gateway)| gateway.alive)
        .map(|(source, gateway)| (source, gateway.approvals.clone()))
        .collect();
    let told = std::mem::take(&mut app.approvals_told);
    let news = app.approvals.take(reported, &told, app.now.ts);
    app.approvals_told = told;
    let Some(first) = news.came.first().and_then(|id| app.approvals.get(id)) else { return };
    let name = first.name();
    if app.approvals.bell {
        effects.push(Effect::Bell);
    }
    if app.screen == Screen::Approvals && app.layers.is_empty() {
        return;
    }
    let more = match news.came.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    app.toast(Kind::Warn, format!("{name}{more} waits for approval: 4 shows it"));
}

/// Takes in an event about an approval.
pub(crate) fn hear(app: &mut App, event: &Event) {
    if event.kind != EventKind::Approval {
        return;
    }
    let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
    let Some(id) = text("id") else { return };
    let word = match text("state").unwrap_or_default() {
        "approved" => "approved",
        "rejected" => "rejected",
        "expired" => "expired",
        "cancelled" => "cancelled",
        _ => return,
    };
    let told = Told {
        word,
        by: event.by.clone().unwrap_or_default(),
        note: event.reason.clone().unwrap_or_default(),
        at: event.ts,
    };
    app.approvals.hear(id, &told);
    if app.approvals_told.len() >= TOLD {
        app.approvals_told.clear();
    }
    app.approvals_told.insert(id.to_owned(), told);
}
