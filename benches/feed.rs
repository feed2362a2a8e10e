//! The feed: what publishing a record costs the call's thread, with nobody there and with ten
//! clients of which five never read.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use callgate::feed::server::{History, Hub, HubConfig};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, WebSocket};

/// Forgets everything, so that only the hub is measured.
struct Nothing;

impl History for Nothing {
    fn oldest(&self) -> Option<u64> {
        None
    }

    fn read(&self, _: u64, _: u64, _: &mut dyn FnMut(u64, Arc<[u8]>) -> bool) -> io::Result<()> {
        Ok(())
    }
}

fn dial(hub: &Hub) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{}/feed", hub.address()).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", hub.token()).parse().unwrap());
    tungstenite::client(request, TcpStream::connect(hub.address()).unwrap()).unwrap().0
}

fn feed(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let config = HubConfig::new(
        folder.path().to_owned(),
        folder.path().to_owned(),
        "bench".to_owned(),
        "bench".to_owned(),
    );
    let hub = Hub::start_with(config, Arc::new(Nothing)).unwrap();
    let line: Arc<[u8]> = Arc::from(format!(r#"{{"type":"event","data":"{}"}}"#, "x".repeat(600)).as_bytes());
    let mut seq = 0;
    let mut publish = || {
        seq += 1;
        hub.publish(seq, Arc::clone(&line));
    };
    let mut group = c.benchmark_group("feed");
    group.bench_function("publish, nobody there", |b| b.iter(&mut publish));
    let mut clients: Vec<_> = (0..10).map(|_| dial(&hub)).collect();
    while !hub.has_clients() {
        std::thread::yield_now();
    }
    for mut reader in clients.split_off(5) {
        std::thread::spawn(move || while reader.read().is_ok() {});
    }
    group.bench_function("publish, 5 clients read and 5 never do", |b| b.iter(&mut publish));
    group.finish();
    drop(clients);
    hub.close();
}

criterion_group!(benches, feed);
criterion_main!(benches);
