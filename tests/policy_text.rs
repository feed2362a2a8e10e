//! The policy's text: what must hold of every text, of every sequence of edits, of the published
//! policies, of the schema and of the example.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

use std::path::{Path, PathBuf};

use callgate::policy::document::Document;
use callgate::policy::edit::{ConditionDraft, Edit, LimitDraft, Place, RuleDraft, apply};
use callgate::policy::lint::{lint, portable};
use callgate::policy::model::{Default, Op, RuleList, Scope, Window};
use callgate::policy::state::ToolState;
use callgate::policy::total::{check_total, fuzz_policy_text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

fn published() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/policies");
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

fn own(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&own("assets/policy.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_published_policies_load_without_a_word() {
    let schema = schema();
    for (path, text) in published() {
        let parsed = Document::parse(&text);
        assert_eq!(parsed.diagnostics, [], "{}", path.display());
        let document = parsed.document.unwrap();
        assert_eq!(lint(&document, None), [], "{}", path.display());
        assert_eq!(portable(&document), [], "{}", path.display());
        assert!(schema.is_valid(&serde_json::from_str(&text).unwrap()), "{}", path.display());
        check_total(&text).unwrap();
        // There and back again.
        for tool in
            document.policy().tools.iter().filter(|tool| tool.deny_if.is_empty() && tool.limits.is_empty())
        {
            let set = |text: &str, state| {
                apply(text, &Edit::SetState { tools: vec![tool.name.clone()], state }).unwrap()
            };
            if !text.contains("[]") {
                assert_eq!(set(&set(&text, ToolState::Deny), ToolState::Allow), text, "{}", path.display());
                assert_eq!(set(&set(&text, ToolState::Approve), ToolState::Allow), text);
            }
            if document.policy().hide.names.is_empty() {
                assert_eq!(set(&set(&text, ToolState::Hide), ToolState::Allow), text);
            }
        }
    }
}

#[test]
fn the_example_is_worth_copying() {
    let text = own("policy.example.json");
    let parsed = Document::parse(&text);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(lint(&parsed.document.unwrap(), None), []);
    let errors: Vec<String> =
        schema().iter_errors(&serde_json::from_str(&text).unwrap()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// What the program itself offers and writes must not be warned about.
#[test]
fn offered_rules_are_not_warned_about() {
    let asset: Value = serde_json::from_str(&own("assets/templates.json")).unwrap();
    let templates = asset["templates"].as_array().unwrap();
    assert!(!templates.is_empty());
    for template in templates {
        let list = match template["list"].as_str().unwrap() {
            "require" => RuleList::Require,
            "deny_if" => RuleList::DenyIf,
            _ => RuleList::ApproveIf,
        };
        let op = Op::parse(template["op"].as_str().unwrap()).unwrap();
        let rule = RuleDraft::when("args.a", op, &template["value"].to_string());
        let text = apply(&Document::new_text(), &Edit::AddRule { tool: "t".to_owned(), list, rule }).unwrap();
        assert_eq!(lint(&Document::parse(&text).document.unwrap(), None), [], "{template}");
    }
}

/// Words that are often right and sometimes nearly so.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["a", "read_file", "ghcr_push", "x.y", "b/c~d", "é\u{202e}", "q\"uote\\"]).prop_map(str::to_owned),
        1 => select(vec!["", "*", "a*"]).prop_map(str::to_owned),
        1 => "[a-c/~.\"\\\\ ]{1,4}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["args.a", "args.b.c", "args.items[*].price", "args.l.0", "args.x\\.y"]).prop_map(str::to_owned),
        1 => select(vec!["a", "args", "args.", "args.a..b", "args.a[0]"]).prop_map(str::to_owned),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    select(Op::ALL.to_vec())
}

/// Values as JSON, mostly of the type that the operator wants.
fn value(op: Op) -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        (-5..50i64).prop_map(Value::from),
        select(vec!["x", "^a$", "m\"n"]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    let any = prop_oneof![6 => scalar.clone(), 1 => Just(Value::Null), 1 => vec(scalar.clone(), 0..3).prop_map(Value::from),
        1 => Just(json!({"k": [1, {"z": null}]}))];
    let fitting = match op {
        Op::Lt | Op::Lte | Op::Gt | Op::Gte => (-5..50i64).prop_map(Value::from).boxed(),
        Op::In | Op::NotIn => vec(scalar, 0..4).prop_map(Value::from).boxed(),
        Op::Exists => proptest::bool::ANY.prop_map(Value::from).boxed(),
        Op::Regex => select(vec!["^a$", "b|c", "\\d+"]).prop_map(Value::from).boxed(),
        _ => scalar.boxed(),
    };
    prop_oneof![12 => fitting, 1 => any].boxed()
}

fn condition() -> impl Strategy<Value = ConditionDraft> {
    (path(), op()).prop_flat_map(|(path, op)| {
        value(op).prop_map(move |value| ConditionDraft { path: path.clone(), op, value: value.to_string() })
    })
}

fn rule_draft() -> impl Strategy<Value = RuleDraft> {
    (vec(condition(), 0..3), option::of(word()), option::weighted(0.1, select(vec!["5m", "soon"]))).prop_map(
        |(conditions, message, timeout)| RuleDraft {
            conditions,
            message,
            timeout: timeout.map(str::to_owned),
        },
    )
}

fn limit_draft() -> impl Strategy<Value = LimitDraft> {
    let window =
        select(vec![Window::Minute, Window::Hour, Window::Day, Window::Seconds(90), Window::Seconds(0)]);
    let max = prop_oneof![8 => (0..100u32).prop_map(|max| max.to_string()), 1 => select(vec!["-1", "1.5", "x", "1e2"]).prop_map(str::to_owned)];
    let scope = option::of(select(vec![Scope::Grant, Scope::Server, Scope::Session]));
    (word(), window, max, scope, option::weighted(0.2, path()), option::weighted(0.2, word())).prop_map(
        |(counter, window, max, scope, increment_from, on_deny)| LimitDraft {
            counter,
            window,
            max,
            scope,
            increment_from,
            on_deny,
        },
    )
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![1 => Just(Place::AllTools), 3 => word().prop_map(Place::Tool)]
}

fn list() -> impl Strategy<Value = RuleList> {
    select(vec![RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf])
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = 0..3usize;
    let one = prop_oneof![
        4 => (vec(word(), 1..4), select(ToolState::ALL.to_vec())).prop_map(|(tools, state)| Edit::SetState { tools, state }),
        1 => any::<bool>().prop_map(|allow| Edit::SetDefault(if allow { Default::Allow } else { Default::Deny })),
        1 => any::<bool>().prop_map(Edit::SetHideAll),
        3 => (place(), limit_draft()).prop_map(|(place, limit)| Edit::AddLimit { place, limit }),
        2 => (place(), index.clone(), limit_draft()).prop_map(|(place, index, limit)| Edit::SetLimit { place, index, limit }),
        1 => (place(), index.clone()).prop_map(|(place, index)| Edit::RemoveLimit { place, index }),
        4 => (word(), list(), rule_draft()).prop_map(|(tool, list, rule)| Edit::AddRule { tool, list, rule }),
        2 => (word(), list(), index.clone(), rule_draft()).prop_map(|(tool, list, index, rule)| Edit::SetRule { tool, list, index, rule }),
        1 => (word(), list(), index.clone()).prop_map(|(tool, list, index)| Edit::RemoveRule { tool, list, index }),
        2 => (word(), list(), index.clone(), index).prop_map(|(tool, list, from, to)| Edit::MoveRule { tool, list, from, to }),
        1 => word().prop_map(|tool| Edit::RemoveTool { tool }),
        1 => word().prop_map(|tool| Edit::ListTool { tool }),
        1 => word().prop_map(|tool| Edit::RemoveRateLimit { tool }),
        1 => option::of(word()).prop_map(Edit::SetDescription),
    ];
    prop_oneof![9 => one.clone(), 1 => vec(one, 0..4).prop_map(Edit::Batch)]
}

/// A policy as JSON, mostly valid.
fn policy() -> impl Strategy<Value = Value> {
    let conditions = || {
        vec(
            (path(), op()).prop_flat_map(|(path, op)| {
                value(op).prop_map(move |value| json!({"path": path, "op": op.name(), "value": value}))
            }),
            0..3,
        )
    };
    let rule = move || conditions().prop_map(|conditions| json!({"conditions": conditions}));
    let limit = || {
        (word(), select(vec![json!("minute"), json!("day"), json!(90)]), 0..100u32)
            .prop_map(|(counter, window, max)| json!({"counter": counter, "window": window, "max": max, "scope": "grant"}))
    };
    let tool = (
        option::of(vec(rule(), 0..3)),
        option::of(vec(rule(), 0..3)),
        option::of(vec(rule(), 0..2)),
        option::of(vec(limit(), 0..3)),
        option::weighted(0.2, select(vec!["allow", "deny", "hide", "approve", "ask"])),
    )
        .prop_map(|(require, deny_if, approve_if, limits, action)| {
            let mut tool = Map::new();
            for (key, value) in
                [("require", require), ("deny_if", deny_if), ("approve_if", approve_if), ("limits", limits)]
            {
                if let Some(value) = value {
                    tool.insert(key.to_owned(), Value::from(value));
                }
            }
            if let Some(action) = action {
                tool.insert("action".to_owned(), action.into());
            }
            Value::Object(tool)
        });
    let tools = vec((word(), tool), 0..4).prop_map(|tools| tools.into_iter().collect::<Map<_, _>>());
    (
        select(vec!["allow", "deny"]),
        option::of(vec(word(), 0..3)),
        option::of(vec(limit(), 0..2)),
        option::of(tools),
    )
        .prop_map(|(default, hide, limits, tools)| {
            let mut policy = json!({"version": "1", "default": default});
            if let Some(hide) = hide {
                policy["hide"] = hide.into();
            }
            if let Some(limits) = limits {
                policy["all_tools"] = json!({"limits": limits});
            }
            if let Some(tools) = tools {
                policy["tools"] = tools.into();
            }
            policy
        })
}

/// A layout with random white space between the tokens.
fn lay_out(value: &Value, white: &mut impl FnMut() -> &'static str, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(white());
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(white());
                out.push(':');
                out.push_str(white());
                lay_out(value, white, out);
            }
            out.push_str(white());
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(white());
                lay_out(item, white, out);
            }
            out.push_str(white());
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn layouts(value: &Value, seed: &[usize]) -> Vec<String> {
    let all = ["", " ", "\n  ", "\t", "\r\n", "\n\n    "];
    let mut next = seed.iter().cycle();
    let mut wild = String::new();
    lay_out(value, &mut || all[next.next().copied().unwrap_or(0) % all.len()], &mut wild);
    vec![value.to_string(), serde_json::to_string_pretty(value).unwrap(), wild + "\n"]
}

/// The parts of a document by their bytes, by pointer: scalars and empty containers.
fn leaves(text: &str) -> Vec<(String, String)> {
    fn walk(node: &callgate::json::Node<'_>, at: &str, text: &str, out: &mut Vec<(String, String)>) {
        match &node.value {
            callgate::json::Value::Object(members) if !members.is_empty() => {
                for member in members {
                    walk(&member.value, &format!("{at}/{}", member.key.as_str()), text, out);
                }
            }
            callgate::json::Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{at}/{index}"), text, out);
                }
            }
            _ => out.push((at.to_owned(), node.span.of(text).to_owned())),
        }
    }
    let mut out = Vec::new();
    walk(&callgate::json::parse(text).unwrap().root, "", text, &mut out);
    out
}

/// The tool that an edit is about, when it is about one and nothing else.
fn about(edit: &Edit) -> Option<&str> {
    match edit {
        Edit::AddLimit { place: Place::Tool(tool), .. }
        | Edit::SetLimit { place: Place::Tool(tool), .. }
        | Edit::RemoveLimit { place: Place::Tool(tool), .. }
        | Edit::AddRule { tool, .. }
        | Edit::SetRule { tool, .. }
        | Edit::RemoveRule { tool, .. }
        | Edit::MoveRule { tool, .. }
        | Edit::RemoveTool { tool }
        | Edit::ListTool { tool } => Some(tool),
        _ => None,
    }
}

/// The first and last bytes that differ lie within the lines of the tool: everything before its
/// entry and after it is as it was.
fn others_are_untouched(before: &str, after: &str, tool: &str) {
    let at = format!("/tools/{tool}");
    let other = |(pointer, _): &(String, String)| !(pointer == &at || pointer.starts_with(&format!("{at}/")));
    let keep = |text: &str| leaves(text).into_iter().filter(other).collect::<Vec<_>>();
    let empty = |list: Vec<(String, String)>| {
        list.into_iter().filter(|(pointer, _)| pointer != "/tools").collect::<Vec<_>>()
    };
    assert_eq!(empty(keep(before)), empty(keep(after)), "{before}\n{after}");
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    if let Some(start) =
        Document::parse(before).document.unwrap().policy().tool(tool).map(|tool| tool.name_span.start)
    {
        // Nothing before the entry moves, but for the white space and comma of a removed one.
        let kept = before[..start].trim_end_matches([' ', '\t', '\n', '\r']).trim_end_matches(',').len();
        assert!(same >= kept, "{before}\n{after}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_text_keeps_the_promises(value in policy(), seed in vec(0..6usize, 1..40)) {
        for text in layouts(&value, &seed) {
            check_total(&text).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn damaged_texts_keep_the_promises(value in policy(), at in any::<prop::sample::Index>(), with in ".{0,3}", cut in 0..4usize) {
        let text = value.to_string();
        let at = text.floor_char_boundary(at.index(text.len()));
        let end = text.floor_char_boundary((at + cut).min(text.len()).max(at));
        let damaged = format!("{}{with}{}", &text[..at], &text[end.max(at)..]);
        check_total(&damaged).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_bytes_keep_the_promises(bytes in vec(any::<u8>(), 0..64)) {
        fuzz_policy_text(&bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn valid_policies_fit_the_schema(value in policy()) {
        let valid = Document::parse(&value.to_string()).document.is_some_and(|document| document.is_valid());
        if valid {
            let errors: Vec<String> = schema().iter_errors(&value).map(|error| error.to_string()).collect();
            prop_assert!(errors.is_empty(), "{:?}\n{}", errors, value);
        }
    }

    #[test]
    fn edits_keep_every_text_valid(value in policy(), seed in vec(0..6usize, 1..40), edits in vec(edit(), 1..8)) {
        for text in layouts(&value, &seed) {
            if !Document::parse(&text).document.is_some_and(|document| document.is_valid()) {
                continue;
            }
            let mut text = text;
            for edit in &edits {
                match apply(&text, edit) {
                    Ok(edited) => {
                        prop_assert_eq!(Document::parse(&edited).diagnostics, vec![], "{:?}\n{}\n{}", edit, text, edited);
                        if let Some(tool) = about(edit) {
                            others_are_untouched(&text, &edited, tool);
                        }
                        prop_assert_eq!(edited.ends_with('\n'), text.ends_with('\n'));
                        text = edited;
                    }
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
                prop_assert!(!edit.describe().is_empty());
            }
        }
    }

    #[test]
    fn what_is_added_and_removed_again_leaves_no_trace(value in policy(), limit in limit_draft(), rule in rule_draft(), list in list()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let Some(document) = Document::parse(&text).document.filter(Document::is_valid) else { return Ok(()) };
        for tool in &document.policy().tools {
            let name = tool.name.clone();
            // An empty list that was there goes with its last entry.
            let entry = &value["tools"][&name];
            if entry.get("limits").is_none_or(|limits| limits != &json!([])) {
                let place = Place::Tool(name.clone());
                if let Ok(added) = apply(&text, &Edit::AddLimit { place: place.clone(), limit: limit.clone() }) {
                    let back = apply(&added, &Edit::RemoveLimit { place, index: tool.limits.len() }).unwrap();
                    prop_assert_eq!(&back, &text);
                }
            }
            if entry.get(list.key()).is_none_or(|rules| rules != &json!([])) {
                let index = entry.get(list.key()).and_then(Value::as_array).map_or(0, Vec::len);
                if let Ok(added) = apply(&text, &Edit::AddRule { tool: name.clone(), list, rule: rule.clone() }) {
                    let back = apply(&added, &Edit::RemoveRule { tool: name, list, index }).unwrap();
                    prop_assert_eq!(&back, &text);
                }
            }
        }
    }
}
