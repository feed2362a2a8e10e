use super::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).expect("amount")
}

fn state(used: &str, max: &str, resets_at: i64) -> CounterState {
    CounterState {
        counter: "pull_rate".to_owned(),
        scope: "server".to_owned(),
        key: "docker".to_owned(),
        window: 60,
        used: amount(used),
        max: amount(max),
        resets_at: Timestamp::from_secs(resets_at),
    }
}

fn counter(used: &str, resets_at: i64) -> ServerCounter {
    ServerCounter { server: "docker".to_owned(), state: state(used, "30", resets_at) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn call(counters: &mut Counters, grant: &str, tool: &str, used: &str, counted: bool, seconds: i64) {
    let line = format!(
        r#"{{"type":"decision","seq":1,"ts":"{}","gateway":"g","server":"docker","grant":"{grant}","request_id":1,"method":"tools/call","tool":"{tool}","decision":"allow","enforced":true,"rule":"{}","pointer":null,"message":"","policy":null,"args":null,"counters":[],"counted":{counted},"decide_us":1.0}}"#,
        at(seconds),
        if counted { "" } else { "/tools/pull/limits/pull_rate" },
    );
    let crate::record::Record::Decision(mut decision) =
        crate::record::Record::parse(line.as_bytes()).expect("parses")
    else {
        panic!("a decision")
    };
    let resets = (seconds / 60 + 1) * 60;
    decision.counters = vec![state(used, "30", resets)];
    counters.decision(&decision, Some(80));
}

#[test]
fn empties_when_the_window_is_over() {
    let mut counters = Counters::default();
    counters.state(at(30), &[counter("15", 60)], None);
    let now = counters.readings(at(31), false);
    assert_eq!(now[0].used, amount("15"));
    assert!((now[0].fraction - 0.5).abs() < 1e-9);
    assert_eq!(now[0].resets_in_ms, 29_000);
    let later = counters.readings(at(60), false);
    assert_eq!(later[0].used, Amount::ZERO);
    assert_eq!(later[0].resets_in_ms, 0);
}

#[test]
fn what_it_will_come_to() {
    let mut counters = Counters::default();
    counters.state(at(0), &[counter("10", 60)], None);
    // What it held when it was first seen came at no known rate.
    assert_eq!(counters.readings(at(1), false)[0].outlook, Outlook::Idle);
    counters.state(at(10), &[counter("20", 60)], None);
    let reading = &counters.readings(at(10), false)[0];
    assert!((reading.per_minute - 60.0).abs() < 1e-6, "{}", reading.per_minute);
    let Outlook::FullIn(seconds) = reading.outlook else { panic!("{:?}", reading.outlook) };
    assert!((seconds - 10.0).abs() < 1e-6);
    assert_eq!(reading.outlook_words(), "full in 10 s");
    counters.state(at(28), &[counter("21", 60)], None);
    assert_eq!(counters.readings(at(58), false)[0].outlook, Outlook::Idle);
    counters.state(at(57), &[counter("22", 60)], None);
    assert_eq!(counters.readings(at(58), false)[0].outlook_words(), "holds until reset");
    counters.state(at(58), &[counter("30", 60)], None);
    assert_eq!(counters.readings(at(58), false)[0].outlook_words(), "full, denies");
    assert!(counters.readings(at(60), false)[0].fraction.abs() < 1e-9);
}

#[test]
fn an_older_account_of_a_shared_counter_changes_nothing() {
    let mut counters = Counters::default();
    counters.state(at(61), &[counter("3", 120)], None);
    counters.state(at(62), &[counter("29", 60)], None);
    assert_eq!(counters.readings(at(62), false)[0].used, amount("3"));
    counters.state(at(62), &[counter("7", 120)], None);
    assert_eq!(counters.readings(at(62), false)[0].gauge.sparkline(at(62), 3), [0, 0, 4]);
}

#[test]
fn who_uses_it_up_is_counted_whatever_the_order() {
    let mut counters = Counters::default();
    call(&mut counters, "ci", "pull", "4", true, 1);
    call(&mut counters, "ci", "pull", "5", true, 2);
    call(&mut counters, "kim", "push", "8", true, 3);
    // Two of the three in between come late, over another gateway's feed.
    call(&mut counters, "ci", "pull", "6", true, 3);
    call(&mut counters, "ci", "pull", "7", true, 3);
    call(&mut counters, "ci", "pull", "8", false, 4);
    let reading = &counters.readings(at(5), false)[0];
    assert_eq!(reading.used, amount("8"));
    let share = |grant: &str, tool: &str| reading.gauge.shares[&(grant.to_owned(), tool.to_owned())];
    assert_eq!(share("ci", "pull"), Share { used: amount("4"), calls: 4, denied: 1 });
    assert_eq!(share("kim", "push"), Share { used: amount("1"), calls: 1, denied: 0 });
    assert_eq!(reading.gauge.unseen(), amount("3"), "from before this program came");
    assert_eq!(reading.gauge.denied, 1);
    // A new window is everybody's new beginning, and the old one is history.
    call(&mut counters, "kim", "push", "1", true, 190);
    let reading = &counters.readings(at(190), false)[0];
    assert_eq!((reading.gauge.shares.len(), reading.used), (1, amount("1")));
    let past: Vec<String> = reading.gauge.past.iter().map(|past| past.used.to_string()).collect();
    assert_eq!(past, ["8", "0", "0"]);
}

#[test]
fn amounts_are_shared_as_amounts() {
    let mut counters = Counters::default();
    counters.state(at(0), &[counter("0", 60)], None);
    call(&mut counters, "ci", "refund", "12.5", true, 1);
    call(&mut counters, "ci", "refund", "20", true, 2);
    let reading = &counters.readings(at(3), false)[0];
    let share = reading.gauge.shares[&("ci".to_owned(), "refund".to_owned())];
    assert_eq!((share.used, share.calls), (amount("20"), 2));
}

#[test]
fn coming_near_is_said_once_a_window() {
    let mut counters = Counters::default();
    let mut near = |used: &str, seconds: i64| {
        call(&mut counters, "ci", "pull", used, true, seconds);
        std::mem::take(&mut counters.near).len()
    };
    assert_eq!(near("25", 1), 0, "it was near before this program came");
    assert_eq!(near("3", 61), 0);
    assert_eq!(near("23", 62), 0);
    assert_eq!(near("24", 63), 1);
    assert_eq!(near("25", 64), 0);
    assert_eq!(near("24", 121), 1, "another window");
}
