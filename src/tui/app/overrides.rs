//! Overrides: set from a row or a tool, shown, and ended before their time.

use super::asks::{Asked, Proof};
use super::feeds::Source;
use super::layer::{Ask, Layer, Then as LayerThen};
use super::live::detail::seconds;
use super::policy::form::{Form, FormField, Id, Makes};
use super::{App, Effect, Kind, Screen};
use crate::counters::{Override, OverrideEffect};
use crate::feed::message::Ask as FeedAsk;
use crate::time::Timestamp;
use crate::tui::action::When;

/// Which calls an override is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server's name.
    pub server: String,
    /// The grant's label, or any.
    pub grant: Option<String>,
    /// The tool's name.
    pub tool: String,
}

/// An override as a person wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which calls.
    pub target: Target,
    /// What it does.
    pub effect: OverrideEffect,
    /// How long.
    pub span: Span,
    /// Why.
    pub reason: String,
}

/// How long an override lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One call.
    Once,
    /// A quarter of an hour.
    Quarter,
    /// As long as the gateway runs.
    Restart,
}

const EFFECTS: [(OverrideEffect, &str); 3] = [
    (OverrideEffect::Allow, "allow"),
    (OverrideEffect::Deny, "deny"),
    (OverrideEffect::Approved, "skip approval"),
];
const SPANS: [(Span, &str); 3] =
    [(Span::Once, "once"), (Span::Quarter, "15 minutes"), (Span::Restart, "until restart")];

/// What an override does, in words.
pub fn effect_words(effect: OverrideEffect) -> &'static str {
    EFFECTS.iter().find(|(other, _)| *other == effect).map_or("", |(_, words)| words)
}

/// When an override ends, short enough for a column: `once`, `14 m`, `run` (until
/// the gateway restarts), `open` (until it is ended).
pub fn end_words(entry: &Override, now: Timestamp) -> String {
    if entry.run.is_some() {
        return "run".to_owned();
    }
    match (entry.uses, entry.until) {
        (Some(1), _) => "once".to_owned(),
        (Some(uses), _) => format!("{uses} calls"),
        (None, Some(until)) => match now.millis_until(until).div_ceil(1_000) {
            left @ 0..60 => format!("{left} s"),
            left @ 60..3_600 => format!("{} m", left.div_ceil(60)),
            left => format!("{} h", left.div_ceil(3_600)),
        },
        (None, None) => "open".to_owned(),
    }
}

/// What an override does to which calls: `allow push_branch of git for grant local`.
pub fn subject(entry: &Override) -> String {
    let show = crate::visible::visible;
    let grant = entry.grant.as_deref().map(|grant| format!(" for grant {}", show(grant)));
    let arguments = if entry.args_sha256.is_some() { " with the same arguments" } else { "" };
    let (effect, grant) = (effect_words(entry.effect), grant.unwrap_or_default());
    format!("{effect} {} of {}{grant}{arguments}", show(&entry.tool), show(&entry.server))
}

/// An override in a sentence: `allow push_branch of git for grant local, 14 m 02 s more`.
pub fn sentence(entry: &Override, now: Timestamp) -> String {
    let end = match (entry.uses, entry.until) {
        _ if entry.run.is_some() => "until the gateway restarts".to_owned(),
        (Some(1), _) => "once".to_owned(),
        (Some(uses), _) => format!("{uses} times"),
        (None, Some(until)) => format!("{} more", seconds(now.millis_until(until))),
        (None, None) => "until it is ended".to_owned(),
    };
    format!("{}, {end}", subject(entry))
}

impl App {
    pub(crate) fn can_override(&self) -> When {
        if let not @ When::Not(_) = self.can_freeze() {
            return not;
        }
        match self.screen {
            Screen::Live => {
                let row = self.live.live.selected_row();
                let names = &self.live.live.ring.names;
                let call = row.is_some_and(|row| row.verdict().is_some() && !names.text(row.tool).is_empty());
                if !call {
                    return When::Not("no call of a tool is selected".to_owned());
                }
            }
            _ => {
                if self.policy.table.selected_tool().is_none() {
                    return When::Not("no tool is selected".to_owned());
                }
            }
        }
        let served = self.override_targets().iter().any(|target| !self.takers(&target.server).is_empty());
        When::if_so(served, "no attached gateway where you are operator enforces this")
    }

    pub(crate) fn can_end_override(&self) -> When {
        match self.can_freeze() {
            When::Now => {
                When::if_so(self.feeds.overrides(self.now.ts).next().is_some(), "no override is in force")
            }
            not @ When::Not(_) => not,
        }
    }

    /// The gateways that an override of a server's calls is sent to.
    fn takers(&self, server: &str) -> Vec<Source> {
        self.feeds
            .operators()
            .filter(|(_, gateway)| gateway.hello.servers.iter().any(|it| it.name == server))
            .map(|(source, _)| source)
            .collect()
    }

    /// What an override could be for, from where the person is.
    fn override_targets(&self) -> Vec<Target> {
        if self.screen == Screen::Live {
            let Some(row) = self.live.live.selected_row() else { return Vec::new() };
            let text = |name| self.live.live.ring.names.text(name).to_owned();
            let (server, tool, grant) = (text(row.server), text(row.tool), text(row.grant));
            return vec![
                Target { server: server.clone(), grant: Some(grant), tool: tool.clone() },
                Target { server, grant: None, tool },
            ];
        }
        let Some(row) = self.policy.table.selected_tool() else { return Vec::new() };
        let servers = self.policy.enforced_by.iter();
        servers
            .map(|server| Target { server: server.clone(), grant: None, tool: row.name.to_string() })
            .collect()
    }
}

/// Opens the form of an override.
pub(super) fn open(app: &mut App) {
    let mut targets = app.override_targets();
    targets.retain(|target| !app.takers(&target.server).is_empty());
    let show = crate::visible::visible;
    let options = targets
        .iter()
        .map(|target| {
            let whose = target.grant.as_deref().map(|grant| format!("grant {}", show(grant)));
            let whose = whose.unwrap_or_else(|| "any grant".to_owned());
            format!("{} of {}, {whose}", show(&target.tool), show(&target.server))
        })
        .collect();
    // What a person who looks at this call most likely wants is the other decision.
    let effect = match app.live.live.selected_row().filter(|_| app.screen == Screen::Live) {
        Some(row) if row.verdict() == Some(crate::record::Verdict::Allow) => 1,
        Some(row) if row.verdict() == Some(crate::record::Verdict::Approve) => 2,
        _ => 0,
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut form = Form {
        makes: Makes::Override(targets),
        title: "Override the policy for a while".to_owned(),
        fields: vec![
            FormField::choice(Id::Scope, "what", options, 0),
            FormField::choice(Id::Effect, "do", words(&EFFECTS.map(|(_, words)| words)), effect),
            FormField::choice(Id::Span, "how long", words(&SPANS.map(|(_, words)| words)), 1),
            FormField::text(Id::Reason, "why", ""),
        ],
        focus: 3,
        insisted: false,
        problem: None,
    };
    check(&mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

/// Finds out what is wrong and what it means.
pub(super) fn check(form: &mut Form) {
    let chosen = |id| form.field(id).map_or(0, FormField::chosen);
    let effect = EFFECTS.get(chosen(Id::Effect)).map_or(OverrideEffect::Deny, |(effect, _)| *effect);
    let span = SPANS.get(chosen(Id::Span)).map_or(Span::Quarter, |(span, _)| *span);
    for field in &mut form.fields {
        match field.id {
            Id::Effect => {
                match effect {
                    OverrideEffect::Allow => "past every rule and limit; the call still counts",
                    OverrideEffect::Deny => "whatever the policy says",
                    OverrideEffect::Approved => "rules and limits hold; only nobody is asked",
                }
                .clone_into(&mut field.note);
            }
            Id::Span => {
                // A use is taken when a call is counted, and a denied one is not.
                let wrong = effect == OverrideEffect::Deny && span == Span::Once;
                field.error = wrong.then(|| "a deny lasts for a time, not for one call".to_owned());
                match span {
                    Span::Once => "the next call uses it up",
                    Span::Quarter => "it ends by itself; O ends it before",
                    Span::Restart => "it ends with the gateway's run; O ends it before",
                }
                .clone_into(&mut field.note);
            }
            Id::Reason => {
                let missing = field.value().trim().is_empty();
                field.error = missing.then(|| "say why: colleagues will read it".to_owned());
            }
            _ => {}
        }
    }
}

/// The override that a form describes.
pub(super) fn made(form: &Form, targets: &[Target]) -> Option<Wanted> {
    let chosen = |id| form.field(id).map_or(0, FormField::chosen);
    Some(Wanted {
        target: targets.get(chosen(Id::Scope))?.clone(),
        effect: EFFECTS.get(chosen(Id::Effect))?.0,
        span: SPANS.get(chosen(Id::Span))?.0,
        reason: form.value(Id::Reason).trim().to_owned(),
    })
}

/// Asks the gateways of the server for an override.
pub(super) fn set(app: &mut App, wanted: Wanted, effects: &mut Vec<Effect>) {
    let sources = app.takers(&wanted.target.server);
    if sources.is_empty() {
        return app
            .toast(Kind::Bad, "no attached gateway knows that server any more: nothing was overridden");
    }
    let at = app.now.ts;
    let entry = Override {
        id: app.fresh_id(),
        effect: wanted.effect,
        server: wanted.target.server,
        grant: wanted.target.grant,
        tool: wanted.target.tool,
        args_sha256: None,
        until: (wanted.span == Span::Quarter).then(|| at.plus_micros(15 * 60 * 1_000_000)),
        uses: (wanted.span == Span::Once).then_some(1),
        run: None,
        by: app.user.clone(),
        at,
        reason: wanted.reason,
    };
    let proof = Proof::Override(entry.id.clone(), true);
    app.asks.push(Asked::new("override", "overridden", sentence(&entry, at), proof, &sources));
    for source in sources {
        let mut entry = entry.clone();
        if wanted.span == Span::Restart {
            // Every run has its own: another's end must not end this one.
            entry.id = format!("{}.{source}", entry.id);
            entry.run = app.feeds.gateway(source).map(|gateway| gateway.hello.gateway.clone());
        }
        effects.push(Effect::Ask(source, Box::new(FeedAsk::Override { entry })));
    }
}

/// Asks which override is to end.
pub(super) fn ask_end(app: &mut App) {
    let now = app.now.ts;
    let answers: Vec<(char, String, LayerThen)> = ('a'..='z')
        .zip(app.feeds.overrides(now))
        .map(|(letter, entry)| {
            let words =
                format!("{}, {}, {}: {}", subject(entry), end_words(entry, now), entry.by, entry.reason);
            (letter, words, LayerThen::EndOverride(entry.id.clone()))
        })
        .collect();
    let mut ask = Ask::new("End which override?", Vec::new(), Vec::new());
    ask.answers = answers;
    ask.danger = true;
    app.layers.push(Layer::Ask(ask));
}

/// Ends an override, by its id.
pub(super) fn end(app: &mut App, id: &str, effects: &mut Vec<Effect>) {
    let now = app.now.ts;
    let Some(entry) = app.feeds.overrides(now).find(|entry| entry.id == id).cloned() else {
        return app.toast(Kind::Info, "that override is over");
    };
    let knows = |gateway: &super::feeds::Gateway| gateway.overrides.iter().any(|other| other.id == id);
    let sources: Vec<Source> =
        app.feeds.operators().filter(|(_, gateway)| knows(gateway)).map(|(source, _)| source).collect();
    if sources.is_empty() {
        return app.toast(Kind::Bad, "no gateway where you are operator has that override");
    }
    let proof = Proof::Override(id.to_owned(), false);
    app.asks.push(Asked::new("end_override", "ended", sentence(&entry, now), proof, &sources));
    let ask = FeedAsk::EndOverride { id: id.to_owned(), by: app.user.clone(), reason: String::new() };
    effects.extend(sources.into_iter().map(|source| Effect::Ask(source, Box::new(ask.clone()))));
}
