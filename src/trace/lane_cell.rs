//! The columns of a timeline, and the content of one column of a lane.

use super::await_site::AwaitKind;
use super::lane::{DenseInterval, LaneTotals};
use super::stats::SampledInterval;
use super::task_state::TaskState;

/// The unit of the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Axis {
    /// Loop time, in nanoseconds.
    #[default]
    Time,
    /// Polls of the whole loop, one per column when fully zoomed in: order without time.
    Steps,
}

/// The content of one column of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCell {
    /// Number of polls that started in this column.
    pub polls: u64,
    /// Time in polls, in nanoseconds.
    pub busy_ns: u64,
    /// Time in the ready queue, in nanoseconds.
    pub scheduled_ns: u64,
    /// Waiting time, in nanoseconds.
    pub waiting_ns: u64,
    /// The state at the end of the column, or running in a dense column. `None` before the spawn and where it was
    /// evicted.
    pub state: Option<TaskState>,
    /// Whether the task ended in this column. Where one step spans many columns, only the last of them has the end.
    pub has_ended: bool,
    /// The kind of await that took most of the waiting time.
    pub longest_wait: Option<AwaitKind>,
    /// Whether a poll was running for at least half of the task's time in this column. On the steps axis: whether the
    /// task was polled.
    pub is_mostly_running: bool,
    /// Whether more polls began in this column than can be distinguished. The totals are then those of the blocks that
    /// begin in it: off by less than one block at each end. Everything else is exact.
    pub is_dense: bool,
    /// Set where times and polls are shares of statistics over a longer interval; single polls were sampled at most.
    pub sampled: Option<SampledInterval>,
    /// Whether a blocking call overlaps this column, in which a poll was mostly running.
    pub has_blocking_call: bool,
    /// Whether what the task did at the start of this column was evicted.
    pub is_evicted: bool,
}

impl LaneCell {
    /// Creates a cell without a state.
    pub(super) fn from_totals(totals: &LaneTotals) -> Self {
        let (busy_ns, waiting_ns) = (totals.busy_ns, totals.waiting_total_ns());
        Self {
            polls: totals.polls,
            busy_ns,
            scheduled_ns: totals.scheduled_ns,
            waiting_ns,
            longest_wait: totals.longest_wait_kind(),
            is_mostly_running: busy_ns > 0 && busy_ns >= totals.scheduled_ns.saturating_add(waiting_ns),
            ..Self::default()
        }
    }

    /// Creates the cell of a dense interval.
    pub(super) fn from_dense(DenseInterval { totals, is_mostly_running }: &DenseInterval) -> Self {
        let state = Some(TaskState::Running);
        Self { state, is_mostly_running: *is_mostly_running, is_dense: true, ..Self::from_totals(totals) }
    }
}

/// Returns the position at which `column` begins on an axis that shows `from` to `to` in `columns` equal columns.
/// Lanes, the loop strip and the mouse all use this function, so they line up.
pub fn column_edge(from: u64, to: u64, column: u16, columns: u16) -> u64 {
    let (length, column, columns) = (to.saturating_sub(from), u64::from(column), u64::from(columns.max(1)));
    let share = length.checked_mul(column).map_or_else(
        // 128-bit divisions are several times slower.
        || u64::try_from(u128::from(length) * u128::from(column) / u128::from(columns)).unwrap_or(u64::MAX),
        |product| product / columns,
    );
    from.saturating_add(share)
}
