//! How long a script has kept the loop to itself: the guard against a loop that never ends.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Computing that a coroutine may do without giving the loop a turn. Pauses, blocking calls, and time in which the machine
/// was somebody else's do not count.
pub const STRETCH_MAX: Duration = Duration::from_secs(10);

/// Computing of the script's top level, which only builds a table.
pub const LOADING_MAX: Duration = Duration::from_secs(2);

/// The same while many scripts are read for a list, where one that loops must not keep the others waiting.
pub const LISTING_MAX: Duration = Duration::from_millis(200);

/// How much the calling thread has computed so far.
fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Asked on the thread on which it began.
pub(super) struct Stretch {
    began: Duration,
    limit: Duration,
}

impl Stretch {
    pub fn new(limit: Duration) -> Self {
        Self { began: computed(), limit }
    }

    /// A poll begins.
    pub fn begin(&mut self) {
        self.began = computed();
    }

    pub fn allow(&mut self, limit: Duration) {
        *self = Self::new(limit);
    }

    /// The limit, where it is passed.
    pub fn passed(&self) -> Option<Duration> {
        (computed().saturating_sub(self.began) > self.limit).then_some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn only_what_the_thread_computes_itself_counts() {
        let limit = Duration::from_millis(50);
        let stretch = Stretch::new(limit);
        let others = std::thread::spawn(move || {
            // Others have the machine meanwhile.
            let begun = Instant::now();
            let theirs = Stretch::new(limit);
            while begun.elapsed() < 2 * limit || theirs.passed().is_none() {
                std::hint::spin_loop();
            }
        });
        others.join().expect("it ends");
        assert_eq!(stretch.passed(), None);
        let deadline = Instant::now() + Duration::from_secs(60);
        while stretch.passed().is_none() {
            assert!(Instant::now() < deadline, "it is never passed");
        }
        assert_eq!(stretch.passed(), Some(limit));
    }
}
