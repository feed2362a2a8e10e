//! The key trie, built from the action table and what a person remapped.

use std::collections::BTreeMap;

use super::action::{self, Action, Context};
use super::key::{Key, Keys};

/// What a sequence of keys means in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This.
    Action(Action),
    /// It could become one of these; the next keys that make sense, with what they lead to.
    Pending(Vec<(Key, Option<Action>)>),
    /// Nothing.
    Nothing,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    action: Option<Action>,
    next: BTreeMap<Key, Node>,
}

/// Which keys do what, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    tries: BTreeMap<Context, Node>,
    keys: BTreeMap<Action, Vec<Keys>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::with(&BTreeMap::new()).0
    }
}

impl Keymap {
    /// The default keys, with those of some actions replaced (by action id). What could not be
    /// used is named; the rest holds.
    pub fn with(remapped: &BTreeMap<String, Vec<String>>) -> (Self, Vec<String>) {
        let mut map = Self { tries: BTreeMap::new(), keys: BTreeMap::new() };
        let mut problems = Vec::new();
        for id in remapped.keys().filter(|id| action::by_id(id).is_none()) {
            let near = action::table()
                .map(|entry| (strsim::damerau_levenshtein(entry.id, id), entry.id))
                .min()
                .filter(|(distance, _)| *distance <= 3);
            let hint = near.map(|(_, name)| format!(": did you mean `{name}`?")).unwrap_or_default();
            problems.push(format!("no action is called `{id}`{hint}"));
        }
        for entry in action::table() {
            let own = remapped.get(entry.id);
            let specs: Vec<&str> = match own {
                Some(specs) => specs.iter().map(String::as_str).collect(),
                None => entry.keys.to_vec(),
            };
            for spec in specs {
                match spec.parse::<Keys>() {
                    Ok(keys) => map.bind(entry.action, entry.contexts, keys, &mut problems),
                    Err(error) => problems.push(format!("`{}`: {error}", entry.id)),
                }
            }
        }
        (map, problems)
    }

    fn bind(&mut self, action: Action, contexts: &[Context], keys: Keys, problems: &mut Vec<String>) {
        for context in contexts {
            let mut node = self.tries.entry(*context).or_default();
            for key in &keys.0 {
                node = node.next.entry(*key).or_default();
            }
            if let Some(other) = node.action.replace(action).filter(|other| *other != action) {
                let name = |action| action::entry(action).map_or("?", |entry| entry.id);
                problems.push(format!("`{keys}` is both `{}` and `{}`", name(other), name(action)));
            }
        }
        self.keys.entry(action).or_default().push(keys);
    }

    /// What the keys mean in a place, the first context of the stack first.
    pub fn find(&self, place: &[Context], keys: &[Key]) -> Found {
        let mut pending = Vec::new();
        for context in place {
            let mut node = self.tries.get(context);
            for key in keys {
                node = node.and_then(|node| node.next.get(key));
            }
            let Some(node) = node else { continue };
            if let Some(action) = node.action {
                return Found::Action(action);
            }
            pending.extend(node.next.iter().map(|(key, next)| (*key, next.action)));
        }
        if pending.is_empty() { Found::Nothing } else { Found::Pending(pending) }
    }

    /// The keys of an action, the first for the footer.
    pub fn keys(&self, action: Action) -> &[Keys] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_sequences_and_names_bad_remaps() {
        let remapped = BTreeMap::from([
            ("move.first".to_owned(), vec!["g g".to_owned()]),
            ("policy.coppy".to_owned(), vec!["b".to_owned()]),
            ("quit".to_owned(), vec!["shift-q".to_owned()]),
        ]);
        let (map, problems) = Keymap::with(&remapped);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|text| text.contains("did you mean `policy.copy`")), "{problems:?}");
        let g = Key::char('g');
        assert!(matches!(map.find(&[Context::List], &[g]), Found::Pending(_)));
        assert_eq!(map.find(&[Context::List], &[g, g]), Found::Action(Action::First));
        assert_eq!(map.find(&[Context::List], &[Key::char('z')]), Found::Nothing);
    }
}
