//! The interface under a long list: 43,000 tools on a 200x60 terminal. A keystroke in the search, to
//! its frame, must stay within 16 ms.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use callgate::mcp::tool::Tool;
use callgate::tui::app::policy::{PolicyMsg, Server};
use callgate::tui::app::{self, App, Msg, Now, Start};
use callgate::tui::key::Key;
use callgate::tui::keymap::Keymap;
use callgate::tui::theme::{Depth, Theme};
use callgate::tui::view;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const TOOLS: usize = 43_000;
const SIZE: (u16, u16) = (200, 60);

fn tools() -> Vec<Tool> {
    let verbs =
        ["list", "get", "create", "update", "delete", "run", "refund", "describe", "attach", "rotate"];
    let nouns =
        ["branch", "pipeline", "invoice", "container", "secret", "network", "policy", "snapshot", "volume"];
    let places = ["repository", "project", "account", "cluster", "registry", "database", "bucket"];
    let tool = |index: usize| {
        let pick = |words: &[&'static str], by: usize| words[(index / by) % words.len()];
        let (verb, noun, place) = (pick(&verbs, 1), pick(&nouns, 10), pick(&places, 90));
        let value = serde_json::json!({
            "name": format!("{place}_{noun}_{verb}_{index}"),
            "description": format!("{verb} the {noun} of a {place}; number {index} of many that a large registry offers"),
            "inputSchema": { "type": "object", "properties": { "id": { "type": "string" } } },
        });
        serde_json::from_value(value).unwrap()
    };
    (0..TOOLS).map(tool).collect()
}

fn app() -> App {
    let start = Start {
        path: "policy.json".into(),
        theme: Theme::new(Depth::True, false, true),
        keymap: Keymap::default(),
        seed: "test".to_owned(),
        bell: true,
        read_only: false,
        user: "kim".to_owned(),
        title: None,
        select: None,
        loading: true,
        has_editor: false,
        tz: jiff::tz::TimeZone::UTC,
    };
    let mut app = App::new(start, SIZE, Now::default());
    let _ = app::update(&mut app, Msg::Policy(PolicyMsg::Disk(None)), Now::default());
    let server =
        Server { name: "big".to_owned(), label: String::new(), tools: Arc::new(tools()), policy: None };
    let _ = app::update(&mut app, Msg::Policy(PolicyMsg::Loaded(Arc::from([server]))), Now::default());
    app
}

fn keys(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let _ = app::update(app, Msg::Key(Key::char(c)), Now::default());
    }
}

fn frame(criterion: &mut Criterion) {
    let app = app();
    let mut buffer = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
    criterion.bench_function("frame 200x60, 43,000 tools", |bencher| {
        bencher.iter(|| {
            buffer.reset();
            view::draw(&app, &mut buffer)
        });
    });
    for (name, before, key) in
        [("first letter", "/", 'r'), ("third letter", "/re", 'p'), ("letter that finds nothing", "/rep", 'ß')]
    {
        let mut ready = app.clone();
        keys(&mut ready, before);
        criterion.bench_function(&format!("search keystroke to frame: {name}"), |bencher| {
            bencher.iter_batched(
                || ready.clone(),
                |mut app| {
                    let _ = app::update(&mut app, Msg::Key(Key::char(key)), Now::default());
                    buffer.reset();
                    let drawn = view::draw(&app, &mut buffer);
                    (app, drawn)
                },
                BatchSize::LargeInput,
            );
        });
    }
    criterion.bench_function("deny one tool to frame, 43,000 tools", |bencher| {
        bencher.iter_batched(
            || app.clone(),
            |mut app| {
                keys(&mut app, "a");
                buffer.reset();
                let drawn = view::draw(&app, &mut buffer);
                (app, drawn)
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
