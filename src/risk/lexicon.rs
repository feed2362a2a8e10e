//! The lexicon of `assets/lexicon.json`, read once.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::Category;

/// What names are read with.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    /// Words that say nothing.
    pub(super) noise: HashSet<String>,
    /// `and`, `or`, ...
    pub(super) joins: HashSet<String>,
    /// Verbs and their class.
    pub(super) verbs: HashMap<String, Category>,
    /// Verbs that as often name a thing.
    pub(super) also_nouns: HashSet<String>,
    /// Verbs that may do no more than answer.
    pub(super) soft: HashSet<String>,
    /// Heads that stand for several actions.
    pub(super) multi: HashSet<String>,
    /// What a verb does depends on what it acts on.
    pub(super) shifts: Vec<Shift>,
    /// Words that only together name an action.
    pub(super) phrases: Vec<Phrase>,
    /// Last words that make a read.
    pub(super) tails: HashSet<String>,
    /// Names without a verb.
    pub(super) nouns: HashMap<String, Category>,
    /// Everyday nouns.
    pub(super) common: HashSet<String>,
    /// Phrases of a description that tell a loss for good.
    pub(super) irreversible: Vec<String>,
    /// Verbs so clear that a description that begins with one raises the class.
    pub(super) plain_loss: HashSet<String>,
    /// Verbs of descriptions that raise nothing.
    pub(super) generic: HashSet<String>,
    /// Arguments whose values are actions.
    pub(super) action_arguments: HashSet<String>,
    /// Text arguments that are run.
    pub(super) code_arguments: HashSet<String>,
}

/// One entry of `shifts`.
#[derive(Debug, Deserialize)]
pub(super) struct Shift {
    /// The heads that it is about; `*` is every head.
    pub(super) verbs: HashSet<String>,
    /// One of these stands elsewhere in the name.
    pub(super) objects: HashSet<String>,
    /// And, where given, one of these.
    #[serde(default)]
    pub(super) with: HashSet<String>,
    /// Not when one of these is the last word.
    #[serde(default)]
    pub(super) unless: HashSet<String>,
    /// Not when one of these stands anywhere.
    #[serde(default)]
    pub(super) without: HashSet<String>,
    /// The class then.
    pub(super) category: Category,
}

/// Consecutive words that are one action.
#[derive(Debug, Deserialize)]
pub(super) struct Phrase {
    /// The words.
    pub(super) words: Vec<String>,
    /// Their class; none for a thing.
    pub(super) category: Option<Category>,
}

#[derive(Deserialize)]
struct Words {
    words: HashSet<String>,
}

#[derive(Deserialize)]
struct ByCategory {
    read: Vec<String>,
    write: Vec<String>,
    execute: Vec<String>,
    destructive: Vec<String>,
    financial: Vec<String>,
}

#[derive(Deserialize)]
struct Asset {
    noise: Words,
    joins: Words,
    verbs: ByCategory,
    also_nouns: Words,
    soft: Words,
    multi: Words,
    shifts: Rules,
    phrases: Entries,
    tails: Words,
    nouns: ByCategory,
    common: Words,
    irreversible: Phrases,
    plain_loss: Words,
    generic: Words,
    action_arguments: Words,
    code_arguments: Words,
}

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Shift>,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<Phrase>,
}

#[derive(Deserialize)]
struct Phrases {
    phrases: Vec<String>,
}

impl ByCategory {
    fn table(self) -> HashMap<String, Category> {
        let lists = [
            (self.read, Category::Read),
            (self.write, Category::Write),
            (self.execute, Category::Execute),
            (self.destructive, Category::Destructive),
            (self.financial, Category::Financial),
        ];
        // The more severe class wins a word that stands in two lists.
        lists
            .into_iter()
            .flat_map(|(words, category)| words.into_iter().map(move |word| (word, category)))
            .collect()
    }
}

fn read() -> Result<Lexicon, serde_json::Error> {
    let asset: Asset = serde_json::from_str(include_str!("../../assets/lexicon.json"))?;
    let mut phrases = asset.phrases.entries;
    phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    Ok(Lexicon {
        noise: asset.noise.words,
        joins: asset.joins.words,
        verbs: asset.verbs.table(),
        also_nouns: asset.also_nouns.words,
        soft: asset.soft.words,
        multi: asset.multi.words,
        shifts: asset.shifts.rules,
        phrases,
        tails: asset.tails.words,
        nouns: asset.nouns.table(),
        common: asset.common.words,
        irreversible: asset.irreversible.phrases,
        plain_loss: asset.plain_loss.words,
        generic: asset.generic.words,
        action_arguments: asset.action_arguments.words,
        code_arguments: asset.code_arguments.words,
    })
}

/// The lexicon. A test holds that the asset reads; were it broken, every tool would be unclear,
/// which is never taken for a read.
pub(super) fn lexicon() -> &'static Lexicon {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    LEXICON.get_or_init(|| read().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asset_reads_and_its_lists_agree() {
        let lexicon = read().expect("assets/lexicon.json");
        for word in lexicon.also_nouns.iter().chain(&lexicon.soft) {
            assert!(lexicon.verbs.contains_key(word), "`{word}` is no verb");
        }
        let all = lexicon.verbs.keys().chain(lexicon.nouns.keys()).chain(&lexicon.tails);
        for word in all {
            assert!(word.chars().all(|c| c.is_lowercase() || c.is_ascii_digit()), "`{word}`");
        }
    }
}
