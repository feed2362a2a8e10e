//! A JSON text as a tree that prints back byte for byte, and whose parts can be put in, taken out
//! and changed with nothing else moving.
//!
//! White space belongs to the items of a container: what stands before each, and what stands
//! between its value and the next comma or bracket. What is new is laid out as its neighbours are.

use std::borrow::Cow;

use super::style::{Context, Style};
use crate::json::canonical::quote;
use crate::json::{self, Node, Value};

/// One value with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree<'t> {
    /// A scalar as it is spelt.
    Leaf(Cow<'t, str>),
    Object(Container<'t>),
    Array(Container<'t>),
}

/// The inside of an object or array.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Container<'t> {
    pub(super) items: Vec<Item<'t>>,
    /// What stands between the brackets when there is no item.
    inner: Cow<'t, str>,
}

/// A member or element.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item<'t> {
    /// White space before it.
    pub(super) before: Cow<'t, str>,
    pub(super) key: Option<Key<'t>>,
    pub(super) value: Tree<'t>,
    /// White space after it.
    pub(super) after: Cow<'t, str>,
}

/// A member's name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key<'t> {
    /// With its quotes, as it is spelt.
    raw: Cow<'t, str>,
    /// Decoded.
    pub(super) name: Cow<'t, str>,
    /// From the closing quote to the value.
    pub(super) colon: Cow<'t, str>,
}

/// A value to be written, without any layout.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum New {
    /// A scalar's JSON text.
    Leaf(String),
    Object(Vec<(String, New)>),
    Array(Vec<New>),
}

impl New {
    pub(super) fn string(text: &str) -> Self {
        let mut out = String::with_capacity(text.len() + 2);
        quote(text, &mut out);
        Self::Leaf(out)
    }

    pub(super) fn from_node(node: &Node<'_>, text: &str) -> Self {
        match &node.value {
            Value::Object(members) => {
                let member = |member: &json::Member<'_>| {
                    (member.key.value.clone().into_owned(), Self::from_node(&member.value, text))
                };
                Self::Object(members.iter().map(member).collect())
            }
            Value::Array(items) => {
                Self::Array(items.iter().map(|item| Self::from_node(item, text)).collect())
            }
            _ => Self::Leaf(node.span.of(text).to_owned()),
        }
    }

    /// Whether it is a scalar, an array of scalars, or an object of such: what people write on one
    /// line.
    pub(super) fn is_flat(&self) -> bool {
        match self {
            Self::Leaf(_) => true,
            Self::Object(members) => {
                members.iter().all(|(_, value)| !matches!(value, Self::Object(_)) && value.is_flat())
            }
            Self::Array(items) => items.iter().all(|value| matches!(value, Self::Leaf(_))),
        }
    }
}

impl<'t> Tree<'t> {
    /// The tree of a node of `text`.
    pub(super) fn of(node: &Node<'t>, text: &'t str) -> Self {
        let slice = |from: usize, to: usize| Cow::Borrowed(text.get(from..to).unwrap_or(""));
        let mut at = node.span.start + 1;
        let white = |from: usize| {
            let rest = text.get(from..).unwrap_or("");
            from + rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
        };
        let end = node.span.end.saturating_sub(1);
        match &node.value {
            Value::Object(members) => {
                let mut items = Vec::with_capacity(members.len());
                for member in members {
                    let stop = white(member.value.span.end);
                    items.push(Item {
                        before: slice(at, member.key_span.start),
                        key: Some(Key {
                            raw: slice(member.key_span.start, member.key_span.end),
                            name: member.key.value.clone(),
                            colon: slice(member.key_span.end, member.value.span.start),
                        }),
                        value: Self::of(&member.value, text),
                        after: slice(member.value.span.end, stop),
                    });
                    at = stop + 1;
                }
                let inner = if items.is_empty() { slice(at, end) } else { Cow::Borrowed("") };
                Self::Object(Container { items, inner })
            }
            Value::Array(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for item in nodes {
                    let stop = white(item.span.end);
                    items.push(Item {
                        before: slice(at, item.span.start),
                        key: None,
                        value: Self::of(item, text),
                        after: slice(item.span.end, stop),
                    });
                    at = stop + 1;
                }
                let inner = if items.is_empty() { slice(at, end) } else { Cow::Borrowed("") };
                Self::Array(Container { items, inner })
            }
            _ => Self::Leaf(slice(node.span.start, node.span.end)),
        }
    }

    /// A new value at a line indented by `indent`.
    pub(super) fn build(new: &New, style: &Style, indent: &str, inline: bool) -> Self {
        let inline = inline || style.inline(new);
        let (object, len) = match new {
            New::Leaf(text) => return Self::Leaf(Cow::Owned(text.clone())),
            New::Object(members) => (true, members.len()),
            New::Array(items) => (false, items.len()),
        };
        let inner_indent = format!("{indent}{}", style.unit());
        let item = |index: usize, key: Option<&str>, value: &New| {
            let (before, after) = if inline {
                let pad = style.pad(object);
                (if index == 0 { pad } else { style.separator() }, if index + 1 == len { pad } else { "" })
            } else {
                ("", "")
            };
            let (mut before, mut after) = (before.to_owned(), after.to_owned());
            if !inline {
                before = format!("{}{inner_indent}", style.newline());
                if index + 1 == len {
                    after = format!("{}{indent}", style.newline());
                }
            }
            Item {
                before: Cow::Owned(before),
                key: key.map(|name| Key::new(name, style)),
                value: Self::build(value, style, &inner_indent, inline),
                after: Cow::Owned(after),
            }
        };
        let items: Vec<Item<'_>> = match new {
            New::Object(members) => members
                .iter()
                .enumerate()
                .map(|(index, (key, value))| item(index, Some(key), value))
                .collect(),
            New::Array(items) => {
                items.iter().enumerate().map(|(index, value)| item(index, None, value)).collect()
            }
            New::Leaf(_) => Vec::new(),
        };
        let container = Container { items, inner: Cow::Borrowed("") };
        if object { Self::Object(container) } else { Self::Array(container) }
    }

    pub(super) fn container(&self) -> Option<&Container<'t>> {
        match self {
            Self::Leaf(_) => None,
            Self::Object(container) | Self::Array(container) => Some(container),
        }
    }

    pub(super) fn object(&self) -> Option<&Container<'t>> {
        if let Self::Object(container) = self { Some(container) } else { None }
    }

    pub(super) fn array(&self) -> Option<&Container<'t>> {
        if let Self::Array(container) = self { Some(container) } else { None }
    }

    /// The decoded string, when this is one.
    pub(super) fn as_str(&self) -> Option<String> {
        match self {
            Self::Leaf(raw) if raw.starts_with('"') => {
                json::parse(raw).ok()?.root.as_str().map(str::to_owned)
            }
            _ => None,
        }
    }

    /// Whether it stands on one line.
    pub(super) fn is_single_line(&self) -> bool {
        self.container().is_none_or(|container| {
            !container.inner.contains('\n')
                && container.items.iter().all(|item| {
                    !item.before.contains('\n') && !item.after.contains('\n') && item.value.is_single_line()
                })
        })
    }

    /// Whether it says the same, however it is spelt and laid out; order of members aside.
    pub(super) fn says(&self, new: &New) -> bool {
        match (self, new) {
            (Self::Leaf(raw), New::Leaf(text)) => {
                raw == text
                    || (raw.starts_with('"')
                        && text.starts_with('"')
                        && self.as_str() == Tree::Leaf(Cow::Borrowed(text)).as_str())
            }
            (Self::Array(container), New::Array(items)) => {
                container.items.len() == items.len()
                    && container.items.iter().zip(items).all(|(item, new)| item.value.says(new))
            }
            (Self::Object(container), New::Object(members)) => {
                container.items.len() == members.len()
                    && members
                        .iter()
                        .all(|(key, new)| container.get(key).is_some_and(|value| value.says(new)))
            }
            _ => false,
        }
    }

    /// Makes it say `new`, changing only the parts that differ.
    pub(super) fn merge(&mut self, new: &New, style: &Style, context: &Context) {
        if self.says(new) {
            return;
        }
        match (&mut *self, new) {
            (Self::Object(container), New::Object(members)) => {
                let gone = |item: &Item<'_>| !members.iter().any(|(key, _)| item.is(key));
                container.retain(|item| !gone(item));
                let order: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
                for (key, value) in members {
                    if let Some(index) = container.position(key) {
                        let context = container.context(index, context, style);
                        if let Some(item) = container.items.get_mut(index) {
                            item.value.merge(value, style, &context);
                        }
                    } else {
                        container.insert_member(key, value, &order, style, context);
                    }
                }
            }
            (Self::Array(container), New::Array(values)) => container.merge_elements(values, style, context),
            (old, new) => {
                *old = Self::build(new, style, &context.indent, context.inline || old.is_single_line());
            }
        }
    }

    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Leaf(raw) => out.push_str(raw),
            Self::Object(container) => container.print('{', '}', out),
            Self::Array(container) => container.print('[', ']', out),
        }
    }
}

impl Key<'_> {
    fn new(name: &str, style: &Style) -> Self {
        let mut raw = String::with_capacity(name.len() + 2);
        quote(name, &mut raw);
        Self {
            raw: Cow::Owned(raw),
            name: Cow::Owned(name.to_owned()),
            colon: Cow::Owned(style.colon().to_owned()),
        }
    }
}

impl Item<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.key.as_ref().is_some_and(|key| key.name == name)
    }
}

impl<'t> Container<'t> {
    fn print(&self, open: char, close: char, out: &mut String) {
        out.push(open);
        out.push_str(&self.inner);
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&item.before);
            if let Some(key) = &item.key {
                out.push_str(&key.raw);
                out.push_str(&key.colon);
            }
            item.value.print(out);
            out.push_str(&item.after);
        }
        out.push(close);
    }

    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.items.iter().position(|item| item.is(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Tree<'t>> {
        Some(&self.items.get(self.position(key)?)?.value)
    }

    /// Whether its items stand on lines of their own. A look at three is enough, so that many
    /// edits of a large container stay cheap.
    fn is_multi_line(&self) -> bool {
        let ends = [self.items.first(), self.items.get(1), self.items.last()];
        ends.into_iter().flatten().any(|item| item.before.contains('\n'))
    }

    /// What surrounds the value at `index`, given what surrounds this container.
    pub(super) fn context(&self, index: usize, outer: &Context, style: &Style) -> Context {
        let Some(item) = self.items.get(index) else { return outer.clone() };
        let indent = after_newline(&item.before).map_or_else(|| outer.indent.clone(), str::to_owned);
        // Only an empty container has to be told how to grow.
        let empty = item.value.container().is_some_and(|container| container.items.is_empty());
        let inline = empty
            && (style.one_line()
                || !self.is_multi_line()
                || self.precedent(&item.value, index).unwrap_or(false));
        Context { indent, inline }
    }

    /// Whether the neighbours of the same kind stand on one line; `None` when there are none.
    fn precedent(&self, like: &Tree<'_>, index: usize) -> Option<bool> {
        const NEAR: usize = 4;
        let near = self.items.get(index.saturating_sub(NEAR)..).unwrap_or_default().iter().take(2 * NEAR);
        let mut answer = None;
        for item in near {
            let alike = std::mem::discriminant(&item.value) == std::mem::discriminant(like);
            if alike && item.value.container().is_some_and(|container| !container.items.is_empty()) {
                if !item.value.is_single_line() {
                    return Some(false);
                }
                answer = Some(true);
            }
        }
        answer
    }

    /// Puts a member where `order` wants it: after the last present one that comes before it.
    pub(super) fn insert_member(
        &mut self,
        key: &str,
        value: &New,
        order: &[&str],
        style: &Style,
        context: &Context,
    ) -> usize {
        let mut index = 0;
        for earlier in order.iter().take_while(|other| **other != key) {
            if let Some(position) = self.position(earlier) {
                index = index.max(position + 1);
            }
        }
        self.insert(index, Some(key), value, style, context);
        index
    }

    /// Puts an item in at `index`, laid out like its neighbours.
    pub(super) fn insert(
        &mut self,
        index: usize,
        key: Option<&str>,
        value: &New,
        style: &Style,
        context: &Context,
    ) {
        let len = self.items.len();
        let index = index.min(len);
        let object = key.is_some();
        let multi = if len == 0 { !context.inline } else { self.is_multi_line() };
        let indent = if multi {
            let model = self.items.get(index.saturating_sub(1)).or(self.items.last());
            let model = model.and_then(|item| after_newline(&item.before));
            let other = || self.items.iter().rev().take(3).find_map(|item| after_newline(&item.before));
            model.or_else(other).map_or_else(|| format!("{}{}", context.indent, style.unit()), str::to_owned)
        } else {
            context.indent.clone()
        };
        let line = format!("{}{indent}", style.newline());
        let beside = self
            .items
            .get(1)
            .map_or_else(|| style.separator().to_owned(), |item| item.before.clone().into_owned());
        let between = if multi { line } else { beside };
        let kind = match value {
            New::Leaf(_) => Tree::Leaf(Cow::Borrowed("")),
            New::Object(_) => Tree::Object(Container::default()),
            New::Array(_) => Tree::Array(Container::default()),
        };
        let inline = style.one_line() || self.precedent(&kind, index).unwrap_or(!multi);
        let value = Tree::build(value, style, &indent, inline);
        let (before, after): (Cow<'t, str>, Cow<'t, str>) = if len == 0 {
            self.inner = Cow::Borrowed("");
            if multi {
                (Cow::Owned(between), Cow::Owned(format!("{}{}", style.newline(), context.indent)))
            } else {
                let pad = style.pad(object);
                (Cow::Owned(pad.to_owned()), Cow::Owned(pad.to_owned()))
            }
        } else if index == len {
            let after = self.items.last_mut().map(|last| std::mem::take(&mut last.after)).unwrap_or_default();
            (Cow::Owned(between), after)
        } else if index == 0 {
            let mut before: Cow<'t, str> = Cow::Owned(between.clone());
            if let Some(first) = self.items.first_mut() {
                before = first.before.clone();
                if !multi || !first.before.contains('\n') {
                    first.before = Cow::Owned(between);
                }
            }
            (before, Cow::Borrowed(""))
        } else {
            (Cow::Owned(between), Cow::Borrowed(""))
        };
        self.items.insert(index, Item { before, key: key.map(|name| Key::new(name, style)), value, after });
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, index: usize) {
        let mut at = 0;
        self.retain(|_| {
            at += 1;
            at != index + 1
        });
    }

    /// Takes out what `keep` does not want, in one pass.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Item<'t>) -> bool) {
        let len = self.items.len();
        let before = self.items.first().map(|item| item.before.clone()).unwrap_or_default();
        let after = self.items.last().map(|item| item.after.clone()).unwrap_or_default();
        self.items.retain(|item| keep(item));
        if self.items.len() < len {
            if let Some(first) = self.items.first_mut() {
                first.before = before;
            }
            if let Some(last) = self.items.last_mut() {
                last.after = after;
            }
        }
    }

    /// Moves an item; the white space stays where it is.
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        let mut at = from;
        while at != to {
            let next = if to > at { at + 1 } else { at - 1 };
            let (low, high) = (at.min(next), at.max(next));
            if let Some([left, right]) = self.items.get_mut(low..=high) {
                std::mem::swap(&mut left.key, &mut right.key);
                std::mem::swap(&mut left.value, &mut right.value);
            }
            at = next;
        }
    }

    fn merge_elements(&mut self, values: &[New], style: &Style, context: &Context) {
        let same = |item: &Item<'_>, new: &New| item.value.says(new);
        let head = self.items.iter().zip(values).take_while(|(item, new)| same(item, new)).count();
        let spare = self.items.len().min(values.len()) - head;
        let tail = self.items.iter().rev().zip(values.iter().rev()).take(spare);
        let tail = tail.take_while(|(item, new)| same(item, new)).count();
        let (old_end, new_end) = (self.items.len() - tail, values.len() - tail);
        for index in head..old_end.min(new_end) {
            let context = self.context(index, context, style);
            if let (Some(item), Some(new)) = (self.items.get_mut(index), values.get(index)) {
                item.value.merge(new, style, &context);
            }
        }
        for index in (new_end..old_end).rev() {
            self.remove(index);
        }
        for index in old_end..new_end {
            if let Some(new) = values.get(index) {
                self.insert(index, None, new, style, context);
            }
        }
    }
}

/// The indentation that a piece of white space ends with, when it begins a line.
pub(super) fn after_newline(white: &str) -> Option<&str> {
    white.rsplit_once('\n').map(|(_, indent)| indent)
}
