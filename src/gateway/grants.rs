//! Grants: who may use which server, by which policy.

use std::path::PathBuf;
use std::sync::Arc;

use crate::time::Timestamp;
use crate::token::{self, TokenDigest};

/// An identity's permission to use one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its label, which no other grant has.
    pub label: String,
    /// The server's name.
    pub server: String,
    /// The policy that decides its calls.
    pub policy: PathBuf,
    /// The policy that is evaluated beside it.
    pub shadow: Option<PathBuf>,
    /// Its token's digest.
    pub digest: TokenDigest,
    /// From then on it allows nothing.
    pub expires: Option<Timestamp>,
}

impl Grant {
    /// Whether it has not ended at `now`.
    pub fn stands(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// All grants of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Arc<Grant>>);

impl Grants {
    /// Of these, in their order; labels differ.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        Self(grants.into_iter().map(Arc::new).collect())
    }

    /// The grant for `server` that `token` belongs to, unless it has ended. Every grant of the
    /// gateway is compared, whatever the server, in a time that tells nothing about any of them.
    pub fn find(&self, server: &str, token: &str, now: Timestamp) -> Option<Arc<Grant>> {
        let given = TokenDigest::of(token);
        let mut found = None;
        for grant in &self.0 {
            let same = std::hint::black_box(grant.digest.is(&given));
            if same && grant.server == server {
                found = Some(grant);
            }
        }
        found.filter(|grant| token::has_shape(token) && grant.stands(now)).cloned()
    }

    /// Whether a grant that was found earlier is still one: neither ended, nor revoked, nor given
    /// another token or server.
    pub fn still_has(&self, grant: &Grant, now: Timestamp) -> bool {
        self.get(&grant.label).is_some_and(|present| {
            present.server == grant.server && present.digest == grant.digest && present.stands(now)
        })
    }

    /// The grant of this label, ended or not.
    pub fn get(&self, label: &str) -> Option<&Arc<Grant>> {
        self.0.iter().find(|grant| grant.label == label)
    }

    /// All of them, ended or not.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(label: &str, server: &str, token: &str, expires: Option<i64>) -> Grant {
        Grant {
            label: label.to_owned(),
            server: server.to_owned(),
            policy: PathBuf::from("p.json"),
            shadow: None,
            digest: TokenDigest::of(token),
            expires: expires.map(Timestamp::from_secs),
        }
    }

    #[test]
    fn a_token_opens_its_own_server_until_it_ends() {
        let tokens: Vec<String> = (0..4_u8).map(|n| token::text(&[n; 32])).collect();
        let grants = Grants::new([
            grant("a", "docker", &tokens[0], None),
            grant("b", "docker", &tokens[1], Some(100)),
            grant("c", "pay", &tokens[0], None),
            grant("odd", "docker", "no token's shape", None),
        ]);
        let found = |server: &str, token: &str, now: i64| {
            grants.find(server, token, Timestamp::from_secs(now)).map(|grant| grant.label.clone())
        };
        assert_eq!(found("docker", &tokens[0], 0).as_deref(), Some("a"));
        assert_eq!(found("pay", &tokens[0], 0).as_deref(), Some("c"));
        assert_eq!(found("docker", &tokens[1], 99).as_deref(), Some("b"));
        assert_eq!(found("docker", &tokens[1], 100), None, "it has ended");
        assert_eq!(found("pay", &tokens[1], 0), None, "another server's");
        assert_eq!(found("docker", &tokens[2], 0), None, "nobody's");
        assert_eq!(found("docker", "no token's shape", 0), None);
        assert_eq!(found("docker", &TokenDigest::of(&tokens[0]).hex(), 0), None, "the digest is no token");
        assert_eq!(found("docker", "", 0), None);
    }

    #[test]
    fn what_was_found_may_stand_no_more() {
        let (one, two) = (token::text(&[1; 32]), token::text(&[2; 32]));
        let found = grant("a", "docker", &one, None);
        let now = Timestamp::from_secs(50);
        let still = |grants: Vec<Grant>| Grants::new(grants).still_has(&found, now);
        assert!(still(vec![grant("a", "docker", &one, None)]));
        assert!(still(vec![grant("a", "docker", &one, Some(51))]));
        assert!(!still(vec![grant("a", "docker", &one, Some(50))]), "ended");
        assert!(!still(vec![grant("a", "docker", &two, None)]), "another token");
        assert!(!still(vec![grant("a", "pay", &one, None)]), "another server");
        assert!(!still(vec![grant("b", "docker", &one, None)]), "gone");
    }
}
