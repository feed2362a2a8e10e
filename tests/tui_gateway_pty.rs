//! The terminal interface beside a real gateway: a call that is held is answered on the Approvals
//! screen, and runs, or does not; the Live screen joins what ended gateways journaled with what comes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod gateway_support;
mod pty_support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use callgate::record::Verdict;
use gateway_support::{Home, LONG, call, denied, rule};
use pty_support::{Program, Term};

const POLICY: &str = r#"{"version":"1","default":"allow","tools":{"echo":{"approve_if":[{"conditions":[{"path":"args.message","op":"exists","value":true}],"on_approve":"is this right?"}]}}}"#;

#[test]
fn a_held_call_is_approved_and_another_rejected_by_keys() {
    let home = Home::new(POLICY);
    let log = home.text("log");
    let mut gateway = home.gateway(&[], &["--log", &log]);
    let ran = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
    let mut term =
        Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(120, 36).start();
    term.wait("echo");
    gateway.send(&call(1, "echo", r#"{"message":"first wish"}"#));
    term.type_keys("4");
    term.wait("1 call waits");
    term.wait("first wish");
    term.wait("is this right?");
    assert!(!ran("first wish"), "nothing reaches the server while it is held");
    term.type_keys("a");
    term.wait("Approve this call?");
    term.type_keys("y");
    let answer = gateway.json();
    assert!(!denied(&answer), "{answer}");
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&1.into(), &"first wish".into()));
    term.wait_gone("1 call waits");

    gateway.send(&call(2, "echo", r#"{"message":"second wish"}"#));
    term.wait("1 call waits");
    // The selection stays with what was decided; what waits stands first.
    term.type_keys("g");
    term.wait("second wish");
    term.type_keys("r");
    term.wait("Reject");
    term.type_keys("not today\r");
    let answer = gateway.json();
    assert_eq!((&answer["id"], rule(&answer)), (&2.into(), "/tools/echo/approve_if/args.message-exists"));
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("not today"), "{answer}");
    assert!(!ran("second wish"), "what is rejected never runs");

    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();
    gateway.finish();
    let decided: Vec<Verdict> = home.decisions().into_iter().map(|one| one.decision).collect();
    assert_eq!(decided, [Verdict::Approve, Verdict::Allow, Verdict::Approve, Verdict::Deny]);
}

/// The text that is edited here: `echo` is allowed, and the draft will deny it.
const ALLOWS: &str =
    "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {\n    \"echo\": {}\n  }\n}\n";

#[test]
fn a_draft_runs_as_the_shadow_is_compared_and_promoted() {
    let home = Home::new(ALLOWS);
    let shadow = home.text("policy.shadow.json");
    let mut gateway = home.gateway(&["--shadow", &shadow], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    let mut term =
        Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(120, 36).start();
    term.wait("echo");
    term.wait("1 gateway");
    term.type_keys("/echo\rd");
    term.wait("unsaved");
    term.type_keys("b");
    term.wait("The draft beside the live policy");
    term.type_keys("r");
    term.wait("written");
    // The gateway takes it up by itself, and only records what it would decide.
    let mut id = 1;
    loop {
        id += 1;
        assert!(!denied(&gateway.call(id, "echo", "{}")), "the live policy decides");
        let told = home.decisions().last().and_then(|one| one.shadow.as_ref().map(|shadow| shadow.decision));
        if told == Some(Verdict::Deny) {
            break;
        }
    }
    // Who watches hears of it a moment after it is in force.
    loop {
        term.type_keys("b");
        term.wait("run the draft as it is now");
        if term.screen().text().contains("decided differently") {
            break;
        }
        term.type_keys("\u{1b}");
        term.wait_gone("run the draft as it is now");
    }
    term.type_keys("d");
    term.wait("shadow:differs");
    term.type_keys("1b");
    term.wait("promote");
    term.type_keys("p");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait("saved policy.json");
    term.wait("the shadow ended");
    assert!(!std::path::Path::new(&shadow).exists());
    loop {
        id += 1;
        if denied(&gateway.call(id, "echo", "{}")) {
            break;
        }
    }
    term.type_keys("h");
    term.wait("Revisions of policy.json");
    term.wait("deny echo");
    term.wait("in force");
    term.type_keys("\u{1b}");
    term.wait_gone("Revisions of policy.json");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    gateway.finish();
}

#[test]
fn saving_shows_the_decisions_that_change_and_enter_writes() {
    let policy = r#"{
  "version": "1",
  "default": "allow",
  "tools": {
    "echo": {
      "deny_if": [{ "conditions": [{ "path": "args.message", "op": "eq", "value": "stop" }] }]
    }
  }
}
"#;
    let home = Home::new(policy);
    let mut gateway = home.gateway(&[], &[]);
    for (id, message) in (1..).zip(["go", "stop", "on"]) {
        gateway.call(id, "echo", &format!(r#"{{"message":"{message}"}}"#));
    }
    let mut term =
        Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(120, 36).start();
    term.wait("echo");
    term.type_keys("/echo\r");
    // Every call is denied from now on: two that were allowed would not be any more.
    term.type_keys("d");
    term.wait("-2");
    term.type_keys("\x13");
    term.wait("2 newly denied");
    term.wait("of 3 replayed calls");
    term.type_keys(" ");
    term.wait(r#"{"message":"on"}"#);
    term.wait(r#"{"message":"go"}"#);
    term.type_keys("\r");
    term.wait("saved policy.json");
    assert!(std::fs::read_to_string(home.policy()).unwrap().contains("\"conditions\": []"));
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    gateway.finish();
}

#[test]
fn what_ended_gateways_journaled_is_there_and_filters_marks_and_notes_outlive_the_program() {
    let home = Home::new(r#"{"version":"1","default":"allow"}"#);
    let journal = home.path("home").join("state/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let line = |seq: u64| {
        format!(
            r#"{{"type":"decision","seq":{seq},"ts":"2026-01-02T03:{:02}:{:02}.000000Z","gateway":"gone","server":"old","grant":"local","request_id":1,"method":"tools/call","tool":"old_{seq}","decision":"deny","enforced":true,"rule":"(hidden)","pointer":null,"message":"no","policy":null,"args":{{}},"counters":[],"counted":false,"decide_us":1.0}}"#,
            seq / 60,
            seq % 60
        ) + "\n"
    };
    std::fs::write(journal.join("gone.1.jsonl"), (1..=300).map(line).collect::<String>()).unwrap();
    let mut gateway = home.gateway(&[], &[]);
    let start =
        || Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(120, 36).start();
    let mut term = start();
    term.wait("1 gateway");
    gateway.send(&call(1, "echo", r#"{"message":"fresh"}"#));
    assert!(!denied(&gateway.json()));
    term.type_keys("2");
    term.wait("old_300");
    term.wait("fresh");
    term.type_keys("ftool:old_29\t");
    term.wait("Tab takes one");
    term.type_keys("\r");
    term.wait("shown");
    term.wait_gone("fresh");
    term.type_keys("Slate ones\r");
    term.wait("filter saved as late ones");
    term.type_keys("kmi");
    term.wait("note");
    term.type_keys("look here\r");
    term.type_keys("\r");
    term.wait("look here");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();

    // Another run knows them.
    let mut term = start();
    term.wait("1 gateway");
    term.type_keys("2");
    term.wait("old_300");
    term.type_keys("*");
    term.wait("only marked");
    term.wait("1 shown");
    term.type_keys("*");
    term.wait_gone("only marked");
    term.type_keys("s");
    term.wait("Saved filters");
    term.type_keys("\r");
    term.wait("filter tool:");
    // By the tool there is one group, and Enter narrows to it.
    term.type_keys("b");
    term.wait("by tool");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    gateway.finish();
}

#[test]
fn the_health_screen_tells_what_each_rule_decided_as_the_journal_has_it() {
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{"deny_if":[{"conditions":[{"path":"args.message","op":"eq","value":"no"}]},{"conditions":[{"path":"args.message","op":"eq","value":"never"}]}]}}}"#;
    let home = Home::new(policy);
    let mut gateway = home.gateway(&[], &[]);
    for (id, message) in (1..).zip(["no", "yes", "no"]) {
        gateway.send(&call(id, "echo", &format!(r#"{{"message":"{message}"}}"#)));
        assert_eq!(denied(&gateway.json()), message == "no");
    }
    let program = Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(140, 40);
    let mut term = program.start();
    term.wait("1 gateway");
    term.type_keys("5");
    term.wait("Hits in 3 recorded calls");
    term.wait("decides");
    term.wait("never hit");
    term.type_keys("G");
    term.wait("2 of 3 recorded calls of the tool");
    // Another text: what it would have decided.
    let other = policy.replace("\"never\"", "\"yes\"");
    std::fs::write(home.policy(), other).unwrap();
    term.wait_gone("never hit");
    term.wait("deny_if message = \"yes\"");
    // The selection stays with its rule; the other one is below it now.
    term.wait("2 of 3 recorded calls of the tool");
    term.type_keys("G");
    term.wait("1 of 3 recorded calls of the tool");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    gateway.finish();
}

/// The numbers in the arguments of the rows on the screen, from the top.
fn numbers(screen: &pty_support::Screen) -> Vec<u64> {
    let text = screen.text();
    let number = |line: &str| {
        let (_, rest) = line.split_once("{\"n\":")?;
        rest.split_once('}')?.0.parse().ok()
    };
    text.lines().filter_map(number).collect()
}

/// Whether they follow each other without a gap or a repetition.
fn unbroken(numbers: &[u64]) -> bool {
    !numbers.is_empty() && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[test]
fn from_live_rows_one_scrolls_into_rows_that_only_the_journal_has_without_a_seam() {
    const GONE: u64 = 2_500;
    const LIVE: u64 = 20;
    let home = Home::new(r#"{"version":"1","default":"allow"}"#);
    let journal = home.path("home").join("state/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let line = |n: u64| {
        format!(
            r#"{{"type":"decision","seq":{n},"ts":"2026-01-02T{:02}:{:02}:{:02}.000000Z","gateway":"gone","server":"old","grant":"local","request_id":1,"method":"tools/call","tool":"old","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{{"n":{n}}},"counters":[],"counted":false,"decide_us":1.0}}"#,
            n / 3_600,
            n / 60 % 60,
            n % 60
        ) + "\n"
    };
    // Over several files, as a rotated journal is.
    for (number, from) in [(1, 1), (2, 301), (3, 302)] {
        let to = [300, 301, GONE][number - 1];
        let text: String = (from..=to).map(line).collect();
        std::fs::write(journal.join(format!("gone.{number}.jsonl")), text).unwrap();
    }
    let mut gateway = home.gateway(&[], &[]);
    // Of 2,520 calls 100 rows are held in memory, some of them by the events of the gateway.
    let program = Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(140, 40);
    let mut term = program.env("CALLGATE_ROWS", "100").start();
    term.wait("1 gateway");
    term.type_keys("2");
    // Without the events of the gateway in between.
    term.type_keys("fkind:call\r");
    term.wait("filter kind:call");
    for n in GONE + 1..=GONE + LIVE {
        gateway.send(&call(n, "echo", &format!(r#"{{"n":{n}}}"#)));
        assert!(!denied(&gateway.json()));
    }
    term.wait(&format!("{{\"n\":{}}}", GONE + LIVE));
    // The oldest that is there, until the oldest of all is: each time a page of the journal comes.
    let late = Instant::now() + LONG;
    while numbers(&term.screen()).first() != Some(&1) {
        assert!(Instant::now() < late, "the first never came:\n{}", term.screen().text());
        term.type_keys("g");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Down over the seam to the newest: the first key only moves the selection to the last row.
    let shown = |what: &str, next: &dyn Fn(&[u64]) -> bool, term: &Term| {
        term.wait_until(&format!("{what}, none twice and none missing"), |screen| {
            let numbers = numbers(screen);
            unbroken(&numbers) && next(&numbers)
        });
        numbers(&term.screen())
    };
    let mut rows = shown("the oldest rows", &|rows| rows[0] == 1, &term);
    let mut seen: BTreeSet<u64> = rows.iter().copied().collect();
    term.type_keys("\u{1b}[6~");
    while rows.last() != Some(&(GONE + LIVE)) {
        let last = rows[rows.len() - 1];
        term.type_keys("\u{1b}[6~");
        rows = shown("newer rows", &|rows| rows[rows.len() - 1] > last, &term);
        assert!(rows[0] <= last + 1, "none is passed over: {rows:?} after {last}");
        seen.extend(&rows);
    }
    assert_eq!(seen.len(), usize::try_from(GONE + LIVE).unwrap());
    // And up again.
    term.type_keys("\u{1b}[5~");
    while rows[0] > 1 {
        let first = rows[0];
        term.type_keys("\u{1b}[5~");
        rows = shown("older rows", &|rows| rows[0] < first, &term);
        assert!(rows[rows.len() - 1] + 1 >= first, "none is passed over: {rows:?} before {first}");
    }
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    gateway.finish();
}

/// The text that the program put on the clipboard last (OSC 52).
fn copied(term: &pty_support::Term) -> Option<String> {
    use base64::Engine as _;
    let bytes = term.screen().bytes.clone();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (_, last) = text.rsplit_once("\u{1b}]52;c;")?;
    let end = last.find(['\u{7}', '\u{1b}'])?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(last.get(..end)?).ok()?;
    String::from_utf8(decoded).ok()
}

const OPEN: &str = r#"{"version":"1","default":"allow","tools":{"echo":{}}}"#;

#[test]
fn a_row_is_ruled_copied_exported_frozen_and_found_in_the_policy_by_keys() {
    let home = Home::new(OPEN);
    let mut gateway = home.gateway(&[], &[]);
    let mut term =
        Program::new(&home.path("home")).arg(home.policy()).cwd(home.dir.path()).size(120, 36).start();
    term.wait("echo");
    for (id, message) in [(1, "tmp/a"), (2, "tmp/b"), (3, "etc/passwd")] {
        gateway.send(&call(id, "echo", &format!(r#"{{"message":"{message}"}}"#)));
        assert!(!denied(&gateway.json()));
    }
    term.type_keys("2");
    term.wait("etc/passwd");

    // A rule from the row, into the draft, reviewed and saved; the gateway takes it over.
    term.type_keys("n");
    term.wait("New rule in");
    term.wait("deny echo if message = \"etc/passwd\"");
    // What it would have changed, replayed from the journal.
    term.wait("of 3 calls of a day: 1 allowed before and denied then");
    term.type_keys("\r");
    term.wait("u takes it back");
    term.type_keys("\u{13}");
    term.wait("deny_if");
    term.type_keys("\r");
    term.wait_gone("deny_if");
    let saved = std::fs::read_to_string(home.policy()).unwrap();
    assert!(saved.contains(r#""op":"eq","value":"etc/passwd""#) || saved.contains("etc/passwd"), "{saved}");
    let mut id = 10;
    loop {
        gateway.send(&call(id, "echo", r#"{"message":"etc/passwd"}"#));
        let answer = gateway.json();
        if denied(&answer) {
            assert_eq!(rule(&answer), "/tools/echo/deny_if/args.message-eq");
            break;
        }
        id += 1;
        assert!(id < 200, "the gateway never took the rule over");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    term.wait("DENY");

    // Copies: where the record stands, and the record itself.
    term.type_keys("ylink\r");
    term.wait(".jsonl:");
    let place = copied(&term).unwrap();
    let (path, line) = place.rsplit_once(':').unwrap();
    let journal = std::fs::read_to_string(path).unwrap();
    let record = journal.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap().to_owned();
    assert!(record.contains("\"decision\":\"deny\"") && record.contains("etc/passwd"), "{record}");
    term.type_keys("yrecord\r");
    term.wait("copied the record");
    assert_eq!(copied(&term).unwrap(), record, "the very bytes of the journal");

    // The decision as a test beside the policy, which `callgate test` runs.
    term.type_keys("t");
    term.wait("pinned as");
    let tested =
        std::process::Command::new(env!("CARGO_BIN_EXE_callgate")).arg("test").arg(home.policy()).output();
    let tested = tested.unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));

    // What the filter matches, as a report; the name is taken the second time.
    term.type_keys("fdecision:deny\r");
    term.type_keys("e");
    term.wait("Export what matches decision:deny");
    term.type_keys("\u{15}report.md\r");
    term.wait("wrote 1 record to report.md");
    let report = std::fs::read_to_string(home.dir.path().join("report.md")).unwrap();
    assert!(
        report.contains("Calls: 1, denied: 1") && report.contains("`{\"message\":\"etc/passwd\"}`"),
        "{report}"
    );
    term.type_keys("e\u{15}report.md\r");
    term.wait("is there already");
    term.type_keys("c");
    term.wait_gone("is there already");

    // Frozen from the row, and lifted.
    term.type_keys("F");
    term.wait("echo of");
    term.type_keys("looks like a probe\r");
    term.wait("U lifts it");
    term.wait("FROZEN");
    gateway.send(&call(300, "echo", r#"{"message":"tmp/a"}"#));
    assert_eq!(rule(&gateway.json()), "(frozen)");
    term.type_keys("U");
    term.wait("Lift which freeze?");
    term.type_keys("a");
    term.wait("unfrozen");
    gateway.send(&call(301, "echo", r#"{"message":"tmp/a"}"#));
    assert!(!denied(&gateway.json()));

    // The rule that decided, where it can be changed.
    term.type_keys("\u{1b}");
    term.type_keys("fdecision:deny etc\r");
    term.wait("etc/passwd");
    term.type_keys("E");
    term.wait("message = \"etc/passwd\"");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();
    gateway.finish();
}
