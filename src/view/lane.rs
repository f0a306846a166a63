//! One task's lane: which mark a column gets. Polls take no loop time on a virtual clock and must be seen all the same.

use super::glyph;
use super::theme::Role;
use crate::trace::{AwaitKind, Axis, Cell, Sampled, State};

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
    if let Some(sampled) = cell.sampled {
        return sampled_mark(cell, state, sampled);
    }
    if cell.mostly_running {
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

/// The mark of a column of which only shares are known. It has that of a poll only where no more than one poll was made
/// and that one was seen.
fn sampled_mark(cell: &Cell, state: State, sampled: Sampled) -> Option<(char, Role)> {
    let all_seen = sampled.unseen_polls == 0;
    if sampled.poll_throughout {
        return Some((glyph::RUNNING, Role::Running));
    }
    if sampled.poll_seen && (all_seen || cell.polls <= 1) {
        return Some((glyph::POLL, Role::Poll));
    }
    if state.is_over() {
        return None;
    }
    if !sampled.is_told {
        return Some((glyph::UNTOLD, Role::Dim));
    }
    let spent_ns = cell.busy_ns.saturating_add(cell.scheduled_ns).saturating_add(cell.waiting_ns);
    // Half of what the lowest bar stands for: below this the waiting is what there is to see.
    let is_visible = |ns: u64| u128::from(ns) * 2 * (glyph::SHARES.len() as u128) >= u128::from(spent_ns.max(1));
    if cell.scheduled_ns > cell.busy_ns && is_visible(cell.scheduled_ns) {
        let mark = glyph::height(&glyph::SCHEDULED_SHARES, cell.scheduled_ns, spent_ns);
        return Some((mark, Role::ScheduledShare));
    }
    let wait = cell.wait.filter(|kind| *kind != AwaitKind::Other);
    match wait {
        Some(kind) if all_seen || (cell.polls == 0 && !is_visible(cell.busy_ns)) => {
            Some((glyph::waiting(kind), Role::Waiting(kind)))
        }
        None if all_seen && !is_visible(cell.busy_ns) => Some((glyph::IDLE, Role::Waiting(AwaitKind::Other))),
        _ => Some((glyph::height(&glyph::SHARES, cell.busy_ns, spent_ns), Role::Share)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        Cell { state: Some(State::Waiting(None, AwaitKind::Timer)), ..Cell::default() }
    }

    #[test]
    fn shares_never_look_like_polls_but_for_those_that_were_seen() {
        let told = Sampled { is_told: true, unseen_polls: 9, ..Sampled::default() };
        let shares = |busy_ns, scheduled_ns, polls, sampled| {
            let waiting_ns = 1_000 - busy_ns - scheduled_ns;
            let wait = Some(AwaitKind::Timer);
            let cell = Cell { busy_ns, scheduled_ns, waiting_ns, polls, wait, sampled: Some(sampled), ..cell() };
            mark(&cell, Axis::Time, false)
        };
        assert_eq!(shares(1_000, 0, 9, told), Some(('▇', Role::Share)), "not even when it is busy throughout");
        assert_eq!(shares(430, 0, 9, told), Some(('▄', Role::Share)));
        assert_eq!(shares(1, 0, 9, told), Some(('▁', Role::Share)), "many polls, however short");
        assert_eq!(shares(1, 0, 0, told), Some(('─', Role::Waiting(AwaitKind::Timer))));
        assert_eq!(shares(100, 600, 9, told), Some(('╻', Role::ScheduledShare)));
        let seen = Sampled { poll_seen: true, ..told };
        assert_eq!(shares(1, 0, 1, seen), Some(('▌', Role::Poll)));
        assert_eq!(shares(1, 0, 5, seen), Some(('▁', Role::Share)), "one of five");
        assert_eq!(shares(0, 0, 0, Sampled::default()), Some(('┈', Role::Dim)), "nobody has told yet");
    }

    #[test]
    fn the_rarest_thing_in_a_column_is_drawn() {
        let glyph = |cell: Cell| mark(&cell, Axis::Time, false).map(|(glyph, _)| glyph);
        let wait = Cell { waiting_ns: 90, wait: Some(AwaitKind::Timer), ..cell() };
        assert_eq!(glyph(wait), Some('─'));
        assert_eq!(glyph(Cell { polls: 1, ..wait }), Some('▌'), "an instant poll among waiting is seen");
        assert_eq!(glyph(Cell { polls: 1, mostly_running: true, ..wait }), Some('█'));
        assert_eq!(glyph(Cell { scheduled_ns: 91, ..wait }), Some('░'));
        assert_eq!(glyph(Cell { polls: 1, ended: true, state: Some(State::Done), ..wait }), Some('✓'));
        assert_eq!(glyph(Cell { state: Some(State::Held), ..wait }), Some('■'));
        assert_eq!(glyph(Cell { state: None, ..Cell::default() }), None, "not yet born");
        assert_eq!(glyph(Cell { state: Some(State::Done), ..Cell::default() }), None, "over");
        assert_eq!(mark(&Cell { mostly_running: true, ..wait }, Axis::Time, true).map(|(glyph, _)| glyph), Some('▓'));
    }
}
