//! Matches lines in the app's pipes with those that its probe reports with their tasks, so that each appears once.
//!
//! Both come in the order in which they were printed, apart from small differences between threads. Whichever comes first
//! waits for the other one. A line of the pipe that waits in vain appears without a task.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::output::TimedOutput;

/// Time for which a line waits once everything that the probe has recorded until then has arrived.
const WAIT_MAX: Duration = Duration::from_millis(300);

/// Time for which a line waits if nothing arrives from the probe.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Time for which a line that the probe has reported is expected in the pipe.
const EXPECTED_MAX: Duration = Duration::from_secs(5);

/// Lines that wait on each side. Past it, the oldest one waits no longer.
const LINES_MAX: usize = 1 << 12;

/// Length from which on the text of a reported line may be truncated, in bytes.
const LONG_BYTES: usize = 1 << 14;

/// Lines among which one is searched.
const SEARCHED_MAX: usize = 64;

/// The lines that wait.
#[derive(Debug, Default)]
pub struct OutputMatcher {
    /// Lines that the probe has reported, by whether they are on standard error, and since when they wait.
    reported: [VecDeque<(Box<str>, Instant)>; 2],
    /// Pieces from the pipes.
    waiting: VecDeque<(TimedOutput, Instant)>,
    /// The probe reports lines, so that pieces wait for them.
    pub reports_lines: bool,
}

impl OutputMatcher {
    /// Adds a line that the probe has reported, which is shown now.
    pub fn add_reported(&mut self, is_error: bool, text: &str, now: Instant) {
        let is_same = |(piece, _): &(TimedOutput, Instant)| piece.is_error == is_error && is_line(piece, text);
        if let Some(index) = self.waiting.iter().take(SEARCHED_MAX).position(is_same) {
            self.remove_waiting(index);
            return;
        }
        let reported = &mut self.reported[usize::from(is_error)];
        if reported.len() == LINES_MAX {
            reported.pop_front();
        }
        reported.push_back((text.into(), now));
    }

    /// Adds a piece from a pipe.
    pub fn add_piece(&mut self, mut piece: TimedOutput, now: Instant) {
        let reported = &mut self.reported[usize::from(piece.is_error)];
        while reported.front().is_some_and(|(_, since)| now.duration_since(*since) > EXPECTED_MAX) {
            reported.pop_front();
        }
        if let Some(index) = reported.iter().take(SEARCHED_MAX).position(|(text, _)| is_line(&piece, text)) {
            reported.remove(index);
            // The part of the line that is shown ends.
            if !piece.ends_pending {
                return;
            }
            (piece.is_pending, piece.ends_pending, piece.text) = (true, false, "".into());
        }
        self.waiting.push_back((piece, now));
    }

    /// Takes the next piece that is to be shown. `is_final`: nothing more is reported. `is_covered`: what was recorded
    /// until a piece arrived has been decoded.
    pub fn take(
        &mut self,
        now: Instant,
        is_final: bool,
        is_covered: impl Fn(&TimedOutput) -> bool,
    ) -> Option<TimedOutput> {
        let (first, since) = self.waiting.front()?;
        let may_wait = self.reports_lines && !is_final && !first.is_pending && self.waiting.len() <= LINES_MAX;
        if may_wait && now.duration_since(*since) <= if is_covered(first) { WAIT_MAX } else { SILENCE_MAX } {
            return None;
        }
        self.waiting.pop_front().map(|(piece, _)| piece)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn remove_waiting(&mut self, index: usize) {
        let Some((piece, _)) = self.waiting.get_mut(index) else { return };
        if piece.ends_pending {
            (piece.is_pending, piece.ends_pending, piece.text) = (true, false, "".into());
        } else {
            self.waiting.remove(index);
        }
    }
}

/// Whether a piece is the line of this text, which is truncated if it is long.
fn is_line(piece: &TimedOutput, text: &str) -> bool {
    let is_start = || text.len() >= LONG_BYTES && piece.text.starts_with(text.strip_suffix('…').unwrap_or(text));
    !piece.is_pending && (*piece.text == *text || is_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, is_error: bool) -> TimedOutput {
        TimedOutput { arrived_at: 0, is_error, is_pending: false, ends_pending: false, text: text.into() }
    }

    fn taken(matcher: &mut OutputMatcher, now: Instant, is_final: bool) -> Vec<Box<str>> {
        std::iter::from_fn(|| matcher.take(now, is_final, |_| true)).map(|piece| piece.text).collect()
    }

    fn matcher() -> (OutputMatcher, Instant) {
        (OutputMatcher { reports_lines: true, ..OutputMatcher::default() }, Instant::now())
    }

    #[test]
    fn each_line_appears_once() {
        let (mut matcher, now) = matcher();
        matcher.reports_lines = false;
        matcher.add_piece(line("silent", false), now);
        assert_eq!(taken(&mut matcher, now, false), ["silent".into()], "nothing is ever reported");
        matcher.reports_lines = true;
        // The report comes first, then the pipe does; equal lines count.
        matcher.add_reported(false, "a", now);
        matcher.add_reported(false, "a", now);
        for text in ["a", "a", "a", "b", "c"] {
            matcher.add_piece(line(text, false), now);
        }
        assert_eq!(taken(&mut matcher, now, false), [], "they may be reported yet");
        matcher.add_reported(false, "c", now);
        matcher.add_reported(true, "b", now);
        assert!(matcher.take(now + 2 * WAIT_MAX, false, |_| false).is_none(), "the probe is silent");
        assert_eq!(taken(&mut matcher, now + 2 * WAIT_MAX, false), ["a".into(), "b".into()]);
        assert!(matcher.is_empty());
        matcher.add_piece(line("b", true), now);
        assert!(matcher.is_empty(), "on standard error");
        matcher.add_piece(line("d", false), now);
        assert_eq!(taken(&mut matcher, now, true), ["d".into()], "the stream has ended");
    }

    #[test]
    fn a_prompt_ends_with_its_line() {
        let (mut matcher, now) = matcher();
        matcher.add_reported(false, "name? Bob", now);
        matcher.add_piece(TimedOutput { is_pending: true, ..line("name? ", false) }, now);
        matcher.add_piece(TimedOutput { ends_pending: true, ..line("name? Bob", false) }, now);
        assert_eq!(taken(&mut matcher, now, false), ["name? ".into(), "".into()]);
    }

    #[test]
    fn old_and_many_lines_do_not_wait() {
        let (mut matcher, now) = matcher();
        matcher.add_reported(false, "a", now);
        matcher.add_piece(line("a", false), now + 2 * EXPECTED_MAX);
        assert!(!matcher.is_empty(), "another line of that text");
        for number in 0..2 * LINES_MAX {
            matcher.add_reported(false, &number.to_string(), now);
            matcher.add_piece(line(&format!("x{number}"), false), now + 2 * EXPECTED_MAX);
        }
        assert_eq!(taken(&mut matcher, now + 2 * EXPECTED_MAX, false).len(), LINES_MAX + 1);
        assert!(matcher.reported[0].len() <= LINES_MAX && matcher.waiting.len() == LINES_MAX);
    }
}
