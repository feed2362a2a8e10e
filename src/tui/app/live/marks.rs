//! Marks and notes on rows: by gateway run and number, so that they outlive the rows in memory and
//! this program, and can be exported.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::ring::SourceNo;
use crate::time::Timestamp;

/// Marks that are kept; the oldest go first.
pub const MOST: usize = 10_000;

/// A mark on a row, with a person's note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The gateway run's id.
    pub gateway: String,
    /// The record's number in that run.
    pub seq: u64,
    /// When the record was made.
    pub ts: Timestamp,
    /// The note; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A change to what is kept on disk, where other monitors change things too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is marked so.
    Set(Mark),
    /// The record of this gateway run and number is marked no more.
    Unset(String, u64),
}

impl Change {
    /// Makes the change among others' marks; the oldest beyond [`MOST`] are dropped.
    pub fn apply(&self, marks: &mut Vec<Mark>) {
        let (gateway, seq) = match self {
            Self::Set(mark) => (&mark.gateway, mark.seq),
            Self::Unset(gateway, seq) => (gateway, *seq),
        };
        marks.retain(|mark| mark.seq != seq || mark.gateway != *gateway);
        if let Self::Set(mark) = self {
            marks.push(mark.clone());
        }
        marks.sort_by(|a, b| (a.ts, &a.gateway, a.seq).cmp(&(b.ts, &b.gateway, b.seq)));
        let beyond = marks.len().saturating_sub(MOST);
        marks.drain(..beyond);
    }
}

/// The marks.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    marks: HashMap<(SourceNo, u64), Mark>,
}

impl Marks {
    /// The mark on a row.
    pub fn get(&self, source: SourceNo, seq: u64) -> Option<&Mark> {
        self.marks.get(&(source, seq))
    }

    /// Marks a row, or changes its note.
    pub fn set(&mut self, source: SourceNo, mark: Mark) {
        self.marks.insert((source, mark.seq), mark);
    }

    /// Takes a row's mark away; answers with it.
    pub fn unset(&mut self, source: SourceNo, seq: u64) -> Option<Mark> {
        self.marks.remove(&(source, seq))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Every mark with its gateway run's number in this program, by time.
    pub fn by_time(&self) -> Vec<(SourceNo, &Mark)> {
        let sorted: BTreeMap<(Timestamp, SourceNo, u64), &Mark> =
            self.marks.iter().map(|((source, seq), mark)| ((mark.ts, *source, *seq), mark)).collect();
        sorted.into_iter().map(|((_, source, _), mark)| (source, mark)).collect()
    }

    /// The gateway runs of which rows are marked.
    pub fn sources(&self) -> impl Iterator<Item = SourceNo> {
        self.marks.keys().map(|(source, _)| *source)
    }

    /// Which rows are marked.
    pub fn keys(&self) -> impl Iterator<Item = (SourceNo, u64)> {
        self.marks.keys().copied()
    }
}
