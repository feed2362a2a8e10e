use std::fs;
use std::path::Path;

use super::*;

fn env(root: &Path, system: System) -> Env {
    Env {
        home: root.join("home"),
        cwd: root.join("home/code/project/deep"),
        vars: [("TOKEN", "s3cret"), ("EMPTY", "")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        system,
    }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    fs::write(path, text).expect("written");
}

fn stdio(configured: &Configured) -> &StdioServer {
    match &configured.launch {
        Launch::Stdio(server) => server,
        Launch::Http(server) => panic!("{server:?}"),
    }
}

fn http(configured: &Configured) -> &HttpServer {
    match &configured.launch {
        Launch::Http(server) => server,
        Launch::Stdio(server) => panic!("{server:?}"),
    }
}

#[test]
fn every_client_is_read_where_it_keeps_its_servers() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let json = r#"{"mcpServers":{"a":{"command":"npx","args":["-y","a",1],"env":{"K":"v","N":2}}}}"#;
    for (client, path, text) in [
        ("claude-desktop", "home/.config/Claude/claude_desktop_config.json", json),
        ("cursor", "home/.cursor/mcp.json", json),
        ("windsurf", "home/.codeium/windsurf/mcp_config.json", json),
        ("gemini", "home/.gemini/settings.json", json),
        (
            "vscode",
            "home/code/project/.vscode/mcp.json",
            "{ // servers\n \"servers\": {\"a\": {\"type\":\"stdio\",\"command\":\"npx\",\"args\":[\"-y\",\"a\",\"1\"],\"env\":{\"K\":\"v\",\"N\":\"2\"},},}, /* end */ }",
        ),
        (
            "zed",
            "home/.config/zed/settings.json",
            "// zed\n{\"context_servers\":{\"a\":{\"source\":\"custom\",\"command\":{\"path\":\"npx\",\"args\":[\"-y\",\"a\",\"1\"],\"env\":{\"K\":\"v\",\"N\":\"2\"}}}}}",
        ),
        (
            "codex",
            "home/.codex/config.toml",
            "[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"-y\", \"a\", \"1\"]\nenv = { K = \"v\", N = \"2\" }\n",
        ),
        (
            "goose",
            "home/.config/goose/config.yaml",
            "extensions:\n  developer:\n    type: builtin\n    enabled: true\n  a:\n    enabled: true\n    type: stdio\n    cmd: npx\n    args: [-y, a, 1]\n    envs: {K: v, N: 2}\n",
        ),
        (
            "continue",
            "home/.continue/config.yaml",
            "name: x\nmcpServers:\n  - name: a\n    command: npx\n    args: ['-y', a, '1']\n    env: {K: v, N: '2'}\n",
        ),
        (
            "claude-code",
            "home/.claude.json",
            &json.replacen('{', r#"{"projects":{"/elsewhere":{"mcpServers":{"no":{"command":"x"}}}},"#, 1),
        ),
    ] {
        put(root, path, text);
        let found = servers(client, &env(root, System::Linux)).expect(client);
        assert_eq!(found.len(), 1, "{client}: {found:?}");
        assert_eq!((found[0].server.as_str(), found[0].client), ("a", client));
        assert_eq!(found[0].file, root.join(path));
        assert_eq!(stdio(&found[0]).command, ["npx", "-y", "a", "1"], "{client}");
        let variables = [("K", "v"), ("N", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(stdio(&found[0]).env, variables, "{client}");
        assert!(!found[0].guarded && !found[0].disabled);
    }
    assert_eq!(all(&env(root, System::Linux)).0.len(), 10);
}

#[test]
fn addresses_headers_and_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    put(
        root,
        "home/.codex/config.toml",
        "[mcp_servers.h]\nurl = \"https://h.example/mcp\"\nbearer_token_env_var = \"TOKEN\"\n[mcp_servers.h.http_headers]\nX = \"1\"\n",
    );
    put(
        root,
        "home/.codeium/windsurf/mcp_config.json",
        r#"{"mcpServers":{"h":{"serverUrl":"https://h.example/mcp","headers":{"Authorization":"Bearer ${env:TOKEN}"}}}}"#,
    );
    put(
        root,
        "home/.gemini/settings.json",
        r#"{"mcpServers":{"h":{"httpUrl":"https://h.example/$TOKEN","headers":{}},"m":{"command":"x","args":["$MISSING"]}}}"#,
    );
    put(
        root,
        "home/.cursor/mcp.json",
        r#"{"mcpServers":{"d":{"command":"x","args":["${EMPTY:-d}","${NONE:-e}","$TOKEN","a$b"],"cwd":"${workspaceFolder}"},"i":{"command":"x","env":{"K":"${input:key}"}}}}"#,
    );
    let env = env(root, System::Linux);
    let upstream = |client: &str, name: &str| server(client, name, &env).expect(name).upstream(&env);

    let Ok(Launch::Http(found)) = upstream("codex", "h") else { panic!("http") };
    assert!(found.headers.contains(&("Authorization".to_owned(), "Bearer s3cret".to_owned())), "{found:?}");
    assert!(found.headers.contains(&("X".to_owned(), "1".to_owned())));
    let Ok(Launch::Http(found)) = upstream("windsurf", "h") else { panic!("http") };
    assert_eq!(found.headers[0].1, "Bearer s3cret");
    let Ok(Launch::Http(found)) = upstream("gemini", "h") else { panic!("http") };
    assert_eq!(found.url, "https://h.example/s3cret");
    assert_eq!(http(&server("gemini", "h", &env).expect("h")).url, "https://h.example/$TOKEN");
    let error = upstream("gemini", "m").expect_err("missing");
    assert!(error.message.contains("`MISSING`") && error.message.contains("settings.json"), "{error}");
    let Ok(Launch::Stdio(found)) = upstream("cursor", "d") else { panic!("stdio") };
    assert_eq!(found.command, ["x", "d", "e", "$TOKEN", "a$b"]);
    assert_eq!(found.cwd.as_deref(), Some(env.cwd.as_path()));
    assert!(upstream("cursor", "i").expect_err("an input").message.contains("only its client can ask"));
}

#[test]
fn the_nearest_definition_wins_and_projects_come_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    put(root, "home/code/project/.mcp.json", r#"{"mcpServers":{"a":{"command":"project"}}}"#);
    let local = root.join("home/code/project");
    put(
        root,
        "home/.claude.json",
        &serde_json::json!({
            "projects": {local.to_string_lossy(): {"mcpServers": {"b": {"command": "local"}}}},
            "mcpServers": {"a": {"command": "user"}, "b": {"command": "user"}, "c": {"type": "http", "url": "https://c.example/mcp"}},
        })
        .to_string(),
    );
    let found = servers("Claude Code", &env(root, System::Linux)).expect("servers");
    let commands: Vec<&str> = found
        .iter()
        .map(|found| match &found.launch {
            Launch::Stdio(server) => server.command[0].as_str(),
            Launch::Http(server) => server.url.as_str(),
        })
        .collect();
    assert_eq!(commands, ["project", "local", "https://c.example/mcp"]);
}

#[test]
fn a_server_behind_callgate_is_known_and_seen_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    put(
        root,
        "home/.cursor/mcp.json",
        r#"{"mcpServers":{
            "a":{"command":"/usr/bin/callgate","args":["gateway","--policy","p.json","--fail-open","--name=x","--","npx","-y","a"]},
            "b":{"command":"callgate","args":["gateway","--policy","p.json","npx","-y","b","--policy","its-own"]},
            "c":{"command":"callgate","args":["demo"],"disabled":true},
            "d":{"command":"npx","args":["callgate","gateway"]}}}"#,
    );
    let env = env(root, System::Linux);
    let found = servers("cursor", &env).expect("servers");
    let guarded: Vec<bool> = found.iter().map(|found| found.guarded).collect();
    assert_eq!(guarded, [true, true, false, false]);
    assert!(found[2].disabled);
    let command = |index: usize| match found[index].upstream(&env) {
        Ok(Launch::Stdio(server)) => server.command.join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!(command(0), "npx -y a");
    assert_eq!(command(1), "npx -y b --policy its-own");
}

#[test]
fn errors_name_the_file_and_what_was_looked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let here = env(root, System::Linux);
    let error = servers("cursr", &here).expect_err("unknown");
    assert!(error.help.expect("help").contains("did you mean `cursor`"));
    let error = servers("zed", &here).expect_err("nothing there");
    assert!(error.message.contains("settings.json") && error.message.contains("context_servers"), "{error}");
    put(root, "home/.cursor/mcp.json", "{\"mcpServers\": {");
    let error = servers("cursor", &here).expect_err("broken");
    assert!(error.message.contains("mcp.json") && error.message.contains("not JSON"), "{error}");
    put(root, "home/.cursor/mcp.json", r#"{"mcpServers": {"a": {"command": "x"}}}"#);
    let error = server("cursor", "b", &here).expect_err("no such server");
    assert!(error.message.contains("`b`") && error.help.expect("help").contains("`a`"));
}

#[test]
fn other_systems_have_their_own_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let json = r#"{"mcpServers":{"a":{"command":"x"}}}"#;
    put(root, "home/Library/Application Support/Claude/claude_desktop_config.json", json);
    assert_eq!(servers("claude-desktop", &env(root, System::Mac)).expect("mac").len(), 1);
    put(root, "home/AppData/Roaming/Claude/claude_desktop_config.json", json);
    assert_eq!(servers("claude-desktop", &env(root, System::Windows)).expect("windows").len(), 1);
    let mut xdg = env(root, System::Linux);
    xdg.vars.insert("XDG_CONFIG_HOME".to_owned(), root.join("xdg").to_string_lossy().into_owned());
    put(root, "xdg/zed/settings.json", r#"{"context_servers":{"z":{"url":"https://z.example"}}}"#);
    assert_eq!(servers("zed", &xdg).expect("xdg").len(), 1);
}
