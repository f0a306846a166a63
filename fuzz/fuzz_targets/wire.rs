//! Updates of a console that is not ours, each with its length before it.
#![no_main]

use console_api::instrument::Update;
use libfuzzer_sys::fuzz_target;
use loopscope::feed::console::{ForeignDoor, Polls};
use loopscope::trace::Trace;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let mut trace = Trace::with_budget(1 << 20);
    trace.set_foreign();
    trace.set_sampled();
    let mut door = ForeignDoor::new(Polls::Told);
    let mut left = bytes;
    while let Ok(update) = Update::decode_length_delimited(&mut left) {
        door.events(update, None).into_iter().for_each(|event| trace.apply(event));
        if left.is_empty() {
            break;
        }
    }
    loopscope_fuzz::ask(&trace);
});
