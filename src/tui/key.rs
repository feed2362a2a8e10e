//! Keys as values, independent of the terminal library, with one spelling: `ctrl-s`, `G`, `g g`.

use std::fmt;
use std::str::FromStr;

/// The longest sequence that a binding may have.
pub const MAX_SEQUENCE: usize = 4;

/// A key on the keyboard, without its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A character as typed: shift is already in it.
    Char(char),
    /// Enter
    Enter,
    /// Escape
    Esc,
    /// Tab
    Tab,
    /// Backspace
    Backspace,
    /// Delete
    Delete,
    /// Insert
    Insert,
    /// Arrow up
    Up,
    /// Arrow down
    Down,
    /// Arrow left
    Left,
    /// Arrow right
    Right,
    /// Home
    Home,
    /// End
    End,
    /// Page up
    PageUp,
    /// Page down
    PageDown,
    /// A function key, 1 to 24.
    F(u8),
}

/// The names of keys that are no character, as written in bindings.
const NAMES: [(&str, Code); 15] = [
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("backspace", Code::Backspace),
    ("delete", Code::Delete),
    ("insert", Code::Insert),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pgdn", Code::PageDown),
    ("space", Code::Char(' ')),
];

/// A key with its modifiers. Shift on a character is not a modifier: `G` is another character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The key.
    pub code: Code,
    /// Control was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
    /// Shift was held; never set with a character.
    pub shift: bool,
}

impl Key {
    /// A key without modifiers.
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false, shift: false }
    }

    /// A character.
    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    /// A key with modifiers, in the one form that bindings are compared in: shift goes into a
    /// character, and with control a letter is always small.
    pub fn new(code: Code, ctrl: bool, alt: bool, shift: bool) -> Self {
        match code {
            Code::Char(c) => {
                let c = if ctrl {
                    c.to_ascii_lowercase()
                } else if shift {
                    single_upper(c)
                } else {
                    c
                };
                Self { code: Code::Char(c), ctrl, alt, shift: false }
            }
            _ => Self { code, ctrl, alt, shift },
        }
    }

    /// The character that this key types into a field, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt && !c.is_control() => Some(c),
            _ => None,
        }
    }
}

fn single_upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        if self.alt {
            f.write_str("alt-")?;
        }
        if self.shift {
            f.write_str("shift-")?;
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            Code::Char(c) => write!(f, "{c}"),
            Code::F(number) => write!(f, "f{number}"),
            _ => Ok(()),
        }
    }
}

/// Why a key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing was written.
    #[error("a key is missing: write for instance `ctrl-s`, `G` or `g g`")]
    Empty,
    /// No key has that name.
    #[error(
        "no key is called `{0}`: write one character, or one of enter, esc, tab, space, up, pgdn, f5 ..."
    )]
    Unknown(String),
    /// The same modifier twice, or shift with a character.
    #[error("`{0}`: write the character that shift makes (`G`), and each modifier once")]
    Modifier(String),
    /// Too many keys in a row.
    #[error("`{0}` has more than {MAX_SEQUENCE} keys in a row")]
    TooLong(String),
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut rest = text;
        let (mut ctrl, mut alt, mut shift) = (false, false, false);
        loop {
            let flag;
            if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
                (rest, flag) = (after, &mut ctrl);
            } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty()) {
                (rest, flag) = (after, &mut alt);
            } else if let Some(after) = rest.strip_prefix("shift-").filter(|after| !after.is_empty()) {
                (rest, flag) = (after, &mut shift);
            } else {
                break;
            }
            if std::mem::replace(flag, true) {
                return Err(KeyError::Modifier(text.to_owned()));
            }
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (None, _) => return Err(KeyError::Empty),
            (Some(c), None) if !c.is_control() && !c.is_whitespace() => Code::Char(c),
            _ => named(rest).ok_or_else(|| KeyError::Unknown(rest.to_owned()))?,
        };
        if shift && matches!(code, Code::Char(_)) {
            return Err(KeyError::Modifier(text.to_owned()));
        }
        Ok(Self::new(code, ctrl, alt, shift))
    }
}

fn named(name: &str) -> Option<Code> {
    if let Some((_, code)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*code);
    }
    let number: u8 = name.strip_prefix('f')?.parse().ok()?;
    // One spelling each: `f01` is not `f1`.
    ((1..=24).contains(&number) && name == format!("f{number}")).then_some(Code::F(number))
}

/// One or more keys in a row, as a binding names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keys(pub Vec<Key>);

impl FromStr for Keys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys: Vec<Key> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeyError::Empty),
            1..=MAX_SEQUENCE => Ok(Self(keys)),
            _ => Err(KeyError::TooLong(text.to_owned())),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{key}")?;
        }
        Ok(())
    }
}

/// Checks the spelling of a binding: total, for any text, and what it accepts reads back the same.
///
/// # Errors
/// What is wrong with the spelling.
pub fn check(spec: &str) -> Result<Keys, KeyError> {
    let keys: Keys = spec.parse()?;
    debug_assert_eq!(keys.to_string().parse().as_ref(), Ok(&keys), "{spec:?}");
    Ok(keys)
}

/// How screens show a key: arrows and Enter by their signs where Unicode is to be had.
pub fn label(keys: &Keys, unicode: bool) -> String {
    keys.0.iter().map(|key| label_one(*key, unicode)).collect::<Vec<_>>().join(" ")
}

fn label_one(key: Key, unicode: bool) -> String {
    let name = match key.code {
        Code::Up if unicode => "↑".to_owned(),
        Code::Down if unicode => "↓".to_owned(),
        Code::Left if unicode => "←".to_owned(),
        Code::Right if unicode => "→".to_owned(),
        Code::Enter if unicode => "⏎".to_owned(),
        Code::Char(' ') => "Space".to_owned(),
        Code::Char(c) => c.to_string(),
        Code::F(number) => format!("F{number}"),
        Code::PageUp => "PgUp".to_owned(),
        Code::PageDown => "PgDn".to_owned(),
        _ => {
            let plain = Key::plain(key.code).to_string();
            let mut chars = plain.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
        }
    };
    let mut text = String::new();
    if key.ctrl {
        text.push_str("Ctrl-");
    }
    if key.alt {
        text.push_str("Alt-");
    }
    if key.shift {
        text.push_str("Shift-");
    }
    text.push_str(&name);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_reads_and_prints_the_same() {
        for spec in
            ["ctrl-s", "G", "g g", "space", "alt-enter", "shift-tab", "f12", "-", "ctrl--", "ctrl-alt-x"]
        {
            assert_eq!(check(spec).expect(spec).to_string(), spec);
        }
        for spec in ["", " ", "shift-a", "ctrl-ctrl-a", "hyper-a", "f0", "f25", "f01", "g g g g g", "ctrl-"] {
            assert!(check(spec).is_err(), "{spec}");
        }
        assert_eq!(Key::new(Code::Char('S'), true, false, true), "ctrl-s".parse().expect("key"));
        assert_eq!(Key::new(Code::Char('g'), false, false, true), Key::char('G'));
    }

    proptest! {
        #[test]
        fn check_is_total_and_what_it_accepts_reads_back(spec in "(ctrl-|alt-|shift-|f|[a-z]| |\\PC){0,6}") {
            if let Ok(keys) = check(&spec) {
                prop_assert_eq!(keys.to_string().parse::<Keys>(), Ok(keys));
            }
        }
    }
}
