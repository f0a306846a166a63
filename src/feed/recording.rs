//! Decodes console-subscriber's recordings (`TOKIO_CONSOLE_RECORD_PATH`): JSON lines with every poll and wake, exact,
//! from an unmodified program.
//!
//! Input may arrive in pieces of any size, and may be complete, growing or truncated. A malformed line is skipped and
//! counted; only a wrong format ends decoding.
//!
//! Only tasks have a `Spawn` line. An id that is entered without one belongs to a resource or an async operation, which
//! only the console wire describes, so it makes no task. If such an id has a waker, it is a task whose spawn was lost.
//!
//! ```
//! use loopscope::feed::recording::{RecordingClock, RecordingDecoder};
//! use loopscope::trace::Trace;
//!
//! let lines = br#"{"v":1}
//! {"Spawn":{"id":1,"at":{"secs_since_epoch":9,"nanos_since_epoch":0},"fields":[{"name":"task.name","value":"main"}]}}
//! {"Enter":{"id":1,"at":{"secs_since_epoch":9,"nanos_since_epoch":5}}}
//! {"Exit":{"id":1,"at":{"secs_since_epoch":9,"nanos_since_epoch":8}}}
//! {"Close":{"id":1,"at":{"secs_since_epoch":9,"nanos_since_epoch":8}}}
//! "#;
//! let mut trace = Trace::default();
//! let mut decoder = RecordingDecoder::new(RecordingClock::from_first());
//! decoder.decode(lines, &(), &mut |event| trace.apply(event))?;
//! decoder.finish(&mut |event| trace.apply(event))?;
//! assert_eq!(trace.tasks().iter().next().unwrap().name(), "main");
//! assert_eq!(decoder.stats().lines, 5);
//! # Ok::<(), loopscope::feed::recording::RecordingError>(())
//! ```

mod await_tracker;
mod clock;
mod closed_tasks;
mod entered_spans;
mod line;
mod line_splitter;
mod open_await;
mod pending_polls;
mod poll_evidence;
mod resolve_queue;
mod span_replayer;
mod task_ending;
mod undecided_awaits;

use await_tracker::AwaitTracker;
pub use clock::RecordingClock;
pub use line::{
    FORMAT_VERSION, RecordingHeader, RecordingLine, RecordingTimestamp, SpawnField, SpawnFieldValue, WakerOp,
};
pub use line_splitter::LINE_BYTES_MAX;

use entered_spans::ENTERED_MAX;
use line::LineError;
use line_splitter::{LineSplitter, SplitLine};
use span_replayer::SpanReplayer;

use crate::feed::await_resolver::AwaitResolver;
use crate::sanitize::sanitize;
use crate::trace::{Event, MalformedLine, Nanos, RecordingStats, TaskId};

/// Malformed lines that are described; further ones are only counted.
const MALFORMED_LINES_MAX: usize = 20;

/// Longest description of a malformed line, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Beginning of a header line.
const HEADER_START: &[u8] = br#"{"v":"#;

/// Most lines decoded per call, so that the caller can check its time budget.
const LINES_PER_CALL: usize = 512;

/// Why the input cannot be decoded at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    #[error(
        "not a console-subscriber recording: the first line should be {{\"v\":{FORMAT_VERSION}}}, but is\n  {0}\n\
         help: to make one, start the app with TOKIO_CONSOLE_RECORD_PATH=FILE"
    )]
    /// The first line is not a header. Holds its beginning.
    NotARecording(String),
    #[error(
        "unsupported recording format version {0}; only version {FORMAT_VERSION} can be read\n\
         help: it was written by an incompatible version of console-subscriber"
    )]
    /// The format version is not [`FORMAT_VERSION`].
    UnsupportedVersion(u64),
}

/// Decodes one recording.
#[derive(Debug)]
pub struct RecordingDecoder {
    lines: LineSplitter,
    replayer: SpanReplayer,
    clock: RecordingClock,
    stats: RecordingStats,
    /// Whether the header line has been read.
    has_header: bool,
    last: Nanos,
    /// Loop time since when lines are missing, and their number.
    missing: Option<(Nanos, u64)>,
}

impl RecordingDecoder {
    /// Creates a decoder that converts timestamps by `clock`.
    pub fn new(clock: RecordingClock) -> Self {
        Self {
            lines: LineSplitter::default(),
            replayer: SpanReplayer::default(),
            clock,
            stats: RecordingStats::default(),
            has_header: false,
            last: 0,
            missing: None,
        }
    }

    /// Enables awaits, as far as span ids can be resolved, and [`Self::take_spawned_task`].
    #[must_use]
    pub fn with_awaits(mut self) -> Self {
        self.replayer.awaits = Some(AwaitTracker::default());
        self
    }

    /// Returns the clock for modification.
    pub fn clock_mut(&mut self) -> &mut RecordingClock {
        &mut self.clock
    }

    /// Takes the task with this span id and this spawn time (nanoseconds since 1970). Returns it once.
    pub fn take_spawned_task(&mut self, span: u64, epoch_ns: u64) -> Option<TaskId> {
        self.replayer.take_spawned_task(span, epoch_ns)
    }

    /// Returns the loop time of the last line.
    pub fn last_time(&self) -> Nanos {
        self.last
    }

    /// Returns statistics of the recording itself.
    pub fn stats(&self) -> &RecordingStats {
        &self.stats
    }

    /// Decodes some lines at the start of `bytes`, which continue the previous input, and returns the rest. Call it
    /// until the rest is empty.
    ///
    /// # Errors
    /// If the input is not a recording, or has another version.
    pub fn decode<'a>(
        &mut self,
        bytes: &'a [u8],
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) -> Result<&'a [u8], RecordingError> {
        let mut left = bytes;
        for _ in 0..LINES_PER_CALL {
            let Self { lines, replayer, clock, stats, has_header, last, missing } = self;
            let mut handler = LineHandler { replayer, resolver, clock, stats, has_header, last, missing };
            match lines.next_line(left, |number, line| handler.handle_line(number, &line, out)) {
                None => {
                    left = &[];
                    break;
                }
                Some((rest, result)) => {
                    left = rest;
                    result.transpose()?;
                }
            }
        }
        self.stats.lines = self.lines.line_number();
        self.stats.tasks_without_spawn = self.replayer.unspawned;
        self.stats.omitted_tasks = self.replayer.hidden_tasks;
        Ok(left)
    }

    /// Notes that bytes with this many line ends are missing before the next input.
    pub fn skip_missing(&mut self, lines: u64, out: &mut impl FnMut(Event)) {
        self.lines.skip_missing(lines);
        self.stats.lost_lines += lines;
        // A line that continues into the missing bytes is lost too, even if its end is not among them.
        let (from, already) = self.missing.unwrap_or((self.last, 0));
        self.missing = Some((from, already + lines.max(1)));
        self.replayer.lines_missing(self.last, out);
    }

    /// Notes that no input came for `quiet_ns`: emits what has waited for the next line long enough.
    pub fn flush_idle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        self.replayer.flush_idle(quiet_ns, out);
    }

    /// Resolves spans again that could not be resolved when they were entered, a few per call. Open awaits start then.
    pub fn resolve_late_awaits(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        self.replayer.resolve_late_awaits(resolver, out);
    }

    /// Sets the interval of loop time in which the resolver has every ready poll of an await.
    pub fn set_reported_interval(&mut self, from: Nanos, until: Nanos) {
        self.replayer.set_reported_interval(from, until);
    }

    /// Resolves awaits for the last time, at the end of the input, and counts those that cannot be attributed to a task.
    pub fn finish_awaits(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        self.replayer.finish_awaits(resolver, out);
    }

    /// Notes that the program is gone while tasks have no recorded end.
    pub fn mark_unfinished(&mut self) {
        self.stats.is_unfinished = true;
    }

    /// Completes decoding at the end of the input.
    ///
    /// # Errors
    /// If the input was not a recording.
    pub fn finish(&mut self, out: &mut impl FnMut(Event)) -> Result<(), RecordingError> {
        let unfinished = self.lines.take_unfinished();
        if !unfinished.is_empty() {
            let is_whole = !self.has_header || RecordingLine::parse(&unfinished).is_ok();
            if is_whole {
                // Only the line end is missing.
                self.decode(&unfinished, &(), out)?;
                self.decode(b"\n", &(), out)?;
            } else {
                self.stats.is_truncated = true;
            }
        }
        self.replayer.flush_idle(u64::MAX, out);
        Ok(())
    }
}

/// Everything that one line may change.
struct LineHandler<'a, N> {
    replayer: &'a mut SpanReplayer,
    resolver: &'a N,
    clock: &'a mut RecordingClock,
    stats: &'a mut RecordingStats,
    has_header: &'a mut bool,
    last: &'a mut Nanos,
    missing: &'a mut Option<(Nanos, u64)>,
}

impl<N: AwaitResolver> LineHandler<'_, N> {
    fn handle_line(
        &mut self,
        number: u64,
        line: &SplitLine,
        out: &mut impl FnMut(Event),
    ) -> Result<(), RecordingError> {
        let line = match line {
            SplitLine::Complete(line) => *line,
            SplitLine::TooLong if *self.has_header => {
                self.handle_malformed(number, format!("longer than {LINE_BYTES_MAX} bytes"), out);
                return Ok(());
            }
            SplitLine::TooLong => {
                return Err(RecordingError::NotARecording(format!("longer than {LINE_BYTES_MAX} bytes")));
            }
        };
        if !*self.has_header {
            check_header(line)?;
            *self.has_header = true;
            return Ok(());
        }
        if line.starts_with(HEADER_START) {
            let why = "a second header: another process wrote to the same recording";
            self.handle_malformed(number, why.to_owned(), out);
            return Ok(());
        }
        match RecordingLine::parse(line) {
            Ok(line) => self.handle_event(number, &line, out),
            Err(LineError::UnknownEvent) => self.stats.unknown_lines += 1,
            // An empty line is not a loss.
            Err(LineError::Malformed(_)) if line.is_empty() => {}
            Err(LineError::Malformed(why)) => self.handle_malformed(number, why, out),
        }
        Ok(())
    }

    fn handle_event(&mut self, number: u64, line: &RecordingLine, out: &mut impl FnMut(Event)) {
        let (RecordingLine::Spawn { at, .. }
        | RecordingLine::Enter { at, .. }
        | RecordingLine::Exit { at, .. }
        | RecordingLine::Close { at, .. }
        | RecordingLine::Waker { at, .. }) = line;
        let Some(epoch_ns) = at.epoch_ns() else {
            return self.handle_malformed(number, "timestamp is past the year 2554".to_owned(), out);
        };
        if matches!(line, RecordingLine::Enter { .. }) && self.replayer.is_full() {
            return self.handle_malformed(number, format!("more than {ENTERED_MAX} spans entered at once"), out);
        }
        let at = self.clock.loop_time(epoch_ns);
        if at < *self.last {
            self.stats.clamped_lines += 1;
        }
        *self.last = at.max(*self.last);
        if let Some((from, dropped)) = self.missing.take() {
            out(Event::Gap { from, to: at.max(from), dropped });
        }
        self.stats.events += 1;
        self.replayer.replay(line, at, self.resolver, out);
    }

    fn handle_malformed(&mut self, number: u64, why: String, out: &mut impl FnMut(Event)) {
        self.stats.skipped_lines += 1;
        if self.stats.malformed.len() < MALFORMED_LINES_MAX {
            let why = sanitize(&why).chars().take(REASON_CHARS_MAX).collect();
            self.stats.malformed.push(MalformedLine { line: number, reason: why });
        }
        let (from, dropped) = self.missing.unwrap_or((*self.last, 0));
        *self.missing = Some((from, dropped + 1));
        self.replayer.lines_missing(*self.last, out);
    }
}

/// Checks whether a file with this beginning can be a recording, as far as its first line is present.
///
/// # Errors
/// If it cannot be one, or has another version.
pub fn check_beginning(bytes: &[u8]) -> Result<(), RecordingError> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < bytes.len();
    // The first line may still be incomplete.
    if !is_whole && HEADER_START.starts_with(line) {
        return Ok(());
    }
    check_header(line.strip_suffix(b"\r").unwrap_or(line))
}

fn check_header(line: &[u8]) -> Result<(), RecordingError> {
    match serde_json::from_slice::<RecordingHeader>(line) {
        Ok(RecordingHeader { v: FORMAT_VERSION }) => Ok(()),
        Ok(RecordingHeader { v }) => Err(RecordingError::UnsupportedVersion(v)),
        Err(_) => {
            let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
            Err(RecordingError::NotARecording(sanitize(&shown)))
        }
    }
}
