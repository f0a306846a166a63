//! Finds out for how long the threads of an app wait for a processor, because other programs keep them busy.
//!
//! A poll then takes long although it does not block. Reads `/proc`.
//!
//! The system counts a wait when it ends, so each count includes waits that began before the last sample. What is not
//! known is how long a thread waited between the last sample and its end.

use std::fs;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::session::epoch_clock::EpochClock;

/// Minimum time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Minimum wait that is reported, in nanoseconds: a fiftieth of the time between two samples. Shorter ones do not make a
/// poll noticeably longer, and are usual on an idle machine.
pub const WAIT_NS_MIN: u64 = 1_000_000;

/// Names of the threads of the app's console, its recording and its probe, which poll no tasks of the app. Linux cuts names
/// after 15 bytes.
const OBSERVER_THREADS: [&str; 3] = ["console_subscri", "console/subscri", "loopscope-probe"];

/// By thread, for how many nanoseconds it has waited for a processor so far.
type ThreadWaits = FxHashMap<u64, u64>;

/// A sample of all threads.
#[derive(Debug)]
struct WaitSample {
    /// When the first thread was read, in nanoseconds since 1970.
    began_ns: u64,
    /// When the last thread was read, in nanoseconds since 1970.
    ended_ns: u64,
    waits: ThreadWaits,
}

/// How long the threads of an app waited for a processor in an interval, in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledWait {
    /// Start of the interval.
    pub from: u64,
    /// End of the interval.
    pub to: u64,
    /// Maximum time that one thread waited.
    pub waited_ns: u64,
    /// Every wait that ended before this time has been reported.
    pub known_until: u64,
    /// Time that each thread waited.
    threads: ThreadWaits,
}

impl SampledWait {
    /// Returns how long a thread waited; the maximum of all if it is not known.
    pub fn of_thread(&self, thread: Option<u32>) -> u64 {
        thread.and_then(|thread| self.threads.get(&thread.into()).copied()).unwrap_or(self.waited_ns)
    }

    /// Returns whether the wait is long enough to be reported.
    pub fn is_notable(&self) -> bool {
        self.waited_ns >= WAIT_NS_MIN
    }
}

/// Samples how long the threads of an app have waited for a processor.
#[derive(Debug)]
pub struct ProcessorWaitSampler {
    last: WaitSample,
    sampled_at: Option<Instant>,
}

impl ProcessorWaitSampler {
    /// Creates a sampler for a process that is about to start.
    pub fn of_new_process(clock: EpochClock) -> Self {
        let now = clock.now();
        Self { last: WaitSample { began_ns: now, ended_ns: now, waits: ThreadWaits::default() }, sampled_at: None }
    }

    /// Creates a sampler for a process that has been running for some time. Its earlier waits are not counted.
    pub fn of_running_process(pid: u32, clock: EpochClock) -> Self {
        let began_ns = clock.now();
        let waits = thread_waits(pid);
        Self { last: WaitSample { began_ns, ended_ns: clock.now(), waits }, sampled_at: None }
    }

    /// Takes a sample of the process `pid` if one is due. Returns how long its threads have waited since the last one, or
    /// `None` if that is not known.
    pub fn sample_if_due(&mut self, pid: u32, clock: EpochClock) -> Option<SampledWait> {
        if self.sampled_at.is_some_and(|sampled_at| sampled_at.elapsed() < SAMPLE_INTERVAL) {
            return None;
        }
        self.sampled_at = Some(Instant::now());
        let began_ns = clock.now();
        let waits = thread_waits(pid);
        // Of a process that has ended only the first thread remains. The last waits of the others are not known.
        if waits.is_empty() || has_ended(pid) {
            return None;
        }
        let sample = WaitSample { began_ns, ended_ns: clock.now(), waits };
        let waited = waited_between(&self.last, &sample, |thread| is_observer_thread(pid, thread));
        self.last = sample;
        Some(waited)
    }
}

/// Returns how long threads waited between two samples. `is_observer` tells the threads
/// that poll no tasks of the app.
fn waited_between(before: &WaitSample, now: &WaitSample, is_observer: impl Fn(u64) -> bool) -> SampledWait {
    let waited = now.waits.iter().map(|(thread, wait_ns)| {
        let earlier_ns = before.waits.get(thread).copied().unwrap_or(0);
        // A lower count is that of a new thread with the same id.
        (*thread, wait_ns.checked_sub(earlier_ns).unwrap_or(*wait_ns))
    });
    let threads: ThreadWaits = waited.collect();
    let of_app = threads.iter().filter(|(thread, waited_ns)| **waited_ns >= WAIT_NS_MIN && !is_observer(**thread));
    let waited_ns = of_app.map(|(_, waited_ns)| *waited_ns).max().unwrap_or(0);
    // The first of these waits may have begun before the interval, but not earlier than by its length.
    let from = before.began_ns.saturating_sub(waited_ns);
    SampledWait { from, to: now.ended_ns, waited_ns, known_until: now.began_ns, threads }
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

/// Whether a process has ended, although its parent may not know that yet.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    state.is_none_or(|state| matches!(state, 'Z' | 'X'))
}

/// Whether a thread belongs to console-subscriber or to the probe.
fn is_observer_thread(pid: u32, thread: u64) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm")).unwrap_or_default();
    OBSERVER_THREADS.contains(&name.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn sample(began_ns: u64, waits_ms: &[(u64, u64)]) -> WaitSample {
        let waits = waits_ms.iter().map(|(thread, wait_ms)| (*thread, wait_ms * MILLISECOND)).collect();
        WaitSample { began_ns, ended_ns: began_ns + 1, waits }
    }

    #[test]
    fn reads_the_threads_of_a_process() {
        let own = u64::from(std::process::id());
        assert!(thread_waits(std::process::id()).contains_key(&own));
        assert!(thread_waits(0).is_empty());
        assert!(!has_ended(std::process::id()) && has_ended(0));
    }

    #[test]
    fn observer_threads_are_known_by_name() {
        for (name, expected) in [
            ("console_subscriber", true),
            ("console/subscriber/recorder/io", true),
            ("loopscope-probe-collector", true),
            ("console-of-app", false),
        ] {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let is_observer = || {
                let link = fs::read_link("/proc/thread-self").expect("Linux has this link");
                let thread = link.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a thread id");
                is_observer_thread(std::process::id(), thread)
            };
            let thread = thread.spawn(is_observer).expect("the thread starts");
            assert_eq!(thread.join().expect("no panic"), expected, "{name}");
        }
    }

    #[test]
    fn longest_wait_of_the_apps_threads_counts() {
        let start = 1_000 * MILLISECOND;
        let before = sample(start, &[(1, 10), (2, 500), (3, 0), (4, 90)]);
        let now = sample(start + 50 * MILLISECOND, &[(1, 30), (2, 508), (3, 45), (4, 5), (5, 7)]);
        let waited = waited_between(&before, &now, |thread| thread == 3);
        assert_eq!(waited.waited_ns, 20 * MILLISECOND);
        assert_eq!((waited.from, waited.to), (start - 20 * MILLISECOND, now.ended_ns), "it may have begun before");
        assert_eq!(waited.known_until, now.began_ns);
        let waited_ms =
            |ignored: &[u64]| waited_between(&before, &now, |thread| ignored.contains(&thread)).waited_ns / MILLISECOND;
        assert_eq!(waited_ms(&[1, 3]), 8);
        assert_eq!(waited_ms(&[1, 2, 3]), 7, "a thread that started since");
        assert_eq!(waited_ms(&[1, 2, 3, 5]), 5, "a new thread with the id of another one");
    }

    #[test]
    fn short_waits_are_not_notable() {
        let waited = |wait_ms| waited_between(&sample(0, &[]), &sample(9, &[(1, wait_ms)]), |_| false);
        assert!(!waited(0).is_notable() && waited(1).is_notable());
    }
}
