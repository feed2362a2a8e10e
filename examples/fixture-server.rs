//! A small MCP server over stdio for tests and benchmarks, with the faults of real ones.
//!
//! | flag | does |
//! |---|---|
//! | `--tools FILE` | answers `tools/list` with this file's result (an object with `tools`) |
//! | `--page N` | gives the list in pages of N |
//! | `--log FILE` | appends every byte that arrives to FILE |
//! | `--out FILE` | appends every byte that is answered to FILE |
//! | `--pids FILE` | appends its process id, and those of processes it starts, to FILE |
//! | `--banner TEXT` | prints TEXT as a line before anything else |
//! | `--legacy` | knows no `server/discover` |
//! | `--ignore-eof` | stays when its input ends |
//! | `--ignore-term` | does not end on SIGTERM |
//! | `--grandchild` | starts a process that sleeps and holds standard output |
//! | `--daemon` | starts one that leaves the process group as well |
//! | `--exit N` | ends with this code when its input ends |
//!
//! Tools with a meaning: `echo` (its arguments as text), `fail` (`isError`), `error` (a JSON-RPC
//! error with `code`), `die` (ends with `code`), `hang` (no answer), `slow` (answers after `ms`),
//! `junk` (prints `text` as a line first), `ask` (a request to the client first), `big` (a text of
//! `bytes`), `list` (an unasked result with a `tools` array), `changed` (`list_changed` first).
//! Every other name answers `ran NAME`.

#![allow(
    missing_docs,
    clippy::semicolon_if_nothing_returned,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::zombie_processes,
    clippy::format_push_string,
    clippy::duration_suboptimal_units
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callgate::json::{Node, parse_bytes};

const TOOLS: &str = r#"[{"name":"echo","description":"Says it again","inputSchema":{"type":"object","properties":{"message":{"type":"string"}}},"annotations":{"readOnlyHint":true}},{"name":"fail","inputSchema":{"type":"object"}},{"name":"error","inputSchema":{"type":"object"}},{"name":"die","inputSchema":{"type":"object"}},{"name":"hang","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}},{"name":"junk","inputSchema":{"type":"object"}},{"name":"ask","inputSchema":{"type":"object"}},{"name":"big","inputSchema":{"type":"object"}},{"name":"danger","description":"Must stay unseen","inputSchema":{"type":"object"}}]"#;

#[derive(Default)]
struct Options {
    tools: Vec<String>,
    siblings: String,
    page: usize,
    legacy: bool,
    ignore_eof: bool,
    exit: i32,
}

#[derive(Clone)]
struct Output {
    stdout: Arc<Mutex<(File, Option<File>)>>,
}

impl Output {
    fn write(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut guard = self.stdout.lock().unwrap();
        if guard.0.write_all(bytes).is_err() {
            std::process::exit(0);
        }
        if let Some(log) = &mut guard.1 {
            log.write_all(bytes).unwrap();
        }
    }
}

fn append(path: &str) -> File {
    File::options().create(true).append(true).open(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn main() {
    let mut options = Options::default();
    let mut log = None;
    let mut out = None;
    let mut pids = None;
    let mut list = None;
    let mut arguments = std::env::args().skip(1);
    let mut children: Vec<bool> = Vec::new();
    let mut banner = String::new();
    let mut ignore_term = false;
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--tools" => list = Some(std::fs::read_to_string(value()).unwrap()),
            "--page" => options.page = value().parse().unwrap(),
            "--log" => log = Some(append(&value())),
            "--out" => out = Some(append(&value())),
            "--pids" => pids = Some(append(&value())),
            "--banner" => banner = format!("{}\n", value()),
            "--legacy" => options.legacy = true,
            "--ignore-eof" => options.ignore_eof = true,
            "--ignore-term" => ignore_term = true,
            "--grandchild" => children.push(false),
            "--daemon" => children.push(true),
            "--exit" => options.exit = value().parse().unwrap(),
            other => panic!("unknown flag {other}"),
        }
    }
    if ignore_term {
        // Taking note of the signal is enough to outlive it.
        let taken = Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, taken).unwrap();
    }
    if let Some(pids) = &mut pids {
        writeln!(pids, "{}", std::process::id()).unwrap();
    }
    for leaves in children {
        let mut command = Command::new(if leaves { "setsid" } else { "sleep" });
        if leaves {
            command.arg("sleep");
        }
        let mut child = command.arg("600").stdin(Stdio::null());
        if leaves {
            child = child.stdout(Stdio::null());
        }
        let child = child.spawn().unwrap();
        if let Some(pids) = &mut pids {
            writeln!(pids, "{}", child.id()).unwrap();
        }
    }
    let text = list.unwrap_or_else(|| format!("{{\"tools\":{TOOLS}}}"));
    let parsed = callgate::json::parse(&text).unwrap();
    let root = parsed.root.get("result").unwrap_or(&parsed.root);
    for tool in root.get("tools").unwrap_or(root).as_array().unwrap() {
        options.tools.push(tool.span.of(&text).to_owned());
    }
    for member in root.as_object().unwrap_or_default() {
        if !matches!(member.key.as_str(), "tools" | "nextCursor") {
            options.siblings.push_str(&format!(
                ",{}:{}",
                member.key_span.of(&text),
                member.value.span.of(&text)
            ));
        }
    }
    let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let output = Output { stdout: Arc::new(Mutex::new((stdout, out))) };
    output.write(banner.as_bytes());
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut buffer = vec![0; 256 * 1024];
    let mut held: Vec<u8> = Vec::new();
    loop {
        let count = input.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            break;
        }
        let bytes = &buffer[..count];
        if let Some(log) = &mut log {
            log.write_all(bytes).unwrap();
        }
        let mut answers = Vec::new();
        if held.is_empty() && bytes.ends_with(b"\n") {
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                answer(line, &options, &output, &mut answers);
            }
        } else {
            held.extend_from_slice(bytes);
            if bytes.contains(&b'\n') {
                let end = held.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
                let rest = held.split_off(end);
                for line in held.split_inclusive(|byte| *byte == b'\n') {
                    answer(line, &options, &output, &mut answers);
                }
                held = rest;
            }
        }
        output.write(&answers);
    }
    if options.ignore_eof {
        loop {
            std::thread::sleep(Duration::from_mins(1));
        }
    }
    std::process::exit(options.exit);
}

fn answer(line: &[u8], options: &Options, output: &Output, answers: &mut Vec<u8>) {
    let Ok(parsed) = parse_bytes(line) else {
        answers.extend_from_slice(
            b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}\n",
        );
        return;
    };
    let text = std::str::from_utf8(line).unwrap();
    let root = &parsed.root;
    let Some(id) = root.get("id").map(|id| id.span.of(text)) else { return };
    let Some(method) = root.get("method").and_then(Node::as_str) else { return };
    let params = root.get("params");
    let modern = params.and_then(|params| params.get("_meta")).is_some_and(|meta| {
        meta.get("io.modelcontextprotocol/protocolVersion").and_then(Node::as_str) == Some("2026-07-28")
    });
    let kind = if modern { "\"resultType\":\"complete\"," } else { "" };
    let result = |answers: &mut Vec<u8>, body: &str| {
        write!(answers, "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}{body}}}}}").unwrap();
        answers.push(b'\n');
    };
    let error = |answers: &mut Vec<u8>, code: &str, message: &str| {
        write!(
            answers,
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"{message}\"}}}}"
        )
        .unwrap();
        answers.push(b'\n');
    };
    match method {
        "initialize" => {
            let version = params
                .and_then(|params| params.get("protocolVersion"))
                .and_then(Node::as_str)
                .unwrap_or("2025-11-25");
            result(
                answers,
                &format!(
                    "\"protocolVersion\":\"{version}\",\"capabilities\":{{\"tools\":{{\"listChanged\":true}}}},\"serverInfo\":{{\"name\":\"fixture\",\"version\":\"1\"}}"
                ),
            );
        }
        "server/discover" if !options.legacy => result(
            answers,
            "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{\"listChanged\":true}},\"serverInfo\":{\"name\":\"fixture\",\"version\":\"1\"},\"ttlMs\":60000,\"cacheScope\":\"public\"",
        ),
        "ping" => result(answers, ""),
        // A subscription stays open.
        "subscriptions/listen" if !options.legacy => {}
        "tools/list" => {
            let from: usize = params
                .and_then(|params| params.get("cursor"))
                .and_then(Node::as_str)
                .and_then(|cursor| cursor.parse().ok())
                .unwrap_or(0);
            let page = if options.page == 0 { options.tools.len() } else { options.page };
            let end = (from + page).min(options.tools.len());
            let next =
                if end < options.tools.len() { format!(",\"nextCursor\":\"{end}\"") } else { String::new() };
            let cache = if modern { ",\"ttlMs\":60000,\"cacheScope\":\"public\"" } else { "" };
            result(
                answers,
                &format!(
                    "\"tools\":[{}]{next}{cache}{}",
                    options.tools[from.min(end)..end].join(","),
                    options.siblings
                ),
            );
        }
        "tools/call" => {
            let name = params.and_then(|params| params.get("name")).and_then(Node::as_str).unwrap_or("");
            let arguments = params.and_then(|params| params.get("arguments"));
            let argument = |key: &str| arguments.and_then(|arguments| arguments.get(key));
            let raw = |key: &str, other: &str| {
                argument(key).map_or_else(|| other.to_owned(), |node| node.span.of(text).to_owned())
            };
            match name {
                "echo" => {
                    let body = argument("message").map_or("\"\"", |node| node.span.of(text));
                    result(answers, &format!("\"content\":[{{\"type\":\"text\",\"text\":{body}}}]"));
                }
                "fail" => {
                    result(answers, "\"content\":[{\"type\":\"text\",\"text\":\"no\"}],\"isError\":true");
                }
                "error" => error(answers, &raw("code", "-32603"), "as asked"),
                "die" => {
                    output.write(answers);
                    std::process::exit(raw("code", "7").parse().unwrap());
                }
                "round" if params.is_none_or(|params| params.get("inputResponses").is_none()) => answers
                    .extend_from_slice(
                        format!(
                            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"input_required\",\"inputRequests\":{{}},\"requestState\":\"s1\"}}}}\n"
                        )
                        .as_bytes(),
                    ),
                "hang" => {}
                "slow" => {
                    let wait = Duration::from_millis(raw("ms", "50").parse().unwrap());
                    let line = format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}\"content\":[{{\"type\":\"text\",\"text\":\"slow\"}}]}}}}\n"
                    );
                    let output = output.clone();
                    std::thread::spawn(move || {
                        std::thread::sleep(wait);
                        output.write(line.as_bytes());
                    });
                }
                "junk" => {
                    let text = argument("text").and_then(Node::as_str).unwrap_or("not a message");
                    answers.extend_from_slice(text.as_bytes());
                    answers.push(b'\n');
                    result(answers, "\"content\":[]");
                }
                "ask" => {
                    answers.extend_from_slice(
                        b"{\"jsonrpc\":\"2.0\",\"id\":\"from-server\",\"method\":\"roots/list\"}\n",
                    );
                    result(answers, "\"content\":[]");
                }
                "list" => {
                    answers.extend_from_slice(
                        format!(
                            "{{\"jsonrpc\":\"2.0\",\"id\":\"nobody\",\"result\":{{\"tools\":{TOOLS}}}}}\n"
                        )
                        .as_bytes(),
                    );
                    result(answers, "\"content\":[]");
                }
                "changed" => {
                    answers.extend_from_slice(
                        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n",
                    );
                    result(answers, "\"content\":[]");
                }
                "big" => {
                    let size: usize = raw("bytes", "1000000").parse().unwrap();
                    result(
                        answers,
                        &format!("\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}]", "x".repeat(size)),
                    );
                }
                other => {
                    result(answers, &format!("\"content\":[{{\"type\":\"text\",\"text\":\"ran {other}\"}}]"))
                }
            }
        }
        _ => error(answers, "-32601", "Method not found"),
    }
}
