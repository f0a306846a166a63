//! Filing what is told in sums and samples, where nobody tells every poll.

use super::Trace;
use super::event::{Nanos, TaskKind};
use super::id::TaskId;
use super::measure::{Doing, Measure, Measured};
use super::task::Live;

impl Trace {
    pub(super) fn measure(&mut self, id: TaskId, at: Nanos, measured: &Measured) {
        self.advance(at);
        let Some(task) = self.tasks.get_mut(id.index()) else { return };
        task.wakers = Some((measured.waker_clones, measured.waker_drops));
        let Measured { polls, busy_ns, scheduled_ns, doing, .. } = *measured;
        let known_ns = task.lane.last_measure().map_or(0, |last| last.busy_ns);
        // What the blocking pool does keeps the loop from nothing.
        let is_on_the_loop = task.spawned.kind != TaskKind::Blocking;
        self.counts.busy_ns += if is_on_the_loop { busy_ns.saturating_sub(known_ns) } else { 0 };
        self.file_measure(Some(id), Measure { at, polls, busy_ns, scheduled_ns, doing });
        self.set_live(
            id,
            match doing {
                Doing::Running => Live::Running,
                Doing::Scheduled => Live::Scheduled,
                Doing::Waiting => Live::Waiting,
            },
        );
    }

    /// Everything that was measured up to `at` is told: the loop's own lane has the sum.
    pub(super) fn measure_loop(&mut self, at: Nanos) {
        self.advance(at);
        let (polls, busy_ns) = (self.counts.polls, self.counts.busy_ns);
        let doing = if self.counts.running > 0 { Doing::Running } else { Doing::Waiting };
        self.file_measure(None, Measure { at, polls, busy_ns, scheduled_ns: 0, doing });
    }

    /// Adds a measure to the lane of `owner`, or to the loop's own.
    fn file_measure(&mut self, owner: Option<TaskId>, measure: Measure) {
        let lane = match owner {
            None => Some(&mut self.loop_lane),
            Some(id) => self.tasks.get_mut(id.index()).map(|task| &mut task.lane),
        };
        let (is_kept, seals) = lane.map_or((false, false), |lane| lane.measure(measure));
        if is_kept {
            self.kept_bytes += size_of::<Measure>();
        }
        if seals {
            self.sealed.push_back(owner);
        }
    }

    /// Files the last poll and wake that were sampled, if they are new.
    pub(super) fn sample(&mut self, id: TaskId, polled: Option<(Nanos, Option<Nanos>)>, woken: Option<Nanos>) {
        let last = |trace: &Self| trace.task(id).and_then(|task| task.lane.last().copied());
        if let Some((start, end)) = polled {
            if last(self).is_none_or(|cycle| cycle.start < start || cycle.end().is_some_and(|end| end < start)) {
                self.poll_start(id, start);
            }
            if let Some(end) = end.filter(|_| last(self).is_some_and(|cycle| cycle.end().is_none())) {
                self.poll_end(id, end);
            }
        }
        let woken = woken.filter(|woken| last(self).is_some_and(|c| c.woken().is_none() && c.start <= *woken));
        let waiting = self.tasks.get_mut(id.index()).filter(|task| task.live == Live::Waiting);
        if let (Some(woken), Some(task)) = (woken, waiting) {
            task.lane.woken(woken, self.steps);
            self.set_live(id, Live::Scheduled);
        }
    }
}
