//! What is missing from a trace, and when.

use crate::trace::{Fidelity, Nanos, Trace};

/// Names what is missing from the trace, so that no finding is certain; `None` if nothing is.
pub(super) fn missing_data(trace: &Trace) -> Option<&'static str> {
    if has_dropped_events(trace) {
        return Some("events were dropped");
    }
    if has_late_events(trace) {
        return Some("the console reports new events late");
    }
    if trace.is_order_doubtful() {
        return Some("the order of some events is doubtful");
    }
    let mut gaps = trace.gaps_since_recording().peekable();
    let is_evicted = gaps.peek().is_some();
    if gaps.any(|gap| gap.is_disconnected) {
        return Some("no data arrived for some of the time");
    }
    is_evicted.then_some("the oldest data was evicted")
}

/// Whether a feed dropped events.
pub(super) fn has_dropped_events(trace: &Trace) -> bool {
    let recording = trace.recording_stats();
    let lost_lines = recording.map_or(0, |stats| stats.lost_lines + stats.skipped_lines + stats.omitted_tasks);
    trace.probe_feed_counts().1 > 0 || trace.console_feed_counts().1 > 0 || lost_lines > 0
}

/// Whether the console, as the only feed, reports new events late.
pub(super) fn has_late_events(trace: &Trace) -> bool {
    trace.is_console_late() && trace.fidelity() == Fidelity::Sampled
}

/// Time between `from` and `to` in which no data arrived, in nanoseconds.
pub(super) fn unobserved_ns(trace: &Trace, from: Nanos, to: Nanos) -> u64 {
    let gaps = trace.gaps().filter(|gap| gap.is_disconnected);
    gaps.fold(0, |sum: u64, gap| sum.saturating_add(gap.to.min(to).saturating_sub(gap.from.max(from))))
}
