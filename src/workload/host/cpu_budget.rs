//! CPU time limits that stop endless loops in scripts.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time that the calling thread has used so far.
pub(in crate::workload) fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A limit for the CPU time of the current thread. All calls must come from the thread that created it.
pub(super) struct CpuBudget {
    started: Duration,
    limit: Duration,
}

impl CpuBudget {
    /// Starts the measurement on the calling thread.
    pub fn new(limit: Duration) -> Self {
        Self { started: thread_cpu_time(), limit }
    }

    /// Restarts the measurement with the same limit, at the start of a poll.
    pub fn restart(&mut self) {
        self.started = thread_cpu_time();
    }

    /// Restarts the measurement with a new limit.
    pub fn reset(&mut self, limit: Duration) {
        *self = Self::new(limit);
    }

    /// Returns the limit if it is exceeded.
    pub fn exceeded_limit(&self) -> Option<Duration> {
        (thread_cpu_time().saturating_sub(self.started) > self.limit).then_some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn counts_only_own_cpu_time() {
        let limit = Duration::from_millis(50);
        let cpu_budget = CpuBudget::new(limit);
        let others = std::thread::spawn(move || {
            // Another thread uses the processor while this one waits.
            let started = Instant::now();
            let other_budget = CpuBudget::new(limit);
            while started.elapsed() < 2 * limit || other_budget.exceeded_limit().is_none() {
                std::hint::spin_loop();
            }
        });
        others.join().expect("the thread ends");
        assert_eq!(cpu_budget.exceeded_limit(), None);
        let deadline = Instant::now() + Duration::from_secs(60);
        while cpu_budget.exceeded_limit().is_none() {
            assert!(Instant::now() < deadline, "the limit is never exceeded");
        }
        assert_eq!(cpu_budget.exceeded_limit(), Some(limit));
    }
}
