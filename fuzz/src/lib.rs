//! Everything that can be asked of a trace, so that nothing in it can wait to do harm.

use loopscope::control::{ClockKind, FeedChoice, Outcome, SourceKind};
use loopscope::insight::Thresholds;
use loopscope::report::{Input, Report, Source, write_text};
use loopscope::trace::{Axis, Trace};

/// Asks it.
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
    for task in trace.tasks().iter().take(16) {
        for end in [trace.now(), u64::MAX] {
            trace.window(task.id, Axis::Time, end / 3, end, 40);
            trace.window(task.id, Axis::Steps, 0, end.min(1 << 33), 40);
            trace.state_at(task.id, end);
            trace.blocking_call(task.id, end / 2, end);
        }
        assert_eq!(task.wakes().len(), task.wakes().count());
        assert!(task.wakes_until(trace.now()) <= task.wakes().len());
    }
    trace.ready_max(0, u64::MAX);
}
