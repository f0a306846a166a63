//! The worker thread of an attach session. It connects, reconnects with backoff and forwards updates.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::channel::{AttachUpdate, SessionClosed, WorkerEnd, channel};
use super::silence::Silence;
use super::status_text;
use crate::control::{ConnectionState, ConnectionStatus};
use crate::feed::console::{ConsoleDecoder, PollSource, decode_histograms};
use crate::feed::wire::{
    ConnectError, ConsoleAddress, ConsoleConnection, ConsoleMessage, MessageStream, ReceivedBytes, TaskDetailsStream,
};
use crate::lab::untraced_dispatch;
use crate::session::sources::SourceReader;
use crate::trace::{Event, Nanos, TaskId};

/// Delay after the first failed attempt. It doubles with each further failure.
const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Maximum delay between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a connection must last before a further attempt follows its loss at once.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Bytes of a first update from which its progress is shown.
const LONG_MESSAGE_BYTES: u64 = 1_000_000;

/// How often the number of received bytes is checked while the first update is awaited.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is checked while a later update is awaited.
const SILENCE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout of a request for a task's details.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the worker thread for `address`. It ends with its session.
///
/// # Errors
/// Returns an error if the runtime or the thread cannot be created.
pub fn spawn(address: ConsoleAddress, session: WorkerEnd, sources: SourceReader) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("loopscope-attach".into()).spawn(move || {
        // Keep this runtime out of the trace.
        tracing::dispatcher::with_default(&untraced_dispatch(), || {
            runtime.block_on(AttachWorker::new(address, session, sources).run());
            // Do not wait for a pending name lookup.
            runtime.shutdown_background();
        });
    })?;
    Ok(())
}

/// State of the worker thread.
struct AttachWorker {
    address: ConsoleAddress,
    session: WorkerEnd,
    decoder: ConsoleDecoder,
    sources: SourceReader,
    started: Instant,
    /// The current process has sent at least one update.
    has_been_live: bool,
    /// The connection state sent last.
    last_status: Option<ConnectionStatus>,
    /// Failed attempts since the last update.
    attempts: u32,
    /// When the current connection was made; `None` while there is none.
    connected_at: Option<Instant>,
    /// Connections in a row that brought an update and ended before [`STABLE_AFTER`].
    short_connections: u32,
}

/// Why a connection ended.
enum ConnectionEnd {
    SessionClosed,
    ConnectError(ConnectError),
}

impl From<SessionClosed> for ConnectionEnd {
    fn from(_: SessionClosed) -> Self {
        Self::SessionClosed
    }
}

impl From<ConnectError> for ConnectionEnd {
    fn from(reason: ConnectError) -> Self {
        Self::ConnectError(reason)
    }
}

impl AttachWorker {
    fn new(address: ConsoleAddress, session: WorkerEnd, sources: SourceReader) -> Self {
        Self {
            address,
            session,
            decoder: ConsoleDecoder::new(PollSource::Console),
            sources,
            started: Instant::now(),
            has_been_live: false,
            last_status: None,
            attempts: 0,
            connected_at: None,
            short_connections: 0,
        }
    }

    async fn run(mut self) {
        loop {
            let error = match self.connect_and_forward().await {
                Err(ConnectionEnd::ConnectError(error)) => error,
                Err(ConnectionEnd::SessionClosed) => return,
                Ok(never) => match never {},
            };
            let last = self.decoder.close();
            if !last.is_empty() && self.forward(last).await.is_err() {
                return;
            }
            if self.wait(&error).await.is_err() {
                return;
            }
        }
    }

    /// Reports `error` and waits before the next attempt.
    async fn wait(&mut self, error: &ConnectError) -> Result<(), SessionClosed> {
        // A server that sends an update and closes must not be called several times a second.
        if let Some(connected_at) = self.connected_at.take() {
            let is_short = self.has_been_live && connected_at.elapsed() < STABLE_AFTER;
            self.short_connections = if is_short { self.short_connections.saturating_add(1) } else { 0 };
        }
        let failures = self.attempts.max(self.short_connections.saturating_sub(1));
        let wait = BACKOFF_MIN.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
        // A program may restart at once, so the connection is lost only after a failed reconnect.
        let is_lost = self.has_been_live && self.attempts > 0;
        let (state, note) = if is_lost {
            (ConnectionState::Lost, status_text::lost_note(error.reason(), self.attempts, &self.decoder))
        } else {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let note = status_text::short_connection_note(&error.to_string(), self.short_connections);
            (ConnectionState::Retrying { attempts: failures.saturating_add(1), wait_ms }, note)
        };
        self.attempts = self.attempts.saturating_add(1);
        self.report_connection(state, note).await?;
        tokio::select! {
            () = self.session.closed() => Err(SessionClosed),
            () = self.session.retry_requested() => Ok(()),
            () = sleep(wait) => Ok(()),
        }
    }

    /// Connects and forwards updates until the connection ends.
    async fn connect_and_forward(&mut self) -> Result<std::convert::Infallible, ConnectionEnd> {
        if !self.has_been_live && self.attempts == 0 {
            self.report_connection(ConnectionState::Connecting, String::new()).await?;
        }
        let address = self.address.clone();
        let mut connecting = std::pin::pin!(connect(&address, self.session.received.clone()));
        let connected = loop {
            tokio::select! {
                () = self.session.closed() => return Err(ConnectionEnd::SessionClosed),
                connected = &mut connecting => break connected,
                () = sleep(status_text::ANSWER_THRESHOLD) => {
                    if !self.has_been_live {
                        self.report_connection(ConnectionState::AwaitingData, status_text::NO_ANSWER_YET.to_owned()).await?;
                    }
                }
            }
        };
        let (connection, mut messages) = connected?;
        self.connected_at = Some(Instant::now());
        let mut silence = Silence::since_now(connection.received_bytes());
        if !self.has_been_live {
            self.report_connection(ConnectionState::AwaitingData, status_text::WAITING.to_owned()).await?;
        }
        let (mut details, mut is_first) = (SelectedTask::default(), true);
        let mut selected = self.session.selected.clone();
        loop {
            let interval = if self.has_been_live { SILENCE_CHECK_INTERVAL } else { PROGRESS_INTERVAL };
            let message = tokio::select! {
                () = self.session.closed() => return Err(ConnectionEnd::SessionClosed),
                message = timeout(interval, messages.next()) => message,
                histograms = details.next() => {
                    if let Some(event) = histograms {
                        self.session.send_events(vec![event]).await?;
                    }
                    continue;
                }
                Ok(()) = selected.changed() => {
                    let task = *selected.borrow_and_update();
                    details.select(task.and_then(|task| Some((task, self.decoder.span_for_task(task)?))), &connection).await;
                    continue;
                }
            };
            let received = connection.received_bytes();
            let now = Instant::now();
            let is_receiving = silence.observe(received, now);
            match message {
                Err(_) if is_receiving && !self.has_been_live && received > LONG_MESSAGE_BYTES => {
                    let note = status_text::receiving_note(received);
                    self.report_connection(ConnectionState::AwaitingData, note).await?;
                }
                Err(_) if silence.duration(now) < status_text::SILENCE_THRESHOLD => {}
                Err(_) if !self.has_been_live => {
                    self.report_connection(ConnectionState::AwaitingData, status_text::silence_note()).await?;
                }
                Err(_) => {
                    self.report_connection(ConnectionState::Live, status_text::live_note(&self.decoder, true)).await?;
                }
                Ok(Ok(Some(message))) => {
                    self.forward_update(message, is_first).await?;
                    if std::mem::take(&mut is_first) {
                        // The update may have switched to a successor's channel. Request the selected task again.
                        selected = self.session.selected.clone();
                        selected.mark_changed();
                    }
                }
                Ok(Ok(None)) => return Err(ConnectError::Closed.into()),
                Ok(Err(status)) => return Err(connection.explain(&status).into()),
            }
        }
    }

    /// Forwards an update. The first update of a connection shows whether it is still the same process.
    async fn forward_update(&mut self, mut message: ConsoleMessage, is_first: bool) -> Result<(), SessionClosed> {
        let mut gap_from = None;
        if is_first && self.has_been_live {
            if self.decoder.is_same_process(message.task_creations()) {
                gap_from = Some(self.decoder.reconnect());
            } else {
                self.start_successor().await?;
            }
        }
        let arrived = Nanos::try_from(self.started.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        self.decoder.begin_message(&message, Some(arrived));
        for part in message.parts() {
            let events = self.decoder.decode_part(part);
            self.forward(events).await?;
        }
        let mut events = self.decoder.finish_message(message.skipped_entries());
        events.extend(gap_from.map(|from| Event::Disconnected { from, to: self.decoder.clock().now() }));
        self.forward(events).await?;
        (self.has_been_live, self.attempts) = (true, 0);
        self.report_connection(ConnectionState::Live, status_text::live_note(&self.decoder, false)).await
    }

    async fn forward(&mut self, events: Vec<Event>) -> Result<(), SessionClosed> {
        for (file, text) in self.sources.read(&events) {
            self.session.send(AttachUpdate::Source { file, text }).await?;
        }
        self.session.send_events(events).await
    }

    /// Switches to a new channel and decoder, so that the events of two processes never mix.
    async fn start_successor(&mut self) -> Result<(), SessionClosed> {
        self.report_connection(ConnectionState::Lost, status_text::REPLACED.to_owned()).await?;
        let (session_end, session) = channel();
        self.session.send(AttachUpdate::Successor(Box::new(session_end))).await?;
        self.session = session;
        self.decoder = ConsoleDecoder::new(PollSource::Console);
        self.sources = self.sources.restarted();
        (self.has_been_live, self.last_status, self.attempts) = (false, None, 0);
        Ok(())
    }

    async fn report_connection(&mut self, state: ConnectionState, note: String) -> Result<(), SessionClosed> {
        let connection = ConnectionStatus { state, note };
        if self.last_status.as_ref() != Some(&connection) {
            self.last_status = Some(connection.clone());
            self.session.send(AttachUpdate::Connection(connection)).await?;
        }
        Ok(())
    }
}

async fn connect(
    address: &ConsoleAddress,
    received: ReceivedBytes,
) -> Result<(ConsoleConnection, MessageStream), ConnectError> {
    let connection = ConsoleConnection::open_counting(address, received).await?;
    let messages = connection.messages().await?;
    Ok((connection, messages))
}

/// The selected task and the stream of its details.
#[derive(Default)]
struct SelectedTask {
    task: Option<TaskId>,
    details: Option<TaskDetailsStream>,
}

impl SelectedTask {
    /// Selects another task and requests its details. On failure the task has no histograms.
    async fn select(&mut self, task: Option<(TaskId, u64)>, connection: &ConsoleConnection) {
        *self = Self::default();
        let Some((task, span)) = task else { return };
        if let Ok(Ok(details)) = timeout(DETAILS_TIMEOUT, connection.details(span)).await {
            (self.task, self.details) = (Some(task), Some(details));
        }
    }

    /// Waits for the next histograms. Never completes if no details are requested.
    async fn next(&mut self) -> Option<Event> {
        let (Some(task), Some(details)) = (self.task, &mut self.details) else { return std::future::pending().await };
        match details.next().await {
            Ok(Some(message)) => {
                let histograms = decode_histograms(&message)?;
                Some(Event::TaskHistograms { task, histograms: Box::new(histograms) })
            }
            _ => {
                self.details = None;
                None
            }
        }
    }
}
