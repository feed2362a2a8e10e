//! The single values of a call's arguments, with the sets and beginnings that hold them.

use crate::json::canonical::{canonical, quote};
use crate::json::{self, Node, Value};
use crate::policy::counter::Amount;
use crate::policy::path::{Path, Step, escape};
use crate::record::mask::{Kept, kept};

use super::Reach;

/// How deep values are looked for.
const DEEPEST: usize = 6;
/// How many values are looked at.
const MOST: usize = 40;
/// The longest value that a rule is built on, in bytes of JSON.
const LONGEST: usize = 200;
/// How many values a set may have.
const SET: usize = 8;
/// How many other calls are looked at for a set.
const OTHERS: usize = 200;
/// The shortest beginning that says anything.
const SHORTEST_PREFIX: usize = 3;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its path: `args.branch`.
    pub(super) path: String,
    /// Its JSON text.
    pub(super) json: String,
    /// What it is.
    pub(super) kind: LeafKind,
    /// It and other seen values of the same type, as JSON texts; empty where there are none.
    pub(super) set: Vec<String>,
    /// A beginning that it shares with the set, as a pattern.
    pub(super) prefix: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeafKind {
    Text(String),
    Number,
    Bool,
}

/// The values of a call.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) all: Vec<Leaf>,
    /// Arguments that cannot be used, and why.
    pub(super) left_out: Vec<String>,
    /// Where the record holds a mask, or `cut`.
    hidden: Vec<Vec<Place>>,
    /// Whether every value of the call is in `all`.
    pub(super) complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Key(String),
    Index(usize),
}

impl Leaves {
    pub(super) fn of(arguments: Option<&Node<'_>>, others: &[&str]) -> Self {
        let mut leaves = Self { complete: true, ..Self::default() };
        if let Some(node) = arguments {
            leaves.walk(node, "args", &mut Vec::new());
        }
        let parsed: Vec<_> = others.iter().take(OTHERS).filter_map(|text| json::parse(text).ok()).collect();
        for leaf in &mut leaves.all {
            leaf.gather(parsed.iter().map(|parsed| &parsed.root));
        }
        leaves
    }

    /// Whether a path meets what the record does not hold.
    pub(super) fn hides(&self, path: &Path) -> bool {
        self.hidden.iter().any(|at| {
            path.steps().iter().zip(at).all(|pair| match pair {
                (Step::Name(name), Place::Key(key)) => name == key,
                (Step::Number { text, .. }, Place::Key(key)) => text == key,
                (Step::Number { index, .. }, Place::Index(here)) => index == here,
                (Step::Each, Place::Index(_)) => true,
                _ => false,
            })
        })
    }

    /// The value at a path.
    pub(super) fn at(&self, path: &str) -> Option<&Leaf> {
        self.all.iter().find(|leaf| leaf.path == path)
    }

    fn walk(&mut self, node: &Node<'_>, path: &str, at: &mut Vec<Place>) {
        if !at.is_empty() && kept(node) != Kept::Value {
            let why = if kept(node) == Kept::Cut { "too large to be recorded" } else { "recorded masked" };
            self.left_out.push(format!("{path} is {why}"));
            self.hidden.push(at.clone());
            self.complete = false;
            return;
        }
        match &node.value {
            // Masks below are looked for, however deep.
            Value::Object(members) => {
                for member in members {
                    let mut path = format!("{path}.");
                    escape(&member.key.value, &mut path);
                    at.push(Place::Key(member.key.value.to_string()));
                    self.walk(&member.value, &path, at);
                    at.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    at.push(Place::Index(index));
                    self.walk(item, &format!("{path}[*]"), at);
                    at.pop();
                }
            }
            Value::Null => self.complete = false,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => self.leaf(node, path, at.len()),
        }
    }

    fn leaf(&mut self, node: &Node<'_>, path: &str, depth: usize) {
        let json = canonical_or_spelt(node);
        let fits = depth <= DEEPEST && self.all.len() < MOST && Path::parse(path).is_ok();
        if !fits || json.len() > LONGEST {
            self.complete = false;
            if json.len() > LONGEST {
                self.left_out.push(format!("{path} is long"));
            }
            return;
        }
        let kind = match &node.value {
            Value::String(text) if !text.exact => {
                self.complete = false;
                return;
            }
            Value::String(text) => LeafKind::Text(text.value.to_string()),
            Value::Number(_) => LeafKind::Number,
            _ => LeafKind::Bool,
        };
        let known = self.all.iter().any(|leaf| leaf.path == path && leaf.json == json);
        if path.contains("[*]") {
            self.complete = false;
        }
        if !known {
            self.all.push(Leaf { path: path.to_owned(), json, kind, set: Vec::new(), prefix: None });
        }
    }
}

/// A value as JSON: strings without needless escapes, numbers as they are spelt.
fn canonical_or_spelt(node: &Node<'_>) -> String {
    match &node.value {
        Value::Number(spelt) => (*spelt).to_owned(),
        _ => canonical(node),
    }
}

impl Leaf {
    /// Finds the set and the beginning.
    fn gather<'n>(&mut self, others: impl Iterator<Item = &'n Node<'n>>) {
        let mut set = vec![self.json.clone()];
        let mut texts = Vec::new();
        if let Ok(path) = Path::parse(&self.path) {
            for other in others {
                let mut found = Vec::new();
                reach(other, path.steps(), &mut found);
                for node in found {
                    let same = match (&self.kind, &node.value) {
                        (LeafKind::Text(_), Value::String(text)) => text.exact,
                        (LeafKind::Number, Value::Number(_)) => true,
                        _ => false,
                    };
                    let json = canonical_or_spelt(node);
                    if same && json.len() <= LONGEST && !set.contains(&json) {
                        set.push(json);
                        texts.extend(node.as_str().map(str::to_owned));
                    }
                }
            }
        }
        if (2..=SET).contains(&set.len()) {
            self.set = set;
        } else {
            texts.clear();
        }
        if let LeafKind::Text(text) = &self.kind {
            self.prefix = prefix(text, &texts).map(|prefix| format!("^{}", regex::escape(prefix)));
        }
    }

    /// The set as a JSON array.
    pub(super) fn set_json(&self) -> Option<String> {
        (!self.set.is_empty()).then(|| format!("[{}]", self.set.join(", ")))
    }

    /// The pattern as JSON.
    pub(super) fn prefix_json(&self) -> Option<String> {
        self.prefix.as_deref().map(quoted)
    }

    /// The least and the greatest number of it and its set, as they are spelt.
    pub(super) fn bounds(&self) -> Option<(&str, &str)> {
        if self.kind != LeafKind::Number {
            return None;
        }
        let (own, json) = (Amount::parse(&self.json)?, self.json.as_str());
        let (mut least, mut most) = ((own, json), (own, json));
        for spelt in &self.set {
            let one = (Amount::parse(spelt)?, spelt.as_str());
            if one.0 < least.0 {
                least = one;
            }
            if one.0 > most.0 {
                most = one;
            }
        }
        Some((least.1, most.1))
    }

    /// The reaches that this value has, the narrowest first.
    pub(super) fn reaches(&self) -> Vec<Reach> {
        let mut reaches = vec![Reach::Exact];
        if !self.set.is_empty() {
            reaches.push(Reach::Set);
        }
        if self.prefix.is_some() {
            reaches.push(Reach::Prefix);
        }
        if self.bounds().is_some() {
            reaches.push(Reach::Range);
        }
        reaches
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// The values at a path that are recorded as they were.
fn reach<'n, 't>(node: &'n Node<'t>, steps: &[Step], found: &mut Vec<&'n Node<'t>>) {
    if kept(node) != Kept::Value {
        return;
    }
    let Some((step, rest)) = steps.split_first() else { return found.push(node) };
    match (step, &node.value) {
        (Step::Name(name) | Step::Number { text: name, .. }, Value::Object(_)) => {
            if let Some(next) = node.get(name) {
                reach(next, rest, found);
            }
        }
        (Step::Number { index, .. }, Value::Array(items)) => {
            if let Some(next) = items.get(*index) {
                reach(next, rest, found);
            }
        }
        (Step::Each, Value::Array(items)) => items.iter().for_each(|next| reach(next, rest, found)),
        _ => {}
    }
}

/// The longest beginning of a text that ends where a part of it ends, and that all others share.
fn prefix<'t>(text: &'t str, others: &[String]) -> Option<&'t str> {
    let ends = |marks: &[char]| {
        let mut ends: Vec<usize> = text
            .char_indices()
            .filter(|(at, c)| marks.contains(c) && at + c.len_utf8() < text.len())
            .map(|(at, c)| at + c.len_utf8())
            .collect();
        ends.reverse();
        ends
    };
    // A folder says more than a word does.
    [&['/', ':', '\\'][..], &['@', '.', '-', '_', ' ', '=', '#']].into_iter().find_map(|marks| {
        ends(marks).into_iter().filter_map(|end| text.get(..end)).find(|prefix| {
            prefix.chars().count() >= SHORTEST_PREFIX && others.iter().all(|other| other.starts_with(*prefix))
        })
    })
}
