//! Real servers and clients over HTTP, with gateways and the bare relay in front of them.
//!
//! `CALLGATE_REAL=1` asks for these tests. `CALLGATE_NODE_TOOLS` is a folder with the npm packages
//! that `.ci/run` names (Node.js 22 among them), `CALLGATE_PYTHON` an interpreter with the `mcp`
//! package, `CALLGATE_PYTHON_SERVER` the folder of that package's own `mcp_everything_server`.

#![allow(dead_code, unreachable_pub)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a real server or client may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(3);

pub const ALLOW: &str = r#"{"version":"1","default":"allow","tools":{}}"#;

/// The place that a variable names, where these tests are asked for. Says what is missing.
pub fn place(test: &str, variable: &str) -> Option<PathBuf> {
    if std::env::var_os("CALLGATE_REAL").is_none() {
        println!("{test}: skipped, set CALLGATE_REAL=1 to run it with real servers and clients");
        return None;
    }
    let place = std::env::var_os(variable).map(PathBuf::from);
    if place.is_none() {
        println!("{test}: skipped, {variable} is not set (.ci/run says what it names)");
    }
    place
}

pub fn node_tools(test: &str) -> Option<PathBuf> {
    place(test, "CALLGATE_NODE_TOOLS")
}

pub fn python(test: &str) -> Option<PathBuf> {
    place(test, "CALLGATE_PYTHON")
}

/// Node.js 22, which the suite needs, with a script of one of the installed packages.
pub fn node(tools: &Path, script: &str) -> Command {
    let mut command = Command::new(tools.join("node_modules/node/bin/node"));
    command.arg(tools.join("node_modules").join(script)).env("CALLGATE_NODE_TOOLS", tools);
    command
}

/// A script of tests/clients.
pub fn client_script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

pub fn callgate() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_callgate"))
}

/// One of this project's examples, built if only one test file was asked for.
pub fn example(name: &str) -> PathBuf {
    let path = callgate().parent().unwrap().join("examples").join(name);
    if !path.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success());
    }
    path
}

/// A port that was free a moment ago, for servers that cannot say which one they got.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A process that is ended with the test, and what it printed.
pub struct Running {
    pub child: Child,
    pub printed: Arc<Mutex<String>>,
    /// Where it listens.
    pub url: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let printed = Arc::clone(&printed);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut printed = printed.lock().unwrap();
                    printed.push_str(&line);
                    printed.push('\n');
                }
            });
        }
        Self { child, printed, url: String::new() }
    }

    /// One that prints its own URL or address.
    pub fn announced(command: Command, find: impl Fn(&str) -> Option<String>) -> Self {
        let mut running = Self::start(command);
        let began = Instant::now();
        loop {
            let printed = running.printed.lock().unwrap().clone();
            if let Some(url) = printed.lines().find_map(&find) {
                running.url = url;
                return running;
            }
            assert!(running.child.try_wait().unwrap().is_none(), "it ended: {printed}");
            assert!(began.elapsed() < PATIENCE, "it never said where it listens: {printed}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One that was told its port.
    pub fn at(port: u16, command: Command) -> Self {
        let mut running = Self::start(command);
        let began = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            let printed = running.printed.lock().unwrap().clone();
            assert!(running.child.try_wait().unwrap().is_none(), "it ended: {printed}");
            assert!(began.elapsed() < PATIENCE, "it never listened: {printed}");
            std::thread::sleep(Duration::from_millis(20));
        }
        running.url = format!("http://{address}/mcp");
        running
    }

    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The first URL of an MCP endpoint on loopback in a line.
fn endpoint(line: &str) -> Option<String> {
    let at = line.find("http://")?;
    let url = line[at..].split(|c: char| c.is_whitespace() || c == '`' || c == '"').next()?;
    url.contains("/mcp").then(|| url.trim_end_matches(['.', ',', ';']).to_owned())
}

/// The fixture server on the Rust SDK.
pub fn rmcp_server(flags: &[&str]) -> Running {
    let mut command = Command::new(example("conformance-server"));
    command.args(flags);
    Running::announced(command, endpoint)
}

pub fn server_everything(tools: &Path) -> Running {
    let port = free_port();
    let mut command = node(tools, "@modelcontextprotocol/server-everything/dist/index.js");
    command.arg("streamableHttp").env("PORT", port.to_string());
    Running::at(port, command)
}

/// The Python SDK's own server, of its source package.
pub fn python_everything(python: &Path, folder: &Path) -> Running {
    let port = free_port();
    let mut command = Command::new(python);
    command.args(["-m", "mcp_everything_server", "--log-level", "ERROR", "--port", &port.to_string()]);
    command.env("PYTHONPATH", folder).current_dir(folder);
    Running::at(port, command)
}

/// A small server on the Python SDK, `stateful` or `stateless`.
pub fn python_server(python: &Path, mode: &str) -> Running {
    let port = free_port();
    let mut command = Command::new(python);
    command.arg(client_script("python_server.py")).args([mode, &port.to_string()]);
    Running::at(port, command)
}

pub fn tcp_relay(to: &Running) -> Running {
    let mut command = Command::new(example("tcp-relay"));
    command.args(["127.0.0.1:0", to.authority()]);
    Running::announced(command, |line| {
        line.parse::<SocketAddr>().ok().map(|address| format!("http://{address}/mcp"))
    })
}

/// A home of its own for each test.
pub struct Home {
    pub folder: tempfile::TempDir,
}

impl Home {
    pub fn new(policy: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(home.policy(), policy).unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn policy(&self) -> PathBuf {
        self.path("policy.json")
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("CALLGATE_HOME", self.path("home")).env("NO_COLOR", "1").current_dir(self.folder.path());
        command
    }

    /// `callgate gateway --listen`, with what stands behind it.
    pub fn http_gateway<A: AsRef<OsStr>>(&self, behind: impl IntoIterator<Item = A>) -> Running {
        let mut command = self.command(callgate());
        command.args(["gateway", "--listen", "127.0.0.1:0", "--no-auth", "--name", "real", "--policy"]);
        command.arg(self.policy()).args(behind);
        Running::announced(command, endpoint)
    }

    pub fn http_gateway_to(&self, server: &Running) -> Running {
        self.http_gateway(["--upstream", &server.url])
    }

    /// The decisions of every journal, as `tail` gives them.
    pub fn decisions(&self) -> Vec<Value> {
        let output = self
            .command(callgate())
            .args(["tail", "--no-follow", "--format", "json"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|record| record["type"] == "decision")
            .collect()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)))
}
