//! The named pipe that receives an app's recording, and the thread that drains it.
//!
//! console-subscriber blocks the app once 4,096 events wait to be written. The thread therefore always reads, and drops
//! and counts data beyond the backlog limit.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
#[cfg(not(target_vendor = "apple"))]
use rustix::fs::{CWD, Mode};

use crate::cleanup::PrivateTempDir;
use crate::session::epoch_clock::EpochClock;

/// Maximum size of the backlog in bytes. Data beyond it is dropped.
pub const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// Size of one read in bytes: the capacity of a pipe on Linux.
const CHUNK_BYTES: usize = 64 << 10;

/// Maximum wait for data before checking whether the pipe was dropped.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Maximum number of further processes with a pipe of their own.
const OTHER_PIPES_MAX: usize = 64;

/// Maximum number of reads of one further pipe at a time.
const READS_MAX: usize = 16;

/// Data of one read.
#[derive(Debug)]
pub struct RecordingChunk {
    /// Arrival time in nanoseconds since 1970.
    pub arrived_at: u64,
    /// The data.
    pub bytes: Vec<u8>,
    /// Number of line ends in data dropped just before this chunk; `None` if none was dropped.
    pub dropped_lines: Option<u64>,
}

/// Data that was read from the pipe and not yet taken by the session.
#[derive(Debug, Default)]
struct PipeBacklog {
    chunks: VecDeque<RecordingChunk>,
    /// Total size of the chunks in bytes.
    bytes: usize,
    /// Number of line ends in data dropped after the last chunk.
    dropped_lines: Option<u64>,
    /// A writer has opened the pipe.
    has_been_opened: bool,
    /// Number of reads that found no data and no writer.
    empty_count: u64,
    /// Number of further processes that opened the pipe's path, such as children of the app.
    other_processes: u64,
}

/// The session's end of the recording pipe.
#[derive(Debug)]
pub struct RecordingPipe {
    folder: PrivateTempDir,
    backlog: Arc<Mutex<PipeBacklog>>,
    /// Ends the thread.
    is_closed: Arc<AtomicBool>,
}

impl RecordingPipe {
    /// Creates a pipe in a private temporary folder and starts draining it. `bell` is signalled for each chunk.
    ///
    /// # Errors
    /// Returns an error if the folder, the pipe or the thread cannot be created.
    pub fn open(clock: EpochClock, wakeup: Sender<()>) -> io::Result<Self> {
        Self::with_limit(clock, wakeup, BACKLOG_BYTES_MAX)
    }

    fn with_limit(clock: EpochClock, wakeup: Sender<()>, limit_bytes: usize) -> io::Result<Self> {
        let folder = PrivateTempDir::create()?;
        let pipe = Self { folder, backlog: Arc::default(), is_closed: Arc::default() };
        make_fifo(&pipe.path())?;
        // The reader must exist before the app opens the pipe.
        let file = open_fifo(&pipe.path())?;
        let (backlog, is_closed) = (Arc::clone(&pipe.backlog), Arc::clone(&pipe.is_closed));
        let path = pipe.path();
        std::thread::Builder::new().name("loopscope-recording".into()).spawn(move || {
            PipeDrain { file, others: OtherPipes::new(path), clock, backlog, wakeup, limit_bytes }.run(&is_closed);
        })?;
        Ok(pipe)
    }

    /// Returns the private folder of the pipe.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the pipe.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("recording")
    }

    /// Takes the first chunk if it arrived by `until`, in nanoseconds since 1970.
    pub fn take(&self, until: u64) -> Option<RecordingChunk> {
        let mut backlog = self.lock();
        backlog.chunks.front().filter(|chunk| chunk.arrived_at <= until)?;
        let chunk = backlog.chunks.pop_front()?;
        backlog.bytes -= chunk.bytes.len();
        Some(chunk)
    }

    /// Takes the number of lines that were dropped after the last chunk.
    pub fn take_last_dropped(&self) -> Option<u64> {
        self.lock().dropped_lines.take()
    }

    /// Returns whether a writer has ever opened the pipe.
    pub fn has_been_opened(&self) -> bool {
        self.lock().has_been_opened
    }

    /// Returns how often the pipe was found empty and without a writer.
    ///
    /// An increase means that all data written before has been read.
    pub fn empty_count(&self) -> u64 {
        self.lock().empty_count
    }

    /// Returns how many processes besides the app have opened its recording. Their data is not shown.
    pub fn other_processes(&self) -> u64 {
        self.lock().other_processes
    }

    /// Returns whether there are chunks to take.
    pub fn has_more(&self) -> bool {
        !self.lock().chunks.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PipeBacklog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a named pipe for reading, without waiting for a writer: there may never be one.
fn open_fifo(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Creates a named pipe with access for the current user only.
#[cfg(not(target_vendor = "apple"))]
fn make_fifo(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

/// Creates a named pipe with access for the current user only, by a command: rustix has no `mkfifo` for Apple systems.
#[cfg(target_vendor = "apple")]
fn make_fifo(path: &Path) -> io::Result<()> {
    let result = std::process::Command::new("/usr/bin/mkfifo").args(["-m", "600"]).arg(path).status()?;
    result.success().then_some(()).ok_or_else(|| io::Error::other("mkfifo failed"))
}

impl Drop for RecordingPipe {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

/// The pipes of further processes. A child of the app inherits its environment, and its lines must neither mix with
/// those of the app nor block the child, so it finds another pipe at the path. What it writes is discarded.
struct OtherPipes {
    path: PathBuf,
    /// The pipe at the path. It is never closed: a process that opens a pipe without a reader would wait forever.
    next: Option<File>,
    /// A process has opened the pipe at the path, which could not be replaced. Further processes share it.
    is_shared: bool,
    /// Pipes that were opened and are no longer at the path.
    opened: Vec<File>,
}

impl OtherPipes {
    fn new(path: PathBuf) -> Self {
        Self { path, next: None, is_shared: false, opened: Vec::new() }
    }

    /// Puts a new pipe at the path; the one that was there stays open. On failure a child shares that one.
    fn replace_path(&mut self) -> bool {
        let prepared = self.path.with_extension("next");
        let made = make_fifo(&prepared).and_then(|()| open_fifo(&prepared));
        let Ok(next) = made.and_then(|next| std::fs::rename(&prepared, &self.path).map(|()| next)) else {
            let _ = std::fs::remove_file(&prepared);
            return false;
        };
        self.opened.extend(self.next.replace(next));
        true
    }

    /// Discards what arrived. Returns whether another process has opened a pipe.
    fn drain(&mut self, buffer: &mut [u8]) -> bool {
        let has_writer = self.next.as_mut().is_some_and(|next| match next.read(buffer) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
        let is_replaced = has_writer && self.opened.len() < OTHER_PIPES_MAX && self.replace_path();
        let was_shared = std::mem::replace(&mut self.is_shared, has_writer && !is_replaced);
        self.opened.retain_mut(|pipe| {
            // A fast writer must not keep the thread from the app's own pipe.
            let mut reads = (0..READS_MAX).map(|_| pipe.read(buffer));
            // A pipe without a writer reads as empty.
            reads.find(|read| !matches!(read, Ok(1..))).is_none_or(|last| last.is_err())
        });
        has_writer && !was_shared
    }
}

/// The thread that drains the pipe.
struct PipeDrain {
    file: File,
    others: OtherPipes,
    clock: EpochClock,
    backlog: Arc<Mutex<PipeBacklog>>,
    wakeup: Sender<()>,
    limit_bytes: usize,
}

impl PipeDrain {
    fn run(mut self, is_closed: &AtomicBool) {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut is_path_replaced = false;
        while !is_closed.load(Ordering::Relaxed) {
            if self.others.drain(&mut buffer) {
                self.update_backlog(|backlog| backlog.other_processes += 1);
            }
            match self.file.read(&mut buffer) {
                // There is no writer: not yet, or no longer.
                Ok(0) => {
                    self.update_backlog(|backlog| backlog.empty_count += 1);
                    std::thread::sleep(POLL_INTERVAL / 4);
                }
                Ok(read) => {
                    self.push(&buffer[..read]);
                    self.claim(&mut is_path_replaced);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.update_backlog(|backlog| backlog.has_been_opened = true);
                    self.claim(&mut is_path_replaced);
                    self.wait();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Retry until the app ends, when the session drops the pipe.
                Err(_) => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }

    /// Reserves the pipe for the process that has opened it.
    fn claim(&mut self, is_path_replaced: &mut bool) {
        if !std::mem::replace(is_path_replaced, true) {
            self.others.replace_path();
        }
    }

    fn wait(&self) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: POLL_INTERVAL.subsec_nanos().into() };
        // Errors and timeouts need no handling: the next read reports the state.
        let shared = self.others.next.iter().filter(|_| self.others.is_shared);
        let others = self.others.opened.iter().chain(shared).map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let mut pipes: Vec<_> = std::iter::once(PollFd::new(&self.file, PollFlags::IN)).chain(others).collect();
        let _ = rustix::event::poll(&mut pipes, Some(&timeout));
    }

    fn update_backlog(&self, change: impl FnOnce(&mut PipeBacklog)) {
        change(&mut self.backlog.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn push(&self, bytes: &[u8]) {
        let arrived_at = self.clock.now();
        self.update_backlog(|backlog| {
            backlog.has_been_opened = true;
            if backlog.bytes + bytes.len() > self.limit_bytes {
                let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
                *backlog.dropped_lines.get_or_insert(0) += lines;
                return;
            }
            backlog.bytes += bytes.len();
            let dropped_lines = backlog.dropped_lines.take();
            backlog.chunks.push_back(RecordingChunk { arrived_at, bytes: bytes.to_vec(), dropped_lines });
        });
        // If the channel is full, a wake-up is pending already.
        let _ = self.wakeup.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let started = std::time::Instant::now();
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(30), "timed out: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// More processes than there are pipes open the path, end, and are followed by another one.
    #[test]
    fn path_always_has_a_reader() {
        let folder = PrivateTempDir::create().expect("create a folder");
        let path = folder.path().join("recording");
        make_fifo(&path).expect("create a pipe");
        let _own = open_fifo(&path).expect("open the pipe");
        let mut others = OtherPipes::new(path.clone());
        assert!(others.replace_path());
        let mut buffer = vec![0; CHUNK_BYTES];
        let open = || {
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
            OpenOptions::new().write(true).custom_flags(flags).open(&path).expect("the path has a reader")
        };
        for _ in 0..2 {
            let mut writers = Vec::new();
            let mut opened = 0;
            for _ in 0..OTHER_PIPES_MAX + 2 {
                writers.push(open());
                opened += usize::from(others.drain(&mut buffer));
            }
            assert_eq!((opened, others.opened.len()), (OTHER_PIPES_MAX + 1, OTHER_PIPES_MAX));
            assert!(!others.drain(&mut buffer), "nothing is counted again");
            drop(writers);
            assert!(!others.drain(&mut buffer));
            assert!(others.opened.is_empty(), "pipes without a writer are closed");
        }
        drop(open());
    }

    #[test]
    fn writer_never_blocks_and_drops_are_counted() {
        let (wakeup, _receiver) = crossbeam_channel::bounded(1);
        let pipe = RecordingPipe::with_limit(EpochClock::start(), wakeup, 100_000).expect("create a pipe");
        until("the first read", || pipe.empty_count() > 0);
        assert!(!pipe.has_been_opened(), "there is no writer");
        let mut file = OpenOptions::new().write(true).open(pipe.path()).expect("the pipe has a reader");
        // This is far more than the pipe and the backlog hold. The writes return only if the pipe is drained.
        let line = [b"x".repeat(999).as_slice(), b"\n"].concat();
        for _ in 0..1_000 {
            file.write_all(&line).expect("write to the pipe");
        }
        let mut taken = (0, 0);
        let mut take = |pipe: &RecordingPipe| {
            while let Some(chunk) = pipe.take(u64::MAX) {
                taken.0 += memchr::memchr_iter(b'\n', &chunk.bytes).count() as u64;
                taken.1 += chunk.dropped_lines.unwrap_or(0);
            }
            taken
        };
        until("all lines are read", || {
            let (received, dropped_lines) = take(&pipe);
            received + dropped_lines + pipe.lock().dropped_lines.unwrap_or(0) == 1_000
        });
        assert!(pipe.has_been_opened() && !pipe.has_more());
        let before = pipe.empty_count();
        drop(file);
        until("the pipe is empty", || pipe.empty_count() > before);
        let path = pipe.path();
        drop(pipe);
        assert!(!path.exists(), "the folder is removed");
    }
}
