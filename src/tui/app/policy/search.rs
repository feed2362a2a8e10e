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

/// The keys that match, the best first and otherwise in their order, by index.
pub fn rank<'a>(keys: impl Iterator<Item = (u32, &'a str)>, query: &str) -> Vec<u32> {
    let matcher = matcher();
    let words = words(query);
    let mut hits: Vec<(i64, usize, u32)> = Vec::new();
    // One letter matches nearly everything; where it stands says all that the matcher would.
    if let [word] = words.as_slice()
        && let Some(letter) = single(word)
    {
        hits.extend(keys.enumerate().filter_map(|(order, (id, key))| Some((place(key, letter)?, order, id))));
        hits.sort_unstable();
        return hits.into_iter().map(|(_, _, id)| id).collect();
    }
    'keys: for (order, (id, key)) in keys.enumerate() {
        let mut sum = 0;
        for word in &words {
            match matcher.fuzzy_match(key, word) {
                Some(score) => sum += score,
                None => continue 'keys,
            }
        }
        hits.push((-sum, order, id));
    }
    hits.sort_unstable();
    hits.into_iter().map(|(_, _, id)| id).collect()
}

fn single(word: &str) -> Option<u8> {
    match word.as_bytes() {
        [letter] => Some(letter.to_ascii_lowercase()),
        _ => None,
    }
}

/// Where a letter first stands: at the beginning, at the beginning of a word, or elsewhere.
fn place(key: &str, letter: u8) -> Option<i64> {
    let is = |byte: &u8| byte.to_ascii_lowercase() == letter;
    let bytes = key.as_bytes();
    if bytes.first().is_some_and(is) {
        return Some(0);
    }
    let begins = |pair: &[u8]| matches!(pair, [before, at] if !before.is_ascii_alphanumeric() && is(at));
    if bytes.windows(2).any(begins) {
        return Some(1);
    }
    bytes.iter().any(is).then_some(2)
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
        assert_eq!(rank((0u32..).zip(["la", "a_l", "bal", "x"]), "L"), [0, 1, 2]);
        assert_eq!(containing((0u32..).zip(["delete a branch", "list"]), "branch DEL"), [0]);
    }
}
