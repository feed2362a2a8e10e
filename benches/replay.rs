//! Recorded calls under another policy: `cargo bench --bench replay`. A journal of a million calls with
//! their outcomes is written as the gateway writes it, then replayed as `callgate replay` does. Target:
//! at least 500 MB/s a core, whatever the length of the journal.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::Instant;

use callgate::journal::follow::Source;
use callgate::journal::past::Past;
use callgate::journal::{Options as Keep, Writer};
use callgate::policy::compiled::Compiled;
use callgate::policy::document::Document;
use callgate::record::Record;
use callgate::record::line::Line;
use callgate::replay::{Base, Options, Replay};

/// How many calls.
const CALLS: u64 = 1_000_000;
/// How many gateways wrote them.
const GATEWAYS: u64 = 4;

const POLICY: &str = r#"{"version":"1","default":"deny","tools":{
    "list_images":{}, "list_containers":{}, "inspect":{}, "logs":{},
    "pull":{"limits":[{"counter":"pull_rate","window":"minute","max":30,"scope":"grant"}]},
    "push":{"require":[{"conditions":[{"path":"args.image","op":"regex","value":"^ghcr\\.io/acme/"}]}],
            "deny_if":[{"conditions":[{"path":"args.force","op":"eq","value":true}]}]}}}"#;

/// The line of a call: mostly reads, some limited ones, some whose arguments a rule reads.
fn lines(seq: u64, gateway: u64, revision: &str) -> [String; 2] {
    let (second, micros) = (seq / 20_000, seq % 20_000 * 50);
    let ts = format!("2026-11-20T21:{:02}:{:02}.{micros:06}Z", second / 60, second % 60);
    let (tool, args, counters, counted) = match seq % 10 {
        0..=4 => ("list_images", r#"{"all":true,"filters":{"label":["team=web"]}}"#, "[]", false),
        5 | 6 => ("logs", r#"{"container":"web-1","tail":200,"since":"10m"}"#, "[]", false),
        7 | 8 => (
            "push",
            r#"{"image":"ghcr.io/acme/web:1.2.3","force":false,"platform":"linux/amd64"}"#,
            "[]",
            false,
        ),
        _ => (
            "pull",
            r#"{"image":"docker.io/library/nginx","tag":"1.27"}"#,
            r#"[{"counter":"pull_rate","scope":"grant","key":"local","window":60,"used":7,"max":30,"resets_at":"2026-11-20T22:00:00.000000Z"}]"#,
            true,
        ),
    };
    let decision = format!(
        r#"{{"type":"decision","seq":1,"ts":"{ts}","gateway":"g{gateway}","server":"docker","grant":"local","session":"g{gateway}","client":"bench 1.0","request_id":{seq},"method":"tools/call","tool":"{tool}","decision":"allow","enforced":true,"rule":"","pointer":"/tools/{tool}","message":"","policy":"{revision}","args":{args},"counters":{counters},"counted":{counted},"decide_us":1.5}}"#
    );
    let outcome = format!(
        r#"{{"type":"outcome","seq":2,"ts":"{ts}","gateway":"g{gateway}","call":1,"status":"ok","upstream_us":1500,"bytes":2048,"released":false}}"#
    );
    [decision, outcome]
}

fn compiled(text: &str) -> Arc<Compiled> {
    Arc::new(Compiled::new(&Document::parse(text).valid().unwrap()).unwrap())
}

fn main() {
    let policy = compiled(POLICY);
    let tighter = compiled(&POLICY.replace("acme/", "acme/api"));
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    for gateway in 0..GATEWAYS {
        let writer = Writer::create(folder.path(), &format!("g{gateway}"), &Keep::default()).unwrap();
        let mut call = 0;
        for seq in (0..CALLS).filter(|seq| seq % GATEWAYS == gateway) {
            let [decision, outcome] = lines(seq, gateway, policy.revision());
            let mut decision = Record::parse(decision.as_bytes()).unwrap();
            let mut outcome = Record::parse(outcome.as_bytes()).unwrap();
            if let Record::Outcome(outcome) = &mut outcome {
                outcome.call = call + 1;
            }
            call += 2;
            writer
                .append_all(&mut [&mut decision, &mut outcome], |_, line| bytes += line.len() as u64 + 1)
                .unwrap();
        }
    }
    println!("{CALLS} calls, {bytes} bytes, {GATEWAYS} gateways");
    let cases: [(&str, Base, Vec<Arc<Compiled>>); 4] = [
        ("the same policy", Base::Recorded, vec![Arc::clone(&policy)]),
        ("a tighter rule", Base::Recorded, vec![Arc::clone(&tighter)]),
        ("against the old policy", Base::Policy(Arc::clone(&policy)), vec![Arc::clone(&tighter)]),
        ("8 candidates at once", Base::Recorded, vec![Arc::clone(&tighter); 8]),
    ];
    for (name, base, candidates) in cases {
        let known = Arc::clone(&policy);
        let options = Options { known: Box::new(move |_| Some(Arc::clone(&known))), ..Options::default() };
        let mut replay = Replay::new(base, candidates, options);
        let began = Instant::now();
        let mut past = Past::open(&[Source::Folder(folder.path().to_owned())], None, &[]).unwrap();
        while let Some(line) = past.next_line().unwrap() {
            replay.line(&Line::parse(line).unwrap());
        }
        let took = began.elapsed().as_secs_f64();
        let report = replay.finish().remove(0);
        assert_eq!((report.calls, report.replayable), (CALLS, CALLS));
        #[expect(clippy::cast_precision_loss, reason = "for printing")]
        let rate = bytes as f64 / took / 1e6;
        println!(
            "{name}: {rate:.0} MB/s, {took:.2} s, {} changed, {:.0} MiB resident",
            report.changed.total(),
            support::resident(std::process::id())
        );
    }
}
