//! What passes a gateway and what does not: byte for byte.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::too_many_lines
)]

mod gateway_support;

use std::fs;

use gateway_support::{ALLOW, Gateway, Home, call, denied, modern_call, rule, shared};
use serde_json::Value;

/// What the server got and gave, of one session.
fn session(home: &Home, options: &[&str], server: &[&str], input: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let log = home.text("server.in");
    let out = home.text("server.out");
    let _ = (fs::remove_file(&log), fs::remove_file(&out));
    let server: Vec<&str> = server.iter().copied().chain(["--log", &log, "--out", &out]).collect();
    let mut gateway = home.gateway(options, &server);
    gateway.send_bytes(input);
    let (lines, code) = gateway.finish();
    assert_eq!(code, 0);
    (fs::read(log).unwrap_or_default(), fs::read(out).unwrap_or_default(), lines.concat())
}

#[test]
fn what_is_allowed_passes_byte_for_byte_both_ways() {
    let home = Home::new(ALLOW);
    let odd = [
        r#"  {"id" : 16.0 ,"method":"ping","jsonrpc":"2.0"}  "#.to_owned(),
        r#"{"jsonrpc":"2.0","id":"a\u0062","method":"x/unknown","params":[1e3,-0.0,{"z":1,"a":2}],"extra":null}"#
            .to_owned(),
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\r".to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"na\u006de":"echo","arguments":{"message":"ü\u0000\ud83d\ude00","Message":1},"_meta":{"progressToken":7}}}"#
            .to_owned(),
        r#"{"jsonrpc":"2.0","id":"from-server","result":{"roots":[]}}"#.to_owned(),
        call(2, "big", r#"{"bytes":3000000}"#),
        call(3, "echo", &format!(r#"{{"message":"{}"}}"#, "y".repeat(2_000_000))),
        call(4, "ask", "{}"),
        call(5, "changed", "{}"),
        call(6, "list", "{}"),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#.to_owned(),
    ];
    let input = odd.join("\n") + "\n";
    let (got, given, seen) = session(&home, &[], &[], input.as_bytes());
    assert!(got == input.as_bytes(), "the server got other bytes");
    assert!(given == seen, "the client got other bytes");
}

#[test]
fn a_last_line_without_line_feed_is_a_message_too() {
    let home = Home::new(ALLOW);
    let (got, ..) = session(&home, &[], &[], br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(got, br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
}

#[test]
fn recordings_of_real_clients_reach_the_server_byte_for_byte() {
    let Some(shared) = shared() else { return };
    let mut played = 0;
    for entry in fs::read_dir(shared.join("wire")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("http-") || path.extension().is_none_or(|kind| kind != "jsonl") {
            continue;
        }
        let recording = fs::read(&path).unwrap();
        for server in [&[][..], &["--legacy"][..]] {
            let home = Home::new(ALLOW);
            let (got, given, seen) = session(&home, &[], server, &recording);
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&recording), "{name}");
            assert_eq!(String::from_utf8_lossy(&given), String::from_utf8_lossy(&seen), "{name}");
        }
        played += 1;
    }
    assert!(played >= 7, "{played}");
}

/// Each is one way past a proxy that was seen with real servers, or a form of it. `danger` is
/// denied; nothing of such a frame may reach the server.
#[test]
fn hostile_frames_are_answered_and_never_forwarded() {
    let evil = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"danger","arguments":{}}}"#;
    let frames: Vec<Vec<u8>> = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"params":{"name":"danger"}}"#
            .to_owned(),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"param\u{17f}\":{\"name\":\"danger\"}}".to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"a":2}}}"#
            .to_owned(),
        format!("[{evil}]"),
        format!("{evil}{evil}"),
        format!("{evil} {evil}"),
        format!("\u{feff}{evil}"),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"x\":\r{evil}\r1}}}}"),
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{{\"x\":\r{evil}\r}}}}"),
        format!("\r{evil}"),
        r#"{"id":1,"method":"tools/call","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":[1],"method":"tools/call","params":{"name":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"danger"},"result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":"danger"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["danger"]}}"#.to_owned(),
        "{\"jsonrpc\":\"2.0\",".to_owned(),
        "\"id\":1,\"method\":\"tools/call\",".to_owned(),
        "\"params\":{\"name\":\"danger\"}}".to_owned(),
        format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        "rubbish".to_owned(),
        "\u{0}".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xff\"}}".to_vec()])
    .collect();
    let home = Home::new(r#"{"version":"1","default":"allow","hide":["danger"],"tools":{}}"#);
    let log = home.text("server.in");
    let mut gateway = home.gateway(&[], &["--log", &log]);
    for (number, frame) in frames.iter().enumerate() {
        gateway.send_bytes(&[frame.as_slice(), b"\n"].concat());
        let answer = gateway.json();
        let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{number}: {answer}"));
        assert!(code == -32600 || code == -32700, "{number}: {answer}");
    }
    // White space is dropped in silence, and the session goes on.
    gateway.send_bytes(b"   \n\r\n\n");
    assert_eq!(gateway.call(77, "echo", r#"{"message":"on"}"#)["result"]["content"][0]["text"], "on");
    let answer = gateway.call(78, "danger", "{}");
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["message"], "Unknown tool: danger");
    assert_eq!(gateway.finish().1, 0);
    let got = fs::read_to_string(log).unwrap();
    assert_eq!(got, call(77, "echo", r#"{"message":"on"}"#) + "\n", "nothing else was forwarded");
    let decisions = home.decisions();
    let refused = decisions.iter().filter(|decision| decision.rule == "(malformed)").count();
    assert_eq!(refused, frames.len(), "each refusal is recorded once");
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_next_is_read() {
    let home = Home::new(ALLOW);
    let log = home.text("server.in");
    let mut gateway = home.gateway(&["--max-message", "1000"], &["--log", &log]);
    for size in [1_000, 100_000, 3_000_000] {
        let answer = gateway.call(5, "echo", &format!(r#"{{"message":"{}"}}"#, "x".repeat(size)));
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
    }
    assert!(!denied(&gateway.call(6, "echo", "{}")));
    // The server's own messages may be of any size.
    let big = gateway.call(7, "big", r#"{"bytes":500000}"#);
    assert_eq!(big["result"]["content"][0]["text"].as_str().unwrap().len(), 500_000);
    gateway.finish();
    assert!(!fs::read_to_string(log).unwrap().contains("xxxx"));
}

#[test]
fn an_id_in_flight_is_not_given_twice() {
    let home = Home::new(ALLOW);
    let mut gateway = home.gateway(&[], &[]);
    gateway.send(&call(1, "hang", "{}"));
    for spelling in ["1", "1.0", "10e-1"] {
        gateway.send(&call(0, "echo", "{}").replace("\"id\":0", &format!("\"id\":{spelling}")));
        let answer = gateway.json();
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
    }
    assert!(!denied(&gateway.ask(&modern_call("\"1\"", "echo", "{}"))), "a string is another id");
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    gateway.finish();
    let outcomes = home.outcomes();
    let cancelled =
        outcomes.iter().filter(|outcome| outcome.status == callgate::record::Status::Cancelled).count();
    assert_eq!(cancelled, 1);
}

#[test]
fn hidden_tools_leave_lists_by_their_bytes() {
    let policy = r#"{"version":"1","default":"allow","hide":["danger","slow","nobody"],"tools":{}}"#;
    for page in [None, Some("3"), Some("1")] {
        let home = Home::new(policy);
        let server: Vec<&str> = page.map_or(Vec::new(), |page| vec!["--page", page]);
        let mut gateway = home.gateway(&[], &server);
        let mut direct = Gateway::spawn({
            let mut command = std::process::Command::new(gateway_support::fixture());
            command.args(&server);
            command
        });
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let request =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{cursor}}}}}"#);
            gateway.send(&request);
            direct.send(&request);
            let (through, straight) = (gateway.line(), direct.line());
            let (seen, real): (Value, Value) =
                (serde_json::from_slice(&through).unwrap(), serde_json::from_slice(&straight).unwrap());
            for tool in real["result"]["tools"].as_array().unwrap() {
                let name = tool["name"].as_str().unwrap();
                if !matches!(name, "danger" | "slow") {
                    names.push(name.to_owned());
                }
            }
            let left: Vec<&Value> = seen["result"]["tools"].as_array().unwrap().iter().collect();
            assert!(left.iter().all(|tool| tool["name"] != "danger" && tool["name"] != "slow"));
            assert_eq!(seen["result"]["nextCursor"], real["result"]["nextCursor"]);
            match real["result"]["nextCursor"].as_str() {
                Some(next) => cursor = format!(r#""cursor":"{next}""#),
                None => break,
            }
        }
        assert_eq!(names.len(), 8);
        // A list that nobody asked for shows nothing either.
        gateway.send(&call(5, "list", "{}"));
        let unasked = gateway.json();
        assert_eq!(unasked["id"], "nobody");
        assert!(!unasked.to_string().contains("danger"), "{unasked}");
        // In the modern era caches are told that the list is this client's own.
        let modern = gateway.ask(
            r#"{"jsonrpc":"2.0","id":8,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        assert_eq!(
            (&modern["result"]["cacheScope"], &modern["result"]["ttlMs"]),
            (&"private".into(), &10_000.into())
        );
        gateway.finish();
    }
}

#[test]
fn a_name_that_no_list_has_is_unknown_under_default_deny() {
    let home = Home::new(r#"{"version":"1","default":"deny","tools":{"echo":{}}}"#);
    let mut gateway = home.gateway(&[], &[]);
    assert_eq!(rule(&gateway.call(1, "fail", "{}")), "(default deny)");
    assert_eq!(rule(&gateway.call(2, "nothing", "{}")), "(default deny)", "no list was seen yet");
    gateway.ask(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert_eq!(rule(&gateway.call(4, "fail", "{}")), "(default deny)");
    assert_eq!(gateway.call(5, "nothing", "{}")["error"]["message"], "Unknown tool: nothing");
    gateway.finish();
}

#[test]
fn denials_have_the_form_of_their_era() {
    let home = Home::new(
        r#"{"version":"1","default":"allow","tools":{
            "a":{"deny_if":[{"conditions":[{"path":"args.n","op":"gt","value":5}],"on_deny":"at most 5"}]},
            "b":{"limits":[{"counter":"c","window":"day","max":0,"scope":"grant"}]},
            "d":{"action":"deny","reason":"never"}}}"#,
    );
    let mut gateway = home.gateway(&[], &[]);
    let answer = gateway.call(1, "a", r#"{"n":6}"#);
    assert_eq!(answer["result"]["content"][0]["text"], "[POLICY DENIED] at most 5");
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"].get("resultType").is_none());
    let about = &answer["result"]["_meta"]["callgate/decision"];
    assert_eq!(
        (&about["rule"], &about["pointer"]),
        (&"/tools/a/deny_if/args.n-gt".into(), &"/tools/a/deny_if/0".into())
    );
    assert_eq!(about["policy"].as_str().unwrap().len(), 12);
    let answer = gateway.ask(&modern_call("\"x\"", "a", r#"{"n":6}"#));
    assert_eq!(answer["result"]["resultType"], "complete");
    let answer = gateway.ask(&modern_call("2.50", "a", r#"{"n":5}"#));
    assert!(!denied(&answer) && answer["id"] == 2.5, "{answer}");
    assert_eq!(rule(&gateway.call(3, "b", "{}")), "/tools/b/limits/c");
    assert_eq!(gateway.call(5, "d", "{}")["result"]["content"][0]["text"], "[POLICY DENIED] never");
    gateway.finish();
}

#[test]
fn what_is_no_message_goes_to_standard_error() {
    let home = Home::new(ALLOW);
    let mut command = home.command();
    command.arg("gateway").arg("--policy").arg(home.policy()).arg("--").arg(gateway_support::fixture());
    command.args(["--banner", "No X display"]);
    command.stderr(fs::File::create(home.path("stderr")).unwrap());
    let mut gateway = Gateway::spawn(command);
    let answer = gateway.call(1, "junk", r#"{"text":"{\"jsonrpc\": half"}"#);
    assert_eq!(answer["id"], 1);
    let (rest, code) = gateway.finish();
    assert!(rest.is_empty() && code == 0);
    assert_eq!(fs::read_to_string(home.path("stderr")).unwrap(), "No X display\n{\"jsonrpc\": half\n");
}

/// The 1,164 calls that a real agent made, under a policy with limits and argument rules: each is
/// decided as `Compiled` and an in-memory counter decide it, each is in the journal once, and the
/// server got exactly the allowed ones.
#[test]
fn real_traffic_is_decided_as_explained() {
    use callgate::policy::compiled::Compiled;
    use callgate::policy::counter::{Caller, Reserved};
    use callgate::policy::decide::{Call, Circumstances, Verdict};
    use callgate::policy::document::Document;
    use callgate::policy::memory::MemoryCounters;

    let Some(shared) = shared() else { return };
    let policy = r#"{"version":"1","default":"allow","hide":["transfer_to_human_agents"],
      "all_tools":{"limits":[{"counter":"all","window":86400000,"max":1100,"scope":"grant"}]},
      "tools":{
        "get_user_details":{"limits":[{"counter":"users","window":86400000,"max":150,"scope":"grant"}]},
        "search_direct_flight":{"deny_if":[{"conditions":[{"path":"args.origin","op":"in","value":["JFK","LGA"]}],"on_deny":"not from New York"}]},
        "book_reservation":{"require":[{"conditions":[{"path":"args.payment_methods[*].amount","op":"lte","value":500}]}]},
        "cancel_reservation":{"action":"deny"},
        "calculate":{"deny_if":[{"conditions":[{"path":"args.expression","op":"regex","value":"[*/]"}]}]}}}"#;
    let home = Home::new(policy);
    let document = Document::parse(policy).valid().unwrap();
    let compiled = Compiled::new(&document).unwrap();
    let mut counters = MemoryCounters::default();
    let traffic = fs::read_to_string(shared.join("traffic/airline-gpt4o.jsonl")).unwrap();
    let log = home.text("server.in");
    let mut gateway = home.gateway(&[], &["--log", &log]);
    let mut expected_forwarded = String::new();
    let mut expected = Vec::new();
    let now = callgate::clock::now();
    for (number, line) in traffic.lines().enumerate() {
        let row: Value = serde_json::from_str(line).unwrap();
        let params = &row["request"]["params"];
        let name = params["name"].as_str().unwrap();
        let arguments = params["arguments"].to_string();
        let request = call(number as u64 + 1, name, &arguments);
        let parsed = callgate::json::parse(&arguments).unwrap();
        let asked = Call { tool: name, arguments: Some(&parsed.root) };
        let caller = Caller { server: "fixture", grant: "local", session: None };
        let allowed_rule = match compiled.decide(&asked, &Circumstances::default()) {
            Verdict::Deny(denial) => Err(denial.rule),
            Verdict::Allow { charges, .. } => {
                let wants: Vec<_> = charges.iter().map(|charge| charge.want(&caller, false)).collect();
                match counters.reserve(now, &wants) {
                    Reserved::Done { .. } => Ok(()),
                    Reserved::Full { usages } => {
                        let first = usages.iter().position(|usage| !usage.room).unwrap();
                        Err(charges[first].limit.rule.clone())
                    }
                }
            }
        };
        let answer = gateway.ask(&request);
        assert_eq!(denied(&answer), allowed_rule.is_err(), "{request}: {answer}");
        if allowed_rule.is_ok() {
            expected_forwarded += &request;
            expected_forwarded.push('\n');
        }
        expected.push((name.to_owned(), allowed_rule.err().unwrap_or_default()));
    }
    gateway.finish();
    assert!(fs::read_to_string(log).unwrap() == expected_forwarded, "the server got other calls");
    let decisions: Vec<(String, String)> =
        home.decisions().into_iter().map(|decision| (decision.tool.unwrap(), decision.rule)).collect();
    assert_eq!(decisions.len(), 1_164);
    assert_eq!(decisions, expected);
    let allowed = expected.iter().filter(|(_, rule)| rule.is_empty()).count();
    assert!((300..1_100).contains(&allowed), "{allowed}: the policy should do both");
    assert_eq!(home.outcomes().len(), allowed);
}
