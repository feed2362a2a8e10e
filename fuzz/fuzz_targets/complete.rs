//! Any place of any text as one where something is written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &str)| {
    let (cursor, text) = input;
    callgate::policy::complete::total::check_total(text, usize::from(cursor));
});
