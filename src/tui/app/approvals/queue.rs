//! The queue itself: what every gateway reports, each approval once, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Approvals, PAST};
use crate::feed::message::ApprovalView;
use crate::time::Timestamp;
use crate::tui::app::feeds::Source;
use crate::tui::app::live::held::{Held, Told};

/// An approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Names it.
    pub id: String,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments as JSON; `None` where this feed does not show them.
    pub args: Option<Box<str>>,
    /// The short code of the rule that holds the call.
    pub rule: String,
    /// The exact pointer to it.
    pub pointer: String,
    /// The rule's text for whoever decides.
    pub message: String,
    /// The policy's revision.
    pub policy: String,
    /// The client that called.
    pub client: Option<String>,
    /// Since when it waits.
    pub asked_at: Timestamp,
    /// When the question ends.
    pub until: Timestamp,
    /// How long it was given, in seconds.
    pub timeout_s: u64,
    /// How many callers hold it.
    pub holders: u32,
    /// A decision that still holds.
    pub given: Option<Given>,
    /// The gateways that report it.
    pub sources: Vec<Source>,
    /// It is decided and nothing of it is left in force.
    pub over: Option<Over>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Or rejected.
    pub approved: bool,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Their note.
    pub note: String,
    /// Until when an approval can be used.
    pub until: Timestamp,
    /// For how long equal calls pass without asking, in seconds.
    pub for_s: Option<u64>,
}

/// How an approval came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// In a word: `approved`, `rejected`, `expired`, `cancelled`, `over`.
    pub word: &'static str,
    /// When this was noticed.
    pub at: Timestamp,
}

impl From<&ApprovalView> for Entry {
    fn from(view: &ApprovalView) -> Self {
        Self {
            id: view.id.clone(),
            server: view.server.clone(),
            grant: view.grant.clone(),
            tool: view.tool.clone(),
            args: view.args.as_ref().map(|args| args.text().into()),
            rule: view.rule.clone(),
            pointer: view.pointer.clone(),
            message: view.message.clone(),
            policy: view.policy.clone(),
            client: view.client.clone(),
            asked_at: view.asked_at,
            until: view.until,
            timeout_s: view.timeout_s,
            holders: view.holders,
            given: view.verdict.as_ref().map(|verdict| Given {
                approved: verdict.approved,
                by: verdict.by.clone(),
                at: verdict.at,
                note: verdict.note.clone(),
                until: verdict.until,
                for_s: verdict.for_s,
            }),
            sources: Vec::new(),
            over: None,
        }
    }
}

impl Entry {
    /// Whether it waits for a person.
    pub fn is_waiting(&self) -> bool {
        self.over.is_none() && self.given.is_none()
    }

    /// How much of its time is left, in milliseconds.
    pub fn left(&self, now: Timestamp) -> u64 {
        now.millis_until(self.until)
    }

    /// Whether its end is near: a minute, or a fifth of its time where that is less.
    pub fn is_near_its_end(&self, now: Timestamp) -> bool {
        self.left(now) <= 60_000.min(self.timeout_s.saturating_mul(200)).max(10_000)
    }

    /// What became of it, in a word; `None` while it waits.
    pub fn word(&self) -> Option<&'static str> {
        match (&self.over, &self.given) {
            (Some(over), _) => Some(over.word),
            (None, Some(given)) if given.approved => Some("approved"),
            (None, Some(_)) => Some("rejected"),
            (None, None) => None,
        }
    }

    /// Tool and server, as sentences name it.
    pub fn name(&self) -> String {
        format!("{} of {}", crate::visible::visible(&self.tool), crate::visible::visible(&self.server))
    }
}

/// What changed in the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The ids that wait now and did not before.
    pub came: Vec<String>,
}

impl Approvals {
    /// Takes over what the gateways report now: every approval once, however many report it.
    pub fn take(&mut self, reported: Vec<(Source, Vec<Entry>)>, held: &Held, now: Timestamp) -> News {
        let mut fresh: BTreeMap<String, Entry> = BTreeMap::new();
        for (source, entries) in reported {
            for mut entry in entries {
                match fresh.get_mut(&entry.id) {
                    None => {
                        entry.sources = vec![source];
                        fresh.insert(entry.id.clone(), entry);
                    }
                    Some(known) => {
                        known.sources.push(source);
                        // One of them may know a decision already, or show what another masks.
                        known.given = known.given.take().or(entry.given);
                        known.args = known.args.take().or(entry.args);
                        known.holders = known.holders.max(entry.holders);
                    }
                }
            }
        }
        let mut known = BTreeSet::new();
        let mut past = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            match fresh.contains_key(&entry.id) {
                true => drop(known.insert(entry.id)),
                false if entry.over.is_some() => past.push(entry),
                false => past.push(ended(entry, held, now)),
            }
        }
        let came = fresh.values().filter(|entry| entry.is_waiting() && !known.contains(&entry.id));
        let news = News { came: came.map(|entry| entry.id.clone()).collect() };
        past.sort_by_key(|entry| std::cmp::Reverse(over_at(entry)));
        past.truncate(PAST);
        self.entries = fresh.into_values().chain(past).collect();
        self.entries.sort_by_key(|entry| {
            let given = entry.given.as_ref().map(|given| std::cmp::Reverse(given.at));
            let over = entry.over.as_ref().map(|over| std::cmp::Reverse(over.at));
            (over.is_some(), given.is_some(), over, given, entry.asked_at)
        });
        if self.selected_index().is_none() {
            self.selected = None;
            self.select(0);
        }
        self.show();
        news
    }

    /// Something was told about an approval: what is over may know now how.
    pub fn hear(&mut self, id: &str, told: &Told) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id && entry.over.is_some()) {
            explain(entry, told);
        }
    }
}

fn over_at(entry: &Entry) -> Option<Timestamp> {
    entry.over.as_ref().map(|over| over.at)
}

fn ended(mut entry: Entry, held: &Held, now: Timestamp) -> Entry {
    let word = match &entry.given {
        Some(given) if given.approved => "approved",
        Some(_) => "rejected",
        None if entry.until <= now => "expired",
        None => "over",
    };
    entry.over = Some(Over { word, at: now });
    if let Some(told) = held.told(&entry.id) {
        explain(&mut entry, told);
    }
    entry
}

fn explain(entry: &mut Entry, told: &Told) {
    if let Some(over) = &mut entry.over {
        over.word = told.word;
    }
    if entry.given.is_none() && matches!(told.word, "approved" | "rejected") {
        entry.given = Some(Given {
            approved: told.word == "approved",
            by: told.by.clone(),
            at: told.at,
            note: told.note.clone(),
            until: told.at,
            for_s: None,
        });
    }
}
