//! The text of `/metrics`, made anew for each asking from what is counted anyway.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::meters::Meters;
use crate::clock;
use crate::gateway::desk::Desk;
use crate::gateway::desk::keeper;
use crate::policy::model::Scope;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// In the text format of `OpenMetrics`.
pub(super) fn text(desk: &Desk) -> String {
    let mut registry = Registry::with_prefix("callgate");
    calls(&mut registry, desk.recorder.meters());
    served(&mut registry, desk);
    counters(&mut registry, desk);
    journal_and_feed(&mut registry, desk);
    traces(&mut registry, desk);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn counter(registry: &mut Registry, name: &str, help: &str, values: impl Iterator<Item = (Labels, u64)>) {
    let family = Counters::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, values: impl Iterator<Item = (Labels, f64)>) {
    let family = Gauges::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn one<T>(value: T) -> impl Iterator<Item = (Labels, T)> {
    std::iter::once((Labels::new(), value))
}

#[expect(clippy::cast_precision_loss, reason = "counts of things in memory are far below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}

fn calls(registry: &mut Registry, meters: &Meters) {
    let calls = meters.calls().into_iter().map(|(series, count)| {
        let labels = vec![
            ("server", series.server),
            ("tool", series.tool),
            ("rule", series.rule),
            ("decision", series.decision.to_owned()),
        ];
        (labels, count)
    });
    counter(registry, "decisions", "Decisions by server, tool, rule and decision", calls);
    let outcomes = meters.outcomes().map(|(status, count)| (vec![("status", status.to_owned())], count));
    counter(registry, "outcomes", "How allowed calls ended", outcomes);
    let help = "From a message's arrival to its decision";
    registry.register_with_unit("decide", help, Unit::Seconds, meters.decide.clone());
    let help = "From a call's forwarding to its answer";
    registry.register_with_unit("upstream", help, Unit::Seconds, meters.upstream.clone());
}

fn served(registry: &mut Registry, desk: &Desk) {
    let info = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("name", desk.name.clone())];
    gauge(registry, "build_info", "The gateway's version and name", std::iter::once((info, 1.0)));
    let methods = desk.tally.counts().into_iter();
    let methods = methods.map(|(method, count)| (vec![("method", method)], count));
    counter(registry, "requests", "Requests other than calls, by method", methods);
    let (mut sessions, mut in_flight) = (BTreeMap::<String, f64>::new(), BTreeMap::<String, f64>::new());
    let mut policies = Vec::new();
    for decider in desk.deciders() {
        let server = decider.who.server.clone();
        let labels = vec![
            ("server", server.clone()),
            ("grant", decider.who.grant.clone()),
            ("revision", decider.revision().unwrap_or_default()),
        ];
        policies.push((labels, if decider.in_force().is_some() { 1.0 } else { 0.0 }));
        for conversation in decider.conversations() {
            *sessions.entry(server.clone()).or_default() += 1.0;
            *in_flight.entry(server.clone()).or_default() += real(conversation.session().waiting());
        }
    }
    let by_server = |(server, count): (String, f64)| (vec![("server", server)], count);
    gauge(registry, "policy_info", "Policies in force; 0 where there is none", policies.into_iter());
    gauge(registry, "sessions", "Sessions by server", sessions.into_iter().map(by_server));
    gauge(registry, "in_flight", "Requests without an answer", in_flight.into_iter().map(by_server));
    #[expect(clippy::cast_precision_loss, reason = "a count of processes")]
    let children = desk.gauges.children.load(Ordering::Relaxed) as f64;
    gauge(registry, "children", "Servers that run as children of this gateway", one(children));
    let upstreams = crate::gateway::lock(&desk.gauges.upstreams).clone().into_iter();
    let upstreams = upstreams.map(|(server, (reached, _))| by_server((server, f64::from(reached))));
    gauge(registry, "upstream_up", "Whether the server could last be reached", upstreams);
}

fn counters(registry: &mut Registry, desk: &Desk) {
    let (standing, fresh) = desk.standing.get();
    let store = desk.store();
    let up = f64::from(store.is_some() && fresh);
    gauge(registry, "store_up", "Whether the counters' store can be reached", one(up));
    gauge(registry, "freezes", "Freezes that stand", one(real(standing.freezes.len())));
    gauge(registry, "overrides", "Overrides that stand", one(real(standing.overrides.len())));
    let now = clock::now();
    let pending = standing.approvals.iter().filter(|one| one.verdict.is_none() && now < one.until).count();
    gauge(registry, "approvals_pending", "Calls that wait for a person, equal ones once", one(real(pending)));
    let usages = store.and_then(|store| store.peek(now, &keeper::counters_of_policies(desk)).ok());
    let (mut used, mut most) = (Vec::new(), Vec::new());
    for usage in usages.unwrap_or_default() {
        let key = &usage.key;
        // Ids of sessions are nobody else's business.
        let value = if key.scope == Scope::Session { String::new() } else { key.scope_value.clone() };
        let labels = vec![
            ("server", key.server.clone()),
            ("counter", key.counter.clone()),
            ("window", key.window.to_string()),
            ("scope", key.scope.name().to_owned()),
            ("key", value),
        ];
        used.push((labels.clone(), usage.used.as_f64()));
        most.push((labels, usage.max.as_f64()));
    }
    gauge(registry, "counter_used", "What a counter holds in its window (in seconds)", used.into_iter());
    gauge(registry, "counter_max", "What its limit allows", most.into_iter());
}

fn traces(registry: &mut Registry, desk: &Desk) {
    let Some(tracer) = desk.recorder.tracer() else { return };
    let (sent, dropped) = tracer.counts();
    let by = |result: &'static str, count| (vec![("result", result.to_owned())], count);
    let values = [by("sent", sent), by("dropped", dropped)].into_iter();
    counter(registry, "spans", "Spans of calls that the collector took, and that it never got", values);
}

fn journal_and_feed(registry: &mut Registry, desk: &Desk) {
    let (recorder, meters) = (&desk.recorder, desk.recorder.meters());
    let open = f64::from(recorder.is_writable());
    gauge(registry, "journal_up", "Whether the journal could last be written", one(open));
    gauge(registry, "journal_waiting", "Records that wait for the journal", one(real(recorder.waiting())));
    counter(registry, "journal_bytes", "Bytes written to the journal", one(meters.bytes()));
    counter(registry, "journal_errors", "Failed writes of the journal", one(meters.errors()));
    let feed = recorder.hub().map(crate::feed::server::Hub::stats).unwrap_or_default();
    gauge(registry, "feed_clients", "Clients of the feed", one(real(feed.clients)));
    #[expect(clippy::cast_precision_loss, reason = "a count of records")]
    let lag = feed.lag as f64;
    gauge(registry, "feed_lag_records", "How far the slowest client is behind", one(lag));
    counter(
        registry,
        "feed_missed_records",
        "Records that were gone before a client took them",
        one(feed.missed),
    );
}
