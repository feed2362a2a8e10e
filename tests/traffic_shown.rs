//! Real agents' calls through a real gateway, watched in the real program: every one is shown and
//! counted, as it comes.

#![cfg(all(unix, feature = "tui"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod gateway_support;

use std::fs;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};

use gateway_support::{Home, LONG, call, callgate, denied, shared};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;

const POLICY: &str = r#"{"version":"1","default":"allow","hide":["transfer_to_human_agents"],"tools":{
  "get_user_details":{"limits":[{"counter":"users","window":86400000,"max":150,"scope":"grant"}]},
  "cancel_reservation":{"action":"deny"},
  "calculate":{"deny_if":[{"conditions":[{"path":"args.expression","op":"regex","value":"[*/]"}]}]}}}"#;

struct Screen {
    parser: vt100::Parser,
    chunks: Receiver<Vec<u8>>,
}

impl Screen {
    fn wait(&mut self, wanted: &str) {
        while !self.parser.screen().contents().contains(wanted) {
            let chunk = self
                .chunks
                .recv_timeout(LONG)
                .unwrap_or_else(|_| panic!("`{wanted}` never came:\n{}", self.parser.screen().contents()));
            self.parser.process(&chunk);
        }
    }
}

/// A whole number as screens write it.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    match digits.len() {
        4.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
        _ => digits,
    }
}

#[test]
fn every_recorded_call_is_shown_and_counted_as_it_comes() {
    let Some(shared) = shared() else { return };
    let home = Home::new(POLICY);
    let mut gateway = home.gateway(&[], &[]);

    let size = PtySize { rows: 40, cols: 140, pixel_width: 0, pixel_height: 0 };
    let pty = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(callgate());
    command.arg(home.policy());
    command.env("CALLGATE_HOME", home.path("home"));
    command.env("TERM", "xterm-256color");
    let mut program = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut output = pty.master.try_clone_reader().unwrap();
    let mut keys = pty.master.take_writer().unwrap();
    let (send, chunks) = channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(count) = output.read(&mut buffer) {
            if count == 0 || send.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let parser = vt100::Parser::new(40.try_into().unwrap(), 140.try_into().unwrap(), 0);
    let mut screen = Screen { parser, chunks };
    screen.wait("1 gateway");
    keys.write_all(b"2").unwrap();
    screen.wait("FOLLOWING");

    let traffic = fs::read_to_string(shared.join("traffic/airline-gpt4o.jsonl")).unwrap();
    let mut denials = 0;
    let mut calls = 0;
    for line in traffic.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let params = &row["request"]["params"];
        calls += 1;
        let request = call(calls as u64, params["name"].as_str().unwrap(), &params["arguments"].to_string());
        denials += usize::from(denied(&gateway.ask(&request)));
        if calls == 100 {
            // Shown while they come, not only at the end.
            screen.wait("100 calls");
        }
    }
    assert_eq!(calls, 1_164);
    assert!(denials > 50, "{denials}");
    screen.wait(&format!("{} calls  {} denied", grouped(calls), grouped(denials)));

    keys.write_all(b"fdecision:deny\r").unwrap();
    screen.wait(&format!("{} shown", grouped(denials)));
    keys.write_all(b"q").unwrap();
    assert!(program.wait().unwrap().success());
    let (_, code) = gateway.finish();
    assert_eq!(code, 0);
}
