//! A bare TCP forwarder: what any process between an HTTP client and its server costs. The peer of
//! `benches/http.rs`, and the control of `tests/conformance.rs`: what differs through it differs
//! by the network, not by a gateway.
//!
//! `tcp-relay LISTEN TO`: two addresses. Prints the first with the port that it got.

#![allow(missing_docs, clippy::print_stdout)]

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

/// Sixteen KiB each way: a page of headers and a small body in one piece, and thousands of
/// connections in a few megabytes.
const PIECE: usize = 16 * 1024;

// One thread: no call waits for another to wake.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut client, _) = listener.accept().await?;
        let to = to.clone();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(&to).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            copy_bidirectional_with_sizes(&mut client, &mut server, PIECE, PIECE).await
        });
    }
}
