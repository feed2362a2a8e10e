//! The gateway over streamable HTTP in front of a stdio server: one process a session, messages on
//! the streams that they belong to, and nothing left behind.

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

use std::time::Duration;

use callgate::record::Status;
use gateway_support::{all_gone, is_alive, modern_call, pids};
use http_support::*;
use rustix::process::Signal;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;

/// Begins a session, and gives the header that names it.
fn begin(gate: &Gate) -> String {
    let answer = gate.post("", INITIALIZE);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["result"]["serverInfo"]["name"], "fixture");
    format!("Mcp-Session-Id: {}\r\n", answer.header("mcp-session-id").expect("a session"))
}

fn modern(method: &str, name: Option<&str>) -> String {
    let name = name.map_or_else(String::new, |name| format!("Mcp-Name: {name}\r\n"));
    format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
}

#[test]
fn each_session_has_a_server_of_its_own() {
    let home = Home::new(ALLOW);
    let pids_file = home.text("pids");
    let gate = Gate::command(&home, &[], &["--pids", &pids_file]);
    let (one, two) = (begin(&gate), begin(&gate));
    assert_ne!(one, two);
    let initialized = gate.post(&one, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!((initialized.status, initialized.body.len()), (202, 0));
    let answer = gate.post(&one, "{\"jsonrpc\":\"2.0\",\r\n\"id\":1.0,\n\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"message\":\"hi\"}}}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.text(),
        r#"{"jsonrpc":"2.0","id":1.0,"result":{"content":[{"type":"text","text":"hi"}]}}"#
    );
    let servers = pids(home.path("pids").as_path());
    assert_eq!(servers.len(), 2);
    assert_eq!(gate.post("", &call(1, "echo", "{}")).status, 400, "no session");
    assert_eq!(gate.post("Mcp-Session-Id: other\r\n", &call(1, "echo", "{}")).status, 404);
    assert_eq!(gate.open("GET", "").1.status, 400);
    assert_eq!(gate.open("DELETE", &one).1.status, 204);
    until("the end of its server", || (!is_alive(servers[0])).then_some(()));
    assert!(is_alive(servers[1]));
    assert_eq!(gate.post(&one, &call(2, "echo", "{}")).status, 404);
    assert_eq!(gate.post(&two, &call(2, "echo", "{}")).status, 200);
    let sessions: Vec<_> = home.decisions().into_iter().filter_map(|decision| decision.session).collect();
    assert!(sessions.iter().any(|session| two.contains(session.as_str())), "{sessions:?}");
}

#[test]
fn what_a_server_asks_goes_on_the_stream_of_the_call() {
    let home = Home::new(ALLOW);
    let log = home.text("log");
    let gate = Gate::command(&home, &[], &["--log", &log]);
    let session = begin(&gate);
    let answer = gate.post(&session, &call(1, "ask", "{}"));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        answer.text(),
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"from-server\",\"method\":\"roots/list\"}\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n"
    );
    let reply = r#"{"jsonrpc":"2.0","id":"from-server","result":{"roots":[]}}"#;
    assert_eq!(gate.post(&session, reply).status, 202);
    until("the reply at the server", || std::fs::read_to_string(&log).unwrap().contains(reply).then_some(()));
    // What belongs to no call waits for the session's own stream.
    assert_eq!(
        gate.post(&session, &call(2, "changed", "{}")).header("content-type"),
        Some("application/json")
    );
    let (mut stream, head) = gate.open("GET", &session);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert!(stream.until("\n\n").contains("list_changed"));
    gate.post(&session, &call(3, "changed", "{}"));
    assert!(stream.until("\n\n").contains("list_changed"));
    // A change of the policy is told there too.
    home.set_policy(r#"{"version":"1","default":"allow","hide":["danger"],"tools":{}}"#);
    assert!(stream.until("\n\n").contains("list_changed"));
    assert!(
        !gate.post(&session, r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#).text().contains("danger")
    );
    assert_eq!(gate.post(&session, &call(5, "danger", "{}")).json()["error"]["code"], -32602);
}

#[test]
fn the_stateless_era_needs_no_session() {
    let home = Home::new(ALLOW);
    let log = home.text("log");
    let gate = Gate::command(&home, &[], &["--log", &log]);
    let discover = r#"{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let answer = gate.post(&modern("server/discover", None), discover);
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert_eq!(answer.json()["result"]["supportedVersions"][0], "2026-07-28");
    let missing = gate.post("MCP-Protocol-Version: 2026-07-28\r\n", discover);
    assert_eq!((missing.status, missing.json()["error"]["code"].as_i64()), (400, Some(-32020)));
    let unknown = gate.post(&modern("x/y", None), &discover.replace("server/discover", "x/y"));
    assert_eq!((unknown.status, unknown.json()["error"]["code"].as_i64()), (404, Some(-32601)));
    // Two requests with one id at once, of two clients that know nothing of each other.
    let slow = modern_call("7", "slow", r#"{"ms":300}"#);
    let headers = modern("tools/call", Some("slow"));
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| gate.post(&headers, &slow))).collect();
        for one in both {
            let answer = one.join().unwrap();
            assert_eq!((answer.status, &answer.json()["id"]), (200, &7.into()));
        }
    });
    // Who closes the stream has cancelled.
    let mut client = gate.connect();
    client.post(
        &format!(
            "Authorization: Bearer {}\r\n{}",
            gate.token.as_ref().unwrap(),
            modern("tools/call", Some("hang"))
        ),
        modern_call("\"h\"", "hang", "{}").as_bytes(),
    );
    until("the call at the server", || std::fs::read_to_string(&log).unwrap().contains("hang").then_some(()));
    client.close();
    until("the cancellation at the server", || {
        std::fs::read_to_string(&log).unwrap().contains(r#""params":{"requestId":"h""#).then_some(())
    });
    until("its outcome", || {
        home.outcomes().iter().any(|outcome| outcome.status == Status::Cancelled).then_some(())
    });
    assert_eq!(gate.open("GET", "MCP-Protocol-Version: 2026-07-28\r\n").1.status, 405);
}

#[test]
fn a_server_that_dies_is_told_to_its_clients() {
    let home = Home::new(ALLOW);
    let gate = Gate::command(&home, &[], &[]);
    let session = begin(&gate);
    let answer = gate.post(&session, &call(1, "die", "{}"));
    assert_eq!((answer.status, answer.json()["id"].as_i64()), (502, Some(1)));
    assert_eq!(gate.post(&session, &call(2, "echo", "{}")).status, 404, "the client begins anew");
    until("its outcome", || home.outcomes().first().map(|outcome| assert_eq!(outcome.status, Status::Lost)));
}

#[test]
fn sessions_are_bounded_and_idle_ones_end() {
    let home = Home::new(ALLOW);
    let pids_file = home.text("pids");
    let gate = Gate::command(&home, &["--max-sessions", "1", "--session-idle", "2"], &["--pids", &pids_file]);
    let session = begin(&gate);
    let second = gate.post("", INITIALIZE);
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert_eq!(gate.post(&session, &call(1, "echo", "{}")).status, 200);
    all_gone(&home.path("pids"));
    assert_eq!(gate.post(&session, &call(1, "echo", "{}")).status, 404);
    begin(&gate);
}

#[test]
fn nothing_is_left_behind() {
    for (signal, options) in [
        (Signal::KILL, vec![]),
        (Signal::TERM, vec![]),
        (Signal::KILL, vec!["--ignore-eof", "--ignore-term", "--grandchild"]),
    ] {
        let home = Home::new(ALLOW);
        let pids_file = home.text("pids");
        let mut server = vec!["--pids", &pids_file];
        server.extend(&options);
        let mut gate = Gate::command(&home, &[], &server);
        for _ in 0..3 {
            begin(&gate);
        }
        let discover = modern_call("1", "echo", "{}");
        assert_eq!(gate.post(&modern("tools/call", Some("echo")), &discover).status, 200);
        gate.signal(signal);
        let code = gate.wait();
        if signal == Signal::TERM {
            assert_eq!(code, 0);
            assert!(
                pids(home.path("pids").as_path()).iter().all(|pid| !is_alive(*pid)),
                "ended before the gateway"
            );
        }
        all_gone(&home.path("pids"));
    }
}

#[test]
fn a_killed_guard_costs_only_its_own_session() {
    let home = Home::new(ALLOW);
    let pids_file = home.text("pids");
    let gate = Gate::command(&home, &[], &["--pids", &pids_file]);
    let (_one, two) = (begin(&gate), begin(&gate));
    let servers = pids(home.path("pids").as_path());
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", servers[0])).unwrap();
    let guard: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(guard).unwrap(), Signal::KILL).unwrap();
    until("the end of its server", || (!is_alive(servers[0])).then_some(()));
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_alive(servers[1]));
    assert_eq!(gate.post(&two, &call(2, "echo", "{}")).status, 200);
}
