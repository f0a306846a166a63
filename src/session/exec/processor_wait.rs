//! Finds out when the threads of a started app wait for a processor, because other programs keep them busy.
//!
//! A poll then takes long although it does not block. Reads `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use super::epoch_clock::EpochClock;

/// Minimum time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Share of the time between two samples that one thread must have waited, as a divisor.
const SHARE_DIVISOR: u64 = 4;

/// Samples how long the threads of an app have waited for a processor.
#[derive(Debug, Default)]
pub struct ProcessorWaitSampler {
    last: Option<(Instant, u64, Vec<(u64, u64)>)>,
}

impl ProcessorWaitSampler {
    /// Takes a sample of the process `pid` if one is due. Returns the interval since the last one, in nanoseconds since
    /// 1970, if a thread waited for a processor for much of it.
    pub fn sample_if_due(&mut self, pid: u32, clock: EpochClock) -> Option<(u64, u64)> {
        if self.last.as_ref().is_some_and(|(at, ..)| at.elapsed() < SAMPLE_INTERVAL) {
            return None;
        }
        let (now, waits) = (clock.now(), thread_waits(pid));
        let last = self.last.replace((Instant::now(), now, waits.clone()));
        let (_, before, waits_before) = last?;
        let limit_ns = now.saturating_sub(before) / SHARE_DIVISOR;
        let has_waited = waits.iter().any(|(thread, wait_ns)| {
            let earlier = waits_before.iter().find(|(known, _)| known == thread);
            earlier.is_some_and(|(_, earlier_ns)| wait_ns.saturating_sub(*earlier_ns) > limit_ns)
        });
        has_waited.then_some((before, now))
    }
}

/// Returns the threads of a process, each with the time that it has waited for a processor so far.
fn thread_waits(pid: u32) -> Vec<(u64, u64)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let wait_of = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let wait_ns = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread.file_name().to_string_lossy().parse().ok()?, wait_ns))
    };
    threads.flatten().filter_map(wait_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_threads_of_a_process() {
        let own = u64::from(std::process::id());
        assert!(thread_waits(std::process::id()).iter().any(|(thread, _)| *thread == own));
        assert!(thread_waits(0).is_empty());
    }
}
