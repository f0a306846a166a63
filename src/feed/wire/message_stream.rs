//! Stream of a program's updates as messages that are decoded a few entries at a time.

use console_api::instrument::InstrumentRequest;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::MESSAGE_BYTES_MAX;
use super::message::ConsoleMessage;

const WATCH_UPDATES: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";

/// The messages of one program, starting with a full one.
pub struct MessageStream(Streaming<ConsoleMessage>);

impl MessageStream {
    /// Subscribes to updates.
    ///
    /// # Errors
    /// If the peer does not speak the console protocol, or is gone.
    pub async fn watch(channel: Channel) -> Result<Self, Status> {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(WATCH_UPDATES);
        Ok(Self(grpc.server_streaming(Request::new(InstrumentRequest {}), path, MessageCodec).await?.into_inner()))
    }

    /// Returns the next message; `None` when the program has exited. Cancel safe.
    ///
    /// # Errors
    /// If the connection breaks or the data is malformed.
    pub async fn next(&mut self) -> Result<Option<ConsoleMessage>, Status> {
        self.0.message().await
    }
}

/// Codec that leaves messages undecoded.
struct MessageCodec;

impl Codec for MessageCodec {
    type Encode = InstrumentRequest;
    type Decode = ConsoleMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for MessageCodec {
    type Item = InstrumentRequest;
    type Error = Status;

    fn encode(&mut self, _: InstrumentRequest, _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // An empty message has no bytes.
        Ok(())
    }
}

impl Decoder for MessageCodec {
    type Item = ConsoleMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ConsoleMessage>, Status> {
        let bytes = prost::bytes::Buf::copy_to_bytes(buffer, prost::bytes::Buf::remaining(buffer));
        ConsoleMessage::parse(bytes).map(Some).map_err(|error| Status::data_loss(error.to_string()))
    }
}
