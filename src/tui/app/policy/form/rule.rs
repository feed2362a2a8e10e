//! The form of a rule: an argument of the schema, an operator that fits it, a value checked as it is
//! typed.

use std::sync::Arc;

use super::value::{self, Kind};
use super::{Form, FormField, Id, Input, Makes, check as check_form};
use crate::policy::edit::{ConditionDraft, Edit, RuleDraft};
use crate::policy::model::{Op, RuleList};
use crate::policy::path::Path;
use crate::policy::schema::{JsonType, ToolShape, ops_for};
use crate::risk::{RuleTemplate, templates};
use crate::tui::app::App;
use crate::tui::app::field::Field;
use crate::tui::app::layer::{Layer, Other, PickItem, Picker, Then as LayerThen};
use crate::tui::app::policy::arguments::{self, Arg};
use crate::tui::app::policy::seen::Seen;
use crate::tui::app::policy::{Then, edits};

const LISTS: [RuleList; 3] = [RuleList::DenyIf, RuleList::Require, RuleList::ApproveIf];

/// Begins a new rule: the argument is picked first.
pub(in crate::tui::app::policy) fn open(app: &mut App) {
    let Some(tool) = app.policy.table.selected_tool().map(|row| row.name.to_string()) else { return };
    start(app, tool, None, 0, &RuleDraft::default());
}

/// Adds a condition to a rule.
pub(in crate::tui::app::policy) fn extend(app: &mut App, list: RuleList, index: usize) {
    let Some((tool, base)) = draft(app, list, index) else { return };
    let next = base.conditions.len();
    start(app, tool, Some((list, index)), next, &base);
}

/// Changes a rule, or one of its conditions.
pub(in crate::tui::app::policy) fn edit(
    app: &mut App,
    list: RuleList,
    index: usize,
    condition: Option<usize>,
) {
    let Some((tool, base)) = draft(app, list, index) else { return };
    let at = condition.unwrap_or(0);
    let now = base.conditions.get(at).cloned();
    form(app, tool, Some((list, index)), at, base, now, condition.is_none());
}

fn draft(app: &App, list: RuleList, index: usize) -> Option<(String, RuleDraft)> {
    let tool = app.policy.table.selected_tool()?.name.to_string();
    let rule = edits::rule(app.policy.editor.as_ref()?, &tool, list, index)?;
    Some((tool, RuleDraft::from(rule)))
}

/// Opens the form with the picker of arguments above it, where the schema has any.
fn start(app: &mut App, tool: String, at: Option<(RuleList, usize)>, condition: usize, base: &RuleDraft) {
    form(app, tool, at, condition, base.clone(), None, at.is_none());
    if let Some(Layer::Form(form)) = app.layers.last() {
        let above = picker(app, form);
        app.layers.extend(above);
    }
}

fn picker(app: &App, form: &Form) -> Option<Layer> {
    let args = args(app, form);
    if args.is_empty() {
        return None;
    }
    let item = |arg: Arg| {
        let star = if arg.required { "*" } else { "" };
        PickItem {
            name: arg.path.clone(),
            after: false,
            detail: format!(
                "{}{star}  {}",
                arg.type_words(),
                arg.description.lines().next().unwrap_or_default()
            ),
            then: LayerThen::Policy(Then::PickPath(arg.path)),
        }
    };
    Some(Layer::Picker(Picker {
        title: "Which argument?".to_owned(),
        field: Field::default(),
        items: args.into_iter().map(item).chain(known_rules(app, form)).collect(),
        selected: 0,
        other: Some(Other::Path),
    }))
}

/// Rules that are known to stop an attack through one of the arguments, for a new rule.
fn known_rules(app: &App, form: &Form) -> Vec<PickItem> {
    let Makes::Rule { tool, at: None, .. } = &form.makes else { return Vec::new() };
    let Some(row) = app.policy.table.tool(tool) else { return Vec::new() };
    let shape = ToolShape::from_schema(tool, &row.tool.input_schema);
    let item = |known: RuleTemplate| PickItem {
        name: format!("rule: {}", known.title),
        after: true,
        detail: format!("{}: {}", known.list.key(), known.rule.summary()),
        then: LayerThen::Policy(Then::PickRule(known.list, Box::new(known.rule))),
    };
    templates(&shape).into_iter().map(item).collect()
}

/// A known rule was picked: its form opens with everything filled in.
pub(in crate::tui::app::policy) fn pick_rule(app: &mut App, list: RuleList, rule: RuleDraft) {
    let Some(Layer::Form(form)) = app.layers.pop() else { return };
    let Makes::Rule { tool, .. } = form.makes else { return };
    let first = rule.conditions.first().cloned();
    // It is the same tool: what its calls had is known.
    let seen = Arc::clone(&app.policy.seen);
    self::form(app, tool, None, 0, rule, first, true);
    app.policy.seen = seen;
    let Some(Layer::Form(mut form)) = app.layers.pop() else { return };
    if let Some(FormField { input: Input::Choice { at, .. }, .. }) = form.at(Id::List) {
        *at = LISTS.iter().position(|it| *it == list).unwrap_or(0);
    }
    relist(&mut form);
    check_form(app, &mut form);
    app.layers.push(Layer::Form(form));
}

/// Opens the picker over the form.
pub(super) fn reopen(app: &mut App, form: &Form) {
    let above = picker(app, form);
    app.layers.extend(above);
}

/// An argument was picked.
pub(in crate::tui::app::policy) fn pick_path(app: &mut App, path: &str) {
    let Some(Layer::Form(mut form)) = app.layers.pop() else { return };
    if let Some(FormField { input: Input::Text(field), .. }) = form.at(Id::Path) {
        field.set(path);
    }
    refit(app, &mut form);
    if let Some(at) = form.fields.iter().position(|field| field.id == Id::Op) {
        form.focus = at;
    }
    check_form(app, &mut form);
    app.layers.push(Layer::Form(form));
}

/// The tool whose arguments a form asks for.
pub(in crate::tui::app) fn ruled(form: &Form) -> Option<&str> {
    match &form.makes {
        Makes::Rule { tool, .. } if form.field(Id::Path).is_some() => Some(tool),
        _ => None,
    }
}

fn form(
    app: &mut App,
    tool: String,
    at: Option<(RuleList, usize)>,
    condition: usize,
    base: RuleDraft,
    now: Option<ConditionDraft>,
    whole: bool,
) {
    app.policy.seen = Arc::new(Seen::of(app, std::slice::from_ref(&tool)));
    let shown = crate::visible::visible(&tool).into_owned();
    let title = match (at, &now) {
        (None, _) => format!("New rule of {shown}"),
        (Some(_), None) if !base.conditions.is_empty() => format!("And ... of {shown}"),
        _ => format!("Change a rule of {shown}"),
    };
    let list = at.map_or(RuleList::DenyIf, |(list, _)| list);
    let mut fields = Vec::new();
    // A rule that always holds has no condition to show, unless one is being added to it.
    let conditional = !(whole && at.is_some() && base.conditions.is_empty());
    if conditional {
        let (path, op) = now.as_ref().map_or(("args.", Op::Eq), |now| (now.path.as_str(), now.op));
        fields.push(FormField::text(Id::Path, "argument", path));
        let ops = Op::ALL.map(|op| op.name().to_owned()).to_vec();
        let chosen = Op::ALL.iter().position(|it| *it == op).unwrap_or(0);
        fields.push(FormField::choice(Id::Op, "is", ops, chosen));
        fields.push(FormField::text(Id::Value, "value", ""));
    }
    if whole {
        let at = LISTS.iter().position(|it| *it == list).unwrap_or(0);
        let words = ["deny if", "require", "approve if"].map(str::to_owned).to_vec();
        fields.push(FormField::choice(Id::List, "then", words, at));
        fields.push(FormField::text(Id::Message, "message", base.message.as_deref().unwrap_or("")));
        if list == RuleList::ApproveIf {
            fields.push(FormField::text(Id::Timeout, "wait", base.timeout.as_deref().unwrap_or("")));
        }
    }
    let makes = Makes::Rule { tool, at, condition, base };
    let focus = if now.is_some() { fields.len().min(2) } else { 0 };
    let mut form = Form { makes, title, fields, focus, insisted: false, problem: None };
    if let Some(now) = now {
        refit(app, &mut form);
        let types = types(app, &form);
        let text = value::to_text(now.op, &types, &now.value);
        set_value(&mut form, &text);
    } else {
        refit(app, &mut form);
    }
    check_form(app, &mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

fn set_value(form: &mut Form, text: &str) {
    match form.at(Id::Value).map(|field| &mut field.input) {
        Some(Input::Text(field)) => *field = Field::with(text),
        Some(Input::Choice { options, at }) => {
            // A value outside the schema's choices is kept: it is what the document says.
            *at = options.iter().position(|option| option == text).unwrap_or_else(|| {
                options.push(text.to_owned());
                options.len() - 1
            });
        }
        None => {}
    }
}

fn args(app: &App, form: &Form) -> Vec<Arg> {
    let Makes::Rule { tool, .. } = &form.makes else { return Vec::new() };
    app.policy.table.tool(tool).map(|row| arguments::of(&row.tool)).unwrap_or_default()
}

fn arg(app: &App, form: &Form) -> Option<Arg> {
    let path = form.value(Id::Path).trim();
    args(app, form).into_iter().find(|arg| arg.path == path)
}

fn types(app: &App, form: &Form) -> Vec<JsonType> {
    arg(app, form).map(|arg| arg.types).unwrap_or_default()
}

fn op(form: &Form) -> Op {
    Op::parse(form.value(Id::Op)).unwrap_or(Op::Eq)
}

/// The argument or the operator changed: the operators that fit it, and the kind of value.
pub(super) fn refit(app: &App, form: &mut Form) {
    let arg = arg(app, form);
    let types = arg.as_ref().map(|arg| arg.types.clone()).unwrap_or_default();
    let now = op(form);
    let mut fitting = if arg.is_some() { ops_for(&types) } else { Op::ALL.to_vec() };
    // An operator that the document uses stays choosable although it does not fit.
    if !fitting.contains(&now) && matches!(&form.makes, Makes::Rule { at: Some(_), .. }) {
        fitting.push(now);
    }
    if let Some(field) = form.at(Id::Op) {
        let at = fitting.iter().position(|it| *it == now).unwrap_or(0);
        field.input = Input::Choice { options: fitting.iter().map(|it| it.name().to_owned()).collect(), at };
    }
    let now = op(form);
    let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let options: Vec<String> = match (value::kind(now, &types), &arg) {
        (Kind::Boolean, _) => vec!["true".to_owned(), "false".to_owned()],
        (_, Some(arg)) if matches!(now, Op::Eq | Op::Neq) => arg.choices.iter().map(plain).collect(),
        _ => Vec::new(),
    };
    if let Some(field) = form.at(Id::Value) {
        let text = field.value().to_owned();
        let was_choice = matches!(field.input, Input::Choice { .. });
        if !options.is_empty() {
            let at = options.iter().position(|option| *option == text).unwrap_or(0);
            field.input = Input::Choice { options, at };
        } else if was_choice {
            field.input = Input::Text(Field::default());
        }
    }
}

/// The list changed: only approvals have a time to wait.
pub(super) fn relist(form: &mut Form) {
    let approve =
        form.field(Id::List).is_some_and(|field| LISTS.get(field.chosen()) == Some(&RuleList::ApproveIf));
    let has = form.field(Id::Timeout).is_some();
    if approve && !has {
        form.fields.push(FormField::text(Id::Timeout, "wait", ""));
    } else if !approve && has {
        form.fields.retain(|field| field.id != Id::Timeout);
    }
}

/// Finds out what is wrong and what it means.
pub(super) fn check(app: &App, form: &mut Form) {
    let arg = arg(app, form);
    let types = arg.as_ref().map(|arg| arg.types.clone()).unwrap_or_default();
    let known = !args(app, form).is_empty();
    let op = op(form);
    let list = form
        .field(Id::List)
        .map_or(RuleList::DenyIf, |field| LISTS.get(field.chosen()).copied().unwrap_or(RuleList::DenyIf));
    for field in &mut form.fields {
        field.error = None;
        field.note = String::new();
        match field.id {
            Id::Path => {
                let path = field.value().trim();
                match Path::parse(path) {
                    Err(_) if path == "args." || path.is_empty() => {
                        field.error = Some("name the argument: args.NAME (Space picks one)".to_owned());
                    }
                    Err(error) => field.error = Some(error.to_string()),
                    Ok(_) => {
                        let schema = match &arg {
                            Some(arg) => {
                                let need = if arg.required { "required" } else { "may be left out" };
                                format!("{}, {need}", arg.type_words())
                            }
                            None if known => "the schema has no such argument: it may never match".to_owned(),
                            None => String::new(),
                        };
                        let seen = app.policy.seen.values(path).join(", ");
                        field.note = match (schema.is_empty(), seen.is_empty()) {
                            (_, true) => schema,
                            (true, false) => format!("calls had {seen}"),
                            (false, false) => format!("{schema}; calls had {seen}"),
                        };
                    }
                }
            }
            Id::Op => op_words(op).clone_into(&mut field.note),
            Id::Value => match value::to_json(op, &types, field.value()) {
                Err(why) => field.error = Some(why),
                Ok(json) => {
                    field.note = match value::kind(op, &types) {
                        Kind::Pattern => {
                            "it compiles; it may match anywhere: ^ and $ are the ends".to_owned()
                        }
                        _ => format!("= {}", crate::visible::visible(&json)),
                    };
                }
            },
            Id::List => {
                let text = match list {
                    RuleList::DenyIf => "a call for which this holds is denied",
                    RuleList::Require => "a call for which this does not hold is denied",
                    RuleList::ApproveIf => "a call for which this holds waits for a person; an extension",
                };
                text.clone_into(&mut field.note);
            }
            Id::Message => {
                let text = match list {
                    RuleList::ApproveIf => "what the person who approves reads",
                    _ => "what the agent reads; say what to do instead",
                };
                text.clone_into(&mut field.note);
            }
            Id::Timeout => {
                let text = field.value().trim();
                if text.is_empty() {
                    "how long a call waits; empty: 5m".clone_into(&mut field.note);
                } else if crate::policy::duration::parse(text).is_none_or(|seconds| seconds == 0) {
                    field.error = Some("write a time: 90s, 5m, 1h".to_owned());
                }
            }
            _ => {}
        }
    }
}

fn op_words(op: Op) -> &'static str {
    match op {
        Op::Eq => "equal to the value",
        Op::Neq => "given, and another value",
        Op::Lt => "less than",
        Op::Lte => "at most",
        Op::Gt => "greater than",
        Op::Gte => "at least",
        Op::In => "one of the values",
        Op::NotIn => "given, and none of the values",
        Op::Exists => "given and not null",
        Op::Regex => "text that the expression finds",
        Op::Contains => "text or list with the value in it",
    }
}

/// The edit that the form amounts to.
pub(super) fn made(
    app: &App,
    form: &Form,
    tool: &str,
    at: Option<(RuleList, usize)>,
    condition: usize,
    base: &RuleDraft,
) -> Option<Edit> {
    let mut rule = base.clone();
    if form.field(Id::Path).is_some() {
        let op = op(form);
        let value = value::to_json(op, &types(app, form), form.value(Id::Value)).ok()?;
        let path = form.value(Id::Path).trim().to_owned();
        let new = ConditionDraft { path, op, value };
        match rule.conditions.get_mut(condition) {
            Some(old) => *old = new,
            None => rule.conditions.push(new),
        }
    }
    let mut list = at.map_or(RuleList::DenyIf, |(list, _)| list);
    if let Some(field) = form.field(Id::List) {
        list = *LISTS.get(field.chosen())?;
        let text = |id| Some(form.value(id).trim().to_owned()).filter(|text| !text.is_empty());
        rule.message = text(Id::Message);
        rule.timeout = text(Id::Timeout).filter(|_| list == RuleList::ApproveIf);
    }
    let tool = tool.to_owned();
    Some(match at {
        None => Edit::AddRule { tool, list, rule },
        Some((old, index)) if old == list => Edit::SetRule { tool, list, index, rule },
        Some((old, index)) => Edit::Batch(vec![
            Edit::RemoveRule { tool: tool.clone(), list: old, index },
            Edit::AddRule { tool, list, rule },
        ]),
    })
}
