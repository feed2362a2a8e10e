//! The gateway over streamable HTTP, in front of upstreams that say what a test wants: what passes,
//! byte for byte, what does not, and what is changed.

#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::format_push_string
)]

mod gateway_support;
mod http_support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use callgate::record::{Status, Verdict};
use http_support::*;

const HIDES: &str = r#"{"version":"1","default":"allow","hide":["danger"],"tools":{"fail":{"deny_if":[{"conditions":[],"on_deny":"not this"}]}}}"#;

#[test]
fn a_call_passes_as_the_bytes_that_it_is() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let body = "{ \"jsonrpc\":\"2.0\",\r\n \"id\" : 1.0 ,\"method\":\"tools/call\",\"params\":{\"name\":\"e\\u0063ho\",\"arguments\":{\"n\":1e2},\"x\":null}}\n";
    let extra = "Authorization: Bearer mine\r\n".replace("mine", gate.token.as_ref().unwrap());
    let mut client = gate.connect();
    client.post(
        &format!("{extra}Cookie: a=b\r\nMcp-Param-Region: eu\r\nX-Vendor: 1\r\nConnection: keep-alive\r\n"),
        body.as_bytes(),
    );
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        r#"{"jsonrpc":"2.0","id":1.0,"result":{"content":[{"type":"text","text":"ran echo"}]}}"#
    );
    let seen = upstream.last();
    assert_eq!(seen.body, body.as_bytes());
    assert_eq!(seen.path, "/up/mcp");
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("cookie"), None);
    assert_eq!(seen.header("mcp-param-region"), Some("eu"));
    assert_eq!(seen.header("x-vendor"), Some("1"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("host"), Some(format!("127.0.0.1:{}", upstream.port).as_str()));
    // The same connection again, and the same one upstream.
    client.post(&extra, call(2, "echo", "{}").as_bytes());
    assert_eq!(client.answer().json()["id"], 2);
    assert_eq!(*upstream.connections.lock().unwrap(), 1);
    until("two outcomes", || (home.outcomes().len() == 2).then_some(()));
    let decisions = home.decisions();
    assert_eq!(decisions[0].tool.as_deref(), Some("echo"));
    assert_eq!(decisions[0].decision, Verdict::Allow);
    assert_eq!(home.outcomes()[0].status, Status::Ok);
}

#[test]
fn what_the_policy_denies_or_hides_never_goes_on() {
    let upstream = Upstream::start(plain);
    let home = Home::new(HIDES);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    let denied_call = gate.post("", &call(1, "fail", "{}"));
    assert_eq!(denied_call.status, 200);
    assert_eq!(denied_call.header("content-type"), Some("application/json"));
    assert_eq!(denied_call.json()["result"]["isError"], true);
    let hidden = gate.post("", &call(2, "danger", "{}"));
    assert_eq!(hidden.status, 200);
    assert_eq!(hidden.json()["error"]["code"], -32602);
    assert_eq!(upstream.count(), 0);
    let list = gate.post("", r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert_eq!(
        list.text(),
        r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"echo", "x":1.0} ,{"name":"fail"}],"nextCursor":null}}"#
    );
    assert_eq!(list.header("content-length"), Some(list.body.len().to_string().as_str()));
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &[]);
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\nb\"}}", -32700),
        ("\u{feff}{}", -32700),
        ("nonsense", -32700),
        ("", -32700),
        ("{} {}", -32700),
    ] {
        let answer = gate.post("", body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["code"], code, "{body}");
    }
    for (extra, status) in [
        ("Content-Encoding: gzip\r\n", 415),
        ("Mcp-Name: other\r\n", 400),
        ("Mcp-Method: ping\r\n", 400),
        ("Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", 400),
    ] {
        assert_eq!(gate.post(extra, &call(1, "echo", "{}")).status, status, "{extra}");
    }
    let mismatch = gate.post("Mcp-Name: other\r\n", &call(7, "echo", "{}")).json();
    assert_eq!((&mismatch["error"]["code"], &mismatch["id"]), (&(-32020).into(), &7.into()));
    assert_eq!(upstream.count(), 0);
    let refused = home.decisions();
    assert!(refused.iter().all(|decision| decision.rule == "(malformed)"), "{refused:?}");
}

#[test]
fn only_those_with_the_token_come_in() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let mut gate = Gate::url(&home, &upstream.url(), &[]);
    let token = gate.token.take().unwrap();
    for extra in [
        String::new(),
        "Authorization: Bearer wrong\r\n".to_owned(),
        format!("Authorization: Basic {token}\r\n"),
    ] {
        let answer = gate.post(&extra, &call(1, "echo", "{}"));
        assert_eq!(answer.status, 401, "{extra}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gate.post(&format!("Authorization: bearer {token}\r\n"), &call(1, "echo", "{}")).status, 200);
    let file = home.path("home/state/tokens/up.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(gate);
    let again = Gate::url(&home, &upstream.url(), &[]);
    assert_eq!(again.token.as_deref(), Some(token.as_str()), "clients keep their token");
    let open = Gate::url(&home, &upstream.url(), &["--no-auth"]);
    assert_eq!(open.token, None);
    assert_eq!(open.post("", &call(1, "echo", "{}")).status, 200);
}

#[test]
fn other_hosts_and_origins_are_forbidden() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &["--no-auth", "--allow-origin", "https://app.example"]);
    for (host, origin, status) in [
        ("evil.example", None, 403),
        ("localhost", None, 200),
        ("127.0.0.1", Some("http://evil.example"), 403),
        ("127.0.0.1", Some("https://app.example"), 200),
    ] {
        let body = call(1, "echo", "{}");
        let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
        let mut client = gate.connect();
        client.send(
            format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{origin}Content-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
        assert_eq!(client.answer().status, status, "{host} {origin}");
    }
    assert_eq!(upstream.last().header("origin"), None);
}

#[test]
fn an_upstream_that_cannot_be_reached_costs_nothing() {
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{"limits":[{"counter":"c","window":"day","max":1,"scope":"grant"}]}}}"#;
    let home = Home::new(policy);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gate = Gate::url(&home, &format!("http://127.0.0.1:{port}/mcp"), &[]);
    for id in 1..4 {
        let answer = gate.post("", &call(id, "echo", "{}"));
        assert_eq!(answer.status, 502);
        assert_eq!(answer.json()["id"], id);
        assert_eq!(answer.json()["error"]["code"], -32603);
    }
    until("three outcomes", || (home.outcomes().len() == 3).then_some(()));
    assert!(home.outcomes().iter().all(|outcome| outcome.released));
}

#[test]
fn each_failure_of_the_upstream_has_its_status() {
    let upstream = Upstream::start(|request, stream| {
        let tool = request.json()["params"]["name"].as_str().unwrap().to_owned();
        let _ = match tool.as_str() {
            "garbage" => stream.write_all(b"\x16\x03\x01 what\r\n\r\n"),
            "html" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"),
            "cut" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
            "text" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n\"hi\""),
            "moved" => stream.write_all(b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/x?token=s\r\nContent-Length: 0\r\n\r\n"),
            "gzip" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
            "auth" => stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"x\"\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}"),
            "broken" => stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\noops"),
            _ => {
                std::thread::sleep(std::time::Duration::from_secs(30));
                Ok(())
            }
        };
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &["--upstream-timeout", "1"]);
    for (number, (tool, status, released)) in [
        ("garbage", 502, false),
        ("html", 502, false),
        ("cut", 502, false),
        ("text", 502, false),
        ("moved", 502, false),
        ("gzip", 502, false),
        ("hang", 504, false),
        ("auth", 401, true),
        ("broken", 500, false),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = gate.post("", &call(number as u64, tool, "{}"));
        assert_eq!(answer.status, status, "{tool} {}", answer.text());
        if status > 500 {
            assert_eq!(answer.json()["id"], number, "{tool}");
            assert_eq!(answer.json()["error"]["code"], -32603, "{tool}");
        }
        if tool == "auth" {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer resource_metadata=\"x\""));
            assert_eq!(answer.text(), "{\"error\":\"x\"}");
        }
        let outcome = until("its outcome", || home.outcomes().get(number).cloned());
        assert_ne!(outcome.status, Status::Ok, "{tool}");
        // Nothing was counted, so nothing can be given back; whether it would is told by the status.
        assert_eq!(outcome.status == Status::RpcError, released, "{tool}");
    }
    assert!(!gate.line_with("redirect").contains("token"));
}

/// A certificate for `localhost` and its key, for these tests alone.
fn tls_files(home: &Home) -> (String, String) {
    let (certificate, key) = (home.text("cert.pem"), home.text("key.pem"));
    std::fs::write(&certificate, include_str!("http_support/cert.pem")).unwrap();
    std::fs::write(&key, include_str!("http_support/key.pem")).unwrap();
    (certificate, key)
}

#[test]
fn both_sides_may_be_secured() {
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let (certificate, key) = tls_files(&home);
    let secured =
        Gate::url(&home, &upstream.url(), &["--no-auth", "--tls-cert", &certificate, "--tls-key", &key]);
    assert!(secured.secure);
    let url = format!("https://localhost:{}/mcp", secured.port);
    let mut command = home.command();
    command.env("SSL_CERT_FILE", &certificate);
    command.args([
        "gateway",
        "--listen",
        "127.0.0.1:0",
        "--name",
        "front",
        "--no-auth",
        "--upstream",
        &url,
        "--policy",
    ]);
    command.arg(home.policy());
    let front = Gate::spawn(command);
    assert_eq!(front.post("", &call(1, "echo", "{}")).json()["id"], 1);
    // A certificate that nobody vouches for is none, and nothing ran.
    let trusting = Gate::url(&home, &url, &["--no-auth"]);
    assert_eq!(trusting.post("", &call(2, "echo", "{}")).status, 502);
    // What is not TLS is shed.
    let mut plain_client = secured.connect();
    plain_client.send(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain_client.rest().starts_with(b"HTTP"));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn beyond_this_machine_connections_must_be_secured() {
    let home = Home::new(ALLOW);
    let (certificate, key) = tls_files(&home);
    let policy = home.policy();
    let run = |options: &[&str]| {
        let mut arguments =
            vec!["gateway", "--policy", policy.to_str().unwrap(), "--upstream", "http://127.0.0.1:1/"];
        arguments.extend(options);
        home.run(&arguments)
    };
    for (options, says) in [
        (&["--listen", "0.0.0.0:0"][..], "--tls-cert"),
        (&["--listen", "0.0.0.0:0", "--tls-cert", &certificate, "--tls-key", &key, "--no-auth"], "--no-auth"),
        (&["--listen", "nonsense"], "no address"),
        (&["--listen", "127.0.0.1:0", "--header", "X: ${NOT_THERE}"], "NOT_THERE"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", &certificate], "--tls-key"),
    ] {
        let output = run(options);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{options:?}");
    }
    let bad = run(&["--listen", "127.0.0.1:0", "--tls-cert", &key, "--tls-key", &key]);
    assert_eq!(bad.status.code(), Some(3));
}

/// What real clients put on the wire over HTTP, played through the gateway.
#[test]
fn recorded_clients_get_through() {
    let Some(data) = gateway_support::shared() else { return };
    let upstream = Upstream::start(plain);
    let home = Home::new(ALLOW);
    let gate = Gate::url(&home, &upstream.url(), &["--no-auth"]);
    let mut files = 0;
    for entry in std::fs::read_dir(data.join("wire")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("http-") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().peekable();
        while let Some(head) = lines.next() {
            let mut parts = head.trim_start_matches("# ").split(" | ");
            let first = parts.next().unwrap();
            let body = lines.next_if(|line| !line.starts_with('#')).unwrap_or("");
            let mut request = format!("{first}\r\n");
            for header in parts {
                let header_name = header.split(':').next().unwrap();
                match header_name.to_ascii_lowercase().as_str() {
                    "content-length" => {}
                    "host" => request.push_str(&format!("Host: 127.0.0.1:{}\r\n", gate.port)),
                    _ => request.push_str(&format!("{header}\r\n")),
                }
            }
            request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
            let mut client = gate.connect();
            client.send(request.as_bytes());
            let head = client.head();
            assert!(matches!(head.status, 200 | 202 | 204 | 405), "{name}: {first}: {}", head.status);
            assert_eq!(upstream.last().body, body.as_bytes(), "{name}");
        }
    }
    assert!(files > 0, "there are recordings");
}
