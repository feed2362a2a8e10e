//! What could stand at a place of a policy text that is being written.
//!
//! The text need not be JSON yet: it is read from its beginning up to the place, forgiving whatever
//! is missing, so that the way to the place is known while a person types.

#[doc(hidden)]
pub mod total;

use super::model::{Limit, Op, Policy};
use super::parse::keys_of;
use super::schema::{JsonType, ToolShape, ops_for};
use crate::json::canonical::quote;

/// The most candidates that are given.
pub const MOST: usize = 200;

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The name of a member.
    Key,
    /// A value.
    Value,
}

/// A place in a text that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The way to it: names of members, and `*` for an element of an array. For a value, its own name
    /// comes last.
    pub path: Vec<String>,
    /// What is to stand there.
    pub part: Part,
    /// What of it is written already, without quotes.
    pub prefix: String,
    /// The bytes that a candidate replaces.
    pub from: usize,
    /// Their end.
    pub to: usize,
    /// The names that the object has already, and the strings among their values.
    pub members: Vec<(String, Option<String>)>,
}

/// Calls back with each name.
pub type EachName<'k> = &'k dyn Fn(&mut dyn FnMut(&str));

/// What is known beside the text.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// The policy as it was last read.
    pub policy: Option<&'k Policy>,
    /// The names of the server's tools.
    pub tools: EachName<'k>,
    /// The arguments of one of them.
    pub shape: &'k dyn Fn(&str) -> Option<ToolShape>,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("policy", &self.policy.is_some()).finish_non_exhaustive()
    }
}

/// Something that could stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is written.
    pub text: String,
    /// How many bytes before its end the cursor comes to stand.
    pub back: usize,
    /// What is shown.
    pub shown: String,
    /// What is said about it.
    pub detail: String,
}

/// Where a text begins and ends.
type Bytes = (usize, usize);

struct Frame {
    object: bool,
    key: Option<String>,
    /// After the colon.
    value: bool,
    members: Vec<(Bytes, Option<Bytes>)>,
}

impl Frame {
    fn new(object: bool) -> Self {
        Self { object, key: None, value: !object, members: Vec::new() }
    }
}

/// Finds out what the place at a byte of the text is for; `None`: nothing can be written there, or it
/// lies outside of the text or within a letter.
pub fn place(text: &str, cursor: usize) -> Option<Place> {
    if !text.is_char_boundary(cursor) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut frames: Vec<Frame> = Vec::new();
    let mut token = None;
    let mut at = 0;
    while at < cursor {
        let Some(byte) = bytes.get(at) else { break };
        match byte {
            b'{' | b'[' => frames.push(Frame::new(*byte == b'{')),
            b'}' | b']' => {
                frames.pop();
            }
            b':' => {
                if let Some(frame) = frames.last_mut() {
                    frame.value = true;
                }
            }
            b',' => {
                if let Some(frame) = frames.last_mut() {
                    frame.value = !frame.object;
                    frame.key = None;
                }
            }
            b'"' => {
                let end = string_end(bytes, at);
                let open = end == at + 1 || bytes.get(end.wrapping_sub(1)) != Some(&b'"');
                if cursor < end || (cursor == end && open) {
                    token = Some((at, end));
                    break;
                }
                if let Some(frame) = frames.last_mut().filter(|frame| frame.object) {
                    if frame.value {
                        if let Some(last) = frame.members.last_mut() {
                            last.1 = Some((at, end));
                        }
                    } else {
                        frame.key = text.get(at..end).map(decode);
                        frame.members.push(((at, end), None));
                    }
                }
                at = end;
                continue;
            }
            byte if is_word(*byte) => {
                let end =
                    at + bytes.get(at..).unwrap_or_default().iter().take_while(|b| is_word(**b)).count();
                if cursor <= end {
                    token = Some((at, end));
                    break;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    let (from, to) = token.unwrap_or((cursor, cursor));
    let frame = frames.last()?;
    let part = if frame.object && !frame.value { Part::Key } else { Part::Value };
    let written = text.get(from..cursor).unwrap_or_default();
    let prefix = written.strip_prefix('"').unwrap_or(written).to_owned();
    let mut path = Vec::with_capacity(frames.len());
    for frame in &frames {
        if frame.object {
            path.extend(frame.key.clone().filter(|_| frame.value));
        } else {
            path.push("*".to_owned());
        }
    }
    let span = |(from, to): (usize, usize)| text.get(from..to).map(decode);
    let mut members: Vec<(String, Option<String>)> =
        frame.members.iter().filter_map(|(key, value)| Some((span(*key)?, value.and_then(span)))).collect();
    after(text, to, &mut members);
    Some(Place { path, part, prefix, from, to, members })
}

/// The members that come after the place in its object.
fn after(text: &str, from: usize, members: &mut Vec<(String, Option<String>)>) {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (from, 0usize);
    let mut last: Option<(usize, usize)> = None;
    let mut key = None;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let end = string_end(bytes, at);
                if depth == 0 {
                    last = Some((at, end));
                }
                at = end.max(at + 1);
                continue;
            }
            b':' if depth == 0 => key = last.take(),
            b',' if depth == 0 => {
                let decoded =
                    |span: Option<(usize, usize)>| span.and_then(|(a, b)| text.get(a..b)).map(decode);
                if let Some(key) = decoded(key.take()) {
                    members.push((key, decoded(last.take())));
                }
            }
            _ => {}
        }
        at += 1;
    }
    let decoded = |span: Option<(usize, usize)>| span.and_then(|(a, b)| text.get(a..b)).map(decode);
    if let Some(key) = decoded(key) {
        members.push((key, decoded(last)));
    }
}

/// The byte after the string that begins at `at`: after its closing quote, else at the line's end.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\n' | b'\r' => return end,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len().min(end)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'$')
}

fn decode(raw: &str) -> String {
    match crate::json::parse(raw) {
        Ok(parsed) => parsed.root.as_str().unwrap_or(raw).to_owned(),
        Err(_) => raw.trim_matches('"').to_owned(),
    }
}

/// What could stand at a place, what begins as it is written first.
pub fn candidates(place: &Place, known: &Known<'_>) -> Vec<Candidate> {
    let mut found = Found { prefix: place.prefix.to_lowercase(), first: Vec::new(), rest: Vec::new() };
    let path: Vec<&str> = place.path.iter().map(String::as_str).collect();
    match place.part {
        Part::Key => keys(place, &path, known, &mut found),
        Part::Value => values(place, &path, known, &mut found),
    }
    let mut all = found.first;
    all.append(&mut found.rest);
    all.truncate(MOST);
    all
}

struct Found {
    prefix: String,
    first: Vec<Candidate>,
    rest: Vec<Candidate>,
}

impl Found {
    fn offer(&mut self, name: &str, detail: &str, text: impl FnOnce() -> (String, usize)) {
        let lower = name.to_lowercase();
        let list = if lower.starts_with(&self.prefix) {
            &mut self.first
        } else if lower.contains(&self.prefix) {
            &mut self.rest
        } else {
            return;
        };
        if list.len() < MOST {
            let (text, back) = text();
            list.push(Candidate { text, back, shown: name.to_owned(), detail: detail.to_owned() });
        }
    }

    fn string(&mut self, value: &str, detail: &str) {
        self.offer(value, detail, || (quoted(value), 0));
    }

    fn booleans(&mut self) {
        self.bare("true", "");
        self.bare("false", "");
    }

    fn bare(&mut self, value: &str, detail: &str) {
        self.offer(value, detail, || (value.to_owned(), 0));
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote(text, &mut out);
    out
}

fn keys(place: &Place, path: &[&str], known: &Known<'_>, found: &mut Found) {
    let has = |name: &str| place.members.iter().any(|(key, _)| key == name && *key != place.prefix);
    if path == ["tools"] {
        (known.tools)(&mut |name| {
            if !has(name) {
                found.offer(name, "a tool of the server", || (format!("{}: {{}}", quoted(name)), 1));
            }
        });
        return;
    }
    for key in keys_of(path) {
        if !has(key) {
            let (value, back) = match *key {
                "hide" | "limits" | "require" | "deny_if" | "approve_if" | "conditions" => ("[]", 1),
                "all_tools" | "tools" | "rate_limit" => ("{}", 1),
                "description" | "reason" | "on_deny" | "on_approve" | "timeout" | "counter" | "path"
                | "op" | "window" | "scope" | "increment_from" | "default" | "action" | "$schema" => {
                    ("\"\"", 1)
                }
                _ => ("", 0),
            };
            found.offer(key, key_words(key), || (format!("{}: {value}", quoted(key)), back));
        }
    }
}

/// What a key means, in a few words.
fn key_words(key: &str) -> &'static str {
    match key {
        "version" => "always \"1\"",
        "default" => "for tools not under `tools`",
        "hide" => "taken out of the agent's list",
        "hide_denied" => "hide what can never be allowed; an extension",
        "all_tools" => "limits that count every call",
        "tools" => "entries by tool name",
        "description" => "free text; an extension",
        "limits" => "bounds on counters",
        "require" => "every rule must hold",
        "deny_if" => "any rule that holds denies",
        "approve_if" => "any rule that holds needs a person; an extension",
        "action" => "shorthand: allow, deny, hide, approve",
        "reason" => "the message of `action`",
        "rate_limit" => "shorthand: { max, window }",
        "conditions" => "all must hold; none at all always holds",
        "on_deny" => "what the agent reads",
        "on_approve" => "what the person who approves reads",
        "timeout" => "how long a call waits: 5m",
        "path" => "the argument: args.NAME",
        "op" => "the operator",
        "value" => "what it is compared with",
        "counter" => "its name; tools that name one share it",
        "window" => "minute, hour, day, or seconds",
        "max" => "how much in a window",
        "scope" => "whose calls share it",
        "increment_from" => "count a number of the call: args.NAME; an extension",
        _ => "",
    }
}

fn values(place: &Place, path: &[&str], known: &Known<'_>, found: &mut Found) {
    let sibling = |key: &str| {
        place.members.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref())
    };
    match path {
        ["version"] => found.bare("\"1\"", "the only version"),
        ["default"] => {
            found.string("deny", "tools that are not listed are denied");
            found.string("allow", "tools that are not listed may be called");
        }
        ["hide_denied"] => found.booleans(),
        ["hide", "*"] => {
            (known.tools)(&mut |name| found.string(name, "a tool of the server"));
            found.string("*", "every tool; only alone");
        }
        ["tools", _, "action"] => {
            for word in ["allow", "deny", "hide", "approve"] {
                found.string(word, "");
            }
        }
        ["tools", _, "approve_if", "*", "timeout"] => {
            for time in ["5m", "90s", "1h"] {
                found.string(time, "how long a call waits");
            }
        }
        ["all_tools", "limits", "*", key] => limit(key, None, known, found),
        ["tools", tool, "limits", "*", key] => limit(key, (known.shape)(tool).as_ref(), known, found),
        ["tools", _, "rate_limit", "window"] => {
            for (seconds, words) in [("60", "a minute"), ("3600", "an hour"), ("86400", "a day")] {
                found.bare(seconds, words);
            }
        }
        ["tools", tool, _, "*", "conditions", "*", key] => {
            let shape = (known.shape)(tool);
            let arguments = shape.as_ref().map_or(&[][..], |shape| &shape.arguments);
            let argument =
                sibling("path").and_then(|path| arguments.iter().find(|argument| argument.path == path));
            match *key {
                "path" => {
                    for argument in arguments {
                        let types: Vec<&str> = argument.types.iter().map(|kind| kind.name()).collect();
                        found.string(&argument.path, &types.join("|"));
                    }
                }
                "op" => {
                    let ops = argument.map_or_else(|| Op::ALL.to_vec(), |argument| ops_for(&argument.types));
                    for op in ops {
                        found.string(op.name(), "");
                    }
                }
                "value" if sibling("op") == Some("exists") => {
                    found.booleans();
                }
                "value" => {
                    let Some(argument) = argument else { return };
                    for choice in &argument.choices {
                        found.bare(&choice.to_string(), "a choice of the schema");
                    }
                    if argument.types == [JsonType::Boolean] {
                        found.booleans();
                    }
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn limit(key: &str, shape: Option<&ToolShape>, known: &Known<'_>, found: &mut Found) {
    match key {
        "window" => {
            for word in ["minute", "hour", "day"] {
                found.string(word, "");
            }
        }
        "scope" => {
            found.string("grant", "all sessions of one grant");
            found.string("server", "all grants together; an extension");
            found.string("session", "one session; an extension");
        }
        "counter" => {
            if let Some(shape) = shape {
                found.string(&format!("{}_rate", shape.name), "this tool's own");
            }
            let Some(policy) = known.policy else { return };
            let tools = policy.tools.iter().flat_map(|tool| &tool.limits);
            let mut names: Vec<&str> = policy
                .all_tools_limits
                .iter()
                .chain(tools)
                .map(|limit: &Limit| limit.counter.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                found.string(name, "in use: the same name shares it");
            }
        }
        "increment_from" => {
            let numbers = shape.map_or(&[][..], |shape| &shape.arguments).iter().filter(|argument| {
                argument.types.iter().all(|kind| matches!(kind, JsonType::Number | JsonType::Integer))
                    && !argument.path.contains("[*]")
            });
            for argument in numbers {
                found.string(&argument.path, "a number");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Document;

    const TEXT: &str = r#"{
  "version": "1", "default": "deny",
  "all_tools": {"limits": [{"counter": "all", "window": "hour", "max": 9}]},
  "tools": {
    "push": {
      "deny_if": [{"conditions": [{"path": "args.branch", "op": "eq", "value": "main"}]}],
      "limits": []
    }
  }
}"#;

    fn shape(name: &str) -> Option<ToolShape> {
        let schema = serde_json::json!({"type": "object", "properties": {
            "branch": {"type": "string", "enum": ["main", "dev"]}, "count": {"type": "integer"},
            "to": {"type": "object", "properties": {"deep": {"type": "boolean"}}},
        }});
        (name == "push").then(|| ToolShape::from_schema(name, &schema))
    }

    /// What is offered at the `^` of a text that replaces `old` in the example.
    fn offered(old: &str, new: &str) -> Vec<String> {
        assert!(TEXT.contains(old), "{old}");
        let text = TEXT.replace(old, new);
        let cursor = text.find('^').unwrap();
        let text = text.replacen('^', "", 1);
        let document = Document::parse(TEXT).document.unwrap();
        let known = Known {
            policy: Some(document.policy()),
            tools: &|each| ["push", "pull", "Ünïx"].into_iter().for_each(each),
            shape: &shape,
        };
        let place = place(&text, cursor).unwrap();
        candidates(&place, &known).into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn keys_and_values_of_every_place_are_offered() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(offered("\"1\", ", "\"1\", \"hi^"), text(&["\"hide\": []", "\"hide_denied\": "]));
        assert_eq!(offered("\"1\", ", "\"1\", hid^"), text(&["\"hide\": []", "\"hide_denied\": "]));
        assert_eq!(offered("\"deny\"", "\"^\""), text(&["\"deny\"", "\"allow\""]));
        assert_eq!(offered("\"deny\"", "^"), text(&["\"deny\"", "\"allow\""]));
        assert_eq!(offered("\"push\": {\n", "\"^\": {}, \"push\": {\n").len(), 2, "push is there, below");
        assert_eq!(
            offered("\"limits\": []\n", "\"limits\": [], \"r^\n"),
            text(&["\"require\": []", "\"reason\": \"\"", "\"rate_limit\": {}", "\"approve_if\": []"])
        );
        assert_eq!(offered("\"args.branch\"", "\"args.t^\""), text(&["\"args.to\"", "\"args.to.deep\""]));
        assert!(offered("\"eq\"", "\"^\"").contains(&"\"regex\"".to_owned()));
        assert_eq!(offered("\"main\"", "^"), text(&["\"main\"", "\"dev\""]));
        assert_eq!(
            offered("\"limits\": []", "\"limits\": [{\"counter\": \"^\"}]"),
            text(&["\"push_rate\"", "\"all\""])
        );
        assert_eq!(
            offered("\"limits\": []", "\"limits\": [{\"increment_from\": ^}]"),
            text(&["\"args.count\""])
        );
        assert_eq!(offered("\"limits\": []", "\"limits\": [{\"window\": \"h^"), text(&["\"hour\""]));
        assert_eq!(
            offered("\"all_tools\"", "\"hide\": [\"pu^\"], \"all_tools\""),
            text(&["\"push\"", "\"pull\""])
        );
    }

    proptest::proptest! {
        #[test]
        fn any_place_of_any_text_can_be_asked(text in "[\\[\\]{}:,\"\\\\a-zé\n 0-9]{0,60}", at in 0usize..70) {
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            if let Some(place) = place(&text, at) {
                proptest::prop_assert!(place.from <= at && at <= place.to && place.to <= text.len());
                proptest::prop_assert!(text.get(place.from..place.to).is_some());
            }
        }
    }
}
