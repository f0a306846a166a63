//! Writing any session to an archive while it runs.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interface::Session;
use crate::control::{
    BreakpointHit, ConnectionState, ConnectionStatus, FeedChoice, RunPhase, SessionCommand, SessionStatus,
};
use crate::feed::archive::{self, ArchiveHeader, ArchiveWriter};
use crate::insight::units::pluralize;
use crate::trace::Trace;

/// Time between two transfers from the trace to the archive buffer.
///
/// The memory budget of a trace holds a multiple of the events that can arrive in this time, so that no block is
/// evicted before it is written.
const PUMP_SLICE: Duration = Duration::from_millis(2);

/// Size of the archive buffer in bytes that triggers a write.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Minimum time between two writes of the archive's tail: the data that still changes.
const TAIL_INTERVAL: Duration = Duration::from_secs(1);

/// Writing the tail takes at most 1/20 of the time.
const TAIL_TIME_DIVISOR: u32 = 20;

/// Highest number in the name of a sibling file.
const SIBLING_NUMBER_MAX: u32 = 10_000;

/// A session that is written to an archive while it runs.
///
/// The file is a valid archive at any time; it lacks the events since the last write.
pub struct ArchivingSession {
    session: Box<dyn Session>,
    path: PathBuf,
    /// `None` if the file could not be created.
    file: Option<File>,
    head: ArchiveHeader,
    /// The feed, if it is another one than the header says.
    feed: Option<FeedChoice>,
    writer: ArchiveWriter,
    /// Encoded chunks that are not yet written.
    buffer: Vec<u8>,
    /// File offset of the next chunk. The tail written last begins here and is overwritten.
    append_offset: u64,
    /// Size of the file in bytes.
    file_bytes: u64,
    /// When the tail is written next.
    tail_due: Instant,
    is_finished: bool,
    /// The error that ended the writing.
    problem: Option<String>,
}

/// A file, open for writing, that may be overwritten with an archive.
#[derive(Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    file: File,
}

impl ArchiveFile {
    /// Creates the file at `path`, or opens an existing file that is an archive or empty. Does not modify its contents.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened for writing, or has other contents.
    pub fn open_or_create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut beginning = Vec::new();
        Read::by_ref(&mut file).take(16).read_to_end(&mut beginning)?;
        if !beginning.is_empty() && !archive::is_archive(&beginning) {
            let message = "the file exists and is not a loopscope archive";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Creates a new file at `path`.
    ///
    /// # Errors
    /// Returns an error if the file exists or cannot be created.
    pub fn create_new(path: &Path) -> io::Result<Self> {
        let result = OpenOptions::new().write(true).create_new(true).open(path);
        let file = result.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "the file already exists"),
            _ => error,
        })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Creates a new file next to `path` with a number in its name: `run-2.loop` for `run.loop`.
    ///
    /// # Errors
    /// Returns an error if no such file can be created.
    pub fn create_sibling(path: &Path) -> io::Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension =
            path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
        let mut number = 2_u32;
        loop {
            match Self::create_new(&path.with_file_name(format!("{stem}-{number}{extension}"))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < SIBLING_NUMBER_MAX => {
                    number += 1;
                }
                result => return result,
            }
        }
    }

    /// Truncates the file and writes the archive header. Returns the path, the file and its size in bytes.
    fn write_header(self, head: &ArchiveHeader) -> io::Result<(PathBuf, (File, u64))> {
        let Self { path, mut file } = self;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        let beginning = archive::encode_beginning(head);
        file.write_all(&beginning)?;
        Ok((path, (file, beginning.len() as u64)))
    }

    /// Writes the current state of `session` to a newly created file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; the file is removed.
    pub fn save(self, session: &dyn Session, head: &ArchiveHeader) -> io::Result<()> {
        let saved = Self::write_session(self.file, session, head);
        if saved.is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
        saved
    }

    fn write_session(file: File, session: &dyn Session, head: &ArchiveHeader) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        out.write_all(&archive::encode_beginning(head))?;
        let (mut writer, status) = (ArchiveWriter::default(), session.status());
        writer.write_sources(session.sources(), &mut out)?;
        writer.write_new_chunks(session.trace(), &mut out)?;
        writer.flush(&mut out)?;
        out.write_all(&writer.encode_tail(session.trace(), status.outcome.as_ref(), &connection_note(&status))?)?;
        out.flush()
    }
}

/// Writes `bytes` at offset `end` to a file of `file_bytes` bytes.
///
/// The part beyond the end of the file is written first: if the disk is full, the file stays unchanged.
fn write_at(file: &mut File, append_offset: u64, file_bytes: u64, bytes: &[u8]) -> io::Result<()> {
    let inside = usize::try_from(file_bytes.saturating_sub(append_offset)).unwrap_or(usize::MAX).min(bytes.len());
    let (inside, past) = bytes.split_at(inside);
    if !past.is_empty() {
        let written = file.seek(SeekFrom::Start(file_bytes)).and_then(|_| file.write_all(past));
        if let Err(error) = written {
            let _ = file.set_len(file_bytes);
            return Err(error);
        }
    }
    file.seek(SeekFrom::Start(append_offset))?;
    file.write_all(inside)
}

/// Returns the note of the link, or an empty string.
fn connection_note(status: &SessionStatus) -> String {
    status.connection.as_ref().map_or_else(String::new, |connection| connection.note.clone())
}

impl ArchivingSession {
    /// Starts writing `session` to `file`. Previous contents of the file are lost.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn new(session: Box<dyn Session>, file: ArchiveFile, head: ArchiveHeader) -> io::Result<Self> {
        let (path, open_file) = file.write_header(&head)?;
        Ok(Self::from_file(session, path, head, Ok(open_file)))
    }

    /// Wraps `session` with an open file and its size, or with the error that the status should report.
    fn from_file(session: Box<dyn Session>, path: PathBuf, head: ArchiveHeader, file: io::Result<(File, u64)>) -> Self {
        let (open_file, problem) = match file {
            Ok(open_file) => (Some(open_file), None),
            Err(error) => (None, Some(format!("cannot create an archive for the successor: {error}"))),
        };
        let (file, append_offset) = open_file.map_or((None, 0), |(file, append_offset)| (Some(file), append_offset));
        Self {
            session,
            path,
            file,
            head,
            feed: None,
            writer: ArchiveWriter::default(),
            buffer: Vec::new(),
            append_offset,
            file_bytes: append_offset,
            tail_due: Instant::now() + TAIL_INTERVAL,
            is_finished: false,
            problem,
        }
    }

    /// Wraps the successor session; its archive is a sibling of this one's file.
    fn wrap_successor(&self, session: Box<dyn Session>) -> Self {
        match ArchiveFile::create_sibling(&self.path).and_then(|file| file.write_header(&self.head)) {
            Ok((path, open_file)) => Self::from_file(session, path, self.head.clone(), Ok(open_file)),
            Err(error) => Self::from_file(session, self.path.clone(), self.head.clone(), Err(error)),
        }
    }

    /// Returns the wrapped session.
    pub fn inner(&self) -> &dyn Session {
        self.session.as_ref()
    }

    /// Returns why the archive is incomplete, or `None` if it is complete so far.
    pub fn problem(&self) -> Option<String> {
        let lost = self.writer.lost_blocks();
        let lost = (lost > 0).then(|| {
            let blocks = pluralize(lost, "block");
            format!("some data was evicted before it could be archived ({blocks}); help: raise the setting `memory`")
        });
        self.problem.clone().or(lost).map(|problem| format!("{}: {problem}", self.path.display()))
    }

    /// Collects new data, and writes it to the file when due.
    fn archive_new_data(&mut self) {
        if self.is_finished || self.problem.is_some() {
            return;
        }
        self.collect();
        let now = Instant::now();
        if now >= self.tail_due {
            self.write_buffer(true);
            self.tail_due = Instant::now() + TAIL_INTERVAL.max(now.elapsed() * TAIL_TIME_DIVISOR);
        } else if self.buffer.len() >= BUFFER_BYTES_MAX {
            self.write_buffer(false);
        }
    }

    fn collect(&mut self) {
        let (writer, buffer) = (&mut self.writer, &mut self.buffer);
        let collected = writer.write_sources(self.session.sources(), buffer);
        let collected = collected.and_then(|()| writer.write_new_chunks(self.session.trace(), buffer));
        self.note_problem(collected);
    }

    /// Writes the buffer and, if `with_rest`, the tail.
    fn write_buffer(&mut self, with_tail: bool) {
        let mut bytes = std::mem::take(&mut self.buffer);
        let written = self.write_bytes(&mut bytes, with_tail);
        self.note_problem(written);
        bytes.clear();
        self.buffer = bytes;
    }

    fn write_bytes(&mut self, bytes: &mut Vec<u8>, with_tail: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let status = self.session.status();
        if with_tail {
            self.writer.flush(bytes)?;
            // Whether a started app has the probe is known once it has connected.
            let written = self.feed.map_or(self.head.feed.as_str(), |feed| feed.name());
            if status.feed.name() != written {
                archive::write_feed(status.feed, bytes)?;
                self.feed = Some(status.feed);
            }
        }
        let appended_bytes = bytes.len() as u64;
        if with_tail {
            bytes.extend(self.writer.encode_tail(
                self.session.trace(),
                status.outcome.as_ref(),
                &connection_note(&status),
            )?);
        }
        write_at(file, self.append_offset, self.file_bytes, bytes)?;
        let file_bytes = self.append_offset + bytes.len() as u64;
        if file_bytes < self.file_bytes {
            file.set_len(file_bytes)?;
        }
        self.file_bytes = file_bytes;
        self.append_offset += appended_bytes;
        Ok(())
    }

    fn note_problem(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.problem.get_or_insert_with(|| format!("cannot write the archive: {error}"));
        }
    }

    /// Writes everything received so far and stops writing.
    pub fn finish(&mut self) {
        if !self.is_finished && self.problem.is_none() {
            self.collect();
            self.write_buffer(true);
        }
        self.is_finished = true;
    }
}

impl Drop for ArchivingSession {
    fn drop(&mut self) {
        // The user ended the session, so the archive records that outcome.
        if !self.is_finished {
            self.session.command(SessionCommand::Quit);
        }
        self.finish();
    }
}

impl Session for ArchivingSession {
    fn trace(&self) -> &Trace {
        self.session.trace()
    }

    fn status(&self) -> SessionStatus {
        let mut status = self.session.status();
        if let Some(problem) = self.problem() {
            let (state, note) = status
                .connection
                .map_or((ConnectionState::Live, String::new()), |connection| (connection.state, connection.note));
            let note = if note.is_empty() { problem } else { format!("{problem}; {note}") };
            status.connection = Some(ConnectionStatus { state, note });
        }
        status
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let open_file = Instant::now();
        let mut changed = false;
        loop {
            let is_new = self.session.pump(PUMP_SLICE.min(budget));
            changed |= is_new;
            self.archive_new_data();
            if !is_new || open_file.elapsed() >= budget {
                break;
            }
        }
        if !self.is_finished && self.session.status().phase == RunPhase::Ended {
            self.finish();
        }
        changed
    }

    fn command(&mut self, command: SessionCommand) {
        self.session.command(command);
    }

    fn hit(&self) -> Option<BreakpointHit> {
        self.session.hit()
    }

    fn wait(&self, at_most: Duration) {
        self.session.wait(at_most);
    }

    fn successor(&mut self) -> Option<Box<dyn Session>> {
        let successor = self.session.successor()?;
        Some(Box::new(self.wrap_successor(successor)))
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.session.sources()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    #[test]
    fn full_disk_keeps_previous_contents() {
        let mut file: File = memfd_create("archive", MemfdFlags::ALLOW_SEALING).expect("there is memory").into();
        let read = |file: &mut File| {
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).expect("it is read");
            text
        };
        write_at(&mut file, 0, 0, b"head, rest").expect("write to the file");
        write_at(&mut file, 6, 10, b"more, rest").expect("write to the file");
        assert_eq!(read(&mut file), "head, more, rest");
        write_at(&mut file, 12, 16, b"end.").expect("write to the file");
        // A sealed file cannot grow, like a file on a full disk.
        fcntl_add_seals(&file, SealFlags::GROW).expect("seals are allowed");
        write_at(&mut file, 12, 16, b"more, end.").expect_err("the file cannot grow");
        assert_eq!(read(&mut file), "head, more, end.");
    }
}
