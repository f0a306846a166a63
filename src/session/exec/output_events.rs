//! Turns the app's output into events of the trace.

use super::output::{AppOutput, TimedOutput};
use super::time_queue::TimeOrderedQueue;
use crate::feed::recording::RecordingClock;
use crate::trace::Event;

/// Queues the output that has arrived as events, while the queue has room. `now` is in nanoseconds since 1970. Returns
/// whether there was any.
pub(super) fn queue_output(
    output: &mut AppOutput,
    clock: &mut RecordingClock,
    queue: &mut TimeOrderedQueue,
    now: u64,
) -> bool {
    let mut changed = false;
    while queue.has_room() {
        let Some(TimedOutput { arrived_at, is_error, is_pending, ends_pending, text }) = output.take() else { break };
        let at = clock.loop_time(arrived_at);
        if ends_pending {
            queue.push(at, Event::OutputPending { at, is_error, text: "".into() });
        }
        let event = match is_pending {
            true => Event::OutputPending { at, is_error, text },
            false => Event::Output { task: None, at, text },
        };
        queue.push(at, event);
        changed = true;
    }
    let dropped = output.take_dropped();
    if dropped > 0 {
        let at = clock.loop_time(now);
        let text = format!("({dropped} lines of output dropped: printed faster than they could be read)").into();
        queue.push(at, Event::Output { task: None, at, text });
        changed = true;
    }
    changed
}
