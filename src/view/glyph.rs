//! Characters of the timeline and their ASCII replacements. Every meaning has a character, never a colour alone.

use ratatui::buffer::Buffer;

use crate::trace::{AwaitKind, TaskState, Trace};

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
        TaskState::Completed => DONE,
        TaskState::Cancelled => CANCELLED,
        TaskState::Failed => FAILED,
    }
}

/// Mark of a state in `trace`. In an external program, a wait without an await is idle.
pub fn of_state_in(trace: &Trace, state: TaskState) -> char {
    match state {
        TaskState::Waiting(None, AwaitKind::Other) if trace.is_external() => IDLE,
        state => of_state(state),
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
}
