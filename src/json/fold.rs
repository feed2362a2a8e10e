//! Comparing names without regard to case, by Unicode *simple* case folding.
//!
//! Some servers bind member names without regard to case (.NET does), so `Name` beside `name`, or
//! `paramſ` (U+017F) for `params`, can make another parser see another message. Simple folding is
//! what those parsers use; full folding (`ß` as `ss`) is not.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// The representative of a character's case-folding class: the smallest member.
fn fold(c: char) -> char {
    if c.is_ascii() && !matches!(c, 'k' | 'K' | 's' | 'S') {
        return c.to_ascii_uppercase();
    }
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    // Fails only when the Unicode tables are compiled out; then letters compare by ASCII case.
    if class.try_case_fold_simple().is_err() {
        return c.to_ascii_uppercase();
    }
    class.iter().next().map_or(c, ClassUnicodeRange::start)
}

/// Whether `text`, which is not ASCII, folds to the ASCII `name`. Two characters beyond ASCII fold
/// into it: the long s and the Kelvin sign. This path keeps a message full of foreign names cheap.
fn folds_to_ascii(text: &str, name: &str) -> bool {
    let mut left = text.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other,
    });
    let mut right = name.chars();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if x.eq_ignore_ascii_case(&y) => {}
            _ => return false,
        }
    }
}

/// Whether two names are equal when case is ignored (exact equality included).
pub fn same_ignoring_case(a: &str, b: &str) -> bool {
    match (a.is_ascii(), b.is_ascii()) {
        (true, true) => return a.eq_ignore_ascii_case(b),
        (true, false) => return folds_to_ascii(b, a),
        (false, true) => return folds_to_ascii(a, b),
        (false, false) => {}
    }
    let mut left = a.chars();
    let mut right = b.chars();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if x == y || fold(x) == fold(y) => {}
            _ => return false,
        }
    }
}

/// Whether two different names are equal when case is ignored.
pub fn case_twins(a: &str, b: &str) -> bool {
    a != b && same_ignoring_case(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_characters_fold_into_ascii() {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]);
        class.try_case_fold_simple().expect("tables");
        let foreign: Vec<char> =
            class.iter().flat_map(|range| range.start()..=range.end()).filter(|c| !c.is_ascii()).collect();
        assert_eq!(foreign, ['\u{17f}', '\u{212a}']);
    }

    #[test]
    fn folds_simply() {
        for (a, b, same) in [
            ("name", "NAME", true),
            ("params", "param\u{17f}", true),
            ("\u{212a}ey", "key", true),
            ("stra\u{df}e", "strasse", false),
            ("stra\u{df}e", "STRA\u{1e9e}E", true),
            ("\u{3c3}", "\u{3c2}", true),
            ("İ", "i", false),
            ("name", "names", false),
            ("a", "á", false),
        ] {
            assert_eq!(same_ignoring_case(a, b), same, "{a} {b}");
            assert_eq!(same_ignoring_case(b, a), same, "{b} {a}");
        }
        assert!(!case_twins("name", "name"));
        assert!(case_twins("name", "Name"));
    }
}
