//! What keys, clicks, the wheel and gateways do on the Approvals screen.

use super::{Entry, Given};
use crate::feed::message::Ask as FeedAsk;
use crate::tui::action::{Action, When};
use crate::tui::app::asks::{Asked, Proof};
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::tui::app::live::detail::pretty;
use crate::tui::app::policy::form::{Form, FormField, Id, Makes};
use crate::tui::app::{App, Effect, Hit, Kind};

/// For how long an approval that lasts is good: the key, the seconds, and what was done then.
const SPANS: [(char, u64, &str, &str); 3] = [
    ('y', 15 * 60, "for 15 minutes", "approved for 15 minutes"),
    ('h', 60 * 60, "for an hour", "approved for an hour"),
    ('d', 8 * 60 * 60, "for 8 hours", "approved for 8 hours"),
];

/// A decision on an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decide {
    /// This call may run.
    Once,
    /// This call and equal ones for a while may run.
    For(u64),
    /// It may not, with a note to the agent.
    Reject(String),
}

impl App {
    /// Whether the selected approval can be decided from here.
    pub(crate) fn can_decide(&self) -> When {
        let Some(entry) = self.approvals.selected() else {
            return When::Not("nothing waits".to_owned());
        };
        match self.refuses(entry) {
            None => When::Now,
            Some(why) => When::Not(why),
        }
    }

    /// Why an approval cannot be decided from here.
    fn refuses(&self, entry: &Entry) -> Option<String> {
        if let Some(word) = entry.word() {
            let by = entry.given.as_ref().map(|given| given.by.as_str()).filter(|by| !by.is_empty());
            let by = by.map(|by| format!(" by {}", crate::visible::visible(by))).unwrap_or_default();
            return Some(match word {
                "expired" => "its time is over".to_owned(),
                "over" => "it is over".to_owned(),
                word => format!("it was {word}{by}"),
            });
        }
        if self.read_only {
            return Some("started with --read-only".to_owned());
        }
        if self.asks.decides(&entry.id) {
            return Some("the gateway has been asked".to_owned());
        }
        if entry.left(self.now.ts) == 0 {
            return Some("its time is over".to_owned());
        }
        if self.feeds.operators().any(|(source, _)| entry.sources.contains(&source)) {
            return None;
        }
        Some("this feed is for viewing: deciding takes an operator's token".to_owned())
    }
}

/// Does an action of this screen.
pub(crate) fn act(app: &mut App, action: Action) {
    let now = app.now.ts;
    let screen = &mut app.approvals;
    let page = isize::try_from(screen.pane.1.saturating_sub(1).max(1)).unwrap_or(1);
    let all = isize::try_from(screen.entries().len()).unwrap_or(isize::MAX);
    match action {
        Action::Up => screen.move_by(-1),
        Action::Down => screen.move_by(1),
        Action::First => screen.move_by(-all),
        Action::Last => screen.move_by(all),
        // The pages are the detail's: what is decided on is read first.
        Action::PageUp => screen.scroll_detail(-page, now),
        Action::PageDown => screen.scroll_detail(page, now),
        Action::Open => screen.whole = !screen.whole,
        Action::Back => screen.whole = false,
        Action::Bell => {
            screen.bell = !screen.bell;
            let text = if screen.bell { "the bell rings when a call waits" } else { "the bell is silent" };
            app.toast(Kind::Info, text);
        }
        Action::Desktop => {
            screen.desktop = !screen.desktop;
            let text = if screen.desktop {
                "the desktop is told when a call waits, where the terminal passes that on"
            } else {
                "the desktop is not told"
            };
            app.toast(Kind::Info, text);
        }
        Action::ApproveOnce => ask_approve(app, false),
        Action::ApproveFor => ask_approve(app, true),
        Action::Reject => open_reject(app),
        _ => {}
    }
}

fn ask_approve(app: &mut App, lasting: bool) {
    let Some(entry) = app.approvals.selected() else { return };
    let show = crate::visible::visible;
    let mut body = vec![format!("{}, for grant {}", entry.name(), show(&entry.grant))];
    if !entry.message.is_empty() {
        body.push(show(&entry.message).into_owned());
    }
    // What is decided on is read here: a question lies over the screen.
    match &entry.args {
        Some(args) => body.extend(pretty(args).iter().map(|text| show(text).into_owned())),
        None => body.push("Its arguments are not sent to this monitor.".to_owned()),
    }
    let then = |decide: Decide| LayerThen::Decide(entry.id.clone(), decide);
    let (title, mut answers) = if lasting {
        body.push("Calls with the same arguments run without asking until then.".to_owned());
        let answers = SPANS.iter().map(|(key, span, words, _)| (*key, *words, then(Decide::For(*span))));
        ("Approve for how long?", answers.collect())
    } else {
        body.push("The call runs at once: that cannot be taken back.".to_owned());
        ("Approve this call?", vec![('y', "yes, this once", then(Decide::Once))])
    };
    answers.push(('n', "not now", LayerThen::Nothing));
    let mut ask = Ask::new(title, body, answers);
    ask.danger = true;
    app.layers.push(Layer::Ask(ask));
}

fn open_reject(app: &mut App) {
    let Some(entry) = app.approvals.selected() else { return };
    let mut note = FormField::text(Id::Reason, "note", "");
    "The agent reads it. Empty: it is told only that a person said no.".clone_into(&mut note.note);
    let form = Form {
        makes: Makes::Reject(entry.id.clone()),
        title: format!("Reject {}", entry.name()),
        fields: vec![note],
        focus: 0,
        insisted: false,
        problem: None,
    };
    app.layers.push(Layer::Form(Box::new(form)));
}

/// Sends a decision to a gateway that reports the approval.
pub(crate) fn decide(app: &mut App, id: &str, decide: Decide, effects: &mut Vec<Effect>) {
    let Some(entry) = app.approvals.get(id).cloned() else {
        return app.toast(Kind::Warn, "that approval is over");
    };
    // It may have ended while the question was on the screen.
    if let Some(why) = app.refuses(&entry) {
        return app.toast(Kind::Warn, format!("{}: {why}", entry.name()));
    }
    // The gateways that report it share its store: asking one is asking all.
    let source =
        app.feeds.operators().map(|(source, _)| source).find(|source| entry.sources.contains(source));
    let Some(source) = source else { return };
    let (id, by) = (entry.id.clone(), app.user.clone());
    let span = i64::try_from(entry.timeout_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    let mut given = Given {
        approved: !matches!(decide, Decide::Reject(_)),
        by: by.clone(),
        at: app.now.ts,
        note: String::new(),
        until: app.now.ts.plus_micros(span),
        for_s: None,
    };
    match &decide {
        Decide::Once => {}
        Decide::For(span) => given.for_s = Some(*span),
        Decide::Reject(note) => given.note.clone_from(note),
    }
    let (of, done, ask) = match decide {
        Decide::Once => {
            ("approve", "approved", FeedAsk::Approve { id, by, note: String::new(), for_s: None })
        }
        Decide::For(span) => {
            let known = SPANS.iter().find(|(_, seconds, ..)| *seconds == span);
            let done = known.map_or("approved for a while", |(.., done)| *done);
            ("approve", done, FeedAsk::Approve { id, by, note: String::new(), for_s: Some(span) })
        }
        Decide::Reject(note) => ("reject", "rejected", FeedAsk::Reject { id, by, note }),
    };
    let proof = Proof::Approval(entry.id.clone(), given);
    app.asks.push(Asked::new(of, done, entry.name(), proof, &[source]));
    effects.push(Effect::Ask(source, Box::new(ask)));
}

/// Takes a click.
pub(crate) fn click(app: &mut App, hit: &Hit) {
    if let Hit::Row(at) = hit {
        app.approvals.select(*at);
    }
}

/// Takes the wheel.
pub(crate) fn wheel(app: &mut App, pane: &Hit, steps: i32) {
    let rows = isize::try_from(steps.clamp(-50, 50)).unwrap_or(0);
    match pane {
        Hit::Inspector => app.approvals.scroll_detail(rows, app.now.ts),
        _ => app.approvals.move_by(rows),
    }
}
