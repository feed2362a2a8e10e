//! Learning, testing and explaining in the interface: what is asked of the runtime, what its answers
//! change, how it looks, and the real program doing it in a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    missing_docs
)]

#[cfg(unix)]
mod pty_support;
mod tui_support;

use std::sync::Arc;

use callgate::policy::compiled::Compiled;
use callgate::policy::counter::Amount;
use callgate::policy::document::Document;
use callgate::record::Record;
use callgate::replay::cases;
use callgate::replay::peak::Peak;
use callgate::replay::suggest::{EachLine, learn};
use callgate::time::Timestamp;
use callgate::tui::app::impact::pinned::Tests;
use callgate::tui::app::impact::{ImpactEffect, ImpactMsg, Slot};
use callgate::tui::app::learn::cases::{CasesFile, Tested};
use callgate::tui::app::learn::{LearnEffect, LearnMsg};
use callgate::tui::app::policy::PolicyMsg;
use callgate::tui::app::{Effect, FeedMsg, Msg, Row};
use tui_support::Ui;

const TESTS: &str = r#"{
  "tests": [
    { "name": "main is protected", "tool": "push_branch", "arguments": { "branch": "main" }, "expect": "deny" },
    { "name": "feature branches are free", "tool": "push_branch", "arguments": { "branch": "fix" }, "expect": "allow" }
  ]
}
"#;

/// Does what the runtime would do with what was asked; answers with the numbers of the runs.
fn answer(ui: &mut Ui) -> Vec<u64> {
    let mut numbers = Vec::new();
    for effect in std::mem::take(&mut ui.effects) {
        if let Effect::Learn(LearnEffect::Test { number, policy, cases }) = effect {
            numbers.push(number);
            let tested = tested(&policy, &cases);
            ui.send(Msg::Learn(LearnMsg::Tested(number, Arc::new(tested))));
        }
    }
    numbers
}

fn tested(policy: &str, tests: &str) -> Tested {
    let compiled = Compiled::new(&Document::parse(policy).valid().unwrap()).unwrap();
    let parsed = cases::read(tests);
    match parsed.cases {
        Some(cases) => Tested::Ran(cases::run(&compiled, &cases)),
        None => Tested::Broken(parsed.diagnostics),
    }
}

fn with_tests(tests: &str) -> Ui {
    let mut ui = Ui::new();
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Text(Arc::from(tests)))));
    answer(&mut ui);
    ui
}

#[test]
fn tests_run_after_each_edit_and_only_then() {
    let mut ui = with_tests(TESTS);
    assert!(ui.screen().contains("tests 2/2"), "{}", ui.screen());
    // Moving about runs nothing.
    ui.keys("j j k");
    assert_eq!(answer(&mut ui), Vec::<u64>::new());
    ui.select("push_branch").keys("d");
    assert_eq!(answer(&mut ui), [2]);
    assert!(ui.screen().contains("1 of 2 tests fails"), "{}", ui.screen());
    ui.keys("T");
    insta::assert_snapshot!("80x24_tests", ui.screen());
    ui.keys("esc u");
    assert_eq!(answer(&mut ui), [3]);
    assert!(ui.screen().contains("tests 2/2"));
    // An answer that came late says nothing any more.
    let late = tested(&ui.text().replace("\"main\", ", ""), TESTS);
    ui.send(Msg::Learn(LearnMsg::Tested(2, Arc::new(late))));
    assert!(ui.screen().contains("tests 2/2"));
    // Mistakes in the tests are told, and without a file there is nothing to open.
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Text(Arc::from("{\"tets\":[]}")))));
    answer(&mut ui);
    ui.keys("T");
    let screen = ui.screen();
    assert!(screen.contains("unknown key `tets`") && screen.contains("did you mean `tests`?"), "{screen}");
    ui.keys("esc");
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Missing)));
    ui.keys("T");
    assert!(ui.screen().contains("there is no policy.test.json"), "{}", ui.screen());
}

/// The last question about the tests in the review, and its answer.
fn compared(ui: &Ui) -> (u64, Tests) {
    let asked = ui.effects.iter().rev().find_map(|effect| match effect {
        Effect::Impact(ImpactEffect::Test(question)) => Some(question.clone()),
        _ => None,
    });
    let asked = asked.expect("the tests are asked for");
    let policy = |text: &str| Compiled::new(&Document::parse(text).valid().unwrap()).unwrap();
    let old = asked.base.as_deref().map(policy);
    let cases = cases::read(&asked.cases).cases.unwrap();
    let found = cases::compare(old.as_ref(), &policy(&asked.candidate), &cases, &|| true).unwrap();
    (asked.number, Tests::Done(Arc::new(found)))
}

#[test]
fn the_review_shows_first_which_tests_the_edits_break_and_mend() {
    // The third fails under the file already, and the edits mend it.
    let more = TESTS.replace(
        "\n  ]",
        ",\n    { \"name\": \"branches are secret\", \"tool\": \"list_branches\", \"expect\": \"deny\" },\n    { \"name\": \"never\", \"tool\": \"push_branch\", \"expect\": \"approve\" }\n  ]",
    );
    let mut ui = with_tests(&more);
    ui.select("push_branch").keys("d");
    ui.select("list_branches").keys("d");
    ui.effects.clear();
    ui.keys("ctrl-s");
    assert!(ui.screen().contains("Tests  being run"), "{}", ui.screen());
    let (number, answer) = compared(&ui);
    ui.send(Msg::Impact(ImpactMsg::Tested(number - 1, Tests::Broken("an earlier question".to_owned()))));
    assert!(ui.screen().contains("Tests  being run"), "an earlier answer is none: {}", ui.screen());
    ui.send(Msg::Impact(ImpactMsg::Tested(number, answer)));
    insta::assert_snapshot!("80x24_review_tests", ui.screen());
    let lines = |ui: &mut Ui| ui.screen().lines().map(str::to_owned).collect::<Vec<_>>();
    let at = |lines: &[String], text: &str| lines.iter().position(|line| line.contains(text));
    let shown = lines(&mut ui);
    let order = ["now fails", "now passes", "still fails", "Decisions", "Text"].map(|text| {
        at(&shown, &format!(" {text} ")).unwrap_or_else(|| panic!("{text}: {}", shown.join("\n")))
    });
    assert!(order.is_sorted(), "{order:?}");
    // The cursor is on what breaks, and shows why.
    ui.keys("right");
    assert!(ui.screen().contains("decision: want allow, got deny"), "{}", ui.screen());
    insta::assert_snapshot!("80x24_review_test_open", ui.screen());
    // What is heard of the replay leaves the cursor where it is.
    ui.keys("j");
    let asked = ui.effects.iter().find_map(|effect| match effect {
        Effect::Impact(ImpactEffect::Ask(question)) => Some((question.slot, question.number)),
        _ => None,
    });
    let (slot, replay) = asked.expect("a replay is asked for");
    let before = ui.app.layers.clone();
    ui.send(Msg::Impact(ImpactMsg::Done(slot, replay, Ok(Arc::from([callgate::replay::Report::default()])))));
    assert_eq!(format!("{before:?}"), format!("{:?}", ui.app.layers));
    ui.keys("k space j right");
    assert!(ui.screen().contains("decision: want deny, got allow"), "how it failed before: {}", ui.screen());
    // A change of the tests' file is a new question.
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Text(Arc::from(TESTS)))));
    let (later, answer) = compared(&ui);
    assert!(later > number);
    ui.send(Msg::Impact(ImpactMsg::Tested(later, answer)));
    let screen = ui.screen();
    assert!(screen.contains("1 now fails") && !screen.contains("still fails"), "{screen}");
    ui.keys("esc");
    assert!(ui.app.layers.is_empty());
    // Without a file there is nothing to tell; a broken one is told.
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Missing)));
    ui.keys("ctrl-s");
    assert!(!ui.screen().contains("Tests  "), "{}", ui.screen());
    ui.keys("esc");
    ui.send(Msg::Policy(PolicyMsg::Tests(CasesFile::Unreadable("no permission\u{1b}[2J".to_owned()))));
    ui.keys("ctrl-s");
    assert!(ui.screen().contains("Tests  not run: no permission"), "{}", ui.screen());
}

#[cfg(unix)]
#[test]
fn the_real_program_runs_the_tests_in_the_review() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let tests = folder.path().join("policy.test.json");
    std::fs::write(&file, tui_support::POLICY).unwrap();
    std::fs::write(&tests, TESTS).unwrap();
    let home = folder.path().join("home");
    let mut term = pty_support::Program::new(&home).arg(&file).cwd(folder.path()).size(120, 36).start();
    term.wait("tests 2/2");
    term.type_keys("/push_branch\r");
    term.type_keys("d");
    term.wait("1 of 2 tests fails");
    term.type_keys("\u{13}");
    term.wait("Tests  1 now fails  1/2 pass");
    term.wait("now fails   feature branches are free");
    term.type_keys(" ");
    term.wait("decision: want allow, got deny");
    // A mistake in the tests is told here, too, and a file that is right again is run.
    std::fs::write(&tests, "{\"tests\": [], \"tets\": []}").unwrap();
    term.wait("unknown key `tets`");
    std::fs::write(&tests, TESTS.replace("\"allow\"", "\"deny\"")).unwrap();
    term.wait("Tests  1 now passes  2/2 pass");
    term.type_keys("\r");
    term.wait_gone("Save policy.json");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("{ \"conditions\": [] }"));
}

#[test]
fn the_console_explains_while_it_is_typed() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("W");
    let screen = ui.screen();
    assert!(screen.contains(r#"> {"branch": "", "repo": ""}"#), "{screen}");
    ui.keys("ctrl-u '{'");
    assert!(ui.screen().contains("not JSON yet"), "{}", ui.screen());
    ui.keys("ctrl-u");
    ui.send(Msg::Paste(r#"{"branch": "main", "repo": "a/b", "force": "yes"}"#.to_owned()));
    insta::assert_snapshot!("80x24_console", ui.screen());
    ui.keys("ctrl-u tab");
    assert!(
        ui.screen().contains(r#"> {"branch": "", "repo": ""}"#),
        "Tab begins the arguments: {}",
        ui.screen()
    );
    ui.keys("esc");
    assert!(!ui.screen().contains("Why:"));
    // A tool that the policy does not list is denied, and says why.
    ui.select("run_command").keys("W");
    assert!(ui.screen().contains("the policy does not list the tool"), "{}", ui.screen());
}

#[test]
fn the_console_completes_what_is_nested_and_says_what_is_to_stand_there() {
    let tools = serde_json::from_value(serde_json::json!([{ "name": "buy", "inputSchema": {
        "type": "object", "required": ["order"], "properties": { "order": { "type": "object",
            "properties": { "mode": { "type": "string", "enum": ["air", "sea"] },
                "items": { "type": "array", "items": { "type": "object",
                    "properties": { "qty": { "type": "integer" } } } } } } } } }]))
    .unwrap();
    let mut ui = Ui::with(Some(tui_support::POLICY), tools, (100, 30), callgate::tui::theme::Depth::True);
    ui.select("buy").keys("W ctrl-u tab");
    assert!(ui.screen().contains(r#"> {"order": {}}"#), "{}", ui.screen());
    ui.keys("left left tab");
    assert!(ui.screen().contains(r#"> {"order": {"items": []}}"#), "{}", ui.screen());
    ui.keys("tab tab");
    assert!(ui.screen().contains(r#"> {"order": {"items": [{"qty": 0}]}}"#), "{}", ui.screen());
    assert!(ui.screen().contains("order.items[*].qty: integer"), "{}", ui.screen());
    ui.keys("end left left");
    ui.send(Msg::Paste(r#", "mode": "s"#.to_owned()));
    assert!(ui.screen().contains(r#"order.mode: "air"|"sea""#), "{}", ui.screen());
    ui.keys("tab");
    assert!(ui.screen().contains(r#""mode": "sea"}}"#), "{}", ui.screen());
}

/// The arguments of a call.
const PUSHED: &str = r#"{"branch": "fix", "repo": "a/b"}"#;

/// A call as a gateway tells of it, with what its counter held after it.
fn push_call(seq: u64, used: u64) -> Msg {
    let line = format!(
        r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:19:59.250000Z","gateway":"g1","server":"git","grant":"local","request_id":1,"method":"tools/call","tool":"push_branch","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":"0123456789ab","args":{PUSHED},"counters":[{{"counter":"push_branch_rate","scope":"grant","key":"local","window":3600,"used":{used},"max":20,"resets_at":"2026-11-20T22:00:00.000000Z"}}],"counted":true,"decide_us":1.0}}"#
    );
    let record = Record::parse(line.as_bytes()).unwrap();
    Msg::Feed(FeedMsg::Records(1, vec![Row { line: Arc::from(line.as_bytes()), record }].into()))
}

#[test]
fn the_console_reckons_with_the_counters_that_gateways_report() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("W");
    ui.keys("ctrl-u");
    ui.send(Msg::Paste(PUSHED.to_owned()));
    assert!(ui.screen().contains("counters taken to be empty: no gateway tells of any"), "{}", ui.screen());
    ui.keys("esc");
    ui.send(Msg::Feed(FeedMsg::Connected(1, Arc::new(tui_support::hello()))));
    ui.send(push_call(1, 19));
    ui.keys("W");
    let screen = ui.screen();
    assert!(screen.contains("counters as reported for git, grant local"), "{screen}");
    assert!(screen.contains("allow") && !screen.contains("no room"), "{screen}");
    // Another call fills the limit while the console is open.
    ui.send(push_call(2, 20));
    assert!(ui.screen().contains("`push_branch_rate` has no room: 20 an hour"), "{}", ui.screen());
    ui.app.size = (100, 40);
    assert!(ui.screen().contains("push_branch_rate: 20 of 20 used, empty again in 40m"), "{}", ui.screen());
    // With empty counters on a key, and back.
    ui.keys("f2");
    let screen = ui.screen();
    assert!(screen.contains("counters taken to be empty; F2: as git, grant local has them"), "{screen}");
    assert!(!screen.contains("has no room"), "{screen}");
    ui.keys("f2");
    assert!(ui.screen().contains("has no room"), "{}", ui.screen());
    // The window ends, and the counter is empty again.
    ui.ms = 41 * 60_000;
    ui.send(Msg::Tick);
    assert!(!ui.screen().contains("has no room"), "{}", ui.screen());
}

/// The last question about a limit: its number, the window and the most.
fn bound(ui: &Ui) -> (u64, u64, String) {
    let asked = ui.effects.iter().rev().find_map(|effect| match effect {
        Effect::Impact(ImpactEffect::Peak(question)) => Some(question.clone()),
        _ => None,
    });
    let asked = asked.expect("the journals are asked");
    assert_eq!(asked.bound.tools, ["push_branch"]);
    (asked.number, asked.bound.window, asked.bound.max.unwrap().to_string())
}

#[test]
fn the_limit_form_says_what_the_journals_hold_against_it() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("l");
    assert!(ui.screen().contains("reading the journals, 0 %"), "{}", ui.screen());
    let (number, window, max) = bound(&ui);
    assert_eq!((window, max.as_str()), (60, "30"));
    let (slot, so_far) = (Slot::Limit, None);
    ui.send(Msg::Impact(ImpactMsg::Progress { slot, number, percent: 40, calls: 9, so_far }));
    assert!(ui.screen().contains("reading the journals, 40 %"), "{}", ui.screen());
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let peak = |since: &str, until: &str| Peak {
        most: Amount::parse("27").unwrap(),
        calls: 12_345,
        over: 12,
        since: at(since),
        until: at(until),
    };
    let found = |number, peak| Msg::Impact(ImpactMsg::Peak(number, Ok(peak)));
    ui.send(found(number, Some(peak("2026-11-03T01:00:00Z", "2026-11-20T21:00:00Z"))));
    let said = "Nov 3 to Nov 20: 27 at most, denies 12 of 12345 calls";
    assert!(ui.screen().contains(said), "{}", ui.screen());
    // Another window is another question; what is still heard of the one before is ignored.
    ui.keys("5");
    assert!(ui.screen().contains("reading the journals"), "{}", ui.screen());
    let (later, window, max) = bound(&ui);
    assert_eq!((later > number, window, max.as_str()), (true, 3600, "100"));
    ui.send(found(number, Some(peak("2026-11-03T01:00:00Z", "2026-11-20T21:00:00Z"))));
    assert!(ui.screen().contains("reading the journals"), "{}", ui.screen());
    ui.send(found(later, Some(peak("2025-11-20T21:00:00Z", "2025-11-20T21:05:00Z"))));
    assert!(ui.screen().contains("Nov 20 2025: 27 at most"), "{}", ui.screen());
    // Without a journal the rows at hand speak.
    ui.keys("esc l");
    ui.send(found(bound(&ui).0, None));
    assert!(ui.screen().contains("no recorded call at hand"), "{}", ui.screen());
    ui.keys("esc");
    ui.send(Msg::Feed(FeedMsg::Connected(1, Arc::new(tui_support::hello()))));
    ui.send(push_call(1, 1));
    ui.keys("l");
    ui.send(Msg::Impact(ImpactMsg::Peak(bound(&ui).0, Err("no permission".to_owned()))));
    let said = "live, 21:19: 1 at most, denies none of 1 call";
    assert!(ui.screen().contains(said), "{}", ui.screen());
    // A form that is closed while it waits gives its question up.
    ui.keys("5 esc");
    let stop = Effect::Impact(ImpactEffect::Stop(Slot::Limit));
    assert!(ui.effects.contains(&stop), "{:?}", ui.effects.last());
}

#[test]
fn the_rule_form_shows_what_recorded_calls_had() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("c");
    let asked = |ui: &Ui| {
        let asked = ui.effects.iter().rev().find_map(|effect| match effect {
            Effect::Impact(ImpactEffect::Seen(question)) => Some(question.clone()),
            _ => None,
        });
        asked.expect("the journals are asked")
    };
    let question = asked(&ui);
    assert_eq!(question.tool, "push_branch");
    ui.keys("b r a n c h enter");
    assert!(ui.screen().contains("string, required"), "{}", ui.screen());
    assert!(!ui.screen().contains("calls had"), "{}", ui.screen());
    let found = |number, args: &[&str]| {
        let args = args.iter().map(|args| Box::from(*args)).collect();
        Msg::Impact(ImpactMsg::Seen(number, Ok(args)))
    };
    // What is heard of another question says nothing.
    ui.send(found(question.number + 1, &[r#"{"branch":"other"}"#]));
    assert!(!ui.screen().contains("calls had"), "{}", ui.screen());
    let masked = r#"{"branch":{"masked":"hmac-sha256:00","type":"string","length":4}}"#;
    let hostile = r#"{"branch":"a\u001b[31m\u202eb"}"#;
    ui.send(found(question.number, &[masked, r#"{"branch":"agent/fix-28"}"#, hostile, "{}"]));
    let screen = ui.screen();
    assert!(screen.contains(r#"calls had "agent/fix-28", "a"#), "{screen}");
    assert!(!screen.contains(['\u{1b}', '\u{202e}']), "{screen}");
    // Of another argument there are other values; the journals are not read again for it.
    ui.keys("shift-tab ctrl-u 'args.repo'");
    assert!(!ui.screen().contains("calls had"), "{}", ui.screen());
    assert_eq!(asked(&ui), question);
    // What came while the picker lay above is there once a known rule was picked.
    ui.keys("esc");
    ui.select("push_branch").keys("c");
    ui.send(found(asked(&ui).number, &[r#"{"branch":"b","force":true}"#]));
    ui.keys("f o r c e");
    assert!(ui.screen().contains("rule: no force"), "{}", ui.screen());
    ui.keys("down enter");
    assert!(ui.screen().contains("calls had true"), "{}", ui.screen());
    // A form that is closed while it waits gives its question up; the next one asks anew.
    ui.keys("esc");
    ui.select("list_branches").keys("c");
    let later = asked(&ui);
    assert_eq!((later.tool.as_str(), later.number > question.number), ("list_branches", true));
    ui.keys("esc esc");
    let stop = Effect::Impact(ImpactEffect::Stop(Slot::Seen));
    assert!(ui.effects.contains(&stop), "{:?}", ui.effects.last());
}

#[cfg(unix)]
#[test]
fn the_real_program_holds_a_limit_against_the_journals() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let file = folder.path().join("policy.json");
    std::fs::write(&file, tui_support::POLICY).unwrap();
    std::fs::create_dir_all(home.join("state/journal")).unwrap();
    let event = format!(
        r#"{{"type":"event","seq":31,"ts":"2026-11-20T21:20:00.000000Z","gateway":"g1","kind":"policy","data":{{"path":{file:?},"revision":"r","server":"git","grant":"local"}}}}"#
    );
    std::fs::write(home.join("state/journal/g1.1.jsonl"), lines() + &event + "\n").unwrap();
    let mut term = pty_support::Program::new(&home).arg(&file).cwd(folder.path()).size(120, 36).start();
    term.wait("push_branch");
    term.type_keys("/push_branch\r");
    // Ten calls, 270 seconds between them: at most one in a minute, all of them in one hour.
    term.type_keys("l");
    term.wait(": 1 at most, denies none of 10 calls");
    term.type_keys("5");
    term.wait(": 10 at most, denies none of 10 calls");
    term.type_keys("\t\u{15}7");
    term.wait("10 at most, denies 3 of 10 calls");
    term.type_keys("\u{1b}");
    term.wait_gone("denies 3 of 10 calls");
    // The form of a rule shows the newest values of an argument.
    term.type_keys("c");
    term.wait("New rule of push_branch");
    term.type_keys("\u{15}args.branch");
    term.wait(r#"calls had "agent/fix-28", "agent/fix-25", "agent/fix-22""#);
    term.type_keys("\u{1b}");
    term.wait_gone("New rule of push_branch");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn the_lines_of_why_a_test_fails_scroll() {
    let mut ui = with_tests(TESTS);
    ui.app.size = (80, 16);
    ui.select("push_branch").keys("d");
    answer(&mut ui);
    ui.keys("T");
    let end = "`all_calls`";
    let screen = ui.screen();
    assert!(screen.contains("more lines: Enter goes in") && !screen.contains(end), "{screen}");
    ui.keys("down");
    assert!(!ui.screen().contains("more line"), "the second one passes: {}", ui.screen());
    ui.keys("enter up enter G");
    let bottom = ui.screen();
    assert!(bottom.contains(end) && !bottom.contains("more line"), "{bottom}");
    assert!(bottom.contains("feature branches are free"), "the test stays in view: {bottom}");
    // Keys beyond the end do nothing, and the first key back does something.
    ui.keys("down pgdn");
    assert_eq!(bottom, ui.screen());
    ui.keys("up");
    assert_ne!(bottom, ui.screen());
    ui.keys("g");
    assert!(ui.screen().contains("decision: want allow, got deny"), "{}", ui.screen());
    ui.keys("esc");
    assert!(ui.screen().contains("main is protected"), "back in the list: {}", ui.screen());
    ui.keys("esc");
    assert!(ui.app.layers.is_empty());
}

/// Calls of an agent as a journal has them.
fn lines() -> String {
    let mut text = String::new();
    for n in 0..30_i64 {
        let ts = Timestamp::from_secs(1_790_000_000 + n * 90);
        let (tool, args) = match n % 3 {
            0 => ("list_branches", r#"{"repo":"shop/web"}"#.to_owned()),
            1 => ("push_branch", format!(r#"{{"repo":"shop/web","branch":"agent/fix-{n}"}}"#)),
            _ => ("refund_payment", format!(r#"{{"amount":{},"currency":"EUR"}}"#, 5 + n)),
        };
        text.push_str(&format!(
            r#"{{"type":"decision","seq":{},"ts":"{ts}","gateway":"g1","server":"git","grant":"local","request_id":{n},"method":"tools/call","tool":"{tool}","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{args},"counters":[],"counted":true,"decide_us":1.5}}"#,
            n + 1
        ));
        text.push('\n');
    }
    text
}

/// Opens the dialog and answers what it asks.
fn suggested(ui: &mut Ui) {
    ui.keys("S");
    let asked = ui.effects.iter().find_map(|effect| match effect {
        Effect::Learn(LearnEffect::Learn { number, asked }) => Some((*number, asked.clone())),
        _ => None,
    });
    let (number, asked) = asked.expect("the journals are asked for");
    ui.effects.clear();
    let text = lines();
    let mut each = |each: &mut EachLine<'_>| -> Result<(), std::io::Error> {
        text.lines().for_each(|line| each(line.as_bytes()));
        Ok(())
    };
    let mut store = std::io::Cursor::new(Vec::new());
    let learnt = learn(&asked, &mut store, &mut each).map(Arc::new).map_err(|why| why.to_string());
    ui.send(Msg::Learn(LearnMsg::Learnt(number, learnt)));
}

#[test]
fn proposals_are_accepted_widened_and_dropped_one_by_one() {
    let mut ui = Ui::new();
    let before = ui.text();
    suggested(&mut ui);
    insta::assert_snapshot!("80x24_suggest", ui.screen());
    ui.app.size = (160, 45);
    insta::assert_snapshot!("160x45_suggest", ui.screen());
    ui.app.size = (80, 24);
    assert_eq!(ui.text(), before, "nothing is in the draft that nobody accepted");
    // The first tool is allowed already; its argument's bound is not there yet.
    ui.keys("j a");
    let accepted = ui.text();
    assert!(accepted.contains(r#""shop/web""#), "{accepted}");
    assert!(Document::parse(&accepted).valid().is_ok());
    assert!(ui.screen().contains("in the draft"));
    // Dropped ones are not taken by `A`; what is wider is.
    let tight = ui.screen();
    ui.keys("w");
    assert_ne!(tight, ui.screen(), "a wider limit is shown");
    ui.keys("d A");
    let all = ui.text();
    assert!(all.contains("refund_payment") && all.contains("^agent/"), "{all}");
    assert!(!all.contains("list_branches_rate") && all.contains("list_branches_day"), "{all}");
    ui.keys("esc u");
    assert_eq!(ui.text(), accepted, "one edit took all of them");
    ui.keys("u");
    assert_eq!(ui.text(), before);
}

#[test]
fn a_suggestion_of_an_earlier_question_is_ignored_and_failures_are_said() {
    let mut ui = Ui::new();
    ui.keys("S");
    ui.send(Msg::Learn(LearnMsg::Learnt(7, Err("old".to_owned()))));
    assert!(ui.screen().contains("reading the journals"));
    ui.send(Msg::Learn(LearnMsg::Learnt(1, Err("no allowed call was recorded".to_owned()))));
    assert!(ui.screen().contains("no allowed call was recorded"), "{}", ui.screen());
    let before = ui.text();
    ui.keys("a A");
    assert_eq!(ui.text(), before, "there is nothing to accept");
    ui.keys("esc");
    assert!(!ui.screen().contains("What recorded calls need"));
}

#[cfg(unix)]
#[test]
fn the_real_program_learns_tests_and_explains() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join("state/journal")).unwrap();
    std::fs::write(home.join("state/journal/g1.1.jsonl"), lines()).unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, tui_support::POLICY).unwrap();
    std::fs::write(folder.path().join("policy.test.json"), TESTS).unwrap();
    let mut term = pty_support::Program::new(&home).arg(&file).cwd(folder.path()).size(120, 36).start();
    term.wait("tests 2/2");
    // An edit runs them, and so does a change of their file.
    term.type_keys("/push_branch\r");
    term.type_keys("d");
    term.wait("1 of 2 tests fails");
    term.type_keys("T");
    term.wait("decision: want allow, got deny");
    term.type_keys("\u{1b}");
    term.wait_gone("decision: want allow");
    term.type_keys("u");
    term.wait("tests 2/2");
    std::fs::write(folder.path().join("policy.test.json"), TESTS.replace("\"fix\"", "\"main\"")).unwrap();
    term.wait("1 of 2 tests fails");
    // Why a call is decided as it is.
    term.type_keys("W");
    term.wait("Why: push_branch");
    term.type_keys("\u{15}{\"branch\": \"main\"}");
    term.wait("<< decided");
    term.wait("args.branch = \"main\"");
    term.type_keys("\u{1b}");
    term.wait_gone("Why: push_branch");
    // What the journal's calls need, all of it, saved.
    term.type_keys("S");
    term.wait("from 30 allowed calls");
    term.type_keys("A");
    term.wait("0 open");
    term.type_keys("\u{1b}");
    term.wait_gone("What recorded calls need");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait("saved policy.json");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("refund_payment") && Document::parse(&text).valid().is_ok(), "{text}");
    term.assert_given_back();
}
