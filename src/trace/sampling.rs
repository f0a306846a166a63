//! Ingests statistics and samples of programs that do not report every poll.

use super::Trace;
use super::block_owner::{BlockOwner, TaskBlockKind};
use super::id::TaskId;
use super::lane::Lane;
use super::stats::{SampledInterval, StatsSnapshot, TaskActivity, TaskStats};
use super::task::TaskPhase;
use super::time::Nanos;

/// Number of sampled polls counted per column. With more polls, shares of time say more than single marks.
const SAMPLED_POLLS_MAX: u64 = 4;

/// Describes the interval `from` to `last` of a sampled lane. Up to `complete_until`, the statistics of every task are
/// complete: a task without new statistics has not changed.
pub(super) fn sampled_interval(
    lane: &Lane,
    from: Nanos,
    last: Nanos,
    complete_until: Option<Nanos>,
) -> Option<SampledInterval> {
    let (begin, end, polls) = lane.stats()?.polls_around(lane.spawned_at(), from, last);
    // A poll of this interval started after the previous snapshot, or at the spawn.
    let is_inside = |start: Nanos| start > begin || begin == lane.spawned_at();
    let (mut sampled, mut until) = (0, Some(end));
    while let Some(cycle) = until.and_then(|until| lane.cycle_at(until)).filter(|cycle| is_inside(cycle.start)) {
        sampled += 1;
        until = cycle.start.checked_sub(1).filter(|_| sampled < SAMPLED_POLLS_MAX);
    }
    let reported_until = lane.ended_at().or(lane.stats_until().max(complete_until));
    Some(SampledInterval {
        has_poll_start: lane.cycle_at(last).is_some_and(|cycle| cycle.start >= from),
        is_within_poll: lane
            .cycle_at(from)
            .is_some_and(|cycle| cycle.start < from && cycle.end().is_some_and(|end| last < end)),
        unsampled_polls: polls.saturating_sub(sampled),
        is_reported: reported_until.is_some_and(|until| from <= until),
    })
}

impl Lane {
    /// Returns the loop time of the newest snapshot; `None` in a lane without statistics.
    pub fn stats_until(&self) -> Option<Nanos> {
        self.stats()?.last().map(|snapshot| snapshot.at)
    }

    /// Returns the loop time of the oldest retained snapshot; `None` in a lane without statistics. Before it only the
    /// sums are known.
    pub fn stats_from(&self) -> Option<Nanos> {
        self.stats()?.first().map(|snapshot| snapshot.at)
    }
}

impl Trace {
    /// Ingests a statistics snapshot of a task.
    pub(super) fn apply_stats(&mut self, id: TaskId, at: Nanos, stats: &TaskStats) {
        self.advance(at);
        let Some(console_stats) = self.console_stats_mut(id) else { return };
        console_stats.waker_counts = Some((stats.waker_clones, stats.waker_drops));
        let Some(task) = self.tasks.get_mut(id) else { return };
        let TaskStats { polls, busy_ns, scheduled_ns, activity, .. } = *stats;
        let busy_ns_of = |lane: &Lane| lane.stats().and_then(|stats| stats.last()).map_or(0, |last| last.busy_ns);
        // A closure on the blocking pool does not occupy the loop.
        let (before_ns, is_on_loop) = (busy_ns_of(&task.lane), !task.is_off_loop());
        self.push_stats(Some(id), StatsSnapshot { at, polls, busy_ns, scheduled_ns, activity });
        // Counts what the lane accepted: nothing where the clock stepped back.
        let now_ns = self.task(id).filter(|_| is_on_loop).map_or(0, |task| busy_ns_of(&task.lane));
        self.counts.busy_ns = self.counts.busy_ns.saturating_add(now_ns.saturating_sub(before_ns));
        self.set_phase(
            id,
            match activity {
                TaskActivity::Running => TaskPhase::Running,
                TaskActivity::Scheduled => TaskPhase::Scheduled,
                TaskActivity::Waiting => TaskPhase::Waiting,
            },
        );
    }

    /// Ingests the end of a round of statistics: up to `at` every task is reported. Adds the sum to the loop's lane.
    pub(super) fn complete_stats(&mut self, at: Nanos) {
        self.advance(at);
        let (polls, busy_ns) = (self.counts.polls, self.counts.busy_ns);
        let activity = if self.counts.running > 0 { TaskActivity::Running } else { TaskActivity::Waiting };
        self.push_stats(None, StatsSnapshot { at, polls, busy_ns, scheduled_ns: 0, activity });
    }

    /// Appends a snapshot to the lane of `owner`, or to the loop's lane for `None`.
    fn push_stats(&mut self, owner: Option<TaskId>, snapshot: StatsSnapshot) {
        let (lane, owner) = match owner {
            None => (Some(&mut self.loop_lane), BlockOwner::LoopStats),
            Some(id) => (self.tasks.get_mut(id).map(|task| &mut task.lane), BlockOwner::Task(id, TaskBlockKind::Stats)),
        };
        let delta = lane.map(|lane| lane.push_stats(snapshot)).unwrap_or_default();
        self.account_storage(delta, owner);
    }

    /// Ingests the last poll and the last wake of a task, where they are new.
    pub(super) fn apply_sample(
        &mut self,
        id: TaskId,
        last_poll: Option<(Nanos, Option<Nanos>)>,
        last_wake: Option<Nanos>,
    ) {
        if let Some(console_stats) = self.console_stats_mut(id) {
            console_stats.last_sampled_wake = console_stats.last_sampled_wake.max(last_wake);
        }
        let last = |trace: &Self| trace.task(id).and_then(|task| task.lane.last().copied());
        if let Some((start, end)) = last_poll {
            if last(self).is_none_or(|cycle| cycle.start < start || cycle.end().is_some_and(|end| end < start)) {
                // The end of the previous poll was not reported. It ran until the last snapshot before this poll at
                // least.
                if let Some(open) = last(self).filter(|cycle| cycle.end().is_none()) {
                    let last_snapshot = self
                        .task(id)
                        .and_then(|task| task.lane.stats()?.snapshot_at(start))
                        .map(|snapshot| snapshot.at);
                    self.end_poll(id, last_snapshot.unwrap_or(open.start).max(open.start));
                }
                self.start_poll(id, start);
            }
            if let Some(end) = end.filter(|_| last(self).is_some_and(|cycle| cycle.end().is_none())) {
                self.end_poll(id, end);
            }
        }
        let woken = last_wake
            .filter(|woken| last(self).is_some_and(|cycle| cycle.scheduled_at().is_none() && cycle.start <= *woken));
        let waiting = self.tasks.get_mut(id).filter(|task| task.phase == TaskPhase::Waiting);
        if let (Some(woken), Some(task)) = (woken, waiting) {
            task.lane.record_wake(woken, self.steps, None);
            self.set_phase(id, TaskPhase::Scheduled);
        }
    }
}
