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
mod kept;
mod learn;
mod numbers;
mod propose;
mod rate;
mod repeats;
mod text;
mod trial;

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use serde::Serialize;

pub use kept::Store;
pub use learn::{Asked, EachLine, Learnt, NotLearnt, learn};
pub use propose::{Choice, Evidence, LeftOpen, Proposal, ProposalKind, Suggestion};
pub use trial::{Refusal, Trial};

use crate::json;
use crate::policy::counter::Caller;
use crate::risk::Profile;
use crate::time::Timestamp;
use field::Field;
use rate::Rates;
use repeats::Repeats;

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
    repeats: Repeats,
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
    /// Numbers for arguments that may come again.
    numbers: HashMap<Arc<str>, u32>,
    /// Those of them that came again since [`ToolStudy::arguments`] last knew all.
    pending: Vec<u32>,
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
        Self {
            tools: HashMap::new(),
            calls: 0,
            denied: 0,
            crowded: 0,
            repeats: Repeats::default(),
            since: None,
            until: None,
        }
    }

    /// One that looks at all arguments, as often as they come.
    #[cfg(test)]
    fn without_repeats() -> Self {
        Self { repeats: Repeats::full(), ..Self::new() }
    }

    /// Counts a call that was denied: it is no evidence of what is needed.
    pub fn denied(&mut self) {
        self.denied += 1;
    }

    /// Learns from a call that was allowed; the number of its arguments, where they have one.
    pub fn call(&mut self, used: &Used<'_>) -> Option<u32> {
        self.calls += 1;
        self.since = Some(self.since.map_or(used.ts, |since| since.min(used.ts)));
        self.until = self.until.max(Some(used.ts));
        let crowded = self.tools.len() >= MOST_TOOLS;
        let tool = match self.tools.get_mut(used.tool) {
            Some(tool) => tool,
            None if crowded => {
                self.crowded += 1;
                return None;
            }
            None => self.tools.entry(used.tool.to_owned()).or_insert(ToolStudy {
                calls: 0,
                first: used.ts,
                last: used.ts,
                arguments: Field::default(),
                rates: Rates::default(),
                numbers: HashMap::new(),
                pending: Vec::new(),
            }),
        };
        tool.calls += 1;
        tool.last = tool.last.max(used.ts);
        tool.rates.count(used.ts, &used.caller);
        let Some(args) = used.args else {
            tool.arguments.see_nothing(1);
            return None;
        };
        if let Some(number) = tool.numbers.get(args) {
            // They say nothing new: how often they came is reckoned in once something new comes.
            if self.repeats.again(*number) {
                tool.pending.push(*number);
            }
            return Some(*number);
        }
        tool.settle(&mut self.repeats);
        tool.see(args, 1);
        let (number, args) = self.repeats.number(args)?;
        tool.numbers.insert(args, number);
        Some(number)
    }

    /// The arguments of a number.
    pub(super) fn arguments(&self, number: u32) -> Option<&str> {
        self.repeats.text(number).map(|text| &**text)
    }

    /// What was looked at.
    pub fn seen(&self) -> Seen {
        Seen { calls: self.calls, denied: self.denied, since: self.since, until: self.until }
    }

    /// Proposals for every tool that was used, in the order of their names. With the server's tools,
    /// those that were not used are hidden.
    pub fn suggest(&mut self, options: Options, server: Option<&[String]>) -> Suggestion {
        for tool in self.tools.values_mut() {
            tool.settle(&mut self.repeats);
        }
        propose::suggest(self, options, server)
    }
}

impl ToolStudy {
    /// Takes in arguments that came so often.
    fn see(&mut self, args: &str, times: u64) {
        match json::parse(args) {
            Ok(parsed) => self.arguments.see(&parsed.root, 0, times),
            // What is no JSON says nothing.
            Err(_) => self.arguments.lost(times),
        }
    }

    /// Reckons in what came again.
    fn settle(&mut self, repeats: &mut Repeats) {
        for number in std::mem::take(&mut self.pending) {
            if let Some((args, times)) = repeats.take(number) {
                self.see(&args, times);
            }
        }
    }
}

#[cfg(test)]
#[path = "suggest/tests.rs"]
mod tests;
