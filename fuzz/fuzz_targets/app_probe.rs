//! Streams of programs with the probe.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::app_probe(bytes));
