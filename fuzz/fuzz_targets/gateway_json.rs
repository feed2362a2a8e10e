//! Any bytes as a gateway.json.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| callgate::gateway::config::total::check_total(text));
