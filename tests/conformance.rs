//! The official conformance suite, check by check the same through an HTTP gateway that allows
//! everything as without it, in front of three servers and for both requirement sets. A bare TCP
//! relay is the control. Runs where `CALLGATE_REAL=1` is set, see `real_support`.
//!
//! Compared is all that the suite writes down: names, results, messages and details of every
//! check, with only ports, session ids, task ids and clocks taken out. What differs between two runs
//! without any gateway is left out of the comparison, and printed.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    missing_docs
)]

mod real_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use real_support::{ALLOW, Home, Running, node, node_tools, place, run, tcp_relay, text};
use regex::Regex;
use serde_json::Value;

/// Every leaf of every check, by its place.
type Seen = BTreeMap<String, String>;

/// How the suite is asked.
struct Suite {
    title: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
}

const SUITES: [Suite; 3] = [
    Suite {
        title: "2025-11-25",
        package: "@modelcontextprotocol/conformance",
        arguments: &["--requirements", "2025-11-25"],
    },
    Suite {
        title: "2026-07-28",
        package: "@modelcontextprotocol/conformance",
        arguments: &["--requirements", "2026-07-28"],
    },
    Suite { title: "the stable release", package: "conformance-stable", arguments: &["--suite", "all"] },
];

/// What no two runs have in common: ports, ids that are drawn at random, clocks.
static CHANGING: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    [
        (Regex::new(r"(localhost|127\.0\.0\.1|\[::1\]):\d+").unwrap(), "$1:PORT"),
        (Regex::new(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b").unwrap(), "ID"),
        (Regex::new(r"\b1[789]\d{11}\b").unwrap(), "CLOCK"),
        (Regex::new(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT").unwrap(), "DATE"),
    ]
});

fn leaves(place: &str, value: &Value, seen: &mut Seen) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| *key != "timestamp") {
                leaves(&format!("{place}/{key}"), value, seen);
            }
        }
        Value::Array(items) => {
            seen.insert(format!("{place}#"), items.len().to_string());
            for (index, value) in items.iter().enumerate() {
                leaves(&format!("{place}/{index}"), value, seen);
            }
        }
        leaf => {
            let mut told = leaf.to_string();
            for (changing, word) in CHANGING.iter() {
                told = changing.replace_all(&told, *word).into_owned();
            }
            seen.insert(place.to_owned(), told);
        }
    }
}

/// Runs the suite against a URL: what it saw, and how many checks passed and failed.
fn checks(tools: &Path, suite: &Suite, url: &str) -> (Seen, usize, usize) {
    let results = tempfile::tempdir().unwrap();
    let mut command = node(tools, &format!("{}/dist/index.js", suite.package));
    command.args(["server", "--url", url]).args(suite.arguments).arg("-o").arg(results.path());
    if suite.package.starts_with('@') {
        command.args(["--timeout", "10000"]);
    }
    let output = run(command.env("NO_COLOR", "1"));
    let (mut seen, mut passed, mut failed) = (Seen::new(), 0, 0);
    for scenario in fs::read_dir(results.path()).unwrap() {
        let scenario = scenario.unwrap();
        // The folder is the scenario's name and a time.
        let name = scenario.file_name().into_string().unwrap();
        let name = name.split("-20").next().unwrap().to_owned()
            + if name.contains("-2020-12") { "-2020-12" } else { "" };
        let told = fs::read(scenario.path().join("checks.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        for check in told.as_array().unwrap() {
            passed += usize::from(check["status"] == "SUCCESS");
            failed += usize::from(check["status"] == "FAILURE");
        }
        leaves(&name, &told, &mut seen);
    }
    assert!(passed > 0, "{} {url}: {}{}", suite.title, text(&output.stdout), text(&output.stderr));
    (seen, passed, failed)
}

/// Where two runs differ, as lines to read.
fn differences(before: &Seen, after: &Seen) -> BTreeMap<String, String> {
    let places: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = BTreeMap::new();
    for place in places {
        let (without, with) = (before.get(place), after.get(place));
        if without != with {
            lines.insert(place.clone(), format!("{without:?} became {with:?}"));
        }
    }
    lines
}

/// How many checks have a difference.
fn differing_checks(places: impl Iterator<Item = String>) -> BTreeSet<String> {
    places.map(|place| place.split('/').take(2).collect::<Vec<_>>().join("/")).collect()
}

/// The whole comparison in front of one server. A fresh server for each run: what the suite does
/// to it must not show in the next run.
fn same_through_everything(title: &str, tools: &Path, at_least: [usize; 3], server: impl Fn() -> Running) {
    let mut wrong = Vec::new();
    for (suite, at_least) in SUITES.iter().zip(at_least) {
        let direct = server();
        let (once, passed, failed) = checks(tools, suite, &direct.url);
        drop(direct);
        assert!(passed >= at_least, "{title}: only {passed} checks of {} pass without a gateway", suite.title);
        let direct = server();
        let by_itself = differences(&once, &checks(tools, suite, &direct.url).0);
        drop(direct);
        for (place, difference) in &by_itself {
            println!("{title}, {}: {place} differs by itself: {difference}", suite.title);
        }
        let mut compare = |way: &str, seen: &(Seen, usize, usize)| {
            let mut differ = differences(&once, &seen.0);
            differ.retain(|place, _| !by_itself.contains_key(place));
            let count = differing_checks(differ.keys().cloned()).len();
            println!(
                "{title}, {}: {passed} passed and {failed} failed without, {} and {} {way}; {count} checks differ",
                suite.title, seen.1, seen.2
            );
            for (place, difference) in differ {
                wrong.push(format!("{title}, {}, {way}: {place}: {difference}", suite.title));
            }
        };
        let behind = server();
        let relay = tcp_relay(&behind);
        compare("through the TCP relay", &checks(tools, suite, &relay.url));
        drop((relay, behind));
        let home = Home::new(ALLOW);
        let behind = server();
        let gateway = home.http_gateway_to(&behind);
        compare("through the gateway", &checks(tools, suite, &gateway.url));
        // It did decide: the calls of the suite are in the journal, all of them allowed.
        let decisions = home.decisions();
        assert!(decisions.iter().filter(|decision| decision["decision"] == "allow").count() > 3, "{title}");
        drop((gateway, behind));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_rust_sdks_server_is_the_same_through_the_gateway() {
    if let Some(tools) = node_tools("conformance, Rust SDK") {
        same_through_everything("Rust SDK", &tools, [84, 197, 40], || real_support::rmcp_server(&[]));
    }
}

#[test]
fn the_rust_sdks_stateless_server_is_the_same_through_the_gateway() {
    if let Some(tools) = node_tools("conformance, Rust SDK without sessions") {
        same_through_everything("Rust SDK without sessions", &tools, [60, 190, 25], || {
            real_support::rmcp_server(&["--stateless"])
        });
    }
}

#[test]
fn the_python_sdks_server_is_the_same_through_the_gateway() {
    let title = "conformance, Python SDK";
    let (Some(tools), Some(python), Some(folder)) =
        (node_tools(title), real_support::python(title), place(title, "CALLGATE_PYTHON_SERVER"))
    else {
        return;
    };
    same_through_everything("Python SDK", &tools, [84, 160, 40], || {
        real_support::python_everything(&python, &folder)
    });
}

#[test]
fn server_everything_is_the_same_through_the_gateway() {
    if let Some(tools) = node_tools("conformance, server-everything") {
        same_through_everything("server-everything", &tools, [40, 5, 10], || {
            real_support::server_everything(&tools)
        });
    }
}
