//! The monitor's half of the feed: finding gateways, resuming, asking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod feed_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use callgate::counters::Freeze;
use callgate::feed::client::{FeedAddr, FeedEvent, Feeds, WatchOptions, watch};
use callgate::feed::message::Ask;
use callgate::time::Timestamp;
use feed_support::{Gateway, maybe_next, next, records_to, until};

/// Passes bytes both ways, and drops every connection when told.
struct Wire {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else { continue };
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far.try_clone().unwrap(), near.try_clone().unwrap()),
                ] {
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
                streams.lock().unwrap().extend([near, far]);
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn address(gateway: &Gateway, url: String) -> Feeds {
    Feeds::These(vec![FeedAddr { url, token: gateway.hub.token().to_owned() }])
}

#[test]
fn gateways_present_and_future_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let first = Gateway::start(&run, "g1");
    first.publish(10);
    let (mut events, handle) =
        watch(Feeds::RunDir(run.clone()), WatchOptions { history: 4, ..WatchOptions::default() }).unwrap();
    let FeedEvent::Connected { hello, .. } = next(&mut events) else { panic!("connected") };
    assert_eq!(hello.gateway, "g1");
    let mut last = 6;
    assert_eq!(records_to(&mut events, "g1", &mut last, 10), (4, vec![]), "only so much history");
    // The file of a process has one gateway: this one takes its place, as after an exec.
    let second = Gateway::start(&run, "g2");
    second.publish(7);
    let hello = until(&mut events, |event| match event {
        FeedEvent::Connected { hello, .. } => Some(hello),
        _ => None,
    });
    assert_eq!(hello.gateway, "g2");
    let mut last = 0;
    assert_eq!(records_to(&mut events, "g2", &mut last, 7).0, 7, "all of one that came later");
    drop(second);
    until(&mut events, |event| matches!(event, FeedEvent::Lost { ended: true, .. }).then_some(()));
    drop(handle);
    while maybe_next(&mut events).is_some() {}
}

#[test]
fn a_cut_wire_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g1");
    let wire = Wire::to(gateway.hub.address());
    let feeds = address(&gateway, format!("ws://{}/feed", wire.address));
    let (mut events, _handle) = watch(feeds, WatchOptions::default()).unwrap();
    let mut last = 0;
    let mut all = 0;
    for round in 1..=8 {
        gateway.publish(1500);
        if round % 2 == 0 {
            wire.cut();
            gateway.publish(500);
            let target = all + 2000;
            assert_eq!(records_to(&mut events, "g1", &mut last, target).1, []);
            all = target;
        } else {
            let target = all + 1500;
            assert_eq!(records_to(&mut events, "g1", &mut last, target).1, []);
            all = target;
        }
    }
    // What is forgotten while nobody is connected is a gap, and said once.
    wire.cut();
    gateway.publish(30);
    gateway.history.forget(all + 1..=all + 20);
    let target = all + 30;
    let (count, gaps) = records_to(&mut events, "g1", &mut last, target);
    assert!(count >= 10 && gaps.len() <= 1, "{count} {gaps:?}");
    assert_eq!(count + gaps.iter().map(|(from, to)| to - from + 1).sum::<u64>(), 30);
}

#[test]
fn another_run_at_the_same_address_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let first = Gateway::start(folder.path(), "g1");
    first.publish(5);
    let address_of = first.hub.address();
    let token = ("both".to_owned(), callgate::feed::message::Role::Operator);
    let feeds = Feeds::These(vec![FeedAddr { url: first.url(), token: first.hub.token().to_owned() }]);
    let (mut events, _handle) = watch(feeds, WatchOptions { history: 0, fleet: false }).unwrap();
    until(&mut events, |event| matches!(event, FeedEvent::Connected { .. }).then_some(()));
    let old_token = first.hub.token().to_owned();
    drop(first);
    let ended = until(&mut events, |event| match event {
        FeedEvent::Lost { ended, .. } => Some(ended),
        _ => None,
    });
    assert!(!ended, "one that was named is tried again");
    let second = Gateway::with(folder.path(), "g2", |mut config| {
        config.listen = address_of;
        config.tokens = vec![token, (old_token, callgate::feed::message::Role::Viewer)];
        config
    });
    second.publish(3);
    let hello = until(&mut events, |event| match event {
        FeedEvent::Connected { hello, .. } => Some(hello),
        _ => None,
    });
    assert_eq!(hello.gateway, "g2");
    let mut last = 0;
    assert_eq!(records_to(&mut events, "g2", &mut last, 3).0, 3);
}

#[test]
fn asks_are_answered_or_said_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g1");
    let commands = gateway.hub.commands();
    std::thread::spawn(move || {
        while let Ok(command) = commands.recv() {
            command.reply.done("done");
        }
    });
    let (mut events, handle) = watch(address(&gateway, gateway.url()), WatchOptions::default()).unwrap();
    let source = until(&mut events, |event| match event {
        FeedEvent::Connected { source, .. } => Some(source),
        _ => None,
    });
    let freeze = Freeze {
        id: String::new(),
        server: None,
        grant: None,
        tool: None,
        until: None,
        by: String::new(),
        at: Timestamp(0),
        reason: "r".to_owned(),
    };
    assert!(handle.ask(source, Ask::Freeze { freeze: freeze.clone() }));
    let answer = |event| match event {
        FeedEvent::Reply { ok, of, .. } => Some((ok, of)),
        _ => None,
    };
    assert_eq!(until(&mut events, answer), (true, "freeze".to_owned()));
    drop(gateway);
    until(&mut events, |event| matches!(event, FeedEvent::Lost { .. }).then_some(()));
    assert!(handle.ask(source, Ask::Freeze { freeze: freeze.clone() }));
    assert!(!until(&mut events, answer).0);
    assert!(handle.ask(callgate::feed::client::SourceId(99), Ask::Freeze { freeze }));
    assert!(!until(&mut events, answer).0);
}

#[test]
fn a_wrong_token_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g1");
    let feeds = Feeds::These(vec![FeedAddr { url: gateway.url(), token: "wrong".to_owned() }]);
    let (mut events, _handle) = watch(feeds, WatchOptions::default()).unwrap();
    let FeedEvent::Lost { why, ended: false, .. } = next(&mut events) else { panic!("lost") };
    assert!(why.contains("401"), "{why}");
}
