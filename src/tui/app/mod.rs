//! The state of the terminal interface and how it changes: `update(&mut App, Msg, Now)` answers with
//! effects as data. Pure: no file, socket, clock or terminal is known here.
//!
//! | part | is |
//! |---|---|
//! | [`layer`] | dialogs, a stack; the top one gets keys first |
//! | [`field`] | a one-line text field |
//! | [`feeds`] | what the attached gateways said, shared by the screens |
//! | [`policy`] | the Policy screen: table, inspector, editor |
//! | [`live`] | the Live screen: rows as they come, filter, detail |
//! | [`counters`] | the Counters screen: limits as gauges |
//! | [`approvals`] | the Approvals screen: calls that wait for a person |
//! | [`health`] | the Health screen: gateways and what needs a look |
//! | [`impact`] | what edits would have changed of recorded decisions |
//! | [`acting`] | what is done about a row: a rule from it, copies, exports |
//! | [`overrides`] | temporary rules: set, shown, ended |
//! | [`asks`] | what gateways were asked, until it is known which took it |
//! | [`learn`] | learning from traffic, testing, explaining |
//! | `route` | which part gets a key or a click |
//!
//! A new screen is a variant of [`Screen`] (listed in [`Screen::SHOWN`] once it works), a field of
//! [`App`], a context with its actions in `action/`, an arm in `route::act` and one in `view::draw`.

pub mod acting;
pub mod approvals;
pub mod asks;
pub mod counters;
pub mod feeds;
pub mod field;
pub mod health;
pub mod impact;
pub mod layer;
pub mod learn;
pub mod live;
pub mod overrides;
pub mod policy;
mod route;
pub mod toast;

use std::path::PathBuf;
use std::sync::Arc;

use ratatui::layout::Rect;

pub use self::feeds::{FeedMsg, Feeds, Row, Source};
use self::layer::Layer;
use self::live::LiveScreen;
use self::policy::PolicyScreen;
use self::toast::{Kind, Toasts};
use super::action::{Action, Context, When};
use super::key::Key;
use super::keymap::Keymap;
use super::theme::Theme;
use crate::feed::message::Ask;
use crate::time::Timestamp;

/// The smallest terminal that screens are drawn on.
pub const MIN_SIZE: (u16, u16) = (40, 10);

/// The time, as given by the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The wall clock.
    pub ts: Timestamp,
    /// Milliseconds that only ever grow, for timers.
    pub ms: u64,
}

/// The screens, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Screen {
    /// The editor.
    Policy,
    /// Decisions as they come.
    Live,
    /// Limits as gauges.
    Counters,
    /// Calls that wait for a person.
    Approvals,
    /// Gateways and what needs a look.
    Health,
}

impl Screen {
    /// Those that have a tab.
    pub const SHOWN: &[Self] = &[Self::Policy, Self::Live, Self::Counters, Self::Approvals, Self::Health];

    /// Its name on the tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Policy => "Policy",
            Self::Live => "Live",
            Self::Counters => "Counters",
            Self::Approvals => "Approvals",
            Self::Health => "Health",
        }
    }

    /// Its name where there is little room.
    pub fn short(self) -> &'static str {
        match self {
            Self::Policy => "Pol",
            Self::Live => "Live",
            Self::Counters => "Cnt",
            Self::Approvals => "Appr",
            Self::Health => "Hlth",
        }
    }

    /// The action that shows it.
    pub fn action(self) -> Action {
        match self {
            Self::Policy => Action::ScreenPolicy,
            Self::Live => Action::ScreenLive,
            Self::Counters => Action::ScreenCounters,
            Self::Approvals => Action::ScreenApprovals,
            Self::Health => Action::ScreenHealth,
        }
    }
}

/// A mouse event, in cells from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The left button went down.
    Click {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
    },
    /// The wheel turned; negative is up.
    Wheel {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
        /// Steps.
        steps: i32,
    },
}

/// What a place on the screen stands for, for the mouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    /// A screen's tab.
    Tab(Screen),
    /// A key in the footer.
    Action(Action),
    /// A row of the screen's list, by its index in what is shown.
    Row(usize),
    /// A column of the time axis, by the second at which it begins.
    Time(i64),
    /// A line of the inspector, by its index.
    Part(usize),
    /// A row of the top dialog.
    Item(usize),
    /// The whole of the screen's list, for the wheel.
    List,
    /// The whole of the inspector, for the wheel.
    Inspector,
    /// The whole of the top dialog: a click beside it closes nothing.
    Dialog,
}

/// Everything that can happen.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used.
    Mouse(Mouse),
    /// The terminal has another size, in columns and rows.
    Resize(u16, u16),
    /// What the last drawn frame stands for.
    Drawn(Arc<[(Rect, Hit)]>),
    /// Time passed.
    Tick,
    /// Something from a gateway.
    Feed(FeedMsg),
    /// Something about the policy, its file or the tools.
    Policy(policy::PolicyMsg),
    /// Tests were run, or records were learnt from.
    Learn(learn::LearnMsg),
    /// Something was heard of a question about recorded calls.
    Impact(impact::ImpactMsg),
    /// Something was heard of what recorded calls say of each rule.
    Health(health::recorded::HealthMsg),
    /// Older rows, or what is kept for the Live screen.
    Live(live::LiveMsg),
    /// Something that was done about a row ended.
    Acting(acting::ActingMsg),
    /// A signal asks the program to end; nothing typed may be lost.
    Terminate,
    /// An effect had something to say.
    Note(Kind, String),
}

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Forget what is on the terminal and draw everything.
    Redraw,
    /// Ring the terminal's bell.
    Bell,
    /// Tell the desktop, where the terminal passes that on.
    Desktop(String),
    /// Switch the mouse on or off.
    Mouse(bool),
    /// Put text on the person's clipboard.
    Copy(String),
    /// Ask a gateway something.
    Ask(Source, Box<Ask>),
    /// Something about the policy and its file.
    Policy(policy::PolicyEffect),
    /// Run tests, or learn from records.
    Learn(learn::LearnEffect),
    /// Answer a question about recorded calls, or give it up.
    Impact(impact::ImpactEffect),
    /// Look recorded calls through for the Health screen, or give that up.
    Health(health::recorded::HealthEffect),
    /// Older rows, or what is kept for the Live screen.
    Live(live::LiveEffect),
    /// Something about a row.
    Acting(acting::ActingEffect),
}

/// The whole state.
#[derive(Debug, Clone)]
pub struct App {
    /// The terminal's size in columns and rows.
    pub size: (u16, u16),
    /// The last time that was given.
    pub now: Now,
    /// The screen that is shown.
    pub screen: Screen,
    /// Open dialogs, the top one last.
    pub layers: Vec<Layer>,
    /// Keys of a sequence that is not complete.
    pub pending: Vec<Key>,
    /// What keys do.
    pub keymap: Keymap,
    /// How things look.
    pub theme: Theme,
    /// Short messages about what happened.
    pub toasts: Toasts,
    /// What the gateways said.
    pub feeds: Feeds,
    /// The Policy screen.
    pub policy: PolicyScreen,
    /// Tests, suggestions, explanations.
    pub learn: learn::Learn,
    /// The Live screen.
    pub live: LiveScreen,
    /// Every limit that was seen.
    pub counters: counters::Counters,
    /// The Counters screen.
    pub counters_screen: counters::CountersScreen,
    /// The Approvals screen.
    pub approvals: approvals::Approvals,
    /// The Health screen.
    pub health: health::HealthScreen,
    /// What edits would have changed.
    pub impact: impact::Impact,
    /// What is being done about a row.
    pub acting: acting::Acting,
    /// What gateways were asked and have not settled.
    pub asks: asks::Asks,
    /// What the last frame stands for.
    pub hits: Arc<[(Rect, Hit)]>,
    /// Whether the mouse is captured.
    pub mouse: bool,
    /// Refuse everything that changes something.
    pub read_only: bool,
    /// Who sets freezes: the user's name.
    pub user: String,
    /// Begins the ids that this program gives.
    seed: String,
    /// How many it gave.
    ids: u64,
    /// Shown at the top left instead of the program's name.
    pub title: Option<String>,
    /// The program is leaving.
    pub leaving: bool,
}

/// What an [`App`] starts from.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct Start {
    /// The policy file's path, as people wrote it.
    pub path: PathBuf,
    /// How things look.
    pub theme: Theme,
    /// What keys do.
    pub keymap: Keymap,
    /// Refuse everything that changes something.
    pub read_only: bool,
    /// The user's name.
    pub user: String,
    /// Shown at the top left instead of the program's name.
    pub title: Option<String>,
    /// The tool to select at first.
    pub select: Option<String>,
    /// Whether tools are being loaded from a source.
    pub loading: bool,
    /// The command line of `$EDITOR` is known.
    pub has_editor: bool,
    /// Where the person is, for times of day.
    pub tz: jiff::tz::TimeZone,
    /// Begins the ids that this program gives: no other run may have the same.
    pub seed: String,
    /// Whether the terminal's bell rings when a call waits for a person.
    pub bell: bool,
}

impl App {
    /// A new state; nothing has been read yet.
    pub fn new(start: Start, size: (u16, u16), now: Now) -> Self {
        Self {
            size,
            now,
            screen: Screen::Policy,
            layers: Vec::new(),
            pending: Vec::new(),
            keymap: start.keymap,
            theme: start.theme,
            toasts: Toasts::default(),
            feeds: Feeds::default(),
            policy: PolicyScreen::new(start.path, start.select, start.loading, start.has_editor),
            learn: learn::Learn::default(),
            live: LiveScreen::new(live::ring::Bounds::default(), start.tz),
            counters: counters::Counters::default(),
            counters_screen: counters::CountersScreen::default(),
            approvals: approvals::Approvals::new(start.bell),
            health: health::HealthScreen::default(),
            impact: impact::Impact::default(),
            acting: acting::Acting::default(),
            asks: asks::Asks::default(),
            hits: Arc::from([]),
            mouse: true,
            read_only: start.read_only,
            user: start.user,
            seed: start.seed,
            ids: 0,
            title: start.title,
            leaving: false,
        }
    }

    /// Where keys go now: the stack of contexts, the innermost first.
    pub fn place(&self) -> Vec<Context> {
        if let Some(layer) = self.layers.last() {
            return layer.place();
        }
        match self.screen {
            Screen::Policy => self.policy.place(),
            Screen::Live => vec![Context::Live, Context::List, Context::Global],
            Screen::Counters => vec![Context::Counters, Context::List, Context::Global],
            Screen::Approvals => vec![Context::Approvals, Context::List, Context::Global],
            Screen::Health => vec![Context::Health, Context::List, Context::Global],
        }
    }

    /// When something on the screen changes by time alone, in milliseconds of [`Now::ms`]; `None`:
    /// never.
    pub fn wakes_at(&self) -> Option<u64> {
        let clock = self.feeds.has_news_by_time().then(|| self.now.ms.saturating_add(1000));
        let spin = self.policy.is_loading().then(|| self.now.ms.saturating_add(100));
        // A filter looks through older rows in steps, so that keys are answered between them.
        let search = self.live.live.is_working().then_some(self.now.ms);
        [clock, spin, search, self.toasts.next_end(), self.asks.next_end()].into_iter().flatten().min()
    }

    /// Whether the terminal is too small to draw on.
    pub fn too_small(&self) -> bool {
        self.size.0 < MIN_SIZE.0 || self.size.1 < MIN_SIZE.1
    }

    /// Whether an action can be done here and now.
    pub fn when(&self, action: Action) -> When {
        let Some(entry) = super::action::entry(action) else {
            return When::Not("unknown".to_owned());
        };
        (entry.when)(self)
    }

    /// Says something for a few seconds.
    pub fn toast(&mut self, kind: Kind, text: impl Into<String>) {
        self.toasts.push(kind, text.into(), self.now.ms);
    }

    /// Tells the lists how many rows fit now.
    fn fit_lists(&mut self) {
        let body = super::view::layout::frame(self).body;
        self.live.live.count_time(self.live.shows_strip(body.height));
        self.live.live.set_height(super::view::live::rows_in(body, &self.live));
        self.live.pane = super::view::live::pane_of(body);
        if self.screen == Screen::Counters {
            self.counters_screen.height = super::view::counters::rows_in(body, self.counters_screen.whole);
            self.settle_counters();
        }
        let (rows, pane) = super::view::approvals::sizes(body, self.approvals.whole);
        self.approvals.pane = pane;
        self.approvals.set_height(rows);
        if self.screen == Screen::Approvals {
            let ring = &self.live.live.ring;
            let earlier = self.approvals.selected().map(|entry| approvals::earlier::earlier(ring, entry));
            self.approvals.earlier = earlier.unwrap_or_default();
        }
        if self.screen == Screen::Health {
            let (height, pane) = super::view::health::sizes(body, self.health.whole);
            health::rules::look(self);
            let rows = health::rows(self);
            self.health.height = height;
            self.health.pane = pane;
            self.health.settle(&rows);
        }
    }

    #[expect(clippy::unused_self, reason = "the table takes methods of the state")]
    pub(crate) fn has_screens(&self) -> When {
        When::if_so(Screen::SHOWN.len() > 1, "there is one screen")
    }

    pub(crate) fn can_open(&self) -> When {
        let here = match self.screen {
            _ if !self.layers.is_empty() => learn::cases::can_go_in(self),
            Screen::Policy => self.policy.can_open(),
            Screen::Live => self.live.live.count() > 0 || self.live.pivot.is_some(),
            Screen::Counters => !self.counters.is_empty(),
            Screen::Approvals => self.approvals.selected().is_some(),
            Screen::Health => self.health.selected.is_some(),
        };
        When::if_so(here, "there is nothing to open here")
    }

    pub(crate) fn can_go_back(&self) -> When {
        let here = match self.screen {
            _ if !self.layers.is_empty() => true,
            Screen::Policy => self.policy.can_go_back(),
            Screen::Live => true,
            Screen::Counters => self.counters_screen.whole,
            Screen::Approvals => self.approvals.whole,
            Screen::Health => self.health.whole,
        };
        When::if_so(here, "there is nothing to go back from")
    }

    /// An id that nothing else has.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.seed, self.ids)
    }

    pub(crate) fn can_freeze(&self) -> When {
        if self.read_only {
            return When::Not("started with --read-only".to_owned());
        }
        When::if_so(self.feeds.operators().next().is_some(), "no gateway is attached where you are operator")
    }

    pub(crate) fn can_unfreeze(&self) -> When {
        match self.can_freeze() {
            When::Now => When::if_so(self.feeds.freezes(self.now.ts).next().is_some(), "nothing is frozen"),
            not @ When::Not(_) => not,
        }
    }
}

/// Changes the state by one message and answers with what is to be done.
pub fn update(app: &mut App, msg: Msg, now: Now) -> Vec<Effect> {
    app.now = now;
    let mut effects = Vec::new();
    let body = super::view::layout::frame(app).body;
    app.toasts.expire(now.ms);
    match msg {
        Msg::Key(key) => route::key(app, key, &mut effects),
        Msg::Paste(text) => route::paste(app, &text, &mut effects),
        Msg::Mouse(mouse) => route::mouse(app, mouse, &mut effects),
        Msg::Resize(width, height) => {
            app.size = (width, height);
            app.policy_scroll();
        }
        Msg::Drawn(hits) => app.hits = hits,
        Msg::Tick => {
            app.live.live.work();
        }
        Msg::Feed(msg) => feeds::update(app, &msg, &mut effects),
        Msg::Policy(msg) => {
            policy::update(app, msg, &mut effects);
            acting::resume(app, &mut effects);
        }
        Msg::Acting(msg) => acting::update(app, msg, &mut effects),
        Msg::Learn(msg) => learn::update(app, msg),
        Msg::Impact(msg) => policy::review::heard(app, msg),
        Msg::Health(msg) => health::recorded::update(app, msg),
        Msg::Live(msg) => live::news::update(app, msg),
        Msg::Terminate => {
            app.leaving = true;
            effects.push(Effect::Quit);
        }
        Msg::Note(kind, text) => app.toast(kind, text),
    }
    asks::settle(app);
    app.warn_of_limits();
    policy::keep(app, &mut effects);
    learn::keep(app, &mut effects);
    impact::watch(app, &mut effects);
    health::recorded::ask(app, &mut effects);
    if super::view::layout::frame(app).body != body {
        app.policy_scroll();
    }
    app.fit_lists();
    live::news::ask(app, &mut effects);
    effects
}
