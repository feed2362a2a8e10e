use super::report::{Frame, Report};
use super::stats::Stats;
use super::*;
use crate::time::Timestamp;

/// A denied call whose every text is hostile.
fn hostile() -> String {
    let evil = r#"=a|b\\c\"d,e`f\u001b[31m\u202e\nCEF:0|<img src=x>"#;
    format!(
        r#"{{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"{evil}","grant":"-1+1","client":"@x","request_id":1,"method":"tools/call","tool":"{evil}","decision":"deny","enforced":true,"rule":"/tools/x/deny_if/args.a-eq","pointer":"/tools/x/deny_if/0","message":"a = b, \"c\"","policy":"0123456789ab","args":{{"k":"v|=,\"x\" {rlo} é\u0007\\"}},"counters":[],"counted":false,"decide_us":1.5}}"#,
        rlo = '\u{202e}'
    )
}

fn outcome(seq: u64, call: u64, status: &str, micros: u64) -> String {
    format!(
        r#"{{"type":"outcome","seq":{seq},"ts":"2026-11-20T21:21:00.000001Z","gateway":"g","call":{call},"status":"{status}","upstream_us":{micros},"bytes":9,"released":false}}"#
    )
}

fn freeze(seq: u64) -> String {
    format!(
        r#"{{"type":"event","seq":{seq},"ts":"2026-11-20T21:22:30.000001Z","gateway":"g","kind":"freeze","by":"ann","reason":"loop | <b>","data":{{"tool":"t"}}}}"#
    )
}

fn written(format: Format, text: &str) -> String {
    let line = Line::parse(text.as_bytes()).expect("a record");
    let mut out = Vec::new();
    format.begin(&mut out);
    format.line(&line, &mut out);
    String::from_utf8(out).expect("utf-8")
}

/// Reads RFC 4180, as another program would.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(std::mem::take(&mut cell)),
            (false, '\r') => {
                assert_eq!(chars.next(), Some('\n'));
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (_, c) => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "{text:?}");
    rows
}

#[test]
fn csv_reads_back_whatever_is_in_it() {
    let rows = read_csv(&written(Format::Csv, &hostile()));
    assert_eq!(rows.len(), 2);
    let cell = |name: &str| {
        let at = rows[0].iter().position(|column| column == name).expect(name);
        rows[1][at].clone()
    };
    assert_eq!(rows[0].len(), rows[1].len());
    assert_eq!(cell("decision"), "deny");
    assert_eq!(cell("message"), "a = b, \"c\"");
    assert_eq!(cell("grant"), "'-1+1");
    assert_eq!(cell("client"), "'@x");
    assert!(cell("tool").starts_with("'=a|b\\c\"d,e`f\\u{1b}[31m\\u{202e}\\nCEF"), "{}", cell("tool"));
    let args: serde_json::Value = serde_json::from_str(&cell("args")).expect("arguments stay JSON");
    assert_eq!(args["k"], "v|=,\"x\" \u{202e} é\u{7}\\");
    // Numbers below zero are numbers.
    let rows = read_csv(&written(
        Format::Csv,
        &outcome(8, 7, "rpc_error", 12).replace("\"upstream_us\"", "\"code\":-32603,\"upstream_us\""),
    ));
    assert!(rows[1].contains(&"-32603".to_owned()), "{rows:?}");
}

#[test]
fn nothing_is_raw_and_one_record_is_one_line() {
    for format in [Format::Csv, Format::Cef, Format::Logfmt] {
        for text in [hostile(), outcome(8, 7, "lost", 5), freeze(9)] {
            let out = written(format, &text);
            let lines = out.trim_end_matches(['\r', '\n']).split('\n').count();
            assert_eq!(lines, 1 + usize::from(format == Format::Csv), "{out:?}");
            for c in out.chars() {
                assert!(!crate::visible::hides(c, Some('a')) || matches!(c, '\r' | '\n'), "{c:?} in {out:?}");
            }
        }
    }
}

#[test]
fn cef_escapes_its_header_and_its_extension() {
    let text = written(Format::Cef, &hostile());
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        text.starts_with(&format!(
            "CEF:0|callgate|callgate|{version}|deny|Tool call denied|6|rt=1795209600000 "
        )),
        "{text}"
    );
    assert!(text.contains(r"msg=a \= b, "), "{text}");
    assert!(text.contains(r"cs1=\=a|b\\c"), "{text}");
    assert!(text.contains(r"src\=x>"), "{text}");
    assert!(text.contains("externalId=g:7 act=deny"), "{text}");
    let long = hostile().replace("v|=", &"x".repeat(9000));
    assert!(written(Format::Cef, &long).contains("x… cs5Label=pointer"));
    assert!(written(Format::Cef, &freeze(1)).contains("|freeze|Gateway event|8|"));
}

#[test]
fn logfmt_leaves_out_what_is_not_there_and_gives_back_what_is() {
    let text = written(Format::Logfmt, &hostile());
    assert!(
        text.starts_with("ts=2026-11-20T21:20:00.000001Z type=decision gateway=g seq=7 server=\"=a|b"),
        "{text}"
    );
    assert!(text.contains(r#" message="a = b, \"c\"" policy=0123456789ab args="{\"k\":"#), "{text}");
    assert!(!text.contains("session="), "{text}");
    // The value in quotes is JSON's, so it reads back.
    let from = text.find("tool=").expect("tool") + 5;
    let mut values = serde_json::Deserializer::from_str(&text[from..]).into_iter::<String>();
    let tool = values.next().expect("a value").expect("JSON");
    assert_eq!(tool, "=a|b\\c\"d,e`f\u{1b}[31m\u{202e}\nCEF:0|<img src=x>");
}

#[test]
fn counts_what_is_there_and_what_is_lost() {
    let mut stats = Stats::new(false);
    let allow = hostile().replace("\"deny\"", "\"allow\"");
    for text in [hostile(), outcome(8, 7, "ok", 2500), allow.replace("\"seq\":7", "\"seq\":12"), freeze(13)] {
        stats.see(&Line::parse(text.as_bytes()).expect("a record"), true);
    }
    stats.torn("g");
    let summary = stats.summary();
    assert_eq!((summary.records, summary.total.calls, summary.total.denied), (4, 2, 1));
    assert_eq!((summary.lost, summary.torn), (3, 1), "9, 10 and 11 are missing");
    assert_eq!(summary.tools.len(), 1);
    assert_eq!(summary.outcomes["ok"], 1);
    assert_eq!(summary.events["freeze"], 1);
    assert_eq!(summary.upstream.map(|it| (it.count, it.max_us)), Some((1, 2500.0)));
    assert_eq!(summary.decide.map(|it| (it.count, it.p50_us)), Some((2, 1.5)));
    assert!(!summary.gateways[0].1.stopped);
    // With a filter an outcome counts with its call, and every line tells of what is lost.
    let mut stats = Stats::new(true);
    let seen = [(hostile(), false), (outcome(8, 7, "ok", 2500), false), (freeze(9), true)];
    for (text, wanted) in &seen {
        stats.see(&Line::parse(text.as_bytes()).expect("a record"), *wanted);
    }
    let summary = stats.summary();
    assert_eq!((summary.records, summary.lost, summary.outcomes.len()), (1, 0, 0));
}

#[test]
fn names_without_end_are_bounded() {
    let mut stats = Stats::new(false);
    for n in 0..100_100_u64 {
        let text = format!(
            r#"{{"type":"decision","seq":{},"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"s","grant":"l","request_id":1,"method":"tools/call","tool":"t{n}","decision":"deny","rule":"r"}}"#,
            n + 1
        );
        stats.see(&Line::parse(text.as_bytes()).expect("a record"), true);
    }
    let summary = stats.summary();
    assert_eq!(summary.tools.len(), 100_001);
    assert_eq!(summary.tools[0].name, "(others)");
    assert_eq!(summary.tools[0].count.calls, 100);
}

#[test]
fn the_report_tells_what_happened() {
    let mut report = Report::new(true);
    for (text, wanted) in [(hostile(), true), (outcome(8, 7, "ok", 2500), false), (freeze(12), false)] {
        report.see(&Line::parse(text.as_bytes()).expect("a record"), wanted);
    }
    let frame = Frame { filter: "decision:deny", made: Timestamp(1_795_213_200_000_000), by: "ann" };
    let text = report.markdown(&frame);
    for wanted in [
        "Made 2026-11-20 22:20:00 by `ann`",
        "Only what the filter `decision:deny` matches",
        "**Incomplete:** lost records: 3, torn lines: 0",
        "| 2026-11-20 21:20:00 | minute: 1 **denied** |",
        "| 2026-11-20 21:22:30 | **freeze** by `ann`: `loop \\| <b>` `{\"tool\":\"t\"}` (gateway `g`) |",
        "| `0123456789ab` | 2026-11-20 21:20:00 |",
        "`g:7`",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    // Outside of code spans there is no HTML and nothing hidden.
    for (at, part) in text.split("``").enumerate() {
        assert!(at % 2 == 1 || !part.contains("<img"), "{part}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(cells >= 3, "{line}");
    }
}

#[test]
fn a_copied_call_is_one_request_and_one_shell_word() {
    let rlo = '\u{202e}';
    let args = format!(r#"{{"a":"it's $HOME `x` {rlo}","n":1.50}}"#);
    let request: serde_json::Value = serde_json::from_str(&copy::json_rpc("t'\u{1b}", &args)).expect("JSON");
    assert_eq!(request["params"]["name"], "t'\u{1b}");
    assert_eq!(request["params"]["arguments"]["a"], format!("it's $HOME `x` {rlo}"));
    let curl = copy::curl("t", &args);
    assert!(!curl.contains(rlo) && !curl.contains('\n'), "{curl:?}");
    assert!(curl.contains("${CALLGATE_TOKEN:?of the grant}"), "{curl}");
    assert!(copy::json_rpc("t", "").ends_with(r#"{"name":"t"}}"#));
}
