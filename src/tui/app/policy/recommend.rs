//! The recommended rules: of one tool, of the marked ones, of all.

use std::collections::BTreeMap;

use super::table::ToolRow;
use super::{App, Kind, Then};
use crate::policy::edit::Edit;
use crate::risk::Profile;
use crate::risk::{Recommended, recommend};
use crate::tui::action::When;
use crate::tui::app::layer::{Ask, Layer, Then as LayerThen};
use crate::tui::theme::Role;

/// For which tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The marked tools, else the selected one.
    Chosen,
    /// Every tool that is shown.
    Shown,
}

/// What is recommended for a tool, for the inspector.
pub(super) fn words(app: &App, row: &ToolRow) -> Option<(Role, String)> {
    let advice = recommend(&row.name, row.risk.category, Profile::Balanced);
    let editor = app.policy.editor.as_ref()?;
    let policy = editor.document()?.policy();
    if advice.edits_in(policy, &row.name).is_none() {
        return Some((Role::Good, format!("{}: done", advice.summary())));
    }
    Some((Role::Text, format!("{} (R applies it)", advice.summary())))
}

impl App {
    pub(crate) fn can_recommend(&self) -> When {
        match self.can_edit() {
            When::Now => When::if_so(!self.policy.table.tools().is_empty(), "there are no tools"),
            not @ When::Not(_) => not,
        }
    }
}

/// Asks which profile, for which tools.
pub(super) fn open(app: &mut App) {
    let targets = app.targets();
    let shown = shown(app).len();
    let chosen = match targets.as_slice() {
        [] => None,
        [one] => Some(crate::visible::visible(one).into_owned()),
        many => Some(format!("the {} selected tools", many.len())),
    };
    let all = if shown == app.policy.table.tools().len() {
        format!("all {shown} tools")
    } else {
        format!("the {shown} tools shown")
    };
    let then = |reach, profile| LayerThen::Policy(Then::Recommend(reach, profile));
    let mut answers = Vec::new();
    let profiles = [
        ('s', 'S', Profile::Strict, "strict: destructive hidden, financial denied"),
        ('b', 'B', Profile::Balanced, "balanced: destructive hidden, financial by approval"),
        ('o', 'O', Profile::Open, "open: destructive and financial by approval"),
    ];
    if let Some(chosen) = &chosen {
        answers.extend(profiles.map(|(key, _, profile, words)| {
            (key, format!("{chosen}: {words}"), then(Reach::Chosen, profile))
        }));
    }
    answers.extend(
        profiles
            .map(|(_, key, profile, words)| (key, format!("{all}: {words}"), then(Reach::Shown, profile))),
    );
    let body =
        vec!["Reads are allowed, writes 30 a minute, executions 10 a minute, in every profile.".to_owned()];
    let mut ask = Ask::new("Apply the recommended rules", body, Vec::new());
    ask.selected = usize::from(chosen.is_some());
    ask.answers = answers;
    app.layers.push(Layer::Ask(ask));
}

fn shown(app: &App) -> Vec<String> {
    let table = &app.policy.table;
    let index = |item: &super::table::Item| match item {
        super::table::Item::Tool(index) => Some(*index),
        _ => None,
    };
    table.items().iter().filter_map(index).filter_map(|at| Some(table.row(at)?.name.to_string())).collect()
}

/// Applies them, as one edit.
pub(super) fn apply(app: &mut App, reach: Reach, profile: Profile) {
    let names = match reach {
        Reach::Chosen => app.targets(),
        Reach::Shown => shown(app),
    };
    let Some(document) = app.policy.editor.as_ref().and_then(|editor| editor.document()) else { return };
    let document = document.clone();
    let policy = document.policy();
    let known: std::collections::HashSet<&str> = policy
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .chain(policy.hide.names.iter().map(|(name, _)| name.as_str()))
        .collect();
    let mut states: BTreeMap<crate::policy::state::ToolState, Vec<String>> = BTreeMap::default();
    let mut edits = Vec::new();
    for name in &names {
        let Some(row) = app.policy.table.tool(name) else { continue };
        let advice = recommend(name, row.risk.category, profile);
        // Looking a policy through for each of 43,000 tools would be quadratic: what it does not
        // name needs no look.
        let edit = if known.contains(name.as_str()) {
            advice.edits_in(policy, name)
        } else {
            fresh(&advice, name, policy)
        };
        match edit {
            Some(Edit::SetState { tools, state }) => states.entry(state).or_default().extend(tools),
            Some(edit) => edits.push(edit),
            None => {}
        }
    }
    let mut all: Vec<Edit> =
        states.into_iter().map(|(state, tools)| Edit::SetState { tools, state }).collect();
    all.append(&mut edits);
    if all.is_empty() {
        app.toast(Kind::Info, "nothing to do: the recommended rules are there already");
        return;
    }
    let plural = if names.len() == 1 { "" } else { "s" };
    let label = format!("apply the recommended rules to {} tool{plural}", names.len());
    if app.edit(&Edit::Named(label, all)) {
        app.toast(
            Kind::Good,
            format!("recommended rules for {} tool{plural} (u takes them back)", names.len()),
        );
    }
}

fn fresh(advice: &Recommended, name: &str, policy: &crate::policy::model::Policy) -> Option<Edit> {
    match advice {
        Recommended::Allow if policy.default == crate::policy::model::Default::Allow => None,
        advice => Some(advice.edits(name)),
    }
}
