use proptest::prelude::*;

use super::ring::Bounds;
use super::*;
use crate::record::{Decision, Outcome, Status};
use crate::time::Timestamp;

pub(crate) fn call(seq: u64, tool: &str, verdict: Verdict) -> Record {
    Record::Decision(Box::new(Decision {
        seq,
        ts: Timestamp(i64::try_from(seq).expect("small") * 1_000),
        gateway: "g1".to_owned(),
        server: "docker".to_owned(),
        grant: "local".to_owned(),
        session: None,
        client: None,
        request_id: None,
        method: "tools/call".to_owned(),
        tool: Some(tool.to_owned()),
        decision: verdict,
        enforced: true,
        rule: String::new(),
        pointer: None,
        message: String::new(),
        policy: None,
        args: None,
        counters: Vec::new(),
        counted: false,
        decide_us: 1.5,
        retry_after_ms: None,
        shadow: None,
        approval: None,
        call: None,
    }))
}

fn tool(index: u64) -> &'static str {
    if index.is_multiple_of(3) { "pull" } else { "ps" }
}

fn filled(count: u64) -> Live {
    let mut live = Live::new(Bounds::default());
    live.set_height(10);
    let records: Vec<Record> = (1..=count).map(|seq| call(seq, tool(seq), Verdict::Allow)).collect();
    live.take(0, &records);
    live
}

fn detail_of(live: &Live, id: u64) -> Vec<detail::Line> {
    let (counters, marks, toggled) = Default::default();
    let about = detail::About {
        ring: &live.ring,
        counters: &counters,
        marks: &marks,
        toggled: &toggled,
        policy: None,
        repeat: live.repeat(id),
        now: Timestamp(0),
    };
    detail::lines(&about, id)
}

fn seqs(live: &Live) -> Vec<u64> {
    live.visible().iter().map(|id| live.ring.get(*id).expect("kept").seq).collect()
}

#[test]
fn follows_until_a_person_scrolls_and_counts_what_is_new() {
    let mut live = filled(100);
    assert_eq!(seqs(&live), (91..=100).collect::<Vec<_>>());
    live.move_by(-1);
    assert!(!live.is_following());
    assert_eq!(live.selected_row().expect("row").seq, 99);
    live.take(0, &(101..=130).map(|seq| call(seq, "ps", Verdict::Deny)).collect::<Vec<_>>());
    assert_eq!(live.new_since_pause(), 30);
    assert_eq!(seqs(&live), (91..=100).collect::<Vec<_>>(), "the screen stands still");
    live.follow();
    assert_eq!(live.selected_row().expect("row").seq, 130);
    assert_eq!(live.ring.totals().denies, 30);
}

#[test]
fn the_detail_says_what_the_shadow_would_have_decided() {
    use crate::record::Shadow;
    let mut live = Live::new(Bounds::default());
    live.set_height(10);
    let with = |seq, decision| {
        let Record::Decision(mut record) = call(seq, "ps", Verdict::Allow) else { panic!("a decision") };
        let pointer = Some("/tools/ps/deny_if/0".to_owned());
        record.shadow = Some(Shadow { decision, rule: "r".to_owned(), pointer });
        Record::Decision(record)
    };
    live.take(0, &[with(1, Verdict::Deny), with(2, Verdict::Allow), call(3, "ps", Verdict::Allow)]);
    let shadow = |seq: u64| {
        let id = *live.visible().iter().find(|id| live.ring.get(**id).expect("kept").seq == seq).unwrap();
        let lines = detail_of(&live, id);
        lines.into_iter().find(|line| line.label == "shadow").map(|line| (line.text, line.tone))
    };
    let said = |text: &str, tone| Some((text.to_owned(), tone));
    assert_eq!(shadow(1), said("DENY instead · r · /tools/ps/deny_if/0", detail::Tone::Warn));
    assert_eq!(shadow(2), said("ALLOW, too · r · /tools/ps/deny_if/0", detail::Tone::Plain));
    assert_eq!(shadow(3), None);
}

#[test]
fn scrolls_page_by_page_to_both_ends() {
    let mut live = filled(35);
    for _ in 0..10 {
        live.move_by(-10);
    }
    assert_eq!(seqs(&live), (1..=10).collect::<Vec<_>>());
    assert_eq!(live.selected_row().expect("row").seq, 1);
    for _ in 0..10 {
        live.move_by(10);
    }
    assert_eq!(seqs(&live), (26..=35).collect::<Vec<_>>());
    assert!(!live.is_following(), "only G follows again");
}

#[test]
fn a_filter_shows_its_first_screen_at_once_and_the_rest_as_it_is_found() {
    let mut live = filled(120_000);
    live.set_filter("tool:pull", Timestamp::default()).expect("valid");
    assert_eq!(live.visible().len(), 10);
    assert!(live.search_progress().is_some());
    while live.work() {}
    assert_eq!(live.count(), 40_000);
    live.take(0, &[call(120_001, "ps", Verdict::Allow), call(120_002, "pull", Verdict::Deny)]);
    assert_eq!(live.count(), 40_001);
    assert!(live.set_filter("tool:(", Timestamp::default()).is_err() || live.is_filtered());
    live.set_filter("", Timestamp::default()).expect("valid");
    assert_eq!(live.count(), 120_002);
}

#[test]
fn outcomes_join_their_calls() {
    let mut live = filled(5);
    let outcome = Record::Outcome(Box::new(Outcome {
        seq: 6,
        ts: Timestamp(0),
        gateway: "g1".to_owned(),
        call: 3,
        status: Status::ToolError,
        code: None,
        upstream_us: 1200,
        bytes: 80,
        released: false,
    }));
    live.take(0, std::slice::from_ref(&outcome));
    assert_eq!(
        live.ring.get(live.ring.first() + 2).and_then(|row| row.ended).map(|ended| ended.status),
        Some(Status::ToolError)
    );
    live.take(1, &[outcome]);
    assert_eq!(live.count(), 5, "an outcome of an unknown gateway joins nothing");
}

#[test]
fn a_held_call_is_two_rows_and_one_call() {
    let mut live = filled(3);
    let Record::Decision(mut asks) = call(4, "pull", Verdict::Approve) else { unreachable!() };
    asks.approval = Some("a1".to_owned());
    live.take(0, &[Record::Decision(asks), call(5, "ps", Verdict::Deny)]);
    let Record::Decision(mut answer) = call(65_004, "pull", Verdict::Allow) else { unreachable!() };
    answer.approval = Some("a1".to_owned());
    answer.call = Some(4);
    let told = Record::Event(Box::new(crate::record::Event {
        seq: 6,
        ts: Timestamp(0),
        gateway: "g1".to_owned(),
        kind: crate::record::EventKind::Approval,
        by: Some("ana".to_owned()),
        reason: Some("fine".to_owned()),
        data: serde_json::json!({"id": "a1", "state": "approved"}),
    }));
    if let Record::Event(event) = &told {
        assert_eq!(live.ring.held.hear(event).as_deref(), Some("a1"));
    }
    live.take(0, &[told, Record::Decision(answer)]);
    let totals = live.ring.totals();
    assert_eq!((totals.decisions, totals.denies, totals.approvals), (5, 1, 1));
    let (asked, answer) = (past::BASE + 3, past::BASE + 6);
    assert_eq!(
        (live.ring.held.answer_of(asked), live.ring.held.asked_by(answer)),
        (Some(answer), Some(asked))
    );
    let text = |id| {
        let lines = detail_of(&live, past::BASE + id);
        lines.iter().map(|line| format!("{} {}", line.label, line.text)).collect::<Vec<_>>().join("\n")
    };
    assert!(text(3).contains("outcome held 1 m 05 s, then allowed"), "{}", text(3));
    assert!(text(6).contains("asked held 1 m 05 s before, as number 4"), "{}", text(6));
    assert!(text(6).contains("approved by ana") && text(6).contains("note fine"), "{}", text(6));
    // What ran is what was allowed, whichever of the two numbers the outcome names.
    let outcome = |call: u64| {
        Record::Outcome(Box::new(Outcome {
            seq: 70_000,
            ts: Timestamp(0),
            gateway: "g1".to_owned(),
            call,
            status: Status::Ok,
            code: None,
            upstream_us: 1,
            bytes: 1,
            released: false,
        }))
    };
    for seq in [4, 65_004] {
        live.take(0, &[outcome(seq)]);
        assert!(live.ring.get(past::BASE + 3).is_some_and(|row| row.ended.is_none()));
        assert!(live.ring.get(past::BASE + 6).is_some_and(|row| row.ended.is_some()), "{seq}");
    }
    // When the first is gone the second stands alone.
    let mut small = Live::new(Bounds { rows: 2, bytes: usize::MAX });
    let Record::Decision(mut answer) = call(3, "pull", Verdict::Deny) else { unreachable!() };
    answer.call = Some(1);
    small.take(
        0,
        &[call(1, "pull", Verdict::Approve), call(2, "ps", Verdict::Allow), Record::Decision(answer)],
    );
    assert_eq!(small.ring.held.asked_by(past::BASE + 2), None);
    assert_eq!(small.ring.totals().decisions, 2);
}

#[test]
fn a_filter_by_how_calls_ended_sees_outcomes_that_come_later() {
    let ended = |call: u64, status: Status| {
        Record::Outcome(Box::new(Outcome {
            seq: 100 + call,
            ts: Timestamp(0),
            gateway: "g1".to_owned(),
            call,
            status,
            code: None,
            upstream_us: 1200,
            bytes: 80,
            released: false,
        }))
    };
    let mut live = filled(5);
    live.set_filter("status:tool_error,lost", Timestamp::default()).expect("valid");
    assert_eq!(live.count(), 0);
    live.take(0, &[ended(4, Status::Lost), ended(2, Status::ToolError), ended(3, Status::Ok)]);
    assert_eq!(seqs(&live), [2, 4]);
    live.set_filter("-status:ok", Timestamp::default()).expect("valid");
    live.take(0, &[ended(5, Status::Ok), call(200, "ps", Verdict::Allow)]);
    assert_eq!(seqs(&live), [1, 2, 4, 200]);
}

#[test]
fn the_ring_keeps_its_bounds_and_the_selection_stays_on_a_kept_row() {
    let mut live = Live::new(Bounds { rows: 50, bytes: usize::MAX });
    live.set_height(10);
    live.take(0, &(1..=40).map(|seq| call(seq, "ps", Verdict::Allow)).collect::<Vec<_>>());
    live.to_oldest();
    live.take(0, &(41..=200).map(|seq| call(seq, "ps", Verdict::Allow)).collect::<Vec<_>>());
    assert_eq!(live.ring.len(), 50);
    assert_eq!(live.selected_row().expect("kept").seq, 151);
    assert_eq!(seqs(&live).len(), 10);
    let mut small = Live::new(Bounds { rows: 1000, bytes: 20_000 });
    small.take(0, &(1..=1000).map(|seq| call(seq, "ps", Verdict::Allow)).collect::<Vec<_>>());
    assert!(small.ring.bytes() <= 20_000 && small.ring.len() > 10);
}

#[test]
fn a_row_is_small_enough_for_a_million_of_them() {
    assert!(std::mem::size_of::<Row>() <= 208, "{}", std::mem::size_of::<Row>());
}

#[test]
fn made_up_names_do_not_fill_the_memory() {
    let mut live = Live::new(Bounds { rows: 100, bytes: usize::MAX });
    for seq in 1..=300_000 {
        live.take(0, &[call(seq, &format!("tool-{seq}"), Verdict::Allow)]);
    }
    assert!(live.ring.names.len() <= 110_000, "{}", live.ring.names.len());
    assert_eq!(live.selected_row().map(|row| live.ring.names.text(row.tool)), Some("tool-300000"));
}

#[derive(Debug, Clone)]
enum Step {
    Take(u8),
    Move(i8),
    Oldest,
    Follow,
    Filter(u8),
    Height(u8),
    Click(u8),
    Search,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..40u8).prop_map(Step::Take),
        any::<i8>().prop_map(Step::Move),
        Just(Step::Oldest),
        Just(Step::Follow),
        (0..4u8).prop_map(Step::Filter),
        (0..30u8).prop_map(Step::Height),
        any::<u8>().prop_map(Step::Click),
        Just(Step::Search),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_screen_is_full_of_kept_rows_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut live = Live::new(Bounds { rows: 64, bytes: usize::MAX });
        let mut seq = 0;
        for step in steps {
            match step {
                Step::Take(count) => {
                    let records: Vec<Record> = (0..count).map(|_| { seq += 1; call(seq, tool(seq), Verdict::Allow) }).collect();
                    live.take(0, &records);
                }
                Step::Move(rows) => live.move_by(isize::from(rows)),
                Step::Oldest => live.to_oldest(),
                Step::Follow => live.follow(),
                Step::Filter(which) => live.set_filter(["", "tool:pull", "tool:ps", "tool:none"][usize::from(which)], Timestamp::default()).expect("valid"),
                Step::Height(height) => live.set_height(usize::from(height)),
                Step::Click(line) => live.click(usize::from(line)),
                Step::Search => { live.work(); }
            }
            let visible = live.visible();
            prop_assert_eq!(visible.len(), live.height().min(live.count()));
            prop_assert!(visible.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(visible.iter().all(|id| live.ring.get(*id).is_some()));
            if live.count() > 0 {
                let selected = live.selected().expect("something is selected");
                prop_assert!(live.ring.get(selected).is_some());
                prop_assert_eq!(live.nth(live.index_of(selected)), Some(selected), "it is shown");
            } else {
                prop_assert_eq!(live.selected(), None);
            }
        }
    }
}
