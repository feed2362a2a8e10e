//! The Live screen with a million rows: a frame at 200x60 with each pivot, the time axis and repeats
//! as one row, the first screen of a filter, taking a batch in, and what the rows weigh. Targets: a
//! frame within 16 ms whatever the history, a filter's first screen within one, at most 400 MB.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::too_many_lines
)]

use std::hint::black_box;

use callgate::record::Record;
use callgate::time::Timestamp;
use callgate::tui::app::live::ring::Bounds;
use callgate::tui::app::live::{Live, LiveScreen};
use callgate::tui::app::{self, App, Msg, Now, Start};
use callgate::tui::keymap::Keymap;
use callgate::tui::theme::{Depth, Theme};
use callgate::tui::view;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const ROWS: u64 = 1_000_000;
const SIZE: (u16, u16) = (200, 60);

fn decision(seq: u64) -> Record {
    let (verdict, rule, message) = if seq % 10 == 3 {
        ("deny", "/tools/push/limits/push_rate", "Limit push_rate reached: 30 a minute")
    } else {
        ("allow", "", "")
    };
    let tool = ["pull", "push", "ps", "logs", "inspect"][usize::try_from(seq % 5).unwrap()];
    let ts = Timestamp(1_795_209_600_000_000 + i64::try_from(seq).unwrap() * 1000);
    let line = format!(
        r#"{{"type":"decision","seq":{seq},"ts":"{ts}","gateway":"g","server":"docker","grant":"local","session":"s-{}","client":"bench 1.0","request_id":{seq},"method":"tools/call","tool":"{tool}","decision":"{verdict}","enforced":true,"rule":"{rule}","pointer":null,"message":"{message}","policy":"0123456789ab","args":{{"image":"registry.example/team/app:{seq}","force":false,"amount":{}}},"counters":[{{"counter":"push_rate","scope":"grant","key":"local","window":60,"used":3,"max":30,"resets_at":"2026-11-20T21:21:00.000000Z"}}],"counted":true,"decide_us":1.5}}"#,
        seq / 1000,
        seq % 500
    );
    Record::parse(line.as_bytes()).unwrap()
}

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    (statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096) >> 20
}

fn filled(rows: u64) -> Live {
    let mut live = Live::new(Bounds::default());
    for from in (0..rows).step_by(1000) {
        let records: Vec<_> = (from..from + 1000).map(|seq| decision(seq + 1)).collect();
        live.take(0, &records);
    }
    live
}

fn at(ms: u64) -> Now {
    Now { ms, ts: Timestamp(1_795_210_600_000_000) }
}

fn open() -> App {
    let start = Start {
        tz: jiff::tz::TimeZone::UTC,
        path: "policy.json".into(),
        theme: Theme::new(Depth::True, false, true),
        keymap: Keymap::default(),
        seed: "test".to_owned(),
        bell: true,
        read_only: false,
        user: "bench".to_owned(),
        title: None,
        select: None,
        loading: false,
        has_editor: false,
    };
    let mut app = App::new(start, SIZE, at(0));
    app::update(&mut app, Msg::Key("2".parse().unwrap()), at(1));
    app
}

fn live(c: &mut Criterion) {
    let before = resident_mib();
    let mut app = open();
    app.live = LiveScreen::new(Bounds::default(), jiff::tz::TimeZone::UTC);
    app.live.live = filled(ROWS);
    println!(
        "{} rows kept: {} MiB by its own count, {} MiB resident",
        app.live.live.count(),
        app.live.live.ring.bytes() >> 20,
        resident_mib() - before
    );
    app::update(&mut app, Msg::Resize(SIZE.0, SIZE.1), at(2));
    let area = Rect::new(0, 0, SIZE.0, SIZE.1);
    let mut group = c.benchmark_group("live");
    group.sample_size(20);
    let mut buffer = Buffer::empty(area);
    group.bench_function("frame at 200x60, 1,000,000 rows", |b| {
        b.iter(|| black_box(view::draw(&app, &mut buffer)));
    });
    while app.live.live.work() {}
    println!("with the time axis: {} MiB resident", resident_mib() - before);
    group.bench_function("frame with the time axis, 1,000,000 rows", |b| {
        b.iter(|| black_box(view::draw(&app, &mut buffer)));
    });
    let press = |app: &mut App, key: &str| {
        app::update(app, Msg::Key(key.parse().unwrap()), at(3));
    };
    for by in ["tool", "rule", "grant", "server", "client", "minute"] {
        // The key itself is the first step of counting; the longest step must fit into a frame, too.
        let mut longest = std::time::Duration::ZERO;
        let mut timed = |app: &mut App, step: &dyn Fn(&mut App)| {
            let began = std::time::Instant::now();
            step(app);
            longest = longest.max(began.elapsed());
        };
        timed(&mut app, &|app| press(app, "b"));
        while app.live.live.is_working() {
            timed(&mut app, &|app| {
                app.live.live.work();
            });
        }
        println!("counting by {by}: the longest step took {longest:?}");
        group.bench_function(format!("frame by {by}, 1,000,000 rows"), |b| {
            b.iter(|| black_box(view::draw(&app, &mut buffer)));
        });
    }
    press(&mut app, "b");
    press(&mut app, "c");
    while app.live.live.work() {}
    println!("with repeats as one: {} MiB resident", resident_mib() - before);
    group.bench_function("frame with repeats as one row", |b| {
        b.iter(|| black_box(view::draw(&app, &mut buffer)));
    });
    press(&mut app, "c");
    let now = Timestamp(1_795_210_600_000_000);
    for filter in [
        "decision:deny",
        "tool:push",
        "widget99",
        "arg.amount:>490",
        "rule:/rate$/",
        "none_of_them",
        "status:lost",
    ] {
        group.bench_function(format!("first screen of {filter}"), |b| {
            b.iter(|| app.live.live.set_filter(filter, now).unwrap());
        });
    }
    group.bench_function("one more step of none_of_them", |b| {
        app.live.live.set_filter("none_of_them", now).unwrap();
        b.iter(|| {
            if !app.live.live.work() {
                app.live.live.set_filter("none_of_them", now).unwrap();
            }
        });
    });
    app.live.live.set_filter("decision:deny", now).unwrap();
    while app.live.live.work() {}
    group.bench_function("frame with a filter over everything", |b| {
        b.iter(|| black_box(view::draw(&app, &mut buffer)));
    });
    press(&mut app, "b");
    press(&mut app, "c");
    while app.live.live.work() {}
    let batch: Vec<_> = (0..1000).map(|seq| decision(ROWS + seq + 1)).collect();
    group.bench_function("1000 more while full, filtered, counted and folded", |b| {
        b.iter_batched(|| (), |()| app.live.live.take(0, &batch), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, live);
criterion_main!(benches);
