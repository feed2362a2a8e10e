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

/// Whether two names are equal when case is ignored (exact equality included).
pub fn same_ignoring_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
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
