//! The interface by its keys: what a person presses, and what becomes of the document.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tui_support;

use std::collections::HashMap;
use std::sync::Arc;

use callgate::mcp::tool::Tool;
use callgate::policy::document::Document;
use callgate::tui::action::{self, Context, When};
use callgate::tui::app::layer::Layer;
use callgate::tui::app::policy::table::Item;
use callgate::tui::app::policy::{Leftover, PolicyEffect, PolicyMsg, Saved};
use callgate::tui::app::{Effect, Hit, Mouse, Msg};
use callgate::tui::key::Keys;
use callgate::tui::theme::{Depth, Theme};
use tui_support::{POLICY, Ui, tools};

fn value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn opens_on_the_most_severe_tool() {
    let ui = Ui::new();
    let names: Vec<&str> = ui.app.policy.table.tools().iter().map(|row| &*row.name).collect();
    // Severity first, then by name; `drop_database` only the policy names.
    assert_eq!(
        names,
        [
            "delete_repository",
            "drop_database",
            "refund_payment",
            "run_command",
            "push_branch",
            "list_branches"
        ]
    );
    assert_eq!(&*ui.app.policy.table.selected_tool().unwrap().name, "delete_repository");
    assert!(ui.effects.is_empty(), "{:?}", ui.effects);
}

#[test]
fn one_key_each_sets_the_state_and_undo_gives_the_bytes_back() {
    let mut ui = Ui::new();
    ui.select("run_command").keys("a");
    assert!(value(&ui.text())["tools"].get("run_command").is_some());
    ui.keys("x");
    assert_eq!(value(&ui.text())["hide"], serde_json::json!(["drop_database", "run_command"]));
    ui.keys("d");
    assert_eq!(value(&ui.text())["tools"]["run_command"]["deny_if"][0]["conditions"], serde_json::json!([]));
    ui.keys("p");
    assert!(value(&ui.text())["tools"]["run_command"].get("approve_if").is_some());
    let end = ui.text();
    ui.keys("u u u u");
    assert_eq!(ui.text(), POLICY);
    assert!(matches!(ui.app.when(action::Action::Undo), When::Not(_)));
    ui.keys("ctrl-r ctrl-r ctrl-r ctrl-r");
    assert_eq!(ui.text(), end);
    assert_eq!(&*ui.app.policy.table.selected_tool().unwrap().name, "run_command", "undo goes to the row");
}

#[test]
fn space_walks_through_the_states() {
    let mut ui = Ui::new();
    ui.select("list_branches");
    let mut seen = Vec::new();
    for _ in 0..4 {
        ui.keys("space");
        seen.push(ui.app.policy.editor.as_ref().unwrap().state("list_branches").name());
    }
    assert_eq!(seen, ["approve", "deny", "hide", "allow"]);
    ui.app.policy.table.selected = 0;
    assert_eq!(ui.app.policy.table.item(), Some(Item::Default));
    ui.keys("space");
    assert_eq!(value(&ui.text())["default"], "allow");
    ui.keys("d");
    assert_eq!(value(&ui.text())["default"], "deny");
    ui.keys("x");
    assert_eq!(value(&ui.text())["default"], "deny", "the default cannot be hidden");
}

#[test]
fn a_limit_takes_three_keystrokes() {
    let mut ui = Ui::new();
    ui.select("list_branches").keys("l 4 enter");
    let limit = &value(&ui.text())["tools"]["list_branches"]["limits"][0];
    assert_eq!(
        *limit,
        serde_json::json!({"counter": "list_branches_rate", "window": "minute", "max": 60, "scope": "grant"})
    );
    // The same counter and window again is a change, not a second limit.
    ui.keys("l 1 enter");
    let limits = &value(&ui.text())["tools"]["list_branches"]["limits"];
    assert_eq!((limits.as_array().unwrap().len(), &limits[0]["max"]), (1, &serde_json::json!(5)));
    assert!(ui.app.layers.is_empty());
    // Of all tools, on their row.
    ui.app.policy.table.selected = 1;
    ui.keys("l 7 enter");
    assert_eq!(value(&ui.text())["all_tools"]["limits"][1]["max"], 1000);
}

#[test]
fn a_limit_of_an_amount_counts_an_argument() {
    let mut ui = Ui::new();
    ui.select("refund_payment").keys("a l tab backspace backspace '500.5' tab");
    ui.keys("ctrl-u 'day' tab tab tab right");
    ui.keys("enter");
    let limit = &value(&ui.text())["tools"]["refund_payment"]["limits"][0];
    assert_eq!(limit["increment_from"], "args.amount");
    assert_eq!(limit["window"], "day");
    assert_eq!(limit["max"].to_string(), "500.5");
}

#[test]
fn a_condition_is_built_from_the_schema() {
    let mut ui = Ui::new();
    ui.select("refund_payment").keys("c 'amo' enter");
    let Some(Layer::Form(form)) = ui.app.layers.last() else { panic!("no form") };
    let ops = format!("{:?}", form.fields[1].input);
    assert!(ops.contains("gt") && !ops.contains("regex"), "operators fit a number: {ops}");
    // To the operator `gt`, then the value.
    ui.keys("'g'");
    let Some(Layer::Form(form)) = ui.app.layers.last() else { panic!("no form") };
    assert!(form.fields[1].value().starts_with('g'), "{:?}", form.fields[1]);
    ui.keys("enter 'many' enter");
    let Some(Layer::Form(form)) = ui.app.layers.last() else { panic!("a bad value closes nothing") };
    assert!(form.fields[2].error.is_some());
    ui.keys("ctrl-u '100' enter");
    let rule = &value(&ui.text())["tools"]["refund_payment"]["deny_if"][0];
    assert_eq!(rule["conditions"][0]["path"], "args.amount");
    assert_eq!(rule["conditions"][0]["value"], 100);

    // The choices of an enumeration are offered.
    ui.keys("c 'curr' enter");
    let Some(Layer::Form(form)) = ui.app.layers.last() else { panic!("no form") };
    let choices = format!("{:?}", form.fields[2].input);
    assert!(choices.contains("EUR") && choices.contains("USD"), "{choices}");
    ui.keys("enter");
    assert_eq!(value(&ui.text())["tools"]["refund_payment"]["deny_if"][1]["conditions"][0]["value"], "EUR");
}

#[test]
fn a_known_rule_fills_the_form_in() {
    let mut ui = Ui::new();
    ui.select("run_command").keys("c");
    let Some(Layer::Picker(picker)) = ui.app.layers.last() else { panic!("no picker") };
    let known: Vec<&str> =
        picker.items.iter().map(|it| it.name.as_str()).filter(|it| it.starts_with("rule: ")).collect();
    assert!(!known.is_empty(), "shell commands have known attacks");
    ui.keys("'rule:' enter enter");
    let rules = &value(&ui.text())["tools"]["run_command"];
    assert!(rules.to_string().contains("args.command"), "{rules}");
}

#[test]
fn a_regex_is_compiled_while_it_is_typed() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("c 'branch' enter 'r'");
    ui.keys("tab 'a('");
    let Some(Layer::Form(form)) = ui.app.layers.last() else { panic!("no form") };
    assert_eq!(form.fields[1].value(), "regex");
    assert!(form.fields[2].error.as_deref().unwrap().contains("unclosed"), "{:?}", form.fields[2].error);
    ui.keys("')' enter");
    let rules = &value(&ui.text())["tools"]["push_branch"]["deny_if"];
    assert_eq!(rules[2]["conditions"][0]["value"], "a()");
}

#[test]
fn the_inspector_edits_moves_and_removes_rules() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("enter j");
    let Some(When::Now) = Some(ui.app.when(action::Action::Remove)) else { panic!("not on a rule") };
    // The rows: state, limit, two rules.
    ui.keys("j J");
    let rules = &value(&ui.text())["tools"]["push_branch"]["deny_if"];
    assert_eq!(rules[0]["conditions"][0]["path"], "args.force");
    ui.keys("K");
    assert_eq!(ui.text(), POLICY, "moving back gives the bytes back");
    ui.keys("e");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Form(_))));
    ui.keys("tab tab 'No.' enter");
    let rules = &value(&ui.text())["tools"]["push_branch"]["deny_if"];
    assert_eq!(rules[0]["on_deny"], "Open a pull request.No.");
    ui.keys("delete");
    let rules = &value(&ui.text())["tools"]["push_branch"]["deny_if"];
    assert_eq!(rules.as_array().unwrap().len(), 1);
    ui.keys("u u esc");
    assert_eq!(ui.text(), POLICY);
}

#[test]
fn a_condition_is_added_to_a_rule() {
    let mut ui = Ui::new();
    ui.select("push_branch").keys("enter j j + 'force' enter enter");
    let rule = &value(&ui.text())["tools"]["push_branch"]["deny_if"][0];
    assert_eq!(rule["conditions"].as_array().unwrap().len(), 2, "{}", ui.text());
    assert_eq!(rule["on_deny"], "Open a pull request.");
}

#[test]
fn bulk_edits_are_one_undo() {
    let mut ui = Ui::new();
    ui.select("refund_payment").keys("v v v a");
    let entries = value(&ui.text());
    for tool in ["refund_payment", "run_command", "push_branch"] {
        assert!(entries["tools"].get(tool).is_some(), "{tool}");
    }
    ui.keys("l 2 enter");
    for tool in ["refund_payment", "run_command"] {
        let limit = &value(&ui.text())["tools"][tool]["limits"][0];
        assert_eq!(limit["counter"], format!("{tool}_rate"));
    }
    ui.keys("u u");
    assert_eq!(ui.text(), POLICY);
    ui.keys("esc");
    assert!(ui.app.policy.table.marked.is_empty());
}

#[test]
fn recommended_rules_apply_to_all_at_once() {
    let mut ui = Ui::with(None, tools(), (80, 24), Depth::True);
    ui.keys("R B");
    let policy = value(&ui.text());
    assert_eq!(policy["hide"], serde_json::json!(["delete_repository"]));
    assert_eq!(policy["tools"]["push_branch"]["limits"][0]["max"], 30);
    assert_eq!(policy["tools"]["run_command"]["limits"][0]["max"], 10);
    assert!(policy["tools"]["refund_payment"].get("approve_if").is_some());
    assert_eq!(policy["tools"]["list_branches"], serde_json::json!({}));
    ui.keys("R B");
    assert_eq!(ui.app.policy.editor.as_ref().unwrap().edits(), 1, "again there is nothing to do");
}

#[test]
fn search_keeps_the_best_match_selected_and_esc_shows_all() {
    let mut ui = Ui::new();
    ui.keys("/ 'pubr' enter");
    assert_eq!(&*ui.app.policy.table.selected_tool().unwrap().name, "push_branch");
    ui.keys("d");
    assert!(
        value(&ui.text())["tools"]["push_branch"]["deny_if"][0]["conditions"].as_array().unwrap().is_empty()
    );
    ui.keys("esc");
    assert_eq!(ui.app.policy.table.items().len(), 8, "six tools and two rows of the document");
    assert_eq!(&*ui.app.policy.table.selected_tool().unwrap().name, "push_branch", "the place is kept");
    ui.keys("/ 'checkout'");
    let found = ui.app.policy.table.items().len();
    assert_eq!(found, 1, "descriptions are searched too");
    ui.keys("backspace esc");
    assert!(ui.app.policy.search.field.is_empty());
}

#[test]
fn filters_narrow_by_state_and_risk() {
    let mut ui = Ui::new();
    ui.keys("f 'hide' enter");
    assert_eq!(ui.app.policy.table.items().len(), 1);
    ui.keys("esc f 'read' enter");
    assert_eq!(&*ui.app.policy.table.selected_tool().unwrap().name, "list_branches");
    ui.keys("esc");
    assert_eq!(ui.app.policy.table.items().len(), 8);
}

#[test]
fn saving_shows_a_review_and_enter_writes() {
    let mut ui = Ui::new();
    ui.keys("ctrl-s");
    assert!(ui.app.layers.is_empty(), "nothing is unsaved");
    ui.select("run_command").keys("a ctrl-s");
    let Some(Layer::Review(review)) = ui.app.layers.last() else { panic!("no review") };
    assert!(review.added > 0 && review.edits == ["allow run_command"], "{review:?}");
    ui.keys("esc");
    assert_eq!(ui.write(), None, "Esc writes nothing");
    ui.keys("ctrl-s enter");
    let text = ui.text();
    assert_eq!(ui.write().as_deref(), Some(text.as_str()));
    assert!(!ui.app.policy.is_unsaved());
    ui.keys("q");
    assert!(ui.quits());
}

#[test]
fn leaving_with_unsaved_edits_asks() {
    let mut ui = Ui::new();
    ui.keys("a q");
    assert!(!ui.quits());
    ui.keys("c");
    assert!(ui.app.layers.is_empty() && !ui.quits());
    ui.keys("q s");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Review(_))));
    ui.keys("enter");
    assert!(ui.write().is_some());
    assert!(ui.quits());

    let mut ui = Ui::new();
    ui.keys("a q d");
    assert!(ui.quits());
    assert!(ui.effects.iter().any(|effect| matches!(effect, Effect::Policy(PolicyEffect::Forget(_)))));
}

#[test]
fn a_file_that_changed_meanwhile_loses_nothing_of_either() {
    let theirs: Arc<str> = Arc::from(POLICY.replace("120", "60"));
    // Without unsaved edits it is taken over.
    let mut ui = Ui::new();
    ui.send(Msg::Policy(PolicyMsg::Disk(Some(Arc::clone(&theirs)))));
    assert_eq!(ui.text(), &*theirs);
    assert!(ui.app.layers.is_empty() && !ui.app.policy.is_unsaved());

    for choice in ["k", "t"] {
        let mut ui = Ui::new();
        ui.select("run_command").keys("a");
        let mine = ui.text();
        ui.send(Msg::Policy(PolicyMsg::Disk(Some(Arc::clone(&theirs)))));
        assert!(matches!(ui.app.layers.last(), Some(Layer::Ask(_))));
        assert_eq!(ui.text(), mine, "nothing happens before the answer");
        ui.keys("d");
        assert!(matches!(ui.app.layers.last(), Some(Layer::Review(review)) if !review.writes));
        ui.keys("esc");
        assert!(matches!(ui.app.layers.last(), Some(Layer::Ask(_))), "back to the question");
        ui.keys(choice);
        if choice == "k" {
            assert_eq!(ui.text(), mine);
            ui.keys("ctrl-s enter");
            assert_eq!(ui.write().as_deref(), Some(mine.as_str()));
        } else {
            assert_eq!(ui.text(), &*theirs);
            assert!(!ui.app.policy.is_unsaved());
            ui.keys("u");
            assert_eq!(ui.text(), mine, "mine is one undo away");
        }
    }

    // Seen only when writing.
    let mut ui = Ui::new();
    ui.keys("a ctrl-s enter");
    ui.send(Msg::Policy(PolicyMsg::Saved(Saved::Changed(Some(theirs)))));
    assert!(matches!(ui.app.layers.last(), Some(Layer::Ask(_))));
    assert!(ui.app.policy.is_unsaved());
    // Put off with Esc, it comes back with the next save.
    ui.keys("esc ctrl-s");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Ask(_))));
}

#[test]
fn edits_are_kept_for_a_crash_and_offered_again() {
    let mut ui = Ui::new();
    ui.keys("a");
    let text = ui.text();
    let kept = ui.effects.iter().any(
        |effect| matches!(effect, Effect::Policy(PolicyEffect::Keep { text: kept, .. }) if **kept == *text),
    );
    assert!(kept);
    ui.keys("u");
    assert!(ui.effects.iter().any(|effect| matches!(effect, Effect::Policy(PolicyEffect::Forget(_)))));

    let mut ui = Ui::new();
    let left =
        Leftover { name: "x.json".to_owned(), when: "20:31".to_owned(), text: Arc::from(text.as_str()) };
    ui.send(Msg::Policy(PolicyMsg::Leftover(left)));
    ui.keys("r");
    assert_eq!(ui.text(), text);
    let order: Vec<bool> = ui
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Policy(PolicyEffect::Keep { .. }) => Some(true),
            Effect::Policy(PolicyEffect::DropLeftover(_)) => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(order, [true, false], "kept again before the old copy goes");
    ui.keys("u");
    assert_eq!(ui.text(), POLICY);
}

#[test]
fn an_invalid_file_shows_its_errors_and_takes_no_edits() {
    let mut ui =
        Ui::with(Some(r#"{"version": "1", "default": "deny", "toolz": {}}"#), tools(), (80, 24), Depth::True);
    let screen = ui.screen();
    assert!(screen.contains("toolz") && screen.contains("did you mean"), "{screen}");
    let before = ui.text();
    ui.keys("r a d x l");
    assert_eq!(ui.text(), before);
    ui.keys("r E");
    assert!(ui.effects.iter().any(|effect| matches!(effect, Effect::Policy(PolicyEffect::Editor(_, 1)))));
    // Fixed outside, it opens.
    ui.send(Msg::Policy(PolicyMsg::Disk(Some(Arc::from(POLICY)))));
    ui.app.policy.table.select("run_command");
    ui.keys("esc a");
    assert!(value(&ui.text())["tools"].get("run_command").is_some());
}

#[test]
fn read_only_changes_nothing() {
    let theme = Theme::new(Depth::True, false, true);
    let mut ui = Ui::start(Some(POLICY), tools(), (80, 24), theme, true);
    ui.keys("a d x p space l c R u ctrl-r ctrl-s F enter e delete E");
    assert_eq!(ui.text(), POLICY);
    assert!(ui.effects.is_empty(), "{:?}", ui.effects);
}

#[test]
fn a_new_policy_begins_closed_and_is_not_unsaved_until_touched() {
    let mut ui = Ui::with(None, tools(), (80, 24), Depth::True);
    assert!(!ui.app.policy.is_unsaved());
    assert_eq!(value(&ui.text())["default"], "deny");
    ui.select("list_branches").keys("a ctrl-s enter");
    assert!(ui.write().is_some());
}

#[test]
fn an_untouched_new_policy_can_be_created() {
    let mut ui = Ui::with(None, tools(), (80, 24), Depth::True);
    let text = ui.text();
    ui.keys("ctrl-s");
    let Some(Layer::Review(review)) = ui.app.layers.last() else { panic!("a review") };
    assert_eq!(review.title, "Create policy.json");
    assert_eq!((review.added, review.removed), (text.lines().count(), 0));
    ui.keys("enter");
    assert_eq!(ui.write(), Some(text));
    assert!(matches!(ui.app.when(action::Action::Save), When::Not(_)), "it is there now");
}

#[test]
fn the_mouse_selects_opens_and_presses_footer_keys() {
    let mut ui = Ui::new();
    ui.buffer();
    let hit = |ui: &Ui, wanted: &Hit| {
        ui.app.hits.iter().find(|(_, hit)| hit == wanted).map(|(area, _)| (area.x + 1, area.y)).unwrap()
    };
    let (x, y) = hit(&ui, &Hit::Row(5));
    ui.send(Msg::Mouse(Mouse::Click { x, y }));
    assert_eq!(ui.app.policy.table.selected, 5);
    ui.buffer();
    let (x, y) = hit(&ui, &Hit::Action(action::Action::Allow));
    ui.send(Msg::Mouse(Mouse::Click { x, y }));
    assert!(ui.app.policy.is_unsaved());
    ui.send(Msg::Mouse(Mouse::Wheel { x: 5, y: 5, steps: -50 }));
    assert_eq!(ui.app.policy.table.selected, 0);
}

#[test]
fn no_two_actions_share_a_key_in_a_place() {
    let places: [&[Context]; 6] = [
        &[Context::Live, Context::List, Context::Global],
        &[Context::Counters, Context::List, Context::Global],
        &[Context::Policy, Context::Tool, Context::List, Context::Global],
        &[Context::Inspector, Context::Tool, Context::List, Context::Global],
        &[Context::Raw, Context::List, Context::Global],
        &[Context::Review],
    ];
    for place in places {
        let mut taken: HashMap<Keys, &str> = HashMap::new();
        for entry in action::table().filter(|entry| entry.contexts.iter().any(|it| place.contains(it))) {
            for spec in entry.keys {
                let keys: Keys = spec.parse().unwrap();
                if let Some(other) = taken.insert(keys, entry.id) {
                    assert_eq!(other, entry.id, "{spec} in {place:?}");
                }
            }
        }
        // No binding hides a longer one that begins with it.
        for keys in taken.keys().filter(|keys| keys.0.len() > 1) {
            let prefix = Keys(keys.0[..1].to_vec());
            assert!(!taken.contains_key(&prefix), "{keys}");
        }
    }
}

#[test]
fn the_palette_does_what_it_finds_and_says_why_not() {
    let mut ui = Ui::new();
    ui.select("list_branches").keys(": 'deny' enter");
    assert!(value(&ui.text())["tools"]["list_branches"].get("deny_if").is_some());
    ui.keys("u : 'redo' enter");
    assert!(value(&ui.text())["tools"]["list_branches"].get("deny_if").is_some());
    ui.keys(": 'unfreeze' enter");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Palette(_))), "a disabled action stays");
    assert!(ui.app.toasts.iter().any(|toast| toast.text.contains("no gateway")));
    ui.keys("esc");
    assert!(Document::parse(&ui.text()).diagnostics.is_empty());
}

#[test]
fn definitions_that_changed_are_marked_and_accepted_by_a_key() {
    use callgate::policy::pins::{Definition, Pins};
    use callgate::tui::app::policy::PinsFile;
    let mut ui = Ui::new();
    let definition = |name: &str, change: &str| {
        let mut tool = tools().into_iter().find(|tool| tool.name == name).unwrap();
        tool.description = tool.description.map(|text| format!("{text}{change}"));
        Definition::read(&serde_json::to_string(&tool).unwrap()).unwrap()
    };
    // Nobody pins: nothing is marked.
    assert!(!ui.screen().contains("drifted"));
    let mut pins = Pins::default();
    let at = callgate::time::Timestamp(1_795_000_000_000_000);
    pins.accept(definition("list_branches", ""), "ada", at);
    pins.accept(definition("push_branch", " As it was."), "ada", at);
    let gone = r#"{"name":"drop_database"}"#;
    pins.accept(Definition::read(gone).unwrap(), "ada", at);
    ui.send(Msg::Policy(PolicyMsg::Pins(PinsFile::Read(Arc::new(pins.clone())))));
    let screen = ui.screen();
    let row = |name: &str| screen.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(row("push_branch").contains("drifted"), "{screen}");
    assert!(row("run_command").contains(" new"), "{screen}");
    assert!(row("drop_database").contains("gone"), "{screen}");
    assert!(!row("list_branches").contains("new") && !row("list_branches").contains("drifted"), "{screen}");
    let inspector = |ui: &mut Ui| {
        ui.app.size = (160, 45);
        ui.screen()
    };
    ui.select("push_branch");
    let screen = inspector(&mut ui);
    assert!(screen.contains("not as accepted by ada on 2026-11-18: differs in"), "{screen}");
    assert!(screen.lines().any(|line| line.trim_end().ends_with("  description")), "{screen}");
    ui.select("list_branches");
    assert!(inspector(&mut ui).contains("as accepted by ada on 2026-11-18"));
    ui.keys("A");
    assert!(ui.app.layers.is_empty(), "it is accepted as it is");
    ui.select("push_branch").keys("A");
    assert!(matches!(ui.app.layers.last(), Some(Layer::Ask(_))), "a person is asked");
    ui.keys("esc");
    assert!(ui.effects.is_empty());
    // What differs is shown line by line, and accepted from there as well.
    ui.keys("A d");
    let screen = ui.screen();
    assert!(screen.contains("push_branch: as accepted (-), as it is now (+)"), "{screen}");
    assert!(screen.contains("As it was."), "{screen}");
    ui.keys("enter");
    assert!(matches!(ui.effects.pop(), Some(Effect::Policy(PolicyEffect::Accept { .. }))));
    ui.select("push_branch").keys("v").select("run_command").keys("v A a");
    let Some(Effect::Policy(PolicyEffect::Accept { definitions, by, .. })) = ui.effects.last() else {
        panic!("{:?}", ui.effects)
    };
    let names: Vec<&str> = definitions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names, by.as_str()), (vec!["push_branch", "run_command"], "kim"));
    assert_eq!(definitions[0].sha256, definition("push_branch", "").sha256);
    // A file that cannot be used is not written over.
    ui.send(Msg::Policy(PolicyMsg::Pins(PinsFile::Bad("the pins are not valid".to_owned()))));
    assert!(matches!(ui.app.when(action::Action::AcceptPins), When::Not(why) if why.contains("not valid")));
}

#[test]
fn numbers_that_no_float_holds_are_compared_as_the_gateway_compares_them() {
    use callgate::policy::pins::{Definition, Pins};
    use callgate::tui::app::policy::PinsFile;
    let at = callgate::time::Timestamp(1_795_000_000_000_000);
    for maximum in ["1e400", "10000000000000000000001", "0.10000000000000000000001"] {
        let text = |maximum: &str| {
            format!(r#"{{"name":"pay","inputSchema":{{"properties":{{"n":{{"maximum":{maximum}}}}}}}}}"#)
        };
        // What the gateway sees is the digest of the very text; what a feed says is the tool.
        let seen = Definition::digest(text(maximum).as_bytes());
        let tool = Tool::read(&text(maximum)).unwrap();
        let tool: Tool = serde_json::from_str(&serde_json::to_string(&tool).unwrap()).unwrap();
        let mut ui = Ui::with(Some(POLICY), vec![tool], (160, 45), Depth::True);
        let mut pins = Pins::default();
        pins.accept(Definition::read(&text(maximum)).unwrap(), "ada", at);
        ui.send(Msg::Policy(PolicyMsg::Pins(PinsFile::Read(Arc::new(pins)))));
        ui.select("pay");
        assert!(ui.screen().contains("as accepted by ada"), "{maximum}: {}", ui.screen());
        assert!(!ui.screen().contains("drifted"), "{maximum}: {}", ui.screen());
        // One that differs only where a float cannot tell has drifted, and is accepted as it is.
        let mut pins = Pins::default();
        let other = format!("{maximum}1");
        pins.accept(Definition::read(&text(&other)).unwrap(), "ada", at);
        assert_ne!(pins.get("pay").unwrap().sha256, seen);
        ui.send(Msg::Policy(PolicyMsg::Pins(PinsFile::Read(Arc::new(pins)))));
        assert!(ui.screen().contains("drifted"), "{maximum}: {}", ui.screen());
        ui.select("pay").keys("A a");
        let Some(Effect::Policy(PolicyEffect::Accept { definitions, .. })) = ui.effects.last() else {
            panic!("{:?}", ui.effects)
        };
        assert_eq!(definitions[0].sha256, seen, "{maximum}");
    }
}
