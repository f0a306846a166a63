//! The connection to a program with the probe: two threads that read and write its socket.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use loopscope_probe::PeerStream;
use loopscope_probe::protocol::{CommandKind, write_frame};
use serde::Serialize;

/// Size of one read in bytes.
const READ_BYTES: usize = 64 << 10;

/// Chunks that wait to be decoded: 4 MiB. If the screen is slow, the socket is read no further, and the program drops
/// events once its own buffers are full.
const CHUNKS_MAX: usize = 64;

/// Commands that wait to be written. Further ones are dropped: the program does not read them.
const COMMANDS_MAX: usize = 64;

/// A connection.
#[derive(Debug)]
pub struct ProbeLink {
    shared: Arc<LinkState>,
    chunks: Receiver<Vec<u8>>,
    commands: Sender<Vec<u8>>,
}

/// What the threads of a connection share with it.
#[derive(Debug, Default)]
struct LinkState {
    /// `None` until it is connected.
    socket: Mutex<Option<PeerStream>>,
    /// Why it could not be connected.
    problem: OnceLock<String>,
    /// The session has ended.
    is_closed: AtomicBool,
}

impl LinkState {
    fn socket(&self) -> MutexGuard<'_, Option<PeerStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the socket and returns another handle of it; `None` if the session has ended meanwhile.
    fn connected(&self, socket: PeerStream) -> io::Result<Option<PeerStream>> {
        socket.set_blocking()?;
        socket.set_read_timeout(None)?;
        let input = socket.try_clone()?;
        let mut slot = self.socket();
        *slot = Some(socket);
        // Either this finds that the session has ended, or its end finds the socket.
        Ok((!self.is_closed.load(Ordering::SeqCst)).then_some(input))
    }
}

/// What a connection has for the session.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkInput {
    /// Bytes of the stream.
    Bytes(Vec<u8>),
    /// Nothing now.
    Empty,
    /// The connection is closed, and everything was taken.
    Closed,
}

impl ProbeLink {
    /// Starts the threads of a connection. `wakeup` is signalled for each chunk and at the end.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn start(socket: impl Into<PeerStream>, wakeup: Sender<()>) -> io::Result<Self> {
        let socket = socket.into();
        Self::connect(move || Ok(socket), wakeup)
    }

    /// Connects by `open`, on a thread. If that fails, the connection closes, and [`Self::problem`] says why.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be created.
    pub fn connect(
        open: impl FnOnce() -> Result<PeerStream, String> + Send + 'static,
        wakeup: Sender<()>,
    ) -> io::Result<Self> {
        let (chunk_sender, chunks) = bounded(CHUNKS_MAX);
        let (commands, command_receiver) = bounded::<Vec<u8>>(COMMANDS_MAX);
        let shared = Arc::new(LinkState::default());
        let state = Arc::clone(&shared);
        std::thread::Builder::new().name("loopscope-probed".into()).spawn(move || {
            let connected = open().and_then(|socket| {
                let input = state.connected(socket).map_err(|error| error.to_string())?;
                input.map(|input| write_commands(&input, command_receiver).map(|()| input)).transpose()
            });
            match connected {
                Ok(Some(input)) => read_chunks(&input, &chunk_sender, &wakeup),
                Ok(None) => {}
                Err(problem) => drop(state.problem.set(problem)),
            }
            drop(chunk_sender);
            let _ = wakeup.try_send(());
        })?;
        Ok(Self { shared, chunks, commands })
    }

    /// Returns whether it is connected, or was.
    pub fn is_connected(&self) -> bool {
        self.shared.socket().is_some()
    }

    /// Returns why it could not be connected.
    pub fn problem(&self) -> Option<&str> {
        self.shared.problem.get().map(String::as_str)
    }

    /// Takes what has arrived.
    pub fn take(&self) -> LinkInput {
        match self.chunks.try_recv() {
            Ok(bytes) => LinkInput::Bytes(bytes),
            Err(TryRecvError::Empty) => LinkInput::Empty,
            Err(TryRecvError::Disconnected) => LinkInput::Closed,
        }
    }

    /// Sends a message. Never blocks.
    pub fn send(&self, kind: CommandKind, message: &impl Serialize) {
        let Ok(payload) = serde_json::to_vec(message) else { return };
        let mut frame = Vec::new();
        write_frame(kind as u8, &payload, &mut frame);
        let _ = self.commands.try_send(frame);
    }
}

impl Drop for ProbeLink {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // Ends both threads, and the program resumes.
        self.shared.socket().iter().for_each(PeerStream::shutdown);
    }
}

fn read_chunks(mut input: &PeerStream, chunks: &Sender<Vec<u8>>, wakeup: &Sender<()>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) if chunks.send(buffer[..read].to_vec()).is_err() => return,
            Ok(_) => drop(wakeup.try_send(())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Starts the thread that writes commands.
fn write_commands(socket: &PeerStream, commands: Receiver<Vec<u8>>) -> Result<(), String> {
    let start = || {
        let output = socket.try_clone()?;
        std::thread::Builder::new().name("loopscope-command".into()).spawn(move || {
            for frame in commands {
                if (&output).write_all(&frame).is_err() {
                    return;
                }
            }
        })
    };
    start().map(drop).map_err(|error| error.to_string())
}
