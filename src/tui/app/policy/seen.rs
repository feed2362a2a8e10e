//! What the newest calls say about a tool: how many came in a window, and what an argument was. Those of
//! the Live screen are at hand; what journals hold is added once they were read.

use std::sync::Arc;

use super::App;
use crate::policy::counter::Caller;
use crate::policy::path::{Path, Step};
use crate::replay::peak::{Bound, Peak, Peaks};
use crate::time::Timestamp;
use crate::tui::app::live::row::Kind;

/// How many of the newest rows are looked at.
const LOOKED: u64 = 50_000;
/// How many calls are kept.
const KEPT: usize = 2_000;
/// At each key so many bytes of arguments are looked at for values.
const LOOKED_AT: usize = 256 * 1024;
/// How many values of an argument are shown, and how long each may be.
const VALUES: (usize, usize) = (3, 24);

/// The newest calls of some tools, the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    calls: Vec<Call>,
    /// The arguments of calls that journals hold of one tool, the newest first.
    recorded: Arc<[Box<str>]>,
}

#[derive(Debug, Clone, PartialEq)]
struct Call {
    ts: Timestamp,
    server: String,
    grant: String,
    session: String,
    tool: String,
    args: Box<str>,
}

impl Seen {
    /// The recorded calls of some tools of this policy's servers; of every tool where none is named.
    pub fn of(app: &App, tools: &[String]) -> Self {
        let ring = &app.live.live.ring;
        let names: Vec<_> = tools.iter().filter_map(|tool| ring.names.find(tool)).collect();
        let servers = &app.policy.enforced_by;
        let servers: Vec<_> = servers.iter().filter_map(|server| ring.names.find(server)).collect();
        let mut calls = Vec::new();
        let (first, next) = (ring.first(), ring.next());
        for id in (first.max(next.saturating_sub(LOOKED))..next).rev() {
            let Some(row) = ring.get(id) else { continue };
            let call = matches!(row.kind, Kind::Call(_)) && !row.again;
            let ours = call && servers.contains(&row.server);
            if ours && (tools.is_empty() || names.contains(&row.tool)) {
                calls.push(Call {
                    ts: row.ts,
                    server: ring.names.text(row.server).to_owned(),
                    tool: ring.names.text(row.tool).to_owned(),
                    grant: ring.names.text(row.grant).to_owned(),
                    session: ring.names.text(row.session).to_owned(),
                    args: row.args.clone(),
                });
            }
            if calls.len() >= KEPT {
                break;
            }
        }
        Self { calls, recorded: Arc::default() }
    }

    /// Adds what journals hold of the tool: the arguments of its calls, the newest first.
    pub fn add_recorded(&mut self, recorded: Vec<Box<str>>) {
        self.recorded = recorded.into();
    }

    /// The fullest window under a limit.
    pub fn peak(&self, bound: &Bound) -> Option<Peak> {
        let mut peaks = Peaks::new(bound);
        for call in self.calls.iter().rev() {
            let session = Some(call.session.as_str()).filter(|session| !session.is_empty());
            let caller = Caller { server: &call.server, grant: &call.grant, session };
            peaks.call(call.ts, &caller, &call.tool, Some(&call.args));
        }
        peaks.peak()
    }

    /// The newest different values of an argument, as JSON on one line.
    pub fn values(&self, path: &str) -> Vec<String> {
        let Ok(path) = Path::parse(path) else { return Vec::new() };
        let mut found: Vec<String> = Vec::new();
        let mut looked = 0;
        for args in self.calls.iter().map(|call| &call.args).chain(self.recorded.iter()) {
            looked += args.len();
            if looked > LOOKED_AT {
                break;
            }
            let Some(value) = at(args, &path) else { continue };
            // Masked and cut values say nothing.
            if value.get("masked").is_some() || value.get("cut").is_some() {
                continue;
            }
            let mut text = crate::visible::visible(&value.to_string()).into_owned();
            if let Some((end, _)) = text.char_indices().nth(VALUES.1) {
                text.truncate(end);
                text.push_str("...");
            }
            if !found.contains(&text) {
                found.push(text);
            }
            if found.len() >= VALUES.0 {
                break;
            }
        }
        found
    }
}

/// The value at a path of recorded arguments; of `[*]` the first element.
fn at(args: &str, path: &Path) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_str(args).ok()?;
    for step in path.steps() {
        value = match step {
            Step::Name(name) => value.get_mut(name)?.take(),
            Step::Number { text, .. } => match value {
                serde_json::Value::Array(_) => value.get_mut(text.parse::<usize>().ok()?)?.take(),
                _ => value.get_mut(text)?.take(),
            },
            Step::Each => value.get_mut(0)?.take(),
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::counter::Amount;
    use crate::policy::model::Scope;

    #[test]
    fn the_newest_calls_are_counted_and_their_values_found() {
        let call = |secs: i64| Call {
            ts: Timestamp::from_secs(secs),
            server: "s".to_owned(),
            grant: "x".to_owned(),
            session: String::new(),
            tool: "t".to_owned(),
            args: r#"{"n":2.5,"to":[{"id":"a"}]}"#.into(),
        };
        let seen = Seen { calls: [63, 62, 10].map(call).to_vec(), recorded: Arc::default() };
        let bound = Bound {
            tools: vec!["t".to_owned()],
            apart: false,
            window: 60,
            scope: Scope::Grant,
            from: None,
            max: Amount::parse("1"),
        };
        let peak = seen.peak(&bound).unwrap();
        assert_eq!((peak.most, peak.calls, peak.over), (Amount::parse("2").unwrap(), 3, 1));
        assert_eq!((peak.since, peak.until), (Timestamp::from_secs(10), Timestamp::from_secs(63)));
        assert_eq!(Seen::default().peak(&bound), None);
        assert_eq!(seen.values("args.to[*].id"), ["\"a\""]);
        assert_eq!(seen.values("args.missing"), Vec::<String>::new());
        let args = [r#"{"to":[{"id":"a"}]}"#, r#"{"to":[{"id":"b"}]}"#, r#"{"to":[]}"#, "torn"];
        let mut seen = seen;
        seen.add_recorded(args.map(Box::from).to_vec());
        assert_eq!(seen.values("args.to[*].id"), ["\"a\"", "\"b\""]);
        assert_eq!(seen.values("args.n"), ["2.5"]);
        // What is looked at has an end, however large the arguments are.
        let large = format!(r#"{{"n":1,"text":"{}"}}"#, "x".repeat(LOOKED_AT));
        seen.add_recorded(vec![large.into(), r#"{"n":7}"#.into()]);
        assert_eq!(seen.values("args.n"), ["2.5"]);
    }
}
