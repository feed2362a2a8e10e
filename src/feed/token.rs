//! Who may connect to a feed, besides the user's own monitors on this machine.

use super::message::Role;
use crate::time::Timestamp;
use crate::token::TokenDigest;

/// A token that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedToken {
    /// Whose it is.
    pub label: String,
    /// What it allows.
    pub role: Role,
    /// Its digest; nobody keeps the token.
    pub digest: TokenDigest,
    /// From then on it allows nothing.
    pub expires: Option<Timestamp>,
}

impl FeedToken {
    /// Whether it still allows anything at `now`.
    pub fn stands(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}
