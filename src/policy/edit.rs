//! Edits of a policy text that touch only the bytes they must.
//!
//! An edit is data, so that it can be named, kept for undo, sent and tested. Applying one keeps
//! the order, indentation, spelling and final newline of everything else, writes what is new the
//! way its neighbours are written, and answers with a reason instead of an invalid policy.
//!
//! States are written in the portable form: *deny* is an unconditional `deny_if` rule put first,
//! *approve* the same in `approve_if`, *hide* an entry of `hide`; *allow* takes just those away
//! and leaves every other rule alone. What an edit empties (`hide`, `limits`, `deny_if`, ...) goes.

#[cfg(test)]
pub(crate) mod arbitrary;
mod draft;
mod editor;
pub mod member;
pub mod merge;
mod style;
mod tree;

use std::fmt;

pub use draft::{ConditionDraft, LimitDraft, RuleDraft};

use super::diagnostic::{Diagnostic, tick};
use super::document::Document;
use super::model::{Action, Default, RuleList};
use super::state::{ToolState, condition_text};
use crate::visible::visible;

/// Where a limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// `all_tools`: it counts every call.
    AllTools,
    /// A tool's entry.
    Tool(String),
}

/// A change of a policy. Indices are those of the document's arrays, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Gives tools a state, all of them in one pass.
    SetState {
        /// Their exact names.
        tools: Vec<String>,
        /// The state.
        state: ToolState,
    },
    /// `default`
    SetDefault(Default),
    /// `hide: ["*"]`, or nothing hidden by it. Names in `hide` are replaced.
    SetHideAll(bool),
    /// Puts a limit last; lists the tool where it is not listed.
    AddLimit {
        /// Where.
        place: Place,
        /// The limit.
        limit: LimitDraft,
    },
    /// Changes a limit.
    SetLimit {
        /// Where.
        place: Place,
        /// Which.
        index: usize,
        /// What it becomes.
        limit: LimitDraft,
    },
    /// Takes a limit away.
    RemoveLimit {
        /// Where.
        place: Place,
        /// Which.
        index: usize,
    },
    /// Takes the shorthand `rate_limit` away.
    RemoveRateLimit {
        /// Whose.
        tool: String,
    },
    /// Puts a rule last; lists the tool where it is not listed.
    AddRule {
        /// Whose.
        tool: String,
        /// In which list.
        list: RuleList,
        /// The rule.
        rule: RuleDraft,
    },
    /// Changes a rule.
    SetRule {
        /// Whose.
        tool: String,
        /// In which list.
        list: RuleList,
        /// Which.
        index: usize,
        /// What it becomes.
        rule: RuleDraft,
    },
    /// Takes a rule away.
    RemoveRule {
        /// Whose.
        tool: String,
        /// In which list.
        list: RuleList,
        /// Which.
        index: usize,
    },
    /// Moves a rule within its list.
    MoveRule {
        /// Whose.
        tool: String,
        /// In which list.
        list: RuleList,
        /// Which.
        from: usize,
        /// Its index afterwards.
        to: usize,
    },
    /// Takes a tool's entry away; `default` decides about it then.
    RemoveTool {
        /// Which.
        tool: String,
    },
    /// Lists a tool with `{}` unless it is listed.
    ListTool {
        /// Which.
        tool: String,
    },
    /// `description`; `None` takes it away.
    SetDescription(Option<String>),
    /// `hide_denied` (extension); `false` takes it away.
    SetHideDenied(bool),
    /// `$schema`; `None` takes it away.
    SetSchema(Option<String>),
    /// The shorthand `action` with its `reason`; lists the tool where it is not listed.
    SetAction {
        /// Whose.
        tool: String,
        /// The action; `None` takes it and the reason away.
        action: Option<Action>,
        /// `reason`, where there is an action.
        reason: Option<String>,
    },
    /// The shorthand `rate_limit`; lists the tool where it is not listed.
    SetRateLimit {
        /// Whose.
        tool: String,
        /// `max`: a number's JSON text.
        max: String,
        /// `window`, in seconds.
        window: u64,
    },
    /// Several at once: all or none.
    Batch(Vec<Edit>),
    /// Several at once under a name of their own.
    Named(String, Vec<Edit>),
}

/// Why an edit cannot be made. The text stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// The text itself has an error, the first one.
    NotValid(Box<Diagnostic>),
    /// The edit would make the policy invalid; the first error of the result.
    WouldBreak(Box<Diagnostic>),
    /// `hide: ["*"]` hides every tool, so that none can be given another state.
    AllHidden {
        /// The first tool that was to be changed.
        tool: String,
    },
    /// There is no such part.
    NoSuch {
        /// What was looked for.
        what: String,
    },
    /// A text that a person gave is not one JSON value.
    NotJson {
        /// `value` or `max`.
        what: &'static str,
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl EditError {
    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::NotValid(_) => Some("correct it in the text first"),
            Self::WouldBreak(found) => found.help.as_deref(),
            Self::AllHidden { .. } => Some("stop hiding every tool first: take `*` out of `hide`"),
            Self::NoSuch { .. } => None,
            Self::NotJson { what: "max", .. } => Some("write a number, for instance `30`"),
            Self::NotJson { .. } => Some("texts stand in double quotes: `\"main\"`"),
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotValid(found) => {
                write!(f, "the policy has an error on line {}: {}", found.line, found.message)
            }
            Self::WouldBreak(found) => f.write_str(&found.message),
            Self::AllHidden { tool } => {
                write!(f, "{} cannot be changed alone: `hide: [\"*\"]` hides every tool", tick(tool))
            }
            Self::NoSuch { what } => write!(f, "there is no {what}"),
            Self::NotJson { what, text, why } => write!(f, "the {what} {} is not JSON: {why}", tick(text)),
        }
    }
}

impl std::error::Error for EditError {}

/// Applies an edit to a text.
///
/// # Errors
/// When the text has errors, the edit does not fit it, or its result would not be valid.
pub fn apply(text: &str, edit: &Edit) -> Result<String, EditError> {
    let document = Document::parse(text).valid().map_err(EditError::NotValid)?;
    Ok(apply_to(&document, edit)?.text().to_owned())
}

/// Applies an edit to a document and gives the new one.
///
/// # Errors
/// As [`apply`].
pub fn apply_to(document: &Document, edit: &Edit) -> Result<Document, EditError> {
    if !document.is_valid() {
        let found = Document::parse(document.text()).valid().err();
        return Err(found.map_or_else(|| no_such("policy in the text"), EditError::NotValid));
    }
    let text = editor::run(document.text(), edit)?;
    if text == document.text() {
        return Ok(document.clone());
    }
    document.parse_next(&text).valid().map_err(EditError::WouldBreak)
}

fn no_such(what: impl Into<String>) -> EditError {
    EditError::NoSuch { what: what.into() }
}

impl Edit {
    /// What it does, in a few words: the name of its undo entry.
    pub fn describe(&self) -> String {
        match self {
            Self::SetState { tools, state } => {
                let what = match tools.as_slice() {
                    [tool] => visible(tool).into_owned(),
                    tools => format!("{} tools", tools.len()),
                };
                match state {
                    ToolState::Approve => format!("require approval of {what}"),
                    state => format!("{} {what}", state.name()),
                }
            }
            Self::SetDefault(Default::Allow) => "allow tools that are not listed".to_owned(),
            Self::SetDefault(Default::Deny) => "deny tools that are not listed".to_owned(),
            Self::SetHideAll(true) => "hide every tool".to_owned(),
            Self::SetHideAll(false) => "stop hiding every tool".to_owned(),
            Self::AddLimit { place, limit } | Self::SetLimit { place, limit, .. } => {
                format!("limit {} to {}", place_name(place), limit.summary())
            }
            Self::RemoveLimit { place, .. } => format!("remove a limit of {}", place_name(place)),
            Self::RemoveRateLimit { tool } => format!("remove the rate limit of {}", visible(tool)),
            Self::AddRule { tool, list, rule } => describe_rule(tool, *list, rule),
            Self::SetRule { tool, list, rule, .. } => {
                format!("change a rule: {}", describe_rule(tool, *list, rule))
            }
            Self::RemoveRule { tool, list, .. } => {
                format!("remove a {} rule of {}", list.key(), visible(tool))
            }
            Self::MoveRule { tool, list, .. } => format!("move a {} rule of {}", list.key(), visible(tool)),
            Self::RemoveTool { tool } => format!("unlist {}", visible(tool)),
            Self::ListTool { tool } => format!("list {}", visible(tool)),
            Self::SetDescription(Some(_)) => "change the description".to_owned(),
            Self::SetDescription(None) => "remove the description".to_owned(),
            Self::SetHideDenied(true) => "hide what can never be allowed".to_owned(),
            Self::SetHideDenied(false) => "show what can never be allowed".to_owned(),
            Self::SetSchema(_) => "change the schema's address".to_owned(),
            Self::SetAction { tool, .. } => format!("change the action of {}", visible(tool)),
            Self::SetRateLimit { tool, max, window } => {
                format!("limit {} to {max} in {window} s", visible(tool))
            }
            Self::Named(name, _) => name.clone(),
            Self::Batch(edits) => match edits.as_slice() {
                [edit] => edit.describe(),
                edits => format!("{} changes", edits.len()),
            },
        }
    }
}

fn place_name(place: &Place) -> String {
    match place {
        Place::AllTools => "all tools together".to_owned(),
        Place::Tool(tool) => visible(tool).into_owned(),
    }
}

fn describe_rule(tool: &str, list: RuleList, rule: &RuleDraft) -> String {
    let tool = visible(tool);
    let when = if rule.conditions.is_empty() { "always".to_owned() } else { rule.summary() };
    match list {
        RuleList::Require => format!("require {when} for {tool}"),
        RuleList::DenyIf => format!("deny {tool} if {when}"),
        RuleList::ApproveIf => format!("require approval of {tool} if {when}"),
    }
    .replace(" if always", " always")
}

#[cfg(test)]
#[path = "edit/tests.rs"]
mod tests;
