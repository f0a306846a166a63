//! The client of the app's console. Its thread reconnects until the session ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::feed::wire::{ConsoleAddress, ConsoleConnection, ConsoleMessage};
use crate::lab::untraced_dispatch;

/// Maximum number of queued messages. If the screen is slow, the client stops reading from the network.
const MESSAGES_MAX: usize = 4;

/// Delay between two connection attempts. It is short because the app is just starting, and keeps no polls of awaits for
/// a client that connects later.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(5);

/// The client of the app's console.
#[derive(Debug)]
pub struct AppConsole {
    messages: mpsc::Receiver<ConsoleMessage>,
    /// The connection is open.
    is_connected: Arc<AtomicBool>,
}

impl AppConsole {
    /// Starts connecting to `port` on this machine. `bell` is signalled for each message.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be created.
    pub fn connect(port: u16, wakeup: Sender<()>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let is_connected = Arc::new(AtomicBool::new(false));
        let connected = Arc::clone(&is_connected);
        std::thread::Builder::new().name("loopscope-wire".into()).spawn(move || {
            // Keep this runtime out of the trace.
            tracing::dispatcher::with_default(&untraced_dispatch(), || {
                runtime.block_on(async {
                    tokio::select! {
                        () = sender.closed() => {}
                        () = forward_messages(port, &sender, &wakeup, &connected) => {}
                    }
                });
                runtime.shutdown_background();
            });
        })?;
        Ok(Self { messages, is_connected })
    }

    /// Returns whether there is no connection and all messages are taken.
    pub fn is_drained(&self) -> bool {
        !self.is_connected.load(Ordering::Acquire) && self.messages.is_empty()
    }

    /// Takes the next message, if any.
    pub fn take(&mut self) -> Option<ConsoleMessage> {
        self.messages.try_recv().ok()
    }
}

async fn forward_messages(
    port: u16,
    messages: &mpsc::Sender<ConsoleMessage>,
    wakeup: &Sender<()>,
    is_connected: &AtomicBool,
) {
    let address = ConsoleAddress::Tcp { host: "127.0.0.1".to_owned(), port };
    loop {
        if let Ok(connection) = ConsoleConnection::open(&address).await
            && let Ok(mut stream) = connection.messages_or_timeout().await
        {
            is_connected.store(true, Ordering::Release);
            while let Ok(Some(message)) = stream.next().await {
                if messages.send(message).await.is_err() {
                    return;
                }
                // If the channel is full, a wake-up is pending already.
                let _ = wakeup.try_send(());
            }
            is_connected.store(false, Ordering::Release);
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}
