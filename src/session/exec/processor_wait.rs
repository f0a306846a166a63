//! Finds out when the threads of a started app wait for a processor, because other programs keep them busy.
//!
//! A poll then takes long although it does not block. Reads `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::epoch_clock::EpochClock;

/// Minimum time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Share of the time between two samples that one thread must have waited, as a divisor.
const SHARE_DIVISOR: u64 = 4;

/// By thread, for how many nanoseconds it has waited for a processor so far.
type ThreadWaits = FxHashMap<u64, u64>;

/// A sample of all threads: when it was taken, also in nanoseconds since 1970.
#[derive(Debug)]
struct WaitSample {
    taken_at: Instant,
    epoch_ns: u64,
    waits: ThreadWaits,
}

/// Samples how long the threads of an app have waited for a processor.
#[derive(Debug, Default)]
pub struct ProcessorWaitSampler {
    last: Option<WaitSample>,
}

impl ProcessorWaitSampler {
    /// Takes a sample of the process `pid` if one is due. Returns the interval since the last one, in nanoseconds since
    /// 1970, if a thread waited for a processor for much of it.
    pub fn sample_if_due(&mut self, pid: u32, clock: EpochClock) -> Option<(u64, u64)> {
        if self.last.as_ref().is_some_and(|last| last.taken_at.elapsed() < SAMPLE_INTERVAL) {
            return None;
        }
        let now = WaitSample { taken_at: Instant::now(), epoch_ns: clock.now(), waits: thread_waits(pid) };
        let before = self.last.take();
        let waited = before.filter(|before| has_waited(before, &now)).map(|before| (before.epoch_ns, now.epoch_ns));
        self.last = Some(now);
        waited
    }
}

/// Whether a thread waited for much of the time between two samples.
fn has_waited(before: &WaitSample, now: &WaitSample) -> bool {
    let limit_ns = now.epoch_ns.saturating_sub(before.epoch_ns) / SHARE_DIVISOR;
    now.waits.iter().any(|(thread, wait_ns)| {
        before.waits.get(thread).is_some_and(|earlier_ns| wait_ns.saturating_sub(*earlier_ns) > limit_ns)
    })
}

/// Returns the threads of a process, each with the time that it has waited for a processor so far.
fn thread_waits(pid: u32) -> ThreadWaits {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return ThreadWaits::default() };
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
        assert!(thread_waits(std::process::id()).contains_key(&own));
        assert!(thread_waits(0).is_empty());
    }
}
