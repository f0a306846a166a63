//! The packed columns of a block of cycles, and the marks in them.

use super::super::await_site::AwaitKind;
use super::super::id::AwaitId;
use super::super::pack::PackedColumn;
use super::super::time::{NEVER, Nanos};
use super::super::wake_source::decode_wake_source;
use super::Cycle;

/// Mark: the wake came during the poll. The `wait` column then holds the time from the wake to the end of the poll, and
/// the task did not wait.
pub(super) const WOKEN_IN_POLL: u8 = 1 << 3;
/// Mark: no wake came before the next poll.
pub(super) const NOT_WOKEN: u8 = 1 << 4;
/// Mark: the end of the poll was not reported.
pub(super) const NOT_ENDED: u8 = 1 << 5;
/// The bits of a mark that hold the kind of await.
pub(super) const KIND_MASK: u8 = WOKEN_IN_POLL - 1;

/// The columns that locate an instant: durations, and the mark of each cycle.
pub(super) struct TimeColumns<'a> {
    pub busy: PackedColumn<'a>,
    pub marks: MarkColumn<'a>,
    pub wait: PackedColumn<'a>,
    pub scheduled: PackedColumn<'a>,
}

/// The column of awaits: what the task waited on after each poll.
#[derive(Clone, Copy)]
pub(super) struct AwaitColumn<'a> {
    pub base_id: u64,
    pub ids: PackedColumn<'a>,
}

/// The columns that only the lookup of a whole cycle needs.
pub(super) struct DetailColumns<'a> {
    pub awaits: AwaitColumn<'a>,
    pub steps: PackedColumn<'a>,
    pub woken_steps: PackedColumn<'a>,
    pub wake_sources: PackedColumn<'a>,
}

/// Returns the end of a cycle that starts at `start`, at most `until`: the durations of a damaged file may not fit.
#[inline]
pub(super) fn next_start(start: Nanos, (busy, wait, scheduled): (u64, u64, u64), until: Nanos) -> Nanos {
    start.saturating_add(busy).saturating_add(wait).saturating_add(scheduled).min(until)
}

/// The mark (flags and kind) of each cycle, as an index into the list of distinct marks.
#[derive(Default)]
pub(super) struct MarkColumn<'a> {
    pub distinct: &'a [u8],
    pub indices: PackedColumn<'a>,
}

impl MarkColumn<'_> {
    /// Returns the mark at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> u8 {
        match self.distinct {
            [only] => *only,
            distinct => distinct.get(self.indices.get(index) as usize).copied().unwrap_or(0),
        }
    }
}

impl TimeColumns<'_> {
    /// Returns the running, waiting and scheduled time of a cycle, in nanoseconds, and the index of its kind of await.
    #[inline]
    pub fn durations(&self, index: usize) -> ((u64, u64, u64), usize) {
        let mark = self.marks.get(index);
        let wait = if mark & WOKEN_IN_POLL == 0 { self.wait.get(index) } else { 0 };
        ((self.busy.get(index), wait, self.scheduled.get(index)), usize::from(mark & KIND_MASK))
    }

    /// Returns the cycle at `index`, which starts at `start`, without the values of the detail columns.
    pub fn cycle(&self, index: usize, start: Nanos, until: Nanos) -> Cycle {
        let (mark, wait) = (self.marks.get(index), self.wait.get(index));
        let end = start.saturating_add(self.busy.get(index)).min(until);
        let wake = match mark & (NOT_WOKEN | WOKEN_IN_POLL) {
            0 => end.saturating_add(wait).min(until),
            WOKEN_IN_POLL => end.saturating_sub(wait).max(start),
            _ => NEVER,
        };
        let end = if mark & NOT_ENDED == 0 { end } else { NEVER };
        Cycle { end, wake, kind: AwaitKind::ALL[usize::from(mark & KIND_MASK)], ..Cycle::new(start, 0) }
    }
}

impl AwaitColumn<'_> {
    /// Returns the await at `index`; `None` where the task waited on nothing.
    pub fn get(&self, index: usize) -> Option<AwaitId> {
        let offset = self.ids.get(index).checked_sub(1)?;
        u32::try_from(self.base_id.wrapping_add(offset)).ok().and_then(AwaitId::from_number)
    }
}

impl DetailColumns<'_> {
    /// Adds the values of the detail columns to `cycle`.
    pub fn fill(&self, index: usize, first_step: u32, cycle: &mut Cycle) {
        cycle.waiting_on = self.awaits.get(index);
        cycle.step = first_step.wrapping_add(self.steps.get(index) as u32);
        if cycle.wake != NEVER {
            cycle.woken_step = cycle.step.wrapping_add(self.woken_steps.get(index) as u32);
            cycle.wake_source = decode_wake_source(self.wake_sources.get(index));
        }
    }
}
