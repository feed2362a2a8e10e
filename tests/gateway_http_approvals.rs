//! Calls over HTTP that wait for a person: the request stays open, is told how it goes on, and what
//! was approved runs once, as it was sent.

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

use callgate::clock;
use callgate::counters::approval;
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Answer as Verdict, Approval, Freeze, Store};
use callgate::record::{EventKind, Status, Verdict as Decision};
use callgate::token::{self, TokenDigest};
use gateway_support::{denied, rule};
use http_support::*;
use rustix::process::Signal;
use serde_json::{Value, json};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const POLICY: &str = r#"{"version":"1","default":"allow","tools":{"echo":{"approve_if":[{"conditions":[]}],"limits":[{"counter":"c","window":86400000,"max":1,"scope":"grant"}]}}}"#;

fn store(home: &Home) -> SqliteStore {
    SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap()
}

fn waiting(home: &Home, holders: u32) -> Approval {
    until("one question", || {
        let now = clock::now();
        let mut open: Vec<Approval> =
            store(home).approvals(now).unwrap().into_iter().filter(|entry| entry.waits(now)).collect();
        let found = open.len() == 1 && open[0].holders == holders;
        found.then(|| open.remove(0))
    })
}

fn nothing_waits(home: &Home) {
    until("no question", || store(home).approvals(clock::now()).unwrap().is_empty().then_some(()));
}

fn decide(home: &Home, id: &str, approved: bool, note: &str) {
    let answer = Verdict { approved, by: "tester".to_owned(), note: note.to_owned(), for_s: None };
    let done = approval::answer(&store(home), clock::now(), id, &answer, || "o".to_owned()).unwrap();
    assert!(done.is_some(), "{id} does not wait");
}

fn with_token(id: u64, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0", "id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{arguments},"_meta":{{"progressToken":"t{id}"}}}}}}"#
    )
}

fn stateless(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"progressToken":"t"}}}}}}"#
    )
}

const STATELESS: &str = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";

/// How many calls of `echo` reached the upstream.
fn reached(upstream: &Upstream) -> usize {
    let seen = upstream.seen.lock().unwrap();
    seen.iter().filter(|one| one.json()["params"]["name"] == "echo").count()
}

fn begin(gate: &Gate) -> String {
    let answer = gate.post("", INITIALIZE);
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Mcp-Session-Id: {}\r\n", answer.header("mcp-session-id").expect("a session"))
}

/// The rest of a stream, up to the answer: its messages.
fn messages(client: &mut Client) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(part) = client.part() {
        all.extend(part);
    }
    String::from_utf8(all)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn outcome(home: &Home, status: Status) {
    until("its outcome", || home.outcomes().iter().any(|one| one.status == status).then_some(()));
}

#[test]
fn an_approved_call_goes_on_byte_for_byte_and_is_counted_once() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let body = with_token(1, "{ \"a\" : 1.0,\n \"b\":\"\\u0062\" }");
    let (mut client, head) = gate.post_open(&session, &body);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    let told = client.until("\n\n");
    assert!(told.contains("notifications/progress") && told.contains("\"t1\""), "{told}");
    let question = waiting(&home, 1);
    // Others are not kept waiting by it.
    assert_eq!(gate.post(&session, &call(2, "fail", "{}")).json()["id"], 2);
    assert_eq!(reached(&upstream), 0);
    decide(&home, &question.id, true, "");
    let all = messages(&mut client);
    assert_eq!(all.last().unwrap()["result"]["content"][0]["text"], "ran echo", "{all:?}");
    assert_eq!(upstream.last().body, body.as_bytes(), "the very bytes");
    assert_eq!(reached(&upstream), 1);
    assert!(store(&home).approvals(clock::now()).unwrap().is_empty(), "it is spent");
    let full = gate.post(&session, &with_token(3, "{}")).json();
    assert_eq!(rule(&full), "/tools/echo/limits/c", "counted: {full}");
    let decisions: Vec<_> =
        home.decisions().into_iter().filter(|one| one.tool.as_deref() == Some("echo")).collect();
    let kinds: Vec<_> = decisions.iter().map(|one| (one.decision, one.counted)).collect();
    assert_eq!(kinds, [(Decision::Approve, false), (Decision::Allow, true), (Decision::Deny, false)]);
    assert_eq!(decisions[1].call, Some(decisions[0].seq));
    let outcome =
        until("its outcome", || home.outcomes().into_iter().find(|outcome| outcome.call == decisions[1].seq));
    assert_eq!(outcome.status, Status::Ok);
}

#[test]
fn a_stream_and_an_error_of_the_upstream_come_on_the_stream_that_began() {
    let upstream = Upstream::start(|request, stream| {
        let message = request.json();
        if message["params"]["name"] != "echo" {
            return plain(request, stream);
        }
        if message["params"]["arguments"]["fails"] == true {
            use std::io::Write as _;
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy");
            return;
        }
        stream_head(stream, "");
        chunk(stream, b": hello\nid: 7\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n");
        let answer = format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}\n\n", message["id"]);
        chunk(stream, answer.as_bytes());
        stream_end(stream);
    });
    let home = Home::new(&POLICY.replace("\"max\":1", "\"max\":9"));
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let (mut client, _) = gate.post_open("", &with_token(1, "{}"));
    decide(&home, &waiting(&home, 1).id, true, "");
    let came = client.until("\"result\":{}}\n\n");
    assert!(came.contains(": hello\nid: 7\nevent: message\ndata: {"), "event by event as they are: {came}");
    assert_eq!(client.part(), None);
    let (mut client, _) = gate.post_open("", &with_token(2, r#"{"fails":true}"#));
    decide(&home, &waiting(&home, 1).id, true, "");
    let all = messages(&mut client);
    let error = all.last().unwrap();
    assert!(error["id"] == 2 && error["error"]["message"].as_str().unwrap().contains("503"), "{all:?}");
}

#[test]
fn a_rejection_tells_the_agent_why() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let (mut client, _) = gate.post_open(&session, &with_token(1, "{}"));
    decide(&home, &waiting(&home, 1).id, false, "use the staging server");
    let all = messages(&mut client);
    let said = all.last().unwrap();
    assert!(denied(said) && said.to_string().contains("use the staging server"), "{all:?}");
    // Without progress the answer is one document, and it holds for equal calls.
    let again = gate.post(&session, &call(2, "echo", "{}"));
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert!(again.text().contains("use the staging server"), "{}", again.text());
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn without_progress_it_is_denied_in_time_and_its_question_stays_open() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let began = std::time::Instant::now();
    let later = gate.post(&session, &call(1, "echo", "{}"));
    let question = waiting_ids(&home).remove(0);
    assert_eq!(later.header("content-type"), Some("application/json"));
    assert!(denied(&later.json()) && later.text().contains(&question), "{}", later.text());
    assert!(began.elapsed().as_secs() >= 44, "it waited for somebody");
    decide(&home, &question, true, "");
    let again = gate.post(&session, &call(2, "echo", "{}")).json();
    assert_eq!(again["result"]["content"][0]["text"], "ran echo", "{again}");
    assert_eq!(reached(&upstream), 1);
}

fn waiting_ids(home: &Home) -> Vec<String> {
    let now = clock::now();
    store(home).approvals(now).unwrap().into_iter().filter(|one| one.waits(now)).map(|one| one.id).collect()
}

#[test]
fn a_client_that_goes_ends_its_hold_in_both_eras() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let (stream, _) = gate.post_open(&session, &with_token(1, "{}"));
    let first = waiting(&home, 1);
    stream.close();
    nothing_waits(&home);
    // Before a stream began: its client asked for no progress.
    let mut client = gate.connect();
    let authorization = format!("Authorization: Bearer {}\r\n", gate.token.as_ref().unwrap());
    client.post(&format!("{authorization}{session}"), call(2, "echo", "{}").as_bytes());
    waiting(&home, 1);
    client.close();
    nothing_waits(&home);
    let (stream, head) = gate.post_open(STATELESS, &stateless(3));
    assert_eq!(head.status, 200);
    waiting(&home, 1);
    stream.close();
    nothing_waits(&home);
    until("their outcomes", || {
        (home.outcomes().iter().filter(|one| one.status == Status::Cancelled).count() == 3).then_some(())
    });
    let late = Verdict { approved: true, by: "late".to_owned(), note: String::new(), for_s: None };
    let late = approval::answer(&store(&home), clock::now(), &first.id, &late, String::new).unwrap();
    assert_eq!(late, None);
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn a_cancelled_call_ends_and_never_runs() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let (mut client, _) = gate.post_open(&session, &with_token(1, "{}"));
    waiting(&home, 1);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(gate.post(&session, cancel).status, 202);
    let all = messages(&mut client);
    assert!(all.iter().all(|said| said["id"].is_null()), "no answer: {all:?}");
    nothing_waits(&home);
    outcome(&home, Status::Cancelled);
    // Its id is free again.
    let (_client, head) = gate.post_open(&session, &with_token(1, "{}"));
    assert_eq!(head.status, 200);
    waiting(&home, 1);
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn a_freeze_denies_held_calls_at_once() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let (mut client, _) = gate.post_open(&session, &with_token(1, "{}"));
    waiting(&home, 1);
    let freeze = Freeze {
        id: "f".to_owned(),
        server: None,
        grant: None,
        tool: Some("echo".to_owned()),
        until: None,
        by: "tester".to_owned(),
        at: clock::now(),
        reason: "an incident".to_owned(),
    };
    store(&home).freeze(&freeze).unwrap();
    let all = messages(&mut client);
    assert_eq!(rule(all.last().unwrap()), "(frozen)", "{all:?}");
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn after_an_approval_the_policy_then_in_force_decides() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let session = begin(&gate);
    let (mut client, _) = gate.post_open(&session, &with_token(1, "{}"));
    let question = waiting(&home, 1);
    let before = home.events(EventKind::Policy).len();
    home.set_policy(
        r#"{"version":"1","default":"allow","tools":{"echo":{"action":"deny","reason":"not now"}}}"#,
    );
    until("the new policy", || (home.events(EventKind::Policy).len() > before).then_some(()));
    decide(&home, &question.id, true, "");
    let all = messages(&mut client);
    assert_eq!(rule(all.last().unwrap()), "/tools/echo/action", "{all:?}");
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn equal_calls_of_two_sessions_are_one_question_and_one_of_them_runs() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let gate = Gate::command(&home, &[], &["--log", &home.text("log")]);
    let (one, two) = (begin(&gate), begin(&gate));
    let (_a, _) = gate.post_open(&one, &with_token(1, "{}"));
    let (_b, _) = gate.post_open(&two, &with_token(1, "{}"));
    let question = waiting(&home, 2);
    decide(&home, &question.id, true, "");
    // The limit has room for one: the other is not asked about any more.
    until("both decisions", || {
        let second: Vec<_> = home.decisions().into_iter().filter(|one| one.call.is_some()).collect();
        let count = |wanted| second.iter().filter(|one| one.decision == wanted).count();
        ((count(Decision::Allow), count(Decision::Deny)) == (1, 1)).then_some(())
    });
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_approval_survives_the_gateway_and_is_used_once() {
    let upstream = Upstream::start(plain);
    let home = Home::new(&POLICY.replace("\"max\":1", "\"max\":9"));
    let mut gate = Gate::url(&home, &upstream.url(), &[]);
    let (_client, _) = gate.post_open("", &with_token(1, r#"{"a":1.0,"b":2}"#));
    let question = waiting(&home, 1);
    gate.signal(Signal::KILL);
    gate.wait();
    decide(&home, &question.id, true, "");
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let said = gate.post("", &call(2, "echo", r#"{"b":2e0,"a":1}"#)).json();
    assert_eq!(said["result"]["content"][0]["text"], "ran echo", "{said}");
    let (_again, _) = gate.post_open("", &with_token(3, r#"{"a":1.0,"b":2}"#));
    assert_ne!(waiting(&home, 1).id, question.id);
    assert_eq!(reached(&upstream), 1);
}

#[test]
fn when_the_gateway_ends_held_calls_are_answered_and_their_questions_stay() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let mut gate = Gate::url(&home, &upstream.url(), &[]);
    let (mut client, _) = gate.post_open("", &with_token(1, "{}"));
    waiting(&home, 1);
    gate.signal(Signal::TERM);
    let all = messages(&mut client);
    assert!(all.last().unwrap()["error"].is_object(), "{all:?}");
    assert_eq!(gate.wait(), 0);
    outcome(&home, Status::Lost);
    assert_eq!(waiting_ids(&home).len(), 1);
    assert_eq!(reached(&upstream), 0);
}

#[test]
fn a_command_behind_http_gets_approved_calls_and_no_others() {
    let home = Home::new(&POLICY.replace("\"max\":1", "\"max\":2"));
    let log = home.text("log");
    let calls = || std::fs::read_to_string(&log).unwrap_or_default().matches("tools/call").count();
    let gate = Gate::command(&home, &[], &["--log", &log]);
    let session = begin(&gate);
    let body = with_token(1, r#"{ "message" : "a\u0062c" }"#);
    let (mut client, head) = gate.post_open(&session, &body);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let question = waiting(&home, 1);
    assert_eq!(calls(), 0);
    decide(&home, &question.id, true, "");
    let all = messages(&mut client);
    assert_eq!(all.last().unwrap()["result"]["content"][0]["text"], "abc", "{all:?}");
    assert!(std::fs::read_to_string(&log).unwrap().contains(&body), "the very bytes");
    // Without progress the answer is the server's own, as one document.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gate.post(&session, &call(2, "echo", r#"{"message":"x"}"#)));
        decide(&home, &waiting(&home, 1).id, true, "");
        let answer = asked.join().unwrap();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["result"]["content"][0]["text"], "x");
    });
    assert_eq!(calls(), 2);
}

#[test]
fn a_session_that_ends_takes_its_held_calls_along() {
    let home = Home::new(POLICY);
    let log = home.text("log");
    let gate = Gate::command(&home, &[], &["--log", &log]);
    let session = begin(&gate);
    let (mut client, _) = gate.post_open(&session, &with_token(1, "{}"));
    waiting(&home, 1);
    assert_eq!(gate.open("DELETE", &session).1.status, 204);
    messages(&mut client);
    nothing_waits(&home);
    assert!(!std::fs::read_to_string(&log).unwrap().contains("tools/call"));
}

#[test]
fn a_revoked_grant_ends_its_held_calls() {
    let upstream = Upstream::start(plain);
    let home = Home::new(POLICY);
    let bearer = token::text(&[1; 32]);
    let write = |grants: Value| {
        let config =
            json!({"listen": "127.0.0.1:0", "servers": {"up": {"url": upstream.url()}}, "grants": grants});
        std::fs::write(home.path("gateway.draft"), config.to_string()).unwrap();
        std::fs::rename(home.path("gateway.draft"), home.path("gateway.json")).unwrap();
    };
    write(
        json!({"a": {"server": "up", "policy": "policy.json", "token_sha256": TokenDigest::of(&bearer).hex()}}),
    );
    let mut command = home.command();
    command.args(["gateway", "--config"]).arg(home.path("gateway.json"));
    let gate = Gate::spawn(command);
    let mut client = gate.connect();
    let body = with_token(1, "{}");
    client.send(
        format!(
            "POST /mcp/up HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    assert_eq!(client.head().status, 200);
    waiting(&home, 1);
    write(json!({}));
    let all = messages(&mut client);
    assert!(all.iter().all(|said| said["id"].is_null()), "{all:?}");
    nothing_waits(&home);
    outcome(&home, Status::Cancelled);
    assert_eq!(reached(&upstream), 0);
}
