//! The terminal, the loop and the effects: everything of the interface that is not pure.

mod acting;
pub mod feed;
mod files;
mod health;
mod impact;
mod input;
mod keep;
mod learn;
mod live;
mod recorded;
pub(super) mod redraw;
mod signals;
pub(super) mod terminal;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::files::Watch;
use self::impact::Worker;
use self::input::Input;
use self::keep::Keep;
use self::redraw::Redraw;
use self::signals::{Signal, Signals};
use self::terminal::{Canvas, Guard};
use super::app::acting::{ActingEffect, ActingMsg};
use super::app::health::recorded::HealthEffect;
use super::app::live::ring::Bounds;
use super::app::policy::{PolicyEffect, PolicyMsg, Saved, Server, search, table::ToolRow};
use super::app::toast::Kind;
use super::app::{self, App, Effect, FeedMsg, Msg, Now, Start};
use super::keymap::Keymap;
use super::theme::{Depth, Theme, light_background, unicode_locale};
use crate::feed::client::{Feeds, SourceId};
use crate::paths::{Paths, user};
use crate::revisions::{By, Revisions};

/// Fetches tools, on a thread of its own; what it says is shown while it works.
pub type Loader = Box<dyn FnOnce(&dyn Fn(String)) -> Result<Vec<Server>, String> + Send>;

/// Where the tools come from.
pub enum Tools {
    /// Attached gateways, else the policy itself.
    Attached,
    /// They are here.
    Loaded(Vec<Server>),
    /// They are fetched.
    Loader(Loader),
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Attached => "Attached",
            Self::Loaded(_) => "Loaded",
            Self::Loader(_) => "Loader",
        })
    }
}

/// What the interface is started with.
#[derive(Debug)]
pub struct Options {
    /// The policy file; it need not exist.
    pub policy: PathBuf,
    /// Where the tools come from.
    pub tools: Tools,
    /// Whose decisions are shown; `None`: nobody's.
    pub feeds: Option<Feeds>,
    /// State, configuration and runtime folders.
    pub paths: Paths,
    /// Shown at the top left instead of the program's name.
    pub title: Option<String>,
    /// The tool that is selected at first.
    pub select: Option<String>,
    /// Refuse everything that changes something.
    pub read_only: bool,
    /// `--color`: always, never, or as the environment says.
    pub color: Option<bool>,
}

/// Why the interface could not run.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is no terminal.
    #[error("the terminal interface needs a terminal: standard {0} is none")]
    NoTerminal(&'static str),
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the interface until the person leaves.
///
/// # Errors
/// When there is no terminal or it fails. Whatever happens, the terminal is given back.
pub fn run(options: Options) -> Result<(), TuiError> {
    use std::io::IsTerminal;
    if !io::stdin().is_terminal() {
        return Err(TuiError::NoTerminal("input"));
    }
    if !io::stdout().is_terminal() {
        return Err(TuiError::NoTerminal("output"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(Loop::run(options));
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

struct Loop {
    app: App,
    canvas: Canvas,
    guard: Guard,
    input: Input,
    redraw: Redraw,
    began: Instant,
    inner: mpsc::Sender<Msg>,
    watch: Option<[Watch; 3]>,
    keep: Keep,
    /// Where journals lie.
    paths: Paths,
    revisions: Revisions,
    impact: Worker,
    health: health::Worker,
    feeds: Option<crate::feed::client::Handle>,
    live: Option<live::Worker>,
    quit: bool,
}

/// What woke the loop.
enum Woke {
    Input(usize),
    Inner,
    Feed(FeedMsg),
    Signal(Signal),
    Time,
}

impl Loop {
    #[expect(clippy::too_many_lines, reason = "the order in which everything starts")]
    async fn run(options: Options) -> Result<(), TuiError> {
        let var = |name: &str| std::env::var(name).ok();
        let depth = Depth::detect(options.color, &var);
        let theme = Theme::new(depth, light_background(&var), unicode_locale(&var));
        let (remapped, mut notes) = key_file(&options.paths.config.join("keys.json"));
        let (keymap, problems) = Keymap::with(&remapped);
        notes.extend(problems.into_iter().map(|text| format!("keys.json: {text}")));
        let start = Start {
            path: absolute(&options.policy),
            theme,
            keymap,
            read_only: options.read_only,
            user: var("USER").or_else(|| var("LOGNAME")).unwrap_or_else(user),
            title: options.title,
            select: options.select,
            loading: !matches!(options.tools, Tools::Attached),
            has_editor: editor_command().is_some(),
            tz: jiff::tz::TimeZone::system(),
            seed: seed(),
            bell: var("CALLGATE_BELL").is_none_or(|value| value != "off"),
        };

        // Before the terminal is changed: from here on a signal undoes that.
        let mut signals = Signals::new()?;
        let guard = Guard::enter(true)?;
        let size = crossterm::terminal::size()?;
        let began = Instant::now();
        let now = Now { ts: crate::clock::now(), ms: 0 };
        let (keys, mut input) = mpsc::channel(256);
        let (inner, mut messages) = mpsc::channel(256);
        let mut this = Self {
            app: App::new(start, size, now),
            canvas: Canvas::new(depth),
            guard,
            input: Input::start(keys),
            redraw: Redraw::default(),
            began,
            inner: inner.clone(),
            watch: None,
            keep: Keep::new(&options.paths.state),
            paths: options.paths.clone(),
            revisions: Revisions::new(&options.paths),
            impact: Worker::new(options.paths.clone(), inner.clone()),
            health: health::Worker::new(options.paths.clone(), inner),
            feeds: None,
            live: None,
            quit: false,
        };
        this.app.approvals.desktop = var("CALLGATE_DESKTOP").is_some_and(|value| value == "on");
        if let Some(value) = var("CALLGATE_WARN_AT") {
            match warn_at(&value) {
                Some(0) => this.app.counters_screen.warn_at = None,
                percent @ Some(_) => this.app.counters_screen.warn_at = percent,
                None => notes.push(format!("CALLGATE_WARN_AT is `{value}`: a percentage or `off` is needed")),
            }
        }
        if let Some(value) = var("CALLGATE_ROWS") {
            match value.trim().parse() {
                Ok(rows @ 100..=1_000_000) => {
                    this.app.live.live.ring.bound(Bounds { rows, ..Bounds::default() });
                }
                _ => {
                    notes.push(format!("CALLGATE_ROWS is `{value}`: a number from 100 to 1000000 is needed"));
                }
            }
        }
        for note in notes {
            this.take(Msg::Note(Kind::Warn, note));
        }
        // What is at hand already is on the first frame.
        this.take(Msg::Policy(files::read(&this.app.policy.path)));
        let pins = crate::catalog::pins::place(&this.app.policy.path);
        this.take(Msg::Policy(files::read_pins(&pins)));
        let tests = learn::beside(&this.app.policy.path);
        this.take(Msg::Policy(learn::read_tests(&tests)));
        match options.tools {
            Tools::Attached => {}
            Tools::Loaded(servers) => this.take(Msg::Policy(PolicyMsg::Loaded(servers.into()))),
            Tools::Loader(loader) => this.load(loader),
        }
        if !options.read_only
            && let Some(left) = this.keep.leftover(&this.app.policy.path)
        {
            this.take(Msg::Policy(PolicyMsg::Leftover(left)));
        }
        this.redraw.input(0);
        this.draw()?;
        this.open(this.app.policy.path.clone());

        let (ready, read) = tokio::sync::oneshot::channel();
        let journals = live::journals(&options.paths, options.feeds.as_ref());
        match live::Worker::start(options.paths.clone(), journals, this.inner.clone(), ready) {
            Ok(worker) => this.live = Some(worker),
            Err(error) => this.take(Msg::Note(Kind::Bad, format!("no journal can be read: {error}"))),
        }
        let mut said = None;
        if let Some(feeds) = options.feeds {
            match feed::start_after(feeds, read) {
                Ok((messages, handle)) => {
                    said = Some(messages);
                    this.feeds = Some(handle);
                }
                Err(error) => this.take(Msg::Note(Kind::Bad, format!("no gateway can be watched: {error}"))),
            }
        }
        let (mut typed, mut came) = (Vec::new(), Vec::new());
        while !this.quit {
            let due = this.redraw.at().into_iter().chain(this.app.wakes_at()).min();
            let woke = tokio::select! {
                biased;
                signal = signals.next() => Woke::Signal(signal),
                count = input.recv_many(&mut typed, 64) => Woke::Input(count),
                _ = messages.recv_many(&mut came, 64) => Woke::Inner,
                // One at a time: a key never waits behind a pile of records.
                Some(msg) = hear(&mut said) => Woke::Feed(msg),
                () = sleep_until(began, due) => Woke::Time,
            };
            match woke {
                Woke::Input(0) => break,
                Woke::Input(_) => {
                    for msg in typed.drain(..) {
                        this.take(msg);
                        if this.quit {
                            break;
                        }
                    }
                    let now = this.now().ms;
                    this.redraw.input(now);
                }
                Woke::Inner => {
                    for msg in came.drain(..) {
                        let msg = this.fresh(msg);
                        this.take(msg);
                    }
                    let now = this.now().ms;
                    this.redraw.input(now);
                }
                Woke::Feed(msg) => {
                    this.take(Msg::Feed(msg));
                    let now = this.now().ms;
                    this.redraw.stream(now);
                }
                Woke::Signal(Signal::End) => this.take(Msg::Terminate),
                Woke::Signal(Signal::Stop) => this.suspend()?,
                Woke::Signal(Signal::Continue) => this.come_back()?,
                Woke::Time => {
                    let now = this.now().ms;
                    if this.redraw.at().is_none_or(|due| due > now) {
                        this.take(Msg::Tick);
                        this.redraw.input(now);
                    }
                }
            }
            this.draw()?;
        }
        Ok(())
    }

    fn now(&self) -> Now {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { ts: crate::clock::now(), ms }
    }

    fn take(&mut self, msg: Msg) {
        let now = self.now();
        for effect in app::update(&mut self.app, msg, now) {
            self.perform(effect);
        }
    }

    /// What was read of the file before something was saved is old by now: it is read again.
    fn fresh(&self, msg: Msg) -> Msg {
        let known = self.app.policy.editor.as_ref().and_then(|editor| editor.disk());
        match &msg {
            Msg::Policy(PolicyMsg::Disk(text)) if text.as_ref() != known => {
                Msg::Policy(files::read(&self.app.policy.path))
            }
            _ => msg,
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let now = self.now();
        if !self.quit && self.redraw.take(now.ms) {
            self.app.now = now;
            let drawn = self.canvas.draw(&self.app)?;
            self.take(Msg::Drawn(drawn.hits));
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Quit => {
                // Nothing that was typed may be lost.
                self.keep.settle();
                self.quit = true;
            }
            Effect::Suspend => {
                let _ = self.suspend();
            }
            Effect::Bell => {
                use std::io::Write as _;
                let mut out = io::stdout();
                let _ = out.write_all(b"\x07").and_then(|()| out.flush());
            }
            Effect::Desktop(text) => {
                use std::io::Write as _;
                // A semicolon would begin a parameter of what some terminals make of this sequence.
                let text = crate::visible::visible(&text).replace(';', ",");
                let mut out = io::stdout();
                let _ = write!(out, "\x1b]9;{text}\x07").and_then(|()| out.flush());
            }
            Effect::Redraw => self.canvas.forget(),
            Effect::Mouse(on) => self.guard.mouse(on),
            Effect::Copy(text) => {
                let copy = crossterm::clipboard::CopyToClipboard::to_clipboard_from(text);
                let _ = crossterm::execute!(io::stdout(), copy);
            }
            Effect::Ask(source, ask) => {
                let of = ask.name();
                let asked = self.feeds.as_ref().is_some_and(|feeds| feeds.ask(SourceId(source), *ask));
                if !asked {
                    let why = "too much was asked at once: try again".to_owned();
                    self.take(Msg::Feed(FeedMsg::Reply(source, false, of.to_owned(), why)));
                }
            }
            Effect::Policy(effect) => self.perform_policy(effect),
            Effect::Learn(effect) => learn::perform(effect, &self.paths, self.inner.clone()),
            Effect::Impact(effect) => self.impact.perform(effect),
            Effect::Health(HealthEffect::Ask(question)) => self.health.ask(*question),
            Effect::Health(HealthEffect::Stop) => self.health.stop(),
            Effect::Live(effect) => {
                if !self.live.as_ref().is_some_and(|live| live.ask(effect)) {
                    self.take(Msg::Note(Kind::Bad, "too much was asked at once: try again".to_owned()));
                }
            }
            Effect::Acting(effect) => self.perform_acting(effect),
        }
    }

    /// Looks records up, or writes them, without holding back the screen.
    fn perform_acting(&mut self, effect: ActingEffect) {
        let (journal, out) = (self.paths.journal(), self.inner.clone());
        tokio::task::spawn_blocking(move || {
            let msg = match effect {
                ActingEffect::CopyRecord { gateway, seq, otherwise } => {
                    let (text, whole) = acting::record(&journal, &gateway, seq, otherwise);
                    let said = if whole { "the record" } else { "what is known of the record here" };
                    ActingMsg::Copied { text, what: said.to_owned() }
                }
                ActingEffect::CopyLink { gateway, seq } => {
                    let text = acting::link(&journal, &gateway, seq);
                    ActingMsg::Copied { what: crate::visible::visible(&text).into_owned(), text }
                }
                ActingEffect::Pin { policy, test } => {
                    let (file, done) = acting::pin(&policy, &test);
                    ActingMsg::Pinned { file, done }
                }
                ActingEffect::Export(export) => {
                    let outcome = acting::export(&journal, &export);
                    ActingMsg::Exported(export, outcome)
                }
            };
            let _ = out.blocking_send(Msg::Acting(msg));
        });
    }

    fn perform_policy(&mut self, effect: PolicyEffect) {
        match effect {
            PolicyEffect::Open(path) => self.open(path),
            PolicyEffect::Describe { number, query } => {
                let tools = self.app.policy.table.shared();
                let out = self.inner.clone();
                tokio::task::spawn_blocking(move || {
                    let hits = search::containing((0u32..).zip(tools.iter().map(ToolRow::words)), &query);
                    let _ = out.blocking_send(Msg::Policy(PolicyMsg::Described(number, hits.into())));
                });
            }
            PolicyEffect::Editor(path, line) => self.edit(&path, line),
            PolicyEffect::Save { path, text, expected, by, what } => {
                let saved = files::save(&path, &text, expected.as_deref());
                if matches!(saved, Saved::Done(_)) {
                    self.remember(&path, &text, expected.as_deref(), (&by, &what));
                }
                self.take(Msg::Policy(PolicyMsg::Saved(saved)));
            }
            PolicyEffect::Shadow { path, text } => {
                let done = files::shadow(&path, text.as_deref());
                self.take(Msg::Policy(PolicyMsg::ShadowDone(done)));
            }
            PolicyEffect::ReadShadow(path) => {
                let text = std::fs::read_to_string(&path).map(Arc::from).map_err(|error| error.to_string());
                self.take(Msg::Policy(PolicyMsg::ShadowText(text)));
            }
            PolicyEffect::Revisions(path) => {
                let entries = self.revisions.list(&path).map_err(|error| error.to_string());
                self.take(Msg::Policy(PolicyMsg::Revisions(entries)));
            }
            PolicyEffect::Revision { sha256, label } => {
                let text = self.revisions.text(&sha256).map(Arc::from).map_err(|error| error.to_string());
                self.take(Msg::Policy(PolicyMsg::Revision(label, text)));
            }
            PolicyEffect::Accept { policy, definitions, by, at } => {
                let place = crate::catalog::pins::place(&policy);
                let done = crate::catalog::pins::accept(&place, definitions, &by, at);
                self.take(Msg::Policy(PolicyMsg::Accepted(done.map_err(|error| error.to_string()))));
                self.take(Msg::Policy(files::read_pins(&place)));
            }
            PolicyEffect::Keep { path, text } => {
                if let Err(error) = self.keep.keep(path, text) {
                    let note = format!("unsaved edits cannot be kept for a crash: {error}");
                    self.take(Msg::Note(Kind::Warn, note));
                }
            }
            PolicyEffect::Read(generation, text) => {
                let out = self.inner.clone();
                tokio::task::spawn_blocking(move || {
                    let parsed = Box::new(crate::policy::document::Document::parse(&text));
                    let _ = out.blocking_send(Msg::Policy(PolicyMsg::Read(generation, parsed)));
                });
            }
            PolicyEffect::Forget(path) => self.keep.forget(&path),
            PolicyEffect::DropLeftover(name) => self.keep.drop_leftover(&name),
        }
    }

    /// Keeps what was saved, and before the first save what was there.
    fn remember(&mut self, path: &Path, text: &str, before: Option<&str>, (by, what): (&str, &str)) {
        let kept = self.revisions.list(path).and_then(|known| {
            if let Some(before) = before.filter(|_| known.is_empty()) {
                self.revisions.add(path, before, By::Found, "", "as it was found")?;
            }
            self.revisions.add(path, text, By::Editor, by, what)
        });
        if let Err(error) = kept {
            self.take(Msg::Note(Kind::Warn, format!("the revision cannot be kept: {error}")));
        }
    }

    fn open(&mut self, path: PathBuf) {
        let pins = crate::catalog::pins::place(&path);
        let tests = learn::beside(&path);
        self.watch = Some([
            Watch::start(tests, learn::read_tests, self.inner.clone()),
            Watch::start(path, files::read, self.inner.clone()),
            Watch::start(pins, files::read_pins, self.inner.clone()),
        ]);
    }

    fn load(&self, loader: Loader) {
        let out = self.inner.clone();
        // A thread of its own: a server that hangs must not hold back the end of the program.
        let run = move || {
            let say = |what: String| {
                let _ = out.blocking_send(Msg::Policy(PolicyMsg::Loading(what)));
            };
            let msg = match loader(&say) {
                Ok(servers) => PolicyMsg::Loaded(servers.into()),
                Err(why) => PolicyMsg::LoadFailed(why),
            };
            let _ = out.blocking_send(Msg::Policy(msg));
        };
        let _ = std::thread::Builder::new().name("tools".to_owned()).spawn(run);
    }

    /// Opens the file in the person's own editor.
    fn edit(&mut self, path: &Path, line: usize) {
        let Some(editor) = editor_command() else { return };
        Guard::leave();
        let status = self.input.pause(|| {
            let program = editor.split_whitespace().next().unwrap_or_default();
            let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
            let plus = matches!(program.as_str(), "vi" | "vim" | "nvim" | "nano" | "emacs" | "micro" | "kak");
            let mut command = std::process::Command::new("sh");
            command.arg("-c").arg(format!("{editor} \"$@\"")).arg("sh");
            if plus {
                command.arg(format!("+{line}"));
            }
            command.arg(path).status()
        });
        let back = self.guard.back();
        self.canvas.forget();
        let now = self.now().ms;
        self.redraw.input(now);
        let note = match (status, back) {
            (_, Err(error)) => Some(format!("the terminal failed: {error}")),
            (Err(error), _) => Some(format!("`{editor}` could not be started: {error}")),
            (Ok(status), _) if !status.success() => Some(format!("`{editor}` ended with {status}")),
            _ => None,
        };
        if let Some(note) = note {
            self.take(Msg::Note(Kind::Bad, note));
        }
        let disk = files::read(&self.app.policy.path);
        self.take(Msg::Policy(disk));
    }

    /// Gives the terminal back, stops until the shell continues this process, and comes back.
    fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            Guard::leave();
            self.input
                .pause(|| signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP))?;
        }
        self.come_back()
    }

    fn come_back(&mut self) -> io::Result<()> {
        Guard::leave();
        self.guard.back()?;
        self.canvas.forget();
        if let Ok(size) = crossterm::terminal::size() {
            self.take(Msg::Resize(size.0, size.1));
        }
        let now = self.now().ms;
        self.redraw.input(now);
        Ok(())
    }
}

/// What the feeds say next; never, where none is watched or they are at their end.
async fn hear(said: &mut Option<mpsc::Receiver<FeedMsg>>) -> Option<FeedMsg> {
    let msg = match said {
        Some(messages) => messages.recv().await,
        None => std::future::pending().await,
    };
    if msg.is_none() {
        *said = None;
    }
    msg
}

async fn sleep_until(began: Instant, ms: Option<u64>) {
    match ms {
        Some(ms) => tokio::time::sleep_until((began + Duration::from_millis(ms)).into()).await,
        None => std::future::pending().await,
    }
}

/// From what part of a limit on people are warned: a percentage, or `off`, which is 0.
fn warn_at(text: &str) -> Option<u8> {
    if text == "off" {
        return Some(0);
    }
    text.trim_end_matches('%').trim().parse::<u8>().ok().filter(|percent| (1..=100).contains(percent))
}

/// Begins the ids that this run gives.
fn seed() -> String {
    let mut random = [0_u8; 8];
    // Without randomness the time and the process still tell runs apart.
    let _ = getrandom::fill(&mut random);
    let seconds = crate::clock::now().secs();
    format!("{seconds:x}-{:x}-{:016x}", std::process::id(), u64::from_be_bytes(random))
}

fn editor_command() -> Option<String> {
    ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// Reads `keys.json`: an object of action ids, each with an array of keys.
fn key_file(path: &Path) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    match std::fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(map) => (map, Vec::new()),
            Err(error) => {
                let why = format!(
                    "`{}` is not used: {error}; it is an object of actions, each with a list of keys: \
                     {{\"undo\": [\"u\"]}}",
                    path.display()
                );
                (BTreeMap::new(), vec![why])
            }
        },
        Err(_) => (BTreeMap::new(), Vec::new()),
    }
}
