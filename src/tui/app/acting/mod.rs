//! What a person does about a row of the Live screen: a rule from it, copies of it, what is
//! filtered into a file, and the way to the rule that decided.
//!
//! | part | is |
//! |---|---|
//! | [`facts`] | what is needed of a row, taken out of the rows |
//! | [`ladder`] | the dialog of the rules that would have decided it otherwise |
//! | [`copy`] | the menu of copies |
//! | [`export`] | the form of a file, and what came of it |

pub mod copy;
pub mod export;
pub mod facts;
pub mod ladder;

use std::path::PathBuf;

use super::layer::{Ask, Layer, Then as LayerThen};
use super::policy::Focus;
use super::{App, Effect, Kind, Screen};
use crate::policy::explain::Decision;
use crate::record::Record;
use crate::replay::cases;
use crate::tui::action::{Action, When};
use facts::Facts;

/// What this part remembers between messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acting {
    /// A policy is being opened for this row: then its rules are offered.
    waiting: Option<Box<Facts>>,
}

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum ActingEffect {
    /// Copy a record as it stands in the journal; where it is not here, this text instead.
    CopyRecord {
        /// The gateway run.
        gateway: String,
        /// The record's number in it.
        seq: u64,
        /// What is known of it here.
        otherwise: String,
    },
    /// Copy where a record stands: `PATH:LINE`, or `GATEWAY:SEQ` where its journal is not here.
    CopyLink {
        /// The gateway run.
        gateway: String,
        /// The record's number in it.
        seq: u64,
    },
    /// Write records to a file; answer how it ended.
    Export(Box<export::Export>),
    /// Put a test into the file beside a policy; answer how it ended.
    Pin {
        /// The policy.
        policy: PathBuf,
        /// The test.
        test: cases::Pinned,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActingMsg {
    /// This is to be copied, which is called so.
    Copied {
        /// The text.
        text: String,
        /// What it is.
        what: String,
    },
    /// A test was put into its file, or why not.
    Pinned {
        /// The file of tests.
        file: PathBuf,
        /// The test's name in it, or what is wrong.
        done: Result<String, String>,
    },
    /// An export ended.
    Exported(Box<export::Export>, export::Outcome),
}

/// What follows from an answer in a dialog of this part.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// Copy the row in some form.
    Copy(copy::Form, Box<Facts>),
    /// Put the rung into the draft.
    Climb(Box<crate::replay::ladder::Rung>),
    /// Write the file.
    Export(Box<export::Export>),
    /// Choose another name for the file.
    Rename(Box<export::Export>),
    /// Open this policy, and offer the rules of the row.
    Open(PathBuf, Box<Facts>),
    /// Offer the rules of the row in the policy that is open.
    Ladder(Box<Facts>),
}

impl App {
    /// The selected row when it is a call of a tool.
    fn call(&self) -> Option<Facts> {
        (self.screen == Screen::Live).then(|| Facts::of(self, false)).flatten()
    }

    fn selected_is_call(&self) -> bool {
        self.screen == Screen::Live
            && self.live.live.selected_row().is_some_and(|row| {
                row.verdict().is_some() && !self.live.live.ring.names.text(row.tool).is_empty()
            })
    }

    pub(crate) fn can_rule_row(&self) -> When {
        match self.can_edit() {
            When::Now => When::if_so(self.selected_is_call(), "no call of a tool is selected"),
            not @ When::Not(_) => not,
        }
    }

    pub(crate) fn can_pin_row(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        When::if_so(self.selected_is_call(), "no call of a tool is selected")
    }

    pub(crate) fn can_copy_row(&self) -> When {
        When::if_so(self.live.live.selected_row().is_some(), "no row is selected")
    }

    pub(crate) fn can_go_to_rule(&self) -> When {
        if self.policy.editor.is_none() {
            return When::Not("the policy is not read yet".to_owned());
        }
        When::if_so(self.selected_is_call(), "no call of a tool is selected")
    }
}

/// Does an action of this part; `false` when it is none.
pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::RowRule => {
            if let Some(facts) = Facts::of(app, true) {
                rule(app, facts, effects);
            }
        }
        Action::RowTest => pin(app, effects),
        Action::RowCopy => copy::open(app),
        Action::Export => export::open(app, None),
        Action::RowEditor => go_to_rule(app),
        _ => return false,
    }
    true
}

/// What follows from an answer.
pub(super) fn then(app: &mut App, then: Then, effects: &mut Vec<Effect>) {
    match then {
        Then::Copy(form, facts) => copy::copy(app, form, &facts, effects),
        Then::Climb(rung) => ladder::climb(app, &rung),
        Then::Export(export) => effects.push(Effect::Acting(ActingEffect::Export(export))),
        Then::Rename(export) => export::open(app, Some(&export)),
        Then::Open(path, facts) => {
            super::policy::open(app, path, effects);
            app.acting.waiting = Some(facts);
            resume(app, effects);
        }
        Then::Ladder(facts) => ladder::open(app, *facts, effects),
    }
}

/// Takes in what came of an effect.
pub(super) fn update(app: &mut App, msg: ActingMsg, effects: &mut Vec<Effect>) {
    match msg {
        ActingMsg::Copied { text, what } => {
            effects.push(Effect::Copy(text));
            app.toast(Kind::Good, format!("copied {what} through the terminal"));
        }
        ActingMsg::Pinned { file, done } => {
            let file = crate::visible::visible(&file.to_string_lossy()).into_owned();
            match done {
                Ok(name) => {
                    let name = crate::visible::visible(&name).into_owned();
                    app.toast(Kind::Good, format!("pinned as `{name}` in {file}"));
                }
                Err(why) => app.toast(Kind::Bad, format!("not pinned in {file}: {why}")),
            }
        }
        ActingMsg::Exported(export, outcome) => export::ended(app, *export, outcome),
    }
}

/// Goes on with a row once the policy that was opened for it is read.
pub(super) fn resume(app: &mut App, effects: &mut Vec<Effect>) {
    if app.acting.waiting.is_none() || app.policy.editor.is_none() {
        return;
    }
    if let Some(facts) = app.acting.waiting.take() {
        match app.can_edit() {
            When::Now => ladder::open(app, *facts, effects),
            When::Not(why) => app.toast(Kind::Warn, why),
        }
    }
}

/// The policies that attached gateways enforce for a row's server and grant.
fn enforced(app: &App, facts: &Facts) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = app
        .feeds
        .gateways()
        .flat_map(|(_, gateway)| &gateway.hello.servers)
        .filter(|server| server.name == facts.server)
        .flat_map(|server| &server.grants)
        .filter(|grant| grant.label == facts.grant)
        .filter_map(|grant| grant.policy.as_ref().map(PathBuf::from))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Offers the rules of a row, in the policy that decided it.
fn rule(app: &mut App, facts: Facts, effects: &mut Vec<Effect>) {
    if app.policy.enforced_by.contains(&facts.server) {
        return ladder::open(app, facts, effects);
    }
    let paths = enforced(app, &facts);
    let show = |path: &std::path::Path| crate::visible::visible(&path.to_string_lossy()).into_owned();
    let mut body = vec![match paths.as_slice() {
        [] => format!(
            "No attached gateway says which policy decided a call of {}.",
            crate::visible::visible(&facts.server)
        ),
        _ => format!("This call was not decided by {}, which is open.", show(&app.policy.path)),
    }];
    let mut answers: Vec<(char, String, LayerThen)> = Vec::new();
    if app.policy.is_unsaved() && !paths.is_empty() {
        body.push("Save or take back your edits first: then its own policy can be opened.".to_owned());
    } else {
        for (letter, path) in ('o'..='z').zip(paths) {
            let words = format!("open {}", show(&path));
            let then = Then::Open(path, Box::new(facts.clone()));
            answers.push((letter, words, LayerThen::Acting(Box::new(then))));
        }
    }
    let here = format!("make the rule in {}", app.policy.file_name());
    answers.push(('h', here, LayerThen::Acting(Box::new(Then::Ladder(Box::new(facts))))));
    answers.push(('c', "make no rule".to_owned(), LayerThen::Nothing));
    let mut ask = Ask::new("Another policy", body, Vec::new());
    ask.answers = answers;
    app.layers.push(Layer::Ask(ask));
}

/// Keeps the decision of a row as a test beside the policy that made it.
fn pin(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(facts) = app.call() else { return };
    let policy = if app.policy.enforced_by.contains(&facts.server) {
        app.policy.path.clone()
    } else if let Some(path) = enforced(app, &facts).into_iter().next() {
        path
    } else {
        return app.toast(Kind::Warn, "no attached gateway says which policy decided this call");
    };
    let test = match Record::parse(facts.record.as_bytes()) {
        Ok(Record::Decision(decision)) => cases::pin(&decision).map_err(|why| why.to_string()),
        _ => Err("the record cannot be read".to_owned()),
    };
    match test {
        Ok(test) => effects.push(Effect::Acting(ActingEffect::Pin { policy, test })),
        Err(why) => app.toast(Kind::Warn, format!("not pinned: {why}")),
    }
}

/// Shows what decided a row on the Policy screen.
fn go_to_rule(app: &mut App) {
    let Some(facts) = app.call() else { return };
    app.screen = Screen::Policy;
    app.policy.focus = Focus::Table;
    app.policy.touched = true;
    let found = app.policy.table.select(&facts.tool);
    app.policy_scroll();
    if !found {
        return app.toast(
            Kind::Warn,
            format!("{} is not among the tools shown here", crate::visible::visible(&facts.tool)),
        );
    }
    app.policy.focus = Focus::Inspector;
    let at = super::policy::show_pointer(app, &facts.pointer);
    let file = app.policy.file_name();
    if !app.policy.enforced_by.contains(&facts.server) {
        app.toast(Kind::Warn, format!("{file} is open; another policy decided the call"));
    } else if !at && facts.decided != Decision::Allow {
        let rule = crate::visible::visible(&facts.rule).into_owned();
        app.toast(Kind::Info, format!("{rule} is no rule of {file} as it is now"));
    }
}
