//! Serves external consoles, such as tokio-console, from the embedded loop.
//!
//! They are served by a proxy over a connection of its own, not by the loop's own service. A slow console therefore
//! delays no other client, and none can use the protocol's pause request, which would stop the updates that loopscope's
//! screen needs.

use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Update,
};
use console_api::tasks::TaskDetails;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::feed::wire::{ConsoleAddress, MESSAGE_BYTES_MAX};

/// A bound socket that accepts external consoles.
#[derive(Debug)]
pub enum ConsoleListener {
    /// A TCP socket.
    Tcp(std::net::TcpListener),
    /// A Unix socket, whose file is removed when the last clone is dropped.
    Unix(std::os::unix::net::UnixListener, Arc<SocketFileGuard>),
}

/// Removes the file of a Unix socket on drop.
#[derive(Debug)]
pub struct SocketFileGuard(PathBuf);

impl Drop for SocketFileGuard {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl ConsoleListener {
    /// Binds to `address`. Takes over a Unix socket file on which no process listens.
    ///
    /// # Errors
    ///
    /// If the address is in use or does not belong to this machine.
    pub fn bind(address: &ConsoleAddress) -> io::Result<Self> {
        match address {
            ConsoleAddress::Tcp { host, port } => {
                let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
                let listener = std::net::TcpListener::bind(addresses.as_slice())?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            ConsoleAddress::Unix(path) => Self::unix(path),
        }
    }

    /// Clones the socket, for a run that replaces another.
    ///
    /// # Errors
    ///
    /// If the system has no more file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener, file) => Self::Unix(listener.try_clone()?, file.clone()),
        })
    }

    /// Returns whether only this machine can reach the socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener.local_addr().is_ok_and(|address| address.ip().is_loopback()),
            Self::Unix(..) => true,
        }
    }

    fn unix(path: &std::path::Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        use std::os::unix::net::{UnixListener, UnixStream};
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                // Connecting to a regular file is refused too.
                let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
                let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                if !is_socket || !UnixStream::connect(path).is_err_and(refuses) {
                    return Err(error);
                }
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(listener, Arc::new(SocketFileGuard(path.to_owned()))))
    }

    /// Serves external consoles from `channel` for as long as the future is polled.
    pub(super) async fn serve(self, channel: Channel) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let client = InstrumentClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let router = Server::builder().add_service(InstrumentServer::new(InstrumentProxy { client }));
        match self {
            Self::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                router.serve_with_incoming(TcpListenerStream::new(listener)).await?;
            }
            Self::Unix(listener, file) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                router.serve_with_incoming(UnixListenerStream::new(listener)).await?;
                drop(file);
            }
        }
        Ok(())
    }
}

/// The gRPC service for external consoles: forwards requests to the loop's own service, except pause and resume.
struct InstrumentProxy {
    client: InstrumentClient<Channel>,
}

/// Error for pause and resume requests, which would affect every client.
const PAUSE_REFUSED: &str = "pause and resume are only available in loopscope itself";

#[tonic::async_trait]
impl Instrument for InstrumentProxy {
    type WatchUpdatesStream = Streaming<Update>;
    type WatchTaskDetailsStream = Streaming<TaskDetails>;
    type WatchStateStream = Streaming<State>;

    async fn watch_updates(&self, request: Request<InstrumentRequest>) -> Result<Response<Streaming<Update>>, Status> {
        self.client.clone().watch_updates(request.into_inner()).await
    }

    async fn watch_task_details(
        &self,
        request: Request<TaskDetailsRequest>,
    ) -> Result<Response<Streaming<TaskDetails>>, Status> {
        self.client.clone().watch_task_details(request.into_inner()).await
    }

    async fn watch_state(&self, request: Request<StateRequest>) -> Result<Response<Streaming<State>>, Status> {
        self.client.clone().watch_state(request.into_inner()).await
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        Err(Status::permission_denied(PAUSE_REFUSED))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Err(Status::permission_denied(PAUSE_REFUSED))
    }
}
