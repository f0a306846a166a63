//! Filing what is told in sums and samples, where nobody tells every poll.

use super::Trace;
use super::event::Nanos;
use super::id::TaskId;
use super::lane::Lane;
use super::measure::{Doing, Measure, Measured, Sampled};
use super::retention::{Kept, Part};
use super::task::Live;

/// Polls that were seen are counted up to so many in a column; where there are more, shares tell more than marks.
const SEEN_MAX: u64 = 4;

/// What is known of the stretch `from` to `last` of a measured lane, besides its shares. Until `all_told` every task was
/// measured that had anything to tell: one that was not went on as before.
pub(super) fn sampled(lane: &Lane, from: Nanos, last: Nanos, all_told: Option<Nanos>) -> Option<Sampled> {
    let (begin, end, polls) = lane.measures()?.around(lane.spawned(), from, last);
    // Polls that were seen come after the measure before them, or with the spawn.
    let is_inside = |start: Nanos| start > begin || begin == lane.spawned();
    let (mut seen, mut until) = (0, Some(end));
    while let Some(cycle) = until.and_then(|until| lane.cycle_at(until)).filter(|cycle| is_inside(cycle.start)) {
        seen += 1;
        until = cycle.start.checked_sub(1).filter(|_| seen < SEEN_MAX);
    }
    let told_until = lane.ended().or(lane.told_until().max(all_told));
    Some(Sampled {
        poll_seen: lane.cycle_at(last).is_some_and(|cycle| cycle.start >= from),
        poll_throughout: lane
            .cycle_at(from)
            .is_some_and(|cycle| cycle.start < from && cycle.end().is_some_and(|end| last < end)),
        unseen_polls: polls.saturating_sub(seen),
        is_told: told_until.is_some_and(|until| from <= until),
    })
}

impl Lane {
    /// Until when it is known what happened, in a lane that is measured.
    pub fn told_until(&self) -> Option<Nanos> {
        self.measures()?.last().map(|measure| measure.at)
    }

    /// Since when it is known when something happened, in a lane that is measured: of what came before, only the sum is.
    pub fn told_from(&self) -> Option<Nanos> {
        self.measures()?.first().map(|measure| measure.at)
    }
}

impl Trace {
    pub(super) fn measure(&mut self, id: TaskId, at: Nanos, measured: &Measured) {
        self.advance(at);
        let Some(told) = self.told(id) else { return };
        told.wakers = Some((measured.waker_clones, measured.waker_drops));
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Measured { polls, busy_ns, scheduled_ns, doing, .. } = *measured;
        let busy_of = |lane: &Lane| lane.measures().and_then(|known| known.last()).map_or(0, |last| last.busy_ns);
        // What the blocking pool does keeps the loop from nothing.
        let (known_ns, is_on_the_loop) = (busy_of(&task.lane), !task.is_beside_the_loop());
        self.file_measure(Some(id), Measure { at, polls, busy_ns, scheduled_ns, doing });
        // As much as the lane took of it: nothing where the clock stepped back.
        let now_ns = self.task(id).filter(|_| is_on_the_loop).map_or(0, |task| busy_of(&task.lane));
        self.counts.busy_ns = self.counts.busy_ns.saturating_add(now_ns.saturating_sub(known_ns));
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
        let (lane, kept) = match owner {
            None => (Some(&mut self.loop_lane), Kept::LoopMeasures),
            Some(id) => (self.tasks.get_mut(id).map(|task| &mut task.lane), Kept::Of(id, Part::Measures)),
        };
        let filed = lane.map(|lane| lane.measure(measure)).unwrap_or_default();
        self.keep(filed, kept);
    }

    /// Files the last poll and wake that were sampled, if they are new.
    pub(super) fn sample(&mut self, id: TaskId, polled: Option<(Nanos, Option<Nanos>)>, woken: Option<Nanos>) {
        if let Some(told) = self.told(id) {
            told.wake = told.wake.max(woken);
        }
        let last = |trace: &Self| trace.task(id).and_then(|task| task.lane.last().copied());
        if let Some((start, end)) = polled {
            if last(self).is_none_or(|cycle| cycle.start < start || cycle.end().is_some_and(|end| end < start)) {
                // Nobody told when the one before ended; it was seen to go on until it was told of last.
                if let Some(open) = last(self).filter(|cycle| cycle.end().is_none()) {
                    let seen = self.task(id).and_then(|task| task.lane.measures()?.at(start)).map(|measure| measure.at);
                    self.poll_end(id, seen.unwrap_or(open.start).max(open.start));
                }
                self.poll_start(id, start);
            }
            if let Some(end) = end.filter(|_| last(self).is_some_and(|cycle| cycle.end().is_none())) {
                self.poll_end(id, end);
            }
        }
        let woken = woken.filter(|woken| last(self).is_some_and(|c| c.woken().is_none() && c.start <= *woken));
        let waiting = self.tasks.get_mut(id).filter(|task| task.live == Live::Waiting);
        if let (Some(woken), Some(task)) = (woken, waiting) {
            task.lane.woken(woken, self.steps, None);
            self.set_live(id, Live::Scheduled);
        }
    }
}
