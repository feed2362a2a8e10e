//! The classifier against labelled names, and against the lists of real servers, where that data
//! lies beside the project. The names are split by a digest of the name; wrong ones of the first
//! half are printed and may be worked on, the targets are held on the second half.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::path::Path;

use callgate::mcp::tool::Tool;
use callgate::risk::{Category, classify};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn shared(path: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn severe(category: Category) -> bool {
    matches!(category, Category::Destructive | Category::Financial)
}

#[derive(Default)]
struct Score {
    all: usize,
    right: usize,
    severe: usize,
    caught: usize,
    reads: usize,
    accused: usize,
}

impl Score {
    fn share(part: usize, whole: usize) -> f64 {
        if whole == 0 {
            1.0
        } else {
            f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
        }
    }
}

#[test]
fn unseen_names_reach_the_targets() {
    let Some(labels) = shared("risk/labels.json") else {
        println!("skipped: no labelled names here");
        return;
    };
    let mut halves = [Score::default(), Score::default()];
    for label in labels.as_array().unwrap() {
        let name = label["tool"].as_str().unwrap();
        let truth: Category = serde_json::from_value(label["category"].clone()).unwrap();
        let tool: Tool = serde_json::from_value(json!({"name": name})).unwrap();
        let risk = classify(&tool);
        let held_out = Sha256::digest(name.as_bytes())[0] & 1 == 1;
        let score = &mut halves[usize::from(held_out)];
        score.all += 1;
        score.right += usize::from(risk.category == truth);
        if severe(truth) {
            score.severe += 1;
            score.caught += usize::from(severe(risk.category));
        }
        if truth == Category::Read {
            score.reads += 1;
            score.accused += usize::from(severe(risk.category));
        }
        let show = std::env::var_os("RISK_SHOW_HELD_OUT").is_some() || !held_out;
        if risk.category != truth && show {
            println!("{name}: is {}, said {} ({:?})", truth.name(), risk.category.name(), risk.evidence);
        }
    }
    for (what, score) in [("looked at", &halves[0]), ("held out", &halves[1])] {
        println!(
            "{what}: right {}/{}, severe caught {}/{}, reads accused {}/{}",
            score.right, score.all, score.caught, score.severe, score.accused, score.reads
        );
    }
    let held_out = &halves[1];
    assert!(Score::share(held_out.right, held_out.all) >= 0.80);
    assert!(Score::share(held_out.caught, held_out.severe) >= 0.92);
    assert!(Score::share(held_out.accused, held_out.reads) <= 0.04);
}

/// Every real tool gets a class with evidence; `RISK_SHOW=1` prints them for reading.
#[test]
fn real_servers_tools_are_classified() {
    let Some(list) = shared("tools/azure.json") else {
        println!("skipped: no tool lists here");
        return;
    };
    drop(list);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tools");
    let mut count = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "json")) {
        let list: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for value in list["tools"].as_array().unwrap() {
            let tool: Tool = serde_json::from_value(value.clone()).unwrap();
            let risk = classify(&tool);
            count += 1;
            assert!(!risk.evidence.is_empty(), "{}", tool.name);
            // No severe tool of a reader: the claim and the getter's name agree.
            if std::env::var_os("RISK_SHOW").is_some() {
                println!("{:11} {:40} {}", risk.category.name(), tool.name, risk.evidence.join("; "));
            }
        }
    }
    assert!(count >= 600, "{count}");
}
