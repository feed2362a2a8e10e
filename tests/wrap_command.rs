//! `callgate wrap` and `unwrap`: a client's own file gets the gateway and loses it again, byte for
//! byte, and nobody's changes are lost.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A server in shell with one tool of each of two classes.
const SERVER: &str = r#"#!/bin/sh
while read -r line; do
  case "$line" in
    *server/discover*) echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}' ;;
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}' ;;
    *tools/list*) echo '{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"list_things","inputSchema":{"type":"object"}},{"name":"delete_things","inputSchema":{"type":"object"}}]}}' ;;
    *tools/call*) echo '{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"text","text":"ran"}]}}' ;;
  esac
done
"#;

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.put("server.sh", SERVER);
        std::fs::set_permissions(home.path("server.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("CALLGATE_HOME", self.path("callgate"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_callgate"), args).stdin(Stdio::null()).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = said(&output);
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn cursor(command: &Path) -> String {
    format!(
        "{{\r\n  // mine\r\n  \"mcpServers\": {{\r\n    \"thing s\": {{ \"command\": \"{}\", \"env\": {{\"TOKEN\": \"s3cret\"}}, }},\r\n    \"off\": {{\"command\": \"x\", \"disabled\": true}},\r\n    \"far\": {{\"url\": \"https://user:pw@h.example/mcp?key=s3cret\", \"headers\": {{\"Authorization\": \"Bearer s3cret\"}}}}\r\n  }}\r\n}}",
        command.display()
    )
}

#[test]
fn a_server_gets_a_gateway_that_works_and_loses_it_byte_for_byte() {
    let home = Home::new();
    let text = cursor(&home.path("server.sh"));
    // The person keeps the file elsewhere, behind a link, and private.
    let real = home.put("dotfiles/mcp.json", &text);
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::create_dir_all(home.path(".cursor")).unwrap();
    std::os::unix::fs::symlink(&real, home.path(".cursor/mcp.json")).unwrap();

    let dry = home.done(&["wrap", "cursor", "thing s", "--dry-run"]);
    assert!(dry.contains("+ ") && dry.contains("gateway"), "{dry}");
    assert_eq!(home.read(".cursor/mcp.json"), text);
    assert!(!home.path("callgate/config/policies").exists());
    assert!(home.done(&["status"]).contains("callgate wrap cursor 'thing s'"));

    let said = home.done(&["wrap", "cursor", "thing s"]);
    assert!(said.contains("wrapped `thing s` of Cursor") && said.contains("2 tools"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let policy = home.read("callgate/config/policies/thing_s.json");
    assert!(policy.contains("\"list_things\": {}") && policy.contains("delete_things"), "{policy}");
    assert!(home.path("callgate/config/policies/thing_s.pins.json").exists());
    assert!(home.path(".cursor/mcp.json").symlink_metadata().unwrap().is_symlink());
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let wrapped = home.read(".cursor/mcp.json");
    assert!(wrapped.contains("\"env\": {\"TOKEN\": \"s3cret\"}, }") && wrapped.contains("// mine\r\n"));
    assert!(!home.done(&["status"]).contains("thing s"));

    // What stands there now is run as a client runs it: the gateway enforces the policy.
    let listed = home.done(&["--format", "json", "tools", "--client", "cursor", "--server", "thing s"]);
    assert!(listed.contains("delete_things"), "the server itself is listed: {listed}");
    let plain: String = wrapped.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let plain = plain.replace(", }", "}");
    let entry: Value = serde_json::from_str(&plain).unwrap();
    let entry = &entry["mcpServers"]["thing s"];
    let args: Vec<&str> = entry["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert!(!args.contains(&"--"), "some clients choke on a separator: {args:?}");
    let mut gateway = home
        .command(entry["command"].as_str().unwrap(), &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gateway.stdin.take().unwrap();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/list\"}\n").unwrap();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"delete_things\"}}\n").unwrap();
    drop(stdin);
    let answers = String::from_utf8(gateway.wait_with_output().unwrap().stdout).unwrap();
    assert!(answers.contains("list_things") && !answers.contains("\"delete_things\""), "{answers}");
    assert!(!answers.contains("ran"), "{answers}");

    assert!(home.done(&["wrap", "cursor", "thing s"]).contains("already"));
    assert_eq!(home.read(".cursor/mcp.json"), wrapped);
    let dry = home.done(&["unwrap", "cursor", "thing s", "--dry-run"]);
    assert!(dry.contains("- ") && home.read(".cursor/mcp.json") == wrapped, "{dry}");
    let said = home.done(&["unwrap", "cursor", "thing s"]);
    assert!(said.contains("byte for byte"), "{said}");
    assert_eq!(home.read(".cursor/mcp.json"), text);
    assert!(home.path(".cursor/mcp.json").symlink_metadata().unwrap().is_symlink());
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(home.done(&["unwrap", "cursor", "thing s"]).contains("does not stand"));
    assert_eq!(std::fs::read_dir(home.path("callgate/state/wrapped")).unwrap().count(), 0);
}

#[test]
fn all_servers_of_a_client_need_a_yes() {
    let home = Home::new();
    let text = cursor(&home.path("server.sh"));
    home.put(".cursor/mcp.json", &text);
    let refused = home.run(&["wrap", "cursor"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("--yes"), "{}", said(&refused));
    assert_eq!(home.read(".cursor/mcp.json"), text);
    let output = home.run(&["--format", "json", "wrap", "cursor", "--yes"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let did: Vec<(&str, &str)> = report["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["server"].as_str().unwrap(), one["did"].as_str().unwrap()))
        .collect();
    assert!(did.contains(&("thing s", "wrapped")) && did.contains(&("off", "skipped")), "{did:?}");
    assert!(did.contains(&("far", "skipped")), "{did:?}");
    home.done(&["unwrap", "cursor", "--yes"]);
    assert_eq!(home.read(".cursor/mcp.json"), text);
}

#[test]
fn a_server_at_an_address_is_explained_without_its_secrets() {
    let home = Home::new();
    home.put(".cursor/mcp.json", &cursor(&home.path("server.sh")));
    let refused = home.run(&["wrap", "cursor", "far"]);
    let said = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("--listen 127.0.0.1:4711 --upstream https://h.example/mcp"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("pw@"), "{said}");
}

#[test]
fn what_cannot_be_edited_safely_is_shown_and_not_touched() {
    let home = Home::new();
    let text = "extensions: {thing: {type: stdio, cmd: x, enabled: true}}\n";
    home.put(".config/goose/config.yaml", text);
    let refused = home.run(&["wrap", "goose", "thing"]);
    let said = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cmd: \"") && said.contains("args: [\"gateway\", \"--policy\""), "{said}");
    assert_eq!(home.read(".config/goose/config.yaml"), text);
    assert!(!home.path("callgate/config/policies/thing.json").exists(), "no policy is made for nothing");
}

#[test]
fn a_server_that_gives_no_list_gets_the_strictest_policy_and_the_person_is_told() {
    let home = Home::new();
    home.put(".codex/config.toml", "[mcp_servers.gone]\ncommand = \"callgate-no-such-program\"\n");
    let said = home.done(&["wrap", "codex", "gone"]);
    assert!(said.contains("denies every call"), "{said}");
    assert!(home.read("callgate/config/policies/gone.json").contains("\"default\": \"deny\""));
    assert!(home.read(".codex/config.toml").contains("args = [\"gateway\""));
    // A policy that is there is used, and one that is none stops it before anything is changed.
    home.done(&["unwrap", "codex", "gone"]);
    let said = home.done(&["wrap", "codex", "gone"]);
    assert!(said.contains("is there already and is used"), "{said}");
    home.done(&["unwrap", "codex", "gone"]);
    home.put("callgate/config/policies/gone.json", "{\"version\": \"1\", \"deflt\": 1}");
    let refused = home.run(&["wrap", "codex", "gone"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        home.read(".codex/config.toml"),
        "[mcp_servers.gone]\ncommand = \"callgate-no-such-program\"\n"
    );
}

#[test]
fn what_was_changed_while_the_server_was_asked_stays() {
    let home = Home::new();
    let file = home.path(".cursor/mcp.json");
    let server = format!(
        "#!/bin/sh\nsed -i.old 's/\"mine\": 1/\"mine\": 2/' {}\nexec {}\n",
        file.display(),
        home.path("server.sh").display()
    );
    home.put("slow.sh", &server);
    std::fs::set_permissions(home.path("slow.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "{{\"mine\": 1, \"mcpServers\": {{\"s\": {{\"command\": \"{}\"}}}}}}\n",
        home.path("slow.sh").display()
    );
    home.put(".cursor/mcp.json", &text);
    home.done(&["wrap", "cursor", "s"]);
    assert!(home.read(".cursor/mcp.json").contains("\"mine\": 2"));
    home.done(&["unwrap", "cursor", "s"]);
    assert_eq!(home.read(".cursor/mcp.json"), text.replace("\"mine\": 1", "\"mine\": 2"));
}

#[test]
fn changes_since_are_kept_and_said() {
    let home = Home::new();
    home.put(".cursor/mcp.json", &cursor(&home.path("server.sh")));
    home.done(&["wrap", "cursor", "thing s"]);
    let changed = home.read(".cursor/mcp.json").replace("server.sh\"]", "server.sh\", \"--more\"]");
    assert!(changed.contains("--more"));
    home.put(".cursor/mcp.json", &changed);
    let said = home.done(&["unwrap", "cursor", "thing s"]);
    assert!(said.contains("changed since"), "{said}");
    let now = home.read(".cursor/mcp.json");
    assert!(now.contains("\"args\": [\"--more\"]") && !now.contains("gateway"), "{now}");
}

#[test]
fn what_is_shown_has_no_secrets_and_what_is_written_has_them() {
    let key = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let home = Home::new();
    let text = format!(
        "{{\"mcpServers\": {{\"a\": {{\n\"command\": \"{}\",\n\"args\": [\"-k\", \"{key}\"],\n\"env\": {{\"TOKEN\": \"s3cret\"}} }} }} }}\n",
        home.path("server.sh").display()
    );
    home.put(".cursor/mcp.json", &text);
    let dry = home.done(&["wrap", "cursor", "a", "--dry-run"]);
    assert!(dry.contains("+ ") && dry.contains("***") && dry.contains("\"-k\""), "{dry}");
    assert!(!dry.contains(key) && !dry.contains("s3cret"), "{dry}");
    home.done(&["wrap", "cursor", "a"]);
    let wrapped = home.read(".cursor/mcp.json");
    assert!(wrapped.contains(key) && wrapped.contains("s3cret") && !wrapped.contains("***"), "{wrapped}");
    let dry = home.done(&["unwrap", "cursor", "a", "--dry-run"]);
    assert!(!dry.contains(key) && dry.contains("***"), "{dry}");
    home.done(&["unwrap", "cursor", "a"]);
    assert_eq!(home.read(".cursor/mcp.json"), text);
    // What a person is to write by hand is shown so, too, and said.
    home.put(
        ".config/goose/config.yaml",
        &format!("extensions: {{thing: {{type: stdio, cmd: x, args: [{key}]}}}}\n"),
    );
    let said = said(&home.run(&["wrap", "goose", "thing"]));
    assert!(said.contains("cmd: \"") && said.contains("(for `***`, the secret"), "{said}");
    assert!(!said.contains(key), "{said}");
}

#[test]
fn without_a_configuration_the_help_is_about_the_command() {
    let home = Home::new();
    for (command, help) in
        [("wrap", "add the server there first"), ("unwrap", "nothing to take the gateway out of")]
    {
        let refused = home.run(&[command, "cursor", "a"]);
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains(help) && !said.contains("--url"), "{said}");
    }
    let listed = said(&home.run(&["tools", "--client", "cursor"]));
    assert!(listed.contains("name the server directly: `-- CMD ARG...` or `--url URL`"), "{listed}");
    home.put(".cursor/mcp.json", "{");
    let broken = said(&home.run(&["wrap", "cursor", "a"]));
    assert!(broken.contains("mend that file or its permissions first"), "{broken}");
}
