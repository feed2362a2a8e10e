//! The journal: appending and masking (on every call's way), and reading as `tail` does. Targets:
//! a small call masked in about a microsecond, at least 500 MB/s read a core.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::hint::black_box;

use callgate::filter::Filter;
use callgate::journal::follow::{Follower, Source};
use callgate::journal::{Options, Writer};
use callgate::json;
use callgate::policy::path::Path;
use callgate::record::Record;
use callgate::record::mask::{Masker, Mode};
use callgate::time::Timestamp;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ARGS: &str = r#"{"repo":"acme/widgets","branch":"feature/JIRA-1234-add-login","force":false,"files":["src/main.rs","README.md"],"message":"add the login page","max_tokens":4096}"#;

fn line(seq: u64, verdict: &str) -> String {
    format!(
        r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:20:{:02}.{:06}Z","gateway":"g","server":"git","grant":"local","session":"s","client":"bench 1.0","request_id":{seq},"method":"tools/call","tool":"push_branch","decision":"{verdict}","enforced":true,"rule":"","pointer":"/tools/push_branch","message":"","policy":"0123456789ab","args":{ARGS},"counters":[{{"counter":"push_rate","scope":"grant","key":"local","window":60,"used":3,"max":30,"resets_at":"2026-11-20T21:21:00.000000Z"}}],"counted":true,"decide_us":1.5}}"#,
        seq / 1_000_000 % 60,
        seq % 1_000_000
    )
}

fn journal(c: &mut Criterion) {
    let masker = Masker::new([7; 32], Mode::Masked);
    let parsed = json::parse(ARGS).unwrap();
    let paths = [Path::parse("args.branch").unwrap()];
    let mut group = c.benchmark_group("journal");
    group.bench_function("mask a small call", |b| {
        b.iter(|| black_box(masker.mask(ARGS.as_bytes(), &parsed.root, paths.as_slice())));
    });
    let secret = r#"{"repo":"acme/widgets","token":"0123456789","force":false}"#;
    let with_secret = json::parse(secret).unwrap();
    group.bench_function("mask a secret", |b| {
        b.iter(|| black_box(masker.mask(secret.as_bytes(), &with_secret.root, &())));
    });
    let large = format!(r#"{{"path":"a.txt","content":"{}"}}"#, "lorem ipsum dolor sit amet ".repeat(2300));
    let with_large = json::parse(&large).unwrap();
    group.bench_function("mask 62 kB of text", |b| {
        b.iter(|| black_box(masker.mask(large.as_bytes(), &with_large.root, &())));
    });
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::create(folder.path(), "g", &Options::default()).unwrap();
    let mut record = Record::parse(line(1, "allow").as_bytes()).unwrap();
    group.bench_function("append", |b| b.iter(|| writer.append(&mut record).unwrap()));
    drop(writer);

    let folder = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    for file in 0..4_u64 {
        let mut text = String::new();
        for n in 0..60_000 {
            let seq = n * 4 + file;
            let _ = writeln!(text, "{}", line(seq, if seq % 20 == 3 { "deny" } else { "allow" }));
        }
        bytes += text.len() as u64;
        std::fs::write(folder.path().join(format!("g{file}.1.jsonl")), text).unwrap();
    }
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for (name, filter) in [
        ("every line of 4 files", ""),
        ("denies of 4 files", "decision:deny"),
        ("one tool's of 4 files", "tool:pull"),
    ] {
        let needles = Filter::parse(filter, Timestamp::default()).unwrap().needles();
        group.bench_function(format!("read {name}"), |b| {
            b.iter(|| {
                let source = Source::Folder(folder.path().to_owned());
                let mut follower = Follower::open_for(source, None, &needles).unwrap();
                let mut count = 0;
                while let Some(line) = follower.next_line().unwrap() {
                    count += line.len();
                }
                black_box(count)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
