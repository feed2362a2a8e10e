//! What a call through the gateway costs over each transport, beside the server alone and a bare
//! relay between the same two, all in one run on one machine; and what reloads, feed clients, a
//! shadow and counters add.
//!
//! `cargo bench --bench http`, some five minutes, or `cargo bench --bench http -- --quick`, one;
//! one of the words `transports`, `beside` and `memory` asks for that part alone. Figures pinned to
//! one core say what the code costs, unpinned ones what a user sees. The ratios are medians over
//! alternating rounds, so that a slow moment of the machine meets every peer.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_precision_loss
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use callgate::feed::discovery;
use support::{Ended, at, call, examples};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MESSAGE: &str = r#"{"message":"hello, this is a message of some sixty-four bytes or so!"}"#;
const ALLOW: &str = r#"{"version":"1","default":"allow","tools":{}}"#;
const LIMIT: &str = r#"{"version":"1","default":"allow","tools":{"echo":{"limits":[{"counter":"c","window":"day","max":1000000000,"scope":"grant"}]}}}"#;
const SHADOW: &str = r#"{"version":"1","default":"deny","tools":{"echo":{"deny_if":[{"conditions":[{"path":"args.message","op":"regex","value":"hello"}]}]}}}"#;

/// Of one peer in one round.
#[derive(Clone, Copy, Default)]
struct Figures {
    p50: f64,
    p99: f64,
    rate: f64,
}

impl Figures {
    fn of(times: &[f64], took: Duration) -> Self {
        assert!(!times.is_empty(), "no call was answered");
        Self { p50: at(times, 0.5), p99: at(times, 0.99), rate: times.len() as f64 / took.as_secs_f64() }
    }
}

/// Something that can be called.
trait Peer {
    fn measure(&mut self, in_flight: usize, time: Duration) -> Figures;
}

/// Over stdio: one pipe, calls told apart by their ids.
struct Piped {
    _process: Ended,
    stdin: ChildStdin,
    stdout: ChildStdout,
    next: usize,
}

impl Piped {
    fn start(mut command: Command) -> Box<dyn Peer> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Box::new(Self { _process: Ended(child), stdin, stdout, next: 0 })
    }
}

/// The number after `"id":`, or `None` in a message without one.
fn id_of(line: &[u8]) -> Option<usize> {
    let from = memchr::memmem::find(line, b"\"id\":")? + 5;
    let digits = line[from..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |id, digit| id * 10 + usize::from(digit - b'0')))
}

impl Peer for Piped {
    fn measure(&mut self, in_flight: usize, time: Duration) -> Figures {
        let (first, mut asked, mut times) = (self.next, Vec::new(), Vec::new());
        let mut buffer = vec![0; 1 << 20];
        let mut rest = Vec::new();
        let began = Instant::now();
        while asked.len() < in_flight {
            asked.push(Instant::now());
            self.stdin.write_all(call(first + asked.len() - 1, "echo", MESSAGE).as_bytes()).unwrap();
        }
        while times.len() < asked.len() {
            let count = self.stdout.read(&mut buffer).unwrap();
            assert!(count > 0, "the other end is gone");
            let now = Instant::now();
            rest.extend_from_slice(&buffer[..count]);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1);
            for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
                let Some(id) = id_of(line) else { continue };
                times.push((now - asked[id - first]).as_nanos() as f64 / 1e3);
                if began.elapsed() < time {
                    asked.push(Instant::now());
                    let more = call(first + asked.len() - 1, "echo", MESSAGE);
                    self.stdin.write_all(more.as_bytes()).unwrap();
                }
            }
            rest.drain(..whole);
        }
        self.next += asked.len();
        Figures::of(&times, began.elapsed())
    }
}

/// Over HTTP: as many connections as calls in flight, each kept alive.
struct Called {
    address: SocketAddr,
    session: Option<String>,
    _processes: Vec<Ended>,
}

/// The bytes of one POST.
fn post(address: SocketAddr, session: Option<&str>, body: &str) -> Vec<u8> {
    let session = session.map_or(String::new(), |id| format!("mcp-session-id: {id}\r\n"));
    let body = body.trim_end();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n{session}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// How long the whole response is that begins here; `None` while more must come.
fn response_length(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    assert!(text.starts_with("HTTP/1.1 2"), "{}", String::from_utf8_lossy(bytes));
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    if let Some(length) = length {
        return (bytes.len() >= head + length).then_some(head + length);
    }
    // Chunked: the last chunk is empty.
    memchr::memmem::find(&bytes[head - 2..], b"\r\n0\r\n\r\n").map(|at| head - 2 + at + 7)
}

async fn exchange(connection: &mut tokio::net::TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    buffer.clear();
    connection.write_all(request).await.unwrap();
    while response_length(buffer).is_none() {
        assert!(connection.read_buf(buffer).await.unwrap() > 0, "the other end is gone");
    }
    // A call that was refused costs less than one that ran.
    let ran = memchr::memmem::find(buffer, b"\"content\":[{").is_some();
    assert!(ran && memchr::memmem::find(buffer, b"isError").is_none(), "{}", String::from_utf8_lossy(buffer));
}

impl Peer for Called {
    fn measure(&mut self, in_flight: usize, time: Duration) -> Figures {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (address, session) = (self.address, self.session.clone());
        runtime.block_on(async move {
            let ready = Arc::new(tokio::sync::Barrier::new(in_flight + 1));
            let workers: Vec<_> = (0..in_flight)
                .map(|worker| {
                    let ready = Arc::clone(&ready);
                    // Ids differ within a session while they are in flight.
                    let request = post(address, session.as_deref(), &call(worker + 1, "echo", MESSAGE));
                    tokio::spawn(async move {
                        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
                        connection.set_nodelay(true).unwrap();
                        let (mut buffer, mut times) = (Vec::with_capacity(4096), Vec::new());
                        // The first call opens the way upstream; it is not counted.
                        exchange(&mut connection, &request, &mut buffer).await;
                        ready.wait().await;
                        let began = Instant::now();
                        while began.elapsed() < time {
                            let asked = Instant::now();
                            exchange(&mut connection, &request, &mut buffer).await;
                            times.push(asked.elapsed().as_nanos() as f64 / 1e3);
                        }
                        times
                    })
                })
                .collect();
            ready.wait().await;
            let began = Instant::now();
            let mut times = Vec::new();
            for worker in workers {
                times.extend(worker.await.unwrap());
            }
            Figures::of(&times, began.elapsed())
        })
    }
}

/// Starts a process that says where it listens on one of its first lines.
fn announced(mut command: Command) -> (Ended, SocketAddr) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let process = Ended(child);
    let (send, lines) = std::sync::mpsc::channel();
    let streams: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(err)];
    for stream in streams {
        let send = send.clone();
        // Read to the end: nobody may wait because its words are not taken.
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let _nobody = send.send(line);
            }
        });
    }
    loop {
        let line = lines.recv_timeout(Duration::from_secs(20)).expect("it says where it listens");
        let from = line.find("127.0.0.1:");
        let address = from.and_then(|from| {
            line[from..].split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').next()?.parse().ok()
        });
        if let Some(address) = address {
            return (process, address);
        }
    }
}

/// What runs beside the calls of a gateway.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    Reloads,
    Feeds(usize),
}

/// A gateway with its surroundings; what it starts ends with it.
struct Variant {
    peer: Called,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _silent: Vec<TcpStream>,
}

impl Drop for Variant {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

struct Bench {
    dir: tempfile::TempDir,
    examples: PathBuf,
    rounds: usize,
    time: Duration,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn example(&self, name: &str) -> Command {
        Command::new(self.examples.join(name))
    }

    fn gateway(&self, home: &str, policy: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
        command.env("CALLGATE_HOME", self.path(home)).args(["gateway", "--name", "bench", "--policy"]);
        command.arg(self.path(policy)).args(more);
        command
    }

    fn http_gateway(&self, home: &str, policy: &str, more: &[&str]) -> (Ended, SocketAddr) {
        let mut flags = vec!["--listen", "127.0.0.1:0", "--no-auth"];
        flags.extend(more);
        announced(self.gateway(home, policy, &flags))
    }

    fn echo(&self, stream: bool) -> (Ended, SocketAddr) {
        let mut command = self.example("http-echo");
        command.arg("127.0.0.1:0").args(stream.then_some("--stream"));
        announced(command)
    }

    fn fixture(&self) -> String {
        self.examples.join("fixture-server").to_str().unwrap().to_owned()
    }

    /// The server alone, behind the bare relay, and behind the gateway.
    fn stdio(&self) -> Vec<Box<dyn Peer>> {
        let mut relay = self.example("relay");
        relay.arg(self.fixture());
        let mut gateway = self.gateway("stdio", "allow.json", &["--"]);
        gateway.arg(self.fixture());
        vec![Piped::start(self.example("fixture-server")), Piped::start(relay), Piped::start(gateway)]
    }

    fn http(&self, stream: bool) -> Vec<Box<dyn Peer>> {
        let called = |(process, address): (Ended, SocketAddr), behind: Ended| -> Box<dyn Peer> {
            Box::new(Called { address, session: None, _processes: vec![process, behind] })
        };
        let (direct, address) = self.echo(stream);
        let (behind_relay, to) = self.echo(stream);
        let mut relay = self.example("tcp-relay");
        relay.args(["127.0.0.1:0", &to.to_string()]);
        let (behind_gateway, to) = self.echo(stream);
        let gateway = self.http_gateway("http", "allow.json", &["--upstream", &format!("http://{to}/mcp")]);
        vec![
            Box::new(Called { address, session: None, _processes: vec![direct] }),
            called(announced(relay), behind_relay),
            called(gateway, behind_gateway),
        ]
    }

    /// A stdio server behind HTTP has no bare relay: beside it stand the HTTP server and its relay.
    fn http_to_stdio(&self) -> Vec<Box<dyn Peer>> {
        let mut peers = self.http(false);
        let (process, address) = self.http_gateway("bridge", "allow.json", &["--", &self.fixture()]);
        let session = open_session(address);
        peers[2] = Box::new(Called { address, session: Some(session), _processes: vec![process] });
        peers
    }

    /// Figures of each peer in each of the rounds.
    fn rounds(&self, peers: &mut [Box<dyn Peer>], in_flight: usize) -> Vec<Vec<Figures>> {
        let mut figures = vec![Vec::new(); peers.len()];
        for peer in peers.iter_mut() {
            peer.measure(in_flight, self.time / 5);
        }
        for _ in 0..self.rounds {
            for (peer, figures) in peers.iter_mut().zip(&mut figures) {
                figures.push(peer.measure(in_flight, self.time));
            }
        }
        figures
    }

    fn transport(&self, title: &str, mut peers: Vec<Box<dyn Peer>>, levels: &[usize]) {
        println!("-- {title}");
        for &in_flight in levels {
            let figures = self.rounds(&mut peers, in_flight);
            for (name, own) in ["direct", "relay", "gateway"].iter().zip(&figures) {
                let target = match (*name, title, in_flight) {
                    ("gateway", "HTTP", 1) => "p50 <= 1.5 x",
                    ("gateway", "stdio", 32) => "calls >= 0.70 x",
                    _ => "",
                };
                show(&format!("{in_flight:3} in flight, {name}"), own, &figures[1], target);
            }
        }
    }

    fn variant(&self, home: &str, policy: &str, more: &[&str], beside: Beside) -> Variant {
        let (behind, to) = self.echo(false);
        let upstream = format!("http://{to}/mcp");
        let mut flags = more.to_vec();
        flags.extend(["--upstream", &upstream]);
        let (process, address) = self.http_gateway(home, policy, &flags);
        let stop = Arc::new(AtomicBool::new(false));
        let (mut threads, mut silent) = (Vec::new(), Vec::new());
        match beside {
            Beside::Nothing => {}
            Beside::Reloads => {
                let (path, stop) = (self.path(policy), Arc::clone(&stop));
                threads.push(std::thread::spawn(move || reload(&path, &stop)));
            }
            Beside::Feeds(count) => {
                for index in 0..count {
                    let feed = open_feed(&self.path(home).join("run"));
                    if index % 2 == 0 {
                        threads.push(std::thread::spawn({
                            let stop = Arc::clone(&stop);
                            move || drain(feed, &stop)
                        }));
                    } else {
                        silent.push(feed);
                    }
                }
            }
        }
        let peer = Called { address, session: None, _processes: vec![process, behind] };
        Variant { peer, stop, threads, _silent: silent }
    }

    fn variants(&self) {
        println!("\n== what is beside the calls: HTTP gateways, {} rounds of {:?}", self.rounds, self.time);
        let redis = Redis::start(&self.path("redis"));
        let shadow = self.path("shadow.json").to_str().unwrap().to_owned();
        let mut named = vec![
            ("nothing", self.variant("v0", "v0.json", &[], Beside::Nothing)),
            ("policy reloaded 10 times a second", self.variant("v1", "v1.json", &[], Beside::Reloads)),
            ("1 feed client", self.variant("v2", "v0.json", &[], Beside::Feeds(1))),
            ("10 feed clients, 5 never read", self.variant("v3", "v0.json", &[], Beside::Feeds(10))),
        ];
        let help = Command::new(env!("CARGO_BIN_EXE_callgate")).args(["gateway", "--help"]).output().unwrap();
        if String::from_utf8_lossy(&help.stdout).contains("--shadow") {
            let flags = ["--shadow", &shadow];
            named.push(("a shadow", self.variant("v4", "v0.json", &flags, Beside::Nothing)));
        }
        named.push(("a limit in SQLite", self.variant("v5", "limit.json", &[], Beside::Nothing)));
        if let Some(redis) = &redis {
            let flags = ["--counters", &redis.url];
            named.push(("a limit in Redis", self.variant("v6", "limit.json", &flags, Beside::Nothing)));
        } else {
            println!("(no redis-server on the PATH: no figures with Redis)");
        }
        for in_flight in [1, 32] {
            let mut figures = vec![Vec::new(); named.len()];
            for (_, variant) in &mut named {
                variant.peer.measure(in_flight, self.time / 5);
            }
            for _ in 0..self.rounds {
                for ((_, variant), figures) in named.iter_mut().zip(&mut figures) {
                    figures.push(variant.peer.measure(in_flight, self.time));
                }
            }
            for ((name, _), own) in named.iter().zip(&figures) {
                let target = match *name {
                    "policy reloaded 10 times a second" | "10 feed clients, 5 never read" => "p99 <= 1.2 x",
                    _ => "",
                };
                show(&format!("{in_flight:3} in flight, {name}"), own, &figures[0], target);
            }
        }
    }

    fn memory(&self) {
        println!("\n== memory");
        let mut stdio = self.gateway("m0", "allow.json", &["--"]);
        let mut child =
            stdio.arg(self.fixture()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        child.stdin.as_mut().unwrap().write_all(call(1, "echo", MESSAGE).as_bytes()).unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        println!(
            "stdio gateway, idle                  {:6.1} MiB   <= 15 MiB",
            support::resident(child.id())
        );
        drop(Ended(child));
        let (_behind, to) = self.echo(false);
        let (process, address) =
            self.http_gateway("m1", "allow.json", &["--upstream", &format!("http://{to}/mcp")]);
        open_session(address);
        let idle = process.resident();
        println!("HTTP gateway, idle                   {idle:6.1} MiB   <= 15 MiB");
        for _ in 0..1_000 {
            open_session(address);
        }
        let full = process.resident();
        println!(
            "HTTP gateway, 1,000 sessions         {full:6.1} MiB   {:.1} KiB a session",
            (full - idle) * 1024.0 / 1_000.0
        );
    }
}

/// One line: the figures of the median round, and their ratio to another peer's in the same rounds.
fn show(name: &str, own: &[Figures], first: &[Figures], target: &str) {
    let median = |part: fn(&Figures) -> f64| at(&own.iter().map(part).collect::<Vec<_>>(), 0.5);
    let ratio = |part: fn(&Figures) -> f64| {
        at(&own.iter().zip(first).map(|(own, first)| part(own) / part(first)).collect::<Vec<_>>(), 0.5)
    };
    println!(
        "{name:52} p50 {:8.1} us {:5.2} x  p99 {:8.1} us {:5.2} x  {:8.0} calls/s {:5.2} x  {target}",
        median(|figures| figures.p50),
        ratio(|figures| figures.p50),
        median(|figures| figures.p99),
        ratio(|figures| figures.p99),
        median(|figures| figures.rate),
        ratio(|figures| figures.rate),
    );
}

/// Opens a session and gives its id.
fn open_session(address: SocketAddr) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(&post(address, None, body)).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 4096]);
    while response_length(&bytes).is_none() {
        let count = connection.read(&mut buffer).unwrap();
        assert!(count > 0, "the other end is gone");
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let id = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("mcp-session-id").then(|| value.trim().to_owned())
    });
    id.expect("a session id")
}

/// Writes the policy anew ten times a second, each time another text.
fn reload(path: &Path, stop: &AtomicBool) {
    let mut version = 0;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        let text = format!(r#"{{"version":"1","default":"allow","description":"{version}","tools":{{}}}}"#);
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, path).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A feed client that has connected and read its first bytes.
fn open_feed(run: &Path) -> TcpStream {
    let began = Instant::now();
    let entry = loop {
        if let Some(entry) = discovery::list(run).unwrap_or_default().pop() {
            break entry;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no feed in {}", run.display());
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut feed = TcpStream::connect(&entry.address).unwrap();
    let request = format!(
        "GET /feed HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {}\r\n\r\n",
        entry.address, entry.token
    );
    feed.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 12];
    feed.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 101");
    feed
}

fn drain(mut feed: TcpStream, stop: &AtomicBool) {
    feed.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        if matches!(feed.read(&mut buffer), Ok(0)) {
            return;
        }
    }
}

/// A Redis of the benchmark's own.
struct Redis {
    _process: Ended,
    url: String,
}

impl Redis {
    fn start(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let process = Ended(child);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { _process: process, url: format!("redis://127.0.0.1:{port}/0") })
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick");
    let wanted = ["fixture-server", "relay", "tcp-relay", "http-echo"];
    let bench = Bench {
        dir: tempfile::tempdir().unwrap(),
        examples: std::env::var_os("CALLGATE_BENCH_EXAMPLES")
            .map_or_else(|| examples(&wanted), PathBuf::from),
        rounds: 3,
        time: Duration::from_millis(if quick { 120 } else { 1_000 }),
    };
    for (name, text) in [
        ("allow.json", ALLOW),
        ("v0.json", ALLOW),
        ("v1.json", ALLOW),
        ("limit.json", LIMIT),
        ("shadow.json", SHADOW),
    ] {
        std::fs::write(bench.path(name), text).unwrap();
    }
    let all = [1, 8, 32, 256];
    let levels: &[usize] = if has("--pinned") { &all[..1] } else { &all };
    let parts = ["transports", "beside", "memory"];
    let asked = |part: &str| has(part) || !parts.iter().any(|part| has(part));
    if !has("--pinned") && asked("transports") {
        let pinned = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe().unwrap())
            .arg("--pinned")
            .args(quick.then_some("--quick"))
            .env("CALLGATE_BENCH_EXAMPLES", &bench.examples)
            .status();
        if pinned.is_err() {
            println!("(without taskset nothing can be pinned)");
        }
    }
    if asked("transports") {
        let place = if has("--pinned") { "pinned to one core" } else { "unpinned" };
        println!("\n== {place}: {} rounds of {:?} each; ratios to the bare relay", bench.rounds, bench.time);
        bench.transport("stdio", bench.stdio(), levels);
        bench.transport("HTTP", bench.http(false), levels);
        bench.transport("HTTP, answers as streams", bench.http(true), levels);
        bench.transport("HTTP to stdio (the peers are over HTTP alone)", bench.http_to_stdio(), levels);
    }
    if has("--pinned") {
        return;
    }
    if asked("beside") {
        bench.variants();
    }
    if asked("memory") {
        bench.memory();
    }
}
