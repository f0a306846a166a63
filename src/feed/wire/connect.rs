//! Connects to a console on a TCP or Unix socket, and explains failures.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::first_bytes::{FirstBytes, PeerProtocol, ReceivedBytes, SniffedStream};
use super::{ConsoleAddress, MessageStream, TaskDetailsStream};
use crate::sanitize::truncate;

/// How long connecting may take, and then the answer to the first request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a program may take to answer if it is watched for a long time. One with a hundred thousand tasks can be slow, and
/// it does not repeat what it sent to a client that gave up.
const WATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest message of the peer that is shown, in bytes.
const PEER_TEXT_BYTES_MAX: usize = 200;

/// Why a program cannot be reached or was lost. The messages follow the address and a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens on the port.
    #[error("connection refused; is the app running, and does it call console_subscriber::init()?")]
    Refused,
    /// The socket file does not exist.
    #[error("no such socket; is the app running, and was it given this path?")]
    NoSocket,
    /// This user must not open the socket.
    #[error("permission denied: this user may not open the socket")]
    NotPermitted,
    /// The host name cannot be resolved.
    #[error("no such host: {0}")]
    NoHost(String),
    /// Connecting failed for another reason.
    #[error("connection failed: {0}")]
    NoConnection(String),
    /// Connecting timed out.
    #[error("no connection within {} s", ANSWER_TIMEOUT.as_secs())]
    NoAccept,
    /// The first request timed out.
    #[error("connected, but no answer: the app may be stopped, or this is not a console")]
    NoAnswer,
    /// The peer speaks HTTP/1.
    #[error("not a console: it speaks HTTP/1, like a web server, not gRPC")]
    Http1,
    /// The peer speaks neither HTTP/1 nor HTTP/2.
    #[error("not a console: it does not speak gRPC")]
    OtherProtocol,
    /// The peer speaks gRPC, but has no console service.
    #[error("not a console: {0}")]
    NotConsole(String),
    /// Its messages cannot be decoded.
    #[error("cannot read its data: {0}")]
    Unreadable(String),
    /// The peer closed the connection.
    #[error("connection closed")]
    Closed,
    /// The connection failed.
    #[error("connection lost: {0}")]
    Broke(String),
}

impl ConnectError {
    /// Returns the reason, for where the text already says that the connection is lost.
    pub fn reason(&self) -> String {
        match self {
            Self::Broke(reason) => reason.clone(),
            other => other.to_string(),
        }
    }
}

/// A connection to a console.
#[derive(Clone, Debug)]
pub struct ConsoleConnection {
    channel: Channel,
    first: FirstBytes,
    received: ReceivedBytes,
}

impl ConsoleConnection {
    /// Connects, with a timeout.
    ///
    /// # Errors
    /// If the console cannot be reached.
    pub async fn open(address: &ConsoleAddress) -> Result<Self, ConnectError> {
        Self::open_counting(address, ReceivedBytes::default()).await
    }

    /// Connects, with a timeout, and adds the bytes that arrive to `received`.
    ///
    /// # Errors
    /// If the console cannot be reached.
    pub async fn open_counting(address: &ConsoleAddress, received: ReceivedBytes) -> Result<Self, ConnectError> {
        let opened = timeout(ANSWER_TIMEOUT, Self::open_without_timeout(address, received)).await;
        opened.unwrap_or(Err(ConnectError::NoAccept))
    }

    async fn open_without_timeout(address: &ConsoleAddress, received: ReceivedBytes) -> Result<Self, ConnectError> {
        let first = FirstBytes::default();
        // The peer ignores the host name.
        let endpoint = Endpoint::from_static("http://console");
        let channel = match address {
            ConsoleAddress::Tcp { host, port } => {
                let lookup = tokio::net::lookup_host((host.as_str(), *port)).await;
                let addresses: Vec<_> = lookup.map_err(|error| ConnectError::NoHost(error.to_string()))?.collect();
                let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| connect_error(&error))?;
                // Latency matters here; the delay of small packets does not pay.
                let _ = stream.set_nodelay(true);
                http2_channel(endpoint, SniffedStream { stream, first: first.clone(), received: received.clone() })
                    .await
            }
            ConsoleAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| connect_error(&error))?;
                http2_channel(endpoint, SniffedStream { stream, first: first.clone(), received: received.clone() })
                    .await
            }
        };
        match channel {
            Ok(channel) => Ok(Self { channel, first, received }),
            Err(error) => {
                Err(protocol_mismatch(&first).unwrap_or_else(|| ConnectError::NoConnection(root_cause(&error))))
            }
        }
    }

    /// Subscribes to messages, with a long timeout.
    ///
    /// # Errors
    /// If the peer is no console, or does not answer in time.
    pub async fn messages(&self) -> Result<MessageStream, ConnectError> {
        self.messages_within(WATCH_TIMEOUT).await
    }

    /// Subscribes to messages, with a timeout of a few seconds.
    ///
    /// # Errors
    /// If the peer is no console, or does not answer in time.
    pub async fn messages_or_timeout(&self) -> Result<MessageStream, ConnectError> {
        self.messages_within(ANSWER_TIMEOUT).await
    }

    async fn messages_within(&self, limit: Duration) -> Result<MessageStream, ConnectError> {
        let mut watching = std::pin::pin!(MessageStream::watch(self.channel.clone()));
        let mut received = self.received_bytes();
        loop {
            match timeout(limit, &mut watching).await {
                Ok(Ok(messages)) => return Ok(messages),
                Ok(Err(status)) => return Err(self.explain(&status)),
                Err(_) if protocol_mismatch(&self.first).is_none() && self.received_bytes() > received => {
                    received = self.received_bytes();
                }
                Err(_) => return Err(protocol_mismatch(&self.first).unwrap_or(ConnectError::NoAnswer)),
            }
        }
    }

    /// Returns the number of bytes received so far. It grows while a long message arrives.
    pub fn received_bytes(&self) -> u64 {
        self.received.count()
    }

    /// Subscribes to the details of the task with this span id.
    ///
    /// # Errors
    /// If there is no such task, or the program is gone.
    pub async fn details(&self, span: u64) -> Result<TaskDetailsStream, Status> {
        TaskDetailsStream::watch(self.channel.clone(), span).await
    }

    /// Derives the reason of a failed request.
    pub fn explain(&self, status: &Status) -> ConnectError {
        let peer_text = || truncate(status.message(), PEER_TEXT_BYTES_MAX);
        if let Some(protocol_mismatch) = protocol_mismatch(&self.first) {
            return protocol_mismatch;
        }
        match status.code() {
            Code::Unimplemented | Code::NotFound | Code::Unauthenticated | Code::PermissionDenied => {
                ConnectError::NotConsole(peer_text())
            }
            Code::OutOfRange | Code::ResourceExhausted | Code::DataLoss => ConnectError::Unreadable(peer_text()),
            Code::Internal if status.source().is_none() => ConnectError::Unreadable(peer_text()),
            Code::Unavailable | Code::Cancelled => ConnectError::Closed,
            _ => match status.source() {
                Some(cause) => ConnectError::Broke(root_cause(cause)),
                None => ConnectError::Broke(peer_text()),
            },
        }
    }
}

/// Builds an HTTP/2 channel over one connected stream.
async fn http2_channel<S>(endpoint: Endpoint, stream: SniffedStream<S>) -> Result<Channel, tonic::transport::Error>
where
    SniffedStream<S>: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let stream = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        // No reconnect here: the caller must report the loss first.
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::other("connection closed")) }
    });
    endpoint.connect_with_connector(connector).await
}

/// Returns an error if the first bytes of the peer are not HTTP/2.
fn protocol_mismatch(first: &FirstBytes) -> Option<ConnectError> {
    match first.protocol() {
        PeerProtocol::Unknown | PeerProtocol::Http2 => None,
        PeerProtocol::Http1 => Some(ConnectError::Http1),
        PeerProtocol::Other => Some(ConnectError::OtherProtocol),
    }
}

fn connect_error(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused,
        io::ErrorKind::NotFound => ConnectError::NoSocket,
        io::ErrorKind::PermissionDenied => ConnectError::NotPermitted,
        io::ErrorKind::TimedOut => ConnectError::NoAccept,
        _ => ConnectError::NoConnection(error.to_string()),
    }
}

/// Returns the innermost cause of an error; the outer layers only say that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    truncate(&cause.to_string(), PEER_TEXT_BYTES_MAX)
}
