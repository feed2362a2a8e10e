//! What the Live and Counters screens look like, as text, in the usual sizes, and without colour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::sync::Arc;

use callgate::feed::message::{GrantInfo, Hello, PROTOCOL, Role, ServerCounter, ServerInfo, State};
use callgate::record::{CounterState, Record};
use callgate::tui::app::{FeedMsg, Msg, Row};
use callgate::tui::theme::{Depth, Theme};
use tui_support::{POLICY, Ui, has_color, now, tools};

fn row(line: &str) -> Row {
    Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).expect(line) }
}

fn decision(seq: u64, tool: &str, verdict: &str, rule: &str, message: &str, args: &str) -> Row {
    row(&format!(
        r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:19:{:02}.250000Z","gateway":"g1","server":"git","grant":"local","session":"s1","client":"agent 1.0","request_id":1,"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"{rule}","pointer":null,"message":"{message}","policy":"0123456789ab","args":{args},"counters":[{{"counter":"push_branch_rate","scope":"grant","key":"local","window":3600,"used":20,"max":20,"resets_at":"2026-11-20T22:00:00.000000Z"}}],"counted":true,"decide_us":1.0}}"#,
        seq % 60
    ))
}

fn outcome(seq: u64, call: u64, status: &str) -> Row {
    row(&format!(
        r#"{{"type":"outcome","seq":{seq},"ts":"2026-11-20T21:19:59.000000Z","gateway":"g1","call":{call},"status":"{status}","upstream_us":31250,"bytes":812,"released":false}}"#
    ))
}

fn records() -> Vec<Row> {
    let message =
        "No more than twenty pushes an hour: collect what you have into one push and try again later.";
    let long = format!(
        r#"{{"branch":"main","force":true,"files":["src/main.rs","README.md"],"note":"{}"}}"#,
        "many words that do not fit into one line of any pane ".repeat(6)
    );
    vec![
        row(
            r#"{"type":"event","seq":1,"ts":"2026-11-20T21:18:59.000000Z","gateway":"g1","kind":"start","data":{"name":"git","command":["npx","git-server"]}}"#,
        ),
        decision(2, "list_branches", "allow", "", "", r#"{"repo":"acme/widgets"}"#),
        outcome(3, 2, "ok"),
        decision(4, "push_branch", "allow", "", "", r#"{"repo":"acme/widgets","branch":"topic"}"#),
        outcome(5, 4, "tool_error"),
        decision(6, "push_branch", "deny", "/tools/push_branch/limits/push_branch_rate", message, &long),
        decision(7, "delete_repository", "deny", "(hidden)", "Unknown tool", r#"{"repo":"a\u202eb"}"#),
        row(
            r#"{"type":"event","seq":8,"ts":"2026-11-20T21:19:30.000000Z","gateway":"g1","kind":"freeze","by":"kim","reason":"leak","data":{"tool":"push_branch"}}"#,
        ),
        decision(9, "run_command", "approve", "/tools/run_command/action", "", r#"{"command":"ls"}"#),
        decision(10, "list_branches", "allow", "", "", r#"{"repo":"acme/gadgets"}"#),
    ]
}

fn with(size: (u16, u16), theme: Theme) -> Ui {
    let mut ui = Ui::start(Some(POLICY), tools(), size, theme, false);
    let hello = Hello {
        protocol: PROTOCOL.to_owned(),
        gateway: "g1".to_owned(),
        name: "git".to_owned(),
        host: "desk".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        role: Role::Operator,
        next_seq: 1,
        oldest_seq: 1,
        servers: vec![ServerInfo {
            name: "git".to_owned(),
            upstream: "npx git-server".to_owned(),
            grants: vec![GrantInfo {
                label: "local".to_owned(),
                policy: Some("/home/kim/policy.json".to_owned()),
                revision: None,
                shadow: None,
            }],
        }],
    };
    ui.send(Msg::Feed(FeedMsg::Connected(1, Arc::new(hello))));
    ui.send(Msg::Feed(FeedMsg::Records(1, records().into())));
    let counter = |name: &str, window: u64, used: &str, max: &str| ServerCounter {
        server: "git".to_owned(),
        state: CounterState {
            counter: name.to_owned(),
            scope: "grant".to_owned(),
            key: "local".to_owned(),
            window,
            used: callgate::policy::counter::Amount::parse(used).unwrap(),
            max: callgate::policy::counter::Amount::parse(max).unwrap(),
            resets_at: now(0).ts.plus_micros(i64::try_from(window).unwrap() * 500_000),
        },
    };
    let counters = vec![
        counter("push_branch_rate", 3600, "20", "20"),
        counter("all_calls", 60, "100", "120"),
        counter("refunded", 86_400, "19.99", "150"),
    ];
    ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(State::Counters { ts: now(0).ts, counters }))));
    ui
}

/// A place on the screens, by the keys that lead to it.
const PLACES: [(&str, &str); 18] = [
    ("following", "2"),
    ("paused", "2 k k"),
    ("detail", "2 k k k k enter"),
    ("detail_scrolled", "2 k k k k enter pgdn"),
    ("typing", "2 f 'decision:deny'"),
    ("typing_wrong", "2 f 'decison:deny'"),
    ("filtered", "2 f 'tool:push_*' enter"),
    ("counters", "3"),
    ("completing", "2 f 'tool:pu' tab"),
    ("searched", "2 / 'acme' enter ,"),
    ("by_tool", "2 b j"),
    ("by_minute_denied_first", "2 b b b b b b r"),
    ("time_axis", "2 w + ["),
    ("repeats", "2 c g"),
    ("marked_and_noted", "2 k k m k i 'why?' enter *"),
    ("inside_the_detail", "2 k k k k enter enter pgdn pgdn j j j"),
    ("folded", "2 k k k k enter enter j j j j j j j j j j j enter"),
    ("ago", "2 T"),
];

fn place(name: &str, keys: &str, size: (u16, u16), theme: &Theme) -> (String, bool) {
    let mut ui = with(size, theme.clone());
    ui.buffer();
    ui.keys(keys);
    let buffer = ui.buffer();
    let text = tui_support::text_of(&buffer);
    assert!(!text.trim().is_empty(), "{name}");
    (text, has_color(&buffer))
}

#[test]
fn live_80x24() {
    let theme = Theme::new(Depth::True, false, true);
    for (name, keys) in PLACES {
        insta::assert_snapshot!(format!("80x24_{name}"), place(name, keys, (80, 24), &theme).0);
    }
}

#[test]
fn live_160x45() {
    let theme = Theme::new(Depth::True, false, true);
    for (name, keys) in [PLACES[0], PLACES[2], PLACES[7], PLACES[10], PLACES[12], PLACES[15]] {
        insta::assert_snapshot!(format!("160x45_{name}"), place(name, keys, (160, 45), &theme).0);
    }
}

#[test]
fn live_200x60_and_ascii_alone() {
    let theme = Theme::new(Depth::True, true, true);
    for (name, keys) in [PLACES[0], PLACES[2], PLACES[11]] {
        insta::assert_snapshot!(format!("200x60_{name}"), place(name, keys, (200, 60), &theme).0);
    }
    let ascii = Theme::new(Depth::None, false, false);
    for (name, keys) in [PLACES[0], PLACES[10], PLACES[12], PLACES[15]] {
        let (text, _) = place(name, keys, (120, 36), &ascii);
        // What gateways and policies say keeps its own characters; the screen adds none.
        let foreign: String = text.chars().filter(|c| !c.is_ascii() && !"·µ…".contains(*c)).collect();
        assert!(foreign.is_empty(), "{name}: {foreign}\n{text}");
        insta::assert_snapshot!(format!("ascii_{name}"), text);
    }
}

#[test]
fn without_colour_the_words_are_the_same_and_nothing_is_raw() {
    let colour = Theme::new(Depth::Ansi16, false, true);
    let mono = Theme::new(Depth::None, false, true);
    for size in [(80, 24), (160, 45), (41, 11)] {
        for (name, keys) in PLACES {
            let (with, colours) = place(name, keys, size, &colour);
            let (without, none) = place(name, keys, size, &mono);
            assert!(colours && !none, "{name}");
            assert_eq!(with, without, "{name}");
            assert!(!with.contains('\u{202e}'), "{name}");
        }
    }
}

#[test]
fn a_detail_can_be_read_to_its_end() {
    let mut ui = with((80, 24), Theme::new(Depth::None, false, true));
    ui.buffer();
    ui.keys("2 k k k k enter");
    let mut seen = ui.screen();
    assert!(seen.contains("collect what you have"), "{seen}");
    for _ in 0..30 {
        ui.keys("pgdn");
        seen = ui.screen();
    }
    assert!(seen.contains("number 6 of its gateway"), "{seen}");
    ui.keys("pgup");
    assert_ne!(ui.screen(), seen, "the way back begins at once");
}

#[test]
fn gateways_that_come_over_one_feed_keep_their_numbers_apart() {
    let of = |gateway: &str, row: Row| -> Row {
        let text = String::from_utf8(row.line.to_vec()).unwrap();
        self::row(&text.replace(r#""gateway":"g1""#, &format!(r#""gateway":"{gateway}""#)))
    };
    let mut ui = Ui::with(None, tools(), (80, 24), Depth::None);
    let rows = vec![
        of("a", decision(1, "of_a", "allow", "", "", "{}")),
        of("b", decision(1, "of_b", "allow", "", "", "{}")),
        of("b", decision(2, "second_of_b", "allow", "", "", "{}")),
        of("b", outcome(3, 1, "tool_error")),
        of("a", outcome(2, 1, "ok")),
    ];
    ui.send(Msg::Feed(FeedMsg::Records(1, rows.into())));
    let ring = &ui.app.live.live.ring;
    let ended: Vec<_> = (ring.first()..ring.next())
        .map(|id| ring.get(id).unwrap())
        .map(|row| (ring.names.text(row.tool).to_owned(), row.ended.map(|ended| ended.status)))
        .collect();
    let expected = [
        ("of_a".to_owned(), Some(callgate::record::Status::Ok)),
        ("of_b".to_owned(), Some(callgate::record::Status::ToolError)),
        ("second_of_b".to_owned(), None),
    ];
    assert_eq!(ended, expected);
}

#[test]
fn a_limit_that_comes_near_is_said_on_every_screen_and_the_threshold_can_be_changed() {
    let mut ui = with((100, 30), Theme::new(Depth::True, false, true));
    let state = |ui: &mut Ui, used: &str| {
        let resets = now(0).ts.plus_micros(600_000_000);
        let state = CounterState {
            counter: "pull_rate".to_owned(),
            scope: "grant".to_owned(),
            key: "ci".to_owned(),
            window: 3600,
            used: callgate::policy::counter::Amount::parse(used).unwrap(),
            max: callgate::policy::counter::Amount::parse("100").unwrap(),
            resets_at: resets,
        };
        let counters = vec![ServerCounter { server: "docker".to_owned(), state }];
        let ts = now(ui.ms).ts;
        ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(State::Counters { ts, counters }))));
    };
    let said = |ui: &Ui| ui.app.toasts.iter().map(|toast| toast.text.clone()).collect::<Vec<_>>().join("|");
    ui.keys("1");
    state(&mut ui, "50");
    ui.ms = 20_000;
    state(&mut ui, "79");
    assert!(!said(&ui).contains("pull_rate"), "{}", said(&ui));
    ui.ms = 21_000;
    state(&mut ui, "81");
    assert!(said(&ui).contains("pull_rate of docker (grant ci): 81/100, full in"), "{}", said(&ui));
    // From 90 % on it would be said again; with no threshold nothing is.
    ui.keys("3 w");
    assert!(said(&ui).contains("90 %"), "{}", said(&ui));
    ui.ms = 40_000;
    state(&mut ui, "91");
    assert!(said(&ui).contains("91/100"), "{}", said(&ui));
    ui.keys("w w");
    assert!(said(&ui).contains("nothing is said"), "{}", said(&ui));
    // The selection stays with its counter, whatever the order.
    ui.keys("g j s");
    let selected = ui.app.counters_screen.selected.clone();
    assert!(selected.is_some());
    ui.keys("s");
    assert_eq!(ui.app.counters_screen.selected, selected);
    ui.keys("enter");
    assert!(ui.screen().contains("outlook"), "{}", ui.screen());
}
