//! Letting other consoles look at the loop, as they would at any program.
//!
//! Who looks from outside is served by a client of ours rather than by the loop's own service, over a connection of its
//! own: a slow one holds up nobody else, and none can ask for the pause of the protocol, which would stop the updates
//! that our own screen lives by.

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

use crate::feed::wire::{Address, MESSAGE_BYTES_MAX};

/// A socket that is bound, where consoles may come in.
#[derive(Debug)]
pub enum Listener {
    Tcp(std::net::TcpListener),
    /// The file of a Unix socket goes when nobody listens on it any more.
    Unix(std::os::unix::net::UnixListener, Arc<SocketFile>),
}

/// Removes itself.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at `address`. A Unix socket that somebody left there, and on which nobody listens, is taken over.
    ///
    /// # Errors
    /// Where the address is in use, or is not this machine's.
    pub fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => {
                let places: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
                let listener = std::net::TcpListener::bind(places.as_slice())?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            Address::Unix(path) => Self::unix(path),
        }
    }

    /// The same socket once more, for a run that takes the place of another.
    ///
    /// # Errors
    /// Where the system gives no more handles.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener, file) => Self::Unix(listener.try_clone()?, file.clone()),
        })
    }

    /// Only this machine can reach it.
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
                // A connection to a plain file is refused as well.
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
        Ok(Self::Unix(listener, Arc::new(SocketFile(path.to_owned()))))
    }

    /// Serves whoever comes in with what `channel` leads to, for as long as this is polled.
    pub(super) async fn serve(self, channel: Channel) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let client = InstrumentClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let router = Server::builder().add_service(InstrumentServer::new(Outside { client }));
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

/// The service that outside consoles see.
struct Outside {
    client: InstrumentClient<Channel>,
}

/// What a console is told that asks to stop the updates of everybody.
const NO_PAUSE: &str = "this loop is paused from loopscope's own screen only";

#[tonic::async_trait]
impl Instrument for Outside {
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
        Err(Status::permission_denied(NO_PAUSE))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Err(Status::permission_denied(NO_PAUSE))
    }
}
