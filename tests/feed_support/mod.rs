//! What the tests of the feed share: a history in memory, records, and a client by hand.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callgate::feed::client::FeedEvent;
use callgate::feed::server::{History, Hub, HubConfig};
use callgate::record::{Event, EventKind, Record};
use callgate::time::Timestamp;
use tokio::sync::mpsc::Receiver;

/// Whatever takes longer than this is broken; no test measures time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The journal's part, in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<u64, Arc<[u8]>>>);

impl Memory {
    pub(crate) fn forget(&self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.0.lock().unwrap().remove(&number);
        }
    }
}

impl History for Memory {
    fn oldest(&self) -> Option<u64> {
        self.0.lock().unwrap().keys().next().copied()
    }

    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(u64, Arc<[u8]>) -> bool) -> io::Result<()> {
        let lines: Vec<(u64, Arc<[u8]>)> =
            self.0.lock().unwrap().range(from..=to).map(|(seq, line)| (*seq, Arc::clone(line))).collect();
        for (seq, line) in lines {
            if !each(seq, line) {
                break;
            }
        }
        Ok(())
    }
}

/// A record's line of a gateway run.
pub(crate) fn line(gateway: &str, seq: u64) -> Arc<[u8]> {
    let record = Record::Event(Box::new(Event {
        seq,
        ts: Timestamp(1_800_000_000_000_000),
        gateway: gateway.to_owned(),
        kind: EventKind::Store,
        by: None,
        reason: None,
        data: serde_json::json!({ "n": seq }),
    }));
    record.to_line().unwrap().into()
}

/// A gateway's half: hub, history, and the numbers in step.
pub(crate) struct Gateway {
    pub(crate) hub: Hub,
    pub(crate) history: Arc<Memory>,
    pub(crate) id: String,
    next: std::sync::atomic::AtomicU64,
}

impl Gateway {
    pub(crate) fn start(run_dir: &Path, id: &str) -> Self {
        Self::with(run_dir, id, |config| config)
    }

    pub(crate) fn with(run_dir: &Path, id: &str, change: impl FnOnce(HubConfig) -> HubConfig) -> Self {
        let history = Arc::new(Memory::default());
        let config = change(HubConfig::new(
            run_dir.to_owned(),
            run_dir.join("journal"),
            id.to_owned(),
            "docker".to_owned(),
        ));
        let hub = Hub::start_with(config, history.clone()).unwrap();
        Self { hub, history, id: id.to_owned(), next: 1.into() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/feed", self.hub.address())
    }

    /// Journals and publishes so many records, as a gateway does.
    pub(crate) fn publish(&self, count: u64) {
        for _ in 0..count {
            let seq = self.next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let line = line(&self.id, seq);
            self.history.0.lock().unwrap().insert(seq, Arc::clone(&line));
            self.hub.publish(seq, line);
        }
    }
}

/// The next event, or a failed test.
pub(crate) fn next(events: &mut Receiver<FeedEvent>) -> FeedEvent {
    maybe_next(events).expect("an event in time")
}

pub(crate) fn maybe_next(events: &mut Receiver<FeedEvent>) -> Option<FeedEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await.ok().flatten() })
}

/// Reads events until one is what is looked for.
pub(crate) fn until<T>(events: &mut Receiver<FeedEvent>, mut look: impl FnMut(FeedEvent) -> Option<T>) -> T {
    loop {
        if let Some(found) = look(next(events)) {
            return found;
        }
    }
}

/// Reads records (checking that they come in order, without repetition, as they were) and gaps
/// until number `to` is reached; the numbers that came, and the gaps.
pub(crate) fn records_to(
    events: &mut Receiver<FeedEvent>,
    gateway: &str,
    last: &mut u64,
    to: u64,
) -> (u64, Vec<(u64, u64)>) {
    let (mut count, mut gaps) = (0, Vec::new());
    while *last < to {
        match next(events) {
            FeedEvent::Records { lines, .. } => {
                for got in lines {
                    assert_eq!(got, line(gateway, *last + 1), "in order, byte for byte");
                    *last += 1;
                    count += 1;
                }
            }
            FeedEvent::Gap { from, to, .. } => {
                assert_eq!(from, *last + 1);
                *last = to;
                gaps.push((from, to));
            }
            FeedEvent::Trouble { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
    (count, gaps)
}

/// Passes bytes both ways, and drops every connection when told.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// The connections up to this number are open and pass nothing on.
    silent: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

impl Wire {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&open);
        let (silent, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (quiet, count) = (Arc::clone(&silent), Arc::clone(&made));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else { continue };
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far.try_clone().unwrap(), near.try_clone().unwrap()),
                ] {
                    let quiet = Arc::clone(&quiet);
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if quiet.load(Ordering::SeqCst) >= number {
                                continue;
                            }
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
                streams.lock().unwrap().extend([near, far]);
            }
        });
        Self { address, open, silent, made }
    }

    /// From here on the connections that there are stay open and pass nothing on: as after a sleep, when
    /// a router in between has forgotten them.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A certificate for 127.0.0.1 with an authority of its own, made with openssl.
pub(crate) fn certificates(folder: &Path) -> bool {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca \
        -addext basicConstraints=critical,CA:TRUE && \
        openssl req -newkey rsa:2048 -nodes -keyout key.pem -out req.pem -subj /CN=localhost && \
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' > ext && \
        openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem";
    let made = std::process::Command::new("sh").args(["-c", script]).current_dir(folder).output();
    made.is_ok_and(|output| output.status.success())
}

/// TLS with what [`certificates`] made.
pub(crate) fn tls(folder: &Path) -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
