//! Any text as policy tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| callgate::replay::cases::total::check_total(text));
