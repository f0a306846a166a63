//! The connection to a program with the probe: two threads that read and write its socket.

use std::io::{self, Read, Write};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use loopscope_probe::protocol::{CommandKind, write_frame};
use serde::Serialize;

use super::probe_socket::ProbeSocket;

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
    socket: ProbeSocket,
    chunks: Receiver<Vec<u8>>,
    commands: Sender<Vec<u8>>,
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
    /// Returns an error if a thread cannot be created, or the socket cannot be shared with it.
    pub fn start(socket: impl Into<ProbeSocket>, wakeup: Sender<()>) -> io::Result<Self> {
        let socket = socket.into();
        socket.set_blocking()?;
        socket.set_read_timeout(None)?;
        let (chunk_sender, chunks) = bounded(CHUNKS_MAX);
        let (commands, command_receiver) = bounded::<Vec<u8>>(COMMANDS_MAX);
        let input = socket.try_clone()?;
        std::thread::Builder::new().name("loopscope-probed".into()).spawn(move || {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                match (&input).read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) if chunk_sender.send(buffer[..read].to_vec()).is_err() => break,
                    Ok(_) => drop(wakeup.try_send(())),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(chunk_sender);
            let _ = wakeup.try_send(());
        })?;
        let output = socket.try_clone()?;
        std::thread::Builder::new().name("loopscope-command".into()).spawn(move || {
            for frame in command_receiver {
                if (&output).write_all(&frame).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { socket, chunks, commands })
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
        // Ends both threads, and the program resumes.
        self.socket.shutdown();
    }
}
