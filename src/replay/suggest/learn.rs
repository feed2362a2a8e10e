//! The whole way from recorded lines to a policy: learn, suggest, try, drop what denies.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;

use super::kept::{Kept, Store};
use super::{Options, Study, Suggestion, Trial, Used};
use crate::policy::compiled::Compiled;
use crate::policy::counter::Caller;
use crate::policy::document::Document;
use crate::record::Verdict;
use crate::record::line::CallLine;

/// A suggestion is tried so often at most: each time what denied a recorded call is dropped.
const MOST_TRIALS: usize = 8;

/// From what is learnt, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How closely.
    pub options: Options,
    /// Only calls of these servers; of all when there are none.
    pub servers: Vec<String>,
    /// Only calls of this grant.
    pub grant: Option<String>,
    /// The server's tools, where they are known: those that were not used are hidden.
    pub tools: Option<Vec<String>>,
    /// Only calls of those tools.
    pub only_tools: bool,
}

/// What was learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// The proposals; what denied a recorded call is dropped.
    pub suggestion: Suggestion,
    /// The policy's text.
    pub text: String,
    /// Recorded calls that it denies all the same; none, unless trials ran out.
    pub denies: u64,
}

/// Why nothing could be suggested.
#[derive(Debug)]
pub enum NotLearnt<E> {
    /// The records could not be read.
    Lines(E),
    /// The calls could not be kept for the trial.
    Store(io::Error),
    /// No allowed call was among them.
    NoCalls,
    /// The proposals make no policy.
    Policy(String),
}

impl<E: fmt::Display> fmt::Display for NotLearnt<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the calls cannot be kept for the trial: {error}"),
            Self::NoCalls => f.write_str("no allowed call was recorded, so that nothing can be learnt"),
            Self::Policy(why) => write!(f, "no policy can be written: {why}"),
        }
    }
}

/// What takes each line of the records.
pub type EachLine<'e> = dyn FnMut(&[u8]) + 'e;

/// Learns from records and tries what it suggests on them. `lines` hands over every line of the
/// records in the order of their time, once; `store` keeps the calls for the trial.
///
/// # Errors
/// What `lines` and `store` say; that there was nothing to learn from.
pub fn learn<E>(
    asked: &Asked,
    store: &mut dyn Store,
    lines: &mut dyn FnMut(&mut EachLine<'_>) -> Result<(), E>,
) -> Result<Learnt, NotLearnt<E>> {
    let wanted = Wanted::new(asked);
    let mut study = Study::new();
    let mut kept = Kept::new(store);
    lines(&mut |line| {
        wanted.with(line, &mut |verdict, used| match verdict {
            Verdict::Allow => {
                let number = study.call(used);
                kept.put(used, number);
            }
            Verdict::Deny => study.denied(),
            // A held call is decided again once a person answered.
            Verdict::Approve => {}
        });
    })
    .map_err(NotLearnt::Lines)?;
    let mut suggestion = study.suggest(asked.options, asked.tools.as_deref());
    if suggestion.seen.calls == 0 {
        return Err(NotLearnt::NoCalls);
    }
    let mut left = MOST_TRIALS;
    loop {
        let broken = |what: &dyn fmt::Display| NotLearnt::Policy(what.to_string());
        let text = suggestion.text().map_err(|error| broken(&error))?;
        let document = Document::parse(&text).valid().map_err(|error| broken(&error))?;
        let compiled = Compiled::new(&document).map_err(|error| broken(&error))?;
        let mut trial = Trial::new(&compiled);
        let mut call = |used: &Used<'_>, number| {
            trial.call(used, number);
        };
        kept.each(&|number| study.arguments(number), &mut call).map_err(NotLearnt::Store)?;
        let refusals = trial.refusals();
        let denies = trial.denied();
        left -= 1;
        if refusals.is_empty() || left == 0 {
            return Ok(Learnt { suggestion, text, denies });
        }
        let why =
            |calls: u64| format!("it denied {calls} recorded {}", if calls == 1 { "call" } else { "calls" });
        let refused: HashMap<String, String> =
            refusals.into_iter().map(|refusal| (refusal.pointer, why(refusal.calls))).collect();
        if suggestion.refute(&refused) == 0 {
            return Ok(Learnt { suggestion, text, denies });
        }
    }
}

/// Which calls were asked for.
struct Wanted<'a> {
    servers: &'a [String],
    grant: Option<&'a str>,
    tools: Option<HashSet<&'a str>>,
}

impl<'a> Wanted<'a> {
    fn new(asked: &'a Asked) -> Self {
        let tools = asked.tools.as_ref().filter(|_| asked.only_tools);
        Self {
            servers: &asked.servers,
            grant: asked.grant.as_deref(),
            tools: tools.map(|tools| tools.iter().map(String::as_str).collect()),
        }
    }

    /// Reads a decision, and hands it over when it is one of those that were asked for.
    fn with(&self, line: &[u8], each: &mut dyn FnMut(Verdict, &Used<'_>)) {
        let Some(line) = CallLine::parse(line) else { return };
        let (server, grant, tool): (&str, &str, &str) = (&line.server, &line.grant, &line.tool);
        let of_server = self.servers.is_empty() || self.servers.iter().any(|wanted| wanted == server);
        if !of_server || self.grant.is_some_and(|wanted| wanted != grant) {
            return;
        }
        if self.tools.as_ref().is_some_and(|tools| !tools.contains(tool)) {
            return;
        }
        let caller = Caller { server, grant, session: line.session.as_deref() };
        each(line.decision, &Used { ts: line.ts, caller, tool, args: line.args });
    }
}
