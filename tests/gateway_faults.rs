//! What befalls a gateway from outside, with real processes: its store locked, torn or counted by
//! a clock that has stepped back, its disk full, its policy replaced by everything but a policy,
//! a thousand reloads under load, a server that says a gigabyte.

#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;
mod http_support;

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use callgate::clock;
use callgate::counters::Store;
use callgate::counters::sqlite::SqliteStore;
use callgate::policy::counter::{CounterKey, Want};
use callgate::policy::document::revision;
use callgate::policy::model::Scope;
use callgate::record::{EventKind, Verdict};
use callgate::time::Timestamp;
use gateway_support::{
    ALLOW, Gateway, Home, LONG, call, callgate as program, denied, faketime, fixture, rule, until,
};
use http_support::Gate;

fn limited(max: u64) -> String {
    format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"limits":[{{"counter":"c","window":"day","max":{max},"scope":"grant"}}]}}}}}}"#
    )
}

#[test]
fn a_locked_store_denies_what_counts_and_only_that() {
    let home = Home::new(&limited(3));
    let mut gateway = home.gateway(&[], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")));
    // Another process (this one) writes, and does not end.
    let other = rusqlite::Connection::open(home.path("home/state/store.sqlite")).unwrap();
    other.busy_timeout(LONG).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let answer = gateway.call(2, "echo", "{}");
    assert_eq!(rule(&answer), "(unavailable)", "{answer}");
    assert!(began.elapsed() < Duration::from_secs(20), "an answer, not a wait for the other");
    assert!(!denied(&gateway.call(3, "slow", r#"{"ms":1}"#)), "what counts nothing needs no store");
    other.execute_batch("ROLLBACK").unwrap();
    let allowed = (4..10).filter(|id| !denied(&gateway.call(*id, "echo", "{}"))).count();
    assert_eq!(allowed, 2, "the denied call was not counted, and nothing was refilled");
    gateway.finish();
    assert!(!home.events(EventKind::Store).is_empty(), "people are told");
}

#[test]
fn a_store_that_is_torn_in_use_never_refills() {
    let home = Home::new(&limited(5));
    let mut gateway = home.gateway(&[], &[]);
    let mut allowed = (1..=2).filter(|id| !denied(&gateway.call(*id, "echo", "{}"))).count();
    assert_eq!(allowed, 2);
    for name in ["store.sqlite", "store.sqlite-wal"] {
        let path = home.path("home/state").join(name);
        let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        let rubbish: Vec<u8> = (0..size).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
        // In place: the gateway keeps its file open.
        let file = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &rubbish, 0).unwrap();
    }
    for id in 3..20 {
        let answer = gateway.call(id, "echo", "{}");
        allowed += usize::from(!denied(&answer));
    }
    assert!(allowed <= 5, "{allowed} of 5 were allowed");
    assert_eq!(gateway.finish().1, 0);
    // The next run finds it as it is: it does not begin a new one in silence.
    let mut gateway = home.gateway(&[], &[]);
    for id in 20..25 {
        allowed += usize::from(!denied(&gateway.call(id, "echo", "{}")));
    }
    assert!(allowed <= 5, "{allowed} of 5 were allowed after a restart");
    gateway.finish();
}

#[test]
fn a_clock_that_steps_back_refills_nothing() {
    let home = Home::new(&limited(3));
    // Before the step: three calls were counted two days from now.
    let ahead = Timestamp(clock::now().0 + 2 * 86_400_000_000);
    let mut gateway = home.gateway(&[], &[]);
    assert!(!denied(&gateway.call(1, "echo", "{}")), "the first makes the counter known");
    let counted = home.decisions()[0].counters[0].clone();
    let store = SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap();
    let want = Want {
        key: CounterKey {
            server: "fixture".to_owned(),
            scope: Scope::Grant,
            scope_value: counted.key,
            counter: counted.counter,
            window: counted.window,
        },
        increment: counted.used,
        max: counted.max,
        past_max: false,
    };
    assert_eq!(want.increment.to_string(), "1");
    for _ in 0..3 {
        store.reserve(ahead, std::slice::from_ref(&want)).unwrap();
    }
    // After it: the gateway's clock is two days behind the counter's window.
    let answer = gateway.call(2, "echo", "{}");
    assert_eq!(rule(&answer), "/tools/echo/limits/c", "{answer}");
    gateway.finish();
    let mut gateway = home.gateway(&[], &[]);
    assert!(denied(&gateway.call(3, "echo", "{}")), "nor does a restart");
    gateway.finish();
}

#[test]
fn a_locked_store_keeps_no_other_request_of_an_http_gateway_waiting() {
    let home = Home::new(&limited(100));
    let gate = Gate::command(&home, &[], &[]);
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let id = gate.post("", initialize).header("mcp-session-id").unwrap().to_owned();
    let session = format!("Mcp-Session-Id: {id}\r\n");
    assert_eq!(gate.post(&session, &call(1, "echo", "{}")).status, 200);
    let other = rusqlite::Connection::open(home.path("home/state/store.sqlite")).unwrap();
    other.busy_timeout(LONG).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More calls than the gateway has threads for requests wait for the store.
    let (done, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (gate, session, done) = (&gate, &session, done.clone());
            scope.spawn(move || {
                let answer = gate.post(session, &call(100 + number, "echo", "{}"));
                done.send(answer.text().contains("(unavailable)")).unwrap();
            });
        }
        // The first of them has given up: the others are waiting, and one after the other they do so
        // still while this one is answered.
        assert!(answers.recv_timeout(LONG).unwrap());
        assert!(!denied(&gate.post(&session, &call(2, "fail", "{}")).json()));
        assert!(answers.try_iter().count() < 15, "it was not answered after them");
    });
    other.execute_batch("ROLLBACK").unwrap();
}

#[test]
#[allow(clippy::print_stderr)]
fn a_gateway_whose_own_clock_steps_back_counts_and_records_on() {
    let Some(library) = faketime() else {
        eprintln!("skipped: there is no libfaketime");
        return;
    };
    let home = Home::new(&limited(3));
    let step = home.path("clock");
    let set = |offset: &str| {
        fs::write(home.path("clock.new"), offset).unwrap();
        fs::rename(home.path("clock.new"), &step).unwrap();
    };
    set("+2d");
    let mut command = home.command();
    command.args(["gateway", "--name", "fixture", "--policy"]).arg(home.policy()).arg("--").arg(fixture());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &step).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut gateway = Gateway::spawn(command);
    for id in 1..=3 {
        assert!(!denied(&gateway.call(id, "echo", "{}")));
    }
    let before = home.decisions().last().unwrap().ts;
    assert!(before.0 > clock::now().0 + 86_400_000_000, "its clock is ahead");
    set("+0d");
    let answer = gateway.call(4, "echo", "{}");
    assert_eq!(rule(&answer), "/tools/echo/limits/c", "the step refilled nothing: {answer}");
    assert!(!denied(&gateway.call(5, "slow", r#"{"ms":1}"#)), "what counts nothing goes on");
    gateway.finish();
    let decisions = home.decisions();
    assert!(decisions[3].ts < before, "its clock has stepped back");
    let seqs: Vec<u64> = home.records().iter().map(callgate::record::Record::seq).collect();
    assert!(seqs.is_sorted() && seqs.len() == usize::try_from(*seqs.last().unwrap()).unwrap(), "{seqs:?}");
    let outcomes = home.outcomes();
    assert!(outcomes.len() == 4 && outcomes.iter().all(|outcome| outcome.upstream_us < 60_000_000));
}

/// A gateway whose files may not grow past `limit` bytes: the write that a full disk refuses.
#[cfg(target_os = "linux")]
fn with_a_small_disk(home: &Home, blocks: u64, options: &[&str], log: &str) -> Gateway {
    let mut command = Command::new("sh");
    command.env("CALLGATE_HOME", home.path("home"));
    // The signal that comes with such a write is ignored, as a full disk sends none.
    command.args(["-c", "trap '' XFSZ; ulimit -S -f \"$0\"; exec \"$@\"", &blocks.to_string()]);
    command.arg(program()).args(["gateway", "--name", "fixture", "--policy"]).arg(home.policy());
    command.args(options).arg("--").arg(fixture()).args(["--log", log]);
    Gateway::spawn(command)
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_runs_unrecorded_unless_told_otherwise() {
    use rustix::process::{Resource, Rlimit, prlimit};
    for fail_open in [false, true] {
        let home = Home::new(ALLOW);
        let log = home.text("server.in");
        let options: &[&str] = if fail_open { &["--fail-open"] } else { &[] };
        let mut gateway = with_a_small_disk(&home, 400, options, &log);
        let message = format!(r#"{{"message":"{}"}}"#, "m".repeat(500));
        let mut refused = None;
        for id in 1..2_000 {
            let answer = gateway.call(id, "echo", &message);
            if !fail_open && denied(&answer) {
                assert_eq!(rule(&answer), "(unavailable)");
                refused = Some(id);
                break;
            }
            assert!(!denied(&answer), "{answer}");
            // The journal holds more of each call than the server's own log, which must not be full.
            if id == 250 && fail_open {
                break;
            }
        }
        assert_eq!(refused.is_some(), !fail_open, "the disk became full");
        // What the server was told and what the journal says are the same calls.
        let reached = fs::read_to_string(&log).unwrap().matches("tools/call").count();
        let recorded = home.decisions().iter().filter(|decision| decision.decision == Verdict::Allow).count();
        if fail_open {
            assert!(recorded < reached, "{recorded} recorded, {reached} reached the server");
        } else {
            assert_eq!(recorded, reached, "no call without its record, none recorded that did not run");
        }
        // There is room again.
        prlimit(Some(gateway.pid()), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        let mut id = 10_000;
        until("calls that are recorded again", || {
            id += 1;
            (!denied(&gateway.call(id, "echo", "{}"))).then_some(())
        });
        until("the record", || {
            let decisions = home.decisions();
            let found = decisions.iter().any(|decision| {
                decision.request_id.as_ref().is_some_and(|given| given.to_string() == id.to_string())
            });
            found.then_some(())
        });
        gateway.finish();
        let records = home.records();
        assert!(records.len() > 100);
        for (before, after) in records.iter().zip(records.iter().skip(1)) {
            assert_eq!(before.seq() + 1, after.seq(), "the numbers have no holes");
        }
    }
}

/// Denies one tool; the number makes each text another.
fn version(number: usize, tool: &str) -> String {
    format!(
        r#"{{"version":"1","default":"allow","description":"{number}","tools":{{"{tool}":{{"action":"deny"}}}}}}"#
    )
}

#[test]
fn a_policy_is_replaced_by_everything_that_is_none() {
    let home = Home::new(&version(0, "a"));
    let mut gateway = home.gateway(&[], &[]);
    let mut id = 0;
    let mut in_force = |gateway: &mut Gateway, tool: &str| {
        until(&format!("a policy that denies {tool}"), || {
            id += 1;
            denied(&gateway.call(id, tool, "{}")).then_some(())
        });
    };
    in_force(&mut gateway, "a");
    let policy = home.policy();
    let away = || {
        let _none = fs::remove_file(home.policy());
        let _none = fs::remove_dir(home.policy());
    };
    let bad: [(&str, &dyn Fn()); 7] = [
        ("nothing", &away),
        ("a directory", &|| {
            away();
            fs::create_dir(home.policy()).unwrap();
        }),
        ("a symlink to nowhere", &|| {
            away();
            std::os::unix::fs::symlink(home.path("nowhere"), home.policy()).unwrap();
        }),
        ("a symlink to itself", &|| {
            away();
            std::os::unix::fs::symlink(home.policy(), home.policy()).unwrap();
        }),
        ("a pipe that nobody writes", &|| {
            away();
            assert!(Command::new("mkfifo").arg(home.policy()).status().unwrap().success());
        }),
        ("bytes that are no text", &|| {
            away();
            fs::write(home.policy(), [0xff, 0xfe, 0x00, 0x7b]).unwrap();
        }),
        ("half a policy", &|| {
            away();
            fs::write(home.policy(), &version(1, "b")[..40]).unwrap();
        }),
    ];
    for (number, (what, replace)) in bad.iter().enumerate() {
        let reported = home.events(EventKind::PolicyRejected).len();
        replace();
        until(&format!("a word about {what}"), || {
            (home.events(EventKind::PolicyRejected).len() > reported).then_some(())
        });
        for id in 0..3 {
            assert!(denied(&gateway.call(1_000 + id, "a", "{}")), "{what}: the old one stays");
        }
        // By a symlink to a good one, the next is in force: a swap as mounts do it.
        let target = home.path(&format!("good-{number}.json"));
        let tool = format!("tool{number}");
        fs::write(&target, version(number, &tool)).unwrap();
        let link = home.path("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        if policy.is_dir() {
            fs::remove_dir(&policy).unwrap();
        }
        fs::rename(&link, &policy).unwrap();
        in_force(&mut gateway, &tool);
        // And back to the one that the next fault meets.
        home.set_policy(&version(100 + number, "a"));
        in_force(&mut gateway, "a");
    }
    gateway.finish();
}

#[test]
fn a_thousand_reloads_under_load_give_no_wrong_and_lose_no_answer() {
    const RELOADS: usize = 1_000;
    let tool = |number: usize| ["a", "b"][number % 2];
    let home = Arc::new(Home::new(&version(0, tool(0))));
    let mut gateway = home.gateway(&[], &[]);
    let revisions: HashMap<String, usize> =
        (0..=RELOADS).map(|number| (revision(version(number, tool(number)).as_bytes()), number)).collect();
    // The next version is written as soon as an answer tells that the last one is in force.
    let newest = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (home, newest) = (Arc::clone(&home), Arc::clone(&newest));
        std::thread::spawn(move || {
            for number in 1..=RELOADS {
                home.set_policy(&version(number, ["a", "b"][number % 2]));
                let began = Instant::now();
                while newest.load(Ordering::Relaxed) < number {
                    assert!(began.elapsed() < LONG, "version {number} never came into force");
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        })
    };
    let answered = AtomicU64::new(0);
    let (mut sent, mut waiting) = (0_u64, HashMap::new());
    while !writer.is_finished() || !waiting.is_empty() {
        while !writer.is_finished() && waiting.len() < 32 {
            sent += 1;
            let tool = if sent % 2 == 0 { "a" } else { "b" };
            gateway.send(&call(sent, tool, "{}"));
            waiting.insert(sent, tool);
        }
        let answer = gateway.json();
        let tool = waiting.remove(&answer["id"].as_u64().unwrap()).expect("each request is answered once");
        answered.fetch_add(1, Ordering::Relaxed);
        if denied(&answer) {
            let by = answer["result"]["_meta"]["callgate/decision"]["policy"].as_str().unwrap();
            let number = revisions[by];
            assert_eq!(["a", "b"][number % 2], tool, "denied by the version that it names");
            newest.fetch_max(number, Ordering::Relaxed);
        } else {
            assert_eq!(answer["result"]["content"][0]["text"], format!("ran {tool}"));
        }
    }
    writer.join().unwrap();
    assert_eq!(gateway.finish().1, 0);
    let mut decisions = home.decisions();
    assert_eq!(decisions.len() as u64, sent, "each call is recorded once");
    // The journal was rotated meanwhile, and its files are read in no order.
    decisions.sort_by_key(|decision| decision.seq);
    let mut last = 0;
    for decision in decisions {
        let number = revisions[decision.policy.as_deref().unwrap()];
        let denies = ["a", "b"][number % 2];
        assert_eq!(decision.decision == Verdict::Deny, decision.tool.as_deref() == Some(denies));
        assert!(number >= last, "no call is decided by a version that was replaced before");
        last = number;
    }
    assert_eq!(last, RELOADS);
}

/// A server in shell: it answers the first request with one text of `size` bytes, the next at once.
fn talkative(home: &Home, size: u64) -> Command {
    let script = format!(
        r#"read -r first; printf '%s' '{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"'; head -c {size} /dev/zero | tr '\0' x; printf '%s\n' '"}}]}}}}'; read -r second; printf '%s\n' '{{"jsonrpc":"2.0","id":2,"result":{{"content":[]}}}}'; cat > /dev/null"#
    );
    let mut command = home.command();
    command.args(["gateway", "--name", "talkative", "--policy"]).arg(home.policy());
    command.args(["--", "sh", "-c", &script]);
    command
}

#[test]
fn a_gigabyte_from_the_server_passes_whole() {
    const SIZE: u64 = 1_000_000_000;
    let home = Home::new(ALLOW);
    let mut child = talkative(&home, SIZE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Write::write_all(&mut stdin, (call(1, "echo", "{}") + "\n").as_bytes()).unwrap();
    let (mut bytes, mut exes, mut ended) = (0_u64, 0_u64, false);
    let mut buffer = vec![0; 1 << 20];
    while !ended {
        let count = stdout.read(&mut buffer).unwrap();
        assert!(count > 0, "the gateway ended after {bytes} bytes");
        bytes += count as u64;
        exes += memchr::memchr_iter(b'x', &buffer[..count]).count() as u64;
        ended = buffer[count - 1] == b'\n';
    }
    // The one `x` more is that of "text", twice.
    assert_eq!(exes, SIZE + 2);
    std::io::Write::write_all(&mut stdin, (call(2, "echo", "{}") + "\n").as_bytes()).unwrap();
    let count = stdout.read(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(br#"{"jsonrpc":"2.0","id":2"#), "the next answer follows");
    drop(stdin);
    child.wait().unwrap();
    let outcomes = home.outcomes();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.iter().any(|outcome| outcome.bytes > SIZE), "{outcomes:?}");
}
