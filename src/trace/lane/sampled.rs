//! Lanes with sampled polls, whose totals come from statistics snapshots.

use super::super::await_site::AwaitKind;
use super::super::stats::{SampledInterval, StatsHistory, StatsSnapshot};
use super::super::storage::StorageDelta;
use super::super::time::Nanos;
use super::{Lane, LaneTotals};

/// Number of sampled polls counted per column. With more polls, shares of time say more than single marks.
const SAMPLED_POLLS_MAX: u64 = 4;

impl Lane {
    /// Whether totals come from statistics snapshots, so that what happened between two snapshots is known only in sum.
    pub fn is_sampled(&self) -> bool {
        self.stats.is_some()
    }

    /// Appends a statistics snapshot.
    pub(in crate::trace) fn push_stats(&mut self, snapshot: StatsSnapshot) -> StorageDelta {
        self.stats.get_or_insert_default().push(snapshot)
    }

    /// Returns the last snapshot at or before `at`.
    pub(in crate::trace) fn stats_at(&self, at: Nanos) -> Option<StatsSnapshot> {
        self.stats.as_ref()?.snapshot_at(at)
    }

    /// Returns the statistics snapshots, for a lane that has any.
    pub(in crate::trace) fn stats(&self) -> Option<&StatsHistory> {
        self.stats.as_deref()
    }

    /// Returns the totals up to `at` by interpolating between snapshots. All waiting counts as [`AwaitKind::Other`].
    pub(super) fn sampled_totals_at(&self, stats: &StatsHistory, at: Nanos) -> LaneTotals {
        let at = at.min(self.ended_at).max(self.spawned_at);
        let sums = stats.stats_at(self.spawned_at, at);
        let mut waiting_ns = [0; AwaitKind::ALL.len()];
        waiting_ns[AwaitKind::Other as usize] =
            at.saturating_sub(self.spawned_at).saturating_sub(sums.busy_ns.saturating_add(sums.scheduled_ns));
        LaneTotals { busy_ns: sums.busy_ns, scheduled_ns: sums.scheduled_ns, waiting_ns, polls: sums.polls }
    }

    /// Returns the loop time of the newest snapshot; `None` in a lane without statistics.
    pub fn stats_until(&self) -> Option<Nanos> {
        self.stats()?.last().map(|snapshot| snapshot.at)
    }

    /// Returns the loop time of the oldest retained snapshot; `None` in a lane without statistics. Before it only the
    /// sums are known.
    pub fn stats_from(&self) -> Option<Nanos> {
        self.stats()?.first().map(|snapshot| snapshot.at)
    }

    /// Describes the interval `from` to `last` of a sampled lane. Up to `complete_until`, the statistics of every task are
    /// complete: a task without new statistics has not changed.
    pub(in crate::trace) fn sampled_interval(
        &self,
        from: Nanos,
        last: Nanos,
        complete_until: Option<Nanos>,
    ) -> Option<SampledInterval> {
        let (begin, end, polls) = self.stats()?.polls_around(self.spawned_at(), from, last);
        // A poll of this interval started after the previous snapshot, or at the spawn.
        let is_inside = |start: Nanos| start > begin || begin == self.spawned_at();
        let (mut sampled, mut until) = (0, Some(end));
        while let Some(cycle) = until.and_then(|until| self.cycle_at(until)).filter(|cycle| is_inside(cycle.start)) {
            sampled += 1;
            until = cycle.start.checked_sub(1).filter(|_| sampled < SAMPLED_POLLS_MAX);
        }
        let reported_until = self.ended_at().or(self.stats_until().max(complete_until));
        Some(SampledInterval {
            has_poll_start: self.cycle_at(last).is_some_and(|cycle| cycle.start >= from),
            is_within_poll: self
                .cycle_at(from)
                .is_some_and(|cycle| cycle.start < from && cycle.end().is_some_and(|end| last < end)),
            unsampled_polls: polls.saturating_sub(sampled),
            is_reported: reported_until.is_some_and(|until| from <= until),
        })
    }
}
