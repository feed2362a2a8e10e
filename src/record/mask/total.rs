//! What must hold of every call's arguments: the body of the fuzz target and of a property test.

use super::{LARGEST_ARGUMENTS, LARGEST_VALUE, Masker, Mode, names_secret};
use crate::json::{self, Node, Value};

/// Masks a text as the arguments of a call in each mode, and asserts what must hold.
///
/// # Panics
/// When a promise is broken; that is its purpose.
pub fn check_total(text: &str) {
    let Ok(parsed) = json::parse(text) else { return };
    if parsed.root.as_object().is_none() || !parsed.duplicates.is_empty() {
        return;
    }
    for mode in [Mode::Full, Mode::Masked, Mode::Keys] {
        let masker = Masker::new([7; 32], mode);
        let kept = masker.mask(text.as_bytes(), &parsed.root, &());
        let kept = kept.get();
        assert!(!kept.contains(['\n', '\r']), "one line: {kept}");
        let most = LARGEST_ARGUMENTS + LARGEST_VALUE + 4 * text.len() + 1024;
        assert!(kept.len() <= most, "bounded: {} of {}", kept.len(), text.len());
        let Ok(after) = json::parse(kept) else { unreachable!("what is recorded is JSON: {kept}") };
        if text.len() < LARGEST_VALUE {
            compare(mode, &parsed.root, &after.root);
        }
        assert_eq!(
            masker.mask(text.as_bytes(), &parsed.root, &()).get(),
            kept,
            "the same call, the same record"
        );
    }
}

/// Each part stands as it was, or is a mask; nothing under a name of a secret stands.
fn compare(mode: Mode, before: &Node<'_>, after: &Node<'_>) {
    match (&before.value, &after.value) {
        (Value::Object(_), Value::Object(_)) if super::has_form_of_mask(before) => {
            assert!(super::has_form_of_mask(after), "an object in the form of a mask is itself masked");
            assert_ne!(super::kept(before), super::kept(after), "nothing passes for a mask");
        }
        // Under a name that is a secret itself the value is masked, whatever it looks like.
        (_, Value::Object(_)) if super::has_form_of_mask(after) => {
            assert!(mode != Mode::Full, "with `full` everything is kept");
        }
        (Value::Object(before), Value::Object(after)) if before.len() == after.len() => {
            for (before, after) in before.iter().zip(after) {
                let key = before.key.value.as_ref();
                let number = matches!(before.value.value, Value::Number(_));
                let plain = matches!(before.value.value, Value::Null | Value::Bool(_));
                if mode == Mode::Masked && !plain && names_secret(key, number) {
                    assert!(super::has_form_of_mask(&after.value), "`{key}` is kept open");
                } else {
                    compare(mode, &before.value, &after.value);
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "no element is lost");
            before.iter().zip(after).for_each(|(before, after)| compare(mode, before, after));
        }
        (Value::Null, Value::Null) | (Value::Bool(_), Value::Bool(_)) => {}
        (Value::String(before), Value::String(after)) => {
            assert!(mode != Mode::Keys, "with `keys` no string is kept");
            assert_eq!(before.value, after.value, "a string is kept as it was");
        }
        (Value::Number(before), Value::Number(after)) => {
            assert!(mode != Mode::Keys, "with `keys` no number is kept");
            assert_eq!(before, after, "a number is kept as it was");
        }
        (before, after) => unreachable!("{before:?} became {after:?}"),
    }
}
