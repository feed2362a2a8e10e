//! How a text is laid out, learnt from the text itself.

use super::tree::{Container, New, Tree, after_newline};

/// What surrounds a container.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// Indentation of the line that it begins on.
    pub(super) indent: String,
    /// When it is empty: stay on one line.
    pub(super) inline: bool,
}

/// The habits of a text.
#[derive(Debug, Clone)]
pub(super) struct Style {
    newline: &'static str,
    /// One step of indentation; `None` when the whole text is one line.
    unit: Option<String>,
    colon: String,
    separator: String,
    object_pad: String,
    array_pad: String,
    /// Objects of scalars on one line.
    objects_inline: bool,
    /// Arrays of scalars on one line.
    arrays_inline: bool,
    /// Short arrays of such objects on one line.
    lists_inline: bool,
}

impl Style {
    /// Learns the habits of a text; `root` is its tree.
    pub(super) fn of(text: &str, root: &Container<'_>) -> Self {
        let mut seen = Seen::default();
        seen.look(root, "", true, 0);
        let crlf = text.find('\n').is_some_and(|at| text.as_bytes().get(at.wrapping_sub(1)) == Some(&b'\r'));
        let one_line = seen.unit.is_none() && !text.trim().is_empty() && !text.trim().contains('\n');
        let unit = if one_line { None } else { Some(seen.unit.unwrap_or_else(|| "  ".to_owned())) };
        let colon = seen.colon.unwrap_or_else(|| ": ".to_owned());
        let spaced = if colon.ends_with(' ') { " " } else { "" };
        Self {
            newline: if crlf { "\r\n" } else { "\n" },
            unit,
            separator: seen.separator.unwrap_or_else(|| spaced.to_owned()),
            colon,
            object_pad: seen.object_pad.unwrap_or_default(),
            array_pad: seen.array_pad.unwrap_or_default(),
            objects_inline: seen.objects_inline.unwrap_or(false),
            arrays_inline: seen.arrays_inline.unwrap_or(false),
            lists_inline: seen.lists_inline.unwrap_or(false),
        }
    }

    pub(super) fn one_line(&self) -> bool {
        self.unit.is_none()
    }

    pub(super) fn unit(&self) -> &str {
        self.unit.as_deref().unwrap_or("")
    }

    pub(super) fn newline(&self) -> &'static str {
        self.newline
    }

    pub(super) fn colon(&self) -> &str {
        &self.colon
    }

    pub(super) fn separator(&self) -> &str {
        &self.separator
    }

    pub(super) fn pad(&self, object: bool) -> &str {
        if object { &self.object_pad } else { &self.array_pad }
    }

    /// Whether a new value is habitually written on one line.
    pub(super) fn inline(&self, new: &New) -> bool {
        self.one_line()
            || match new {
                New::Leaf(_) => true,
                New::Object(_) => self.objects_inline && new.is_flat(),
                New::Array(_) if new.is_flat() => self.arrays_inline,
                New::Array(items) => {
                    self.lists_inline
                        && self.objects_inline
                        && items.len() < 2
                        && items.iter().all(New::is_flat)
                }
            }
    }
}

/// Whether a tree is what people write on one line.
fn is_flat(tree: &Tree<'_>, objects: bool) -> bool {
    match tree {
        Tree::Leaf(_) => true,
        Tree::Array(array) => array.items.iter().all(|item| matches!(item.value, Tree::Leaf(_))),
        Tree::Object(object) => objects && object.items.iter().all(|item| is_flat(&item.value, false)),
    }
}

/// The first example of each habit.
#[derive(Default)]
struct Seen {
    unit: Option<String>,
    colon: Option<String>,
    separator: Option<String>,
    object_pad: Option<String>,
    array_pad: Option<String>,
    objects_inline: Option<bool>,
    arrays_inline: Option<bool>,
    lists_inline: Option<bool>,
}

impl Seen {
    fn done(&self) -> bool {
        self.unit.is_some()
            && self.colon.is_some()
            && self.separator.is_some()
            && self.object_pad.is_some()
            && self.array_pad.is_some()
            && self.objects_inline.is_some()
            && self.arrays_inline.is_some()
            && self.lists_inline.is_some()
    }

    fn look(&mut self, container: &Container<'_>, indent: &str, object: bool, depth: usize) {
        if self.done() {
            return;
        }
        let multi = container.items.iter().any(|item| item.before.contains('\n'));
        if let Some(first) = container.items.first()
            && !multi
        {
            let pad = if object { &mut self.object_pad } else { &mut self.array_pad };
            pad.get_or_insert_with(|| first.before.clone().into_owned());
            if let Some(second) = container.items.get(1) {
                self.separator.get_or_insert_with(|| second.before.clone().into_owned());
            }
        }
        let leaves = |tree: &Tree<'_>| matches!(tree, Tree::Leaf(_));
        let flat =
            container.items.iter().all(|item| leaves(&item.value) || (object && is_flat(&item.value, false)));
        if depth > 0 && flat && !container.items.is_empty() {
            let habit = if object { &mut self.objects_inline } else { &mut self.arrays_inline };
            habit.get_or_insert(!multi);
        }
        let holds_objects = !object && container.items.iter().all(|item| is_flat(&item.value, true));
        if holds_objects && !flat {
            self.lists_inline.get_or_insert_with(|| {
                container.items.iter().all(|item| item.value.is_single_line()) && !multi
            });
        }
        for item in &container.items {
            let line = after_newline(&item.before);
            if let Some(inner) = line
                && self.unit.is_none()
            {
                self.unit = Some(inner.strip_prefix(indent).unwrap_or(inner).to_owned());
            }
            if let Some(key) = &item.key
                && !key.colon.contains('\n')
            {
                self.colon.get_or_insert_with(|| key.colon.clone().into_owned());
            }
            match &item.value {
                Tree::Object(inner) => self.look(inner, line.unwrap_or(indent), true, depth + 1),
                Tree::Array(inner) => self.look(inner, line.unwrap_or(indent), false, depth + 1),
                Tree::Leaf(_) => {}
            }
        }
    }
}
