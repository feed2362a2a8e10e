//! Any bytes as a client's line, a server's line, and a tool list.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| callgate::mcp::check::check(bytes));
