//! The marks of the timeline, so that nothing is told by colour alone, and what each becomes in pure ASCII.

use ratatui::buffer::Buffer;

use crate::trace::{AwaitKind, State, Trace};

pub const RUNNING: char = '█';
/// A poll that took less than half of its column, or no loop time at all.
pub const POLL: char = '▌';
pub const SCHEDULED: char = '░';
pub const HELD: char = '■';
pub const DONE: char = '✓';
pub const CANCELLED: char = '⊘';
pub const FAILED: char = '✗';
pub const GAP: char = '╳';
pub const PAUSE: char = '‖';
pub const CURSOR: char = '▼';
pub const SELECTED: char = '▸';
pub const RULE: char = '─';

/// Neither running nor ready, and nobody tells what for.
pub const IDLE: char = '╴';
/// Nobody has told yet what happened here.
pub const UNTOLD: char = '┈';

/// Heights of the share of a column that a task ran, where only sums are told: none of them is the mark of a poll.
pub const SHARES: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];
/// The same for the share that it was ready and waited for its turn.
pub const SCHEDULED_SHARES: [char; 3] = ['╷', '╻', '┃'];

/// The one of `heights` that shows `part` of `whole`; the lowest for the least.
pub fn height(heights: &[char], part: u64, whole: u64) -> char {
    let steps = u128::from(part) * heights.len() as u128;
    let step = usize::try_from(steps.div_ceil(u128::from(whole.max(1)))).unwrap_or(heights.len());
    heights[step.clamp(1, heights.len()) - 1]
}

/// Eight heights of a bar.
pub const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The mark of waiting on something of `kind`.
pub fn waiting(kind: AwaitKind) -> char {
    match kind {
        AwaitKind::Timer => '─',
        AwaitKind::Task => '═',
        AwaitKind::Sync => '╌',
        AwaitKind::Channel => '›',
        AwaitKind::Io => '~',
        AwaitKind::Block => '▓',
        AwaitKind::Yield => '·',
        AwaitKind::Other => '?',
    }
}

/// The mark of a state.
pub fn state(state: State) -> char {
    match state {
        State::Running => RUNNING,
        State::Scheduled => SCHEDULED,
        State::Waiting(_, kind) => waiting(kind),
        State::Held => HELD,
        State::Done => DONE,
        State::Cancelled => CANCELLED,
        State::Failed => FAILED,
    }
}

/// The mark of a state in `trace`: in somebody else's program, what is waited for without an await is not told.
pub fn state_of(trace: &Trace, state: State) -> char {
    match state {
        State::Waiting(None, AwaitKind::Other) if trace.is_foreign() => IDLE,
        state => self::state(state),
    }
}

/// What a mark becomes in ASCII. The marks of the timeline stay different from each other.
fn ascii(mark: char) -> char {
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

/// Makes every cell ASCII, whatever put it there: a name from outside as well as a border of ours.
pub fn make_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let mark = cell.symbol().chars().next().map_or('?', ascii);
            cell.set_char(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_share_is_seen_and_the_whole_is_the_highest() {
        let at = |part| height(&SHARES, part, 700);
        assert_eq!([at(0), at(1), at(100), at(101), at(700), at(9_000)], ['▁', '▁', '▁', '▂', '▇', '▇']);
        assert_eq!(height(&SCHEDULED_SHARES, u64::MAX, 0), '┃', "sums of somebody else's may be anything");
    }

    #[test]
    fn no_two_marks_of_the_timeline_look_alike_in_unicode_or_ascii() {
        let mut marks = vec![RUNNING, POLL, SCHEDULED, HELD, DONE, CANCELLED, FAILED, GAP, IDLE, UNTOLD];
        marks.extend(AwaitKind::ALL.map(waiting));
        marks.extend(SHARES.iter().chain(&SCHEDULED_SHARES));
        for reading in [|mark: char| mark, |mark: char| if mark.is_ascii() { mark } else { ascii(mark) }] {
            let mut seen: Vec<char> = marks.iter().map(|mark| reading(*mark)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), marks.len(), "{seen:?}");
        }
    }
}
