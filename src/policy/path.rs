//! Paths into a call's arguments: `args.items[*].price`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object, by its name with escapes taken out.
    Name(String),
    /// A number: indexes an array, names a member of an object.
    Number {
        /// The index.
        index: usize,
        /// Its spelling, the member's name.
        text: String,
    },
    /// `[*]`: every element of an array.
    Each,
}

/// A path that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

/// Why a text is no path, and what was surely meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl PathError {
    fn new(message: &str, help: impl Into<String>) -> Self {
        Self { message: message.to_owned(), help: help.into() }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Reads a path. Steps are separated by dots; `\.` is a literal dot, `\[` a literal bracket and
    /// `\\` a literal backslash. A step may end in `[*]`, once or more often.
    ///
    /// # Errors
    /// When it does not begin with `args.`, has an empty step, a backslash before anything else, or
    /// brackets that other languages would read as an index.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let Some(rest) = text.strip_prefix("args.") else {
            let bare = text.trim_start_matches(['$', '.']).trim_start_matches("arguments.");
            let help = match bare {
                "" | "args" | "arguments" => "name an argument: `args.NAME`".to_owned(),
                bare if bare.starts_with("args[") => {
                    "the arguments are an object; name one of them: `args.NAME`".to_owned()
                }
                bare => format!("did you mean `args.{bare}`?"),
            };
            return Err(PathError::new("a path must start with `args.`", help));
        };
        let mut steps = Vec::new();
        let mut reader = Reader { rest: rest.chars(), name: String::new() };
        while reader.step(&mut steps)? {}
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The steps after `args`; at least one.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a step is `[*]`.
    pub fn ranges(&self) -> bool {
        self.steps.contains(&Step::Each)
    }

    /// The text of the first `count` steps, with the given indices in the place of `[*]` as far as
    /// they reach.
    pub fn place(&self, count: usize, indices: &[usize]) -> String {
        let mut out = "args".to_owned();
        let mut indices = indices.iter();
        for step in self.steps.iter().take(count) {
            match step {
                Step::Name(name) => {
                    out.push('.');
                    escape(name, &mut out);
                }
                Step::Number { text, .. } => {
                    out.push('.');
                    out.push_str(text);
                }
                Step::Each => match indices.next() {
                    Some(index) => {
                        out.push('.');
                        out.push_str(&index.to_string());
                    }
                    None => out.push_str("[*]"),
                },
            }
        }
        out
    }
}

/// Appends a member's name as a step, with a backslash where it holds what a path would read.
pub fn escape(name: &str, out: &mut String) {
    for c in name.chars() {
        if matches!(c, '.' | '\\' | '[') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Gives back the text.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Reader<'t> {
    rest: std::str::Chars<'t>,
    name: String,
}

impl Reader<'_> {
    /// Reads one step and its `[*]`s; `false` at the end of the path.
    fn step(&mut self, steps: &mut Vec<Step>) -> Result<bool, PathError> {
        self.name.clear();
        loop {
            match self.rest.next() {
                None => {
                    self.finish(steps)?;
                    return Ok(false);
                }
                Some('.') => {
                    self.finish(steps)?;
                    return Ok(true);
                }
                Some('\\') => match self.rest.next() {
                    Some(c @ ('.' | '\\' | '[')) => self.name.push(c),
                    _ => {
                        return Err(PathError::new(
                            "a backslash in a path must stand before a dot, a bracket or a backslash",
                            "a literal backslash is written twice",
                        ));
                    }
                },
                Some('[') => {
                    let (inner, after) = self.rest.as_str().split_once(']').unwrap_or(("\\", ""));
                    if inner == "*" {
                        self.finish(steps)?;
                        steps.push(Step::Each);
                        self.rest = after.chars();
                        return self.after_each(steps);
                    }
                    if let Some(error) = foreign_index(inner) {
                        return Err(error);
                    }
                    // `filter[status]` is a name that some servers have.
                    self.name.push('[');
                }
                Some(c) => self.name.push(c),
            }
        }
    }

    /// What may follow `[*]`: another one, a dot or the end.
    fn after_each(&mut self, steps: &mut Vec<Step>) -> Result<bool, PathError> {
        while let Some(after) = self.rest.as_str().strip_prefix("[*]") {
            steps.push(Step::Each);
            self.rest = after.chars();
        }
        match self.rest.next() {
            None => Ok(false),
            Some('.') => Ok(true),
            Some(_) => Err(PathError::new(
                "only a dot can follow `[*]` in a path",
                "to name a member of each element write `args.items[*].name`",
            )),
        }
    }

    fn finish(&mut self, steps: &mut Vec<Step>) -> Result<(), PathError> {
        if self.name.is_empty() {
            return Err(PathError::new(
                "the path has an empty step",
                "steps are separated by one dot, and `[*]` follows a name directly",
            ));
        }
        let plain = self.name.bytes().all(|byte| byte.is_ascii_digit())
            && (self.name == "0" || !self.name.starts_with('0'));
        let name = std::mem::take(&mut self.name);
        steps.push(match name.parse() {
            Ok(index) if plain => Step::Number { index, text: name },
            _ => Step::Name(name),
        });
        Ok(())
    }
}

/// Brackets that would be an index or a quoted name elsewhere: taken literally they would name an
/// argument that no server has, and the rule would never fire.
fn foreign_index(inner: &str) -> Option<PathError> {
    let quoted = |quote: char| inner.len() > 1 && inner.starts_with(quote) && inner.ends_with(quote);
    let help = if inner.is_empty() {
        "every element is `[*]`".to_owned()
    } else if inner.strip_prefix('-').unwrap_or(inner).bytes().all(|byte| byte.is_ascii_digit()) {
        if inner.starts_with('-') {
            "elements are counted from the front only: `.0`".to_owned()
        } else {
            format!("an element is named by a step of its own: `.{inner}`")
        }
    } else if quoted('"') || quoted('\'') {
        "a member is named by a step of its own, its dots written `\\.`".to_owned()
    } else if inner.contains(':') || inner.contains('*') || inner.starts_with('?') {
        "every element is `[*]`".to_owned()
    } else {
        return None;
    };
    Some(PathError::new("brackets in a path can only hold `*`", help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        let path = Path::parse(text).expect(text);
        assert_eq!(path.to_string(), text);
        path.steps()
            .iter()
            .map(|step| match step {
                Step::Name(name) => name.clone(),
                Step::Number { index, text } => format!("#{index}={text}"),
                Step::Each => "*".to_owned(),
            })
            .collect()
    }

    #[test]
    fn reads_steps() {
        for (text, steps) in [
            ("args.amount", &["amount"][..]),
            ("args.a.b", &["a", "b"]),
            ("args.a\\.b", &["a.b"]),
            ("args.a\\\\.b", &["a\\", "b"]),
            ("args.items[*].price", &["items", "*", "price"]),
            ("args.grid[*][*]", &["grid", "*", "*"]),
            ("args.items.0", &["items", "#0=0"]),
            ("args.items.007", &["items", "007"]),
            ("args.items.99999999999999999999999", &["items", "99999999999999999999999"]),
            ("args.filter[status]", &["filter[status]"]),
            ("args.items\\[*]", &["items[*]"]),
            ("args.items\\[0]", &["items[0]"]),
            ("args.0[*]", &["#0=0", "*"]),
            ("args.args.x", &["args", "x"]),
            ("args. a", &[" a"]),
            ("args.ä/~\u{1f600}", &["ä/~\u{1f600}"]),
            ("args.a[b", &["a[b"]),
        ] {
            assert_eq!(shown(text), steps, "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_followed() {
        for (text, message) in [
            ("", "must start with"),
            ("args", "must start with"),
            ("amount", "must start with"),
            ("$.args.a", "must start with"),
            ("ARGS.a", "must start with"),
            ("args[*]", "must start with"),
            ("args.", "empty step"),
            ("args..a", "empty step"),
            ("args.a.", "empty step"),
            ("args.[*]", "empty step"),
            ("args.a.[*]", "empty step"),
            ("args.a[*].", "empty step"),
            ("args.a[*]b", "follow `[*]`"),
            ("args.a[*]..b", "empty step"),
            ("args.a[0]", "brackets"),
            ("args.a[]", "brackets"),
            ("args.a[-1]", "brackets"),
            ("args.a['b']", "brackets"),
            ("args.a[1:2]", "brackets"),
            ("args.a[**]", "brackets"),
            ("args.a\\b", "backslash"),
            ("args.a\\", "backslash"),
        ] {
            let error = Path::parse(text).expect_err(text);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
        assert_eq!(Path::parse("amount").unwrap_err().help, "did you mean `args.amount`?");
        assert_eq!(Path::parse("$.arguments.amount").unwrap_err().help, "did you mean `args.amount`?");
        assert!(Path::parse("args.a[0]").unwrap_err().help.contains("`.0`"));
    }

    #[test]
    fn names_places() {
        let path = Path::parse("args.a\\.b[*].c[*].2").unwrap();
        assert_eq!(path.place(0, &[]), "args");
        assert_eq!(path.place(1, &[]), "args.a\\.b");
        assert_eq!(path.place(3, &[7]), "args.a\\.b.7.c");
        assert_eq!(path.place(9, &[7]), "args.a\\.b.7.c[*].2");
        assert_eq!(path.place(9, &[7, 0]), "args.a\\.b.7.c.0.2");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,20}|args[.\\[\\]*\\\\0-9a-z]{0,20}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(path.place(usize::MAX, &[]).len() > 5, true);
            }
        }

        #[test]
        fn any_name_can_be_a_step(name in ".{1,12}", next in "[a-z]{1,3}") {
            let mut text = "args.".to_owned();
            escape(&name, &mut text);
            text.push('.');
            text.push_str(&next);
            let path = Path::parse(&text).expect("escaped");
            let first = match &path.steps()[0] {
                Step::Name(name) | Step::Number { text: name, .. } => name.clone(),
                Step::Each => String::new(),
            };
            prop_assert_eq!(first, name);
            prop_assert_eq!(path.steps().len(), 2);
            prop_assert_eq!(path.place(9, &[]), text);
        }
    }
}
