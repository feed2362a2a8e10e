//! What a call through the stdio gateway costs, beside a bare byte relay between the same two
//! processes, all in one run on one machine.
//!
//! `cargo bench --bench gateway` (with `-- quick` for a short look). The figures that are pinned
//! to one core say what the code costs; the unpinned ones say what a user sees.

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

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use support::{at, call, examples};

/// One process that speaks lines, measured.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    buffer: Vec<u8>,
}

impl Peer {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, stdin, stdout, buffer: vec![0; 1 << 20] }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Reads until `count` lines came.
    fn receive(&mut self, mut count: usize) {
        while count > 0 {
            let read = self.stdout.read(&mut self.buffer).unwrap();
            assert!(read > 0, "the other end is gone");
            count -= memchr::memchr_iter(b'\n', &self.buffer[..read]).count();
        }
    }

    /// Microseconds of each of `count` calls, one at a time.
    fn sequential(&mut self, line: &[u8], count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| {
                let began = Instant::now();
                self.send(line);
                self.receive(1);
                began.elapsed().as_nanos() as f64 / 1e3
            })
            .collect()
    }

    /// Calls a second with 32 in flight.
    fn throughput(&mut self, count: usize) -> f64 {
        let mut next = 0;
        // Each by a write of its own, as clients do.
        let mut send = |peer: &mut Self, wanted: usize| {
            for _ in 0..wanted {
                peer.send(call(next % 100_000, "echo", r#"{"message":"hello"}"#).as_bytes());
                next += 1;
            }
        };
        let began = Instant::now();
        send(self, 32);
        let (mut asked, mut answered) = (32, 0);
        while answered < count {
            let read = self.stdout.read(&mut self.buffer).unwrap();
            assert!(read > 0, "the other end is gone");
            let came = memchr::memchr_iter(b'\n', &self.buffer[..read]).count();
            answered += came;
            let more = came.min(count.saturating_sub(asked));
            if more > 0 {
                send(self, more);
                asked += more;
            }
        }
        count as f64 / began.elapsed().as_secs_f64()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

struct Bench {
    dir: tempfile::TempDir,
    examples: PathBuf,
    rounds: usize,
    calls: usize,
}

impl Bench {
    fn server(&self, list: bool) -> Vec<String> {
        let mut server = vec![self.examples.join("fixture-server").to_str().unwrap().to_owned()];
        if list {
            server.extend(["--tools".to_owned(), self.path("list.json")]);
        }
        server
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn direct(&self, list: bool) -> Peer {
        let server = self.server(list);
        let mut command = Command::new(&server[0]);
        command.args(&server[1..]);
        Peer::start(command)
    }

    fn relay(&self, list: bool) -> Peer {
        let mut command = Command::new(self.examples.join("relay"));
        command.args(self.server(list));
        Peer::start(command)
    }

    fn gateway(&self, policy: &str, list: bool) -> Peer {
        self.gateway_with(policy, &[], list)
    }

    fn gateway_with(&self, policy: &str, options: &[&str], list: bool) -> Peer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
        command.env("CALLGATE_HOME", self.path("home")).args(["gateway", "--policy", &self.path(policy)]);
        command.args(["--name", "bench"]).args(options).arg("--").args(self.server(list));
        Peer::start(command)
    }

    /// Medians of each peer over alternating rounds, and of the ratio to the first.
    fn compare(
        &self,
        peers: &[(&str, &dyn Fn() -> Peer)],
        line: &[u8],
        calls: usize,
    ) -> Vec<(f64, f64, f64)> {
        let mut rows: Vec<Vec<(f64, f64)>> = peers.iter().map(|_| Vec::new()).collect();
        let mut running: Vec<Peer> = peers.iter().map(|(_, start)| start()).collect();
        for peer in &mut running {
            peer.sequential(line, (calls / 10).max(3));
        }
        for _ in 0..self.rounds {
            for (peer, rows) in running.iter_mut().zip(&mut rows) {
                let times = peer.sequential(line, calls);
                rows.push((at(&times, 0.5), at(&times, 0.99)));
            }
        }
        (0..peers.len())
            .map(|index| {
                let pick =
                    |part: fn(&(f64, f64)) -> f64| at(&rows[index].iter().map(part).collect::<Vec<_>>(), 0.5);
                let ratios: Vec<f64> =
                    rows[index].iter().zip(&rows[0]).map(|(own, first)| own.0 / first.0).collect();
                (pick(|row| row.0), pick(|row| row.1), at(&ratios, 0.5))
            })
            .collect()
    }

    fn all(&self, pinned: bool) {
        let place = if pinned { "pinned to one core" } else { "unpinned" };
        println!("\n== {place}: {} rounds of {} calls, one at a time", self.rounds, self.calls);
        let line =
            call(1, "echo", r#"{"message":"hello, this is a message of some sixty-four bytes or so!"}"#);
        let shadow = self.path("rules.json");
        let rows = self.compare(
            &[
                ("relay", &|| self.relay(false)),
                ("direct", &|| self.direct(false)),
                ("gateway, allowed", &|| self.gateway("allow.json", false)),
                ("gateway, 10 rules", &|| self.gateway("rules.json", false)),
                ("gateway, a limit in SQLite", &|| self.gateway("limit.json", false)),
                ("gateway, a shadow with 10 rules", &|| {
                    self.gateway_with("allow.json", &["--shadow", &shadow], false)
                }),
            ],
            line.as_bytes(),
            self.calls,
        );
        let names = [
            "relay",
            "direct",
            "gateway, allowed",
            "gateway, 10 rules",
            "gateway, limit in SQLite",
            "gateway, a shadow of 10 rules",
        ];
        let targets = ["", "", "<= 8 us more, 1.15 x", "", "<= 30 us more, 1.5 x", "as without it"];
        for ((name, (p50, p99, ratio)), target) in names.iter().zip(&rows).zip(targets) {
            let more = p50 - rows[0].0;
            println!(
                "{name:30} p50 {p50:8.1} us  p99 {p99:8.1} us  {more:+7.1} us  {ratio:5.2} x   {target}"
            );
        }
        let peers: [(&str, &dyn Fn() -> Peer); 3] = [
            ("relay", &|| self.relay(false)),
            ("direct", &|| self.direct(false)),
            ("gateway, allowed", &|| self.gateway("allow.json", false)),
        ];
        println!("-- 32 in flight");
        let mut relay = 0.0;
        for (name, start) in peers {
            let mut peer = start();
            peer.throughput(self.calls);
            let rates: Vec<f64> = (0..self.rounds.min(5)).map(|_| peer.throughput(self.calls * 10)).collect();
            let rate = at(&rates, 0.5);
            if name == "relay" {
                relay = rate;
            }
            println!(
                "{name:28} {rate:9.0} calls/s  {:5.1} % of the relay   {}",
                rate / relay * 100.0,
                if name.starts_with("gateway") { ">= 70 %" } else { "" }
            );
        }
        println!("-- 64 KB in an argument, one regex over it");
        let big =
            call(1, "echo", &format!("{{\"message\":\"{}\"}}", "lorem ipsum dolo".repeat(64 * 1024 / 16)));
        let rows = self.compare(
            &[("relay", &|| self.relay(false)), ("gateway", &|| self.gateway("regex.json", false))],
            big.as_bytes(),
            (self.calls / 10).max(50),
        );
        println!("relay {:.1} us, gateway {:.1} us: {:.2} x   <= 1.3 x", rows[0].0, rows[1].0, rows[1].2);
        println!("-- a tools/list of 580 KB, one tool hidden");
        let list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";
        let rows = self.compare(
            &[("direct", &|| self.direct(true)), ("gateway", &|| self.gateway("hide.json", true))],
            list.as_bytes(),
            (self.calls / 20).max(30),
        );
        println!(
            "direct {:.2} ms, gateway {:.2} ms: {:+.2} ms   <= 2 ms more",
            rows[0].0 / 1e3,
            rows[1].0 / 1e3,
            (rows[1].0 - rows[0].0) / 1e3
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("quick");
    let bench = Bench {
        dir: tempfile::tempdir().unwrap(),
        examples: std::env::var_os("CALLGATE_BENCH_EXAMPLES")
            .map_or_else(|| examples(&["fixture-server", "relay"]), PathBuf::from),
        rounds: if quick { 3 } else { 9 },
        calls: if quick { 1_000 } else { 3_000 },
    };
    let tool = |name: String, description: &str| {
        format!(
            r#"{{"name":"{name}","description":"{description}","inputSchema":{{"type":"object","properties":{{"a":{{"type":"string"}}}}}}}}"#
        )
    };
    let tools: Vec<String> =
        (0..235).map(|number| tool(format!("tool_{number}"), &"words ".repeat(390))).collect();
    let rules: Vec<String> = (0..10)
        .map(|number| {
            format!(r#"{{"conditions":[{{"path":"args.message","op":"contains","value":"evil{number}"}}]}}"#)
        })
        .collect();
    for (name, text) in [
        ("list.json", format!(r#"{{"tools":[{}]}}"#, tools.join(","))),
        ("allow.json", r#"{"version":"1","default":"allow","tools":{}}"#.to_owned()),
        ("rules.json", format!(r#"{{"version":"1","default":"allow","tools":{{"echo":{{"deny_if":[{}]}}}}}}"#, rules.join(","))),
        ("limit.json", r#"{"version":"1","default":"allow","tools":{"echo":{"limits":[{"counter":"c","window":"day","max":1000000000,"scope":"grant"}]}}}"#.to_owned()),
        ("regex.json", r#"{"version":"1","default":"allow","tools":{"echo":{"deny_if":[{"conditions":[{"path":"args.message","op":"regex","value":"(?i)drop\\s+table|rm\\s+-rf"}]}]}}}"#.to_owned()),
        ("hide.json", r#"{"version":"1","default":"allow","hide":["tool_100"],"tools":{}}"#.to_owned()),
    ] {
        std::fs::write(bench.path(name), text).unwrap();
    }
    if has("pinned") {
        bench.all(true);
        return;
    }
    let pinned = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe().unwrap())
        .arg("pinned")
        .args(quick.then_some("quick"))
        .env("CALLGATE_BENCH_EXAMPLES", &bench.examples)
        .status();
    if pinned.is_err() {
        println!("(without taskset nothing can be pinned)");
    }
    bench.all(false);
}
