//! Characters of the timeline and their ASCII replacements, and which of them marks a column of a lane. Every meaning
//! has a character, never a colour alone.

use ratatui::buffer::Buffer;

use super::theme::Role;
use crate::trace::{AwaitKind, LaneCell, SampledInterval, TaskState, Trace};

/// Running for most of the column.
pub const RUNNING: char = '█';
/// A poll that took less than half of its column, or no loop time at all.
pub const POLL: char = '▌';
/// Woken, not polled yet.
pub const SCHEDULED: char = '░';
/// Held by the user.
pub const HELD: char = '■';
/// Completed.
pub const DONE: char = '✓';
/// Cancelled.
pub const CANCELLED: char = '⊘';
/// Returned an error or panicked.
pub const FAILED: char = '✗';
/// Gap: events were dropped or evicted.
pub const GAP: char = '╳';
/// The loop was paused here.
pub const PAUSE: char = '‖';
/// The time cursor.
pub const CURSOR: char = '▼';
/// The selected row.
pub const SELECTED: char = '▸';
/// Horizontal line of a rule.
pub const RULE: char = '─';

/// Neither running nor scheduled, reason unknown.
pub const IDLE: char = '╴';
/// Not reported yet.
pub const NOT_REPORTED: char = '┈';

/// Share of a column that a task ran, if only sums are known. Differs from the marks of polls.
pub const SHARES: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];
/// Share of a column that a task was scheduled, if only sums are known.
pub const SCHEDULED_SHARES: [char; 3] = ['╷', '╻', '┃'];

/// Returns the one of `heights` that shows `part` of `whole`. Even a part of 0 gets the lowest.
pub fn bar(heights: &[char], part: u64, whole: u64) -> char {
    let steps = u128::from(part) * heights.len() as u128;
    let step = usize::try_from(steps.div_ceil(u128::from(whole.max(1)))).unwrap_or(heights.len());
    heights[step.clamp(1, heights.len()) - 1]
}

/// Bars in eight heights.
pub const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Mark of a wait of `kind`.
pub fn of_wait(kind: AwaitKind) -> char {
    match kind {
        AwaitKind::Timer => '─',
        AwaitKind::Task => '═',
        AwaitKind::Sync => '╌',
        AwaitKind::Channel => '›',
        AwaitKind::Io => '~',
        AwaitKind::BlockingCall => '▓',
        AwaitKind::Yield => '·',
        AwaitKind::Other => '?',
    }
}

/// Mark of a state.
pub fn of_state(state: TaskState) -> char {
    match state {
        TaskState::Running => RUNNING,
        TaskState::Scheduled => SCHEDULED,
        TaskState::Waiting(_, kind) => of_wait(kind),
        TaskState::Held => HELD,
        TaskState::Completed | TaskState::Ended => DONE,
        TaskState::Cancelled => CANCELLED,
        TaskState::Failed => FAILED,
    }
}

/// Mark of a state in `trace`. In an external app, a wait without an await is idle.
pub fn of_state_in(trace: &Trace, state: TaskState) -> char {
    match state {
        TaskState::Waiting(None, AwaitKind::Other) if trace.is_external() => IDLE,
        state => of_state(state),
    }
}

/// Returns the mark of one column of a lane and its role; `None` before the task was spawned and after it ended.
///
/// If a column contains several events, the rarest is drawn: an end before a poll, a poll before a wait. On a virtual
/// clock polls take no time; they are drawn nevertheless. In an external app, a wait without an await is idle.
pub fn of_cell(cell: &LaneCell, is_external: bool) -> Option<(char, Role)> {
    if cell.is_evicted {
        return Some((GAP, Role::Dim));
    }
    let (mark, role) = recorded_mark(cell)?;
    let is_idle = is_external && role == Role::Waiting(AwaitKind::Other);
    Some((if is_idle { IDLE } else { mark }, role))
}

/// Returns the mark of a column whose data is retained.
fn recorded_mark(cell: &LaneCell) -> Option<(char, Role)> {
    let state = cell.state?;
    if cell.has_ended {
        return Some(match state {
            TaskState::Cancelled => (CANCELLED, Role::Cancelled),
            TaskState::Failed => (FAILED, Role::Failed),
            // On the steps axis the column of the last poll has the state `Running`.
            _ => (DONE, Role::Done),
        });
    }
    if let Some(sampled) = cell.sampled {
        return sampled_mark(cell, state, sampled);
    }
    if cell.is_mostly_running {
        return Some(if cell.has_blocking_call {
            (of_wait(AwaitKind::BlockingCall), Role::Waiting(AwaitKind::BlockingCall))
        } else {
            (RUNNING, Role::Running)
        });
    }
    if cell.polls > 0 {
        return Some((POLL, Role::Poll));
    }
    if state.is_ended() {
        return None;
    }
    if state == TaskState::Held {
        return Some((HELD, Role::Held));
    }
    if cell.scheduled_ns > cell.waiting_ns {
        return Some((SCHEDULED, Role::Scheduled));
    }
    match cell.longest_wait {
        Some(kind) => Some((of_wait(kind), Role::Waiting(kind))),
        None => Some((of_state(state), Role::of(state))),
    }
}

/// Returns the mark of a column of which only shares are known. A poll is drawn only if it was sampled and no other
/// poll is missing.
fn sampled_mark(cell: &LaneCell, state: TaskState, sampled: SampledInterval) -> Option<(char, Role)> {
    let all_sampled = sampled.unsampled_polls == 0;
    if sampled.is_within_poll {
        return Some((RUNNING, Role::Running));
    }
    if sampled.has_poll_start && (all_sampled || cell.polls <= 1) {
        return Some((POLL, Role::Poll));
    }
    if state.is_ended() {
        return None;
    }
    if !sampled.is_reported {
        return Some((NOT_REPORTED, Role::Dim));
    }
    let spent_ns = cell.busy_ns.saturating_add(cell.scheduled_ns).saturating_add(cell.waiting_ns);
    // Shares below half of the lowest bar are drawn as a wait.
    let is_visible = |ns: u64| u128::from(ns) * 2 * (SHARES.len() as u128) >= u128::from(spent_ns.max(1));
    if cell.scheduled_ns > cell.busy_ns && is_visible(cell.scheduled_ns) {
        let mark = bar(&SCHEDULED_SHARES, cell.scheduled_ns, spent_ns);
        return Some((mark, Role::ScheduledShare));
    }
    let wait = cell.longest_wait.filter(|kind| *kind != AwaitKind::Other);
    match wait {
        Some(kind) if all_sampled || (cell.polls == 0 && !is_visible(cell.busy_ns)) => {
            Some((of_wait(kind), Role::Waiting(kind)))
        }
        None if all_sampled && !is_visible(cell.busy_ns) => Some((IDLE, Role::Waiting(AwaitKind::Other))),
        _ => Some((bar(&SHARES, cell.busy_ns, spent_ns), Role::Share)),
    }
}

/// Replaces a character by an ASCII one. The marks of the timeline remain distinct.
fn to_ascii(mark: char) -> char {
    match mark {
        '█' => '#',
        '▌' | '│' => '|',
        '░' => ':',
        '■' => 'H',
        '✓' => '+',
        '⊘' => '/',
        '✗' => 'X',
        '╳' => 'x',
        '‖' => '"',
        '▼' => 'v',
        '▸' | '▶' => '*',
        '─' | '━' => '-',
        '═' => '=',
        '╌' => '_',
        '›' => '>',
        '▓' => 'B',
        '·' | '…' => '.',
        '×' => 'x',
        'µ' => 'u',
        '←' | '‹' => '<',
        '→' => '>',
        '↑' => '^',
        '↓' => 'v',
        '┌' | '┐' | '└' | '┘' => '+',
        '▁' => '1',
        '▂' => '2',
        '▃' => '3',
        '▄' => '4',
        '▅' => '5',
        '▆' => '6',
        '▇' => '7',
        '╷' => 'a',
        '╻' => 'b',
        '┃' => 'c',
        '┈' => ',',
        '╴' => '\'',
        _ => '?',
    }
}

/// Replaces all non-ASCII characters in the buffer, including those in names and borders.
pub fn replace_non_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let mark = cell.symbol().chars().next().map_or('?', to_ascii);
            cell.set_char(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_heights_span_the_range() {
        let at = |part| bar(&SHARES, part, 700);
        assert_eq!([at(0), at(1), at(100), at(101), at(700), at(9_000)], ['▁', '▁', '▁', '▂', '▇', '▇']);
        assert_eq!(bar(&SCHEDULED_SHARES, u64::MAX, 0), '┃', "untrusted sums");
    }

    #[test]
    fn marks_are_distinct_in_unicode_and_ascii() {
        let mut marks = vec![RUNNING, POLL, SCHEDULED, HELD, DONE, CANCELLED, FAILED, GAP, IDLE, NOT_REPORTED];
        marks.extend(AwaitKind::ALL.map(of_wait));
        marks.extend(SHARES.iter().chain(&SCHEDULED_SHARES));
        for reading in [|mark: char| mark, |mark: char| if mark.is_ascii() { mark } else { to_ascii(mark) }] {
            let mut unique: Vec<char> = marks.iter().map(|mark| reading(*mark)).collect();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), marks.len(), "{unique:?}");
        }
    }

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
            of_cell(&cell, false)
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
        let mark_in = |cell: LaneCell, is_external| of_cell(&cell, is_external).map(|(glyph, _)| glyph);
        let mark = |cell: LaneCell| mark_in(cell, false);
        let wait = LaneCell { waiting_ns: 90, longest_wait: Some(AwaitKind::Timer), ..cell() };
        assert_eq!(mark(wait), Some('─'));
        assert_eq!(mark(LaneCell { polls: 1, ..wait }), Some('▌'), "an instant poll is visible");
        assert_eq!(mark(LaneCell { polls: 1, is_mostly_running: true, ..wait }), Some('█'));
        assert_eq!(mark(LaneCell { scheduled_ns: 91, ..wait }), Some('░'));
        assert_eq!(mark(LaneCell { polls: 1, has_ended: true, state: Some(TaskState::Completed), ..wait }), Some('✓'));
        assert_eq!(mark(LaneCell { state: Some(TaskState::Held), ..wait }), Some('■'));
        assert_eq!(mark(LaneCell { state: None, ..LaneCell::default() }), None, "not spawned yet");
        assert_eq!(mark(LaneCell { state: Some(TaskState::Completed), ..LaneCell::default() }), None, "ended");
        assert_eq!(mark(LaneCell { is_mostly_running: true, has_blocking_call: true, ..wait }), Some('▓'));
        let idle = LaneCell { waiting_ns: 90, longest_wait: Some(AwaitKind::Other), ..cell() };
        assert_eq!((mark_in(idle, true), mark(idle)), (Some('╴'), Some('?')));
        assert_eq!(mark(LaneCell { is_evicted: true, ..LaneCell::default() }), Some('╳'));
    }
}
