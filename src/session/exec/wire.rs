//! The app's console, as the thread hears it that listens there: tried again and again until somebody answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::feed::wire::{Address, Connection, Message};
use crate::lab::uninstrumented;

/// Messages that wait to be taken in. When the screen is slow the network waits, and the app keeps what it has to tell.
const MESSAGES_MAX: usize = 4;

/// How long to wait between two attempts: the app has only just been started.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Debug)]
pub struct Wire {
    messages: mpsc::Receiver<Message>,
    /// Somebody answers.
    is_connected: Arc<AtomicBool>,
}

impl Wire {
    /// Begins to listen at `port` of this machine; `bell` rings when something came.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn listen(port: u16, bell: Sender<()>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let is_connected = Arc::new(AtomicBool::new(false));
        let connected = Arc::clone(&is_connected);
        std::thread::Builder::new().name("loopscope-wire".into()).spawn(move || {
            // What this runtime does is nothing that anybody studies.
            tracing::dispatcher::with_default(&uninstrumented(), || {
                runtime.block_on(async {
                    tokio::select! {
                        () = sender.closed() => {}
                        () = follow(port, &sender, &bell, &connected) => {}
                    }
                });
                runtime.shutdown_background();
            });
        })?;
        Ok(Self { messages, is_connected })
    }

    /// Nobody answers, and everything that anybody said is taken.
    pub fn is_silent(&self) -> bool {
        !self.is_connected.load(Ordering::Acquire) && self.messages.is_empty()
    }

    pub fn take(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}

async fn follow(port: u16, messages: &mpsc::Sender<Message>, bell: &Sender<()>, is_connected: &AtomicBool) {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
    loop {
        if let Ok(connection) = Connection::open(&address).await
            && let Ok(mut told) = connection.messages_soon().await
        {
            is_connected.store(true, Ordering::Release);
            while let Ok(Some(message)) = told.next().await {
                if messages.send(message).await.is_err() {
                    return;
                }
                // A bell that is ringing already is heard.
                let _ = bell.try_send(());
            }
            is_connected.store(false, Ordering::Release);
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}
