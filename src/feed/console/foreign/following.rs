//! Following tasks from update to update: counts, sums, samples and ends.

use console_api::tasks::{Stats, TaskUpdate};

use super::{ForeignDoor, Known, Polls};
use crate::feed::console::facts;
use crate::feed::console::stamps::Times;
use crate::trace::{Counts, Doing, Ending, Event, Measured, Nanos, TaskId};

impl ForeignDoor {
    /// Takes in what is told of tasks.
    pub(super) fn follow(&mut self, update: &TaskUpdate, events: &mut Vec<Event>) {
        let (before, now) = (self.before, self.stamps.now());
        let mut told: Vec<(TaskId, u64, &Stats)> =
            update.stats_update.iter().filter_map(|(span, stats)| Some((self.task(*span)?, *span, stats))).collect();
        told.sort_unstable_by_key(|(task, ..)| *task);
        for (task, span, stats) in told {
            let Some(known) = self.tasks.get_mut(span) else { continue };
            known.counts = Counts { awaits: known.counts.awaits, ..facts::counts(stats) };
            events.push(Event::Counted { task, counts: known.counts });
            if self.polls == Polls::Elsewhere {
                // Its end is told elsewhere too; what its span means need not be kept for ever.
                if stats.dropped_at.is_some() {
                    self.tasks.end(span);
                }
                continue;
            }
            let spawned_at = known.spawned_at;
            let ended = stats.dropped_at.map(|dropped| self.stamps.at(Some(dropped)).max(spawned_at));
            let at = ended.map_or(now, |ended| ended.min(now)).max(spawned_at);
            // Nothing was told of it for a while, so until the update before this it did what it had been doing.
            if let Some(idle) = known.measured.filter(|(told, _)| *told < before && before < at) {
                events.push(measured_event(task, before, grown(idle, before)));
            }
            let mut measured = facts::measured(stats, known.kind, at, &self.stamps);
            // Read a moment later than the update says, and whatever else may be wrong: no life is longer than it is.
            measured.busy_ns = measured.busy_ns.min(at - spawned_at);
            measured.scheduled_ns = measured.scheduled_ns.min(at - spawned_at - measured.busy_ns);
            known.measured = Some((at, measured));
            events.push(measured_event(task, at, measured));
            let (polled, woken) = facts::last(stats, &self.stamps);
            let polled = polled.map(|(start, end)| (start.max(spawned_at), end.map(|end| end.max(spawned_at))));
            events.push(Event::Sampled { task, polled, woken });
            match ended {
                Some(ended) => self.end(span, ended, events),
                None if measured.doing == Doing::Running => drop(self.running.insert(span)),
                None => drop(self.running.remove(&span)),
            }
        }
    }

    /// A poll that goes on is no news to who tells: nothing is said of it until it ends.
    pub(super) fn follow_running(&mut self, events: &mut Vec<Event>) {
        let now = self.stamps.now();
        let mut running: Vec<(TaskId, u64)> =
            self.running.iter().filter_map(|span| Some((self.task(*span)?, *span))).collect();
        running.sort_unstable();
        for (task, span) in running {
            let Some(Known { measured: Some(last), .. }) = self.tasks.get_mut(span) else { continue };
            if last.0 < now {
                *last = (now, grown(*last, now));
                events.push(measured_event(task, now, last.1));
            }
        }
    }

    /// The task that `span` means is gone.
    pub(super) fn end(&mut self, span: u64, at: Nanos, events: &mut Vec<Event>) {
        self.running.remove(&span);
        let Some(task) = self.task(span).filter(|_| self.tasks.end(span)) else { return };
        if self.polls == Polls::Told {
            // The wire does not tell a task that finished from one that was cancelled.
            events.push(Event::End { task, at, outcome: Ending::Done });
        }
    }
}

fn measured_event(task: TaskId, at: Nanos, measured: Measured) -> Event {
    Event::Measured { task, at, measured: Box::new(measured) }
}

/// What was measured, had it gone on like that until `at`.
fn grown((told, measured): (Nanos, Measured), at: Nanos) -> Measured {
    let since = at.saturating_sub(told);
    match measured.doing {
        Doing::Running => Measured { busy_ns: measured.busy_ns.saturating_add(since), ..measured },
        Doing::Scheduled => Measured { scheduled_ns: measured.scheduled_ns.saturating_add(since), ..measured },
        Doing::Waiting => measured,
    }
}
