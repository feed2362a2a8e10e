//! Many servers and grants behind one gateway over HTTP, as a gateway.json says it, and says it anew.

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

use callgate::record::{EventKind, Verdict};
use callgate::token::{self, TokenDigest};
use gateway_support::{denied, rule};
use http_support::*;
use serde_json::{Value, json};

const DENIES: &str = r#"{"version":"1","default":"deny","tools":{}}"#;

fn tokens() -> [String; 3] {
    [1, 2, 3].map(|byte| token::text(&[byte; 32]))
}

fn grant(server: &str, policy: &str, token: &str) -> Value {
    json!({"server": server, "policy": policy, "token_sha256": TokenDigest::of(token).hex()})
}

fn write(home: &Home, config: &Value) {
    std::fs::write(home.path("gateway.draft"), config.to_string()).unwrap();
    std::fs::rename(home.path("gateway.draft"), home.path("gateway.json")).unwrap();
}

fn start(home: &Home) -> Gate {
    let mut command = home.command();
    command.env("UPSTREAM_TOKEN", "secret").args(["gateway", "--config"]).arg(home.path("gateway.json"));
    Gate::spawn(command)
}

/// POSTs to a server with a token.
fn post(gate: &Gate, server: &str, token: &str, extra: &str, body: &str) -> Answer {
    let mut client = gate.connect();
    client.send(
        format!(
            "POST /mcp/{server} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    client.answer()
}

#[test]
fn each_grant_has_its_server_and_its_policy() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    std::fs::write(home.path("denies.json"), DENIES).unwrap();
    let [one, two, three] = tokens();
    let mut config = json!({
        "listen": "127.0.0.1:0",
        "servers": {
            "up": {"url": upstream.url(), "headers": {"Authorization": "Bearer ${UPSTREAM_TOKEN}"}},
            "local": {"command": [gateway_support::fixture()], "env": {"X": "1"}},
        },
        "grants": {
            "a": grant("up", "policy.json", &one),
            "b": grant("up", "denies.json", &two),
            "c": grant("local", "policy.json", &three),
        },
    });
    write(&home, &config);
    let gate = start(&home);
    assert_eq!(post(&gate, "up", &one, "", &call(1, "echo", "{}")).json()["id"], 1);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer secret"));
    assert_eq!(post(&gate, "up", &two, "", &call(1, "echo", "{}")).json()["result"]["isError"], true);
    assert_eq!(post(&gate, "up", &three, "", &call(1, "echo", "{}")).status, 401, "another server's");
    assert_eq!(post(&gate, "none", &one, "", &call(1, "echo", "{}")).status, 404);
    let begun = post(
        &gate,
        "local",
        &three,
        "",
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#,
    );
    let session = format!("Mcp-Session-Id: {}\r\n", begun.header("mcp-session-id").unwrap());
    let mut stream = gate.connect();
    stream.send(
        format!(
            "GET /mcp/local HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {three}\r\n{session}\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(stream.head().status, 200);
    // A session of another grant is none.
    config["grants"]["d"] = grant("local", "policy.json", &one.replace('A', "B"));
    // Revoked: the next request, and what is open.
    config["grants"].as_object_mut().unwrap().remove("c");
    write(&home, &config);
    assert_eq!(stream.part(), None);
    until("the revoked grant's refusal", || {
        (post(&gate, "local", &three, &session, &call(2, "echo", "{}")).status == 401).then_some(())
    });
    let other = one.replace('A', "B");
    assert_eq!(post(&gate, "local", &other, &session, &call(2, "echo", "{}")).status, 404);
    assert_eq!(post(&gate, "up", &one, "", &call(3, "echo", "{}")).status, 200, "others go on");
    // A bad version changes nothing.
    std::fs::write(home.path("gateway.json"), "{").unwrap();
    gate.line_with("stays in force");
    assert_eq!(post(&gate, "up", &one, "", &call(4, "echo", "{}")).status, 200);
    let grants: Vec<_> =
        home.decisions().into_iter().map(|decision| (decision.server, decision.grant)).collect();
    for known in [("up", "a"), ("up", "b")] {
        assert!(
            grants.iter().any(|(server, grant)| (server.as_str(), grant.as_str()) == known),
            "{grants:?}"
        );
    }
}

#[test]
fn a_grant_ends_when_its_time_is_over() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let [one, ..] = tokens();
    let mut ends = grant("up", "policy.json", &one);
    ends["expires"] = "2020-01-01T00:00:00Z".into();
    write(
        &home,
        &json!({"listen": "127.0.0.1:0", "servers": {"up": {"url": upstream.url()}}, "grants": {"a": ends}}),
    );
    let gate = start(&home);
    assert_eq!(post(&gate, "up", &one, "", &call(1, "echo", "{}")).status, 401);
}

/// Accepts a list of tools as the pins of the home's policy.
fn accept(home: &Home, list: &str) {
    std::fs::write(home.path("list.json"), list).unwrap();
    let (list, policy) = (home.text("list.json"), home.text("policy.json"));
    let output = home.run(&["tools", "--tools", &list, "--pin", &policy, "--yes"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_drifted_is_denied_until_a_person_accepts_it() {
    let upstream = Upstream::start(plain);
    let ran = |tool: &str| {
        let seen = upstream.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.json()["params"]["name"] == tool).count()
    };
    let home = Home::new(ALLOW);
    accept(&home, r#"{"tools":[{"name":"echo","description":"Says it again"},{"name":"fail"}]}"#);
    let gate = Gate::url(&home, &upstream.url(), &["--pins", "enforce"]);
    assert!(!denied(&gate.post("", &call(1, "echo", "{}")).json()), "a tool unseen has not drifted");
    let listed = gate.post("", r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert!(listed.text().contains(list()), "the list itself passes: {}", listed.text());
    let answer = gate.post("", &call(3, "echo", "{}")).json();
    assert_eq!(rule(&answer), "(drift)", "{answer}");
    assert!(!denied(&gate.post("", &call(4, "fail", "{}")).json()), "as it was accepted");
    assert!(!denied(&gate.post("", &call(5, "danger", "{}")).json()), "what nobody pinned has not drifted");
    assert_eq!((ran("echo"), ran("fail"), ran("danger")), (1, 1, 1), "what is denied never runs");
    let decision = home.decisions().into_iter().find(|decision| decision.rule == "(drift)").unwrap();
    assert_eq!((decision.decision, decision.pointer), (Verdict::Deny, None));
    accept(&home, list());
    let mut id = 10;
    until("the end of the drift", || {
        id += 1;
        (!denied(&gate.post("", &call(id, "echo", "{}")).json())).then_some(())
    });
    let told = |state: &str| {
        home.events(EventKind::Drift).iter().any(|data| data["state"] == state && data["tool"] == "echo")
    };
    until("the events", || (told("drifted") && told("back")).then_some(()));
}

#[test]
fn a_shadow_of_a_grant_is_recorded_and_changes_nothing() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    std::fs::write(home.path("denies.json"), DENIES).unwrap();
    let [one, two, _] = tokens();
    let mut shadowed = grant("up", "policy.json", &one);
    shadowed["shadow"] = "denies.json".into();
    let config = json!({
        "listen": "127.0.0.1:0",
        "servers": {"up": {"url": upstream.url()}},
        "grants": {"a": shadowed, "b": grant("up", "policy.json", &two)},
    });
    write(&home, &config);
    let gate = start(&home);
    for token in [&one, &two] {
        assert!(!denied(&post(&gate, "up", token, "", &call(1, "echo", "{}")).json()));
    }
    let said = || {
        let decisions = home.decisions().into_iter().map(|one| {
            let shadow = one.shadow.map(|shadow| (shadow.decision, shadow.rule));
            (one.grant, one.decision, shadow)
        });
        decisions.collect::<Vec<_>>()
    };
    until("the records", || (said().len() == 2).then_some(()));
    let denies = Some((Verdict::Deny, "(default deny)".to_owned()));
    assert_eq!(said(), [("a".to_owned(), Verdict::Allow, denies), ("b".to_owned(), Verdict::Allow, None)]);
}
