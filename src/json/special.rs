//! Finding the bytes that end a run of plain characters in a string.

use memchr::memchr2;

/// How much is looked at eight bytes at a time before a vector search is set up. Most strings, and
/// most runs between escapes, are shorter.
const NEAR: usize = 32;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the high bit of bytes that are zero; exact up to and including the lowest one.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Offset of the first quote or backslash, and with `CONTROL` of the first control character, too.
#[inline]
pub(crate) fn find<const CONTROL: bool>(bytes: &[u8]) -> Option<usize> {
    // Most strings end here, where the caller stands.
    if let Some(chunk) = bytes.first_chunk::<8>() {
        let hits = specials::<CONTROL>(u64::from_le_bytes(*chunk));
        if hits != 0 {
            return Some(hits.trailing_zeros() as usize / 8);
        }
    }
    find_far::<CONTROL>(bytes)
}

/// Marks the high bits of the bytes that are looked for; exact up to and including the lowest one.
#[inline]
fn specials<const CONTROL: bool>(word: u64) -> u64 {
    let hits = zeros(word ^ (LOW * u64::from(b'"'))) | zeros(word ^ (LOW * u64::from(b'\\')));
    // The same trick with 0x20: marks bytes below it, exact up to the lowest.
    if CONTROL { hits | (word.wrapping_sub(LOW * 0x20) & !word & HIGH) } else { hits }
}

fn find_far<const CONTROL: bool>(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.get(..bytes.len().min(NEAR)).unwrap_or(bytes).as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let hits = specials::<CONTROL>(u64::from_le_bytes(*chunk));
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let start = chunks.len() * 8;
    let rest = bytes.get(start..)?;
    if start < NEAR {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\') || (CONTROL && *byte < 0x20);
        return rest.iter().position(special).map(|at| start + at);
    }
    let found = memchr2(b'"', b'\\', rest);
    if CONTROL {
        let run = rest.get(..found.unwrap_or(rest.len())).unwrap_or(rest);
        // One pass without early exit: the compiler turns it into vector compares.
        if run.iter().fold(0, |found, byte| found | u8::from(*byte < 0x20)) != 0 {
            return run.iter().position(|byte| *byte < 0x20).map(|at| start + at);
        }
    }
    found.map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_loop_finds(
            plain in proptest::collection::vec(prop::sample::select(vec![b' ', b'a', b'!', b'#', 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff]), 0..150),
            special in prop::sample::select(vec![b'"', b'\\', 0, 0x1f, b'\n', b'z']),
            tail in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes = [plain, vec![special], tail].concat();
            let quote = |byte: &u8| matches!(byte, b'"' | b'\\');
            prop_assert_eq!(find::<false>(&bytes), bytes.iter().position(quote));
            prop_assert_eq!(find::<true>(&bytes), bytes.iter().position(|byte| quote(byte) || *byte < 0x20));
        }
    }
}
