//! Answers that were given before and cannot change any more: a frame asks for what the frame before it asked for, or for
//! the same columns a few further on.
//!
//! Only what is sealed is remembered, so nothing here is ever out of date but by being forgotten, which is looked at.
//! How much is remembered is bounded; one window too many and it begins anew.

use std::cell::RefCell;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::event::Nanos;
use super::id::TaskId;
use super::window::{Axis, Cell};

/// Lanes whose cells are remembered: more than a screen has rows.
const LANES_MAX: usize = 256;

/// Look-ups of the loop's queue that are remembered: more than a screen has columns.
const LOOK_UPS_MAX: usize = 4_096;

/// Columns of equal width, one beside the other over the whole of an axis: the width, and how far the first of them is from
/// the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    axis: Axis,
    width: u64,
    offset: u64,
}

impl Grid {
    /// The grid of which `from` to `to` are so many `columns`, and the number of the first of them there; `None` where
    /// they are not all of one width.
    pub fn of(axis: Axis, from: u64, to: u64, columns: u16) -> Option<(Self, u64)> {
        let (columns, length) = (u64::from(columns), to.checked_sub(from)?);
        let width = length.checked_div(columns).filter(|width| *width > 0 && width * columns == length)?;
        Some((Self { axis, width, offset: from % width }, from / width))
    }
}

/// Cells of a lane, one beside the other, all of which are sealed.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    /// The number of the first of them in their grid.
    pub first: u64,
    pub cells: Vec<Cell>,
    /// How many polls of the lane were forgotten then. Not until when: of one instant there may be many blocks.
    pub forgotten_polls: u64,
}

impl Settled {
    /// Which of `columns` columns from the `first`-th of the grid on are known, and their cells.
    pub fn within(&self, first: u64, columns: u16) -> (Range<u16>, &[Cell]) {
        let column = |number: u64| number.saturating_sub(first).min(columns.into()) as u16;
        let known = column(self.first)..column(self.first.saturating_add(self.cells.len() as u64));
        let skipped = first.saturating_sub(self.first) as usize;
        let cells = self.cells.get(skipped..).unwrap_or_default();
        let cells = cells.get(..known.len()).unwrap_or_default();
        (known, cells)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    lanes: RefCell<(Grid, FxHashMap<Option<TaskId>, Settled>)>,
    readies: RefCell<FxHashMap<(Nanos, Nanos), u32>>,
}

impl Seen {
    /// What is known in `grid` of the lane of a task, or of the loop's own; it is to be given back.
    pub fn take(&self, grid: Grid, of: Option<TaskId>, forgotten_polls: u64) -> Option<Settled> {
        let (known, lanes) = &mut *self.lanes.borrow_mut();
        if *known != grid || lanes.len() >= LANES_MAX {
            *known = grid;
            lanes.clear();
        }
        lanes.remove(&of).filter(|settled| settled.forgotten_polls == forgotten_polls)
    }

    pub fn give_back(&self, of: Option<TaskId>, settled: Settled) {
        self.lanes.borrow_mut().1.insert(of, settled);
    }

    pub fn ready_max(&self, window: (Nanos, Nanos), look_up: impl FnOnce() -> u32) -> u32 {
        let mut known = self.readies.borrow_mut();
        if known.len() >= LOOK_UPS_MAX {
            known.clear();
        }
        *known.entry(window).or_insert_with(look_up)
    }

    /// The loop's queue is known more coarsely.
    pub fn forget_loop(&self) {
        self.readies.borrow_mut().clear();
    }
}
