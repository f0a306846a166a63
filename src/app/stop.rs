//! Why a loop stopped by itself, in a sentence.

use super::time;
use crate::control::{Breakpoint, Hit};
use crate::trace::Trace;

/// `count-1 is about to be polled (break poll count-1)`.
pub fn told(hit: &Hit, trace: &Trace) -> String {
    let task = hit.task.and_then(|id| trace.task(id)).map_or_else(|| "a task".into(), |task| task.name().into_owned());
    let length = time::duration(hit.length_ns);
    let what = match hit.breakpoint {
        Breakpoint::Polled(_) => format!("{task} is about to be polled"),
        Breakpoint::Woken(_) => format!("{task} was woken"),
        Breakpoint::Ended(_) => format!("{task} ended"),
        Breakpoint::PollOver(..) => format!("a poll of {task} took {length}"),
        Breakpoint::WaitOver(..) => format!("{task} has waited for {length}"),
        Breakpoint::Finding(_) => format!("{} was found, see n", hit.finding),
    };
    format!("{what} (break {})", hit.breakpoint)
}
