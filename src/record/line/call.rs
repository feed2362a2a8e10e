//! Who called what: what those ask who learn from millions of calls.

use std::borrow::Cow;

use super::{Line, walk};
use crate::record::Verdict;
use crate::time::Timestamp;

/// The decision about a call, read in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLine<'a> {
    /// When it was decided.
    pub ts: Timestamp,
    /// The server's name.
    pub server: Cow<'a, str>,
    /// The grant's label.
    pub grant: Cow<'a, str>,
    /// The session.
    pub session: Option<Cow<'a, str>>,
    /// The tool.
    pub tool: Cow<'a, str>,
    /// The decision.
    pub decision: Verdict,
    /// The arguments, as JSON.
    pub args: Option<&'a str>,
}

impl<'a> CallLine<'a> {
    /// Reads a line; `None` where it is no decision about a tool, or cannot be read. Quicker than
    /// [`Line::parse`], which keeps every member.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let Some(found) = walk::call(line) else { return Self::of(Line::parse(line).ok()?) };
        // No record is without them.
        found.seq?;
        found.gateway?;
        Some(Self {
            ts: found.ts?,
            server: Cow::Borrowed(found.server.unwrap_or_default()),
            grant: Cow::Borrowed(found.grant.unwrap_or_default()),
            session: found.session.map(Cow::Borrowed),
            tool: Cow::Borrowed(found.tool?),
            decision: found.decision?,
            args: found.args,
        })
    }

    /// What a whole line says of it.
    pub(super) fn of(line: Line<'a>) -> Option<Self> {
        Some(Self {
            ts: line.ts,
            server: line.server.unwrap_or_default().0,
            grant: line.grant.unwrap_or_default().0,
            session: line.session.map(|text| text.0),
            tool: line.tool?.0,
            decision: line.decision.filter(|_| line.kind.0 == "decision")?,
            args: line.args,
        })
    }
}
