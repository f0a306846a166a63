//! Reaching a program that listens on a TCP or Unix socket, and saying in a person's words why that failed.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::first_bytes::{FirstBytes, Listened, Speech};
use super::{Address, Details, Messages};

/// How long the other side may take to accept a connection, and then to answer the first request.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a program may take that is watched for good: one with a hundred thousand tasks can be slow to answer, and what
/// it told to a client that left it does not tell again.
const WATCH_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of what the other side said about itself that are shown.
const SAID_BYTES_MAX: usize = 200;

/// Why a program could not be reached, or was lost. Each is a sentence without its first word, which is the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("nothing listens there; is the program running, and does it call console_subscriber::init()?")]
    Refused,
    #[error("there is no such socket; is the program running, and is that the path that it was given?")]
    NoSocket,
    #[error("this user may not open the socket")]
    NotPermitted,
    #[error("there is no such host: {0}")]
    NoHost(String),
    #[error("the connection could not be made: {0}")]
    NoConnection(String),
    #[error("no connection within {} s", ANSWER_PATIENCE.as_secs())]
    NoAccept,
    #[error(
        "it took the connection and gave no answer for a long time; is it stopped, or something else than a console?"
    )]
    NoAnswer,
    #[error("it speaks HTTP/1: a web server, and not a console, which speaks gRPC")]
    Http1,
    #[error("it speaks something else than a console, which speaks gRPC")]
    OtherSpeech,
    #[error("it answers, but it is not a console: {0}")]
    NotConsole(String),
    #[error("what it sent cannot be read: {0}")]
    Unreadable(String),
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Broke(String),
}

/// A connection to a program.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    first: FirstBytes,
}

impl Connection {
    /// Connects, or gives up in time.
    ///
    /// # Errors
    /// Where nobody is there.
    pub async fn open(address: &Address) -> Result<Self, Unreachable> {
        let opened = timeout(ANSWER_PATIENCE, Self::open_patiently(address)).await;
        opened.unwrap_or(Err(Unreachable::NoAccept))
    }

    async fn open_patiently(address: &Address) -> Result<Self, Unreachable> {
        let first = FirstBytes::default();
        // The name of a socket's host means nothing to who listens there.
        let endpoint = Endpoint::from_static("http://console");
        let channel = match address {
            Address::Tcp { host, port } => {
                let lookup = tokio::net::lookup_host((host.as_str(), *port)).await;
                let places: Vec<_> = lookup.map_err(|error| Unreachable::NoHost(error.to_string()))?.collect();
                let stream = TcpStream::connect(places.as_slice()).await.map_err(|error| not_connected(&error))?;
                // What is late by a moment is of no use here; that a small answer waits is.
                let _ = stream.set_nodelay(true);
                over(endpoint, Listened { stream, first: first.clone() }).await
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| not_connected(&error))?;
                over(endpoint, Listened { stream, first: first.clone() }).await
            }
        };
        match channel {
            Ok(channel) => Ok(Self { channel, first }),
            Err(error) => Err(spoken(&first).unwrap_or_else(|| Unreachable::NoConnection(root_cause(&error)))),
        }
    }

    /// Begins to watch for good.
    ///
    /// # Errors
    /// Where the other side is no console, or does not answer in time.
    pub async fn messages(&self) -> Result<Messages, Unreachable> {
        self.messages_within(WATCH_PATIENCE).await
    }

    /// Begins to watch, or gives up where no answer comes in a few seconds.
    ///
    /// # Errors
    /// Where the other side is no console, or does not answer in time.
    pub async fn messages_soon(&self) -> Result<Messages, Unreachable> {
        self.messages_within(ANSWER_PATIENCE).await
    }

    async fn messages_within(&self, patience: Duration) -> Result<Messages, Unreachable> {
        match timeout(patience, Messages::watch(self.channel.clone())).await {
            Ok(Ok(messages)) => Ok(messages),
            Ok(Err(status)) => Err(self.lost(&status)),
            Err(_) => Err(spoken(&self.first).unwrap_or(Unreachable::NoAnswer)),
        }
    }

    /// Begins to watch one task's details.
    ///
    /// # Errors
    /// Where there is no such task, or the program is gone.
    pub async fn details(&self, span: u64) -> Result<Details, Status> {
        Details::watch(self.channel.clone(), span).await
    }

    /// What a failure says of the other side.
    pub fn lost(&self, status: &Status) -> Unreachable {
        let said = || crate::feed::console::cut(status.message(), SAID_BYTES_MAX);
        if let Some(spoken) = spoken(&self.first) {
            return spoken;
        }
        match status.code() {
            Code::Unimplemented | Code::NotFound | Code::Unauthenticated | Code::PermissionDenied => {
                Unreachable::NotConsole(said())
            }
            Code::OutOfRange | Code::ResourceExhausted | Code::DataLoss => Unreachable::Unreadable(said()),
            Code::Internal if status.source().is_none() => Unreachable::Unreadable(said()),
            Code::Unavailable | Code::Cancelled => Unreachable::Closed,
            _ => match status.source() {
                Some(cause) => Unreachable::Broke(root_cause(cause)),
                None => Unreachable::Broke(said()),
            },
        }
    }
}

/// Speaks HTTP/2 over one stream that is already connected.
async fn over<S>(endpoint: Endpoint, stream: Listened<S>) -> Result<Channel, tonic::transport::Error>
where
    Listened<S>: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let stream = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        // A second connection would be another one: who lost it has to say so.
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::other("the connection was closed")) }
    });
    endpoint.connect_with_connector(connector).await
}

/// What the other side speaks, where it is not what a console does.
fn spoken(first: &FirstBytes) -> Option<Unreachable> {
    match first.speech() {
        Speech::Nothing | Speech::Http2 => None,
        Speech::Http1 => Some(Unreachable::Http1),
        Speech::Other => Some(Unreachable::OtherSpeech),
    }
}

fn not_connected(error: &io::Error) -> Unreachable {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Unreachable::Refused,
        io::ErrorKind::NotFound => Unreachable::NoSocket,
        io::ErrorKind::PermissionDenied => Unreachable::NotPermitted,
        io::ErrorKind::TimedOut => Unreachable::NoAccept,
        _ => Unreachable::NoConnection(error.to_string()),
    }
}

/// What lies at the bottom of an error: the layers above say only that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    crate::feed::console::cut(&cause.to_string(), SAID_BYTES_MAX)
}
