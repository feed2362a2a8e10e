//! Calls that were held for a person: which row asked, which row answered, and who decided.
//!
//! The two decisions of a held call stay two rows, each where it belongs in time, as in the journal;
//! each knows the other. They are one call, and counted as one.

use std::collections::{HashMap, VecDeque};

use crate::record::{Event, EventKind};
use crate::time::Timestamp;

/// How many approvals' ends are remembered.
const MOST: usize = 10_000;
/// How many of the last rows of calls that were held are known.
const LAST: usize = 1_000;

/// How an approval ended, as an event's record told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In a word: `approved`, `rejected`, `expired` or `cancelled`.
    pub word: &'static str,
    /// By whom; empty where nobody did.
    pub by: String,
    /// Their note.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// What is known about held calls, by the arrival numbers of their rows and the approvals' ids.
#[derive(Debug, Clone, Default)]
pub struct Held {
    answers: HashMap<u64, u64>,
    asked: HashMap<u64, u64>,
    told: HashMap<String, Told>,
    /// The last rows that asked, the newest last.
    last: VecDeque<u64>,
}

impl Held {
    /// The row `answer` is the second decision of the call that the row `asked` held.
    pub fn link(&mut self, asked: u64, answer: u64) {
        self.answers.insert(asked, answer);
        self.asked.insert(answer, asked);
    }

    /// A row asks a person.
    pub fn asks(&mut self, row: u64) {
        if self.last.len() >= LAST {
            self.last.pop_front();
        }
        self.last.push_back(row);
    }

    /// The last rows that asked, the newest first; some of them may be gone.
    pub fn last(&self) -> impl Iterator<Item = u64> + '_ {
        self.last.iter().rev().copied()
    }

    /// A row is gone.
    pub fn forget(&mut self, row: u64) {
        if let Some(answer) = self.answers.remove(&row) {
            self.asked.remove(&answer);
        }
        if let Some(asked) = self.asked.remove(&row) {
            self.answers.remove(&asked);
        }
    }

    /// The row that answers a row that asked.
    pub fn answer_of(&self, asked: u64) -> Option<u64> {
        self.answers.get(&asked).copied()
    }

    /// The row that asked, of one that answers.
    pub fn asked_by(&self, answer: u64) -> Option<u64> {
        self.asked.get(&answer).copied()
    }

    /// How an approval ended, where that was told.
    pub fn told(&self, approval: &str) -> Option<&Told> {
        self.told.get(approval)
    }

    /// Takes in an event; answers with the approval's id where it tells how one ended.
    pub fn hear(&mut self, event: &Event) -> Option<String> {
        if event.kind != EventKind::Approval {
            return None;
        }
        let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
        let id = text("id")?;
        let state = text("state")?;
        let known = ["approved", "rejected", "expired", "cancelled"];
        let word = known.into_iter().find(|word| *word == state)?;
        if self.told.len() >= MOST {
            // The older half goes: what is shown is mostly newer.
            let mut times: Vec<Timestamp> = self.told.values().map(|told| told.at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or_default();
            self.told.retain(|_, told| told.at > middle);
        }
        let told = Told {
            word,
            by: event.by.clone().unwrap_or_default(),
            note: event.reason.clone().unwrap_or_default(),
            at: event.ts,
        };
        self.told.insert(id.to_owned(), told);
        Some(id.to_owned())
    }
}
