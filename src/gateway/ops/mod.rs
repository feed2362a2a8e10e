//! What operators' programs ask a gateway: `/metrics`, `/healthz` and `/readyz`.
//!
//! Nothing here is secret, and nothing an agent invents can grow without bound: names of tools that
//! no policy has are counted together once there are too many.

mod listen;
mod meters;
mod metrics;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

pub(super) use listen::serve;
pub(super) use meters::Meters;

use crate::gateway::desk::Desk;
use crate::gateway::lock;

/// For so long a server that could not be reached makes the gateway unready. Only calls tell whether
/// it is back, and they may come only to those who are ready.
const LATELY: Duration = Duration::from_secs(30);

/// What transports tell operators.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    children: AtomicU64,
    /// By server: whether it could last be reached, and when that was found out.
    upstreams: Mutex<BTreeMap<String, (bool, Instant)>>,
}

impl Gauges {
    /// A server runs as a child of this gateway.
    pub(super) fn child_started(&self) {
        self.children.fetch_add(1, Ordering::Relaxed);
    }

    /// One that did has ended.
    pub(super) fn child_ended(&self) {
        self.children.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a server could just be reached.
    pub(super) fn upstream(&self, server: &str, reached: bool) {
        let mut upstreams = lock(&self.upstreams);
        let known = (reached, Instant::now());
        match upstreams.get_mut(server) {
            Some(before) => *before = known,
            None => drop(upstreams.insert(server.to_owned(), known)),
        }
    }

    /// A server is not served any more.
    pub(super) fn forget_upstream(&self, server: &str) {
        lock(&self.upstreams).remove(server);
    }

    /// The servers that lately could not be reached.
    fn unreachable(&self) -> Vec<String> {
        lock(&self.upstreams)
            .iter()
            .filter(|(_, (reached, at))| !reached && at.elapsed() < LATELY)
            .map(|(server, _)| server.clone())
            .collect()
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer to a GET of `path`: status, content type and body. `None`: it is none of ours.
pub(super) fn respond(desk: &Desk, path: &str) -> Option<(u16, &'static str, String)> {
    match path {
        "/metrics" => Some((200, METRICS, metrics::text(desk))),
        // That it answers is the answer.
        "/healthz" => Some((200, TEXT, "ok\n".to_owned())),
        "/readyz" => {
            let (ready, body) = ready(desk);
            Some((if ready { 200 } else { 503 }, JSON, body))
        }
        _ => None,
    }
}

/// Whether a path is one of ours.
pub(super) fn is_ours(path: &str) -> bool {
    matches!(path, "/metrics" | "/healthz" | "/readyz")
}

/// As [`respond`] for those who are not asked who they are: that all is well or not, and no more.
pub(super) fn respond_briefly(desk: &Desk, path: &str) -> Option<(u16, &'static str, String)> {
    match path {
        "/healthz" => Some((200, TEXT, "ok\n".to_owned())),
        "/readyz" => {
            let ready = ready(desk).0;
            Some(if ready {
                (200, TEXT, "ready\n".to_owned())
            } else {
                (503, TEXT, "not ready\n".to_owned())
            })
        }
        _ => None,
    }
}

/// Whether calls can be decided, recorded and passed on, and what is in the way.
fn ready(desk: &Desk) -> (bool, String) {
    let mut troubles: Vec<String> = Vec::new();
    if desk.is_closed() {
        troubles.push("the gateway is ending".to_owned());
    }
    let deciders = desk.deciders();
    if deciders.is_empty() {
        troubles.push("no grant is served".to_owned());
    }
    for decider in deciders.iter().filter(|decider| decider.in_force().is_none()) {
        let (grant, server) = (&decider.who.grant, &decider.who.server);
        troubles.push(format!("the grant `{grant}` on `{server}` has no policy in force"));
    }
    if !desk.recorder.is_writable() {
        troubles.push("the journal cannot be written".to_owned());
    }
    if desk.store().is_none() || !desk.standing.get().1 {
        troubles.push("the counters' store cannot be reached".to_owned());
    }
    for server in desk.gauges.unreachable() {
        // Why may hold addresses, which are nobody's business here.
        troubles.push(format!("the server `{server}` could last not be reached"));
    }
    let ready = troubles.is_empty();
    (ready, format!("{}\n", json!({ "ready": ready, "troubles": troubles })))
}
