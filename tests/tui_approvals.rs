//! The Approvals screen and overrides: what is shown, what keys do, and who is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::sync::Arc;

use callgate::counters::{Override, OverrideEffect};
use callgate::feed::message::{Ask, Hello, Role, State};
use callgate::record::Record;
use callgate::tui::action::{Action, When};
use callgate::tui::app::{Effect, FeedMsg, Hit, Mouse, Msg, Row, Screen};
use callgate::tui::theme::{Depth, Theme};
use serde_json::{Value, json};
use tui_support::{POLICY, Ui, has_color, hello, now, tools};

/// An approval as a gateway reports it; times are seconds from the tests' now.
fn approval(id: &str, tool: &str, asked: i64, until: i64) -> Value {
    let at = |seconds: i64| now(0).ts.plus_micros(seconds * 1_000_000).to_string();
    json!({
        "id": id, "server": "git", "grant": "local", "tool": tool, "args_sha256": "00ff", "policy": "0123456789ab",
        "args": {"repo": "acme/widgets", "amount": 250.10, "reason": "the customer was charged twice"},
        "rule": format!("/tools/{tool}/approve_if/args.amount-gt"), "pointer": format!("/tools/{tool}/approve_if/0"),
        "message": "Refunds above 100 need a person.", "client": "agent 1.0",
        "asked_at": at(asked), "until": at(until), "timeout_s": 300, "holders": 1
    })
}

fn given(mut approval: Value, approved: bool, by: &str, note: &str) -> Value {
    let at = |seconds: i64| now(0).ts.plus_micros(seconds * 1_000_000).to_string();
    approval["verdict"] =
        json!({"approved": approved, "by": by, "at": at(-2), "note": note, "until": at(298)});
    approval
}

fn state(approvals: &[Value]) -> Arc<State> {
    let text = json!({"of": "approvals", "approvals": approvals}).to_string();
    Arc::new(serde_json::from_str(&text).unwrap())
}

fn report(ui: &mut Ui, source: u32, approvals: &[Value]) {
    ui.send(Msg::Feed(FeedMsg::State(source, state(approvals))));
}

fn attach(ui: &mut Ui, source: u32, name: &str, role: Role) {
    let hello = Hello { gateway: format!("g{source}"), name: name.to_owned(), role, ..hello() };
    ui.send(Msg::Feed(FeedMsg::Connected(source, Arc::new(hello))));
}

fn with(size: (u16, u16), theme: Theme) -> Ui {
    let mut ui = Ui::start(Some(POLICY), tools(), size, theme, false);
    attach(&mut ui, 1, "git", Role::Operator);
    ui
}

fn new() -> Ui {
    with((80, 24), Theme::new(Depth::True, false, true))
}

/// What the interface asked of gateways, and forgets it.
fn asked(ui: &mut Ui) -> Vec<(u32, Ask)> {
    std::mem::take(&mut ui.effects)
        .into_iter()
        .filter_map(|effect| if let Effect::Ask(source, ask) = effect { Some((source, *ask)) } else { None })
        .collect()
}

fn reply(ui: &mut Ui, source: u32, ok: bool, of: &str, message: &str) {
    ui.send(Msg::Feed(FeedMsg::Reply(source, ok, of.to_owned(), message.to_owned())));
}

fn some() -> Vec<Value> {
    let mut shared = approval("a2", "refund_payment", -20, 280);
    shared["holders"] = json!(3);
    vec![
        approval("a1", "refund_payment", -250, 50),
        shared,
        approval("a3", "delete_repository", -5, 295),
        given(approval("a4", "push_branch", -40, 260), true, "ana", "checked with finance"),
    ]
}

/// What the toasts say.
fn said(ui: &Ui) -> String {
    ui.app.toasts.iter().map(|toast| toast.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// An event's record that tells how an approval ended.
fn event(id: &str, what: &str) -> Row {
    let line = format!(
        r#"{{"type":"event","seq":9,"ts":"2026-11-20T21:20:30.000000Z","gateway":"g1","kind":"approval","by":"ana","reason":"wrong customer","data":{{"id":"{id}","state":"{what}"}}}}"#
    );
    Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).unwrap() }
}

#[test]
fn screens() {
    for (size, name) in [((80, 24), "80x24"), ((160, 45), "160x45")] {
        let theme = Theme::new(Depth::True, false, true);
        let mut ui = with(size, theme);
        ui.keys("4");
        insta::assert_snapshot!(format!("{name}_empty"), ui.screen());
        report(&mut ui, 1, &some());
        insta::assert_snapshot!(format!("{name}_queue"), ui.screen());
        ui.keys("a");
        insta::assert_snapshot!(format!("{name}_approve"), ui.screen());
        ui.keys("esc r 'no'");
        insta::assert_snapshot!(format!("{name}_reject"), ui.screen());
        ui.keys("esc j enter");
        insta::assert_snapshot!(format!("{name}_whole"), ui.screen());
    }
}

#[test]
fn the_words_are_the_same_without_colour_and_nothing_is_raw() {
    let mut hostile = approval("a\u{202e}9", "re\u{202e}fund\u{1b}[31m", -5, 295);
    hostile["args"] =
        json!({"no\u{200b}te": "\u{9b}31m pay \u{2066}me\u{2069}", "deep": {"list": [1, {"x": null}]}});
    hostile["client"] = json!("agent\u{7}");
    hostile["message"] = json!("look\u{1b}]0;owned\u{7}");
    let mut texts = Vec::new();
    for theme in [Theme::new(Depth::None, false, true), Theme::new(Depth::Ansi16, false, true)] {
        let mono = theme.depth == Depth::None;
        let mut ui = with((80, 24), theme);
        ui.keys("4");
        report(&mut ui, 1, std::slice::from_ref(&hostile));
        let buffer = ui.buffer();
        assert_eq!(has_color(&buffer), !mono);
        texts.push(tui_support::text_of(&buffer));
        ui.keys("a");
        texts.push(ui.screen());
        ui.keys("esc r");
        texts.push(ui.screen());
        ui.keys("esc enter");
        texts.push(ui.screen());
    }
    let (mono, colour) = texts.split_at(4);
    assert_eq!(mono, colour);
    for text in &texts {
        for c in text.chars() {
            assert!(c == '\n' || !c.is_control(), "{c:?} in {text}");
            assert!(!matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'), "{c:?}");
        }
    }
    insta::assert_snapshot!("hostile", texts[0]);
}

#[test]
fn an_arriving_approval_is_announced_and_takes_nothing_from_a_person_who_types() {
    let mut ui = new();
    ui.keys("/ 'push'");
    ui.effects.clear();
    report(&mut ui, 1, &some()[..1]);
    assert_eq!(ui.effects, [Effect::Bell]);
    let screen = ui.screen();
    assert!(screen.contains("refund_payment of git waits for approval: 4 shows it"), "{screen}");
    assert!(screen.lines().next().unwrap().contains("4 Appr 1"), "{screen}");
    ui.keys("'_b'");
    assert_eq!(ui.app.policy.search.field.text(), "push_b", "keys go where they went");
    assert_eq!(ui.app.screen, Screen::Policy);
    ui.effects.clear();
    // What comes within the same second rings no second time.
    report(&mut ui, 1, &some()[..2]);
    assert!(!ui.effects.contains(&Effect::Bell));
    ui.ms = 1_500;
    report(&mut ui, 1, &some()[..3]);
    assert!(ui.effects.contains(&Effect::Bell));
    ui.effects.clear();
    // The same queue again is no news.
    ui.effects.clear();
    report(&mut ui, 1, &some()[..3]);
    assert_eq!(ui.effects, []);
    // Silenced, nothing rings.
    ui.keys("enter 4 b");
    ui.ms = 9_000;
    report(&mut ui, 1, &some()[..1]);
    report(&mut ui, 1, &some());
    assert_eq!(ui.effects, []);
}

#[test]
fn what_comes_and_goes_never_moves_the_selection() {
    let mut ui = new();
    ui.keys("4");
    report(&mut ui, 1, &some()[1..3]);
    ui.keys("j");
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a3");
    report(&mut ui, 1, &some());
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a3");
    // A question on the screen stays the question it was, whatever comes.
    ui.keys("a");
    let mut more = some();
    more.insert(0, approval("a0", "run_command", -299, 1));
    report(&mut ui, 1, &more);
    ui.keys("y");
    assert!(
        matches!(&asked(&mut ui)[..], [(1, Ask::Approve { id, by, for_s: None, .. })] if id == "a3" && by == "kim")
    );
    // Decided by somebody else: it stays selected and says by whom, and no key decides another.
    let mut more = some();
    more[2] = given(more[2].clone(), false, "ana", "not now");
    report(&mut ui, 1, &more);
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a3");
    let When::Not(why) = ui.app.when(Action::ApproveOnce) else { panic!("it is decided") };
    assert_eq!(why, "it was rejected by ana");
    ui.keys("a");
    assert!(ui.app.layers.is_empty());
}

#[test]
fn approving_asks_once_and_goes_on_to_the_next() {
    let mut ui = new();
    ui.keys("4");
    report(&mut ui, 1, &some());
    ui.keys("a n");
    assert_eq!(asked(&mut ui), []);
    ui.keys("a y");
    assert!(matches!(&asked(&mut ui)[..], [(1, Ask::Approve { id, for_s: None, .. })] if id == "a1"));
    // Until the answer comes it cannot be asked twice.
    ui.keys("a r");
    assert!(ui.app.layers.is_empty());
    reply(&mut ui, 1, true, "approve", "approved");
    assert!(ui.screen().contains("approved: refund_payment of git"));
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a2");
    ui.keys("A y");
    assert!(matches!(&asked(&mut ui)[..], [(1, Ask::Approve { id, for_s: Some(900), .. })] if id == "a2"));
    reply(&mut ui, 1, true, "approve", "approved");
    ui.keys("r 'too_much' enter");
    assert!(
        matches!(&asked(&mut ui)[..], [(1, Ask::Reject { id, note, .. })] if id == "a3" && note == "too_much")
    );
    // Enter on the question takes its first answer, a click the one under it.
    report(&mut ui, 1, &some()[..1]);
    ui.keys("g a enter");
    assert_eq!(asked(&mut ui).len(), 1);
}

#[test]
fn long_arguments_are_read_to_their_end_in_the_question() {
    let mut ui = new();
    let mut long = approval("a1", "refund_payment", -5, 295);
    long["args"] = json!({"lines": (0..60).map(|number| format!("line {number}")).collect::<Vec<_>>()});
    report(&mut ui, 1, &[long]);
    ui.keys("4 a");
    let text = ui.screen();
    assert!(text.contains("more lines, PgDn") && text.contains("yes, this once"), "{text}");
    assert!(text.contains("line 0") && !text.contains("line 59"), "{text}");
    ui.keys("pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn");
    let text = ui.screen();
    assert!(text.contains("line 59") && text.contains("that cannot be taken back"), "{text}");
    ui.keys("pgup");
    assert!(!ui.screen().contains("that cannot be taken back"), "{}", ui.screen());
    ui.keys("y");
    assert_eq!(asked(&mut ui).len(), 1);
}

#[test]
fn for_a_while_is_a_choice() {
    let mut ui = new();
    ui.keys("4");
    for (key, seconds) in [("y", 900), ("h", 3_600), ("d", 28_800)] {
        report(&mut ui, 1, &[approval(key, "refund_payment", -5, 295)]);
        ui.keys(&format!("g A {key}"));
        assert!(
            matches!(&asked(&mut ui)[..], [(1, Ask::Approve { id, for_s: Some(span), .. })] if id == key && *span == seconds)
        );
        reply(&mut ui, 1, true, "approve", "approved");
    }
}

fn held(seq: u64, approval: &str, args: &str) -> Row {
    let line = format!(
        r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:1{}:00.000000Z","gateway":"g1","server":"git","grant":"local","request_id":1,"method":"tools/call","tool":"refund_payment","decision":"approve","enforced":true,"rule":"/tools/refund_payment/approve_if/args.amount-gt","pointer":"/tools/refund_payment/approve_if/0","message":"","policy":"0123456789ab","args":{args},"counters":[],"counted":false,"decide_us":1.0,"approval":"{approval}"}}"#,
        seq % 10
    );
    Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).unwrap() }
}

#[test]
fn earlier_calls_like_it_are_shown_with_how_they_were_decided() {
    let mut ui = with((160, 45), Theme::new(Depth::True, false, true));
    ui.keys("4");
    let rows = vec![
        held(1, "old-1", r#"{"amount":250.1}"#),
        event("old-1", "rejected"),
        held(3, "old-2", r#"{"amount":9}"#),
        event("old-2", "approved"),
        held(5, "a1", r#"{"amount":250.1}"#),
    ];
    ui.send(Msg::Feed(FeedMsg::Records(1, rows.into())));
    report(&mut ui, 1, &some()[..1]);
    let text = ui.screen();
    assert!(text.contains("1 approved, 1 rejected; 1 with the same arguments"), "{text}");
    let same = text.find("grant local: the same arguments").unwrap();
    let other = text.find(r#"grant local: {"amount":9}"#).unwrap();
    assert!(same < other, "those with the same arguments come first\n{text}");
    insta::assert_snapshot!("160x45_earlier", text);
}

#[test]
fn the_desktop_is_told_only_where_that_was_asked_for() {
    let mut ui = new();
    ui.ms = 10_000;
    report(&mut ui, 1, &some()[..1]);
    let desktop = |ui: &Ui| ui.effects.iter().any(|effect| matches!(effect, Effect::Desktop(_)));
    assert!(!desktop(&ui) && ui.effects.contains(&Effect::Bell));
    ui.effects.clear();
    ui.keys("4 B b 1");
    ui.ms = 20_000;
    let mut hostile = approval("a9", "re\u{202e}fund\u{7}", -1, 299);
    hostile["message"] = json!("");
    report(&mut ui, 1, &[hostile]);
    assert!(!ui.effects.contains(&Effect::Bell), "it was silenced");
    let text = ui.effects.iter().find_map(|effect| match effect {
        Effect::Desktop(text) => Some(text.clone()),
        _ => None,
    });
    let text = text.expect("the desktop is told");
    assert!(text.contains("callgate: ") && !text.contains(['\u{7}', '\u{202e}', '\u{1b}']), "{text:?}");
}

#[test]
fn the_slower_of_two_monitors_is_told_who_was_faster() {
    let mut ui = new();
    ui.keys("4");
    report(&mut ui, 1, &some());
    ui.keys("a y");
    asked(&mut ui);
    reply(&mut ui, 1, false, "approve", "it does not wait any more");
    assert!(!ui.screen().contains("not approved"), "the state and the journal tell who was faster");
    report(&mut ui, 1, &some()[1..]);
    ui.send(Msg::Feed(FeedMsg::Records(1, Arc::from([event("a1", "rejected")]))));
    let screen = ui.screen();
    assert!(
        screen.contains("not approved: refund_payment of git: ana was faster: it was rejected"),
        "{screen}"
    );
    // Where nobody tells, the gateway's own word is said after a moment.
    ui.keys("j A y");
    asked(&mut ui);
    reply(&mut ui, 1, false, "approve", "the store is locked");
    ui.ms = 2_000;
    ui.send(Msg::Tick);
    let screen = ui.screen();
    assert!(screen.contains("the store is locked"), "{screen}");
    // The same when the question was still on the screen.
    ui.keys("g a");
    report(&mut ui, 1, &[given(some()[1].clone(), true, "ana", "")]);
    ui.keys("y");
    assert_eq!(asked(&mut ui), []);
    assert!(ui.screen().contains("it was approved by ana"));
}

#[test]
fn one_approval_of_many_gateways_is_one_row_and_one_ask() {
    let mut ui = new();
    attach(&mut ui, 2, "git", Role::Viewer);
    attach(&mut ui, 3, "git", Role::Operator);
    ui.keys("4");
    let mut masked = some();
    for approval in &mut masked {
        approval.as_object_mut().unwrap().remove("args");
    }
    report(&mut ui, 2, &masked);
    report(&mut ui, 3, &some());
    assert_eq!(ui.app.approvals.waiting(), 3);
    assert!(ui.app.approvals.selected().unwrap().args.is_some(), "what one feed masks another shows");
    ui.keys("a y");
    let asks = asked(&mut ui);
    assert_eq!(asks.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [3]);
    // Its gateway goes away: the other still reports it, and it is not asked twice.
    ui.send(Msg::Feed(FeedMsg::Lost(3, "closed".to_owned(), true)));
    ui.ms = 2_000;
    ui.send(Msg::Tick);
    assert!(said(&ui).contains("lost before it answered"), "{}", said(&ui));
    assert_eq!(ui.app.approvals.waiting(), 3);
    let When::Not(why) = ui.app.when(Action::Reject) else { panic!("only a viewer's feed is left") };
    assert!(why.contains("operator"), "{why}");
    assert!(ui.screen().contains("cannot be decided: this feed is for viewing"));
    assert!(ui.app.approvals.selected().unwrap().args.is_none());
}

#[test]
fn a_viewer_and_read_only_cannot_decide_and_are_told_why() {
    let theme = Theme::new(Depth::True, false, true);
    let mut ui = Ui::start(Some(POLICY), tools(), (80, 24), theme, true);
    attach(&mut ui, 1, "git", Role::Operator);
    report(&mut ui, 1, &some());
    ui.keys("4 a A r");
    assert!(ui.app.layers.is_empty());
    assert!(ui.screen().contains("cannot be decided: started with --read-only"));
}

#[test]
fn the_countdown_warns_and_what_is_over_says_how() {
    let mut ui = new();
    ui.keys("4");
    report(&mut ui, 1, &some());
    assert!(ui.screen().contains("50 s of 5 m 00 s; then it is denied"), "{}", ui.screen());
    ui.ms = 51_000;
    ui.send(Msg::Tick);
    let screen = ui.screen();
    assert!(screen.contains("cannot be decided: its time is over"), "{screen}");
    report(&mut ui, 1, &some()[1..]);
    let screen = ui.screen();
    assert!(screen.contains("expired: nobody decided in time"), "{screen}");
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a1");
    // An event's record says how another one ended, before or after it is gone.
    ui.send(Msg::Feed(FeedMsg::Records(1, Arc::from([event("a2", "rejected")]))));
    report(&mut ui, 1, &some()[2..]);
    ui.send(Msg::Feed(FeedMsg::Records(1, Arc::from([event("a1", "cancelled")]))));
    let screen = ui.screen();
    assert!(screen.contains("cancelled: the caller left"), "{screen}");
    let over = ui.app.approvals.get("a2").unwrap();
    assert_eq!(over.word(), Some("rejected"));
    assert_eq!(over.given.as_ref().map(|given| (&*given.by, &*given.note)), Some(("ana", "wrong customer")));
    insta::assert_snapshot!("decided", screen);
}

#[test]
fn a_hundred_wait_at_once_and_the_mouse_reaches_each() {
    let mut ui = new();
    ui.keys("4");
    let many: Vec<Value> =
        (0..100).map(|n| approval(&format!("a{n:03}"), &format!("tool_{n:03}"), n - 200, n + 100)).collect();
    report(&mut ui, 1, &many);
    assert!(ui.screen().contains("100 calls wait"));
    ui.keys("G");
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a099");
    assert!(ui.screen().contains("tool_099"));
    for size in [(40, 10), (160, 45), (80, 24)] {
        ui.send(Msg::Resize(size.0, size.1));
        ui.buffer();
        assert!(ui.screen().contains("tool_099"), "{size:?} keeps the selected row in view");
    }
    ui.keys("g");
    ui.buffer();
    let hits = Arc::clone(&ui.app.hits);
    let (place, _) = hits.iter().find(|(_, hit)| *hit == Hit::Row(2)).unwrap();
    ui.send(Msg::Mouse(Mouse::Click { x: place.x + 5, y: place.y }));
    assert_eq!(ui.app.approvals.selected().unwrap().id, "a002");
    let (place, _) =
        hits.iter().find(|(place, hit)| *hit == Hit::Action(Action::Reject) && place.y < 23).unwrap();
    ui.send(Msg::Mouse(Mouse::Click { x: place.x, y: place.y }));
    assert_eq!(ui.app.layers.len(), 1, "a click on `reject` opens its form");
}

fn an_override(id: &str, effect: OverrideEffect) -> Override {
    let text = json!({
        "id": id, "effect": effect, "server": "git", "tool": "push_branch",
        "until": now(14 * 60_000).ts, "by": "kim", "at": now(0).ts, "reason": "release day"
    });
    serde_json::from_value(text).unwrap()
}

#[test]
fn an_override_is_set_shown_and_ended() {
    let mut ui = new();
    attach(&mut ui, 2, "other", Role::Operator);
    ui.select("push_branch").keys("o");
    insta::assert_snapshot!("override_form", ui.screen());
    ui.keys("enter");
    assert_eq!(asked(&mut ui), [], "an override needs a reason");
    ui.keys("'release' enter");
    let asks = asked(&mut ui);
    let sources: Vec<u32> = asks.iter().map(|(source, _)| *source).collect();
    assert_eq!(sources, [1, 2], "stores may differ: both that serve it are asked");
    let Ask::Override { entry } = &asks[0].1 else { panic!("{asks:?}") };
    assert_eq!(asks[0].1, asks[1].1, "under one id");
    assert_eq!((&*entry.server, &*entry.tool, entry.effect), ("git", "push_branch", OverrideEffect::Allow));
    assert_eq!((entry.uses, entry.until, &*entry.by), (None, Some(now(900_000).ts), "kim"));
    assert!(entry.id.starts_with("test-"), "{}", entry.id);
    // The second shares the first one's store: it refuses, and its state shows that it has it.
    reply(&mut ui, 1, true, "override", "set");
    reply(&mut ui, 2, false, "override", "an override with that id is there");
    let set = Override { id: entry.id.clone(), ..an_override("x", OverrideEffect::Allow) };
    for source in [1, 2] {
        let state = State::Overrides { overrides: vec![set.clone()] };
        ui.send(Msg::Feed(FeedMsg::State(source, Arc::new(state))));
    }
    let screen = ui.screen();
    assert!(screen.contains("allow push_branch of git"), "{screen}");
    assert!(said(&ui).contains("taken by git, other"), "{screen}");
    ui.ms = 20_000;
    ui.send(Msg::Tick);
    insta::assert_snapshot!("overridden", ui.screen());
    ui.keys("O enter");
    let asks = asked(&mut ui);
    assert_eq!(asks.len(), 2);
    assert!(matches!(&asks[0].1, Ask::EndOverride { id, by, .. } if *id == set.id && by == "kim"));
    reply(&mut ui, 1, true, "end_override", "ended");
    reply(&mut ui, 2, false, "end_override", "there is no such override");
    // It does have it, as its state says: that is no success, and said after a moment.
    ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(State::Overrides { overrides: Vec::new() }))));
    ui.ms += 2_000;
    ui.send(Msg::Tick);
    assert!(said(&ui).contains("taken by git, but not by other"), "{}", said(&ui));
}

#[test]
fn a_deny_is_not_for_one_call_and_a_row_offers_its_grant() {
    let mut ui = new();
    let line = r#"{"type":"decision","seq":1,"ts":"2026-11-20T21:19:01.000000Z","gateway":"g1","server":"git","grant":"local","request_id":1,"method":"tools/call","tool":"push_branch","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{"branch":"main"},"counters":[],"counted":true,"decide_us":1.0}"#;
    let row = Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).unwrap() };
    ui.keys("2");
    assert!(matches!(ui.app.when(Action::Override), When::Not(_)), "nothing is selected");
    ui.send(Msg::Feed(FeedMsg::Records(1, Arc::from([row]))));
    ui.keys("o");
    let screen = ui.screen();
    assert!(screen.contains("push_branch of git, grant local"), "{screen}");
    // An allowed call is offered to be denied; once makes no sense for that.
    ui.keys("'abc' up left enter");
    assert_eq!(asked(&mut ui), []);
    assert!(ui.screen().contains("a deny lasts for a time"));
    ui.keys("right enter");
    let asks = asked(&mut ui);
    let [(1, Ask::Override { entry })] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!((entry.effect, entry.grant.as_deref()), (OverrideEffect::Deny, Some("local")));
}

#[test]
fn a_freeze_goes_to_every_gateway_concerned_and_says_which_took_it() {
    let mut ui = new();
    attach(&mut ui, 2, "spare", Role::Operator);
    attach(&mut ui, 3, "watched", Role::Viewer);
    ui.select("push_branch").keys("F 'leak' enter");
    let asks = asked(&mut ui);
    assert_eq!(asks.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [1, 2]);
    reply(&mut ui, 1, true, "freeze", "frozen");
    assert!(!ui.screen().contains("frozen: "), "the other has not answered");
    reply(&mut ui, 2, false, "freeze", "the disk is full");
    assert!(!ui.screen().contains("frozen: "), "its state may show it yet");
    ui.ms = 2_000;
    ui.send(Msg::Tick);
    let said = said(&ui);
    assert!(said.contains("taken by git, but not by spare: the disk is full"), "{said}");
}
