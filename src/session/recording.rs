//! A recording of console-subscriber's: read a slice at a time, so that the screen is up at once, and followed while it
//! grows.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::notes;
use crate::app;
use crate::control::{
    ClockKind, Command, FeedChoice, Link, LinkState, Outcome, Phase, SourceKind, Speed, Status, Steering,
};
use crate::feed::recording::{Recording, Stamps};
use crate::trace::Trace;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// A file that was written to so short a time ago may be about to grow.
const GROWING: Duration = Duration::from_secs(1);

/// How often a file that is followed is asked whether it has grown.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long to read on once it reaches its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The file is whole, or has stopped growing.
    Whole,
    /// The person has seen enough.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is more in the file than was read.
    Reading,
    /// Everything in the file is read, and there may come more.
    Growing,
    Over,
}

/// See the module.
pub struct RecordingSession {
    path: PathBuf,
    file: File,
    until: Until,
    budget_bytes: usize,
    trace: Trace,
    recording: Recording,
    buffer: Vec<u8>,
    /// Where in the buffer what is not taken yet begins and ends.
    untaken: (usize, usize),
    read_bytes: u64,
    file_bytes: u64,
    /// When bytes came last, and when it was last asked for more.
    last_came: Instant,
    state: State,
    outcome: Option<Outcome>,
    /// The file was begun anew, by another process.
    was_replaced: bool,
}

impl RecordingSession {
    /// Begins to read the file at `path` into a trace of at most about `budget_bytes`.
    ///
    /// # Errors
    /// When it cannot be opened, or is no file.
    pub fn open(path: &Path, until: Until, budget_bytes: usize) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        let file = File::open(path)?;
        let mut trace = Trace::with_budget(budget_bytes);
        trace.set_foreign();
        let recording = Recording::new(Stamps::from_first());
        trace.set_recorded(recording.recorded().clone());
        Ok(Self {
            path: path.to_owned(),
            file,
            until,
            budget_bytes,
            trace,
            recording,
            buffer: vec![0; READ_BYTES],
            untaken: (0, 0),
            read_bytes: 0,
            file_bytes: metadata.len(),
            last_came: Instant::now(),
            state: State::Reading,
            outcome: None,
            was_replaced: false,
        })
    }

    fn read_percent(&self) -> u64 {
        let untaken = (self.untaken.1 - self.untaken.0) as u64;
        self.read_bytes.saturating_sub(untaken).saturating_mul(100) / self.file_bytes.max(1)
    }

    /// Takes some lines, or reads some bytes. Tells whether there were any.
    fn step(&mut self) -> Result<bool, Outcome> {
        let failed = |error: &dyn std::fmt::Display| Outcome::Failed(error.to_string());
        let (begin, end) = self.untaken;
        let trace = &mut self.trace;
        if begin < end {
            let left = self.recording.take(&self.buffer[begin..end], &(), &mut |event| trace.apply(event));
            self.untaken.0 = end - left.map_err(|error| failed(&error))?.len();
            return Ok(true);
        }
        let read = match self.file.read(&mut self.buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(Outcome::Failed(format!("it cannot be read any further: {error}"))),
        };
        if read > 0 {
            (self.untaken, self.state, self.last_came) = ((0, read), State::Reading, Instant::now());
            self.read_bytes += read as u64;
            self.file_bytes = self.file_bytes.max(self.read_bytes);
            return Ok(true);
        }
        self.at_the_end()
    }

    /// Everything that is in the file now is read. Tells whether that is new.
    fn at_the_end(&mut self) -> Result<bool, Outcome> {
        let metadata = self.file.metadata().ok();
        let trace = &mut self.trace;
        let quiet_ns = u64::try_from(self.last_came.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recording.settle(quiet_ns, &mut |event| trace.apply(event));
        if self.until == Until::Told && self.is_replaced(metadata.as_ref()) {
            self.was_replaced = true;
            return Err(Outcome::Detached);
        }
        let may_grow = self.until == Until::Told || metadata.is_some_and(|metadata| is_fresh(&metadata));
        if !may_grow {
            return Err(Outcome::Completed(serde_json::Value::Null));
        }
        Ok(std::mem::replace(&mut self.state, State::Growing) != State::Growing)
    }

    /// The file is shorter than what was read of it, or another one has its name.
    fn is_replaced(&self, metadata: Option<&Metadata>) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(own) = metadata else { return false };
        let is_other =
            std::fs::metadata(&self.path).is_ok_and(|there| (there.ino(), there.dev()) != (own.ino(), own.dev()));
        is_other || own.len() < self.read_bytes
    }

    fn end(&mut self, outcome: Outcome) {
        let trace = &mut self.trace;
        let finished = self.recording.finish(&mut |event| trace.apply(event));
        self.state = State::Over;
        self.outcome = Some(match (outcome, finished) {
            (failed @ Outcome::Failed(_), _) => failed,
            (_, Err(error)) => Outcome::Failed(error.to_string()),
            (outcome, Ok(())) if self.recording.recorded().lines > 0 => outcome,
            (_, Ok(())) => Outcome::Failed("it is empty: the app has recorded nothing".to_owned()),
        });
    }
}

fn is_fresh(metadata: &Metadata) -> bool {
    let written = metadata.modified().ok();
    // Also where clocks differ a little, as on another machine's disk.
    written.is_some_and(|written| match SystemTime::now().duration_since(written) {
        Ok(passed) => passed < GROWING,
        Err(ahead) => ahead.duration() < GROWING,
    })
}

impl app::Session for RecordingSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        let mut notes = vec![match self.state {
            State::Reading => format!("reading, {} %", self.read_percent()),
            State::Growing => "growing".to_owned(),
            State::Over if self.was_replaced => "the file was begun anew: this is what was in it before".to_owned(),
            State::Over => match &self.outcome {
                Some(Outcome::Failed(why)) => why.clone(),
                Some(Outcome::Cancelled) => format!("left before its end, at {} %", self.read_percent()),
                Some(Outcome::Detached) => "up to where it was left".to_owned(),
                Some(Outcome::Completed(_)) | None => "complete".to_owned(),
            },
        }];
        notes.extend(notes::of_recording(self.recording.recorded()));
        notes.extend(notes::of_threads(&self.trace));
        Status {
            name: self.path.display().to_string(),
            source: SourceKind::Recording,
            steering: Steering::Nothing,
            link: Some(Link { state: LinkState::Live, note: notes.join("; ") }),
            clock: ClockKind::Real,
            speed: Speed::Times(1.0),
            phase: if self.state == State::Over { Phase::Ended } else { Phase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        let mut changed = false;
        while self.state != State::Over {
            match self.step() {
                Ok(true) => changed = true,
                Ok(false) => break,
                Err(outcome) => {
                    self.end(outcome);
                    changed = true;
                }
            }
            if begun.elapsed() >= budget {
                break;
            }
        }
        if changed {
            self.trace.set_recorded(self.recording.recorded().clone());
        }
        changed
    }

    fn command(&mut self, command: Command) {
        if command == Command::Quit && self.state != State::Over {
            self.end(if self.until == Until::Told { Outcome::Detached } else { Outcome::Cancelled });
            self.trace.set_recorded(self.recording.recorded().clone());
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.state == State::Growing {
            std::thread::sleep(LOOK_INTERVAL.min(at_most));
        } else if self.state == State::Over {
            std::thread::sleep(at_most);
        }
    }

    fn successor(&mut self) -> Option<Box<dyn app::Session>> {
        if !self.was_replaced || self.until == Until::Whole {
            return None;
        }
        // Until the new one is there it may have no name for a moment.
        let next = Self::open(&self.path, self.until, self.budget_bytes).ok()?;
        self.until = Until::Whole;
        Some(Box::new(next))
    }
}
