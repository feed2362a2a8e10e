//! Streams through the gateway over HTTP: byte for byte as they come, with what is hidden cut, and
//! the ends of both sides seen by the other.

#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic
)]

mod gateway_support;
mod http_support;

use std::io::Write;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callgate::record::Status;
use gateway_support::modern_call;
use http_support::*;

const HIDES: &str = r#"{"version":"1","default":"allow","hide":["danger"],"tools":{}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;

/// An upstream whose streams are fed by the test, part by part.
fn fed(head: &'static str) -> (Upstream, std::sync::mpsc::Sender<Option<Vec<u8>>>) {
    let (sender, parts) = channel::<Option<Vec<u8>>>();
    let parts = Mutex::new(parts);
    let upstream = Upstream::start(move |_, stream| {
        stream_head(stream, head);
        let parts = parts.lock().unwrap();
        while let Ok(Some(part)) = parts.recv() {
            if !chunk(stream, &part) {
                return;
            }
        }
        stream_end(stream);
    });
    (upstream, sender)
}

#[test]
fn events_pass_one_by_one_as_they_come() {
    let (upstream, feed) = fed("X-Accel-Buffering: no\r\nMcp-Session-Id: s\r\nX-Odd: 1\r\n");
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let answered = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{\"content\":[ ]}}\n\n";
    let parts = [
        ": hello\n\n",
        "id: 1\nretry: 250\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n",
        ":\r\n\r\n",
        "id: 2\r\ndata:{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"ping\"}\r\n\r\n",
        "event: other\rdata: not json\r\r",
        answered,
        ": after\n",
    ];
    feed.send(Some(parts[0].into())).unwrap();
    let (mut client, head) = gate.post_open("", &call(1, "echo", "{}"));
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(head.header("mcp-session-id"), Some("s"));
    assert_eq!(head.header("x-odd"), Some("1"));
    // Each part is there before the next one is sent.
    let mut all = client.until(parts[0]);
    for part in &parts[1..] {
        feed.send(Some(part.as_bytes().to_vec())).unwrap();
        let mut came = String::new();
        while came.len() < part.len() {
            came.push_str(&String::from_utf8(client.part().unwrap()).unwrap());
        }
        assert_eq!(&came, part);
        all.push_str(&came);
    }
    feed.send(None).unwrap();
    assert_eq!(client.part(), None);
    assert_eq!(all, parts.concat());
    let outcome = until("its outcome", || home.outcomes().first().cloned());
    assert_eq!(outcome.status, Status::Ok);
}

#[test]
fn a_list_in_a_stream_loses_only_what_is_hidden() {
    let (upstream, feed) = fed("");
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let event = format!(
        "id: 9\r\nevent: message\r\ndata: {{\"jsonrpc\":\"2.0\",\"id\":\"l\",\r\ndata: \"result\":{}}}\r\n\r\n",
        list()
    );
    for byte in event.as_bytes() {
        feed.send(Some(vec![*byte])).unwrap();
    }
    feed.send(None).unwrap();
    let answer = gate.post("", LIST);
    assert_eq!(
        answer.text(),
        "id: 9\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"l\", \"result\":{\"tools\":[{\"name\":\"echo\", \"x\":1.0} ,{\"name\":\"fail\"}],\"nextCursor\":null}}\r\n\r\n"
    );
}

#[test]
fn a_resumed_stream_is_cut_too() {
    let upstream = Upstream::start(|request, stream| {
        if request.method == "POST" {
            if request.json()["method"] == "initialize" {
                return plain(request, stream);
            }
            // Breaks off before the answer; the client can resume.
            stream_head(stream, "");
            chunk(stream, b"id: 5\ndata:\n\n");
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        stream_head(stream, "");
        chunk(
            stream,
            format!("id: 6\ndata: {{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"result\":{}}}\n\n", list()).as_bytes(),
        );
        stream_end(stream);
    });
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    gate.post("", r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#);
    let session = "Mcp-Session-Id: session-1\r\n";
    let (mut client, _) = gate.post_open(session, LIST);
    assert_eq!(client.part().unwrap(), b"id: 5\ndata:\n\n");
    assert!(client.try_part().is_err(), "the client sees that the stream broke off");
    let (mut client, head) = gate.open("GET", &format!("{session}Last-Event-ID: 5\r\n"));
    assert_eq!(head.status, 200);
    let resumed = client.until("\n\n");
    assert!(resumed.starts_with("id: 6\n") && !resumed.contains("danger"), "{resumed}");
    assert_eq!(upstream.last().header("last-event-id"), Some("5"));
    assert_eq!(upstream.last().header("mcp-session-id"), Some("session-1"));
}

#[test]
fn a_client_that_goes_away_closes_the_upstream() {
    let (upstream, feed) = fed("");
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    feed.send(Some(b": here\n\n".to_vec())).unwrap();
    let (mut client, _) = gate.post_open("", &call(1, "echo", "{}"));
    client.until("here");
    client.close();
    // The upstream notices when it writes.
    until("the upstream's end", || {
        let _ = feed.send(Some(b": still\n\n".to_vec()));
        (*upstream.closed.lock().unwrap() > 0).then_some(())
    });
    let outcome = until("its outcome", || home.outcomes().first().cloned());
    assert_eq!(outcome.status, Status::Lost);
}

#[test]
fn a_client_that_goes_away_before_the_answer_closes_the_upstream() {
    let upstream = Upstream::start(|_, stream| {
        let mut byte = [0];
        // Waits for the end of the connection.
        let _ = std::io::Read::read(stream, &mut byte);
    });
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &["--no-auth"]);
    let mut client = gate.connect();
    client.post("MCP-Protocol-Version: 2026-07-28\r\n", modern_call("1", "echo", "{}").as_bytes());
    until("the call at the upstream", || (upstream.count() == 1).then_some(()));
    client.close();
    until("the upstream's end", || (*upstream.closed.lock().unwrap() > 0).then_some(()));
    let outcome = until("its outcome", || home.outcomes().first().cloned());
    assert_eq!(outcome.status, Status::Cancelled);
}

#[test]
fn an_upstream_that_breaks_off_is_told() {
    let home = Home::new(ALLOW);
    // Not one whole chunk any more: the connection ends within.
    let broken = Upstream::start(|_, stream| {
        stream_head(stream, "");
        chunk(stream, b"event: message\ndata: {\"half\":");
        let _ = stream.write_all(b"5\r\nab");
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let gate = Gate::url(&home, &broken.url(), &[]);
    let answer = gate.post("", &call(3, "echo", "{}"));
    let text = answer.text();
    assert!(
        text.starts_with("event: message\n\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"error\""),
        "{text}"
    );
    assert_eq!(until("its outcome", || home.outcomes().first().cloned()).status, Status::Lost);
}

#[test]
fn the_gateway_tells_what_a_change_of_the_policy_hides() {
    let (streams, stops) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(false)));
    let (count, stop) = (Arc::clone(&streams), Arc::clone(&stops));
    let upstream = Upstream::start(move |request, stream| {
        let listens = request.json()["method"] == "subscriptions/listen";
        if request.json()["method"] == "server/discover" {
            return json_answer(
                stream,
                "",
                r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","capabilities":{"tools":{"listChanged":true}}}}"#,
            );
        }
        if request.method == "POST" && !listens {
            return plain(request, stream);
        }
        stream_head(stream, "");
        chunk(stream, b": open\n\n");
        *count.lock().unwrap() += 1;
        while !*stop.lock().unwrap() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stream_end(stream);
    });
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    gate.post("", r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#);
    let (mut legacy, _) = gate.open("GET", "Mcp-Session-Id: session-1\r\n");
    legacy.until("open");
    home.set_policy(HIDES);
    assert_eq!(
        legacy.until("\n\n"),
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n"
    );
    *stops.lock().unwrap() = true;
    assert_eq!(legacy.part(), None);

    // In the stateless era each request stands for itself, and a subscription hears of it.
    *stops.lock().unwrap() = false;
    home.set_policy(ALLOW);
    let modern = |id: &str, method: &str, more: &str| {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
        (headers, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{more}{meta}}}}}"#))
    };
    let (headers, discover) = modern("1", "server/discover", "");
    gate.post(&headers, &discover);
    let (headers, list) = modern("2", "tools/list", "");
    until("the policy", || gate.post(&headers, &list).text().contains("danger").then_some(()));
    let subscribe = |id: &str, changes: bool| {
        let more = format!(r#""notifications":{{"toolsListChanged":{changes}}},"#);
        let (headers, listen) = modern(id, "subscriptions/listen", &more);
        let (mut stream, head) = gate.post_open(&headers, &listen);
        assert_eq!(head.status, 200);
        stream.until("open");
        stream
    };
    let (mut told, mut other) = (subscribe("\"s\"", true), subscribe("4", false));
    home.set_policy(HIDES);
    let text = told.until("\n\n");
    let message: serde_json::Value =
        serde_json::from_str(text.trim().strip_prefix("event: message\ndata: ").unwrap()).unwrap();
    assert_eq!(message["method"], "notifications/tools/list_changed");
    assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s");
    *stops.lock().unwrap() = true;
    assert_eq!((told.part(), other.part()), (None, None), "told once, and only who asked for it");
}

#[test]
fn a_client_that_never_asked_what_the_server_can_do_is_told_too() {
    let (agrees, stops) = (Arc::new(Mutex::new(true)), Arc::new(Mutex::new(false)));
    let (answer, stop) = (Arc::clone(&agrees), Arc::clone(&stops));
    let upstream = Upstream::start(move |request, stream| {
        if request.json()["method"] != "subscriptions/listen" {
            return plain(request, stream);
        }
        let told = *answer.lock().unwrap();
        let accepted = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{{"toolsListChanged":{told}}}}}}}"#
        );
        stream_head(stream, "");
        chunk(stream, format!("data: {accepted}\n\n").as_bytes());
        while !*stop.lock().unwrap() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stream_end(stream);
    });
    // A server that agrees to tell is one that tells; one that does not is never spoken for.
    for agree in [true, false] {
        (*agrees.lock().unwrap(), *stops.lock().unwrap()) = (agree, false);
        let home = Home::new(ALLOW);
        let gate = Gate::url(&home, &upstream.url(), &[]);
        let listen = r#"{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
        let (mut stream, _) = gate.post_open(headers, listen);
        stream.until("acknowledged");
        home.set_policy(HIDES);
        if agree {
            stream.until("notifications/tools/list_changed");
        } else {
            // Each in force is an event: at the start, and after the save.
            let events = || home.events(callgate::record::EventKind::Policy).len();
            until("the policy", || (events() == 2).then_some(()));
        }
        *stops.lock().unwrap() = true;
        while let Some(part) = stream.part() {
            let part = String::from_utf8(part).unwrap();
            assert!(!part.contains("list_changed"), "told once, and only who is told: {part}");
        }
    }
}

#[test]
fn an_answer_of_any_size_passes_in_little_memory() {
    const PART: usize = 1024 * 1024;
    const PARTS: usize = 1024;
    let upstream = Upstream::start(|request, stream| {
        let id = request.json()["id"].clone();
        let head = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\""
        );
        let tail = "\"}],\"isError\":true}}";
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{head}",
            head.len() + tail.len() + PART * PARTS
        );
        let part = vec![b'x'; PART];
        for _ in 0..PARTS {
            if stream.write_all(&part).is_err() {
                return;
            }
        }
        let _ = stream.write_all(tail.as_bytes());
    });
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let (mut client, head) = gate.post_open("", &call(1, "echo", "{}"));
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    let mut left = length;
    let mut buffer = vec![0; PART];
    while left > 0 {
        let count = client.read(&mut buffer);
        assert!(count > 0, "{left} bytes are missing");
        left -= count;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.child.id())).unwrap_or_default();
    if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM")) {
        let most: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(most < 200 * 1024, "{most} KiB at most");
    }
    let outcome = until("its outcome", || home.outcomes().first().cloned());
    assert_eq!(outcome.status, Status::ToolError, "what came last was seen");
    assert_eq!(outcome.bytes, length as u64);
}

#[test]
fn a_list_too_large_to_be_cut_does_not_pass() {
    let upstream = Upstream::start(|_, stream| {
        let pad = "x".repeat(200_000);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"l","result":{{"tools":[{{"name":"danger","description":"{pad}"}}]}}}}"#
        );
        json_answer(stream, "", &body);
    });
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &["--max-message", "100000"]);
    let answer = gate.post("", LIST);
    assert!(!answer.text().contains("danger"));
    assert_eq!(answer.json()["error"]["code"], -32603);
}

#[test]
fn a_client_that_does_not_read_is_shed() {
    let upstream = Upstream::start(|_, stream| {
        stream_head(stream, "");
        let part = format!(": {}\n\n", "x".repeat(100_000));
        while chunk(stream, part.as_bytes()) {}
    });
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &["--write-timeout", "1"]);
    let (client, _) = gate.post_open("", &call(1, "echo", "{}"));
    until("the upstream's end", || (*upstream.closed.lock().unwrap() > 0).then_some(()));
    drop(client);
}

#[test]
fn slow_and_large_requests_are_shed() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let gate =
        Gate::url(&home, &upstream.url(), &["--no-auth", "--read-timeout", "1", "--max-message", "1000"]);
    let mut slow = gate.connect();
    slow.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    let rest = slow.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    let mut half = gate.connect();
    half.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    assert_eq!(half.head().status, 408);
    let large = gate.post("", &call(1, "echo", &format!("{{\"message\":\"{}\"}}", "x".repeat(2000))));
    assert_eq!((large.status, large.json()["error"]["code"].as_i64()), (413, Some(-32600)));
    let mut wide = gate.connect();
    wide.send(
        format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Wide: {}\r\n\r\n", "x".repeat(100_000))
            .as_bytes(),
    );
    assert_eq!(wide.head().status, 431);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn connections_and_streams_are_bounded() {
    let (upstream, feed) = fed("");
    let home = Home::new(ALLOW);
    let gate =
        Gate::url(&home, &upstream.url(), &["--no-auth", "--max-connections", "2", "--max-streams", "1"]);
    feed.send(Some(b": here\n\n".to_vec())).unwrap();
    let (mut one, head) = gate.open("GET", "");
    assert_eq!(head.status, 200);
    one.until("here");
    let (two, head) = gate.open("GET", "");
    assert_eq!((head.status, head.header("retry-after")), (503, Some("1")));
    let mut three = gate.connect();
    assert_eq!(three.head().status, 503);
    drop((one, two, three));
}

#[test]
fn the_gateway_ends_in_good_order() {
    let upstream = Upstream::start(|request, stream| {
        if request.method == "GET" {
            stream_head(stream, "");
            chunk(stream, b": open\n\n");
            std::thread::sleep(Duration::from_secs(20));
            return;
        }
        std::thread::sleep(Duration::from_millis(700));
        plain(request, stream);
    });
    let home = Home::new(ALLOW);
    let mut gate = Gate::url(&home, &upstream.url(), &[]);
    let (mut open, _) = gate.open("GET", "");
    open.until("open");
    let mut running = gate.connect();
    running.post(
        &format!("Authorization: Bearer {}\r\n", gate.token.as_ref().unwrap()),
        call(1, "echo", "{}").as_bytes(),
    );
    until("the call at the upstream", || (upstream.count() == 2).then_some(()));
    gate.signal(rustix::process::Signal::TERM);
    assert_eq!(running.answer().json()["id"], 1, "what runs comes to its end");
    assert_eq!(open.part(), None, "what has no end of its own is ended");
    assert_eq!(gate.wait(), 0);
    assert_eq!(home.outcomes().len(), 1);
}
