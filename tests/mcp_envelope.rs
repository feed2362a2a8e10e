//! Messages against what real servers' parsers make of them: the odd messages that an older policy
//! proxy let through, the lines that real clients send, the lists that real servers answer, and
//! random damage to all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::{Path, PathBuf};

use callgate::mcp::check::check;
use callgate::mcp::envelope::{Kind, Limits, Line, Refusal, peek};
use callgate::mcp::list::{ListOptions, cut_tools};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(line: &[u8]) -> Result<Line<'_>, Refusal> {
    peek(line, &Limits::default())
}

/// What the gateway makes of a line.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A call of this tool goes on, byte for byte.
    Call(&'static str),
    /// Something else goes on.
    Other,
    /// Refused, and never forwarded.
    Refused(i64),
}

fn seen(line: &[u8]) -> Seen {
    match read(line) {
        Err(refusal) => Seen::Refused(refusal.code),
        Ok(Line::Blank) => Seen::Other,
        Ok(Line::Message(message)) => match message.call() {
            Some(call) if call.name == "safe" => Seen::Call("safe"),
            Some(call) if call.name == "evil" => Seen::Call("evil"),
            Some(call) => panic!("{}", call.name),
            None => Seen::Other,
        },
    }
}

/// One row for each odd message that was tried on eight servers. A row that any of them read as a
/// call of `evil` must be refused, or be seen as a call of `evil` (which the policy then denies).
#[test]
fn odd_messages_are_refused_or_seen_as_what_they_are() {
    let call =
        |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let evil = call(r#"{"name":"evil","arguments":{}}"#);
    let safe = call(r#"{"name":"safe","arguments":{}}"#);
    let no = Seen::Refused(-32600);
    let unread = Seen::Refused(-32700);
    let rows: Vec<(&str, String, Seen)> = vec![
        ("plain safe", safe.clone(), Seen::Call("safe")),
        ("plain evil", evil.clone(), Seen::Call("evil")),
        ("dup name safe,evil", call(r#"{"name":"safe","name":"evil","arguments":{}}"#), no),
        ("dup name evil,safe", call(r#"{"name":"evil","name":"safe","arguments":{}}"#), Seen::Refused(-32600)),
        ("name safe + Name evil", call(r#"{"name":"safe","Name":"evil"}"#), Seen::Refused(-32600)),
        ("Name evil + name safe", call(r#"{"Name":"evil","name":"safe"}"#), Seen::Refused(-32600)),
        ("name evil + Name safe", call(r#"{"name":"evil","Name":"safe"}"#), Seen::Refused(-32600)),
        (
            "method tools/call + Method ping (evil)",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"evil"}}"#.into(),
            Seen::Refused(-32600),
        ),
        (
            "ping whose params hide CR-framed evil",
            format!("{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\",\"params\":{{\"x\":\r{evil}\r}}}}"),
            Seen::Refused(-32700),
        ),
        (
            "notification hiding CR-framed evil",
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{{\"x\":\r{evil}\r}}}}"),
            Seen::Refused(-32700),
        ),
        ("only NAME evil", call(r#"{"NAME":"evil"}"#), Seen::Refused(-32600)),
        (
            "dup params safe,evil",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe"},"params":{"name":"evil"}}"#.into(),
            Seen::Refused(-32600),
        ),
        ("escaped key na\\u006de evil", call(r#"{"na\u006de":"evil"}"#), Seen::Call("evil")),
        (
            "dup method ping,tools/call evil",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"evil"}}"#.into(),
            Seen::Refused(-32600),
        ),
        (
            "Method capital",
            r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"safe"}}"#.into(),
            Seen::Refused(-32600),
        ),
        ("batch [evil]", format!("[{evil}]"), Seen::Refused(-32600)),
        ("CRLF", format!("{safe}\r"), Seen::Call("safe")),
        ("leading spaces", format!("   {safe}"), Seen::Call("safe")),
        ("BOM", format!("\u{feff}{safe}"), Seen::Refused(-32700)),
        ("two objects on a line (2nd evil)", format!("{safe}{evil}"), Seen::Refused(-32700)),
        ("pretty printed over lines: first", "{".into(), Seen::Refused(-32700)),
        ("pretty printed over lines: next", r#""jsonrpc":"2.0","#.into(), Seen::Refused(-32700)),
        ("pretty printed, one chunk", evil.replace(',', ",\n"), Seen::Refused(-32700)),
        ("bare CR between objects", format!("{safe}\r{evil}"), unread),
        (
            "no jsonrpc member",
            r#"{"id":1,"method":"tools/call","params":{"name":"evil"}}"#.into(),
            Seen::Refused(-32600),
        ),
        ("string id", safe.replace("\"id\":1", "\"id\":\"a\""), Seen::Call("safe")),
        ("notification (no id) evil", evil.replace("\"id\":1,", ""), Seen::Refused(-32600)),
        ("arguments absent", call(r#"{"name":"safe"}"#), Seen::Call("safe")),
        ("arguments null", call(r#"{"name":"safe","arguments":null}"#), Seen::Call("safe")),
        ("arguments string", call(r#"{"name":"safe","arguments":"x"}"#), Seen::Refused(-32600)),
        ("unknown params member", call(r#"{"name":"safe","x":1}"#), Seen::Call("safe")),
    ];
    for (what, line, expected) in rows {
        assert_eq!(seen(line.as_bytes()), expected, "{what}");
        check(line.as_bytes());
    }
    for (what, name) in [("name with trailing space", "safe "), ("name upper case", "SAFE")] {
        let line = call(&format!(r#"{{"name":"{name}"}}"#));
        let Ok(Line::Message(message)) = read(line.as_bytes()) else { panic!("{what}") };
        assert_eq!(message.call().unwrap().name, name, "{what}: never normalised");
    }
}

/// The five ways round an older proxy that were confirmed with real tools.
#[test]
fn the_confirmed_bypasses_are_refused() {
    let lines: [&[u8]; 5] = [
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-sum","Name":"echo","arguments":{"a":2,"b":40}}}"#,
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\r{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"convert_time\"}}\r}}",
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"convert_time"}}"#,
        br#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"configuration_view"}}]"#,
        b"{\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1,\n  \"method\": \"tools/call\",\n  \"params\": {\"name\": \"configuration_view\"}\n}",
    ];
    for line in lines {
        assert!(matches!(seen(line), Seen::Refused(_)), "{}", String::from_utf8_lossy(line));
        for part in line.split(|byte| *byte == b'\n') {
            assert!(matches!(seen(part), Seen::Refused(_)), "{}", String::from_utf8_lossy(part));
        }
    }
}

/// Third-party recordings, beside the project where they are there at all.
fn recorded(folder: &str, extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn everything_that_real_clients_send_passes() {
    let mut calls = 0;
    for file in recorded("wire", "jsonl") {
        let bytes = std::fs::read(&file).unwrap();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            let text = String::from_utf8_lossy(line);
            match read(line) {
                Ok(Line::Message(message)) => calls += usize::from(message.call().is_some()),
                Ok(Line::Blank) => {}
                Err(refusal) => panic!("{}: {refusal:?}: {text}", file.display()),
            }
            check(line);
        }
    }
    assert!(calls > 0 || recorded("wire", "jsonl").is_empty());
}

#[test]
fn the_lists_of_real_servers_lose_only_what_is_hidden() {
    for file in recorded("tools", "json") {
        let list: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let count = list["tools"].as_array().unwrap().len();
        let reply = json!({"jsonrpc": "2.0", "id": 1, "result": list});
        for text in [serde_json::to_string(&reply).unwrap(), serde_json::to_string_pretty(&reply).unwrap()] {
            for hide in 0..count.min(6) {
                let name = list["tools"][hide * (count / count.min(6))]["name"].as_str().unwrap();
                let options =
                    ListOptions { private_cache: true, modern: hide % 2 == 0, ..ListOptions::default() };
                let cut = cut_tools(text.as_bytes(), &|tool| tool != name, &options).unwrap();
                let mut expected = reply.clone();
                expected["result"]["tools"].as_array_mut().unwrap().retain(|tool| tool["name"] != name);
                if options.modern {
                    expected["result"]["cacheScope"] = "private".into();
                    expected["result"]["ttlMs"] = 10_000.into();
                }
                let after: Value = serde_json::from_slice(&cut.bytes).unwrap();
                assert!(after == expected, "{} without {name}", file.display());
                assert_eq!((cut.names.len(), cut.hidden, cut.tools().len()), (count, 1, count));
            }
        }
    }
}

/// A message of any kind, whose parts are then damaged.
fn message() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        r#""jsonrpc":"2.0""#,
        r#""id":1"#,
        r#""id":"a""#,
        r#""id":null"#,
        r#""ID":1"#,
        r#""method":"tools/call""#,
        r#""method":"ping""#,
        r#""Method":"tools/call""#,
        r#""m\u0065thod":"tools\/call""#,
        r#""params":{"name":"evil"}"#,
        r#""params":{"name":"evil","arguments":{"a":[1,{"b":"c\n"}]}}"#,
        r#""params":{"arguments":{},"na\u006de":"\u0065vil","_meta":{"progressToken":1}}"#,
        r#""params":{"name":"safe","Name":"evil"}"#,
        r#""params":{"name":"safe","name":"evil"}"#,
        r#""result":{"tools":[{"name":"a"},{"name":"bb"}]}"#,
        r#""error":{"code":-32601,"message":"m"}"#,
        r#""result":{"isError":true}"#,
        r#""x":"\ud800""#,
    ]);
    let separator = prop::sample::select(vec![",", ", ", ",\r", ",\n", ",,", ""]);
    (
        prop::collection::vec((part, separator), 0..7),
        "\\PC{0,3}",
        prop::sample::select(vec!["", "\r", " ", "{}"]),
    )
        .prop_map(|(parts, before, after)| {
            let mut text = String::from("{");
            let last = parts.len();
            for (index, (part, separator)) in parts.into_iter().enumerate() {
                text.push_str(part);
                if index + 1 < last {
                    text.push_str(if separator.len() > 1 && index % 3 > 0 { "," } else { separator });
                }
            }
            text.push('}');
            if before.len() == 1 { format!("{before}{text}{after}") } else { format!("{text}{after}") }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn holds_on_made_up_messages(text in message()) {
        check(text.as_bytes());
    }

    #[test]
    fn holds_on_damaged_messages(
        text in message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            if byte % 3 == 0 { bytes.remove(at); } else { bytes[at] = byte; }
            if bytes.is_empty() { break; }
        }
        check(&bytes);
    }

    #[test]
    fn holds_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    /// Whatever a client's own serializer makes of a call passes, and is seen as that call.
    #[test]
    fn every_honest_call_passes(
        name in "[A-Za-z0-9_.\\-é/ ]{1,64}",
        id in prop_oneof![any::<i64>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from)],
        key in "\\PC{1,12}",
        value in "\\PC{0,40}|[\"\\\\\n\r\t\u{0}]{0,8}",
    ) {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": name, "arguments": {key.clone(): value, "nested": [{key: 1}]}}});
        let line = call.to_string();
        let Ok(Line::Message(message)) = read(line.as_bytes()) else {
            return Err(TestCaseError::fail(format!("{:?}", read(line.as_bytes()))));
        };
        prop_assert_eq!(message.call().map(|call| call.name.to_owned()), Some(name));
        let Kind::Request { id: seen, .. } = &message.kind else { return Err(TestCaseError::fail("no request")) };
        prop_assert_eq!(serde_json::from_str::<Value>(&seen.raw).unwrap(), id);
        check(line.as_bytes());
    }

    /// Cutting any subset of tools out of a list, however it is laid out.
    #[test]
    fn cuts_any_subset(kept in prop::collection::vec(any::<bool>(), 0..8), pretty in any::<bool>()) {
        let tools: Vec<Value> = kept
            .iter()
            .enumerate()
            .map(|(index, kept)| json!({"name": format!("{}{index}", if *kept { "keep" } else { "hide" }), "x": "]},{"}))
            .collect();
        let reply = json!({"id": 1, "result": {"a": {"tools": []}, "tools": tools, "nextCursor": "c"}});
        let text = if pretty { serde_json::to_string_pretty(&reply).unwrap() } else { reply.to_string() };
        let cut = cut_tools(text.as_bytes(), &|name| name.starts_with("keep"), &ListOptions::default()).unwrap();
        let mut expected = reply;
        expected["result"]["tools"]
            .as_array_mut()
            .unwrap()
            .retain(|tool| tool["name"].as_str().unwrap().starts_with("keep"));
        prop_assert_eq!(serde_json::from_slice::<Value>(&cut.bytes).unwrap(), expected);
        prop_assert_eq!(cut.hidden, kept.iter().filter(|kept| !**kept).count());
    }
}
