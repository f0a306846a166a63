//! console-subscriber beside the loop: its layer listens on the loop's thread, its aggregator and service run on a
//! thread of their own, and our client reaches them over a pipe in memory, as it would any other program.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, Server, ServerParts};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use super::serve::Listener;
use super::valve::{BUFFER_EVENTS, Valve};
use crate::feed::console::{Anchor, Door};
use crate::feed::wire::Updates;
use crate::trace::Event;

/// How often the aggregator publishes.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);

/// The longest durations that console-subscriber's histograms resolve. Ours come from exact polls, and these cost a
/// task 49 KB at their default of a second: 8 KB so.
const HISTOGRAM_MAX: Duration = Duration::from_micros(1);

/// How long a console from outside may still see a task that has ended.
const RETENTION: Duration = Duration::from_secs(60);

/// Batches of events on their way to the session.
const BATCHES_MAX: usize = 64;

/// Bytes in the pipe between service and client.
const PIPE_BYTES: usize = 1 << 20;

/// What console-subscriber tells, in batches; closed when it has told everything.
pub type Batches = mpsc::Receiver<Vec<Event>>;

/// The console's side of a run.
pub struct Console {
    /// For the loop's threads.
    pub dispatch: Dispatch,
    pub batches: Batches,
    /// Say here when the loop has ended, so that the console can tell when it has told all.
    pub ended: oneshot::Sender<Instant>,
    /// Comes once the client listens: a loop that starts before would not be seen from its beginning.
    pub listening: std::sync::mpsc::Receiver<()>,
}

/// Consoles from outside.
pub struct Outside {
    pub listener: Listener,
    /// Ends, one way or the other, when nobody is to be served any more.
    pub is_over: oneshot::Receiver<()>,
}

/// Starts the console's thread.
///
/// # Errors
/// Where the system gives no more threads.
pub fn start(door: Door, valve: Arc<Valve>, outside: Option<Outside>) -> io::Result<Console> {
    let builder = ConsoleLayer::builder().publish_interval(PUBLISH_INTERVAL).event_buffer_capacity(BUFFER_EVENTS);
    let builder = match outside {
        // Who looks from outside wants what our own screen knows better: what has ended, and how polls spread.
        Some(_) => builder.retention(RETENTION),
        None => builder
            .retention(Duration::ZERO)
            .poll_duration_histogram_max(HISTOGRAM_MAX)
            .scheduled_duration_histogram_max(HISTOGRAM_MAX),
    };
    // console-subscriber says times of its monotonic clock in terms of the system time at which it began: here.
    let (anchor, (layer, server)) = Anchor::around(|| builder.build());
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let (batch_sender, batches) = mpsc::channel(BATCHES_MAX);
    let (ended, has_ended) = oneshot::channel();
    let (listens, listening) = std::sync::mpsc::channel();
    let kept = dispatch.clone();
    std::thread::Builder::new().name("loopscope-console".into()).spawn(move || {
        tracing::dispatcher::with_default(&super::uninstrumented(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let client = Client { door, batches: batch_sender, valve: valve.clone(), anchor };
                runtime.block_on(serve(server, client, has_ended, listens, outside));
            }
            valve.close();
            // The aggregator stops without a last word when its layer goes, so the layer stays until now.
            drop(kept);
        });
    })?;
    Ok(Console { dispatch, batches, ended, listening })
}

async fn serve(
    server: Server,
    client: Client,
    has_ended: oneshot::Receiver<Instant>,
    listens: std::sync::mpsc::Sender<()>,
    outside: Option<Outside>,
) {
    let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
    // The aggregator empties its buffer in one go, but tokio's cooperative budget ends that after 128 events: of a busy
    // loop it would learn 128 events an interval, and drop most of the rest.
    let aggregating = tokio::spawn(tokio::task::unconstrained(aggregator.run()));
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (outside_near, outside_far) = tokio::io::duplex(PIPE_BYTES);
    let serving = tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(instrument_server)
            .serve_with_incoming(tokio_stream::iter([far, outside_far].map(Ok::<_, io::Error>))),
    );
    // A failure here leaves every count of the console unknown, which the agreement of the feeds then shows.
    let watching = match channel(near).await {
        Ok(channel) => Updates::watch(channel).await.ok(),
        Err(_) => None,
    };
    let outside = match outside {
        Some(outside) => channel(outside_near).await.ok().map(|channel| {
            (tokio::spawn(async move { outside.listener.serve(channel).await.is_ok() }), outside.is_over)
        }),
        None => None,
    };
    if let Some(updates) = watching {
        let _ = listens.send(());
        client.follow(updates, has_ended).await;
    }
    if let Some((serving, is_over)) = outside {
        let _ = is_over.await;
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

struct Client {
    door: Door,
    batches: mpsc::Sender<Vec<Event>>,
    valve: Arc<Valve>,
    anchor: Anchor,
}

impl Client {
    /// Passes on what updates tell, to the last.
    async fn follow(mut self, updates: Updates, has_ended: oneshot::Receiver<Instant>) {
        let is_complete = self.follow_updates(updates, has_ended).await;
        let last = self.door.close(is_complete);
        if !last.is_empty() {
            // Nobody may be there any more who wants to know.
            let _ = self.batches.send(last).await;
        }
    }

    /// Passes updates on until the loop has ended and everything that was counted was told. Tells whether it was.
    async fn follow_updates(&mut self, mut updates: Updates, mut has_ended: oneshot::Receiver<Instant>) -> bool {
        let mut ended = None;
        while !ended.is_some_and(|ended| self.valve.has_told_all_until(ended)) {
            tokio::select! {
                at = &mut has_ended, if ended.is_none() => ended = Some(at.unwrap_or_else(|_| Instant::now())),
                update = updates.next() => {
                    let Ok(Some(update)) = update else { return false };
                    self.valve.updated(self.anchor.earliest(update.now));
                    if self.batches.send(self.door.events(update, &self.anchor)).await.is_err() {
                        return false;
                    }
                }
            }
        }
        true
    }
}
