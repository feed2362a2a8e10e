//! What recorded calls say about a tool: how many came in a window, and what an argument was.

use std::collections::HashMap;

use super::App;
use crate::policy::counter::{Amount, window_start};
use crate::policy::model::Scope;
use crate::policy::path::{Path, Step};
use crate::time::Timestamp;
use crate::tui::app::live::row::Kind;

/// How many of the newest rows are looked at.
const LOOKED: u64 = 50_000;
/// How many calls are kept.
const KEPT: usize = 2_000;
/// How many values of an argument are shown, and how long each may be.
const VALUES: (usize, usize) = (3, 24);

/// The newest calls of some tools, the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    calls: Vec<Call>,
}

#[derive(Debug, Clone, PartialEq)]
struct Call {
    ts: Timestamp,
    grant: String,
    session: String,
    args: Box<str>,
}

/// The fullest window of recorded calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// What it held.
    pub most: Amount,
    /// How many calls were looked at.
    pub calls: usize,
    /// How many of them would have found no room under a bound.
    pub over: usize,
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
            let ours = matches!(row.kind, Kind::Call(_)) && servers.contains(&row.server);
            if ours && (tools.is_empty() || names.contains(&row.tool)) {
                calls.push(Call {
                    ts: row.ts,
                    grant: ring.names.text(row.grant).to_owned(),
                    session: ring.names.text(row.session).to_owned(),
                    args: row.args.clone(),
                });
            }
            if calls.len() >= KEPT {
                break;
            }
        }
        Self { calls }
    }

    /// The fullest window under a limit: of calls, or of the number at a path of their arguments.
    pub fn peak(&self, window: u64, scope: Scope, from: Option<&str>, max: Option<Amount>) -> Option<Peak> {
        let path = from.and_then(|path| Path::parse(path).ok());
        let mut all: HashMap<(&str, Timestamp), Amount> = HashMap::new();
        let mut held = all.clone();
        let (mut most, mut over) = (Amount::ZERO, 0);
        let one = Amount::parse("1")?;
        for call in self.calls.iter().rev() {
            let amount = match &path {
                None => Some(one),
                Some(path) => at(&call.args, path).and_then(|value| Amount::parse(&value.to_string())),
            };
            let Some(amount) = amount else { continue };
            let who = match scope {
                Scope::Grant => call.grant.as_str(),
                Scope::Session => call.session.as_str(),
                Scope::Server => "",
            };
            let key = (who, window_start(call.ts, window));
            let sum = all.entry(key).or_insert(Amount::ZERO);
            *sum = sum.plus(amount);
            most = most.max(*sum);
            let sum = held.entry(key).or_insert(Amount::ZERO);
            let next = sum.plus(amount);
            // What finds no room counts nothing, as at the gateway.
            if max.is_some_and(|max| next > max) {
                over += 1;
            } else {
                *sum = next;
            }
        }
        (!self.calls.is_empty()).then_some(Peak { most, calls: self.calls.len(), over })
    }

    /// The newest different values of an argument, as JSON on one line.
    pub fn values(&self, path: &str) -> Vec<String> {
        let Ok(path) = Path::parse(path) else { return Vec::new() };
        let mut found: Vec<String> = Vec::new();
        for call in &self.calls {
            let Some(value) = at(&call.args, &path) else { continue };
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

    fn seen(calls: &[(i64, &str, &str)]) -> Seen {
        let call = |(secs, grant, args): &(i64, &str, &str)| Call {
            ts: Timestamp::from_secs(*secs),
            grant: (*grant).to_owned(),
            session: String::new(),
            args: (*args).into(),
        };
        Seen { calls: calls.iter().rev().map(call).collect() }
    }

    #[test]
    fn the_fullest_window_is_found_and_what_finds_no_room_counts_nothing() {
        let args = r#"{"n":2.5,"to":[{"id":"a"}]}"#;
        let calls = [
            (0, "x", args),
            (10, "x", args),
            (59, "y", args),
            (61, "x", args),
            (62, "x", args),
            (63, "x", args),
        ];
        let seen = seen(&calls);
        let amount = |text| Amount::parse(text).unwrap();
        let peak = seen.peak(60, Scope::Grant, None, Some(amount("2"))).unwrap();
        assert_eq!((peak.most, peak.calls, peak.over), (amount("3"), 6, 1));
        let peak = seen.peak(60, Scope::Server, None, None).unwrap();
        assert_eq!((peak.most, peak.over), (amount("3"), 0));
        let peak = seen.peak(3600, Scope::Grant, Some("args.n"), None).unwrap();
        assert_eq!(peak.most, amount("12.5"));
        assert_eq!(Seen::default().peak(60, Scope::Grant, None, None), None);
        assert_eq!(seen.values("args.to[*].id"), ["\"a\""]);
        assert_eq!(seen.values("args.missing"), Vec::<String>::new());
    }
}
