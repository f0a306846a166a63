//! Recordings of console-subscriber's: lines of JSON, cut, mixed up or made to do harm.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::recording(bytes));
