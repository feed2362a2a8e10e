//! Arguments as a tree that can be folded, with what was masked or cut said in words.

use std::collections::BTreeSet;

use super::detail::{Line, Tone, line};
use crate::json::{self, Node, Value};

/// Objects and arrays with more lines than this begin folded.
const LONG: usize = 24;
/// Lines that a tree has at most; a call can have a million elements.
const MOST: usize = 2_000;

/// Which parts of a detail are not as they are at first: folded or opened by a person.
pub type Toggled = BTreeSet<String>;

/// The lines of a JSON text as a tree. `at` begins the names of its parts.
pub fn lines(label: &'static str, text: &str, at: &str, toggled: &Toggled) -> Vec<Line> {
    let Ok(parsed) = json::parse(text) else {
        return vec![line(label, text, Tone::Code)];
    };
    let mut tree = Tree { out: Vec::new(), toggled, text };
    tree.node("", &parsed.root, at, 0, false);
    if tree.out.len() >= MOST {
        tree.out.push(line("", "… more than can be shown: copy the row to see all of it", Tone::Warn));
    }
    if let Some(first) = tree.out.first_mut() {
        first.label = label;
    }
    tree.out
}

struct Tree<'t> {
    out: Vec<Line>,
    toggled: &'t Toggled,
    text: &'t str,
}

/// What stands in for a value that was not kept.
fn kept_out(node: &Node<'_>) -> Option<String> {
    if let Some(bytes) = node.get("cut")
        && node.as_object().is_some_and(|members| members.len() == 1)
        && let Value::Number(bytes) = bytes.value
    {
        return Some(format!("cut: {bytes} bytes were not kept"));
    }
    let digest = node.get("masked")?.as_str()?.strip_prefix("hmac-sha256:")?;
    let kind = node.get("type").and_then(Node::as_str).unwrap_or("value");
    let length = match node.get("length").map(|length| &length.value) {
        Some(Value::Number(length)) => format!(" of length {length}"),
        _ => String::new(),
    };
    let short: String = digest.chars().take(8).collect();
    Some(format!("masked {kind}{length} · {short}"))
}

/// How many lines a value takes unfolded, counted up to a bound.
fn height(node: &Node<'_>, bound: usize) -> usize {
    let children = |nodes: &mut dyn Iterator<Item = &Node<'_>>| {
        let mut sum = 2;
        for node in nodes {
            sum += height(node, bound);
            if sum > bound {
                break;
            }
        }
        sum
    };
    match &node.value {
        Value::Object(members) if !members.is_empty() => {
            children(&mut members.iter().map(|member| &member.value))
        }
        Value::Array(items) if !items.is_empty() => children(&mut items.iter()),
        _ => 1,
    }
}

impl Tree<'_> {
    fn put(&mut self, depth: usize, text: &str, tone: Tone, fold: Option<(String, bool)>) {
        // The sign that folds stands in the two columns before the text.
        let mut entry = line("", format!("{}  {text}", "  ".repeat(depth)), tone);
        entry.fold = fold;
        self.out.push(entry);
    }

    fn node(&mut self, key: &str, node: &Node<'_>, at: &str, depth: usize, comma: bool) {
        if self.out.len() >= MOST {
            return;
        }
        let end = if comma { "," } else { "" };
        if let Some(words) = kept_out(node) {
            return self.put(depth, &format!("{key}<{words}>{end}"), Tone::Warn, None);
        }
        let (open, close, count) = match &node.value {
            Value::Object(members) if !members.is_empty() => ("{", "}", members.len()),
            Value::Array(items) if !items.is_empty() => ("[", "]", items.len()),
            _ => {
                let text = node.span.of(self.text);
                return self.put(depth, &format!("{key}{text}{end}"), Tone::Code, None);
            }
        };
        let long = height(node, LONG) > LONG;
        // What is long begins folded, but never the whole.
        let shut = (long && depth > 0) != self.toggled.contains(at);
        if shut {
            let things = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
            return self.put(
                depth,
                &format!("{key}{open} {things} {close}{end}"),
                Tone::Code,
                Some((at.to_owned(), false)),
            );
        }
        self.put(depth, &format!("{key}{open}"), Tone::Code, Some((at.to_owned(), true)));
        match &node.value {
            Value::Object(members) => {
                for (index, member) in members.iter().enumerate() {
                    let name = member.key_span.of(self.text);
                    let at = format!("{at}/{}", json::pointer::escape(member.key.as_str()));
                    self.node(&format!("{name}: "), &member.value, &at, depth + 1, index + 1 < count);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.node("", item, &format!("{at}/{index}"), depth + 1, index + 1 < count);
                }
            }
            _ => {}
        }
        self.put(depth, &format!("{close}{end}"), Tone::Code, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, toggled: &[&str]) -> Vec<String> {
        let toggled = toggled.iter().map(|at| (*at).to_owned()).collect();
        lines("arguments", text, "", &toggled).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn objects_and_arrays_fold_and_masks_are_said_in_words() {
        let text = r#"{"image":"nginx","env":{"TOKEN":{"masked":"hmac-sha256:0011223344","type":"string","length":40}},"blob":{"cut":70000},"n":[1,2.50]}"#;
        assert_eq!(
            texts(text, &[]),
            [
                "  {",
                "    \"image\": \"nginx\",",
                "    \"env\": {",
                "      \"TOKEN\": <masked string of length 40 · 00112233>",
                "    },",
                "    \"blob\": <cut: 70000 bytes were not kept>,",
                "    \"n\": [",
                "      1,",
                "      2.50",
                "    ]",
                "  }",
            ]
        );
        assert_eq!(texts(text, &["/env", "/n"])[2], "    \"env\": { 1 item },");
        assert_eq!(texts(text, &[""]), ["  { 4 items }"]);
        assert_eq!(texts("{}", &[]), ["  {}"]);
        assert_eq!(texts("no json", &[]), ["no json"]);
    }

    #[test]
    fn what_is_long_begins_folded_and_what_is_endless_ends() {
        let long = format!(r#"{{"list":[{}]}}"#, vec!["1"; 100].join(","));
        assert_eq!(texts(&long, &[])[1], "    \"list\": [ 100 items ]");
        assert_eq!(texts(&long, &["/list"]).len(), 104);
        let endless = format!("[{}]", vec!["1"; 100_000].join(","));
        assert!(texts(&endless, &[]).len() <= MOST + 2);
    }
}
