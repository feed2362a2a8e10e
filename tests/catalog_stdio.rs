//! Tool lists from real child processes: they are asked as they are, every failure is told in its
//! time, and nothing that was started stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use callgate::catalog::{CatalogError, Failure, Loaded, Source, load, load_until, saved_text};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server of the older era, in shell: requests are numbered 1 (`server/discover`), 2
/// (`initialize`), 3 and up (`tools/list`).
const SERVER: &str = r#"
while read -r line; do
  case "$line" in
    *server/discover*) echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"?"}}' ;;
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}' ;;
    *'"cursor":"p2"'*) echo '{"jsonrpc":"2.0","id":4,"result":{"tools":[{"name":"c","inputSchema":{"type":"object"}}]}}' ;;
    *tools/list*) echo '{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"b","unknown":{"kept": 1.0}},{"name":"a"}],"nextCursor":"p2"}}' ;;
  esac
done
"#;

fn shell(script: &str) -> Source {
    Source::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

fn fails(script: &str, seconds: u64) -> CatalogError {
    match load(&shell(script), Duration::from_secs(seconds)) {
        Err(error) => error,
        Ok(loaded) => panic!("{loaded:?}"),
    }
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.servers[0].tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// Whether a process is gone, or dead and only waiting for its parent.
fn gone(pid: &str) -> bool {
    let stat = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let stat = String::from_utf8_lossy(&stat.stdout).trim().to_owned();
    stat.is_empty() || stat.starts_with('Z')
}

fn wait_gone(file: &Path) {
    let pids = std::fs::read_to_string(file).unwrap();
    assert!(!pids.trim().is_empty());
    let since = Instant::now();
    while !pids.split_whitespace().all(gone) {
        assert!(since.elapsed() < PATIENCE, "still there: {pids}");
        std::thread::yield_now();
    }
}

#[test]
fn pages_are_followed_and_tools_stay_as_they_were_spelt() {
    let loaded = load(&shell(SERVER), PATIENCE).unwrap();
    assert_eq!(names(&loaded), ["b", "a", "c"]);
    let text = saved_text(&loaded.servers[0].raw);
    assert!(text.contains(r#"{"name":"b","unknown":{"kept": 1.0}}"#), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.json");
    std::fs::write(&file, &text).unwrap();
    let again = load(&Source::File(file), PATIENCE).unwrap();
    assert_eq!(again.servers[0].tools, loaded.servers[0].tools);
    assert_eq!(saved_text(&again.servers[0].raw), text);
}

#[test]
fn junk_on_standard_output_is_tolerated() {
    let script = format!("echo 'No X display available'; echo; echo '[]'; {SERVER}");
    assert_eq!(names(&load(&shell(&script), PATIENCE).unwrap()), ["b", "a", "c"]);
}

#[test]
fn a_server_that_ignores_the_probe_is_initialized() {
    // Knows no `server/discover` and does not answer what it does not know.
    let script = SERVER.replace("*server/discover*)", "*no/such*)");
    assert_eq!(names(&load(&shell(&script), PATIENCE).unwrap()), ["b", "a", "c"]);
}

#[test]
fn a_modern_server_is_not_initialized() {
    let script = r#"
while read -r line; do
  case "$line" in
    *server/discover*2026-07-28*) echo '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}' ;;
    *'"initialize"'*) exit 9 ;;
    *tools/list*) echo '{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","tools":[{"name":"m"}],"ttlMs":0,"cacheScope":"private"}}' ;;
  esac
done
"#;
    // Neither order of the members is promised: the revision may stand before the method.
    let script = script.replace("*server/discover*2026-07-28*)", "*server/discover*)");
    assert_eq!(names(&load(&shell(&script), PATIENCE).unwrap()), ["m"]);
}

#[test]
fn a_command_that_is_not_there_is_named() {
    for (command, place) in [("callgate-no-such-program", "PATH"), ("/no/such/program", "no such file")] {
        let error = load(&Source::Command(vec![command.to_owned()]), PATIENCE).unwrap_err();
        assert!(error.message.contains(command) && error.message.contains(place), "{error}");
        assert!(error.help.is_some());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain.txt");
    std::fs::write(&file, "no program").unwrap();
    let error = load(&Source::Command(vec![file.display().to_string()]), PATIENCE).unwrap_err();
    assert!(error.message.contains("may not be executed"), "{error}");
}

#[test]
fn a_server_that_dies_tells_its_status_and_last_words() {
    let error = fails(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo \"line $i\" >&2; done; printf '\\033]0;evil\\007bye\\n' >&2; exit 3",
        60,
    );
    assert!(
        error.message.contains("exit status 3") && error.message.contains("`server/discover`"),
        "{error}"
    );
    assert_eq!(error.said.len(), 10);
    assert!(error.said[9].contains("bye") && !error.to_string().contains('\u{1b}'), "{error}");
    let error = fails("kill -9 $$", 60);
    assert!(error.message.contains("signal 9"), "{error}");
    // Later in the talk, the later step is named.
    let script = SERVER.replace("*'\"cursor\":\"p2\"'*)", "*'\"cursor\":\"p2\"'*) exit 4; ");
    let error = fails(&script, 60);
    assert!(error.message.contains("page 2") && error.message.contains("exit status 4"), "{error}");
}

#[test]
fn a_server_that_hangs_tells_in_which_step() {
    let error = fails("while read -r line; do :; done", 1);
    assert!(error.message.contains("`initialize`") && error.message.contains("within 1 s"), "{error}");
    let script = SERVER.replace("*tools/list*)", "*no/such*)");
    let error = fails(&script, 5);
    assert!(error.message.contains("`tools/list`"), "{error}");
}

#[test]
fn only_rubbish_is_called_so() {
    let error = fails("echo 'Welcome to the tool!'; cat >/dev/null", 1);
    assert!(error.message.contains("no JSON-RPC") && error.message.contains("Welcome"), "{error}");
    let error = fails("echo 'usage: thing COMMAND'", 60);
    assert!(error.help.unwrap().contains("printed text instead of JSON-RPC"));
    assert!(error.said[0].contains("usage"));
}

#[test]
fn missing_credentials_are_recognised() {
    let error = fails("echo 'Error: GITHUB_TOKEN environment variable is required' >&2; exit 1", 60);
    assert_eq!(error.failure, Failure::Credentials);
    assert!(error.help.unwrap().contains("GITHUB_TOKEN"));
    let script = SERVER.replace(
        "\"result\":{\"protocolVersion\"",
        "\"error\":{\"code\":-32000,\"message\":\"API key missing\"},\"x\":{\"protocolVersion\"",
    );
    let error = fails(&script, 60);
    assert_eq!(error.failure, Failure::Credentials);
    assert!(error.message.contains("refused `initialize`"), "{error}");
}

#[test]
fn an_endless_list_and_a_list_that_is_none_are_refused() {
    let script = SERVER.replace("\"id\":4,\"result\":{", "\"id\":4,\"result\":{\"nextCursor\":\"p2\",");
    assert!(fails(&script, 60).message.contains("a second time"));
    let script = SERVER.replace("{\"name\":\"a\"}", "{\"title\":\"a\"}");
    let error = fails(&script, 60);
    assert!(error.message.contains("index 1"), "{error}");
}

#[test]
fn nothing_that_was_started_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let pids = file.display();
    // Ends by itself; ignores the end of its input; ignores SIGTERM as well; each with a child of
    // its own that holds the output open.
    for rest in ["", "while :; do sleep 1; done", "trap '' TERM; while :; do sleep 1; done"] {
        let script = format!("sleep 1000 & echo $$ $! > '{pids}'; {SERVER} {rest}");
        assert_eq!(names(&load(&shell(&script), PATIENCE).unwrap()).len(), 3);
        wait_gone(&file);
    }
    // And when it fails.
    let script = format!("trap '' TERM; sleep 1000 & echo $$ $! > '{pids}'; while :; do sleep 1; done");
    fails(&script, 1);
    wait_gone(&file);
}

#[test]
fn it_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("echo $$ > '{0}.new'; mv '{0}.new' '{0}'; cat >/dev/null", file.display());
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let asked = std::thread::spawn(move || load_until(&shell(&script), PATIENCE, &flag));
    let since = Instant::now();
    while !file.exists() {
        assert!(since.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(asked.join().unwrap().unwrap_err().failure, Failure::Interrupted);
    wait_gone(&file);
}

/// A package whose command prints a menu and whose `main` is the server, as npx has it in its cache.
#[test]
fn the_main_of_a_package_is_listed_where_its_command_is_no_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let place = "cache/_npx/0123";
    let list = r#"{"dependencies":{"@made/up":"^1.0.0"},"_npx":{"packages":["@made/up"]}}"#;
    put(&format!("{place}/package.json"), list);
    let package = r#"{"main":"dist/index.js","bin":{"up":"menu.js"}}"#;
    put(&format!("{place}/node_modules/@made/up/package.json"), package);
    put(&format!("{place}/node_modules/@made/up/menu.js"), "");
    put(&format!("{place}/node_modules/@made/up/dist/index.js"), SERVER);
    put(&format!("{place}/node_modules/.bin/up"), "#!/bin/sh\necho 'Welcome to the menu!'\n");
    // npx and node as far as this needs them.
    let npx = format!(
        "#!/bin/sh\nPATH={}:$PATH\nshift\nif [ \"$1\" = -p ]; then shift 2; exec \"$@\"; fi\nexec up\n",
        root.join(place).join("node_modules/.bin").display()
    );
    put("bin/npx", &npx);
    put("bin/node", "#!/bin/sh\nexec sh \"$@\"\n");

    let run = |args: &[&str]| {
        let path = std::env::var("PATH").unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_callgate"))
            .args(args)
            .current_dir(root)
            .env("PATH", format!("{}:{path}", root.join("bin").display()))
            .env("HOME", root)
            .env("CALLGATE_HOME", root.join("callgate"))
            .env("npm_config_cache", root.join("cache"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, listed, said) = run(&["--format", "json", "tools", "--", "npx", "-y", "@made/up"]);
    assert_eq!(code, Some(0), "{said}");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 3);
    assert!(
        said.contains("note: `npx -y @made/up` is the command of a program that is no MCP server"),
        "{said}"
    );
    assert!(said.contains("npx -y -p @made/up sh -c 'exec node"), "the command line that works: {said}");
    let (code, _, said) = run(&["init", "-o", "p.json", "--", "npx", "-y", "@made/up"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("--policy") && said.contains("-- npx -y -p @made/up sh -c"), "{said}");
    // A gateway runs what it was told to run.
    let (_, answers, said) = run(&["gateway", "--policy", "p.json", "--", "npx", "-y", "@made/up"]);
    assert!(answers.is_empty() && said.contains("Welcome to the menu!"), "{answers}{said}");
    // Where the main is no server either, what was asked for is what is reported.
    put(&format!("{place}/node_modules/@made/up/dist/index.js"), "echo nor this");
    let (code, _, said) = run(&["tools", "--", "npx", "-y", "@made/up"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("`npx -y @made/up` ended") && said.contains("Welcome to the menu!"), "{said}");
}
