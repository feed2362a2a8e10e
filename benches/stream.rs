//! What a monitor bears: decisions as fast as they can come, into the real client, the state and
//! the drawing at 200x60, with a person who presses keys meanwhile.
//!
//! | `cargo bench --bench stream --` | does |
//! |---|---|
//! | `memory [SECONDS]` | 100,000 decisions a second for 30 s from the feed's own server half, which is fed from memory by a process of its own |
//! | `gateway [SECONDS]` | 2,000 calls a second for ten minutes through one real gateway |
//!
//! `--rate N` changes the rate. Every record's number is checked: each comes once, in order, or its
//! gap was announced. Targets: every one counted, frames at most 16 ms at the 99th percentile, at
//! most 400 MB. The loop is the interface's own but for the terminal, whose bytes go nowhere.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

mod support;

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::feed::client::Feeds;
use callgate::feed::server::{History, Hub, HubConfig};
use callgate::tui::app::{self, App, FeedMsg, Msg, Now, Start};
use callgate::tui::keymap::Keymap;
use callgate::tui::theme::{Depth, Theme};
use callgate::tui::{Canvas, Redraw, feed};
use support::{at, call, examples};
use tokio::sync::mpsc;

const SIZE: (u16, u16) = (200, 60);
/// What a person does again and again: every screen, back in the history, a filter, and following.
const KEYS: &[&str] = &[
    "2", "k", "k", "pgup", "enter", "j", "esc", "esc", "3", "j", "j", "5", "j", "2", "G", "esc", "1", "j",
    "2",
];
/// The pause between two keys.
const TYPING: Duration = Duration::from_millis(120);

/// A record of this number. The same number is the same record.
fn line(seq: u64) -> Arc<[u8]> {
    let tool = ["pull", "push", "ps", "logs", "inspect"][usize::try_from(seq % 5).unwrap()];
    let (verdict, rule, counted) = match seq % 10 {
        3 => ("deny", "/tools/push/limits/push_rate", false),
        _ => ("allow", "", true),
    };
    let now = clock::now();
    format!(
        r#"{{"type":"decision","seq":{seq},"ts":"{now}","gateway":"bench","server":"docker","grant":"local","session":"s-{}","client":"bench 1.0","request_id":{seq},"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"{rule}","pointer":null,"message":"","policy":"0123456789ab","args":{{"image":"registry.example/team/app:{seq}","force":false,"amount":{}}},"counters":[{{"counter":"push_rate","scope":"grant","key":"local","window":60,"used":{},"max":1000000000,"resets_at":"2099-11-20T21:21:00.000000Z"}}],"counted":{counted},"decide_us":1.5}}"#,
        seq / 1000,
        seq % 500,
        seq,
    )
    .into_bytes()
    .into()
}

/// A history from which nothing is ever gone, and which holds nothing.
struct Made;

impl History for Made {
    fn oldest(&self) -> Option<u64> {
        Some(1)
    }

    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(u64, Arc<[u8]>) -> bool) -> io::Result<()> {
        for seq in from..=to {
            if !each(seq, line(seq)) {
                break;
            }
        }
        Ok(())
    }
}

/// The other process of `memory`: publishes at the rate, and stays until its input ends.
fn publish(run: PathBuf, rate: u64, seconds: u64) {
    let config = HubConfig::new(run.clone(), run, "bench".to_owned(), "bench".to_owned());
    let hub = Hub::start_with(config, Arc::new(Made)).unwrap();
    while !hub.has_clients() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    let total = rate * seconds;
    let mut seq = 0;
    while seq < total {
        let due = u64::try_from(began.elapsed().as_micros()).unwrap() * rate / 1_000_000;
        while seq < due.min(total) {
            seq += 1;
            hub.publish(seq, line(seq));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{:.1}", began.elapsed().as_secs_f64());
    io::stdout().flush().unwrap();
    let mut end = String::new();
    let _ = io::stdin().read_line(&mut end);
    hub.close();
}

/// What was seen of the stream.
#[derive(Default)]
struct Seen {
    last: u64,
    records: u64,
    decisions: u64,
    gaps: u64,
    wrong: Vec<String>,
}

impl Seen {
    fn take(&mut self, message: &FeedMsg) {
        match message {
            FeedMsg::Records(_, rows) | FeedMsg::Merged(rows) => {
                for row in rows.iter() {
                    let seq = row.record.seq();
                    if seq != self.last + 1 && self.wrong.len() < 10 {
                        self.wrong.push(format!("{seq} came after {}", self.last));
                    }
                    self.last = seq;
                    self.records += 1;
                    self.decisions += u64::from(matches!(row.record, callgate::record::Record::Decision(_)));
                }
            }
            FeedMsg::Gap(_, from, to) => {
                if *from != self.last + 1 {
                    self.wrong.push(format!("a gap from {from} was announced after {}", self.last));
                }
                self.gaps += to - from + 1;
                self.last = *to;
            }
            FeedMsg::Unreadable(_, count) => self.wrong.push(format!("{count} could not be read")),
            FeedMsg::Lost(_, why, ended) if !ended => self.wrong.push(format!("the feed was lost: {why}")),
            _ => {}
        }
    }
}

struct Monitor {
    app: App,
    canvas: Canvas<io::Sink>,
    redraw: Redraw,
    began: Instant,
    seen: Seen,
    frames: Vec<f64>,
    keys: Vec<f64>,
    /// Keys that were pressed and whose frame is not there yet.
    pressed: Vec<Instant>,
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Monitor {
    fn new() -> Self {
        let start = Start {
            tz: jiff::tz::TimeZone::UTC,
            path: "policy.json".into(),
            theme: Theme::new(Depth::True, false, true),
            keymap: Keymap::default(),
            seed: "bench".to_owned(),
            bell: false,
            read_only: false,
            user: "bench".to_owned(),
            title: None,
            select: None,
            loading: false,
            has_editor: false,
        };
        let now = Now { ts: clock::now(), ms: 0 };
        Self {
            app: App::new(start, SIZE, now),
            canvas: Canvas::on(io::sink()),
            redraw: Redraw::default(),
            began: Instant::now(),
            seen: Seen::default(),
            frames: Vec::new(),
            keys: Vec::new(),
            pressed: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now { ts: clock::now(), ms: u64::try_from(self.began.elapsed().as_millis()).unwrap() }
    }

    fn take(&mut self, msg: Msg) {
        let now = self.now();
        app::update(&mut self.app, msg, now);
    }

    fn draw(&mut self) {
        let now = self.now();
        if !self.redraw.take(now.ms) {
            return;
        }
        let began = Instant::now();
        self.app.now = now;
        let drawn = self.canvas.draw(&self.app).unwrap();
        self.take(Msg::Drawn(drawn.hits));
        self.frames.push(millis(began));
        self.keys.extend(self.pressed.drain(..).map(millis));
    }

    /// Runs until the record of this number came, or nothing comes for ten seconds.
    async fn run(
        &mut self,
        mut messages: mpsc::Receiver<FeedMsg>,
        mut keys: mpsc::Receiver<(Instant, Msg)>,
        last: impl Fn() -> Option<u64>,
    ) {
        let mut heard = Instant::now();
        loop {
            if last().is_some_and(|last| self.seen.last >= last) || heard.elapsed() > Duration::from_secs(10)
            {
                return;
            }
            let due = self.redraw.at().into_iter().chain(self.app.wakes_at()).min();
            let wake = self.began + Duration::from_millis(due.unwrap_or(u64::MAX / 4_000_000));
            let wake = wake.min(Instant::now() + Duration::from_millis(200));
            tokio::select! {
                biased;
                Some((pressed, msg)) = keys.recv() => {
                    self.pressed.push(pressed);
                    self.take(msg);
                    let now = self.now().ms;
                    self.redraw.input(now);
                }
                Some(message) = messages.recv() => {
                    heard = Instant::now();
                    self.seen.take(&message);
                    self.take(Msg::Feed(message));
                    let now = self.now().ms;
                    self.redraw.stream(now);
                }
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = self.now().ms;
                    if self.redraw.at().is_none_or(|due| due > now) && self.app.wakes_at().is_some_and(|due| due <= now) {
                        self.take(Msg::Tick);
                        self.redraw.input(now);
                    }
                }
            }
            self.draw();
        }
    }

    fn report(&self, seconds: f64, of: u64) {
        let show = |name: &str, values: &[f64], target: &str| {
            if values.is_empty() {
                return;
            }
            let most = values.iter().copied().fold(0.0, f64::max);
            println!(
                "{name:22} {:7} of them, p50 {:6.2} ms, p99 {:6.2} ms, most {most:6.2} ms   {target}",
                values.len(),
                at(values, 0.5),
                at(values, 0.99),
            );
        };
        let totals = self.app.live.live.ring.totals();
        println!(
            "{} records in {seconds:.1} s ({:.0} a second), {} of {of} taken in; {} counted on the screen of {} decisions; {} announced as lost; {}",
            self.seen.records,
            self.seen.records as f64 / seconds,
            self.seen.last,
            totals.decisions,
            self.seen.decisions,
            self.seen.gaps,
            if self.seen.wrong.is_empty() { "every number in order, once" } else { "WRONG:" },
        );
        for wrong in &self.seen.wrong {
            println!("  {wrong}");
        }
        show("frames at 200x60", &self.frames, "p99 <= 16 ms");
        show("a key to its frame", &self.keys, "<= 16 ms");
        println!(
            "memory of the monitor: {:.0} MB at most, {} rows kept   <= 400 MB",
            peak(),
            self.app.live.live.ring.len()
        );
        assert!(
            self.seen.wrong.is_empty() && totals.decisions == self.seen.decisions,
            "not every one was counted"
        );
    }
}

/// The most memory that this process ever held, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: 0 kB");
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Presses keys for ever, as the interface's own input thread does.
fn type_keys() -> mpsc::Receiver<(Instant, Msg)> {
    let (out, keys) = mpsc::channel(64);
    std::thread::spawn(move || {
        for key in KEYS.iter().cycle() {
            std::thread::sleep(TYPING);
            let msg = Msg::Key(key.parse().unwrap());
            if out.blocking_send((Instant::now(), msg)).is_err() {
                return;
            }
        }
    });
    keys
}

fn watch(run: &Path, last: impl Fn() -> Option<u64>) -> (Monitor, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut monitor = Monitor::new();
    let began = Instant::now();
    runtime.block_on(async {
        let (messages, _handle) = feed::start(Feeds::RunDir(run.to_owned()), feed::PATIENCE).unwrap();
        monitor.run(messages, type_keys(), last).await;
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    (monitor, began.elapsed().as_secs_f64())
}

fn memory(rate: u64, seconds: u64) {
    println!("== {rate} decisions a second for {seconds} s, from memory");
    let folder = tempfile::tempdir().unwrap();
    let mut feeder = Command::new(std::env::current_exe().unwrap());
    feeder.arg("publish").arg(folder.path()).args([rate.to_string(), seconds.to_string()]);
    let mut feeder = feeder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (monitor, took) = watch(folder.path(), || Some(rate * seconds));
    let mut published = String::new();
    io::BufReader::new(feeder.stdout.take().unwrap()).read_line(&mut published).unwrap();
    println!("the last was published after {} s", published.trim());
    monitor.report(took, rate * seconds);
    drop(feeder.stdin.take());
    feeder.wait().unwrap();
}

fn gateway(rate: u64, seconds: u64) {
    println!("== {rate} calls a second for {seconds} s through one real gateway");
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    let text = r#"{"version":"1","default":"allow","tools":{"echo":{"deny_if":[{"conditions":[{"path":"args.message","op":"contains","value":"evil"}]}],"limits":[{"counter":"calls","window":"day","max":1000000000,"scope":"grant"}]}}}"#;
    std::fs::write(&policy, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
    command.env("CALLGATE_HOME", folder.path()).args(["gateway", "--policy"]).arg(&policy);
    command.args(["--name", "bench", "--"]).arg(examples(&["fixture-server"]).join("fixture-server"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (total, done) = (rate * seconds, Arc::new(std::sync::OnceLock::new()));
    let driver = drive(&mut child, rate, total);
    let journal = folder.path().join("state/journal");
    let ended = Arc::clone(&done);
    std::thread::spawn(move || {
        driver.join().unwrap();
        // What the gateway records after the last answer comes within a moment.
        std::thread::sleep(Duration::from_secs(1));
        let _ = ended.set(records_in(&journal));
    });
    let (monitor, took) = watch(&folder.path().join("run"), || done.get().copied());
    let records = done.get().copied().unwrap_or_default();
    println!(
        "the journal holds {records} records of {total} calls; the gateway holds {:.0} MiB",
        support::resident(child.id())
    );
    monitor.report(took, records);
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Sends calls at the rate and waits for their answers.
fn drive(child: &mut Child, rate: u64, total: u64) -> std::thread::JoinHandle<()> {
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut answered) = (vec![0; 1 << 16], 0);
        while answered < total {
            let read = stdout.read(&mut buffer).unwrap();
            assert!(read > 0, "the gateway is gone");
            answered += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
        }
    });
    std::thread::spawn(move || {
        let began = Instant::now();
        let mut sent = 0_u64;
        while sent < total {
            let due = u64::try_from(began.elapsed().as_micros()).unwrap() * rate / 1_000_000;
            while sent < due.min(total) {
                let word = if sent % 50 == 7 { "evil" } else { "hello" };
                let id = usize::try_from(sent).unwrap();
                stdin
                    .write_all(
                        call(id, "echo", &format!(r#"{{"message":"{word}","number":{sent}}}"#)).as_bytes(),
                    )
                    .unwrap();
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        reader.join().unwrap();
        // The server stays until the monitor is done.
        std::mem::forget(stdin);
    })
}

fn records_in(journal: &Path) -> u64 {
    let files = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| memchr::memchr_iter(b'\n', &std::fs::read(file).unwrap()).count() as u64).sum()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let option = arguments.iter().position(|argument| argument == "--rate");
    let rate: Option<u64> = option.map(|at| arguments[at + 1].parse().unwrap());
    let is_word = |at: &usize| option.is_none_or(|option| *at != option && *at != option + 1);
    let mut words = (0..arguments.len()).filter(is_word).map(|at| arguments[at].as_str());
    let number = |word: Option<&str>, usual: u64| word.map_or(usual, |word| word.parse().unwrap());
    match words.next() {
        Some("publish") => {
            let folder = PathBuf::from(words.next().unwrap());
            let rate = number(words.next(), 0);
            publish(folder, rate, number(words.next(), 0));
        }
        Some("gateway") => gateway(rate.unwrap_or(2_000), number(words.next(), 600)),
        Some("memory") | None => memory(rate.unwrap_or(100_000), number(words.next(), 30)),
        Some(other) => panic!("`{other}` is none of `memory` and `gateway`"),
    }
}
