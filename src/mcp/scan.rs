//! Walking over JSON without building it: which members an object has and where their values lie.
//!
//! Lenient on purpose. It finds its way by quotes and brackets alone, so it sees the same members
//! in every text that some parser accepts (Python writes and reads `NaN`, for instance), and it
//! costs little more than touching the bytes. On text that is valid JSON its spans are exact.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{self, special};

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// The decoded name.
    pub(super) key: Cow<'a, str>,
    /// Whether `key` is what every parser reads.
    pub(super) exact: bool,
    /// The bytes of the value.
    pub(super) value: Range<usize>,
}

/// The text ends within the value, or does not go on as an object or array does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// The members of one object, in order.
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    first: bool,
    /// A value begins at `at` and was not passed yet.
    pending: bool,
    /// One past the closing brace, once it was reached.
    pub(super) end: Option<usize>,
    broken: bool,
}

/// The members of the object that begins at `start`; `None` when no object does.
pub(super) fn members(bytes: &[u8], start: usize) -> Option<Members<'_>> {
    (bytes.get(start) == Some(&b'{')).then(|| Members {
        bytes,
        at: start.saturating_add(1),
        first: true,
        pending: false,
        end: None,
        broken: false,
    })
}

impl<'a> Members<'a> {
    /// The next member's name, whether it is exact, and where its value begins. The value is
    /// skipped by the next step, unless [`Members::resume`] says where it ends.
    pub(super) fn next_name(&mut self) -> Result<Option<(Cow<'a, str>, bool, usize)>, Broken> {
        let mut at = self.at;
        if self.pending {
            at = skip_value(self.bytes, at).ok_or(Broken)?;
            self.pending = false;
        }
        at = skip_space(self.bytes, at);
        if self.bytes.get(at) == Some(&b'}') {
            self.at = at;
            self.end = Some(at + 1);
            return Ok(None);
        }
        if !self.first {
            if self.bytes.get(at) != Some(&b',') {
                return Err(Broken);
            }
            at = skip_space(self.bytes, at + 1);
        }
        self.first = false;
        if self.bytes.get(at) != Some(&b'"') {
            return Err(Broken);
        }
        let key_end = skip_string(self.bytes, at).ok_or(Broken)?;
        let (key, exact) = decode(self.bytes.get(at..key_end).unwrap_or(&[]));
        at = skip_space(self.bytes, key_end);
        if self.bytes.get(at) != Some(&b':') {
            return Err(Broken);
        }
        self.at = skip_space(self.bytes, at + 1);
        self.pending = true;
        Ok(Some((key, exact, self.at)))
    }

    /// Goes on at the end of the value whose beginning [`Members::next_name`] gave.
    pub(super) fn resume(&mut self, end: usize) {
        self.at = end;
        self.pending = false;
    }

    fn step(&mut self) -> Result<Option<Member<'a>>, Broken> {
        let Some((key, exact, start)) = self.next_name()? else {
            return Ok(None);
        };
        let end = skip_value(self.bytes, start).ok_or(Broken)?;
        self.resume(end);
        Ok(Some(Member { key, exact, value: start..end }))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.end.is_some() {
            return None;
        }
        match self.step() {
            Ok(member) => member.map(Ok),
            Err(broken) => {
                self.broken = true;
                Some(Err(broken))
            }
        }
    }
}

/// The elements of the array that begins at `start` and one past its end.
pub(super) fn elements(bytes: &[u8], start: usize) -> Result<(Vec<Range<usize>>, usize), Broken> {
    elements_with(bytes, start, |at| skip_value(bytes, at).ok_or(Broken))
}

/// As [`elements`], with a look at each element on the way: `look` is told where one begins and
/// says where it ends.
pub(super) fn elements_with<E: From<Broken>>(
    bytes: &[u8],
    start: usize,
    mut look: impl FnMut(usize) -> Result<usize, E>,
) -> Result<(Vec<Range<usize>>, usize), E> {
    if bytes.get(start) != Some(&b'[') {
        return Err(Broken.into());
    }
    let mut found = Vec::new();
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&b']') {
        return Ok((found, at + 1));
    }
    loop {
        let end = look(at)?;
        found.push(at..end);
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = skip_space(bytes, at + 1),
            Some(b']') => return Ok((found, at + 1)),
            _ => return Err(Broken.into()),
        }
    }
}

/// The offset of the next byte that is no JSON white space.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// One past the value that begins at `at`; `None` when the text ends before it does.
pub(super) fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_string(bytes, at),
        b'{' | b'[' => skip_container(bytes, at),
        b',' | b':' | b'}' | b']' => None,
        _ => {
            let rest = bytes.get(at..)?;
            let scalar = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(at + rest.iter().take_while(|byte| scalar(byte)).count())
        }
    }
}

fn skip_container(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = skip_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// One past the string whose opening quote is at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..)?;
        let found = special::find::<false>(rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some(at + found + 1);
        }
        at += found + 2;
    }
}

/// A string's characters, from its bytes with the quotes, and whether every parser reads the same.
pub(super) fn decode(quoted: &[u8]) -> (Cow<'_, str>, bool) {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(&[]);
    if memchr::memchr(b'\\', inner).is_none() {
        let text = String::from_utf8_lossy(inner);
        let exact = matches!(text, Cow::Borrowed(_));
        return (text, exact);
    }
    let Ok(text) = std::str::from_utf8(quoted) else {
        return (String::from_utf8_lossy(inner), false);
    };
    match json::parse(text) {
        Ok(json::Parsed { root: json::Node { value: json::Value::String(text), .. }, .. }) => {
            (text.value, text.exact)
        }
        _ => (String::from_utf8_lossy(inner), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_members_and_elements() {
        let text = br#" {"a" : {"x":"}\"]"} ,"\u0062":[1, "],", [ ] ], "c":NaN }"#;
        let mut walk = members(text, 1).expect("object");
        let found: Vec<_> = walk
            .by_ref()
            .map(|member| member.expect("whole"))
            .map(|member| {
                (member.key.into_owned(), String::from_utf8_lossy(&text[member.value]).into_owned())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a".to_owned(), r#"{"x":"}\"]"}"#.to_owned()),
                ("b".to_owned(), r#"[1, "],", [ ] ]"#.to_owned()),
                ("c".to_owned(), "NaN".to_owned())
            ]
        );
        assert_eq!(walk.end, Some(text.len()));
        let (items, end) = elements(br#"[1, "],", [ ] ]"#, 0).expect("array");
        assert_eq!((items, end), (vec![1..2, 4..8, 10..13], 15));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(prop::sample::select(b"{}[]\",:\\ a1\xff".to_vec()), 0..40)) {
            if let Some(walk) = members(&bytes, 0) {
                for member in walk.flatten() {
                    prop_assert!(member.value.end <= bytes.len());
                }
            }
            let _ = elements(&bytes, 0);
        }
    }
}
