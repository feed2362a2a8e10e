//! What is known of an argument's strings: a few values, a shape, or a set of characters.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// At most so many different values are kept.
const MOST_VALUES: usize = 64;
/// Longer strings are not kept as values.
const LONGEST_VALUE: usize = 200;
/// A shape has at most so many runs.
const MOST_RUNS: usize = 24;
/// Repetitions above this are written without a number.
const MOST_REPEATED: u32 = 1_000;
/// With more kinds of characters than this a text is free text.
const MOST_KINDS: u32 = 24;

/// A kind of characters within a shape: one of those below, or a character that stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class(u8);

impl Class {
    // Above all characters of ASCII.
    const UPPER: Self = Self(128);
    const LOWER: Self = Self(129);
    const DIGIT: Self = Self(130);
    const UPPER_DIGIT: Self = Self(131);
    const LOWER_DIGIT: Self = Self(132);
    const LETTERS: Self = Self(133);
    const ALNUM: Self = Self(134);

    fn pattern(self) -> String {
        let known = match self {
            Self::UPPER => "[A-Z]",
            Self::LOWER => "[a-z]",
            Self::DIGIT => "[0-9]",
            Self::UPPER_DIGIT => "[A-Z0-9]",
            Self::LOWER_DIGIT => "[a-z0-9]",
            Self::LETTERS => "[A-Za-z]",
            Self::ALNUM => "[A-Za-z0-9]",
            Self(byte) => return literal(&char::from(byte).to_string()),
        };
        known.to_owned()
    }

    fn is_literal(self) -> bool {
        self.0 < 128
    }
}

/// The class of each character of ASCII.
struct Level([Class; 128]);

impl Level {
    /// One that tells upper-case letters, lower-case letters and digits apart as it is given.
    const fn new(upper: Class, lower: Class, digit: Class) -> Self {
        let mut classes = [Class(0); 128];
        let mut byte = 0;
        while byte < 128 {
            let class = match byte {
                b'A'..=b'Z' => upper,
                b'a'..=b'z' => lower,
                b'0'..=b'9' => digit,
                other => Class(other),
            };
            #[expect(clippy::indexing_slicing, reason = "while compiling")]
            {
                classes[byte as usize] = class;
            }
            byte += 1;
        }
        Self(classes)
    }

    fn of(&self, byte: u8) -> Class {
        // Texts with other characters have no shape.
        self.0.get(usize::from(byte)).copied().unwrap_or(Class(byte))
    }
}

/// The characters of ASCII that can be seen, and the space.
const VISIBLE: u128 = u128::MAX >> 1 & u128::MAX << b' ';

/// How finely characters are told apart, the finest first.
static LEVELS: [Level; 5] = [
    Level::new(Class::UPPER, Class::LOWER, Class::DIGIT),
    Level::new(Class::UPPER_DIGIT, Class::LOWER, Class::UPPER_DIGIT),
    Level::new(Class::UPPER, Class::LOWER_DIGIT, Class::LOWER_DIGIT),
    Level::new(Class::LETTERS, Class::LETTERS, Class::DIGIT),
    Level::new(Class::ALNUM, Class::ALNUM, Class::ALNUM),
];

/// Characters of one class in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    class: Class,
    /// The letters, where they are always the same.
    word: Option<String>,
    least: u32,
    most: u32,
    /// How many runs of the finest level are one of this.
    parts: u32,
}

/// The runs that all strings share at one level.
#[derive(Debug, Clone, Default)]
enum Shape {
    #[default]
    Unseen,
    Runs(Vec<Run>),
    /// They share none.
    None,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    pub(super) count: u64,
    /// The values with how often each was, while they are few.
    values: BTreeMap<String, u64>,
    /// There are more values than are kept.
    many: bool,
    /// How many strings there were when the last new value came.
    fresh: u64,
    shapes: [Shape; LEVELS.len()],
    /// The ASCII characters in use.
    ascii: u128,
    /// Some other character is in use, or one that cannot be seen.
    other: bool,
    shortest: Option<u32>,
    longest: u32,
    prefix: Option<String>,
    /// Two dots stand together somewhere.
    dots: bool,
}

impl Texts {
    pub(super) fn see(&mut self, text: &str, times: u64) {
        self.count += times;
        if !self.many {
            if let Some(known) = self.values.get_mut(text) {
                *known += times;
                return;
            }
            self.fresh = self.count;
            if self.values.len() < MOST_VALUES && text.len() <= LONGEST_VALUE {
                self.values.insert(text.to_owned(), times);
            } else {
                self.many = true;
            }
        }
        self.shape(text);
    }

    fn shape(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.shortest = Some(self.shortest.map_or(length, |shortest| shortest.min(length)));
        self.longest = self.longest.max(length);
        let mut used = [0_u64; 4];
        for byte in bytes {
            if let Some(quarter) = used.get_mut(usize::from(*byte >> 6)) {
                *quarter |= 1 << (byte & 63);
            }
        }
        let ascii = u128::from(used[0]) | u128::from(used[1]) << 64;
        self.other |= ascii & !VISIBLE != 0 || used[2] | used[3] != 0;
        self.ascii |= ascii & VISIBLE;
        self.dots |= ascii & (1 << b'.') != 0 && text.contains("..");
        match &mut self.prefix {
            None => self.prefix = Some(text.chars().take(LONGEST_VALUE).collect()),
            Some(prefix) => {
                let same = prefix.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
                prefix.truncate(prefix.floor_char_boundary(same));
            }
        }
        self.reshape(bytes);
    }

    /// Holds the runs of a string against those of the strings before it.
    fn reshape(&mut self, bytes: &[u8]) {
        if self.other {
            self.shapes.fill(Shape::None);
            return;
        }
        // While all strings have the same runs at the finest level, those of the others are made of
        // them, and only their lengths have to be added up.
        let mut lengths = [0_u32; MOST_RUNS];
        let mut known = false;
        let [finest, ..] = &mut self.shapes;
        if let Shape::Runs(runs) = finest {
            known = fit(runs, bytes, &LEVELS[0], Some(&mut lengths));
            if !known {
                *finest = Shape::None;
            }
        }
        for (index, (shape, level)) in self.shapes.iter_mut().zip(&LEVELS).enumerate() {
            match shape {
                Shape::Runs(_) if index == 0 => {}
                Shape::Runs(runs) if known => add_up(runs, bytes, &lengths),
                Shape::Runs(runs) => {
                    if !fit(runs, bytes, level, None) {
                        *shape = Shape::None;
                    }
                }
                Shape::Unseen => *shape = runs(bytes, level).map_or(Shape::None, Shape::Runs),
                Shape::None => {}
            }
        }
    }

    /// How many different values there were; `None`: more than are kept.
    pub(super) fn distinct(&self) -> Option<usize> {
        (!self.many).then_some(self.values.len())
    }

    /// The values, the most frequent first; of many, the first that were seen.
    pub(super) fn examples(&self, most: usize) -> Vec<String> {
        let mut values: Vec<(&String, &u64)> = self.values.iter().collect();
        values.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        values.into_iter().take(most).map(|(value, _)| value.clone()).collect()
    }

    /// The values, where they are so few, and so long without a new one, that others are not to be
    /// expected.
    pub(super) fn choices(&self, most: usize) -> Option<Vec<String>> {
        let few = !self.many && self.values.len() <= most;
        let settled = self.count >= 3 * self.values.len() as u64 && self.fresh <= self.count * 2 / 3;
        (few && settled).then(|| self.values.keys().cloned().collect())
    }

    /// An anchored pattern of the finest shape that all share.
    pub(super) fn shaped(&self, margin: u32) -> Option<String> {
        let runs = self.shapes.iter().find_map(|shape| match shape {
            Shape::Runs(runs) if !runs.is_empty() => Some(runs),
            _ => None,
        })?;
        let mut pattern = String::from("^");
        for run in runs {
            // A word that never changed is part of the shape, when it was seen often enough.
            if let Some(word) = run.word.as_ref().filter(|_| self.count >= 8) {
                pattern.push_str(&literal(word));
                continue;
            }
            pattern.push_str(&run.class.pattern());
            let literal = run.class.is_literal();
            // What always had one length keeps it, when it was seen often enough.
            let fixed = run.least == run.most && (literal || self.count >= 8);
            let (least, most) =
                if fixed { (run.least, run.most) } else { spread(run.least.max(1), run.most, margin) };
            repeat(&mut pattern, least, most);
        }
        pattern.push('$');
        Some(pattern)
    }

    /// An anchored pattern of the characters in use, after what all begin with. `None` of free text.
    pub(super) fn spelt(&self, margin: u32) -> Option<String> {
        let set = self.set()?;
        let prefix = self.start();
        let taken = u32::try_from(prefix.len()).unwrap_or(0);
        let shortest = self.shortest?.saturating_sub(taken);
        let (least, most) = spread(shortest, self.longest.saturating_sub(taken), margin);
        let mut pattern = format!("^{}", literal(&prefix));
        if self.uses(b'.') && self.uses(b'/') && !self.dots {
            // No step of a path may lead upwards.
            let rest = class_of(self.ascii & !(1 << b'.'));
            let _ = write!(pattern, r"(?:\.?[{rest}])*\.?");
        } else {
            let _ = write!(pattern, "[{set}]");
            repeat(&mut pattern, least, most);
        }
        pattern.push('$');
        Some(pattern)
    }

    /// A pattern that finds a character which was never used. `None` of free text.
    pub(super) fn foreign(&self) -> Option<String> {
        Some(format!("[^{}]", self.set()?))
    }

    fn uses(&self, byte: u8) -> bool {
        self.ascii & (1 << byte) != 0
    }

    /// The characters in use, as the inside of a class.
    fn set(&self) -> Option<String> {
        if self.other || self.ascii == 0 || punctuation(self.ascii).count_ones() > MOST_KINDS {
            return None;
        }
        let words = self.uses(b' ') && self.longest > 60;
        let prose = [b',', b'.', b'\''].into_iter().filter(|byte| self.uses(*byte)).count() >= 2;
        (!(words && prose)).then(|| class_of(self.ascii))
    }

    /// What all begin with, up to something that ends a part of it.
    fn start(&self) -> String {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if self.values.len() < 2 && !self.many {
            return String::new();
        }
        let end = prefix.rfind(['/', ':', '@', '.', '_', '-', ' ']).map_or(0, |at| at + 1);
        let start = prefix.get(..end).unwrap_or_default();
        if start.len() < 3 { String::new() } else { start.to_owned() }
    }
}

/// A text as a pattern of itself; a dash needs no escape outside of a class.
fn literal(text: &str) -> String {
    regex::escape(text).replace(r"\-", "-")
}

fn punctuation(set: u128) -> u128 {
    (b' '..=b'~').filter(|byte| !byte.is_ascii_alphanumeric()).fold(0, |all, byte| all | (set & (1 << byte)))
}

/// The inside of a class of characters: letters and digits as whole ranges, all else singly.
fn class_of(set: u128) -> String {
    let any = |range: std::ops::RangeInclusive<u8>| range.into_iter().any(|byte| set & (1 << byte) != 0);
    let mut inside = String::new();
    for (range, text) in [(b'A'..=b'Z', "A-Z"), (b'a'..=b'z', "a-z"), (b'0'..=b'9', "0-9")] {
        if any(range) {
            inside.push_str(text);
        }
    }
    for byte in (b' '..=b'~').filter(|byte| !byte.is_ascii_alphanumeric() && set & (1 << byte) != 0) {
        if matches!(byte, b'\\' | b']' | b'[' | b'^' | b'-' | b'&' | b'~') {
            inside.push('\\');
        }
        inside.push(char::from(byte));
    }
    inside
}

fn runs(bytes: &[u8], level: &Level) -> Option<Vec<Run>> {
    let [finest, ..] = &LEVELS;
    let mut runs: Vec<Run> = Vec::new();
    let mut before = None;
    for byte in bytes {
        let class = level.of(*byte);
        let part = before.replace(finest.of(*byte)) != before;
        if let Some(run) = runs.last_mut().filter(|run| run.class == class) {
            run.most = run.most.saturating_add(1);
            run.least = run.most;
            run.parts += u32::from(part);
            if let Some(word) = &mut run.word {
                word.push(char::from(*byte));
            }
        } else if runs.len() == MOST_RUNS {
            return None;
        } else {
            let letters = matches!(class, Class::UPPER | Class::LOWER | Class::LETTERS);
            let word = letters.then(|| char::from(*byte).to_string());
            runs.push(Run { class, word, least: 1, most: 1, parts: 1 });
        }
    }
    Some(runs)
}

impl Run {
    /// Widens it to hold characters of its class, too.
    fn hold(&mut self, bytes: Option<&[u8]>, count: u32) {
        self.least = self.least.min(count);
        self.most = self.most.max(count);
        if self.word.as_ref().is_some_and(|word| bytes != Some(word.as_bytes())) {
            self.word = None;
        }
    }
}

/// Widens known runs to hold a string, too; whether it has the same runs. Tells how long each is.
fn fit(known: &mut [Run], bytes: &[u8], level: &Level, mut lengths: Option<&mut [u32; MOST_RUNS]>) -> bool {
    let mut at = 0;
    for (index, run) in known.iter_mut().enumerate() {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| level.of(**byte) == run.class).count();
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        if count == 0 {
            return false;
        }
        run.hold(rest.get(..length), count);
        if let Some(told) = lengths.as_mut().and_then(|lengths| lengths.get_mut(index)) {
            *told = count;
        }
        at += length;
    }
    at == bytes.len()
}

/// Widens known runs to hold a string that has the same runs; the lengths are those of the finest
/// level.
fn add_up(known: &mut [Run], bytes: &[u8], lengths: &[u32]) {
    let (mut rest, mut lengths) = (bytes, lengths.iter());
    for run in known {
        let count: u32 = lengths.by_ref().take(run.parts as usize).sum();
        let (here, after) = rest.split_at_checked(count as usize).unwrap_or((rest, &[]));
        run.hold(Some(here), count);
        rest = after;
    }
}

/// Lengths with a margin.
fn spread(least: u32, most: u32, margin: u32) -> (u32, u32) {
    let share = |of: u32| u64::from(of) * u64::from(margin);
    let low = u64::from(least).saturating_sub(share(least).div_ceil(100)).max(u64::from(least.min(1)));
    let high = u64::from(most) + share(most).div_ceil(100);
    (u32::try_from(low).unwrap_or(0), u32::try_from(high).unwrap_or(u32::MAX))
}

fn repeat(pattern: &mut String, least: u32, most: u32) {
    let _ = match (least, most) {
        (1, 1) => Ok(()),
        (0, most) if most > MOST_REPEATED => write!(pattern, "*"),
        (_, most) if most > MOST_REPEATED => write!(pattern, "+"),
        (least, most) if least == most => write!(pattern, "{{{least}}}"),
        (least, most) => write!(pattern, "{{{least},{most}}}"),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn texts(values: &[&str], each: usize) -> Texts {
        let mut texts = Texts::default();
        for _ in 0..each {
            for value in values {
                texts.see(value, 1);
            }
        }
        texts
    }

    #[test]
    fn shapes_are_as_fine_as_they_can_be() {
        for (values, pattern) in [
            (&["JFK", "SFO", "ATL"][..], Some("^[A-Z]{3}$")),
            (&["2024-05-20", "2024-06-01"], Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}$")),
            (&["H8Q05L", "NQNU5R", "123456"], Some("^[A-Z0-9]{6}$")),
            (&["mia_li_3668", "noah_muller_9847"], Some("^[a-z]{2,5}_[a-z]{1,8}_[0-9]{4}$")),
            (&["HAT136", "HAT039"], Some("^HAT[0-9]{3}$")),
            (&["agent/fix-1", "agent/fix-22"], Some("^agent/fix-[0-9]{1,3}$")),
            (&["a b", "a"], None),
            (&["é"], None),
            (&[""], None),
        ] {
            assert_eq!(texts(values, 8).shaped(25).as_deref(), pattern, "{values:?}");
        }
        // Of few calls nothing is taken to be fixed.
        assert_eq!(texts(&["JFK", "SFO"], 1).shaped(25).as_deref(), Some("^[A-Z]{2,4}$"));
    }

    #[test]
    fn characters_and_prefixes() {
        for (values, pattern) in [
            (&["158 + 141", "(350 - 122) * 2"][..], Some(r"^[0-9 ()*+\-]{6,19}$")),
            (&["/srv/app/a.txt", "/srv/app/b/c.md"], Some(r"^/srv/app/(?:\.?[a-z/])*\.?$")),
            (
                &["https://a.example/x", "https://a.example/y/z"],
                Some(r"^https://a\.example/(?:\.?[a-z/:])*\.?$"),
            ),
            (&["ümlaut", "x"], None),
            (&["one\ntwo"], None),
        ] {
            assert_eq!(texts(values, 5).spelt(25).as_deref(), pattern, "{values:?}");
        }
        let prose =
            "I need to ensure the payment methods add up, and that's the total cost of it. Then I go on.";
        assert_eq!(texts(&[prose, "Short."], 9).spelt(25), None);
        let upward = Regex::new(&texts(&["/srv/app/a.txt", "/srv/app/b"], 5).spelt(25).unwrap()).unwrap();
        assert!(upward.is_match("/srv/app/other.txt") && !upward.is_match("/srv/app/../etc/passwd"));
    }

    #[test]
    fn few_values_become_a_set_once_no_new_one_comes() {
        assert_eq!(
            texts(&["economy", "business"], 3).choices(8),
            Some(vec!["business".to_owned(), "economy".to_owned()])
        );
        assert_eq!(texts(&["economy", "business"], 2).choices(8), None);
        assert_eq!(texts(&["a", "b", "c"], 9).choices(2), None);
        let mut late = texts(&["a"], 9);
        late.see("b", 1);
        assert_eq!(late.choices(8), None);
    }

    /// The runs of one level, looked at by itself.
    fn alone(texts: &[String], level: &Level) -> Option<Vec<Run>> {
        let (first, rest) = texts.split_first()?;
        let mut known = runs(first.as_bytes(), level)?;
        rest.iter().all(|text| fit(&mut known, text.as_bytes(), level, None)).then_some(known)
    }

    proptest! {
        /// Adding up the runs of the finest level gives what each level finds by itself.
        #[test]
        fn levels_agree_with_themselves(texts in prop::collection::vec("([aB1.]{0,3}-){0,2}[aB1]{0,4}", 1..8)) {
            let mut seen = Texts { many: true, ..Texts::default() };
            for text in &texts {
                seen.see(text, 1);
            }
            for (shape, level) in seen.shapes.iter().zip(&LEVELS) {
                let found = match shape {
                    Shape::Runs(runs) => Some(runs.clone()),
                    _ => None,
                };
                prop_assert_eq!(found, alone(&texts, level));
            }
        }

        /// Every pattern matches whatever it was made of.
        #[test]
        fn patterns_hold_what_was_seen(
            values in prop::collection::vec(
                prop_oneof!["[A-Z]{1,4}[0-9]{0,3}", "[a-z./_-]{0,12}", "[ -~]{0,20}", "\\PC{0,6}", "(a|bc)=[0-9]{1,3}"],
                1..90,
            ),
            margin in 0_u32..200,
        ) {
            let mut texts = Texts::default();
            for value in &values {
                texts.see(value, 1);
            }
            for pattern in [texts.shaped(margin), texts.spelt(margin)].into_iter().flatten() {
                let regex = Regex::new(&pattern).unwrap();
                for value in &values {
                    prop_assert!(regex.is_match(value), "{} {:?}", pattern, value);
                }
            }
            if let Some(foreign) = texts.foreign() {
                let regex = Regex::new(&foreign).unwrap();
                prop_assert!(values.iter().all(|value| !regex.is_match(value)), "{}", foreign);
            }
            if let Some(choices) = texts.choices(8) {
                prop_assert!(values.iter().all(|value| choices.contains(value)));
            }
        }
    }
}
