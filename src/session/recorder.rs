//! A session that is written to a file while it goes on, whatever it looks at.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app;
use crate::control::{Command, Hit, Link, LinkState, Phase, Status};
use crate::feed::archive::{self, Head, Writer};
use crate::trace::Trace;

/// How long the session is let go on before what it told is looked at: the memory budget of a trace holds a multiple of
/// what can come in that time.
const SLICE: Duration = Duration::from_millis(2);

/// Bytes that wait to be written at most.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How often what still changes is written, at most.
const REST_INTERVAL: Duration = Duration::from_secs(1);

/// To write that may take up to this part of the time.
const REST_SHARE: u32 = 20;

/// Files that stand beside each other at most.
const BESIDE_MAX: u32 = 10_000;

/// See the module. The file is good at any time; it lacks what came since it was written last.
pub struct Recorded {
    session: Box<dyn app::Session>,
    path: PathBuf,
    /// `None` where it could not be had.
    file: Option<File>,
    head: Head,
    writer: Writer,
    /// Chunks that wait.
    waiting: Vec<u8>,
    /// Where the next chunk goes: in the place of what still changed last time.
    end: u64,
    file_bytes: u64,
    rest_due: Instant,
    is_finished: bool,
    problem: Option<String>,
}

/// A file that an archive may be written to.
#[derive(Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    file: File,
}

impl ArchiveFile {
    /// Makes the file at `path`, or takes the one that is there if it is an archive or empty. Nothing is lost yet.
    ///
    /// # Errors
    /// Where the file cannot be written, or is something else that would be lost.
    pub fn at(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        let mut beginning = Vec::new();
        Read::by_ref(&mut file).take(16).read_to_end(&mut beginning)?;
        if !beginning.is_empty() && !archive::is_archive(&beginning) {
            let message = "there is a file already, and it is no archive of loopscope";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Makes a file of which there is none at `path`.
    ///
    /// # Errors
    /// Where the file cannot be made, or there is one already.
    pub fn new(path: &Path) -> io::Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "there is a file of this name already"),
            _ => error,
        })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Makes a file beside the one at `path`, called after it: `run-2.loop`. What is there is not written over.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension =
            path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
        let mut number = 2_u32;
        loop {
            match Self::new(&path.with_file_name(format!("{stem}-{number}{extension}"))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < BESIDE_MAX => number += 1,
                made => return made,
            }
        }
    }

    /// Empties it and writes how it begins; gives it with its path and the bytes that it has.
    fn begin(self, head: &Head) -> io::Result<(PathBuf, (File, u64))> {
        let Self { path, mut file } = self;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        let beginning = archive::beginning(head);
        file.write_all(&beginning)?;
        Ok((path, (file, beginning.len() as u64)))
    }

    /// Writes all of `session` that there is now, to a file that was made for it.
    ///
    /// # Errors
    /// Where the file cannot be written; it is gone then.
    pub fn save(self, session: &dyn app::Session, head: &Head) -> io::Result<()> {
        let saved = Self::write_all(self.file, session, head);
        if saved.is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
        saved
    }

    fn write_all(file: File, session: &dyn app::Session, head: &Head) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        out.write_all(&archive::beginning(head))?;
        let (mut writer, status) = (Writer::default(), session.status());
        writer.new_sources(session.sources(), &mut out)?;
        writer.new_chunks(session.trace(), &mut out)?;
        writer.flush(&mut out)?;
        out.write_all(&writer.rest(session.trace(), status.outcome.as_ref(), &note(&status))?)?;
        out.flush()
    }
}

/// Writes `bytes` from `end` on to a file of `file_bytes`. What goes past its end comes first: where there is no room for
/// that, the file stays as it was.
fn write_over(file: &mut File, end: u64, file_bytes: u64, bytes: &[u8]) -> io::Result<()> {
    let inside = usize::try_from(file_bytes.saturating_sub(end)).unwrap_or(usize::MAX).min(bytes.len());
    let (inside, past) = bytes.split_at(inside);
    if !past.is_empty() {
        let written = file.seek(SeekFrom::Start(file_bytes)).and_then(|_| file.write_all(past));
        if let Err(error) = written {
            let _ = file.set_len(file_bytes);
            return Err(error);
        }
    }
    file.seek(SeekFrom::Start(end))?;
    file.write_all(inside)
}

/// What is to be known of what is seen, where it stands otherwise well.
fn note(status: &Status) -> String {
    status.link.as_ref().map_or_else(String::new, |link| link.note.clone())
}

impl Recorded {
    /// Writes what `session` tells to the file, of which nothing is left that was there before.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn new(session: Box<dyn app::Session>, file: ArchiveFile, head: Head) -> io::Result<Self> {
        let (path, begun) = file.begin(&head)?;
        Ok(Self::with(session, path, head, Ok(begun)))
    }

    /// Writes to the file that was begun; without one it only says why there is none.
    fn with(session: Box<dyn app::Session>, path: PathBuf, head: Head, file: io::Result<(File, u64)>) -> Self {
        let (begun, problem) = match file {
            Ok(begun) => (Some(begun), None),
            Err(error) => (None, Some(format!("what came after it could not be written beside it: {error}"))),
        };
        let (file, end) = begun.map_or((None, 0), |(file, end)| (Some(file), end));
        Self {
            session,
            path,
            file,
            head,
            writer: Writer::default(),
            waiting: Vec::new(),
            end,
            file_bytes: end,
            rest_due: Instant::now() + REST_INTERVAL,
            is_finished: false,
            problem,
        }
    }

    /// What this one led to, written to a file beside its own.
    fn beside(&self, session: Box<dyn app::Session>) -> Self {
        match ArchiveFile::beside(&self.path).and_then(|file| file.begin(&self.head)) {
            Ok((path, begun)) => Self::with(session, path, self.head.clone(), Ok(begun)),
            Err(error) => Self::with(session, self.path.clone(), self.head.clone(), Err(error)),
        }
    }

    /// What is written.
    pub fn watched(&self) -> &dyn app::Session {
        self.session.as_ref()
    }

    /// What keeps the file from being whole, if anything does.
    pub fn problem(&self) -> Option<String> {
        let lost = self.writer.lost_blocks();
        let lost = (lost > 0).then(|| format!("{lost} blocks were forgotten before they could be written"));
        self.problem.clone().or(lost).map(|problem| format!("{}: {problem}", self.path.display()))
    }

    /// Takes what is new, and writes it if it is time.
    fn follow(&mut self) {
        if self.is_finished || self.problem.is_some() {
            return;
        }
        self.take();
        let now = Instant::now();
        if now >= self.rest_due {
            self.write(true);
            self.rest_due = Instant::now() + REST_INTERVAL.max(now.elapsed() * REST_SHARE);
        } else if self.waiting.len() >= WAITING_BYTES_MAX {
            self.write(false);
        }
    }

    fn take(&mut self) {
        let (writer, waiting) = (&mut self.writer, &mut self.waiting);
        let taken = writer.new_sources(self.session.sources(), waiting);
        let taken = taken.and_then(|()| writer.new_chunks(self.session.trace(), waiting));
        self.note_problem(taken);
    }

    /// Writes what waits and, where wanted, all that still changes.
    fn write(&mut self, with_rest: bool) {
        let mut bytes = std::mem::take(&mut self.waiting);
        let written = self.write_bytes(&mut bytes, with_rest);
        self.note_problem(written);
        bytes.clear();
        self.waiting = bytes;
    }

    fn write_bytes(&mut self, bytes: &mut Vec<u8>, with_rest: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if with_rest {
            self.writer.flush(bytes)?;
        }
        let kept = bytes.len() as u64;
        if with_rest {
            let status = self.session.status();
            bytes.extend(self.writer.rest(self.session.trace(), status.outcome.as_ref(), &note(&status))?);
        }
        write_over(file, self.end, self.file_bytes, bytes)?;
        let file_bytes = self.end + bytes.len() as u64;
        if file_bytes < self.file_bytes {
            file.set_len(file_bytes)?;
        }
        self.file_bytes = file_bytes;
        self.end += kept;
        Ok(())
    }

    fn note_problem(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.problem.get_or_insert_with(|| format!("the archive could not be written on: {error}"));
        }
    }

    /// Writes everything that there is; what comes later is not written any more.
    pub fn finish(&mut self) {
        if !self.is_finished && self.problem.is_none() {
            self.take();
            self.write(true);
        }
        self.is_finished = true;
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // What is left now is left on purpose, and its archive says so.
        if !self.is_finished {
            self.session.command(Command::Quit);
        }
        self.finish();
    }
}

impl app::Session for Recorded {
    fn trace(&self) -> &Trace {
        self.session.trace()
    }

    fn status(&self) -> Status {
        let mut status = self.session.status();
        if let Some(problem) = self.problem() {
            let (state, note) = status.link.map_or((LinkState::Live, String::new()), |link| (link.state, link.note));
            let note = if note.is_empty() { problem } else { format!("{problem}; {note}") };
            status.link = Some(Link { state, note });
        }
        status
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        let mut changed = false;
        loop {
            let is_new = self.session.pump(SLICE.min(budget));
            changed |= is_new;
            self.follow();
            if !is_new || begun.elapsed() >= budget {
                break;
            }
        }
        if !self.is_finished && self.session.status().phase == Phase::Ended {
            self.finish();
        }
        changed
    }

    fn command(&mut self, command: Command) {
        self.session.command(command);
    }

    fn hit(&self) -> Option<Hit> {
        self.session.hit()
    }

    fn wait(&self, at_most: Duration) {
        self.session.wait(at_most);
    }

    fn successor(&mut self) -> Option<Box<dyn app::Session>> {
        let successor = self.session.successor()?;
        Some(Box::new(self.beside(successor)))
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.session.sources()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    #[test]
    fn a_file_that_can_grow_no_more_keeps_what_it_has() {
        let mut file: File = memfd_create("archive", MemfdFlags::ALLOW_SEALING).expect("there is memory").into();
        let read = |file: &mut File| {
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).expect("it is read");
            text
        };
        write_over(&mut file, 0, 0, b"head, rest").expect("there is room");
        write_over(&mut file, 6, 10, b"told, rest").expect("there is room");
        assert_eq!(read(&mut file), "head, told, rest");
        write_over(&mut file, 12, 16, b"end.").expect("there is room");
        // As a full disk has it.
        fcntl_add_seals(&file, SealFlags::GROW).expect("it is ours");
        write_over(&mut file, 12, 16, b"told, end.").expect_err("there is no room");
        assert_eq!(read(&mut file), "head, told, end.");
    }
}
