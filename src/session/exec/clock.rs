//! One clock for everything that is known of an app: the system's as it was when the app was started, moved on by the
//! monotonic one, which is how console-subscriber stamps as well.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_epoch_ns: u64,
}

impl Clock {
    pub fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_epoch_ns: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Where loop time begins, in nanoseconds since 1970.
    pub fn origin(&self) -> u64 {
        self.began_epoch_ns
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        let passed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.began_epoch_ns.saturating_add(passed)
    }
}
