//! Updates of a console that is not ours, each with its length before it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::wire(bytes));
