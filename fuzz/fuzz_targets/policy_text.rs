//! Any text as a policy: read, compiled, decided with, edited. What an edit gives is a valid
//! policy, and everything that was read keeps its place in the text.
#![no_main]

use callgate::json;
use callgate::policy::compiled::Compiled;
use callgate::policy::decide::{Call, Circumstances};
use callgate::policy::document::Document;
use callgate::policy::edit::{Edit, apply};
use callgate::policy::model::Default;
use callgate::policy::state::{ToolState, state_of};
use libfuzzer_sys::fuzz_target;

const ARGUMENTS: &str = r#"{"a":1,"b":["x",2.50],"c":{"d":null,"D":true},"amount":-3e2,"s":"\ud800"}"#;

fuzz_target!(|text: &str| {
    if let Err(why) = callgate::policy::total::check_total(text) {
        panic!("{why}");
    }
    let parsed = Document::parse(text);
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
        assert!(!diagnostic.message.is_empty());
        assert!(diagnostic.span.end <= text.len() && diagnostic.span.start <= diagnostic.span.end);
    }
    let Some(document) = parsed.document else { return };
    assert_eq!(document.text(), text);
    if !document.is_valid() {
        assert!(!parsed.diagnostics.is_empty());
        return;
    }
    let Ok(compiled) = Compiled::new(&document) else { panic!("a valid document compiles") };
    let arguments = json::parse(ARGUMENTS).expect("valid").root;
    let names: Vec<String> = document.policy().tools.iter().map(|tool| tool.name.clone()).take(4).collect();
    for tool in names.iter().map(String::as_str).chain(["other"]) {
        let call = Call { tool, arguments: Some(&arguments) };
        let first = compiled.decide(&call, &Circumstances::default());
        assert_eq!(first, compiled.decide(&call, &Circumstances::default()));
    }
    let mut now = text.to_owned();
    let tools = |name: &str| vec![name.to_owned()];
    let target = names.first().map_or("other", String::as_str);
    for (edit, state) in [
        (Edit::SetState { tools: tools(target), state: ToolState::Deny }, Some(ToolState::Deny)),
        (Edit::SetState { tools: tools("new"), state: ToolState::Hide }, None),
        (Edit::SetDefault(Default::Deny), None),
        (Edit::SetState { tools: tools(target), state: ToolState::Allow }, Some(ToolState::Allow)),
    ] {
        let Ok(next) = apply(&now, &edit) else { continue };
        let parsed = Document::parse(&next);
        let Some(document) = parsed.document else { panic!("an edit keeps the object: {next:?}") };
        assert!(document.is_valid(), "{edit:?} of {now:?} gave {next:?}: {:?}", parsed.diagnostics);
        if let Some(state) = state {
            assert_eq!(state_of(document.policy(), target), state, "{edit:?} of {now:?} gave {next:?}");
        }
        now = next;
    }
});
