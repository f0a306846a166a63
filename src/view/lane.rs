//! One task's lane: which mark a column gets. Polls take no loop time on a virtual clock and must be seen all the same.

use super::glyph;
use super::theme::Role;
use crate::trace::{AwaitKind, Axis, Cell, State};

/// The mark of one column and what it means; `None` before the task was spawned and after it ended.
///
/// An end is rarer than a poll and a poll rarer than waiting: where a column has several, the rarest is drawn.
pub fn mark(cell: &Cell, axis: Axis, is_blocking: bool) -> Option<(char, Role)> {
    let state = cell.state?;
    if cell.ended {
        return Some(match state {
            State::Cancelled => (glyph::CANCELLED, Role::Cancelled),
            State::Failed => (glyph::FAILED, Role::Failed),
            // On the steps axis the column of the last poll still says running.
            _ => (glyph::DONE, Role::Done),
        });
    }
    let spent_ns = cell.busy_ns + cell.scheduled_ns + cell.waiting_ns;
    if cell.running_throughout || (cell.busy_ns > 0 && cell.busy_ns * 2 >= spent_ns) {
        return Some(if is_blocking {
            (glyph::waiting(AwaitKind::Block), Role::Waiting(AwaitKind::Block))
        } else {
            (glyph::RUNNING, Role::Running)
        });
    }
    if cell.polls > 0 && axis == Axis::Steps {
        return Some((glyph::RUNNING, Role::Running));
    }
    if cell.polls > 0 {
        return Some((glyph::POLL, Role::Poll));
    }
    if state.is_over() {
        return None;
    }
    if state == State::Held {
        return Some((glyph::HELD, Role::Held));
    }
    if cell.scheduled_ns > cell.waiting_ns {
        return Some((glyph::SCHEDULED, Role::Scheduled));
    }
    match cell.wait {
        Some(kind) => Some((glyph::waiting(kind), Role::Waiting(kind))),
        None => Some((glyph::state(state), Role::of(state))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        Cell { state: Some(State::Waiting(None, AwaitKind::Timer)), ..Cell::default() }
    }

    #[test]
    fn the_rarest_thing_in_a_column_is_drawn() {
        let glyph = |cell: Cell| mark(&cell, Axis::Time, false).map(|(glyph, _)| glyph);
        let wait = Cell { waiting_ns: 90, wait: Some(AwaitKind::Timer), ..cell() };
        assert_eq!(glyph(wait), Some('─'));
        assert_eq!(glyph(Cell { polls: 1, ..wait }), Some('▌'), "an instant poll among waiting is seen");
        assert_eq!(glyph(Cell { polls: 1, busy_ns: 90, ..wait }), Some('█'));
        assert_eq!(glyph(Cell { scheduled_ns: 91, ..wait }), Some('░'));
        assert_eq!(glyph(Cell { polls: 1, ended: true, state: Some(State::Done), ..wait }), Some('✓'));
        assert_eq!(glyph(Cell { state: Some(State::Held), ..wait }), Some('■'));
        assert_eq!(glyph(Cell { state: None, ..Cell::default() }), None, "not yet born");
        assert_eq!(glyph(Cell { state: Some(State::Done), ..Cell::default() }), None, "over");
        assert_eq!(
            mark(&Cell { running_throughout: true, ..wait }, Axis::Time, true).map(|(glyph, _)| glyph),
            Some('▓')
        );
    }
}
