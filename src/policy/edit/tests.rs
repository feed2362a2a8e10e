//! What each edit writes, byte for byte.

use super::*;
use crate::policy::model::{Op, Window};
use crate::policy::state::state_of;

#[track_caller]
fn edited(text: &str, edit: &Edit) -> String {
    let result = apply(text, edit).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Document::parse(&result).diagnostics, []);
    result
}

fn set(tools: &[&str], state: ToolState) -> Edit {
    Edit::SetState { tools: tools.iter().map(|tool| (*tool).to_owned()).collect(), state }
}

fn limit(tool: &str, max: u64) -> Edit {
    Edit::AddLimit {
        place: Place::Tool(tool.to_owned()),
        limit: LimitDraft::calls(tool, max, Window::Minute),
    }
}

fn rule(tool: &str, list: RuleList, rule: RuleDraft) -> Edit {
    Edit::AddRule { tool: tool.to_owned(), list, rule }
}

const PLAIN: &str = "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {}\n}\n";

#[test]
fn a_new_policy_grows_as_json_stringify_writes_it() {
    let text = edited(PLAIN, &set(&["read"], ToolState::Allow));
    assert_eq!(
        text,
        "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"tools\": {\n    \"read\": {}\n  }\n}\n"
    );
    let text = edited(&text, &limit("read", 30));
    assert_eq!(
        text,
        r#"{
  "version": "1",
  "default": "deny",
  "tools": {
    "read": {
      "limits": [
        {
          "counter": "read_rate",
          "window": "minute",
          "max": 30,
          "scope": "grant"
        }
      ]
    }
  }
}
"#
    );
    let text = edited(&text, &set(&["drop", "read"], ToolState::Hide));
    let text = edited(&text, &rule("read", RuleList::DenyIf, RuleDraft::when("args.n", Op::Gt, "100")));
    let text = edited(&text, &set(&["read"], ToolState::Deny));
    assert_eq!(
        text,
        r#"{
  "version": "1",
  "default": "deny",
  "hide": [
    "drop"
  ],
  "tools": {
    "read": {
      "deny_if": [
        {
          "conditions": []
        },
        {
          "conditions": [
            {
              "path": "args.n",
              "op": "gt",
              "value": 100
            }
          ]
        }
      ],
      "limits": [
        {
          "counter": "read_rate",
          "window": "minute",
          "max": 30,
          "scope": "grant"
        }
      ]
    }
  }
}
"#
    );
    let text = edited(&text, &set(&["drop"], ToolState::Allow));
    assert!(!text.contains("hide") && text.contains("\"drop\": {}"), "{text}");
}

#[test]
fn one_line_stays_one_line() {
    let compact = r#"{"version":"1","default":"deny","tools":{"a":{}}}"#;
    assert_eq!(
        edited(compact, &limit("a", 5)),
        r#"{"version":"1","default":"deny","tools":{"a":{"limits":[{"counter":"a_rate","window":"minute","max":5,"scope":"grant"}]}}}"#
    );
    assert_eq!(
        edited(compact, &set(&["b"], ToolState::Hide)),
        r#"{"version":"1","default":"deny","hide":["b"],"tools":{"a":{}}}"#
    );
    let spaced = r#"{ "version": "1", "default": "deny", "hide": ["x"], "tools": { "a": {} } }"#;
    assert_eq!(
        edited(spaced, &set(&["b", "c"], ToolState::Hide)),
        r#"{ "version": "1", "default": "deny", "hide": ["x", "b", "c"], "tools": { "a": {} } }"#
    );
    assert_eq!(
        edited(spaced, &set(&["b"], ToolState::Approve)),
        r#"{ "version": "1", "default": "deny", "hide": ["x"], "tools": { "a": {}, "b": { "approve_if": [{ "conditions": [] }] } } }"#
    );
    assert_eq!(
        edited(spaced, &set(&["x"], ToolState::Deny)),
        r#"{ "version": "1", "default": "deny", "tools": { "a": {} } }"#
    );
}

#[test]
fn tabs_line_ends_and_blank_lines_are_kept() {
    let tabs = "{\r\n\t\"version\": \"1\",\r\n\t\"default\": \"deny\",\r\n\r\n\t\"tools\": {\r\n\t\t\"a\": {}\r\n\t}\r\n}";
    assert_eq!(
        edited(tabs, &set(&["b"], ToolState::Allow)),
        "{\r\n\t\"version\": \"1\",\r\n\t\"default\": \"deny\",\r\n\r\n\t\"tools\": {\r\n\t\t\"a\": {},\r\n\t\t\"b\": {}\r\n\t}\r\n}"
    );
    assert_eq!(
        edited(tabs, &set(&["a"], ToolState::Hide)),
        "{\r\n\t\"version\": \"1\",\r\n\t\"default\": \"deny\",\r\n\t\"hide\": [\r\n\t\t\"a\"\r\n\t],\r\n\r\n\t\"tools\": {\r\n\t\t\"a\": {}\r\n\t}\r\n}"
    );
    assert_eq!(
        edited(tabs, &Edit::RemoveTool { tool: "a".to_owned() }),
        "{\r\n\t\"version\": \"1\",\r\n\t\"default\": \"deny\",\r\n\r\n\t\"tools\": {}\r\n}"
    );
}

#[test]
fn neighbours_show_how_to_write() {
    let text = r#"{
    "version": "1", "default": "deny",
    "tools": {
        "a": { "limits": [{ "counter": "a", "window": "day", "max": 1 }] },
        "b": {}
    }
}
"#;
    assert_eq!(
        edited(text, &limit("b", 2)),
        text.replace(
            r#""b": {}"#,
            r#""b": { "limits": [{ "counter": "b_rate", "window": "minute", "max": 2, "scope": "grant" }] }"#
        )
    );
    assert_eq!(
        edited(text, &set(&["c"], ToolState::Hide)),
        text.replace(
            "\"default\": \"deny\",\n",
            "\"default\": \"deny\",\n    \"hide\": [\n        \"c\"\n    ],\n"
        )
    );
    let list = "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"hide\": [\"a\", \"b\"]\n}\n";
    assert_eq!(
        edited(list, &set(&["c"], ToolState::Hide)),
        list.replace("[\"a\", \"b\"]", "[\"a\", \"b\", \"c\"]")
    );
    assert_eq!(edited(list, &set(&["a"], ToolState::Deny)), list.replace("\"a\", ", ""));
    assert_eq!(
        edited(list, &set(&["b"], ToolState::Allow)),
        "{\n  \"version\": \"1\",\n  \"default\": \"deny\",\n  \"hide\": [\"a\"],\n  \"tools\": {\n    \"b\": {}\n  }\n}\n"
    );
    let prettier = r#"{
  "version": "1",
  "default": "deny",
  "tools": {
    "t": {
      "deny_if": [{
        "conditions": [{ "path": "args.a", "op": "eq", "value": 1 }]
      }]
    }
  }
}
"#;
    assert_eq!(
        edited(prettier, &rule("t", RuleList::DenyIf, RuleDraft::when("args.b", Op::In, "[1, 2]"))),
        prettier.replace(
            "\n      }]",
            "\n      }, {\n        \"conditions\": [{ \"path\": \"args.b\", \"op\": \"in\", \"value\": [1, 2] }]\n      }]"
        )
    );
}

#[test]
fn states_take_just_what_they_put() {
    let text = r#"{"version":"1","default":"deny","tools":{"t":{"deny_if":[{"conditions":[{"path":"args.a","op":"eq","value":1}]}],"limits":[]}}}"#;
    let denied = edited(text, &set(&["t"], ToolState::Deny));
    assert_eq!(denied, text.replace(r#""deny_if":["#, r#""deny_if":[{"conditions":[]},"#));
    assert_eq!(edited(&denied, &set(&["t"], ToolState::Allow)), text);
    assert_eq!(edited(&denied, &set(&["t"], ToolState::Deny)), denied);
    let asked = edited(&denied, &set(&["t"], ToolState::Approve));
    assert_eq!(asked, text.replace(r#","limits""#, r#","approve_if":[{"conditions":[]}],"limits""#));
    assert_eq!(edited(&asked, &set(&["t"], ToolState::Allow)), text);
    let hidden = edited(text, &set(&["t"], ToolState::Hide));
    assert_eq!(hidden, text.replace(r#""deny","#, r#""deny","hide":["t"],"#));
    assert_eq!(edited(&hidden, &set(&["t"], ToolState::Allow)), text);
    // The shorthand goes with its reason.
    let shorthand =
        r#"{"version":"1","default":"deny","tools":{"t":{"action":"deny","reason":"no","limits":[]}}}"#;
    assert_eq!(
        edited(shorthand, &set(&["t"], ToolState::Allow)),
        r#"{"version":"1","default":"deny","tools":{"t":{"limits":[]}}}"#
    );
    assert_eq!(edited(shorthand, &set(&["t"], ToolState::Deny)), shorthand);
    // `action: allow` says nothing that a state could contradict.
    let listed = shorthand.replace(r#""action":"deny""#, r#""action":"allow""#);
    assert_eq!(edited(&listed, &set(&["t"], ToolState::Allow)), listed);
    // What `default` says already is not written.
    let open = r#"{"version":"1","default":"allow"}"#;
    assert_eq!(edited(open, &set(&["t"], ToolState::Allow)), open);
    assert_eq!(edited(PLAIN, &set(&["t"], ToolState::Deny)), PLAIN);
    assert_eq!(
        edited(open, &set(&["t"], ToolState::Deny)),
        r#"{"version":"1","default":"allow","tools":{"t":{"deny_if":[{"conditions":[]}]}}}"#
    );
}

#[test]
fn every_tool_hidden_is_its_own_state() {
    let text = r#"{"version":"1","default":"deny","hide":["*"],"tools":{"t":{}}}"#;
    for state in [ToolState::Allow, ToolState::Deny, ToolState::Approve] {
        let error = apply(text, &set(&["t"], state)).unwrap_err();
        assert_eq!(error, EditError::AllHidden { tool: "t".to_owned() });
        assert!(error.help().unwrap().contains('*'));
    }
    assert_eq!(edited(text, &set(&["t"], ToolState::Hide)), text);
    let shown = edited(text, &Edit::SetHideAll(false));
    assert_eq!(shown, r#"{"version":"1","default":"deny","tools":{"t":{}}}"#);
    assert_eq!(edited(&shown, &Edit::SetHideAll(false)), shown);
    let some = edited(&shown, &set(&["a", "b"], ToolState::Hide));
    assert_eq!(edited(&some, &Edit::SetHideAll(true)), text);
    assert_eq!(edited(&some, &Edit::SetHideAll(false)), some);
    let both = Edit::Batch(vec![Edit::SetHideAll(false), set(&["t"], ToolState::Deny)]);
    assert_eq!(
        state_of(Document::parse(&edited(text, &both)).document.unwrap().policy(), "t"),
        ToolState::Deny
    );
}

#[test]
fn rules_and_limits_change_in_place() {
    let text = r#"{
  "version": "1",
  "default": "deny",
  "tools": {
    "t": {
      "approve_if": [
        { "conditions": [ { "path": "args.a", "op": "eq", "value": "\u0078" } ], "timeout": "300s" },
        { "conditions": [ { "path": "args.b", "op": "in",
                            "value": [1, 2] } ] }
      ],
      "limits": [ { "counter": "c", "window": "day", "max": 1 } ]
    }
  }
}"#;
    let tool = "t".to_owned();
    let list = RuleList::ApproveIf;
    let document = Document::parse(text).document.unwrap();
    let entry = document.policy().tool("t").unwrap();
    // The drafts of what is there change nothing, spelling and layout included.
    for (index, rule) in entry.approve_if.iter().enumerate() {
        let edit = Edit::SetRule { tool: tool.clone(), list, index, rule: RuleDraft::from(rule) };
        assert_eq!(edited(text, &edit), text);
    }
    let place = Place::Tool(tool.clone());
    let mut draft = LimitDraft::from(&entry.limits[0]);
    assert_eq!(edited(text, &Edit::SetLimit { place: place.clone(), index: 0, limit: draft.clone() }), text);
    draft.max = "25".to_owned();
    draft.on_deny = Some("no".to_owned());
    assert_eq!(
        edited(text, &Edit::SetLimit { place: place.clone(), index: 0, limit: draft }),
        text.replace("\"max\": 1 }", "\"max\": 25, \"on_deny\": \"no\" }")
    );
    let mut draft = RuleDraft::from(&entry.approve_if[1]);
    draft.conditions[0].value = "[1, 3, 2]".to_owned();
    assert_eq!(
        edited(text, &Edit::SetRule { tool: tool.clone(), list, index: 1, rule: draft }),
        text.replace("[1, 2]", "[1, 3, 2]")
    );
    assert_eq!(
        edited(text, &Edit::MoveRule { tool: tool.clone(), list, from: 1, to: 0 }),
        text.replace(
            "{ \"conditions\": [ { \"path\": \"args.a\", \"op\": \"eq\", \"value\": \"\\u0078\" } ], \"timeout\": \"300s\" }",
            "FIRST"
        )
        .replace(
            "{ \"conditions\": [ { \"path\": \"args.b\", \"op\": \"in\",\n                            \"value\": [1, 2] } ] }",
            "{ \"conditions\": [ { \"path\": \"args.a\", \"op\": \"eq\", \"value\": \"\\u0078\" } ], \"timeout\": \"300s\" }"
        )
        .replace(
            "FIRST",
            "{ \"conditions\": [ { \"path\": \"args.b\", \"op\": \"in\",\n                            \"value\": [1, 2] } ] }"
        )
    );
    let gone = edited(text, &Edit::RemoveLimit { place, index: 0 });
    assert!(!gone.contains("limits") && gone.contains("]\n    }\n"), "{gone}");
    let gone = edited(&gone, &Edit::RemoveRule { tool: tool.clone(), list, index: 0 });
    let gone = edited(&gone, &Edit::RemoveRule { tool, list, index: 0 });
    assert_eq!(gone, PLAIN.replace("{}", "{\n    \"t\": {}\n  }").trim_end());
}

#[test]
fn limits_of_all_tools_come_and_go() {
    let add =
        Edit::AddLimit { place: Place::AllTools, limit: LimitDraft::calls("all", 9, Window::Seconds(90)) };
    let text = edited(PLAIN, &add);
    assert!(text.find("all_tools") < text.find("\"tools\""), "{text}");
    assert!(text.contains("\"window\": 90,"), "{text}");
    assert_eq!(edited(&text, &Edit::RemoveLimit { place: Place::AllTools, index: 0 }), PLAIN);
    // A counter that a call counts already is refused with the reason.
    let again = apply(&text, &add).unwrap_err();
    assert!(matches!(&again, EditError::WouldBreak(found) if found.code == "repeated-counter"), "{again}");
}

#[test]
fn top_level_edits() {
    let open = edited(PLAIN, &Edit::SetDefault(Default::Allow));
    assert_eq!(open, PLAIN.replace("\"deny\"", "\"allow\""));
    let told = edited(PLAIN, &Edit::SetDescription(Some("say \"hi\"\n\u{1b}".to_owned())));
    assert_eq!(told, PLAIN.replace("\"1\",\n", "\"1\",\n  \"description\": \"say \\\"hi\\\"\\n\\u001b\",\n"));
    assert_eq!(edited(&told, &Edit::SetDescription(None)), PLAIN);
    assert_eq!(edited(PLAIN, &Edit::SetDescription(None)), PLAIN);
    let rate = r#"{"version":"1","default":"deny","tools":{"t":{"rate_limit":{"max":1,"window":60}}}}"#;
    assert_eq!(
        edited(rate, &Edit::RemoveRateLimit { tool: "t".to_owned() }),
        r#"{"version":"1","default":"deny","tools":{"t":{}}}"#
    );
    assert_eq!(edited(PLAIN, &Edit::Batch(Vec::new())), PLAIN);
}

#[test]
fn people_s_texts_cannot_break_the_document() {
    for value in ["", "1,\"x\":2", "}", "abc", "1 2", "\"a", "{\"a\":1,\"a\":2}", "\u{feff}1"] {
        let edit = rule("t", RuleList::DenyIf, RuleDraft::when("args.a", Op::Eq, value));
        assert!(matches!(apply(PLAIN, &edit), Err(EditError::NotJson { what: "value", .. })), "{value}");
    }
    let wrong = |draft: RuleDraft, list| match apply(PLAIN, &rule("t", list, draft)) {
        Err(EditError::WouldBreak(found)) => found.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(RuleDraft::when("args.a", Op::Gt, "\"5\""), RuleList::DenyIf), "bad-value");
    assert_eq!(wrong(RuleDraft::when("args.a", Op::Regex, "\"(\""), RuleList::Require), "bad-regex");
    assert_eq!(wrong(RuleDraft::when("a", Op::Eq, "1"), RuleList::Require), "bad-path");
    let timed = RuleDraft { timeout: Some("soon".to_owned()), ..RuleDraft::default() };
    assert_eq!(wrong(timed.clone(), RuleList::ApproveIf), "bad-timeout");
    assert_eq!(wrong(timed, RuleList::DenyIf), "unknown-key");
    assert!(matches!(
        apply(PLAIN, &set(&["*"], ToolState::Allow)),
        Err(EditError::WouldBreak(found)) if found.code == "wildcard"
    ));
    assert!(apply(PLAIN, &set(&[""], ToolState::Hide)).is_err());
    let mut draft = LimitDraft::calls("t", 1, Window::Day);
    draft.max = "many".to_owned();
    let edit = Edit::AddLimit { place: Place::AllTools, limit: draft };
    assert!(matches!(apply(PLAIN, &edit), Err(EditError::NotJson { what: "max", .. })));
    assert!(matches!(
        apply("{\"version\":\"1\"}", &set(&["t"], ToolState::Allow)),
        Err(EditError::NotValid(_))
    ));
    // Strange but legal names survive.
    let name = "a\"b\\c/~\u{1f600}\u{202e}.d";
    let text = edited(PLAIN, &set(&[name], ToolState::Allow));
    assert!(Document::parse(&text).document.unwrap().policy().tool(name).is_some());
}

#[test]
fn what_is_not_there_is_named() {
    let tool = "t".to_owned();
    let message = |edit: &Edit| apply(PLAIN, edit).unwrap_err().to_string();
    assert_eq!(message(&Edit::RemoveTool { tool: tool.clone() }), "there is no entry for `t`");
    assert_eq!(
        message(&Edit::RemoveLimit { place: Place::AllTools, index: 2 }),
        "there is no limit 3 of all tools"
    );
    let text = edited(PLAIN, &set(&["t"], ToolState::Allow));
    let list = RuleList::Require;
    let error = apply(&text, &Edit::MoveRule { tool, list, from: 0, to: 1 }).unwrap_err();
    assert_eq!(error.to_string(), "there is no rule 2 in `require` of `t`");
}

#[test]
fn ten_thousand_tools_are_one_pass() {
    let tools: Vec<String> = (0..10_000).map(|index| format!("tool_{index}")).collect();
    let mut text = PLAIN.to_owned();
    for state in [ToolState::Allow, ToolState::Deny, ToolState::Hide, ToolState::Approve, ToolState::Allow] {
        text = edited(&text, &Edit::SetState { tools: tools.clone(), state });
        let document = Document::parse(&text).document.unwrap();
        let states = crate::policy::state::States::of(document.policy());
        assert!(tools.iter().all(|tool| states.state(tool) == state));
    }
    let each = tools.iter().map(|tool| limit(tool, 30)).collect();
    let text = edited(&text, &Edit::Batch(each));
    assert_eq!(text.matches("_rate").count(), 10_000);
}

#[test]
fn edits_are_named_for_people() {
    for (edit, name) in [
        (set(&["ghcr_push"], ToolState::Deny), "deny ghcr_push"),
        (set(&["a", "b"], ToolState::Hide), "hide 2 tools"),
        (set(&["a"], ToolState::Approve), "require approval of a"),
        (limit("pull", 30), "limit pull to 30 a minute"),
        (
            rule("pay", RuleList::DenyIf, RuleDraft::when("args.amount", Op::Gt, "100")),
            "deny pay if amount > 100",
        ),
        (rule("pay", RuleList::ApproveIf, RuleDraft::always(None)), "require approval of pay always"),
        (Edit::SetDefault(Default::Deny), "deny tools that are not listed"),
        (Edit::Batch(vec![limit("a", 1), limit("b", 1)]), "2 changes"),
    ] {
        assert_eq!(edit.describe(), name);
    }
    let mut hourly = LimitDraft::calls("a", 5, Window::Hour);
    assert_eq!(hourly.summary(), "5 an hour");
    hourly.increment_from = Some("args.amount".to_owned());
    hourly.window = Window::Seconds(90);
    assert_eq!(hourly.summary(), "5 of args.amount each 90 s");
}
