//! console-subscriber's own recordings (`TOKIO_CONSOLE_RECORD_PATH`): JSON lines with every poll and wake, exact, from
//! an unmodified program.
//!
//! They are read in whatever pieces they come, whole, still growing or cut. A line that is broken is skipped and
//! counted; nothing but the wrong format ends the reading.
//!
//! Only tasks have a `Spawn`. An id that is entered without one is that of a resource or of an operation, which only the
//! console wire names, so it makes no task; one that a waker names is a task whose spawn was lost.

mod awaits;
mod exact;
mod held;
mod line;
mod lines;
mod stamps;
mod teller;

use awaits::Awaits;
pub use awaits::Names;
pub use line::{Field, Header, Line, Stamp, VERSION, Value, WakerOp};
pub use lines::LINE_BYTES_MAX;
pub use stamps::Stamps;

use line::Untold;
use lines::{Lines, Piece};
use teller::{ENTERED_MAX, Teller};

use crate::plain::plain;
use crate::trace::{BrokenLine, Event, Nanos, Recorded, TaskId};

/// Broken lines of which it is told why; of more it is told how many.
const BROKEN_TOLD_MAX: usize = 20;

/// Characters of what is told of a broken line.
const WHY_CHARS_MAX: usize = 200;

/// Lines that are read between two looks at the clock, at most.
const LINES_PER_LOOK: usize = 512;

/// Why what is read is no recording that can be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "this is no recording of console-subscriber: its first line should be {{\"v\":{VERSION}}}, and is\n  {0}\n\
         An app makes one when it is started with TOKIO_CONSOLE_RECORD_PATH=FILE"
    )]
    NotOne(String),
    #[error(
        "this recording is of format version {0}, and only version {VERSION} is known\n\
         Another version of console-subscriber wrote it than this loopscope was made for"
    )]
    Version(u64),
}

/// See the module.
#[derive(Debug)]
pub struct Recording {
    lines: Lines,
    teller: Teller,
    stamps: Stamps,
    recorded: Recorded,
    /// The format is known.
    has_begun: bool,
    last: Nanos,
    /// Lines missed since then, and how many.
    missed: Option<(Nanos, u64)>,
}

impl Recording {
    /// Nothing is read yet; its stamps become loop time by `stamps`.
    pub fn new(stamps: Stamps) -> Self {
        Self {
            lines: Lines::default(),
            teller: Teller::default(),
            stamps,
            recorded: Recorded::default(),
            has_begun: false,
            last: 0,
            missed: None,
        }
    }

    /// Awaits are told too, as far as somebody says what spans are, and tasks can be asked for by their spawn.
    #[must_use]
    pub fn with_awaits(mut self) -> Self {
        self.teller.awaits = Some(Awaits::default());
        self
    }

    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// The task with this span that was spawned at this moment, in nanoseconds since 1970; once.
    pub fn born(&mut self, span: u64, epoch_ns: u64) -> Option<TaskId> {
        self.teller.born(span, epoch_ns)
    }

    /// Loop time of the last line.
    pub fn last(&self) -> Nanos {
        self.last
    }

    /// What is to be known of the recording itself.
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// Takes some lines from the beginning of `bytes`, which follow what was taken before, and returns those that are
    /// left. Call it until nothing is left.
    ///
    /// # Errors
    /// When this is no recording, or one of another version.
    pub fn take<'a>(
        &mut self,
        bytes: &'a [u8],
        names: &impl Names,
        out: &mut impl FnMut(Event),
    ) -> Result<&'a [u8], Error> {
        let mut left = bytes;
        for _ in 0..LINES_PER_LOOK {
            let Self { lines, teller, stamps, recorded, has_begun, last, missed } = self;
            let mut reading = Reading { teller, names, stamps, recorded, has_begun, last, missed };
            match lines.next(left, |number, piece| reading.line(number, &piece, out)) {
                None => {
                    left = &[];
                    break;
                }
                Some((rest, told)) => {
                    left = rest;
                    told.transpose()?;
                }
            }
        }
        self.recorded.lines = self.lines.number();
        self.recorded.unspawned = self.teller.unspawned;
        self.recorded.untold_tasks = self.teller.untold_tasks;
        Ok(left)
    }

    /// Bytes are missing before those that are taken next, with this many ends of lines in them.
    pub fn miss(&mut self, lines: u64, out: &mut impl FnMut(Event)) {
        self.lines.miss(lines);
        self.recorded.lost += lines;
        // A line that went on into what is missing is lost as well, even where it did not end there.
        let (from, already) = self.missed.unwrap_or((self.last, 0));
        self.missed = Some((from, already + lines.max(1)));
        self.teller.miss(self.last, out);
    }

    /// Nothing more came for `quiet_ns`: what waited for what comes next is told.
    pub fn settle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        self.teller.settle(quiet_ns, out);
    }

    /// More is known of spans than when they were entered: what goes on is named now, from when it began. A piece at a time.
    pub fn name_late(&mut self, names: &impl Names, out: &mut impl FnMut(Event)) {
        self.teller.name_late(names, out);
    }

    /// The app is gone, and there are tasks whose end it has not recorded.
    pub fn note_unfinished(&mut self) {
        self.recorded.is_unfinished = true;
    }

    /// Nothing will come any more.
    ///
    /// # Errors
    /// When this was no recording.
    pub fn finish(&mut self, out: &mut impl FnMut(Event)) -> Result<(), Error> {
        let unfinished = self.lines.unfinished();
        if !unfinished.is_empty() {
            let is_whole = !self.has_begun || Line::parse(&unfinished).is_ok();
            if is_whole {
                // Only its end is missing.
                self.take(&unfinished, &(), out)?;
                self.take(b"\n", &(), out)?;
            } else {
                self.recorded.is_cut = true;
            }
        }
        self.teller.settle(u64::MAX, out);
        Ok(())
    }
}

/// All that one line changes.
struct Reading<'a, N> {
    teller: &'a mut Teller,
    names: &'a N,
    stamps: &'a mut Stamps,
    recorded: &'a mut Recorded,
    has_begun: &'a mut bool,
    last: &'a mut Nanos,
    missed: &'a mut Option<(Nanos, u64)>,
}

impl<N: Names> Reading<'_, N> {
    fn line(&mut self, number: u64, piece: &Piece, out: &mut impl FnMut(Event)) -> Result<(), Error> {
        let line = match piece {
            Piece::Line(line) => *line,
            Piece::TooLong if *self.has_begun => {
                self.broken(number, format!("longer than {LINE_BYTES_MAX} bytes"), out);
                return Ok(());
            }
            Piece::TooLong => return Err(Error::NotOne(format!("longer than {LINE_BYTES_MAX} bytes"))),
        };
        if !*self.has_begun {
            check_header(line)?;
            *self.has_begun = true;
            return Ok(());
        }
        match Line::parse(line) {
            Ok(line) => self.fact(number, &line, out),
            Err(Untold::Unknown) => self.recorded.unknown += 1,
            // An empty line is nothing that is missing.
            Err(Untold::Broken(_)) if line.is_empty() => {}
            Err(Untold::Broken(why)) => self.broken(number, why, out),
        }
        Ok(())
    }

    fn fact(&mut self, number: u64, line: &Line, out: &mut impl FnMut(Event)) {
        let (Line::Spawn { at, .. }
        | Line::Enter { at, .. }
        | Line::Exit { at, .. }
        | Line::Close { at, .. }
        | Line::Waker { at, .. }) = line;
        let Some(epoch_ns) = at.epoch_ns() else {
            return self.broken(number, "its time is past the year 2554".to_owned(), out);
        };
        if matches!(line, Line::Enter { .. }) && self.teller.is_full() {
            return self.broken(number, format!("more than {ENTERED_MAX} spans are entered at once"), out);
        }
        let mut at = self.stamps.loop_time(epoch_ns);
        if at < *self.last {
            self.recorded.clamped += 1;
            at = *self.last;
        }
        *self.last = at;
        if let Some((from, dropped)) = self.missed.take() {
            out(Event::Gap { from, to: at, dropped });
        }
        self.recorded.events += 1;
        self.teller.tell(line, at, self.names, out);
    }

    fn broken(&mut self, number: u64, why: String, out: &mut impl FnMut(Event)) {
        self.recorded.skipped += 1;
        if self.recorded.broken.len() < BROKEN_TOLD_MAX {
            let why = plain(&why).chars().take(WHY_CHARS_MAX).collect();
            self.recorded.broken.push(BrokenLine { line: number, why });
        }
        let (from, dropped) = self.missed.unwrap_or((*self.last, 0));
        *self.missed = Some((from, dropped + 1));
        self.teller.miss(*self.last, out);
    }
}

/// Looks at the beginning of a file: may it be a recording, as far as its first line is there?
///
/// # Errors
/// When it cannot be one that is understood.
pub fn begins(bytes: &[u8]) -> Result<(), Error> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < bytes.len();
    // A first line that has not come yet may become one.
    if !is_whole && br#"{"v":"#.starts_with(line) {
        return Ok(());
    }
    check_header(line.strip_suffix(b"\r").unwrap_or(line))
}

fn check_header(line: &[u8]) -> Result<(), Error> {
    match serde_json::from_slice::<Header>(line) {
        Ok(Header { v: VERSION }) => Ok(()),
        Ok(Header { v }) => Err(Error::Version(v)),
        Err(_) => {
            let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
            Err(Error::NotOne(plain(&shown)))
        }
    }
}
