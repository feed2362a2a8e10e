//! The form of a limit: `l`, a number, Enter.

use super::{Form, FormField, Id, Input, Makes, check as check_form};
use crate::policy::counter::Amount;
use crate::policy::edit::{Edit, LimitDraft, Place};
use crate::policy::model::{self, Scope, Window};
use crate::policy::{duration, state};
use crate::replay::peak::{Bound, Peak};
use crate::risk::Category;
use crate::time::Timestamp;
use crate::tui::app::App;
use crate::tui::app::field::Field;
use crate::tui::app::impact::peak::Recorded;
use crate::tui::app::layer::Layer;
use crate::tui::app::policy::arguments;
use crate::tui::app::policy::edits::place;
use crate::tui::app::policy::seen::Seen;
use crate::tui::app::policy::table::Item;

/// Limits that are used often, by the digit that picks them.
const PRESETS: [(&str, &str, &str); 7] = [
    ("5/min", "5", "minute"),
    ("10/min", "10", "minute"),
    ("30/min", "30", "minute"),
    ("60/min", "60", "minute"),
    ("100/hour", "100", "hour"),
    ("500/hour", "500", "hour"),
    ("1000/day", "1000", "day"),
];

const SCOPES: [Scope; 3] = [Scope::Grant, Scope::Server, Scope::Session];

/// Opens it for the chosen tools, or for one of the limits that are there.
pub(in crate::tui::app::policy) fn open(app: &mut App, index: Option<usize>) {
    start(app, index, None);
}

/// Opens it for a new limit that begins like another one: for another window of the same counter.
pub(in crate::tui::app::policy) fn like(app: &mut App, limit: LimitDraft) {
    start(app, None, Some(limit));
}

fn start(app: &mut App, index: Option<usize>, like: Option<LimitDraft>) {
    let places: Vec<Place> = if index.is_some() || app.policy.table.item() == Some(Item::AllTools) {
        place(app).into_iter().collect()
    } else {
        app.targets().into_iter().map(Place::Tool).collect()
    };
    let Some(first) = places.first() else { return };
    let old = index.and_then(|index| limits(app, first).get(index)).map(LimitDraft::from).or(like);
    let tools: Vec<String> = places
        .iter()
        .filter_map(|place| if let Place::Tool(tool) = place { Some(tool.clone()) } else { None })
        .collect();
    app.policy.seen = std::sync::Arc::new(Seen::of(app, &tools));
    let preset = match app.policy.table.selected_tool().map(|row| row.risk.category) {
        Some(Category::Execute) => 1,
        Some(_) => 2,
        None => 3,
    };
    let (_, max, window) = PRESETS.get(preset).copied().unwrap_or(("", "30", "minute"));
    let draft = old.clone().unwrap_or_else(|| LimitDraft {
        counter: if places.len() > 1 { String::new() } else { own_counter(first) },
        window: parse_window(window).unwrap_or(Window::Minute),
        max: max.to_owned(),
        scope: Some(Scope::Grant),
        increment_from: None,
        on_deny: None,
    });
    let mut options: Vec<String> = PRESETS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    options.push("own".to_owned());
    let own = options.len() - 1;
    let scope = SCOPES.iter().position(|scope| Some(*scope) == draft.scope).unwrap_or(0);
    let show = crate::visible::visible;
    let what = match places.as_slice() {
        [Place::AllTools] => "all tools together".to_owned(),
        [Place::Tool(tool)] => show(tool).into_owned(),
        many => format!("{} tools", many.len()),
    };
    let mut fields = vec![
        FormField::choice(Id::Preset, "limit", options, if old.is_some() { own } else { preset }),
        FormField::text(Id::Max, "max", &draft.max),
        FormField::text(Id::Window, "each", &window_text(draft.window)),
        FormField::text(Id::Sustained, "and", ""),
        FormField::choice(Id::Share, "shared by", SCOPES.map(|it| it.name().to_owned()).to_vec(), scope),
    ];
    if index.is_some() {
        // One that is there is changed alone.
        fields.retain(|field| field.id != Id::Sustained);
    }
    let counts = counts(app, &places, draft.increment_from.as_deref());
    if counts.len() > 1 {
        let at = draft
            .increment_from
            .as_ref()
            .and_then(|path| counts.iter().position(|option| option == path))
            .unwrap_or(0);
        fields.push(FormField::choice(Id::Counts, "counts", counts, at));
    }
    fields.push(FormField::text(Id::Counter, "counter", &draft.counter));
    fields.push(FormField::text(Id::Message, "message", draft.on_deny.as_deref().unwrap_or("")));
    let advice = match (places.as_slice(), app.policy.table.selected_tool()) {
        ([Place::Tool(_)], Some(row)) if matches!(row.risk.category, Category::Write | Category::Execute) => {
            PRESETS.get(preset).map(|(name, _, _)| format!(": {name} is recommended"))
        }
        _ => None,
    };
    let advice = advice.unwrap_or_default();
    let title =
        if index.is_some() { format!("Change a limit of {what}") } else { format!("Limit {what}{advice}") };
    let focus = usize::from(old.is_some());
    let makes = Makes::Limit { places, index };
    let mut form = Form { makes, title, fields, focus, insisted: false, problem: None };
    check_form(app, &mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

pub(in crate::tui::app::policy) fn own_counter(place: &Place) -> String {
    match place {
        Place::AllTools => "all_calls".to_owned(),
        Place::Tool(tool) => format!("{tool}_rate"),
    }
}

fn limits<'a>(app: &'a App, place: &Place) -> &'a [model::Limit] {
    let Some(editor) = &app.policy.editor else { return &[] };
    match place {
        Place::AllTools => editor.document().map_or(&[], |document| &document.policy().all_tools_limits),
        Place::Tool(tool) => editor.tool(tool).map_or(&[], |entry| &entry.limits),
    }
}

/// What can be counted: calls, or a number of the tool's arguments.
fn counts(app: &App, places: &[Place], now: Option<&str>) -> Vec<String> {
    let mut options = vec!["calls".to_owned()];
    if let [Place::Tool(tool)] = places
        && let Some(row) = app.policy.table.tool(tool)
    {
        let numbers =
            arguments::of(&row.tool).into_iter().filter(|it| it.is_number() && !it.path.contains("[*]"));
        options.extend(numbers.map(|it| it.path));
    }
    if let Some(path) = now
        && !options.iter().any(|option| option == path)
    {
        options.push(path.to_owned());
    }
    options
}

/// The preset was chosen: it fills the fields in.
pub(super) fn preset(form: &mut Form) {
    let chosen = form.field(Id::Preset).map_or(0, FormField::chosen);
    let Some((_, max, window)) = PRESETS.get(chosen) else {
        if let Some(at) = form.fields.iter().position(|field| field.id == Id::Max) {
            form.focus = at;
        }
        return;
    };
    for (id, text) in [(Id::Max, *max), (Id::Window, *window)] {
        if let Some(FormField { input: Input::Text(field), .. }) = form.at(id) {
            *field = Field::with(text);
        }
    }
}

/// A number was typed: it is no preset any more.
pub(super) fn own(form: &mut Form) {
    if let Some(FormField { input: Input::Choice { at, .. }, .. }) = form.at(Id::Preset) {
        *at = PRESETS.len();
    }
}

fn window_text(window: Window) -> String {
    match window {
        Window::Minute => "minute".to_owned(),
        Window::Hour => "hour".to_owned(),
        Window::Day => "day".to_owned(),
        Window::Seconds(seconds) => duration::print(seconds),
    }
}

fn parse_window(text: &str) -> Option<Window> {
    match text.trim() {
        "minute" | "min" => Some(Window::Minute),
        "hour" => Some(Window::Hour),
        "day" => Some(Window::Day),
        text => {
            let seconds = text.parse().ok().or_else(|| duration::parse(text))?;
            (seconds > 0).then_some(Window::Seconds(seconds))
        }
    }
}

/// Finds out what is wrong and what it means.
pub(super) fn check(app: &App, form: &mut Form) {
    let Makes::Limit { places, index } = &form.makes else { return };
    let many = places.len() > 1;
    let amounts = form.value(Id::Counts).starts_with("args.");
    let max = form.value(Id::Max).trim().to_owned();
    let window = parse_window(form.value(Id::Window));
    let whole = !max.is_empty() && max.bytes().all(|byte| byte.is_ascii_digit());
    let zero = Amount::parse(&max) == Some(Amount::ZERO);
    let replaced = match (index, places.as_slice(), window) {
        (None, [place], Some(window)) => {
            let counter = counter(form, place);
            limits(app, place)
                .iter()
                .find(|it| it.counter == counter && it.window.seconds() == window.seconds())
                .map(|it| format!("replaces {}", state::limit_text(it)))
        }
        _ => None,
    };
    let default = if many { "each its own NAME_rate; one name is one budget for all" } else { "" };
    let scope = form.value(Id::Share).to_owned();
    let recorded = recorded(app, form);
    let sustained = sustained(form.value(Id::Sustained));
    let first = window.map_or(0, Window::seconds);
    for field in &mut form.fields {
        field.error = None;
        field.note = String::new();
        match field.id {
            Id::Max => {
                let fits = whole || (amounts && Amount::parse(&max).is_some_and(|it| it >= Amount::ZERO));
                if !fits {
                    let text =
                        if amounts { "write a number, for instance 99.50" } else { "write a whole number" };
                    field.error = Some(text.to_owned());
                } else if zero {
                    "0 denies every call: `d` says that better".clone_into(&mut field.note);
                } else {
                    field.note.clone_from(&recorded);
                }
            }
            Id::Sustained => match &sustained {
                Ok(None) => {
                    "a second limit for a longer window: 200/hour; empty: none".clone_into(&mut field.note);
                }
                Ok(Some((_, longer))) if longer.seconds() <= first => {
                    field.error = Some("its window has to be longer than the first".to_owned());
                }
                Ok(Some((_, _))) => {
                    "bursts up to the first, as a rule up to this one".clone_into(&mut field.note);
                }
                Err(why) => field.error = Some((*why).to_owned()),
            },
            Id::Window => match window {
                None => field.error = Some("minute, hour, day, or seconds: 90, 15m".to_owned()),
                Some(Window::Seconds(seconds)) => {
                    field.note = format!("{seconds} seconds; PolicyLayer knows only minute, hour and day");
                }
                Some(_) => {}
            },
            Id::Share => {
                let text = match scope.as_str() {
                    "grant" => "all sessions of one grant",
                    "server" => "all grants of the server; an extension",
                    _ => "one session; a new one begins at 0; an extension",
                };
                text.clone_into(&mut field.note);
            }
            Id::Counter => {
                let bad = field.value().trim().is_empty() && !many;
                field.error = bad.then(|| "a counter needs a name".to_owned());
                field.note = replaced.clone().unwrap_or_else(|| default.to_owned());
            }
            Id::Message => {
                "what the agent reads; empty: \"Limit NAME reached: ...\"".clone_into(&mut field.note);
            }
            _ => {}
        }
    }
}

/// A number and a window: `200/hour`.
fn sustained(text: &str) -> Result<Option<(String, Window)>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (max, window) = text.split_once(['/', ' ']).ok_or("write a number and a window: 200/hour")?;
    let max = max.trim();
    let whole = !max.is_empty() && max.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, parse_window(window)) {
        (true, Some(window)) => Ok(Some((max.to_owned(), window))),
        _ => Err("write a number and a window: 200/hour"),
    }
}

/// The limit that a form makes, as far as recorded calls can be held against it.
pub(in crate::tui::app) fn bound(form: &Form) -> Option<Bound> {
    let Makes::Limit { places, .. } = &form.makes else { return None };
    let own = form.value(Id::Counter).trim().is_empty();
    let tool = |place: &Place| if let Place::Tool(tool) = place { Some(tool.clone()) } else { None };
    Some(Bound {
        tools: places.iter().filter_map(tool).collect(),
        apart: own && places.len() > 1,
        window: parse_window(form.value(Id::Window))?.seconds(),
        scope: *SCOPES.get(form.field(Id::Share)?.chosen())?,
        from: Some(form.value(Id::Counts)).filter(|path| path.starts_with("args.")).map(str::to_owned),
        max: Amount::parse(form.value(Id::Max).trim()),
    })
}

/// How close the recorded calls would have come to the limit: those of the journals, else those of the
/// Live screen.
fn recorded(app: &App, form: &Form) -> String {
    let Some(bound) = bound(form) else { return String::new() };
    match app.recorded_peak(&bound) {
        Recorded::Reading(percent) => format!("reading the journals, {percent} %"),
        Recorded::Calls(peak) => peak_words(app, &peak),
        Recorded::Nothing => match app.policy.seen.peak(&bound) {
            Some(peak) => format!("live, {}", peak_words(app, &peak)),
            None => "no recorded call at hand to compare with".to_owned(),
        },
    }
}

/// `Nov 3 to Nov 30: 27 at most, denies 12 of 12345 calls`: the most in one window
fn peak_words(app: &App, peak: &Peak) -> String {
    let over = if peak.over == 0 { "none".to_owned() } else { peak.over.to_string() };
    let calls = peak.calls;
    let s = if calls == 1 { "" } else { "s" };
    format!("{}: {} at most, denies {over} of {calls} call{s}", span(app, peak), peak.most)
}

/// From when to when: times of this day, or days.
fn span(app: &App, peak: &Peak) -> String {
    let local =
        |at: Timestamp| jiff::Timestamp::from_microsecond(at.0).map(|at| at.to_zoned(app.live.tz.clone()));
    let (Ok(since), Ok(until), Ok(now)) = (local(peak.since), local(peak.until), local(app.now.ts)) else {
        return format!("{} to {}", peak.since, peak.until);
    };
    let year = if since.year() == now.year() { "" } else { " %Y" };
    let day = format!("%b %-d{year}");
    if since.date() != until.date() {
        return format!("{} to {}", since.strftime(&day), until.strftime(&day));
    }
    if since.date() != now.date() {
        return since.strftime(&day).to_string();
    }
    let (since, until) = (since.strftime("%H:%M").to_string(), until.strftime("%H:%M").to_string());
    if since == until { since } else { format!("{since} to {until}") }
}

fn counter(form: &Form, place: &Place) -> String {
    match form.value(Id::Counter).trim() {
        "" => own_counter(place),
        name => name.to_owned(),
    }
}

/// The edit that the form amounts to.
pub(super) fn edit(app: &App, form: &Form, places: &[Place], index: Option<usize>) -> Option<Edit> {
    let window = parse_window(form.value(Id::Window))?;
    let scope = *SCOPES.get(form.field(Id::Share)?.chosen())?;
    let counts = form.value(Id::Counts);
    let message = form.value(Id::Message).trim();
    let mut edits = Vec::with_capacity(places.len());
    for place in places {
        let limit = LimitDraft {
            counter: counter(form, place),
            window,
            max: form.value(Id::Max).trim().to_owned(),
            scope: Some(scope),
            increment_from: counts.starts_with("args.").then(|| counts.to_owned()),
            on_deny: (!message.is_empty()).then(|| message.to_owned()),
        };
        let second = sustained(form.value(Id::Sustained)).ok()?;
        let second = second.map(|(max, window)| LimitDraft { window, max, ..limit.clone() });
        for (limit, index) in std::iter::once((limit, index)).chain(second.map(|limit| (limit, None))) {
            let same = limits(app, place)
                .iter()
                .position(|it| it.counter == limit.counter && it.window.seconds() == limit.window.seconds());
            let place = place.clone();
            edits.push(match index.or(same) {
                Some(index) => Edit::SetLimit { place, index, limit },
                None => Edit::AddLimit { place, limit },
            });
        }
    }
    if edits.len() == 1 {
        return edits.pop();
    }
    let summary = |edit: &Edit| match edit {
        Edit::AddLimit { limit, .. } | Edit::SetLimit { limit, .. } => limit.summary(),
        _ => String::new(),
    };
    let each = edits.len() / places.len().max(1);
    let words: Vec<String> = edits.iter().take(each).map(summary).collect();
    let what = match places {
        [Place::AllTools] => "all tools together".to_owned(),
        [Place::Tool(tool)] => crate::visible::visible(tool).into_owned(),
        many => format!("{} tools", many.len()),
    };
    Some(Edit::Named(format!("limit {what} to {}", words.join(" and ")), edits))
}
