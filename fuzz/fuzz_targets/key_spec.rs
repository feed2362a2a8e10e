//! Any text as the spelling of keys: what is read prints as something that reads the same.
#![no_main]

use callgate::tui::key;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(keys) = key::check(text) {
        let printed = keys.to_string();
        assert_eq!(key::check(&printed).as_ref().map(|keys| &keys.0), Ok(&keys.0), "{printed:?}");
    }
});
