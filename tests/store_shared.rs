//! One store, many processes: limits hold by one, and what was acknowledged survives kill -9.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Approval, ApprovalVerdict, Asked, CallArgs, Round, Store};
use callgate::policy::counter::{Amount, CounterKey, Reserved, Want};
use callgate::policy::model::Scope;
use callgate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const FILE: &str = "CALLGATE_TEST_STORE";
const WORK: &str = "CALLGATE_TEST_WORK";

fn want(counter: &str, increment: i128, max: i128) -> Want {
    Want {
        key: CounterKey {
            server: "s".to_owned(),
            scope: Scope::Server,
            scope_value: "s".to_owned(),
            counter: counter.to_owned(),
            window: 86_400,
        },
        increment: Amount(increment),
        max: Amount(max),
        past_max: false,
    }
}

fn used(store: &SqliteStore, counter: &str) -> i128 {
    store.peek(NOW, &[want(counter, 0, 0)]).unwrap()[0].used.0
}

/// The `n`th question; each process gives its own id to it.
fn question(n: usize) -> Approval {
    Approval {
        id: format!("{}-{n}-{:?}", std::process::id(), std::time::Instant::now()),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: n.to_string(),
        policy: "0123456789ab".to_owned(),
        args: CallArgs::new("{}").unwrap(),
        rule: String::new(),
        pointer: String::new(),
        message: String::new(),
        client: None,
        asked_at: NOW,
        until: NOW.plus_micros(60_000_000),
        timeout_s: 60,
        holders: 1,
        kept: false,
        verdict: None,
    }
}

fn yes() -> ApprovalVerdict {
    ApprovalVerdict {
        approved: true,
        by: "me".to_owned(),
        at: NOW,
        note: String::new(),
        until: NOW.plus_micros(60_000_000),
        for_s: None,
    }
}

fn round(n: usize) -> Round {
    Round {
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        args_sha256: format!("{} {n}", std::process::id()),
        state_sha256: None,
    }
}

/// This test program again, as another process that does one kind of work.
fn child(store: &Path, work: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_work_of_a_child", "--nocapture", "--test-threads=1"])
        .env(FILE, store)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

/// Not a test by itself: what the children started below run.
#[test]
fn the_work_of_a_child() {
    let (Some(file), Ok(work)) = (std::env::var_os(FILE), std::env::var(WORK)) else { return };
    let open = || SqliteStore::open(Path::new(&file)).unwrap();
    match work.as_str() {
        // Count until there is no room, and say how often there was.
        "limit" => {
            let store = open();
            let done: usize = std::thread::scope(|scope| {
                let work = || {
                    let wants = [want("calls", 1, 600), want("money", 3, 10_000)];
                    let mut done = 0;
                    while matches!(store.reserve(NOW, &wants).unwrap(), Reserved::Done { .. }) {
                        done += 1;
                    }
                    done
                };
                let threads = [scope.spawn(work), scope.spawn(work)];
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            say(&format!("\ndone {done}"));
        }
        // Count for ever, and say each.
        "load" => {
            let store = open();
            loop {
                let Reserved::Done { .. } = store.reserve(NOW, &[want("load", 1, i128::MAX)]).unwrap() else {
                    panic!("there is always room")
                };
                say("\ncounted");
            }
        }
        "open" => {
            open().reserve(NOW, &[want("first", 1, i128::MAX)]).unwrap();
        }
        // Ask, answer and spend in competition, and say what was one's own.
        "approvals" => {
            let store = open();
            let (mut answered, mut spent) = (0, 0);
            for n in 0..40 {
                let asked = store.ask_approval(NOW, &question(n)).unwrap();
                let (Asked::Waiting(entry) | Asked::Decided(entry)) = asked else { panic!("there is room") };
                answered += usize::from(store.decide_approval(NOW, &entry.id, &yes()).unwrap().is_some());
                let wants = [want("approved", 1, i128::MAX)];
                let done = store.reserve_with_approval(NOW, &wants, &entry.id).unwrap();
                spent += usize::from(done.is_some());
            }
            say(&format!("\ndone {answered} {spent}"));
        }
        // Spend approvals for ever, and say each.
        "spend" => {
            let store = open();
            for n in 0.. {
                let Asked::Waiting(entry) = store.ask_approval(NOW, &question(n)).unwrap() else {
                    panic!("nobody else answers it")
                };
                store.decide_approval(NOW, &entry.id, &yes()).unwrap().unwrap();
                let wants = [want("spent", 1, i128::MAX)];
                assert!(store.reserve_with_approval(NOW, &wants, &entry.id).unwrap().is_some());
                store.remember_round(NOW, &round(n)).unwrap();
                assert!(store.take_round(NOW, &round(n)).unwrap());
                say("\nspent");
            }
        }
        other => panic!("no such work: {other}"),
    }
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

#[test]
fn many_processes_never_pass_a_limit_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut children: Vec<Child> = (0..4).map(|_| child(&file, "limit")).collect();
    let mut done = 0;
    for child in &mut children {
        done +=
            lines(child).filter_map(|line| line.strip_prefix("done ")?.parse::<i128>().ok()).sum::<i128>();
        assert!(child.wait().unwrap().success());
    }
    let store = SqliteStore::open(&file).unwrap();
    assert_eq!(done, 600);
    assert_eq!((used(&store, "calls"), used(&store, "money")), (600, 1800), "both or none, each time");
}

#[test]
fn many_processes_make_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut children: Vec<Child> = (0..8).map(|_| child(&file, "open")).collect();
    for child in &mut children {
        let output = lines(child).collect::<Vec<_>>();
        assert!(child.wait().unwrap().success(), "{output:?}");
    }
    assert_eq!(used(&SqliteStore::open(&file).unwrap(), "first"), 8);
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut acknowledged: i128 = 0;
    let mut at_most: i128 = 0;
    for round in 0..6_usize {
        let mut children: Vec<Child> = (0..3).map(|_| child(&file, "load")).collect();
        let mut outputs: Vec<_> =
            children.iter_mut().map(|child| lines(child).filter(|line| line == "counted")).collect();
        // Kill in the middle of it: after so many acknowledgements, without asking.
        acknowledged += outputs[0].by_ref().take(7 + round * 61).count() as i128;
        for child in &mut children {
            child.kill().unwrap();
        }
        for output in outputs {
            acknowledged += output.count() as i128;
        }
        for child in &mut children {
            child.wait().unwrap();
        }
        at_most += children.len() as i128;
        let store = SqliteStore::open(&file).unwrap();
        let counted = used(&store, "load");
        // Each child may have counted one more that it could not say.
        assert!(counted >= acknowledged, "{counted} counted, {acknowledged} acknowledged");
        assert!(counted <= acknowledged + at_most, "{counted} counted, {acknowledged} acknowledged");
        assert!(matches!(store.reserve(NOW, &[want("next", 1, 100)]), Ok(Reserved::Done { .. })));
    }
}

#[test]
fn many_processes_answer_and_spend_an_approval_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut children: Vec<Child> = (0..4).map(|_| child(&file, "approvals")).collect();
    let (mut answered, mut spent) = (0, 0);
    for child in &mut children {
        for line in lines(child) {
            let Some(numbers) = line.strip_prefix("done ") else { continue };
            let (own_answers, own_spent) = numbers.split_once(' ').unwrap();
            answered += own_answers.parse::<i128>().unwrap();
            spent += own_spent.parse::<i128>().unwrap();
        }
        assert!(child.wait().unwrap().success());
    }
    let store = SqliteStore::open(&file).unwrap();
    // Each question is answered and spent once, each time it is asked anew.
    let open = store.approvals(NOW).unwrap();
    let unspent = open.iter().filter(|entry| entry.usable(NOW)).count() as i128;
    assert!(spent >= 40, "{spent}");
    assert_eq!(answered, spent + unspent);
    assert_eq!(used(&store, "approved"), spent);
}

#[test]
fn kill_9_between_spending_and_counting_leaves_both_or_neither() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut acknowledged: i128 = 0;
    for round in 0..4_usize {
        let mut child = child(&file, "spend");
        let mut output = lines(&mut child).filter(|line| line == "spent");
        acknowledged += output.by_ref().take(5 + round * 23).count() as i128;
        child.kill().unwrap();
        acknowledged += output.count() as i128;
        child.wait().unwrap();
        let store = SqliteStore::open(&file).unwrap();
        let counted = used(&store, "spent");
        assert!(counted >= acknowledged && counted <= acknowledged + 1, "{counted}, {acknowledged}");
        // What was given and not counted can still be spent: neither was done.
        for entry in store.approvals(NOW).unwrap() {
            if entry.usable(NOW) {
                assert!(
                    store
                        .reserve_with_approval(NOW, &[want("spent", 0, i128::MAX)], &entry.id)
                        .unwrap()
                        .is_some()
                );
            } else {
                store.leave_approval(NOW, &entry.id, true).unwrap();
            }
        }
        acknowledged = counted;
    }
}
