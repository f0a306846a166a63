//! The console wire: a client of the same service that tokio-console speaks to, over any channel.

mod address;
mod connect;
mod first_bytes;
mod message;
mod messages;

pub use address::{Address, DEFAULT_ADDRESS};
pub use connect::{Connection, Unreachable};
pub use message::Message;
pub use messages::Messages;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, TaskDetailsRequest, Update};
use console_api::tasks::TaskDetails;
use tonic::transport::Channel;

/// Bytes of one message that are accepted: a user has reported 206 MB from a real program.
pub const MESSAGE_BYTES_MAX: usize = 512 << 20;

/// The updates of one program, from a first full one on.
pub struct Updates(tonic::Streaming<Update>);

impl Updates {
    /// Begins to watch.
    ///
    /// # Errors
    /// Where the other side does not speak the console protocol, or is gone.
    pub async fn watch(channel: Channel) -> Result<Self, tonic::Status> {
        let mut client = InstrumentClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self(client.watch_updates(InstrumentRequest {}).await?.into_inner()))
    }

    /// The next update; `None` when the program has gone. Nothing is lost where this is not waited for to its end.
    ///
    /// # Errors
    /// Where the connection broke or what arrived is not of the protocol.
    pub async fn next(&mut self) -> Result<Option<Update>, tonic::Status> {
        self.0.message().await
    }
}

/// What a program tells of one task on request, for as long as its updates are watched as well.
pub struct Details(tonic::Streaming<TaskDetails>);

impl Details {
    /// Begins to watch the task that the program knows by this span id.
    ///
    /// # Errors
    /// Where there is no such task, or the program is gone.
    pub async fn watch(channel: Channel, span: u64) -> Result<Self, tonic::Status> {
        let mut client = InstrumentClient::new(channel);
        let request = TaskDetailsRequest { id: Some(console_api::Id { id: span }) };
        Ok(Self(client.watch_task_details(request).await?.into_inner()))
    }

    /// The next word; `None` when the task is gone.
    ///
    /// # Errors
    /// Where the connection broke or what arrived is not of the protocol.
    pub async fn next(&mut self) -> Result<Option<TaskDetails>, tonic::Status> {
        self.0.message().await
    }
}
