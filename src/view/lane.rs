//! Marks of a task's lane, column by column. On a virtual clock polls take no time; they are drawn nevertheless.

use super::glyph;
use super::theme::Role;
use crate::trace::{AwaitKind, Axis, LaneCell, SampledInterval, TaskState};

/// Returns the mark of one column and its role; `None` before the task was spawned and after it ended.
///
/// If a column contains several events, the rarest is drawn: an end before a poll, a poll before a wait.
pub fn lane_mark(cell: &LaneCell, axis: Axis, is_blocking: bool) -> Option<(char, Role)> {
    let state = cell.state?;
    if cell.has_ended {
        return Some(match state {
            TaskState::Cancelled => (glyph::CANCELLED, Role::Cancelled),
            TaskState::Failed => (glyph::FAILED, Role::Failed),
            // On the steps axis the column of the last poll has the state `Running`.
            _ => (glyph::DONE, Role::Done),
        });
    }
    if let Some(sampled) = cell.sampled {
        return sampled_mark(cell, state, sampled);
    }
    if cell.is_mostly_running {
        return Some(if is_blocking {
            (glyph::of_wait(AwaitKind::BlockingCall), Role::Waiting(AwaitKind::BlockingCall))
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
    if state.is_ended() {
        return None;
    }
    if state == TaskState::Held {
        return Some((glyph::HELD, Role::Held));
    }
    if cell.scheduled_ns > cell.waiting_ns {
        return Some((glyph::SCHEDULED, Role::Scheduled));
    }
    match cell.longest_wait {
        Some(kind) => Some((glyph::of_wait(kind), Role::Waiting(kind))),
        None => Some((glyph::of_state(state), Role::of(state))),
    }
}

/// Returns the mark of a column of which only shares are known. A poll is drawn only if it was sampled and no other
/// poll is missing.
fn sampled_mark(cell: &LaneCell, state: TaskState, sampled: SampledInterval) -> Option<(char, Role)> {
    let all_sampled = sampled.unsampled_polls == 0;
    if sampled.is_within_poll {
        return Some((glyph::RUNNING, Role::Running));
    }
    if sampled.has_poll_start && (all_sampled || cell.polls <= 1) {
        return Some((glyph::POLL, Role::Poll));
    }
    if state.is_ended() {
        return None;
    }
    if !sampled.is_reported {
        return Some((glyph::NOT_REPORTED, Role::Dim));
    }
    let spent_ns = cell.busy_ns.saturating_add(cell.scheduled_ns).saturating_add(cell.waiting_ns);
    // Shares below half of the lowest bar are drawn as a wait.
    let is_visible = |ns: u64| u128::from(ns) * 2 * (glyph::SHARES.len() as u128) >= u128::from(spent_ns.max(1));
    if cell.scheduled_ns > cell.busy_ns && is_visible(cell.scheduled_ns) {
        let mark = glyph::bar(&glyph::SCHEDULED_SHARES, cell.scheduled_ns, spent_ns);
        return Some((mark, Role::ScheduledShare));
    }
    let wait = cell.longest_wait.filter(|kind| *kind != AwaitKind::Other);
    match wait {
        Some(kind) if all_sampled || (cell.polls == 0 && !is_visible(cell.busy_ns)) => {
            Some((glyph::of_wait(kind), Role::Waiting(kind)))
        }
        None if all_sampled && !is_visible(cell.busy_ns) => Some((glyph::IDLE, Role::Waiting(AwaitKind::Other))),
        _ => Some((glyph::bar(&glyph::SHARES, cell.busy_ns, spent_ns), Role::Share)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> LaneCell {
        LaneCell { state: Some(TaskState::Waiting(None, AwaitKind::Timer)), ..LaneCell::default() }
    }

    #[test]
    fn only_sampled_polls_are_drawn_as_polls() {
        let reported = SampledInterval { is_reported: true, unsampled_polls: 9, ..SampledInterval::default() };
        let shares = |busy_ns, scheduled_ns, polls, sampled| {
            let waiting_ns = 1_000 - busy_ns - scheduled_ns;
            let wait = Some(AwaitKind::Timer);
            let cell = LaneCell {
                busy_ns,
                scheduled_ns,
                waiting_ns,
                polls,
                longest_wait: wait,
                sampled: Some(sampled),
                ..cell()
            };
            lane_mark(&cell, Axis::Time, false)
        };
        assert_eq!(shares(1_000, 0, 9, reported), Some(('▇', Role::Share)), "not even when it is busy throughout");
        assert_eq!(shares(430, 0, 9, reported), Some(('▄', Role::Share)));
        assert_eq!(shares(1, 0, 9, reported), Some(('▁', Role::Share)), "many polls, however short");
        assert_eq!(shares(1, 0, 0, reported), Some(('─', Role::Waiting(AwaitKind::Timer))));
        assert_eq!(shares(100, 600, 9, reported), Some(('╻', Role::ScheduledShare)));
        let one_sampled = SampledInterval { has_poll_start: true, ..reported };
        assert_eq!(shares(1, 0, 1, one_sampled), Some(('▌', Role::Poll)));
        assert_eq!(shares(1, 0, 5, one_sampled), Some(('▁', Role::Share)), "one of five");
        assert_eq!(shares(0, 0, 0, SampledInterval::default()), Some(('┈', Role::Dim)), "not reported yet");
    }

    #[test]
    fn rarest_event_in_a_column_is_drawn() {
        let glyph = |cell: LaneCell| lane_mark(&cell, Axis::Time, false).map(|(glyph, _)| glyph);
        let wait = LaneCell { waiting_ns: 90, longest_wait: Some(AwaitKind::Timer), ..cell() };
        assert_eq!(glyph(wait), Some('─'));
        assert_eq!(glyph(LaneCell { polls: 1, ..wait }), Some('▌'), "an instant poll is visible");
        assert_eq!(glyph(LaneCell { polls: 1, is_mostly_running: true, ..wait }), Some('█'));
        assert_eq!(glyph(LaneCell { scheduled_ns: 91, ..wait }), Some('░'));
        assert_eq!(glyph(LaneCell { polls: 1, has_ended: true, state: Some(TaskState::Completed), ..wait }), Some('✓'));
        assert_eq!(glyph(LaneCell { state: Some(TaskState::Held), ..wait }), Some('■'));
        assert_eq!(glyph(LaneCell { state: None, ..LaneCell::default() }), None, "not spawned yet");
        assert_eq!(glyph(LaneCell { state: Some(TaskState::Completed), ..LaneCell::default() }), None, "ended");
        assert_eq!(
            lane_mark(&LaneCell { is_mostly_running: true, ..wait }, Axis::Time, true).map(|(glyph, _)| glyph),
            Some('▓')
        );
    }
}
