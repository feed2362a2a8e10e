//! Rules and limits copied, cut, put into other tools, and doubled.

use super::edits::{place, rule, rules};
use super::inspect::{self, Target};
use super::{App, Effect, Focus, Kind, form};
use crate::policy::edit::{Edit, LimitDraft, Place, RuleDraft};
use crate::policy::model::{Limit, RuleList};
use crate::policy::path::Path;
use crate::policy::schema::{Known, ToolShape};
use crate::tui::action::When;
use crate::visible::visible;

/// What was copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Clip {
    /// A rule.
    Rule(RuleList, RuleDraft),
    /// A limit, and where it stood.
    Limit(LimitDraft, Place),
    /// Every rule and limit of a tool.
    Entry(Vec<(RuleList, RuleDraft)>, Vec<LimitDraft>, String),
}

impl Clip {
    fn words(&self) -> String {
        match self {
            Self::Rule(list, _) => format!("a {} rule", list.key()),
            Self::Limit(limit, _) => format!("the limit {}", limit.summary()),
            Self::Entry(rules, limits, tool) => {
                format!("the {} rules and limits of {}", rules.len() + limits.len(), visible(tool))
            }
        }
    }
}

impl App {
    pub(crate) fn can_copy(&self) -> When {
        let part =
            self.policy.focus == Focus::Inspector && matches!(inspect::target(self), Some(Target::Limit(_)));
        When::if_so(part || self.policy.table.selected_tool().is_some(), "no tool is selected")
    }

    pub(crate) fn can_cut(&self) -> When {
        let fits = matches!(inspect::target(self), Some(Target::Rule(..) | Target::Limit(_)));
        self.if_editable(fits, "go to a rule or a limit")
    }

    pub(crate) fn can_paste(&self) -> When {
        let Some(clip) = &self.policy.clip else {
            return When::Not("nothing is copied: `y` copies a rule, a limit, or a whole entry".to_owned());
        };
        let all_tools = matches!(clip, Clip::Limit(..)) && place(self) == Some(Place::AllTools);
        self.if_editable(all_tools || !self.targets().is_empty(), "choose the tool to put it into")
    }
}

/// The JSON of the inspector's rule or limit, else of the selected tool's entry.
fn json(app: &App) -> Option<String> {
    let editor = app.policy.editor.as_ref()?;
    let span = match (part(app), place(app)?) {
        (Some(Target::Rule(list, index)), Place::Tool(tool)) => rule(editor, &tool, list, index)?.span,
        (Some(Target::Limit(index)), place) => limits(app, &place).get(index)?.span,
        (_, Place::Tool(tool)) => {
            let entry = editor.tool(&tool)?;
            return editor.text().get(entry.name_span.start..entry.span.end).map(str::to_owned);
        }
        (_, Place::AllTools) => return None,
    };
    Some(span.of(editor.text()).to_owned())
}

/// The rule or limit that the inspector's cursor stands on.
fn part(app: &App) -> Option<Target> {
    let target = inspect::target(app).filter(|_| app.policy.focus == Focus::Inspector)?;
    match target {
        Target::Condition(list, index, _) => Some(Target::Rule(list, index)),
        Target::Rule(..) | Target::Limit(_) => Some(target),
        _ => None,
    }
}

fn limits<'a>(app: &'a App, place: &Place) -> &'a [Limit] {
    let Some(editor) = &app.policy.editor else { return &[] };
    match place {
        Place::AllTools => editor.document().map_or(&[], |document| &document.policy().all_tools_limits),
        Place::Tool(tool) => editor.tool(tool).map_or(&[], |entry| &entry.limits),
    }
}

fn taken(app: &App) -> Option<Clip> {
    let editor = app.policy.editor.as_ref()?;
    match (part(app), place(app)?) {
        (Some(Target::Rule(list, index)), Place::Tool(tool)) => {
            Some(Clip::Rule(list, RuleDraft::from(rule(editor, &tool, list, index)?)))
        }
        (Some(Target::Limit(index)), place) => {
            Some(Clip::Limit(LimitDraft::from(limits(app, &place).get(index)?), place))
        }
        (_, Place::Tool(tool)) => {
            let entry = editor.tool(&tool)?;
            let lists = [RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf];
            let all = lists.into_iter().flat_map(|list| rules(entry, list).iter().map(move |it| (list, it)));
            let rules = all.map(|(list, it)| (list, RuleDraft::from(it))).collect();
            Some(Clip::Entry(rules, entry.limits.iter().map(LimitDraft::from).collect(), tool))
        }
        (_, Place::AllTools) => None,
    }
}

/// Copies, here and to the person's clipboard.
pub(super) fn copy(app: &mut App, effects: &mut Vec<Effect>) {
    let text = json(app).or_else(|| {
        let row = app.policy.table.selected_tool()?;
        Some(format!("{}: {{}}", serde_json::Value::from(&*row.name)))
    });
    if let Some(text) = text {
        effects.push(Effect::Copy(text));
    }
    match taken(app) {
        Some(Clip::Entry(rules, limits, _)) if rules.is_empty() && limits.is_empty() => {
            app.toast(Kind::Good, "copied the entry through the terminal; it has no rules to put elsewhere");
        }
        Some(clip) => {
            app.toast(Kind::Good, format!("copied {}: `P` puts it into another tool", clip.words()));
            app.policy.clip = Some(clip);
        }
        None => app.toast(Kind::Good, "copied the entry through the terminal"),
    }
}

/// Copies the inspector's rule or limit and takes it away.
pub(super) fn cut(app: &mut App, effects: &mut Vec<Effect>) {
    copy(app, effects);
    super::edits::remove_part(app);
}

/// Puts what was copied into the chosen tools, as one edit.
pub(super) fn paste(app: &mut App) {
    let Some(clip) = app.policy.clip.clone() else { return };
    let targets: Vec<Place> = match (&clip, place(app)) {
        (Clip::Limit(..), Some(Place::AllTools)) => vec![Place::AllTools],
        _ => app.targets().into_iter().map(Place::Tool).collect(),
    };
    let (rules, found, from) = match &clip {
        Clip::Rule(list, rule) => (vec![(*list, rule.clone())], Vec::new(), None),
        Clip::Limit(limit, from) => (Vec::new(), vec![limit.clone()], Some(from.clone())),
        Clip::Entry(rules, limits, tool) => (rules.clone(), limits.clone(), Some(Place::Tool(tool.clone()))),
    };
    let mut edits = Vec::new();
    let mut unknown = Vec::new();
    for target in &targets {
        if let Place::Tool(tool) = target {
            for (list, rule) in &rules {
                unknown.extend(unknown_arguments(app, tool, rule));
                edits.push(Edit::AddRule { tool: tool.clone(), list: *list, rule: rule.clone() });
            }
        }
        for limit in &found {
            let mut limit = limit.clone();
            // A counter of one tool alone stays one; a shared one stays shared.
            if from.as_ref().is_some_and(|from| form::own_counter(from) == limit.counter) {
                limit.counter = form::own_counter(target);
            }
            let same =
                |it: &Limit| it.counter == limit.counter && it.window.seconds() == limit.window.seconds();
            let place = target.clone();
            edits.push(match limits(app, target).iter().position(same) {
                Some(index) => Edit::SetLimit { place, index, limit },
                None => Edit::AddLimit { place, limit },
            });
        }
    }
    let into = match targets.as_slice() {
        [Place::Tool(tool)] => visible(tool).into_owned(),
        [Place::AllTools] => "all tools".to_owned(),
        many => format!("{} tools", many.len()),
    };
    let label = format!("put {} into {into}", clip.words());
    if app.edit(&Edit::Named(label.clone(), edits)) {
        unknown.sort_unstable();
        unknown.dedup();
        match unknown.as_slice() {
            [] => app.toast(Kind::Good, format!("{label} (u takes it back)")),
            [first, ..] => app.toast(
                Kind::Warn,
                format!("{label}; {} is no argument there: the rule may never match", visible(first)),
            ),
        }
    }
}

/// The paths of a rule that a tool's schema has not.
fn unknown_arguments(app: &App, tool: &str, rule: &RuleDraft) -> Vec<String> {
    let Some(row) = app.policy.table.tool(tool).filter(|row| row.listed) else { return Vec::new() };
    let shape = ToolShape::from_schema(tool, &row.tool.input_schema);
    let paths = rule.conditions.iter().map(|condition| &condition.path);
    let no = |path: &&String| Path::parse(path).is_ok_and(|path| shape.known(&path) == Known::No);
    paths.filter(no).cloned().collect()
}

/// Doubles the inspector's rule, right after it; of a limit the form opens, for another window.
pub(super) fn duplicate(app: &mut App) {
    match (part(app), place(app)) {
        (Some(Target::Rule(list, index)), Some(Place::Tool(tool))) => {
            let Some(editor) = &app.policy.editor else { return };
            let Some(copy) = rule(editor, &tool, list, index).map(RuleDraft::from) else { return };
            let end = editor.tool(&tool).map_or(0, |entry| rules(entry, list).len());
            let label = format!("duplicate a {} rule of {}", list.key(), visible(&tool));
            let both = vec![
                Edit::AddRule { tool: tool.clone(), list, rule: copy },
                Edit::MoveRule { tool, list, from: end, to: index + 1 },
            ];
            if app.edit(&Edit::Named(label, both)) {
                inspect::go_to(app, &Target::Rule(list, index + 1));
            }
        }
        (Some(Target::Limit(index)), Some(place)) => {
            let Some(limit) = limits(app, &place).get(index).map(LimitDraft::from) else { return };
            form::open_limit_like(app, limit);
        }
        _ => {}
    }
}
