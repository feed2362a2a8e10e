//! The real program in a pseudo-terminal: it starts, edits, saves and leaves, and gives the terminal
//! back whatever ends it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const POLICY: &str = "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {\n    \"pull\": {},\n    \"push\": {}\n  }\n}\n";

/// How long a test waits for something before it gives up; nothing is ever measured by it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Screen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
}

/// The program in a terminal.
struct Term {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    home: tempfile::TempDir,
}

impl Term {
    fn start(env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("policy.json"), POLICY).unwrap();
        Self::start_in(home, env)
    }

    fn start_in(home: tempfile::TempDir, env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_callgate"));
        command.arg(home.path().join("policy.json"));
        command.env_clear();
        command.env("CALLGATE_HOME", home.path().join("home"));
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(home.path());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        let state = Screen { parser, bytes: Vec::new(), ended: false };
        let screen = Arc::new((Mutex::new(state), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut state = shared.0.lock().unwrap();
                if count == 0 {
                    state.ended = true;
                } else {
                    state.parser.process(&buffer[..count]);
                    state.bytes.extend_from_slice(&buffer[..count]);
                }
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, master: pair.master, keys, screen, home }
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let (lock, news) = &*self.screen;
        let state = lock.lock().unwrap();
        let (state, late) = news.wait_timeout_while(state, PATIENCE, |state| !holds(state)).unwrap();
        assert!(!late.timed_out(), "{what} did not come:\n{}", state.parser.screen().contents());
    }

    fn wait(&self, text: &str) {
        self.wait_until(text, |state| state.parser.screen().contents().contains(text));
    }

    /// Waits for the end; answers with the exit code.
    fn end(&mut self) -> u32 {
        self.wait_until("the end", |state| state.ended);
        self.child.wait().unwrap().exit_code()
    }

    fn assert_given_back(&self) {
        let state = self.screen.0.lock().unwrap();
        let screen = state.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!screen.hide_cursor(), "the cursor is shown");
    }

    fn policy(&self) -> PathBuf {
        self.home.path().join("policy.json")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.process_id().and_then(|pid| i32::try_from(pid).ok()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
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
    term.wait_until("the question to go", |state| {
        !state.parser.screen().contents().contains("save and quit")
    });
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
    term.wait_until("help to go", |state| !state.parser.screen().contents().contains("Keys of"));
    {
        let state = term.screen.0.lock().unwrap();
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
    let resize = |term: &Term, rows: u16, cols: u16| {
        term.screen
            .0
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        term.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    };
    resize(&term, 8, 30);
    term.wait("too small");
    resize(&term, 40, 150);
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
    assert!(term.screen.0.lock().unwrap().parser.screen().contents().contains("fault in itself"));
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
    let pid = term.child.process_id().unwrap();
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
