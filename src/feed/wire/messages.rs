//! The updates of a program as messages that are decoded a little at a time.

use console_api::instrument::InstrumentRequest;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::MESSAGE_BYTES_MAX;
use super::message::Message;

const WATCH_UPDATES: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";

/// The messages of one program, from a first full one on.
pub struct Messages(Streaming<Message>);

impl Messages {
    /// Begins to watch.
    ///
    /// # Errors
    /// Where the other side does not speak the console protocol, or is gone.
    pub async fn watch(channel: Channel) -> Result<Self, Status> {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(WATCH_UPDATES);
        Ok(Self(grpc.server_streaming(Request::new(InstrumentRequest {}), path, Raw).await?.into_inner()))
    }

    /// The next message; `None` when the program has gone. Nothing is lost where this is not waited for to its end.
    ///
    /// # Errors
    /// Where the connection broke or what arrived is not of the protocol.
    pub async fn next(&mut self) -> Result<Option<Message>, Status> {
        self.0.message().await
    }
}

/// Leaves what arrives as it came.
struct Raw;

impl Codec for Raw {
    type Encode = InstrumentRequest;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = InstrumentRequest;
    type Error = Status;

    fn encode(&mut self, _: InstrumentRequest, _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // It says nothing, in no bytes.
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        let bytes = prost::bytes::Buf::copy_to_bytes(buffer, prost::bytes::Buf::remaining(buffer));
        Message::read(bytes).map(Some).map_err(|error| Status::data_loss(error.to_string()))
    }
}
