//! How long nothing has arrived over a connection.

use std::time::{Duration, Instant};

/// The time since the number of received bytes grew last.
#[derive(Debug)]
pub struct Silence {
    since: Instant,
    received_bytes: u64,
}

impl Silence {
    /// Begins now, after this number of received bytes.
    pub fn since_now(received_bytes: u64) -> Self {
        Self { since: Instant::now(), received_bytes }
    }

    /// Notes the number of bytes received by `now`. Returns whether it has grown.
    pub fn observe(&mut self, received_bytes: u64, now: Instant) -> bool {
        let has_grown = received_bytes > self.received_bytes;
        if has_grown {
            *self = Self { since: now, received_bytes };
        }
        has_grown
    }

    /// Begins again, although nothing has arrived.
    pub fn restart(&mut self) {
        self.since = Instant::now();
    }

    /// Returns its length up to `now`.
    pub fn duration(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}
