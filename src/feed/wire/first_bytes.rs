//! A connection that remembers the first bytes which came over it: what somebody speaks who does not speak HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are remembered: the head of a first frame, or the first word of something else.
const REMEMBERED_BYTES: usize = 16;

/// What came first.
#[derive(Clone, Debug, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

/// What somebody speaks, as far as the first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Nothing,
    Http1,
    Http2,
    Other,
}

impl FirstBytes {
    fn note(&self, bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = REMEMBERED_BYTES - first.len();
        first.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub fn speech(&self) -> Speech {
        /// The kind of an HTTP/2 connection's first frame: its settings.
        const SETTINGS: u8 = 4;
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_empty() {
            Speech::Nothing
        } else if first.starts_with(b"HTTP/1") {
            Speech::Http1
        } else if first.first() == Some(&0) && first.get(3) == Some(&SETTINGS) {
            Speech::Http2
        } else {
            Speech::Other
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Listened<S> {
    pub stream: S,
    pub first: FirstBytes,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.first.note(&buffer.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
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
