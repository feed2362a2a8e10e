//! Repeats shown as one row: calls of the same tool with the same decision, rule and arguments that
//! follow each other, or lie close together. The first stands for all, in its place in time.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::row::{Kind, Row};
use super::watch::Counts;
use crate::time::Timestamp;

/// Repeats lie at most this far apart, unless nothing came between, in microseconds.
const NEAR: i64 = 5_000_000;
/// Signatures that are remembered before old ones are forgotten.
const REMEMBERED: usize = 8_192;

/// Rows that are shown as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// All of them, the one that stands for them first.
    pub members: VecDeque<u64>,
    /// Whether they are shown one by one.
    pub open: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    head: u64,
    ts: Timestamp,
}

/// The shown rows with repeats folded.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    ids: VecDeque<u64>,
    repeats: HashMap<u64, Repeat>,
    /// The newest of each signature, for rows that arrive.
    newest: HashMap<u64, Last>,
    /// The oldest of each signature, for rows that are found backwards.
    oldest: HashMap<u64, Last>,
    /// The signatures of the first and the last row that were looked at.
    ends: [u64; 2],
    /// Rows that another row has come to stand for.
    moved: Vec<(u64, u64)>,
}

/// What repeats have in common; never 0, which stands for what has no repeats.
fn signature(row: &Row) -> u64 {
    let Kind::Call(verdict) = row.kind else { return 0 };
    let mut hasher = DefaultHasher::new();
    (verdict, row.server, row.grant, row.tool, row.rule, &row.args).hash(&mut hasher);
    hasher.finish().max(1)
}

fn near(a: Timestamp, b: Timestamp) -> bool {
    a.0.saturating_sub(b.0).saturating_abs() <= NEAR
}

/// Room for another signature. Where most are near in time all are forgotten: what no two rows have in
/// common is not worth looking through again and again.
fn forget(ends: &mut HashMap<u64, Last>, ts: Timestamp) {
    if ends.len() < REMEMBERED {
        return;
    }
    ends.retain(|_, last| near(ts, last.ts));
    if ends.len() > REMEMBERED / 2 {
        ends.clear();
    }
}

impl Fold {
    /// How many signatures are remembered at each end: for tests of their bound.
    #[doc(hidden)]
    pub fn remembered(&self) -> (usize, usize) {
        (self.newest.len(), self.oldest.len())
    }

    /// The rows shown, oldest first.
    pub fn ids(&self) -> &VecDeque<u64> {
        &self.ids
    }

    /// The repeats that a row stands for.
    pub fn repeat(&self, head: u64) -> Option<&Repeat> {
        self.repeats.get(&head)
    }

    /// Takes in a row that is newer than all before.
    fn push_back(&mut self, id: u64, row: &Row) {
        let sign = signature(row);
        let adjacent = self.ends[1] == sign;
        self.ends[1] = sign;
        if self.ends[0] == 0 && self.ids.is_empty() {
            self.ends[0] = sign;
        }
        if sign == 0 {
            self.ids.push_back(id);
            return;
        }
        if let Some(last) = self.newest.get_mut(&sign)
            && (adjacent || near(row.ts, last.ts))
        {
            last.ts = row.ts;
            let head = last.head;
            let repeat = self
                .repeats
                .entry(head)
                .or_insert_with(|| Repeat { members: VecDeque::from([head]), open: false });
            repeat.members.push_back(id);
            if repeat.open {
                self.ids.push_back(id);
            }
            return;
        }
        forget(&mut self.newest, row.ts);
        self.newest.insert(sign, Last { head: id, ts: row.ts });
        if self.oldest.len() < REMEMBERED {
            self.oldest.entry(sign).or_insert(Last { head: id, ts: row.ts });
        }
        self.ids.push_back(id);
    }

    /// Takes in a row that is older than all before.
    fn push_front(&mut self, id: u64, row: &Row) {
        let sign = signature(row);
        let adjacent = self.ends[0] == sign;
        self.ends[0] = sign;
        if self.ids.is_empty() {
            self.ends[1] = sign;
        }
        if sign == 0 {
            self.ids.push_front(id);
            return;
        }
        if let Some(last) = self.oldest.get_mut(&sign)
            && (adjacent || near(row.ts, last.ts))
        {
            let head = std::mem::replace(&mut last.head, id);
            last.ts = row.ts;
            let mut repeat = self
                .repeats
                .remove(&head)
                .unwrap_or_else(|| Repeat { members: VecDeque::from([head]), open: false });
            repeat.members.push_front(id);
            if !repeat.open
                && let Ok(at) = self.ids.binary_search(&head)
            {
                self.ids.remove(at);
                self.moved.push((head, id));
            }
            self.repeats.insert(id, repeat);
            if let Some(newest) = self.newest.get_mut(&sign).filter(|newest| newest.head == head) {
                newest.head = id;
            }
        } else {
            forget(&mut self.oldest, row.ts);
            self.oldest.insert(sign, Last { head: id, ts: row.ts });
            if self.newest.len() < REMEMBERED {
                self.newest.entry(sign).or_insert(Last { head: id, ts: row.ts });
            }
        }
        self.ids.push_front(id);
    }

    /// A row is shown no more: it left, or the filter lets it through no more.
    fn take_away(&mut self, id: u64, row: &Row) {
        let sign = signature(row);
        if let Some(mut repeat) = self.repeats.remove(&id) {
            repeat.members.pop_front();
            if let Ok(at) = self.ids.binary_search(&id) {
                self.ids.remove(at);
            }
            let Some(head) = repeat.members.front().copied() else { return };
            if !repeat.open
                && let Err(at) = self.ids.binary_search(&head)
            {
                self.ids.insert(at, head);
                self.moved.push((id, head));
            }
            for ends in [&mut self.newest, &mut self.oldest] {
                if let Some(last) = ends.get_mut(&sign).filter(|last| last.head == id) {
                    last.head = head;
                }
            }
            if repeat.members.len() > 1 {
                self.repeats.insert(head, repeat);
            }
            return;
        }
        // One among the repeats of another, most likely of the newest: what leaves the memory is never
        // one, since what stands for it has left before.
        let has = |head: &u64| {
            self.repeats.get(head).is_some_and(|repeat| repeat.members.binary_search(&id).is_ok())
        };
        let near = [&self.newest, &self.oldest].into_iter().filter_map(|ends| ends.get(&sign));
        let near = near.map(|last| last.head).find(has);
        let head = match self.ids.binary_search(&id) {
            Ok(at) => {
                self.ids.remove(at);
                near
            }
            Err(_) => near.or_else(|| self.head_of(id)),
        };
        for ends in [&mut self.newest, &mut self.oldest] {
            if ends.get(&sign).is_some_and(|last| last.head == id) {
                ends.remove(&sign);
            }
        }
        if let Some(head) = head
            && let Some(repeat) = self.repeats.get_mut(&head)
        {
            repeat.members.retain(|member| *member != id);
            if repeat.members.len() < 2 {
                self.repeats.remove(&head);
            }
        }
    }

    /// The row that stands for a row, where that is another one.
    pub fn head_of(&self, id: u64) -> Option<u64> {
        let has = |repeat: &Repeat| repeat.members.binary_search(&id).is_ok();
        self.repeats.iter().find(|(head, repeat)| **head != id && has(repeat)).map(|(head, _)| *head)
    }

    /// Shows a row's repeats one by one, or as one again; `false` when it has none.
    pub fn toggle(&mut self, id: u64) -> bool {
        let head = if self.repeats.contains_key(&id) { Some(id) } else { self.head_of(id) };
        let Some(head) = head else { return false };
        let Some(repeat) = self.repeats.get_mut(&head) else { return false };
        repeat.open = !repeat.open;
        for member in repeat.members.iter().skip(1) {
            match (self.ids.binary_search(member), repeat.open) {
                (Err(at), true) => self.ids.insert(at, *member),
                (Ok(at), false) => {
                    self.ids.remove(at);
                    self.moved.push((*member, head));
                }
                _ => {}
            }
        }
        true
    }

    /// Rows that another row stands for since this was asked last.
    pub fn moved(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.moved)
    }
}

impl Counts for Fold {
    fn add(&mut self, id: u64, row: &Row) {
        self.push_back(id, row);
    }

    fn add_older(&mut self, id: u64, row: &Row) {
        self.push_front(id, row);
    }

    /// One that the filter lets through since its call ended: unless it is the newest, it stands by
    /// itself.
    fn insert(&mut self, id: u64, row: &Row) {
        match self.ids.binary_search(&id) {
            Err(at) if at == self.ids.len() => self.push_back(id, row),
            Err(at) => self.ids.insert(at, id),
            Ok(_) => {}
        }
    }

    fn remove(&mut self, id: u64, row: &Row) {
        self.take_away(id, row);
    }
}
