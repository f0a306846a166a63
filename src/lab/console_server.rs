//! Runs console-subscriber for the embedded loop.
//!
//! Its layer observes the loop thread. Its aggregator and service run on a thread of their own, where a client reads
//! them over an in-memory pipe, as a client of any other program does.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, Server, ServerParts};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use super::console_listener::ConsoleListener;
use super::spawn_location::SpawnLocationLayer;
use super::throttle::{AggregatorThrottle, BUFFER_EVENTS};
use crate::feed::console::{ClockAnchor, OwnConsoleDecoder};
use crate::feed::wire::UpdateStream;
use crate::trace::Event;

/// The interval at which the aggregator publishes updates.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);

/// The longest duration that console-subscriber's histograms resolve. The probe reports exact polls, so these
/// histograms are unused; this maximum shrinks them from 49 KB a task (at the default of one second) to 8 KB.
const HISTOGRAM_MAX: Duration = Duration::from_micros(1);

/// How long external consoles still see a task that has ended.
const RETENTION: Duration = Duration::from_secs(60);

/// Capacity of the channel of event batches to the session.
const BATCHES_MAX: usize = 64;

/// Capacity of each in-memory pipe between service and client, in bytes.
const PIPE_BYTES: usize = 1 << 20;

/// EventBatches of events from console-subscriber. The channel closes after the last event.
pub type EventBatches = mpsc::Receiver<Vec<Event>>;

/// The console thread, as seen by the thread that starts a run.
pub struct ConsoleServer {
    /// The dispatcher for the threads of the loop.
    pub dispatch: Dispatch,
    /// The events that the console reports.
    pub batches: EventBatches,
    /// Send the end of the loop here, so that the console thread can check whether everything has been published.
    pub loop_ended: oneshot::Sender<Instant>,
    /// Receives a message once the client is subscribed. A loop that starts earlier would not be observed from its
    /// beginning.
    pub ready: std::sync::mpsc::Receiver<()>,
}

/// Access for external consoles.
pub struct ExternalConsoles {
    /// The socket that they connect to.
    pub listener: ConsoleListener,
    /// Resolves, with or without a value, when serving must stop.
    pub shutdown: oneshot::Receiver<()>,
}

/// Starts the console thread.
///
/// # Errors
///
/// If the system cannot create a thread.
pub fn start(
    decoder: OwnConsoleDecoder,
    throttle: Arc<AggregatorThrottle>,
    external: Option<ExternalConsoles>,
) -> io::Result<ConsoleServer> {
    let builder = ConsoleLayer::builder().publish_interval(PUBLISH_INTERVAL).event_buffer_capacity(BUFFER_EVENTS);
    let is_served = external.is_some();
    let builder = match external {
        // External consoles need what loopscope's screen gets from the probe: ended tasks and full histograms.
        Some(_) => builder.retention(RETENTION),
        None => builder
            .retention(Duration::ZERO)
            .poll_duration_histogram_max(HISTOGRAM_MAX)
            .scheduled_duration_histogram_max(HISTOGRAM_MAX),
    };
    // console-subscriber converts monotonic times to system time by an anchor that it reads when it is built, here.
    let (anchor, (layer, server)) = ClockAnchor::bracket(|| builder.build());
    let dispatch = if is_served {
        Dispatch::new(tracing_subscriber::registry().with(SpawnLocationLayer(layer)))
    } else {
        Dispatch::new(tracing_subscriber::registry().with(layer))
    };
    let (batch_sender, batches) = mpsc::channel(BATCHES_MAX);
    let (end_sender, loop_ended) = oneshot::channel();
    let (ready_sender, ready) = std::sync::mpsc::channel();
    let dispatch_guard = dispatch.clone();
    std::thread::Builder::new().name("loopscope-console".into()).spawn(move || {
        tracing::dispatcher::with_default(&super::untraced_dispatch(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let client = OwnConsoleClient { decoder, batches: batch_sender, throttle: throttle.clone(), anchor };
                runtime.block_on(serve(server, client, loop_ended, ready_sender, external));
            }
            throttle.close();
            // The aggregator stops without a final update when its layer is dropped, so the dispatcher lives
            // until now.
            drop(dispatch_guard);
        });
    })?;
    Ok(ConsoleServer { dispatch, batches, loop_ended: end_sender, ready })
}

async fn serve(
    server: Server,
    client: OwnConsoleClient,
    loop_ended: oneshot::Receiver<Instant>,
    ready: std::sync::mpsc::Sender<()>,
    external: Option<ExternalConsoles>,
) {
    let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
    // The aggregator drains its buffer in one loop, which tokio's cooperative budget would end after 128 events. Of a
    // busy loop it would read 128 events an interval and drop most of the rest.
    let aggregating = tokio::spawn(tokio::task::unconstrained(aggregator.run()));
    let (client_pipe, server_pipe) = tokio::io::duplex(PIPE_BYTES);
    let (external_client, external_server_pipe) = tokio::io::duplex(PIPE_BYTES);
    let serving = tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(instrument_server)
            .serve_with_incoming(tokio_stream::iter([server_pipe, external_server_pipe].map(Ok::<_, io::Error>))),
    );
    // On failure every console count stays unknown, which the comparison of the feeds shows.
    let updates = match channel(client_pipe).await {
        Ok(channel) => UpdateStream::watch(channel).await.ok(),
        Err(_) => None,
    };
    let external_server = match external {
        Some(external) => channel(external_client).await.ok().map(|channel| {
            (tokio::spawn(async move { external.listener.serve(channel).await.is_ok() }), external.shutdown)
        }),
        None => None,
    };
    if let Some(updates) = updates {
        let _ = ready.send(());
        client.follow(updates, loop_ended).await;
    }
    if let Some((serving, shutdown)) = external_server {
        let _ = shutdown.await;
        serving.abort();
    }
    serving.abort();
    aggregating.abort();
}

async fn channel(pipe: tokio::io::DuplexStream) -> Result<Channel, tonic::transport::Error> {
    let pipe = Arc::new(Mutex::new(Some(pipe)));
    let connector = tower::service_fn(move |_| {
        let pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { pipe.map(hyper_util::rt::TokioIo::new).ok_or_else(|| io::Error::other("the pipe is in use")) }
    });
    tonic::transport::Endpoint::from_static("http://loop").connect_with_connector(connector).await
}

struct OwnConsoleClient {
    decoder: OwnConsoleDecoder,
    batches: mpsc::Sender<Vec<Event>>,
    throttle: Arc<AggregatorThrottle>,
    anchor: ClockAnchor,
}

impl OwnConsoleClient {
    /// Forwards the events of all updates until the end.
    async fn follow(mut self, updates: UpdateStream, loop_ended: oneshot::Receiver<Instant>) {
        let has_published_all = self.follow_updates(updates, loop_ended).await;
        let remaining = self.decoder.close(has_published_all);
        if !remaining.is_empty() {
            // The receiver may be gone by now.
            let _ = self.batches.send(remaining).await;
        }
    }

    /// Forwards updates until the loop has ended and everything before that was published. Returns whether it was.
    async fn follow_updates(&mut self, mut updates: UpdateStream, mut loop_ended: oneshot::Receiver<Instant>) -> bool {
        let mut ended = None;
        while !ended.is_some_and(|ended| self.throttle.has_published_all_before(ended)) {
            tokio::select! {
                at = &mut loop_ended, if ended.is_none() => ended = Some(at.unwrap_or_else(|_| Instant::now())),
                update = updates.next() => {
                    let Ok(Some(update)) = update else { return false };
                    self.throttle.record_update(self.anchor.earliest(update.now));
                    if self.batches.send(self.decoder.decode(update, &self.anchor)).await.is_err() {
                        return false;
                    }
                }
            }
        }
        true
    }
}
