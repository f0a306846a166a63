//! Archives: whatever a file holds, it opens as far as it goes, or says why not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::archive(bytes));
