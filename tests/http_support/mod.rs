//! HTTP gateways, clients that see every byte, and upstreams that say what a test wants.

#![allow(dead_code, unreachable_pub, unused_imports)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use super::gateway_support::{ALLOW, Home, LONG, call, until};

/// A request as an upstream sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An upstream that answers each request by a function, which may write what it likes.
pub struct Upstream {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that the gateway closed.
    pub closed: Arc<Mutex<usize>>,
    pub connections: Arc<Mutex<usize>>,
}

impl Upstream {
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let closed: Arc<Mutex<usize>> = Arc::default();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let answer = Arc::new(answer);
        let (all, ends, count) = (Arc::clone(&seen), Arc::clone(&closed), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                *count.lock().unwrap() += 1;
                let (all, ends, answer) = (Arc::clone(&all), Arc::clone(&ends), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = read_request(&mut reader) {
                        all.lock().unwrap().push(request.clone());
                        answer(&request, &mut stream);
                    }
                    *ends.lock().unwrap() += 1;
                });
            }
        });
        Self { port, seen, closed, connections }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/up/mcp", self.port)
    }

    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Seen { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// One JSON answer.
pub fn json_answer(stream: &mut TcpStream, extra: &str, body: &str) {
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// The head of a stream of events.
pub fn stream_head(stream: &mut TcpStream, extra: &str) {
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n{extra}Transfer-Encoding: chunked\r\n\r\n"
    );
}

/// A part of a stream.
pub fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let mut all = format!("{:x}\r\n", bytes.len()).into_bytes();
    all.extend_from_slice(bytes);
    all.extend_from_slice(b"\r\n");
    stream.write_all(&all).is_ok()
}

/// The end of a stream.
pub fn stream_end(stream: &mut TcpStream) {
    let _ = stream.write_all(b"0\r\n\r\n");
}

/// A server with the tools `echo`, `fail` and `danger`, which answers as JSON.
pub fn plain(request: &Seen, stream: &mut TcpStream) {
    if request.method == "DELETE" {
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        return;
    }
    if request.method == "GET" {
        let _ = stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let message = request.json();
    let id = &message["id"];
    if id.is_null() || message["method"].is_null() {
        let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let (extra, result) = match message["method"].as_str().unwrap() {
        "initialize" => (
            "Mcp-Session-Id: session-1\r\n",
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"up","version":"1"}}"#.to_owned(),
        ),
        "tools/list" => ("", list().to_owned()),
        "tools/call" => {
            let name = message["params"]["name"].as_str().unwrap();
            ("", format!(r#"{{"content":[{{"type":"text","text":"ran {name}"}}]}}"#))
        }
        _ => ("", "{}".to_owned()),
    };
    json_answer(stream, extra, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
}

/// The list of [`plain`], as odd as it may stand.
pub fn list() -> &'static str {
    r#"{"tools":[{"name":"echo", "x":1.0},{"name":"danger"} ,{"name":"fail"}],"nextCursor":null}"#
}

/// A running HTTP gateway.
pub struct Gate {
    pub child: Child,
    pub port: u16,
    pub token: Option<String>,
    pub secure: bool,
    lines: Mutex<Receiver<String>>,
}

impl Gate {
    /// In front of an address.
    pub fn url(home: &Home, url: &str, options: &[&str]) -> Self {
        let mut command = home.command();
        command.args(["gateway", "--listen", "127.0.0.1:0", "--name", "up", "--policy"]).arg(home.policy());
        command.args(["--upstream", url]).args(options);
        Self::spawn(command)
    }

    /// In front of a command.
    pub fn command(home: &Home, options: &[&str], server: &[&str]) -> Self {
        let mut command = home.command();
        command.args(["gateway", "--listen", "127.0.0.1:0", "--name", "up", "--policy"]).arg(home.policy());
        command.args(options).arg("--").arg(super::gateway_support::fixture()).args(server);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut gate = Self { child, port: 0, token: None, secure: false, lines: Mutex::new(lines) };
        let line = gate.line_with("is served at");
        let place = line.split("://").nth(1).unwrap();
        gate.secure = line.contains("https://");
        gate.port = place.split(['/', ' ']).next().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
        if let Some((_, path)) = line.split_once("the token in `") {
            let path = PathBuf::from(path.trim_end_matches('`'));
            gate.token = Some(std::fs::read_to_string(path).unwrap().trim().to_owned());
        }
        gate
    }

    /// The next line on standard error that holds a text.
    pub fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.lines.lock().unwrap().recv_timeout(LONG).expect("a line");
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Client { reader: BufReader::new(stream.try_clone().unwrap()), stream, port: self.port }
    }

    fn authorization(&self) -> String {
        self.token.as_ref().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"))
    }

    /// POSTs one message on a connection of its own and reads the whole answer.
    pub fn post(&self, extra: &str, body: &str) -> Answer {
        let mut client = self.connect();
        client.post(&format!("{}{extra}", self.authorization()), body.as_bytes());
        client.answer()
    }

    /// POSTs one message; only the head of the answer is read.
    pub fn post_open(&self, extra: &str, body: &str) -> (Client, Answer) {
        let mut client = self.connect();
        client.post(&format!("{}{extra}", self.authorization()), body.as_bytes());
        let head = client.head();
        (client, head)
    }

    /// A request without a body; only the head of the answer is read.
    pub fn open(&self, method: &str, extra: &str) -> (Client, Answer) {
        let mut client = self.connect();
        let authorization = self.authorization();
        client.send(
            format!(
                "{method} /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\n{authorization}{extra}\r\n",
                self.port
            )
            .as_bytes(),
        );
        let head = client.head();
        (client, head)
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end, and gives the exit code.
    pub fn wait(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < LONG, "the gateway does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that sees every byte.
pub struct Client {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    port: u16,
}

/// An answer, or its head.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn post(&mut self, extra: &str, body: &[u8]) {
        let mut all = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{extra}Content-Length: {}\r\n\r\n",
            self.port,
            body.len()
        )
        .into_bytes();
        all.extend_from_slice(body);
        self.send(&all);
    }

    /// The head of an answer.
    pub fn head(&mut self) -> Answer {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let status = line.split_whitespace().nth(1).unwrap_or_else(|| panic!("no status: {line:?}"));
        let status = status.parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() {
                return Answer { status, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    /// A whole answer.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut answer.body).unwrap();
        } else if answer.header("transfer-encoding").is_some() {
            while let Some(part) = self.part() {
                answer.body.extend(part);
            }
        }
        answer
    }

    /// The next part of a stream; `None` at its end.
    ///
    /// # Panics
    /// When the connection breaks off.
    pub fn part(&mut self) -> Option<Vec<u8>> {
        self.try_part().expect("the stream breaks off")
    }

    /// As [`Client::part`]; `Err` when the connection breaks off.
    pub fn try_part(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(line.trim(), 16).expect("a chunk");
        let mut part = vec![0; size + 2];
        self.reader.read_exact(&mut part)?;
        part.truncate(size);
        Ok((size > 0).then_some(part))
    }

    /// Parts of a stream until they hold a text.
    pub fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(text) {
            match self.part() {
                Some(part) => all.extend(part),
                None => panic!("ended before {text:?}: {}", String::from_utf8_lossy(&all)),
            }
        }
        String::from_utf8(all).unwrap()
    }

    /// All bytes until the connection ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Client {
    /// Some bytes of a body; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.reader.read(buffer).unwrap()
    }
}
