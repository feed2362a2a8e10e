//! The whole way from recorded lines to a policy: learn, suggest, try, drop what denies.

use std::collections::HashMap;
use std::fmt;

use super::{Options, Study, Suggestion, Trial, Used};
use crate::policy::compiled::Compiled;
use crate::policy::counter::Caller;
use crate::policy::document::Document;
use crate::record::Verdict;
use crate::record::line::Line;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLearnt<E> {
    /// The records could not be read.
    Lines(E),
    /// No allowed call was among them.
    NoCalls,
    /// The proposals make no policy.
    Policy(String),
}

impl<E: fmt::Display> fmt::Display for NotLearnt<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(error) => error.fmt(f),
            Self::NoCalls => f.write_str("no allowed call was recorded, so that nothing can be learnt"),
            Self::Policy(why) => write!(f, "no policy can be written: {why}"),
        }
    }
}

/// What takes each line of the records.
pub type EachLine<'e> = dyn FnMut(&[u8]) + 'e;

/// Learns from records and tries what it suggests on them. `lines` hands over every line of the
/// records in the order of their time; it is asked twice or more often, each time with a word for
/// what is done.
///
/// # Errors
/// What `lines` says; that there was nothing to learn from.
pub fn learn<E>(
    asked: &Asked,
    lines: &mut dyn FnMut(&str, &mut EachLine<'_>) -> Result<(), E>,
) -> Result<Learnt, NotLearnt<E>> {
    let mut study = Study::new();
    lines("learning", &mut |line| {
        with(asked, line, &mut |verdict, used| match verdict {
            Verdict::Allow => study.call(used),
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
        lines("trying it", &mut |line| {
            with(asked, line, &mut |verdict, used| {
                if verdict == Verdict::Allow {
                    trial.call(used);
                }
            });
        })
        .map_err(NotLearnt::Lines)?;
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

/// Reads a decision, and hands it over when it is one of those that were asked for.
fn with(asked: &Asked, line: &[u8], each: &mut dyn FnMut(Verdict, &Used<'_>)) {
    let Ok(line) = Line::parse(line) else { return };
    let (Some(verdict), Some(tool)) = (line.decision, &line.tool) else { return };
    let (server, grant) = (Line::text(&line.server), Line::text(&line.grant));
    let of_server = asked.servers.is_empty() || asked.servers.iter().any(|wanted| wanted == server);
    if !of_server || asked.grant.as_deref().is_some_and(|wanted| wanted != grant) {
        return;
    }
    let listed = |tools: &Vec<String>| tools.iter().any(|name| *name == tool.0);
    if asked.only_tools && asked.tools.as_ref().is_some_and(|tools| !listed(tools)) {
        return;
    }
    let caller = Caller { server, grant, session: line.session.as_ref().map(|text| text.0.as_ref()) };
    each(verdict, &Used { ts: line.ts, caller, tool: &tool.0, args: line.args });
}
