//! The official conformance suite, check by check the same through an HTTP gateway that allows
//! everything as without it, in front of three servers and for both requirement sets. A bare TCP
//! relay is the control. Runs where `CALLGATE_REAL=1` is set, see `real_support`.
//!
//! Compared is all that the suite writes down: names, results, messages and details of every
//! check, but for the gateway's own refusals (`REFUSED_HERE`), with only ports, session ids, task
//! ids and clocks taken out. Where something differs, both ways are run once more: what differs
//! between two runs without a gateway is printed, not counted.

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
            if place.ends_with("/requestState") {
                // Sealed anew each time.
                "STATE".clone_into(&mut told);
            }
            for (changing, word) in CHANGING.iter() {
                told = changing.replace_all(&told, *word).into_owned();
            }
            if !is_a_race(place) {
                seen.insert(place.to_owned(), told);
            }
        }
    }
}

struct Checks {
    seen: Seen,
    passed: usize,
    failed: usize,
}

/// Runs the suite against a URL.
fn checks(tools: &Path, suite: &Suite, url: &str) -> Checks {
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
        // A scenario that breaks off writes none.
        let Ok(told) = fs::read(scenario.path().join("checks.json")) else {
            seen.insert(name, "broke off".to_owned());
            continue;
        };
        let told: Value = serde_json::from_slice(&told).unwrap();
        for check in told.as_array().unwrap() {
            passed += usize::from(check["status"] == "SUCCESS");
            failed += usize::from(check["status"] == "FAILURE");
        }
        leaves(&name, &told, &mut seen);
    }
    assert!(passed > 0, "{} {url}: {}{}", suite.title, text(&output.stdout), text(&output.stderr));
    Checks { seen, passed, failed }
}

/// What a race decides, with or without a gateway: the order in which three requests sent at once
/// are numbered, and how often a task was polled before it ended.
fn is_a_race(place: &str) -> bool {
    (place.starts_with("server-server-sse-multiple-streams") && place.ends_with("/event/id"))
        || place.ends_with("/details/messagesValidated")
}

/// What the gateway refuses itself, in its own words, before the server sees it: a foreign Host or
/// Origin, and headers that disagree with the message. Where a server would have let it pass, the
/// check succeeds only with the gateway.
const REFUSED_HERE: [&str; 5] = [
    "server-dns-rebinding-protection/0",
    "server-http-header-validation/",
    "server-server-stateless/13",
    "server-server-stateless/17",
    "server-tasks-request-headers/",
];

/// Headers of one connection, not of the message (RFC 9110, 7.6.1): each hop has its own.
const OF_THE_HOP: [&str; 4] =
    ["/headers/connection", "/headers/keep-alive", "/headers/transfer-encoding", "/headers/content-length"];

/// Whether a difference is one that the gateway must make.
fn must_be(place: &str, without: &Seen, with: &Seen) -> bool {
    if OF_THE_HOP.iter().any(|header| place.ends_with(header)) {
        return true;
    }
    if !REFUSED_HERE.iter().any(|check| place.starts_with(check)) {
        return false;
    }
    let status = place.split('/').take(2).collect::<Vec<_>>().join("/") + "/status";
    // It may turn a failure into a success, and nothing else.
    with.get(&status).is_some_and(|status| status == "\"SUCCESS\"")
        || without.get(&status) == with.get(&status)
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
fn differing_checks<'a>(places: impl Iterator<Item = &'a String>) -> usize {
    places.map(|place| place.split('/').take(2).collect::<Vec<_>>()).collect::<BTreeSet<_>>().len()
}

/// The whole comparison in front of one server. A fresh server for each run: what the suite does
/// to it must not show in the next run.
fn same_through_everything(title: &str, tools: &Path, at_least: [usize; 3], server: impl Fn() -> Running) {
    let mut wrong = Vec::new();
    for (suite, at_least) in SUITES.iter().zip(at_least) {
        let direct = || checks(tools, suite, &server().url);
        let relayed = || {
            let behind = server();
            checks(tools, suite, &tcp_relay(&behind).url)
        };
        let guarded = || {
            let home = Home::new(ALLOW);
            let behind = server();
            let gateway = home.http_gateway_to(&behind);
            let seen = checks(tools, suite, &gateway.url);
            // It did decide: the calls of the suite are in its journal.
            let decisions = home.decisions();
            let allowed = decisions.iter().filter(|decision| decision["decision"] == "allow").count();
            assert!(
                allowed > 3,
                "{title}, {}: {} decisions; {}",
                suite.title,
                decisions.len(),
                gateway.printed()
            );
            seen
        };
        let ways: [(&str, &dyn Fn() -> Checks); 2] =
            [("through the TCP relay", &relayed), ("through the gateway", &guarded)];
        let without = direct();
        let (passed, failed) = (without.passed, without.failed);
        assert!(passed >= at_least, "{title}, {}: {passed} of {at_least} checks pass directly", suite.title);
        for (way, through) in ways {
            let with = through();
            let mut differ = differences(&without.seen, &with.seen);
            if way == "through the gateway" {
                differ.retain(|place, difference| {
                    let must = must_be(place, &without.seen, &with.seen);
                    if must && place.ends_with("/status") {
                        println!(
                            "{title}, {}: refused by the gateway itself: {place}: {difference}",
                            suite.title
                        );
                    }
                    !must
                });
            }
            let count = differing_checks(differ.keys());
            println!(
                "{title}, {}: {passed} passed and {failed} failed directly, {} and {} {way}; {count} checks differ",
                suite.title, with.passed, with.failed
            );
            if !differ.is_empty() {
                // Timeouts of a busy machine differ from run to run: what counts is what differs
                // between two more runs too, where the two without a gateway agree.
                let again = direct();
                let by_itself = differences(&without.seen, &again.seen);
                let once_more = differences(&again.seen, &through().seen);
                differ.retain(|place, difference| {
                    let stays = once_more.contains_key(place) && !by_itself.contains_key(place);
                    if !stays {
                        println!("  by itself: {place}: {difference}");
                    }
                    stays
                });
            }
            for (place, difference) in differ {
                wrong.push(format!("{title}, {}, {way}: {place}: {difference}", suite.title));
            }
        }
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
