//! What is known of one place in a tool's arguments.

use super::numbers::Numbers;
use super::text::Texts;
use crate::json::{Node, Value};
use crate::policy::path;
use crate::record::mask::{Kept, kept};

/// How deep arguments are looked into.
const DEEPEST: usize = 6;
/// How many members of one object are told apart.
const MOST_MEMBERS: usize = 100;

/// A place in the arguments, with the places below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    /// How often there was a value other than null.
    pub(super) present: u64,
    /// How often there was null.
    nulls: u64,
    /// How often the value was not recorded, or not exactly.
    lost: u64,
    pub(super) texts: Texts,
    pub(super) numbers: Numbers,
    pub(super) bools: [u64; 2],
    objects: u64,
    arrays: u64,
    /// Arrays without an element.
    empty: u64,
    pub(super) most_elements: usize,
    members: Vec<(String, Field)>,
    /// There were more members than are told apart.
    crowded: bool,
    element: Option<Box<Field>>,
}

/// A place with what is above it.
#[derive(Debug, Clone)]
pub(super) struct Spot<'f> {
    pub(super) path: String,
    pub(super) field: &'f Field,
    /// Whether every call has it.
    pub(super) always: bool,
    /// Whether an array lies on the way.
    pub(super) ranges: bool,
}

impl Field {
    /// A value that was not recorded, so often.
    pub(super) fn lost(&mut self, times: u64) {
        self.lost += times;
    }

    /// No arguments, which are an object without members, so often.
    pub(super) fn see_nothing(&mut self, times: u64) {
        self.present += times;
        self.objects += times;
    }

    /// A value that came so often.
    pub(super) fn see(&mut self, node: &Node<'_>, depth: usize, times: u64) {
        if kept(node) != Kept::Value {
            self.lost += times;
            return;
        }
        match &node.value {
            Value::Null if depth == 0 => self.see_nothing(times),
            Value::Null => self.nulls += times,
            Value::Bool(value) => {
                self.present += times;
                let [no, yes] = &mut self.bools;
                *(if *value { yes } else { no }) += times;
            }
            Value::Number(spelt) => {
                self.present += times;
                self.numbers.see(spelt, times);
            }
            Value::String(text) if text.exact => {
                self.present += times;
                self.texts.see(text.as_str(), times);
            }
            Value::String(_) => self.lost += times,
            Value::Array(items) => {
                self.present += times;
                self.arrays += times;
                self.empty += if items.is_empty() { times } else { 0 };
                self.most_elements = self.most_elements.max(items.len());
                if depth < DEEPEST && !items.is_empty() {
                    let element = self.element.get_or_insert_default();
                    for item in items {
                        element.see(item, depth + 1, times);
                    }
                }
            }
            Value::Object(members) => {
                self.present += times;
                self.objects += times;
                if depth >= DEEPEST {
                    return;
                }
                for (index, member) in members.iter().enumerate() {
                    if !member.key.exact {
                        self.lost += times;
                    } else if let Some(field) = self.member(member.key.as_str(), index) {
                        field.see(&member.value, depth + 1, times);
                    }
                }
            }
        }
    }

    /// The place of a member. Agents write them in the same order again and again.
    fn member(&mut self, name: &str, guess: usize) -> Option<&mut Field> {
        let there = |entry: &(String, Field)| entry.0 == name;
        let index = match self.members.get(guess).filter(|entry| there(entry)) {
            Some(_) => guess,
            None => match self.members.iter().position(there) {
                Some(index) => index,
                None if self.members.len() >= MOST_MEMBERS => {
                    self.crowded = true;
                    return None;
                }
                None => {
                    self.members.push((name.to_owned(), Field::default()));
                    self.members.len() - 1
                }
            },
        };
        self.members.get_mut(index).map(|(_, field)| field)
    }

    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.present
    }

    /// Whether something of it was not recorded: nothing may be said of it then.
    pub(super) fn is_lost(&self) -> bool {
        self.lost > 0
    }

    /// The one type of all values; `None` where there are several, or none.
    pub(super) fn only_type(&self) -> Option<&'static str> {
        let [no, yes] = self.bools;
        let counts = [
            (self.texts.count, "string"),
            (self.numbers.count, "number"),
            (no + yes, "boolean"),
            (self.objects, "object"),
            (self.arrays, "array"),
        ];
        let mut found = counts.into_iter().filter(|(count, _)| *count > 0);
        match (found.next(), found.next()) {
            (Some((_, name)), None) => Some(name),
            _ => None,
        }
    }

    /// Every place below that conditions can name, in the order in which they first came. This is
    /// the arguments as a whole.
    pub(super) fn spots(&self) -> Vec<Spot<'_>> {
        let mut spots = Vec::new();
        let root = Spot { path: "args".to_owned(), field: self, always: true, ranges: false };
        below(&root, &mut spots);
        spots
    }
}

fn below<'f>(spot: &Spot<'f>, spots: &mut Vec<Spot<'f>>) {
    let field = spot.field;
    // Where another type may stand, or something not recorded, nothing below can be reached surely.
    if field.is_lost() {
        return;
    }
    match field.only_type() {
        Some("object") => {
            for (name, member) in &field.members {
                let mut path = format!("{}.", spot.path);
                path::escape(name, &mut path);
                if name.is_empty() || path::Path::parse(&path).is_err() {
                    continue;
                }
                let always = spot.always && member.nulls == 0 && member.present == field.objects;
                let next = Spot { path, field: member, always, ranges: spot.ranges };
                spots.push(next.clone());
                below(&next, spots);
            }
        }
        Some("array") => {
            if let Some(element) = &field.element {
                let always = spot.always && field.empty == 0 && element.nulls == 0;
                let path = format!("{}[*]", spot.path);
                let next = Spot { path, field: element, always, ranges: true };
                if path::Path::parse(&next.path).is_ok() {
                    spots.push(next.clone());
                    below(&next, spots);
                }
            }
        }
        _ => {}
    }
}
