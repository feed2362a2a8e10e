//! The gateway's half of the feed, spoken to by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod feed_support;

use std::sync::Arc;

use callgate::counters::{CallArgs, Freeze, Override, OverrideEffect};
use callgate::feed::message::{ApprovalView, Ask, Role, Say, State};
use callgate::feed::server::{Hub, HubConfig, Public};
use callgate::feed::token::FeedToken;
use callgate::time::Timestamp;
use callgate::token::TokenDigest;
use feed_support::{Gateway, PATIENCE, line};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn dial(url: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("an answer in time") {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn join(gateway: &Gateway) -> Socket {
    dial(&gateway.url(), &[("authorization", &format!("Bearer {}", gateway.hub.token()))]).await.unwrap()
}

async fn hear(socket: &mut Socket) -> Option<String> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message in time") {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    }
}

async fn hear_say(socket: &mut Socket) -> Say {
    serde_json::from_str(&hear(socket).await.expect("a message")).unwrap()
}

async fn tell(socket: &mut Socket, ask: &Ask) {
    socket.send(Message::Text(serde_json::to_string(ask).unwrap().into())).await.unwrap();
}

fn gateway() -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "g1");
    (folder, gateway)
}

fn feed_token(token: &str, role: Role, expires: Option<Timestamp>) -> FeedToken {
    FeedToken { label: token.to_owned(), role, digest: TokenDigest::of(token), expires }
}

fn freezes(reason: &str) -> State {
    State::Freezes { freezes: vec![freeze(reason)] }
}

fn freeze(reason: &str) -> Freeze {
    Freeze {
        id: "f".to_owned(),
        server: None,
        grant: None,
        tool: None,
        until: None,
        by: "me".to_owned(),
        at: Timestamp(0),
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with(folder.path(), "g1", |mut config| {
        config.origins = vec!["https://ops.example".to_owned()];
        config.tokens = vec![feed_token("looker", Role::Viewer, None)];
        config
    });
    let url = gateway.url();
    let good = format!("Bearer {}", gateway.hub.token());
    assert_eq!(gateway.hub.token().len(), 64);
    let shorter = good[..good.len() - 1].to_owned();
    assert_eq!(dial(&url, &[]).await.unwrap_err(), 401);
    assert_eq!(dial(&url, &[("authorization", "Bearer wrong")]).await.unwrap_err(), 401);
    assert_eq!(dial(&url, &[("authorization", &shorter)]).await.unwrap_err(), 401);
    assert_eq!(dial(&url, &[("authorization", &good), ("authorization", &good)]).await.unwrap_err(), 401);
    let in_query = format!("{url}?token={}", gateway.hub.token());
    assert_eq!(dial(&in_query, &[]).await.unwrap_err(), 401);
    let elsewhere = url.replace("/feed", "/feeds");
    assert_eq!(dial(&elsewhere, &[("authorization", &good)]).await.unwrap_err(), 404);
    for origin in ["http://evil.example", "null", "https://ops.example.evil", ""] {
        let headers = [("authorization", good.as_str()), ("origin", origin)];
        assert_eq!(dial(&url, &headers).await.unwrap_err(), 403, "{origin}");
    }
    let mut socket =
        dial(&url, &[("authorization", good.as_str()), ("origin", "https://ops.example")]).await.unwrap();
    let Say::Hello(hello) = hear_say(&mut socket).await else { panic!("hello first") };
    assert_eq!((hello.role, hello.next_seq, hello.gateway.as_str()), (Role::Operator, 1, "g1"));
    // A viewer sees, and orders nothing.
    let mut socket = dial(&url, &[("authorization", "Bearer looker")]).await.unwrap();
    let Say::Hello(hello) = hear_say(&mut socket).await else { panic!("hello first") };
    assert_eq!(hello.role, Role::Viewer);
    tell(&mut socket, &Ask::Freeze { freeze: freeze("x") }).await;
    let Say::Reply { ok: false, of, .. } = hear_say(&mut socket).await else { panic!("refused") };
    assert_eq!(of, "freeze");
    assert!(gateway.hub.commands().try_recv().is_err());
}

#[tokio::test]
async fn a_revoked_token_ends_its_connections_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let soon = callgate::clock::now().plus_micros(1_500_000);
    let all = vec![
        feed_token("stays", Role::Viewer, None),
        feed_token("goes", Role::Viewer, None),
        feed_token("demoted", Role::Operator, None),
        feed_token("ends", Role::Viewer, Some(soon)),
    ];
    let gateway = Gateway::with(folder.path(), "g1", |mut config| {
        config.tokens.clone_from(&all);
        config
    });
    let mut sockets = Vec::new();
    for token in ["stays", "goes", "demoted", "ends"] {
        let mut socket =
            dial(&gateway.url(), &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
        assert!(matches!(hear_say(&mut socket).await, Say::Hello(_)));
        sockets.push(socket);
    }
    let mut own = join(&gateway).await;
    assert!(matches!(hear_say(&mut own).await, Say::Hello(_)));
    assert_eq!(gateway.hub.stats().clients, 5);
    gateway.hub.set_tokens(vec![
        all[0].clone(),
        feed_token("demoted", Role::Viewer, None),
        all[3].clone(),
        feed_token("new", Role::Viewer, None),
    ]);
    for gone in [1, 2, 3] {
        assert_eq!(hear(&mut sockets[gone]).await, None, "{gone}");
    }
    for token in ["goes", "ends"] {
        let refused = dial(&gateway.url(), &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(refused.unwrap_err(), 401, "{token}");
    }
    assert!(dial(&gateway.url(), &[("authorization", "Bearer new")]).await.is_ok());
    gateway.publish(1);
    for socket in [&mut sockets[0], &mut own] {
        assert_eq!(hear(socket).await.unwrap().as_bytes(), &*line("g1", 1));
    }
}

#[tokio::test]
async fn others_come_through_a_door_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with(folder.path(), "g1", |mut config| {
        config.tokens = vec![feed_token("looker", Role::Viewer, None)];
        config.public =
            Some(Public { listen: "127.0.0.1:0".parse().unwrap(), tls: None, behind_proxy: false });
        config
    });
    let url = format!("ws://{}/feed", gateway.hub.public_address().unwrap());
    assert!(dial(&url, &[("authorization", "Bearer looker")]).await.is_ok());
    let own = format!("Bearer {}", gateway.hub.token());
    assert_eq!(dial(&url, &[("authorization", &own)]).await.unwrap_err(), 401, "it is for this machine");
    let mut open = HubConfig::new(folder.path().into(), folder.path().into(), "g2".into(), "x".into());
    open.public = Some(Public { listen: "0.0.0.0:0".parse().unwrap(), tls: None, behind_proxy: false });
    let error = Hub::start(open).unwrap_err();
    assert!(error.to_string().contains("needs TLS"), "{error}");
}

#[tokio::test]
async fn first_hello_then_state_then_records_as_they_are() {
    let (_folder, gateway) = gateway();
    gateway.publish(3);
    gateway.hub.set_state(freezes("one"));
    let mut socket = join(&gateway).await;
    let Say::Hello(hello) = hear_say(&mut socket).await else { panic!("hello first") };
    assert_eq!((hello.next_seq, hello.oldest_seq, hello.pid), (4, 1, std::process::id()));
    let Say::State(state) = hear_say(&mut socket).await else { panic!("then state") };
    assert_eq!(*state, freezes("one"));
    gateway.publish(2);
    for seq in [4, 5] {
        assert_eq!(hear(&mut socket).await.unwrap().as_bytes(), &*line("g1", seq));
    }
    // The same again is not said again; many at once are said as one.
    gateway.hub.set_state(freezes("one"));
    for n in 0..1000 {
        gateway.hub.set_state(freezes(&n.to_string()));
    }
    let mut heard = 0;
    loop {
        let Say::State(state) = hear_say(&mut socket).await else { panic!("state") };
        heard += 1;
        if *state == freezes("999") {
            break;
        }
    }
    assert!(heard < 100, "{heard}");
}

#[tokio::test]
async fn missed_records_come_from_the_journal_and_gaps_are_said() {
    let (_folder, gateway) = gateway();
    gateway.publish(1000);
    gateway.history.forget((1..=10).chain(500..=509).chain(1000..=1000));
    let mut socket = join(&gateway).await;
    let Say::Hello(hello) = hear_say(&mut socket).await else { panic!("hello first") };
    assert_eq!((hello.oldest_seq, hello.next_seq), (11, 1001));
    tell(&mut socket, &Ask::Subscribe { gateway: "other".to_owned(), since_seq: 0, fleet: false }).await;
    assert!(matches!(hear_say(&mut socket).await, Say::Reply { ok: false, .. }));
    tell(&mut socket, &Ask::Subscribe { gateway: "g1".to_owned(), since_seq: 4, fleet: false }).await;
    assert!(matches!(hear_say(&mut socket).await, Say::Reply { ok: true, .. }));
    let mut expected = 5;
    let mut gaps = Vec::new();
    while expected <= 1000 {
        let text = hear(&mut socket).await.unwrap();
        if let Ok(Say::Gap { from_seq, to_seq, .. }) = serde_json::from_str(&text) {
            assert_eq!(from_seq, expected);
            expected = to_seq + 1;
            gaps.push((from_seq, to_seq));
        } else {
            assert_eq!(text.as_bytes(), &*line("g1", expected));
            expected += 1;
        }
    }
    assert_eq!(gaps, [(5, 10), (500, 509), (1000, 1000)]);
    gateway.publish(1);
    assert_eq!(hear(&mut socket).await.unwrap().as_bytes(), &*line("g1", 1001));
    // From the future: what comes next.
    tell(&mut socket, &Ask::Subscribe { gateway: "g1".to_owned(), since_seq: u64::MAX, fleet: false }).await;
    assert!(matches!(hear_say(&mut socket).await, Say::Reply { ok: true, .. }));
    gateway.publish(1);
    assert_eq!(hear(&mut socket).await.unwrap().as_bytes(), &*line("g1", 1002));
}

#[tokio::test]
async fn numbers_out_of_order_arrive_in_order() {
    let (_folder, gateway) = gateway();
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
    for seq in [2, 1, 4, 3, 6, 5] {
        gateway.history.0.lock().unwrap().insert(seq, line("g1", seq));
    }
    for seq in [2, 1, 4, 3, 6, 5] {
        gateway.hub.publish(seq, line("g1", seq));
    }
    for seq in 1..=6 {
        assert_eq!(hear(&mut socket).await.unwrap().as_bytes(), &*line("g1", seq));
    }
}

#[tokio::test]
async fn an_operator_is_heard_and_answered() {
    let (_folder, gateway) = gateway();
    let commands = gateway.hub.commands();
    let orders = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for n in 0.. {
            let Ok(command) = commands.recv() else { break };
            heard.push(command.ask);
            match n {
                0 => command.reply.done("frozen"),
                1 => command.reply.refused("no"),
                _ => drop(command.reply),
            }
        }
        heard
    });
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
    for (ok, message) in [(true, "frozen"), (false, "no"), (false, "the gateway did not answer")] {
        tell(&mut socket, &Ask::Freeze { freeze: freeze("x") }).await;
        let Say::Reply { ok: got, of, message: said } = hear_say(&mut socket).await else { panic!("reply") };
        assert_eq!((got, of.as_str(), said.as_str()), (ok, "freeze", message));
    }
    for rubbish in ["", "{}", "[]", r#"{"type":"subscribe"}"#, "\u{0}", r#"{"type":"dance"}"#] {
        socket.send(Message::Text(rubbish.into())).await.unwrap();
        assert!(matches!(hear_say(&mut socket).await, Say::Reply { ok: false, .. }));
    }
    drop(socket);
    drop(gateway);
    assert_eq!(orders.join().unwrap().len(), 3);
}

#[tokio::test]
async fn too_much_is_cut_off() {
    let (_folder, gateway) = gateway();
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
    let _ = socket.send(Message::Text("x".repeat(100_000).into())).await;
    assert_eq!(hear(&mut socket).await, None);
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
    let _ = socket.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(hear(&mut socket).await, None);
}

#[tokio::test]
async fn clients_are_counted_and_places_come_free() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with(folder.path(), "g1", |mut config| {
        config.max_clients = 2;
        config
    });
    let auth = format!("Bearer {}", gateway.hub.token());
    let headers = [("authorization", auth.as_str())];
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = join(&gateway).await;
        hear(&mut socket).await.unwrap();
        sockets.push(socket);
    }
    assert_eq!(dial(&gateway.url(), &headers).await.unwrap_err(), 503);
    assert!(gateway.hub.has_clients());
    drop(sockets);
    while gateway.hub.has_clients() {
        tokio::task::yield_now().await;
    }
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
}

#[tokio::test]
async fn the_last_records_are_delivered_at_the_end() {
    let (folder, gateway) = gateway();
    let mut socket = join(&gateway).await;
    hear(&mut socket).await.unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 1);
    let closing = tokio::task::spawn_blocking(move || {
        gateway.publish(1000);
        gateway.hub.close();
        gateway
    });
    for seq in 1..=1000 {
        assert_eq!(hear(&mut socket).await.unwrap().as_bytes(), &*line("g1", seq));
    }
    assert_eq!(hear(&mut socket).await, None);
    assert_eq!(files(), 0, "the discovery file is gone");
    drop(closing.await.unwrap());
}

#[test]
fn publishing_and_closing_need_no_client() {
    let (_folder, gateway) = gateway();
    gateway.publish(100_000);
    assert!(!gateway.hub.has_clients());
    gateway.hub.close();
    gateway.hub.close();
    gateway.publish(10);
    let shared: Arc<Hub> = Arc::new(gateway.hub);
    std::thread::spawn(move || drop(shared)).join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_never_gets_the_arguments_of_an_approval() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with(folder.path(), "g", |mut config| {
        config.tokens.push(feed_token("look", Role::Viewer, None));
        config
    });
    let now = Timestamp(1_800_000_000_000_000);
    let view = |n: u32| ApprovalView {
        id: format!("a{n}"),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        policy: "0123456789ab".to_owned(),
        args: CallArgs::new(r#"{"password": "hunter2"}"#),
        args_sha256: Some("d1ge57".to_owned()),
        rule: String::new(),
        pointer: String::new(),
        message: String::new(),
        client: None,
        asked_at: now,
        until: now,
        timeout_s: 300,
        holders: n,
        verdict: None,
    };
    let entry = Override {
        id: "o".to_owned(),
        effect: OverrideEffect::Approved,
        server: "s".to_owned(),
        grant: None,
        tool: "t".to_owned(),
        args_sha256: Some("d1ge57".to_owned()),
        until: Some(now),
        uses: None,
        run: None,
        by: "me".to_owned(),
        at: now,
        reason: String::new(),
    };
    gateway.hub.set_state(State::Approvals { approvals: vec![view(1)] });
    gateway.hub.set_state(State::Overrides { overrides: vec![entry] });
    let mut operator = join(&gateway).await;
    let mut viewer = dial(&gateway.url(), &[("authorization", "Bearer look")]).await.unwrap();
    // Whoever asks first fills what is kept as text; either order must tell them apart.
    for round in 1..4_u32 {
        for (socket, sees) in [(&mut operator, true), (&mut viewer, false)] {
            let mut heard = 0;
            let mut digests = 0;
            while heard < 1 || (round == 1 && digests < 1) {
                let text = hear(socket).await.unwrap();
                assert!(sees || !(text.contains("hunter2") || text.contains("d1ge57")), "{text}");
                match serde_json::from_str(&text).unwrap() {
                    Say::State(state) => match *state {
                        State::Approvals { approvals } => {
                            assert_eq!(approvals[0].holders, round);
                            assert_eq!(approvals[0].args.is_some(), sees);
                            assert_eq!(approvals[0].args_sha256.is_some(), sees);
                            heard += 1;
                        }
                        State::Overrides { overrides } => {
                            assert_eq!(overrides[0].args_sha256.is_some(), sees);
                            digests += 1;
                        }
                        _ => {}
                    },
                    Say::Hello(hello) => assert_eq!(hello.role == Role::Operator, sees),
                    other => panic!("{other:?}"),
                }
            }
        }
        gateway.hub.set_state(State::Approvals { approvals: vec![view(round + 1)] });
    }
    for ask in [
        Ask::Approve { id: "a1".to_owned(), by: "me".to_owned(), note: String::new(), for_s: None },
        Ask::Reject { id: "a1".to_owned(), by: "me".to_owned(), note: "no".to_owned() },
        Ask::EndOverride { id: "o".to_owned(), by: "me".to_owned(), reason: String::new() },
    ] {
        tell(&mut viewer, &ask).await;
        loop {
            if let Say::Reply { ok, of, .. } = hear_say(&mut viewer).await {
                assert!(!ok && of == ask.name());
                break;
            }
        }
    }
}
