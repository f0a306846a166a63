//! What the app prints, line by line. It is never held up: what comes faster than it is taken is dropped and counted.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::Clock;
use crate::plain::plain;

/// Lines that wait to be taken.
const LINES_MAX: usize = 1 << 14;

/// And bytes of them.
const BYTES_MAX: usize = 16 << 20;

/// Bytes of one line that are kept; what is longer goes on in the next.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What stands before a line from standard error.
const ERROR_MARK: &str = "! ";

/// A line, and when it came, in nanoseconds since 1970.
pub type Line = (u64, Box<str>);

/// See the module.
#[derive(Debug)]
pub struct Output {
    lines: Receiver<Line>,
    dropped: Arc<AtomicU64>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    /// Streams that have not ended.
    open: Arc<AtomicUsize>,
    /// Panics that lines which were taken tell of.
    panics: u64,
}

/// What Rust itself says on standard error where a thread panics, also where that is the end of one task only.
fn is_panic(line: &str) -> bool {
    let thread = line.strip_prefix(ERROR_MARK).and_then(|line| line.strip_prefix("thread '"));
    thread.is_some_and(|rest| rest.contains(" panicked at "))
}

impl Output {
    /// Begins to read; `bell` rings when something came.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn read(
        out: Option<impl Read + Send + 'static>,
        err: Option<impl Read + Send + 'static>,
        clock: Clock,
        bell: &Sender<()>,
    ) -> std::io::Result<Self> {
        let (sender, lines) = bounded(LINES_MAX);
        let output = Self { lines, dropped: Arc::default(), waiting: Arc::default(), open: Arc::default(), panics: 0 };
        let out = out.map(|out| (Box::new(out) as Box<dyn Read + Send>, ""));
        let err = err.map(|err| (Box::new(err) as Box<dyn Read + Send>, ERROR_MARK));
        for (stream, mark) in out.into_iter().chain(err) {
            let (sender, bell) = (sender.clone(), bell.clone());
            let (dropped, open) = (Arc::clone(&output.dropped), Arc::clone(&output.open));
            let waiting = Arc::clone(&output.waiting);
            open.fetch_add(1, Ordering::Relaxed);
            std::thread::Builder::new().name("loopscope-output".into()).spawn(move || {
                follow(stream, |text| {
                    let line: Box<str> = format!("{mark}{text}").into();
                    let bytes = line.len();
                    let has_room = waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= BYTES_MAX;
                    if !has_room || sender.try_send((clock.now(), line)).is_err() {
                        waiting.fetch_sub(bytes, Ordering::Relaxed);
                        dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    let _ = bell.try_send(());
                });
                open.fetch_sub(1, Ordering::Release);
                let _ = bell.try_send(());
            })?;
        }
        Ok(output)
    }

    /// Nothing that was ever read.
    pub fn nothing() -> Self {
        Self { lines: bounded(0).1, dropped: Arc::default(), waiting: Arc::default(), open: Arc::default(), panics: 0 }
    }

    pub fn take(&mut self) -> Option<Line> {
        let line = self.lines.try_recv().ok()?;
        self.panics += u64::from(is_panic(&line.1));
        self.waiting.fetch_sub(line.1.len(), Ordering::Relaxed);
        Some(line)
    }

    /// Panics that it told of.
    pub fn panics(&self) -> u64 {
        self.panics
    }

    /// Lines that were dropped since this was asked last.
    pub fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// Everything is read and taken.
    pub fn is_over(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && self.lines.is_empty()
    }
}

fn follow(stream: impl Read, mut tell: impl FnMut(String)) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        tell(plain(&String::from_utf8_lossy(&line)));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_cleaned_and_told_in_order() {
        let long = "x".repeat((1 << 20) + 808);
        let text = format!("one\r\n\u{1b}[31mtwo\n{long}\n\nlast");
        let mut told = Vec::new();
        follow(text.as_bytes(), |line| told.push(line));
        assert_eq!(told[..2], ["one", "\u{fffd}[31mtwo"]);
        assert_eq!((told[2].len(), told[3].len()), (1 << 20, 808));
        assert_eq!(told[4..], ["", "last"]);
    }
}
