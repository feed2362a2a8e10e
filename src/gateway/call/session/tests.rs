use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::policy::counter::{Amount, CounterKey};
use crate::policy::model::Scope;
use crate::time::Timestamp;

fn id(text: &str) -> Id {
    Id::from_json(text.as_bytes()).unwrap()
}

fn taken(amount: i128) -> Vec<Taken> {
    let key = CounterKey {
        server: "s".to_owned(),
        scope: Scope::Grant,
        scope_value: "g".to_owned(),
        counter: "c".to_owned(),
        window: 60,
    };
    vec![Taken { key, window_start: Timestamp(0), amount: Amount(amount) }]
}

fn call(amount: i128) -> Asks {
    Asks::Call(Call { taken: taken(amount), ..Call::default() })
}

/// Opens and forwards.
fn send(session: &mut Session, text: &str, asks: Asks, decision: u64) {
    assert!(session.open(id(text), asks));
    session.sending(&id(text).key, decision, 1_000);
}

#[test]
fn ids_are_matched_by_value() {
    let mut session = Session::new();
    send(&mut session, "16.0", call(1), 7);
    assert!(!session.open(id("16"), Asks::Other), "the same value is in flight");
    assert!(session.open(id("\"16\""), Asks::Other), "a string is another id");
    let answered = session.answered(Some(&id("16").key), Answer { bytes: 9, ..Answer::default() }, 1_500);
    let ended = answered.ended.unwrap();
    assert_eq!((ended.decision, ended.status, ended.upstream_us, ended.bytes), (7, Status::Ok, 500, 9));
    assert!(ended.release.is_empty());
    assert!(session.open(id("16"), Asks::Other), "an answered id is free");
}

#[test]
fn only_what_surely_did_not_run_is_given_back() {
    for (code, back) in [
        (-32700, true),
        (-32600, true),
        (-32601, true),
        (-32020, true),
        (-32021, true),
        (-32022, true),
        (-32019, false),
        (-32023, false),
        (-32602, false),
        (-32603, false),
        (-32000, false),
        (0, false),
        (1, false),
    ] {
        let mut session = Session::new();
        send(&mut session, "1", call(5), 1);
        let answer = Answer { error: Some(code), ..Answer::default() };
        let ended = session.answered(Some(&id("1").key), answer, 0).ended.unwrap();
        assert_eq!(ended.status, Status::RpcError);
        assert_eq!(ended.code, Some(code));
        assert_eq!(ended.release == taken(5), back, "{code}");
        assert!(back || ended.release.is_empty());
    }
    let mut session = Session::new();
    send(&mut session, "1", call(5), 1);
    let answer = Answer { is_error: true, ..Answer::default() };
    let ended = session.answered(Some(&id("1").key), answer, 0).ended.unwrap();
    assert_eq!((ended.status, ended.release), (Status::ToolError, Vec::new()));
}

#[test]
fn a_cancelled_call_ends_once_and_its_late_answer_is_still_its_own() {
    let mut session = Session::new();
    send(&mut session, "1", call(5), 3);
    let ended = session.cancel(&id("1").key, 2_000).unwrap();
    assert_eq!((ended.status, ended.decision, ended.release), (Status::Cancelled, 3, Vec::new()));
    assert_eq!(session.cancel(&id("1").key, 2_000), None);
    assert!(!session.open(id("1"), Asks::Other), "its answer may still come");
    let late = session.answered(Some(&id("1").key), Answer::default(), 3_000);
    assert_eq!(late, Answered { relay: Relay::Pass, ended: None, round: None });
    assert!(session.open(id("1"), Asks::Other));
    assert_eq!(session.cancel(&id("9").key, 0), None);
}

#[test]
fn cancelled_requests_do_not_pile_up() {
    let mut session = Session::new();
    for number in 0..3_000 {
        send(&mut session, &number.to_string(), call(1), 1);
        session.cancel(&id(&number.to_string()).key, 0);
    }
    assert!(session.len() <= CANCELLED);
}

#[test]
fn a_list_is_known_by_its_request_and_not_by_its_looks() {
    let tools = Answer { has_tools: true, ..Answer::default() };
    let mut session = Session::new();
    send(&mut session, "1", Asks::of("tools/list", true, false), 0);
    send(&mut session, "2", Asks::of("tools/list", false, false), 0);
    send(&mut session, "3", Asks::of("x/y", true, false), 0);
    send(&mut session, "4", Asks::of("Tools/List", true, false), 0);
    let relay =
        |session: &mut Session, text: &str, answer| session.answered(Some(&id(text).key), answer, 0).relay;
    assert_eq!(relay(&mut session, "1", Answer::default()), Relay::List { first: Some(true) });
    assert_eq!(relay(&mut session, "2", tools), Relay::List { first: Some(false) });
    assert_eq!(relay(&mut session, "3", tools), Relay::Pass, "another method's own `tools`");
    assert_eq!(relay(&mut session, "4", tools), Relay::List { first: Some(true) });
    assert_eq!(relay(&mut session, "5", tools), Relay::List { first: None }, "nobody asked");
    assert_eq!(session.answered(None, tools, 0).relay, Relay::List { first: None });
    assert_eq!(session.answered(None, Answer::default(), 0).relay, Relay::Pass);
    // An error passes, unless it is a result as well.
    send(&mut session, "6", Asks::of("tools/list", true, false), 0);
    assert_eq!(relay(&mut session, "6", Answer { error: Some(1), ..Answer::default() }), Relay::Pass);
    send(&mut session, "6", Asks::of("tools/list", true, false), 0);
    let both = Answer { error: Some(0), has_tools: true, ..Answer::default() };
    assert_eq!(relay(&mut session, "6", both), Relay::List { first: Some(true) });
}

#[test]
fn an_answer_before_its_request_is_no_answer_to_it() {
    let mut session = Session::new();
    assert!(session.open(id("1"), call(1)));
    let early = session.answered(Some(&id("1").key), Answer { has_tools: true, ..Answer::default() }, 0);
    assert_eq!(early, Answered { relay: Relay::List { first: None }, ended: None, round: None });
    session.sending(&id("1").key, 4, 1);
    assert!(session.answered(Some(&id("1").key), Answer::default(), 2).ended.is_some());
}

#[test]
fn clients_are_told_of_changes_as_they_asked() {
    let mut session = Session::new();
    send(&mut session, "0", Asks::Initialize, 0);
    assert_eq!(session.answered(Some(&id("0").key), Answer::default(), 0).relay, Relay::Capabilities);
    let lines: Vec<_> = session.visibility_changed().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, [br#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#]);

    let mut session = Session::new();
    send(&mut session, "0", Asks::Discover, 0);
    session.answered(Some(&id("0").key), Answer::default(), 0);
    assert!(session.visibility_changed().is_empty(), "nobody listens");
    send(&mut session, "\"s\"", Asks::Listen { tools: true }, 0);
    send(&mut session, "5", Asks::Listen { tools: false }, 0);
    let lines: Vec<_> = session.visibility_changed().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 1);
    let line: serde_json::Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(line["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s");
    session.cancel(&id("\"s\"").key, 0);
    assert!(session.visibility_changed().is_empty());
}

#[test]
fn a_gone_server_leaves_what_was_forwarded() {
    let mut session = Session::new();
    send(&mut session, "1", call(1), 1);
    send(&mut session, "\"b\"", Asks::Other, 0);
    assert!(session.open(id("3"), call(3)));
    send(&mut session, "4", call(4), 4);
    session.cancel(&id("4").key, 0);
    let left = session.server_gone(9_000);
    assert_eq!(left.unanswered, ["1", "\"b\""]);
    assert_eq!(left.lost.len(), 1);
    assert_eq!((left.lost[0].status, left.lost[0].release.len()), (Status::Lost, 0), "it may have run");
    // What was being decided meanwhile never reached it.
    let (raw, ended) = session.withdraw(&id("3").key, 9_000).unwrap();
    assert_eq!((raw.as_str(), ended.unwrap().release), ("3", taken(3)));
    assert_eq!(session.withdraw(&id("1").key, 9_000), None, "already answered");
    assert!(session.is_empty() && session.is_gone());
}

/// What may happen next in a random session.
#[derive(Debug, Clone)]
enum Move {
    Ask { number: u8, what: u8, denied: bool },
    Send { number: u8, whole: bool },
    Cancel { number: u8 },
    Answer { number: u8, code: Option<i64>, is_error: bool, twice: bool },
    Gone,
}

fn moves() -> impl Strategy<Value = Move> {
    let code = prop_oneof![
        Just(-32700_i64),
        Just(-32600),
        Just(-32601),
        Just(-32021),
        Just(-32602),
        Just(-32603),
        Just(5)
    ];
    prop_oneof![
        5 => (0..6_u8, 0..4_u8, any::<bool>())
            .prop_map(|(number, what, denied)| Move::Ask { number, what, denied }),
        5 => (0..6_u8, proptest::bool::weighted(0.9)).prop_map(|(number, whole)| Move::Send { number, whole }),
        2 => (0..6_u8).prop_map(|number| Move::Cancel { number }),
        5 => (0..6_u8, proptest::option::of(code), any::<bool>(), proptest::bool::weighted(0.1))
            .prop_map(|(number, code, is_error, twice)| Move::Answer { number, code, is_error, twice }),
        1 => Just(Move::Gone),
    ]
}

/// What the test knows of one request.
#[derive(Debug, Clone)]
struct Known {
    call: Option<i128>,
    sent: bool,
    cancelled: bool,
    decision: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens in whatever order: each request is answered once, each allowed call ends
    /// once, and exactly what the release rules say is given back.
    #[test]
    fn every_request_is_answered_once_and_every_call_ends_once(
        steps in proptest::collection::vec(moves(), 1..80),
    ) {
        let mut session = Session::new();
        let mut known: BTreeMap<u8, Known> = BTreeMap::new();
        let mut next = 0_u64;
        // By decision: how often it ended, and what was given back against what should have been.
        let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
        let mut given: i128 = 0;
        let mut due: i128 = 0;
        let mut allowed: BTreeSet<u64> = BTreeSet::new();
        let mut gone = false;
        let sum = |taken: &[Taken]| taken.iter().map(|taken| taken.amount.0).sum::<i128>();
        for step in steps {
            match step {
                Move::Ask { number, what, denied } => {
                    let asks = match what {
                        0 | 1 => call(i128::from(next) + 1),
                        2 => Asks::List { first: true },
                        _ => Asks::Other,
                    };
                    let is_call = matches!(asks, Asks::Call(_));
                    prop_assert_eq!(session.in_flight(&id(&number.to_string()).key), known.contains_key(&number));
                    if is_call && denied {
                        continue;
                    }
                    let opened = session.open(id(&number.to_string()), asks);
                    prop_assert_eq!(opened, !known.contains_key(&number));
                    if opened {
                        next += 1;
                        let call = is_call.then(|| i128::from(next));
                        known.insert(number, Known { call, sent: false, cancelled: false, decision: next });
                    }
                }
                Move::Send { number, whole } => {
                    let Some(request) = known.get_mut(&number).filter(|request| !request.sent) else { continue };
                    let key = id(&number.to_string()).key;
                    if request.call.is_some() {
                        allowed.insert(request.decision);
                    }
                    session.sending(&key, request.decision, 1);
                    request.sent = true;
                    if gone || !whole {
                        let withdrawn = session.withdraw(&key, 2);
                        let (raw, ended) = withdrawn.expect("it was in flight");
                        prop_assert_eq!(raw, number.to_string());
                        prop_assert_eq!(ended.is_some(), request.call.is_some());
                        if let Some(ended) = ended {
                            *ends.entry(ended.decision).or_default() += 1;
                            given += sum(&ended.release);
                            due += request.call.unwrap_or_default();
                        }
                        known.remove(&number);
                    }
                }
                Move::Cancel { number } => {
                    let ended = session.cancel(&id(&number.to_string()).key, 3);
                    match known.get_mut(&number) {
                        Some(request) if request.sent && !request.cancelled => {
                            request.cancelled = true;
                            prop_assert_eq!(ended.is_some(), request.call.is_some());
                        }
                        _ => prop_assert!(ended.is_none()),
                    }
                    if let Some(ended) = ended {
                        *ends.entry(ended.decision).or_default() += 1;
                        given += sum(&ended.release);
                    }
                }
                Move::Answer { number, code, is_error, twice } => {
                    for _ in 0..=u8::from(twice) {
                        let answer = Answer { error: code, is_error, ..Answer::default() };
                        let answered = session.answered(Some(&id(&number.to_string()).key), answer, 4);
                        let request = match known.get(&number) {
                            Some(request) if request.sent => known.remove(&number),
                            _ => None,
                        };
                        let ends_call =
                            request.as_ref().is_some_and(|request| request.call.is_some() && !request.cancelled);
                        prop_assert_eq!(answered.ended.is_some(), ends_call);
                        if let (Some(ended), Some(request)) = (answered.ended, request) {
                            prop_assert_eq!(ended.decision, request.decision);
                            *ends.entry(ended.decision).or_default() += 1;
                            given += sum(&ended.release);
                            if code.is_some_and(gives_back) {
                                due += request.call.unwrap_or_default();
                            }
                        }
                    }
                }
                Move::Gone => {
                    gone = true;
                    let left = session.server_gone(5);
                    let expected: BTreeSet<String> = known
                        .iter()
                        .filter(|(_, request)| request.sent && !request.cancelled)
                        .map(|(number, _)| number.to_string())
                        .collect();
                    prop_assert_eq!(left.unanswered.len(), expected.len());
                    prop_assert_eq!(left.unanswered.into_iter().collect::<BTreeSet<_>>(), expected);
                    for lost in left.lost {
                        *ends.entry(lost.decision).or_default() += 1;
                        given += sum(&lost.release);
                    }
                    known.retain(|_, request| !request.sent);
                }
            }
        }
        // Whatever is still in flight when the server goes is answered then.
        for lost in session.server_gone(6).lost {
            *ends.entry(lost.decision).or_default() += 1;
        }
        prop_assert_eq!(given, due);
        prop_assert!(ends.values().all(|count| *count == 1), "{:?}", ends);
        prop_assert_eq!(ends.keys().copied().collect::<BTreeSet<_>>(), allowed);
    }
}
