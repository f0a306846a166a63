//! The marks of the timeline, so that nothing is told by colour alone, and what each becomes in pure ASCII.

use ratatui::buffer::Buffer;

use crate::trace::{AwaitKind, State};

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
    fn no_two_marks_of_the_timeline_look_alike_in_unicode_or_ascii() {
        let mut marks = vec![RUNNING, POLL, SCHEDULED, HELD, DONE, CANCELLED, FAILED, GAP];
        marks.extend(AwaitKind::ALL.map(waiting));
        for reading in [|mark: char| mark, |mark: char| if mark.is_ascii() { mark } else { ascii(mark) }] {
            let mut seen: Vec<char> = marks.iter().map(|mark| reading(*mark)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), marks.len(), "{seen:?}");
        }
    }
}
