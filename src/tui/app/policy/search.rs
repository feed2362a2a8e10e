//! Fuzzy search over names, and substring search over descriptions.

use fuzzy_matcher::FuzzyMatcher;
use fuzzy_matcher::skim::SkimMatcherV2;

/// A text as searches compare it: letters beyond ASCII in lower case (the matcher folds ASCII
/// itself, and uses its case to find the beginnings of words).
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let mut lower = c.to_lowercase();
            let first = if c.is_ascii() { Some(c) } else { lower.next() };
            let rest = (!c.is_ascii()).then_some(lower).into_iter().flatten();
            first.into_iter().chain(rest)
        })
        .collect()
}

/// The words of a query.
fn words(query: &str) -> Vec<String> {
    query.split_whitespace().map(fold).collect()
}

/// How well a text matches every word of a query; `None` when it does not, 0 for an empty query.
pub fn score(text: &str, query: &str) -> Option<i64> {
    let matcher = matcher();
    let text = fold(text);
    let mut sum = 0;
    for word in words(query) {
        sum += matcher.fuzzy_match(&text, &word)?;
    }
    Some(sum)
}

/// The character indices of a text that a query matches.
pub fn marks(text: &str, query: &str) -> Vec<usize> {
    let matcher = matcher();
    let text = fold(text);
    let mut all: Vec<usize> = words(query)
        .iter()
        .filter_map(|word| matcher.fuzzy_indices(&text, word))
        .flat_map(|(_, indices)| indices)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// From this many candidates on, what matches is ranked by where it stands alone: the matcher's
/// finer order would cost more than a frame, and a few letters later it applies again.
const MANY: usize = 5_000;

/// The keys that match, the best first and otherwise in their order, by index.
pub fn rank<'a>(keys: impl Iterator<Item = (u32, &'a str)>, query: &str) -> Vec<u32> {
    let words = words(query);
    let keys: Vec<(u32, &str)> = keys.collect();
    let matcher = matcher();
    let many = keys.len() >= MANY;
    let one = |key: &str, word: &str| {
        if many { place(key, word) } else { matcher.fuzzy_match(key, word).map(|score| -score) }
    };
    let all = |key: &str| words.iter().map(|word| one(key, word)).sum::<Option<i64>>();
    let found = keys.iter().enumerate().filter_map(|(order, (id, key))| Some((all(key)?, order, *id)));
    let mut hits: Vec<(i64, usize, u32)> = found.collect();
    hits.sort_unstable();
    hits.into_iter().map(|(_, _, id)| id).collect()
}

/// Where a word stands in a key: at the beginning, at the beginning of a part, elsewhere in one
/// piece, or only as letters in order.
fn place(key: &str, word: &str) -> Option<i64> {
    let (key, word) = (key.as_bytes(), word.as_bytes());
    let mut best: i64 = 3;
    for (at, piece) in key.windows(word.len().max(1)).enumerate() {
        if piece.eq_ignore_ascii_case(word) {
            let before = at.checked_sub(1).and_then(|at| key.get(at));
            match before {
                None => return Some(0),
                Some(before) if !before.is_ascii_alphanumeric() => return Some(1),
                Some(_) => best = 2,
            }
        }
    }
    let mut rest = key.iter();
    let in_order = word.iter().all(|letter| rest.any(|byte| byte.eq_ignore_ascii_case(letter)));
    (best < 3 || in_order).then_some(best)
}

/// A description as substring searches compare it.
pub fn fold_all(text: &str) -> String {
    text.to_lowercase()
}

/// The folded descriptions that hold every word of the query, by index.
pub fn containing<'a>(texts: impl Iterator<Item = (u32, &'a str)>, query: &str) -> Vec<u32> {
    let words: Vec<String> = query.split_whitespace().map(fold_all).collect();
    let finders: Vec<_> = words.iter().map(|word| memchr::memmem::Finder::new(word.as_bytes())).collect();
    texts
        .filter(|(_, text)| finders.iter().all(|finder| finder.find(text.as_bytes()).is_some()))
        .map(|(id, _)| id)
        .collect()
}

fn matcher() -> SkimMatcherV2 {
    SkimMatcherV2::default().ignore_case()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_letters_in_order_whatever_the_case() {
        assert!(score("ghcr_push", "gpush").is_some());
        assert!(score("ghcr_push", "GPUSH").is_some());
        assert!(score("Über_Tool", "übertool").is_some());
        assert!(score("über_tool", "ÜT").is_some());
        assert!(score("ghcr_push", "pushg").is_none());
        assert!(score("ghcr_push", "push gh").is_some(), "words in any order");
        assert_eq!(score("x", ""), Some(0));
        assert_eq!(marks("ghcr_push", "push"), [5, 6, 7, 8]);
    }

    #[test]
    fn the_best_comes_first_and_equals_keep_their_order() {
        let keys = ["list_pushes_all", "push", "a", "push"];
        let ranked = rank((0u32..).zip(keys), "push");
        assert_eq!(ranked.first(), Some(&1));
        assert_eq!(ranked.len(), 3);
        for (key, at) in [
            ("push_it", Some(0)),
            ("it-Push", Some(1)),
            ("xpush", Some(2)),
            ("p_u_s_h", Some(3)),
            ("pus", None),
        ] {
            assert_eq!(place(key, "push"), at, "{key}");
        }
        let long: Vec<String> = (0..MANY).map(|index| format!("x_{index}_puSh")).collect();
        let keys = long.iter().map(String::as_str).chain(["push"]);
        assert_eq!(rank((0u32..).zip(keys), "push").first(), Some(&u32::try_from(MANY).unwrap()));
        assert_eq!(containing((0u32..).zip(["delete a branch", "list"]), "branch DEL"), [0]);
    }
}
