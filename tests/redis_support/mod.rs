//! A Redis of a test's own: started on this machine, killed, stopped and started again.
//!
//! Needs `redis-server` or `valkey-server` on the PATH: the one that is found first is taken. Where there is none the tests say so and
//! do nothing else.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use callgate::counters::redis::RedisStore;
use callgate::counters::{RedisUrl, StorePlace};

/// A server with data of its own; ends with this value.
pub struct Redis {
    folder: tempfile::TempDir,
    program: PathBuf,
    port: u16,
    more: Vec<String>,
    child: Option<Child>,
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

/// Says that a test did nothing, and why.
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Redis {
    /// One that loses nothing when it is killed. `None`, and a word about it, where it cannot be had.
    pub fn durable() -> Option<Self> {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One that keeps nothing.
    pub fn in_memory() -> Option<Self> {
        Self::start(&["--appendonly", "no"])
    }

    pub fn start(more: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            skipped("there is no redis-server on the PATH");
            return None;
        };
        let mut redis = Self {
            folder: tempfile::tempdir().unwrap(),
            program,
            port: free_port(),
            more: more.iter().map(|&text| text.to_owned()).collect(),
            child: None,
        };
        redis.up();
        if redis.child.is_none() {
            skipped("this server was built without TLS");
            return None;
        }
        Some(redis)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it (again) with what its folder holds, and waits until it answers.
    pub fn up(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let folder = self.folder.path();
        let log = std::fs::File::options().append(true).create(true).open(folder.join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder)
            .arg("--unixsocket")
            .arg(folder.join("socket"))
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(20);
        while RedisStore::open(&redis_url(&self.url("ready"))).is_err() {
            if self.more.iter().any(|option| option == "--requirepass")
                && std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            {
                return;
            }
            if self.log().contains("Failed finding TLS support") {
                self.kill();
                return;
            }
            assert!(Instant::now() < until, "redis-server does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where it is, for a fleet of this name.
    pub fn url(&self, fleet: &str) -> String {
        format!("redis://127.0.0.1:{}/0?fleet={fleet}", self.port)
    }

    pub fn socket_url(&self, fleet: &str) -> String {
        format!("unix:{}?fleet={fleet}", self.folder.path().join("socket").display())
    }

    pub fn pid(&self) -> rustix::process::Pid {
        let id = self.child.as_ref().expect("it runs").id();
        rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    /// SIGKILL: no good-bye, no flush.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP: it is there and says nothing.
    pub fn halt(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::STOP).unwrap();
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::CONT).unwrap();
    }

    pub fn store(&self, fleet: &str) -> RedisStore {
        RedisStore::open(&redis_url(&self.url(fleet))).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn redis_url(text: &str) -> RedisUrl {
    match StorePlace::parse(text).unwrap() {
        StorePlace::Redis(url) => url,
        StorePlace::Sqlite(path) => panic!("{} is no Redis", path.display()),
    }
}

/// A fleet's name that nobody else has, on a server that others may use.
pub fn fresh_fleet() -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("test-{}-{nanos}", std::process::id())
}
