//! The line between a session and the thread that listens for it: news come one way, wishes go the other. Both ends
//! are bounded, and neither makes the screen wait.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::{Notify, mpsc, watch};

use crate::control::Link;
use crate::trace::{Event, TaskId};

/// News that wait to be taken in. When the screen is slow the network waits, and the program keeps what it has to tell.
const NEWS_MAX: usize = 16;

/// Events that are sent at once.
const BATCH_EVENTS_MAX: usize = 4_096;

/// What is told to the session.
pub enum News {
    Link(Link),
    Events(Vec<Event>),
    /// The text of a file that locations name.
    Source {
        file: Arc<str>,
        text: String,
    },
    /// Another process answers now; what it tells comes over a line of its own.
    Another(Box<Near>),
}

/// The session's end.
pub struct Near {
    pub news: mpsc::Receiver<News>,
    bell: Receiver<()>,
    selected: watch::Sender<Option<TaskId>>,
    retry: Arc<Notify>,
}

/// The thread's end.
pub struct Far {
    news: mpsc::Sender<News>,
    bell: Sender<()>,
    pub selected: watch::Receiver<Option<TaskId>>,
    retry: Arc<Notify>,
}

/// The session is gone.
#[derive(Debug)]
pub struct Left;

pub fn line() -> (Near, Far) {
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let (rings, bell) = bounded(1);
    let (selected, is_selected) = watch::channel(None);
    let retry = Arc::new(Notify::new());
    let near = Near { news, bell, selected, retry: Arc::clone(&retry) };
    (near, Far { news: sender, bell: rings, selected: is_selected, retry })
}

impl Near {
    pub fn select(&self, task: TaskId) {
        self.selected.send_if_modified(|selected| selected.replace(task) != Some(task));
    }

    pub fn retry(&self) {
        self.retry.notify_one();
    }

    pub fn leave(&mut self) {
        self.news.close();
    }

    /// Waits for news, or so long.
    pub fn wait(&self, at_most: Duration) {
        if self.news.is_empty() {
            let rang = self.bell.recv_timeout(at_most);
            // With nobody at the other end there is nothing to wait for, and the time passes all the same.
            if rang.is_err_and(|error| error.is_disconnected()) {
                std::thread::sleep(at_most);
            }
        }
    }
}

impl Far {
    /// Tells the session, once it has room.
    pub async fn tell(&self, news: News) -> Result<(), Left> {
        self.news.send(news).await.map_err(|_| Left)?;
        // A bell that is ringing already is heard.
        let _ = self.bell.try_send(());
        Ok(())
    }

    pub async fn tell_events(&self, mut events: Vec<Event>) -> Result<(), Left> {
        while events.len() > BATCH_EVENTS_MAX {
            let rest = events.split_off(BATCH_EVENTS_MAX);
            self.tell(News::Events(std::mem::replace(&mut events, rest))).await?;
        }
        self.tell(News::Events(events)).await
    }

    /// Comes when the session is gone.
    pub async fn left(&self) {
        self.news.closed().await;
    }

    /// Comes when the person wants to try now.
    pub async fn asked_to_retry(&self) {
        self.retry.notified().await;
    }
}
