//! Any bytes as a line of a journal: the quick way and serde agree.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| callgate::record::line::check(line));
