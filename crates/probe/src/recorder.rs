//! The flight recorder: the last frames, in memory.
//!
//! Frames are kept in segments. Each begins with a snapshot of everything that lives, so that the oldest ones can be
//! removed as a whole.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::collector::{self, ROUND_INTERVAL};
use crate::problems::print_problem;
use crate::protocol::{Definition, FILE_MAGIC, FrameKind, Thread, write_frame};
use crate::sites::KnownSites;
use crate::snapshot::LiveRecords;
use crate::{connection, hello, queues, recording_file};

/// Segments in the kept time and in the kept bytes.
const SEGMENTS: u32 = 4;

/// Threads whose definitions are kept.
const THREADS_MAX: usize = 1 << 16;

/// How long a dump waits for a last round.
const ROUND_TIMEOUT: Duration = Duration::from_millis(500);

/// Shortest time between two dumps because of panics.
const PANIC_INTERVAL: Duration = Duration::from_secs(10);

/// Frames from one snapshot to the next.
struct Segment {
    start: Instant,
    snapshot: Vec<u8>,
    rounds: Vec<u8>,
}

struct Recorder {
    duration: Duration,
    bytes_max: usize,
    segments: VecDeque<Segment>,
    threads: BTreeMap<u32, Thread>,
}

static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Number of rounds that were kept.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn lock() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether the flight recorder is enabled.
pub(crate) fn is_enabled() -> bool {
    IS_ENABLED.load(Ordering::SeqCst)
}

/// Starts to keep frames of this time, at most this many bytes.
pub(crate) fn start(duration: Duration, bytes_max: usize) -> io::Result<()> {
    *lock() = Some(Recorder { duration, bytes_max, segments: VecDeque::new(), threads: BTreeMap::new() });
    if IS_ENABLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    // Recording begins before the first task is spawned.
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    connection::spawn_thread(move || {
        let mut sender = Some(sender);
        loop {
            collect_until_wanted(|| drop(sender.take()));
            connection::wait_until_unwanted();
        }
    })?;
    // The sender is dropped when recording has begun.
    let _ = receiver.recv();
    Ok(())
}

/// Collects until a connection wants to.
fn collect_until_wanted(on_start: impl FnOnce()) {
    let mut collector = collector::lock_collector();
    collector::set_thread(Some(std::thread::current()));
    collector.start();
    // The first segment begins at once.
    NextSegment::prepare().into_iter().for_each(NextSegment::begin);
    on_start();
    while !connection::is_collector_wanted() {
        collector::rebuild_if_asked();
        let next_segment = NextSegment::prepare();
        // Memory is the only sink, and does not fail.
        let _ = collector.round(true, &mut |_| Ok(()));
        next_segment.into_iter().for_each(NextSegment::begin);
        std::thread::park_timeout(ROUND_INTERVAL);
    }
    collector::set_thread(None);
}

/// What lives before the last round of a segment.
pub(crate) struct NextSegment {
    live: LiveRecords,
    /// Bytes of the segment before that round.
    bytes_before: usize,
}

impl NextSegment {
    /// Looks at what lives, if a new segment should begin after the next round.
    pub(crate) fn prepare() -> Option<Self> {
        let recorder = lock();
        let recorder = recorder.as_ref().filter(|recorder| recorder.is_segment_due())?;
        let bytes_before = recorder.segments.back().map_or(0, |segment| segment.rounds.len());
        Some(Self { live: LiveRecords::gather(), bytes_before })
    }

    /// Begins the segment. What was created or ended in the round before changes its snapshot.
    pub(crate) fn begin(mut self) {
        let mut recorder = lock();
        let Some(recorder) = recorder.as_mut() else { return };
        let last = recorder.segments.back().and_then(|segment| segment.rounds.get(self.bytes_before..));
        self.live.update(last.unwrap_or_default());
        let mut snapshot = Vec::new();
        self.live.write(&mut snapshot);
        recorder.segments.push_back(Segment { start: Instant::now(), snapshot, rounds: Vec::new() });
        // The segment may become the oldest one.
        queues::forget_samples();
        recorder.remove_old();
    }
}

/// Keeps frames of a round.
pub(crate) fn keep(frames: &[u8]) {
    if let Some(recorder) = &mut *lock()
        && let Some(segment) = recorder.segments.back_mut()
    {
        segment.rounds.extend_from_slice(frames);
        recorder.remove_old();
    }
}

/// Notes that a round is complete.
pub(crate) fn end_round() {
    ROUNDS.fetch_add(1, Ordering::SeqCst);
}

/// Keeps the definition of a thread.
pub(crate) fn keep_thread(thread: &Thread) {
    if let Some(recorder) = &mut *lock() {
        if recorder.threads.len() >= THREADS_MAX {
            recorder.threads.pop_first();
        }
        recorder.threads.insert(thread.id, thread.clone());
    }
}

impl Recorder {
    fn is_segment_due(&self) -> bool {
        self.segments.back().is_none_or(|segment| {
            segment.start.elapsed() > self.duration / SEGMENTS
                || segment.rounds.len() > self.bytes_max / SEGMENTS as usize
        })
    }

    /// Removes segments as long as the others hold the time, or are too long. The last two are kept in any case, so that
    /// what just happened is never lost.
    fn remove_old(&mut self) {
        let bytes = |segment: &Segment| segment.snapshot.len() + segment.rounds.len();
        while self.segments.len() > 2 {
            let is_long = self.segments.iter().map(bytes).sum::<usize>() > self.bytes_max;
            let is_old = self.segments.get(1).is_some_and(|second| second.start.elapsed() > self.duration);
            if !is_long && !is_old {
                return;
            }
            self.segments.pop_front();
        }
    }

    /// Writes definitions, the oldest snapshot and all rounds.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let threads = self.threads.values().cloned().map(Definition::Thread);
        let mut frames = Vec::new();
        for definition in KnownSites::default().update().into_iter().chain(threads) {
            let payload = serde_json::to_vec(&definition).map_err(io::Error::other)?;
            write_frame(FrameKind::Definition as u8, &payload, &mut frames);
        }
        out.write_all(&frames)?;
        for (index, segment) in self.segments.iter().enumerate() {
            if index == 0 {
                out.write_all(&segment.snapshot)?;
            }
            out.write_all(&segment.rounds)?;
        }
        Ok(())
    }
}

/// Writes the frames that are kept, up to now.
pub(crate) fn write_frames(out: &mut dyn Write) -> io::Result<()> {
    // A round that begins now holds everything up to now, and the one after it is complete for certain.
    let (rounds, since) = (ROUNDS.load(Ordering::SeqCst) + 2, Instant::now());
    while ROUNDS.load(Ordering::SeqCst) < rounds && since.elapsed() < ROUND_TIMEOUT {
        collector::wake();
        std::thread::sleep(Duration::from_millis(1));
    }
    let recorder = lock();
    let recorder = recorder.as_ref().ok_or_else(|| io::Error::other("the program has no flight recorder"))?;
    recorder.write(out)
}

/// Writes what the flight recorder holds into a file, which `loopscope` opens. The file is replaced if it exists. A new
/// one gets mode 0600.
///
/// # Errors
/// Fails if there is no flight recorder, or if the file cannot be written.
///
/// ```
/// use std::time::Duration;
///
/// let _probe = loopscope_probe::builder().flight_recorder(Duration::from_secs(30), 64 << 20).init();
/// let path = std::env::temp_dir().join(format!("probe-{}.lsprobe", std::process::id()));
/// loopscope_probe::dump(&path)?;
/// assert!(std::fs::read(&path)?.starts_with(loopscope_probe::protocol::FILE_MAGIC));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump(path: impl AsRef<Path>) -> io::Result<()> {
    recording_file::write(path.as_ref(), &recording()?)
}

/// Returns the contents of a file with what the flight recorder holds.
pub(crate) fn recording() -> io::Result<Vec<u8>> {
    if !is_enabled() {
        return Err(io::Error::other("the program has no flight recorder"));
    }
    let mut frames = FILE_MAGIC.to_vec();
    let hello = serde_json::to_vec(&hello::hello()).map_err(io::Error::other)?;
    write_frame(FrameKind::Hello as u8, &hello, &mut frames);
    write_frames(&mut frames)?;
    Ok(frames)
}

/// Writes a file at each panic, but not within [`PANIC_INTERVAL`] of the last one. The hook that was set before runs
/// first.
pub(crate) fn dump_on_panic(path: PathBuf) {
    let last = Mutex::new(None::<Instant>);
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        let Ok(mut last) = last.try_lock() else { return };
        if last.is_none_or(|last| last.elapsed() > PANIC_INTERVAL) {
            if let Err(error) = dump(&path) {
                print_problem(format_args!("cannot write `{}`: {error}", path.display()));
            }
            *last = Some(Instant::now());
        }
    }));
}
