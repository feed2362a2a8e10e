//! The feed under attack: gateways that lie, clients that never read, and a publisher that must
//! not notice any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod feed_support;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callgate::feed::client::{FeedAddr, FeedEvent, Feeds, WatchOptions, watch};
use callgate::feed::message::{Hello, PROTOCOL, Role, Say, ServerCounter, State};
use callgate::policy::counter::Amount;
use callgate::record::CounterState;
use callgate::time::Timestamp;
use feed_support::{Gateway, line, next, records_to, until};
use tokio::sync::mpsc::Receiver;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, WebSocket};

type Peer = WebSocket<std::net::TcpStream>;

/// A gateway that does whatever the test says on each connection.
fn liar(act: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            if let Ok(mut peer) = tungstenite::accept(stream.unwrap()) {
                act(&mut peer, count);
            }
        }
    });
    address
}

fn attach(address: SocketAddr) -> (Receiver<FeedEvent>, callgate::feed::client::Handle) {
    let feeds = Feeds::These(vec![FeedAddr { url: format!("ws://{address}/feed"), token: "t".to_owned() }]);
    watch(feeds, WatchOptions { fleet: false, ..WatchOptions::default() }).unwrap()
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL.to_owned(),
        gateway: "g".to_owned(),
        name: "n".to_owned(),
        host: "h".to_owned(),
        pid: 1,
        version: "1".to_owned(),
        role: Role::Operator,
        next_seq: 1,
        oldest_seq: 1,
        servers: Vec::new(),
    }
}

fn say(peer: &mut Peer, say: &Say) {
    let _ = peer.send(Message::Text(serde_json::to_string(say).unwrap().into()));
}

fn text(peer: &mut Peer, text: impl Into<String>) {
    let _ = peer.send(Message::Text(text.into().into()));
}

/// Hello, the client's subscription, and the answer to it.
fn greet(peer: &mut Peer) {
    say(peer, &Say::Hello(Box::new(hello())));
    let _ = peer.read();
    say(peer, &Say::Reply { ok: true, of: "subscribe".to_owned(), message: String::new() });
}

fn record(peer: &mut Peer, seq: u64) {
    text(peer, String::from_utf8(line("g", seq).to_vec()).unwrap());
}

/// Stays until the client has gone.
fn stay(peer: &mut Peer) {
    while peer.read().is_ok() {}
}

fn first_loss(events: &mut Receiver<FeedEvent>) -> String {
    until(events, |event| match event {
        FeedEvent::Lost { why, .. } => Some(why),
        FeedEvent::Connected { .. } => panic!("that was no greeting"),
        _ => None,
    })
}

#[test]
fn greetings_that_are_none() {
    let huge = "x".repeat(3_000_000);
    let greetings: Vec<(String, &str)> = vec![
        (String::new(), "hello"),
        ("rubbish".to_owned(), "hello"),
        ("[".repeat(1_000_000), "hello"),
        (String::from_utf8(line("g", 1).to_vec()).unwrap(), "hello"),
        (serde_json::to_string(&Say::Gap { gateway: None, from_seq: 1, to_seq: 2 }).unwrap(), "hello"),
        (
            words(|hello| hello.protocol = "callgate.feed/2\u{1b}[31m".to_owned()),
            "callgate.feed/2\\u{1b}[31m",
        ),
        (words(|hello| hello.gateway = String::new()), "names"),
        (words(|hello| hello.name = "n".repeat(100_000)), "names"),
        (words(|hello| hello.host.clone_from(&huge)), "hello"),
        (words(|hello| hello.next_seq = 0), "impossibly"),
        (words(|hello| hello.oldest_seq = 9), "impossibly"),
    ];
    for (greeting, says) in greetings {
        let address = liar(move |peer, _| {
            text(peer, greeting.clone());
            stay(peer);
        });
        let (mut events, _handle) = attach(address);
        let why = first_loss(&mut events);
        assert!(why.contains(says), "{why}");
        assert!(why.chars().count() < 300 && !why.contains('\u{1b}'), "{why}");
    }
}

fn words(change: impl FnOnce(&mut Hello)) -> String {
    let mut words = hello();
    change(&mut words);
    serde_json::to_string(&Say::Hello(Box::new(words))).unwrap()
}

#[test]
fn rubbish_between_records_is_said_and_nothing_is_lost() {
    let address = liar(|peer, _| {
        greet(peer);
        record(peer, 1);
        text(peer, "\u{1b}]0;rubbish");
        record(peer, 2);
        record(peer, 1);
        text(peer, r#"{"type":"decision","seq":3,"gateway":"another"}"#);
        text(peer, r#"{"type":"decision","seq":0,"gateway":"g"}"#);
        text(peer, r#"{"type":"decision","seq":-3,"gateway":"g"}"#);
        text(peer, r#"{"type":"decision","gateway":"g"}"#);
        text(peer, r#"{"type":"state","of":"weather"}"#);
        text(peer, r#"{"type":"state","of":"freezes","freezes":7}"#);
        text(peer, r#"{"type":"gap","from_seq":9,"to_seq":4}"#);
        say(peer, &Say::Hello(Box::new(hello())));
        let _ = peer.send(Message::binary(vec![0, 1, 2]));
        record(peer, 3);
        record(peer, 7);
        say(peer, &Say::Gap { gateway: None, from_seq: 8, to_seq: 9 });
        record(peer, 10);
        stay(peer);
    });
    let (mut events, _handle) = attach(address);
    let (mut last, mut troubles, mut gaps) = (0, 0, Vec::new());
    while last < 10 {
        match next(&mut events) {
            FeedEvent::Records { lines, .. } => {
                for got in lines {
                    assert_eq!(got, line("g", last + 1));
                    last += 1;
                }
            }
            FeedEvent::Gap { from, to, .. } => {
                gaps.push((from, to));
                last = to;
            }
            FeedEvent::Trouble { message, .. } => {
                assert!(!message.contains('\u{1b}'), "{message}");
                troubles += 1;
            }
            FeedEvent::Connected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(gaps, [(4, 6), (8, 9)]);
    assert_eq!(troubles, 10);
}

#[test]
fn endless_rubbish_is_given_up() {
    let address = liar(|peer, _| {
        greet(peer);
        for _ in 0..1000 {
            text(peer, "rubbish");
        }
        stay(peer);
    });
    let (mut events, _handle) = attach(address);
    let mut troubles = 0;
    loop {
        match next(&mut events) {
            FeedEvent::Trouble { .. } => troubles += 1,
            FeedEvent::Lost { why, .. } => {
                assert!(why.contains("too much"), "{why}");
                break;
            }
            _ => {}
        }
    }
    assert!(troubles <= 16);
}

#[test]
fn frames_without_end_and_of_impossible_size_are_refused() {
    let acts: Vec<fn(&mut Peer)> = vec![
        // A text frame that says it is 2^62 bytes long.
        |peer| raw(peer, &[0x81, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]),
        // A message of ever more fragments.
        |peer| {
            let part = vec![b'x'; 1 << 20];
            let mut frame = vec![0x01, 127];
            frame.extend((part.len() as u64).to_be_bytes());
            frame.extend(&part);
            raw(peer, &frame);
            frame[0] = 0x00;
            for _ in 0..140 {
                raw(peer, &frame);
            }
        },
        // Text that is not UTF-8, a reserved opcode, a masked frame.
        |peer| raw(peer, &[0x81, 2, 0xff, 0xfe]),
        |peer| raw(peer, &[0x83, 0]),
        |peer| raw(peer, &[0x81, 0x81, 0, 0, 0, 0, b'x']),
        // A ping that is too long.
        |peer| raw(peer, &[&[0x89, 126, 1, 0][..], &[0; 256]].concat()),
    ];
    for (at, act) in acts.into_iter().enumerate() {
        let address = liar(move |peer, _| {
            greet(peer);
            act(peer);
            stay(peer);
        });
        let (mut events, _handle) = attach(address);
        until(&mut events, |event| match event {
            FeedEvent::Lost { ended: false, .. } => Some(()),
            FeedEvent::Records { .. } | FeedEvent::State { .. } => panic!("{at}: nothing was said"),
            _ => None,
        });
    }
}

fn raw(peer: &mut Peer, bytes: &[u8]) {
    use std::io::Write;
    let _ = peer.get_mut().write_all(bytes);
}

#[test]
fn a_liar_that_comes_and_goes_is_resumed_where_it_was() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let address = liar(move |peer, at| {
        count.store(at + 1, Ordering::SeqCst);
        say(peer, &Say::Hello(Box::new(hello())));
        let Ok(Message::Text(asked)) = peer.read() else { return };
        let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
        let since = asked["since_seq"].as_u64().unwrap();
        say(peer, &Say::Reply { ok: true, of: "subscribe".to_owned(), message: String::new() });
        // Sends some again, then three more, then breaks off in the middle of a frame.
        for seq in since.saturating_sub(2).max(1)..=since + 3 {
            record(peer, seq);
        }
        raw(peer, &[0x81, 126, 1]);
    });
    let (mut events, _handle) = attach(address);
    let mut last = 0;
    assert_eq!(records_to(&mut events, "g", &mut last, 12).1, []);
    assert!(connections.load(Ordering::SeqCst) >= 4);
}

#[test]
fn exact_amounts_survive_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g");
    let state = State::Counters {
        ts: Timestamp(1_800_000_000_000_000),
        counters: vec![ServerCounter {
            server: "pay".to_owned(),
            state: CounterState {
                counter: "amount".to_owned(),
                scope: "grant".to_owned(),
                key: "local".to_owned(),
                window: 86_400,
                used: Amount(99_999_999_999_999_999_990_000_001),
                max: Amount(100_000),
                resets_at: Timestamp(1_800_000_000_000_000),
            },
        }],
    };
    gateway.hub.set_state(state.clone());
    let feeds = Feeds::These(vec![FeedAddr { url: gateway.url(), token: gateway.hub.token().to_owned() }]);
    let (mut events, _handle) = watch(feeds, WatchOptions::default()).unwrap();
    let got = until(&mut events, |event| match event {
        FeedEvent::State { state, .. } => Some(*state),
        FeedEvent::Trouble { message, .. } => panic!("{message}"),
        _ => None,
    });
    assert_eq!(got, state);
}

/// Ten clients, half of which never read: the publisher is never held up, whoever reads gets
/// everything, and whoever reads late too.
#[test]
fn clients_that_never_read_slow_nobody_and_lose_nothing() {
    const COUNT: u64 = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g");
    let dial = || {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let stream = std::net::TcpStream::connect(gateway.hub.address()).unwrap();
        let mut request = gateway.url().into_client_request().unwrap();
        let value = format!("Bearer {}", gateway.hub.token());
        request.headers_mut().insert("authorization", value.parse().unwrap());
        tungstenite::client(request, stream).unwrap().0
    };
    let mut lazy: Vec<_> = (0..5).map(|_| dial()).collect();
    let eager: Vec<_> = (0..5).map(|_| dial()).collect();
    let readers: Vec<_> =
        eager.into_iter().map(|socket| std::thread::spawn(move || read_all(socket, COUNT))).collect();
    while !gateway.hub.has_clients() {
        std::thread::yield_now();
    }
    // As fast as it can; every client's buffers are full long before the end.
    gateway.publish(COUNT);
    for reader in readers {
        reader.join().unwrap();
    }
    // Those who never read hold up nothing, and find everything when they wake up.
    let late = lazy.pop().unwrap();
    read_all(late, COUNT);
    // One more that sends, but never reads.
    let mut sender = lazy.pop().unwrap();
    for _ in 0..200 {
        sender.send(Message::Ping(Bytes::new())).unwrap();
    }
    gateway.publish(1);
    drop(lazy);
    gateway.hub.close();
}

fn read_all(mut socket: WebSocket<std::net::TcpStream>, count: u64) {
    let mut expected = None;
    loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        match value["type"].as_str().unwrap() {
            "hello" => expected = value["next_seq"].as_u64(),
            "event" => {
                let seq = value["seq"].as_u64().unwrap();
                assert_eq!(Some(seq), expected, "no gap, no repetition");
                if seq == count {
                    return;
                }
                expected = Some(seq + 1);
            }
            "gap" => panic!("everything is in the journal"),
            _ => {}
        }
    }
}
