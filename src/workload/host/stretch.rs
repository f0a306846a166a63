//! How long a script has kept the loop to itself, in real time: the guard against a loop that never ends.

use std::time::{Duration, Instant};

/// Real time that a coroutine may run without giving the loop a turn. Pauses and blocking calls do not count.
pub const STRETCH_MAX: Duration = Duration::from_secs(10);

/// Real time for the script's top level, which only builds a table.
pub const LOADING_MAX: Duration = Duration::from_secs(2);

/// The same while many scripts are read for a list, where one that loops must not keep the others waiting.
pub const LISTING_MAX: Duration = Duration::from_millis(200);

pub(super) struct Stretch {
    started: Instant,
    limit: Duration,
}

impl Stretch {
    pub fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// A poll begins.
    pub fn begin(&mut self) {
        self.started = Instant::now();
    }

    pub fn allow(&mut self, limit: Duration) {
        *self = Self::new(limit);
    }

    /// Takes out time that the script did not spend itself.
    pub fn excuse(&mut self, excused: Duration) {
        self.started += excused;
    }

    /// The limit, where it is passed.
    pub fn passed(&self) -> Option<Duration> {
        (self.started.elapsed() > self.limit).then_some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excused_time_does_not_count() {
        let mut stretch = Stretch::new(Duration::from_secs(10));
        stretch.started -= Duration::from_secs(60);
        assert_eq!(stretch.passed(), Some(Duration::from_secs(10)));
        stretch.excuse(Duration::from_secs(55));
        assert_eq!(stretch.passed(), None);
    }
}
