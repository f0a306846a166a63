//! A cache of lane cells and ready-queue peaks. A frame usually requests the same columns as the previous frame, or
//! columns a little further on.
//!
//! Only cells of sealed data are cached, so a cached cell is invalidated only by eviction, which every lookup checks.
//! The caches are bounded and cleared when they are full.

use std::cell::RefCell;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::id::{TaskId, WorkerId};
use super::lane_cell::{Axis, LaneCell};
use super::time::Nanos;

/// Number of cached lanes: more than a screen has rows.
const LANES_MAX: usize = 256;

/// Number of cached peaks: more than a screen has columns.
const READY_PEAKS_MAX: usize = 4_096;

/// The owner of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneOwner {
    /// The loop.
    Loop,
    /// A task.
    Task(TaskId),
    /// A worker.
    Worker(WorkerId),
}

/// A division of the whole axis into columns of equal width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnGrid {
    /// The axis that is divided.
    axis: Axis,
    /// Width of a column.
    width: u64,
    /// Distance of the first column from the start of the axis.
    offset: u64,
}

impl ColumnGrid {
    /// Returns the grid that divides `from` to `to` into `columns` columns, and the number of the first one in the
    /// grid. `None` where these columns are not of equal width.
    pub fn of(axis: Axis, from: u64, to: u64, columns: u16) -> Option<(Self, u64)> {
        let (columns, length) = (u64::from(columns), to.checked_sub(from)?);
        let width = length.checked_div(columns).filter(|width| *width > 0 && width * columns == length)?;
        Some((Self { axis, width, offset: from % width }, from / width))
    }
}

/// A run of consecutive cells of a lane, all of sealed data.
#[derive(Clone, Debug, Default)]
pub(super) struct CachedCells {
    /// Number of the first cell in the grid.
    pub first: u64,
    /// The cells, in order.
    pub cells: Vec<LaneCell>,
    /// Number of evicted polls of the lane when the cells were made. Not the evicted time, because many blocks may
    /// share an instant.
    pub evicted_polls: u64,
}

impl CachedCells {
    /// Returns which of the `columns` columns from the `first`-th of the grid are cached, and their cells.
    pub fn overlap(&self, first: u64, columns: u16) -> (Range<u16>, &[LaneCell]) {
        let column = |number: u64| number.saturating_sub(first).min(columns.into()) as u16;
        let cached = column(self.first)..column(self.first.saturating_add(self.cells.len() as u64));
        let skipped = first.saturating_sub(self.first) as usize;
        let cells = self.cells.get(skipped..).unwrap_or_default();
        let cells = cells.get(..cached.len()).unwrap_or_default();
        (cached, cells)
    }
}

/// The cache of one trace.
#[derive(Clone, Debug, Default)]
pub(super) struct CellCache {
    /// The grid, and the cached cells in it.
    lanes: RefCell<(ColumnGrid, FxHashMap<LaneOwner, CachedCells>)>,
    /// Peaks of the ready queue by window.
    ready_peaks: RefCell<FxHashMap<(Nanos, Nanos), u32>>,
}

impl CellCache {
    /// Removes and returns the cached cells of a lane. Clears the cache if `grid` is a new one.
    pub fn take(&self, grid: ColumnGrid, owner: LaneOwner, evicted_polls: u64) -> Option<CachedCells> {
        let (cached_grid, lanes) = &mut *self.lanes.borrow_mut();
        if *cached_grid != grid || lanes.len() >= LANES_MAX {
            *cached_grid = grid;
            lanes.clear();
        }
        lanes.remove(&owner).filter(|cached| cached.evicted_polls == evicted_polls)
    }

    /// Stores the cells of a lane.
    pub fn put_back(&self, owner: LaneOwner, cells: CachedCells) {
        self.lanes.borrow_mut().1.insert(owner, cells);
    }

    /// Returns the peak of the ready queue in a window, which `lookup` computes where it is not cached.
    pub fn max_ready(&self, window: (Nanos, Nanos), lookup: impl FnOnce() -> u32) -> u32 {
        let mut peaks = self.ready_peaks.borrow_mut();
        if peaks.len() >= READY_PEAKS_MAX {
            peaks.clear();
        }
        *peaks.entry(window).or_insert_with(lookup)
    }

    /// Clears the cached peaks, because the history lost resolution.
    pub fn clear_ready_peaks(&self) {
        self.ready_peaks.borrow_mut().clear();
    }
}
