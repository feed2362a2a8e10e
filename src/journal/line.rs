//! Looking at a line without parsing it: its number and its time stand near its beginning.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::time::Timestamp;

/// How far from the beginning of a line the fields are looked for.
const NEAR: usize = 96;

/// The bytes after `name` near the beginning of a line; every record begins with `type`, `seq` and
/// `ts`, so nothing from outside can stand before them.
fn after<'a>(line: &'a [u8], name: &Finder<'_>) -> Option<&'a [u8]> {
    let near = line.get(..line.len().min(NEAR))?;
    let at = name.find(near)?;
    line.get(at + name.needle().len()..)
}

/// The `seq` of a record.
pub fn peek_seq(line: &[u8]) -> Option<u64> {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"seq\":"));
    let rest = after(line, &NAME)?;
    let mut seq: u64 = 0;
    let mut digits = 0;
    for byte in rest.iter().skip_while(|byte| **byte == b' ') {
        if !byte.is_ascii_digit() {
            break;
        }
        seq = seq.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        digits += 1;
    }
    (digits > 0).then_some(seq)
}

/// The `ts` of a record as gateways print it.
fn printed_ts(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(b"{\"type\":\"")?;
    let rest = rest.strip_prefix(b"decision").or_else(|| rest.strip_prefix(b"outcome"))?;
    let rest = rest.strip_prefix(b"\",\"seq\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (text, rest) = rest.get(digits..)?.strip_prefix(b",\"ts\":\"")?.split_first_chunk::<27>()?;
    Timestamp::parse_utc(text).filter(|_| digits > 0 && rest.first() == Some(&b'"'))
}

/// The `ts` of a record.
pub fn peek_ts(line: &[u8]) -> Option<Timestamp> {
    printed_ts(line).or_else(|| found_ts(line))
}

fn found_ts(line: &[u8]) -> Option<Timestamp> {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"ts\":\""));
    let rest = after(line, &NAME)?;
    let text = rest.get(..memchr::memchr(b'"', rest.get(..rest.len().min(64))?)?)?;
    Timestamp::parse_utc(text).or_else(|| Timestamp::parse(std::str::from_utf8(text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeks() {
        let line = br#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g"}"#;
        assert_eq!(peek_seq(line), Some(7));
        assert_eq!(peek_ts(line), Some(Timestamp(1_795_209_600_000_001)));
        let spaced = br#"{"type":"outcome", "seq": 12, "ts":"2026-11-20T22:20:00+01:00"}"#;
        assert_eq!(peek_seq(spaced), Some(12));
        assert_eq!(peek_ts(spaced), Some(Timestamp(1_795_209_600_000_000)));
        for line in [&b""[..], b"{}", br#"{"seq":x}"#, br#"{"seq":99999999999999999999999}"#, br#"{"ts":"x"#]
        {
            assert_eq!(peek_seq(line), None);
            assert_eq!(peek_ts(line), None);
        }
    }
}
