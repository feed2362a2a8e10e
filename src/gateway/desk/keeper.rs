//! The background of a gateway: what no call may wait for.
//!
//! One thread keeps the copy of freezes and overrides fresh, carries out what operators ask over
//! the feed, tells the screens how things stand, and tries again what failed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;

use super::{Desk, ShownList};
use crate::clock;
use crate::counters::{self, SeenTool, Store};
use crate::feed::message::{
    FeedHealth, GrantInfo, Health, JournalHealth, ServerCounter, ServerInfo, ShadowInfo, State, StoreHealth,
};
use crate::feed::server::{Command, Hub, HubConfig, Public};
use crate::feed::token::FeedToken;
use crate::gateway::call::lists;
use crate::gateway::policies::drift::Told;
use crate::gateway::policies::pins::PinMode;
use crate::mcp::tool::Tool;
use crate::policy::counter::{Amount, Want};
use crate::record::EventKind;
use crate::time::Timestamp;

/// How often the store is asked for freezes.
const TURN: Duration = Duration::from_millis(40);
/// Turns between two tellings of the screens while calls come.
const TELL: u32 = 5;
/// Turns between two tries of what failed, and two tellings while nothing happens.
const RETRY: u32 = 25;
/// How many counters are shown at most.
const SHOWN: usize = 512;

pub(in crate::gateway) struct Keeper {
    pub(in crate::gateway) desk: Arc<Desk>,
    store_trouble: Option<String>,
    /// Turns since the store last failed.
    quiet: u32,
    journal_trouble: bool,
    had_clients: bool,
    wants: Vec<Want>,
    /// By server: whose list it is, and what stands on it.
    tools: HashMap<String, (u64, Vec<Tool>)>,
    told: Told,
}

impl Keeper {
    /// A first look, before any call is decided.
    pub(in crate::gateway) fn start(desk: Arc<Desk>) -> Self {
        let journal_trouble = !desk.recorder.is_open();
        let mut keeper = Self {
            desk,
            store_trouble: None,
            quiet: 0,
            journal_trouble,
            had_clients: false,
            wants: Vec::new(),
            tools: HashMap::new(),
            told: Told::default(),
        };
        keeper.open_store();
        keeper.refresh();
        // A drift that is known from before is told before it denies anything; no list is known yet.
        keeper.told.turn(&keeper.desk, false);
        keeper
    }

    /// Runs until the link is closed.
    pub(in crate::gateway) fn run(mut self, commands: Option<&Receiver<Command>>) {
        let mut turn: u32 = 0;
        while !self.desk.is_closed() {
            match commands.map(|commands| commands.recv_timeout(TURN)) {
                Some(Ok(command)) => self.ask(command.ask, command.reply),
                Some(Err(RecvTimeoutError::Timeout)) => {}
                Some(Err(RecvTimeoutError::Disconnected)) | None => std::thread::sleep(TURN),
            }
            turn = turn.wrapping_add(1);
            self.refresh();
            if turn.is_multiple_of(RETRY) {
                self.retry();
            }
            self.desk.recorder.settle();
            self.desk.recorder.catch_up();
            self.tell(turn);
        }
    }

    fn open_store(&mut self) {
        if self.desk.store().is_some() {
            return;
        }
        match counters::open(&self.desk.counters) {
            Ok(store) => self.desk.connect(store),
            Err(error) => self.store_failed(&error.to_string()),
        }
    }

    fn retry(&mut self) {
        self.open_store();
        if let Some(store) = self.desk.store()
            && let Err(error) = store.maintain()
        {
            self.store_failed(&error.to_string());
        }
        if self.journal_trouble && self.desk.recorder.reopen().is_ok() {
            self.journal_trouble = false;
            crate::gateway::say("the journal can be written again");
        }
    }

    fn store_failed(&mut self, why: &str) {
        self.quiet = 0;
        if self.store_trouble.as_deref() != Some(why) {
            crate::gateway::say(why);
            self.desk.recorder.event(EventKind::Store, None, None, json!({"state": "failed", "why": why}));
            self.store_trouble = Some(why.to_owned());
        }
    }

    /// Reads freezes and overrides if they changed, or one of them has ended by itself.
    pub(in crate::gateway) fn refresh(&mut self) {
        if let Some(why) = self.desk.trouble() {
            self.store_failed(&why);
        }
        let Some(store) = self.desk.store() else { return };
        let tick = clock::tick();
        let now = clock::now();
        let read = store.standing_version().and_then(|version| {
            let (copy, _) = self.desk.standing.get();
            let over = copy.freezes.iter().filter_map(|freeze| freeze.until).any(|until| until <= now)
                || copy.overrides.iter().filter_map(|entry| entry.until).any(|until| until <= now)
                || copy.approvals.iter().any(|entry| entry.ends() <= now);
            if self.desk.standing.is_version(version) && !over {
                return Ok(None);
            }
            store.standing(now).map(|standing| Some((version, standing)))
        });
        match read {
            Ok(None) => self.desk.standing.confirm(tick),
            Ok(Some((version, mut standing))) => {
                standing.keep_run(Some(&self.desk.recorder.gateway));
                let change = self.desk.standing.replace(standing, version, tick);
                self.changed(change);
                self.hear_of_tools(store.as_ref());
            }
            Err(error) => return self.store_failed(&error.to_string()),
        }
        for news in store.news() {
            crate::gateway::say(&format!("the counters' store at `{}`: {news}", self.desk.counters));
            self.desk.recorder.event(EventKind::Store, None, None, json!({"state": "news", "why": news}));
        }
        // Not at once: a store that fails every other time is told of once.
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet > RETRY && self.store_trouble.take().is_some() {
            crate::gateway::say("the counters' store can be used again");
            self.desk.recorder.event(EventKind::Store, None, None, json!({"state": "back"}));
        }
    }

    /// What anyone's lists showed last.
    fn hear_of_tools(&mut self, store: &dyn Store) {
        let mut known: HashMap<String, Vec<SeenTool>> = HashMap::new();
        for decider in self.desk.deciders().into_iter().filter(|one| one.pins.mode() != PinMode::Off) {
            let server = decider.who.server.clone();
            if !known.contains_key(&server) {
                match store.seen_tools(&server) {
                    Ok(seen) => known.insert(server.clone(), seen),
                    Err(error) => return self.store_failed(&error.to_string()),
                };
            }
            decider.pins.heard(known.get(&server).map_or(&[], Vec::as_slice));
        }
    }

    /// Tells the screens how things stand.
    fn tell(&mut self, turn: u32) {
        for list in self.desk.take_lists() {
            self.show(list);
        }
        if self.desk.take_served_differently() {
            self.wants = counters_of_policies(&self.desk);
            self.tell_servers();
            if let Some(store) = self.desk.store() {
                self.hear_of_tools(store.as_ref());
            }
        }
        for server in self.told.turn(&self.desk, turn.is_multiple_of(RETRY)) {
            self.show_tools(server);
        }
        let Some(hub) = self.desk.recorder.hub() else { return };
        let watched = hub.has_clients();
        let came = watched && !std::mem::replace(&mut self.had_clients, watched);
        self.had_clients = watched;
        if !watched {
            return;
        }
        let due = turn.is_multiple_of(TELL) && self.desk.recorder.stirred();
        if !due && !came && !turn.is_multiple_of(RETRY) {
            return;
        }
        hub.set_state(State::Rules { rules: self.desk.recorder.hits() });
        let now = clock::now();
        hub.set_state(State::Health(Box::new(self.health(hub, now))));
        let Some(store) = self.desk.store() else { return };
        if let Ok(usages) = store.peek(now, &self.wants) {
            let counters = usages
                .iter()
                .map(|usage| ServerCounter {
                    server: usage.key.server.clone(),
                    state: crate::gateway::call::decider::state(usage),
                })
                .collect();
            hub.set_state(State::Counters { ts: now, counters });
        }
    }

    fn health(&self, hub: &Hub, now: Timestamp) -> Health {
        let (recorder, stats) = (&self.desk.recorder, hub.stats());
        let meters = recorder.meters();
        Health {
            ts: now,
            started: recorder.started,
            journal: JournalHealth {
                writable: recorder.is_writable(),
                waiting: recorder.waiting() as u64,
                bytes: meters.bytes(),
                errors: meters.errors(),
            },
            store: StoreHealth {
                place: self.desk.counters.to_string(),
                usable: self.desk.store().is_some() && self.desk.standing.get().1,
                trouble: self.store_trouble.clone(),
            },
            feed: FeedHealth { clients: stats.clients as u64, lag: stats.lag, missed: stats.missed },
        }
    }

    /// A page of a list was relayed.
    fn show(&mut self, list: ShownList) {
        let Some(cut) = lists::whole(&list.message) else { return };
        if let Some(decider) = list.decider.upgrade() {
            decider.see_after(Some(list.first), &cut);
        }
        let tools = cut.tools();
        let known = self.tools.entry(list.server.clone()).or_default();
        if list.first {
            *known = (list.conversation, tools);
        } else if known.0 == list.conversation {
            known.1.extend(tools);
        } else {
            return;
        }
        self.show_tools(list.server);
    }

    fn show_tools(&self, server: String) {
        let Some((_, tools)) = self.tools.get(&server) else { return };
        if let Some(hub) = self.desk.recorder.hub() {
            let pins = self.told.pins_of(&server);
            hub.set_state(State::Tools { server, tools: tools.clone(), pins });
        }
    }

    fn tell_servers(&self) {
        if let Some(hub) = self.desk.recorder.hub() {
            hub.set_state(State::Servers { servers: server_infos(&self.desk) });
        }
    }
}

/// Every counter that the limits of the policies in force name.
pub(in crate::gateway) fn counters_of_policies(desk: &Desk) -> Vec<Want> {
    let mut seen = HashSet::new();
    let mut wants = Vec::new();
    for decider in desk.deciders() {
        let Some(in_force) = decider.in_force() else { continue };
        let caller = decider.caller(decider.who.session.as_deref());
        let tools = in_force.document.policy().tools.iter().map(|tool| tool.name.as_str());
        // An unlisted tool still counts towards the limits of all tools.
        for limit in tools.chain([""]).flat_map(|tool| in_force.compiled.limits(tool)) {
            let key = caller.key(limit.scope, &limit.counter, limit.window);
            if wants.len() < SHOWN && seen.insert((key.clone(), limit.max)) {
                wants.push(Want { key, increment: Amount::ZERO, max: limit.max, past_max: false });
            }
        }
    }
    wants
}

/// Opens the feed. Without one, records are only in the journal.
pub(in crate::gateway) fn open_feed(desk: &Desk) {
    if let Err(error) = open_feed_for(desk, Vec::new(), None) {
        crate::gateway::say(&format!("there is no live feed: {error}"));
    }
}

/// As [`open_feed`], also for those with tokens of their own, and at an address for them.
///
/// # Errors
/// When nothing can be listened on, or the discovery file cannot be written.
pub(in crate::gateway) fn open_feed_for(
    desk: &Desk,
    tokens: Vec<FeedToken>,
    public: Option<Public>,
) -> std::io::Result<()> {
    let mut config = HubConfig::new(
        desk.paths.run.clone(),
        desk.paths.journal(),
        desk.recorder.gateway.clone(),
        desk.name.clone(),
    );
    config.servers = server_infos(desk);
    if let counters::StorePlace::Redis(url) = &desk.counters {
        config.fleet = Some(url.clone());
    }
    config.tokens = tokens;
    config.public = public;
    desk.recorder.connect(Hub::start(config)?);
    Ok(())
}

/// The servers and their grants as screens show them, in the order of their names.
pub(in crate::gateway) fn server_infos(desk: &Desk) -> Vec<ServerInfo> {
    let mut servers: BTreeMap<String, ServerInfo> = BTreeMap::new();
    for decider in desk.deciders() {
        let who = &decider.who;
        let server = servers.entry(who.server.clone()).or_insert_with(|| ServerInfo {
            name: who.server.clone(),
            upstream: who.upstream.clone(),
            grants: Vec::new(),
        });
        server.grants.push(GrantInfo {
            label: who.grant.clone(),
            policy: who.policy.as_ref().map(|path| path.display().to_string()),
            revision: decider.revision(),
            shadow: decider
                .shadow
                .describe()
                .map(|(path, revision)| ShadowInfo { path: path.display().to_string(), revision }),
        });
    }
    servers.into_values().collect()
}
