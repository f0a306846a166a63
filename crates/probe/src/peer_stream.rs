//! The stream of a connection, over a Unix socket or TCP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connected stream between a program and loopscope: of this machine, or over TCP after both sides have proven that they
/// know the secret.
#[derive(Debug)]
pub enum PeerStream {
    /// A Unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl From<UnixStream> for PeerStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl PeerStream {
    /// Returns another handle of the stream.
    ///
    /// # Errors
    /// Returns an error if there are too many open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    /// Makes reads fail after this time; `None` makes them wait for ever.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(timeout),
            Self::Tcp(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// Makes writes fail after this time; `None` makes them wait for ever.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_write_timeout(timeout),
            Self::Tcp(stream) => stream.set_write_timeout(timeout),
        }
    }

    /// Makes reads and writes wait.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub fn set_blocking(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(false),
            Self::Tcp(stream) => stream.set_nonblocking(false),
        }
    }

    /// Ends both directions.
    pub fn shutdown(&self) {
        // The other side may have done so before.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &PeerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            PeerStream::Unix(stream) => (&*stream).read(buffer),
            PeerStream::Tcp(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &PeerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            PeerStream::Unix(stream) => (&*stream).write(bytes),
            PeerStream::Tcp(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
