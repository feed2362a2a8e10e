//! "Did you mean": the known word that a misspelt one was surely meant to be.

/// The closest of `known`, when it is close enough to be meant.
pub fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let simple = simplify(word);
    let mut best: Option<(usize, &'k str)> = None;
    for candidate in known {
        let target = simplify(candidate);
        // Long names need not be compared when their lengths alone are too far apart.
        let allowed = (target.chars().count().max(simple.chars().count()) / 3).clamp(1, 4);
        if target.chars().count().abs_diff(simple.chars().count()) > allowed {
            continue;
        }
        let distance = if target == simple { 0 } else { strsim::osa_distance(&simple, &target) };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Lower case, without the separators that people mix up (`denyIf`, `deny-if`).
fn simplify(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["require", "deny_if", "approve_if", "limits", "action", "reason", "rate_limit"];
        for (word, meant) in [
            ("deny_iff", Some("deny_if")),
            ("denyIf", Some("deny_if")),
            ("DENY-IF", Some("deny_if")),
            ("requires", Some("require")),
            ("limit", Some("limits")),
            ("ratelimit", Some("rate_limit")),
            ("actoin", Some("action")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, keys), meant, "{word}");
        }
    }
}
