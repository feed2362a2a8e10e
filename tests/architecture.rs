//! Holds the house plan: arrows between rooms point down, `gateway` and `tui` never know each
//! other, pure rooms do no I/O, and no file grows past its seam.

#![allow(clippy::expect_used, clippy::string_slice, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything below the gateway and the terminal interface.
const BELOW: &[&str] = &[
    "json",
    "time",
    "token",
    "clock",
    "visible",
    "paths",
    "policy",
    "mcp",
    "risk",
    "record",
    "filter",
    "export",
    "catalog",
    "counters",
    "journal",
    "revisions",
    "replay",
    "feed",
];

/// The rooms with the rooms below that each may use. A room may always use itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("json", &[]),
    ("time", &[]),
    ("visible", &[]),
    ("token", &[]),
    ("paths", &[]),
    ("clock", &["time"]),
    ("policy", &["json", "time", "visible"]),
    ("mcp", &["json", "policy"]),
    ("record", &["json", "time", "policy"]),
    ("risk", &["json", "policy", "mcp"]),
    ("filter", &["json", "time", "visible", "policy", "record"]),
    ("export", &["json", "time", "visible", "record"]),
    ("catalog", &["json", "time", "clock", "visible", "paths", "policy", "mcp", "risk"]),
    ("counters", &["json", "time", "clock", "visible", "paths", "policy"]),
    ("journal", &["json", "time", "clock", "paths", "policy", "record"]),
    ("revisions", &["json", "time", "clock", "paths"]),
    ("replay", &["json", "time", "visible", "policy", "risk", "record", "filter"]),
    (
        "feed",
        &[
            "json", "time", "token", "clock", "visible", "paths", "policy", "mcp", "record", "counters",
            "journal",
        ],
    ),
    ("gateway", BELOW),
    ("tui", BELOW),
];

/// Rooms that the plan keeps free for what is not built yet.
const NOT_BUILT: &[&str] = &[];

/// Rooms, or parts of rooms, that know no file, socket, clock, thread or runtime.
const PURE: &[&str] = &[
    "json",
    "time",
    "visible",
    "token",
    "policy",
    "mcp",
    "risk",
    "record",
    "filter",
    "export",
    "replay",
    "feed/merge",
    "feed/message",
    "feed/offset",
    "gateway/call/holds",
    "gateway/call/session",
    "gateway/span",
    "gateway/traces/otlp",
    "gateway/traces/setting",
    "tui/action",
    "tui/app",
    "tui/key",
    "tui/theme",
    "tui/view",
];

/// What a pure room must not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "io::stdin",
    "io::stdout",
    "io::stderr",
    "tokio::",
    "crossterm::",
    "rusqlite::",
    "notify::",
    "rustix::",
    "signal_hook::",
    "getrandom::",
    "reqwest::",
    "rmcp::",
    "Instant::now",
    "SystemTime::now",
    "clock::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Lines per file, in-file tests included.
const LONGEST: usize = 700;

/// A source file: its path below `src` without the ending, and its text.
type Source = (String, String);

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let name = |path: &Path| {
        path.strip_prefix(&root).expect("below src").with_extension("").to_string_lossy().replace('\\', "/")
    };
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("UTF-8"))).collect()
}

fn room(name: &str) -> &str {
    name.split('/').next().unwrap_or("")
}

/// The code of a file: comments and tests are not bound by the plan.
fn code(name: &str, text: &str) -> String {
    if name.ends_with("tests") || name.contains("/tests/") {
        return String::new();
    }
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let mut code = String::with_capacity(end);
    for line in text[..end].lines() {
        let trimmed = line.trim_start();
        if !trimmed.starts_with("//") {
            code.push_str(line);
        }
        code.push('\n');
    }
    code
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Every first step after `crate::`, those of groups included, with its line.
fn rooms_named(code: &str) -> Vec<(usize, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, step) in code.match_indices("crate::") {
        let rest = &code[at + step.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line_of(code, at), word(rest)));
            continue;
        };
        let mut depth = 1;
        let mut first = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => first = true,
                c if depth == 1 && first && !c.is_whitespace() => {
                    found.push((line_of(code, at), word(&group[offset..])));
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn arrows_point_down() {
    let plan: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = String::new();
    for (name, text) in sources() {
        let here = room(&name);
        let Some(below) = plan.get(here) else { continue };
        for (line, used) in rooms_named(&code(&name, &text)) {
            let known = plan.contains_key(used.as_str()) || used == "cli";
            if known && used != here && !below.contains(&used.as_str()) {
                let _ = writeln!(wrong, "src/{name}.rs:{line}: `{here}` may not use `{used}`");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn pure_rooms_do_no_io() {
    let mut wrong = String::new();
    for (name, text) in sources() {
        let pure = PURE
            .iter()
            .any(|part| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        if !pure {
            continue;
        }
        let code = code(&name, &text);
        for word in IMPURE {
            for (at, _) in code.match_indices(word) {
                let before = code[..at].chars().next_back();
                if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
                    let _ = writeln!(wrong, "src/{name}.rs:{}: `{word}` in a pure room", line_of(&code, at));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_plan_names_every_room_and_no_ghosts() {
    let sources = sources();
    let rooms: Vec<&str> = sources
        .iter()
        .map(|(name, _)| room(name))
        .filter(|room| !matches!(*room, "cli" | "main" | "lib"))
        .collect();
    for room in &rooms {
        assert!(ROOMS.iter().any(|(name, _)| name == room), "`{room}` has no place in the plan");
    }
    for (name, _) in ROOMS {
        assert!(
            rooms.contains(name) || NOT_BUILT.contains(name),
            "the plan names `{name}`, which is not there"
        );
    }
    for part in PURE {
        let there = sources.iter().any(|(name, _)| name.starts_with(part));
        assert!(there || NOT_BUILT.contains(part), "the plan calls `{part}` pure, which is not there");
    }
}

#[test]
fn files_have_seams() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(name, lines)| format!("src/{name}.rs has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_reader_of_use_lines_reads_groups() {
    let code = "use crate::policy::model::Op;\nuse crate::{json, tui::app};\nuse crate::{\n    gateway::{x, cli},\n    feed::{message, server},\n};\nlet x = crate::mcp::y();";
    let names: Vec<String> = rooms_named(code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["policy", "json", "tui", "gateway", "feed", "mcp"]);
}
