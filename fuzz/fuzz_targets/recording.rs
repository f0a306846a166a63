//! console-subscriber recordings: JSON lines, truncated, shuffled or malicious.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::recording(bytes));
