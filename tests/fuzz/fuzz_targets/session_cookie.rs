#![no_main]

#[path = "../../../control/model/tests/entries/mod.rs"]
#[allow(dead_code, reason = "each target calls one entry")]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::cookie::sealed(data));
