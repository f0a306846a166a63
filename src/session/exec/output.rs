//! The app's output, line by line. The app never blocks on it: lines beyond the queue limits are dropped and counted.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::epoch_clock::EpochClock;
use crate::sanitize::sanitize;

/// Maximum number of queued lines.
const QUEUED_LINES_MAX: usize = 1 << 14;

/// Maximum size of the queued lines in bytes.
const QUEUED_BYTES_MAX: usize = 16 << 20;

/// Maximum size of one line in bytes. Longer lines are split.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Prefix of lines from standard error.
const ERROR_MARK: &str = "! ";

/// The time at which a line arrived, in nanoseconds since 1970, and its text.
pub type TimedLine = (u64, Box<str>);

/// The queue of lines that the app prints.
#[derive(Debug)]
pub struct AppOutput {
    lines: Receiver<TimedLine>,
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
    let thread = line.strip_prefix(ERROR_MARK).and_then(|line| line.strip_prefix("thread '"));
    thread.is_some_and(|rest| rest.contains(" panicked at "))
}

impl AppOutput {
    /// Starts reading both streams. `bell` is signalled for each line and at the end of each stream.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn read(
        out: Option<impl Read + Send + 'static>,
        err: Option<impl Read + Send + 'static>,
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
        let out = out.map(|out| (Box::new(out) as Box<dyn Read + Send>, ""));
        let err = err.map(|err| (Box::new(err) as Box<dyn Read + Send>, ERROR_MARK));
        for (stream, mark) in out.into_iter().chain(err) {
            let (sender, wakeup) = (sender.clone(), wakeup.clone());
            let (dropped, open_streams) = (Arc::clone(&output.dropped), Arc::clone(&output.open_streams));
            let queued_bytes = Arc::clone(&output.queued_bytes);
            open_streams.fetch_add(1, Ordering::Relaxed);
            std::thread::Builder::new().name("loopscope-output".into()).spawn(move || {
                read_lines(stream, |text| {
                    let line: Box<str> = format!("{mark}{text}").into();
                    let bytes = line.len();
                    let has_room = queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUED_BYTES_MAX;
                    if !has_room || sender.try_send((clock.now(), line)).is_err() {
                        queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                        dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    let _ = wakeup.try_send(());
                });
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

    /// Takes the next line, if any.
    pub fn take(&mut self) -> Option<TimedLine> {
        let line = self.lines.try_recv().ok()?;
        self.panics += u64::from(is_panic(&line.1));
        self.queued_bytes.fetch_sub(line.1.len(), Ordering::Relaxed);
        Some(line)
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

/// Reads `stream` to its end and calls `on_line` for each line, without control characters.
fn read_lines(stream: impl Read, mut on_line: impl FnMut(String)) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        on_line(sanitize(&String::from_utf8_lossy(&line)));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_and_sanitized() {
        let long = "x".repeat((1 << 20) + 808);
        let text = format!("one\r\n\u{1b}[31mtwo\n{long}\n\nlast");
        let mut lines = Vec::new();
        read_lines(text.as_bytes(), |line| lines.push(line));
        assert_eq!(lines[..2], ["one", "\u{fffd}[31mtwo"]);
        assert_eq!((lines[2].len(), lines[3].len()), (1 << 20, 808));
        assert_eq!(lines[4..], ["", "last"]);
    }
}
