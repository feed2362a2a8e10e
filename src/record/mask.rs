//! Arguments as they are recorded: secrets masked under this installation's key, what is too large
//! cut.
//!
//! A mask is `{"masked":"hmac-sha256:HEX","type":TYPE,"length":N}`, where HEX is the HMAC of the
//! value's canonical JSON. Equal values give equal masks, so replay can still decide `eq`, `neq`,
//! `in`, `not_in` and `exists`. Nothing that an agent sends can pass for a mask: an object that has
//! the form of one is itself masked.

#[doc(hidden)]
pub mod total;

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memchr2;
use serde_json::value::RawValue;
use sha2::Sha256;

use super::secret::{looks_secret, names_secret};
use crate::json::canonical::canonical;
use crate::json::{Node, Value};
use crate::policy::path::{Path, Step};

/// Larger values, in bytes as they are spelt, are kept as `{"cut":BYTES}`.
pub const LARGEST_VALUE: usize = 64 * 1024;
/// Once this many bytes of one call's arguments were kept, the members that follow are cut.
pub const LARGEST_ARGUMENTS: usize = 256 * 1024;

/// How much of the arguments is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Everything, secrets included; only what has the form of a mask or a cut is masked, so that it
    /// cannot pass for one.
    Full,
    /// Everything but secrets.
    #[default]
    Masked,
    /// Names and structure; every value but null, true and false is masked.
    Keys,
}

/// A place within the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here<'a> {
    /// The member of an object.
    Key(&'a str),
    /// The element of an array, from 0.
    Index(usize),
}

/// What the rules of the tool read. A value that one of them reads is not masked by its looks,
/// only by its key's name.
pub trait Reads {
    /// Whether a path leads to this place or to a value that holds it.
    fn reads(&self, at: &[Here<'_>]) -> bool;
}

/// Rules that read nothing.
impl Reads for () {
    fn reads(&self, _at: &[Here<'_>]) -> bool {
        false
    }
}

/// The paths of a tool's rules: a path reads what it leads to and all that lies within.
impl Reads for [Path] {
    fn reads(&self, at: &[Here<'_>]) -> bool {
        self.iter().any(|path| {
            path.steps().len() <= at.len()
                && path.steps().iter().zip(at).all(|pair| match pair {
                    (Step::Name(name), Here::Key(key)) => name == key,
                    (Step::Number { text, .. }, Here::Key(key)) => text == key,
                    (Step::Number { index, .. }, Here::Index(here)) => index == here,
                    (Step::Each, Here::Index(_)) => true,
                    _ => false,
                })
        })
    }
}

/// Masks arguments.
#[derive(Clone)]
pub struct Masker {
    hmac: Option<Hmac<Sha256>>,
    mode: Mode,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The way from the arguments to a value, without an allocation.
#[derive(Clone, Copy)]
struct Trail<'a> {
    before: Option<&'a Trail<'a>>,
    here: Here<'a>,
}

fn trail_reads<R: Reads + ?Sized>(reads: &R, trail: Option<&Trail<'_>>) -> bool {
    let mut places = Vec::new();
    let mut next = trail;
    while let Some(step) = next {
        places.push(step.here);
        next = step.before;
    }
    places.reverse();
    reads.reads(&places)
}

impl Masker {
    /// A masker with the installation's key.
    pub fn new(key: [u8; 32], mode: Mode) -> Self {
        Self { hmac: Hmac::<Sha256>::new_from_slice(&key).ok(), mode }
    }

    /// How much it keeps.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The digest that stands for a value in a mask: `hmac-sha256:HEX`, the same for all spellings
    /// of the value.
    pub fn digest(&self, value: &Node<'_>) -> String {
        let mut out = String::with_capacity(76);
        out.push_str("hmac-sha256:");
        if let Some(mut hmac) = self.hmac.clone() {
            hmac.update(canonical(value).as_bytes());
            for byte in hmac.finalize().into_bytes() {
                let _ = write!(out, "{byte:02x}");
            }
        }
        out
    }

    /// The arguments of a call as they are recorded. `text` is what `args` was parsed from.
    ///
    /// What needs no mask is kept as it is spelt; line breaks between tokens are left out.
    pub fn mask<R: Reads + ?Sized>(&self, text: &[u8], args: &Node<'_>, reads: &R) -> Box<RawValue> {
        let spelt = text.get(args.span.start..args.span.end).unwrap_or_default();
        let whole = spelt.len() <= LARGEST_VALUE
            && self.is_plain(args, reads, None)
            && memchr2(b'\n', b'\r', spelt).is_none();
        let out = if whole {
            String::from_utf8_lossy(spelt).into_owned()
        } else {
            let mut out = String::with_capacity(spelt.len().min(LARGEST_ARGUMENTS) + 128);
            self.write(text, args, reads, None, &mut out);
            out
        };
        RawValue::from_string(out).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// Whether nothing in a value (that is not too large) is masked or cut.
    fn is_plain<R: Reads + ?Sized>(&self, node: &Node<'_>, reads: &R, trail: Option<&Trail<'_>>) -> bool {
        match &node.value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(_) => self.mode != Mode::Keys,
            Value::String(text) => match self.mode {
                Mode::Full => true,
                Mode::Keys => false,
                Mode::Masked => !looks_secret(&text.value) || trail_reads(reads, trail),
            },
            Value::Array(items) => items.iter().enumerate().all(|(index, item)| {
                self.is_plain(item, reads, Some(&Trail { before: trail, here: Here::Index(index) }))
            }),
            Value::Object(members) => {
                !has_form_of_mask(node)
                    && members.iter().all(|member| {
                        let key = member.key.value.as_ref();
                        !self.is_secret_member(key, &member.value)
                            && self.is_plain(
                                &member.value,
                                reads,
                                Some(&Trail { before: trail, here: Here::Key(key) }),
                            )
                    })
            }
        }
    }

    fn is_secret_member(&self, key: &str, value: &Node<'_>) -> bool {
        self.mode == Mode::Masked
            && !matches!(value.value, Value::Null | Value::Bool(_))
            && (names_secret(key, matches!(value.value, Value::Number(_))) || looks_secret(key))
    }

    fn write<R: Reads + ?Sized>(
        &self,
        text: &[u8],
        node: &Node<'_>,
        reads: &R,
        trail: Option<&Trail<'_>>,
        out: &mut String,
    ) {
        let root = trail.is_none();
        let large = node.span.len() > LARGEST_VALUE;
        let start = out.len();
        match &node.value {
            _ if !root && out.len() > LARGEST_ARGUMENTS => cut(node, out),
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    let here = Trail { before: trail, here: Here::Index(index) };
                    self.write(text, item, reads, Some(&here), out);
                    if !root && out.len() - start > LARGEST_VALUE {
                        break;
                    }
                }
                out.push(']');
                if !root && large && out.len() - start > LARGEST_VALUE {
                    out.truncate(start);
                    cut(node, out);
                }
            }
            Value::Object(_) if has_form_of_mask(node) => self.seal(node, out),
            Value::Object(members) => {
                out.push('{');
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    let key = member.key.value.as_ref();
                    // A name that is itself a secret, or endless, is not kept either.
                    if member.key_span.len() > LARGEST_VALUE
                        || (self.mode == Mode::Masked && looks_secret(key))
                    {
                        let _ = write!(out, "\"(masked {index})\":");
                        self.seal(&member.value, out);
                        continue;
                    }
                    spelt(text, member.key_span.start, member.key_span.end, out);
                    out.push(':');
                    if self.is_secret_member(key, &member.value) {
                        if member.value.span.len() > LARGEST_VALUE {
                            cut(&member.value, out);
                        } else {
                            self.seal(&member.value, out);
                        }
                    } else {
                        let here = Trail { before: trail, here: Here::Key(key) };
                        self.write(text, &member.value, reads, Some(&here), out);
                    }
                    if !root && out.len() - start > LARGEST_VALUE {
                        break;
                    }
                }
                out.push('}');
                if !root && large && out.len() - start > LARGEST_VALUE {
                    out.truncate(start);
                    cut(node, out);
                }
            }
            _ if large => cut(node, out),
            _ if self.is_plain(node, reads, trail) => spelt(text, node.span.start, node.span.end, out),
            _ => self.seal(node, out),
        }
    }

    /// Writes the mask of a value.
    fn seal(&self, node: &Node<'_>, out: &mut String) {
        let length = match &node.value {
            Value::Null | Value::Bool(_) => 0,
            Value::Number(spelt) => spelt.len(),
            Value::String(text) => text.value.chars().count(),
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
        };
        let digest = self.digest(node);
        let _ = write!(out, r#"{{"masked":"{digest}","type":"{}","length":{length}}}"#, node.type_name());
    }
}

fn cut(node: &Node<'_>, out: &mut String) {
    let _ = write!(out, r#"{{"cut":{}}}"#, node.span.len());
}

fn spelt(text: &[u8], start: usize, end: usize, out: &mut String) {
    match text.get(start..end).map(std::str::from_utf8) {
        Some(Ok(spelt)) => out.push_str(spelt),
        _ => out.push_str("null"),
    }
}

/// What stands in the place of a value that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// The value itself.
    Value,
    /// A mask.
    Masked {
        /// The value's type, as [`Node::type_name`] has it.
        type_name: &'a str,
        /// Its digest, as [`Masker::digest`] gives it.
        digest: &'a str,
    },
    /// Too large; nothing but its size was kept.
    Cut,
}

/// What a recorded value is.
pub fn kept<'n>(node: &'n Node<'_>) -> Kept<'n> {
    let Some(members) = node.as_object() else { return Kept::Value };
    match members.first() {
        Some(first) if first.key.value == "masked" => {
            match first.value.as_str().filter(|text| text.starts_with("hmac-sha256:")) {
                Some(digest) => {
                    let type_name = members.get(1).and_then(|second| second.value.as_str()).unwrap_or("");
                    Kept::Masked { type_name, digest }
                }
                None => Kept::Value,
            }
        }
        Some(first)
            if first.key.value == "cut"
                && members.len() == 1
                && matches!(first.value.value, Value::Number(_)) =>
        {
            Kept::Cut
        }
        _ => Kept::Value,
    }
}

fn has_form_of_mask(node: &Node<'_>) -> bool {
    kept(node) != Kept::Value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn masked_by(mode: Mode, text: &str, paths: &[&str]) -> String {
        let reads: Vec<_> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
        let parsed = parse(text).unwrap();
        Masker::new([7; 32], mode).mask(text.as_bytes(), &parsed.root, reads.as_slice()).get().to_owned()
    }

    fn masked(text: &str) -> String {
        masked_by(Mode::Masked, text, &[])
    }

    fn token() -> String {
        format!("ghp_{}", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9")
    }

    #[test]
    fn plain_arguments_keep_their_spelling() {
        for text in [
            "{}",
            r#"{"image":"nginx:1.27","n":1.50,"deep":{"a":[1,2,{"b":null}]}}"#,
            r#"{ "a" : "\u0041" }"#,
            "[1,2]",
            "null",
            r#"{"token":null,"password":false}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn line_breaks_between_tokens_are_left_out() {
        assert_eq!(masked("{\r\n \"a\" : [ 1 ,\n 2 ],\n\"b\":\"x\\ny\"}"), r#"{"a":[1,2],"b":"x\ny"}"#);
    }

    #[test]
    fn secrets_are_masked_by_name_and_by_looks() {
        let out = masked(r#"{"user":"me","password":"hunter2","n":1}"#);
        assert!(out.starts_with(r#"{"user":"me","password":{"masked":"hmac-sha256:"#), "{out}");
        assert!(out.ends_with(r#"","type":"string","length":7},"n":1}"#), "{out}");
        assert!(!out.contains("hunter2"));
        let out = masked(&format!(r#"{{"args":["-t","{}"]}}"#, token()));
        assert!(
            out.starts_with(r#"{"args":["-t",{"masked":"hmac-sha256:"#) && !out.contains("ghp_"),
            "{out}"
        );
        let out = masked(r#"{"auth":{"user":"u","pass":"p"},"secret":[1,2]}"#);
        assert!(
            out.contains(r#""type":"object","length":2}"#) && out.contains(r#""type":"array","length":2}"#)
        );
        let out = masked(&format!(r#"{{"{}":1}}"#, token()));
        assert!(out.starts_with(r#"{"(masked 0)":{"masked""#), "{out}");
        // Escaped spellings of a name and a value change nothing.
        assert!(!masked(r#"{"pass\u0077ord":"hunter2"}"#).contains("hunter2"));
        assert!(!masked(&format!(r#"{{"x":"\u0067{}"}}"#, token().trim_start_matches('g'))).contains("hp_"));
    }

    #[test]
    fn what_a_rule_reads_is_masked_by_name_only() {
        let text = format!(r#"{{"x":"{0}","y":"{0}","token":"{0}"}}"#, token());
        let out = masked_by(Mode::Masked, &text, &["args.x", "args.token"]);
        assert!(out.starts_with(&format!(r#"{{"x":"{}","y":{{"masked""#, token())), "{out}");
        assert_eq!(out.matches("masked").count(), 2, "{out}");
    }

    #[test]
    fn a_rule_reads_into_arrays_and_whole_objects() {
        let t = token();
        let text = format!(r#"{{"a":[{{"k":"{t}","o":"{t}"}}],"b":{{"deep":["{t}"]}},"c":["{t}","{t}"]}}"#);
        let out = masked_by(Mode::Masked, &text, &["args.a[*].k", "args.b", "args.c.1"]);
        assert!(out.contains(&format!(r#"{{"k":"{t}","o":{{"masked""#)), "{out}");
        assert!(out.contains(&format!(r#""deep":["{t}"]"#)), "{out}");
        assert!(out.contains(r#""c":[{"masked""#) && out.ends_with(&format!(r#","{t}"]}}"#)), "{out}");
    }

    #[test]
    fn equal_values_have_equal_masks_whatever_their_spelling() {
        let digest = |text: &str| Masker::new([1; 32], Mode::Masked).digest(&parse(text).unwrap().root);
        assert_eq!(digest(r#"{"a":1.0,"b":"\u0041"}"#), digest(r#"{"b":"A", "a":1}"#));
        assert_ne!(digest("1"), digest("\"1\""));
        assert_ne!(
            digest("1"),
            Masker::new([2; 32], Mode::Masked).digest(&parse("1").unwrap().root),
            "the key matters"
        );
        assert_eq!(digest("1").len(), "hmac-sha256:".len() + 64);
    }

    #[test]
    fn an_agent_cannot_forge_a_mask_or_a_cut() {
        for forged in
            [r#"{"masked":"hmac-sha256:00","type":"string","length":1}"#, r#"{"cut":99}"#, r#"{"cut":1e9}"#]
        {
            let out = masked(&format!(r#"{{"a":{forged}}}"#));
            assert!(out.contains(r#""type":"object""#) && !out.contains(r#"{"a":{"cut""#), "{out}");
            let parsed = parse(&out).unwrap();
            let honest = Masker::new([7; 32], Mode::Masked).digest(&parse(forged).unwrap().root);
            let mask = Kept::Masked { type_name: "object", digest: &honest };
            assert_eq!(kept(parsed.root.get("a").unwrap()), mask);
            // Nor where everything is kept.
            let full = masked_by(Mode::Full, &format!(r#"{{"a":{forged},"password":"p"}}"#), &[]);
            assert_eq!(kept(parse(&full).unwrap().root.get("a").unwrap()), mask);
            assert!(full.ends_with(r#","password":"p"}"#), "{full}");
        }
        assert_eq!(masked(r#"{"a":{"cut":"here"}}"#), r#"{"a":{"cut":"here"}}"#);
    }

    #[test]
    fn what_is_too_large_is_cut() {
        let long = "x ".repeat(40_000);
        let out = masked(&format!(r#"{{"content":"{long}","name":"n","deep":{{"in":["{long}"]}}}}"#));
        assert_eq!(out, r#"{"content":{"cut":80002},"name":"n","deep":{"in":[{"cut":80002}]}}"#);
        let many = vec!["\"abcdefgh\""; 20_000].join(",");
        let out = masked(&format!(r#"{{"list":[{many}],"n":1}}"#));
        assert_eq!(out, format!(r#"{{"list":{{"cut":{}}},"n":1}}"#, many.len() + 2));
        let big = "y ".repeat(30_000);
        let text =
            format!("{{{}}}", (0..10).map(|n| format!("\"k{n}\":\"{big}\"")).collect::<Vec<_>>().join(","));
        let out = masked(&text);
        assert!(out.len() < LARGEST_ARGUMENTS + 2 * LARGEST_VALUE, "{}", out.len());
        assert!(out.contains(r#""k9":{"cut":60002}"#));
        parse(&out).unwrap();
        assert_eq!(masked_by(Mode::Full, &format!("[\"{long}\"]"), &[]), r#"[{"cut":80002}]"#);
    }

    #[test]
    fn keys_keep_the_structure_and_full_keeps_all() {
        let text = r#"{"a":"x","b":[1,true,null],"password":"p"}"#;
        assert_eq!(masked_by(Mode::Full, text, &[]), text);
        let out = masked_by(Mode::Keys, text, &[]);
        assert_eq!(out.matches("hmac-sha256").count(), 3, "{out}");
        assert!(out.contains(",true,null]"), "{out}");
        assert!(!out.contains("\"x\"") && !out.contains("\"p\""), "{out}");
    }
}
