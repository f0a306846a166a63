//! Tests of [`AwaitTracker`](super::AwaitTracker).

use std::fmt::Write as _;

use super::super::{RecordingClock, RecordingDecoder};

/// Two tasks are polled at once, one of them enters spans, and a damaged line follows, again and again.
#[test]
fn damaged_lines_leave_nothing_behind() {
    let mut text = "{\"v\":1}\n".to_owned();
    let mut write = |what: &str, id: u64, more: &str| {
        let at = "\"at\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0}";
        writeln!(text, "{{\"{what}\":{{\"id\":{id},{at}{more}}}}}").expect("writing to a string cannot fail");
    };
    for task in [1, 2] {
        write("Spawn", task, ",\"fields\":[]");
    }
    // On one thread the task that was entered later would be exited first.
    for (what, task) in [("Enter", 1), ("Enter", 2), ("Exit", 1), ("Exit", 2)] {
        write(what, task, "");
    }
    for span in (1_000..2_000).step_by(2) {
        let clone = ",\"op\":\"Clone\"";
        for (what, id, more) in [
            ("Enter", 1, ""),
            ("Enter", 2, ""),
            ("Enter", span, ""),
            ("Waker", 1, clone),
            ("Exit", span, ""),
            ("Enter", span + 1, ""),
            ("Exit", 0, "damaged"),
        ] {
            write(what, id, more);
        }
    }
    let mut recording = RecordingDecoder::new(RecordingClock::from_first()).with_awaits();
    let mut left = text.as_bytes();
    while !left.is_empty() {
        left = recording.decode(left, &(), &mut |_| ()).expect("decode a recording");
    }
    assert_eq!(recording.stats().skipped_lines, 500);
    let awaits = recording.replayer.awaits.expect("awaits are enabled");
    assert_eq!(awaits.spans.len(), 1_000);
    assert_eq!((awaits.ambiguous, awaits.evident), (vec![], vec![]));
}
