//! Text in columns: cut and padded by what it takes on the screen, hostile characters marked.

use ratatui::style::Style;
use ratatui::text::Span;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::visible::visible;

/// Text made visible, cut to `width` columns with `more` at the cut end.
pub(super) fn cut(text: &str, width: usize, more: &str) -> String {
    // No more can be shown than this; endless strings are not walked through.
    let end = text.floor_char_boundary(width.saturating_mul(8).saturating_add(64));
    let whole = end == text.len();
    let text = visible(text.get(..end).unwrap_or(""));
    if whole && text.width() <= width {
        return text.into_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide + more.width() > width {
            break;
        }
        out.push_str(grapheme);
        used += wide;
    }
    if width >= more.width() {
        out.push_str(more);
    }
    out
}

/// Text cut or padded to exactly `width` columns, at the left.
pub(super) fn left(text: &str, width: usize, more: &str) -> String {
    let mut out = cut(text, width, more);
    let used = out.width();
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

/// Text cut or padded to exactly `width` columns, at the right.
pub(super) fn right(text: &str, width: usize, more: &str) -> String {
    let out = cut(text, width, more);
    let pad = width.saturating_sub(out.width());
    format!("{}{out}", " ".repeat(pad))
}

/// A span of text at the left of `width` columns.
pub(super) fn span(text: &str, width: usize, more: &str, style: Style) -> Span<'static> {
    Span::styled(left(text, width, more), style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_columns_and_marks_what_is_hostile() {
        assert_eq!(cut("hello", 5, "…"), "hello");
        assert_eq!(cut("hello!", 5, "…"), "hell…");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(left("ab", 4, "…"), "ab  ");
        assert_eq!(right("ab", 4, "…"), "  ab");
        assert_eq!(left("日本語", 4, "…"), "日… ");
        assert!(!cut("a\u{1b}[31mb", 40, "…").contains('\u{1b}'));
        assert_eq!(cut(&"x".repeat(1_000_000), 3, "~"), "xx~");
        assert_eq!(cut("abc", 0, "…"), "");
    }
}
