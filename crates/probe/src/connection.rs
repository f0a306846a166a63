//! A connection to loopscope: the handshake, and the stream of frames.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::collector::{Collector, ROUND_INTERVAL};
use crate::protocol::{
    COMMAND_BYTES_MAX, Command, CommandKind, FrameKind, Reply, Start, VERSION, split_frame, write_frame,
};
use crate::{collector, control, hello};

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

/// A connection records.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);

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
    std::thread::Builder::new().name("loopscope-probe".to_owned()).spawn(run)
}

/// Serves a connection on a thread of its own. `on_start` is called when recording has begun, or when it is certain
/// that it will not.
pub(crate) fn serve(stream: UnixStream, on_start: impl FnOnce() + Send + 'static) {
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

fn serve_now(stream: &UnixStream, on_start: &mut dyn FnMut()) -> io::Result<()> {
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
    if IS_RECORDING.swap(true, Ordering::SeqCst) {
        let error = Some("another loopscope is attached".to_owned());
        let reply = serde_json::to_vec(&Reply { error, ..Reply::default() }).map_err(io::Error::other)?;
        return send(stream, FrameKind::Reply, &reply);
    }
    let may_control = control::may_control(start.secret.as_deref());
    let result = record(stream, &mut input, may_control, on_start);
    IS_RECORDING.store(false, Ordering::SeqCst);
    result
}

fn send(mut stream: &UnixStream, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::new();
    write_frame(kind as u8, payload, &mut frame);
    stream.write_all(&frame)
}

/// Records until the peer is gone.
fn record(stream: &UnixStream, input: &mut Input<'_>, may_control: bool, on_start: &mut dyn FnMut()) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.set_read_timeout(None)?;
    let is_closed = Arc::new(AtomicBool::new(false));
    let mut collector = Collector::default();
    collector.start();
    on_start();
    let output = stream.try_clone()?;
    let sender = spawn_thread({
        let is_closed = is_closed.clone();
        move || {
            collector::set_thread(Some(std::thread::current()));
            let _ = send_rounds(&output, &mut collector, &is_closed);
            collector::set_thread(None);
            collector.stop();
            // Ends the thread that reads.
            let _ = output.shutdown(std::net::Shutdown::Both);
        }
    });
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
    sender.map(|sender| drop(sender.join()))
}

fn send_rounds(output: &UnixStream, collector: &mut Collector, is_closed: &AtomicBool) -> io::Result<()> {
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
        let is_ending = IS_ENDING.load(Ordering::SeqCst);
        let is_due = last_round.elapsed() >= IDLE_INTERVAL;
        let has_any = collector.round(is_due || is_ending, &mut sink)?;
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
fn write_all(mut output: &UnixStream, mut bytes: &[u8], mut is_over: impl FnMut() -> bool) -> io::Result<()> {
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
    stream: &'a UnixStream,
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
