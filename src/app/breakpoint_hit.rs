//! Descriptions of breakpoint hits.

use super::time;
use crate::control::{Breakpoint, BreakpointHit};
use crate::trace::Trace;

/// Describes a breakpoint hit, such as `count-1 is about to be polled (break poll count-1)`.
pub fn describe_hit(hit: &BreakpointHit, trace: &Trace) -> String {
    let task = hit.task.and_then(|id| trace.task(id)).map_or_else(|| "a task".into(), |task| task.name().into_owned());
    let length = time::duration(hit.duration_ns);
    let what = match hit.breakpoint {
        Breakpoint::PollStart(_) => format!("{task} is about to be polled"),
        Breakpoint::Wake(_) => format!("{task} was woken"),
        Breakpoint::End(_) => format!("{task} ended"),
        Breakpoint::LongPoll(..) => format!("a poll of {task} took {length}"),
        Breakpoint::LongWait(..) => format!("{task} has waited for {length}"),
        Breakpoint::Finding(_) => format!("new finding {} (n shows it)", hit.finding),
    };
    format!("{what} (break {})", hit.breakpoint)
}
