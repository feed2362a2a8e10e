//! The Health screen: the gateways and how they fare, and what of the policy needs a look.
//!
//! | part | is |
//! |---|---|
//! | [`seen`] | what was seen of one gateway |
//! | [`gateways`] | a gateway in words |
//! | [`policies`] | which policies are in force where, and which differ |
//! | [`drift`] | tools that are not as a person accepted them |
//! | [`rules`] | the open policy's rules: what needs a look, and what each decided |
//! | [`recorded`] | asking what recorded calls say of them |
//! | `keys` | what keys, clicks and the wheel do |

pub mod drift;
pub mod gateways;
pub(crate) mod keys;
pub mod policies;
pub mod recorded;
pub mod rules;
pub mod seen;

use std::sync::Arc;

use self::drift::Drifted;
use self::rules::Finding;
use super::App;
use super::feeds::Source;
use super::live::detail::{Line, wrap_all};

/// Tools that were never called and are named.
const NAMED: usize = 5;

/// What a row is about. Rows come and go: the selection holds on to this.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthKey {
    /// A gateway.
    Gateway(Source),
    /// A drifted tool: its server and its name.
    Drift(String, String),
    /// A finding about the policy: its pointer and its kind.
    Rule(String, String),
}

/// A line of the screen's list.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthRow {
    /// A heading with what is said beside it.
    Heading(&'static str, String),
    /// The heads of the gateways' columns.
    Columns,
    /// A gateway.
    Gateway(Source),
    /// A drifted tool.
    Drift(Box<Drifted>),
    /// The heads of the rules' columns, where it is known what they decided.
    RuleColumns,
    /// A rule of the policy, or a finding about it.
    Rule(Arc<Finding>),
    /// What is said where there is nothing to list.
    Note(String),
    /// Nothing.
    Gap,
}

impl HealthRow {
    /// What it is about, where it can be selected.
    pub fn key(&self) -> Option<HealthKey> {
        match self {
            Self::Gateway(source) => Some(HealthKey::Gateway(*source)),
            Self::Drift(one) => Some(HealthKey::Drift(one.server.clone(), one.tool.tool.clone())),
            Self::Rule(one) => Some(HealthKey::Rule(one.pointer.clone(), one.word.clone())),
            Self::Heading(..) | Self::Columns | Self::RuleColumns | Self::Note(_) | Self::Gap => None,
        }
    }
}

/// The Health screen's place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthScreen {
    /// The selected row.
    pub selected: Option<HealthKey>,
    /// The person chose a row; until then the first is selected.
    pub touched: bool,
    /// The first row in view.
    pub top: usize,
    /// How many rows fit.
    pub height: usize,
    /// The first line of the detail in view.
    pub detail_top: usize,
    /// The detail's columns of text and its lines.
    pub pane: (usize, usize),
    /// The detail has the whole screen.
    pub whole: bool,
    /// What was found in the open policy.
    pub found: rules::Found,
    /// What recorded calls say of its rules.
    pub recorded: recorded::Recorded,
}

/// The rows of the list.
pub fn rows(app: &App) -> Vec<HealthRow> {
    let mut out = vec![HealthRow::Heading("Gateways", gateways_note(app))];
    let mut gateways: Vec<_> = app.feeds.gateways().collect();
    let unreached: Vec<HealthRow> = app
        .feeds
        .unreached()
        .map(|(source, why)| {
            HealthRow::Note(format!(
                "! feed {source} cannot be reached, tried again: {}",
                crate::visible::visible(why)
            ))
        })
        .collect();
    if gateways.is_empty() && unreached.is_empty() {
        out.push(HealthRow::Note(
            "No gateway is running: start one with `callgate gateway`, or `callgate wrap` a client."
                .to_owned(),
        ));
    } else if !gateways.is_empty() {
        out.push(HealthRow::Columns);
    }
    let ended = |seen: &seen::Seen| seen.lost.as_ref().is_some_and(|loss| loss.ended);
    gateways.sort_by(|(a_source, a), (b_source, b)| {
        let gone = |gateway: &super::feeds::Gateway| !gateway.alive && ended(&gateway.seen);
        (gone(a), &a.hello.name, a_source).cmp(&(gone(b), &b.hello.name, b_source))
    });
    out.extend(gateways.into_iter().map(|(source, _)| HealthRow::Gateway(source)));
    out.extend(unreached);
    out.push(HealthRow::Gap);
    let drifted = drift::drifted(app);
    let note = match drifted.len() {
        0 => String::new(),
        1 => "1 is not as a person accepted it".to_owned(),
        many => format!("{many} are not as a person accepted them"),
    };
    out.push(HealthRow::Heading("Tools", note));
    if drifted.is_empty() {
        let text = if app.policy.pins.pins().is_none() {
            "Nothing is pinned: A on the Policy screen accepts tools as they are, and tells when one changes."
        } else {
            "Every pinned tool that was listed is as it was accepted."
        };
        out.push(HealthRow::Note(text.to_owned()));
    }
    out.extend(drifted.into_iter().map(|one| HealthRow::Drift(Box::new(one))));
    if app.feeds.others() > 0 {
        let text = "Calls of so many different tools came that only some are counted by tool: and";
        out.push(HealthRow::Note(format!("{text} {} of others.", app.feeds.others())));
    }
    out.push(HealthRow::Gap);
    rules_rows(app, &mut out);
    out
}

/// The rules of the open policy, or what is wrong with them.
fn rules_rows(app: &App, out: &mut Vec<HealthRow>) {
    let findings = rules::findings(app);
    let never = |one: &&Arc<rules::Finding>| one.ails && one.word == "never hit";
    let quiet = findings.iter().filter(never).count();
    let look = findings.iter().filter(|one| one.ails).count() - quiet;
    let told = rules::told(app);
    let note = match (look, quiet) {
        (0, 0) => String::new(),
        (look, 0) => format!("{look} to look at"),
        (0, quiet) => format!("{quiet} never hit"),
        (look, quiet) => format!("{look} to look at, {quiet} never hit"),
    };
    out.push(HealthRow::Heading(
        "Rules",
        format!("of {}  {note}", app.policy.file_name()).trim_end().to_owned(),
    ));
    if look + quiet == 0 {
        let valid = app.policy.editor.as_ref().is_some_and(super::policy::editor::Editor::is_valid);
        let text = if valid {
            "Every rule can hold, none is covered by another, and all name what the server has."
        } else {
            "The policy is not valid, or not there: the Policy screen says what is wrong with it."
        };
        out.push(HealthRow::Note(text.to_owned()));
    }
    out.extend(rules::span(app).map(HealthRow::Note));
    if told.is_some() && !findings.is_empty() {
        out.push(HealthRow::RuleColumns);
    }
    out.extend(findings.into_iter().map(HealthRow::Rule));
    let Some(told) = told else { return };
    if told.others > 0 {
        out.push(HealthRow::Note(format!("and {} others", told.others)));
    }
    let never = app.health.recorded.answer().map(|answer| answer.health.never_called.as_slice());
    if let Some(never) = never.filter(|never| !never.is_empty()) {
        let names: Vec<&str> = never.iter().take(NAMED).map(String::as_str).collect();
        let others = never.len() - names.len();
        let more = if others > 0 { format!(" and {others} others") } else { String::new() };
        let names = crate::visible::visible(&names.join(", ")).into_owned();
        out.push(HealthRow::Note(format!("Never called: {names}{more}")));
    }
}

fn gateways_note(app: &App) -> String {
    let alive = app.feeds.alive();
    let lost = app
        .feeds
        .gateways()
        .filter(|(_, gateway)| !gateway.alive && gateway.seen.lost.as_ref().is_some_and(|loss| !loss.ended))
        .count();
    if lost > 0 { format!("{alive} connected, {lost} lost") } else { format!("{alive} connected") }
}

/// The lines of the selected row's detail, wrapped to `width` columns of text.
pub fn detail(app: &App, width: usize) -> Vec<Line> {
    let lines = match &app.health.selected {
        Some(HealthKey::Gateway(source)) => {
            app.feeds.gateway(*source).map(|gateway| gateways::lines(app, gateway))
        }
        Some(HealthKey::Drift(server, tool)) => drift::drifted(app)
            .iter()
            .find(|one| one.server == *server && one.tool.tool == *tool)
            .map(|one| drift::lines(app, one)),
        Some(HealthKey::Rule(at, word)) => rules::findings(app)
            .iter()
            .find(|one| one.pointer == *at && one.word == *word)
            .map(|one| rules::lines(one, app.now.ts)),
        None => None,
    };
    wrap_all(lines.unwrap_or_default(), width)
}

impl HealthScreen {
    /// The selected row's index; while nothing that is there is selected, the first that can be. A rule
    /// stays itself when something else is found of it.
    pub fn index(&self, rows: &[HealthRow]) -> Option<usize> {
        let at = |key: &HealthKey| rows.iter().position(|row| row.key().as_ref() == Some(key));
        let same = |key: &HealthKey| {
            let HealthKey::Rule(pointer, _) = key else { return None };
            rows.iter().position(|row| matches!(row, HealthRow::Rule(one) if one.pointer == *pointer))
        };
        let selected = self.selected.as_ref().filter(|_| self.touched);
        selected
            .and_then(|key| at(key).or_else(|| same(key)))
            .or_else(|| rows.iter().position(|row| row.key().is_some()))
    }

    /// Keeps a row that is there selected and in view.
    pub fn settle(&mut self, rows: &[HealthRow]) {
        let at = self.index(rows);
        let key = at.and_then(|at| rows.get(at)).and_then(HealthRow::key);
        // While the rules are looked through anew, the selected one is only away for a moment.
        let rule = matches!(self.selected, Some(HealthKey::Rule(..)));
        let other = !matches!(key, Some(HealthKey::Rule(..)));
        let reading = matches!(self.recorded.state, recorded::State::Reading(_));
        let away = self.touched && rule && other && reading;
        if away {
            return;
        }
        if key != self.selected {
            self.selected = key;
            self.detail_top = 0;
        }
        let height = self.height.max(1);
        if let Some(at) = at {
            // The heading above the first row comes into view with it.
            let first = if rows.iter().take(at).all(|row| row.key().is_none()) { 0 } else { at };
            if first < self.top {
                self.top = first;
            } else if at >= self.top + height {
                self.top = at + 1 - height;
            }
        }
        self.top = self.top.min(rows.len().saturating_sub(height));
    }

    /// Moves the selection by so many rows that can be selected.
    pub fn move_by(&mut self, rows: &[HealthRow], by: isize) {
        let keys: Vec<_> = rows.iter().filter_map(HealthRow::key).collect();
        let at = self.selected.as_ref().and_then(|key| keys.iter().position(|other| other == key));
        let at = at.unwrap_or(0).saturating_add_signed(by).min(keys.len().saturating_sub(1));
        if let Some(key) = keys.into_iter().nth(at)
            && self.selected.as_ref() != Some(&key)
        {
            self.selected = Some(key);
            self.detail_top = 0;
        }
        self.touched = true;
        self.settle(rows);
    }
}
