//! Searching among the shown rows without hiding any: the same terms as in a filter, from where one
//! is to the next match, in steps so that keys are answered between them.

use super::row::Row;
use super::{LOOK_BACK, Live};
use crate::filter::{Filter, FilterError};
use crate::time::Timestamp;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Search {
    /// As it was typed.
    pub text: String,
    /// The word that is searched for, in small letters, where it is a word alone: it is marked where
    /// it stands.
    pub word: Option<String>,
    filter: Filter,
}

/// A search on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seek {
    older: bool,
    /// The next row to look at.
    at: u64,
    /// On its end the other direction is looked at, too, from here.
    other: Option<u64>,
}

/// What came of the last search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Found {
    /// Nothing was searched for yet.
    #[default]
    Nothing,
    /// It is on its way.
    Searching,
    /// The selected row matches.
    Here,
    /// There is no match further on; `true`: among older rows.
    None(bool),
}

impl Live {
    /// Searches for what a filter would let through, from the selected row to older ones, then to
    /// newer ones; an empty text forgets the search.
    ///
    /// # Errors
    /// What is wrong with the text; the search before stays.
    pub fn set_search(&mut self, text: &str, now: Timestamp) -> Result<(), FilterError> {
        self.seek = None;
        self.found = Found::Nothing;
        if text.trim().is_empty() {
            self.search = None;
            return Ok(());
        }
        let filter = Filter::parse(text, now)?;
        let word = text.trim();
        let plain = !word.contains([' ', ':', '*', '/', '"']) && !word.starts_with(['-', '!']);
        self.search =
            Some(Search { text: text.to_owned(), word: plain.then(|| word.to_lowercase()), filter });
        // What is found must stand still.
        self.pause();
        if let Some(at) = self.selected() {
            self.seek = Some(Seek { older: true, at, other: Some(at.saturating_add(1)) });
            self.found = Found::Searching;
        }
        self.work();
        Ok(())
    }

    /// Goes on to the next match.
    pub fn seek(&mut self, older: bool) {
        self.pause();
        let Some(at) = self.selected().filter(|_| self.search.is_some()) else { return };
        let at = if older { at.checked_sub(1) } else { at.checked_add(1) };
        self.seek = at.map(|at| Seek { older, at, other: None });
        self.found = if self.seek.is_some() { Found::Searching } else { Found::None(older) };
        self.work();
    }

    /// Whether a row is what is searched for.
    pub fn is_found(&self, row: &Row) -> bool {
        self.search.as_ref().is_some_and(|search| search.filter.matches(&row.view(&self.ring.names)))
    }

    /// Whether a search waits for older rows than are in memory.
    pub(super) fn seeks_older(&self) -> bool {
        self.seek.is_some_and(|seek| seek.older)
    }

    /// Looks at some more rows.
    pub(super) fn seek_on(&mut self) {
        let Some(mut seek) = self.seek else { return };
        let Some(search) = &self.search else {
            self.seek = None;
            return;
        };
        let mut weighed = 0;
        let mut found = None;
        while weighed < LOOK_BACK {
            let next = self.index_of(seek.at);
            let exact = self.nth(next) == Some(seek.at);
            let index = match (seek.older, exact) {
                (true, false) => next.checked_sub(1),
                _ => Some(next),
            };
            let Some(id) = index.and_then(|index| self.nth(index)) else {
                if seek.older && !self.is_settled() {
                    // The filter still finds older rows: go on after it.
                    break;
                }
                if seek.older && self.reads_older() {
                    break;
                }
                let Some(at) = seek.other.take() else {
                    self.found = Found::None(seek.older);
                    self.seek = None;
                    return;
                };
                seek.older = false;
                seek.at = at;
                continue;
            };
            let Some(row) = self.ring.get(id) else { break };
            weighed += row.bytes();
            if search.filter.matches(&row.view(&self.ring.names)) {
                found = Some(id);
                break;
            }
            let Some(at) = (if seek.older { id.checked_sub(1) } else { id.checked_add(1) }) else { break };
            seek.at = at;
        }
        match found {
            Some(id) => {
                self.seek = None;
                self.found = Found::Here;
                self.go_to(id);
            }
            None => self.seek = Some(seek),
        }
    }

    /// Gives a search up.
    pub fn stop_search(&mut self) -> bool {
        self.found = Found::Nothing;
        self.seek.take().is_some() | self.search.take().is_some()
    }
}
