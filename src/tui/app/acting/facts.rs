//! What is needed of a row to act on it, taken out of the rows: it may leave them meanwhile.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::policy::counter::Amount;
use crate::policy::explain::Decision;
use crate::record::{CounterState, Decision as Record, Shadow, Verdict};
use crate::tui::app::App;
use crate::tui::app::live::names::Names;
use crate::tui::app::live::ring::Ring;
use crate::tui::app::live::row::{Gauge, Row};

/// How many rows are looked through for others like this one.
const LOOKED: u64 = 20_000;
/// How many others are taken.
const OTHERS: usize = 60;
const MINUTE: i64 = 60_000_000;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The gateway run.
    pub gateway: String,
    /// The record's number in it.
    pub seq: u64,
    /// The server.
    pub server: String,
    /// The grant.
    pub grant: String,
    /// The tool; empty for an event.
    pub tool: String,
    /// How the call was decided.
    pub decided: Decision,
    /// The short code of what decided.
    pub rule: String,
    /// Its pointer; empty where no document decided.
    pub pointer: String,
    /// The policy's revision.
    pub policy: String,
    /// The recorded arguments as JSON; empty for none.
    pub args: String,
    /// The record as far as it is known here, as JSON.
    pub record: String,
    /// What the counters of its limits held before: counter, window, scope, how much.
    pub held: Vec<(String, u64, String, Amount)>,
    /// The arguments of other calls of the tool that were decided alike.
    pub others: Vec<String>,
    /// How many calls of the tool its grant made before it in the same minute.
    pub earlier: u64,
}

impl Facts {
    /// The selected row. `around`: with what is around it, for rules.
    pub fn of(app: &App, around: bool) -> Option<Self> {
        let ring = &app.live.live.ring;
        let id = app.live.live.selected()?;
        let row = ring.get(id)?;
        let text = |name| ring.names.text(name).to_owned();
        let decided = match row.verdict() {
            Some(Verdict::Deny) => Decision::Deny,
            Some(Verdict::Approve) => Decision::Approve,
            Some(Verdict::Allow) | None => Decision::Allow,
        };
        let mut facts = Self {
            gateway: text(row.gateway),
            seq: row.seq,
            server: text(row.server),
            grant: text(row.grant),
            tool: text(row.tool),
            decided,
            rule: text(row.rule),
            pointer: text(row.pointer),
            policy: text(row.policy),
            args: row.args.to_string(),
            record: json(row, &ring.names),
            held: row.gauges.iter().map(|gauge| held(gauge, decided, &ring.names)).collect(),
            others: Vec::new(),
            earlier: 0,
        };
        if around {
            facts.look_around(ring, id, row);
        }
        Some(facts)
    }

    fn look_around(&mut self, ring: &Ring, id: u64, row: &Row) {
        let minute = row.ts.0.div_euclid(MINUTE);
        let like = |other: &Row| other.tool == row.tool && other.server == row.server;
        for other in (id.saturating_sub(LOOKED)..id).rev().filter_map(|id| ring.get(id)) {
            if like(other) && other.grant == row.grant && other.ts.0.div_euclid(MINUTE) == minute {
                self.earlier += u64::from(other.verdict() == Some(Verdict::Allow));
            }
        }
        // Newer ones count as much as older ones.
        for at in 1..LOOKED {
            for id in [id.checked_sub(at), id.checked_add(at)].into_iter().flatten() {
                let Some(other) = ring.get(id) else { continue };
                let args = &*other.args;
                if like(other)
                    && other.kind == row.kind
                    && !args.is_empty()
                    && !self.others.iter().any(|it| it == args)
                {
                    self.others.push(args.to_owned());
                }
            }
            if self.others.len() >= OTHERS {
                return;
            }
        }
    }
}

/// What a limit's counter held before a call. One that was allowed had room, whatever it counted.
fn held(gauge: &Gauge, decided: Decision, names: &Names) -> (String, u64, String, Amount) {
    let used = if decided == Decision::Deny { gauge.used } else { Amount::ZERO };
    let text = |name| names.text(name).to_owned();
    (text(gauge.counter), u64::from(gauge.window), text(gauge.scope), used)
}

/// A row as a record: what is not kept of it (the request's id) is null.
fn json(row: &Row, names: &Names) -> String {
    let text = |name| names.text(name).to_owned();
    let maybe = |name| Some(text(name)).filter(|text| !text.is_empty());
    let Some(decision) = row.verdict() else {
        let mut out = String::from("{\"type\":\"event\"");
        let _ = write!(out, ",\"seq\":{},\"ts\":\"{}\"", row.seq, row.ts);
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        for (name, value) in
            [("gateway", row.gateway), ("kind", row.method), ("by", row.grant), ("reason", row.message)]
        {
            if value != Names::EMPTY {
                let _ = write!(out, ",\"{name}\":{}", quoted(names.text(value)));
            }
        }
        let _ = write!(out, ",\"data\":{}}}", if row.args.is_empty() { "{}" } else { &row.args });
        return out;
    };
    let record = Record {
        seq: row.seq,
        ts: row.ts,
        gateway: text(row.gateway),
        server: text(row.server),
        grant: text(row.grant),
        session: maybe(row.session),
        client: maybe(row.client),
        request_id: None,
        method: text(row.method),
        tool: maybe(row.tool),
        decision,
        enforced: row.enforced,
        rule: text(row.rule),
        pointer: maybe(row.pointer),
        message: text(row.message),
        policy: maybe(row.policy),
        args: RawValue::from_string(row.args.to_string()).ok(),
        counters: row
            .gauges
            .iter()
            .map(|gauge| CounterState {
                counter: text(gauge.counter),
                scope: text(gauge.scope),
                key: text(gauge.key),
                window: u64::from(gauge.window),
                used: gauge.used,
                max: gauge.max,
                resets_at: gauge.resets_at,
            })
            .collect(),
        counted: decision == Verdict::Allow && !row.gauges.is_empty(),
        decide_us: f64::from(row.decide_ns) / 1000.0,
        retry_after_ms: row.retry_after_ms,
        shadow: row.shadow.map(|shadow| Shadow {
            decision: shadow.decision,
            rule: text(shadow.rule),
            pointer: maybe(shadow.pointer),
        }),
        approval: maybe(row.approval),
        call: None,
    };
    serde_json::to_string(&record).unwrap_or_default()
}
