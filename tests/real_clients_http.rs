//! Official clients and servers through gateways over HTTP, over stdio, and from HTTP to stdio,
//! versions pinned, in every way in which the clients speak. Runs where `CALLGATE_REAL=1` is set,
//! see `real_support`.

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

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use real_support::{
    Home, Running, callgate, client_script, example, json_of, node_tools, python, python_server, rmcp_server,
    run, server_everything,
};
use serde_json::{Value, json};

const INSPECTOR: &str = "@modelcontextprotocol/inspector@0.15.0";

const POLICY: &str = r#"{"version":"1","default":"allow","hide":["danger"],"tools":{"get-sum":{"deny_if":[{"conditions":[{"path":"args.a","op":"gt","value":50}],"on_deny":"Sums up to 50 only."}]}}}"#;

struct Tools {
    node: PathBuf,
    python: PathBuf,
}

impl Tools {
    fn of(test: &str) -> Option<Self> {
        Some(Self { node: node_tools(test)?, python: python(test)? })
    }

    /// Each official client in each of its ways: its name, and how to start it.
    fn clients(&self, modern: bool) -> Vec<(String, Command)> {
        let mut clients = Vec::new();
        let modes: &[&str] = if modern { &["auto", "legacy", "2026-07-28"] } else { &["auto", "legacy"] };
        for mode in modes {
            let mut command = Command::new(&self.python);
            command.arg(client_script("python_client.py")).arg(mode);
            clients.push((format!("Python SDK, {mode}"), command));
            clients.push((format!("TypeScript SDK 2, {mode}"), self.script("ts_client_2.mjs", mode)));
        }
        clients.push(("TypeScript SDK 1".to_owned(), self.script("ts_client_1.cjs", "legacy")));
        clients
    }

    fn script(&self, name: &str, mode: &str) -> Command {
        let mut command = Command::new(self.node.join("node_modules/node/bin/node"));
        command.arg(client_script(name)).arg(mode).env("CALLGATE_NODE_TOOLS", &self.node);
        command
    }

    /// Servers over stdio: a name, their command, and whether they know 2026-07-28.
    fn commands(&self) -> Vec<(&'static str, Vec<OsString>, bool)> {
        let everything = self.node.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
        vec![
            ("Rust SDK", vec![example("conformance-server").into(), "--stdio".into()], true),
            (
                "Python SDK",
                vec![self.python.clone().into(), client_script("python_server.py").into(), "stdio".into()],
                true,
            ),
            (
                "server-everything",
                vec![self.node.join("node_modules/node/bin/node").into(), everything.into()],
                false,
            ),
        ]
    }
}

/// What every client must have seen through a gateway with `POLICY`.
fn guarded(title: &str, seen: &Value) {
    let listed: Vec<&str> =
        seen["tools"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(listed.contains(&"echo") && !listed.contains(&"danger"), "{title}: {listed:?}");
    assert_eq!(seen["echo"], json!({"error": false, "text": "Echo: hi"}), "{title}");
    assert_eq!(seen["get-sum"], json!({"error": false, "text": "The sum of 2 and 40 is 42."}), "{title}");
    let denied = json!({"error": true, "text": "[POLICY DENIED] Sums up to 50 only."});
    assert_eq!(seen["too-much"], denied, "{title}");
    assert_eq!(seen["danger"], -32602, "{title}");
}

/// The journal must tell of one client's calls the same as every other's.
fn journaled(title: &str, home: &Home, clients: usize) {
    let decisions = home.decisions();
    let count = |rule: &str| decisions.iter().filter(|decision| decision["rule"] == rule).count();
    let told = (count(""), count("/tools/get-sum/deny_if/args.a-gt"), count("(hidden)"));
    assert_eq!(told, (2 * clients, clients, clients), "{title}: {decisions:?}");
}

fn over_http(title: &str, tools: &Tools, modern: bool, home: &Home, gateway: &Running) {
    let clients = tools.clients(modern);
    let count = clients.len();
    for (client, mut command) in clients {
        let title = format!("{client} to {title}");
        println!("{title}");
        let output = run(command.arg(&gateway.url));
        assert!(output.status.success(), "{title}: {output:?}\nthe gateway said: {}", gateway.printed());
        guarded(&title, &json_of(&output));
    }
    journaled(title, home, count);
}

fn in_front_of(title: &str, tools: &Tools, modern: bool, server: &Running) {
    let home = Home::new(POLICY);
    let gateway = home.http_gateway_to(server);
    over_http(title, tools, modern, &home, &gateway);
}

#[test]
fn official_clients_reach_the_rust_sdks_server_over_http() {
    let Some(tools) = Tools::of("clients, Rust SDK over HTTP") else { return };
    in_front_of("Rust SDK with sessions", &tools, true, &rmcp_server(&[]));
    in_front_of("Rust SDK without sessions", &tools, true, &rmcp_server(&["--stateless"]));
    in_front_of("Rust SDK without streams", &tools, true, &rmcp_server(&["--stateless", "--json"]));
}

#[test]
fn official_clients_reach_the_python_sdks_server_over_http() {
    let Some(tools) = Tools::of("clients, Python SDK over HTTP") else { return };
    for mode in ["stateful", "stateless", "json"] {
        in_front_of(&format!("Python SDK, {mode}"), &tools, true, &python_server(&tools.python, mode));
    }
}

#[test]
fn official_clients_reach_server_everything_over_http() {
    let Some(tools) = Tools::of("clients, server-everything over HTTP") else { return };
    in_front_of("server-everything", &tools, false, &server_everything(&tools.node));
}

#[test]
fn official_clients_reach_stdio_servers_over_http() {
    let Some(tools) = Tools::of("clients, HTTP to stdio") else { return };
    for (title, server, modern) in tools.commands() {
        let home = Home::new(POLICY);
        let gateway = home.http_gateway([OsString::from("--")].into_iter().chain(server));
        over_http(&format!("{title} on stdio"), &tools, modern, &home, &gateway);
    }
}

/// The SDKs hand little of their environment on to servers, so the home is named on the way.
fn stdio_gateway(home: &Home, server: &[OsString]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec!["env".into()];
    let mut home_is = OsString::from("CALLGATE_HOME=");
    home_is.push(home.path("home"));
    command.extend([home_is, callgate().into(), "gateway".into(), "--name".into(), "real".into()]);
    command.extend(["--policy".into(), home.policy().into(), "--".into()]);
    command.extend(server.iter().cloned());
    command
}

#[test]
fn official_clients_reach_stdio_servers_over_stdio() {
    let Some(tools) = Tools::of("clients, stdio") else { return };
    for (title, server, modern) in tools.commands() {
        let home = Home::new(POLICY);
        let clients = tools.clients(modern);
        let count = clients.len();
        for (client, mut command) in clients {
            let title = format!("{client} to {title} over stdio");
            println!("{title}");
            let output = run(command.args(stdio_gateway(&home, &server)));
            assert!(output.status.success(), "{title}: {output:?}");
            guarded(&title, &json_of(&output));
        }
        journaled(title, &home, count);
    }
}

fn inspect(target: &[OsString], more: &[&str]) -> Value {
    let mut command = Command::new("npx");
    command.args(["-y", INSPECTOR, "--cli"]).args(target).args(more);
    json_of(&run(&mut command))
}

fn inspected(title: &str, target: &[OsString]) {
    let listed = inspect(target, &["--method", "tools/list"]);
    let names: Vec<&str> =
        listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"echo") && !names.contains(&"danger"), "{title}: {names:?}");
    let call = |tool: &str, arguments: &[&str]| {
        let mut more = vec!["--method", "tools/call", "--tool-name", tool, "--tool-arg"];
        more.extend(arguments);
        inspect(target, &more)
    };
    assert_eq!(call("echo", &["message=hi"])["content"][0]["text"], "Echo: hi", "{title}");
    let denied = call("get-sum", &["a=99", "b=1"]);
    assert_eq!(denied["isError"], true, "{title}");
    assert_eq!(denied["content"][0]["text"], "[POLICY DENIED] Sums up to 50 only.", "{title}");
}

#[test]
fn the_inspector_works_over_each_transport() {
    let Some(tools) = Tools::of("inspector") else { return };
    let over = |url: &str| -> Vec<OsString> { vec![url.into(), "--transport".into(), "http".into()] };

    let server = rmcp_server(&[]);
    let home = Home::new(POLICY);
    let gateway = home.http_gateway_to(&server);
    inspected("inspector over HTTP", &over(&gateway.url));

    let (_, command, _) = tools.commands().remove(0);
    let home = Home::new(POLICY);
    let gateway = home.http_gateway([OsString::from("--")].into_iter().chain(command.clone()));
    inspected("inspector from HTTP to stdio", &over(&gateway.url));

    let home = Home::new(POLICY);
    let configuration = home.path("mcp.json");
    // The inspector eats a `--`, so the form without it is used.
    let parts = stdio_gateway(&home, &command).into_iter().filter(|part| part != "--");
    let texts: Vec<String> = parts.map(|part| part.into_string().unwrap()).collect();
    let told = json!({"mcpServers": {"guarded": {"command": texts[0], "args": texts[1..]}}});
    std::fs::write(&configuration, told.to_string()).unwrap();
    let target = ["--config".into(), configuration.into_os_string(), "--server".into(), "guarded".into()];
    inspected("inspector over stdio", &target);
}
