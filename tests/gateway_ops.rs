//! Operations with real processes: metrics and readiness, the command that tells people, a full
//! disk, and a journal that is taken away.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod gateway_support;
mod http_support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use callgate::record::Verdict;
use gateway_support::*;
use http_support::{Gate, Seen, Upstream, plain};
use serde_json::Value;

const POLICY: &str = r#"{"version":"1","default":"allow","tools":{
    "fail":{"deny_if":[{"conditions":[],"on_deny":"no"}]},
    "echo":{"limits":[{"counter":"e","window":"hour","max":50,"scope":"grant"}]}}}"#;

/// A gateway whose metrics are served, with the address.
fn watched(home: &Home, options: &[&str]) -> (Gateway, String) {
    let mut command = home.command();
    command.args(["gateway", "--metrics", "127.0.0.1:0", "--name", "fixture", "--policy"]).arg(home.policy());
    command.args(options).arg("--").arg(fixture());
    start(home, command)
}

fn start(home: &Home, mut command: Command) -> (Gateway, String) {
    let said = home.path("stderr");
    command.stderr(fs::File::create(&said).unwrap());
    let gateway = Gateway::spawn(command);
    let address = until("the address of the metrics", || {
        let text = fs::read_to_string(&said).unwrap();
        let rest = text.split_once("http://")?.1;
        Some(rest.split_once("/metrics")?.0.to_owned())
    });
    (gateway, address)
}

/// Status and body.
fn get(address: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn metrics(address: &str) -> String {
    let (status, body) = get(address, "/metrics", address);
    assert_eq!(status, 200);
    assert!(body.ends_with("# EOF\n"), "{body}");
    body
}

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("{series} in {metrics}")).trim().parse().unwrap()
}

#[test]
fn metrics_say_what_was_decided_counted_and_written() {
    let home = Home::new(POLICY);
    let (mut gateway, address) = watched(&home, &[]);
    for id in 1..=3 {
        assert!(!denied(&gateway.call(id, "echo", r#"{"message":"a secret thing"}"#)));
    }
    assert!(denied(&gateway.call(4, "fail", "{}")));
    // An outcome is recorded a moment after its answer.
    let text = until("the outcomes", || {
        let text = metrics(&address);
        (value(&text, "callgate_outcomes_total{status=\"ok\"}") > 2.5).then_some(text)
    });
    let of = |series: &str| value(&text, series);
    let echo = "callgate_decisions_total{server=\"fixture\",tool=\"echo\",rule=\"\",decision=\"allow\"}";
    assert!((of(echo) - 3.0).abs() < 0.1);
    let fail = "callgate_decisions_total{server=\"fixture\",tool=\"fail\",rule=\"/tools/fail/deny_if/0\",decision=\"deny\"}";
    assert!((of(fail) - 1.0).abs() < 0.1);
    let counter = "{server=\"fixture\",counter=\"e\",window=\"3600\",scope=\"grant\",key=\"local\"}";
    assert!((of(&format!("callgate_counter_used{counter}")) - 3.0).abs() < 0.1);
    assert!((of(&format!("callgate_counter_max{counter}")) - 50.0).abs() < 0.1);
    assert!((of("callgate_decide_seconds_count") - 4.0).abs() < 0.1);
    assert!((of("callgate_upstream_seconds_count") - 3.0).abs() < 0.1);
    for up in ["callgate_journal_up", "callgate_store_up", "callgate_children"] {
        assert!((of(up) - 1.0).abs() < 0.1, "{up}");
    }
    assert!(of("callgate_journal_bytes_total") > 500.0);
    assert!(
        text.contains("callgate_build_info{version=") && text.contains("callgate_policy_info{"),
        "{text}"
    );
    assert!(!text.contains("secret"), "no argument is a metric");
    assert_eq!(get(&address, "/healthz", &address), (200, "ok\n".to_owned()));
    let (status, body) = get(&address, "/readyz", &address);
    assert_eq!((status, body.trim()), (200, r#"{"ready":true,"troubles":[]}"#));
    assert_eq!(get(&address, "/metrics", "evil.example").0, 421, "a name that was made to point here");
    assert_eq!(get(&address, "/else", &address).0, 404);
    assert_eq!(gateway.finish().1, 0);
}

#[test]
fn metrics_are_for_this_machine_only() {
    let home = Home::new(ALLOW);
    let policy = home.policy();
    let got = home.run(&["gateway", "--metrics", "0.0.0.0:0", "--policy", policy.to_str().unwrap(), "true"]);
    assert_eq!(got.status.code(), Some(3));
    let err = String::from_utf8_lossy(&got.stderr).into_owned();
    assert!(err.contains("can be reached from elsewhere"), "{err}");
}

#[test]
fn people_are_told_and_nothing_of_it_is_left() {
    let home = Home::new(POLICY);
    let (told, pids) = (home.path("told"), home.path("pids"));
    let command = format!("cat >> '{}'; echo $$ >> '{}'; exec sleep 600", told.display(), pids.display());
    let mut gateway = home.gateway(&["--notify", &command], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    let evil = r#"{"x":"'; $(touch evil) `touch evil`"}"#;
    assert!(denied(&gateway.call(2, "fail", evil)));
    let line = until("the record", || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        text.ends_with('\n').then_some(text)
    });
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&record["tool"], &record["decision"]), (&"fail".into(), &"deny".into()));
    assert_eq!(line.lines().count(), 1, "nobody is told of what is allowed");
    until("the process", || (!gateway_support::pids(&pids).is_empty()).then_some(()));
    // It is stuck, and calls go on.
    for id in 3..20 {
        assert!(denied(&gateway.call(id, "fail", "{}")));
    }
    assert_eq!(gateway.finish().1, 0);
    all_gone(&pids);
    assert!(!Path::new("evil").exists() && !home.path("evil").exists());
}

/// About 60 KB that are recorded whole.
fn large() -> String {
    format!(r#"{{"message":"{}"}}"#, "lorem ipsum ".repeat(5000))
}

/// The gateway's files may not grow beyond half a megabyte, as on a disk that is full.
fn limited(home: &Home, options: &[&str]) -> (Gateway, String) {
    let mut command = home.command();
    let program = command.get_program().to_owned();
    command = Command::new("sh");
    command.env("CALLGATE_HOME", home.path("home"));
    command.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$@\"", "sh"]).arg(program);
    command.args(["gateway", "--metrics", "127.0.0.1:0", "--name", "fixture", "--policy"]).arg(home.policy());
    command.args(options).arg("--").arg(fixture());
    start(home, command)
}

#[test]
fn a_full_disk_denies_and_is_said_and_room_heals_it() {
    let home = Home::new(ALLOW);
    let (mut gateway, address) = limited(&home, &[]);
    let large = large();
    let mut id = 0;
    let refused = until("the disk to be full", || {
        id += 1;
        let answer = gateway.call(id, "other", &large);
        denied(&answer).then_some(answer)
    });
    assert!(id > 3, "it was not full from the beginning");
    assert_eq!(rule(&refused), "(unavailable)");
    let (status, body) = get(&address, "/readyz", &address);
    assert_eq!(status, 503);
    assert!(body.contains("the journal cannot be written"), "{body}");
    let text = metrics(&address);
    assert!(value(&text, "callgate_journal_up") < 0.5 && value(&text, "callgate_journal_errors_total") > 0.5);
    // Every call that passed has its record, whole; no line is torn.
    let allowed = || home.decisions().into_iter().filter(|one| one.decision == Verdict::Allow).count() as u64;
    assert_eq!(allowed(), id - 1);
    // Room again: the file is taken away, and another is begun.
    for entry in fs::read_dir(home.path("home/state/journal")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    until("calls to pass and to be recorded", || {
        id += 1;
        (!denied(&gateway.call(id, "other", &large)) && allowed() > 0).then_some(())
    });
    assert_eq!(get(&address, "/readyz", &address).0, 200);
    assert_eq!(gateway.finish().1, 0);
}

#[test]
fn with_fail_open_a_full_disk_lets_pass_and_counts_what_waits() {
    let home = Home::new(ALLOW);
    let (mut gateway, address) = limited(&home, &["--fail-open"]);
    let large = large();
    let mut id = 0;
    until("the disk to be full", || {
        id += 1;
        assert!(!denied(&gateway.call(id, "other", &large)));
        (value(&metrics(&address), "callgate_journal_waiting") > 0.5).then_some(())
    });
    for entry in fs::read_dir(home.path("home/state/journal")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    until("what waited to be recorded", || {
        (value(&metrics(&address), "callgate_journal_waiting") < 0.5).then_some(())
    });
    let late = home.decisions().into_iter().filter(|decision| !decision.enforced).count();
    assert!(late > 0, "it is said of them that nothing was enforced");
    gateway.finish();
}

#[test]
fn a_journal_that_is_taken_away_is_begun_anew() {
    let home = Home::new(ALLOW);
    let mut gateway = home.gateway(&[], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    fs::remove_dir_all(home.path("home/state/journal")).unwrap();
    let mut id = 1;
    let again = until("a new journal", || {
        id += 1;
        // No call may pass without a record, and none is denied for it either.
        assert!(!denied(&gateway.call(id, "echo", "{}")));
        let found = home.decisions();
        (!found.is_empty()).then_some(found)
    });
    assert!(again.iter().all(|decision| decision.seq > 1), "the numbers go on");
    gateway.finish();
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(home.path("home/state/journal")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

/// A gateway over HTTP without tokens, with its address.
fn listening(home: &Home, server: &[&str]) -> (Gateway, String) {
    let said = home.path("stderr");
    let mut command = home.command();
    command.args(["gateway", "--listen", "127.0.0.1:0", "--no-auth", "--name", "fixture", "--policy"]);
    command.arg(home.policy()).args(server).stderr(fs::File::create(&said).unwrap());
    let gateway = Gateway::spawn(command);
    let address = until("the address", || {
        let text = fs::read_to_string(&said).unwrap();
        let rest = text.split_once("served at http://")?.1;
        Some(rest.split_once("/mcp")?.0.to_owned())
    });
    (gateway, address)
}

/// The status of the answer to a message.
fn post(address: &str, message: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = message.len();
    let accept = "application/json, text/event-stream";
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: {accept}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{message}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

#[test]
fn over_http_an_unreachable_server_is_told() {
    let home = Home::new(ALLOW);
    // Nothing listens there any more.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    drop(holder);
    let upstream = format!("http://127.0.0.1:{port}/mcp");
    let (_gateway, address) = listening(&home, &["--upstream", &upstream]);
    until("it to be ready", || (get(&address, "/readyz", &address).0 == 200).then_some(()));
    assert_eq!(post(&address, INITIALIZE), 502);
    let (status, body) = get(&address, "/readyz", &address);
    assert_eq!(status, 503);
    assert!(body.contains("the server `fixture` could last not be reached"), "{body}");
    assert!(value(&metrics(&address), "callgate_upstream_up{server=\"fixture\"}") < 0.5);
}

#[test]
fn over_http_servers_are_counted_as_they_run() {
    let home = Home::new(ALLOW);
    let (_gateway, address) = listening(&home, &["--", &fixture()]);
    assert!(value(&metrics(&address), "callgate_children") < 0.5);
    assert_eq!(post(&address, INITIALIZE), 200);
    let text = metrics(&address);
    assert!((value(&text, "callgate_children") - 1.0).abs() < 0.1);
    assert!((value(&text, "callgate_upstream_up{server=\"fixture\"}") - 1.0).abs() < 0.1);
    assert!(value(&text, "callgate_approvals_pending") < 0.5);
}

#[test]
fn the_feed_of_gateway_json_is_served_and_revoked_while_it_runs() {
    let home = Home::new(ALLOW);
    let config = home.path("gateway.json");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        r#"{{"listen":"127.0.0.1:0","journal":"kept","feed":{{"listen":"127.0.0.1:{port}"}},
            "servers":{{"fixture":{{"command":[{}]}}}},"grants":{{}}}}"#,
        serde_json::to_string(&fixture()).unwrap()
    );
    fs::write(&config, text).unwrap();
    let file = config.to_str().unwrap();
    let added = home.run(&["grant", "add", "desk", "--feed", "--role", "viewer", "--config", file]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    fs::write(home.path("token"), &added.stdout).unwrap();
    let mut command = home.command();
    command.args(["gateway", "--config", file, "--metrics", "127.0.0.1:0"]);
    let (_gateway, address) = start(&home, command);
    let url = format!("ws://127.0.0.1:{port}/feed");
    let token = home.path("token");
    let clients = || value(&metrics(&address), "callgate_feed_clients");
    let mut command = home.command();
    command.args(["tail", "--format", "json", "--feed", &url, "--feed-token-file", token.to_str().unwrap()]);
    command.args(["--since", "1h"]);
    let mut tail = Gateway::spawn(command);
    let first: Value = serde_json::from_slice(&tail.line()).unwrap();
    assert_eq!(first["kind"], "start");
    assert!(clients() > 0.5);
    assert!(fs::read_dir(home.path("kept")).unwrap().count() > 0, "the journal is where gateway.json says");
    assert!(!home.path("home/state/journal").exists());
    assert!(home.run(&["grant", "revoke", "desk", "--feed", "--config", file]).status.success());
    until("the client to be sent away for good", || (clients() < 0.5).then_some(()));
}

#[test]
fn a_feed_beyond_this_machine_needs_tls() {
    let home = Home::new(ALLOW);
    let text = r#"{"listen":"127.0.0.1:0","feed":{"listen":"0.0.0.0:0"},"servers":{},"grants":{}}"#;
    fs::write(home.path("gateway.json"), text).unwrap();
    let got = home.run(&["gateway", "--config", home.path("gateway.json").to_str().unwrap()]);
    assert_eq!(got.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&got.stderr).contains("the feed at `0.0.0.0:0`"));
}

/// A collector of traces that answers with a status.
fn collector(status: &'static str) -> (Upstream, String) {
    let collector = Upstream::start(move |_, stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
    });
    let address = format!("http://127.0.0.1:{}", collector.port);
    (collector, address)
}

/// Every span that the collector got.
fn spans(collector: &Upstream) -> Vec<Value> {
    let seen = collector.seen.lock().unwrap();
    let spans = |request: &Seen| {
        request.json()["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    };
    seen.iter().flat_map(spans).collect()
}

/// A fact of a span, whatever its type.
fn fact(span: &Value, name: &str) -> String {
    let facts = span["attributes"].as_array().unwrap();
    let value = facts.iter().find(|fact| fact["key"] == name).map(|fact| &fact["value"]);
    let value = value.and_then(|value| value.as_object()?.values().next().cloned());
    value.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn each_call_is_a_span_of_the_trace_that_it_belongs_to() {
    let home = Home::new(POLICY);
    let (told, address) = collector("200 OK");
    let mut command = home.command();
    command.args(["gateway", "--metrics", "127.0.0.1:0", "--name", "fixture", "--policy"]).arg(home.policy());
    command.arg("--").arg(fixture()).args(["--log", &home.text("log")]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address).env("OTEL_BSP_SCHEDULE_DELAY", "50");
    command
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20letmein")
        .env("OTEL_SERVICE_NAME", "edge");
    let (mut gateway, metrics_at) = start(&home, command);
    let traced = |id: u64, tool: &str, parent: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"hush"}},"_meta":{{"traceparent":"{parent}","tracestate":"v=1"}}}}}}"#
        )
    };
    let first = traced(1, "echo", PARENT);
    gateway.ask(&first);
    assert!(denied(&gateway.ask(&traced(2, "fail", PARENT))));
    gateway.call(3, "error", r#"{"code":-32603}"#);
    gateway.ask(&traced(4, "echo", &PARENT.replace("-01", "-00")));
    let all = until("the spans", || Some(spans(&told)).filter(|all| all.len() >= 3));
    let text = until("the count", || {
        let text = metrics(&metrics_at);
        (value(&text, "callgate_spans_total{result=\"sent\"}") > 2.5).then_some(text)
    });
    assert!(value(&text, "callgate_spans_total{result=\"dropped\"}") < 0.5);
    gateway.finish();
    assert_eq!(spans(&told).len(), 3, "a trace that nobody records is not told, and none is told twice");
    let by =
        |tool: &str| all.iter().find(|span| span["name"] == format!("tools/call {tool}")).unwrap().clone();
    let echo = by("echo");
    assert_eq!(echo["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&echo["parentSpanId"], &echo["traceState"]), (&"b7ad6b7169203331".into(), &"v=1".into()));
    for (name, wanted) in [
        ("gen_ai.tool.name", "echo"),
        ("callgate.server", "fixture"),
        ("callgate.grant", "local"),
        ("callgate.decision", "allow"),
        ("callgate.rule", ""),
        ("callgate.status", "ok"),
        ("callgate.enforced", "true"),
    ] {
        assert_eq!(fact(&echo, name), wanted, "{name}");
    }
    let decisions = home.decisions();
    assert_eq!(fact(&echo, "callgate.seq"), decisions[0].seq.to_string());
    assert_eq!(fact(&echo, "callgate.gateway"), decisions[0].gateway);
    let nanos = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos(&echo, "endTimeUnixNano") >= nanos(&echo, "startTimeUnixNano"));
    let fail = by("fail");
    assert_eq!(
        (fact(&fail, "callgate.decision"), fact(&fail, "callgate.rule"), fact(&fail, "error.type")),
        ("deny".to_owned(), "/tools/fail/deny_if/0".to_owned(), "denied".to_owned())
    );
    assert_eq!((&fail["status"]["code"], fail["traceId"] == echo["traceId"]), (&2.into(), true));
    let error = by("error");
    assert_eq!(
        (fact(&error, "callgate.status"), fact(&error, "error.type")),
        ("rpc_error".into(), "-32603".into())
    );
    assert!(error["parentSpanId"].is_null() && error["traceId"] != echo["traceId"], "a trace of its own");
    let request = told.last();
    assert_eq!(request.path, "/v1/traces");
    assert_eq!(request.header("authorization"), Some("Bearer letmein"));
    let body = String::from_utf8(request.body).unwrap();
    assert!(body.contains("edge") && !body.contains("hush"), "no argument is in a span: {body}");
    // What the server got is what the client sent, to the byte.
    assert!(fs::read_to_string(home.path("log")).unwrap().starts_with(&format!("{first}\n")));
}

#[test]
fn a_collector_that_takes_nothing_holds_nobody_up() {
    let home = Home::new(ALLOW);
    let hangs = Upstream::start(|_, _| std::thread::sleep(LONG));
    let mut command = home.command();
    command.args(["gateway", "--metrics", "127.0.0.1:0", "--name", "fixture", "--policy"]).arg(home.policy());
    command.arg("--").arg(fixture());
    command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://127.0.0.1:{}/x", hangs.port));
    command.env("OTEL_BSP_MAX_QUEUE_SIZE", "4").env("OTEL_BSP_SCHEDULE_DELAY", "1");
    let (mut gateway, address) = start(&home, command);
    for id in 1..=100 {
        assert!(!denied(&gateway.call(id, "echo", "{}")));
    }
    until("dropped spans", || {
        (value(&metrics(&address), "callgate_spans_total{result=\"dropped\"}") > 90.5).then_some(())
    });
    assert_eq!(gateway.finish().1, 0);
    assert_eq!(home.decisions().len(), 100);

    // One that refuses them is said once, and never where it is.
    let (_refuses, address) = collector("400 Bad Request");
    let mut command = home.command();
    command.args(["gateway", "--name", "fixture", "--policy"]).arg(home.policy()).arg("--").arg(fixture());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address).env("OTEL_BSP_SCHEDULE_DELAY", "1");
    command.stderr(fs::File::create(home.path("said")).unwrap());
    let mut gateway = Gateway::spawn(command);
    for id in 1..=3 {
        gateway.call(id, "echo", "{}");
        until("what is said", || {
            fs::read_to_string(home.path("said"))
                .unwrap()
                .contains("traces cannot be delivered")
                .then_some(())
        });
    }
    gateway.finish();
    let said = fs::read_to_string(home.path("said")).unwrap();
    assert_eq!(said.matches("traces").count(), 1, "{said}");
}

#[test]
fn over_http_a_header_says_which_trace_a_call_belongs_to() {
    let home = Home::new(ALLOW);
    let (told, address) = collector("200 OK");
    let upstream = Upstream::start(plain);
    let mut command = home.command();
    command.args(["gateway", "--listen", "127.0.0.1:0", "--name", "up", "--policy"]).arg(home.policy());
    command.args(["--upstream", &upstream.url()]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address).env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let gate = Gate::spawn(command);
    let headers = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
    assert_eq!(gate.post(&headers, &call(1, "echo", "{}")).status, 200);
    let span = until("the span", || spans(&told).pop());
    assert_eq!((&span["parentSpanId"], &span["traceState"]), (&"b7ad6b7169203331".into(), &"a=1,b=2".into()));
    assert_eq!(fact(&span, "callgate.status"), "ok");
    assert_eq!(upstream.last().header("traceparent"), Some(PARENT), "it goes on as it came");
}
