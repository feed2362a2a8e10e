//! What a name alone says.
//!
//! A name has a head: the verb that says what the tool does. Everything else is what it acts on.
//! `list_deleted_users` lists; `refund_eligibility` is looked at; `google_calendar_delete_event`
//! deletes.

use super::Category;
use super::lexicon::{Lexicon, Shift, lexicon};
use super::words;

/// How sure a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It says nothing.
    Nothing,
    /// Only nouns, or a verb that as often is one.
    Weak,
    /// A clear verb.
    Clear,
}

/// What a name says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// The class; write when it says nothing.
    pub(super) category: Category,
    /// How sure it is.
    pub(super) strength: Strength,
    /// The head may do no more than answer.
    pub(super) soft: bool,
    /// The head stands for several actions.
    pub(super) multi: bool,
    /// For people.
    pub(super) evidence: Vec<String>,
}

struct Word {
    text: String,
    category: Option<Category>,
    /// A verb that as often names a thing.
    unsure: bool,
}

/// Reads a name.
pub(super) fn read(name: &str) -> Reading {
    let lexicon = lexicon();
    let all = words::of_name(name);
    let plain = fold(&all, lexicon);
    let reading = read_words(&plain, lexicon);
    if reading.strength == Strength::Clear {
        return reading;
    }
    // Run-together words: `readfile`, `createorupdate`.
    let apart: Vec<String> = all.iter().flat_map(|word| take_apart(word, lexicon)).collect();
    if apart.len() > all.len() {
        let again = read_words(&fold(&apart, lexicon), lexicon);
        if again.strength > reading.strength || again.category > reading.category {
            return again;
        }
    }
    reading
}

/// Drops what says nothing and folds phrases into one word.
fn fold(all: &[String], lexicon: &Lexicon) -> Vec<Word> {
    let mut folded = Vec::new();
    let mut rest = all;
    while let Some((first, after)) = rest.split_first() {
        let phrase = lexicon.phrases.iter().find(|phrase| rest.starts_with(&phrase.words));
        if let Some(phrase) = phrase {
            folded.push(Word { text: phrase.words.join(" "), category: phrase.category, unsure: false });
            rest = rest.get(phrase.words.len()..).unwrap_or_default();
            continue;
        }
        rest = after;
        if lexicon.noise.contains(first) || first.chars().all(|letter| letter.is_ascii_digit()) {
            continue;
        }
        folded.push(Word {
            text: first.clone(),
            category: lexicon.verbs.get(first).copied(),
            unsure: lexicon.also_nouns.contains(first),
        });
    }
    folded
}

fn read_words(words: &[Word], lexicon: &Lexicon) -> Reading {
    let clear = |word: &Word| word.category.is_some() && !word.unsure;
    let unsure = |word: &Word| word.category.is_some() && word.unsure;
    let last = words.len().saturating_sub(1);
    let at = |is: &dyn Fn(&Word) -> bool, index: usize| words.get(index).is_some_and(is);
    let clear_head =
        [0, last].into_iter().find(|index| at(&clear, *index)).or_else(|| words.iter().position(clear));
    // Without a clear verb the first unsure one is the head, unless money stands there as a thing
    // and a reading word ends the name: `trade_search`.
    let unsure_head = words.iter().position(unsure).map(|first| {
        let class = |index: usize| words.get(index).and_then(|word: &Word| word.category);
        let searched = class(first) == Some(Category::Financial)
            && at(&unsure, last)
            && class(last) == Some(Category::Read);
        if searched { last } else { first }
    });
    if let Some(index) = clear_head {
        return with_head(words, index, Strength::Clear, lexicon);
    }
    if let Some(index) = unsure_head {
        let tail = words.last().map(|word| word.text.as_str()).unwrap_or_default();
        let money = words.get(index).and_then(|word| word.category) == Some(Category::Financial);
        let looked_at =
            lexicon.tails.contains(tail) || (money && lexicon.nouns.get(tail) == Some(&Category::Read));
        if index != last && looked_at {
            return Reading {
                category: Category::Read,
                strength: Strength::Clear,
                soft: false,
                multi: false,
                evidence: vec![format!("name ends in `{tail}`, which is looked at")],
            };
        }
        return with_head(words, index, Strength::Weak, lexicon);
    }
    nouns(words, lexicon)
}

fn with_head(words: &[Word], index: usize, strength: Strength, lexicon: &Lexicon) -> Reading {
    let Some(head) = words.get(index) else { return nothing() };
    let (mut category, mut evidence) = class_at(words, index, lexicon);
    // `find_and_replace`, `get_or_create`: both verbs count.
    let joined = words.get(index + 1).is_some_and(|word| lexicon.joins.contains(&word.text));
    if joined && words.get(index + 2).is_some_and(|word| word.category.is_some()) {
        let (second, why) = class_at(words, index + 2, lexicon);
        if second > category {
            category = second;
            evidence = why;
        }
    }
    Reading {
        category,
        strength,
        soft: lexicon.soft.contains(&head.text),
        multi: lexicon.multi.contains(&head.text),
        evidence,
    }
}

/// The class of the verb at an index, with what it acts on taken into account.
fn class_at(words: &[Word], index: usize, lexicon: &Lexicon) -> (Category, Vec<String>) {
    let Some(head) = words.get(index) else { return (Category::Write, Vec::new()) };
    let category = head.category.unwrap_or(Category::Write);
    let mut evidence = vec![format!("name has `{}`", head.text)];
    for shift in &lexicon.shifts {
        if let Some(object) = shifted_by(shift, words, index) {
            evidence.push(format!("it acts on `{object}`"));
            return (shift.category, evidence);
        }
    }
    (category, evidence)
}

fn shifted_by<'w>(shift: &Shift, words: &'w [Word], index: usize) -> Option<&'w str> {
    let head = words.get(index)?;
    if !shift.verbs.contains("*") && !shift.verbs.contains(&head.text) {
        return None;
    }
    let others =
        || words.iter().enumerate().filter(move |(at, _)| *at != index).map(|(_, word)| word.text.as_str());
    let object = others().find(|word| shift.objects.contains(*word))?;
    if !shift.with.is_empty() && !others().any(|word| shift.with.contains(word)) {
        return None;
    }
    if others().next_back().is_some_and(|word| shift.unless.contains(word))
        || others().any(|word| shift.without.contains(word))
    {
        return None;
    }
    Some(object)
}

/// A name without any verb.
fn nouns(words: &[Word], lexicon: &Lexicon) -> Reading {
    let known =
        words.iter().rev().find_map(|word| Some((word.text.as_str(), *lexicon.nouns.get(&word.text)?)));
    if let Some((noun, category)) = known {
        return Reading {
            category,
            strength: Strength::Weak,
            soft: true,
            multi: false,
            evidence: vec![format!("name has `{noun}` and no verb")],
        };
    }
    let plural = words.last().map(|word| word.text.as_str()).filter(|word| {
        word.len() > 3
            && word.ends_with('s')
            && !["ss", "us", "is", "os"].iter().any(|end| word.ends_with(end))
    });
    if let Some(plural) = plural {
        return Reading {
            category: Category::Read,
            strength: Strength::Weak,
            soft: true,
            multi: false,
            evidence: vec![format!("name is the plural `{plural}` and has no verb")],
        };
    }
    nothing()
}

fn nothing() -> Reading {
    Reading {
        category: Category::Write,
        strength: Strength::Nothing,
        soft: true,
        multi: false,
        evidence: vec!["nothing in the name says what it does".to_owned()],
    }
}

/// `readfile` as `read`, `file`; a known word stays whole.
fn take_apart(word: &str, lexicon: &Lexicon) -> Vec<String> {
    let known = |part: &str| {
        lexicon.verbs.contains_key(part)
            || lexicon.nouns.contains_key(part)
            || lexicon.common.contains(part)
            || part.strip_suffix('s').is_some_and(|one| lexicon.common.contains(one))
    };
    // Real words are short; a server that sends endless ones must not cost time.
    if known(word) || !(6..=64).contains(&word.len()) {
        return vec![word.to_owned()];
    }
    let mut best: Option<(&str, &str)> = None;
    for (at, _) in word.char_indices() {
        let Some((verb, rest)) = word.split_at_checked(at) else { continue };
        if verb.len() < 3 || rest.len() < 3 || !lexicon.verbs.contains_key(verb) {
            continue;
        }
        let connected = rest.starts_with("or") || rest.starts_with("and");
        if known(rest) || (connected && verb.len() >= 5) {
            best = Some((verb, rest));
        }
    }
    match best {
        Some((verb, rest)) => vec![verb.to_owned(), rest.to_owned()],
        None => vec![word.to_owned()],
    }
}
