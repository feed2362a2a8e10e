//! What stands in the place of values that were not kept, for those who decide on them again.

use std::cell::Cell;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json::{Node, Value};
use crate::policy::veil::{Veil, Veiled};
use crate::record::mask::{Kept, Masker, kept};

/// Recorded arguments that hold masks or cuts.
#[derive(Debug)]
pub(super) struct Masks<'m> {
    /// With the key under which they were masked; without one no mask can be told from another.
    masker: Option<&'m Masker>,
    met: Cell<bool>,
}

impl<'m> Masks<'m> {
    pub(super) fn new(masker: Option<&'m Masker>) -> Self {
        Self { masker, met: Cell::new(false) }
    }

    /// Whether something was needed that was not kept, since this was last asked.
    pub(super) fn take_met(&self) -> bool {
        self.met.take()
    }
}

/// Whether arguments may hold a mask or a cut: both are written in one way only, and what an agent
/// sends in their form is masked itself.
pub(super) fn may_hold(args: &str) -> bool {
    /// Prepared once: millions of calls are asked.
    static FORMS: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new(br#"{"masked":"hmac-sha256:"#), Finder::new(br#"{"cut":"#)]);
    FORMS.iter().any(|form| form.find(args.as_bytes()).is_some())
}

impl Veil for Masks<'_> {
    fn veiled<'n>(&self, node: &'n Node<'_>) -> Option<Veiled<'n>> {
        match kept(node) {
            Kept::Value => None,
            Kept::Masked { type_name, digest } => Some(Veiled::Masked { type_name, digest }),
            Kept::Cut => Some(Veiled::Cut),
        }
    }

    fn within(&self, node: &Node<'_>) -> bool {
        let one = |node: &Node<'_>| kept(node) != Kept::Value || self.within(node);
        match &node.value {
            Value::Array(items) => items.iter().any(one),
            Value::Object(members) => members.iter().any(|member| one(&member.value)),
            _ => false,
        }
    }

    fn same(&self, digest: &str, value: &Node<'_>) -> bool {
        if let Some(masker) = self.masker {
            return masker.digest(value) == digest;
        }
        self.met();
        false
    }

    fn met(&self) {
        self.met.set(true);
    }
}
