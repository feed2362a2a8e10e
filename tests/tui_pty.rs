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
    term.wait("commands");
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
