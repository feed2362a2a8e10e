//! Records: what the journal keeps and the feed carries, one line of JSON each, the same bytes in
//! both. The field names and meanings are a contract; `assets/record.schema.json` states it.

pub mod line;
pub mod mask;
pub mod secret;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::policy::counter::Amount;
use crate::time::Timestamp;

/// Any line of a journal.
#[derive(Debug, Clone)]
pub enum Record {
    /// A call, or a refused message, was decided.
    Decision(Box<Decision>),
    /// An allowed call ended.
    Outcome(Box<Outcome>),
    /// Something happened to the gateway.
    Event(Box<Event>),
}

/// What was decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may go on.
    Allow,
    /// It was answered with a denial.
    Deny,
    /// It waits for a person.
    Approve,
}

/// A `decision` record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename = "decision")]
pub struct Decision {
    /// Counts every record of one gateway run from 1, without holes.
    pub seq: u64,
    /// When it was decided.
    pub ts: Timestamp,
    /// The id of the gateway run.
    pub gateway: String,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The session, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The client's own name and version, as it claims them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The JSON-RPC id as spelt; `null` where there was none or it could not be read.
    pub request_id: Option<Box<RawValue>>,
    /// The JSON-RPC method; empty where it could not be read.
    pub method: String,
    /// The tool; `null` for refused messages that name none.
    pub tool: Option<String>,
    /// The decision.
    pub decision: Verdict,
    /// `false` when the call passed although the decision could not be recorded in time.
    pub enforced: bool,
    /// The short code of what decided; empty when nothing fired.
    pub rule: String,
    /// The exact pointer into the document that decided.
    pub pointer: Option<String>,
    /// The text for the agent; empty on an allow.
    pub message: String,
    /// The policy's revision.
    pub policy: Option<String>,
    /// The arguments, masked.
    pub args: Option<Box<RawValue>>,
    /// Every limit of the call after the decision.
    pub counters: Vec<CounterState>,
    /// Whether the call was counted.
    pub counted: bool,
    /// How long deciding took, in microseconds.
    pub decide_us: f64,
    /// When to try again, where waiting can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What the shadow policy would have decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// The approval's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The `seq` of the decision that held this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
}

/// A limit's counter at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterState {
    /// The counter's name.
    pub counter: String,
    /// `grant`, `server` or `session`.
    pub scope: String,
    /// The scope's value: the grant's label, the server's name or the session's id.
    pub key: String,
    /// The window's length in seconds.
    pub window: u64,
    /// What it holds.
    pub used: Amount,
    /// The limit.
    pub max: Amount,
    /// When it is empty again.
    pub resets_at: Timestamp,
}

/// What a shadow policy would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Its decision.
    pub decision: Verdict,
    /// Its rule.
    pub rule: String,
    /// Its pointer.
    pub pointer: Option<String>,
}

/// What became of an allowed call upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A result.
    Ok,
    /// A result with `isError`.
    ToolError,
    /// A JSON-RPC error.
    RpcError,
    /// The client cancelled it.
    Cancelled,
    /// The server went away before it answered.
    Lost,
}

/// An `outcome` record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename = "outcome")]
pub struct Outcome {
    /// As in [`Decision`].
    pub seq: u64,
    /// When the answer came.
    pub ts: Timestamp,
    /// The id of the gateway run.
    pub gateway: String,
    /// The `seq` of the call's decision.
    pub call: u64,
    /// How it ended.
    pub status: Status,
    /// The JSON-RPC error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// From forwarding the call to its answer, in microseconds.
    pub upstream_us: u64,
    /// The answer's size.
    pub bytes: u64,
    /// Whether the reservation was given back.
    pub released: bool,
}

/// What happened to a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It started.
    Start,
    /// It ended.
    Stop,
    /// A policy came into force.
    Policy,
    /// A changed policy was not valid; the earlier one stays.
    PolicyRejected,
    /// A freeze began.
    Freeze,
    /// A freeze ended.
    Unfreeze,
    /// An override was set or ended.
    Override,
    /// An approval was asked for or decided.
    Approval,
    /// A tool's definition differs from its pin.
    Drift,
    /// The counters' store failed or came back.
    Store,
}

/// An `event` record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename = "event")]
pub struct Event {
    /// As in [`Decision`].
    pub seq: u64,
    /// When it happened.
    pub ts: Timestamp,
    /// The id of the gateway run.
    pub gateway: String,
    /// What happened.
    pub kind: EventKind,
    /// Who did it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More about it; an object.
    pub data: serde_json::Value,
}

impl Record {
    /// Reads one line.
    ///
    /// # Errors
    /// What `serde_json` says of a line that is no record.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Peek<'a> {
            #[serde(borrow, rename = "type")]
            kind: std::borrow::Cow<'a, str>,
        }
        let peek: Peek<'_> = serde_json::from_slice(line)?;
        match peek.kind.as_ref() {
            "decision" => serde_json::from_slice(line).map(|record| Self::Decision(Box::new(record))),
            "outcome" => serde_json::from_slice(line).map(|record| Self::Outcome(Box::new(record))),
            "event" => serde_json::from_slice(line).map(|record| Self::Event(Box::new(record))),
            other => Err(serde::de::Error::custom(format!("no record has the type `{other}`"))),
        }
    }

    /// The record as a line of JSON, without the line feed.
    ///
    /// # Errors
    /// Only what a foreign `RawValue` could cause; none for records made here.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = Vec::with_capacity(512);
        self.write_line(&mut line)?;
        Ok(line)
    }

    /// Appends what [`Record::to_line`] gives.
    ///
    /// # Errors
    /// As [`Record::to_line`]; part of the line may have been appended then.
    pub fn write_line(&self, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Decision(record) => write::decision(line, record),
            Self::Outcome(record) => {
                write::outcome(line, record);
                Ok(())
            }
            Self::Event(record) => serde_json::to_writer(line, record),
        }
    }

    /// The record's number within its gateway run.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Decision(record) => record.seq,
            Self::Outcome(record) => record.seq,
            Self::Event(record) => record.seq,
        }
    }

    /// Gives the record its number.
    pub fn set_seq(&mut self, seq: u64) {
        match self {
            Self::Decision(record) => record.seq = seq,
            Self::Outcome(record) => record.seq = seq,
            Self::Event(record) => record.seq = seq,
        }
    }

    /// When it happened.
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Decision(record) => record.ts,
            Self::Outcome(record) => record.ts,
            Self::Event(record) => record.ts,
        }
    }

    /// The id of the gateway run that wrote it.
    pub fn gateway(&self) -> &str {
        match self {
            Self::Decision(record) => &record.gateway,
            Self::Outcome(record) => &record.gateway,
            Self::Event(record) => &record.gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_round_trip_byte_for_byte() {
        let line = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"local","request_id":16.0,"method":"tools/call","tool":"pull","decision":"deny","enforced":true,"rule":"/tools/pull/limits/pull_rate","pointer":"/tools/pull/limits/0","message":"no","policy":"0123456789ab","args":{"image":"x"},"counters":[{"counter":"pull_rate","scope":"grant","key":"local","window":60,"used":30,"max":30.5,"resets_at":"2026-11-20T21:21:00.000000Z"}],"counted":false,"decide_us":1.5,"retry_after_ms":60000}"#;
        let record = Record::parse(line.as_bytes()).expect("parses");
        assert_eq!(String::from_utf8(record.to_line().expect("prints")).expect("utf-8"), line);
        assert_eq!(record.seq(), 7);
    }

    #[test]
    fn events_and_outcomes_round_trip() {
        for line in [
            r#"{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","call":7,"status":"rpc_error","code":-32603,"upstream_us":12,"bytes":9,"released":false}"#,
            r#"{"type":"event","seq":1,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","kind":"policy_rejected","data":{"path":"p"}}"#,
        ] {
            let record = Record::parse(line.as_bytes()).expect("parses");
            assert_eq!(String::from_utf8(record.to_line().expect("prints")).expect("utf-8"), line);
        }
        assert!(Record::parse(br#"{"type":"other"}"#).is_err());
    }
}
