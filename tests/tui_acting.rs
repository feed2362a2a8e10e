//! Acting on a row of the Live screen: the rules it gives, copies, exports, freezes, and that
//! `--read-only` takes away whatever changes something.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::sync::Arc;

use callgate::feed::message::Ask;
use callgate::policy::document::Document;
use callgate::record::Record;
use callgate::replay::{Changed, Report};
use callgate::tui::action;
use callgate::tui::app::acting::export::{Export, Outcome, What};
use callgate::tui::app::acting::{ActingEffect, ActingMsg};
use callgate::tui::app::impact::{ImpactEffect, ImpactMsg, Slot, Whose};
use callgate::tui::app::layer::Layer;
use callgate::tui::app::policy::{PolicyEffect, PolicyMsg};
use callgate::tui::app::{Effect, FeedMsg, Hit, Mouse, Msg, Row, Screen};
use callgate::tui::theme::{Depth, Theme};
use tui_support::{POLICY, Ui, hello, tools};

fn row(seq: u64, tool: &str, verdict: &str, pointer: &str, args: &str) -> Row {
    let rule = pointer.replace("/deny_if/0", "/deny_if/args.branch-in");
    let line = format!(
        r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:19:{:02}.250000Z","gateway":"g1","server":"git","grant":"local","client":"agent 1.0","request_id":{seq},"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"{rule}","pointer":"{pointer}","message":"","policy":"0123456789ab","args":{args},"counters":[],"counted":false,"decide_us":1.0}}"#,
        seq % 60
    );
    Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).expect(&line) }
}

fn rows() -> Vec<Row> {
    vec![
        row(1, "list_branches", "allow", "/tools/list_branches", r#"{"repo":"acme/widgets"}"#),
        row(2, "list_branches", "allow", "/tools/list_branches", r#"{"repo":"acme/gadgets"}"#),
        row(
            3,
            "push_branch",
            "deny",
            "/tools/push_branch/deny_if/0",
            r#"{"repo":"acme/widgets","branch":"release"}"#,
        ),
        row(4, "list_branches", "allow", "/tools/list_branches", r#"{"repo":"acme/widgets","page":2}"#),
    ]
}

fn live(size: (u16, u16), theme: Theme, read_only: bool) -> Ui {
    let mut ui = Ui::start(Some(POLICY), tools(), size, theme, read_only);
    ui.send(Msg::Feed(FeedMsg::Connected(1, Arc::new(hello()))));
    ui.send(Msg::Feed(FeedMsg::Records(1, rows().into())));
    ui.keys("2");
    ui.effects.clear();
    ui
}

fn start() -> Ui {
    live((80, 24), Theme::new(Depth::True, false, true), false)
}

#[test]
fn dialogs_look_right() {
    for (name, size) in [("80x24", (80, 24)), ("200x60", (200, 60))] {
        for (what, keys) in
            [("ladder_of_an_allow", "n"), ("ladder_of_a_deny", "k n"), ("copy", "y"), ("export", "e")]
        {
            let mut ui = live(size, Theme::new(Depth::None, false, true), false);
            ui.keys(keys);
            insta::assert_snapshot!(format!("{name}_{what}"), ui.screen());
        }
    }
}

#[test]
fn a_rung_goes_into_the_draft_and_back_and_is_reviewed() {
    let mut ui = start();
    ui.keys("n");
    let screen = ui.screen();
    assert!(screen.contains("New rule in policy.json") && screen.contains("same beginning"), "{screen}");
    ui.keys("down enter");
    let text = ui.text();
    assert!(text.contains(r#""path": "args.repo", "op": "eq", "value": "acme/widgets""#), "{text}");
    assert!(Document::parse(&text).valid().is_ok());
    let words = ui.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("u takes it back"), "{words}");
    // Undo and the review work here, too: the draft is one.
    ui.keys("u");
    assert_eq!(ui.text(), POLICY);
    ui.keys("n tab");
    assert!(ui.screen().contains("require approval of list_branches"), "{}", ui.screen());
    ui.keys("G enter ctrl-s");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Review(_))));
    ui.keys("enter");
    assert!(ui.write().expect("it is written").contains("approve_if"));
}

#[test]
fn each_rung_shows_what_it_changes_on_recorded_calls() {
    let mut ui = start();
    ui.keys("n");
    assert!(ui.screen().contains("replaying a day's calls"), "{}", ui.screen());
    let (number, count) = ui
        .effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Impact(ImpactEffect::Ask(question)) if question.slot == Slot::Ladder => {
                assert_eq!(question.whose, Whose::Server("git".to_owned()));
                Some((question.number, question.candidates.len()))
            }
            _ => None,
        })
        .expect("it is asked for");
    let reports = |denied: u64| -> Arc<[Report]> {
        (0..count as u64)
            .map(|rung| Report {
                calls: 1204,
                replayable: 1204 - rung,
                changed: Changed { allow_to_deny: denied * (rung + 1), ..Changed::default() },
                ..Report::default()
            })
            .collect()
    };
    let tell = |ui: &mut Ui, number, denied: u64| {
        let slot = Slot::Ladder;
        ui.send(Msg::Impact(if denied > 2 {
            ImpactMsg::Done(slot, number, Ok(reports(denied)))
        } else {
            ImpactMsg::Progress { slot, number, percent: 9, calls: 1204, so_far: Some(reports(denied)) }
        }));
        ui.screen()
    };
    let screen = tell(&mut ui, number, 1);
    assert!(screen.contains("of 1204 calls of a day so far: 1 allowed before and denied then"), "{screen}");
    let screen = tell(&mut ui, number, 7);
    assert!(screen.contains("of 1204 calls of a day: 7 allowed before and denied then"), "{screen}");
    ui.keys("down");
    assert!(ui.screen().contains("14 allowed before and denied then, 1 cannot be told"), "{}", ui.screen());
    // Another aim is another replay: what an older one still tells is ignored.
    ui.keys("tab");
    let screen = tell(&mut ui, number, 9);
    assert!(screen.contains("replaying a day's calls"), "{screen}");
    // Closed, it is given up.
    ui.keys("esc");
    let stop = |effect: &Effect| matches!(effect, Effect::Impact(ImpactEffect::Stop(Slot::Ladder)));
    assert!(ui.effects.last().is_some_and(stop), "{:?}", ui.effects.last());
}

#[test]
fn a_denied_row_is_let_pass_as_narrowly_as_wanted() {
    let mut ui = start();
    ui.keys("k n");
    let screen = ui.screen();
    assert!(screen.contains("now DENY") && screen.contains("aim ALLOW"), "{screen}");
    ui.keys("enter");
    assert!(ui.text().contains(r#""op": "neq", "value": "release""#), "{}", ui.text());
    // What the draft allows already needs no rule.
    ui.keys("n");
    assert!(ui.screen().contains("decides it otherwise than recorded: DENY"), "{}", ui.screen());
}

#[test]
fn another_policy_is_offered_and_then_gone_on_with() {
    let mut ui = start();
    let mut other = hello();
    other.gateway = "g2".to_owned();
    other.servers[0].name = "shop".to_owned();
    other.servers[0].grants[0].policy = Some("/home/kim/shop.json".to_owned());
    ui.send(Msg::Feed(FeedMsg::Connected(2, Arc::new(other))));
    let mut far = row(1, "refund", "allow", "/tools/refund", r#"{"amount":120}"#);
    if let Record::Decision(decision) = &mut far.record {
        (decision.server, decision.gateway) = ("shop".to_owned(), "g2".to_owned());
    }
    ui.send(Msg::Feed(FeedMsg::Records(2, Arc::from([far]))));
    ui.keys("n");
    let screen = ui.screen();
    assert!(screen.contains("Another policy") && screen.contains("open /home/kim/shop.json"), "{screen}");
    ui.keys("o");
    let opened = Effect::Policy(PolicyEffect::Open("/home/kim/shop.json".into()));
    assert!(ui.effects.contains(&opened), "{:?}", ui.effects);
    assert!(ui.app.layers.is_empty(), "it waits for the file");
    let shop = r#"{"version":"1","default":"deny","tools":{"refund":{}}}"#;
    ui.send(Msg::Policy(PolicyMsg::Disk(Some(Arc::from(shop)))));
    assert!(ui.screen().contains("New rule in shop.json"), "{}", ui.screen());
    ui.keys("down enter");
    assert!(ui.text().contains(r#""op":"gte","value":120"#), "{}", ui.text());
    // With edits that are not saved nothing is opened over them.
    ui.keys("g n");
    assert!(ui.screen().contains("Save or take back your edits first"), "{}", ui.screen());
}

#[test]
fn copies_go_through_the_terminal() {
    let mut ui = start();
    let copied = |ui: &mut Ui, what: &str| {
        ui.effects.clear();
        ui.keys(&format!("y '{what}' enter"));
        ui.effects.clone()
    };
    let text = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Copy(text)] => text.clone(),
        other => panic!("{other:?}"),
    };
    let request: serde_json::Value = serde_json::from_str(&text(copied(&mut ui, "request"))).unwrap();
    assert_eq!(request["params"]["arguments"]["page"], 2);
    assert!(text(copied(&mut ui, "curl")).contains("CALLGATE_TOKEN:?"));
    assert_eq!(text(copied(&mut ui, "arguments")), r#"{"repo":"acme/widgets","page":2}"#);
    assert_eq!(text(copied(&mut ui, "rule")), "{}");
    let link = ActingEffect::CopyLink { gateway: "g1".to_owned(), seq: 4 };
    assert_eq!(copied(&mut ui, "link"), [Effect::Acting(link)]);
    match copied(&mut ui, "record").as_slice() {
        [Effect::Acting(ActingEffect::CopyRecord { otherwise, seq: 4, .. })] => {
            let record: serde_json::Value = serde_json::from_str(otherwise).unwrap();
            assert_eq!((&record["tool"], &record["args"]["page"]), (&"list_branches".into(), &2.into()));
        }
        other => panic!("{other:?}"),
    }
    ui.send(Msg::Acting(ActingMsg::Copied { text: "x".to_owned(), what: "the record".to_owned() }));
    assert_eq!(ui.effects.last(), Some(&Effect::Copy("x".to_owned())));
}

#[test]
fn a_decision_is_pinned_beside_the_policy_that_made_it() {
    let mut ui = start();
    ui.keys("k t");
    match ui.effects.last() {
        Some(Effect::Acting(ActingEffect::Pin { policy, test })) => {
            assert_eq!(policy.to_str(), Some("/home/kim/policy.json"));
            assert!(test.test.contains(r#""branch":"release""#), "{}", test.test);
        }
        other => panic!("{other:?}"),
    }
    let done = Ok("push_branch".to_owned());
    ui.send(Msg::Acting(ActingMsg::Pinned { file: "/home/kim/policy.test.json".into(), done }));
    assert!(ui.screen().contains("pinned as `push_branch`"), "{}", ui.screen());
}

#[test]
fn an_export_writes_what_the_filter_says_and_never_over_a_file() {
    let mut ui = start();
    ui.keys("f 'decision:deny' enter e right enter");
    let asked = |ui: &Ui| match ui.effects.last() {
        Some(Effect::Acting(ActingEffect::Export(export))) => (**export).clone(),
        other => panic!("{other:?}"),
    };
    let export = asked(&ui);
    assert_eq!((export.what, export.filter.as_str(), export.replace), (What::Report, "decision:deny", false));
    assert_eq!(export.path.to_str(), Some("incident-2026-11-20T2120Z.md"));
    assert_eq!(export.attached, ["g1"]);
    let answer = |ui: &mut Ui, export: &Export, outcome: Outcome| {
        ui.send(Msg::Acting(ActingMsg::Exported(Box::new(export.clone()), outcome)));
    };
    answer(&mut ui, &export, Outcome::Exists);
    assert!(ui.screen().contains("is there already"), "{}", ui.screen());
    ui.keys("r");
    assert!(asked(&ui).replace);
    answer(&mut ui, &export, Outcome::Exists);
    ui.keys("n up up right");
    assert!(ui.screen().contains("incident-2026-11-20T2120Z.jsonl"), "{}", ui.screen());
    ui.keys("enter");
    assert_eq!((asked(&ui).what, asked(&ui).replace), (What::Jsonl, false));
    let done = Outcome::Done { records: 7, elsewhere: vec!["far".to_owned()] };
    answer(&mut ui, &export, done);
    assert!(ui.screen().contains("not those of far"), "{}", ui.screen());
}

#[test]
fn what_the_filter_hides_is_not_acted_on() {
    let mut ui = start();
    // A person stands on a row; then a filter hides it, and every other.
    ui.keys("k k f 'tool:none_of_them' enter");
    assert!(ui.app.live.live.selected().is_none());
    let before = ui.text();
    for key in ["n", "t", "y", "o", "m", "W", "E", "enter"] {
        ui.effects.clear();
        ui.keys(key);
        assert!(ui.app.layers.is_empty(), "{key}: {}", ui.screen());
        assert_eq!((ui.app.screen, ui.text() == before), (Screen::Live, true), "{key}");
        assert!(ui.screen().contains("is selected"), "{key}: {}", ui.screen());
    }
    // A freeze begins with what is left to choose, not with what nobody sees.
    ui.keys("F");
    assert!(!ui.screen().contains("list_branches of git"), "{}", ui.screen());
    ui.keys("esc");
    // One that leaves others goes to the nearest, and there it acts.
    ui.keys("f ctrl-u 'decision:deny' enter F");
    assert!(ui.screen().contains("push_branch of git"), "{}", ui.screen());
}

#[test]
fn a_freeze_begins_with_the_row() {
    let mut ui = start();
    ui.keys("F");
    assert!(ui.screen().contains("list_branches of git"), "{}", ui.screen());
    for (presses, wanted) in [
        (0, (Some("git"), None, Some("list_branches"))),
        (1, (Some("git"), Some("local"), Some("list_branches"))),
        (2, (Some("git"), Some("local"), None)),
        (3, (Some("git"), None, None)),
        (4, (None, Some("local"), None)),
        (5, (None, None, None)),
    ] {
        // The form opens on the reason: arrows mean what is frozen there, too, as long as it is empty.
        let rights = "right ".repeat(presses);
        for keys in [format!("F up {rights} down 'loop' enter"), format!("F {rights} 'loop' left enter")] {
            let mut ui = start();
            ui.keys(&keys);
            let Some(Effect::Ask(_, ask)) = ui.effects.last() else { panic!("{:?}", ui.effects) };
            let Ask::Freeze { freeze } = &**ask else { panic!("{ask:?}") };
            let found = (freeze.server.as_deref(), freeze.grant.as_deref(), freeze.tool.as_deref());
            assert_eq!((found, freeze.reason.as_str()), (wanted, "loop"), "{keys}");
        }
    }
}

#[test]
fn the_way_to_the_rule_leads_there() {
    let mut ui = start();
    ui.keys("k E");
    assert_eq!(ui.app.screen, Screen::Policy);
    assert_eq!(
        ui.app.policy.table.selected_tool().map(|row| row.name.to_string()).as_deref(),
        Some("push_branch")
    );
    // The cursor stands on the rule: `e` opens it.
    ui.keys("e");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Form(_))));
    assert!(ui.screen().contains("args.branch"), "{}", ui.screen());
}

/// What may come of keys where nothing may be changed.
fn harmless(effect: &Effect) -> bool {
    match effect {
        Effect::Ask(..) | Effect::Acting(ActingEffect::Pin { .. }) => false,
        Effect::Policy(effect) => {
            matches!(
                effect,
                PolicyEffect::Open(_)
                    | PolicyEffect::Revisions(_)
                    | PolicyEffect::Describe { .. }
                    | PolicyEffect::Forget(_)
            )
        }
        // Copies and exports change nothing that others see.
        _ => true,
    }
}

#[test]
fn read_only_takes_away_what_changes_something_by_key_palette_and_mouse() {
    let theme = || Theme::new(Depth::True, false, true);
    // Both the list and an open detail, on every screen.
    for screen in ["1", "1 enter", "2", "2 k enter", "3", "4"] {
        let fresh = || {
            let mut ui = live((120, 40), theme(), true);
            ui.keys(screen);
            ui.effects.clear();
            ui
        };
        for entry in action::table() {
            let mut tried = Vec::new();
            let mut ui = fresh();
            ui.keys(&entry.keys.join(" "));
            // Whatever dialog came of it is agreed to.
            ui.keys("enter a y enter");
            tried.push(ui);
            let mut ui = fresh();
            ui.keys(&format!(": '{}' enter enter a y enter", entry.id));
            tried.push(ui);
            let mut ui = fresh();
            let area = ratatui::layout::Rect::new(0, 0, 10, 1);
            ui.send(Msg::Drawn(Arc::from([(area, Hit::Action(entry.action))])));
            ui.send(Msg::Mouse(Mouse::Click { x: 1, y: 0 }));
            ui.keys("enter a y enter");
            tried.push(ui);
            for ui in tried {
                let bad: Vec<_> = ui.effects.iter().filter(|effect| !harmless(effect)).collect();
                assert!(bad.is_empty(), "{} on {screen}: {bad:?}", entry.id);
                assert!(!ui.app.policy.is_unsaved(), "{} on {screen}", entry.id);
            }
        }
    }
}
