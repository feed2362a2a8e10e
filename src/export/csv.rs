//! RFC 4180: a header, one record a line, CRLF at its end.
//!
//! A line break or another hidden character in a text is a visible mark, and within JSON one of
//! JSON's own escapes, so that one record stays one line. Text that a spreadsheet would take for a
//! formula begins with `'`.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::json::write::{signed, unsigned};
use crate::record::line::Line;
use crate::visible::{hides, visible};

use super::{Member, members};

/// Appends the names of the columns.
pub fn header(out: &mut Vec<u8>) {
    let mut first = true;
    members(&Line::default(), |name, _| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
    });
    out.extend_from_slice(b"\r\n");
}

/// Appends a record.
pub fn line(line: &Line<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    members(line, |_, member| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        match member {
            Member::Text(text) => cell(&visible(text), out),
            Member::Json(text) => cell(&escaped(text), out),
            Member::Number(number) => unsigned(out, number),
            Member::Signed(number) => signed(out, number),
            Member::Instant(ts) => ts.write(out),
        }
    });
    out.extend_from_slice(b"\r\n");
}

fn cell(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let formula = matches!(bytes.first(), Some(b'=' | b'+' | b'-' | b'@'));
    let quote = memchr::memchr2(b'"', b',', bytes).is_some();
    if !quote {
        if formula {
            out.push(b'\'');
        }
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'"', rest) {
        let (before, after) = rest.split_at(at + 1);
        out.extend_from_slice(before);
        out.push(b'"');
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// JSON with its hidden characters escaped: they can only stand in strings.
pub(super) fn escaped(json: &str) -> Cow<'_, str> {
    let Cow::Owned(_) = visible(json) else { return Cow::Borrowed(json) };
    let mut out = String::with_capacity(json.len() + 16);
    let mut before = None;
    for c in json.chars() {
        if hides(c, before) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        before = Some(c);
    }
    Cow::Owned(out)
}
