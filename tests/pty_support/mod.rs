//! The real program in a pseudo-terminal: keys in, the screen as a person sees it out.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What the program wrote.
pub struct Screen {
    pub parser: vt100::Parser,
    pub bytes: Vec<u8>,
    pub ended: bool,
}

impl Screen {
    /// The characters that are shown.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }
}

/// A program, and how it is started.
pub struct Program {
    command: CommandBuilder,
    size: (u16, u16),
    patience: Duration,
}

impl Program {
    /// callgate with its state in a folder of the test's own.
    pub fn new(home: &Path) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_callgate"));
        command.env_clear();
        command.env("CALLGATE_HOME", home);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        Self { command, size: (80, 24), patience: Duration::from_secs(30) }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn cwd(mut self, folder: &Path) -> Self {
        self.command.cwd(folder);
        self
    }

    /// Columns and rows.
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    /// How long a test waits for something before it gives up; nothing is ever measured by it.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub fn start(self) -> Term {
        let (cols, rows) = self.size;
        let pair =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let child = pair.slave.spawn_command(self.command).unwrap();
        drop(pair.slave);
        let parser = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        let state = Screen { parser, bytes: Vec::new(), ended: false };
        let screen = Arc::new((Mutex::new(state), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
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
        Term { child, master: pair.master, keys, screen, patience: self.patience }
    }
}

/// The program in its terminal.
pub struct Term {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    patience: Duration,
}

impl Term {
    pub fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// What is on the screen now.
    pub fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.0.lock().unwrap()
    }

    pub fn wait_until(&self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let (lock, news) = &*self.screen;
        let state = lock.lock().unwrap();
        let (state, late) = news.wait_timeout_while(state, self.patience, |state| !holds(state)).unwrap();
        assert!(!late.timed_out(), "{what} did not come:\n{}", state.text());
    }

    pub fn wait(&self, text: &str) {
        self.wait_until(&format!("`{text}`"), |state| state.text().contains(text));
    }

    pub fn wait_gone(&self, text: &str) {
        self.wait_until(&format!("the end of `{text}`"), |state| !state.text().contains(text));
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let mut state = self.screen();
        state.parser.screen_mut().set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        self.master.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits for the end; answers with the exit code.
    pub fn end(&mut self) -> u32 {
        self.wait_until("the end", |state| state.ended);
        self.child.wait().unwrap().exit_code()
    }

    /// Whether the terminal is as the program found it.
    pub fn assert_given_back(&self) {
        let state = self.screen();
        let screen = state.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!screen.hide_cursor(), "the cursor is shown");
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}
