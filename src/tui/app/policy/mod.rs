//! The Policy screen: the tools' table, the inspector, and the document that both edit.

mod arguments;
pub mod clip;
pub mod decisions;
mod drift;
pub mod editor;
mod edits;
pub mod form;
pub mod inspect;
mod keys;
pub mod merging;
pub mod pins;
mod recommend;
pub mod review;
pub mod revisions;
mod save;
pub mod search;
pub mod seen;
pub mod shadow;
mod show;
pub mod steps;
pub mod table;
pub mod text;
mod texts;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;

use self::editor::Editor;
pub(super) use self::inspect::show_pointer;
pub(super) use self::keys::{act, click, open, paste, quit, typing_key, wheel};
pub use self::pins::PinsFile;
pub use self::recommend::Reach;
pub use self::save::{Leftover, Saved};
pub(super) use self::save::{keep, layer_closed};
pub(super) use self::show::show_part;
use self::table::{Filter, Item, Table};
use super::field::Field;
use super::layer::{Ask, Layer, Then as LayerThen};
use super::{App, Effect, Kind};
use crate::mcp::tool::Tool;
use crate::policy::edit::{Edit, RuleDraft};
use crate::policy::model::RuleList;
use crate::policy::pins::Definition;
use crate::risk::Profile;
use crate::tui::action::{Context, When};

/// Which part of the screen has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The table.
    Table,
    /// The inspector.
    Inspector,
    /// The whole document as text.
    Raw,
}

/// The tools of one server, as a source gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// The command line, the URL or the file, without secrets.
    pub label: String,
    /// Its tools.
    pub tools: Arc<Vec<Tool>>,
    /// Its own policy file, where a source opens several servers.
    pub policy: Option<PathBuf>,
}

/// Where the tools come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loading {
    /// No source was given: attached gateways, else the policy, name them.
    NoSource,
    /// A source is being asked, with what it is doing.
    Running(String),
    /// The source answered.
    Done,
    /// The source failed.
    Failed(String),
}

/// What can happen to the policy, its file or the tools.
#[derive(Debug, Clone)]
pub enum PolicyMsg {
    /// The source says what it is doing.
    Loading(String),
    /// The source gave tools.
    Loaded(Arc<[Server]>),
    /// The source failed.
    LoadFailed(String),
    /// The file as it is now: its text, or `None` where there is none.
    Disk(Option<Arc<str>>),
    /// The file cannot be read, and why.
    Unreadable(String),
    /// Descriptions were searched: the query, and the tools that match.
    Described(u64, Arc<[u32]>),
    /// Writing the file ended.
    Saved(Saved),
    /// An earlier run left unsaved edits behind.
    Leftover(Leftover),
    /// The file of pins as it is now.
    Pins(PinsFile),
    /// The file of tests beside the policy as it is now.
    Tests(super::learn::cases::CasesFile),
    /// Accepting definitions ended.
    Accepted(Result<crate::catalog::pins::Accepted, String>),
    /// A large text was read, by its generation.
    Read(u64, Box<crate::policy::document::Parsed>),
    /// The shadow's file was written (`true`) or taken away, or not.
    ShadowDone(Result<bool, String>),
    /// The shadow's text.
    ShadowText(Result<Arc<str>, String>),
    /// What the file held before, the newest first.
    Revisions(Result<Vec<crate::revisions::Entry>, String>),
    /// The text of one of these, and what a roll back to it is called.
    Revision(String, Result<Arc<str>, String>),
}

/// What the runtime is to do for this screen.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyEffect {
    /// Open another policy file and watch it.
    Open(PathBuf),
    /// Search the descriptions of these tools; answer with the number.
    Describe {
        /// Names the search; older answers are ignored.
        number: u64,
        /// What to find.
        query: String,
    },
    /// Open the file in `$EDITOR`, at a line.
    Editor(PathBuf, usize),
    /// Write the file, if it holds what is expected; answer how it ended.
    Save {
        /// The file.
        path: PathBuf,
        /// What it is to hold.
        text: Arc<str>,
        /// What it holds now; `None`: there is no file.
        expected: Option<Arc<str>>,
        /// Who saves.
        by: String,
        /// What was done, in a few words.
        what: String,
    },
    /// Write the draft where gateways look for a shadow; without a text, take it away. Answer.
    Shadow {
        /// The file.
        path: PathBuf,
        /// What it is to hold.
        text: Option<Arc<str>>,
    },
    /// Read the text of a shadow.
    ReadShadow(PathBuf),
    /// List what a file held before.
    Revisions(PathBuf),
    /// Read the text of a revision.
    Revision {
        /// The digest of its text.
        sha256: String,
        /// What a roll back to it is called.
        label: String,
    },
    /// Accept definitions as a policy's pins; answer how it ended.
    Accept {
        /// The policy, beside which the pins lie.
        policy: PathBuf,
        /// What is accepted.
        definitions: Vec<Definition>,
        /// By whom.
        by: String,
        /// When.
        at: crate::time::Timestamp,
    },
    /// Keep unsaved edits where a crash cannot reach them.
    Keep {
        /// Whose.
        path: PathBuf,
        /// The text.
        text: Arc<str>,
    },
    /// Read a large text; answer with its generation.
    Read(u64, Arc<str>),
    /// Nothing is unsaved any more: what was kept may go.
    Forget(PathBuf),
    /// What an earlier run kept may go.
    DropLeftover(String),
}

/// What follows from an answer in a dialog of this screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// Narrow the table, or show all again.
    Filter(Option<Filter>),
    /// Use this path of an argument in the condition's form.
    PickPath(String),
    /// Begin the rule's form with a rule that is known to stop an attack.
    PickRule(RuleList, Box<RuleDraft>),
    /// Ask a gateway to freeze.
    Freeze {
        /// The server, or all.
        server: Option<String>,
        /// The grant, or all.
        grant: Option<String>,
        /// The tool, or all.
        tool: Option<String>,
        /// Why.
        reason: String,
    },
    /// Change the document.
    Edit(Box<Edit>),
    /// Accept these definitions.
    Accept(Arc<[Definition]>),
    /// Apply the recommended rules.
    Recommend(Reach, Profile),
    /// The file changed on disk: bring both changes together.
    Merge,
    /// A conflict of that is decided; `None`: the one before is asked again.
    Resolve(Option<crate::policy::edit::merge::Choice>),
    /// Something about the shadow.
    Shadow(shadow::Do),
    /// Show what differs from what was accepted of these.
    SeeDrift(Arc<[Definition]>),
    /// Show what differs from an earlier revision.
    SeeRevision {
        /// The digest of its text.
        sha256: String,
        /// What a roll back to it is called.
        label: String,
    },
    /// The file changed on disk: keep the edits.
    KeepMine,
    /// The file changed on disk: take it over.
    TakeTheirs,
    /// The file changed on disk: show the difference.
    SeeTheirs,
    /// Put kept edits into the document.
    Restore(Box<Leftover>),
    /// Throw kept edits away.
    DropLeftover(String),
}

/// A search that is typed or stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// What is searched.
    pub field: Field,
    /// Keys go to the field.
    pub typing: bool,
}

/// The Policy screen.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct PolicyScreen {
    /// The policy file, as people wrote its path.
    pub path: PathBuf,
    /// The document; `None` until the file was read.
    pub editor: Option<Editor>,
    /// Why the file cannot be read.
    pub unreadable: Option<String>,
    /// Where the tools come from.
    pub loading: Loading,
    /// The servers of the source.
    pub servers: Arc<[Server]>,
    /// The shown server, an index.
    pub server: usize,
    /// The rows.
    pub table: Table,
    /// Which part has the keys.
    pub focus: Focus,
    /// The search.
    pub search: Search,
    /// What the table is narrowed to.
    pub filter: Option<Filter>,
    /// The inspector's selected line.
    pub part: usize,
    /// The inspector's first drawn line.
    pub part_top: usize,
    /// The document as text: the cursor and what is shown.
    pub raw: text::TextPane,
    /// The command line of `$EDITOR` is known.
    pub has_editor: bool,
    /// The person asked for the raw text; it was not opened because of errors.
    pub raw_wanted: bool,
    /// The file's text, or its absence, that differs from what the unsaved edits began from.
    pub theirs: Option<Option<Arc<str>>>,
    /// What people accepted of the tools' definitions.
    pub pins: PinsFile,
    /// The servers of attached gateways whose policy is this file.
    pub enforced_by: Vec<String>,
    /// A merge whose conflicts are being chosen.
    pub merging: Option<Box<merging::Merging>>,
    theirs_offered: bool,
    /// The person chose a row; until then the most severe tool is selected.
    pub(super) touched: bool,
    quit_when_saved: bool,
    /// Where the shown tools came from.
    listing: Option<tools::Listing>,
    /// The text of the shadow that was taken over, until it is saved.
    promoted: Option<Arc<str>>,
    /// What was copied, to be put into other tools.
    pub clip: Option<clip::Clip>,
    /// The recorded calls of the tool of the open form.
    pub seen: Arc<seen::Seen>,
    /// The generation of the text that is being read away from the keys.
    reading: Option<u64>,
    /// What was last kept for a crash: the text's generation, and whether it was unsaved.
    kept: Option<(u64, bool)>,
    select: Option<String>,
    describing: u64,
}

/// Tools up to this number have their descriptions searched at once.
const DESCRIBE_AT_ONCE: usize = 3_000;

impl PolicyScreen {
    /// An empty screen; nothing has been read yet.
    pub fn new(path: PathBuf, select: Option<String>, loading: bool, has_editor: bool) -> Self {
        let loading = if loading { Loading::Running("starting".to_owned()) } else { Loading::NoSource };
        Self {
            path,
            editor: None,
            unreadable: None,
            loading,
            servers: Arc::from([]),
            server: 0,
            table: Table::default(),
            focus: Focus::Table,
            search: Search::default(),
            filter: None,
            part: 0,
            part_top: 0,
            raw: text::TextPane::default(),
            reading: None,
            promoted: None,
            clip: None,
            seen: Arc::default(),
            has_editor,
            raw_wanted: false,
            theirs: None,
            merging: None,
            pins: PinsFile::Missing,
            enforced_by: Vec::new(),
            theirs_offered: false,
            touched: false,
            quit_when_saved: false,
            kept: None,
            listing: None,
            select,
            describing: 0,
        }
    }

    /// The stack of contexts, the innermost first.
    pub(super) fn place(&self) -> Vec<Context> {
        match self.focus {
            Focus::Table => vec![Context::Policy, Context::Tool, Context::List, Context::Global],
            Focus::Inspector => vec![Context::Inspector, Context::Tool, Context::List, Context::Global],
            Focus::Raw if self.raw.typing => vec![Context::Typing],
            Focus::Raw => vec![Context::Raw, Context::List, Context::Global],
        }
    }

    /// Whether Enter leads anywhere.
    pub(super) fn can_open(&self) -> bool {
        if self.focus == Focus::Raw { self.editor.is_some() } else { self.table.item().is_some() }
    }

    /// Whether Esc leads anywhere: out of a pane, a search, marks or a filter.
    pub(super) fn can_go_back(&self) -> bool {
        let narrowed = !self.search.field.is_empty() || self.filter.is_some();
        self.focus != Focus::Table || narrowed || !self.table.marked.is_empty()
    }

    /// Whether a spinner turns.
    pub fn is_loading(&self) -> bool {
        matches!(self.loading, Loading::Running(_))
    }

    /// Whether the document differs from its file.
    pub fn is_unsaved(&self) -> bool {
        self.editor.as_ref().is_some_and(Editor::is_unsaved)
    }

    /// The server whose tools are shown.
    pub fn current(&self) -> Option<&Server> {
        self.servers.get(self.server)
    }

    /// Calls and denials of a tool at the gateways that enforce this policy.
    pub fn calls(&self, feeds: &super::Feeds, tool: &str) -> Option<(u64, u64)> {
        let calls = self.enforced_by.iter().filter_map(|server| feeds.calls(server, tool));
        calls.map(|it| (it.calls, it.denies)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// The file's name without its folders.
    pub fn file_name(&self) -> String {
        let name =
            self.path.file_name().map_or_else(|| self.path.to_string_lossy(), |name| name.to_string_lossy());
        crate::visible::visible(&name).into_owned()
    }
}

/// Takes in what happened.
pub(super) fn update(app: &mut App, msg: PolicyMsg, effects: &mut Vec<Effect>) {
    match msg {
        PolicyMsg::Loading(what) => app.policy.loading = Loading::Running(what),
        PolicyMsg::Loaded(servers) => {
            app.policy.loading = Loading::Done;
            app.policy.servers = servers;
            app.policy.server = 0;
            app.policy_tools_changed();
            if let Some(path) = app.policy.current().and_then(|server| server.policy.clone()) {
                keys::open(app, path, effects);
            }
        }
        PolicyMsg::LoadFailed(why) => {
            app.policy.loading = Loading::Failed(why.clone());
            app.policy_tools_changed();
            // Beside tools that the policy names, the list has no room for all of it.
            if !app.policy.table.tools().is_empty() {
                app.toast(Kind::Bad, why);
            }
        }
        PolicyMsg::Disk(text) => save::disk(app, text),
        PolicyMsg::Saved(saved) => save::saved(app, saved, effects),
        PolicyMsg::Leftover(left) => save::leftover(app, left, effects),
        PolicyMsg::Pins(file) => {
            app.policy.pins = file;
            app.policy_show_now(false);
        }
        PolicyMsg::Tests(file) => app.learn.cases.read(file),
        PolicyMsg::Accepted(done) => pins::accepted(app, &done),
        PolicyMsg::Read(generation, parsed) => texts::read(app, generation, *parsed),
        PolicyMsg::ShadowDone(done) => shadow::written(app, done),
        PolicyMsg::ShadowText(text) => shadow::promote(app, text, effects),
        PolicyMsg::Revisions(entries) => revisions::listed(app, entries),
        PolicyMsg::Revision(label, text) => revisions::text(app, label, text),
        PolicyMsg::Unreadable(why) => app.policy.unreadable = Some(why),
        PolicyMsg::Described(number, hits) => {
            if number == app.policy.describing {
                let filter = app.policy.filter;
                let keep = tools::keeper(app.policy.editor.as_ref(), &app.policy.pins, filter);
                app.policy.table.add_described(&hits, keep.as_deref());
                drop(keep);
                app.policy_scroll();
            }
        }
    }
}

/// Leaves, whatever is unsaved.
pub(super) fn discard_and_quit(app: &mut App, effects: &mut Vec<Effect>) {
    app.leaving = true;
    effects.push(Effect::Policy(PolicyEffect::Forget(app.policy.path.clone())));
    effects.push(Effect::Quit);
}

/// Saves, then leaves.
pub(super) fn save_and_quit(app: &mut App, effects: &mut Vec<Effect>) {
    match app.can_save() {
        When::Now => save::save(app, true, effects),
        When::Not(why) => app.toast(Kind::Warn, why),
    }
}

/// What follows from an answer.
pub(super) fn then(app: &mut App, then: Then, effects: &mut Vec<Effect>) {
    match then {
        Then::Filter(filter) => {
            app.policy.filter = filter;
            app.policy_show(false, effects);
        }
        Then::PickPath(path) => form::pick_path(app, &path),
        Then::PickRule(list, rule) => form::pick_rule(app, list, *rule),
        Then::Freeze { server, grant, tool, reason } => {
            form::freeze(app, form::FreezeScope { server, grant, tool }, reason, effects);
        }
        Then::Edit(edit) => {
            app.edit(&edit);
        }
        Then::Accept(definitions) => pins::accept(app, &definitions, effects),
        Then::Recommend(reach, profile) => recommend::apply(app, reach, profile),
        Then::Shadow(what) => shadow::act(app, what, effects),
        Then::SeeDrift(definitions) => drift::see(app, definitions),
        Then::Merge => merging::begin(app),
        Then::Resolve(choice) => merging::resolve(app, choice),
        Then::SeeRevision { sha256, label } => revisions::see(sha256, label, effects),
        Then::KeepMine => save::keep_mine(app),
        Then::TakeTheirs => save::take_theirs(app),
        Then::SeeTheirs => save::see_theirs(app),
        Then::Restore(left) => save::restore(app, *left, effects),
        Then::DropLeftover(name) => effects.push(Effect::Policy(PolicyEffect::DropLeftover(name))),
    }
}

impl App {
    /// A gateway came or said which policies it enforces.
    pub(super) fn policy_attached(&mut self) {
        self.policy.enforced_by = tools::enforcing(self);
        if self.policy.loading == Loading::NoSource {
            self.policy_tools_changed();
        }
    }

    /// The tools may be others now: the source, a gateway or the policy changed.
    pub(super) fn policy_tools_changed(&mut self) {
        let rows = tools::rows(self);
        let Some(rows) = rows else { return };
        let selected = self.policy.table.selected_tool().map(|row| Arc::clone(&row.name));
        let selected = selected.filter(|_| self.policy.touched);
        self.policy.table.set_tools(rows);
        self.policy.listing = Some(tools::listing(self));
        self.policy_show_now(false);
        let wanted = self.policy.select.take().filter(|_| !self.policy.touched);
        let named = wanted.is_some();
        let found = wanted.as_deref().is_some_and(|name| self.policy.table.select(name))
            || selected.as_deref().is_some_and(|name| self.policy.table.select(name));
        // Until a key is pressed, what was asked for stays asked for: the tools come more than once.
        self.policy.select.clone_from(&wanted);
        if !found && !self.policy.touched {
            self.policy.table.select_first_tool();
        }
        if named && found {
            let rows = crate::tui::view::layout::policy(self).rows();
            self.policy.table.center(rows);
        }
        self.policy_scroll();
    }

    fn policy_show_now(&mut self, best: bool) -> bool {
        let query = self.policy.search.field.text().to_owned();
        let keep = tools::keeper(self.policy.editor.as_ref(), &self.policy.pins, self.policy.filter);
        self.policy.table.show(&query, keep.as_deref(), best);
        let searching = !query.trim().is_empty();
        if searching && self.policy.table.tools().len() <= DESCRIBE_AT_ONCE {
            let tools = self.policy.table.shared();
            let hits = search::containing((0u32..).zip(tools.iter().map(table::ToolRow::words)), &query);
            self.policy.table.add_described(&hits, keep.as_deref());
        }
        drop(keep);
        self.policy.part = 0;
        self.policy.part_top = 0;
        searching
    }

    /// Shows what the search and the filter leave.
    pub(super) fn policy_show(&mut self, best: bool, effects: &mut Vec<Effect>) {
        let searching = self.policy_show_now(best);
        self.policy.describing += 1;
        if searching && self.policy.table.tools().len() > DESCRIBE_AT_ONCE {
            effects.push(Effect::Policy(PolicyEffect::Describe {
                number: self.policy.describing,
                query: self.policy.search.field.text().to_owned(),
            }));
        }
        self.policy_scroll();
    }

    /// Keeps what is selected in view.
    pub(super) fn policy_scroll(&mut self) {
        let areas = crate::tui::view::layout::policy(self);
        self.policy.table.scroll(areas.rows());
    }

    pub(crate) fn can_undo(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        let label = self.policy.editor.as_ref().and_then(Editor::undo_label);
        When::if_so(label.is_some(), "there is nothing to undo")
    }

    pub(crate) fn can_redo(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        let label = self.policy.editor.as_ref().and_then(Editor::redo_label);
        When::if_so(label.is_some(), "there is nothing to redo")
    }

    pub(crate) fn can_open_editor(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        if self.policy.is_unsaved() {
            return When::Not("save first: your editor opens the file".to_owned());
        }
        When::if_so(self.policy.has_editor, "neither VISUAL nor EDITOR is set")
    }

    pub(crate) fn has_servers(&self) -> When {
        When::if_so(self.policy.servers.len() > 1, "there is one server")
    }

    pub(crate) fn can_mark(&self) -> When {
        When::if_so(matches!(self.policy.table.item(), Some(Item::Tool(_))), "only tools can be selected")
    }

    pub(crate) fn can_mark_all(&self) -> When {
        When::if_so(!self.policy.table.tools().is_empty(), "there are no tools")
    }
}

/// Asks before leaving with something unsaved.
fn ask_quit(app: &mut App) {
    let edits = app.policy.editor.as_ref().map_or(0, Editor::edits);
    let name = app.policy.file_name();
    let body = vec![match edits {
        0 => format!("{name} has no file any more."),
        1 => format!("One edit of {name} is not saved."),
        many => format!("{many} edits of {name} are not saved."),
    }];
    let answers = vec![
        ('s', "save and quit", LayerThen::SaveAndQuit),
        ('d', "discard and quit", LayerThen::Discard),
        ('c', "stay", LayerThen::Nothing),
    ];
    app.layers.push(Layer::Ask(Ask::new("Quit?", body, answers)));
}

/// Says that something was taken back or done again.
fn travelled(app: &mut App, word: &str, done: Option<(String, Option<String>)>) {
    if let Some((label, row)) = done {
        app.policy_tools_changed();
        if let Some(row) = row {
            app.policy.table.select(&row);
        }
        texts::follow(app, word == "undone");
        app.policy_scroll();
        app.toast(Kind::Info, format!("{word}: {label}"));
    }
}
