//! Recordings of console-subscriber's: lines of JSON, cut, mixed up or made to do harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loopscope::feed::recording::{Recording, Stamps};
use loopscope::trace::Trace;

fuzz_target!(|bytes: &[u8]| {
    let mut trace = Trace::with_budget(1 << 20);
    trace.set_foreign();
    let mut recording = Recording::new(Stamps::from_first()).with_awaits();
    let mut left = bytes;
    while !left.is_empty() {
        match recording.take(left, &(), &mut |event| trace.apply(event)) {
            Ok(rest) => left = rest,
            Err(_) => return,
        }
    }
    recording.settle(u64::MAX, &mut |event| trace.apply(event));
    loopscope_fuzz::ask(&trace);
});
