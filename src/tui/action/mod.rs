//! Everything that a person can do, declared once.
//!
//! From this table come the key trie, the footer, `?` help, the palette and the written key lists.

mod acting;
mod approvals;
mod global;
mod health;
mod learn;
mod live;
mod policy;

use super::app::App;

/// Where a key means something. A place on the screen is a stack of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// Every screen, while no dialog is open.
    Global,
    /// Whatever has rows to move over.
    List,
    /// The Policy screen's table.
    Policy,
    /// The selected tool, in the table and in the inspector.
    Tool,
    /// The Policy screen's inspector.
    Inspector,
    /// The whole document as text.
    Raw,
    /// The text while keys write into it.
    Typing,
    /// The review before saving.
    Review,
    /// The proposals of what recorded calls need.
    Suggest,
    /// The difference to an earlier revision.
    Revision,
    /// The difference to what was accepted of a tool.
    Accepting,
    /// The Live screen.
    Live,
    /// The Counters screen.
    Counters,
    /// The Approvals screen.
    Approvals,
    /// The Health screen.
    Health,
}

impl Context {
    /// Its heading in help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Global => "everywhere",
            Self::List => "moving",
            Self::Policy => "tools",
            Self::Tool => "the selected tool",
            Self::Inspector => "inspector",
            Self::Raw => "the document's text",
            Self::Typing => "writing the text",
            Self::Review => "review",
            Self::Suggest => "proposals",
            Self::Revision => "revision",
            Self::Accepting => "definitions",
            Self::Live => "live rows",
            Self::Counters => "counters",
            Self::Approvals => "approvals",
            Self::Health => "health",
        }
    }
}

/// Something that a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each does")]
pub enum Action {
    Quit,
    Help,
    FirstSteps,
    Palette,
    Save,
    Undo,
    Redo,
    ScreenPolicy,
    ScreenLive,
    ScreenCounters,
    ScreenApprovals,
    ScreenHealth,
    ApproveOnce,
    ApproveFor,
    Reject,
    Bell,
    Desktop,
    CounterOrder,
    WarnAt,
    Override,
    EndOverride,
    LiveFilter,
    LiveSearch,
    FindOlder,
    FindNewer,
    SavedFilters,
    SaveFilter,
    PivotNext,
    PivotPrevious,
    PivotOrder,
    Repeats,
    OpenRepeats,
    MarkRow,
    NoteRow,
    MarkOlder,
    MarkNewer,
    OnlyMarked,
    TimeAxis,
    ZoomIn,
    ZoomOut,
    JumpOlder,
    JumpNewer,
    Relative,
    RowRule,
    RowCopy,
    RowTest,
    RowEditor,
    Export,
    NextScreen,
    PreviousScreen,
    Freeze,
    Unfreeze,
    Mouse,
    Redraw,
    Suspend,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Search,
    Filter,
    Mark,
    MarkAll,
    Recommended,
    /// Accept the tools' present definitions.
    AcceptPins,
    /// Accept the definitions whose difference is shown.
    AcceptShown,
    /// The draft beside the live policy.
    Shadow,
    /// Show what the file held before.
    Revisions,
    /// Make the document what it was.
    RollBack,
    Raw,
    TextEdit,
    TextUndo,
    Complete,
    NextError,
    PreviousError,
    Editor,
    NextServer,
    Allow,
    Deny,
    Hide,
    Approve,
    NextState,
    Limit,
    Condition,
    Copy,
    Cut,
    Paste,
    Duplicate,
    Document,
    Shorthand,
    RateLimit,
    Edit,
    Remove,
    MoveUp,
    MoveDown,
    AddCondition,
    ShowExamples,
    Write,
    Explain,
    Tests,
    Suggest,
    SuggestAccept,
    SuggestAll,
    SuggestWiden,
    SuggestDrop,
}

/// Whether an action can be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// It can.
    Now,
    /// It cannot, and this is why.
    Not(String),
}

impl When {
    /// `Now` if it holds, else the reason.
    pub fn if_so(holds: bool, reason: &str) -> Self {
        if holds { Self::Now } else { Self::Not(reason.to_owned()) }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What is done.
    pub action: Action,
    /// Names it in key files: `policy.allow`.
    pub id: &'static str,
    /// One or two words, for the footer.
    pub title: &'static str,
    /// One line, for help and the palette.
    pub doc: &'static str,
    /// The default keys.
    pub keys: &'static [&'static str],
    /// Where the keys mean this.
    pub contexts: &'static [Context],
    /// Whether it can be done now.
    pub when: fn(&App) -> When,
    /// It is hard to take back, or changes what others see at once: asks first.
    pub danger: bool,
    /// Its place in the footer: 0 not shown, else the smaller the earlier.
    pub footer: u8,
}

impl Entry {
    const fn new(action: Action, id: &'static str, title: &'static str, doc: &'static str) -> Self {
        Self { action, id, title, doc, keys: &[], contexts: &[], when: always, danger: false, footer: 0 }
    }

    const fn keys(self, keys: &'static [&'static str]) -> Self {
        Self { keys, ..self }
    }

    const fn on(self, contexts: &'static [Context]) -> Self {
        Self { contexts, ..self }
    }

    const fn when(self, when: fn(&App) -> When) -> Self {
        Self { when, ..self }
    }

    const fn danger(self) -> Self {
        Self { danger: true, ..self }
    }

    const fn footer(self, place: u8) -> Self {
        Self { footer: place, ..self }
    }
}

fn always(_: &App) -> When {
    When::Now
}

/// The whole table.
pub fn table() -> impl Iterator<Item = &'static Entry> {
    let own = global::TABLE.iter().chain(policy::TABLE).chain(learn::TABLE);
    own.chain(live::TABLE).chain(acting::TABLE).chain(approvals::TABLE).chain(health::TABLE)
}

/// An action's entry. Every action has one: a test holds it.
pub fn entry(action: Action) -> Option<&'static Entry> {
    table().find(|entry| entry.action == action)
}

/// The entry of an id.
pub fn by_id(id: &str) -> Option<&'static Entry> {
    table().find(|entry| entry.id == id)
}

/// The table as Markdown, for the README.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| keys | does | where | in `keys.json` |\n|---|---|---|---|\n");
    for entry in table().filter(|entry| !entry.keys.is_empty()) {
        let keys: Vec<String> =
            entry.keys.iter().map(|key| format!("`{}`", key.replace('|', "\\|"))).collect();
        let places: Vec<&str> = entry.contexts.iter().map(|context| context.title()).collect();
        let (keys, places) = (keys.join(" "), places.join(", "));
        let _ = writeln!(text, "| {keys} | {} | {places} | `{}` |", entry.doc, entry.id);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tui::key;

    #[test]
    fn every_entry_is_documented_named_once_and_bound_rightly() {
        let mut ids = BTreeSet::new();
        let mut actions = BTreeSet::new();
        for entry in table() {
            assert!(ids.insert(entry.id), "{} twice", entry.id);
            assert!(actions.insert(entry.action), "{:?} twice", entry.action);
            assert!(!entry.title.is_empty() && entry.title.len() <= 14, "{}", entry.id);
            assert!(!entry.doc.is_empty() && entry.doc.len() <= 90, "{}: {}", entry.id, entry.doc.len());
            assert!(!entry.doc.ends_with('.'), "{}", entry.id);
            assert!(!entry.contexts.is_empty(), "{}", entry.id);
            for spec in entry.keys {
                assert_eq!(key::check(spec).expect(spec).to_string(), *spec, "{}", entry.id);
            }
        }
    }
}
