//! A lost wake: a task waits for a signal that was given before anybody waited.
//!
//! *Sees* a wait that came to nothing (given up, cancelled, or open to this day) for something whose signal had been
//! given earlier, had reached nobody, and was not kept for latecomers. It does not guess at wakes that it was not told
//! of: a task that merely waits long may have good reasons.
//! *Bad*, because the waiter sleeps for ever, and only sometimes: it depends on who comes first.
//! *To do*: make the future that waits before looking at the condition, use a signal that is kept (a permit, a channel,
//! an event that stays set), and look at the condition again after each wake.

use super::super::case::is_unmet;
use super::super::units::human_ns;
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::{Nanos, ResourceId};

pub const LINT: Lint = Lint {
    name: "lost-wake",
    severity: Severity::Error,
    advice: "begin to wait before looking at the condition, or use a signal that is kept for whoever comes later",
    look: || last(look),
};

fn look(case: &Case) -> Vec<Sighting> {
    let mut seen = Vec::new();
    let mut signals: Vec<(ResourceId, Nanos)> =
        case.trace.resources().unheard().iter().map(|signal| (signal.resource, signal.at)).collect();
    signals.sort_unstable();
    let mut resources: Vec<ResourceId> = signals.iter().map(|(resource, _)| *resource).collect();
    resources.dedup();
    for resource in resources {
        for wait in case.known.awaited.get(&resource).into_iter().flatten().filter(|wait| is_unmet(wait)) {
            // The latest signal that was given before this wait began.
            let place = signals.partition_point(|signal| *signal <= (resource, wait.start));
            let Some((_, given)) = place.checked_sub(1).map(|last| signals[last]).filter(|(id, _)| *id == resource)
            else {
                continue;
            };
            if case.length_ns(wait) <= case.limits.lost_wake_ns {
                continue;
            }
            let name = case.resource_name(resource);
            let fate = if wait.end().is_some() { "was given up" } else { "still waits" };
            seen.push(Sighting {
                task: Some(wait.task),
                at_ns: wait.start,
                seen: format!("{} waited for {name} after its signal had been given to nobody", case.name(wait.task)),
                evidence: format!(
                    "signalled at {}, waited for from {} on for {} and {fate}: {}",
                    human_ns(given),
                    human_ns(wait.start),
                    human_ns(case.length_ns(wait)),
                    case.place(wait),
                ),
            });
        }
    }
    seen
}
