//! The pipe that an app records into, and the thread that drains it: console-subscriber blocks the app once 4,096 events
//! wait to be written, so whatever comes is taken at once, and what cannot be kept is dropped and counted.

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

use super::clock::Clock;
use crate::belongings::PrivateFolder;

/// Bytes that wait to be read by the session; past that what comes is dropped.
pub const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// Bytes that are taken at once: what the pipe itself holds.
const CHUNK_BYTES: usize = 64 << 10;

/// How long to wait for bytes before looking whether anybody still wants them.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Bytes that came at one time.
#[derive(Debug)]
pub struct Chunk {
    /// When they came, in nanoseconds since 1970.
    pub came: u64,
    pub bytes: Vec<u8>,
    /// Ends of lines in what was dropped just before; `None` where nothing was.
    pub missed: Option<u64>,
}

/// What came and was not taken yet.
#[derive(Debug, Default)]
struct Backlog {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    missed: Option<u64>,
    /// Somebody has opened the pipe to write.
    was_opened: bool,
    /// How often nobody had it open for writing and nothing was left in it.
    empty: u64,
}

/// The session's end of the pipe.
#[derive(Debug)]
pub struct Pipe {
    folder: PrivateFolder,
    backlog: Arc<Mutex<Backlog>>,
    /// Nobody wants anything any more.
    is_left: Arc<AtomicBool>,
}

impl Pipe {
    /// Makes a pipe in a folder that only this user can enter, and begins to drain it; `bell` rings when something came.
    ///
    /// # Errors
    /// Where the temporary folder, or a thread, is not to be had.
    pub fn open(clock: Clock, bell: Sender<()>) -> io::Result<Self> {
        Self::with_limit(clock, bell, BACKLOG_BYTES_MAX)
    }

    fn with_limit(clock: Clock, bell: Sender<()>, limit_bytes: usize) -> io::Result<Self> {
        let folder = PrivateFolder::make()?;
        let pipe = Self { folder, backlog: Arc::default(), is_left: Arc::default() };
        make_fifo(&pipe.path())?;
        // Opening must not wait for an app that perhaps never records, and its own opening must find a reader.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(pipe.path())?;
        let (backlog, is_left) = (Arc::clone(&pipe.backlog), Arc::clone(&pipe.is_left));
        std::thread::Builder::new().name("loopscope-recording".into()).spawn(move || {
            Drain { file, clock, backlog, bell, limit_bytes }.run(&is_left);
        })?;
        Ok(pipe)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("recording")
    }

    /// The first bytes that came by `until`, in nanoseconds since 1970.
    pub fn take(&self, until: u64) -> Option<Chunk> {
        let mut backlog = self.lock();
        backlog.chunks.front().filter(|chunk| chunk.came <= until)?;
        let chunk = backlog.chunks.pop_front()?;
        backlog.bytes -= chunk.bytes.len();
        Some(chunk)
    }

    /// Lines that were dropped at the very end, after which nothing came.
    pub fn missed_last(&self) -> Option<u64> {
        self.lock().missed.take()
    }

    /// Somebody records, or did.
    pub fn was_opened(&self) -> bool {
        self.lock().was_opened
    }

    /// How often it was found empty, with nobody who could write into it. Where that grows, everything that was written
    /// before is here.
    pub fn empty(&self) -> u64 {
        self.lock().empty
    }

    /// Something waits to be taken.
    pub fn has_more(&self) -> bool {
        !self.lock().chunks.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a pipe with a name, for this user only.
#[cfg(not(target_vendor = "apple"))]
fn make_fifo(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

/// The same where the system's own call is not to be had in safe code.
#[cfg(target_vendor = "apple")]
fn make_fifo(path: &Path) -> io::Result<()> {
    let made = std::process::Command::new("/usr/bin/mkfifo").args(["-m", "600"]).arg(path).status()?;
    made.success().then_some(()).ok_or_else(|| io::Error::other("mkfifo made no pipe"))
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.is_left.store(true, Ordering::Relaxed);
    }
}

/// The thread.
struct Drain {
    file: File,
    clock: Clock,
    backlog: Arc<Mutex<Backlog>>,
    bell: Sender<()>,
    limit_bytes: usize,
}

impl Drain {
    fn run(mut self, is_left: &AtomicBool) {
        let mut buffer = vec![0; CHUNK_BYTES];
        while !is_left.load(Ordering::Relaxed) {
            match self.file.read(&mut buffer) {
                // Nobody has it open for writing: not yet, or not any more.
                Ok(0) => {
                    self.change(|backlog| backlog.empty += 1);
                    std::thread::sleep(LOOK_INTERVAL / 4);
                }
                Ok(read) => self.keep(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.change(|backlog| backlog.was_opened = true);
                    self.wait();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not for long: nobody counts on it any more once the app has ended.
                Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        }
    }

    fn wait(&self) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_INTERVAL.subsec_nanos().into() };
        // Whatever it says, the next read says more.
        let _ = rustix::event::poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&timeout));
    }

    fn change(&self, change: impl FnOnce(&mut Backlog)) {
        change(&mut self.backlog.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn keep(&self, bytes: &[u8]) {
        let came = self.clock.now();
        self.change(|backlog| {
            backlog.was_opened = true;
            if backlog.bytes + bytes.len() > self.limit_bytes {
                let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
                *backlog.missed.get_or_insert(0) += lines;
                return;
            }
            backlog.bytes += bytes.len();
            let missed = backlog.missed.take();
            backlog.chunks.push_back(Chunk { came, bytes: bytes.to_vec(), missed });
        });
        // A bell that is ringing already is heard.
        let _ = self.bell.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(30), "never came: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_never_holds_the_writer_up_and_what_is_lost_is_counted() {
        let (bell, _rung) = crossbeam_channel::bounded(1);
        let pipe = Pipe::with_limit(Clock::start(), bell, 100_000).expect("a pipe can be made");
        until("it was looked into", || pipe.empty() > 0);
        assert!(!pipe.was_opened(), "nobody writes");
        let mut file = OpenOptions::new().write(true).open(pipe.path()).expect("there is a reader");
        // Far more than the pipe and the backlog hold: this returns only because it is drained.
        let line = [b"x".repeat(999).as_slice(), b"\n"].concat();
        for _ in 0..1_000 {
            file.write_all(&line).expect("it is drained");
        }
        let mut taken = (0, 0);
        let mut take = |pipe: &Pipe| {
            while let Some(chunk) = pipe.take(u64::MAX) {
                taken.0 += memchr::memchr_iter(b'\n', &chunk.bytes).count() as u64;
                taken.1 += chunk.missed.unwrap_or(0);
            }
            taken
        };
        until("everything was written", || {
            let (kept, missed) = take(&pipe);
            kept + missed + pipe.lock().missed.unwrap_or(0) == 1_000
        });
        assert!(pipe.was_opened() && !pipe.has_more());
        let before = pipe.empty();
        drop(file);
        until("it is empty", || pipe.empty() > before);
        let path = pipe.path();
        drop(pipe);
        assert!(!path.exists(), "nothing is left behind");
    }
}
