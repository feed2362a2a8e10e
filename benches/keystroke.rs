//! The real program in a pseudo-terminal with 43,000 tools: from a key on the wire to the last byte of
//! the frame that answers it. Every keystroke has to stay within 16 ms at the 99th percentile.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const TOOLS: usize = 43_000;
/// Ends each frame: the end of a synchronized update.
const END: &[u8] = b"\x1b[?2026l";
/// So long nothing comes before the next key is pressed.
const QUIET: Duration = Duration::from_millis(60);

fn tools() -> String {
    let verbs =
        ["list", "get", "create", "update", "delete", "run", "refund", "describe", "attach", "rotate"];
    let nouns =
        ["branch", "pipeline", "invoice", "container", "secret", "network", "policy", "snapshot", "volume"];
    let tool = |at: usize| {
        let (verb, noun) = (verbs[at % verbs.len()], nouns[at / 10 % nouns.len()]);
        serde_json::json!({
            "name": format!("{noun}_{verb}_{at}"), "description": format!("{verb} the {noun}, number {at} of many"),
            "inputSchema": { "type": "object", "properties": { "id": { "type": "string" } } },
        })
    };
    serde_json::json!({ "tools": (0..TOOLS).map(tool).collect::<Vec<_>>() }).to_string()
}

struct Term {
    keys: Box<dyn Write + Send>,
    frames: Receiver<Instant>,
}

impl Term {
    /// Waits until no frame comes for a while.
    fn quiet(&self, at_least: usize) {
        let mut seen = 0;
        loop {
            let patience = if seen < at_least { Duration::from_mins(2) } else { QUIET };
            match self.frames.recv_timeout(patience) {
                Ok(_) => seen += 1,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => std::process::exit(1),
            }
        }
    }

    /// Presses a key; answers with how long its frame took.
    fn press(&mut self, key: &str) -> Duration {
        let pressed = Instant::now();
        self.keys.write_all(key.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        let frame = self.frames.recv_timeout(Duration::from_secs(20)).unwrap();
        self.quiet(0);
        frame.saturating_duration_since(pressed)
    }
}

fn main() {
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("tools.json");
    std::fs::write(&list, tools()).unwrap();
    let size = PtySize { rows: 60, cols: 200, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_callgate"));
    command.env("CALLGATE_HOME", home.path().join("home"));
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    command.arg(home.path().join("policy.json"));
    command.arg("--tools");
    command.arg(&list);
    command.cwd(home.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (sender, frames) = channel();
    std::thread::spawn(move || {
        let (mut buffer, mut tail) = (vec![0; 65536], Vec::new());
        while let Ok(count) = reader.read(&mut buffer) {
            let now = Instant::now();
            if count == 0 {
                return;
            }
            tail.extend_from_slice(&buffer[..count]);
            let ends = tail.windows(END.len()).filter(|part| *part == END).count();
            tail.drain(..tail.len().saturating_sub(END.len() - 1));
            for _ in 0..ends {
                let _ = sender.send(now);
            }
        }
    });
    let mut term = Term { keys: pair.master.take_writer().unwrap(), frames };
    term.quiet(2);
    // The list may still be on its way: every tool allowed makes a document of 43,000 entries.
    std::thread::sleep(Duration::from_secs(3));
    term.quiet(0);
    let search: Vec<&str> = ["/", "s", "e", "c", "\x7f", "\x7f", "r", "u", "n", "\x1b"].repeat(20);
    let moves: Vec<&str> = ["j", "k", "\x1b[6~", "\x1b[5~", "G", "g"].repeat(35);
    let text: Vec<&str> = ["a", "b", "\x7f", "\x1b[B", "\x1b[D", "\"", "\x7f", "\x1b[A"].repeat(25);
    println!("{TOOLS} tools at 200x60, from a key to its frame, the real program in a pseudo-terminal");
    report("search", &mut term, &search);
    report("moving", &mut term, &moves);
    // A document of 43,000 entries from here on: all of them as recommended.
    term.press("R");
    term.press("B");
    report("moving, 43,000 entries", &mut term, &moves);
    term.press("r");
    term.press("i");
    report("text of 43,000 entries", &mut term, &text);
    term.press("\x1b");
    let _ = child.kill();
}

fn report(what: &str, term: &mut Term, keys: &[&str]) {
    let mut took: Vec<Duration> = keys.iter().map(|key| term.press(key)).collect();
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1000.0;
    println!(
        "{what:<26} {:>4} keys  p50 {:>6.2} ms  p99 {:>6.2} ms  most {:>6.2} ms",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}
