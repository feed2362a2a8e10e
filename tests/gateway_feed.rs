//! A gateway as its monitors see it: who it is, how things stand, and what operators may ask.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;

use std::time::{Duration, Instant};

use callgate::counters::Freeze;
use callgate::feed::client::{FeedEvent, Feeds, WatchOptions, watch};
use callgate::feed::message::{Ask, State};
use callgate::record::{EventKind, Record};
use callgate::time::Timestamp;
use gateway_support::{Home, LONG, denied, rule, until};
use tokio::sync::mpsc::Receiver;

/// The first event in which something is found.
fn find<T>(events: &mut Receiver<FeedEvent>, what: &str, mut look: impl FnMut(&FeedEvent) -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        match events.try_recv() {
            Ok(event) => {
                if let Some(found) = look(&event) {
                    return found;
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
        assert!(began.elapsed() < LONG, "{what}: did not come");
    }
}

#[test]
fn monitors_see_calls_counters_tools_and_may_freeze() {
    let home = Home::new(
        r#"{"version":"1","default":"allow","hide":["danger"],"tools":{"echo":{"limits":[{"counter":"c","window":86400000,"max":5,"scope":"grant"}]}}}"#,
    );
    let mut gateway = home.gateway(&[], &[]);
    gateway.ask(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let (mut events, handle) =
        watch(Feeds::RunDir(home.path("home/run")), WatchOptions { history: 100, ..WatchOptions::default() })
            .unwrap();
    let (source, hello) = find(&mut events, "hello", |event| match event {
        FeedEvent::Connected { source, hello, .. } => Some((*source, hello.clone())),
        _ => None,
    });
    assert_eq!(hello.name, "fixture");
    assert_eq!(hello.servers[0].grants[0].label, "local");
    assert!(hello.servers[0].grants[0].revision.is_some());
    let tools = find(&mut events, "tools", |event| match event {
        FeedEvent::State { state, .. } => match state.as_ref() {
            State::Tools { tools, .. } => Some(tools.clone()),
            _ => None,
        },
        _ => None,
    });
    assert!(tools.iter().any(|tool| tool.name == "danger"), "an operator sees what is hidden");
    gateway.call(2, "echo", r#"{"message":"m"}"#);
    let seq = find(&mut events, "the call", |event| match event {
        FeedEvent::Records { lines, .. } => lines.iter().find_map(|line| match Record::parse(line) {
            Ok(Record::Decision(decision)) if decision.tool.as_deref() == Some("echo") => Some(decision.seq),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(home.decisions()[0].seq, seq);
    find(&mut events, "the counter", |event| match event {
        FeedEvent::State { state, .. } => match state.as_ref() {
            State::Counters { counters, .. } => counters
                .iter()
                .any(|counter| counter.state.counter == "c" && counter.state.used.to_string() == "1")
                .then_some(()),
            _ => None,
        },
        _ => None,
    });
    let freeze = Freeze {
        id: String::new(),
        server: Some("fixture".to_owned()),
        grant: None,
        tool: None,
        until: None,
        by: "responder".to_owned(),
        at: Timestamp(0),
        reason: "too much".to_owned(),
    };
    assert!(handle.ask(source, Ask::Freeze { freeze }));
    let answer = until("the freeze", || Some(gateway.call(3, "fail", "{}")).filter(denied));
    assert_eq!(rule(&answer), "(frozen)");
    find(&mut events, "the state", |event| match event {
        FeedEvent::State { state, .. } => match state.as_ref() {
            State::Freezes { freezes } => freezes.iter().any(|freeze| freeze.by == "responder").then_some(()),
            _ => None,
        },
        _ => None,
    });
    let lift = Ask::Unfreeze {
        server: Some("fixture".to_owned()),
        grant: None,
        tool: None,
        by: "responder".to_owned(),
        reason: "over".to_owned(),
    };
    assert!(handle.ask(source, lift));
    until("the end of the freeze", || (!denied(&gateway.call(4, "fail", "{}"))).then_some(()));
    gateway.finish();
    let ends: Vec<_> = home
        .records()
        .into_iter()
        .filter_map(|record| match record {
            Record::Event(event) if event.kind == EventKind::Unfreeze => Some((event.by, event.reason)),
            _ => None,
        })
        .collect();
    assert_eq!(
        ends,
        [(Some("responder".to_owned()), Some("over".to_owned()))],
        "recorded once, with who and why"
    );
    let remaining = std::fs::read_dir(home.path("home/run")).unwrap().count();
    assert_eq!(remaining, 0, "the discovery file is gone");
}
