//! Text from servers and agents, made safe to show.
//!
//! What a server or an agent says can hold escape sequences that drive the terminal, bidirectional
//! overrides that reorder a line, and characters that nobody can see. None of them is ever shown
//! raw: each becomes a mark in plain ASCII (`\u{202e}`), one line stays one line, and text that
//! held one which has no business there counts as suspicious.
//!
//! Pure; every module may use it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How a character is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Shown as it is.
    Plain,
    /// Line breaks and tabs: marked, because a line stays one line, but nothing strange.
    Break,
    /// Marked, and the text is suspicious.
    Hidden,
}

fn kind(c: char, before: Option<char>) -> Kind {
    match c {
        ' '..='~' => Kind::Plain,
        '\n' | '\r' | '\t' => Kind::Break,
        // Control characters, C0 and C1, and DEL.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Kind::Hidden,
        // The emoji presentation selector is common; a run of selectors carries hidden data.
        '\u{fe0f}' if before.is_some_and(|c| !is_selector(c) && c > ' ') => Kind::Plain,
        _ if is_selector(c) => Kind::Hidden,
        '\u{ad}' // soft hyphen
        | '\u{34f}' // combining grapheme joiner
        | '\u{61c}' // Arabic letter mark
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' // zero width, direction marks
        | '\u{2028}'..='\u{202e}' // separators, bidirectional embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
        | '\u{2800}' // a Braille pattern without dots
        | '\u{feff}' // byte order mark
        | '\u{fff0}'..='\u{fffb}' // unassigned ignorables, interlinear annotation
        | '\u{fffe}' | '\u{ffff}'
        | '\u{1d173}'..='\u{1d17a}' // musical format characters
        | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
        | '\u{e000}'..='\u{f8ff}' // private use
        | '\u{e0000}'..='\u{e0fff}' // tags, selectors
        | '\u{f0000}'.. => Kind::Hidden,
        _ => Kind::Plain,
    }
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_plain_ascii(text: &str) -> bool {
    // Without an early exit within a piece the compiler compares many bytes at once.
    let plain = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 95));
    text.as_bytes().chunks(64).all(plain)
}

/// The text on one line, with a visible mark for every character that is not itself visible:
/// `\n`, `\r`, `\t`, and `\u{1b}` with the number in hexadecimal for all others. Text without such
/// characters is given back as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain_ascii(text) {
        return Cow::Borrowed(text);
    }
    let mut before = None;
    let mut first = None;
    for (at, c) in text.char_indices() {
        if kind(c, before) != Kind::Plain {
            first = Some((at, before));
            break;
        }
        before = Some(c);
    }
    let Some((at, mut before)) = first else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(text.get(..at).unwrap_or(""));
    for c in text.get(at..).unwrap_or("").chars() {
        match (kind(c, before), c) {
            (Kind::Plain, _) => out.push(c),
            (_, '\n') => out.push_str("\\n"),
            (_, '\r') => out.push_str("\\r"),
            (_, '\t') => out.push_str("\\t"),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
        before = Some(c);
    }
    Cow::Owned(out)
}

/// Whether a character is never shown as it is, after the one before it.
pub(crate) fn hides(c: char, before: Option<char>) -> bool {
    kind(c, before) != Kind::Plain
}

/// Whether the text holds characters that can drive a terminal, reorder a line or cannot be seen.
/// Line breaks and tabs are not strange by themselves.
pub fn is_suspicious(text: &str) -> bool {
    if is_plain_ascii(text) {
        return false;
    }
    let mut before = None;
    text.chars().any(|c| {
        let strange = kind(c, before) == Kind::Hidden;
        before = Some(c);
        strange
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_borrowed() {
        for text in ["", "plain", "Grüße", "日本語", "שלום", "❤\u{fe0f} ok", "a ~ b"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
            assert!(!is_suspicious(text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_marked() {
        for (text, shown, suspicious) in [
            ("a\nb\tc\r", "a\\nb\\tc\\r", false),
            ("\u{1b}[31mred", "\\u{1b}[31mred", true),
            ("\u{9b}2J", "\\u{9b}2J", true),
            ("x\u{7f}", "x\\u{7f}", true),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe", true),
            ("a\u{200b}b", "a\\u{200b}b", true),
            ("a\u{2067}b\u{2069}", "a\\u{2067}b\\u{2069}", true),
            ("\u{feff}a", "\\u{feff}a", true),
            ("\u{e001}", "\\u{e001}", true),
            ("hi\u{e0041}\u{e0042}", "hi\\u{e0041}\\u{e0042}", true),
            ("a\u{fe0f}\u{fe0e}\u{fe0f}", "a\u{fe0f}\\u{fe0e}\\u{fe0f}", true),
            ("\u{fe0f}", "\\u{fe0f}", true),
            ("\u{10fffd}", "\\u{10fffd}", true),
            ("a\u{2028}b", "a\\u{2028}b", true),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(is_suspicious(text), suspicious, "{shown}");
        }
    }

    #[test]
    fn marks_are_stable() {
        let once = visible("\u{1b}]0;x\u{7}").into_owned();
        assert_eq!(visible(&once), once);
    }
}
