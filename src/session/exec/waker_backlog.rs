//! Waker counts of a task that wait until the recording has been read up to the time at which they were counted.
//!
//! Otherwise the counts could be newer than the task's last known poll. At the end of an app, for example, its tasks are
//! dropped, and their wakers with them; a task whose end was not recorded would seem to have lost its waker.

use crate::trace::Nanos;

/// Numbers of created and dropped clones of a waker.
type CloneCounts = (u64, u64);

/// The oldest counts that wait, and the newest. Counts in between are superseded.
#[derive(Debug, Default)]
pub struct WakerBacklog {
    oldest: Option<(Nanos, CloneCounts)>,
    newest: Option<(Nanos, CloneCounts)>,
}

impl WakerBacklog {
    /// Adds counts that were taken by the time `at`, not before those added earlier.
    pub fn push(&mut self, at: Nanos, counts: CloneCounts) {
        let slot = if self.oldest.is_none() { &mut self.oldest } else { &mut self.newest };
        *slot = Some((at, counts));
    }

    /// Removes and returns the newest counts that were taken by `now`.
    pub fn take_until(&mut self, now: Nanos) -> Option<CloneCounts> {
        if let Some((_, counts)) = self.newest.take_if(|(at, _)| *at <= now) {
            self.oldest = None;
            return Some(counts);
        }
        let (_, counts) = self.oldest.take_if(|(at, _)| *at <= now)?;
        self.oldest = self.newest.take();
        Some(counts)
    }

    /// Whether no counts wait.
    pub fn is_empty(&self) -> bool {
        self.oldest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_wait_for_their_time() {
        let mut backlog = WakerBacklog::default();
        for (at, clones) in [(10, 1), (20, 2), (30, 3)] {
            backlog.push(at, (clones, 0));
        }
        assert_eq!(backlog.take_until(9), None);
        assert_eq!(backlog.take_until(29), Some((1, 0)), "the newest is not due");
        backlog.push(40, (4, 4));
        assert_eq!(backlog.take_until(39), Some((3, 0)));
        assert_eq!(backlog.take_until(50), Some((4, 4)));
        assert!(backlog.is_empty());
        backlog.push(60, (5, 5));
        backlog.push(70, (6, 6));
        assert_eq!(backlog.take_until(80), Some((6, 6)), "older counts are superseded");
        assert!(backlog.is_empty());
    }
}
