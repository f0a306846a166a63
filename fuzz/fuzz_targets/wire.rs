//! Messages of another program's console, each preceded by its length as a varint.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loopscope_fuzz::wire(bytes));
