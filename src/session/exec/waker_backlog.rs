//! Waker counts of a task that wait until the recording has been read up to the time at which they were counted.
//!
//! Otherwise the counts could be newer than the task's last known poll. At the end of an app, for example, its tasks are
//! dropped, and their wakers with them; a task whose end was not recorded would seem to have lost its waker.

use crate::trace::Nanos;

/// Numbers of created and dropped clones of a waker.
type CloneCounts = (u64, u64);

/// Counts that wait.
#[derive(Clone, Copy, Debug)]
struct WaitingCounts {
    /// Time after which the counts, or superseded ones before them, may have changed.
    since: Nanos,
    /// Time by which they were counted.
    at: Nanos,
    counts: CloneCounts,
}

/// The oldest counts that wait, and the newest. Counts in between are superseded.
#[derive(Debug, Default)]
pub struct WakerBacklog {
    oldest: Option<WaitingCounts>,
    newest: Option<WaitingCounts>,
}

impl WakerBacklog {
    /// Adds counts that changed after `since` and were taken by the time `at`, not before those added earlier.
    pub fn push(&mut self, since: Nanos, at: Nanos, counts: CloneCounts) {
        let slot = if self.oldest.is_none() { &mut self.oldest } else { &mut self.newest };
        let since = slot.map_or(since, |superseded| superseded.since);
        *slot = Some(WaitingCounts { since, at, counts });
    }

    /// Removes and returns the newest counts that were taken by `now`.
    pub fn take_until(&mut self, now: Nanos) -> Option<CloneCounts> {
        if let Some(newest) = self.newest.take_if(|newest| newest.at <= now) {
            self.oldest = None;
            return Some(newest.counts);
        }
        let oldest = self.oldest.take_if(|oldest| oldest.at <= now)?;
        self.oldest = self.newest.take();
        Some(oldest.counts)
    }

    /// Returns the time after which counts that were taken from here may be out of date; `None` if none wait.
    pub fn waiting_since(&self) -> Option<Nanos> {
        self.oldest.map(|oldest| oldest.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_wait_for_their_time() {
        let mut backlog = WakerBacklog::default();
        for (since, at, clones) in [(5, 10, 1), (10, 20, 2), (20, 30, 3)] {
            backlog.push(since, at, (clones, 0));
        }
        assert_eq!((backlog.take_until(9), backlog.waiting_since()), (None, Some(5)));
        assert_eq!(backlog.take_until(29), Some((1, 0)), "the newest is not due");
        assert_eq!(backlog.waiting_since(), Some(10), "those taken at 20 are superseded, and not applied");
        backlog.push(35, 40, (4, 4));
        assert_eq!(backlog.take_until(39), Some((3, 0)));
        assert_eq!((backlog.take_until(50), backlog.waiting_since()), (Some((4, 4)), None));
        backlog.push(50, 60, (5, 5));
        backlog.push(60, 70, (6, 6));
        assert_eq!(backlog.take_until(80), Some((6, 6)), "older counts are superseded");
        assert_eq!(backlog.waiting_since(), None);
    }
}
