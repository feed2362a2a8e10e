//! Reading a document strictly: a key that is not known is named, and so is whatever is missing or of
//! another type. What policies, their tests, their pins and configurations have in common.

use super::diagnostic::{At, Sink, tick};
use super::suggest::closest;
use crate::json::{Member, Node, Span};

/// A kind of object: what messages call it, and its keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(pub(crate) &'static str, pub(crate) &'static [&'static str]);

impl Sink<'_> {
    /// The members of an object, after its unknown keys have been named. `other` has words of other
    /// formats and other places, and what they are here.
    pub(crate) fn object<'n, 'a>(
        &mut self,
        at: &At<'_>,
        node: &'n Node<'a>,
        place: Place,
        other: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<&'n [Member<'a>]> {
        let members = self.members(at, node, place.0)?;
        for member in members {
            let key = member.key.as_str();
            if place.1.contains(&key) {
                continue;
            }
            let help = if let Some(help) = other(key) {
                help.to_owned()
            } else if let Some(meant) = closest(key, place.1.iter().copied()) {
                format!("did you mean `{meant}`?")
            } else {
                let keys: Vec<String> = place.1.iter().map(|key| format!("`{key}`")).collect();
                format!("{} may have {}", place.0, keys.join(", "))
            };
            let message = format!("unknown key {}", tick(key));
            self.error("unknown-key", &at.key(key), member.key_span, message, help);
        }
        Some(members)
    }

    /// The members of an object that may have any.
    pub(crate) fn members<'n, 'a>(
        &mut self,
        at: &At<'_>,
        node: &'n Node<'a>,
        what: &str,
    ) -> Option<&'n [Member<'a>]> {
        let members = node.as_object();
        if members.is_none() {
            self.wrong_type(at, node, what, "an object");
        }
        members
    }

    /// The member that an object of this kind has to have.
    pub(crate) fn needed<'n, 'a>(
        &mut self,
        at: &At<'_>,
        node: &'n Node<'a>,
        place: Place,
        key: &str,
        help: &str,
    ) -> Option<&'n Node<'a>> {
        let found = node.get(key);
        if found.is_none() {
            self.missing(at, node, format!("{} needs `{key}`", place.0), help);
        }
        found
    }

    /// An object lacks something. Only its opening bracket is marked: the whole would say nothing.
    pub(crate) fn missing(&mut self, at: &At<'_>, node: &Node<'_>, message: String, help: &str) {
        let span = Span { start: node.span.start, end: node.span.start + 1 };
        self.error("missing-key", at, span, message, help);
    }

    /// A string.
    pub(crate) fn string(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<String> {
        let text = node.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(at, node, what, "a string");
        }
        text
    }

    /// A string that holds something.
    pub(crate) fn filled(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<String> {
        let text = self.string(at, node, what)?;
        if text.is_empty() {
            self.error("bad-value", at, node.span, format!("{what} is empty"), "");
            return None;
        }
        Some(text)
    }
}
