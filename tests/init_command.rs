//! `callgate init`: every profile gives a valid policy that says what its profile promises, and no
//! file is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use callgate::catalog::{Source, load};
use callgate::policy::document::Document;
use callgate::policy::state::{States, ToolState};
use callgate::risk::{Category, classify};
use serde_json::json;

fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callgate"))
        .args(args)
        .current_dir(home)
        .env("HOME", home)
        .env("CALLGATE_HOME", home.join("callgate"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A list of every class, in an order that is not alphabetical.
fn list(home: &Path) -> PathBuf {
    let names = ["run_it", "delete_it", "get_it", "pay_it", "update_it", "list_it"];
    let tools: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let path = home.join("list.json");
    std::fs::write(&path, json!({ "tools": tools }).to_string()).unwrap();
    path
}

/// The policy is valid, lists in the order of names, and gives each class its state.
fn holds(policy: &str, tools: &Path, profile: &str) {
    let parsed = Document::parse(policy);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let document = parsed.document.unwrap();
    let states = States::of(document.policy());
    let names: Vec<&str> = document.policy().tools.iter().map(|tool| tool.name.as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(document.policy().hide.names.is_sorted_by(|a, b| a.0 <= b.0));
    let loaded = load(&Source::File(tools.to_owned()), std::time::Duration::from_secs(1)).unwrap();
    for tool in &loaded.servers[0].tools {
        let wanted = match (classify(tool).category, profile) {
            (Category::Read | Category::Write | Category::Execute, _) => ToolState::Allow,
            (Category::Destructive, "open") | (Category::Financial, "balanced" | "open") => {
                ToolState::Approve
            }
            (Category::Destructive, _) => ToolState::Hide,
            (Category::Financial, _) => ToolState::Deny,
        };
        assert_eq!(states.state(&tool.name), wanted, "{}", tool.name);
    }
    assert_eq!(states.state("a_tool_that_comes_later"), ToolState::Deny);
}

#[test]
fn what_the_tools_are_at_the_start_is_accepted() {
    let home = tempfile::tempdir().unwrap();
    list(home.path());
    let output = run(home.path(), &["init", "--tools", "list.json"]);
    assert!(output.status.success());
    assert!(!home.path().join("policy.pins.json").exists(), "nothing is written beside standard output");
    let output = run(home.path(), &["init", "--tools", "list.json", "-o", "p.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pins = callgate::catalog::pins::load(&home.path().join("p.pins.json")).unwrap();
    assert_eq!(pins.len(), 6);
    assert!(pins.iter().all(|(_, pin)| !pin.by.is_empty() && pin.at.0 > 0));
}

#[test]
fn each_profile_keeps_its_promise() {
    let home = tempfile::tempdir().unwrap();
    let list = list(home.path());
    for profile in ["strict", "balanced", "open"] {
        let output = run(home.path(), &["init", "--tools", "list.json", "--profile", profile]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        holds(&text(&output.stdout), &list, profile);
        let again = run(home.path(), &["init", "--tools", "list.json", "--profile", profile]);
        assert_eq!(output.stdout, again.stdout);
    }
    let output = run(home.path(), &["init", "--tools", "list.json"]);
    let policy = text(&output.stdout);
    assert!(
        policy.contains(r#""counter": "update_it_rate""#) && policy.contains(r#""scope": "grant""#),
        "{policy}"
    );
}

#[test]
fn a_file_is_never_replaced_unasked() {
    let home = tempfile::tempdir().unwrap();
    let list = list(home.path());
    let policy = home.path().join("policy.json");
    let output = run(home.path(), &["init", "--tools", "list.json", "-o", "policy.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let notes = text(&output.stderr);
    assert!(notes.contains("wrote `policy.json`") && notes.contains("callgate gateway --policy"), "{notes}");
    holds(&std::fs::read_to_string(&policy).unwrap(), &list, "balanced");

    std::fs::write(&policy, "mine").unwrap();
    let output = run(home.path(), &["init", "--tools", "list.json", "-o", "policy.json"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("--force"));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), "mine");
    assert!(
        run(home.path(), &["init", "--tools", "list.json", "-o", "policy.json", "--force"]).status.success()
    );
    holds(&std::fs::read_to_string(&policy).unwrap(), &list, "balanced");
    assert_eq!(
        run(home.path(), &["init", "--tools", "list.json", "-o", "no/such/p.json"]).status.code(),
        Some(3)
    );
}

#[test]
fn an_empty_list_gives_a_policy_that_allows_nothing() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("none.json"), "[]").unwrap();
    let output = run(home.path(), &["init", "--tools", "none.json"]);
    let parsed = Document::parse(&text(&output.stdout));
    assert!(parsed.diagnostics.is_empty() && parsed.document.unwrap().policy().tools.is_empty());
}

#[cfg(unix)]
#[test]
fn a_client_with_several_servers_gets_a_policy_for_each() {
    let home = tempfile::tempdir().unwrap();
    let server = r#"while read -r line; do case "$line" in
        *'"initialize"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18"}}' ;;
        *server/discover*) echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}' ;;
        *tools/list*) echo '{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"get_a"}]}}' ;;
    esac; done"#;
    let config = json!({"mcpServers": {
        "one": {"command": "sh", "args": ["-c", server]},
        "../two": {"command": "sh", "args": ["-c", server]},
    }});
    std::fs::create_dir(home.path().join(".cursor")).unwrap();
    std::fs::write(home.path().join(".cursor/mcp.json"), config.to_string()).unwrap();
    let output = run(home.path(), &["init", "--client", "cursor", "-o", "p.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = run(home.path(), &["init", "--client", "cursor"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let folder = home.path().join("callgate/config/policies");
    for file in ["one.json", "_two.json"] {
        let policy = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(Document::parse(&policy).diagnostics.is_empty());
        assert!(policy.contains("get_a"), "{policy}");
    }
    // Those that are there stay.
    std::fs::write(folder.join("one.json"), "mine").unwrap();
    std::fs::remove_file(folder.join("_two.json")).unwrap();
    let output = run(home.path(), &["init", "--client", "cursor"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(folder.join("one.json")).unwrap(), "mine");
    assert!(folder.join("_two.json").is_file());
}

/// Real servers' lists, where they lie beside the project: from one tool to 235.
#[test]
fn real_servers_get_valid_policies() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tools");
    let home = tempfile::tempdir().unwrap();
    for name in ["azure", "docker-0xshariq", "stripe", "google-workspace", "sequential-thinking", "github"] {
        let list = data.join(format!("{name}.json"));
        if !list.is_file() {
            return;
        }
        for profile in ["strict", "balanced", "open"] {
            let path = list.display().to_string();
            let output = run(home.path(), &["init", "--tools", &path, "--profile", profile]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            holds(&text(&output.stdout), &list, profile);
        }
    }
}
