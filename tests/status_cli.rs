//! `callgate status`, `freeze` and `unfreeze`, as a person runs them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod feed_support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};

use callgate::clock;
use callgate::counters::Store;
use callgate::counters::sqlite::SqliteStore;
use callgate::feed::message::{GrantInfo, ServerInfo, State};
use callgate::mcp::tool::Tool;
use callgate::policy::counter::{Amount, CounterKey, Want};
use callgate::policy::model::Scope;
use feed_support::Gateway;
use serde_json::{Value, json};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run_dir(&self) -> std::path::PathBuf {
        self.0.path().join("callgate/run")
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.0.path().join("callgate/state/store.sqlite")).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callgate"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.0.path())
            .env("CALLGATE_HOME", self.0.path().join("callgate"))
            .current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["--format", "json"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs in a terminal and answers its question.
    fn at_a_terminal(&self, args: &[&str], answer: &str) -> (u32, String) {
        let pty = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_callgate"));
        command.args(args);
        command.env_clear();
        command.env("HOME", self.0.path());
        command.env("CALLGATE_HOME", self.0.path().join("callgate"));
        let mut child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        pty.master.take_writer().unwrap().write_all(answer.as_bytes()).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let mut shown = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..n]);
        }
        (child.wait().unwrap().exit_code(), String::from_utf8_lossy(&shown).into_owned())
    }
}

fn text(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn tool(name: &str) -> Tool {
    serde_json::from_value(json!({ "name": name, "inputSchema": {} })).unwrap()
}

fn gateway(run_dir: &Path) -> Gateway {
    let gateway = Gateway::with(run_dir, "g1", |mut config| {
        config.servers = vec![ServerInfo {
            name: "docker".to_owned(),
            upstream: "npx docker".to_owned(),
            grants: vec![GrantInfo {
                label: "local".to_owned(),
                policy: Some("/etc/policy.json".to_owned()),
                revision: Some("0123456789ab".to_owned()),
                shadow: None,
            }],
        }];
        config
    });
    gateway.hub.set_state(State::Tools {
        server: "docker".to_owned(),
        tools: vec![tool("pull")],
        pins: std::collections::BTreeMap::new(),
    });
    gateway
}

#[test]
fn with_nothing_there_it_says_so_and_makes_nothing() {
    let home = Home::new();
    let (out, err) = text(&home.run(&["status"]));
    assert_eq!((out.as_str(), err.as_str()), ("No gateway of yours is running.\n", ""));
    assert_eq!(
        home.json(&["status"]),
        json!({
            "gateways": [], "freezes": [], "overrides": [], "approvals": [], "counters": [], "unguarded": [],
        })
    );
    assert!(!home.0.path().join("callgate").exists());
}

#[test]
fn shows_gateways_freezes_and_counters() {
    let home = Home::new();
    let gateway = gateway(&home.run_dir());
    let want = |counter: &str, used: i128, max: i128| Want {
        key: CounterKey {
            server: "docker".to_owned(),
            scope: Scope::Grant,
            scope_value: "local".to_owned(),
            counter: counter.to_owned(),
            window: 86_400 * 365 * 100,
        },
        increment: Amount(used * 1_000_000),
        max: Amount(max * 1_000_000),
        past_max: false,
    };
    let now = clock::now();
    home.store().reserve(now, &[want("nearly\u{1b}[31m", 8, 10), want("far", 7, 10)]).unwrap();
    let frozen = home.run(&[
        "freeze",
        "--server",
        "docker",
        "--tool",
        "pull",
        "--for",
        "1h",
        "--reason",
        "drill\u{202e}",
    ]);
    let (out, err) = text(&frozen);
    assert!(out.starts_with("Frozen: server `docker`, tool `pull`, for 1h, by "), "{out}");
    assert!(out.ends_with(": drill\\u{202e}\n"), "{out}");
    assert_eq!(err, "");
    let (out, err) = text(&home.run(&["status"]));
    assert_eq!(err, "");
    assert!(out.contains("server docker  grant local  /etc/policy.json 0123456789ab\n"), "{out}");
    assert!(out.contains("nearly\\u{1b}[31m"), "{out}");
    assert!(out.contains("8/10 a 3153600000 s"), "{out}");
    assert!(!out.contains("far"), "{out}");
    assert!(out.contains("server `docker`, tool `pull`"), "{out}");
    assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out:?}");
    let status = home.json(&["status"]);
    assert_eq!(status["gateways"][0]["pid"], std::process::id());
    assert_eq!(status["gateways"][0]["servers"][0]["grants"][0]["revision"], "0123456789ab");
    assert_eq!(status["counters"][0]["used"], 8);
    assert_eq!(status["freezes"][0]["reason"], "drill\u{202e}");
    assert!(!status.to_string().contains(gateway.hub.token()), "tokens are not for showing");
}

#[test]
fn names_unguarded_servers() {
    let home = Home::new();
    let servers = json!({ "mcpServers": {
        "open": { "command": "npx", "args": ["-y", "open-server"] },
        "held": { "command": "callgate", "args": ["gateway", "--policy", "p.json", "--", "npx", "held"] },
    }});
    std::fs::create_dir_all(home.0.path().join(".cursor")).unwrap();
    std::fs::write(home.0.path().join(".cursor/mcp.json"), servers.to_string()).unwrap();
    let status = home.json(&["status"]);
    assert_eq!(status["unguarded"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["unguarded"][0]["server"], "open");
    let (out, _) = text(&home.run(&["status"]));
    assert!(out.contains("Configured servers that no gateway guards\n  cursor  open  "), "{out}");
}

#[test]
fn a_gateway_that_hangs_is_shown_as_such() {
    let home = Home::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = gateway(&home.run_dir());
    let path = home.run_dir().join(format!("{}.json", std::process::id()));
    let mut entry: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    entry["address"] = silent.local_addr().unwrap().to_string().into();
    std::fs::write(&path, entry.to_string()).unwrap();
    let (out, _) = text(&home.run(&["status"]));
    assert!(out.contains("no answer"), "{out}");
    let (out, err) = text(&home.run(&["freeze", "--reason", "all of it"]));
    assert!(out.starts_with("Frozen: everything, until lifted"), "{out}");
    assert!(err.contains("did not answer"), "{err}");
    drop(hub);
}

#[test]
fn a_damaged_store_is_an_error_after_everything_else() {
    let home = Home::new();
    drop(home.store());
    let _gateway = gateway(&home.run_dir());
    std::fs::write(home.0.path().join("callgate/state/store.sqlite"), "rubbish ".repeat(1000)).unwrap();
    let output = home.run(&["status"]);
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(out.contains("server docker"), "{out}");
    assert!(err.contains("cannot be used"), "{err}");
    let output = home.run(&["freeze", "--reason", "x"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_freeze_of_unknown_names_is_set_with_a_warning() {
    let home = Home::new();
    let _gateway = gateway(&home.run_dir());
    let output =
        home.run(&["freeze", "--server", "dokcer", "--grant", "ci", "--tool", "psuh", "--reason", "typo"]);
    let (out, err) = text(&output);
    assert!(output.status.success() && out.starts_with("Frozen:"), "{out}");
    for (what, name) in [("server", "dokcer"), ("grant", "ci"), ("tool", "psuh")] {
        assert!(err.contains(&format!("no running gateway knows the {what} `{name}`")), "{err}");
    }
    assert_eq!(home.store().standing(clock::now()).unwrap().freezes.len(), 1);
}

#[test]
fn wrong_usage_freezes_nothing() {
    let home = Home::new();
    for args in [
        &["freeze", "--reason", "  "][..],
        &["freeze"],
        &["freeze", "--reason", "x", "--for", "soon"],
        &["freeze", "--reason", "x", "--for", "0s"],
        &["freeze", "--reason", "x", "--server", ""],
        &["unfreeze", "--reason", ""],
    ] {
        assert_eq!(home.run(args).status.code(), Some(2), "{args:?}");
    }
    assert!(!home.0.path().join("callgate/state/store.sqlite").exists());
}

#[test]
fn lifting_needs_a_terminal_a_match_and_a_yes() {
    let home = Home::new();
    let output = home.run(&["unfreeze", "--reason", "over"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("nothing is frozen"));
    assert!(home.run(&["freeze", "--server", "docker", "--reason", "drill"]).status.success());
    let output = home.run(&["unfreeze", "--reason", "over"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("server `docker`"), "names what is frozen: {}", text(&output).1);
    let args = ["unfreeze", "--server", "docker", "--reason", "over"];
    let output = home.run(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).1.contains("at a terminal"));
    let (code, shown) = home.at_a_terminal(&args, "\n");
    assert_eq!(code, 1, "{shown}");
    let freezes = || home.store().standing(clock::now()).unwrap().freezes;
    let id = freezes()[0].id.clone();
    let (code, shown) = home.at_a_terminal(&args, "y\n");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Lifted:") && shown.contains("drill"), "{shown}");
    assert!(freezes().is_empty());
    let lift = home.store().lifted(&id).unwrap().unwrap();
    assert_eq!(lift.reason, "over");
    assert!(!lift.by.is_empty());
}

#[test]
fn a_clients_file_that_cannot_be_read_is_named() {
    let home = Home::new();
    std::fs::create_dir_all(home.0.path().join(".cursor")).unwrap();
    let file = home.0.path().join(".cursor/mcp.json");
    std::fs::write(&file, "{\"mcpServers\": {\"a\": ").unwrap();
    let (out, err) = text(&home.run(&["status"]));
    assert_eq!(out, "No gateway of yours is running.\n");
    let shown = format!("`{}`", file.display());
    assert!(err.contains(&shown) && err.contains("unguarded is not known"), "{err}");
    let status = home.json(&["status"]);
    assert_eq!(status["unread"].as_array().unwrap().len(), 1, "{status}");
    assert!(status["unread"][0].as_str().unwrap().contains(&shown), "{status}");
}
