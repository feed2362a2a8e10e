//! Arguments of which not everything was kept: recorded calls, whose secrets are masked and whose
//! largest values are cut.
//!
//! Deciding a call that is running looks at the values themselves, through [`Plain`], which costs
//! nothing. Deciding one again from its record asks a [`Veil`] what stands in a value's place: under
//! a mask, `eq`, `neq`, `in`, `not_in` and `exists` are still decided; where anything else meets a
//! mask, or any comparison what was cut, the veil is told and the decision means nothing.

use crate::json::Node;

/// What stands in the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Veiled<'n> {
    /// A mask: equal values have equal digests.
    Masked {
        /// The value's type, as [`Node::type_name`] has it.
        type_name: &'n str,
        /// Its digest.
        digest: &'n str,
    },
    /// Nothing is known but that there was a value other than null.
    Cut,
}

/// What is known of arguments that were not kept whole.
pub trait Veil {
    /// What stands at a node in the place of the value; `None` where the value itself was kept.
    fn veiled<'n>(&self, node: &'n Node<'_>) -> Option<Veiled<'n>>;

    /// Whether anything within a node was not kept.
    fn within(&self, node: &Node<'_>) -> bool;

    /// Whether the masked value with this digest equals a value of the policy, of the same type.
    fn same(&self, digest: &str, value: &Node<'_>) -> bool;

    /// A rule or a limit met something that cannot be told any more.
    fn met(&self);
}

/// Every value is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Veil for Plain {
    #[inline]
    fn veiled<'n>(&self, _node: &'n Node<'_>) -> Option<Veiled<'n>> {
        None
    }

    #[inline]
    fn within(&self, _node: &Node<'_>) -> bool {
        false
    }

    #[inline]
    fn same(&self, _digest: &str, _value: &Node<'_>) -> bool {
        false
    }

    #[inline]
    fn met(&self) {}
}
