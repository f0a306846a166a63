//! A console that sends whatever a test needs, over a real socket in the real protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Update,
};
use console_api::tasks::TaskDetails;
use loopscope::lab::untraced_dispatch;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, async_trait};

/// Serves on its own thread until dropped.
pub struct FakeConsole {
    pub address: String,
    /// Number of `Pause` requests, which would stop the console for every client.
    pauses: Arc<AtomicUsize>,
    _shutdown: tokio::sync::oneshot::Sender<()>,
}

impl FakeConsole {
    /// Sends `updates` to every client, and then keeps the connection open.
    pub fn start(updates: Vec<Update>) -> Self {
        Self::start_with(updates, None)
    }

    /// Sends `updates` to the first client and closes the stream. Later clients are refused.
    pub fn start_once(updates: Vec<Update>) -> Self {
        Self::start_with(updates, Some(1))
    }

    /// Sends `updates` to every client and closes each stream.
    pub fn start_closing(updates: Vec<Update>) -> Self {
        Self::start_with(updates, Some(usize::MAX))
    }

    fn start_with(updates: Vec<Update>, closing: Option<usize>) -> Self {
        let pauses = Arc::new(AtomicUsize::new(0));
        let closing = closing.map(AtomicUsize::new);
        let service = FakeInstrument { updates: Arc::new(updates), closing, pauses: pauses.clone() };
        let (closes, is_over) = tokio::sync::oneshot::channel();
        let (address_sender, address_receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tracing::dispatcher::with_default(&untraced_dispatch(), || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be had").block_on(serve(service, address_sender, is_over));
            });
        });
        let address: SocketAddr = address_receiver.recv().expect("it listens");
        Self { address: format!("http://{address}"), pauses, _shutdown: closes }
    }

    pub fn pauses(&self) -> usize {
        self.pauses.load(Ordering::SeqCst)
    }
}

async fn serve(
    service: FakeInstrument,
    address_sender: std::sync::mpsc::Sender<SocketAddr>,
    is_over: tokio::sync::oneshot::Receiver<()>,
) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
    address_sender.send(listener.local_addr().expect("it is bound")).expect("the test waits");
    let server = InstrumentServer::new(service).max_encoding_message_size(1 << 30);
    let serving = tonic::transport::Server::builder()
        .add_service(server)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async { drop(is_over.await) });
    let _ = serving.await;
}

struct FakeInstrument {
    updates: Arc<Vec<Update>>,
    /// Number of further clients, whose streams are closed after the updates; `None` serves every client on.
    closing: Option<AtomicUsize>,
    pauses: Arc<AtomicUsize>,
}

#[async_trait]
impl Instrument for FakeInstrument {
    type WatchUpdatesStream = ReceiverStream<Result<Update, Status>>;
    type WatchTaskDetailsStream = ReceiverStream<Result<TaskDetails, Status>>;
    type WatchStateStream = ReceiverStream<Result<State, Status>>;

    async fn watch_updates(&self, _: Request<InstrumentRequest>) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        if let Some(further) = &self.closing
            && further.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_err()
        {
            return Err(Status::unavailable("no more updates"));
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let (updates, closes) = (self.updates.clone(), self.closing.is_some());
        tokio::spawn(async move {
            for update in updates.iter() {
                if sender.send(Ok(update.clone())).await.is_err() {
                    return;
                }
            }
            if !closes {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn watch_task_details(
        &self,
        _: Request<TaskDetailsRequest>,
    ) -> Result<Response<Self::WatchTaskDetailsStream>, Status> {
        Err(Status::not_found("task not found"))
    }

    async fn watch_state(&self, _: Request<StateRequest>) -> Result<Response<Self::WatchStateStream>, Status> {
        Err(Status::unimplemented("not implemented"))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Ok(Response::new(ResumeResponse {}))
    }
}
