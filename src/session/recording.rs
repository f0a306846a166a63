//! Sessions that read a console-subscriber recording in slices, and may follow it while it grows.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::file_writers::WriterSearch;
use super::interface::Session;
use super::notes;
use crate::control::{
    ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand,
    SessionStatus, SourceKind, Speed,
};
use crate::feed::recording::{RecordingClock, RecordingDecoder};
use crate::trace::Trace;

/// Size of one read in bytes.
const READ_BYTES: usize = 256 << 10;

/// A file modified within this time is assumed to be still growing.
const RECENT_WRITE: Duration = Duration::from_secs(1);

/// Interval between two searches for a process that has the file open.
const WRITER_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes at the beginning of a file that identify its content: the header and the first events, whose times differ from
/// run to run.
const BEGINNING_BYTES: usize = 512;

/// Polling interval for new data at the end of a growing file.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// When to stop reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUntil {
    /// At the end of the file, once it has stopped growing.
    EndOfFile,
    /// At the end of the file, once no process has it open for writing.
    WritersGone,
    /// When the user quits.
    UserQuit,
}

/// Progress of a [`RecordingSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    /// The file has unread data.
    Reading,
    /// All data is read, and the file may grow.
    Growing,
    /// Reading has ended.
    Ended,
}

/// A session that shows a console-subscriber recording.
pub struct RecordingSession {
    path: PathBuf,
    file: File,
    until: ReadUntil,
    budget_bytes: usize,
    trace: Trace,
    recording: RecordingDecoder,
    buffer: Vec<u8>,
    /// The first bytes of the file, at most [`BEGINNING_BYTES`].
    beginning: Vec<u8>,
    /// When writers were last searched for, and whether there was one.
    writers: Option<(Instant, bool)>,
    writer_search: WriterSearch,
    /// Range of the buffer that is not yet parsed.
    unparsed: (usize, usize),
    read_bytes: u64,
    file_bytes: u64,
    /// Time of the last successful read.
    last_read_at: Instant,
    state: ReadState,
    outcome: Option<RunOutcome>,
    /// The file was truncated or replaced, presumably by a restarted app.
    has_been_replaced: bool,
    /// The session of the new content has been taken.
    has_successor: bool,
}

impl RecordingSession {
    /// Opens the recording at `path`, with a trace memory budget of `budget_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or is not a regular file.
    pub fn open(path: &Path, until: ReadUntil, budget_bytes: usize) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        let mut trace = Trace::with_budget(budget_bytes);
        trace.set_external();
        let recording = RecordingDecoder::new(RecordingClock::from_first());
        trace.set_recording_stats(recording.stats().clone());
        Ok(Self {
            path: path.to_owned(),
            file,
            until,
            budget_bytes,
            trace,
            recording,
            buffer: vec![0; READ_BYTES],
            beginning: Vec::new(),
            writers: None,
            writer_search: WriterSearch::default(),
            unparsed: (0, 0),
            read_bytes: 0,
            file_bytes: metadata.len(),
            last_read_at: Instant::now(),
            state: ReadState::Reading,
            outcome: None,
            has_been_replaced: false,
            has_successor: false,
        })
    }

    fn read_percent(&self) -> u64 {
        let unparsed = (self.unparsed.1 - self.unparsed.0) as u64;
        self.read_bytes.saturating_sub(unparsed).saturating_mul(100) / self.file_bytes.max(1)
    }

    /// Parses buffered lines, or reads more data. Returns whether there was any, or the outcome at the end.
    fn read_step(&mut self) -> Result<bool, RunOutcome> {
        let failed = |error: &dyn std::fmt::Display| RunOutcome::Failed(error.to_string());
        let (begin, end) = self.unparsed;
        let trace = &mut self.trace;
        if begin < end {
            let left = self.recording.decode(&self.buffer[begin..end], &(), &mut |event| trace.apply(event));
            self.unparsed.0 = end - left.map_err(|error| failed(&error))?.len();
            return Ok(true);
        }
        let read = match self.file.read(&mut self.buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(RunOutcome::Failed(format!("read error: {error}"))),
        };
        if read > 0 {
            // Another run may have overwritten the file and grown past what was read of the first one.
            if !self.is_beginning_unchanged() {
                return Err(self.replaced());
            }
            let missing = BEGINNING_BYTES.saturating_sub(self.beginning.len());
            if missing > 0 && self.read_bytes == self.beginning.len() as u64 {
                self.beginning.extend_from_slice(&self.buffer[..read.min(missing)]);
            }
            (self.unparsed, self.state, self.last_read_at) = ((0, read), ReadState::Reading, Instant::now());
            self.read_bytes += read as u64;
            self.file_bytes = self.file_bytes.max(self.read_bytes);
            return Ok(true);
        }
        self.handle_end_of_file()
    }

    /// Handles the end of the file. Returns whether the state changed, or the outcome if reading ends.
    fn handle_end_of_file(&mut self) -> Result<bool, RunOutcome> {
        let metadata = self.file.metadata().ok();
        let trace = &mut self.trace;
        let idle_ns = u64::try_from(self.last_read_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recording.flush_idle(idle_ns, &mut |event| trace.apply(event));
        if self.is_replaced(metadata.as_ref()) {
            return Err(self.replaced());
        }
        let may_grow = self.until == ReadUntil::UserQuit
            || metadata.as_ref().is_some_and(is_recently_written)
            || (self.until == ReadUntil::WritersGone && self.has_writer(metadata.as_ref()));
        if !may_grow {
            return Err(RunOutcome::Completed(serde_json::Value::Null));
        }
        Ok(std::mem::replace(&mut self.state, ReadState::Growing) != ReadState::Growing)
    }

    /// Marks the file as replaced and returns the outcome.
    fn replaced(&mut self) -> RunOutcome {
        self.has_been_replaced = true;
        RunOutcome::Detached
    }

    /// Returns whether the file still begins with what was read first.
    fn is_beginning_unchanged(&self) -> bool {
        let mut there = vec![0; self.beginning.len()];
        self.file.read_exact_at(&mut there, 0).is_ok() && there == self.beginning
    }

    /// Returns whether a process has the file open for writing, as of the last search.
    fn has_writer(&mut self, metadata: Option<&Metadata>) -> bool {
        match self.writers {
            Some((at, found)) if at.elapsed() < WRITER_INTERVAL => found,
            _ => {
                let found = metadata.is_some_and(|file| self.writer_search.has_writer(file));
                self.writers = Some((Instant::now(), found));
                found
            }
        }
    }

    /// Returns whether the file was truncated, or replaced by another file at the same path.
    fn is_replaced(&self, metadata: Option<&Metadata>) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(own) = metadata else { return false };
        let is_other =
            std::fs::metadata(&self.path).is_ok_and(|there| (there.ino(), there.dev()) != (own.ino(), own.dev()));
        is_other || own.len() < self.read_bytes || !self.is_beginning_unchanged()
    }

    fn finish(&mut self, outcome: RunOutcome) {
        let trace = &mut self.trace;
        let finished = self.recording.finish(&mut |event| trace.apply(event));
        self.state = ReadState::Ended;
        self.outcome = Some(match (outcome, finished) {
            (failed @ RunOutcome::Failed(_), _) => failed,
            (_, Err(error)) => RunOutcome::Failed(error.to_string()),
            (outcome, Ok(())) if self.recording.stats().lines > 0 => outcome,
            (_, Ok(())) => RunOutcome::Failed("empty recording: the app recorded no events".to_owned()),
        });
    }
}

/// Returns whether the file was modified within [`RECENT_WRITE`].
fn is_recently_written(metadata: &Metadata) -> bool {
    let written = metadata.modified().ok();
    // Allow for clock skew, as on a network disk.
    written.is_some_and(|written| match SystemTime::now().duration_since(written) {
        Ok(passed) => passed < RECENT_WRITE,
        Err(ahead) => ahead.duration() < RECENT_WRITE,
    })
}

impl Session for RecordingSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let mut notes = vec![match self.state {
            ReadState::Reading => format!("reading, {} %", self.read_percent()),
            ReadState::Growing => "growing".to_owned(),
            ReadState::Ended if self.has_been_replaced => {
                "another run has overwritten the file; showing the previous run".to_owned()
            }
            ReadState::Ended => match &self.outcome {
                Some(RunOutcome::Failed(reason)) => reason.clone(),
                Some(RunOutcome::Cancelled) => format!("stopped at {} %", self.read_percent()),
                Some(RunOutcome::Detached) => "detached".to_owned(),
                Some(RunOutcome::Completed(_)) | None => "complete".to_owned(),
            },
        }];
        notes.extend(notes::recording_notes(self.recording.stats()));
        notes.extend(notes::thread_note(&self.trace));
        SessionStatus {
            name: self.path.display().to_string(),
            source: SourceKind::Recording,
            control_level: ControlLevel::ReadOnly,
            connection: Some(ConnectionStatus { state: ConnectionState::Live, note: notes.join("; ") }),
            clock: ClockKind::Real,
            speed: Speed::Factor(1.0),
            phase: if self.state == ReadState::Ended { RunPhase::Ended } else { RunPhase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let started = Instant::now();
        let mut changed = false;
        while self.state != ReadState::Ended {
            match self.read_step() {
                Ok(true) => changed = true,
                Ok(false) => break,
                Err(outcome) => {
                    self.finish(outcome);
                    changed = true;
                }
            }
            if started.elapsed() >= budget {
                break;
            }
        }
        if changed {
            self.trace.set_recording_stats(self.recording.stats().clone());
        }
        changed
    }

    fn command(&mut self, command: SessionCommand) {
        if command == SessionCommand::Quit && self.state != ReadState::Ended {
            // A file that is read to its end and may grow is complete so far.
            let is_following = self.until == ReadUntil::UserQuit
                || (self.until == ReadUntil::WritersGone && self.state == ReadState::Growing);
            self.finish(if is_following { RunOutcome::Detached } else { RunOutcome::Cancelled });
            self.trace.set_recording_stats(self.recording.stats().clone());
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.state == ReadState::Growing {
            std::thread::sleep(POLL_INTERVAL.min(at_most));
        } else if self.state == ReadState::Ended {
            std::thread::sleep(at_most);
        }
    }

    fn successor(&mut self) -> Option<Box<dyn Session>> {
        if !self.has_been_replaced || self.has_successor {
            return None;
        }
        // On failure try again later: while the file is being replaced, the path may not exist.
        let next = Self::open(&self.path, self.until, self.budget_bytes).ok()?;
        self.has_successor = true;
        Some(Box::new(next))
    }
}
