//! Answers that were given before and cannot change any more: a frame asks for what the frame before it asked for.
//!
//! Only what is sealed is remembered, so nothing here is ever out of date but by being forgotten, which is looked at.
//! How much is remembered is bounded; one window too many and it begins anew.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::event::Nanos;
use super::id::TaskId;
use super::lane::Totals;
use super::query::Cell;

/// Lanes whose cells are remembered: more than a screen has rows.
const LANES_MAX: usize = 256;

/// Look-ups of the loop's own row and of its queue that are remembered: more than a screen has columns.
const LOOK_UPS_MAX: usize = 4_096;

/// A window that lanes were asked for: from, to and columns.
pub(super) type Window = (Nanos, Nanos, u16);

/// The first cells of a lane, all of which are sealed.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    pub cells: Vec<Cell>,
    /// Totals up to the end of the last of them.
    pub totals: Totals,
    /// Up to when the lane was forgotten then.
    pub forgotten_until: Nanos,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    lanes: RefCell<(Window, FxHashMap<TaskId, Settled>)>,
    loop_totals: RefCell<FxHashMap<Nanos, Totals>>,
    readies: RefCell<FxHashMap<(Nanos, Nanos), u32>>,
}

impl Seen {
    /// What is known of a lane in `window`; it is to be given back.
    pub fn take(&self, window: Window, id: TaskId, forgotten_until: Nanos) -> Option<Settled> {
        let (of, lanes) = &mut *self.lanes.borrow_mut();
        if *of != window || lanes.len() >= LANES_MAX {
            *of = window;
            lanes.clear();
        }
        lanes.remove(&id).filter(|settled| settled.forgotten_until == forgotten_until)
    }

    pub fn give_back(&self, id: TaskId, settled: Settled) {
        self.lanes.borrow_mut().1.insert(id, settled);
    }

    pub fn loop_totals(&self, at: Nanos, look_up: impl FnOnce() -> Totals) -> Totals {
        remembered(&self.loop_totals, at, look_up)
    }

    pub fn ready_max(&self, window: (Nanos, Nanos), look_up: impl FnOnce() -> u32) -> u32 {
        remembered(&self.readies, window, look_up)
    }

    /// The loop's own row or its queue was forgotten in part, or is known more coarsely.
    pub fn forget_loop(&self) {
        self.loop_totals.borrow_mut().clear();
        self.readies.borrow_mut().clear();
    }
}

fn remembered<K: Eq + std::hash::Hash, V: Copy>(
    known: &RefCell<FxHashMap<K, V>>,
    key: K,
    look_up: impl FnOnce() -> V,
) -> V {
    let mut known = known.borrow_mut();
    if known.len() >= LOOK_UPS_MAX {
        known.clear();
    }
    *known.entry(key).or_insert_with(look_up)
}
