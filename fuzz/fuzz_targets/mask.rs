//! Any text as a call's arguments that are recorded.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| callgate::record::mask::total::check_total(text));
