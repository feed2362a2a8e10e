//! Any bytes as a stream of events, in parts of any sizes, with any bound on what is held.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], [u8; 3], u8)| {
    let (stream, sizes, max) = input;
    let sizes = sizes.map(|size| usize::from(size) + 1);
    callgate::gateway::http::sse::check(stream, &sizes, usize::from(max));
});
