//! What the Live screen asks of the runtime, and what the runtime tells: older rows, kept policies,
//! what is kept between runs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::explained::Kept;
use super::marks::{Change, Mark};
use super::past::Way;
use super::screen::LiveScreen;
use super::{BASE, Live};
use crate::journal::Place;
use crate::record::{Outcome, Record};
use crate::time::Timestamp;
use crate::tui::app::{App, Effect, Kind};

/// Older rows that are read at once.
pub const PAGE: usize = 1_000;
/// Policies that are kept in memory.
const POLICIES: usize = 16;

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEffect {
    /// Read older rows from the journals.
    Read(Read),
    /// Read a policy by its revision.
    Policy(String),
    /// Keep a filter under a name, or forget it.
    Filter(String, Option<String>),
    /// Keep the filters that were used, the newest last.
    History(Vec<String>),
    /// Keep a change of the marks.
    Mark(Change),
}

/// A page to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Stale answers are told by it.
    pub number: u64,
    /// Which way.
    pub way: Way,
    /// From where; `None`: from before the rows in memory.
    pub from: Option<Arc<Place>>,
    /// Of each gateway run with rows in memory, the number of the first.
    pub firsts: BTreeMap<String, u64>,
    /// The time of the first row in memory, for gateway runs without rows there.
    pub ts: Timestamp,
    /// The filter's text and what it counts back from.
    pub filter: (String, Timestamp),
    /// Only records of these gateway runs and numbers, where only marked ones are shown.
    pub only: Option<Arc<HashSet<(String, u64)>>>,
}

/// A page that was read.
#[derive(Debug, Clone)]
pub struct Page {
    /// The number of the [`Read`].
    pub number: u64,
    /// Which way it was read.
    pub way: Way,
    /// The records, oldest first, each with its call's outcome where that is known.
    pub records: Vec<(Record, Option<Box<Outcome>>)>,
    /// Outcomes whose calls are older.
    pub orphans: Vec<Outcome>,
    /// The place before the page.
    pub older: Arc<Place>,
    /// The place after it.
    pub newer: Arc<Place>,
    /// There is nothing more that way.
    pub ended: bool,
    /// The time of the last line looked at, for those who wait.
    pub at: Timestamp,
}

/// What is kept between runs.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Filters by name.
    pub saved: BTreeMap<String, String>,
    /// Filters that were used, the newest last.
    pub history: Vec<String>,
    /// Marks and notes.
    pub marks: Vec<Mark>,
}

/// What the runtime tells.
#[derive(Debug, Clone)]
pub enum LiveMsg {
    /// What was kept.
    Memory(Box<Memory>),
    /// Some of the newest records of the journals, oldest first. Feeds are watched after the last.
    Recent(Arc<[Record]>),
    /// The journals can be read.
    Journals,
    /// A page.
    Page(Box<Page>),
    /// A page could not be read: its number, and why.
    NoPage(u64, String),
    /// A kept policy by its revision, or why there is none.
    Policy(String, Result<Arc<Kept>, String>),
    /// The saved filters as they are now.
    Saved(BTreeMap<String, String>),
}

impl Live {
    /// Whether older rows than those in memory can still be read, or are being read.
    pub(super) fn reads_older(&self) -> bool {
        self.has_journals && !self.ring.past.ended
    }

    /// Older or newer rows that are needed now, if no page is on its way.
    pub(super) fn wanted(&self) -> Option<Way> {
        if !self.has_journals || self.is_following() || self.asked.is_some() || !self.is_settled() {
            return None;
        }
        let top = self.top_index();
        let height = self.height();
        if !self.ring.past.ended && (top < height || self.seeks_older()) {
            return Some(Way::Older);
        }
        let near = top + 2 * height >= self.count();
        (!self.joined() && near).then_some(Way::Newer)
    }
}

/// Asks for what the screen needs now.
pub(crate) fn ask(app: &mut App, effects: &mut Vec<Effect>) {
    let screen = &mut app.live;
    if let Some(way) = screen.live.wanted() {
        let only = screen.live.shows_only().then(|| {
            let marks = screen.marks.by_time();
            Arc::new(marks.iter().map(|(_, mark)| (mark.gateway.clone(), mark.seq)).collect())
        });
        let live = &mut screen.live;
        live.reads += 1;
        live.asked = Some((live.reads, live.ring.first()));
        let past = &live.ring.past;
        let from = match way {
            Way::Older => past.oldest(),
            Way::Newer => past.newest(),
        };
        let read = Read {
            number: live.reads,
            way,
            from: from.cloned(),
            firsts: live.ring.firsts().map(|(gateway, seq)| (gateway.to_owned(), seq)).collect(),
            ts: live.ring.get(live.ring.first()).map_or(Timestamp(i64::MAX), |row| row.ts),
            filter: (live.filter_text.clone(), live.filter_from),
            only,
        };
        effects.push(Effect::Live(LiveEffect::Read(read)));
    }
    if screen.detail
        && let Some(row) = screen.live.selected_row()
    {
        let revision = screen.live.ring.names.text(row.policy);
        if !revision.is_empty() && !screen.policies.contains_key(revision) {
            let revision = revision.to_owned();
            if screen.policies.len() >= POLICIES {
                screen.policies.clear();
            }
            screen.policies.insert(revision.clone(), None);
            effects.push(Effect::Live(LiveEffect::Policy(revision)));
        }
    }
}

/// Takes in what the runtime told.
pub(crate) fn update(app: &mut App, msg: LiveMsg) {
    match msg {
        LiveMsg::Memory(memory) => {
            app.live.saved = memory.saved;
            app.live.history = memory.history;
            for mark in memory.marks {
                let source = app.feeds.run(&mark.gateway);
                app.live.marks.set(source, mark);
            }
        }
        LiveMsg::Recent(records) => {
            for records in records.chunk_by(|a, b| a.gateway() == b.gateway()) {
                let Some(first) = records.first() else { continue };
                let run = app.feeds.run(first.gateway());
                app.live.live.take(run, records);
            }
            for record in records.iter() {
                let run = app.feeds.run(record.gateway());
                app.live.live.ring.remember(run, record.seq());
            }
        }
        LiveMsg::Journals => app.live.live.has_journals = true,
        LiveMsg::Page(page) => take(app, *page),
        LiveMsg::NoPage(number, why) => {
            let live = &mut app.live.live;
            if live.asked.is_some_and(|(asked, _)| asked == number) {
                live.asked = None;
                live.ring.past.ended = true;
                app.toast(Kind::Bad, format!("older rows cannot be read: {why}"));
            }
        }
        LiveMsg::Policy(revision, policy) => {
            app.live.policies.insert(revision, Some(policy));
        }
        LiveMsg::Saved(saved) => app.live.saved = saved,
    }
}

fn take(app: &mut App, page: Page) {
    let Some((_, first)) = app.live.live.asked.take_if(|(number, _)| *number == page.number) else { return };
    let mut records = Vec::with_capacity(page.records.len());
    for (record, outcome) in page.records {
        records.push((app.feeds.run(record.gateway()), record, outcome));
    }
    let orphans: Vec<(u32, Outcome)> =
        page.orphans.into_iter().map(|outcome| (app.feeds.run(&outcome.gateway), outcome)).collect();
    let live = &mut app.live.live;
    let opens = live.ring.past.is_closed();
    let top = live.top;
    live.ring.add_past(page.way, &records, &orphans, (page.older, page.newer));
    match page.way {
        Way::Older => {
            if opens {
                live.ring.past.reach(first);
            }
            live.ring.past.ended = page.ended;
        }
        Way::Newer if page.ended => live.ring.past.reach(first),
        Way::Newer => {}
    }
    live.read_at = Some(page.at);
    live.after_page(top);
}

impl Live {
    /// What a person holds on to that was dropped from the window is the nearest that is left.
    pub(super) fn after_page(&mut self, top: Option<u64>) {
        self.settle();
        let past = &self.ring.past;
        let range = past.first()..past.first() + past.len() as u64;
        let lost = |id: u64| id < BASE && !range.contains(&id);
        if self.selected.is_some_and(lost) || top.is_some_and(lost) {
            self.top = None;
            self.select(self.selected.and_then(|id| self.nearest(id)));
        } else if let Some(id) = self.selected
            && self.nth(self.index_of(id)) != Some(id)
        {
            // Where nothing was shown before, something is now.
            self.select(self.nearest(id));
        }
        self.seek_on();
    }
}

impl LiveScreen {
    /// The kept policy of a revision, where it was read.
    pub fn policy(&self, revision: &str) -> Option<&Result<Arc<Kept>, String>> {
        self.policies.get(revision)?.as_ref()
    }
}
