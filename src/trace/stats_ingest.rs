//! Ingests statistics and samples of programs that do not report every poll, or not from the beginning.

use super::Trace;
use super::block_owner::{BlockOwner, TaskBlockKind};
use super::id::TaskId;
use super::lane::Lane;
use super::stats::{StatsSnapshot, TaskActivity, TaskStats};
use super::task::TaskPhase;
use super::time::Nanos;

impl Trace {
    /// Starts the observation of a task: an empty cycle that counts for nothing stands for what it did before.
    pub(super) fn observe_from(&mut self, id: TaskId, at: Nanos) {
        self.loop_state.advance(at);
        let Some(delta) = self.history.start_poll(id, at, self.loop_state.steps, 0) else { return };
        self.record_storage(BlockOwner::Task(id, TaskBlockKind::Lane), delta);
        self.history.end_poll(id, at);
        if let Some(task) = self.history.tasks.get_mut(id) {
            task.lane.leave_out_first_cycle();
        }
        self.set_phase(id, TaskPhase::Waiting);
    }

    /// Ingests a statistics snapshot of a task.
    pub(super) fn apply_stats(&mut self, id: TaskId, at: Nanos, stats: &TaskStats) {
        self.loop_state.advance(at);
        let Some(console_stats) = self.console_stats_mut(id) else { return };
        console_stats.waker_counts = Some((stats.waker_clones, stats.waker_drops));
        let Some(task) = self.history.tasks.get_mut(id) else { return };
        let TaskStats { polls, busy_ns, scheduled_ns, activity, .. } = *stats;
        let busy_ns_of = |lane: &Lane| lane.stats().and_then(|stats| stats.last()).map_or(0, |last| last.busy_ns);
        // A closure on the blocking pool does not occupy the loop.
        let (before_ns, is_on_loop) = (busy_ns_of(&task.lane), !task.is_off_loop());
        self.push_stats(Some(id), StatsSnapshot { at, polls, busy_ns, scheduled_ns, activity });
        // Counts what the lane accepted: nothing where the clock stepped back.
        let now_ns = self.task(id).filter(|_| is_on_loop).map_or(0, |task| busy_ns_of(&task.lane));
        self.loop_state.counts.busy_ns =
            self.loop_state.counts.busy_ns.saturating_add(now_ns.saturating_sub(before_ns));
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
        self.loop_state.advance(at);
        let (polls, busy_ns) = (self.loop_state.counts.polls, self.loop_state.counts.busy_ns);
        let activity = if self.loop_state.counts.running > 0 { TaskActivity::Running } else { TaskActivity::Waiting };
        self.push_stats(None, StatsSnapshot { at, polls, busy_ns, scheduled_ns: 0, activity });
    }

    /// Appends a snapshot to the lane of `owner`, or to the loop's lane for `None`.
    fn push_stats(&mut self, owner: Option<TaskId>, snapshot: StatsSnapshot) {
        let block_owner = owner.map_or(BlockOwner::LoopStats, |id| BlockOwner::Task(id, TaskBlockKind::Stats));
        let delta = self.history.push_stats(owner, snapshot);
        self.record_storage(block_owner, delta);
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
        let waiting = self.history.tasks.get_mut(id).filter(|task| task.phase == TaskPhase::Waiting);
        if let (Some(woken), Some(task)) = (woken, waiting) {
            task.lane.record_wake(woken, self.loop_state.steps, None);
            self.set_phase(id, TaskPhase::Scheduled);
        }
    }
}
