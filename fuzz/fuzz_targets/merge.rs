//! Three texts, parted by the byte 0, as a document and its two later forms.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: &str| {
    let mut texts = texts.splitn(3, '\0');
    let (Some(base), Some(mine), Some(theirs)) = (texts.next(), texts.next(), texts.next()) else { return };
    callgate::policy::edit::merge::total::check_total(base, mine, theirs);
});
