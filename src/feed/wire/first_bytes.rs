//! A stream that counts its bytes and remembers the first ones, to detect peers that do not speak HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes remembered: enough for the header of a first frame, or the first word of another protocol.
const FIRST_BYTES_MAX: usize = 16;

/// The first bytes received.
#[derive(Clone, Debug, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

/// The protocol of the peer, as far as its first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerProtocol {
    /// Nothing was received yet.
    Unknown,
    /// HTTP/1.
    Http1,
    /// HTTP/2, and so probably gRPC.
    Http2,
    /// Something else.
    Other,
}

impl FirstBytes {
    fn record(&self, bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free_bytes = FIRST_BYTES_MAX - first.len();
        first.extend_from_slice(&bytes[..bytes.len().min(free_bytes)]);
    }

    /// Returns the protocol of the peer.
    pub fn protocol(&self) -> PeerProtocol {
        /// Type of the first frame of an HTTP/2 connection.
        const SETTINGS: u8 = 4;
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_empty() {
            PeerProtocol::Unknown
        } else if first.starts_with(b"HTTP/1") {
            PeerProtocol::Http1
        } else if first.first() == Some(&0) && first.get(3) == Some(&SETTINGS) {
            PeerProtocol::Http2
        } else {
            PeerProtocol::Other
        }
    }
}

/// The number of bytes received: it grows while a long message arrives.
#[derive(Clone, Debug, Default)]
pub struct ReceivedBytes(Arc<AtomicU64>);

impl ReceivedBytes {
    /// Returns the number of bytes received so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// A stream that counts its bytes and records the first ones.
#[derive(Debug)]
pub struct SniffedStream<S> {
    /// The wrapped stream.
    pub stream: S,
    /// Where its first bytes go.
    pub first: FirstBytes,
    /// The number of bytes received.
    pub received: ReceivedBytes,
}

impl<S: AsyncRead + Unpin> AsyncRead for SniffedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.first.record(&buffer.filled()[before..]);
        self.received.add(buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SniffedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
