//! The monitor's half of the feed: finding gateways, resuming, asking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod feed_support;

use callgate::counters::Freeze;
use callgate::feed::client::{FeedAddr, FeedEvent, Feeds, WatchOptions, watch};
use callgate::feed::message::Ask;
use callgate::feed::message::Role;
use callgate::feed::token::FeedToken;
use callgate::time::Timestamp;
use callgate::token::TokenDigest;
use feed_support::{Gateway, Wire, certificates, maybe_next, next, records_to, tls, until};

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
        config.tokens = vec![FeedToken {
            label: "old".to_owned(),
            role: Role::Viewer,
            digest: TokenDigest::of(&old_token),
            expires: None,
        }];
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

#[test]
fn a_feed_behind_tls_needs_an_authority_that_is_trusted() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    assert!(certificates(folder.path()), "openssl makes the certificates of this test");
    let file = |name: &str| folder.path().join(name);
    let tls = tls(folder.path());
    let token = callgate::token::text(&[7; 32]);
    let gateway = Gateway::with(folder.path(), "g1", |mut config| {
        let entry = FeedToken {
            label: "ops".to_owned(),
            role: Role::Viewer,
            digest: TokenDigest::of(&token),
            expires: None,
        };
        config.tokens = vec![entry];
        config.public = Some(callgate::feed::server::Public {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(std::sync::Arc::new(tls)),
            behind_proxy: false,
        });
        config
    });
    gateway.publish(3);
    let address = gateway.hub.public_address().unwrap();
    std::fs::write(file("token"), format!("{token}\n")).unwrap();
    let tail = |authority: &str, url: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_callgate"));
        command.args(["tail", "--format", "json", "--feed", url, "--feed-token-file"]).arg(file("token"));
        command.args(["--since", "2020-01-01T00:00:00Z"]);
        command.env("CALLGATE_HOME", folder.path().join("home")).env("SSL_CERT_FILE", file(authority));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut trusted = tail("ca.pem", &format!("wss://{address}/feed"));
    let mut lines = std::io::BufReader::new(trusted.stdout.take().unwrap()).lines();
    for seq in 1..=3 {
        assert_eq!(lines.next().unwrap().unwrap().as_bytes(), &*feed_support::line("g1", seq));
    }
    trusted.kill().unwrap();
    trusted.wait().unwrap();
    // Another authority; no TLS where TLS is spoken.
    for (authority, url) in
        [("ca.key", format!("wss://{address}/feed")), ("ca.pem", format!("ws://{address}/feed"))]
    {
        let mut refused = tail(authority, &url);
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(refused.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        let _ = refused.kill();
        refused.wait().unwrap();
        assert!(!said.trim().is_empty() && !said.contains(&token), "{said}");
        let mut out = String::new();
        std::io::Read::read_to_string(refused.stdout.as_mut().unwrap(), &mut out).unwrap();
        assert_eq!(out, "", "{url}");
    }
}
