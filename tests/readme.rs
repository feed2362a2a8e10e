//! The README is always true: its commands are commands, its policies are valid, its key list is
//! the key table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use callgate::cli::Cli;
use callgate::policy::document::Document;
use clap::{CommandFactory, Parser};

const README: &str = include_str!("../README.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in README.lines() {
        match (&mut current, line.trim_start().strip_prefix("```")) {
            (None, Some(fence)) if fence == language => current = Some(String::new()),
            (Some(_), Some(_)) => found.extend(current.take()),
            (Some(block), None) => {
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// Splits a line as a shell does, as far as the README goes: single and double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut begun = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                begun = true;
            }
            (None, c) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (_, c) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

#[test]
fn every_command_is_one() {
    let mut count = 0;
    for block in blocks("console") {
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let line = line.split("  #").next().unwrap();
            let mut words = words(line);
            if words[0] == "cargo" && words.get(1).is_some_and(|word| word == "run") {
                let at = words.iter().position(|word| word == "--").unwrap();
                words = words.split_off(at);
                words[0] = "callgate".to_owned();
            }
            if words[0] != "callgate" {
                continue;
            }
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("`{line}`: {error}");
            }
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_command_table_names_every_command() {
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        if name != "help" {
            assert!(README.contains(&format!("`callgate {name}")), "`callgate {name}` is missing");
        }
    }
}

#[test]
fn every_json_block_is_json_and_every_policy_is_valid() {
    let blocks = blocks("json");
    assert!(blocks.len() >= 2);
    let mut policies = 0;
    for block in blocks {
        let value: serde_json::Value = serde_json::from_str(&block).unwrap();
        if value.get("version").is_some() {
            let parsed = Document::parse(&block);
            assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
            policies += 1;
        }
    }
    assert!(policies >= 1);
}

#[cfg(feature = "tui")]
#[test]
fn the_key_list_is_the_key_table() {
    let begin = "<!-- keys: generated from the action table; `cargo test` holds it -->\n";
    let from = README.find(begin).expect("the list's beginning") + begin.len();
    let to = README.find("<!-- /keys -->").expect("the list's end");
    let written = README.get(from..to).unwrap().trim();
    let table = callgate::tui::action::markdown();
    assert_eq!(written, table.trim(), "replace the README's key list by this:\n\n{table}");
}

/// Each claim of the threat model names the tests that hold it; they are there.
#[test]
fn each_claim_of_the_threat_model_has_its_tests() {
    let table = README.split("## Who is trusted with what").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let mut count = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| who")) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = last.split('`').filter(|part| part.contains("::")).collect();
        assert!(!names.is_empty(), "no test holds: {row}");
        for name in names {
            let (file, test) = name.split_once("::").unwrap();
            let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let body = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(body.contains(&format!("fn {test}(")), "there is no `{name}`");
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}
