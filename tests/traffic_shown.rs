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
mod pty_support;

use std::fs;

use gateway_support::{Home, LONG, call, denied, shared};
use pty_support::Program;
use serde_json::Value;

const POLICY: &str = r#"{"version":"1","default":"allow","hide":["transfer_to_human_agents"],"tools":{
  "get_user_details":{"limits":[{"counter":"users","window":86400000,"max":150,"scope":"grant"}]},
  "cancel_reservation":{"action":"deny"},
  "calculate":{"deny_if":[{"conditions":[{"path":"args.expression","op":"regex","value":"[*/]"}]}]}}}"#;

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

    let program = Program::new(&home.path("home")).arg(home.policy());
    let mut screen = program.size(140, 40).patience(LONG).start();
    screen.wait("1 gateway");
    screen.type_keys("2");
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

    screen.type_keys("fdecision:deny\r");
    screen.wait(&format!("{} shown", grouped(denials)));
    screen.type_keys("q");
    assert_eq!(screen.end(), 0);
    let (_, code) = gateway.finish();
    assert_eq!(code, 0);
}
