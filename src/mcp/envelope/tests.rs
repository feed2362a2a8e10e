use super::*;

fn read(line: &[u8]) -> Result<Line<'_>, Refusal> {
    peek(line, &Limits::default())
}

fn message(line: &str) -> Message<'_> {
    match read(line.as_bytes()) {
        Ok(Line::Message(message)) => message,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: impl AsRef<[u8]>) -> Refusal {
    let line = line.as_ref();
    match read(line) {
        Err(refusal) => refusal,
        Ok(other) => panic!("{}: {other:?}", String::from_utf8_lossy(line)),
    }
}

#[test]
fn reads_a_call_in_place() {
    let line = r#"{"method":"tools/call","params":{"_meta":{"progressToken":3.0,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}},"na\u006de":"pu\u006cl","arguments":{"image":"x","Image":"y"},"requestState":"s"},"jsonrpc":"2.0","id":16.0}"#;
    let message = message(line);
    let call = message.call().expect("call");
    assert_eq!(call.name, "pull");
    assert_eq!(call.arguments.and_then(|a| a.get("image")?.as_str()), Some("x"));
    assert_eq!(call.progress_token, Some("3.0"));
    assert_eq!(call.request_state, Some("\"s\""));
    assert!(!call.input_responses);
    assert!(message.is_modern());
    assert_eq!(message.protocol_version(), Some("2026-07-28"));
    assert_eq!(message.client(), Some(ClientInfo { name: "c".into(), version: Some("1".into()) }));
    assert_eq!(message.id().map(|id| id.raw.as_str()), Some("16.0"));
}

#[test]
fn accepts_what_every_parser_reads_alike() {
    for line in [
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":"server-discover-probe-1","method":"server/discover","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":null,"vendor":1},"vendor":2}"#,
        r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"tools/call","params":{"name":"X ","arguments":{"Name":1,"name":2,"x":"\ud800"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#,
        r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
        r#"   {"jsonrpc":"2.0","id":1,"method":"ping"}	 "#,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r",
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#,
    ] {
        assert!(matches!(read(line.as_bytes()), Ok(Line::Message(_))), "{line}: {:?}", read(line.as_bytes()));
    }
    for blank in ["", " ", "\r", " \t \r"] {
        assert_eq!(read(blank.as_bytes()), Ok(Line::Blank));
    }
}

#[test]
fn null_and_absent_arguments_are_none() {
    for params in [r#"{"name":"x"}"#, r#"{"name":"x","arguments":null}"#] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        assert_eq!(message(&line).call().expect("call").arguments, None);
    }
}

/// Every refusal, with the id that it is answered with.
#[test]
fn refuses_what_two_parsers_could_read_differently() {
    let call =
        |params: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
    let cases: &[(&str, String, i64, Option<&str>)] = &[
        ("duplicate name", call(r#"{"name":"safe","name":"evil"}"#), -32600, Some("7")),
        ("duplicate by escape", call(r#"{"name":"safe","na\u006de":"evil"}"#), -32600, Some("7")),
        ("duplicate deep", call(r#"{"name":"x","arguments":{"a":[{"b":1,"b":2}]}}"#), -32600, Some("7")),
        ("twin of name", call(r#"{"name":"safe","Name":"evil"}"#), -32600, Some("7")),
        ("only a twin", call(r#"{"NAME":"evil"}"#), -32600, Some("7")),
        ("twin of arguments", call(r#"{"name":"x","argument\u017f":{}}"#), -32600, Some("7")),
        ("twin of _meta", call(r#"{"name":"x","_META":{}}"#), -32600, Some("7")),
        ("inexact key", call(r#"{"name":"x","n\ud800":1}"#), -32600, Some("7")),
        ("zero in a key", call(r#"{"name":"x","name\u0000":"evil"}"#), -32600, Some("7")),
        ("inexact name", call(r#"{"name":"x\udc00"}"#), -32600, Some("7")),
        ("zero in the name", call(r#"{"name":"x\u0000y"}"#), -32600, Some("7")),
        ("no name", call(r#"{"arguments":{}}"#), -32600, Some("7")),
        ("name is a number", call(r#"{"name":1}"#), -32600, Some("7")),
        ("params an array", call(r#"["x"]"#), -32600, Some("7")),
        ("params null", call("null"), -32600, Some("7")),
        ("arguments a string", call(r#"{"name":"x","arguments":"{}"}"#), -32600, Some("7")),
        ("arguments an array", call(r#"{"name":"x","arguments":[]}"#), -32600, Some("7")),
        ("no params", r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#.into(), -32600, Some("7")),
        ("two params", r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"safe"},"params":{"name":"evil"}}"#.into(), -32600, Some("7")),
        ("two methods", r#"{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call","params":{"name":"evil"}}"#.into(), -32600, Some("7")),
        ("twin of method", r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","Method":"ping","params":{"name":"evil"}}"#.into(), -32600, Some("7")),
        ("only a twin of method", r#"{"jsonrpc":"2.0","id":7,"Method":"tools/call","params":{"name":"evil"}}"#.into(), -32600, None),
        ("twin of params", r#"{"jsonrpc":"2.0","id":7,"method":"ping","param\u017f":{"name":"evil"}}"#.into(), -32600, Some("7")),
        ("method but for case", r#"{"jsonrpc":"2.0","id":7,"method":"Tools/Call","params":{"name":"x"}}"#.into(), -32600, Some("7")),
        ("method by Kelvin", r#"{"jsonrpc":"2.0","id":7,"method":"tool\u017f/call","params":{"name":"x"}}"#.into(), -32600, Some("7")),
        ("inexact method", r#"{"jsonrpc":"2.0","id":7,"method":"tools/call\ud800"}"#.into(), -32600, Some("7")),
        ("method a number", r#"{"jsonrpc":"2.0","id":7,"method":1}"#.into(), -32600, Some("7")),
        ("two ids", r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#.into(), -32600, None),
        ("id null", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.into(), -32600, None),
        ("id an object", r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#.into(), -32600, None),
        ("inexact id", r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#.into(), -32600, None),
        ("call as notification", r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#.into(), -32600, None),
        ("no jsonrpc", r#"{"id":7,"method":"ping"}"#.into(), -32600, Some("7")),
        ("jsonrpc 2", r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#.into(), -32600, Some("7")),
        ("jsonrpc 1.0", r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#.into(), -32600, Some("7")),
        ("request and response", r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"},"result":{}}"#.into(), -32600, None),
        ("result and error", r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#.into(), -32600, None),
        ("response without id", r#"{"jsonrpc":"2.0","result":{}}"#.into(), -32600, None),
        ("result with id null", r#"{"jsonrpc":"2.0","id":null,"result":{}}"#.into(), -32600, None),
        ("response with a duplicate", r#"{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}"#.into(), -32600, None),
        ("nothing", r#"{"jsonrpc":"2.0"}"#.into(), -32600, None),
        ("only an id", r#"{"jsonrpc":"2.0","id":7}"#.into(), -32600, None),
        ("batch", format!("[{}]", call(r#"{"name":"evil"}"#)), -32600, None),
        ("empty batch", "[]".into(), -32600, None),
        ("a string", "\"x\"".into(), -32600, None),
        ("byte order mark", format!("\u{feff}{}", call(r#"{"name":"x"}"#)), -32700, None),
        ("two values", format!("{}{}", call(r#"{"name":"safe"}"#), call(r#"{"name":"evil"}"#)), -32700, None),
        ("CR between values", format!("{}\r{}", call(r#"{"name":"safe"}"#), call(r#"{"name":"evil"}"#)), -32700, Some("7")),
        ("CR within", "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{\"x\":\r{\"method\":\"tools/call\"}\r}}".into(), -32700, Some("7")),
        ("two CRs at the end", format!("{}\r\r", call(r#"{"name":"x"}"#)), -32700, Some("7")),
        ("CR at the start", format!("\r{}", call(r#"{"name":"x"}"#)), -32700, Some("7")),
        ("LF within", "{\"jsonrpc\":\"2.0\",\n\"id\":7,\"method\":\"ping\"}".into(), -32700, Some("7")),
        ("first line of a pretty-printed call", "{".into(), -32700, None),
        ("a later line of it", r#"  "method": "tools/call","#.into(), -32700, None),
        ("NaN", call(r#"{"name":"x","arguments":{"a":NaN}}"#), -32700, Some("7")),
        ("single quotes", "{'jsonrpc':'2.0'}".into(), -32700, None),
        ("comment", format!("{} // x", call(r#"{"name":"x"}"#)), -32700, None),
        ("form feed", format!("\u{c}{}", call(r#"{"name":"x"}"#)), -32700, None),
    ];
    for (what, line, code, id) in cases {
        let refusal = refusal(line);
        assert_eq!(refusal.code, *code, "{what}: {refusal:?}");
        assert_eq!(refusal.id.as_deref(), *id, "{what}: {refusal:?}");
        assert!(!refusal.message.is_empty());
    }
    let line =
        [br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":""#.as_slice(), b"\xff\"}}"].concat();
    let not_utf8 = refusal(&line);
    assert_eq!((not_utf8.code, not_utf8.id.as_deref()), (-32700, Some("7")));
}

#[test]
fn bounds_depth_and_size() {
    let nested = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"x","arguments":{{"a":{}{}}}}}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    assert!(read(nested(125).as_bytes()).is_ok());
    let deep = refusal(nested(126));
    assert_eq!((deep.code, deep.id.as_deref(), deep.tool.as_deref()), (-32600, Some("7"), Some("x")));
    let line = nested(1);
    let large = peek(line.as_bytes(), &Limits { max_message: line.len() - 1 }).expect_err("too large");
    assert_eq!((large.code, large.id.as_deref()), (-32600, Some("7")));
    assert!(peek(line.as_bytes(), &Limits { max_message: line.len() }).is_ok());
    let cut = Refusal::too_large(&line.as_bytes()[..60], &Limits { max_message: 60 });
    assert_eq!((cut.id.as_deref(), cut.method.as_deref(), cut.tool), (Some("7"), Some("tools/call"), None));
}

#[test]
fn names_what_it_can_of_a_refused_message() {
    let twin =
        refusal(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pull","Arguments":{}}}"#);
    assert_eq!((twin.method.as_deref(), twin.tool.as_deref()), (Some("tools/call"), Some("pull")));
    assert_eq!(twin.message, "the member `Arguments` in `params` differs from `arguments` only by case");
    let two = refusal(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","name":"b"}}"#);
    assert_eq!((two.method.as_deref(), two.tool), (Some("tools/call"), None));
}

#[test]
fn knows_what_a_notification_cancels() {
    let line = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5.0}}"#;
    assert_eq!(message(line).cancels().map(|id| id.key), Id::from_json(b"5").map(|id| id.key));
    let line = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"requestId":5}}"#;
    assert_eq!(message(line).cancels(), None);
}
