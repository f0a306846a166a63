//! The app's output, line by line. The app never blocks on it: lines beyond the queue limits are dropped and counted.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::output_reader::{OutputPiece, read_output};
use crate::session::epoch_clock::EpochClock;
use crate::trace::{ERROR_MARK, panic_place};

/// Maximum number of queued lines.
const QUEUED_LINES_MAX: usize = 1 << 14;

/// Maximum size of the queued lines in bytes.
const QUEUED_BYTES_MAX: usize = 16 << 20;

/// Time without output after which a line without an end is shown, in nanoseconds.
const IDLE_NS: i64 = 50_000_000;

/// A piece of output.
#[derive(Debug)]
pub struct TimedOutput {
    /// When it arrived, in nanoseconds since 1970.
    pub arrived_at: u64,
    /// Whether it is on standard error.
    pub is_error: bool,
    /// Whether the line has no end yet.
    pub is_pending: bool,
    /// Whether it is the line of which a part was pending.
    pub ends_pending: bool,
    /// The text.
    pub text: Box<str>,
}

/// The queue of lines that the app prints.
#[derive(Debug)]
pub struct AppOutput {
    lines: Receiver<TimedOutput>,
    /// Number of lines dropped since the last report.
    dropped: Arc<AtomicU64>,
    /// Size of the queued lines in bytes.
    queued_bytes: Arc<AtomicUsize>,
    /// Number of streams that have not ended.
    open_streams: Arc<AtomicUsize>,
    /// Number of panic messages in the lines taken so far.
    panics: u64,
}

/// Returns whether `line` is the message that Rust's panic hook prints to standard error.
fn is_panic(line: &str) -> bool {
    line.strip_prefix(ERROR_MARK).and_then(panic_place).is_some()
}

/// A stream of output that can be waited for.
pub trait OutputStream: Read + AsFd + Send {}

impl<S: Read + AsFd + Send> OutputStream for S {}

/// Returns whether nothing arrives for a while.
fn is_idle(stream: &dyn OutputStream) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: IDLE_NS };
    poll(&mut [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready == 0)
}

/// Prints one stream to standard error as it arrives.
#[derive(Debug, Default)]
struct OutputEcho {
    /// Text of the line without an end that is on the screen.
    shown: String,
}

impl OutputEcho {
    fn print(&mut self, piece: &OutputPiece) {
        let (OutputPiece::Line(text) | OutputPiece::Pending(text)) = piece;
        let (lead, new) = match text.strip_prefix(self.shown.as_str()) {
            Some(new) => ("", new),
            // A carriage return and the erasure of the line.
            None => ("\r\u{1b}[K", text.as_str()),
        };
        let is_line = matches!(piece, OutputPiece::Line(_));
        let mut err = std::io::stderr().lock();
        // Ignore write errors: the report still has the output.
        let _ = write!(err, "{lead}{new}{}", if is_line { "\n" } else { "" }).and_then(|()| err.flush());
        self.shown = if is_line { String::new() } else { text.clone() };
    }
}

impl AppOutput {
    /// Starts reading both streams. `wakeup` is signalled for each piece and at the end of each stream. With `echo`, the
    /// output is also printed to standard error, for a user at a terminal.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn read(
        out: Option<impl OutputStream + 'static>,
        err: Option<impl OutputStream + 'static>,
        echo: bool,
        clock: EpochClock,
        wakeup: &Sender<()>,
    ) -> std::io::Result<Self> {
        let (sender, lines) = bounded(QUEUED_LINES_MAX);
        let output = Self {
            lines,
            dropped: Arc::default(),
            queued_bytes: Arc::default(),
            open_streams: Arc::default(),
            panics: 0,
        };
        let out = out.map(|out| (Box::new(out) as Box<dyn OutputStream>, false));
        let err = err.map(|err| (Box::new(err) as Box<dyn OutputStream>, true));
        for (stream, is_error) in out.into_iter().chain(err) {
            let (sender, wakeup) = (sender.clone(), wakeup.clone());
            let (dropped, open_streams) = (Arc::clone(&output.dropped), Arc::clone(&output.open_streams));
            let queued_bytes = Arc::clone(&output.queued_bytes);
            open_streams.fetch_add(1, Ordering::Relaxed);
            std::thread::Builder::new().name("loopscope-output".into()).spawn(move || {
                let mut echo = echo.then(OutputEcho::default);
                let mut has_pending = false;
                read_output(
                    stream,
                    |stream| is_idle(stream.as_ref()),
                    |piece| {
                        echo.iter_mut().for_each(|echo| echo.print(&piece));
                        let (text, is_pending) = match piece {
                            OutputPiece::Line(text) => (text, false),
                            OutputPiece::Pending(text) => (text, true),
                        };
                        let mark = if is_error { ERROR_MARK } else { "" };
                        let text: Box<str> = format!("{mark}{text}").into();
                        let bytes = text.len();
                        let has_room = queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUED_BYTES_MAX;
                        let ends_pending = has_pending && !is_pending;
                        let piece = TimedOutput { arrived_at: clock.now(), is_error, is_pending, ends_pending, text };
                        if !has_room || sender.try_send(piece).is_err() {
                            queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                            dropped.fetch_add(u64::from(!is_pending), Ordering::Relaxed);
                        } else {
                            has_pending = is_pending;
                        }
                        let _ = wakeup.try_send(());
                    },
                );
                open_streams.fetch_sub(1, Ordering::Release);
                let _ = wakeup.try_send(());
            })?;
        }
        Ok(output)
    }

    /// Creates an output without streams.
    pub fn empty() -> Self {
        Self {
            lines: bounded(0).1,
            dropped: Arc::default(),
            queued_bytes: Arc::default(),
            open_streams: Arc::default(),
            panics: 0,
        }
    }

    /// Takes the next piece, if any.
    pub fn take(&mut self) -> Option<TimedOutput> {
        let piece = self.lines.try_recv().ok()?;
        self.panics += u64::from(!piece.is_pending && is_panic(&piece.text));
        self.queued_bytes.fetch_sub(piece.text.len(), Ordering::Relaxed);
        Some(piece)
    }

    /// Returns the number of panic messages in the lines taken so far.
    pub fn panics(&self) -> u64 {
        self.panics
    }

    /// Returns the number of lines dropped since the last call, and resets it.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// Returns whether all streams have ended and all lines are taken.
    pub fn is_finished(&self) -> bool {
        self.open_streams.load(Ordering::Acquire) == 0 && self.lines.is_empty()
    }
}
