//! What differs between two texts, line by line.

use similar::{ChangeTag, TextDiff};

/// What a line of a diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffKind {
    /// In both texts.
    Same,
    /// Only in the new one.
    Added,
    /// Only in the old one.
    Removed,
    /// Stands for equal lines that are left out; its text says how many.
    Skip,
}

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// What it is.
    pub kind: DiffKind,
    /// Its number in the old text, from 1.
    pub old: Option<usize>,
    /// Its number in the new text, from 1.
    pub new: Option<usize>,
    /// The line without its ending.
    pub text: String,
}

/// The lines that differ, with up to `context` equal lines around them. Empty when the texts are
/// equal.
pub fn diff(old: &str, new: &str, context: usize) -> Vec<DiffLine> {
    if old == new {
        return Vec::new();
    }
    let compared = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    let mut seen = 0;
    for group in compared.grouped_ops(context) {
        if let Some(first) = group.first() {
            skip(&mut lines, first.old_range().start.saturating_sub(seen));
        }
        for op in &group {
            for change in compared.iter_changes(op) {
                let (kind, mark) = match change.tag() {
                    ChangeTag::Equal => (DiffKind::Same, None),
                    ChangeTag::Delete => (DiffKind::Removed, ending(old, change.value())),
                    ChangeTag::Insert => (DiffKind::Added, ending(new, change.value())),
                };
                let mut text = change.value().trim_end_matches(['\n', '\r']).to_owned();
                if let Some(mark) = mark {
                    text.push_str(mark);
                }
                let number = |index: Option<usize>| index.map(|index| index + 1);
                lines.push(DiffLine {
                    kind,
                    old: number(change.old_index()),
                    new: number(change.new_index()),
                    text,
                });
            }
            seen = op.old_range().end;
        }
    }
    skip(&mut lines, compared.old_len().saturating_sub(seen));
    lines
}

/// What must be said about the end of a changed line, as two lines may differ in nothing else.
fn ending(text: &str, line: &str) -> Option<&'static str> {
    if line.ends_with("\r\n") {
        Some("␍")
    } else if !line.ends_with('\n') && text.ends_with(line) {
        Some(" (no line end)")
    } else {
        None
    }
}

fn skip(lines: &mut Vec<DiffLine>, count: usize) {
    if count > 0 {
        let text = if count == 1 { "1 equal line".to_owned() } else { format!("{count} equal lines") };
        lines.push(DiffLine { kind: DiffKind::Skip, old: None, new: None, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(lines: &[DiffLine]) -> String {
        let line = |mut out: String, line: &DiffLine| {
            let mark = match line.kind {
                DiffKind::Same => ' ',
                DiffKind::Added => '+',
                DiffKind::Removed => '-',
                DiffKind::Skip => '~',
            };
            let number = |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
            out.push_str(&format!("{mark}{}:{} {}\n", number(line.old), number(line.new), line.text));
            out
        };
        lines.iter().fold(String::new(), line)
    }

    #[test]
    fn names_what_changed_and_what_is_left_out() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let new = "1\n2\n3\nfour\n5\n6\n7\n8\n9";
        assert_eq!(
            shown(&diff(old, new, 1)),
            "~-:- 2 equal lines\n 3:3 3\n-4:- 4\n+-:4 four\n 5:5 5\n~-:- 2 equal lines\n 8:8 8\n+-:9 9 (no line end)\n"
        );
        assert_eq!(diff("a\n", "a\n", 3), []);
        assert_eq!(shown(&diff("a\r\n", "a\n", 3)), "-1:- a␍\n+-:1 a\n");
        assert_eq!(shown(&diff("", "a\n", 3)), "+-:1 a\n");
        assert_eq!(shown(&diff("a\nb\nc\n", "a\nb\n", 0)), "~-:- 2 equal lines\n-3:- c\n");
    }

    proptest! {
        #[test]
        fn with_all_the_context_it_holds_both_texts(old in "([abc]\n){0,12}", new in "([abc]\n){0,12}") {
            prop_assume!(old != new);
            let lines = diff(&old, &new, 100);
            let side = |other: DiffKind| -> String {
                lines.iter().filter(|line| line.kind != other).flat_map(|line| [line.text.as_str(), "\n"]).collect()
            };
            prop_assert_eq!(side(DiffKind::Added), old);
            prop_assert_eq!(side(DiffKind::Removed), new);
        }
    }
}
