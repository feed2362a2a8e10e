//! What must hold of any text that people or agents can write, where a room has a fuzz target of its
//! own: the same bodies, on texts that are nearly right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use callgate::catalog::clients::edit;
use callgate::policy::complete;
use callgate::policy::edit::merge;
use callgate::record::mask;
use callgate::replay::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const POLICY: &str = r#"{
  "version": "1", "default": "deny",
  "hide": ["system_prune", "drop"],
  "all_tools": {"limits": [{"counter": "all", "window": "day", "max": 500}]},
  "tools": {
    "pull": {"limits": [{"counter": "pull_rate", "window": "minute", "max": 30, "scope": "grant"}]},
    "push": {
      "require": [{"conditions": [{"path": "args.image", "op": "regex", "value": "^ghcr"}], "on_deny": "no"}],
      "deny_if": [{"conditions": [{"path": "args.force", "op": "eq", "value": true}]}]
    }
  }
}
"#;

const TESTS: &str = r#"{"tests": [
  {"name": "no", "tool": "h", "arguments": {"branch": "main"}, "expect": "deny"},
  {"name": "n", "tool": "n", "arguments": {"n": 6}, "expect": {"decision": "deny", "rule": "/tools/n/deny_if/args.n-gt"}},
  {"name": "two", "tool": "l", "session": "s", "calls": [{"times": 2, "expect": "allow"}, {"expect": "deny"}, {"at": "1m", "expect": "allow"}]}
]}"#;

const ARGUMENTS: &str = r#"{"repo": "acme/widgets", "token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "n": 3.50, "ok": null,
  "nested": {"password": ["a", 1, true], "masked": "x"}, "seen": {"masked": "hmac-sha256:00", "type": "string", "length": 4}, "gone": {"cut": 7}}"#;

const FILES: [&str; 3] = [
    "// mine\n{\"mcpServers\": {\n  \"a\": {\"command\": \"npx\", \"args\": [\"-y\", \"srv\"], /* keep */ \"env\": {\"K\": \"v\"}},\n  \"b\": {\"args\": [], \"command\": \"uvx\"},\n}}\n",
    "# mine\n[mcpServers.a]\ncommand = \"npx\"\nargs = [\"-y\", 'srv'] # keep\n\n[mcpServers.b]\ncommand = 'uvx'\n",
    "# mine\nmcpServers:\n  a:\n    command: npx\n    args: [\"-y\", srv]\n  b:\n    command: uvx\n    args:\n      - one # keep\n      - two\n",
];

/// What is put in, beside what the text has itself.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u202e",
    "\u{202e}",
    "\r\n",
    "\n",
    " ",
    "0",
    "-1e9",
    "null",
    "true",
    "\"x\": 1,",
    "#",
    "//",
    "/*",
    "*/",
    "'",
    "ſ",
    "\u{0}",
    "\"expect\": \"deny\"",
    "\"at\": \"9h\"",
    "- ",
    "  ",
];

/// A change of a text: what is done, where, how much, and with what.
type Change = (u8, usize, usize, &'static str);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    vec((0_u8..4, any::<prop::sample::Index>(), 1_usize..24, select(TOKENS)), 0..6).prop_map(|all| {
        all.into_iter().map(|(kind, at, many, token)| (kind, at.index(4096), many, token)).collect()
    })
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (kind, at, many, token) in changes {
        let from = at % (letters.len() + 1);
        let to = (from + many).min(letters.len());
        match kind {
            0 => drop(letters.splice(from..from, token.chars())),
            1 => drop(letters.drain(from..to)),
            2 => drop(letters.splice(from..to, token.chars())),
            _ => {
                let again: Vec<char> = letters[from..to].to_vec();
                let place = (at / 7) % (letters.len() + 1);
                drop(letters.splice(place..place, again));
            }
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #[test]
    fn three_texts_are_merged_or_refused(base in changes(), mine in changes(), theirs in changes()) {
        merge::total::check_total(&changed(POLICY, &base), &changed(POLICY, &mine), &changed(POLICY, &theirs));
        merge::total::check_total(POLICY, &changed(POLICY, &mine), &changed(POLICY, &theirs));
    }

    #[test]
    fn policy_tests_are_read_or_refused(changes in changes()) {
        cases::total::check_total(&changed(TESTS, &changes));
    }

    #[test]
    fn whatever_is_offered_at_a_place_can_be_put_in(changes in changes(), cursor in 0_usize..1200) {
        complete::total::check_total(&changed(POLICY, &changes), cursor);
    }

    #[test]
    fn nothing_under_the_name_of_a_secret_is_recorded(changes in changes()) {
        mask::total::check_total(&changed(ARGUMENTS, &changes));
    }

    #[test]
    fn a_gateway_that_was_put_in_comes_out_byte_for_byte(file in select(&FILES[..]), changes in changes()) {
        edit::total::check_total(&changed(file, &changes));
    }
}

#[test]
fn the_texts_themselves_are_right() {
    assert!(merge::merge(POLICY, POLICY, POLICY, &[]).is_ok());
    assert_eq!(cases::read(TESTS).diagnostics, []);
    edit::total::check_total(FILES[0]);
    mask::total::check_total(ARGUMENTS);
    // And the mutations leave some of them so: a merge of small changes is usually one.
    let mine = POLICY.replace("\"max\": 30", "\"max\": 31");
    assert_eq!(merge::merge(POLICY, &mine, POLICY, &[]).unwrap().text, mine);
}
