//! The real program in a pseudo-terminal: it starts, edits, saves and leaves, and gives the terminal
//! back whatever ends it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod pty_support;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pty_support::Program;

const POLICY: &str = "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {\n    \"pull\": {},\n    \"push\": {}\n  }\n}\n";

/// How long a test waits for something before it gives up; nothing is ever measured by it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program on a policy in a folder of its own.
struct Term {
    term: pty_support::Term,
    home: tempfile::TempDir,
}

impl Deref for Term {
    type Target = pty_support::Term;

    fn deref(&self) -> &Self::Target {
        &self.term
    }
}

impl DerefMut for Term {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.term
    }
}

impl Term {
    fn start(env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("policy.json"), POLICY).unwrap();
        Self::start_in(home, env)
    }

    fn start_in(home: tempfile::TempDir, env: &[(&str, &str)]) -> Self {
        let program = Program::new(&home.path().join("home")).arg(home.path().join("policy.json"));
        let program = env.iter().fold(program, |program, (name, value)| program.env(name, value));
        let term = program.cwd(home.path()).patience(PATIENCE).start();
        Self { term, home }
    }

    fn policy(&self) -> PathBuf {
        self.home.path().join("policy.json")
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn edits_saves_and_leaves() {
    let mut term = Term::start(&[]);
    term.wait("push");
    term.type_keys("d");
    term.wait("unsaved");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    assert_eq!(read(&term.policy()), POLICY, "nothing is written before Enter");
    term.type_keys("\r");
    term.wait("saved policy.json");
    let text = read(&term.policy());
    assert!(text.contains("deny_if") && text.ends_with("}\n"), "{text}");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();
}

#[test]
fn unsaved_edits_ask_before_leaving() {
    let mut term = Term::start(&[]);
    term.wait("push");
    term.type_keys("dq");
    term.wait("save and quit");
    term.type_keys("c");
    term.wait_gone("save and quit");
    term.type_keys("q");
    term.wait("discard and quit");
    term.type_keys("d");
    assert_eq!(term.end(), 0);
    assert_eq!(read(&term.policy()), POLICY);
    let kept = std::fs::read_dir(term.home.path().join("home/state/unsaved"));
    assert_eq!(kept.map_or(0, Iterator::count), 0, "what was discarded is not kept");
}

#[test]
fn no_color_writes_no_colour_and_the_selection_still_shows() {
    let mut term = Term::start(&[("NO_COLOR", "1")]);
    term.wait("push");
    term.type_keys("j?");
    term.wait("Keys of this place");
    term.type_keys("\u{1b}");
    term.wait_gone("Keys of");
    {
        let state = term.screen();
        let screen = state.parser.screen();
        let mut reversed = 0;
        for row in 0..24 {
            for column in 0..80 {
                let cell = screen.cell(row, column).unwrap();
                assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
                reversed += usize::from(cell.inverse());
            }
        }
        assert!(reversed >= 40, "the selected row is reversed: {reversed}");
        let text = String::from_utf8_lossy(&state.bytes);
        for code in ["\u{1b}[38;", "\u{1b}[48;", "\u{1b}[;m", "\u{1b}[31m"] {
            assert!(!text.contains(code), "{code:?}");
        }
    }
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn follows_the_terminals_size() {
    let mut term = Term::start(&[]);
    term.wait("push");
    term.resize(30, 8);
    term.wait("too small");
    term.resize(150, 40);
    term.wait("R recommended");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();
}

#[test]
fn a_signal_ends_it_cleanly_and_edits_are_offered_at_the_next_start() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP, rustix::process::Signal::KILL]
    {
        let mut term = Term::start(&[]);
        term.wait("push");
        term.type_keys("x");
        term.wait("unsaved");
        term.signal(signal);
        term.end();
        if signal != rustix::process::Signal::KILL {
            term.assert_given_back();
        }
        assert_eq!(read(&term.policy()), POLICY);

        let mut term = Term::start_in(term.home, &[]);
        term.wait("Unsaved edits were kept");
        term.type_keys("r");
        term.wait("unsaved");
        term.type_keys("\u{13}");
        term.wait("Save policy.json");
        term.type_keys("\r");
        term.wait("saved policy.json");
        assert!(read(&term.policy()).contains("\"hide\""));
        term.type_keys("q");
        assert_eq!(term.end(), 0);
        let kept = std::fs::read_dir(term.home.path().join("home/state/unsaved")).unwrap();
        assert_eq!(kept.count(), 0);
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_gives_the_terminal_back_and_loses_nothing() {
    let mut term = Term::start(&[("CALLGATE_TEST_PANIC", "1")]);
    term.wait("push");
    term.type_keys("x");
    term.wait("unsaved");
    // F24 panics in tests; Shift-F12 is how terminals send it.
    term.type_keys("\u{1b}[24;2~");
    assert_ne!(term.end(), 0);
    term.assert_given_back();
    assert!(term.screen().text().contains("fault in itself"));
    let mut term = Term::start_in(term.home, &[]);
    term.wait("Unsaved edits were kept");
    term.type_keys("d");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn a_change_on_disk_is_taken_over_or_asked_about() {
    let mut term = Term::start(&[]);
    term.wait("push");
    std::fs::write(term.policy(), POLICY.replace("push", "prune")).unwrap();
    term.wait("prune");
    term.type_keys("d");
    term.wait("unsaved");
    std::fs::write(term.policy(), POLICY.replace("push", "publish")).unwrap();
    term.wait("keep mine");
    term.type_keys("t");
    term.wait("publish");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn two_editors_of_one_file_are_merged_and_a_conflict_is_asked() {
    let mut mine = Term::start(&[]);
    mine.wait("push");
    let file = mine.policy();
    let mut other = Program::new(&mine.home.path().join("other")).arg(&file).patience(PATIENCE).start();
    other.wait("push");
    // Mine: the selected tool is limited; theirs: it is denied.
    mine.type_keys("l5\r");
    mine.wait("unsaved");
    let text = read(&file);
    other.type_keys("d");
    other.wait("unsaved");
    other.type_keys("\u{13}");
    other.wait("Save policy.json");
    other.type_keys("\r");
    other.wait("saved policy.json");
    assert_ne!(read(&file), text);
    mine.wait("nothing of it conflicts");
    mine.type_keys("m");
    mine.wait("merged");
    mine.type_keys("\u{13}");
    mine.wait("Save policy.json");
    mine.type_keys("\r");
    mine.wait("saved policy.json");
    let text = read(&file);
    assert!(text.contains("\"conditions\": []") && text.contains("_rate\""), "{text}");

    mine.type_keys("q");
    assert_eq!(mine.end(), 0);
    other.wait("changed on disk");
    other.type_keys("q");
    assert_eq!(other.end(), 0);
}

#[test]
fn what_both_changed_is_chosen_and_nothing_else_is_asked() {
    let limited = |max: &str| {
        let limit = format!("{{ \"counter\": \"push_rate\", \"window\": \"minute\", \"max\": {max} }}");
        POLICY.replace("\"push\": {}", &format!("\"push\": {{ \"limits\": [{limit}] }}"))
    };
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("policy.json"), limited("20")).unwrap();
    let mut term = Term::start_in(home, &[]);
    term.wait("20/min");
    // Search leads to the tool whatever its place; the limit is the first row below its state.
    term.type_keys("/push\r\r");
    term.type_keys("\u{1b}[B");
    term.type_keys("e");
    term.wait("Change a limit of push");
    term.type_keys("\u{15}5\r");
    term.wait("unsaved");
    std::fs::write(term.policy(), limited("7").replace("\"pull\": {}", "\"pull\": {}, \"tag\": {}")).unwrap();
    term.wait("one part conflicts");
    term.type_keys("m");
    term.wait("Both changed this (1 of 1)");
    term.wait("push_rate");
    term.type_keys("m");
    term.wait("1 part as you chose");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait("saved policy.json");
    let text = read(&term.policy());
    assert!(text.contains("\"max\": 5") && text.contains("\"tag\""), "{text}");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn an_earlier_revision_is_shown_and_rolled_back_to() {
    let mut term = Term::start(&[("USER", "kim")]);
    term.wait("push");
    for keys in ["d", "jx"] {
        term.type_keys(keys);
        term.wait("unsaved");
        term.type_keys("\u{13}");
        term.wait("Save policy.json");
        term.type_keys("\r");
        term.wait("saved policy.json");
        term.wait_gone("unsaved");
    }
    let last = read(&term.policy());
    term.type_keys("h");
    term.wait("Revisions of policy.json");
    term.wait("as it was found");
    term.wait("kim: deny pu");
    // The oldest: what was there before the first save.
    term.type_keys("\u{1b}[B\u{1b}[B\r");
    term.wait("From now (-) to that revision (+)");
    term.type_keys("\r");
    term.wait("roll back to");
    assert_eq!(read(&term.policy()), last, "nothing is written yet");
    term.type_keys("u");
    term.wait("undone: roll back");
    term.type_keys("\u{12}");
    term.wait("unsaved");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait_gone("unsaved");
    assert_eq!(read(&term.policy()), POLICY, "byte for byte");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn the_text_is_written_with_offers_errors_in_place_and_the_one_undo() {
    let mut term = Term::start(&[]);
    term.wait("push");
    term.type_keys("r");
    term.wait("valid");
    // From the selected tool's entry up to the default, and a new line after it.
    term.type_keys("i");
    term.wait("editing");
    term.type_keys("\u{1b}[A\u{1b}[A\u{1b}[F\r");
    term.type_keys("\"hi");
    term.wait("taken out of the agent's list");
    term.type_keys("\r");
    term.type_keys("\"pu");
    term.wait("a tool of the server");
    term.type_keys("\r");
    // What is not JSON yet says why it cannot be saved.
    term.wait("it cannot be saved so");
    term.type_keys("\u{1b}[F,");
    term.wait("valid, editing");
    term.type_keys("\u{1b}");
    term.wait_gone("editing");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait("saved policy.json");
    let text = read(&term.policy());
    assert_eq!(text, POLICY.replace("\"deny\",\n", "\"deny\",\n  \"hide\": [\"pull\"],\n"));
    // A paste is one edit, and forms and text are taken back in the order in which they came.
    term.type_keys("i");
    term.wait("editing");
    term.type_keys("\u{1b}[200~日本 \u{7f}\u{1b}[201~");
    term.wait("日本");
    term.type_keys("\u{1b}");
    term.wait_gone("editing");
    term.type_keys("u");
    term.wait("undone: paste in the text");
    term.type_keys("uuuuuuuuuuuu");
    term.wait("nothing to undo");
    term.type_keys("\u{13}");
    term.wait("Save policy.json");
    term.type_keys("\r");
    term.wait_gone("unsaved");
    assert_eq!(read(&term.policy()), POLICY);
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

const ORDERS: &str = r#"{"tools": [
    {"name": "place_order", "description": "Place an order.", "inputSchema": {"type": "object", "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {
            "sku": {"type": "string"}, "qty": {"type": "integer", "description": "How many"}}}}}}},
    {"name": "change_order", "description": "Change an order.", "inputSchema": {"type": "object", "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"qty": {"type": "integer"}}}}}}},
    {"name": "list_orders", "description": "List orders.", "inputSchema": {"type": "object"}}]}"#;

#[test]
fn a_rule_on_a_nested_argument_is_made_and_put_into_another_tool() {
    let home = tempfile::tempdir().unwrap();
    let (tools, file) = (home.path().join("tools.json"), home.path().join("policy.json"));
    std::fs::write(&tools, ORDERS).unwrap();
    let program = Program::new(&home.path().join("home")).arg(&file).arg("--tools").arg(&tools);
    let mut term = program.cwd(home.path()).size(120, 36).patience(PATIENCE).start();
    term.wait("3 tools, F1: first steps");
    term.type_keys("\u{1b}OP");
    term.wait("First steps");
    term.wait("recommended rules for all");
    term.type_keys("\u{1b}");
    term.wait_gone("First steps");
    term.type_keys("/place\ra");
    term.wait("unsaved");
    term.type_keys("c");
    term.wait("Which argument?");
    term.type_keys("qty");
    term.wait("args.items[*].qty");
    term.type_keys("\r");
    term.wait("New rule of place_order");
    // `g` picks the operator; Enter leads to the value.
    term.type_keys("g\r10\r");
    term.wait("items[*].qty > 10");
    // Into the inspector, to the rule, copied, and into the other tool.
    term.type_keys("\r\u{1b}[By");
    term.wait("copied a deny_if rule");
    term.type_keys("\u{1b}[D/\u{15}change\rP");
    term.wait("put a deny_if rule into change_order");
    // Doubled there, and the double taken away again.
    term.type_keys("\r\u{1b}[B\u{4}");
    term.wait_until("two rules", |state| state.text().matches("items[*].qty > 10").count() >= 2);
    term.type_keys("u");
    term.wait("undone: duplicate a deny_if rule of change_order");
    term.type_keys("\u{13}");
    term.wait("Create policy.json");
    term.type_keys("\r");
    term.wait("saved policy.json");
    let document = callgate::policy::document::Document::parse(&read(&file)).valid().unwrap();
    for tool in ["place_order", "change_order"] {
        let rules = &document.policy().tool(tool).unwrap().deny_if;
        assert_eq!(rules.len(), 1, "{tool}");
        assert_eq!(rules[0].conditions[0].path, "args.items[*].qty");
        assert_eq!(rules[0].conditions[0].value, "10");
    }
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

/// A policy for a whole server, from nothing to saved; answers with it and how many keys it took.
fn from_nothing(home: &Path, source: &[&std::ffi::OsStr], shown: &str) -> (String, usize) {
    let file = home.join("policy.json");
    let mut program = Program::new(&home.join("home")).arg(&file);
    for part in source {
        program = program.arg(part);
    }
    let mut term = program.cwd(home).size(140, 40).patience(PATIENCE).start();
    term.wait(shown);
    let mut keys = 0;
    for (key, then) in [
        ("R", "Apply the recommended rules"),
        ("B", "unsaved"),
        ("\u{13}", "Create policy.json"),
        ("\r", "saved policy.json"),
        ("q", ""),
    ] {
        term.type_keys(key);
        keys += key.chars().count();
        if !then.is_empty() {
            term.wait(then);
        }
    }
    assert_eq!(term.end(), 0);
    (read(&file), keys)
}

/// Whether every tool has what its risk class recommends.
fn assert_sensible(text: &str, tools: &[callgate::mcp::tool::Tool], count: usize) {
    use callgate::policy::state::{ToolState, state_of};
    use callgate::risk::{Category, classify};
    let document = callgate::policy::document::Document::parse(text).valid().unwrap();
    let policy = document.policy();
    assert_eq!(tools.len(), count);
    let mut classes = std::collections::BTreeSet::new();
    for tool in tools {
        let category = classify(tool).category;
        classes.insert(format!("{category:?}"));
        let limit =
            policy.tool(&tool.name).and_then(|entry| entry.limits.first()).map(|limit| limit.max.as_str());
        let state = state_of(policy, &tool.name);
        let wanted = match category {
            Category::Read => (ToolState::Allow, None),
            Category::Write => (ToolState::Allow, Some("30")),
            Category::Execute => (ToolState::Allow, Some("10")),
            Category::Destructive => (ToolState::Hide, None),
            Category::Financial => (ToolState::Approve, None),
        };
        assert_eq!((state, limit), wanted, "{} is {category:?}", tool.name);
    }
    assert!(classes.len() >= 3, "{classes:?}");
}

#[test]
fn a_policy_for_56_tools_takes_under_40_keys_from_nothing_to_saved() {
    let home = tempfile::tempdir().unwrap();
    let own = env!("CARGO_BIN_EXE_callgate");
    let saved = home.path().join("tools.json");
    let server = ["--", own, "demo", "--part", "docker"].map(std::ffi::OsStr::new);
    let status = std::process::Command::new(own)
        .env("CALLGATE_HOME", home.path().join("home"))
        .args(["tools", "--save"])
        .arg(&saved)
        .args(server)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let (text, keys) = from_nothing(home.path(), &server, "56 tools");
    assert!(keys < 40, "{keys}");
    let list: serde_json::Value = serde_json::from_str(&read(&saved)).unwrap();
    assert_sensible(&text, &serde_json::from_value::<Vec<_>>(list["tools"].clone()).unwrap(), 56);
}

#[test]
fn a_policy_for_azures_235_tools_takes_under_40_keys_from_nothing_to_saved() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tools/azure.json");
    let Ok(text) = std::fs::read_to_string(&list) else { return };
    let home = tempfile::tempdir().unwrap();
    let source = [std::ffi::OsStr::new("--tools"), list.as_os_str()];
    let (policy, keys) = from_nothing(home.path(), &source, "235 tools");
    assert!(keys < 40, "{keys}");
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tools = list.get("tools").or_else(|| list.pointer("/result/tools")).unwrap_or(&list).clone();
    assert_sensible(&policy, &serde_json::from_value::<Vec<_>>(tools).unwrap(), 235);
}

/// Whether the process is stopped, as the kernel says.
#[cfg(target_os = "linux")]
fn is_stopped(term: &Term) -> bool {
    let pid = term.pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

#[test]
#[cfg(target_os = "linux")]
fn stops_and_continues() {
    let mut term = Term::start(&[]);
    term.wait("push");
    term.signal(rustix::process::Signal::TSTP);
    term.wait_until("the terminal back", |state| !state.parser.screen().alternate_screen());
    term.assert_given_back();
    // A continuation that comes before the stop would be lost.
    let late = std::time::Instant::now() + PATIENCE;
    while !is_stopped(&term) {
        assert!(std::time::Instant::now() < late, "it does not stop");
        std::thread::yield_now();
    }
    term.signal(rustix::process::Signal::CONT);
    term.wait_until("the screen again", |state| {
        state.parser.screen().alternate_screen() && state.parser.screen().contents().contains("push")
    });
    term.type_keys("q");
    assert_eq!(term.end(), 0);
    term.assert_given_back();
}

#[test]
fn an_editor_gets_the_terminal_and_gives_it_back() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("policy.json"), POLICY).unwrap();
    let editor = home.path().join("editor.sh");
    std::fs::write(&editor, "#!/bin/sh\necho EDITOR-HERE\nread line\nsed -i s/push/prune/ \"$1\"\n").unwrap();
    let command = format!("sh {}", editor.display());
    let mut term = Term::start_in(home, &[("EDITOR", &command)]);
    term.wait("push");
    term.type_keys("E");
    term.wait("EDITOR-HERE");
    term.assert_given_back();
    term.type_keys("\r\n");
    term.wait("prune");
    term.type_keys("q");
    assert_eq!(term.end(), 0);
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_callgate"))
        .arg("policy.json")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"));
}
