//! The life of a gateway's server: never left behind, its end and its code passed on.

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

use std::fs;

use callgate::record::{EventKind, Status, Verdict};
use gateway_support::{ALLOW, Gateway, Home, all_gone, call, fixture, is_alive, pids, until};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

#[test]
fn exit_codes_are_the_servers_own() {
    let home = Home::new(ALLOW);
    for code in [0, 1, 7, 200] {
        let mut gateway = home.gateway(&[], &["--exit", &code.to_string()]);
        assert_eq!(gateway.finish().1, code);
    }
    let mut gateway = home.gateway(&[], &[]);
    gateway.send(&call(1, "die", r#"{"code":9}"#));
    let (lines, code) = gateway.wait();
    assert_eq!(code, 9);
    let answer: Value = serde_json::from_slice(&lines.concat()).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&1.into(), &(-32603).into()), "no client hangs");
    until("the outcome", || {
        home.outcomes().iter().any(|outcome| outcome.status == Status::Lost).then_some(())
    });
}

#[test]
fn a_server_killed_by_a_signal_gives_128_and_its_number() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let mut gateway = home.gateway(&[], &["--pids", list.to_str().unwrap()]);
    gateway.call(1, "echo", "{}");
    let pid = rustix::process::Pid::from_raw(pids(&list)[0]).unwrap();
    gateway.send(&call(2, "hang", "{}"));
    gateway.call(3, "echo", "{}");
    kill_process(pid, Signal::KILL).unwrap();
    let (lines, code) = gateway.wait();
    assert_eq!(code, 137);
    assert_eq!(lines.len(), 1, "the call in flight is answered");
}

#[test]
fn what_cannot_be_started_is_said_with_code_3() {
    let home = Home::new(ALLOW);
    let policy = home.policy();
    let output =
        home.run(&["gateway", "--policy", policy.to_str().unwrap(), "--", "/nonexistent/server", "--flag"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot start `/nonexistent/server`"), "{text}");
    let missing = home.run(&["gateway", "--policy", "/nonexistent.json", "--", &fixture()]);
    assert_eq!(missing.status.code(), Some(3));
    home.set_policy(r#"{"version":"1","default":"allow","toolz":{}}"#);
    let list = home.text("pids");
    let invalid =
        home.run(&["gateway", "--policy", policy.to_str().unwrap(), "--", &fixture(), "--pids", &list]);
    assert_eq!(invalid.status.code(), Some(1));
    assert!(String::from_utf8(invalid.stderr).unwrap().contains("toolz"));
    assert!(!fs::exists(&list).unwrap(), "the server was not started");
}

#[test]
fn the_separator_may_be_left_out() {
    let home = Home::new(ALLOW);
    for separator in [&["--"][..], &[]] {
        let mut command = home.command();
        command.arg("gateway").arg("--policy").arg(home.policy()).args(separator).arg(fixture());
        command.args(["--exit", "5"]);
        let mut gateway = Gateway::spawn(command);
        gateway.call(1, "echo", "{}");
        assert_eq!(gateway.finish().1, 5);
    }
    let policy = home.policy();
    let wrong = home.run(&["gateway", "--policy", policy.to_str().unwrap(), "--polcy", "x"]);
    assert_eq!(wrong.status.code(), Some(2), "an unknown option is no command");
}

#[test]
fn a_stubborn_server_and_all_it_started_end_with_the_input() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let server =
        ["--ignore-eof", "--ignore-term", "--grandchild", "--daemon", "--pids", list.to_str().unwrap()];
    let mut gateway = home.gateway(&[], &server);
    gateway.call(1, "echo", "{}");
    assert_eq!(pids(&list).len(), 3);
    assert_eq!(gateway.finish().1, 0, "it had to be ended");
    all_gone(&list);
}

#[test]
fn what_a_server_leaves_behind_is_ended_with_it() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let server = ["--grandchild", "--daemon", "--pids", list.to_str().unwrap(), "--exit", "4"];
    let mut gateway = home.gateway(&[], &server);
    gateway.call(1, "echo", "{}");
    assert_eq!(gateway.finish().1, 4);
    all_gone(&list);
}

#[test]
fn signals_are_passed_on() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 143), (Signal::INT, 130)] {
        let home = Home::new(ALLOW);
        let list = home.path("pids");
        let mut gateway = home.gateway(&[], &["--grandchild", "--pids", list.to_str().unwrap()]);
        gateway.call(1, "echo", "{}");
        kill_process(gateway.pid(), signal).unwrap();
        assert_eq!(gateway.wait().1, code, "{signal:?}");
        all_gone(&list);
        assert_eq!(home.events(EventKind::Stop).len(), 1, "an orderly end");
    }
}

#[test]
fn a_server_that_ignores_sigterm_ends_all_the_same() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let mut gateway = home.gateway(&[], &["--ignore-eof", "--ignore-term", "--pids", list.to_str().unwrap()]);
    gateway.call(1, "echo", "{}");
    kill_process(gateway.pid(), Signal::TERM).unwrap();
    assert_eq!(gateway.wait().1, 137);
    all_gone(&list);
}

#[test]
fn a_killed_gateway_leaves_nothing_behind() {
    for server in [&["--grandchild", "--daemon"][..], &["--ignore-eof", "--ignore-term", "--grandchild"]] {
        let home = Home::new(ALLOW);
        let list = home.path("pids");
        let server: Vec<&str> = server.iter().copied().chain(["--pids", list.to_str().unwrap()]).collect();
        let mut gateway = home.gateway(&[], &server);
        gateway.call(1, "echo", "{}");
        kill_process(gateway.pid(), Signal::KILL).unwrap();
        all_gone(&list);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_guard_leaves_nothing_behind() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let mut gateway = home.gateway(&[], &["--ignore-eof", "--grandchild", "--pids", list.to_str().unwrap()]);
    gateway.call(1, "echo", "{}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", pids(&list)[0])).unwrap();
    let guard: i32 =
        stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    assert_ne!(u32::try_from(guard).unwrap(), gateway.child.id());
    kill_process(rustix::process::Pid::from_raw(guard).unwrap(), Signal::KILL).unwrap();
    assert_eq!(gateway.wait().1, 137);
    all_gone(&list);
}

#[test]
fn a_client_that_goes_ends_everything() {
    let home = Home::new(ALLOW);
    let list = home.path("pids");
    let mut command = home.command();
    command.arg("gateway").arg("--policy").arg(home.policy()).arg("--").arg(fixture());
    command.args(["--ignore-eof", "--pids"]).arg(&list);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("the server", || pids(&list).first().copied().filter(|pid| is_alive(*pid)));
    // Nobody reads its output any more, but its input stays open.
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, (call(1, "echo", "{}") + "\n").as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    all_gone(&list);
}

/// Kills the gateway at odd moments under load. Whatever was answered must be in the journal, what
/// was counted must stay counted, nothing may be left running, and the next start must work.
#[test]
fn kill_9_under_load_loses_nothing_that_was_answered() {
    let max = 1_000_000;
    let home = Home::new(&format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"limits":[{{"counter":"c","window":86400000,"max":{max},"scope":"grant"}}]}}}}}}"#
    ));
    let list = home.path("pids");
    let mut answered_in_all = 0;
    for round in 0..6_u64 {
        let mut gateway = home.gateway(&[], &["--pids", list.to_str().unwrap()]);
        let pid = gateway.pid();
        let killer = std::thread::spawn(move || {
            // Odd moments are the point here; nothing waits for this.
            std::thread::sleep(std::time::Duration::from_micros(20_000 + 13_457 * round));
            kill_process(pid, Signal::KILL).unwrap();
        });
        let mut stdin = gateway.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for number in 1.. {
                let line = call(round * 1_000_000 + number, "echo", r#"{"message":"m"}"#) + "\n";
                if std::io::Write::write_all(&mut stdin, line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let mut answered = Vec::new();
        while let Some(line) = gateway.try_line() {
            // A line that was cut off by the kill was not answered.
            if line.ends_with(b"\n") {
                let answer: Value = serde_json::from_slice(&line).unwrap();
                answered.push(answer["id"].as_u64().unwrap());
            }
        }
        killer.join().unwrap();
        feeder.join().unwrap();
        gateway.child.wait().unwrap();
        all_gone(&list);
        let recorded: std::collections::HashSet<u64> = home
            .decisions()
            .iter()
            .filter(|decision| decision.decision == Verdict::Allow)
            .map(|decision| decision.request_id.as_ref().unwrap().get().parse().unwrap())
            .collect();
        for id in &answered {
            assert!(recorded.contains(id), "round {round}: call {id} was answered and is not recorded");
        }
        answered_in_all += answered.len() as u64;
        // The next start works, and its first call continues the count.
        let mut next = home.gateway(&[], &[]);
        next.call(round * 1_000_000 + 999_999, "echo", r#"{"message":"m"}"#);
        answered_in_all += 1;
        next.finish();
        let used = home
            .decisions()
            .iter()
            .flat_map(|decision| decision.counters.iter().map(|counter| counter.used))
            .max()
            .unwrap();
        let recorded = home.decisions().iter().filter(|decision| decision.counted).count() as u64;
        let used = u64::try_from(used.0 / 1_000_000).unwrap();
        assert!(used >= recorded, "round {round}: {used} counted of {recorded} recorded: refilled");
        assert!(used >= answered_in_all);
        // At most the calls of one read can have been counted and not recorded, each round.
        assert!(used - recorded <= (round + 1) * 32, "{used} {recorded}");
    }
    assert!(answered_in_all > 100, "{answered_in_all}: there was hardly any load");
}

/// An option that means nothing here is refused, so that nobody thinks it holds.
#[test]
fn options_of_the_http_gateway_are_refused_on_stdio() {
    let home = Home::new(ALLOW);
    for option in [&["--no-auth"][..], &["--behind-proxy"], &["--allow-host", "x"]] {
        let mut command = home.command();
        command.arg("gateway").arg("--policy").arg(home.policy()).args(option).arg("--").arg("true");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(option[0]) && said.contains("--listen"), "{said}");
    }
}
