//! A client's configuration as it may be shown: what looks like a secret is masked.
//!
//! It is read as words and quotes rather than as JSON, TOML or YAML, because pieces are shown, too, and
//! what cannot be parsed must not be shown in clear for that. Lines stay lines.

use crate::record::secret::{looks_secret, names_secret};

/// What stands in a secret's place.
pub(super) const MASK: &str = "***";

/// The text with its secrets masked.
pub(super) fn masked(text: &str) -> String {
    let mut state = State::default();
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        state.line(line, &mut out);
    }
    out
}

/// What was read last.
#[derive(Default)]
struct State {
    /// Whether the next value is a secret, by the name before it.
    secret: bool,
    /// The same for each value of the lists and objects that are open.
    open: Vec<bool>,
}

impl State {
    fn line(&mut self, mut rest: &str, out: &mut String) {
        while let Some(first) = rest.chars().next() {
            let (piece, after) = match first {
                '"' | '\'' => quoted(rest, first),
                '{' | '[' | '}' | ']' | ',' => rest.split_at_checked(1).unwrap_or((rest, "")),
                _ => {
                    let end = rest.find(['"', '\'', '{', '[', '}', ']', ',']).unwrap_or(rest.len());
                    rest.split_at_checked(end).unwrap_or((rest, ""))
                }
            };
            match piece {
                "{" => {
                    self.open.push(false);
                    self.secret = false;
                }
                "[" => self.open.push(self.secret),
                "}" | "]" => {
                    self.open.pop();
                    self.secret = self.inherited();
                }
                "," => out.push(','),
                _ if piece.len() > 1 && matches!(first, '"' | '\'') => self.quoted(piece, after, out),
                _ => self.bare(piece, out),
            }
            if matches!(piece, "{" | "[" | "}" | "]") {
                out.push_str(piece);
            }
            rest = after;
        }
    }

    fn inherited(&self) -> bool {
        self.open.last().copied().unwrap_or(false)
    }

    fn quoted(&mut self, piece: &str, after: &str, out: &mut String) {
        let mark = piece.get(..1).unwrap_or("");
        let inner = piece.get(1..piece.len().saturating_sub(1)).unwrap_or("");
        if after.trim_start().starts_with([':', '=']) {
            self.secret = names_secret(inner, false);
            out.push_str(piece);
            return;
        }
        out.push_str(mark);
        self.value(inner, out);
        out.push_str(mark);
    }

    /// Text outside of quotes: a name with its value, in TOML and YAML; words.
    fn bare(&mut self, piece: &str, out: &mut String) {
        let trimmed = piece.trim();
        let lead = piece.len() - piece.trim_start().len();
        let (before, _) = piece.split_at_checked(lead).unwrap_or(("", piece));
        out.push_str(before);
        let mut value = trimmed;
        while let Some(item) = value.strip_prefix("- ") {
            out.push_str("- ");
            value = item;
        }
        if value == "-" {
            // The item itself is quoted and comes next.
            out.push_str(value);
            value = "";
        }
        if let Some((name, mark, held)) = member(value) {
            if !name.trim().is_empty() {
                self.secret = names_secret(name.trim(), false);
            }
            out.push_str(name);
            out.push_str(mark);
            let start = held.len() - held.trim_start().len();
            out.push_str(held.get(..start).unwrap_or(""));
            value = held.trim_start();
        }
        if !value.is_empty() {
            self.value(value, out);
        }
        let tail = piece.len() - piece.trim_end().len();
        if !trimmed.is_empty() {
            out.push_str(piece.get(piece.len() - tail..).unwrap_or(""));
        }
    }

    fn value(&mut self, value: &str, out: &mut String) {
        let by_name = self.secret;
        self.secret = self.inherited();
        if is_reference(value) || matches!(value, "" | "true" | "false" | "null") {
            out.push_str(value);
        } else if by_name {
            out.push_str(MASK);
        } else if let Some((name, mark, held)) = setting(value) {
            out.push_str(name);
            out.push_str(mark);
            out.push_str(if is_reference(held) { held } else { MASK });
        } else if looks_secret(value) || value.split_whitespace().any(looks_secret) {
            out.push_str(MASK);
        } else {
            // An option in a list: what follows it is what it names.
            self.secret |= value.starts_with('-') && names_secret(value.trim_start_matches('-'), false);
            out.push_str(value);
        }
    }
}

/// A quoted piece up to its end on this line; only the mark where it has none.
fn quoted(rest: &str, mark: char) -> (&str, &str) {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == mark && !escaped;
        escaped = mark == '"' && *c == '\\' && !escaped;
        ends
    });
    let end = end.map_or(1, |(at, _)| at + 1);
    rest.split_at_checked(end).unwrap_or((rest, ""))
}

/// `NAME: VALUE`, `NAME = VALUE` and what is left of them beside a quoted piece.
fn member(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.char_indices().find(|(at, c)| {
        let after = text.get(at + 1..).unwrap_or("");
        match c {
            ':' => after.is_empty() || after.starts_with(char::is_whitespace),
            '=' => *at == 0 || text.get(..*at).is_some_and(|name| name.ends_with(' ')) || after.is_empty(),
            _ => false,
        }
    });
    let (at, _) = at?;
    Some((text.get(..at)?, text.get(at..=at)?, text.get(at + 1..)?))
}

/// `--token=VALUE`, `TOKEN=VALUE` and `X-Api-Key: VALUE` within one word, where the name is one of a secret.
fn setting(value: &str) -> Option<(&str, &str, &str)> {
    let at = value.find(['=', ':'])?;
    let (name, mark, held) = (value.get(..at)?, value.get(at..=at)?, value.get(at + 1..)?);
    let is_name = !held.is_empty() && !held.starts_with("//") && !name.contains(char::is_whitespace);
    (is_name && names_secret(name.trim_start_matches('-'), false)).then_some((name, mark, held))
}

/// Whether a value only says where the secret comes from: `${TOKEN}`, `Bearer ${input:token}`.
fn is_reference(value: &str) -> bool {
    let Some((before, rest)) = value.trim().split_once("${") else { return false };
    let scheme = before.trim();
    rest.split_once('}').is_some_and(|(_, after)| after.is_empty())
        && ["", "bearer", "basic", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_each_format() {
        let key = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
        for (text, shown) in [
            (
                format!("{{\"args\": [\"-y\", \"{key}\"], \"x\": 1}}\r\n"),
                "{\"args\": [\"-y\", \"***\"], \"x\": 1}\r\n",
            ),
            (
                "\"env\": {\"TOKEN\": \"s3\\\"c\", \"A\": \"b\"}, // it's".to_owned(),
                "\"env\": {\"TOKEN\": \"***\", \"A\": \"b\"}, // it's",
            ),
            ("[\"--api-key\",\n \"abc\", \"d\"]".to_owned(), "[\"--api-key\",\n \"***\", \"d\"]"),
            (
                "[\"--token=abc\", \"-e\", \"PASSWORD=x\", \"X-Api-Key: y\"]".to_owned(),
                "[\"--token=***\", \"-e\", \"PASSWORD=***\", \"X-Api-Key:***\"]",
            ),
            (
                "{\"tokens\": [\"a\", \"b\"], \"n\": \"c\"}".to_owned(),
                "{\"tokens\": [\"***\", \"***\"], \"n\": \"c\"}",
            ),
            (
                "{\"secret\": {\"n\": \"c\"}, \"pin\": 1234}".to_owned(),
                "{\"secret\": {\"n\": \"c\"}, \"pin\": ***}",
            ),
            (
                "TOKEN = \"abc\" # mine\ncommand = 'npx'\n".to_owned(),
                "TOKEN = \"***\" # mine\ncommand = 'npx'\n",
            ),
            (
                format!("cmd: npx\nargs:\n  - --token\n  - abc\n  - {key}\nenvs:\n  TOKEN: a b\n"),
                "cmd: npx\nargs:\n  - --token\n  - ***\n  - ***\nenvs:\n  TOKEN: ***\n",
            ),
            ("# a comment with ".to_owned() + key, "***"),
        ] {
            let got = masked(&text);
            assert!(got == shown || (shown == MASK && !got.contains(key)), "{text}\n{got}\n{shown}");
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for text in [
            "{\r\n  // don't\r\n  \"mcpServers\": { \"a\": {\"url\": \"https://h.example/mcp\", \"args\": [\"-y\", \"@x/y@1.2.3\"],}, } }",
            "\"Authorization\": \"Bearer ${input:token}\", \"TOKEN\": \"${TOKEN}\", \"auth\": true",
            "extensions: {thing: {type: stdio, cmd: x, enabled: true}}\n  - \"q\"\n",
            "[mcp_servers.a]\nargs = ['a', \"b\"]\nurl = \"https://h/mcp\"\n\tx=1  \n\n",
            "\"open quote: é\n'",
            "",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
