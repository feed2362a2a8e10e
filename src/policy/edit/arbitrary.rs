//! Any edits of a small policy, for property tests.

use proptest::prelude::*;

use super::{ConditionDraft, Edit, LimitDraft, Place, RuleDraft};
use crate::policy::model::{Action, Default, Op, RuleList, Scope, Window};
use crate::policy::state::ToolState;

/// A policy whose layout is not what any printer writes.
pub(crate) const POLICY: &str = r#"{
  "version" : "1",
  "default":"deny", "hide": ["drop" , "wipe"],

  "all_tools": {"limits": [{"counter":"all","window":"minute","max":100,"scope":"grant"}]},
  "tools": {
    "read": {},
    "push": {
      "deny_if": [
        {"conditions": [{"path":"args.branch","op":"in","value":["main","release"]}], "on_deny":"Open a pull request."},
        { "conditions": [ {"path": "args.force", "op": "eq", "value": true} ] }
      ],
      "limits": [ {"counter":"push_rate", "window":"hour", "max":20, "scope":"grant"} ]
    },
    "pay":   {"require":[{"conditions":[{"path":"args.amount","op":"lte","value":1.50}]}]}
  }
}
"#;

/// Names that the policy has, and some that it has not.
const TOOLS: [&str; 6] = ["read", "push", "pay", "drop", "new", "Ünïx \u{202e}"];

fn tool() -> impl Strategy<Value = String> {
    prop::sample::select(TOOLS.to_vec()).prop_map(str::to_owned)
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![1 => Just(Place::AllTools), 4 => tool().prop_map(Place::Tool)]
}

fn limit() -> impl Strategy<Value = LimitDraft> {
    (
        prop::sample::select(vec!["a", "push_rate", "b c"]),
        prop_oneof![Just(Window::Minute), Just(Window::Hour), (1u64..5).prop_map(Window::Seconds)],
        0u32..50,
        prop::option::of(prop::sample::select(vec![Scope::Grant, Scope::Server, Scope::Session])),
        prop::option::of(Just("slow down".to_owned())),
    )
        .prop_map(|(counter, window, max, scope, on_deny)| LimitDraft {
            counter: counter.to_owned(),
            window,
            max: max.to_string(),
            scope,
            increment_from: None,
            on_deny,
        })
}

fn list() -> impl Strategy<Value = RuleList> {
    prop::sample::select(vec![RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf])
}

fn rule() -> impl Strategy<Value = RuleDraft> {
    let condition = prop::sample::select(vec![
        ("args.branch", Op::Eq, "\"main\""),
        ("args.branch", Op::Regex, "\"^a+$\""),
        ("args.items[*].qty", Op::Gt, "10"),
        ("args.a\\.b", Op::Exists, "true"),
        ("args.n", Op::In, "[1, \"x\"]"),
    ])
    .prop_map(|(path, op, value)| ConditionDraft { path: path.to_owned(), op, value: value.to_owned() });
    (prop::collection::vec(condition, 0..3), prop::option::of("[a-z \"\\\\é]{0,8}"))
        .prop_map(|(conditions, message)| RuleDraft { conditions, message, timeout: None })
}

fn action() -> impl Strategy<Value = Option<Action>> {
    let all = vec![Action::Allow, Action::Deny, Action::Hide, Action::Approve];
    prop::option::of(prop::sample::select(all))
}

/// One edit. Some do not fit the policy: they are refused, which is part of what is tested.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let state = prop::sample::select(ToolState::ALL.to_vec());
    prop_oneof![
        4 => (prop::collection::vec(tool(), 1..4), state)
            .prop_map(|(tools, state)| Edit::SetState { tools, state }),
        1 => prop_oneof![Just(Default::Allow), Just(Default::Deny)].prop_map(Edit::SetDefault),
        1 => any::<bool>().prop_map(Edit::SetHideAll),
        2 => (place(), limit()).prop_map(|(place, limit)| Edit::AddLimit { place, limit }),
        2 => (place(), 0usize..2, limit())
            .prop_map(|(place, index, limit)| Edit::SetLimit { place, index, limit }),
        1 => (place(), 0usize..2).prop_map(|(place, index)| Edit::RemoveLimit { place, index }),
        3 => (tool(), list(), rule()).prop_map(|(tool, list, rule)| Edit::AddRule { tool, list, rule }),
        2 => (tool(), list(), 0usize..3, rule())
            .prop_map(|(tool, list, index, rule)| Edit::SetRule { tool, list, index, rule }),
        1 => (tool(), list(), 0usize..3)
            .prop_map(|(tool, list, index)| Edit::RemoveRule { tool, list, index }),
        1 => (tool(), list(), 0usize..3, 0usize..3)
            .prop_map(|(tool, list, from, to)| Edit::MoveRule { tool, list, from, to }),
        1 => tool().prop_map(|tool| Edit::RemoveTool { tool }),
        1 => tool().prop_map(|tool| Edit::ListTool { tool }),
        1 => prop::option::of("\\PC{0,12}").prop_map(Edit::SetDescription),
        1 => any::<bool>().prop_map(Edit::SetHideDenied),
        1 => prop::option::of(Just("https://x/policy.json".to_owned())).prop_map(Edit::SetSchema),
        1 => (tool(), action(), prop::option::of(Just("not today".to_owned())))
            .prop_map(|(tool, action, reason)| Edit::SetAction { tool, action, reason }),
        1 => (tool(), 0u32..9, 0u64..90).prop_map(|(tool, max, window)| Edit::SetRateLimit {
            tool,
            max: max.to_string(),
            window,
        }),
    ]
}
