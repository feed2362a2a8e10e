//! The forms of what stands beside rules and limits: the document's own members, and the two
//! shorthands of a tool.

use super::{Form, FormField, Id, Makes, check as check_form};
use crate::policy::counter::Amount;
use crate::policy::edit::Edit;
use crate::policy::model::{Action, Default};
use crate::tui::app::App;
use crate::tui::app::field::Field;
use crate::tui::app::layer::Layer;

/// The words of `action`; the first takes it away.
const ACTIONS: [(&str, Option<Action>); 5] = [
    ("none", None),
    ("allow", Some(Action::Allow)),
    ("deny", Some(Action::Deny)),
    ("hide", Some(Action::Hide)),
    ("approve", Some(Action::Approve)),
];

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn push(app: &mut App, makes: Makes, title: String, fields: Vec<FormField>) {
    let mut form = Form { makes, title, fields, focus: 0, insisted: false, problem: None };
    check_form(app, &mut form);
    app.layers.push(Layer::Form(Box::new(form)));
}

/// What the document says of itself.
struct Now {
    default: Default,
    hide_all: bool,
    hide_denied: bool,
    description: String,
    schema: String,
}

fn now(app: &App) -> Option<Now> {
    let editor = app.policy.editor.as_ref()?;
    let document = editor.document()?;
    let policy = document.policy();
    let parsed = crate::json::parse(document.text()).ok()?;
    let schema = parsed.root.get("$schema").and_then(|node| node.as_str()).map(str::to_owned);
    Some(Now {
        default: policy.default,
        hide_all: policy.hide.all,
        hide_denied: policy.hide_denied,
        description: policy.description.clone().unwrap_or_default(),
        schema: schema.unwrap_or_default(),
    })
}

/// Opens the form of the document's own members.
pub(in crate::tui::app::policy) fn open(app: &mut App) {
    let Some(now) = now(app) else { return };
    let fields = vec![
        FormField::choice(
            Id::Default,
            "default",
            words(["deny", "allow"]),
            usize::from(now.default == Default::Allow),
        ),
        FormField::choice(
            Id::HideAll,
            "hide",
            words(["named tools", "every tool"]),
            usize::from(now.hide_all),
        ),
        FormField::choice(
            Id::HideDenied,
            "denied ones",
            words(["shown", "hidden, too"]),
            usize::from(now.hide_denied),
        ),
        FormField::text(Id::Description, "description", &now.description),
        FormField::text(Id::Schema, "$schema", &now.schema),
    ];
    push(app, Makes::Document, "The policy".to_owned(), fields);
}

/// Opens the form of a tool's `action`.
pub(in crate::tui::app::policy) fn open_action(app: &mut App) {
    let Some(tool) = app.policy.table.selected_tool().map(|row| row.name.to_string()) else { return };
    let entry = app.policy.editor.as_ref().and_then(|editor| editor.tool(&tool));
    let action = entry.and_then(|entry| entry.action);
    let at = ACTIONS.iter().position(|(_, known)| *known == action).unwrap_or(0);
    let reason = entry.and_then(|entry| entry.reason.clone()).unwrap_or_default();
    let fields = vec![
        FormField::choice(Id::Action, "action", ACTIONS.map(|(word, _)| word.to_owned()).to_vec(), at),
        FormField::text(Id::Reason, "reason", &reason),
    ];
    let title = format!("The shorthand `action` of {}", crate::visible::visible(&tool));
    push(app, Makes::Action(tool), title, fields);
}

/// Opens the form of a tool's `rate_limit`.
pub(in crate::tui::app::policy) fn open_rate_limit(app: &mut App) {
    let Some(tool) = app.policy.table.selected_tool().map(|row| row.name.to_string()) else { return };
    let entry = app.policy.editor.as_ref().and_then(|editor| editor.tool(&tool));
    let limit = entry.and_then(|entry| entry.rate_limit.as_ref());
    let (max, window) = limit.map_or_else(
        || ("30".to_owned(), "60".to_owned()),
        |limit| (limit.max.clone(), limit.window.seconds().to_string()),
    );
    let fields = vec![FormField::text(Id::Max, "max", &max), FormField::text(Id::Window, "each", &window)];
    let title = format!("The shorthand `rate_limit` of {}", crate::visible::visible(&tool));
    push(app, Makes::RateLimit(tool), title, fields);
}

/// Finds out what is wrong and what it means.
pub(super) fn check(form: &mut Form) {
    for field in &mut form.fields {
        field.error = None;
        let first = field.chosen() == 0;
        let note = match field.id {
            Id::Default if first => "tools that are not listed are denied",
            Id::Default => "tools that are not listed may be called, new ones too",
            Id::HideAll if first => "the names of `hide` are kept",
            Id::HideAll => "agents see no tool at all; names in `hide` are replaced",
            Id::HideDenied if first => "agents see tools that they may never call",
            Id::HideDenied => "what can never be allowed is not shown; an extension",
            Id::Description => "free text; an extension",
            Id::Schema => "the schema's address, for other editors; an extension",
            Id::Action if first => "the tool's rules decide",
            Id::Action => "other programs may know only the long form that `a d x p` write",
            Id::Reason => "what the agent or the person who approves reads",
            Id::Max => {
                let whole = Amount::parse(field.value().trim()).is_some()
                    && field.value().trim().bytes().all(|byte| byte.is_ascii_digit());
                field.error = (!whole).then(|| "write a whole number".to_owned());
                "calls of one grant; counted as NAME_rate"
            }
            Id::Window => {
                let seconds = field.value().trim().parse::<u64>().is_ok_and(|seconds| seconds > 0);
                field.error = (!seconds).then(|| "write seconds: 60".to_owned());
                "seconds"
            }
            _ => "",
        };
        note.clone_into(&mut field.note);
    }
}

/// The edit of the document's own members: what was changed, and nothing else.
pub(super) fn document(app: &App, form: &Form) -> Option<Edit> {
    let now = now(app)?;
    let chosen = |id| form.field(id).is_some_and(|field| field.chosen() == 1);
    let mut edits = Vec::new();
    let default = if chosen(Id::Default) { Default::Allow } else { Default::Deny };
    if default != now.default {
        edits.push(Edit::SetDefault(default));
    }
    if chosen(Id::HideAll) != now.hide_all {
        edits.push(Edit::SetHideAll(!now.hide_all));
    }
    if chosen(Id::HideDenied) != now.hide_denied {
        edits.push(Edit::SetHideDenied(!now.hide_denied));
    }
    // A field has one line: a text of several is touched only by who types.
    let typed = |id, was: &str| {
        let text = form.value(id);
        (text != Field::with(was).text()).then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
    };
    edits.extend(typed(Id::Description, &now.description).map(Edit::SetDescription));
    edits.extend(typed(Id::Schema, &now.schema).map(Edit::SetSchema));
    Some(if edits.len() == 1 {
        edits.remove(0)
    } else {
        Edit::Named("change the policy's own lines".to_owned(), edits)
    })
}

/// The edit of a tool's `action`.
pub(super) fn action(form: &Form, tool: &str) -> Option<Edit> {
    let (_, action) = *ACTIONS.get(form.field(Id::Action)?.chosen())?;
    let reason = Some(form.value(Id::Reason).to_owned()).filter(|text| !text.trim().is_empty());
    Some(Edit::SetAction { tool: tool.to_owned(), action, reason })
}

/// The edit of a tool's `rate_limit`.
pub(super) fn rate_limit(form: &Form, tool: &str) -> Option<Edit> {
    let window = form.value(Id::Window).trim().parse().ok()?;
    Some(Edit::SetRateLimit { tool: tool.to_owned(), max: form.value(Id::Max).trim().to_owned(), window })
}
