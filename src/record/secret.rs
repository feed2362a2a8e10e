//! What counts as a secret: names of members that hold one, and texts that look like one.
//!
//! The lists are our own. They favour what is shown every day in arguments: a digest, a commit, a
//! page's id, a number of tokens stay readable; what a provider hands out as a key does not.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Shorter texts are not looked at: no key of any use is that short.
const SHORTEST: usize = 16;
/// Longer texts are looked at for known tokens only; a key is not that long.
const LONGEST_KEY: usize = 512;

/// Names with one of these in them, separators and case aside, hold a secret.
const WITHIN: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "privatekey",
    "accesskey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sharedkey",
    "credential",
    "mnemonic",
    "seedphrase",
    "recoveryphrase",
    "recoverycode",
    "connectionstring",
    "authorization",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "bearertoken",
    "cardnumber",
    "creditcard",
];

/// Words that are a secret by themselves.
const ALONE: &[&str] = &[
    "pwd", "pw", "otp", "totp", "pin", "cvv", "cvc", "ssn", "jwt", "bearer", "cookie", "cookies", "dsn",
    "pat", "pass",
];

/// A last word that makes the name speak *about* a secret.
const ABOUT: &[&str] = &[
    "name",
    "names",
    "count",
    "length",
    "policy",
    "required",
    "enabled",
    "type",
    "arn",
    "expires",
    "expiry",
    "expiration",
    "at",
    "version",
    "path",
    "file",
    "url",
    "uri",
    "endpoint",
    "limit",
    "reset",
];

/// Words beside `token` that make it a count, a place in a list, or a currency.
const HARMLESS_TOKEN: &[&str] = &[
    "max",
    "min",
    "num",
    "number",
    "count",
    "counts",
    "limit",
    "total",
    "used",
    "usage",
    "budget",
    "per",
    "prompt",
    "completion",
    "input",
    "output",
    "next",
    "page",
    "pagination",
    "continuation",
    "sync",
    "start",
    "starting",
    "skip",
    "cursor",
    "estimated",
    "reasoning",
    "cached",
    "size",
    "symbol",
    "address",
    "contract",
    "mint",
    "decimals",
    "amount",
    "progress",
    "idempotency",
    "id",
];

/// Words before `key` that make it a secret (`api`, `access` and others are in [`WITHIN`]).
const SECRET_KEY: &[&str] = &[
    "auth",
    "session",
    "license",
    "licence",
    "deploy",
    "account",
    "storage",
    "hmac",
    "aes",
    "rsa",
    "ssh",
    "gpg",
    "pgp",
    "wallet",
    "decryption",
    "symmetric",
    "webhook",
    "bot",
    "server",
];

/// Beginnings of everything in the lists above: a name without one of them holds no secret.
fn has_stem(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let stems: &[&str] = match byte | 0x20 {
            b'p' => &["pass", "pwd", "pw", "pin", "pat", "priv"],
            b's' => &["sec", "ssn", "seed"],
            b't' => &["tok", "totp"],
            b'k' => &["key"],
            b'c' => &["cred", "cook", "cvv", "cvc", "conn", "card"],
            b'a' => &["auth"],
            b'o' => &["otp"],
            b'j' => &["jwt"],
            b'b' => &["bear"],
            b'm' => &["mnem"],
            b'd' => &["dsn"],
            b'r' => &["recov"],
            _ => return false,
        };
        stems.iter().any(|stem| {
            bytes.get(at..at + stem.len()).is_some_and(|part| part.eq_ignore_ascii_case(stem.as_bytes()))
        })
    })
}

/// Lower-case words of `snake_case`, `kebab-case`, `camelCase` and `HTTPHeader` names.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            before = None;
            continue;
        }
        let starts = c.is_uppercase()
            && before.is_some_and(|last| {
                !last.is_uppercase() || chars.peek().is_some_and(|next| next.is_lowercase())
            });
        if starts && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
        before = Some(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether a member of this name holds a secret. A plural of tokens (`tokens`) that is a number
/// counts them.
pub fn names_secret(name: &str, is_number: bool) -> bool {
    if !has_stem(name) {
        return false;
    }
    let words = words(name);
    let Some(last) = words.last().map(String::as_str) else { return false };
    let joined = words.concat();
    if WITHIN.iter().any(|part| joined.contains(part)) {
        return !ABOUT.contains(&last);
    }
    if ALONE.contains(&last) || ALONE.contains(&joined.as_str()) {
        return true;
    }
    let token = words.iter().any(|word| word == "token" || word == "tokens") || joined.ends_with("token");
    if token {
        let counts = is_number && words.iter().any(|word| word == "tokens");
        let harmless = words.iter().any(|word| HARMLESS_TOKEN.contains(&word.as_str()));
        return !counts && !harmless && !ABOUT.contains(&last);
    }
    if last == "auth" {
        return true;
    }
    let before_last = words.iter().rev().nth(1).map_or("", String::as_str);
    match last {
        "key" => SECRET_KEY.contains(&before_last),
        "header" | "code" | "value" | "string" | "cookie" => before_last == "auth",
        _ => false,
    }
}

/// Tokens and keys that can be told by their form, anywhere in a text.
const KNOWN: &[&str] = &[
    // GitHub, GitLab
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    // AWS, Google, Azure
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"ya29\.[0-9A-Za-z_-]{20,}",
    r"GOCSPX-[A-Za-z0-9_-]{20,}",
    r"AccountKey=[A-Za-z0-9+/=]{20,}",
    r"SharedAccessKey=[A-Za-z0-9+/=]{20,}",
    // Slack, Stripe, chat and mail
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"xapp-[0-9]-[A-Za-z0-9-]{10,}",
    r"hooks\.slack\.com/services/T[A-Za-z0-9_/]{10,}",
    r"[spr]k_(?:live|test)_[A-Za-z0-9]{10,}",
    r"whsec_[A-Za-z0-9+/=]{16,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{20,}",
    // Models
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bxai-[A-Za-z0-9]{20,}",
    r"\bgsk_[A-Za-z0-9]{20,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    // Registries and platforms
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgEI[A-Za-z0-9_-]{20,}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
    r"do[opr]_v1_[a-f0-9]{40,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"\bhv[sb]\.[A-Za-z0-9_-]{20,}",
    r"\bdapi[a-f0-9]{32}",
    r"lin_api_[A-Za-z0-9]{20,}",
    r"ntn_[A-Za-z0-9]{30,}",
    r"sbp_[a-f0-9]{40}",
    r"tskey-[a-z]+-[A-Za-z0-9-]{10,}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
    // Forms
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"[Bb]earer [A-Za-z0-9._~+/=-]{16,}",
    r"BEARER [A-Za-z0-9._~+/=-]{16,}",
    r"[Aa]uthorization: *[A-Za-z]+ [A-Za-z0-9._~+/=-]{8,}",
    r"://[^\s/:@]*:[^\s/@]+@",
    r"[?&](?:access_token|token|api_?key|key|sig|signature|password|secret|X-Amz-Signature)=[^&\s]{8,}",
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY|PRIVATE_KEY)=[^\s$<{]{6,}",
    r"[Pp](?:assword|wd)=[^;&\s$<{]{3,}",
];

/// Every match of [`KNOWN`] holds one of these, the first at most [`BEFORE`] bytes after its
/// beginning (a test makes matches of each). They are few enough for a vector search, which passes
/// over a long text several times as fast as the pattern itself.
const HINTS: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "ABIA",
    "ACCA",
    "AIza",
    "ya29.",
    "GOCSPX-",
    "AccountKey=",
    "AccessKey=",
    "xox",
    "xapp-",
    "hooks.slack.com/services/T",
    "k_live_",
    "k_test_",
    "whsec_",
    "SG.",
    ".com/api/webhooks/",
    "sk-",
    "xai-",
    "gsk_",
    "hf_",
    "npm_",
    "pypi-AgEI",
    "dckr_",
    "_v1_",
    "shp",
    "hvs.",
    "hvb.",
    "dapi",
    "lin_api_",
    "ntn_",
    "sbp_",
    "tskey-",
    "AGE-SECRET-KEY-1",
    "eyJ",
    "-----BEGIN ",
    "earer ",
    "EARER ",
    "uthorization:",
    "://",
    "token=",
    "key=",
    "sig=",
    "ature=",
    "assword=",
    "secret=",
    "TOKEN=",
    "SECRET=",
    "PASSWORD=",
    "PASSWD=",
    "_KEY=",
    "wd=",
];

/// See [`HINTS`].
const BEFORE: usize = 32;

/// Shorter texts are looked at by the pattern at once.
const LONG: usize = 256;

static HINT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let literals: Vec<String> = HINTS.iter().map(|hint| regex::escape(hint)).collect();
    RegexBuilder::new(&literals.join("|")).unicode(false).build().ok()
});

static PATTERN: LazyLock<Option<Regex>> =
    LazyLock::new(|| RegexBuilder::new(&KNOWN.join("|")).unicode(false).size_limit(64 << 20).build().ok());

/// Whether a text looks like a token or key, or holds one.
pub fn looks_secret(text: &str) -> bool {
    if text.len() < SHORTEST {
        return false;
    }
    let bytes = text.as_bytes();
    // Without the pattern (it is constant and tested) nothing could be told apart: mask.
    PATTERN.as_ref().is_none_or(|pattern| holds_known(pattern, bytes)) || is_random(bytes)
}

fn holds_known(pattern: &Regex, bytes: &[u8]) -> bool {
    if bytes.len() < LONG {
        return pattern.is_match(bytes);
    }
    match HINT.as_ref().map(|hint| hint.find(bytes)) {
        None => pattern.is_match(bytes),
        Some(None) => false,
        Some(Some(hint)) => pattern.is_match_at(bytes, hint.start().saturating_sub(BEFORE)),
    }
}

/// Whether a text is one long run of letters and digits that nobody would choose: a key of a
/// provider that we do not know. Pure hexadecimal of a digest's or an id's length is not.
fn is_random(bytes: &[u8]) -> bool {
    if !(20..=LONGEST_KEY).contains(&bytes.len()) {
        return false;
    }
    let mut counts = [0_u16; 256];
    let (mut digits, mut upper, mut lower, mut changes, mut hexadecimal) = (0, 0, 0, 0, true);
    let mut last = 0_u8;
    for byte in bytes {
        let class = match byte {
            b'0'..=b'9' => {
                digits += 1;
                1
            }
            b'A'..=b'Z' => {
                upper += 1;
                2
            }
            b'a'..=b'z' => {
                lower += 1;
                3
            }
            // Words between separators are looked at each by itself.
            b'+' | b'/' | b'_' | b'-' | b'=' | b'.' => 0,
            _ => return false,
        };
        hexadecimal &= byte.is_ascii_hexdigit();
        if last != 0 && class != 0 && class != last {
            changes += 1;
        }
        last = class;
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    if hexadecimal {
        return bytes.len() > 40
            && !matches!(bytes.len(), 56 | 64 | 96 | 128)
            && digits > 0
            && entropy(&counts, bytes.len()) > 3.0;
    }
    let mixed = digits >= 2 && (upper >= 2 || lower >= 2) && changes * 10 >= bytes.len() * 3;
    let enough = if upper > 0 && lower > 0 { 3.9 } else { 4.1 };
    mixed && !is_uuid(bytes) && !is_dotted(bytes) && entropy(&counts, bytes.len()) >= enough
}

/// Versions, host names and file names hold dots between short parts.
fn is_dotted(bytes: &[u8]) -> bool {
    bytes.contains(&b'.') && bytes.split(|byte| *byte == b'.').all(|part| part.len() < 20)
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Bits a character, by how often each occurs.
#[expect(clippy::cast_precision_loss, reason = "at most 512 characters")]
fn entropy(counts: &[u16; 256], len: usize) -> f64 {
    let len = len as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / len;
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        for name in [
            "password",
            "PASSWORD",
            "user_password",
            "dbPassword",
            "pwd",
            "api_key",
            "apiKey",
            "x-api-key",
            "X-API-Key",
            "APIKey",
            "openaiApiKey",
            "token",
            "access_token",
            "accessToken",
            "authtoken",
            "githubToken",
            "secret",
            "client_secret",
            "clientSecret",
            "private_key",
            "sshKey",
            "Authorization",
            "auth",
            "basic_auth",
            "auth_header",
            "cookie",
            "Set-Cookie",
            "credentials",
            "pin",
            "cvv",
            "card_number",
            "seed_phrase",
            "connectionString",
            "DB_PASS",
            "licenseKey",
            "secret_id",
        ] {
            assert!(names_secret(name, false), "{name}");
        }
        for name in [
            "path",
            "key",
            "issue_key",
            "public_key",
            "primaryKey",
            "keyword",
            "monkey",
            "max_tokens",
            "maxTokens",
            "next_page_token",
            "pageToken",
            "token_count",
            "tokenType",
            "secret_name",
            "password_policy",
            "author",
            "authors",
            "passenger",
            "compass",
            "spinning",
            "pattern",
            "input_tokens",
            "credential_type",
            "tokenAddress",
            "connection",
            "card",
            "second",
            "section",
            "description",
            "code",
            "header",
        ] {
            assert!(!names_secret(name, false), "{name}");
        }
        assert!(names_secret("tokens", false) && !names_secret("tokens", true));
    }

    proptest! {
        #[test]
        fn every_known_form_is_hinted_at(
            (index, text) in (0..KNOWN.len()).prop_flat_map(|index| {
                let form = KNOWN[index].replace("\\b", "");
                // Any characters: those of a token are told from others by the pattern itself.
                let text = proptest::string::string_regex(&form).expect("a form");
                (Just(index), text)
            }),
            before in "[ a-z=_:/-]{0,40}",
        ) {
            let hint = HINT.as_ref().expect("compiles").find(text.as_bytes());
            prop_assert!(hint.is_some_and(|hint| hint.start() <= BEFORE), "{} {:?}", KNOWN[index], text);
            let pattern = PATTERN.as_ref().expect("compiles");
            let long = format!("{}{before} {text} {before}", "lorem ipsum ".repeat(30));
            prop_assert_eq!(holds_known(pattern, long.as_bytes()), pattern.is_match(long.as_bytes()), "{}", long);
        }

        #[test]
        fn hints_change_nothing(words in proptest::collection::vec(
            prop_oneof![
                prop::sample::select(HINTS.to_vec()).prop_map(str::to_owned),
                "[A-Za-z0-9_/:@=?&. -]{0,30}",
                Just("lorem ipsum dolor sit amet, consetetur".to_owned()),
            ],
            0..30,
        )) {
            let text = words.concat();
            let pattern = PATTERN.as_ref().expect("compiles");
            prop_assert_eq!(holds_known(pattern, text.as_bytes()), pattern.is_match(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn texts() {
        // Built at run time, so that no scanner takes these tests for a leak.
        let fill = |len: usize| "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7".chars().cycle().take(len).collect::<String>();
        for text in [
            format!("ghp_{}", fill(36)),
            format!("github_pat_{}", fill(40)),
            format!("AKI{}{}", "A", "IOSFODNN7EXAMPLE"),
            format!("xoxb-{}", "123456789012-abcdefghij"),
            format!("sk_live_{}", fill(24)),
            format!("sk-ant-api03-{}", fill(40)),
            format!("sk-proj-{}", fill(40)),
            format!("eyJ{}.eyJ{}.{}", fill(20), fill(20), fill(20)),
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE".to_owned(),
            format!("curl -H 'Authorization: Bearer {}' https://x", fill(24)),
            format!("git clone https://me:{}@example.com/r.git", fill(8)),
            "postgres://app:hunter22@db/prod".to_owned(),
            format!("export GITHUB_TOKEN={}", fill(12)),
            format!("https://x.example/?api_key={}", fill(16)),
            format!("AIza{}", fill(35)),
            fill(32),
            "tGzv3JOkF0XG5Qx2TlKWIAq7".to_owned(),
            "d2hhdC1pcy10aGlzLTEyMzQ1Ng==".to_owned(),
        ] {
            assert!(looks_secret(&text), "{text}");
        }
        for text in [
            "",
            "hello",
            "0123456789abcdef0123456789abcdef01234567", // a commit
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "123e4567-e89b-12d3-a456-426614174000",
            "1429989fe8ac4effbc8f57f56486db54",
            "src/components/HeaderPanel2/index.tsx",
            "MyVeryLongClassNameForTesting2",
            "registry.example.com/team/image-name:v1.2.3-rc1",
            "2026-11-20T21:20:00.000001Z",
            "please summarise the quarterly report for 2026",
            "https://github.com/rust-lang/rust/pull/12345/files",
            "feature/JIRA-1234-add-new-login-page",
            "risk-assessment-for-the-third-quarter",
            "SELECT * FROM users WHERE id = 42 AND name = 'x'",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "callgate-0.1.0-x86_64-unknown-linux-gnu.tar.gz",
            "us-east-1.compute.internal.example.com",
        ] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
