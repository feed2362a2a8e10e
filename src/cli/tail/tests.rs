use super::show::Show;
use super::*;
use crate::cli::output::ColorChoice;

const DENY: &str = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"local","request_id":1,"method":"tools/call","tool":"pull","decision":"deny","enforced":true,"rule":"/tools/pull/limits/pull_rate","pointer":"/tools/pull/limits/0","message":"Limit pull_rate reached: 30 a minute","policy":"0123456789ab","args":{"image":"a\u001b[31m"},"counters":[],"counted":false,"decide_us":1.5}"#;

fn out() -> Output {
    Output::new(ColorChoice::Never, Format::Text)
}

fn shown(show: &mut Show, line: &str) -> Option<String> {
    let mut out = Vec::new();
    show.line(line.as_bytes(), Line::parse(line.as_bytes()).ok().as_ref(), false, &mut out);
    let text = String::from_utf8(out).expect("utf-8");
    text.strip_suffix('\n').map(str::to_owned)
}

fn learn(show: &mut Show, line: &str) {
    show.learn(&Line::parse(line.as_bytes()).expect("a record"));
}

#[test]
fn columns_stand_where_they_stand() {
    let mut show = Show::new(&out(), None);
    let text = shown(&mut show, DENY).expect("a line");
    let (time, rest) = text.split_at(18);
    assert!(time.starts_with("11-2") && time.ends_with(":00.000"), "{text}");
    assert_eq!(
        rest,
        r#" DENY  docker       pull                     limits/pull_rate             {"image":"a\u001b[31m"}  Limit pull_rate reached: 30 a minute"#
    );
    let wide = DENY
        .replace("\"docker\"", "\"日本語日本語日本\"")
        .replace("\"pull\"", "\"a_tool_with_a_name_of_thirty\"");
    let text = shown(&mut show, &wide).expect("a line");
    assert!(text.contains(" 日本語日本…  a_tool_with_a_name_of_t… limits/pull_rate "), "{text}");
    assert_eq!(shown(&mut show, "torn \u{7}").as_deref(), Some("?                        torn \\u{7}"));
}

#[test]
fn a_line_holds_what_people_look_for_and_nothing_raw() {
    let mut show = Show::new(&out(), None);
    let hostile = DENY.replace("\"pull\"", "\"pu\u{202e}ll\"");
    let text = shown(&mut show, &hostile).expect("a line");
    assert!(text.contains("DENY"), "{text}");
    assert!(text.contains("limits/pull_rate"), "{text}");
    assert!(text.contains("Limit pull_rate reached"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn lines_are_cut_to_the_terminal() {
    let mut show = Show::new(&Output { color: true, ..out() }, Some(60));
    let text = shown(&mut show, DENY).expect("a line");
    let mut seen = 0;
    let mut escape = false;
    for c in text.chars() {
        escape |= c == '\u{1b}';
        if !escape {
            seen += 1;
        }
        escape &= c != 'm';
    }
    assert_eq!(seen, 60, "{text:?}");
    assert!(text.contains("\u{1b}[0m"));
}

#[test]
fn outcomes_that_went_well_are_quiet_and_others_name_their_call() {
    let mut show = Show::new(&out(), None);
    let allow = DENY.replace("\"deny\"", "\"allow\"");
    learn(&mut show, &allow);
    let outcome = |status: &str| {
        format!(
            r#"{{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:01.000001Z","gateway":"g","call":7,"status":"{status}","upstream_us":2500,"bytes":9,"released":false}}"#
        )
    };
    assert_eq!(shown(&mut show, &outcome("ok")), None);
    learn(&mut show, &allow);
    let text = shown(&mut show, &outcome("lost")).expect("shown");
    assert!(text.contains("LOST") && text.contains("docker") && text.contains("pull"), "{text}");
}

#[test]
fn the_filter_and_deny_agree_with_the_record() {
    let output = Output { format: Format::Json, ..out() };
    let tail = |deny: bool, filter: Option<&str>| Tail {
        deny,
        filter: filter.map(|text| Filter::parse(text, Timestamp(0)).expect("valid")),
        since: None,
        until: None,
        follow: false,
        sink: Sink::Json,
        found: false,
        pending: Vec::new(),
        out: &output,
    };
    assert!(tail(true, None).wanted(DENY.as_bytes(), None));
    let allow = DENY
        .replace("\"decision\":\"deny\"", "\"decision\":\"allow\"")
        .replace("{\"image\"", "{\"x\":{\"decision\":\"deny\"},\"image\"");
    assert!(!tail(true, None).wanted(allow.as_bytes(), None), "arguments are no decision");
    assert!(tail(false, Some("tool:pull arg.image:*31m")).wanted(DENY.as_bytes(), None));
    assert!(!tail(false, Some("tool:push")).wanted(DENY.as_bytes(), None));
    assert!(!tail(false, Some("tool:push")).wanted(b"{\"torn", None));
}

#[test]
fn a_shadow_is_shown_where_it_differs() {
    let mut show = Show::new(&out(), None);
    let with = |shadow: &str| {
        let member = format!(
            r#""decide_us":1.5,"shadow":{{"decision":"{shadow}","rule":"(default deny)","pointer":null}}}}"#
        );
        DENY.replace("\"decide_us\":1.5}", &member)
    };
    let text = shown(&mut show, &with("approve")).expect("a line");
    assert!(text.contains("shadow ASK (default deny)  "), "{text}");
    let text = shown(&mut show, &with("deny")).expect("a line");
    assert!(!text.contains("shadow"), "{text}");
}
