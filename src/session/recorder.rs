//! A session that is written to a file while it goes on, whatever it looks at.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
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

/// See the module. The file is good at any time; it lacks what came since it was written last.
pub struct Recorded {
    session: Box<dyn app::Session>,
    path: PathBuf,
    file: File,
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
}

impl Recorded {
    /// Writes what `session` tells to the file, of which nothing is left that was there before.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn new(session: Box<dyn app::Session>, file: ArchiveFile, head: &Head) -> io::Result<Self> {
        let ArchiveFile { path, mut file } = file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        let beginning = archive::beginning(head);
        file.write_all(&beginning)?;
        let end = beginning.len() as u64;
        Ok(Self {
            session,
            path,
            file,
            writer: Writer::default(),
            waiting: Vec::new(),
            end,
            file_bytes: end,
            rest_due: Instant::now() + REST_INTERVAL,
            is_finished: false,
            problem: None,
        })
    }

    /// What keeps the file from being whole, if anything does.
    pub fn problem(&self) -> Option<String> {
        let lost = self.writer.lost_blocks();
        let lost = (lost > 0).then(|| format!("{lost} blocks were forgotten before they could be written"));
        self.problem.clone().or(lost).map(|problem| format!("{}: {problem}", self.path.display()))
    }

    /// Writes what is new, if it is time.
    fn follow(&mut self) {
        if self.is_finished || self.problem.is_some() {
            return;
        }
        self.writer.new_chunks(self.session.trace(), &mut self.waiting);
        let now = Instant::now();
        if now >= self.rest_due {
            self.write(true);
            self.rest_due = Instant::now() + REST_INTERVAL.max(now.elapsed() * REST_SHARE);
        } else if self.waiting.len() >= WAITING_BYTES_MAX {
            self.write(false);
        }
    }

    /// Writes what waits and, where wanted, all that still changes.
    fn write(&mut self, with_rest: bool) {
        let outcome = self.session.status().outcome;
        let mut bytes = std::mem::take(&mut self.waiting);
        if with_rest {
            self.writer.flush(&mut bytes);
        }
        let kept = bytes.len() as u64;
        if with_rest {
            bytes.extend(self.writer.rest(self.session.trace(), outcome.as_ref()));
        }
        let written = (|| {
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(&bytes)?;
            let file_bytes = self.end + bytes.len() as u64;
            if file_bytes < self.file_bytes {
                self.file.set_len(file_bytes)?;
            }
            self.file_bytes = file_bytes;
            self.end += kept;
            Ok::<(), io::Error>(())
        })();
        if let Err(error) = written {
            self.problem = Some(format!("the archive could not be written on: {error}"));
        }
        bytes.clear();
        self.waiting = bytes;
    }

    /// Writes everything that there is; what comes later is not written any more.
    pub fn finish(&mut self) {
        if !self.is_finished && self.problem.is_none() {
            self.writer.new_chunks(self.session.trace(), &mut self.waiting);
            self.write(true);
        }
        self.is_finished = true;
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
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
        self.session.successor()
    }

    fn source(&self, file: &str) -> Option<&str> {
        self.session.source(file)
    }
}
