//! The Health screen: gateways as they come, fall behind, lose and go; policies that differ; drift.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::sync::Arc;

use callgate::feed::message::{
    DriftedTool, FeedHealth, GrantInfo, Health, Hello, JournalHealth, Role, ServerInfo, State, StoreHealth,
};
use callgate::mcp::tool::Tool;
use callgate::policy::counter::{Amount, Caller};
use callgate::policy::document::Document;
use callgate::policy::pins::Pins;
use callgate::record::{CounterState, Record};
use callgate::replay::health::{Checkup, Seen};
use callgate::time::Timestamp;
use callgate::tui::app::health::recorded::{Answer, HealthEffect, HealthMsg, Question};
use callgate::tui::app::live::ring::Bounds;
use callgate::tui::app::live::tally::{self, By};
use callgate::tui::app::policy::{PinsFile, PolicyEffect, PolicyMsg};
use callgate::tui::app::{Effect, FeedMsg, Msg, Row};
use callgate::tui::theme::{Depth, Theme};
use tui_support::{POLICY, Ui, hello, now, tools};

/// The revision of [`POLICY`].
fn revision() -> String {
    callgate::policy::document::revision(POLICY.as_bytes())
}

fn gateway(name: &str, run: &str, revision: &str) -> Hello {
    Hello {
        gateway: run.to_owned(),
        name: name.to_owned(),
        servers: vec![ServerInfo {
            name: "git".to_owned(),
            upstream: "npx git-server".to_owned(),
            grants: vec![GrantInfo {
                label: "local".to_owned(),
                policy: Some("/home/kim/policy.json".to_owned()),
                revision: Some(revision.to_owned()),
                shadow: None,
            }],
        }],
        ..hello()
    }
}

fn health(ui: &mut Ui, source: u32, change: impl FnOnce(&mut Health)) {
    let ts = now(ui.ms).ts;
    let mut health = Health {
        ts,
        started: ts.plus_micros(-3 * 3_600_000_000),
        journal: JournalHealth { writable: true, waiting: 0, bytes: 70_000, errors: 0 },
        store: StoreHealth {
            place: "/home/kim/.local/state/callgate/store.sqlite".to_owned(),
            usable: true,
            trouble: None,
        },
        feed: FeedHealth { clients: 1, lag: 0, missed: 0 },
    };
    change(&mut health);
    ui.send(Msg::Feed(FeedMsg::State(source, Arc::new(State::Health(Box::new(health))))));
}

fn connect(ui: &mut Ui, source: u32, hello: Hello) {
    ui.send(Msg::Feed(FeedMsg::Connected(source, Arc::new(hello))));
}

fn row(run: &str, seq: u64, ts: Timestamp) -> Row {
    let line = format!(
        r#"{{"type":"decision","seq":{seq},"ts":"{ts}","gateway":"{run}","server":"git","grant":"local","client":"claude-code 2.1","request_id":{seq},"method":"tools/call","tool":"push_branch","decision":"allow","enforced":true,"rule":"","pointer":"/tools/push_branch","message":"","policy":null,"args":{{}},"counters":[],"counted":true,"decide_us":1.5}}"#
    );
    Row { line: Arc::from(line.as_bytes()), record: Record::parse(line.as_bytes()).unwrap() }
}

fn records(ui: &mut Ui, source: u32, rows: Vec<Row>) {
    ui.send(Msg::Feed(FeedMsg::Records(source, rows.into())));
}

fn started(size: (u16, u16), theme: Theme) -> Ui {
    let mut ui = Ui::start(Some(POLICY), tools(), size, theme, false);
    ui.ms = 60_000;
    ui.keys("5");
    ui
}

/// One of each: well, behind, not writing its journal, with another policy, lost, ended.
fn several(size: (u16, u16), theme: Theme) -> Ui {
    let mut ui = started(size, theme);
    let rev = revision();
    for (source, name, run) in
        [(1, "git", "g1"), (2, "docker", "g2"), (3, "payments", "g3"), (4, "mail", "g4"), (5, "search", "g5")]
    {
        let mut hello = gateway(name, run, &rev);
        hello.pid = 4000 + source;
        if source > 1 {
            name.clone_into(&mut hello.servers[0].name);
        }
        if source == 2 {
            hello.next_seq = 5_001;
            hello.servers[0].grants[0].policy = Some("/srv/docker.json".to_owned());
        }
        if source == 4 {
            hello.servers[0].grants[0].revision = Some("0123456789ab".to_owned());
        }
        connect(&mut ui, source, hello);
        if source != 5 {
            health(&mut ui, source, |health| {
                if source == 3 {
                    health.journal = JournalHealth { writable: false, waiting: 0, bytes: 1, errors: 4 };
                }
            });
        }
    }
    let at = now(ui.ms).ts;
    records(&mut ui, 1, vec![row("g1", 1, at.plus_micros(-4_000))]);
    records(&mut ui, 2, vec![row("g2", 1, at.plus_micros(-3_600_000_000))]);
    ui.send(Msg::Feed(FeedMsg::Gap(1, 2, 9)));
    ui.send(Msg::Feed(FeedMsg::Unreadable(1, 1)));
    ui.send(Msg::Feed(FeedMsg::Lost(4, "nobody listens there".to_owned(), false)));
    ui.send(Msg::Feed(FeedMsg::Lost(5, "the gateway ended".to_owned(), true)));
    ui.ms += 20_000;
    ui.send(Msg::Tick);
    ui
}

#[test]
fn screens() {
    for (name, size) in [("80x24", (80, 24)), ("160x45", (160, 45))] {
        let mut ui = several(size, Theme::new(Depth::True, false, true));
        insta::assert_snapshot!(format!("{name}_health"), ui.screen());
        ui.keys("j");
        insta::assert_snapshot!(format!("{name}_health_behind"), ui.screen());
        let mut ui = started(size, Theme::new(Depth::True, false, true));
        insta::assert_snapshot!(format!("{name}_health_empty"), ui.screen());
    }
}

#[test]
fn without_colour_or_unicode_the_words_carry_it() {
    let plain = several((120, 40), Theme::new(Depth::None, false, false)).buffer();
    assert!(!tui_support::has_color(&plain));
    let text = tui_support::text_of(&plain);
    assert!(text.is_ascii(), "{text}");
    for words in ["catching up", "ended", "lost", "the journal cannot be written", "records were lost"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn every_theme_says_the_same_and_a_large_terminal_is_used() {
    let dark = several((200, 60), Theme::new(Depth::True, false, true)).screen();
    for (depth, light) in [
        (Depth::True, true),
        (Depth::Ansi256, false),
        (Depth::Ansi16, false),
        (Depth::Ansi16, true),
        (Depth::None, false),
    ] {
        let mut ui = several((200, 60), Theme::new(depth, light, true));
        assert_eq!(ui.screen(), dark, "{depth:?} light: {light}");
    }
    insta::assert_snapshot!("200x60_health", dark);
}

#[test]
fn what_was_written_before_it_was_connected_is_not_late() {
    let mut ui = started((160, 45), Theme::new(Depth::True, false, true));
    let mut hello = gateway("git", "g1", &revision());
    hello.next_seq = 3;
    connect(&mut ui, 1, hello);
    health(&mut ui, 1, |_| {});
    let at = now(ui.ms).ts;
    records(
        &mut ui,
        1,
        vec![row("g1", 1, at.plus_micros(-9_000_000)), row("g1", 2, at.plus_micros(-8_000_000))],
    );
    assert!(!ui.screen().contains("late"), "{}", ui.screen());
    records(&mut ui, 1, vec![row("g1", 3, at.plus_micros(-7_000_000))]);
    assert!(ui.screen().contains("its last record came 7 s late"), "{}", ui.screen());
}

#[test]
fn a_gateway_that_lost_records_says_which() {
    let mut ui = several((160, 45), Theme::new(Depth::True, false, true));
    ui.keys("g");
    // The first by name is docker; git is the second.
    ui.keys("j");
    let text = ui.screen();
    assert!(text.contains("8 records were lost") || text.contains("8: numbers 2 to 9"), "{text}");
    assert!(text.contains("1 records could not be read"), "{text}");
    assert!(text.contains("clients    claude-code 2.1"), "{text}");
}

#[test]
fn policies_that_differ_are_shown_as_such() {
    let mut ui = started((160, 45), Theme::new(Depth::True, false, true));
    let rev = revision();
    connect(&mut ui, 1, gateway("one", "g1", &rev));
    assert!(!ui.screen().contains("differs"), "{}", ui.screen());
    // The same file, an older revision: neither the other gateway nor the file agrees.
    connect(&mut ui, 2, gateway("two", "g2", "0123456789ab"));
    let text = ui.screen();
    assert!(text.contains("another revision of this file is in force: 0123456789ab"), "{text}");
    assert!(text.contains("at two"), "{text}");
    ui.keys("j");
    assert!(ui.screen().contains(&format!("the file is at {rev} now")), "{}", ui.screen());
    // Another machine's file of the same name is another file; the grant is the same.
    let mut far = gateway("two", "g2", "0123456789ab");
    far.host = "elsewhere".to_owned();
    far.servers[0].grants[0].policy = Some("/etc/policy.json".to_owned());
    connect(&mut ui, 2, far);
    let text = ui.screen();
    assert!(text.contains("grant local on git has another policy elsewhere"), "{text}");
    // Gone, it differs from nothing.
    ui.send(Msg::Feed(FeedMsg::Lost(2, "ended".to_owned(), true)));
    ui.keys("g");
    assert!(!ui.screen().contains("differs"), "{}", ui.screen());
}

#[test]
fn a_clock_that_differs_is_marked_and_lag_is_by_ours() {
    let mut ui = started((160, 45), Theme::new(Depth::True, false, true));
    connect(&mut ui, 1, gateway("far", "g1", &revision()));
    health(&mut ui, 1, |health| health.ts = health.ts.plus_micros(90_000_000));
    let theirs = now(ui.ms).ts.plus_micros(90_000_000 - 5_000);
    records(&mut ui, 1, vec![row("g1", 1, theirs)]);
    let text = ui.screen();
    assert!(text.contains("its clock is 1 m 30 s ahead of this one"), "{text}");
    assert!(text.contains("5 ms"), "{text}");
}

#[test]
fn a_night_asleep_changes_no_place_and_loses_nothing() {
    let mut ui = several((120, 40), Theme::new(Depth::True, false, true));
    ui.keys("j");
    let before = ui.app.health.selected.clone();
    ui.ms += 8 * 3_600_000;
    ui.send(Msg::Tick);
    assert!(ui.screen().contains("lost"), "{}", ui.screen());
    assert_eq!(ui.app.health.selected, before);
    let at = now(ui.ms).ts;
    records(&mut ui, 1, vec![row("g1", 10, at)]);
    assert_eq!(ui.app.live.live.ring.totals().decisions, 3);
    // Another run at the same address: what was lost of the run before is not held against it.
    connect(&mut ui, 1, gateway("git", "g1-again", &revision()));
    records(&mut ui, 1, vec![row("g1-again", 1, at)]);
    let seen = &ui.app.feeds.gateway(1).unwrap().seen;
    assert_eq!((seen.last, seen.connects, seen.gaps.len()), (1, 2, 0));
}

/// A million calls, each with names of its own for everything that can have one.
#[test]
fn a_gateway_that_invents_a_million_names_fills_no_memory() {
    const CALLS: u64 = 1_000_000;
    let mut ui = started((120, 40), Theme::new(Depth::True, false, true));
    // Fewer rows than a person has, so that they are not what the test weighs.
    ui.app.live.live.ring.bound(Bounds { rows: 5_000, bytes: 64 << 20 });
    connect(&mut ui, 1, gateway("liar", "g1", &revision()));
    // Repeats are folded, and counted by tool.
    ui.keys("2");
    ui.app.live.live.fold(true);
    ui.app.live.show_pivot(Some(By::Tool));
    let template = row("g1", 1, now(0).ts);
    let mut seq = 0;
    while seq < CALLS {
        let rows: Vec<Row> = (0..5_000)
            .map(|_| {
                seq += 1;
                let mut row = template.clone();
                let Record::Decision(decision) = &mut row.record else { unreachable!() };
                decision.seq = seq;
                decision.tool = Some(format!("tool-{seq}"));
                decision.client = Some(format!("client-{seq}"));
                decision.session = Some(format!("session-{seq}"));
                decision.grant = format!("grant-{seq}");
                decision.rule = format!("/tools/tool-{seq}/action");
                if seq % 10 == 0 {
                    // As of a fleet: a gateway's feed may give the records of others.
                    decision.gateway = format!("run-{seq}");
                }
                if seq % 4 == 0 {
                    decision.counters = vec![CounterState {
                        counter: format!("counter-{seq}"),
                        scope: "session".to_owned(),
                        key: format!("session-{seq}"),
                        window: 60,
                        used: Amount::ONE,
                        max: Amount::ONE,
                        resets_at: decision.ts.plus_micros(60_000_000),
                    }];
                }
                row
            })
            .collect();
        records(&mut ui, 1, rows);
    }
    let live = &ui.app.live.live;
    assert_eq!(live.ring.totals().decisions, CALLS, "all are counted");
    assert_eq!(live.ring.len(), 5_000);
    assert!(live.ring.names.len() < 150_000, "{}", live.ring.names.len());
    assert!(live.tally().unwrap().len() <= tally::MOST);
    let (newest, oldest) = live.folded().unwrap().remembered();
    assert!(newest.max(oldest) <= 8_192, "{newest} {oldest}");
    let (origins, known) = live.ring.known_runs();
    assert!(origins.max(known) <= 20_000, "{origins} {known}");
    let (tools, runs) = ui.app.feeds.kept();
    assert!(tools <= 20_000 && runs <= 20_000, "{tools} {runs}");
    assert_eq!(ui.app.feeds.others() + u64::try_from(tools).unwrap(), CALLS, "what is not kept is told");
    assert!(ui.app.counters.len() <= 10_000);
    assert_eq!(
        ui.app.counters.others() + u64::try_from(ui.app.counters.len()).unwrap(),
        CALLS / 4,
        "{}",
        ui.app.counters.len()
    );
    assert_eq!(ui.app.feeds.gateway(1).unwrap().seen.clients.len(), 32);
    // It is said, too.
    ui.keys("3");
    assert!(ui.screen().contains("and others, 240,000 accounts of them not kept"), "{}", ui.screen());
    ui.keys("5");
    assert!(ui.screen().contains("only some are counted by tool"), "{}", ui.screen());
    // Those that are over make room for what a person needs.
    ui.ms += 120_000;
    let mut later = row("g1", CALLS + 1, now(ui.ms).ts);
    let Record::Decision(decision) = &mut later.record else { unreachable!() };
    decision.counters = vec![CounterState {
        counter: "true".to_owned(),
        scope: "grant".to_owned(),
        key: "local".to_owned(),
        window: 60,
        used: Amount::ONE,
        max: Amount::ONE,
        resets_at: now(ui.ms).ts.plus_micros(60_000_000),
    }];
    // Room is not looked for at every account.
    let asks: Vec<Row> = (1..=20_000)
        .map(|seq| {
            let mut row = later.clone();
            let Record::Decision(decision) = &mut row.record else { unreachable!() };
            decision.seq = CALLS + seq;
            row
        })
        .collect();
    records(&mut ui, 1, asks);
    let readings = ui.app.readings();
    assert!(readings.iter().any(|reading| reading.key.counter == "true"));
    for source in 2..200 {
        connect(&mut ui, source, gateway("short", &format!("run-{source}"), &revision()));
        ui.send(Msg::Feed(FeedMsg::Lost(source, "ended".to_owned(), true)));
    }
    assert!(ui.app.feeds.gateways().count() < 80);
}

#[test]
fn a_gateway_that_tells_of_endless_servers_and_names_fills_no_memory() {
    let mut ui = started((120, 40), Theme::new(Depth::True, false, true));
    connect(&mut ui, 1, gateway("liar", "g1", &revision()));
    for number in 0..1_000 {
        let server = format!("server-{number}");
        let listed = State::Tools {
            server: server.clone(),
            tools: Vec::new(),
            pins: std::collections::BTreeMap::new(),
        };
        ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(listed))));
        let drift = State::Drift { server, drifted: Vec::new() };
        ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(drift))));
    }
    let known = ui.app.feeds.gateway(1).unwrap();
    assert_eq!((known.tools.len(), known.seen.drift.len()), (256, 256));
    assert!(ui.screen().contains("more than 256 servers: the others are left out"), "{}", ui.screen());
    let mut endless = row("g1", 1, now(0).ts);
    let Record::Decision(decision) = &mut endless.record else { unreachable!() };
    let long = "x".repeat(1 << 20);
    (decision.tool, decision.client) = (Some(long.clone()), Some(long.clone()));
    decision.counters = vec![CounterState {
        counter: long.clone(),
        scope: "grant".to_owned(),
        key: long,
        window: 60,
        used: Amount::ONE,
        max: Amount::ONE,
        resets_at: now(60_000).ts,
    }];
    records(&mut ui, 1, vec![endless]);
    assert_eq!((ui.app.feeds.kept().0, ui.app.feeds.others()), (0, 1));
    assert_eq!((ui.app.counters.len(), ui.app.counters.others()), (0, 1));
    let seen = &ui.app.feeds.gateway(1).unwrap().seen;
    assert!(seen.clients.is_empty() && seen.others);
    assert!(ui.app.live.live.ring.bytes() < 1 << 20);
}

#[test]
fn what_drifted_is_shown_member_by_member_and_accepted() {
    let mut ui = started((160, 45), Theme::new(Depth::True, false, true));
    let mut accepted = tools()[1].clone();
    accepted.description = Some("Push commits.".to_owned());
    let definition = |tool: &Tool| tool.definition().unwrap();
    let mut pins = Pins::default();
    pins.accept(definition(&accepted), "ana", now(0).ts);
    ui.send(Msg::Policy(PolicyMsg::Pins(PinsFile::Read(Arc::new(pins)))));
    connect(&mut ui, 1, gateway("git", "g1", &revision()));
    assert!(ui.screen().contains("Every pinned tool that was listed is as it was accepted."));
    let drifted = vec![DriftedTool {
        tool: "push_branch".to_owned(),
        pinned: definition(&accepted).sha256,
        seen: definition(&tools()[1]).sha256,
        at: now(0).ts,
    }];
    let drift = State::Drift { server: "git".to_owned(), drifted };
    ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(drift))));
    ui.keys("g j");
    assert!(ui.screen().contains("no gateway has listed it since"), "{}", ui.screen());
    let listed =
        State::Tools { server: "git".to_owned(), tools: tools(), pins: std::collections::BTreeMap::new() };
    ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(listed))));
    let text = ui.screen();
    insta::assert_snapshot!("160x45_health_drift", text);
    assert!(text.contains("- \"Push commits.\"") && text.contains("+ \"Push commits to a branch"), "{text}");
    ui.keys("A");
    assert!(ui.screen().contains("Accept the definition of push_branch?"), "{}", ui.screen());
    ui.keys("a");
    let accepts = ui.effects.iter().any(|effect| {
        matches!(effect, Effect::Policy(PolicyEffect::Accept { definitions, .. })
            if definitions[0].sha256 == definition(&tools()[1]).sha256)
    });
    assert!(accepts, "{:?}", ui.effects);
    // A viewer of another's policy is told where its pins lie.
    let mut other = gateway("git", "g1", &revision());
    other.servers[0].grants[0].policy = Some("/srv/other.json".to_owned());
    other.role = Role::Viewer;
    connect(&mut ui, 1, other);
    ui.keys("A");
    assert!(ui.screen().contains("its pins lie beside /srv/other.json"), "{}", ui.screen());
}

#[test]
fn rules_that_need_a_look_open_in_the_editor() {
    let covered = r#"{"version":"1","default":"deny","tools":{"push_branch":{"deny_if":[
        {"conditions":[{"path":"args.branch","op":"eq","value":"main"}]},
        {"conditions":[{"path":"args.branch","op":"in","value":["main","release"]}]},
        {"conditions":[{"path":"args.branhc","op":"eq","value":"dev"}]},
        {"conditions":[{"path":"args.branch","op":"eq","value":"a"},{"path":"args.branch","op":"eq","value":"b"}]}]}}}"#;
    let mut ui = Ui::start(Some(covered), tools(), (160, 45), Theme::new(Depth::True, false, true), false);
    ui.keys("5");
    let text = ui.screen();
    for words in ["covered", "unknown argument", "never holds"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("never hit"), "without a gateway nothing is known of hits\n{text}");
    connect(&mut ui, 1, gateway("git", "g1", &callgate::policy::document::revision(covered.as_bytes())));
    assert!(ui.screen().contains("never hit"), "{}", ui.screen());
    let hits = vec![callgate::feed::message::RuleHits {
        server: "git".to_owned(),
        rule: "/tools/push_branch/deny_if/args.branch-in".to_owned(),
        hits: 3,
        last: now(0).ts,
    }];
    ui.send(Msg::Feed(FeedMsg::State(1, Arc::new(State::Rules { rules: hits }))));
    insta::assert_snapshot!("160x45_health_rules", ui.screen());
    assert!(!ui.screen().contains("never hit"), "{}", ui.screen());
    ui.keys("G enter");
    assert_eq!(ui.app.screen, callgate::tui::app::Screen::Policy);
    assert_eq!(ui.app.policy.focus, callgate::tui::app::policy::Focus::Inspector);
    assert!(ui.screen().contains("push_branch"), "{}", ui.screen());
}

#[test]
fn a_feed_that_never_answers_is_named() {
    let mut ui = started((100, 24), Theme::new(Depth::True, false, true));
    ui.send(Msg::Feed(FeedMsg::Lost(2, "the token was not accepted (401)".to_owned(), false)));
    let text = ui.screen();
    assert!(
        text.contains("feed 2 cannot be reached, tried again: the token was not accepted (401)"),
        "{text}"
    );
    assert!(text.contains("trying again"), "{text}");
    connect(&mut ui, 2, gateway("far", "g2", &revision()));
    assert!(!ui.screen().contains("cannot be reached, tried again"), "{}", ui.screen());
}

/// The newest question about recorded calls.
fn asked(ui: &mut Ui) -> Option<Question> {
    let effects = std::mem::take(&mut ui.effects);
    effects.into_iter().rev().find_map(|effect| match effect {
        Effect::Health(HealthEffect::Ask(question)) => Some(*question),
        _ => None,
    })
}

/// What the runtime would answer, of calls with these branches, a minute apart.
fn looked(question: &Question, branches: &[&str]) -> Msg {
    let document = Document::parse(&question.text).valid().unwrap();
    let mut checkup = Checkup::new(&document, None).unwrap();
    for (minute, branch) in (0..).zip(branches) {
        let args = format!("{{\"branch\":\"{branch}\"}}");
        let args = callgate::json::parse(&args).unwrap();
        let caller = Caller { server: "git", grant: "local", session: None };
        let ts = now(0).ts.plus_micros(minute * 60_000_000);
        checkup.call(&Seen { ts, caller, tool: "push_branch", args: Some(&args.root) });
    }
    let answer = Answer { health: checkup.health(), cut: None };
    Msg::Health(HealthMsg::Done(question.number, Ok(Arc::new(answer))))
}

#[test]
fn each_rule_is_shown_with_its_hits_in_the_journals_and_the_span_of_time() {
    let policy = r#"{"version":"1","default":"deny","tools":{"push_branch":{"deny_if":[
        {"conditions":[{"path":"args.branch","op":"eq","value":"main"}]},
        {"conditions":[{"path":"args.branch","op":"in","value":["main"]}]},
        {"conditions":[{"path":"args.branch","op":"eq","value":"release"}]}]}}}"#;
    for (name, size) in [("80x24", (80, 24)), ("160x45", (160, 45))] {
        let mut ui = Ui::start(Some(policy), tools(), size, Theme::new(Depth::True, false, true), false);
        assert_eq!(asked(&mut ui), None, "nothing is read before somebody looks");
        ui.keys("5");
        let question = asked(&mut ui).unwrap();
        assert_eq!(&*question.text, policy);
        assert!(ui.screen().contains("Recorded calls are looked through."), "{}", ui.screen());
        ui.send(Msg::Health(HealthMsg::Progress(question.number, 512)));
        assert!(ui.screen().contains("512 so far"), "{}", ui.screen());
        ui.ms += 4 * 60_000;
        ui.send(looked(&question, &["main", "dev", "main", "dev"]));
        ui.keys("G");
        let text = ui.screen();
        insta::assert_snapshot!(format!("{name}_health_recorded"), text);
        for words in
            ["Hits in 4 recorded calls, 2026-11-20 21:20 to 2026-11-20 21:23", "decides", "never hit"]
        {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }
}

#[test]
fn recorded_calls_are_looked_through_anew_when_the_text_or_the_calls_change() {
    let mut ui = started((160, 45), Theme::new(Depth::True, false, true));
    let first = asked(&mut ui).unwrap();
    ui.send(looked(&first, &["main"]));
    assert!(ui.screen().contains("Hits in 1 recorded call,"), "{}", ui.screen());
    // Time alone asks nothing; a call does, and not at once.
    ui.ms += 3_600_000;
    ui.send(Msg::Tick);
    assert_eq!(asked(&mut ui), None);
    connect(&mut ui, 1, gateway("git", "g1", &revision()));
    let at = now(ui.ms).ts;
    records(&mut ui, 1, vec![row("g1", 1, at)]);
    let second = asked(&mut ui).unwrap();
    assert!(second.number > first.number);
    assert!(ui.screen().contains("Hits in 1 recorded call,"), "what is known stays meanwhile");
    records(&mut ui, 1, vec![row("g1", 2, at)]);
    assert_eq!(asked(&mut ui), None, "one at a time");
    // What is late is ignored.
    ui.send(looked(&first, &["main", "main", "main"]));
    assert!(ui.screen().contains("Hits in 1 recorded call,"), "{}", ui.screen());
    ui.send(looked(&second, &["main", "dev"]));
    assert!(ui.screen().contains("Hits in 2 recorded calls,"), "{}", ui.screen());
    records(&mut ui, 1, vec![row("g1", 3, at)]);
    assert_eq!(asked(&mut ui), None, "not again at once");
    ui.ms += 30_000;
    records(&mut ui, 1, vec![row("g1", 4, at)]);
    let third = asked(&mut ui).unwrap();
    // An edit: what was known was of another text.
    ui.keys("1 / 'list' enter d 5");
    let fourth = asked(&mut ui).unwrap();
    assert!(fourth.text != third.text && fourth.number > third.number);
    assert!(!ui.screen().contains("Hits in"), "{}", ui.screen());
    ui.send(looked(&third, &["main"]));
    assert!(!ui.screen().contains("Hits in"), "{}", ui.screen());
    ui.send(Msg::Health(HealthMsg::Done(fourth.number, Err("the journals cannot be read: no".to_owned()))));
    assert!(ui.screen().contains("What the rules decided is not known: the journals"), "{}", ui.screen());
}
