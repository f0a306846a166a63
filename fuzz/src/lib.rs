//! What untrusted bytes are put to: the body of each fuzz target, which `tests/suite/seeds` runs too. Bytes of any kind are
//! taken in, and then everything is asked of the trace that came of them, so that nothing in it can wait to do harm.

use loopscope::control::{ClockKind, FeedChoice, Outcome, SourceKind};
use loopscope::feed::archive::read;
use loopscope::feed::console::{ForeignDoor, Polls};
use loopscope::feed::recording::{Recording, Stamps};
use loopscope::feed::wire::Message;
use loopscope::insight::Thresholds;
use loopscope::report::{Input, Report, Source, write_text};
use loopscope::trace::{Axis, TaskId, Trace};

/// Bytes before the first chunk of an archive, and before each chunk's payload.
const MAGIC_BYTES: usize = 12;
const CHUNK_HEAD_BYTES: usize = 9;

/// Archives: whatever a file holds, it opens as far as it goes, or says why not.
pub fn archive(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    mend(&mut bytes);
    for budget_bytes in [usize::MAX, 100_000] {
        if let Ok(opened) = read(&bytes[..], budget_bytes) {
            ask(&opened.trace);
        }
    }
}

/// Recordings of console-subscriber's: lines of JSON, cut, mixed up or made to do harm.
pub fn recording(bytes: &[u8]) {
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
    let _ = recording.finish(&mut |event| trace.apply(event));
    ask(&trace);
}

/// Messages of a console that is not ours, each with its length before it, as a varint.
pub fn wire(bytes: &[u8]) {
    let mut trace = Trace::with_budget(1 << 20);
    trace.set_foreign();
    trace.set_sampled();
    let mut door = ForeignDoor::new(Polls::Told);
    let mut left = bytes;
    while let Some(message) = delimited(&mut left) {
        let Ok(message) = Message::read(message.to_vec().into()) else { break };
        door.hear(message, None, |told| told.into_iter().for_each(|event| trace.apply(event)));
    }
    ask(&trace);
}

/// Takes what comes next, with its length before it.
fn delimited<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (message, rest) = left.split_at_checked(length)?;
            *left = rest;
            return Some(message);
        }
    }
    None
}

/// Makes every checksum of an archive fit again, or nothing would ever get past the first.
pub fn mend(bytes: &mut [u8]) {
    let mut at = MAGIC_BYTES;
    while let Some(head) = bytes.get(at..at + CHUNK_HEAD_BYTES) {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some(payload) = bytes.get(at + CHUNK_HEAD_BYTES..at + CHUNK_HEAD_BYTES + length) else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..1]);
        hasher.update(payload);
        let sum = hasher.finalize().to_le_bytes();
        bytes[at + 5..at + CHUNK_HEAD_BYTES].copy_from_slice(&sum);
        at += CHUNK_HEAD_BYTES + length;
    }
}

/// Everything that can be asked of a trace.
pub fn ask(trace: &Trace) {
    let source = Source {
        kind: SourceKind::Archive,
        name: "fuzzed".to_owned(),
        params: Vec::new(),
        clock: ClockKind::Real,
        seed: 0,
    };
    let (outcome, feed, thresholds) = (Outcome::Detached, FeedChoice::Both, Thresholds::default());
    let input = Input { source: &source, trace, outcome: &outcome, feed, thresholds: &thresholds, full: true };
    Report::new(&input).write(std::io::sink()).expect("nothing refuses it");
    write_text(&input, &mut std::io::sink()).expect("nothing refuses it");
    let nobody = TaskId::from_index(70_000);
    trace.window(nobody, Axis::Time, 0, trace.now(), 40);
    trace.state_at(nobody, trace.now());
    for task in trace.tasks().iter().take(16) {
        for end in [trace.now(), u64::MAX, trace.now() / 2] {
            trace.window(task.id, Axis::Time, end / 3, end, 40);
            trace.window(task.id, Axis::Steps, 0, end.min(1 << 33), 40);
            trace.state_at(task.id, end);
            trace.blocking_call(task.id, end / 2, end);
        }
        assert_eq!(task.wakes().len(), task.wakes().count());
        assert!(task.wakes_until(trace.now()) <= task.wakes().len());
        let mut awaits = task.awaits().filter_map(|id| trace.awaits().get(id));
        assert!(awaits.all(|found| found.end().is_none_or(|end| end >= found.start)));
    }
    trace.ready_max(0, u64::MAX);
    trace.loop_window(0, trace.now(), 40, trace.now());
    trace.loop_window(trace.now() / 2, u64::MAX, 40, u64::MAX);
}
