//! The filter language over records: parse, match, complete. The same on live rows, in `tail` and
//! on the journal.
//!
//! A filter is a list of terms that must all hold:
//!
//! | term | holds when |
//! |---|---|
//! | `tool:ghcr_*` | the field equals the value; `*` stands for any characters, case is ignored |
//! | `decision:deny,approve` | one of the values does |
//! | `rule:/limits/` and `"two words"` | between slashes a regular expression, between quotes text as it is |
//! | `arg.image:*evil*`, `arg.amount:>100` | an argument by its path; numbers are compared as decimals |
//! | `since:15m`, `until:2026-11-20T21:00:00Z` | so long ago, or an instant |
//! | `shadow:deny`, `shadow:differs` | what the shadow policy would have decided, or that it differs |
//! | `refund` | the word stands somewhere in tool, rule, message or arguments |
//! | `-tool:pull`, `!refund` | the term does not hold |
//!
//! Pure: "now" comes in as a value.

mod args;
mod complete;
mod needle;
mod parse;
mod text;

use std::borrow::Cow;
use std::fmt;

use regex::bytes::Regex;
use serde::Deserialize;

use crate::json::Span;
use crate::record::line::{Line, Text};
use crate::record::{EventKind, Record, Status, Verdict};
use crate::time::Timestamp;

pub use complete::{Completion, Known, complete, quoted};
use parse::Term;

/// What a record or a row is, as a filter sees it: borrowed, so that matching builds nothing.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What it is about.
    pub kind: Kind,
    /// When.
    pub ts: Timestamp,
    /// The tool; empty where there is none.
    pub tool: &'a str,
    /// The short code of the rule.
    pub rule: &'a str,
    /// The grant; of an event who did it.
    pub grant: &'a str,
    /// The server.
    pub server: &'a str,
    /// The gateway run's id.
    pub gateway: &'a str,
    /// The session.
    pub session: &'a str,
    /// The client.
    pub client: &'a str,
    /// The method.
    pub method: &'a str,
    /// The message; of an event the reason.
    pub message: &'a str,
    /// The recorded arguments, or an event's data, as JSON; empty where there are none.
    pub args: &'a str,
    /// How the call ended, where that is known.
    pub status: Option<Status>,
    /// What the shadow policy would have decided, where there is one.
    pub shadow: Option<Verdict>,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call.
    Call(Verdict),
    /// A call's end, where it stands by itself.
    Outcome,
    /// Something that happened to a gateway.
    Event(EventKind),
}

impl<'a> View<'a> {
    /// A record as a filter sees it. `data` holds an event's data as JSON, which a record keeps as
    /// a tree.
    pub fn of(record: &'a Record, data: &'a str) -> Self {
        let empty = Self {
            kind: Kind::Outcome,
            ts: record.ts(),
            tool: "",
            rule: "",
            grant: "",
            server: "",
            gateway: record.gateway(),
            session: "",
            client: "",
            method: "",
            message: "",
            args: "",
            status: None,
            shadow: None,
        };
        match record {
            Record::Decision(decision) => Self {
                kind: Kind::Call(decision.decision),
                tool: decision.tool.as_deref().unwrap_or(""),
                rule: &decision.rule,
                grant: &decision.grant,
                server: &decision.server,
                session: decision.session.as_deref().unwrap_or(""),
                client: decision.client.as_deref().unwrap_or(""),
                method: &decision.method,
                message: &decision.message,
                args: decision.args.as_ref().map_or("", |args| args.get()),
                shadow: decision.shadow.as_ref().map(|shadow| shadow.decision),
                ..empty
            },
            Record::Outcome(outcome) => Self { status: Some(outcome.status), ..empty },
            Record::Event(event) => Self {
                kind: Kind::Event(event.kind),
                grant: event.by.as_deref().unwrap_or(""),
                server: event.data.get("server").and_then(|server| server.as_str()).unwrap_or(""),
                message: event.reason.as_deref().unwrap_or(""),
                args: data,
                ..empty
            },
        }
    }
}

impl<'v> View<'v> {
    /// A journal's line as a filter sees it; `None` for what is no known record.
    pub fn of_line(line: &'v Line<'_>) -> Option<Self> {
        let kind = match (line.decision, line.event, line.kind.0.as_ref()) {
            (Some(verdict), _, "decision") => Kind::Call(verdict),
            (_, Some(event), "event") => Kind::Event(event),
            (_, _, "outcome") => Kind::Outcome,
            _ => return None,
        };
        let event = matches!(kind, Kind::Event(_));
        let args = if event { line.data } else { line.args };
        Some(Self {
            kind,
            ts: line.ts,
            tool: Line::text(&line.tool),
            rule: Line::text(&line.rule),
            grant: Line::text(if event { &line.by } else { &line.grant }),
            server: match line.data.filter(|_| event) {
                Some(data) => about(data),
                None => Line::text(&line.server),
            },
            gateway: &line.gateway.0,
            session: Line::text(&line.session),
            client: Line::text(&line.client),
            method: Line::text(&line.method),
            message: Line::text(if event { &line.reason } else { &line.message }),
            args: args.unwrap_or(""),
            status: line.status,
            shadow: line.shadow.as_ref().map(|shadow| shadow.decision),
        })
    }
}

/// The server that an event's data names; empty where it names none, or has escapes in its name.
fn about(data: &str) -> &str {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, default)]
        server: Option<Text<'a>>,
    }
    match serde_json::from_str(data) {
        Ok(Data { server: Some(Text(Cow::Borrowed(server))) }) => server,
        _ => "",
    }
}

/// The fields that a term can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `tool:`
    Tool,
    /// `decision:` `allow`, `deny`, `approve`
    Decision,
    /// `rule:`
    Rule,
    /// `grant:`
    Grant,
    /// `server:`
    Server,
    /// `gateway:`
    Gateway,
    /// `session:`
    Session,
    /// `client:`
    Client,
    /// `method:`
    Method,
    /// `message:`
    Message,
    /// `status:` `ok`, `tool_error`, `rpc_error`, `cancelled`, `lost`
    Status,
    /// `shadow:` `allow`, `deny`, `approve`, `same`, `differs`
    Shadow,
    /// `kind:` `call` or `decision`, `outcome`, `event`, or an event's kind
    Kind,
}

impl Field {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Tool, "tool"),
        (Self::Decision, "decision"),
        (Self::Rule, "rule"),
        (Self::Grant, "grant"),
        (Self::Server, "server"),
        (Self::Gateway, "gateway"),
        (Self::Session, "session"),
        (Self::Client, "client"),
        (Self::Method, "method"),
        (Self::Message, "message"),
        (Self::Status, "status"),
        (Self::Shadow, "shadow"),
        (Self::Kind, "kind"),
    ];
}

/// Names that have values of their own: everything before the colon of a term.
pub(crate) const OTHER_NAMES: [&str; 3] = ["arg.", "since", "until"];

/// A filter that was read.
#[derive(Debug, Clone)]
pub struct Filter {
    terms: Vec<(bool, Term)>,
}

/// What is wrong with a filter's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The part of the text that does not fit.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, ": {help}"))
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Reads a filter. `now` is what `since:15m` counts back from.
    ///
    /// # Errors
    /// An unknown field, an empty value, a value that the field cannot have, an unclosed quote, a
    /// regular expression that does not compile, a time that is none.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        parse::terms(text, now).map(|terms| Self { terms })
    }

    /// `decision:deny`
    pub fn denied() -> Self {
        Self { terms: vec![(true, Term::Decision(vec![Verdict::Deny]))] }
    }

    /// Whether a record matches.
    pub fn matches(&self, view: &View<'_>) -> bool {
        self.terms.iter().all(|(wanted, term)| term.holds(view) == *wanted)
    }

    /// Expressions of which every journal line that matches the filter matches each; a line that
    /// matches them may still not match it. For searching a journal before reading its lines; empty
    /// where nothing can be said of them. None matches across a line feed.
    pub fn needles(&self) -> Vec<Regex> {
        self.terms.iter().filter(|(wanted, _)| *wanted).filter_map(|(_, term)| term.needle()).collect()
    }

    /// Whether an outcome can match it: one that asks for what only calls and events have never does.
    pub fn may_be_outcome(&self) -> bool {
        self.terms.iter().all(|(wanted, term)| !wanted || term.may_be_outcome())
    }

    /// Whether it asks how calls ended, so that a call's outcome can change what it says of it.
    pub fn asks_status(&self) -> bool {
        self.terms.iter().any(|(_, term)| matches!(term, Term::Status(_)))
    }

    /// Whether it asks for nothing, so that everything matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// Reads any text as a filter, matches and completes with it: for fuzzing and property tests.
///
/// # Panics
/// When a promise is broken; that is its purpose.
#[doc(hidden)]
pub fn check(text: &str) {
    let now = Timestamp::from_secs(1_000_000);
    let view = View {
        kind: Kind::Call(Verdict::Deny),
        ts: now,
        tool: "pull",
        rule: "/tools/pull/limits/pull_rate",
        grant: "local",
        server: "docker",
        gateway: "g",
        session: "s",
        client: "c",
        method: "tools/call",
        message: "no",
        args: r#"{"image":"nginx","n":[1,2.5],"deep":{"x":null}}"#,
        status: Some(Status::Ok),
        shadow: Some(Verdict::Allow),
    };
    match Filter::parse(text, now) {
        Ok(filter) => {
            let first = filter.matches(&view);
            assert_eq!(first, filter.matches(&view), "matching is a function");
            assert!(!filter.is_empty() || first, "an empty filter matches everything");
        }
        Err(error) => {
            assert!(
                error.span.start <= error.span.end && error.span.end <= text.len(),
                "the span lies in the text"
            );
            assert!(!error.message.is_empty(), "an error says what is wrong");
        }
    }
    for at in [0, text.len() / 2, text.len()] {
        let at = text.floor_char_boundary(at);
        for completion in complete(text, at, &Known::default()) {
            assert!(completion.from <= at, "a completion replaces what was typed");
        }
    }
}

#[cfg(test)]
mod tests;
