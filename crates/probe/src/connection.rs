//! A connection to loopscope: the handshake, and the stream of frames.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::collector::{Collector, ROUND_INTERVAL};
use crate::peer_stream::PeerStream;
use crate::protocol::{
    COMMAND_BYTES_MAX, Command, CommandKind, FrameKind, Reply, Start, VERSION, split_frame, write_frame,
};
use crate::recorder::{self, NextSegment};
use crate::{collector, control, hello};

/// Name of the threads of the probe.
const THREAD_NAME: &str = "loopscope-probe";

/// How long a peer may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a write may block before the state of the connection is checked.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// Longest time between two rounds while nothing happens.
const IDLE_INTERVAL: Duration = Duration::from_millis(50);

/// How long the end of the program waits until everything is sent.
const LAST_ROUND_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections at one time. Further ones are closed.
const CONNECTIONS_MAX: usize = 16;

/// How long a peer waits for the end of the connection before it: that peer may have just gone.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection records.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);

/// Notified when no connection records any more.
static UNWANTED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// Number of connections.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// The program ends.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Counts a connection as long as it lives.
struct ConnectionCount;

impl ConnectionCount {
    fn new() -> Option<Self> {
        let count = Self;
        (CONNECTIONS.fetch_add(1, Ordering::SeqCst) < CONNECTIONS_MAX).then_some(count)
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a thread of the probe. It is not observed: it never runs code of tokio.
pub(crate) fn spawn_thread(run: impl FnOnce() + Send + 'static) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(run)
}

/// Serves a connection on a thread of its own. `on_start` is called when recording has begun, or when it is certain
/// that it will not.
pub(crate) fn serve(stream: PeerStream, on_start: impl FnOnce() + Send + 'static) {
    let Some(count) = ConnectionCount::new() else { return };
    let served = spawn_thread(move || {
        let _count = count;
        let mut on_start = Some(on_start);
        // The peer is gone, or does not follow the protocol: either way the connection is closed.
        let _ = serve_now(&stream, &mut || on_start.take().into_iter().for_each(|on_start| on_start()));
        on_start.take().into_iter().for_each(|on_start| on_start());
    });
    // Without a thread, there is no connection.
    drop(served);
}

fn serve_now(stream: &PeerStream, on_start: &mut (dyn FnMut() + Send)) -> io::Result<()> {
    stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
    stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let hello = serde_json::to_vec(&hello::hello()).map_err(io::Error::other)?;
    send(stream, FrameKind::Hello, &hello)?;
    let mut input = Input { stream, bytes: Vec::new(), consumed: 0 };
    let start: Start = match input.next()? {
        Some((kind, payload)) if kind == CommandKind::Start as u8 => {
            serde_json::from_slice(&payload).map_err(io::Error::other)?
        }
        _ => return Ok(()),
    };
    if start.protocol != VERSION {
        return Ok(());
    }
    if start.dump {
        return send_dump(stream);
    }
    if !reserve_recording() {
        return send_error(stream, "another loopscope is attached".to_owned());
    }
    let may_control = control::may_control(start.secret.as_deref());
    collector::wake();
    let result = record(stream, &mut input, may_control, on_start);
    IS_RECORDING.store(false, Ordering::SeqCst);
    let _unwanted = UNWANTED.0.lock();
    UNWANTED.1.notify_all();
    result
}

/// Reserves the recording for one connection. Another one that has it may be about to end. Returns whether it is reserved.
fn reserve_recording() -> bool {
    let lock = UNWANTED.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = |(): &mut ()| IS_RECORDING.swap(true, Ordering::SeqCst);
    let waited = UNWANTED.1.wait_timeout_while(lock, HANDOVER_TIMEOUT, is_taken);
    let (_lock, result) = waited.unwrap_or_else(PoisonError::into_inner);
    !result.timed_out()
}

/// Sends what the flight recorder holds.
fn send_dump(mut stream: &PeerStream) -> io::Result<()> {
    let mut frames = Vec::new();
    match recorder::write_frames(&mut frames) {
        Ok(()) => stream.write_all(&frames)?,
        Err(error) => return send_error(stream, error.to_string()),
    }
    send(stream, FrameKind::Bye, &[])
}

fn send_error(stream: &PeerStream, error: String) -> io::Result<()> {
    let reply = Reply { error: Some(error), ..Reply::default() };
    send(stream, FrameKind::Reply, &serde_json::to_vec(&reply).map_err(io::Error::other)?)
}

/// Returns whether a connection records, or waits for the collector.
pub(crate) fn is_collector_wanted() -> bool {
    IS_RECORDING.load(Ordering::SeqCst)
}

/// Waits until no connection records.
pub(crate) fn wait_until_unwanted() {
    let mut lock = UNWANTED.0.lock().unwrap_or_else(PoisonError::into_inner);
    while is_collector_wanted() {
        lock = UNWANTED.1.wait(lock).unwrap_or_else(PoisonError::into_inner);
    }
}

fn send(mut stream: &PeerStream, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::new();
    write_frame(kind as u8, payload, &mut frame);
    stream.write_all(&frame)
}

/// Records until the peer is gone.
fn record(
    stream: &PeerStream,
    input: &mut Input<'_>,
    may_control: bool,
    on_start: &mut (dyn FnMut() + Send),
) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.set_read_timeout(None)?;
    collector::clear_replies();
    let is_closed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = std::thread::Builder::new().name(THREAD_NAME.to_owned());
        sender.spawn_scoped(scope, || {
            let mut collector = collector::lock_collector();
            collector::set_thread(Some(std::thread::current()));
            collector.start();
            collector.begin_peer();
            on_start();
            let _ = send_rounds(stream, &mut collector, &is_closed);
            collector::set_thread(None);
            collector.stop();
            // Ends the thread that reads.
            stream.shutdown();
        })?;
        while let Ok(Some((kind, payload))) = input.next() {
            if kind == CommandKind::Command as u8
                && let Ok(command) = serde_json::from_slice::<Command>(&payload)
            {
                control::carry_out(&command, may_control);
            }
        }
        control::reset();
        is_closed.store(true, Ordering::SeqCst);
        collector::wake();
        Ok(())
    })
}

fn send_rounds(output: &PeerStream, collector: &mut Collector, is_closed: &AtomicBool) -> io::Result<()> {
    let mut ending_since = None;
    let mut sink = |frames: &mut Vec<u8>| {
        let is_over = || {
            let is_late = IS_ENDING.load(Ordering::SeqCst)
                && ending_since.get_or_insert_with(Instant::now).elapsed() > LAST_ROUND_TIMEOUT;
            is_closed.load(Ordering::SeqCst) || is_late
        };
        write_all(output, frames, is_over)
    };
    collector.snapshot(&mut sink)?;
    let mut last_round = Instant::now();
    loop {
        collector::rebuild_if_asked();
        let next_segment = NextSegment::prepare();
        let is_ending = IS_ENDING.load(Ordering::SeqCst);
        let is_due = last_round.elapsed() >= IDLE_INTERVAL;
        let has_any = collector.round(is_due || is_ending, &mut sink);
        next_segment.into_iter().for_each(NextSegment::begin);
        let has_any = has_any?;
        if has_any || is_due {
            last_round = Instant::now();
        }
        if is_ending {
            let mut bye = Vec::new();
            write_frame(FrameKind::Bye as u8, &[], &mut bye);
            return sink(&mut bye);
        }
        if is_closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        std::thread::park_timeout(ROUND_INTERVAL);
    }
}

/// Writes all bytes, however slowly the peer reads, until `is_over`.
fn write_all(mut output: &PeerStream, mut bytes: &[u8], mut is_over: impl FnMut() -> bool) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut if !is_over() => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Sends what is left to a peer, and waits until that is done, at most [`LAST_ROUND_TIMEOUT`].
pub(crate) fn end() {
    IS_ENDING.store(true, Ordering::SeqCst);
    let since = Instant::now();
    while IS_RECORDING.load(Ordering::SeqCst) && since.elapsed() < LAST_ROUND_TIMEOUT {
        collector::wake();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Frames from the peer.
struct Input<'a> {
    stream: &'a PeerStream,
    bytes: Vec<u8>,
    consumed: usize,
}

impl Input<'_> {
    /// Returns the next frame; `None` at the end.
    fn next(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            let bytes = self.bytes.get(self.consumed..).unwrap_or_default();
            match split_frame(bytes, COMMAND_BYTES_MAX) {
                Ok(Some(((kind, payload), rest))) => {
                    let (payload, rest) = (payload.to_vec(), rest.len());
                    self.consumed = self.bytes.len() - rest;
                    return Ok(Some((kind, payload)));
                }
                Ok(None) => {}
                Err(_) => return Err(ErrorKind::InvalidData.into()),
            }
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => self.bytes.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
