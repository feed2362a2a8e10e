//! The menu of copies: everything goes through the terminal (OSC 52), so it works over SSH, too.

use super::facts::Facts;
use super::{ActingEffect, Then};
use crate::export::copy::{curl, json_rpc};
use crate::tui::app::field::Field;
use crate::tui::app::layer::{Layer, PickItem, Picker, Then as LayerThen};
use crate::tui::app::{App, Effect, Kind};

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The record's own line.
    Record,
    /// The JSON-RPC request.
    Request,
    /// A command against an HTTP gateway.
    Curl,
    /// The rule that decided.
    Rule,
    /// Where the record stands in the journal.
    Link,
    /// The arguments alone.
    Arguments,
}

/// Opens the menu.
pub(super) fn open(app: &mut App) {
    let Some(facts) = Facts::of(app, false) else { return };
    let mut items = Vec::new();
    let mut item = |name: &str, detail: &str, form: Form| {
        items.push(PickItem {
            name: name.to_owned(),
            detail: detail.to_owned(),
            after: false,
            then: LayerThen::Acting(Box::new(Then::Copy(form, Box::new(facts.clone())))),
        });
    };
    item("record", "one line of JSON, as the journal has it", Form::Record);
    if !facts.tool.is_empty() {
        let masked = if is_masked(&facts.args) { ", with masks in it" } else { "" };
        item("request", &format!("the JSON-RPC call{masked}"), Form::Request);
        item("curl", &format!("a command for a gateway over HTTP{masked}; no token is in it"), Form::Curl);
        item("arguments", "as JSON", Form::Arguments);
        if rule(app, &facts).is_some() {
            item("rule", "what decided, as JSON of the policy", Form::Rule);
        }
    }
    item("link", "the journal's file and line", Form::Link);
    app.layers.push(Layer::Picker(Picker {
        title: "Copy".to_owned(),
        field: Field::default(),
        items,
        selected: 0,
        other: None,
    }));
}

fn is_masked(args: &str) -> bool {
    args.contains("\"masked\":\"hmac-sha256:")
}

/// The part of the open policy that a row's pointer names.
fn rule(app: &App, facts: &Facts) -> Option<String> {
    let editor = app.policy.editor.as_ref()?;
    if facts.pointer.is_empty() || !app.policy.enforced_by.contains(&facts.server) {
        return None;
    }
    let span = editor.document()?.pointer_span(&facts.pointer)?;
    editor.text().get(span.start..span.end).map(str::to_owned)
}

/// Copies.
pub(super) fn copy(app: &mut App, form: Form, facts: &Facts, effects: &mut Vec<Effect>) {
    let (gateway, seq) = (facts.gateway.clone(), facts.seq);
    let (text, what) = match form {
        Form::Record => {
            let otherwise = facts.record.clone();
            effects.push(Effect::Acting(ActingEffect::CopyRecord { gateway, seq, otherwise }));
            return;
        }
        Form::Link => {
            effects.push(Effect::Acting(ActingEffect::CopyLink { gateway, seq }));
            return;
        }
        Form::Request => (Some(json_rpc(&facts.tool, &facts.args)), "the request"),
        Form::Curl => {
            (Some(curl(&facts.tool, &facts.args)), "a command that reads CALLGATE_URL and CALLGATE_TOKEN")
        }
        Form::Arguments => (Some(facts.args.clone()), "the arguments"),
        Form::Rule => (rule(app, facts), "the rule"),
    };
    match text {
        Some(text) => {
            effects.push(Effect::Copy(text));
            app.toast(Kind::Good, format!("copied {what} through the terminal"));
        }
        None => app.toast(Kind::Warn, "the policy has no such rule any more"),
    }
}
