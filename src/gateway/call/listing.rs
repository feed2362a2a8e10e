//! What a server last said of its tools, as data: the names of the last complete `tools/list` that
//! was relayed, and whether it tells when they change.
//!
//! A session of the `initialize` era has its own; in the stateless era, where each request stands
//! for itself, the requests of one grant on one server share one.

use std::collections::HashSet;

use crate::policy::decide::Listed;

/// How many tool names a list may have to be remembered; beyond, nothing is known of it.
const NAMES: usize = 200_000;

/// The names of the last complete list.
#[derive(Debug, Default)]
pub struct Listing {
    /// Names of the pages of a list that is not complete yet.
    pages: Option<HashSet<String>>,
    /// Names of the last complete list.
    listed: Option<HashSet<String>>,
    /// The server tells when its tools change.
    advertised: bool,
}

impl Listing {
    /// A listing of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers the names of a list that was relayed, hidden ones included.
    pub fn remember(&mut self, first: Option<bool>, names: &[String], more: bool) {
        match first {
            None => return,
            Some(true) => self.pages = Some(HashSet::new()),
            Some(false) => {}
        }
        // A later page without the first one tells nothing about what is absent.
        let Some(pages) = &mut self.pages else { return };
        pages.extend(names.iter().cloned());
        if pages.len() > NAMES {
            self.pages = None;
            self.listed = None;
        } else if !more {
            self.listed = self.pages.take();
        }
    }

    /// The server said whether it tells when its tools change.
    pub fn advertises(&mut self, list_changed: bool) {
        self.advertised = list_changed;
    }

    /// Whether it does.
    pub fn is_advertised(&self) -> bool {
        self.advertised
    }

    /// What the last complete list said about a tool.
    pub fn listed(&self, tool: &str) -> Listed {
        match &self.listed {
            None => Listed::Unknown,
            Some(names) if names.contains(tool) => Listed::Yes,
            Some(_) => Listed::No,
        }
    }

    /// Whether another of the listed tools is visible after a change than before; `true` where no
    /// complete list is known.
    pub fn sees_otherwise(&self, before: &dyn Fn(&str) -> bool, after: &dyn Fn(&str) -> bool) -> bool {
        match &self.listed {
            None => true,
            Some(names) => names.iter().any(|name| before(name) != after(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_list_says_what_is_absent() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut listing = Listing::new();
        assert_eq!(listing.listed("a"), Listed::Unknown);
        listing.remember(Some(false), &names(&["z"]), false);
        assert_eq!(listing.listed("z"), Listed::Unknown, "a last page alone is no list");
        listing.remember(Some(true), &names(&["a"]), true);
        assert_eq!(listing.listed("a"), Listed::Unknown, "more pages follow");
        listing.remember(Some(false), &names(&["b"]), false);
        assert_eq!((listing.listed("a"), listing.listed("b")), (Listed::Yes, Listed::Yes));
        assert_eq!(listing.listed("c"), Listed::No);
        listing.remember(None, &names(&["c"]), false);
        assert_eq!(listing.listed("c"), Listed::No, "a list that nobody asked for changes nothing");
        listing.remember(Some(true), &names(&["c"]), false);
        assert_eq!((listing.listed("a"), listing.listed("c")), (Listed::No, Listed::Yes));
    }

    #[test]
    fn only_what_is_listed_can_look_otherwise() {
        let mut listing = Listing::new();
        let (all, none) = (|_: &str| true, |_: &str| false);
        assert!(listing.sees_otherwise(&all, &all), "nothing is known");
        listing.remember(Some(true), &["a".to_owned()], false);
        assert!(!listing.sees_otherwise(&all, &|tool| tool == "a"));
        assert!(listing.sees_otherwise(&all, &none));
    }
}
