//! What must hold at every place of every text: the body of the fuzz target and of a property test.

use super::{Known, MOST, candidates, place};
use crate::policy::document::Document;

/// Asks what fits at a byte of a text, and asserts that each answer can be put in.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(text: &str, cursor: usize) {
    let Some(found) = place(text, cursor) else { return };
    assert!(found.from <= found.to && found.to <= text.len(), "within the text: {found:?}");
    assert!(text.is_char_boundary(found.from) && text.is_char_boundary(found.to), "whole letters: {found:?}");
    let parsed = Document::parse(text);
    let policy = parsed.document.as_ref().map(Document::policy);
    let known = Known {
        policy,
        tools: &|each| ["ghcr_push", "a\"b", "\u{202e}x"].into_iter().for_each(each),
        shape: &|_| None,
    };
    let offered = candidates(&found, &known);
    assert!(offered.len() <= MOST, "a bounded number");
    for candidate in offered {
        assert!(candidate.back <= candidate.text.len(), "the cursor stays in what was put in: {candidate:?}");
        let at = candidate.text.len() - candidate.back;
        assert!(candidate.text.is_char_boundary(at), "between letters: {candidate:?}");
    }
}
