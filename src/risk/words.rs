//! Names and sentences taken apart into lower-case words.

/// The words of a tool's name: split at everything that is no letter or digit, and at camel-case
/// boundaries (`listDeletedUsers`, `HTTPServer`). Digits stay with the letters before them.
pub(super) fn of_name(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(letter) = letters.next() {
        if !letter.is_alphanumeric() {
            push(&mut words, &mut word);
            before = None;
            continue;
        }
        let boundary = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || letters.peek().is_some_and(|next| next.is_lowercase())
            });
        if boundary {
            push(&mut words, &mut word);
        }
        word.extend(letter.to_lowercase());
        before = Some(letter);
    }
    push(&mut words, &mut word);
    words
}

/// The words of a text in their order, lower case, at most `limit` of them.
pub(super) fn of_text(text: &str, limit: usize) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'' && letter != '-')
        .filter(|word| !word.is_empty())
        .take(limit)
        .map(str::to_lowercase)
        .collect()
}

/// The forms that a word of a sentence may have as a verb: itself, and without the endings of the
/// third person and the participle (`deletes`, `deleting`, `removes`, `copies`, `stopping`).
pub(super) fn verb_forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    if let Some(stem) = word.strip_suffix("ies") {
        forms.push(format!("{stem}y"));
    }
    if let Some(stem) = word.strip_suffix("es") {
        forms.push(stem.to_owned());
    }
    if let Some(stem) = word.strip_suffix('s') {
        forms.push(stem.to_owned());
    }
    if let Some(stem) = word.strip_suffix("ing") {
        forms.push(format!("{stem}e"));
        forms.push(stem.to_owned());
        let mut letters = stem.chars();
        if let (Some(last), Some(second)) = (letters.next_back(), letters.next_back())
            && last == second
        {
            forms.push(stem.chars().take(stem.chars().count().saturating_sub(1)).collect());
        }
    }
    forms
}

fn push(words: &mut Vec<String>, word: &mut String) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_apart_at_every_boundary() {
        for (name, words) in [
            ("get_user", "get user"),
            ("Schedule-Message-Tool", "schedule message tool"),
            ("binanceSpotPlaceOrder", "binance spot place order"),
            ("HTTPServerList", "http server list"),
            ("listS3Buckets", "list s3 buckets"),
            ("a.b/c d", "a b c d"),
            ("", ""),
            ("löscheÄpfel", "lösche äpfel"),
        ] {
            assert_eq!(of_name(name).join(" "), words, "{name}");
        }
    }

    #[test]
    fn sentences_give_their_verbs() {
        for (word, verb) in
            [("Deletes", "delete"), ("copies", "copy"), ("removing", "remove"), ("stopping", "stop")]
        {
            assert!(verb_forms(&word.to_lowercase()).contains(&verb.to_owned()), "{word}");
        }
    }
}
