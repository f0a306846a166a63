//! Client of the console wire protocol, the same gRPC service that tokio-console uses, over any channel.

mod address;
mod connect;
mod first_bytes;
mod message;
mod message_stream;

pub(crate) use address::AddressError;
pub use address::{ConsoleAddress, DEFAULT_ADDRESS};
pub use connect::{ConnectError, ConsoleConnection};
pub use first_bytes::ReceivedBytes;
pub use message::ConsoleMessage;
pub use message_stream::MessageStream;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, TaskDetailsRequest, Update};
use console_api::tasks::TaskDetails;
use tonic::transport::Channel;

/// Longest message accepted, in bytes: messages of 206 MB from a real program have been reported.
pub const MESSAGE_BYTES_MAX: usize = 512 << 20;

/// The updates of one program, starting with a full one.
pub struct UpdateStream(tonic::Streaming<Update>);

impl UpdateStream {
    /// Subscribes to updates.
    ///
    /// # Errors
    /// If the peer does not speak the console protocol, or is gone.
    pub async fn watch(channel: Channel) -> Result<Self, tonic::Status> {
        let mut client = InstrumentClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self(client.watch_updates(InstrumentRequest {}).await?.into_inner()))
    }

    /// Returns the next update; `None` when the program has exited. Cancel safe.
    ///
    /// # Errors
    /// If the connection breaks or the data is malformed.
    pub async fn next(&mut self) -> Result<Option<Update>, tonic::Status> {
        self.0.message().await
    }
}

/// The details of one task. The program sends them only while its updates are watched as well.
pub struct TaskDetailsStream(tonic::Streaming<TaskDetails>);

impl TaskDetailsStream {
    /// Subscribes to the details of the task with this span id.
    ///
    /// # Errors
    /// If there is no such task, or the program is gone.
    pub async fn watch(channel: Channel, span: u64) -> Result<Self, tonic::Status> {
        let mut client = InstrumentClient::new(channel);
        let request = TaskDetailsRequest { id: Some(console_api::Id { id: span }) };
        Ok(Self(client.watch_task_details(request).await?.into_inner()))
    }

    /// Returns the next details; `None` when the task has ended.
    ///
    /// # Errors
    /// If the connection breaks or the data is malformed.
    pub async fn next(&mut self) -> Result<Option<TaskDetails>, tonic::Status> {
        self.0.message().await
    }
}
