//! `callgate grant`: what it writes opens the gateway and nothing else of the file moves; what it
//! prints is shown once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

use std::path::Path;
use std::process::{Command, Output};

use callgate::gateway::config::{self, GatewayConfig};
use callgate::time::Timestamp;
use callgate::token;
use serde_json::Value;

const START: &str = r#"{
    "listen": "127.0.0.1:8808",
    "servers": {
        "docker": { "command": ["npx", "docker"], "env": { "T": "${SURELY_NOT_SET_ANYWHERE}" } }
    },
    "grants": {}
}
"#;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callgate"))
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env("CALLGATE_HOME", folder.join("callgate"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn start() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.json"), START).unwrap();
    std::fs::write(folder.path().join("p.json"), r#"{"version":"1","default":"deny"}"#).unwrap();
    folder
}

fn file(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("gateway.json")).unwrap()
}

fn config(folder: &Path) -> GatewayConfig {
    let parsed = config::parse(file(folder).as_bytes(), folder, &|_| Some(String::new()));
    assert_eq!(parsed.diagnostics, []);
    let schema =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/gateway.schema.json"));
    let schema: Value = serde_json::from_str(&schema.unwrap()).unwrap();
    let value: Value = serde_json::from_str(&file(folder)).unwrap();
    jsonschema::validator_for(&schema).unwrap().validate(&value).unwrap();
    parsed.config.unwrap()
}

fn now() -> Timestamp {
    callgate::clock::now()
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let folder = start();
    let at = folder.path();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at.join("gateway.json"), std::fs::Permissions::from_mode(0o640)).unwrap();
    }
    let added =
        run(at, &["grant", "add", "ci", "--server", "docker", "--policy", "p.json", "--expires", "30d"]);
    let (out, err) = (text(&added.stdout), text(&added.stderr));
    assert!(added.status.success(), "{err}");
    let token = out.trim_end();
    assert_eq!(out, format!("{token}\n"));
    assert!(token::has_shape(token), "{token}");
    assert!(err.contains("only time") && !err.contains(token), "{err}");
    let whole = config(at);
    let grant = whole.grants.find("docker", token, now()).expect("the token opens the server");
    assert_eq!(grant.policy, at.join("p.json"));
    let end = grant.expires.unwrap().secs() - now().secs();
    assert!((30 * 86_400 - 600..=30 * 86_400).contains(&end), "{end}");
    assert!(!file(at).contains(token));
    assert!(file(at).contains("\"policy\": \"p.json\""), "{}", file(at));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(at.join("gateway.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
    let digest = token::TokenDigest::of(token);
    let listed = text(&run(at, &["grant"]).stdout);
    assert!(listed.contains("ci") && listed.contains("docker"), "{listed}");
    // On a quick machine not a second of the thirty days is over yet.
    assert!(listed.contains("in 29d") || listed.contains("in 30d"), "{listed}");
    assert!(listed.contains(&digest.short()) && !listed.contains(&digest.hex()[..9]), "{listed}");
    let json: Value =
        serde_json::from_slice(&run(at, &["grant", "list", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["grants"][0]["label"], "ci");
    assert_eq!(json["grants"][0]["token_sha256"], digest.short());
    let revoked = run(at, &["grant", "revoke", "ci"]);
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    assert!(config(at).grants.find("docker", token, now()).is_none());
    assert_eq!(file(at), START, "nothing else has moved");
}

#[test]
fn the_feed_has_tokens_of_its_own() {
    let folder = start();
    let at = folder.path();
    let added = run(at, &["grant", "add", "desk", "--feed", "--role", "operator", "--format", "json"]);
    let shown: Value =
        serde_json::from_slice(&added.stdout).unwrap_or_else(|_| panic!("{}", text(&added.stderr)));
    assert_eq!((&shown["label"], &shown["role"]), (&"desk".into(), &"operator".into()));
    let feed = config(at).feed.unwrap();
    assert_eq!(feed.tokens[0].digest, token::TokenDigest::of(shown["token"].as_str().unwrap()));
    assert_eq!(feed.tokens[0].role, callgate::feed::message::Role::Operator);
    let wrong = run(at, &["grant", "revoke", "desk"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("add `--feed`"), "{}", text(&wrong.stderr));
    assert!(run(at, &["grant", "revoke", "desk", "--feed"]).status.success());
    assert!(config(at).feed.unwrap().tokens.is_empty());
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let folder = start();
    let at = folder.path();
    let first = run(at, &["grant", "add", "ci", "--server", "docker", "--policy", "missing.json"]);
    assert!(first.status.success());
    assert!(text(&first.stderr).contains("the grant allows nothing"), "{}", text(&first.stderr));
    let before = file(at);
    for (args, code, says) in [
        (&["add", "ci", "--server", "docker", "--policy", "p.json"][..], 1, "`ci` is there already"),
        (&["add", "x", "--server", "dokcer", "--policy", "p.json"], 2, "did you mean `docker`?"),
        (&["add", "x", "--server", "docker"], 2, "--policy"),
        (&["add", "x", "--feed"], 2, "--role"),
        (&["add", "x", "--feed", "--role", "viewer", "--server", "docker"], 2, "cannot be used"),
        (
            &["add", "x", "--server", "docker", "--policy", "p.json", "--expires", "soon"],
            2,
            "`soon` is no length",
        ),
        (&["add", "", "--server", "docker", "--policy", "p.json"], 2, "the label is empty"),
        (&["revoke", "co"], 1, "did you mean `ci`?"),
        (&["list", "--config", "none.json"], 3, "`none.json` cannot be read"),
    ] {
        let got = run(at, &[&["grant"], args].concat());
        let err = text(&got.stderr);
        assert_eq!(got.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
        assert!(got.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(file(at), before);
    std::fs::write(at.join("gateway.json"), START.replace("listen", "lissten")).unwrap();
    let got = run(at, &["grant", "add", "x", "--server", "docker", "--policy", "p.json"]);
    assert_eq!(got.status.code(), Some(1));
    assert!(text(&got.stderr).contains("is not valid: line"), "{}", text(&got.stderr));
}

#[test]
fn many_at_once_lose_nothing() {
    let folder = start();
    let at = folder.path();
    std::thread::scope(|scope| {
        for index in 0..8 {
            scope.spawn(move || {
                let label = format!("g{index}");
                let got = run(at, &["grant", "add", &label, "--server", "docker", "--policy", "p.json"]);
                assert!(got.status.success(), "{}", text(&got.stderr));
            });
        }
    });
    assert_eq!(config(at).grants.iter().count(), 8);
}

#[test]
fn check_reads_gateway_json_too() {
    let folder = start();
    let at = folder.path();
    let got = run(at, &["check", "gateway.json"]);
    let out = text(&got.stdout);
    assert_eq!(got.status.code(), Some(0), "{out}");
    assert!(out.contains("warning[unset-variable]") && out.contains("/servers/docker/env/T"), "{out}");
    std::fs::write(at.join("gateway.json"), START.replace("\"grants\"", "\"grant\"")).unwrap();
    let got = run(at, &["check", "gateway.json", "--format", "json"]);
    assert_eq!(got.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&got.stdout).unwrap();
    let help = |at: usize| json["files"][0]["diagnostics"][at]["help"].as_str().unwrap_or("").to_owned();
    assert!((0..3).any(|at| help(at) == "did you mean `grants`?"), "{json}");
}

#[test]
fn a_grant_whose_policy_is_missing_is_named_before_and_at_the_start() {
    let folder = start();
    let at = folder.path();
    std::fs::create_dir(at.join("conf")).unwrap();
    let entry = |policy: &str, byte: u8| {
        let token = callgate::token::text(&[byte; 32]);
        serde_json::json!({
            "server": "s", "policy": policy, "token_sha256": callgate::token::TokenDigest::of(&token).hex(),
        })
    };
    let mut config = serde_json::json!({
        "listen": "127.0.0.1:0",
        "servers": {"s": {"command": ["cat"], "env": {"T": "${CALLGATE_TEST_UNSET}"}}},
        "grants": {"ci3": entry("nope.json", 1), "ok": entry("../p.json", 2), "odd": entry("bad.json", 3)},
    });
    let path = at.join("conf/gateway.json");
    std::fs::write(at.join("conf/bad.json"), "{}").unwrap();
    std::fs::write(&path, config.to_string()).unwrap();
    // A variable that is not set here hides no missing policy.
    let got = run(at, &["check", "conf/gateway.json", "--format", "json"]);
    assert_eq!(got.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!(json["files"][0]["valid"], false, "{json}");
    let found = json["files"][0]["diagnostics"].as_array().unwrap();
    let errors: Vec<[&str; 2]> = found
        .iter()
        .filter(|one| one["severity"] == "error")
        .map(|one| [one["code"].as_str().unwrap(), one["pointer"].as_str().unwrap()])
        .collect();
    assert_eq!(errors, [["no-policy", "/grants/ci3/policy"], ["bad-policy", "/grants/odd/policy"]], "{json}");
    assert!(
        json.to_string().contains("the grant `ci3`") && json.to_string().contains("conf/nope.json"),
        "{json}"
    );

    // Of two, the one that the text names first stops it.
    config["servers"]["s"]["env"] = serde_json::json!({});
    std::fs::write(&path, config.to_string()).unwrap();
    let got = run(at, &["gateway", "--config", "conf/gateway.json"]);
    let said = text(&got.stderr);
    assert_eq!(got.status.code(), Some(3), "{said}");
    assert!(
        said.contains("the grant `ci3` in `conf/gateway.json`") && said.contains("conf/nope.json"),
        "{said}"
    );
    assert!(said.contains("`callgate grant revoke ci3 --config conf/gateway.json`"), "{said}");
    assert!(said.contains("`callgate check conf/gateway.json`"), "{said}");
    config["grants"].as_object_mut().unwrap().remove("ci3");
    std::fs::write(&path, config.to_string()).unwrap();
    let got = run(at, &["gateway", "--config", "conf/gateway.json"]);
    let said = text(&got.stderr);
    assert_eq!(got.status.code(), Some(1), "{said}");
    assert!(said.contains("the grant `odd` in") && said.contains("`callgate check conf/bad.json`"), "{said}");
}
