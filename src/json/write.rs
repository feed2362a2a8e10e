//! Writing JSON by hand into a buffer that is used again: the bytes are those that `serde_json`
//! writes, without a walk through its serialiser.

use super::special;

/// Appends a string with its quotes and escapes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = special::find::<true>(rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { break };
        rest = tail;
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            control => {
                let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(control >> 4), digit(control & 15)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a number.
pub fn unsigned(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        at -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends a number.
pub fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    unsigned(out, number.unsigned_abs());
}

/// Appends `true` or `false`.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("utf-8")
    }

    proptest! {
        #[test]
        fn strings_are_as_serde_writes_them(text in any::<String>(), ascii in "[\\x00-\\x7f]{0,100}") {
            for text in [text, ascii] {
                prop_assert_eq!(written(|out| string(out, &text)), serde_json::to_string(&text).unwrap());
            }
        }

        #[test]
        fn numbers_are_as_serde_writes_them(number in any::<u64>(), shift in 0_u32..64, sign in any::<i64>()) {
            let small = number >> shift;
            prop_assert_eq!(written(|out| unsigned(out, small)), small.to_string());
            prop_assert_eq!(written(|out| signed(out, sign >> shift)), (sign >> shift).to_string());
        }
    }

    #[test]
    fn the_ends_of_the_ranges() {
        for number in [0, 9, 10, u64::MAX] {
            assert_eq!(written(|out| unsigned(out, number)), number.to_string());
        }
        for number in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(written(|out| signed(out, number)), number.to_string());
        }
        assert_eq!(written(|out| boolean(out, true)) + &written(|out| boolean(out, false)), "truefalse");
    }
}
