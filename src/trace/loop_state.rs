//! The state of the loop at the newest end of the trace: loop time, totals, and the ready queue.

use serde::{Deserialize, Serialize};

use super::cell_cache::CellCache;
use super::loop_counts::{LoopCounts, TaskStateCounts};
use super::queue_history::QueueHistory;
use super::task::{PhaseChange, TaskPhase};
use super::task_meta::{TaskKind, TaskOutcome};
use super::time::Nanos;

/// Numbers of tasks by what they do now and by how they ended, and of all that were spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PhaseCounts {
    pub running: u32,
    pub scheduled: u32,
    pub waiting: u32,
    pub completed: u32,
    pub cancelled: u32,
    pub failed: u32,
    pub spawned: u64,
}

/// Numbers of the program's held tasks by what they would do if they were not held.
#[derive(Clone, Copy, Debug, Default)]
struct HeldCounts {
    scheduled: u32,
    waiting: u32,
}

impl HeldCounts {
    fn add(&mut self, phase: TaskPhase, sign: i32) {
        let count = match phase {
            TaskPhase::Scheduled => &mut self.scheduled,
            TaskPhase::Waiting => &mut self.waiting,
            TaskPhase::Running | TaskPhase::Ended => return,
        };
        *count = count.saturating_add_signed(sign);
    }
}

/// The state of the loop.
#[derive(Clone, Debug)]
pub(super) struct LoopState {
    /// Totals over the whole loop.
    pub counts: LoopCounts,
    /// Polls that the loop has started so far.
    pub steps: u32,
    /// Loop time at the newest end of the trace.
    pub now: Nanos,
    /// The loop is parked now.
    pub is_parked: bool,
    /// Tasks that are running now outside of the loop, such as closures on the blocking pool.
    pub running_off_loop: u32,
    /// How many of the counted tasks are not tasks of the program: workers, `block_on` futures and blocking closures.
    pub other_roles: PhaseCounts,
    held: HeldCounts,
    /// Length of the ready queue over time.
    pub ready_queue: QueueHistory,
    /// Cached lane cells, and peaks of the ready queue.
    pub cell_cache: CellCache,
}

impl Default for LoopState {
    fn default() -> Self {
        Self {
            counts: LoopCounts::default(),
            steps: 0,
            now: 0,
            is_parked: true,
            running_off_loop: 0,
            other_roles: PhaseCounts::default(),
            held: HeldCounts::default(),
            ready_queue: QueueHistory::default(),
            cell_cache: CellCache::default(),
        }
    }
}

impl LoopState {
    /// Advances loop time to `at`, unless it is later already.
    #[inline]
    pub fn advance(&mut self, at: Nanos) {
        self.now = self.now.max(at);
    }

    /// Records the current length of the ready queue.
    #[inline]
    pub fn record_ready_count(&mut self) {
        if self.ready_queue.record(self.now, self.counts.scheduled) {
            self.cell_cache.clear_ready_peaks();
        }
    }

    /// Counts a started poll: one step, and `counted` polls.
    #[inline]
    pub fn count_poll(&mut self, counted: u64) {
        self.steps = self.steps.saturating_add(1);
        self.counts.polls += counted;
    }

    /// Counts the end of a poll on the loop that took `busy_ns`, of which `new_ns` are not in the totals yet.
    #[inline]
    pub fn count_busy(&mut self, busy_ns: u64, new_ns: u64) {
        self.counts.busy_ns = self.counts.busy_ns.saturating_add(new_ns);
        self.counts.longest_poll_ns = self.counts.longest_poll_ns.max(busy_ns);
    }

    /// Counts a task that was added to the trace, in no phase yet.
    pub fn count_added(&mut self, kind: TaskKind) {
        self.other_roles.spawned += u64::from(!kind.is_task());
    }

    /// Counts a task that was spawned just now.
    pub fn count_spawn(&mut self, kind: TaskKind) {
        self.counts.scheduled += 1;
        self.other_roles.scheduled += u32::from(!kind.is_task());
    }

    /// Counts a task in `phase` that is held from now on, or no longer.
    pub fn count_hold(&mut self, phase: TaskPhase, kind: TaskKind, is_held: bool) {
        if kind.is_task() {
            self.held.add(phase, if is_held { 1 } else { -1 });
        }
    }

    /// Counts a task that waits, where the phases before it are not known.
    pub fn count_waiting(&mut self, kind: TaskKind) {
        self.counts.waiting += 1;
        self.other_roles.waiting += u32::from(!kind.is_task());
    }

    /// Counts a task that ended.
    pub fn count_outcome(&mut self, outcome: &TaskOutcome, kind: TaskKind) {
        self.change_outcome(outcome, kind, 1);
    }

    /// Takes back that a task ended with `outcome`.
    pub fn uncount_outcome(&mut self, outcome: &TaskOutcome, kind: TaskKind) {
        self.change_outcome(outcome, kind, -1);
    }

    fn change_outcome(&mut self, outcome: &TaskOutcome, kind: TaskKind, sign: i32) {
        let (count, other) = match outcome {
            TaskOutcome::Completed => (&mut self.counts.completed, &mut self.other_roles.completed),
            TaskOutcome::Cancelled => (&mut self.counts.cancelled, &mut self.other_roles.cancelled),
            TaskOutcome::Failed(_) => (&mut self.counts.failed, &mut self.other_roles.failed),
            TaskOutcome::Unknown => return,
        };
        *count = count.saturating_add_signed(sign);
        *other = other.saturating_add_signed(if kind.is_task() { 0 } else { sign });
    }

    /// Unparks the loop and adds `turns` (0 or 1) to the number of turns. Returns the step of the new turn in the
    /// loop's lane, where steps are turns and are never looked up by number.
    pub fn start_turn(&mut self, turns: u64) -> u32 {
        self.is_parked = false;
        self.counts.turns += turns;
        u32::try_from(self.counts.turns).unwrap_or(u32::MAX)
    }

    /// Counts a task that changed its phase.
    #[inline]
    pub fn count_phase(&mut self, change: PhaseChange) {
        let PhaseChange { before, after, kind, is_held } = change;
        if kind.is_off_loop() {
            let sign = i32::from(after == TaskPhase::Running) - i32::from(before == TaskPhase::Running);
            self.running_off_loop = self.running_off_loop.saturating_add_signed(sign);
        }
        if is_held {
            self.count_hold(before, kind, false);
            self.count_hold(after, kind, true);
        }
        for (phase, sign) in [(before, -1), (after, 1)] {
            let (count, other) = match phase {
                TaskPhase::Running => (&mut self.counts.running, &mut self.other_roles.running),
                TaskPhase::Scheduled => (&mut self.counts.scheduled, &mut self.other_roles.scheduled),
                TaskPhase::Waiting => (&mut self.counts.waiting, &mut self.other_roles.waiting),
                TaskPhase::Ended => continue,
            };
            *count = count.saturating_add_signed(sign);
            if !kind.is_task() {
                *other = other.saturating_add_signed(sign);
            }
        }
    }

    /// Returns the numbers of the program's tasks by state, of `spawned` tasks in total.
    pub fn task_counts(&self, spawned: u64) -> TaskStateCounts {
        let (all, others, held) = (&self.counts, &self.other_roles, &self.held);
        TaskStateCounts {
            spawned: spawned.saturating_sub(others.spawned),
            running: all.running.saturating_sub(others.running),
            scheduled: all.scheduled.saturating_sub(others.scheduled).saturating_sub(held.scheduled),
            waiting: all.waiting.saturating_sub(others.waiting).saturating_sub(held.waiting),
            held: held.scheduled.saturating_add(held.waiting),
            completed: all.completed.saturating_sub(others.completed),
            cancelled: all.cancelled.saturating_sub(others.cancelled),
            failed: all.failed.saturating_sub(others.failed),
        }
    }

    /// Returns the number of tasks that are running now on the loop.
    pub fn running_on_loop(&self) -> u32 {
        self.counts.running.saturating_sub(self.running_off_loop)
    }

    /// Returns the maximum number of tasks that were ready at once, from `from` (inclusive) to `to` (exclusive).
    pub fn max_ready(&self, from: Nanos, to: Nanos) -> u32 {
        match self.ready_queue.last_change() {
            _ if from > self.now => 0,
            Some(last) if to <= last => self.cell_cache.max_ready((from, to), || self.ready_queue.peak(from, to)),
            _ => self.ready_queue.peak(from, to),
        }
    }

    /// Returns the memory use in bytes that counts towards the memory budget: that of the ready queue.
    pub fn retained_bytes(&self) -> usize {
        self.ready_queue.retained_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_taken_back_as_they_were_counted() {
        let outcomes = [TaskOutcome::Completed, TaskOutcome::Cancelled, TaskOutcome::Failed("no".into())];
        for kind in [TaskKind::Task, TaskKind::Blocking] {
            let mut state = LoopState::default();
            outcomes.iter().for_each(|outcome| state.count_outcome(outcome, kind));
            let is_task = u32::from(kind.is_task());
            let counted = state.task_counts(0);
            assert_eq!((counted.completed, counted.cancelled, counted.failed), (is_task, is_task, is_task));
            outcomes.iter().for_each(|outcome| state.uncount_outcome(outcome, kind));
            assert_eq!((state.counts, state.other_roles), (LoopCounts::default(), PhaseCounts::default()));
        }
    }
}
