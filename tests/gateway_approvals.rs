//! Calls that wait for a person, through real gateways: asked, answered, used once, and never run
//! otherwise.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod gateway_support;
#[cfg(unix)]
mod pty_support;

use std::fs;

use callgate::clock;
use callgate::counters::approval;
use callgate::counters::sqlite::SqliteStore;
use callgate::counters::{Answer, Approval, Freeze, Store};
use callgate::counters::{Override, OverrideEffect};
use callgate::feed::client::{FeedEvent, Feeds, WatchOptions, watch};
use callgate::feed::message::{Ask, State};
use callgate::record::{EventKind, Record, Status, Verdict};
use callgate::time::Timestamp;
use gateway_support::{Gateway, Home, call, denied, rule, until};
use serde_json::Value;

/// `echo` needs an approval, and at most two of its calls run in an hour or so.
fn policy(timeout: &str) -> String {
    format!(
        r#"{{"version":"1","default":"allow","tools":{{"echo":{{"approve_if":[{{"conditions":[],"on_approve":"is this right?","timeout":"{timeout}"}}],"limits":[{{"counter":"c","window":86400000,"max":2,"scope":"grant"}}]}},"round":{{"approve_if":[{{"conditions":[]}}],"limits":[{{"counter":"r","window":86400000,"max":2,"scope":"grant"}}]}}}}}}"#
    )
}

fn store(home: &Home) -> SqliteStore {
    SqliteStore::open(&home.path("home/state/store.sqlite")).unwrap()
}

/// The gateway, and the file in which its server notes what reaches it.
fn gateway(home: &Home) -> Gateway {
    let log = home.text("log");
    home.gateway(&[], &["--log", &log])
}

/// How many calls of a tool reached the server.
fn reached(home: &Home, tool: &str) -> usize {
    let text = fs::read_to_string(home.path("log")).unwrap_or_default();
    text.lines().filter(|line| line.contains("tools/call") && line.contains(tool)).count()
}

fn with_token(id: u64, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{arguments},"_meta":{{"progressToken":"t{id}"}}}}}}"#
    )
}

fn waiting(home: &Home, count: usize) -> Vec<Approval> {
    until("the questions", || {
        let now = clock::now();
        let open: Vec<Approval> =
            store(home).approvals(now).unwrap().into_iter().filter(|entry| entry.waits(now)).collect();
        (open.iter().map(|entry| entry.holders).sum::<u32>() >= 1 && open.len() == count).then_some(open)
    })
}

fn decide(home: &Home, id: &str, approved: bool, note: &str) {
    let answer = Answer { approved, by: "tester".to_owned(), note: note.to_owned(), for_s: None };
    let done = approval::answer(&store(home), clock::now(), id, &answer, || "o".to_owned()).unwrap();
    assert!(done.is_some(), "{id} does not wait");
}

/// The answer to a request, and the numbers of progress told before it.
fn answer(gateway: &mut Gateway, id: u64) -> (Value, Vec<f64>) {
    let mut numbers = Vec::new();
    loop {
        let said = gateway.json();
        if said["id"] == id {
            return (said, numbers);
        }
        assert_eq!(said["method"], "notifications/progress", "{said}");
        numbers.push(said["params"]["progress"].as_f64().unwrap());
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or("")
}

#[test]
fn an_approved_call_goes_on_as_it_was_and_once() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    let line = with_token(1, r#"{ "message" : "a\u0062c",  "password":"hunter2" }"#);
    gateway.send(&line);
    let open = waiting(&home, 1);
    assert_eq!(open[0].args.text(), r#"{ "message" : "a\u0062c",  "password":"hunter2" }"#, "in full");
    assert_eq!((open[0].message.as_str(), open[0].tool.as_str()), ("is this right?", "echo"));
    // Others are not kept waiting by it.
    assert!(!denied(&gateway.call(2, "fail", "{}")));
    assert_eq!(reached(&home, "echo"), 0);
    decide(&home, &open[0].id, true, "");
    let (said, numbers) = answer(&mut gateway, 1);
    assert_eq!(text(&said), "abc", "{said}");
    assert!(numbers.len() < 20 && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(fs::read_to_string(home.path("log")).unwrap().contains(&line), "the very bytes");
    assert!(store(&home).approvals(clock::now()).unwrap().is_empty(), "it is spent");
    gateway.finish();
    let decisions: Vec<_> =
        home.decisions().into_iter().filter(|one| one.tool.as_deref() == Some("echo")).collect();
    let [first, second] = decisions.as_slice() else { panic!("{decisions:?}") };
    assert_eq!((first.decision, second.decision), (Verdict::Approve, Verdict::Allow));
    assert_eq!((first.approval.as_ref(), second.call), (second.approval.as_ref(), Some(first.seq)));
    assert_eq!(first.approval.as_deref(), Some(open[0].id.as_str()));
    assert!(!first.counted && second.counted, "counted when it runs");
    let outcomes = home.outcomes();
    assert!(outcomes.iter().any(|one| one.call == second.seq && one.status == Status::Ok), "{outcomes:?}");
    let events = home.events(EventKind::Approval);
    assert!(events.iter().any(|data| data["state"] == "approved" && data["id"] == open[0].id), "{events:?}");
    for entry in fs::read_dir(home.path("home/state/journal")).unwrap() {
        assert!(
            !fs::read_to_string(entry.unwrap().path()).unwrap().contains("hunter2"),
            "never journaled so"
        );
    }
}

#[test]
fn a_rejection_tells_the_agent_why_and_holds_for_equal_calls() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    gateway.send(&with_token(1, r#"{"message":"x"}"#));
    let open = waiting(&home, 1);
    decide(&home, &open[0].id, false, "use the staging server");
    let (said, _) = answer(&mut gateway, 1);
    assert!(denied(&said) && text(&said).contains("use the staging server"), "{said}");
    assert!(!said.to_string().contains("callgate approvals"));
    let (again, _) = {
        gateway.send(&with_token(2, r#"{"message":"x"}"#));
        answer(&mut gateway, 2)
    };
    assert!(text(&again).contains("use the staging server"), "{again}");
    gateway.finish();
    assert_eq!(reached(&home, "echo"), 0);
    let last = home.decisions().into_iter().rfind(|one| one.call.is_some()).unwrap();
    assert_eq!((last.decision, last.rule.as_str()), (Verdict::Deny, rule(&said)));
}

#[test]
fn equal_calls_without_end_are_not_all_kept() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    for id in 1..=200 {
        gateway.send(&with_token(id, r#"{"message":"m"}"#));
    }
    // Those that find no room are told to come back, at once; the others wait for one answer.
    let mut back = 0;
    while back < 40 {
        let said = gateway.json();
        if said["id"].is_number() {
            assert!(denied(&said) && text(&said).contains("stays open"), "{said}");
            back += 1;
        }
    }
    assert_eq!(waiting(&home, 1).len(), 1);
    gateway.finish();
    assert_eq!(reached(&home, "echo"), 0);
}

#[test]
fn nobody_answers() {
    let home = Home::new(&policy("1s"));
    let mut gateway = gateway(&home);
    for line in [with_token(1, "{}"), call(1, "echo", "{}")] {
        gateway.send(&line);
        let (said, _) = answer(&mut gateway, 1);
        assert!(denied(&said) && text(&said).contains("nobody gave it within 1s"), "{said}");
    }
    assert!(store(&home).approvals(clock::now()).unwrap().is_empty());
    gateway.finish();
    assert_eq!(reached(&home, "echo"), 0);
}

#[test]
fn a_cancelled_call_and_one_whose_client_is_gone_never_run() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    gateway.send(&with_token(1, "{}"));
    let open = waiting(&home, 1);
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    until("the question's end", || store(&home).approvals(clock::now()).unwrap().is_empty().then_some(()));
    let answered = Answer { approved: true, by: "late".to_owned(), note: String::new(), for_s: None };
    let late = approval::answer(&store(&home), clock::now(), &open[0].id, &answered, String::new).unwrap();
    assert_eq!(late, None);
    // Its id is free again, and the next one is another question.
    gateway.send(&with_token(1, "{}"));
    assert_ne!(waiting(&home, 1)[0].id, open[0].id);
    let (said, code) = gateway.finish();
    assert_eq!(code, 0);
    assert!(said.iter().all(|line| !String::from_utf8_lossy(line).contains("\"result\"")), "{said:?}");
    assert!(store(&home).approvals(clock::now()).unwrap().is_empty());
    assert_eq!(reached(&home, "echo"), 0);
    let outcomes = home.outcomes();
    assert_eq!(outcomes.iter().filter(|one| one.status == Status::Cancelled).count(), 2, "{outcomes:?}");
}

#[test]
fn an_approval_survives_the_gateway_and_is_used_once_however_the_call_is_spelt() {
    let home = Home::new(&policy("5m"));
    let mut first = gateway(&home);
    first.send(&with_token(1, r#"{"message":"m","n":1.0,"o":{"a":1,"B":2}}"#));
    let open = waiting(&home, 1);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    decide(&home, &open[0].id, true, "");
    let mut second = gateway(&home);
    // What is not equal does not use it: a case twin, another number, another tool's call.
    for (id, arguments) in [
        (1, r#"{"message":"m","n":1,"o":{"a":1,"b":2}}"#),
        (2, r#"{"message":"m","n":1.01,"o":{"a":1,"B":2}}"#),
        (3, r#"{"message":"m","N":1,"o":{"a":1,"B":2}}"#),
    ] {
        second.send(&with_token(id, arguments));
    }
    waiting(&home, 3);
    assert_eq!(reached(&home, "echo"), 0);
    // Equal by value: number spelling, key order, escapes.
    second.send(&with_token(4, r#"{"o":{"B":2e0,"a":10e-1},"n":100e-2,"mess\u0061ge":"\u006d"}"#));
    let (said, _) = answer(&mut second, 4);
    assert_eq!(text(&said), "m", "{said}");
    second.send(&with_token(5, r#"{"message":"m","n":1.0,"o":{"a":1,"B":2}}"#));
    waiting(&home, 4);
    assert_eq!(reached(&home, "echo"), 1);
    second.finish();
    assert_eq!(reached(&home, "echo"), 1);
}

#[test]
fn characters_that_parsers_read_differently_are_equal_to_nothing() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    for id in [1, 2] {
        let (said, _) = {
            gateway.send(&with_token(id, r#"{"message":"\ud800"}"#));
            answer(&mut gateway, id)
        };
        assert!(denied(&said) && text(&said).contains("told apart"), "{said}");
    }
    assert!(store(&home).approvals(clock::now()).unwrap().is_empty());
    gateway.finish();
}

#[test]
fn two_gateways_that_hold_equal_calls_ask_once_and_one_of_them_runs() {
    let home = Home::new(&policy("5m"));
    let (mut one, mut two) = (gateway(&home), gateway(&home));
    one.send(&with_token(1, r#"{"message":"m"}"#));
    two.send(&with_token(2, r#"{"message":"m"}"#));
    let open = until("both", || waiting(&home, 1).into_iter().find(|entry| entry.holders == 2));
    decide(&home, &open.id, true, "");
    // The other one asks anew.
    let next = until("another question", || waiting(&home, 1).into_iter().find(|entry| entry.id != open.id));
    until("one run", || (reached(&home, "echo") == 1).then_some(()));
    decide(&home, &next.id, true, "");
    assert_eq!(text(&answer(&mut one, 1).0), "m");
    assert_eq!(text(&answer(&mut two, 2).0), "m");
    assert_eq!(reached(&home, "echo"), 2);
    // Both were counted: there is no room for a third, so nobody is asked.
    let full = one.call(9, "echo", r#"{"message":"m"}"#);
    assert_eq!(rule(&full), "/tools/echo/limits/c", "{full}");
    one.finish();
    two.finish();
}

#[test]
fn a_freeze_and_a_new_policy_decide_held_calls() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    gateway.send(&with_token(1, r#"{"message":"m"}"#));
    waiting(&home, 1);
    let freeze = Freeze {
        id: "f".to_owned(),
        server: None,
        grant: None,
        tool: Some("echo".to_owned()),
        until: None,
        by: "tester".to_owned(),
        at: clock::now(),
        reason: "an incident".to_owned(),
    };
    store(&home).freeze(&freeze).unwrap();
    let (said, _) = answer(&mut gateway, 1);
    assert_eq!((rule(&said), text(&said)), ("(frozen)", "[POLICY DENIED] Frozen: an incident"));
    store(&home).unfreeze(None, None, Some("echo")).unwrap();
    until("the thaw", || (!home.events(EventKind::Unfreeze).is_empty()).then_some(()));
    // Approved under another policy than it was asked under: that one's rules hold.
    gateway.send(&with_token(2, r#"{"message":"n"}"#));
    let open = until("asked", || waiting(&home, 1).into_iter().find(|one| one.args.text().contains('n')));
    let before = home.events(EventKind::Policy).len();
    home.set_policy(
        r#"{"version":"1","default":"allow","tools":{"echo":{"action":"deny","reason":"not any more"}}}"#,
    );
    until("the new policy", || (home.events(EventKind::Policy).len() > before).then_some(()));
    decide(&home, &open.id, true, "");
    let (said, _) = answer(&mut gateway, 2);
    assert_eq!((rule(&said), text(&said)), ("/tools/echo/action", "[POLICY DENIED] not any more"));
    gateway.finish();
    assert_eq!(reached(&home, "echo"), 0);
}

fn round(id: u64, more: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"round","arguments":{{"n":1}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"progressToken":"t{id}"}}{more}}}}}"#
    )
}

#[test]
fn a_round_that_the_server_asked_for_is_free_once_and_no_other_is() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    let counted = |home: &Home| -> Vec<(Verdict, bool)> {
        home.decisions().iter().map(|one| (one.decision, one.counted)).collect()
    };
    gateway.send(&round(1, ""));
    decide(&home, &waiting(&home, 1)[0].id, true, "");
    let (said, _) = answer(&mut gateway, 1);
    assert_eq!(said["result"]["resultType"], "input_required", "{said}");
    assert_eq!(said["result"]["requestState"], "s1");
    // Forged state, and none where there was one: new calls, which need an approval of their own.
    gateway.send(&round(2, r#","inputResponses":{},"requestState":"s2""#));
    let forged = waiting(&home, 1);
    decide(&home, &forged[0].id, false, "forged");
    assert!(denied(&answer(&mut gateway, 2).0));
    gateway.send(&round(3, r#","inputResponses":{}"#));
    assert!(denied(&answer(&mut gateway, 3).0), "the rejection holds");
    assert_eq!(reached(&home, "round"), 1);
    // The real one, spelt otherwise.
    gateway.send(&round(4, r#","inputResponses":{},"requestState":"\u0073\u0031""#));
    let (said, _) = answer(&mut gateway, 4);
    assert_eq!(said["result"]["resultType"], "complete", "{said}");
    assert_eq!(reached(&home, "round"), 2);
    assert_eq!(counted(&home).last(), Some(&(Verdict::Allow, false)), "free");
    // Replayed.
    gateway.send(&round(5, r#","inputResponses":{},"requestState":"s1""#));
    assert!(denied(&answer(&mut gateway, 5).0));
    assert_eq!(reached(&home, "round"), 2);
    gateway.finish();
}

#[test]
fn without_progress_the_call_is_denied_in_time_and_its_question_stays_open() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    let began = std::time::Instant::now();
    gateway.send(&call(1, "echo", r#"{"message":"m"}"#));
    let open = waiting(&home, 1);
    let said = gateway.json();
    assert!(denied(&said) && text(&said).contains(&open[0].id), "{said}");
    assert!(!said.to_string().contains("approve "), "nothing names what approves");
    assert!(began.elapsed().as_secs() >= 44, "it waited for somebody");
    assert_eq!(waiting_ids(&home), [open[0].id.as_str()]);
    decide(&home, &open[0].id, true, "");
    let again = gateway.call(2, "echo", r#"{"message":"m"}"#);
    assert_eq!(text(&again), "m", "{again}");
    gateway.finish();
    let decisions = home.decisions();
    let kinds: Vec<Verdict> = decisions.iter().map(|one| one.decision).collect();
    assert_eq!(kinds, [Verdict::Approve, Verdict::Deny, Verdict::Allow]);
    assert_eq!(decisions[2].approval.as_deref(), Some(open[0].id.as_str()));
}

fn waiting_ids(home: &Home) -> Vec<String> {
    let now = clock::now();
    store(home).approvals(now).unwrap().into_iter().filter(|one| one.waits(now)).map(|one| one.id).collect()
}

#[test]
fn an_operator_approves_and_overrides_over_the_feed() {
    let home = Home::new(&policy("5m"));
    let mut gateway = gateway(&home);
    let (mut events, handle) =
        watch(Feeds::RunDir(home.path("home/run")), WatchOptions { history: 10, ..WatchOptions::default() })
            .unwrap();
    let mut next = |look: &mut dyn FnMut(&FeedEvent) -> bool| {
        until("what the feed says", || events.try_recv().ok().filter(|event| look(event)))
    };
    let FeedEvent::Connected { source, hello } =
        next(&mut |event| matches!(event, FeedEvent::Connected { .. }))
    else {
        panic!("connected")
    };
    gateway.send(&with_token(1, r#"{"message":"m","password":"hunter2"}"#));
    let mut shown = None;
    next(&mut |event| {
        if let FeedEvent::State { state, .. } = event
            && let State::Approvals { approvals } = state.as_ref()
        {
            shown = approvals.first().cloned();
        }
        shown.is_some()
    });
    let shown = shown.unwrap();
    assert!(shown.args.unwrap().text().contains("hunter2"), "an operator judges what it is");
    let yes = Ask::Approve { id: shown.id, by: "op".to_owned(), note: String::new(), for_s: Some(600) };
    assert!(handle.ask(source, yes));
    assert_eq!(text(&answer(&mut gateway, 1).0), "m");
    // Equal calls need no approval for a while; others do.
    let equal = gateway.call(2, "echo", r#"{"password":"hunter2","message":"m"}"#);
    assert_eq!(text(&equal), "m", "{equal}");
    // Until the restart of this very gateway; another run is none of its.
    let entry = |run: &str, tool: &str| Override {
        id: String::new(),
        effect: OverrideEffect::Deny,
        server: "fixture".to_owned(),
        grant: None,
        tool: tool.to_owned(),
        args_sha256: None,
        until: None,
        uses: None,
        run: Some(run.to_owned()),
        by: String::new(),
        at: Timestamp(0),
        reason: "for now".to_owned(),
    };
    assert!(handle.ask(source, Ask::Override { entry: entry(&hello.gateway, "fail") }));
    assert!(handle.ask(source, Ask::Override { entry: entry("another run", "error") }));
    let stopped = until("the override", || Some(gateway.call(3, "fail", "{}")).filter(denied));
    assert_eq!(rule(&stopped), "(override)");
    assert!(!denied(&gateway.call(4, "error", "{}")));
    let mut other = home.gateway(&[], &[]);
    assert!(!denied(&other.call(5, "fail", "{}")), "bound to the run that was named");
    other.finish();
    gateway.finish();
    let overrides: Vec<_> = home
        .records()
        .into_iter()
        .filter_map(|record| match record {
            Record::Event(event) if event.kind == EventKind::Override && event.gateway == hello.gateway => {
                Some((event.data["state"].clone(), event.data["tool"].clone(), event.by, event.reason))
            }
            _ => None,
        })
        .collect();
    let told = |state: &str, tool: &str, by: Option<&str>, why: &str| {
        overrides
            .iter()
            .any(|(a, b, c, d)| a == state && b == tool && c.as_deref() == by && d.as_deref() == Some(why))
    };
    assert!(told("set", "fail", Some("feed"), "for now"), "{overrides:?}");
    assert!(told("ended", "fail", None, "the gateway stopped"), "{overrides:?}");
    assert!(overrides.iter().any(|one| one.0 == "set" && one.1 == "echo"), "{overrides:?}");
    assert!(store(&home).standing(clock::now()).unwrap().overrides.iter().all(|one| one.run.is_none()));
}

#[test]
fn the_command_lists_what_waits_and_answers_only_for_a_person_at_a_terminal() {
    let home = Home::new(&policy("5m"));
    let said = |output: &std::process::Output| {
        (
            String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8_lossy(&output.stderr),
            output.status.code(),
        )
    };
    assert_eq!(said(&home.run(&["approvals"])), ("No call waits for an approval.\n".to_owned(), Some(0)));
    assert!(!home.path("home/state/store.sqlite").exists(), "looking makes no store");
    let mut gateway = gateway(&home);
    gateway.send(&with_token(1, r#"{"message":"\u001b[31mred\u202e","n":1}"#));
    let open = waiting(&home, 1);
    // The client may send such characters unescaped, too.
    gateway.send(&with_token(2, "{\"message\":\"\u{202e}evil\u{200b}\"}"));
    waiting(&home, 2);
    let (text_form, code) = said(&home.run(&["approvals", "list"]));
    assert_eq!(code, Some(0));
    assert!(text_form.contains(&open[0].id) && text_form.contains("is this right?"), "{text_form}");
    assert!(!text_form.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{text_form:?}");
    let listed: Value = serde_json::from_slice(&home.run(&["--format", "json", "approvals"]).stdout).unwrap();
    assert_eq!(listed["approvals"][0]["args"]["n"], 1);
    let status: Value = serde_json::from_slice(&home.run(&["--format", "json", "status"]).stdout).unwrap();
    assert_eq!(status["approvals"][0]["id"], open[0].id, "{status}");
    assert!(status["approvals"][0].get("args").is_none());
    for command in ["approve", "reject"] {
        let (refused, code) = said(&home.run(&["approvals", command, &open[0].id]));
        assert!(code == Some(2) && refused.contains("terminal"), "{refused}");
        let (unknown, code) = said(&home.run(&["approvals", command, "no such"]));
        assert!(code == Some(1) && unknown.contains("no such"), "{unknown}");
    }
    let (wrong, code) = said(&home.run(&["approvals", "approve", &open[0].id, "--for", "2d"]));
    assert!(code == Some(2) && wrong.contains("2d"), "{wrong}");
    assert_eq!(waiting_ids(&home).len(), 2);
    #[cfg(unix)]
    {
        let run = |arguments: &[&str], keys: &str, shows: &str| {
            let mut program = pty_support::Program::new(&home.path("home")).size(160, 45);
            for argument in arguments {
                program = program.arg(argument);
            }
            let mut term = program.start();
            term.wait("[y/N]");
            term.type_keys(keys);
            term.wait(shows);
            term.end()
        };
        assert_eq!(run(&["approvals", "approve", &open[0].id], "n\r", "nothing was answered"), 1);
        assert_eq!(waiting_ids(&home).len(), 2);
        assert_eq!(run(&["approvals", "approve", &open[0].id], "y\r", "Approved:"), 0);
        assert!(answer(&mut gateway, 1).0["result"].is_object());
        let other = waiting_ids(&home).remove(0);
        let reject = ["approvals", "reject", &other, "--note", "not this one"];
        assert_eq!(run(&reject, "y\r", "Rejected:"), 0);
        assert!(text(&answer(&mut gateway, 2).0).contains("not this one"));
    }
    gateway.finish();
}
