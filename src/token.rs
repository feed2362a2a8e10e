//! Tokens of grants and feeds: how they look, and how one is recognised by its digest alone.
//!
//! A token is 32 random bytes. Nothing keeps it: configurations hold its SHA-256, which is enough
//! to recognise it, and which nobody can turn back, because there are too many tokens to guess.
//!
//! Pure; the random bytes come in as a value.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every token begins with, so that people and scanners for secrets know one.
pub const PREFIX: &str = "cg_";

/// Characters of a token: the prefix and 32 bytes in base64url.
pub const LENGTH: usize = PREFIX.len() + 43;

/// The token of 32 random bytes.
pub fn text(random: &[u8; 32]) -> String {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(random, &mut text);
    text
}

/// Whether a text has a token's shape. What has not cannot be one, whoever sent it.
pub fn has_shape(text: &str) -> bool {
    let bytes = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    text.len() == LENGTH && text.strip_prefix(PREFIX).is_some_and(bytes)
}

/// The SHA-256 of a token. Prints as eight digits of it only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// From 64 hexadecimal digits in lower case.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let digit = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                *byte = *byte << 4 | digit;
            }
        }
        Some(Self(bytes))
    }

    /// In 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Its first eight digits: enough to tell tokens apart, too few to try tokens against.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(8);
        hex
    }

    /// Whether it is the same, in a time that does not depend on either.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}…", self.short())
    }
}

/// The last of `among` whose digest is the token's. Every one is compared, so that the time tells
/// nothing about which, or how nearly, one fits.
pub fn find<'a, T>(
    token: &str,
    among: impl IntoIterator<Item = &'a T>,
    digest: impl Fn(&T) -> &TokenDigest,
) -> Option<&'a T> {
    let given = TokenDigest::of(token);
    let mut found = None;
    for one in among {
        if std::hint::black_box(digest(one).is(&given)) {
            found = Some(one);
        }
    }
    found
}

/// The token of an `Authorization` header, when its scheme is `Bearer`.
pub fn of_header(value: &[u8]) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    std::str::from_utf8(rest).ok().map(str::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_shape() {
        let token = text(&[0xff; 32]);
        assert_eq!(token, format!("cg_{}8", "_".repeat(42)));
        assert!(has_shape(&token) && has_shape(&text(&[0; 32])));
        for wrong in
            ["", "cg_", &token[..45], &format!("{token}x"), &token.replace('8', "+"), &"x".repeat(46)]
        {
            assert!(!has_shape(wrong), "{wrong}");
        }
    }

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = TokenDigest::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.hex(), hex);
        assert_eq!(TokenDigest::parse(hex), Some(digest));
        assert_eq!(format!("{digest:?}"), "sha256:ba7816bf…");
        for wrong in ["", &hex[1..], &hex.to_uppercase(), &hex.replace('b', "g"), &format!("{hex}0")] {
            assert_eq!(TokenDigest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_found_by_its_digest_only() {
        let all = [("a", TokenDigest::of("one")), ("b", TokenDigest::of("two"))];
        let found = |token: &str| find(token, &all, |(_, digest)| digest).map(|(name, _)| *name);
        assert_eq!(found("one"), Some("a"));
        assert_eq!(found("two"), Some("b"));
        for wrong in ["", "on", "one ", "One", &all[0].1.hex()] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_bearer_headers_hold_one() {
        assert_eq!(of_header(b"Bearer abc"), Some("abc"));
        assert_eq!(of_header(b"bEaReR  abc "), Some("abc"));
        for wrong in [&b"Bearer "[..], b"Bearer", b"abc", b"Basic abc", b"", b"Bearer \xff"] {
            assert_eq!(of_header(wrong), None);
        }
    }
}
