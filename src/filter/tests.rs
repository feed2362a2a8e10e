use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn view() -> View<'static> {
    View {
        kind: Kind::Call(Verdict::Deny),
        ts: Timestamp(NOW.0 - 600_000_000),
        tool: "ghcr_push",
        rule: "/tools/ghcr_push/require/args.image-regex",
        grant: "agent-1",
        server: "docker",
        gateway: "abc",
        session: "s1",
        client: "probe 0",
        method: "tools/call",
        message: "Push to ghcr.io/acme only.",
        args: r#"{"image":"docker.io/evil/x","amount":100.50,"tags":["a","latest"],"opts":{"force":true},"a.b":1}"#,
        status: Some(Status::ToolError),
        shadow: Some(Verdict::Allow),
    }
}

fn matches(text: &str) -> bool {
    Filter::parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&view())
}

#[test]
fn terms_hold() {
    for text in [
        "",
        "   ",
        "tool:ghcr_push",
        "tool:GHCR_*",
        "tool:*push",
        "tool:*r_p*",
        "tool:pull,ghcr_push",
        "decision:deny",
        "decision:allow,DENY",
        "rule:*require*",
        "rule:/tools/ghcr_push/require/args.image-regex",
        "rule:/require.args/",
        "rule:/image-(regex|eq)$/",
        "server:docker grant:agent-*",
        "-tool:pull",
        "!decision:allow",
        "status:tool_error",
        "kind:call",
        "method:tools/call",
        "client:\"probe 0\"",
        "message:\"Push to ghcr.io/acme only.\"",
        "evil",
        "\"to ghcr.io\"",
        "-nowhere",
        "arg.image:*evil*",
        "arg.image:/^docker\\.io\\//",
        "arg.amount:>100",
        "arg.amount:>=100.5",
        "arg.amount:<100.51",
        "arg.amount:100.50",
        "arg.tags:latest",
        "arg.tags.1:latest",
        "arg.opts.force:true",
        "args.opts.force:true",
        "arg.image:*",
        "-arg.missing:*",
        "arg.a\\.b:1",
        "since:15m",
        "-since:5m",
        "until:5m",
        "since:1970-01-12T13:30:00Z",
        "push deny*",
        "*push*",
    ] {
        if text == "push deny*" {
            assert!(!matches(text), "{text}");
        } else {
            assert!(matches(text), "{text}");
        }
    }
}

#[test]
fn terms_do_not_hold() {
    for text in [
        "tool:push",
        "tool:ghcr",
        "decision:allow",
        "rule:require",
        "grant:agent",
        "evil nowhere",
        "arg.amount:>100.5",
        "arg.amount:<100",
        "arg.image:evil",
        "arg.missing:x",
        "arg.tags.0:latest",
        "arg.opts:true",
        "kind:event",
        "status:ok",
        "-evil",
        "since:5m",
        "arg.image:>1",
    ] {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn events_are_filtered_by_kind_reason_and_person() {
    let event = View {
        kind: Kind::Event(EventKind::Freeze),
        tool: "",
        message: "looks like a loop",
        grant: "ana",
        args: r#"{"server":"docker"}"#,
        ..view()
    };
    for (text, expected) in [
        ("kind:event", true),
        ("kind:freeze", true),
        ("kind:unfreeze,freeze", true),
        ("kind:call", false),
        ("loop", true),
        ("decision:deny", false),
        ("-decision:allow", true),
        ("grant:ana", true),
        ("arg.server:docker", true),
    ] {
        assert_eq!(Filter::parse(text, NOW).expect(text).matches(&event), expected, "{text}");
    }
}

#[test]
fn errors_say_what_where_and_what_instead() {
    for (text, part, says) in [
        ("tol:x", "tol", "did you mean `tool`?"),
        ("tool:a descision:deny", "descision", "did you mean `decision`?"),
        ("decision:denny", "denny", "did you mean `deny`?"),
        ("decision:x", "x", "allow, deny, approve"),
        ("tool:", "", "write `tool:something`"),
        ("tool:a,,b", "a,,b", "quotes"),
        ("\"open", "\"open", "end it with \""),
        ("rule:/(/", "/(/", ""),
        ("since:soon", "soon", "15m"),
        ("arg.amount:>lots", ">lots", "compare with a number"),
        ("arg.:x", "x", "arg.NAME"),
        ("http://x", "http", "quotes"),
    ] {
        let error = Filter::parse(text, NOW).expect_err(text);
        assert_eq!(error.span.of(text), part, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn completes_fields_and_values() {
    let known = Known { tools: vec!["ghcr_push".into(), "two words".into()], ..Known::default() };
    let texts = |text: &str| {
        complete(text, text.len(), &known).into_iter().map(|c| (c.from, c.text)).collect::<Vec<_>>()
    };
    assert_eq!(texts("de"), [(0, "decision:".to_owned())]);
    assert_eq!(texts("x -to"), [(3, "tool:".to_owned())]);
    assert_eq!(texts("tool:gh"), [(5, "ghcr_push".to_owned())]);
    assert_eq!(texts("tool:\"t"), [(5, "\"two words\"".to_owned())]);
    assert_eq!(texts("decision:deny,a"), [(14, "allow".to_owned()), (14, "approve".to_owned())]);
    assert!(texts("zzz").is_empty());
}

proptest! {
    #[test]
    fn is_total(text in "\\PC{0,40}") {
        check(&text);
    }

    #[test]
    fn is_total_on_what_looks_like_a_filter(text in "((-|!)?(tool|arg\\.x|rule|since|kind|decision|zz):?[a-z*/\"\\\\,><0-9.(ſK]{0,6} ?){0,6}") {
        check(&text);
    }

    #[test]
    fn negation_is_the_opposite(word in "[a-z_*]{1,8}") {
        prop_assert_ne!(matches(&format!("tool:{word}")), matches(&format!("-tool:{word}")));
        prop_assert_ne!(matches(&word), matches(&format!("-{word}")));
    }

    #[test]
    fn a_glob_of_its_own_parts_matches(a in "[a-zß-ÿ]{0,5}", b in "[a-zK]{0,5}", c in "[a-z]{0,5}") {
        let text = format!("{a}{b}{c}");
        let ends = super::text::Pattern::glob(&format!("{a}*{c}")).expect("small");
        prop_assert!(ends.matches(&text));
        let upper = text.to_ascii_uppercase();
        let middle = super::text::Pattern::glob(&format!("*{b}*")).expect("small");
        prop_assert!(middle.matches(&upper));
    }
}

/// Whether the filter's needles let a line through.
fn passes(filter: &Filter, line: &str) -> bool {
    filter.needles().iter().all(|needle| needle.is_match(line.as_bytes()))
}

/// Whether the filter matches a line that was read.
fn reads(filter: &Filter, line: &str) -> bool {
    Line::parse(line.as_bytes())
        .is_ok_and(|line| View::of_line(&line).is_some_and(|view| filter.matches(&view)))
}

#[test]
fn needles_pass_over_other_lines_and_never_over_one_that_matches() {
    let line = |members: &str| {
        format!(r#"{{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g",{members}}}"#)
    };
    let other =
        line(r#""server":"s","grant":"l","tool":"push","decision":"allow","rule":"","args":{"a":"b\n"}"#);
    for (text, members) in [
        ("tool:pull", r#""tool":"PULL","decision":"allow""#),
        ("tool:pull", r#""tool": "pull","decision":"allow""#),
        ("tool:pull", r#""tool":"p\u0075ll","decision":"allow""#),
        ("tool:pull", r#""t\u006fol":"pull","decision":"allow""#),
        ("tool:ask", "\"tool\":\"a\u{17f}\u{212a}\",\"decision\":\"allow\""),
        ("tool:ask", r#""tool":"a\u017fk","decision":"allow""#),
        ("tool:größe,x", r#""tool":"GRÖẞE","decision":"allow""#),
        ("tool:a*b*c", r#""tool":"A-B\"-c","decision":"allow""#),
        ("tool:\"a\\\"b\"", r#""tool":"a\"b","decision":"allow""#),
        ("decision:deny", r#""tool":"x","decision":"deny""#),
        ("decision:deny", r#""tool":"x","decision":"d\u0065ny""#),
        ("decision:deny", r#""tool":"x","decision" : "deny""#),
        ("rule:/tools/*", r#""tool":"x","decision":"allow","rule":"\/tools\/x""#),
        ("shadow:deny", r#""tool":"x","decision":"allow","shadow": {"decision":"deny"}"#),
        ("arg.image:*", r#""tool":"x","decision":"allow","args":{"image" :"é"}"#),
        ("arg.image:*", r#""tool":"x","decision":"allow","args":{"i\u006dage":"é"}"#),
        ("arg.a\\.b:1", r#""tool":"x","decision":"allow","args":{"a.b":1}"#),
        ("refund", r#""tool":"x","decision":"allow","args":{"why":"REFUND"}"#),
        ("refund", r#""tool":"x","decision":"allow","message":"\"re\u0066und\"""#),
        ("\"a\\\"b\"", r#""tool":"a\"b","decision":"allow""#),
    ] {
        let filter = Filter::parse(text, NOW).expect(text);
        let line = line(members);
        assert!(reads(&filter, &line), "{text}: {line}");
        assert!(passes(&filter, &line), "{text}: {line}");
        assert!(!filter.needles().is_empty() && !passes(&filter, &other), "{text}");
    }
    for text in ["-decision:deny", "-tool:x", "", "tool:*", "tool:\"\"", "tool:/x/", "since:1m"] {
        let filter = Filter::parse(text, NOW).expect(text);
        assert!(filter.needles().is_empty(), "{text}");
    }
    for (text, may) in
        [("tool:x", false), ("tool:*", true), ("-tool:x", true), ("status:ok", true), ("refund", false)]
    {
        assert_eq!(Filter::parse(text, NOW).expect(text).may_be_outcome(), may, "{text}");
    }
}

/// The same character in another case, as an escape, or as it is.
fn spelt(text: &str, ways: &[u8]) -> String {
    let mut out = String::new();
    for (c, way) in text.chars().zip(ways.iter().cycle()) {
        let c = match way % 7 {
            0 => c.to_ascii_uppercase(),
            1 if c == 's' => '\u{17f}',
            1 | 2 if c == 'k' => '\u{212a}',
            _ => c,
        };
        if way % 11 == 3 || matches!(c, '"' | '\\') || c < ' ' {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn with_and_without_needles_the_same_lines_match(
        field in proptest::sample::select(vec![
            "tool:", "rule:", "grant:", "server:", "message:", "client:", "arg.ask:", "arg.ß:", "decision:",
            "kind:", "",
        ]),
        value in "(ask|task|a|s\\*k|\\*|k,a|\"a k\"|ſ|deny|freeze|a\\\\k|/a.k/){1,2}",
        name in proptest::sample::select(vec![
            "tool", "rule", "grant", "server", "message", "client", "by", "reason", "args", "data", "decision",
        ]),
        text in "(ask|task|s|K|a k|a/k|deny|freeze|\"|\\\\|ß){0,3}",
        ways in proptest::collection::vec(any::<u8>(), 1..9),
        kind in proptest::sample::select(vec!["decision", "event", "outcome"]),
        space in proptest::sample::select(vec!["", "", " ", "\t"]),
    ) {
        let Ok(filter) = Filter::parse(&format!("{field}{value}"), NOW) else { return Ok(()) };
        let spelling = spelt(&text, &ways);
        let body = match name {
            "args" => format!("{{\"{spelling}\"{space}:{space}[\"{spelling}\"],\"ask\":\"{spelling}\"}}"),
            "data" => format!("{{\"server\":{space}\"{spelling}\"}}"),
            _ => format!("\"{spelling}\""),
        };
        let name = if ways[0] % 5 == 0 { spelt(name, &[5, 3]) } else { name.to_owned() };
        let mut line = format!(
            r#"{{"type":{space}"{kind}","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g""#
        );
        if kind == "event" {
            line.push_str(r#","kind":"freeze""#);
        } else if name != "decision" {
            line.push_str(r#","decision":"deny""#);
        }
        let _ = write!(line, ",\"{name}\"{space}:{space}{body}}}");
        prop_assert!(!reads(&filter, &line) || passes(&filter, &line), "{field}{value}: {line}");
        let ended = r#"{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","status":"ok"}"#;
        prop_assert!(!reads(&filter, ended) || filter.may_be_outcome(), "{field}{value}");
    }
}

#[test]
fn a_shadow_is_compared_with_what_was_decided() {
    let same = View { shadow: Some(Verdict::Deny), ..view() };
    let none = View { shadow: None, ..view() };
    for (text, differs, same_, without) in [
        ("shadow:differs", true, false, false),
        ("shadow:same", false, true, false),
        ("shadow:allow", true, false, false),
        ("shadow:deny,approve", false, true, false),
        ("-shadow:differs", false, true, true),
        ("shadow:differs,same", true, true, false),
    ] {
        let filter = Filter::parse(text, NOW).expect(text);
        let found = [view(), same, none].map(|view| filter.matches(&view));
        assert_eq!(found, [differs, same_, without], "{text}");
    }
    assert!(Filter::parse("shadow:differ", NOW).unwrap_err().help.unwrap().contains("differs"));
    assert!(!Filter::parse("shadow:same", NOW).expect("reads").needles().is_empty());
}
