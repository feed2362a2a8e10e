//! Any sequence of keys, clicks, pastes, resizes and news: no panic, nothing typed is lost, undo goes
//! back to the exact bytes and redo to the exact end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::sync::Arc;

use callgate::tui::action;
use callgate::tui::app::policy::{PolicyMsg, Saved};
use callgate::tui::app::{Effect, FeedMsg, Mouse, Msg};
use callgate::tui::theme::Depth;
use proptest::prelude::*;
use tui_support::{POLICY, Ui, has_color, hello, tools};

fn key() -> impl Strategy<Value = String> {
    let bound: Vec<String> = action::table()
        .filter(|entry| !matches!(entry.id, "quit" | "suspend"))
        .flat_map(|entry| entry.keys.iter().map(|spec| (*spec).to_owned()))
        .collect();
    prop_oneof![
        6 => proptest::sample::select(bound),
        2 => "[a-z0-9.^$*(]",
        2 => Just("enter".to_owned()),
        1 => Just("esc".to_owned()),
        1 => proptest::sample::select(vec!["tab", "shift-tab", "left", "right", "backspace", "delete", "up", "down"])
            .prop_map(str::to_owned),
    ]
}

/// A gateway's queue of these approvals.
fn queue(numbers: Vec<u32>) -> Msg {
    let approvals: Vec<serde_json::Value> = numbers
        .into_iter()
        .map(|number| {
            serde_json::json!({
                "id": format!("q{number}"), "server": "git", "grant": "local", "tool": "push_branch",
                "args": {"number": number}, "args_sha256": "00", "policy": "0123456789ab", "rule": "/tools/push_branch/action",
                "pointer": "/tools/push_branch/action", "message": "", "asked_at": "2026-11-20T21:19:00.000000Z",
                "until": "2026-11-20T21:29:00.000000Z", "timeout_s": 600, "holders": number
            })
        })
        .collect();
    let text = serde_json::json!({"of": "approvals", "approvals": approvals}).to_string();
    Msg::Feed(FeedMsg::State(1, Arc::new(serde_json::from_str(&text).unwrap())))
}

fn msg() -> impl Strategy<Value = Msg> {
    prop_oneof![
        30 => key().prop_filter_map("a key", |spec| spec.parse().ok().map(Msg::Key)),
        2 => (0u16..170, 0u16..50).prop_map(|(x, y)| Msg::Mouse(Mouse::Click { x, y })),
        1 => (0u16..170, 0u16..50, -5i32..5).prop_map(|(x, y, steps)| Msg::Mouse(Mouse::Wheel { x, y, steps })),
        1 => ".{0,12}".prop_map(Msg::Paste),
        1 => (0u16..200, 0u16..60).prop_map(|(width, height)| Msg::Resize(width, height)),
        1 => proptest::sample::select(vec![None, Some(POLICY), Some("{"), Some(r#"{"version":"1","default":"allow"}"#)])
            .prop_map(|text| Msg::Policy(PolicyMsg::Disk(text.map(Arc::from)))),
        1 => Just(Msg::Tick),
        1 => Just(Msg::Feed(FeedMsg::Connected(1, Arc::new(hello())))),
        3 => proptest::sample::subsequence((0..6).collect::<Vec<u32>>(), 0..6).prop_map(queue),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_keep_the_promises(msgs in prop::collection::vec(msg(), 1..120), mono in any::<bool>()) {
        let depth = if mono { Depth::None } else { Depth::Ansi256 };
        let mut ui = Ui::with(Some(POLICY), tools(), (80, 24), depth);
        let mut kept: Option<String> = None;
        for msg in msgs {
            let selected = ui.app.approvals.selected().map(|entry| entry.id.clone());
            let news = matches!(msg, Msg::Feed(_));
            let cleared = matches!(msg, Msg::Policy(PolicyMsg::Disk(_)));
            ui.send(msg);
            if let Some(selected) = selected.filter(|_| news) {
                let now = ui.app.approvals.selected().map(|entry| entry.id.clone());
                prop_assert_eq!(now.as_deref(), Some(&*selected), "what comes and goes moves no selection");
            }
            // The runtime's part: files are written and edits kept.
            for effect in std::mem::take(&mut ui.effects) {
                use callgate::tui::app::policy::PolicyEffect::{Forget, Keep, Save};
                match effect {
                    Effect::Policy(Save { text, .. }) => {
                        ui.send(Msg::Policy(PolicyMsg::Saved(Saved::Done(text))));
                        kept = None;
                    }
                    Effect::Policy(Keep { text, .. }) => kept = Some(text.to_string()),
                    Effect::Policy(Forget(_)) => kept = None,
                    _ => {}
                }
            }
            let editor = ui.app.policy.editor.as_ref().unwrap();
            if editor.is_unsaved() && !cleared && !ui.app.leaving {
                prop_assert_eq!(kept.as_deref(), Some(&**editor.text()), "unsaved edits are kept");
            }
            prop_assert!(ui.app.layers.len() <= 3, "{} layers", ui.app.layers.len());
            let items = ui.app.policy.table.items().len();
            prop_assert!(ui.app.policy.table.selected < items.max(1));
            let buffer = ui.buffer();
            prop_assert!(!mono || !has_color(&buffer));
        }
        // Esc closes everything.
        for _ in 0..8 { ui.keys("esc"); }
        prop_assert!(ui.app.layers.is_empty());

        let editor = ui.app.policy.editor.as_mut().unwrap();
        while editor.redo().is_some() {}
        let end = editor.text().clone();
        let count = editor.edits();
        let mut steps = 0;
        while editor.undo().is_some() { steps += 1; }
        prop_assert_eq!(steps, count);
        prop_assert_eq!(&**editor.text(), POLICY);
        while editor.redo().is_some() {}
        prop_assert_eq!(editor.text(), &end);
    }
}
