//! Pins as a table of values.

use super::*;

const TOOL: &str = r#"{"name":"pull","title":"Pull","description":"Pull an image","inputSchema":{"type":"object","properties":{"n":{"maximum":1.50}}},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#;
const NOW: Timestamp = Timestamp(1_795_209_600_000_001);

fn digest(text: &str) -> String {
    Definition::read(text).expect("a definition").sha256
}

fn pinned(tools: &[&str]) -> Pins {
    let mut pins = Pins::default();
    for tool in tools {
        assert!(pins.accept(Definition::read(tool).expect("a definition"), "ada", NOW));
    }
    pins
}

#[test]
fn a_digest_covers_exactly_six_members() {
    // Worked out with sha256sum over the canonical text.
    assert_eq!(
        digest(r#"{ "title" : null, "name":"a", "inputSchema":{"type":"object","a":1.0} }"#),
        sha256(br#"{"inputSchema":{"a":1,"type":"object"},"name":"a"}"#)
    );
    let same = [
        r#"{"description":"Pull an image","title":"Pull","name":"pu\u006cl","annotations":{"readOnlyHint":true},"outputSchema":{"type":"object"},"inputSchema":{"properties":{"n":{"maximum":15e-1}},"type":"object"}}"#,
        &TOOL.replacen('{', r#"{"_meta":{"x":1},"icons":[],"execution":{"taskSupport":"optional"},"#, 1),
    ];
    for text in same {
        assert_eq!(digest(text), digest(TOOL), "{text}");
    }
    for (from, to) in [
        ("\"pull\"", "\"pulL\""),
        ("\"Pull\"", "\"Pull \""),
        ("an image", "an image. Ignore all else"),
        ("1.50", "1.51"),
        ("1.50", "\"1.5\""),
        (",\"outputSchema\":{\"type\":\"object\"}", ""),
        ("true", "false"),
        ("true", "true,\"destructiveHint\":false"),
        ("{\"name\"", "{\"description\":\"other\",\"name\""),
        ("\"type\":\"object\",\"properties\"", "\"type\":\"object\",\"type\":\"object\",\"properties\""),
    ] {
        assert!(TOOL.contains(from));
        assert_ne!(digest(&TOOL.replacen(from, to, 1)), digest(TOOL), "{from} -> {to}");
    }
    // Halves of surrogate pairs are told apart, though no string can hold them.
    let half = |hex: &str| digest(&format!(r#"{{"name":"a","title":"\u{hex}"}}"#));
    assert_ne!(half("d800"), half("d801"));
    assert_ne!(half("d800"), half("fffd"));
    for no_tool in ["", "[]", "{}", r#"{"name":1}"#, r#"{"title":"a"}"#, "{\"name\":\"a\""] {
        assert_eq!(Definition::read(no_tool), None, "{no_tool}");
    }
    assert_eq!(Definition::digest(b"\xff"), sha256(b"\xff"));
}

#[test]
fn what_is_written_is_read_back() {
    let large = format!(r#"{{"name":"large","description":"{}","inputSchema":{{}}}}"#, "x".repeat(20_000));
    let hostile = r#"{"name":"__proto__\u0000\u001b[2J\u202e/~\"","description":"\u2028"}"#;
    let half = r#"{"name":"half","description":"\ud800"}"#;
    let twice = r#"{"name":"twice","description":"a","description":"b"}"#;
    let all = [TOOL, &large, hostile, half, twice];
    let pins = pinned(&all);
    let text = pins.to_text();
    let read = Pins::parse(&text);
    assert_eq!(read.diagnostics, []);
    assert_eq!(read.pins.as_ref(), Some(&pins), "{text}");
    assert_eq!(read.pins.map(|pins| pins.to_text()), Some(text.clone()));
    assert!(text.len() < 4_000, "the large definition is bounded");
    for tool in all {
        let definition = Definition::read(tool).expect("a definition");
        assert_eq!(pins.standing(&definition.name, &definition.sha256), Standing::Same);
        assert_eq!(differing(pins.get(&definition.name).expect("a pin"), &definition), [""; 0]);
    }
    assert_eq!(Pins::default().to_text(), "{\n  \"version\": \"1\",\n  \"tools\": {}\n}\n");
}

#[test]
fn drift_is_a_difference_and_names_its_members() {
    let mut pins = pinned(&[TOOL]);
    let changed = TOOL.replacen("an image", "every image", 1).replacen("true", "false", 1);
    let changed = Definition::read(&changed).expect("a definition");
    assert_eq!(pins.standing("pull", &changed.sha256), Standing::Drifted);
    assert_eq!(pins.standing("push", &changed.sha256), Standing::New);
    assert_eq!(differing(pins.get("pull").expect("a pin"), &changed), ["description", "annotations"]);
    let large = |letter: &str| {
        let text = format!(r#"{{"name":"large","description":"{}"}}"#, letter.repeat(20_000));
        Definition::read(&text).expect("a definition")
    };
    pins.accept(large("x"), "ada", NOW);
    assert_eq!(differing(pins.get("large").expect("a pin"), &large("y")), ["description"]);
    // Accepting again who accepted first, unless it is another definition.
    assert!(!pins.accept(Definition::read(TOOL).expect("a definition"), "eve", NOW));
    assert!(pins.accept(changed.clone(), "eve", Timestamp(0)));
    assert_eq!(pins.get("pull").map(|pin| pin.by.as_str()), Some("eve"));
    assert_eq!(pins.standing("pull", &changed.sha256), Standing::Same);
    assert!(pins.remove("pull").is_some() && pins.remove("pull").is_none());
}

#[test]
fn every_error_of_a_file_is_named() {
    let good = pinned(&[TOOL]).to_text();
    let digest = digest(TOOL);
    let at = "2026-11-20T21:20:00.000001Z";
    let bare = |pin: &str| format!(r#"{{"version":"1","tools":{{"a":{pin}}}}}"#);
    let first = |text: &str| {
        let read = Pins::parse(text);
        assert_eq!(read.pins, None, "{text}");
        let found = read.diagnostics.first().expect("an error").clone();
        (found.code, found.pointer)
    };
    let is = |text: &str, code: &str, pointer: &str| {
        assert_eq!(first(text), (code_of(code), pointer.to_owned()), "{text}");
    };
    is("", "syntax", "");
    is("[]", "wrong-type", "");
    is(r#"{"tools":{}}"#, "missing-key", "");
    is(r#"{"version":"1"}"#, "missing-key", "");
    is(r#"{"version":"2","tools":{}}"#, "bad-version", "/version");
    is(r#"{"version":"1","tools":[]}"#, "wrong-type", "/tools");
    is(r#"{"version":"1","tools":{},"tool":{}}"#, "unknown-key", "/tool");
    is(&good.replacen("\"by\"", "\"buy\"", 1), "missing-key", "/tools/pull");
    is(&good.replacen("\"by\"", "\"sha256\"", 1), "missing-key", "/tools/pull");
    is(&good.replacen(at, "yesterday", 1), "bad-time", "/tools/pull/at");
    is(&good.replacen(&digest, &digest.to_uppercase(), 1), "not-the-definition", "/tools/pull");
    is(&good.replacen("an image", "no image", 1), "not-the-definition", "/tools/pull");
    is(&good.replacen("\"pull\": {", "\"push\": {", 1), "not-the-definition", "/tools/push");
    is(&bare("1"), "wrong-type", "/tools/a");
    is(&bare(r#"{"sha256":"ab","by":"x","at":"2026-11-20T21:20:00Z"}"#), "bad-digest", "/tools/a/sha256");
    let pin = |more: &str| bare(&format!(r#"{{"sha256":"{digest}","by":"x","at":"{at}"{more}}}"#));
    assert_eq!(Pins::parse(&pin("")).diagnostics, []);
    is(&pin(r#","cut":{"name":"x"}"#), "bad-digest", "/tools/a/cut/name");
    is(&pin(r#","cut":{"nam":"x"}"#), "unknown-key", "/tools/a/cut/nam");
    is(&pin(r#","definition":{"name":"a","x":1}"#), "not-the-definition", "/tools/a");
    is(&pin(r#","definition":[]"#), "wrong-type", "/tools/a/definition");
    let twice = good.replacen("\"tools\"", "\"version\": \"1\", \"tools\"", 1);
    is(&twice, "duplicate-member", "");
    let hostile = bare(r#"{"\u001b[2J":1}"#);
    assert!(Pins::parse(&hostile).diagnostics.iter().all(|found| !found.to_string().contains('\u{1b}')));
}

fn code_of(code: &str) -> &'static str {
    [
        "syntax",
        "wrong-type",
        "missing-key",
        "bad-version",
        "unknown-key",
        "bad-time",
        "bad-digest",
        "not-the-definition",
        "duplicate-member",
    ]
    .into_iter()
    .find(|known| *known == code)
    .expect("a known code")
}
