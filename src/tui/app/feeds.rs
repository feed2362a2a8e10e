//! What the attached gateways said, as the screens need it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::approvals::Entry;
use super::approvals::news::{hear, queue};
use super::health::seen::{Loss, Seen};
use super::live::names::LONGEST;
use super::{App, Effect, Kind};
use crate::counters::{Freeze, Override, OverrideEffect};
use crate::feed::message::{Hello, Role, RuleHits, State};
use crate::mcp::tool::Tool;
use crate::record::{Decision, Record, Verdict};
use crate::time::Timestamp;

/// Which feed; given by the runtime, never used again for another.
pub type Source = u32;

/// A record with the line it came in.
#[derive(Debug, Clone)]
pub struct Row {
    /// The bytes as they came, without the line feed.
    pub line: Arc<[u8]>,
    /// The same, read.
    pub record: Record,
}

/// Something from a gateway.
#[derive(Debug, Clone)]
pub enum FeedMsg {
    /// It is connected (again).
    Connected(Source, Arc<Hello>),
    /// One kind of state, whole.
    State(Source, Arc<State>),
    /// Records, in order.
    Records(Source, Arc<[Row]>),
    /// Records of several feeds, in one order.
    Merged(Arc<[Row]>),
    /// So many records came over a feed and could not be read.
    Unreadable(Source, u64),
    /// Records that cannot be had any more: the first and the last number.
    Gap(Source, u64, u64),
    /// An answer to what was asked: whether it was done, what was asked, and what came of it.
    Reply(Source, bool, String, String),
    /// The connection ended, why, and whether for good.
    Lost(Source, String, bool),
    /// A feed, or the search for feeds, does something wrong.
    Trouble(Option<Source>, String),
}

/// One gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// What it said at first.
    pub hello: Arc<Hello>,
    /// Whether it is connected.
    pub alive: bool,
    /// Its servers' tools as last listed.
    pub tools: BTreeMap<String, Arc<State>>,
    /// Freezes in force.
    pub freezes: Vec<Freeze>,
    /// Overrides in force.
    pub overrides: Vec<Override>,
    /// Approvals that wait, or are given and not used.
    pub approvals: Vec<Entry>,
    /// How often each rule decided.
    pub rules: Vec<RuleHits>,
    /// Records that were lost on the way.
    pub lost: u64,
    /// What was seen of it.
    pub seen: Seen,
}

impl Gateway {
    /// Whether another server's state is kept; where it is not, that is said.
    fn has_room(&mut self, servers: usize, known: bool) -> bool {
        let room = known || servers < SERVERS;
        if !room {
            self.seen.trouble =
                Some(format!("it tells of more than {SERVERS} servers: the others are left out"));
        }
        room
    }
}

/// A call of a tool, for the inspector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// When it was decided.
    pub ts: Timestamp,
    /// How.
    pub decision: Verdict,
    /// The short code of what decided.
    pub rule: String,
    /// The arguments as JSON, cut to a line.
    pub args: String,
}

/// The calls of a tool since the program attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    /// Decisions in all.
    pub calls: u64,
    /// Denied ones.
    pub denies: u64,
    /// The last ones, the newest first.
    pub recent: VecDeque<Recent>,
}

/// How many recent calls of a tool are kept.
const RECENT: usize = 8;
/// How much of a call's arguments is kept for the inspector, in bytes.
const ARGS: usize = 300;
/// Tools whose calls are kept. A caller may invent as many names as it likes.
const TOOLS: usize = 20_000;
/// Servers of one gateway whose tools are kept.
const SERVERS: usize = 256;
/// Gateway runs that are told apart before those without rows are forgotten.
const RUNS: usize = 8_192;
/// Gateways that ended and are still shown.
const ENDED: usize = 64;

/// Everything that the gateways said.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    gateways: BTreeMap<Source, Gateway>,
    calls: HashMap<(String, String), Calls>,
    listings: u64,
    /// Calls of tools that are not among those that are kept.
    others: u64,
    /// How many there were when room was last looked for.
    looked: u64,
    /// The gateway runs whose records came, by their ids.
    runs: HashMap<String, u32>,
    /// How many runs were given numbers.
    numbered: u32,
    /// How many were left when they were last looked through.
    left: usize,
    /// Feeds that never answered, and why.
    unreached: BTreeMap<Source, String>,
}

impl Feeds {
    /// The number of a gateway run among those that this program knows.
    pub(super) fn run(&mut self, gateway: &str) -> u32 {
        if let Some(run) = self.runs.get(gateway) {
            return *run;
        }
        let run = self.numbered;
        self.numbered = self.numbered.saturating_add(1);
        self.runs.insert(gateway.to_owned(), run);
        run
    }

    /// Calls of tools that are not kept, because there are too many different ones.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// How many tools' calls, and how many gateway runs, are kept: for tests of their bounds.
    #[doc(hidden)]
    pub fn kept(&self) -> (usize, usize) {
        (self.calls.len(), self.runs.len())
    }

    /// Room for the calls of another tool: those that were called once give way. It is not looked for
    /// at every call where there is none.
    fn make_room(&mut self) -> bool {
        if self.calls.len() < TOOLS {
            return true;
        }
        if self.others >= self.looked {
            let mut gone = 0;
            self.calls.retain(|_, calls| {
                let keep = calls.calls > 1;
                gone += u64::from(!keep) * calls.calls.max(1);
                keep
            });
            self.others = self.others.saturating_add(gone);
            self.looked = if gone == 0 { self.others.saturating_add(TOOLS as u64) } else { 0 };
        }
        self.calls.len() < TOOLS
    }

    /// Takes note of records of one gateway run, where that run is connected itself.
    fn seen(&mut self, rows: &[Row], now: Timestamp) {
        let Some(first) = rows.first() else { return };
        let run = first.record.gateway();
        if let Some(gateway) = self.gateways.values_mut().find(|gateway| gateway.hello.gateway == run) {
            gateway.seen.records(rows, now);
        }
    }

    /// Room for another gateway: those that ended first are forgotten.
    fn forget_ended(&mut self) {
        let mut gone: Vec<(Timestamp, Source)> = Vec::new();
        for (source, gateway) in &self.gateways {
            if let Some(loss) = gateway.seen.lost.as_ref().filter(|loss| loss.ended && !gateway.alive) {
                gone.push((loss.at, *source));
            }
        }
        gone.sort_unstable();
        for (_, source) in gone.iter().take(gone.len().saturating_sub(ENDED)) {
            self.gateways.remove(source);
        }
    }

    /// The gateways that ever connected.
    pub fn gateways(&self) -> impl Iterator<Item = (Source, &Gateway)> {
        self.gateways.iter().map(|(source, gateway)| (*source, gateway))
    }

    /// The feeds that never answered, by their number, and why.
    pub fn unreached(&self) -> impl Iterator<Item = (Source, &str)> {
        self.unreached.iter().map(|(source, why)| (*source, why.as_str()))
    }

    /// One gateway.
    pub fn gateway(&self, source: Source) -> Option<&Gateway> {
        self.gateways.get(&source)
    }

    /// How many are connected.
    pub fn alive(&self) -> usize {
        self.gateways.values().filter(|gateway| gateway.alive).count()
    }

    /// The connected ones that take commands from this program.
    pub fn operators(&self) -> impl Iterator<Item = (Source, &Gateway)> {
        self.gateways().filter(|(_, gateway)| gateway.alive && gateway.hello.role == Role::Operator)
    }

    /// Freezes in force, each once.
    pub fn freezes(&self, now: Timestamp) -> impl Iterator<Item = &Freeze> {
        let mut seen = std::collections::BTreeSet::new();
        self.gateways
            .values()
            .filter(|gateway| gateway.alive)
            .flat_map(|gateway| &gateway.freezes)
            .filter(move |freeze| freeze.until.is_none_or(|until| now < until) && seen.insert(&freeze.id))
    }

    /// Overrides in force, each once.
    pub fn overrides(&self, now: Timestamp) -> impl Iterator<Item = &Override> {
        let mut seen = std::collections::BTreeSet::new();
        self.gateways
            .values()
            .filter(|gateway| gateway.alive)
            .flat_map(|gateway| &gateway.overrides)
            .filter(move |entry| entry.stands(now) && seen.insert(&entry.id))
    }

    /// The override of a tool at any of these servers that has the last word.
    pub fn override_of(&self, servers: &[String], tool: &str, now: Timestamp) -> Option<&Override> {
        let of_tool = |entry: &&Override| entry.tool == tool && servers.contains(&entry.server);
        self.overrides(now).filter(of_tool).min_by_key(|entry| match entry.effect {
            OverrideEffect::Deny => 0,
            OverrideEffect::Allow => 1,
            OverrideEffect::Approved => 2,
        })
    }

    /// The names of gateways, each once and with how many bear it.
    pub fn names(&self, sources: &[Source]) -> String {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for gateway in sources.iter().filter_map(|source| self.gateway(*source)) {
            *names.entry(crate::visible::visible(&gateway.hello.name).into_owned()).or_default() += 1;
        }
        let words = |(name, count): (String, usize)| match count {
            1 => name,
            many => format!("{name} ({many} gateways)"),
        };
        names.into_iter().map(words).collect::<Vec<_>>().join(", ")
    }

    /// The calls of a server's tool.
    pub fn calls(&self, server: &str, tool: &str) -> Option<&Calls> {
        // A key of two borrowed strings cannot be looked up in a map of two owned ones.
        self.calls.get(&(server.to_owned(), tool.to_owned()))
    }

    /// How often a gateway listed tools.
    pub fn listings(&self) -> u64 {
        self.listings
    }

    /// Whether ages and countdowns are on the screen.
    pub fn has_news_by_time(&self) -> bool {
        self.gateways.values().any(|gateway| gateway.alive)
    }

    /// The tools of a server, of the newest gateway that listed them.
    pub fn tools(&self, server: &str) -> Option<&[Tool]> {
        self.gateways.values().rev().find_map(|gateway| match gateway.tools.get(server)?.as_ref() {
            State::Tools { tools, .. } => Some(tools.as_slice()),
            _ => None,
        })
    }

    fn count(&mut self, decision: &Decision) {
        let Some(tool) = &decision.tool else { return };
        // The second decision of a held call is the same call.
        let again = decision.call.is_some();
        let key = (decision.server.clone(), tool.clone());
        let endless = decision.server.len() + tool.len() > 2 * LONGEST;
        if endless || (!self.calls.contains_key(&key) && !self.make_room()) {
            self.others = self.others.saturating_add(u64::from(!again));
            return;
        }
        let calls = self.calls.entry(key).or_default();
        calls.calls += u64::from(!again);
        calls.denies += u64::from(decision.decision == Verdict::Deny);
        let args = decision.args.as_ref().map_or("", |args| args.get());
        let args = args.get(..args.floor_char_boundary(ARGS)).unwrap_or_default().to_owned();
        calls.recent.push_front(Recent {
            ts: decision.ts,
            decision: decision.decision,
            rule: decision
                .rule
                .get(..decision.rule.floor_char_boundary(LONGEST))
                .unwrap_or_default()
                .to_owned(),
            args,
        });
        calls.recent.truncate(RECENT);
    }
}

/// Takes in what a gateway said.
pub(super) fn update(app: &mut App, msg: &FeedMsg, effects: &mut Vec<Effect>) {
    match msg {
        FeedMsg::Connected(source, hello) => connected(app, *source, hello),
        FeedMsg::State(source, said) => state(app, *source, said, effects),
        FeedMsg::Records(_, rows) | FeedMsg::Merged(rows) => records(app, rows),
        FeedMsg::Gap(source, from, to) => {
            let lost = to.saturating_sub(*from).saturating_add(1);
            app.live.live.lost = app.live.live.lost.saturating_add(lost);
            if let Some(gateway) = app.feeds.gateways.get_mut(source) {
                gateway.lost = gateway.lost.saturating_add(lost);
                gateway.seen.gap(*from, *to);
            }
        }
        FeedMsg::Unreadable(source, count) => {
            app.live.live.lost = app.live.live.lost.saturating_add(*count);
            if let Some(gateway) = app.feeds.gateways.get_mut(source) {
                gateway.seen.unreadable = gateway.seen.unreadable.saturating_add(*count);
            }
        }
        FeedMsg::Lost(source, why, ended) => lost(app, *source, why, *ended, effects),
        FeedMsg::Reply(source, ok, of, message) => {
            if super::asks::answer(app, *source, *ok, of, message) {
                // It is said when it is known what came of it everywhere.
            } else if *ok {
                app.toast(Kind::Good, message.clone());
            } else {
                app.toast(Kind::Bad, format!("{of} was refused: {message}"));
            }
        }
        FeedMsg::Trouble(source, message) => {
            let gateway = source.and_then(|source| app.feeds.gateways.get_mut(&source));
            let text = match gateway {
                Some(gateway) => {
                    gateway.seen.troubles = gateway.seen.troubles.saturating_add(1);
                    gateway.seen.trouble = Some(message.clone());
                    format!("gateway {}: {message}", gateway.hello.name)
                }
                None => message.clone(),
            };
            app.toast(Kind::Warn, text);
        }
    }
    app.live.gateways = app.feeds.alive();
}

fn connected(app: &mut App, source: Source, hello: &Arc<Hello>) {
    app.feeds.unreached.remove(&source);
    if let Some(gateway) = app.feeds.gateways.get_mut(&source) {
        gateway.seen.connected(hello, gateway.hello.gateway == hello.gateway);
        gateway.hello = Arc::clone(hello);
        gateway.alive = true;
    } else {
        app.feeds.forget_ended();
        let mut seen = Seen::default();
        seen.connected(hello, true);
        let gateway = Gateway {
            hello: Arc::clone(hello),
            alive: true,
            tools: BTreeMap::new(),
            freezes: Vec::new(),
            overrides: Vec::new(),
            approvals: Vec::new(),
            rules: Vec::new(),
            lost: 0,
            seen,
        };
        app.feeds.gateways.insert(source, gateway);
    }
    let run = app.feeds.run(&hello.gateway);
    app.live.live.ring.call(run, &hello.name);
    app.policy_attached();
}

fn state(app: &mut App, source: Source, said: &Arc<State>, effects: &mut Vec<Effect>) {
    let Some(gateway) = app.feeds.gateways.get_mut(&source) else { return };
    match said.as_ref() {
        State::Tools { server, .. } => {
            if !gateway.has_room(gateway.tools.len(), gateway.tools.contains_key(server)) {
                return;
            }
            gateway.tools.insert(server.clone(), Arc::clone(said));
            app.feeds.listings += 1;
            app.policy_tools_changed();
        }
        State::Counters { ts, counters } => app.counters.state(*ts, counters, app.counters_screen.warn_at),
        State::Freezes { freezes } => gateway.freezes.clone_from(freezes),
        State::Rules { rules } => gateway.rules.clone_from(rules),
        State::Servers { servers } => {
            let mut hello = Hello::clone(&gateway.hello);
            hello.servers.clone_from(servers);
            gateway.hello = Arc::new(hello);
            app.policy_attached();
        }
        State::Drift { server, drifted } => {
            let known = gateway.seen.drift.contains_key(server);
            if !gateway.has_room(gateway.seen.drift.len(), known) {
                return;
            }
            gateway.seen.drift.insert(server.clone(), drifted.clone());
        }
        State::Health(health) => gateway.seen.health(health, app.now.ts),
        State::Overrides { overrides } => gateway.overrides.clone_from(overrides),
        State::Approvals { approvals } => {
            gateway.approvals = approvals.iter().map(Entry::from).collect();
            queue(app, effects);
        }
    }
}

fn records(app: &mut App, rows: &[Row]) {
    for row in rows {
        match &row.record {
            Record::Decision(decision) => {
                app.feeds.count(decision);
                app.counters.decision(decision, app.counters_screen.warn_at);
            }
            Record::Event(event) => hear(app, event),
            Record::Outcome(_) => {}
        }
    }
    // A feed may also give the records of its fleet's other gateways, and a call's outcome names it
    // by its number in its own gateway's run.
    for rows in rows.chunk_by(|a, b| a.record.gateway() == b.record.gateway()) {
        let Some(first) = rows.first() else { continue };
        let run = app.feeds.run(first.record.gateway());
        app.feeds.seen(rows, app.now.ts);
        app.live.live.take(run, rows.iter().map(|row| &row.record));
    }
    forget_runs(app);
}

/// A feed may make up gateway runs for ever: those that have no rows any more are forgotten. Their
/// numbers are not given again.
fn forget_runs(app: &mut App) {
    if app.feeds.runs.len() < RUNS.max(app.feeds.left.saturating_mul(2)) {
        return;
    }
    let connected: HashSet<String> =
        app.feeds.gateways.values().map(|gateway| gateway.hello.gateway.clone()).collect();
    let marked: HashSet<u32> = app.live.marks.sources().collect();
    let ring = &mut app.live.live.ring;
    app.feeds
        .runs
        .retain(|gateway, run| ring.has_rows_of(*run) || marked.contains(run) || connected.contains(gateway));
    app.feeds.left = app.feeds.runs.len();
    let runs: HashSet<u32> = app.feeds.runs.values().copied().collect();
    ring.forget_runs(&|run| runs.contains(&run));
}

fn lost(app: &mut App, source: Source, why: &str, ended: bool, effects: &mut Vec<Effect>) {
    let known = app.feeds.gateways.get_mut(&source);
    let there = known.is_some();
    let name = known.and_then(|gateway| {
        gateway.seen.lost = Some(Loss { why: why.to_owned(), at: app.now.ts, ended });
        std::mem::take(&mut gateway.alive).then(|| gateway.hello.name.clone())
    });
    super::asks::lost(app, source);
    queue(app, effects);
    if let Some(name) = name {
        let name = crate::visible::visible(&name).into_owned();
        if ended {
            app.toast(Kind::Info, format!("gateway {name} ended"));
        } else {
            app.toast(Kind::Warn, format!("gateway {name} is lost, trying again: {why}"));
        }
    } else if !there && !ended {
        app.toast(Kind::Warn, format!("feed {source} cannot be reached, trying again: {why}"));
        app.feeds.unreached.insert(source, why.to_owned());
    } else if !there {
        app.feeds.unreached.remove(&source);
    }
}

/// A freeze's scope in words: `tool x of server y`, `everything`.
pub fn scope_words(freeze: &Freeze) -> String {
    let part = |word: &str, name: &Option<String>| {
        name.as_deref().map(|name| format!("{word} {}", crate::visible::visible(name)))
    };
    let parts: Vec<String> =
        [part("tool", &freeze.tool), part("server", &freeze.server), part("grant", &freeze.grant)]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(" of ") }
}
