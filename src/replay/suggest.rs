//! The least-privilege policy that recorded calls need.
//!
//! A [`Study`] takes the calls that were allowed, in the order of their time, and keeps a bounded
//! account of each tool: which arguments there were, of what types, within which bounds and shapes,
//! and how often the tool was called. [`Study::suggest`] makes [`Proposal`]s of that, each with its
//! evidence and, from tight to wide, several [`Choice`]s: a person takes the one that was proposed,
//! widens it, or drops it. [`Suggestion::text`] is the policy that those in force amount to.
//!
//! Nothing is proposed that a recorded call does not meet: a [`Trial`] decides the calls again under
//! the suggested policy, and [`Suggestion::refute`] drops what denied one of them. Values that were
//! masked or cut are never used, and a bound always leaves the stated margin.

mod field;
mod learn;
mod numbers;
mod propose;
mod rate;
mod text;
mod trial;

use std::collections::HashMap;

use serde::Serialize;

pub use learn::{Asked, EachLine, Learnt, NotLearnt, learn};
pub use propose::{Choice, Evidence, LeftOpen, Proposal, ProposalKind, Suggestion};
pub use trial::{Refusal, Trial};

use crate::json;
use crate::policy::counter::Caller;
use crate::risk::Profile;
use crate::time::Timestamp;
use field::Field;
use rate::Rates;

/// At most so many tools are looked at; further ones are only counted.
const MOST_TOOLS: usize = 10_000;

/// What is learnt and how closely it is kept to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `Strict` bounds every argument that can be; `Balanced` leaves those alone of which little was
    /// seen; `Open` bounds numbers and rates only.
    pub profile: Profile,
    /// How much more than what was seen is allowed, in percent.
    pub margin: u32,
    /// Only what PolicyLayer's documented format has: no `[*]`, no array lengths, no description.
    pub portable: bool,
}

impl Options {
    /// A profile with its own margin: 10, 25 and 100 percent.
    pub fn of(profile: Profile) -> Self {
        let margin = match profile {
            Profile::Strict => 10,
            Profile::Balanced => 25,
            Profile::Open => 100,
        };
        Self { profile, margin, portable: false }
    }

    /// How many calls an argument needs before anything is said of it.
    fn least(self) -> u64 {
        match self.profile {
            Profile::Strict => 3,
            Profile::Balanced => 5,
            Profile::Open => 20,
        }
    }
}

/// One recorded call that was allowed.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// When it was decided.
    pub ts: Timestamp,
    /// The server, the grant and the session whose counters count.
    pub caller: Caller<'a>,
    /// The tool.
    pub tool: &'a str,
    /// The arguments as JSON, as they were recorded; `None` where there were none.
    pub args: Option<&'a str>,
}

/// An account of calls, being made.
#[derive(Debug)]
pub struct Study {
    tools: HashMap<String, ToolStudy>,
    calls: u64,
    denied: u64,
    /// Calls of tools beyond [`MOST_TOOLS`].
    crowded: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What is known of one tool.
#[derive(Debug)]
struct ToolStudy {
    calls: u64,
    first: Timestamp,
    last: Timestamp,
    arguments: Field,
    rates: Rates,
}

/// What a study looked at, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Allowed calls.
    pub calls: u64,
    /// Calls that were denied, from which nothing was learnt.
    pub denied: u64,
    /// The first allowed call.
    pub since: Option<Timestamp>,
    /// The last allowed call.
    pub until: Option<Timestamp>,
}

impl std::default::Default for Study {
    fn default() -> Self {
        Self::new()
    }
}

impl Study {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self { tools: HashMap::new(), calls: 0, denied: 0, crowded: 0, since: None, until: None }
    }

    /// Counts a call that was denied: it is no evidence of what is needed.
    pub fn denied(&mut self) {
        self.denied += 1;
    }

    /// Learns from a call that was allowed.
    pub fn call(&mut self, used: &Used<'_>) {
        self.calls += 1;
        self.since = Some(self.since.map_or(used.ts, |since| since.min(used.ts)));
        self.until = self.until.max(Some(used.ts));
        if !self.tools.contains_key(used.tool) {
            if self.tools.len() >= MOST_TOOLS {
                self.crowded += 1;
                return;
            }
            let study = ToolStudy {
                calls: 0,
                first: used.ts,
                last: used.ts,
                arguments: Field::default(),
                rates: Rates::default(),
            };
            self.tools.insert(used.tool.to_owned(), study);
        }
        let Some(tool) = self.tools.get_mut(used.tool) else { return };
        tool.calls += 1;
        tool.last = tool.last.max(used.ts);
        tool.rates.count(used.ts, &used.caller);
        match used.args.map(json::parse) {
            Some(Ok(parsed)) => tool.arguments.see(&parsed.root, 0),
            // Arguments that were not recorded say nothing, and neither does what is no JSON.
            Some(Err(_)) => tool.arguments.lost(),
            None => tool.arguments.see_nothing(),
        }
    }

    /// What was looked at.
    pub fn seen(&self) -> Seen {
        Seen { calls: self.calls, denied: self.denied, since: self.since, until: self.until }
    }

    /// Proposals for every tool that was used, in the order of their names. With the server's tools,
    /// those that were not used are hidden.
    pub fn suggest(&self, options: Options, server: Option<&[String]>) -> Suggestion {
        propose::suggest(self, options, server)
    }
}

#[cfg(test)]
#[path = "suggest/tests.rs"]
mod tests;
