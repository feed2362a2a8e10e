//! A bare byte relay in front of a command: what any process between two others costs. The peer
//! that `benches/gateway.rs` measures the gateway against.
//!
//! `relay CMD ARG...`

#![allow(missing_docs)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

fn pump(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return };
        if to.write_all(bytes).is_err() {
            return;
        }
    }
}

fn main() -> Result<ExitCode, std::io::Error> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(to_child), Some(from_child)) = (child.stdin.take(), child.stdout.take()) else {
        return Ok(ExitCode::FAILURE);
    };
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    std::thread::spawn(move || pump(input, to_child));
    pump(from_child, output);
    child.wait()?;
    Ok(ExitCode::SUCCESS)
}
