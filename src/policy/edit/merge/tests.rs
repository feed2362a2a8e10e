use proptest::prelude::*;

use super::*;
use crate::policy::document::Document;
use crate::policy::edit::arbitrary::{POLICY, edit};
use crate::policy::edit::{Edit, apply};
use crate::policy::state::{ToolState, state_of};

/// The merge of two replacements in the policy of the property tests.
#[track_caller]
fn both(mine: &[(&str, &str)], theirs: &[(&str, &str)], choices: &[Choice]) -> Merged {
    let with = |changes: &[(&str, &str)]| {
        changes.iter().fold(POLICY.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    };
    let merged = merge(POLICY, &with(mine), &with(theirs), choices).unwrap();
    assert!(json::parse(&merged.text).is_ok(), "{}", merged.text);
    merged
}

#[test]
fn parts_that_only_one_side_changed_are_taken_as_it_wrote_them() {
    let merged = both(
        &[("\"read\": {},", "\"read\": {},\n    \"list\" : { },"), ("\"drop\" , ", "")],
        &[("\"max\":20", "\"max\":  5"), ("\"wipe\"]", "\"wipe\", \"erase\"]"), ("\"deny\"", "\"allow\"")],
        &[],
    );
    assert_eq!(merged.conflicts, []);
    let wanted = POLICY
        .replace("\"read\": {},", "\"read\": {},\n    \"list\" : { },")
        .replace("\"max\":20", "\"max\":  5")
        .replace("[\"drop\" , \"wipe\"]", "[\"wipe\", \"erase\"]")
        .replace("\"deny\"", "\"allow\"");
    assert_eq!(merged.text, wanted);
}

#[test]
fn what_both_changed_in_the_same_way_is_taken_once() {
    let change = [("\"wipe\"]", "\"wipe\", \"erase\"]")];
    let merged = both(&change, &[change[0], ("\"max\":20", "\"max\":2")], &[]);
    assert_eq!(merged.conflicts, []);
    assert_eq!(merged.text.matches("erase").count(), 1);
}

#[test]
fn a_value_that_both_changed_is_a_conflict_with_three_sides() {
    let (mine, theirs) = ([("\"deny\", ", "\"allow\", ")], [("\"deny\", ", "\"maybe\", ")]);
    let merged = both(&mine, &theirs, &[]);
    let [conflict] = merged.conflicts.as_slice() else { panic!("{:?}", merged.conflicts) };
    assert_eq!(conflict.place, ["default"]);
    assert_eq!(conflict.base.as_deref(), Some("\"deny\""));
    assert_eq!(conflict.mine.as_deref(), Some("\"allow\""));
    assert_eq!(conflict.theirs.as_deref(), Some("\"maybe\""));
    assert!(!conflict.both && merged.text.contains("allow"));
    assert!(both(&mine, &theirs, &[Choice::Theirs]).text.contains("maybe"));
}

#[test]
fn a_limits_number_and_window_mean_something_only_together() {
    let merged = both(&[("\"max\":20", "\"max\":2")], &[("\"hour\"", "\"day\"")], &[Choice::Theirs]);
    let [conflict] = merged.conflicts.as_slice() else { panic!("{:?}", merged.conflicts) };
    assert_eq!(conflict.place, ["tools", "push", "limits", "push_rate"]);
    assert!(merged.text.contains("\"window\":\"day\", \"max\":20"));
}

#[test]
fn a_rule_that_both_changed_can_become_two() {
    let mine = [("\"main\",\"release\"", "\"main\"")];
    let theirs = [("\"main\",\"release\"", "\"main\",\"release\",\"next\"")];
    let merged = both(&mine, &theirs, &[Choice::Both]);
    let [conflict] = merged.conflicts.as_slice() else { panic!("{:?}", merged.conflicts) };
    assert_eq!(conflict.place, ["tools", "push", "deny_if", "1"]);
    assert!(conflict.both);
    let document = Document::parse(&merged.text).valid().unwrap();
    let push = document.policy().tools.iter().find(|tool| tool.name == "push").unwrap();
    let values: Vec<&str> = push.deny_if.iter().map(|rule| rule.conditions[0].value.as_str()).collect();
    assert_eq!(values, ["[\"main\"]", "[\"main\",\"release\",\"next\"]", "true"]);
}

#[test]
fn a_rules_message_and_its_conditions_go_together_from_two_sides() {
    let merged =
        both(&[("\"Open a pull request.\"", "\"Ask first.\"")], &[("\"main\",\"release\"", "\"main\"")], &[]);
    assert_eq!(merged.conflicts, []);
    assert!(merged.text.contains("\"value\":[\"main\"]}], \"on_deny\":\"Ask first.\""));
}

#[test]
fn what_one_side_took_away_and_the_other_changed_is_asked() {
    let pay = ",\n    \"pay\":   {\"require\":[{\"conditions\":[{\"path\":\"args.amount\",\"op\":\"lte\",\"value\":1.50}]}]}";
    let (mine, theirs) = ([(pay, "")], [("1.50", "9")]);
    for (choice, kept) in [(Choice::Mine, false), (Choice::Theirs, true)] {
        let merged = both(&mine, &theirs, &[choice]);
        assert_eq!(merged.conflicts.len(), 1);
        assert_eq!(merged.conflicts[0].place, ["tools", "pay"]);
        assert_eq!(merged.conflicts[0].mine, None);
        assert_eq!(merged.text.contains("pay"), kept);
    }
    // Untouched on the other side, it just goes.
    assert_eq!(both(&mine, &[("\"max\":20", "\"max\":2")], &[]).conflicts, []);
}

#[test]
fn what_is_no_object_or_names_a_member_twice_is_not_merged() {
    for (text, side) in [("[]", Side::Mine), ("{", Side::Mine), ("{\"a\":1,\"a\":2}", Side::Mine)] {
        let error = merge("{}", text, "{\"b\":1}", &[]).unwrap_err();
        let said = match error {
            MergeError::NotJson(at, _) | MergeError::Duplicate(at) | MergeError::NoObject(at) => at,
        };
        assert_eq!(said, side, "{text}");
    }
}

fn after(edits: &[Edit]) -> String {
    edits.iter().fold(POLICY.to_owned(), |text, edit| apply(&text, edit).unwrap_or(text))
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec(prop::sample::select(vec![Choice::Mine, Choice::Theirs, Choice::Both]), 0..6)
}

proptest! {
    #[test]
    fn one_side_alone_is_taken_byte_for_byte(edits in prop::collection::vec(edit(), 0..6)) {
        let x = after(&edits);
        for (mine, theirs) in [(x.as_str(), POLICY), (POLICY, x.as_str()), (x.as_str(), x.as_str())] {
            let merged = merge(POLICY, mine, theirs, &[]).unwrap();
            prop_assert_eq!(&merged.text, &x);
            prop_assert_eq!(merged.conflicts, vec![]);
        }
    }

    #[test]
    fn the_result_is_always_json_and_the_conflicts_do_not_depend_on_the_choices(
        mine in prop::collection::vec(edit(), 0..6),
        theirs in prop::collection::vec(edit(), 0..6),
        choices in choices(),
    ) {
        let (mine, theirs) = (after(&mine), after(&theirs));
        let free = merge(POLICY, &mine, &theirs, &[]).unwrap();
        let chosen = merge(POLICY, &mine, &theirs, &choices).unwrap();
        prop_assert_eq!(&free.conflicts, &chosen.conflicts);
        for merged in [&free, &chosen] {
            let parsed = json::parse(&merged.text);
            prop_assert!(parsed.is_ok_and(|parsed| parsed.duplicates.is_empty()), "{}", merged.text);
        }
        if free.conflicts.is_empty() {
            // What one side alone says about a tool is in the result, whichever side it is.
            let policies = [POLICY, &mine, &theirs, &free.text].map(|text| Document::parse(text).document.unwrap());
            let [base, mine, theirs, merged] = &policies;
            for tool in ["read", "push", "pay", "drop", "new"] {
                let entry = |document: &Document| {
                    let found = document.policy().tools.iter().find(|it| it.name == tool);
                    found.map(|it| document.text()[it.span.start..it.span.end].to_owned())
                };
                if entry(theirs) == entry(base) && entry(mine) != entry(base) {
                    prop_assert_eq!(entry(merged).is_some(), entry(mine).is_some(), "{}", tool);
                }
            }
        }
    }

    #[test]
    fn edits_of_different_tools_are_both_there(
        mine in prop::sample::select(ToolState::ALL.to_vec()),
        theirs in prop::sample::select(ToolState::ALL.to_vec()),
    ) {
        let set = |tool: &str, state| Edit::SetState { tools: vec![tool.to_owned()], state };
        let (x, y) = (after(&[set("push", mine)]), after(&[set("read", theirs), set("new", theirs)]));
        let merged = merge(POLICY, &x, &y, &[]).unwrap();
        prop_assert_eq!(&merged.conflicts, &vec![]);
        let document = Document::parse(&merged.text).valid().unwrap();
        prop_assert_eq!(state_of(document.policy(), "push"), mine);
        prop_assert_eq!(state_of(document.policy(), "read"), theirs);
        prop_assert_eq!(state_of(document.policy(), "new"), theirs);
    }
}
