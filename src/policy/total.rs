//! What must hold of every text, valid or not: the body of the fuzz target and of a property test.

use super::compiled::Compiled;
use super::document::Document;
use super::edit::{Edit, EditError, LimitDraft, Place, RuleDraft, apply_to};
use super::lint::{lint, portable};
use super::model::{self, Op, RuleList, Window};
use super::state::{ToolState, rules_at_a_glance, state_of};

/// As [`check_total`], of any bytes.
///
/// # Errors
/// What does not hold.
pub fn fuzz_policy_text(data: &[u8]) -> Result<(), String> {
    let parsed = Document::parse_bytes(data);
    match std::str::from_utf8(data) {
        Ok(text) => check_total(text),
        Err(_) if parsed.document.is_none() && !parsed.diagnostics.is_empty() => Ok(()),
        Err(_) => Err("bytes that are not UTF-8 were read as a policy".to_owned()),
    }
}

/// Reads, checks and edits a text; whatever it is, nothing panics and every promise is kept.
///
/// # Errors
/// What does not hold.
pub fn check_total(text: &str) -> Result<(), String> {
    let parsed = Document::parse(text);
    for found in &parsed.diagnostics {
        if found.span.end > text.len() || found.span.start > found.span.end {
            return Err(format!("a diagnostic lies outside of the text: {found:?}"));
        }
        if (found.line, found.column) != crate::json::line_column(text, found.span.start) {
            return Err(format!("a diagnostic's line and column are wrong: {found:?}"));
        }
    }
    let Some(document) = parsed.document else {
        return if parsed.diagnostics.is_empty() {
            Err("no document and no reason".to_owned())
        } else {
            Ok(())
        };
    };
    if document.is_valid() != parsed.diagnostics.is_empty() {
        return Err("validity and diagnostics disagree".to_owned());
    }
    if Compiled::new(&document).is_ok() != document.is_valid() {
        return Err("a valid document does not compile, or an invalid one does".to_owned());
    }
    for found in lint(&document, None).iter().chain(&portable(&document)) {
        if document.pointer_span(&found.pointer).is_none() {
            return Err(format!("a warning points nowhere: {found:?}"));
        }
    }
    let names: Vec<String> = document.policy().tools.iter().take(3).map(|tool| tool.name.clone()).collect();
    for name in names.iter().map(String::as_str).chain(["a new one"]) {
        let _ = rules_at_a_glance(document.policy(), name);
        for state in ToolState::ALL {
            let edited = run(&document, &Edit::SetState { tools: vec![name.to_owned()], state })?;
            if let Some(edited) = edited
                && state_of(edited.policy(), name) != state
            {
                return Err(format!("`{name}` did not become {state:?}:\n{}", edited.text()));
            }
        }
        let limit = LimitDraft::calls("checked", 7, Window::Hour);
        let add = Edit::AddLimit { place: Place::Tool(name.to_owned()), limit };
        let rule = RuleDraft::when("args.checked", Op::In, r#"["x", 1]"#);
        let rule = Edit::AddRule { tool: name.to_owned(), list: RuleList::DenyIf, rule };
        run(&document, &Edit::Batch(vec![add, rule]))?;
    }
    run(&document, &Edit::SetDefault(model::Default::Allow))?;
    run(&document, &Edit::SetHideAll(true))?;
    Ok(())
}

/// The edited document, or nothing where it was refused for a stated reason.
fn run(document: &Document, edit: &Edit) -> Result<Option<Document>, String> {
    match apply_to(document, edit) {
        Ok(edited) if !edited.is_valid() => {
            Err(format!("{edit:?} left an invalid policy:\n{}", edited.text()))
        }
        Ok(edited) => Ok(Some(edited)),
        Err(EditError::NotValid(_)) if document.is_valid() => {
            Err(format!("{edit:?} was refused a valid policy"))
        }
        Err(error) if error.to_string().is_empty() => Err(format!("{edit:?} was refused without a reason")),
        Err(_) => Ok(None),
    }
}
