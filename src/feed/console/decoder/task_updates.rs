//! Follows known tasks from update to update: counts, sums, samples and ends.

use console_api::tasks::{Stats, TaskUpdate};

use super::{ConsoleDecoder, ConsoleTaskEntry, PollSource};
use crate::feed::console::task_stats;
use crate::feed::console::wire_clock::ToLoopTime;
use crate::trace::{Event, Nanos, TaskActivity, TaskCounts, TaskId, TaskOutcome, TaskStats};

impl ConsoleDecoder {
    /// Decodes the statistics of known tasks.
    pub(super) fn decode_task_stats(&mut self, update: &TaskUpdate, events: &mut Vec<Event>) {
        let (before, now) = (self.previous_update_at, self.clock.now());
        let mut reported: Vec<(TaskId, u64, &Stats)> = update
            .stats_update
            .iter()
            .filter_map(|(span, stats)| Some((self.task_for_span(*span)?, *span, stats)))
            .collect();
        reported.sort_unstable_by_key(|(task, ..)| *task);
        for (task, span, stats) in reported {
            let Some(entry) = self.tasks.get_mut(span) else { continue };
            let counts_before = entry.counts;
            entry.counts = TaskCounts { awaits: entry.counts.awaits, ..task_stats::counts(stats) };
            events.push(Event::ConsoleCounts { task, counts: entry.counts });
            if self.polls == PollSource::Recording {
                let (clones, drops) = (stats.waker_clones, stats.waker_drops);
                events.push(Event::WakerCounts { task, clones, drops });
                // The recording reports its end as well; the span entry may be evicted.
                if stats.dropped_at.is_some() {
                    self.tasks.close(span);
                }
                continue;
            }
            let spawned_at = entry.spawned_at;
            let ended = stats.dropped_at.map(|dropped| self.clock.loop_time(Some(dropped)).max(spawned_at));
            let at = ended.map_or(now, |ended| ended.min(now)).max(spawned_at);
            // It was not reported for a while, so it kept its state until the previous update.
            if let Some(idle) = entry.measured.filter(|(measured_at, _)| *measured_at < before && before < at) {
                events.push(measured_event(task, before, extrapolate(idle, before)));
            }
            let mut measured = task_stats::measured(stats, entry.kind, at, &self.clock);
            // Statistics are read a moment after the update's timestamp. No total exceeds the task's lifetime.
            measured.busy_ns = measured.busy_ns.min(at - spawned_at);
            measured.scheduled_ns = measured.scheduled_ns.min(at - spawned_at - measured.busy_ns);
            let is_aborted = stats.dropped_at.is_some() && was_dropped_without_poll(entry, counts_before, stats);
            let is_woken = entry.counts.wakes != counts_before.wakes;
            let was_waiting = |last: TaskStats| last.activity == TaskActivity::Waiting;
            if let Some((_, last)) = entry.measured.filter(|(_, last)| is_aborted && !is_woken && was_waiting(*last)) {
                // The console counts the drop as a poll, and the wait before it as scheduled.
                measured.scheduled_ns = last.scheduled_ns;
            }
            entry.measured = Some((at, measured));
            events.push(measured_event(task, at, measured));
            let (polled, woken) = task_stats::last_poll_and_wake(stats, &self.clock);
            let polled = polled.map(|(start, end)| (start.max(spawned_at), end.map(|end| end.max(spawned_at))));
            events.push(Event::Sample { task, last_poll: polled, last_wake: woken });
            match ended {
                Some(ended) => {
                    let outcome = if is_aborted { TaskOutcome::Cancelled } else { TaskOutcome::Completed };
                    self.end_task(span, ended, outcome, events);
                }
                None if measured.activity == TaskActivity::Running => drop(self.running.insert(span)),
                None => drop(self.running.remove(&span)),
            }
        }
    }

    /// Extends running polls up to now: console-subscriber does not report a task again until its poll ends.
    pub(super) fn extend_running_polls(&mut self, events: &mut Vec<Event>) {
        let now = self.clock.now();
        let mut running: Vec<(TaskId, u64)> =
            self.running.iter().filter_map(|span| Some((self.task_for_span(*span)?, *span))).collect();
        running.sort_unstable();
        for (task, span) in running {
            let Some(ConsoleTaskEntry { measured: Some(last), .. }) = self.tasks.get_mut(span) else { continue };
            if last.0 < now {
                *last = (now, extrapolate(*last, now));
                events.push(measured_event(task, now, last.1));
            }
        }
    }

    /// Ends the task that `span` stands for.
    pub(super) fn end_task(&mut self, span: u64, at: Nanos, outcome: TaskOutcome, events: &mut Vec<Event>) {
        self.running.remove(&span);
        let Some(task) = self.task_for_span(span).filter(|_| self.tasks.close(span)) else { return };
        if self.polls == PollSource::Console {
            events.push(Event::TaskEnd { task, at, outcome });
        }
    }
}

/// Whether a task that is dropped now was not polled since the update before, or never: it was aborted, or its runtime
/// was shut down. `before` are its counts in the update before. If it was polled since, the wire does not show whether
/// it returned or was aborted then.
fn was_dropped_without_poll(entry: &ConsoleTaskEntry, before: TaskCounts, stats: &Stats) -> bool {
    let was_suspended = entry.measured.is_some_and(|(_, last)| last.activity != TaskActivity::Running);
    // Counts that were read during the last poll do not include the drop yet.
    let is_drop_counted = task_stats::doing(stats) != TaskActivity::Running;
    entry.counts.polls == 0 || (was_suspended && is_drop_counted && before.polls == entry.counts.polls)
}

fn measured_event(task: TaskId, at: Nanos, measured: TaskStats) -> Event {
    Event::TaskStats { task, at, stats: Box::new(measured) }
}

/// Extrapolates a measurement to `at`, with the task in the same state.
fn extrapolate((measured_at, measured): (Nanos, TaskStats), at: Nanos) -> TaskStats {
    let since = at.saturating_sub(measured_at);
    match measured.activity {
        TaskActivity::Running => TaskStats { busy_ns: measured.busy_ns.saturating_add(since), ..measured },
        TaskActivity::Scheduled => TaskStats { scheduled_ns: measured.scheduled_ns.saturating_add(since), ..measured },
        TaskActivity::Waiting => measured,
    }
}
