//! Suggestions from made-up and from real calls: they allow what they were learnt from, and little
//! else.

use proptest::prelude::*;

use super::learn::{Asked, EachLine, Learnt, NotLearnt, learn};
use super::*;
use crate::policy::compiled::Compiled;
use crate::policy::decide::{Call, Circumstances, Verdict};
use crate::policy::document::Document;
use crate::policy::lint::{lint, portable};

fn line(second: i64, tool: &str, decision: &str, args: &str) -> String {
    let ts = Timestamp::from_secs(1_700_000_000 + second);
    let tool = serde_json::to_string(tool).unwrap();
    format!(
        r#"{{"type":"decision","seq":1,"ts":"{ts}","gateway":"g","server":"s","grant":"a","request_id":1,"method":"tools/call","tool":{tool},"decision":"{decision}","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{args},"counters":[],"counted":true,"decide_us":1.5}}"#
    )
}

fn asked(profile: Profile) -> Asked {
    Asked { options: Options::of(profile), servers: Vec::new(), grant: None, tools: None, only_tools: false }
}

fn learnt(asked: &Asked, lines: &[String]) -> Learnt {
    let mut each = |each: &mut EachLine<'_>| -> Result<(), std::convert::Infallible> {
        for line in lines {
            each(line.as_bytes());
        }
        Ok(())
    };
    learn(asked, &mut std::io::Cursor::new(Vec::new()), &mut each).unwrap()
}

fn allows(text: &str, tool: &str, args: &str) -> bool {
    let compiled = Compiled::new(&Document::parse(text).valid().unwrap()).unwrap();
    let parsed = json::parse(args).unwrap();
    let call = Call { tool, arguments: Some(&parsed.root) };
    matches!(compiled.decide(&call, &Circumstances::default()), Verdict::Allow { .. })
}

#[test]
fn bounds_follow_what_was_seen() {
    let mut lines = Vec::new();
    for n in 0..30_i64 {
        let note = if n % 3 == 0 { format!(r#","note":"x-{n}""#) } else { String::new() };
        let args = format!(
            r#"{{"to":"{}","amount":{},"live":true,"items":[{{"sku":"AB{:03}","n":{}}}]{note},"token":{{"masked":"hmac-sha256:00","type":"string","length":9}}}}"#,
            ["eu", "us"][usize::try_from(n).unwrap() % 2],
            50 + n * 5,
            n * 7,
            1 + n % 4,
        );
        lines.push(line(n, "pay", "allow", &args));
    }
    lines.push(line(31, "pay", "deny", r#"{"to":"moon","amount":99999}"#));
    lines.push(line(32, "rare", "allow", r#"{"x":1}"#));
    let all = Asked { tools: Some(vec!["pay".to_owned(), "drop".to_owned()]), ..asked(Profile::Balanced) };
    let learnt = learnt(&all, &lines);
    assert_eq!((learnt.denies, learnt.suggestion.seen.calls, learnt.suggestion.seen.denied), (0, 31, 1));
    let text = &learnt.text;
    let document = Document::parse(text).valid().unwrap();
    let codes: Vec<_> = lint(&document, None).into_iter().map(|found| found.code).collect();
    assert_eq!(codes, ["unapproved"]);
    let args = |to: &str, amount: i64, items: &str, more: &str| {
        format!(r#"{{"to":"{to}","amount":{amount},"live":true,"items":[{items}]{more}}}"#)
    };
    let item = r#"{"sku":"AB777","n":2}"#;
    for (args, so) in [
        (args("eu", 100, item, ""), true),
        (args("us", 240, item, r#","note":"y-2""#), true),
        (args("moon", 100, item, ""), false),
        (args("eu", 1000, item, ""), false),
        (args("eu", -1, item, ""), false),
        (args("eu", 100, r#"{"sku":"AB777","n":9}"#, ""), false),
        (args("eu", 100, r#"{"sku":"drop","n":1}"#, ""), false),
        (args("eu", 100, &[item; 2].join(","), ""), true),
        (args("eu", 100, &[item; 3].join(","), ""), false),
        (args("eu", 100, item, r#","note":"$(rm)""#), false),
        (args("eu", 100, item, "").replace("true", "false"), false),
    ] {
        assert_eq!(allows(text, "pay", &args), so, "{args}\n{text}");
    }
    assert!(allows(text, "rare", r#"{"x":99}"#) && !allows(text, "drop", "{}"));
    assert!(text.contains("\"drop\"") && text.contains("UNAPPROVED: suggested from 31 allowed calls"));
    let open: Vec<_> = learnt.suggestion.open.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(open, ["args.token", "args.x"]);
    let limits: Vec<String> = learnt
        .suggestion
        .proposals
        .iter()
        .filter(|it| it.kind == ProposalKind::Limit && it.tool == "pay")
        .map(|it| format!("{} | {}", it.choices[0].text, it.evidence.text()))
        .collect();
    assert_eq!(limits, ["38 a day | 30 calls; peak 30 at 2023-11-14 00:00"]);
}

#[test]
fn portable_suggestions_are_portable() {
    let lines: Vec<String> = (0..20)
        .map(|n| line(n, "t", "allow", &format!(r#"{{"a":{n},"b.c":1,"d":[{{"e":"x"}}]}}"#)))
        .collect();
    let mut asked = asked(Profile::Strict);
    asked.options.portable = true;
    let learnt = learnt(&asked, &lines);
    let document = Document::parse(&learnt.text).valid().unwrap();
    assert_eq!(portable(&document), []);
    assert!(!allows(&learnt.text, "t", r#"{"a":50,"b.c":1,"d":[]}"#));
}

#[test]
fn profiles_and_margins() {
    let lines: Vec<String> =
        (0..20).map(|n| line(n, "t", "allow", &format!(r#"{{"a":{},"s":"k"}}"#, n + 1))).collect();
    let text = |profile, margin| {
        let mut asked = asked(profile);
        asked.options.margin = margin;
        learnt(&asked, &lines).text
    };
    assert!(!allows(&text(Profile::Strict, 10), "t", r#"{"a":23,"s":"k"}"#));
    assert!(allows(&text(Profile::Balanced, 25), "t", r#"{"a":25,"s":"k"}"#));
    assert!(!allows(&text(Profile::Balanced, 25), "t", r#"{"a":25,"s":"other"}"#));
    assert!(allows(&text(Profile::Open, 100), "t", r#"{"a":40,"s":"other"}"#));
}

#[test]
fn widening_and_dropping() {
    let lines: Vec<String> =
        (0..20).map(|n| line(n, "t", "allow", &format!(r#"{{"a":{n},"s":"k{}"}}"#, n % 2))).collect();
    let mut suggestion = learnt(&asked(Profile::Balanced), &lines).suggestion;
    let index = suggestion.proposals.iter().position(|it| it.path.as_deref() == Some("args.s")).unwrap();
    assert!(!allows(&suggestion.text().unwrap(), "t", r#"{"a":1,"s":"k7"}"#));
    assert!(suggestion.proposals[index].widen());
    assert!(allows(&suggestion.text().unwrap(), "t", r#"{"a":1,"s":"k7"}"#));
    while suggestion.proposals[index].widen() {}
    assert!(allows(&suggestion.text().unwrap(), "t", r#"{"a":1,"s":"k"}"#));
    let refused = |pointer: &str| [(pointer.to_owned(), "why".to_owned())].into();
    assert_eq!(suggestion.refute(&refused("/tools/t/deny_if/0")), 1);
    assert!(allows(&suggestion.text().unwrap(), "t", r#"{"a":1,"s":"!"}"#));
    assert_eq!(suggestion.refute(&refused("/tools/none/deny_if/0")), 0);
}

#[test]
fn only_what_was_asked_for_counts() {
    let lines = [line(0, "t", "allow", "{}"), line(1, "u", "deny", "{}"), "rubbish".to_owned()];
    let other = Asked { grant: Some("b".to_owned()), ..asked(Profile::Balanced) };
    let mut each = |each: &mut EachLine<'_>| -> Result<(), std::convert::Infallible> {
        for line in &lines {
            each(line.as_bytes());
        }
        Ok(())
    };
    let store = || std::io::Cursor::new(Vec::new());
    assert!(matches!(learn(&other, &mut store(), &mut each), Err(NotLearnt::NoCalls)));
    let tools = Some(vec!["u".to_owned()]);
    let not_listed = Asked { only_tools: true, tools, ..asked(Profile::Balanced) };
    assert!(matches!(learn(&not_listed, &mut store(), &mut each), Err(NotLearnt::NoCalls)));
    let fitting = Asked { servers: vec!["s".to_owned()], grant: Some("a".to_owned()), ..other };
    assert_eq!(learn(&fitting, &mut store(), &mut each).unwrap().suggestion.seen.calls, 1);
    let broken = learn(&fitting, &mut store(), &mut |_| Err("broken"));
    assert!(matches!(broken, Err(NotLearnt::Lines("broken"))));
    let full = learn(&fitting, &mut std::io::Cursor::new([0_u8; 3]), &mut each);
    assert!(matches!(full, Err(NotLearnt::Store(_))));
}

/// Arguments of many kinds, some of them odd.
fn arguments() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        (-1000_i32..1000).prop_map(|n| n.to_string()),
        (-1000.0_f64..1000.0).prop_map(|n| n.to_string()),
        Just("1e400".to_owned()),
        "[a-c]{0,2}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[A-Z]{3}[0-9]{1,4}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#"{"masked":"hmac-sha256:00","type":"string","length":9}"#.to_owned()),
        Just(r#"{"cut":70000}"#.to_owned()),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((prop::sample::select(vec!["a", "A", "b.c", "0", ""]), inner), 0..3)
                .prop_map(|members| object(&members)),
        ]
    });
    prop::collection::vec((prop::sample::select(vec!["x", "y", "X", "list"]), value), 0..4)
        .prop_map(|members| object(&members))
}

fn object(members: &[(&str, String)]) -> String {
    let mut seen = Vec::new();
    let mut out = String::from("{");
    for (name, value) in members {
        if seen.contains(name) {
            continue;
        }
        if !seen.is_empty() {
            out.push(',');
        }
        seen.push(name);
        out.push_str(&format!("{}:{value}", serde_json::to_string(name).unwrap()));
    }
    out.push('}');
    out
}

proptest! {
    /// Whatever was allowed, the suggested policy allows: arguments of any kind, at any rate.
    #[test]
    fn what_was_allowed_stays_allowed(
        calls in prop::collection::vec((0_i64..4000, prop::sample::select(vec!["t", "a/b~c", "é"]), arguments()), 1..60),
        profile in prop::sample::select(vec![Profile::Strict, Profile::Balanced, Profile::Open]),
        margin in 0_u32..50,
    ) {
        let mut now = 0;
        let lines: Vec<String> = calls
            .iter()
            .map(|(step, tool, args)| {
                now += step / 40;
                line(now, tool, "allow", args)
            })
            .collect();
        let mut asked = asked(profile);
        asked.options.margin = margin;
        let learnt = learnt(&asked, &lines);
        prop_assert_eq!(learnt.denies, 0, "{}", learnt.text);
    }
}

proptest! {
    /// Arguments that come again are looked at once; that changes neither what is suggested nor what
    /// a trial finds.
    #[test]
    fn what_comes_again_counts_as_if_it_were_looked_at_each_time(
        pool in prop::collection::vec((prop::sample::select(vec!["t", "u"]), arguments()), 1..6),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0_i64..90), 1..120),
        profile in prop::sample::select(vec![Profile::Strict, Profile::Balanced]),
    ) {
        let (mut quick, mut plain, mut half) = (Study::new(), Study::without_repeats(), Study::new());
        let mut now = 0;
        let mut calls = Vec::new();
        for (at, (pick, step)) in picks.iter().enumerate() {
            now += step / 30;
            let (tool, args) = pick.get(&pool);
            let caller = Caller { server: "s", grant: "g", session: None };
            let used = Used { ts: Timestamp::from_secs(now), caller, tool, args: Some(args) };
            calls.push((used, quick.call(&used)));
            prop_assert_eq!(plain.call(&used), None);
            if at < 4 {
                half.call(&used);
            }
        }
        let options = Options::of(profile);
        prop_assert_eq!(quick.suggest(options, None), plain.suggest(options, None));
        // A policy that denies some of them.
        let text = half.suggest(options, None).text().unwrap();
        let compiled = Compiled::new(&Document::parse(&text).valid().unwrap()).unwrap();
        let (mut numbered, mut spelt) = (Trial::new(&compiled), Trial::new(&compiled));
        for (used, number) in &calls {
            prop_assert_eq!(numbered.call(used, *number), spelt.call(used, None), "{:?}\n{}", used, text);
        }
        prop_assert_eq!(numbered.refusals(), spelt.refusals());
        prop_assert_eq!(numbered.denied(), spelt.denied());
    }
}

/// The real calls of an airline's agent, where they are at hand.
#[test]
fn real_traffic_is_allowed_and_little_else() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/traffic/airline-gpt4o.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let lines: Vec<String> = (0_i64..)
        .zip(text.lines())
        .map(|(n, text)| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let params = &value["request"]["params"];
            line(n * 7, params["name"].as_str().unwrap(), "allow", &params["arguments"].to_string())
        })
        .collect();
    assert_eq!(lines.len(), 1164);
    let learnt = learnt(&asked(Profile::Balanced), &lines);
    assert_eq!((learnt.denies, learnt.suggestion.seen.calls), (0, 1164));
    let dropped: Vec<_> = learnt.suggestion.proposals.iter().filter(|it| !it.in_force()).collect();
    assert_eq!(dropped, Vec::<&Proposal>::new());
    let text = &learnt.text;
    for (tool, args, so) in [
        ("get_user_details", r#"{"user_id":"mia_li_3668"}"#, true),
        ("get_user_details", r#"{"user_id":"new_person_1234"}"#, true),
        ("get_user_details", r#"{"user_id":"' OR 1=1 --"}"#, false),
        ("get_user_details", "{}", false),
        ("get_reservation_details", r#"{"reservation_id":"../../etc"}"#, false),
        ("calculate", r#"{"expression":"2 * (3 + 4)"}"#, true),
        ("calculate", r#"{"expression":"__import__('os')"}"#, false),
        ("send_certificate", r#"{"user_id":"mei_brown_7075","amount":200}"#, true),
        ("send_certificate", r#"{"user_id":"mei_brown_7075","amount":5000}"#, false),
        ("delete_everything", "{}", false),
    ] {
        assert_eq!(allows(text, tool, args), so, "{tool} {args}");
    }
}
