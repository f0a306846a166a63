//! Counts the messages of a channel that are not finished, for `join` and `task_done` of asyncio's queue.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of messages that were sent and not finished.
#[derive(Default)]
pub(super) struct UnfinishedJobs {
    count: AtomicUsize,
    all_finished: Notify,
}

impl UnfinishedJobs {
    /// Counts a message that was sent.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message as finished. Returns false if there is none.
    pub fn finish(&self) -> bool {
        let before = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        if before == Ok(1) {
            self.all_finished.notify_waiters();
        }
        before.is_ok()
    }

    /// Waits until every message is finished.
    pub async fn join(&self) {
        loop {
            // Subscribe before the check, so that the last message is not missed.
            let finished = self.all_finished.notified();
            if self.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            finished.await;
        }
    }
}
