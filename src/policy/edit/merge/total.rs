//! What must hold of every three texts: the body of the fuzz target and of a property test.

use super::{Choice, Merged, merge};
use crate::json;

/// Merges three texts in every way that a person could choose, and asserts what must hold.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(base: &str, mine: &str, theirs: &str) {
    let Ok(free) = merge(base, mine, theirs, &[]) else { return };
    sound(&free);
    if mine == base {
        assert_eq!(free.text, theirs, "what only the file changed is taken as it is");
    }
    if theirs == base || mine == theirs {
        assert_eq!(free.text, mine, "what only this side changed is taken as it is");
    }
    for choice in [Choice::Mine, Choice::Theirs, Choice::Both] {
        let choices = vec![choice; free.conflicts.len()];
        let Ok(chosen) = merge(base, mine, theirs, &choices) else {
            unreachable!("choices decide conflicts, not whether texts can be merged");
        };
        sound(&chosen);
        assert_eq!(chosen.conflicts, free.conflicts, "what is asked does not depend on the answers");
        if choice == Choice::Mine {
            assert_eq!(chosen.text, free.text, "a conflict without a choice is decided for this side");
        }
    }
    // What was merged is the new base of both: nothing is left to do.
    let again = merge(theirs, &free.text, theirs, &[]);
    assert!(again.is_ok_and(|again| again.text == free.text), "a merged text stands");
}

fn sound(merged: &Merged) {
    let parsed = json::parse(&merged.text);
    assert!(
        parsed.is_ok_and(|parsed| parsed.duplicates.is_empty() && parsed.root.as_object().is_some()),
        "a merge is one JSON object without a member twice: {}",
        merged.text
    );
}
