//! What stands in the place of values that were not kept, for those who decide on them again.

use std::cell::Cell;

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
    let find = |needle: &[u8]| memchr::memmem::find(args.as_bytes(), needle).is_some();
    find(br#"{"masked":"hmac-sha256:"#) || find(br#"{"cut":"#)
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
