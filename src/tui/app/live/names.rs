//! Strings that repeat from row to row, kept once.

use std::collections::HashMap;
use std::sync::Arc;

/// A string's number in [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

/// The longest string that is kept whole, in bytes. A server that sends endless names must not
/// fill the memory.
pub const LONGEST: usize = 1024;

/// Every string that rows refer to.
#[derive(Debug, Clone)]
pub struct Names {
    numbers: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { numbers: HashMap::new(), texts: Vec::new(), bytes: 0 };
        names.add("");
        names
    }
}

impl Names {
    /// The empty string's number.
    pub const EMPTY: Name = Name(0);

    /// The number of a string, new or known; the end of an overlong one is cut off and marked.
    pub fn add(&mut self, text: &str) -> Name {
        if text.len() > LONGEST {
            let end = text.floor_char_boundary(LONGEST);
            let cut = format!("{}…", text.get(..end).unwrap_or(""));
            return self.add_whole(&cut);
        }
        self.add_whole(text)
    }

    fn add_whole(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let Ok(number) = u32::try_from(self.texts.len()) else { return Self::EMPTY };
        let shared: Arc<str> = text.into();
        self.bytes += text.len() + 64;
        self.texts.push(Arc::clone(&shared));
        self.numbers.insert(shared, Name(number));
        Name(number)
    }

    /// The number of a string that is known.
    pub fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).copied()
    }

    /// The string of a number.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", |text| text)
    }

    /// How many strings are kept.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether nothing but the empty string is kept.
    pub fn is_empty(&self) -> bool {
        self.texts.len() <= 1
    }

    /// About how much memory they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_each_string_once_and_cuts_endless_ones() {
        let mut names = Names::default();
        let a = names.add("pull");
        assert_eq!(names.add("pull"), a);
        assert_eq!(names.text(a), "pull");
        assert_eq!(names.add(""), Names::EMPTY);
        let long = names.add(&"é".repeat(5000));
        assert!(names.text(long).len() <= LONGEST + 4);
        assert!(names.text(long).ends_with('…'));
        assert_eq!(names.len(), 3);
    }
}
