//! Rows that are older than those in memory, read from the journals page by page: a window that
//! moves, so that a journal of any length can be scrolled through.
//!
//! The window's rows have arrival numbers below [`BASE`], the ring's from there on: they are older
//! by their numbers, too.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::fold::Fold;
use super::row::{Ended, Row};
use super::watch::Counts as _;
use crate::journal::Place;

/// The ring's first arrival number.
pub const BASE: u64 = 1 << 40;
/// The window's first arrival number when it opens.
const MIDDLE: u64 = 1 << 39;
/// Rows and bytes that the window holds before the page farthest away is dropped.
const MOST: (usize, usize) = (12_000, 24 << 20);

/// Which way a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What is older than the window.
    Older,
    /// What is newer.
    Newer,
}

#[derive(Debug, Clone)]
struct Page {
    rows: usize,
    older: Arc<Place>,
    newer: Arc<Place>,
}

/// The window.
#[derive(Debug, Clone)]
pub struct Past {
    rows: VecDeque<Row>,
    first: u64,
    bytes: usize,
    pages: VecDeque<Page>,
    /// Repeats folded, where that is asked for.
    pub fold: Option<Fold>,
    /// The ring's first row when the window reached it.
    reached: Option<u64>,
    /// There is nothing older.
    pub ended: bool,
    /// Outcomes whose calls are in an older page, by gateway run and number.
    pub orphans: HashMap<(u32, u64), Ended>,
}

impl Default for Past {
    fn default() -> Self {
        Self {
            rows: VecDeque::new(),
            first: MIDDLE,
            bytes: 0,
            pages: VecDeque::new(),
            fold: None,
            reached: None,
            ended: false,
            orphans: HashMap::new(),
        }
    }
}

impl Past {
    /// Whether nothing was read.
    pub fn is_closed(&self) -> bool {
        self.pages.is_empty()
    }

    /// Closes the window.
    pub fn close(&mut self) {
        *self = Self { fold: self.fold.take().map(|_| Fold::default()), ..Self::default() };
    }

    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The arrival number of its first row.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// A row.
    pub fn get(&self, id: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    /// The row of a gateway run's record.
    pub fn find(&self, source: u32, seq: u64) -> Option<u64> {
        let at = self.rows.iter().position(|row| row.source == source && row.seq == seq)?;
        Some(self.first + at as u64)
    }

    /// Whether it holds rows of a gateway run.
    pub fn has_rows_of(&self, source: u32) -> bool {
        self.rows.iter().any(|row| row.source == source)
    }

    /// Every row, to give its strings new numbers.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut()
    }

    /// Where an older page begins to be read.
    pub fn oldest(&self) -> Option<&Arc<Place>> {
        self.pages.front().map(|page| &page.older)
    }

    /// Where a newer page begins to be read.
    pub fn newest(&self) -> Option<&Arc<Place>> {
        self.pages.back().map(|page| &page.newer)
    }

    /// Whether the ring's first row follows the window's last.
    pub fn joins(&self, ring_first: u64) -> bool {
        self.is_closed() || self.reached == Some(ring_first)
    }

    /// It goes up to the ring, whose first row is this.
    pub fn reach(&mut self, ring_first: u64) {
        self.reached = Some(ring_first);
    }

    /// Takes a page in at one end, its rows oldest first, and drops pages at the other.
    pub fn add(&mut self, way: Way, mut rows: Vec<Row>, older: Arc<Place>, newer: Arc<Place>) {
        let page = Page { rows: rows.len(), older, newer };
        self.bytes += rows.iter().map(Row::bytes).sum::<usize>();
        for row in &mut rows {
            if let Some(ended) =
                self.orphans.remove(&(row.source, row.seq)).filter(|_| row.verdict().is_some())
            {
                row.ended.get_or_insert(ended);
            }
        }
        match way {
            Way::Older => {
                self.first -= rows.len() as u64;
                for row in rows.into_iter().rev() {
                    self.rows.push_front(row);
                }
                self.pages.push_front(page);
            }
            Way::Newer => {
                self.rows.extend(rows);
                self.pages.push_back(page);
            }
        }
        while self.pages.len() > 1 && (self.rows.len() > MOST.0 || self.bytes > MOST.1) {
            match way {
                Way::Older => {
                    let Some(page) = self.pages.pop_back() else { break };
                    let keep = self.rows.len().saturating_sub(page.rows);
                    self.bytes -= self.rows.drain(keep..).map(|row| row.bytes()).sum::<usize>();
                    self.reached = None;
                }
                Way::Newer => {
                    let Some(page) = self.pages.pop_front() else { break };
                    self.bytes -= self.rows.drain(..page.rows).map(|row| row.bytes()).sum::<usize>();
                    self.first += page.rows as u64;
                    self.ended = false;
                }
            }
        }
        self.refold();
    }

    /// Folds repeats anew; pages are small.
    pub fn refold(&mut self) {
        if self.fold.is_some() {
            let mut fold = Fold::default();
            for (id, row) in (self.first..).zip(&self.rows) {
                fold.add(id, row);
            }
            self.fold = Some(fold);
        }
    }
}
