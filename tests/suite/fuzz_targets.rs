//! Bodies of the fuzz targets, shared by `fuzz/` and by the bounded run in `fuzz_seeds`.
//!
//! Each target decodes arbitrary bytes and then queries everything in the resulting trace, so that no part of it can fail
//! later.

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, SourceKind};
use loopscope::feed::app_probe::AppProbeDecoder;
use loopscope::feed::archive::read_archive;
use loopscope::feed::recording::{RecordingClock, RecordingDecoder};
use loopscope::feed::wire::ConsoleMessage;
use loopscope::insight::{Thresholds, run_lints};
use loopscope::internals::feed::{ConsoleDecoder, PollSource};
use loopscope::report::{JsonReport, ReportInput, RunSource, write_text};
use loopscope::trace::{Axis, TaskId, Trace};

/// Bytes before the first chunk of an archive, and before the payload of each chunk.
const MAGIC_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 9;

/// Archives: any file opens as far as it is valid, or yields an error.
pub fn archive(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    repair_checksums(&mut bytes);
    for budget_bytes in [usize::MAX, 100_000] {
        if let Ok(opened) = read_archive(&bytes[..], budget_bytes) {
            query_everything(&opened.trace);
        }
    }
}

/// console-subscriber recordings: JSON lines, truncated, shuffled or malicious.
pub fn recording(bytes: &[u8]) {
    let mut trace = Trace::with_budget(1 << 20);
    trace.set_external();
    let mut recording = RecordingDecoder::new(RecordingClock::from_first()).with_awaits();
    let mut left = bytes;
    while !left.is_empty() {
        match recording.decode(left, &(), &mut |event| trace.apply(event)) {
            Ok(rest) => left = rest,
            Err(_) => return,
        }
    }
    recording.flush_idle(u64::MAX, &mut |event| trace.apply(event));
    let _ = recording.finish(&mut |event| trace.apply(event));
    query_everything(&trace);
}

/// Messages of another program's console, each preceded by its length as a varint.
pub fn wire(bytes: &[u8]) {
    let mut trace = Trace::with_budget(1 << 20);
    trace.set_external();
    trace.set_sampled();
    let mut decoder = ConsoleDecoder::new(PollSource::Console);
    let mut left = bytes;
    while let Some(message) = delimited(&mut left) {
        let Ok(message) = ConsoleMessage::parse(message.to_vec().into()) else { break };
        decoder.decode(message, None, |events| events.into_iter().for_each(|event| trace.apply(event)));
    }
    query_everything(&trace);
}

/// Streams of programs with the probe, in pieces of two sizes.
pub fn app_probe(bytes: &[u8]) {
    for size in [bytes.len().max(1), 7] {
        let mut trace = Trace::with_budget(1 << 20);
        trace.set_external();
        let mut decoder = AppProbeDecoder::of_connection();
        let mut apply = |decoder: &mut AppProbeDecoder| {
            let mut events = Vec::new();
            while decoder.replay(16, &mut events) {}
            decoder.advance(&mut events);
            events.into_iter().for_each(|event| trace.apply(event));
        };
        for piece in bytes.chunks(size) {
            if decoder.push(piece).is_err() {
                break;
            }
            apply(&mut decoder);
        }
        decoder.finish();
        apply(&mut decoder);
        let _ = (decoder.caveats(), decoder.take_reply(), decoder.is_truncated());
        query_everything(&trace);
    }
}

/// Takes the next message, which is preceded by its length.
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

/// Repairs every checksum of an archive, because otherwise reading ends at the first chunk.
pub fn repair_checksums(bytes: &mut [u8]) {
    let mut at = MAGIC_BYTES;
    while let Some(head) = bytes.get(at..at + CHUNK_HEADER_BYTES) {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some(payload) = bytes.get(at + CHUNK_HEADER_BYTES..at + CHUNK_HEADER_BYTES + length) else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..1]);
        hasher.update(payload);
        let sum = hasher.finalize().to_le_bytes();
        bytes[at + 5..at + CHUNK_HEADER_BYTES].copy_from_slice(&sum);
        at += CHUNK_HEADER_BYTES + length;
    }
}

/// Queries everything in a trace.
pub fn query_everything(trace: &Trace) {
    let source = RunSource {
        kind: SourceKind::Archive,
        name: "fuzzed".to_owned(),
        params: Vec::new(),
        clock: ClockKind::Real,
        seed: 0,
    };
    let (outcome, feed, thresholds) = (RunOutcome::Detached, FeedChoice::Both, Thresholds::default());
    let input = ReportInput {
        source: &source,
        trace,
        outcome: &outcome,
        feed,
        findings: &run_lints(trace, &thresholds),
        full: true,
    };
    JsonReport::new(&input).write(std::io::sink()).expect("a sink accepts everything");
    write_text(&input, &mut std::io::sink()).expect("a sink accepts everything");
    let unknown = TaskId::from_index(70_000);
    trace.window(unknown, Axis::Time, 0, trace.now(), 40);
    trace.state_at(unknown, trace.now());
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
    for worker in trace.workers().iter().take(16) {
        for end in [trace.now(), u64::MAX, trace.now() / 2] {
            trace.worker_window(worker.id, end / 3, end, 40, trace.now());
            worker.totals_at(end);
            worker.activity_at(end);
            trace.queue_depth_at(Some(worker.id), end);
        }
    }
    trace.max_ready(0, u64::MAX);
    trace.loop_window(0, trace.now(), 40, trace.now());
    trace.loop_window(trace.now() / 2, u64::MAX, 40, u64::MAX);
}
