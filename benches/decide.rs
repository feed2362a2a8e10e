//! What deciding costs: `cargo bench --bench decide`. Targets are in the house plan: under 1 µs
//! with 10 rules, under 20 µs with 3 counters in SQLite, flat in the number of tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::format_push_string, missing_docs)]

use std::hint::black_box;

use callgate::counters::Store;
use callgate::counters::sqlite::SqliteStore;
use callgate::json;
use callgate::policy::compiled::Compiled;
use callgate::policy::counter::{Caller, Want};
use callgate::policy::decide::{Call, Circumstances, Verdict};
use callgate::policy::document::Document;
use callgate::policy::memory::MemoryCounters;
use callgate::policy::shadow::opinion;
use callgate::time::Timestamp;
use criterion::{Criterion, criterion_group, criterion_main};

const CALLER: Caller<'static> = Caller { server: "docker", grant: "local", session: None };
const NOW: Timestamp = Timestamp(1_795_208_400_000_000);

const TEN_RULES: &str = r#"{
    "require":[
        {"conditions":[{"path":"args.repository","op":"exists","value":true}]},
        {"conditions":[{"path":"args.branch","op":"regex","value":"^[a-z0-9/_-]+$"}]},
        {"conditions":[{"path":"args.visibility","op":"in","value":["private","internal"]}]}],
    "deny_if":[
        {"conditions":[{"path":"args.branch","op":"in","value":["main","master","release"]}]},
        {"conditions":[{"path":"args.amount","op":"gt","value":100}]},
        {"conditions":[{"path":"args.files[*].path","op":"regex","value":"\\.env$|\\.pem$"}]},
        {"conditions":[{"path":"args.message","op":"contains","value":"[skip ci]"}]},
        {"conditions":[{"path":"args.options.force","op":"eq","value":true}]},
        {"conditions":[{"path":"args.labels","op":"contains","value":"urgent"}]}],
    "approve_if":[{"conditions":[{"path":"args.amount","op":"gte","value":50},{"path":"args.repository","op":"neq","value":"sandbox"}]}]}"#;

const ARGUMENTS: &str = r#"{"repository":"sandbox","branch":"feature/decide","visibility":"private","amount":42,"message":"a plain message","files":[{"path":"src/main.rs"},{"path":"README.md"}],"options":{"force":false},"labels":["a","b"]}"#;

fn compiled(tools: &[(String, &str)]) -> Compiled {
    let entries: Vec<String> = tools.iter().map(|(name, entry)| format!("\"{name}\":{entry}")).collect();
    let text = format!(r#"{{"version":"1","default":"deny","tools":{{{}}}}}"#, entries.join(","));
    Compiled::new(&Document::parse(&text).valid().unwrap()).unwrap()
}

fn wants(policy: &Compiled, tool: &str) -> Vec<Want> {
    match policy.decide(&Call { tool, arguments: None }, &Circumstances::default()) {
        Verdict::Allow { charges, .. } => charges.iter().map(|charge| charge.want(&CALLER, false)).collect(),
        Verdict::Deny(denial) => panic!("{denial:?}"),
    }
}

fn decide(criterion: &mut Criterion) {
    let parsed = json::parse(ARGUMENTS).unwrap();
    let circumstances = Circumstances::default();

    let policy = compiled(&[("push".to_owned(), TEN_RULES)]);
    let call = Call { tool: "push", arguments: Some(&parsed.root) };
    assert!(matches!(policy.decide(&call, &circumstances), Verdict::Allow { .. }));
    criterion.bench_function("decide/10 rules", |bencher| {
        bencher.iter(|| policy.decide(black_box(&call), &circumstances));
    });
    criterion.bench_function("decide/10 rules, arguments parsed too", |bencher| {
        bencher.iter(|| {
            let parsed = json::parse(black_box(ARGUMENTS)).unwrap();
            policy.decide(&Call { tool: "push", arguments: Some(&parsed.root) }, &circumstances)
        });
    });

    criterion.bench_function("shadow/10 rules", |bencher| {
        let mut counters = MemoryCounters::new();
        bencher.iter(|| opinion(&policy, &mut counters, &CALLER, black_box(&call), &circumstances, NOW));
    });

    for count in [10_usize, 10_000] {
        let tools: Vec<(String, &str)> =
            (0..count).map(|index| (format!("tool_{index}"), TEN_RULES)).collect();
        let policy = compiled(&tools);
        let name = format!("tool_{}", count / 2);
        let call = Call { tool: &name, arguments: Some(&parsed.root) };
        criterion.bench_function(&format!("decide/10 rules, {count} tools"), |bencher| {
            bencher.iter(|| policy.decide(black_box(&call), &circumstances));
        });
    }

    let limits = r#"{"limits":[
        {"counter":"a","window":"minute","max":1000000000000},
        {"counter":"b","window":"hour","max":1000000000000,"scope":"server"},
        {"counter":"c","window":"day","max":1000000000000}]}"#;
    let policy = compiled(&[("pull".to_owned(), limits)]);
    let call = Call { tool: "pull", arguments: Some(&parsed.root) };
    criterion.bench_function("decide/3 limits", |bencher| {
        bencher.iter(|| policy.decide(black_box(&call), &circumstances));
    });
    let wants = wants(&policy, "pull");
    let mut memory = MemoryCounters::new();
    criterion.bench_function("reserve/3 limits in memory", |bencher| {
        bencher.iter(|| memory.reserve(NOW, black_box(&wants)));
    });
    criterion.bench_function("shadow/3 limits", |bencher| {
        let mut counters = MemoryCounters::new();
        bencher.iter(|| opinion(&policy, &mut counters, &CALLER, black_box(&call), &circumstances, NOW));
    });
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.sqlite")).unwrap();
    criterion.bench_function("reserve/3 limits in SQLite", |bencher| {
        bencher.iter(|| store.reserve(NOW, black_box(&wants)).unwrap());
    });

    let long = format!(r#"{{"text":"{}"}}"#, "lorem ipsum dolor ".repeat(3_641));
    let parsed = json::parse(&long).unwrap();
    let rule =
        r#"{"deny_if":[{"conditions":[{"path":"args.text","op":"regex","value":"(?i)password\\s*="}]}]}"#;
    let policy = compiled(&[("write".to_owned(), rule)]);
    let call = Call { tool: "write", arguments: Some(&parsed.root) };
    criterion.bench_function("decide/a regex over 64 KB", |bencher| {
        bencher.iter(|| policy.decide(black_box(&call), &circumstances));
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
