//! The channel between an attach session and its worker thread.
//!
//! Updates flow to the session and requests to the worker. All queues are bounded, and no call blocks the screen.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::{Notify, mpsc, watch};

use crate::control::ConnectionStatus;
use crate::feed::wire::ReceivedBytes;
use crate::trace::{Event, TaskId};

/// Maximum number of queued updates. If the screen is slow, the worker stops reading from the network.
const UPDATES_MAX: usize = 16;

/// Maximum number of events in one update.
const BATCH_EVENTS_MAX: usize = 4_096;

/// A message from the worker to the session.
pub enum AttachUpdate {
    /// The connection state has changed.
    Connection(ConnectionStatus),
    /// Events to apply to the trace.
    Events(Vec<Event>),
    /// The text of a source file.
    Source {
        /// The file name used in locations.
        file: Arc<str>,
        /// The file's contents.
        text: String,
    },
    /// Another process answers at the address. Its updates arrive on a channel of their own.
    Successor(Box<SessionEnd>),
}

/// The session's end of the channel.
pub struct SessionEnd {
    /// Updates from the worker.
    pub updates: mpsc::Receiver<AttachUpdate>,
    wakeup: Receiver<()>,
    selected: watch::Sender<Option<TaskId>>,
    retry: Arc<Notify>,
    received: ReceivedBytes,
}

/// The worker's end of the channel.
pub struct WorkerEnd {
    updates: mpsc::Sender<AttachUpdate>,
    wakeup: Sender<()>,
    /// The task that the user selected.
    pub selected: watch::Receiver<Option<TaskId>>,
    retry: Arc<Notify>,
    /// Counts the bytes that arrive.
    pub received: ReceivedBytes,
}

/// An error: the session was closed or dropped.
#[derive(Debug)]
pub struct SessionClosed;

/// Creates a channel.
pub fn channel() -> (SessionEnd, WorkerEnd) {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let (wakeup_sender, wakeup) = bounded(1);
    let (selected, selected_receiver) = watch::channel(None);
    let retry = Arc::new(Notify::new());
    let received = ReceivedBytes::default();
    let session_end = SessionEnd { updates, wakeup, selected, retry: Arc::clone(&retry), received: received.clone() };
    let selected = selected_receiver;
    (session_end, WorkerEnd { updates: sender, wakeup: wakeup_sender, selected, retry, received })
}

impl SessionEnd {
    /// Selects the task whose details the worker should request.
    pub fn select(&self, task: TaskId) {
        self.selected.send_if_modified(|selected| selected.replace(task) != Some(task));
    }

    /// Makes the worker retry immediately if it waits to reconnect.
    pub fn retry(&self) {
        self.retry.notify_one();
    }

    /// Returns the number of bytes that the worker has received so far.
    pub fn received_bytes(&self) -> u64 {
        self.received.count()
    }

    /// Closes the channel, which ends the worker.
    pub fn close(&mut self) {
        self.updates.close();
    }

    /// Waits for an update, for at most `at_most`.
    pub fn wait(&self, at_most: Duration) {
        if self.updates.is_empty() {
            let received = self.wakeup.recv_timeout(at_most);
            // Sleep if the worker has ended: callers rely on this call to take time.
            if received.is_err_and(|error| error.is_disconnected()) {
                std::thread::sleep(at_most);
            }
        }
    }
}

impl WorkerEnd {
    /// Sends an update, waiting for capacity.
    ///
    /// # Errors
    /// Returns an error if the session is closed.
    pub async fn send(&self, update: AttachUpdate) -> Result<(), SessionClosed> {
        self.updates.send(update).await.map_err(|_| SessionClosed)?;
        // If the channel is full, a wake-up is pending already.
        let _ = self.wakeup.try_send(());
        Ok(())
    }

    /// Sends events in batches of at most [`BATCH_EVENTS_MAX`].
    ///
    /// # Errors
    /// Returns an error if the session is closed.
    pub async fn send_events(&self, mut events: Vec<Event>) -> Result<(), SessionClosed> {
        while events.len() > BATCH_EVENTS_MAX {
            let rest = events.split_off(BATCH_EVENTS_MAX);
            self.send(AttachUpdate::Events(std::mem::replace(&mut events, rest))).await?;
        }
        self.send(AttachUpdate::Events(events)).await
    }

    /// Waits until the session is closed or dropped.
    pub async fn closed(&self) {
        self.updates.closed().await;
    }

    /// Waits until the user requests a retry.
    pub async fn retry_requested(&self) {
        self.retry.notified().await;
    }
}
