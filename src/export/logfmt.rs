//! `key=value` pairs, members that a record does not have left out. A value with anything but
//! visible characters, spaces, `=` and quotes left aside, stands in quotes with JSON's escapes, so
//! that readers of logfmt get back what was there, and a terminal gets nothing raw.

use crate::json::write::{signed, unsigned};
use crate::record::line::Line;
use crate::visible::hides;

use super::{Member, members};

/// Appends a record with its line feed.
pub fn line(line: &Line<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    members(line, |name, member| {
        if matches!(member, Member::Text("") | Member::Json("" | "{}")) {
            return;
        }
        if !std::mem::take(&mut first) {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        match member {
            Member::Text(text) | Member::Json(text) => value(text, out),
            Member::Number(number) => unsigned(out, number),
            Member::Signed(number) => signed(out, number),
            Member::Instant(ts) => ts.write(out),
        }
    });
    out.push(b'\n');
}

fn value(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'=' | b'\\');
    if text.as_bytes().iter().all(plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    let mut before = None;
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.push(c as u8),
            c if hides(c, before) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        before = Some(c);
    }
    out.push(b'"');
}
