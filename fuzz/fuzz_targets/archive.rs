//! Archives: any file opens as far as it is valid, or yields an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::archive(bytes));
