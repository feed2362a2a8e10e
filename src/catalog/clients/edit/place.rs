//! Where the command and the arguments of an entry stand in a text, and what an edit puts there.

use std::ops::Range;

use super::Format;

/// Where the command and the arguments of an entry stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The command's value, its quotes included.
    pub(super) command: Range<usize>,
    /// The arguments.
    pub(super) args: Args,
}

/// How the arguments are spelt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Args {
    /// There are none: a list would stand at `at`, after `before`.
    Absent {
        /// The offset, not before the end of the command.
        at: usize,
        /// Separator, name and whatever else goes before the list.
        before: String,
    },
    /// In brackets.
    Flow {
        /// With its brackets.
        span: Range<usize>,
        /// The values.
        elements: Vec<Range<usize>>,
    },
    /// One a line, after a dash (YAML).
    Block {
        /// From after the colon to the end of the last element's line.
        span: Range<usize>,
        /// Each element: the start of its line, and its value.
        elements: Vec<(usize, Range<usize>)>,
    },
}

/// What replaces a part of a text.
pub(super) type Edit = (Range<usize>, String);

impl Place {
    /// From the first to the last byte of what an edit may touch.
    pub(super) fn hull(&self) -> Range<usize> {
        let args = match &self.args {
            Args::Absent { at, .. } => *at..*at,
            Args::Flow { span, .. } | Args::Block { span, .. } => span.clone(),
        };
        self.command.start.min(args.start)..self.command.end.max(args.end)
    }

    /// Puts words before the arguments.
    pub(super) fn prepend(&self, format: Format, text: &str, words: &[String]) -> Edit {
        let quoted: Vec<String> = words.iter().map(|word| format.quoted(word)).collect();
        match &self.args {
            Args::Absent { at, before } => (*at..*at, format!("{before}{}", format.list(words))),
            Args::Flow { span, elements } => {
                let words = quoted.join(", ");
                let Some(first) = elements.first() else {
                    // Whatever stands between the brackets, a comment perhaps, goes on to stand there.
                    return (span.start + 1..span.start + 1, words);
                };
                let gap = text.get(span.start + 1..first.start).unwrap_or_default();
                let between = if gap.contains('\n') && gap.trim().is_empty() { gap } else { " " };
                (first.start..first.start, format!("{words},{between}"))
            }
            Args::Block { elements, .. } => {
                let (line, value) = elements.first().cloned().unwrap_or_default();
                let before = text.get(line..value.start).unwrap_or_default();
                let end = line_end(text);
                let lines: Vec<String> = quoted.iter().map(|word| format!("{before}{word}{end}")).collect();
                (line..line, lines.concat())
            }
        }
    }

    /// Removes the first arguments; `None` when there are not so many.
    pub(super) fn remove_first(&self, count: usize) -> Option<Edit> {
        match &self.args {
            Args::Absent { .. } => None,
            Args::Flow { span, elements } => {
                let first = elements.first()?;
                match elements.get(count) {
                    Some(next) => Some((first.start..next.start, String::new())),
                    None if elements.len() == count => Some((span.clone(), "[]".to_owned())),
                    None => None,
                }
            }
            Args::Block { span, elements } => {
                let (first, _) = elements.first()?;
                match elements.get(count) {
                    Some((next, _)) => Some((*first..*next, String::new())),
                    None if elements.len() == count => Some((span.clone(), " []".to_owned())),
                    None => None,
                }
            }
        }
    }
}

/// The text with the edits, which do not overlap.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + 256);
    let mut from = 0;
    for (span, new) in edits {
        out.push_str(text.get(from..span.start).unwrap_or_default());
        out.push_str(&new);
        from = span.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// How lines end in a text: as its first line does.
pub(super) fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}

/// From the start of an offset's line to the offset.
pub(super) fn line_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit_once('\n').map_or(before, |(_, line)| line)
}

/// The end of an offset's line, without its line end.
pub(super) fn end_of_line(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}
