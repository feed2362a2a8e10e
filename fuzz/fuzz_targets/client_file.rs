//! Any text as an MCP client's configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| callgate::catalog::clients::edit::total::check_total(text));
