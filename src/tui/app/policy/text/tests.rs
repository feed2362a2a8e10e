use proptest::prelude::*;

use super::*;

fn pane(text: &str) -> (Editor, TextPane) {
    let text: Arc<str> = Arc::from(text);
    let editor = Editor::open(Arc::clone(&text), Some(text));
    let mut pane = TextPane { typing: true, ..TextPane::default() };
    pane.sync(&editor);
    (editor, pane)
}

/// Presses keys, a second apart where there is a `,`.
fn keys(editor: &mut Editor, pane: &mut TextPane, script: &str) {
    let mut now = 0;
    for key in script.split_whitespace() {
        if key == "pause" {
            now += 10_000;
            continue;
        }
        pane.key(editor, key.parse().expect(key), 10, now);
    }
}

#[test]
fn brackets_and_quotes_come_in_pairs_and_lines_are_indented() {
    let (mut editor, mut pane) = pane("");
    keys(&mut editor, &mut pane, "{ enter \" a \" : space [ enter 1 end");
    assert_eq!(&**editor.text(), "{\n  \"a\": [\n    1\n  ]\n}");
    keys(&mut editor, &mut pane, "down down end enter }");
    assert_eq!(&**editor.text(), "{\n  \"a\": [\n    1\n  ]\n}\n}");
}

#[test]
fn typing_is_one_edit_until_a_person_pauses_moves_or_does_something_else() {
    let (mut editor, mut pane) = pane("ab\n");
    keys(&mut editor, &mut pane, "x y z backspace backspace pause w left v");
    let labels = editor.labels();
    assert_eq!(labels, ["type `xyz`", "delete `yz`", "type `w`", "type `v`"]);
    let end = editor.text().clone();
    assert_eq!(&*end, "xvwab\n");
    while editor.undo().is_some() {}
    assert_eq!(&**editor.text(), "ab\n");
    while editor.redo().is_some() {}
    assert_eq!(editor.text(), &end);
}

#[test]
fn forms_and_text_share_one_history() {
    let text = crate::policy::document::Document::new_text();
    let (mut editor, mut pane) = pane(&text);
    let edit = crate::policy::edit::Edit::SetDescription(Some("x".to_owned()));
    editor.apply(&edit, None).unwrap();
    pane.sync(&editor);
    pane.go(&editor, editor.text().find("\"x\"").unwrap() + 1);
    keys(&mut editor, &mut pane, "y");
    assert!(editor.text().contains("\"yx\""));
    assert_eq!(editor.labels(), ["change the description", "type `y`"]);
    editor.apply(&crate::policy::edit::Edit::SetDescription(None), None).unwrap();
    while editor.undo().is_some() {}
    assert_eq!(&**editor.text(), text);
}

#[test]
fn a_selection_is_cut_pasted_and_shifted() {
    let (mut editor, mut pane) = pane("one\ntwo\nthree\n");
    keys(&mut editor, &mut pane, "shift-down tab");
    assert_eq!(&**editor.text(), "  one\n  two\nthree\n");
    keys(&mut editor, &mut pane, "shift-tab");
    assert_eq!(&**editor.text(), "one\ntwo\nthree\n");
    keys(&mut editor, &mut pane, "ctrl-home");
    let did = pane.key(&mut editor, "ctrl-x".parse().unwrap(), 10, 0);
    assert_eq!(did, Did::Copied("one\n".to_owned()));
    pane.paste(&mut editor, "a\u{1b}[31m\r\nb", 0);
    assert_eq!(&**editor.text(), "a[31m\nbtwo\nthree\n");
}

#[test]
fn a_large_text_is_read_later_and_once_more_when_it_went_on() {
    let name = |at: usize| format!("    \"tool_{at}\": {{}}");
    let tools = (0..8_000).map(name).collect::<Vec<_>>().join(",\n");
    let text =
        format!("{{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {{\n{tools}\n  }}\n}}\n");
    let (mut editor, mut pane) = pane(&text);
    keys(&mut editor, &mut pane, "x");
    assert!(editor.is_stale() && !editor.is_valid());
    let first = editor.generation();
    let read = crate::policy::document::Document::parse(editor.text());
    keys(&mut editor, &mut pane, "backspace");
    editor.read(first, read);
    assert!(editor.is_stale(), "an older answer is no answer");
    let read = crate::policy::document::Document::parse(editor.text());
    editor.read(editor.generation(), read);
    assert!(editor.is_valid() && !editor.is_stale());
}

proptest! {
    #[test]
    fn any_keys_keep_the_cursor_on_a_boundary_and_undo_restores_the_bytes(
        start in "[{}\\[\\]\",:a-zé日\u{301}👩\\n\\t ]{0,40}",
        script in prop::collection::vec(prop_oneof![
            Just("left"), Just("right"), Just("up"), Just("down"), Just("home"), Just("end"), Just("ctrl-left"),
            Just("ctrl-right"), Just("shift-left"), Just("shift-down"), Just("ctrl-a"), Just("backspace"),
            Just("delete"), Just("ctrl-w"), Just("ctrl-k"), Just("ctrl-x"), Just("enter"), Just("tab"),
            Just("shift-tab"), Just("esc"), Just("a"), Just("\""), Just("{"), Just("}"), Just("["), Just("é"),
            Just("\u{301}"), Just("日"), Just("pgdn"), Just("ctrl-home"),
        ], 0..60),
    ) {
        let (mut editor, mut pane) = pane(&start);
        for (at, key) in (0u64..).zip(&script) {
            if let Ok(key) = key.parse() { pane.key(&mut editor, key, 5, at * 300); }
            prop_assert!(editor.text().is_char_boundary(pane.cursor));
            let line = pane.line_of(pane.cursor);
            prop_assert!(line < pane.count());
            let _ = pane.column(editor.text(), pane.cursor);
        }
        let end = editor.text().clone();
        while editor.undo().is_some() {}
        prop_assert_eq!(&**editor.text(), start.as_str());
        while editor.redo().is_some() {}
        prop_assert_eq!(editor.text(), &end);
    }
}
