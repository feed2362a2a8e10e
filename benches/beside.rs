//! A journal of 1 GB beside other programs that people search such files with, in one run:
//! `cargo bench --bench beside` (`-- quick` takes a tenth of it).
//!
//! `grep` and `jq` are used where they are on the PATH, and `hl` (github.com/pamburus/hl) too. Each is
//! asked the same, all on one core, and what it prints is thrown away; the fastest of three runs counts.
//! The Live screen's filter is measured on the same records in memory, and `replay`, `suggest` and
//! `test` with their most memory. Target: at least 500 MB/s a core, in bounded memory.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use callgate::journal::follow::Source;
use callgate::journal::past::Past;
use callgate::journal::{Options as Keep, Writer};
use callgate::policy::document::Document;
use callgate::record::Record;
use callgate::time::Timestamp;
use callgate::tui::app::live::Live;
use callgate::tui::app::live::ring::Bounds;
use sha2::{Digest, Sha256};

/// How much is written, in bytes.
const SIZE: u64 = 1_000_000_000;
const GATEWAYS: u64 = 4;
const ROUNDS: usize = 3;

const POLICY: &str = r#"{"version":"1","default":"deny","tools":{
    "list_images":{}, "logs":{}, "inspect":{},
    "pull":{"limits":[{"counter":"pull_rate","window":"minute","max":30,"scope":"grant"}]},
    "push":{"require":[{"conditions":[{"path":"args.image","op":"regex","value":"^ghcr\\.io/acme/"}]}],
            "deny_if":[{"conditions":[{"path":"args.force","op":"eq","value":true}]}]}}}"#;

/// A call and, where it was allowed, its outcome: mostly reads, some that count, one in twenty denied.
/// Calls have the same arguments again and again, as real ones do, or no two of them have.
fn lines(seq: u64, gateway: u64, revision: &str, alike: bool) -> Vec<String> {
    let of = |many: u64| if alike { seq % many } else { seq };
    let (second, micros) = (seq / 5_000, seq % 5_000 * 200);
    let ts = format!(
        "2026-11-20T{:02}:{:02}:{:02}.{micros:06}Z",
        20 + second / 3600,
        second / 60 % 60,
        second % 60
    );
    let (tool, args, deny) = match seq % 20 {
        0..=9 => {
            ("list_images", format!(r#"{{"all":true,"filters":{{"label":["team=web-{}"]}}}}"#, of(97)), false)
        }
        10..=13 => ("logs", format!(r#"{{"container":"web-{}","tail":200,"since":"10m"}}"#, of(31)), false),
        14..=17 => (
            "push",
            format!(
                r#"{{"image":"ghcr.io/acme/web:1.{}.{}","force":false,"platform":"linux/amd64"}}"#,
                seq % 7,
                of(1009)
            ),
            false,
        ),
        18 => ("pull", format!(r#"{{"image":"docker.io/library/nginx","tag":"1.{}"}}"#, of(27)), false),
        _ => ("push", format!(r#"{{"image":"ghcr.io/acme/web:1.{}","force":true}}"#, of(1009)), true),
    };
    let counters = if tool == "pull" {
        r#"[{"counter":"pull_rate","scope":"grant","key":"local","window":60,"used":7,"max":30,"resets_at":"2026-11-21T00:00:00.000000Z"}]"#
    } else {
        "[]"
    };
    let (verdict, rule, pointer, message) = if deny {
        (
            "deny",
            "/tools/push/deny_if/args.force-eq",
            "/tools/push/deny_if/0",
            "Argument rule of push not met",
        )
    } else {
        ("allow", "", "", "")
    };
    let pointer = if deny { pointer.to_owned() } else { format!("/tools/{tool}") };
    let mut lines = vec![format!(
        r#"{{"type":"decision","seq":1,"ts":"{ts}","gateway":"g{gateway}","server":"docker","grant":"local","session":"s-{}","client":"bench 1.0","request_id":{seq},"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"{rule}","pointer":"{pointer}","message":"{message}","policy":"{revision}","args":{args},"counters":{counters},"counted":{},"decide_us":1.5}}"#,
        seq / 1000,
        tool == "pull",
    )];
    if !deny {
        lines.push(format!(
            r#"{{"type":"outcome","seq":2,"ts":"{ts}","gateway":"g{gateway}","call":1,"status":"ok","upstream_us":1500,"bytes":2048,"released":false}}"#
        ));
    }
    lines
}

/// Writes the journals; gives how many bytes and calls they hold.
fn write(folder: &Path, size: u64, revision: &str, alike: bool) -> (u64, u64) {
    let keep = Keep::default();
    let writers: Vec<_> =
        (0..GATEWAYS).map(|gateway| Writer::create(folder, &format!("g{gateway}"), &keep).unwrap()).collect();
    let (mut bytes, mut calls) = (0, 0);
    let mut at = vec![0_u64; writers.len()];
    while bytes < size {
        let gateway = calls % GATEWAYS;
        let place = usize::try_from(gateway).unwrap();
        let mut records: Vec<Record> = lines(calls, gateway, revision, alike)
            .iter()
            .map(|line| Record::parse(line.as_bytes()).unwrap())
            .collect();
        if let Some(Record::Outcome(outcome)) = records.get_mut(1) {
            outcome.call = at[place] + 1;
        }
        at[place] += records.len() as u64;
        let mut records: Vec<&mut Record> = records.iter_mut().collect();
        writers[place].append_all(&mut records, |_, line| bytes += line.len() as u64 + 1).unwrap();
        calls += 1;
    }
    (bytes, calls)
}

/// What a run took, and the most memory that it held, in MiB.
struct Took {
    time: Duration,
    memory: f64,
}

/// Runs a program on one core, and throws away what it prints.
fn run(program: &str, arguments: &[&str], home: &Path) -> Option<Took> {
    let mut fastest: Option<Took> = None;
    for _ in 0..ROUNDS {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", program]).args(arguments).env("CALLGATE_HOME", home).env("NO_COLOR", "1");
        let began = Instant::now();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut memory: f64 = 0.0;
        let status = loop {
            memory = memory.max(support::resident(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let time = began.elapsed();
        if status.code() == Some(127) || status.code().is_none() {
            return None;
        }
        if fastest.as_ref().is_none_or(|fastest| time < fastest.time) {
            fastest = Some(Took { time, memory });
        }
    }
    fastest
}

fn show(name: &str, bytes: u64, took: &Took, first: Option<Duration>) {
    let rate = bytes as f64 / took.time.as_secs_f64() / 1e6;
    let ratio = first
        .map(|first| format!("{:7.2} x", took.time.as_secs_f64() / first.as_secs_f64()))
        .unwrap_or_default();
    let (seconds, memory) = (took.time.as_secs_f64(), took.memory);
    println!("  {name:44} {seconds:7.2} s {rate:7.0} MB/s {memory:6.0} MiB {ratio}");
}

fn on_path(name: &str) -> bool {
    let found = |folder: PathBuf| folder.join(name).is_file();
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(found))
}

/// The same question to everyone.
struct Question {
    name: &'static str,
    tail: &'static [&'static str],
    filter: &'static str,
    grep: Option<&'static [&'static str]>,
    jq: &'static str,
    hl: &'static [&'static str],
}

const QUESTIONS: [Question; 4] = [
    Question {
        name: "denied calls",
        tail: &["--deny"],
        filter: "decision:deny",
        grep: Some(&["-h", "\"decision\":\"deny\""]),
        jq: r#"select(.decision == "deny")"#,
        hl: &["-f", "decision=deny"],
    },
    Question {
        name: "calls of one tool",
        tail: &["--filter", "tool:pull"],
        filter: "tool:pull",
        grep: Some(&["-h", "\"tool\":\"pull\""]),
        jq: r#"select(.tool == "pull")"#,
        hl: &["-f", "tool=pull"],
    },
    Question {
        name: "one argument of one tool",
        tail: &["--filter", "tool:push arg.force:true"],
        filter: "tool:push arg.force:true",
        grep: None,
        jq: r#"select(.tool == "push" and .args.force == true)"#,
        hl: &["-f", "tool=push", "-f", "args.force=true"],
    },
    Question {
        name: "a text that stands nowhere",
        tail: &["--filter", "none_of_them"],
        filter: "none_of_them",
        grep: Some(&["-h", "none_of_them"]),
        jq: r#"select(tostring | contains("none_of_them"))"#,
        hl: &["-q", ". ~= none_of_them"],
    },
];

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let size = if quick { SIZE / 10 } else { SIZE };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("state/journal");
    let document = Document::parse(POLICY).valid().unwrap();
    let (bytes, calls) = write(&folder, size, document.revision(), true);
    println!(
        "{calls} calls in {bytes} bytes, {GATEWAYS} gateways; all on one core, the fastest of {ROUNDS} runs"
    );
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let callgate = env!("CARGO_BIN_EXE_callgate");
    let journal = folder.to_str().unwrap();
    for missing in ["grep", "jq", "hl"].into_iter().filter(|name| !on_path(name)) {
        println!("(no {missing} on the PATH)");
    }
    for question in &QUESTIONS {
        println!("{}", question.name);
        let tail = ["tail", "--no-follow", "--format", "json", "--journal", journal];
        let own = run(callgate, &[&tail, question.tail].concat(), home.path()).unwrap();
        show("callgate tail --format json, merged by time", bytes, &own, None);
        let first = Some(own.time);
        if let Some(grep) = question.grep.filter(|_| on_path("grep")) {
            let took = run("grep", &[grep, &files].concat(), home.path()).unwrap();
            show("grep, file after file", bytes, &took, first);
        }
        if on_path("hl") {
            let plain = ["-P", "--raw", "--color", "never"];
            let took = run("hl", &[&plain, question.hl, &files].concat(), home.path()).unwrap();
            show("hl --raw, file after file", bytes, &took, first);
            let sorted = ["-P", "-s", "--color", "never"];
            let took = run("hl", &[&sorted, question.hl, &files].concat(), home.path()).unwrap();
            show("hl -s, merged by time, as text", bytes, &took, first);
        }
        if on_path("jq") {
            let took = run("jq", &[&["-c", question.jq], &files[..]].concat(), home.path()).unwrap();
            show("jq -c, file after file", bytes, &took, first);
        }
    }
    println!("every record as text");
    let own = run(callgate, &["tail", "--no-follow", "--journal", journal], home.path()).unwrap();
    show("callgate tail, merged by time", bytes, &own, None);
    if on_path("hl") {
        let took = run("hl", &[&["-P", "-s", "--color", "never"], &files[..]].concat(), home.path()).unwrap();
        show("hl -s, merged by time", bytes, &took, Some(own.time));
    }
    live(&folder);
    recorded(home.path(), journal, bytes);
    std::fs::remove_dir_all(&folder).unwrap();
    let (bytes, _) = write(&folder, size / 4, document.revision(), false);
    let took = run(callgate, &["suggest", journal, "--server", "docker"], home.path()).unwrap();
    show("callgate suggest, no two calls alike", bytes, &took, None);
}

/// The Live screen's filter over the newest million rows.
fn live(folder: &Path) {
    let mut live = Live::new(Bounds::default());
    let mut past = Past::open(&[Source::Folder(folder.to_owned())], None, &[]).unwrap();
    let mut records = Vec::new();
    let mut bytes = 0;
    while let Some(line) = past.next_line().unwrap() {
        bytes += line.len() as u64 + 1;
        records.push(Record::parse(line).unwrap());
        if records.len() == 1000 {
            live.take(0, &records);
            records.clear();
        }
    }
    live.take(0, &records);
    let rows = live.count();
    println!("the Live screen's filter over {rows} rows ({bytes} bytes in the journal)");
    let now = Timestamp(1_795_300_000_000_000);
    for question in &QUESTIONS {
        let began = Instant::now();
        live.set_filter(question.filter, now).unwrap();
        let first = began.elapsed();
        while live.work() {}
        let all = began.elapsed();
        println!("  {:44} first screen {first:.2?}, all of them {all:.1?}", question.filter);
    }
}

/// `replay`, `suggest` and `test`.
fn recorded(home: &Path, journal: &str, bytes: u64) {
    let kept = home.join("state/policies");
    std::fs::create_dir_all(&kept).unwrap();
    let mut digest = String::new();
    for byte in Sha256::digest(POLICY.as_bytes()) {
        write!(digest, "{byte:02x}").unwrap();
    }
    std::fs::write(kept.join(format!("{digest}.json")), POLICY).unwrap();
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let (policy, tighter) = (path("policy.json"), path("tighter.json"));
    std::fs::write(&policy, POLICY).unwrap();
    std::fs::write(&tighter, POLICY.replace("acme/", "acme/api")).unwrap();
    println!("recorded calls decided again");
    let callgate = env!("CARGO_BIN_EXE_callgate");
    for (name, arguments) in [
        ("callgate replay, nothing changes", vec!["replay", &policy, journal, "--server", "docker"]),
        ("callgate replay, a fifth changes", vec!["replay", &tighter, journal, "--server", "docker"]),
        ("callgate test POLICY JOURNAL", vec!["test", &policy, journal]),
        ("callgate suggest", vec!["suggest", journal, "--server", "docker"]),
    ] {
        let took = run(callgate, &arguments, home).unwrap();
        show(name, bytes, &took, None);
    }
}
