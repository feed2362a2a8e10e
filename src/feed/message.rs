//! What is said on the feed. The shapes are a contract; `assets/feed.schema.json` states them.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::counters::{Approval, ApprovalVerdict, CallArgs, Freeze, Override};
use crate::mcp::tool::Tool;
use crate::record::CounterState;
use crate::time::Timestamp;

/// The protocol's name and version in `hello`.
pub const PROTOCOL: &str = "callgate.feed/1";

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Also decide approvals, freeze and override.
    Operator,
}

/// What a gateway says besides records (those are sent as their own bytes; their `type` is
/// `decision`, `outcome` or `event`).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Say {
    /// First of all.
    Hello(Box<Hello>),
    /// The whole of one kind of state; replaces what was said of it before.
    State(Box<State>),
    /// Records that cannot be delivered any more.
    Gap {
        /// The gateway run that they are of; the feed's own when it is not said.
        #[serde(skip_serializing_if = "Option::is_none")]
        gateway: Option<String>,
        /// The first that is missing.
        from_seq: u64,
        /// The last that is missing.
        to_seq: u64,
    },
    /// An answer to what the client asked.
    Reply {
        /// Whether it was done.
        ok: bool,
        /// What was asked, by its `type`.
        of: String,
        /// Why not, or what was done.
        message: String,
    },
}

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: String,
    /// The id of the gateway run.
    pub gateway: String,
    /// The gateway's name.
    pub name: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// callgate's version.
    pub version: String,
    /// What this client may do.
    pub role: Role,
    /// The number that the next record will have.
    pub next_seq: u64,
    /// The oldest record that can still be had.
    pub oldest_seq: u64,
    /// The servers behind it.
    pub servers: Vec<ServerInfo>,
}

/// One server behind a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// The command line or the URL, without secrets.
    pub upstream: String,
    /// Who may use it.
    pub grants: Vec<GrantInfo>,
}

/// One grant on a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantInfo {
    /// Its label.
    pub label: String,
    /// The policy's path.
    pub policy: Option<String>,
    /// The revision in force.
    pub revision: Option<String>,
    /// The candidate beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowInfo>,
}

/// A candidate policy that is evaluated and never enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowInfo {
    /// Its path.
    pub path: String,
    /// Its revision.
    pub revision: String,
}

/// A tool whose definition differs from the accepted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedTool {
    /// Its name.
    pub tool: String,
    /// The SHA-256 that a person accepted.
    pub pinned: String,
    /// The SHA-256 of the definition that was seen last.
    pub seen: String,
    /// When it was seen.
    pub at: Timestamp,
}

/// One kind of state, as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum State {
    /// A server's tools, as last listed.
    Tools {
        /// The server.
        server: String,
        /// Their definitions.
        tools: Vec<Tool>,
        /// Their pins, by tool name: the SHA-256 that a person accepted.
        pins: std::collections::BTreeMap<String, String>,
    },
    /// A server's tools that have drifted.
    Drift {
        /// The server.
        server: String,
        /// All of them.
        drifted: Vec<DriftedTool>,
    },
    /// Counters of the calls seen by this gateway.
    Counters {
        /// When.
        ts: Timestamp,
        /// Which server each belongs to, and what it holds.
        counters: Vec<ServerCounter>,
    },
    /// Freezes in force.
    Freezes {
        /// All of them.
        freezes: Vec<Freeze>,
    },
    /// Approvals that wait, and those given that no call has used yet.
    Approvals {
        /// All of them, in the order in which they were asked.
        approvals: Vec<ApprovalView>,
    },
    /// Overrides in force.
    Overrides {
        /// All of them.
        overrides: Vec<Override>,
    },
    /// How often each rule decided since the gateway started.
    Rules {
        /// By server and rule code.
        rules: Vec<RuleHits>,
    },
    /// The servers and the policies in force; said again when a revision changes.
    Servers {
        /// As in [`Hello`].
        servers: Vec<ServerInfo>,
    },
    /// How the gateway itself fares; said at least each few seconds while somebody watches.
    Health(Box<Health>),
}

/// How a gateway fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// When it was looked at, by the gateway's clock.
    pub ts: Timestamp,
    /// When this run began, by the same clock.
    pub started: Timestamp,
    /// The journal.
    pub journal: JournalHealth,
    /// The counters' store.
    pub store: StoreHealth,
    /// The feed.
    pub feed: FeedHealth,
}

/// How a gateway's journal fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHealth {
    /// It is open, and took what it was last given.
    pub writable: bool,
    /// Records that wait for it.
    pub waiting: u64,
    /// Bytes that this run wrote.
    pub bytes: u64,
    /// How often it could not be written.
    pub errors: u64,
}

/// How a gateway's store of counters, freezes, overrides and approvals fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHealth {
    /// The file or the address, without secrets.
    pub place: String,
    /// It answered lately: calls that need it can be decided.
    pub usable: bool,
    /// What went wrong last, while that is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How a gateway's feed fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedHealth {
    /// Monitors that are connected.
    pub clients: u64,
    /// How many records the slowest of them is behind.
    pub lag: u64,
    /// Records that were gone before a monitor took them, all monitors together.
    pub missed: u64,
}

/// A question to a person, as screens show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// Names it, for answering it.
    pub id: String,
    /// The server's name.
    pub server: String,
    /// The grant's label.
    pub grant: String,
    /// The tool's name.
    pub tool: String,
    /// The revision of the policy that asks.
    pub policy: String,
    /// The arguments, unmasked: to operators only, and not where all of them together are too many
    /// to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<CallArgs>,
    /// SHA-256 of the canonical arguments: to operators only, for what can be guessed can be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_sha256: Option<String>,
    /// The short code of the rule that asks.
    pub rule: String,
    /// The exact pointer of that rule.
    pub pointer: String,
    /// The policy's text for the person.
    pub message: String,
    /// The client's name and version, as it claims them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// When it ends unanswered.
    pub until: Timestamp,
    /// How long an answer is good for, in seconds.
    pub timeout_s: u64,
    /// How many calls are held for it at this moment.
    pub holders: u32,
    /// The answer, once it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ApprovalVerdict>,
}

impl ApprovalView {
    /// As an operator sees it.
    pub fn of(entry: &Approval) -> Self {
        Self {
            id: entry.id.clone(),
            server: entry.server.clone(),
            grant: entry.grant.clone(),
            tool: entry.tool.clone(),
            policy: entry.policy.clone(),
            args: Some(entry.args.clone()),
            args_sha256: Some(entry.args_sha256.clone()),
            rule: entry.rule.clone(),
            pointer: entry.pointer.clone(),
            message: entry.message.clone(),
            client: entry.client.clone(),
            asked_at: entry.asked_at,
            until: entry.until,
            timeout_s: entry.timeout_s,
            holders: entry.holders,
            verdict: entry.verdict.clone(),
        }
    }
}

impl State {
    /// What a viewer gets instead; `None` where it is the same for everyone.
    pub fn for_viewers(&self) -> Option<Self> {
        match self {
            Self::Approvals { approvals } => {
                let bare = |one: &ApprovalView| ApprovalView { args: None, args_sha256: None, ..one.clone() };
                Some(Self::Approvals { approvals: approvals.iter().map(bare).collect() })
            }
            Self::Overrides { overrides } => {
                let bare = |one: &Override| Override { args_sha256: None, ..one.clone() };
                Some(Self::Overrides { overrides: overrides.iter().map(bare).collect() })
            }
            _ => None,
        }
    }
}

/// A counter with its server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerCounter {
    /// The server's name.
    pub server: String,
    /// The counter.
    #[serde(flatten)]
    pub state: CounterState,
}

/// How often a rule decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleHits {
    /// The server's name.
    pub server: String,
    /// The short code of the rule.
    pub rule: String,
    /// How often.
    pub hits: u64,
    /// When last.
    pub last: Timestamp,
}

/// What a client may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Ask {
    /// Send records from this number on, backfilled from the journal.
    Subscribe {
        /// The gateway run; another one's numbers mean nothing here.
        gateway: String,
        /// The last number the client has; 0 for none.
        since_seq: u64,
        /// Send the records of the fleet's other gateways, too, where there is a fleet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fleet: bool,
    },
    /// Operator: freeze.
    Freeze {
        /// The scope and the reason; `id`, `by` and `at` are filled in by the gateway when empty.
        freeze: Freeze,
    },
    /// Operator: lift the freezes with exactly this scope.
    Unfreeze {
        /// The server's name.
        server: Option<String>,
        /// The grant's label.
        grant: Option<String>,
        /// The tool's name.
        tool: Option<String>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Operator: let a held call run, once, or equal ones for a while.
    Approve {
        /// Which question.
        id: String,
        /// Who; filled in by the gateway when empty.
        by: String,
        /// A word about it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Equal calls of the grant need no further approval for so many seconds, at most a day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_s: Option<u64>,
    },
    /// Operator: do not let a held call run.
    Reject {
        /// Which question.
        id: String,
        /// Who; filled in by the gateway when empty.
        by: String,
        /// Why; the agent reads it.
        note: String,
    },
    /// Operator: a temporary rule for one of this gateway's servers.
    Override {
        /// It needs a reason and an end: `until`, `uses`, or `run`, which must be this gateway's own
        /// and lasts until it restarts. `id`, `by` and `at` are filled in by the gateway when empty.
        entry: Override,
    },
    /// Operator: end an override before its time.
    #[serde(rename = "end_override")]
    EndOverride {
        /// Which.
        id: String,
        /// Who; filled in by the gateway when empty.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
}

impl Ask {
    /// Its `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Freeze { .. } => "freeze",
            Self::Unfreeze { .. } => "unfreeze",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Override { .. } => "override",
            Self::EndOverride { .. } => "end_override",
        }
    }
}

// Read by hand: serde keeps a tagged or flattened value in a buffer of its own, in which a decimal
// is a floating-point number, and amounts are exact.

/// A part of a message, from its own text.
fn part<T: DeserializeOwned, E: Error>(text: &RawValue) -> Result<T, E> {
    serde_json::from_str(text.get()).map_err(E::custom)
}

impl<'de> Deserialize<'de> for Say {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag {
            #[serde(rename = "type")]
            kind: String,
        }
        #[derive(Deserialize)]
        struct Gap {
            #[serde(default)]
            gateway: Option<String>,
            from_seq: u64,
            to_seq: u64,
        }
        #[derive(Deserialize)]
        struct Reply {
            ok: bool,
            of: String,
            message: String,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Tag { kind } = part(&text)?;
        match kind.as_str() {
            "hello" => part(&text).map(Self::Hello),
            "state" => part(&text).map(Self::State),
            "gap" => {
                part(&text).map(|Gap { gateway, from_seq, to_seq }| Self::Gap { gateway, from_seq, to_seq })
            }
            "reply" => part(&text).map(|Reply { ok, of, message }| Self::Reply { ok, of, message }),
            other => Err(D::Error::unknown_variant(other, &["hello", "state", "gap", "reply"])),
        }
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag {
            of: String,
        }
        /// One member of an object.
        macro_rules! member {
            ($text:expr, $name:ident) => {{
                #[derive(Deserialize)]
                struct Member<T> {
                    $name: T,
                }
                part::<Member<_>, D::Error>($text)?.$name
            }};
        }
        let text = &*Box::<RawValue>::deserialize(deserializer)?;
        let Tag { of } = part(text)?;
        Ok(match of.as_str() {
            "tools" => Self::Tools {
                server: member!(text, server),
                tools: member!(text, tools),
                pins: member!(text, pins),
            },
            "drift" => Self::Drift { server: member!(text, server), drifted: member!(text, drifted) },
            "counters" => Self::Counters { ts: member!(text, ts), counters: member!(text, counters) },
            "freezes" => Self::Freezes { freezes: member!(text, freezes) },
            "approvals" => Self::Approvals { approvals: member!(text, approvals) },
            "overrides" => Self::Overrides { overrides: member!(text, overrides) },
            "rules" => Self::Rules { rules: member!(text, rules) },
            "servers" => Self::Servers { servers: member!(text, servers) },
            "health" => Self::Health(part(text)?),
            other => {
                return Err(D::Error::unknown_variant(
                    other,
                    &[
                        "tools",
                        "drift",
                        "counters",
                        "freezes",
                        "approvals",
                        "overrides",
                        "rules",
                        "servers",
                        "health",
                    ],
                ));
            }
        })
    }
}

impl<'de> Deserialize<'de> for ServerCounter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Server {
            server: String,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Server { server } = part(&text)?;
        Ok(Self { server, state: part(&text)? })
    }
}
